"""Settings of layers, losses, optimisers and schedules: read-only after construction, and of the right kinds."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim
from fastnn._settings import ReadOnly
from fastnn.nn.container_base import Container

SCALER = fastnn.data.Scaler
RANDOM = nn.init.Random
AUGMENTATIONS = data.GaussianNoise, data.FeatureDropout, data.SwapNoise, data.Mixup, data.RandomFlip, data.RandomShift


def half(x, y=None):
    return 0.5 * x


# Arguments of the classes that cannot be made without.
ARGUMENTS = {
    nn.Dense: (3, 4),
    nn.BatchNorm: (4,),
    nn.Columns: ([0], "relu"),
    nn.Parallel: ("relu", nn.Sequential("tanh")),
    nn.Residual: ("relu",),
    nn.Embedding: (5, 3),
    nn.Embeddings: ([5, 3], 2),
    nn.LayerNorm: (4,),
    nn.RMSNorm: (4,),
    nn.Periodic: (3,),
    nn.PiecewiseLinear: ([[0, 1], [0, 1, 2]],),
    nn.ScaleColumns: (4,),
    nn.CustomActivation: (half, half),
    nn.CustomLoss: (half, half),
    nn.HeadsLoss: ([("mean_squared_error", 1)],),
    optim.Group: ("0.*",),
    optim.StepLR: (3,),
    optim.MultiStepLR: ([2, 5],),
    optim.ExponentialLR: (0.9,),
    optim.InverseTimeLR: (0.5,),
    optim.CosineAnnealingLR: (7,),
    optim.CosineAnnealingWarmRestarts: (7,),
    optim.OneCycleLR: (0.1, 10),
    optim.LambdaLR: (half,),
    optim.WarmupLR: (optim.StepLR(3),),
    optim.SequentialLR: ([optim.StepLR(3), optim.StepLR(4)], [5]),
    optim.ChainedScheduler: ([optim.StepLR(3)],),
    SCALER: ([1.0, 2.0], 0.5),
    data.RandomFlip: ((2, 3),),
    data.RandomShift: ((3, 4),),
    RANDOM: (0, 1, 2),
    nn.init.constant: (0.5,),
    optim.SWA: (3,),
}
BASES = (nn.Layer, nn.Activation, nn.Loss, optim.Optimizer, optim.FullBatch, optim.Schedule, optim.Average)
PUBLIC = [getattr(module, name) for module in (nn, optim) for name in module.__all__]
CLASSES = [each for each in PUBLIC if inspect.isclass(each) and issubclass(each, ReadOnly) and each not in BASES]
MAKERS = {each.__name__: each for each in [*CLASSES, *nn.init.INITIALIZERS.values(), *AUGMENTATIONS, SCALER, RANDOM]}


NOTHING_TO_SET = nn.Identity | nn.LogSoftmax | nn.init.zeros | nn.init.ones


def make(name):
    return MAKERS[name](*ARGUMENTS.get(MAKERS[name], ()))


Missing = type(vars(nn.Sequential)["eval"])  # an attribute of other libraries, which the class does not have


def names_of(each):
    """Return all public attributes that are no methods, also internal ones, and all parameters."""
    names = [name for name in object.__dir__(each) if not name.startswith("_")]
    attributes = {name for name in names if not isinstance(inspect.getattr_static(each, name), Missing)}
    methods = {name for name, _ in inspect.getmembers(type(each), inspect.isfunction)} | {"fit"}
    return sorted(
        (attributes - methods) | {p.name for p in inspect.signature(type(each)).parameters.values() if p.kind == 1}
    )


def contents(each):
    """Return everything that an object contains."""
    return repr(each), {name: value for name, value in vars(each).items() if not isinstance(value, np.ndarray)}


def test_all_classes_are_tested():
    assert {nn.Dense, nn.Dropout, nn.GELU, nn.PReLU, nn.ELU, nn.Softmax, nn.CustomActivation, nn.MSELoss} < set(CLASSES)
    assert {*optim.OPTIMIZERS.values(), *optim.SCHEDULES.values(), optim.LBFGS, optim.Newton} < set(CLASSES)
    assert {optim.EMA, optim.SWA} < set(CLASSES)
    assert {optim.Group, optim.Penalty, *nn.losses.LOSSES.values(), *nn.activations.LAYERS.values()} < set(CLASSES)


@pytest.mark.parametrize("name", MAKERS)
def test_settings_are_read_only(name):
    each = make(name)
    before = contents(each)
    assert names_of(each) or isinstance(each, NOTHING_TO_SET)
    for twin in (each, copy.copy(each), copy.deepcopy(each), pickle.loads(pickle.dumps(each))):
        for setting in names_of(each):
            for value in (0.3, None, np.ones(4)):
                with pytest.raises(AttributeError, match=rf"\.{setting} is (read-only|a view of the net's values): "):
                    setattr(twin, setting, value)
            with pytest.raises(AttributeError, match=rf"\.{setting} is (read-only|a view of the net's values): "):
                delattr(twin, setting)
        for unknown in ("trainable", "learning_rate", "requires_grad", "whatever"):
            with pytest.raises(AttributeError, match=f"^{type(each).__name__} has no setting {unknown}: i"):
                setattr(twin, unknown, False)
            with pytest.raises(AttributeError, match="has no setting"):
                delattr(twin, unknown)
        with pytest.raises(AttributeError, match="is read-only: "):
            twin.__init__(*ARGUMENTS.get(MAKERS[name], ()))
        assert contents(twin) == before


@pytest.mark.parametrize("name", [each.__name__ for each in CLASSES if not issubclass(each, Container)])
def test_signatures_name_the_settings(name):
    kinds = [p.kind for p in inspect.signature(MAKERS[name]).parameters.values()]
    assert inspect.Parameter.VAR_POSITIONAL not in kinds


@pytest.mark.parametrize(
    ("name", "setting", "value", "message"),
    [
        ("Dropout", "p", 0.3, "Dropout.p is read-only: make a new layer, nn.Dropout(0.3), and a new net"),
        ("BatchNorm", "eps", 1e-3, "make a new layer, nn.BatchNorm(..., eps=0.001), and a new net"),
        ("Dense", "max_norm", 2.0, "make a new layer, nn.Dense(..., max_norm=2.0), and a new net"),
        ("LeakyReLU", "negative_slope", 0.3, "make a new layer, nn.LeakyReLU(0.3), and a new net"),
        ("Dense", "weight", [1.0], "write layer.weight[...] = values"),
        ("BatchNorm", "running_var", [1.0], "write layer.running_var[...] = values"),
        ("Dense", "trainable", False, 'to freeze its parameters, write net.freeze("0.*")'),
        ("Dense", "units", 3, "its settings are in_features, out_features, bias, init, bias_init, max_norm"),
        ("Softmax", "dim", 1, "Softmax has no setting dim: it has no settings"),
        ("Adam", "lr", 0.1, "Adam.lr is read-only: set trainer.lr, or trainer.optimizer = optim.Adam(lr=0.1)"),
        ("Adam", "betas", (0.8, 0.9), "set trainer.optimizer = optim.Adam(betas=...)"),
        ("SGD", "learning_rate", 0.1, "the learning rate is trainer.lr"),
        ("LBFGS", "tol", 0.1, "set trainer.optimizer = optim.LBFGS(tol=0.1)"),
        ("HuberLoss", "delta", 2.0, "set trainer.loss = nn.HuberLoss(delta=2.0)"),
        ("StepLR", "gamma", 0.5, "set trainer.schedule = optim.StepLR(..., gamma=0.5)"),
        ("Penalty", "l2", 0.5, "set trainer.penalty = optim.Penalty(l2=0.5)"),
        ("EMA", "decay", 0.5, "set trainer.average = optim.EMA(0.5)"),
        ("Group", "lr_scale", 0.5, "make a new group, optim.Group(..., lr_scale=0.5), and a new optimizer"),
        ("Scaler", "scale", 2, "set net.scaler = fastnn.data.Scaler(..., scale=2)"),
        ("constant", "value", 2, "make a new initialiser"),
    ],
)
def test_messages_say_what_to_write(name, setting, value, message):
    with pytest.raises(AttributeError) as caught:
        setattr(make(name), setting, value)
    assert message in str(caught.value)


def test_layers_of_a_net_stay_as_they_are(impl, rng):
    net = nn.Sequential(
        nn.Dense(3, 4), nn.BatchNorm(4), nn.PReLU(4), nn.GELU(), nn.Dropout(0.5), nn.Dense(4, 2, bias=False), seed=0
    )
    X, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    trainer, twin = fastnn.Trainer(net), fastnn.Trainer(net.copy())
    for each in (trainer, twin):
        each.fit(X, y, epochs=1, verbose=0)
    # A layer whose widths changed would read and write past the ends of the net's arrays.
    arguments = [(300, 400), (500,), (700,), ("tanh",), (0.1,), (600, 800)]
    for layer, given in zip(net.layers, arguments, strict=True):
        for init in (type(layer).__init__, nn.Layer.__init__):
            with pytest.raises(AttributeError, match="read-only: make a new layer"):
                init(layer, *(given if init is not nn.Layer.__init__ else ()))
    with pytest.raises(AttributeError, match=r'write net\.freeze\("5\.\*"\)'):
        net.layers[5].trainable = False
    with pytest.raises(AttributeError, match=r"Dense\.bias is read-only: make a new layer, nn\.Dense\(\.\.\., bias="):
        net.layers[5].bias = np.zeros(2)
    for each in (trainer, twin):
        each.fit(X, y, epochs=1, verbose=0)
    np.testing.assert_array_equal(net.params.data, twin.net.params.data)


def test_arrays_are_written_in_place(impl):
    layer = nn.Sequential(nn.Dense(2, 1, init="ones"), nn.BatchNorm(1), seed=0)[0]
    layer.weight[...] = [[2.0], [3.0]]
    layer.weight *= 2  # sets the view to itself
    np.testing.assert_array_equal(layer.weight, [[4.0], [6.0]])
    for other in (layer.weight.copy(), layer.weight[::-1], np.zeros((2, 1)), 1.0):
        with pytest.raises(AttributeError, match=r"write layer\.weight\[\.\.\.\] = values"):
            layer.weight = other
    np.testing.assert_array_equal(layer.weight, [[4.0], [6.0]])


def test_users_layers_are_read_only_after_construction():
    class Scale(nn.Layer):
        def __init__(self, by, more=()):
            self._kept = list(more)
            super().__init__()
            self.by = by

        def emit(self, builder, x):
            return x

    class Twice(Scale):
        def __init__(self):
            super().__init__(2.0)
            self.by *= 2
            self.count = 1

    class Inherits(Twice):
        pass

    @dataclasses.dataclass(eq=False)
    class Record(nn.Layer):
        by: float = 4.0

        def emit(self, builder, x):
            return x

    kinds = (Scale, Twice, Inherits, Record)
    for layer in (Scale(4.0), Twice(), Inherits(), Record()):
        net = nn.Sequential(nn.Dense(2, 2), layer, seed=0)
        records = (layer, layer.detached()) if not isinstance(layer, Record) else ()  # a plain dataclass is as it is
        assert net[1] == layer == eval(repr(layer).rpartition(">.")[2], {kind.__name__: kind for kind in kinds})
        for each in (*records, net[1], net[1].detached(), net.copy()[1]):
            with pytest.raises(AttributeError, match=r"\.by is read-only: make a new layer"):
                each.by = 5.0
            with pytest.raises(AttributeError, match=r"no setting other: .*; names that begin with _ are free"):
                each.other = 1
            each._other = 1
            del each._other
            with pytest.raises(AttributeError, match="read-only"):
                each.__init__(*([7.0, [1]] if isinstance(each, Scale) and type(each) is Scale else []))
            assert each.by == 4.0
    assert Scale(4.0, [1, 2])._kept == [1, 2]


def test_users_schedules_are_read_only_after_construction():
    class Half(optim.Schedule):
        def __init__(self, start, every="epoch"):
            super().__init__(every=every)
            self.start = start

        def rate(self, base, t):
            return np.full_like(t, self.start)

    @dataclasses.dataclass(frozen=True)
    class Record(optim.Schedule):
        start: float

        def rate(self, base, t):
            return np.full_like(t, self.start)

    for kind in (Half, Record):
        schedule = kind(0.5, every="step")
        assert schedule == kind(0.5, every="step") != kind(0.25, every="step")
        shown = ("Half(0.5, every='step')", f"{Record.__qualname__}(every='step', start=0.5)")  # dataclass's own
        assert repr(schedule) in shown
        assert schedule(1.0, 0, [0, 1]).tolist() == [0.5, 0.5]
        for name in ("start", "every", "other"):
            with pytest.raises(AttributeError, match=name):
                setattr(schedule, name, 0.1)
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(1, 2), seed=0), optimizer=optim.SGD(1.0), schedule=Half(0.5))
    assert trainer.fit([[1.0]], [0], epochs=2, verbose=0)["lr"] == [0.5, 0.5]


# ---- kinds of settings ----


def given(name):
    """Return the values of all arguments that an object is made with, defaults included."""
    signature = inspect.signature(MAKERS[name])
    bound = signature.bind(*ARGUMENTS.get(MAKERS[name], ()))
    bound.apply_defaults()
    return bound.arguments


def settings_of(*kinds):
    """Return each class, or function, with the name of each setting of these types."""
    unchecked = ("Scaler", "Random")  # arrays; the library's own arguments
    return [
        (name, setting)
        for name in MAKERS
        if name not in unchecked
        for setting, value in given(name).items()
        if type(value) in kinds
    ]


@pytest.mark.parametrize(("name", "setting"), settings_of(bool))
def test_booleans_are_true_or_false(name, setting):
    for value in (0, 1, 0.5, "no", "", None, [True], np.array(True)):
        with pytest.raises(TypeError, match=rf"^{setting} must be True or False, got ") as caught:
            MAKERS[name](**given(name) | {setting: value})
        assert str(caught.value).endswith(f"got {value!r}")
    more = {"momentum": 0.5} if setting == "nesterov" else {}
    for value in (True, False):
        one, other = (MAKERS[name](**given(name) | more | {setting: kind(value)}) for kind in (bool, np.bool_))
        assert type(one) is type(other)


def test_every_boolean_is_tested():
    assert set(settings_of(bool)) == {
        ("Dense", "bias"), ("LayerNorm", "bias"),
        ("Group", "vectors_only"), ("SGD", "nesterov"), ("SGD", "velocity"), ("Adam", "eps_hat"),
        ("Adam", "amsgrad"), ("AdamW", "eps_hat"), ("AdamW", "amsgrad"), ("RMSprop", "centered"),
        ("OneCycleLR", "three_phase"), ("NAdam", "decoupled_weight_decay"), ("Penalty", "per_batch"),
        ("PoissonNLLLoss", "log_input"), ("PoissonNLLLoss", "full"), ("PoissonNLLLoss", "deviance"),
        ("Embedding", "sparse"), ("Embeddings", "sparse"), ("RandomFlip", "channels_last"),
        ("RandomShift", "channels_last"),
    }  # fmt: skip


MAY_BE_NONE = {"weight_decay", "max_lr", "quantiles", "T_max", "total_iters", "total_steps"}


@pytest.mark.parametrize(("name", "setting"), settings_of(int, float))
def test_booleans_and_strings_are_no_numbers(name, setting):
    for value in (True, False, np.True_, "0.5", None):
        if value is None and (setting in MAY_BE_NONE or (name, setting) == ("BatchNorm", "momentum")):
            continue  # has a meaning, or is no array
        if isinstance(value, bool | np.bool_) and setting == "quantiles":
            continue  # an array of numbers
        if isinstance(value, str) and setting == "fill":
            continue  # it may be a string, another one
        with pytest.raises(TypeError, match=rf"^{setting} must be .*, got "):
            MAKERS[name](**given(name) | {setting: value})


# ---- mutable values ----


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (optim.Adam, "betas", [0.8, 0.9]),
        (optim.AdamW, "betas", np.array([0.8, 0.9])),
        (optim.NAdam, "betas", [0.8, 0.9]),
        (optim.SGD, "groups", [optim.NO_DECAY]),
        (nn.CrossEntropyLoss, "weight", [1.0, 2.0]),
        (nn.CrossEntropyLoss, "weight", np.array([1.0, 2.0])),
        (nn.BCEWithLogitsLoss, "pos_weight", np.array([1.0, 2.0])),
        (nn.QuantileLoss, "quantiles", np.array([0.2, 0.7])),
        (nn.QuantileLoss, "quantiles", np.array(0.2)),
        (optim.MultiStepLR, "milestones", [2, 5]),
        (optim.ChainedScheduler, "schedules", [optim.StepLR(3)]),
    ],
)
def test_arguments_may_change_afterwards(kind, setting, value):
    each = kind(**{setting: value})
    same = kind(**{setting: copy.deepcopy(value)})
    before = repr(each)
    assert each == same and hash(each) == hash(same)
    if isinstance(value, np.ndarray):
        value[...] = 0.5
    else:
        value[0] = value[-1] if len(value) > 1 else value.append(value[0])
    assert isinstance(getattr(each, setting), tuple | float)
    assert repr(each) == before and each == same


@pytest.mark.parametrize("given", [np.array([1.0, 2.0]), [1.0, 2.0], np.array([1, 2], np.uint8)])
def test_a_scaler_copies_its_arrays(given):
    scaler = SCALER(given, np.array(0.5))
    for each in (scaler, copy.copy(scaler), copy.deepcopy(scaler), pickle.loads(pickle.dumps(scaler))):
        given[0] = 9
        assert isinstance(each.scale, float) and each.scale == 0.5
        np.testing.assert_array_equal(each.center, [1, 2])
        with pytest.raises(ValueError, match="read-only"):
            each.center[0] = 5
        with pytest.raises(ValueError, match="read-only"):
            each.center += 1
        assert each == scaler and hash(each) == hash(scaler)
    assert scaler != SCALER(given, 0.5) and scaler != SCALER([1.0], 0.5) and SCALER(1, 2) == SCALER(1.0, 2.0)
    fitted = SCALER.fit([[1.0, 5.0], [3.0, 5.0]])
    assert not (fitted.center.flags.writeable or fitted.scale.flags.writeable)
    with pytest.raises(TypeError, match="scale must be an array of real numbers"):
        SCALER(0, "a")


def test_what_can_be_set_cannot_be_deleted():
    net = nn.Sequential(nn.Dense(2, 3))
    for each, name in ((net, "scaler"), (net, "output_scaler"), (fastnn.Trainer(net), "lr")):
        with pytest.raises(AttributeError, match=rf"^{type(each).__name__}\.{name} cannot be deleted$"):
            delattr(each, name)
