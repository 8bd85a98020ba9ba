"""Records: every class is shown, compared, hashed, copied, pickled and saved by the arguments of its constructor."""

import copy
import inspect
import json
import math
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import _records, data, nn, optim

KINDS = {name: kind for name, kind in _records.kinds().items() if kind is not nn.Sequential}


def half(x, y=None):
    return 0.5 * x


def third(x, y=None):
    return x / 3


def half_normal(shape, random):
    return 0.5 * random.normal(math.prod(shape)).reshape(shape)


FUNCTIONS = {f"{each.__module__}:{each.__qualname__}": each for each in (half, third)}
STEP = optim.StepLR(3)
STEPS = [STEP, optim.StepLR(4)]

# Arguments of the classes that cannot be made without.
NEEDED = {
    nn.Dense: {"in_features": 3, "out_features": 4},
    nn.BatchNorm: {"features": 4},
    nn.Columns: {"columns": [2, 0], "layers": [nn.Dense(2, 3)], "in_features": 4},
    nn.Embedding: {"num_embeddings": 5, "dim": 3},
    nn.Embeddings: {"cardinalities": [5, 3], "dims": [2, 1]},
    nn.LayerNorm: {"features": 4},
    nn.Periodic: {"features": 3},
    nn.PiecewiseLinear: {"bins": [[0, 1, 2.5], np.array([-1.0, 1.0])]},
    nn.ScaleColumns: {"features": 4},
    nn.RMSNorm: {"features": 4},
    nn.CustomActivation: {"forward": half, "backward": half},
    nn.Parallel: {"branches": [nn.Dense(3, 4), nn.Sequential(nn.Dense(3, 4), "relu")]},
    nn.Residual: {"layers": [nn.Dense(3, 3), "relu"]},
    nn.CustomLoss: {"value": half, "gradient": half},
    nn.HeadsLoss: {"heads": [("cross_entropy", 3), (nn.HuberLoss(0.5), np.int64(2), 0.5)]},
    nn.init.constant: {"value": 0.5},
    nn.init.Random: {"seed": 0, "stream": 1, "step": 2},
    optim.Group: {"pattern": "0.*"},
    optim.StepLR: {"step_size": 3},
    optim.MultiStepLR: {"milestones": [2, 5]},
    optim.ExponentialLR: {"gamma": 0.9},
    optim.InverseTimeLR: {"decay": 0.5},
    optim.CosineAnnealingLR: {"T_max": 7},
    optim.CosineAnnealingWarmRestarts: {"T_0": 7},
    optim.OneCycleLR: {"total_steps": 10},
    optim.LambdaLR: {"factor": half},
    optim.WarmupLR: {"after": STEP},
    optim.SequentialLR: {"schedules": STEPS, "milestones": [5]},
    optim.SWA: {"start": 3},
    optim.ChainedScheduler: {"schedules": [STEP]},
    data.Scaler: {"center": np.array([1.0, math.nan]), "scale": 0.5},
    data.RobustScaler: {"center": [1.0, 2.0], "scale": 0.5},
    data.QuantileScaler: {"quantiles": np.array([[1.0, math.nan], [2.0, math.nan]])},
    data.RandomFlip: {"shape": [3, np.int64(4)]},
    data.RandomShift: {"shape": (3, 4)},
}

# Other values of settings: of any class, and of some. A dict has settings that need each other.
ADAM = {"betas": [0.8, np.float32(0.9)], "groups": [optim.NO_DECAY, optim.Group("1.*")]}
OTHER = {
    "columns": "sum", "gradient_columns": "mean", "every": "step", "groups": [optim.NO_DECAY],
    "mode": "fan_out", "nonlinearity": "tanh", "schedules": STEPS[::-1], "milestones": [7],
}  # fmt: skip
OTHERS = {
    nn.Dense: {
        "init": "orthogonal", "bias_init": nn.init.constant(0.1), "max_norm": 2, "in_features": np.int64(7),
    },
    nn.Columns: {"columns": range(1, 3), "layers": [nn.Sequential(nn.Dense(2, 3))], "in_features": None},
    nn.Parallel: {"branches": [nn.ReLU(), nn.Residual("tanh")], "join": "mean"},
    nn.Residual: {"layers": [nn.Parallel("tanh", nn.Columns([0], in_features=1), join="add")]},
    nn.Embedding: {"padding_idx": 2, "unknown": "own", "sparse": True, "init": "zeros"},
    nn.Embeddings: {"unknown": "own", "sparse": True, "init": "zeros", "dims": [4, 4], "cardinalities": (9, 8)},
    nn.BatchNorm: {"momentum": None},
    nn.RMSNorm: {"eps": 1e-3},
    nn.Periodic: {"dim": 4, "activation": {"activation": "silu", "dim": 2}, "init": {"init": "zeros", "dim": 2}},
    nn.PiecewiseLinear: {
        "dim": np.int64(4), "activation": {"activation": "swish", "dim": 2}, "bins": ((0.0, 1.0, 3.0), (-1.0, 1.0)),
        "init": {"init": nn.init.constant(0.5), "dim": 2},
    },
    nn.GELU: {"approximate": "tanh"},
    nn.CustomActivation: {"forward": third, "backward": third},
    nn.CustomLoss: {"value": third, "gradient": third, "target": "labels", "target_columns": 3},
    nn.HeadsLoss: {"heads": (["cross_entropy", 3], (nn.CustomLoss(half, third), 2, 0.5))},
    nn.CrossEntropyLoss: {"weight": np.array([1.0, 2.0], np.float32)},
    nn.BCEWithLogitsLoss: {"pos_weight": [1.0, 2.0]},
    nn.QuantileLoss: {"quantiles": [0.25, 0.75]},
    nn.PoissonNLLLoss: {"full": True, "deviance": True},
    nn.init.variance_scaling: {"distribution": "uniform"},
    nn.init.kaiming_normal: {"nonlinearity": "relu"},
    optim.Group: {"pattern": "*.bias", "weight_decay": 0.1},
    optim.SGD: {"nesterov": {"nesterov": True, "momentum": 0.5}},
    optim.Adam: ADAM, optim.AdamW: ADAM, optim.NAdam: ADAM,
    optim.OneCycleLR: {"max_lr": 0.5, "anneal_strategy": "linear", "every": "epoch"},
    optim.LambdaLR: {"factor": third},
    optim.WarmupLR: {"after": optim.LambdaLR(third, every="step")},
    optim.SequentialLR: {"milestones": [6]},
    optim.MultiStepLR: {"milestones": (2, 6)},
    data.Scaler: {"center": [-math.inf, 2], "fill": [math.nan, 1.0]},
    data.RandomFlip: {"shape": (2, 3, 4), "axis": "vertical"},
    data.RandomShift: {"shape": (3, 4, 5), "pixels": [2, 1], "fill": "edge"},
    data.RobustScaler: {"center": 0, "scale": [1, 2], "limit": [math.inf, 1], "fill": 2.0},
    data.QuantileScaler: {"quantiles": [[1, 2], [2, 2]], "fill": [1.0, 2.0]},
}  # fmt: skip

# Values of these kinds are made from the default.
MADE = {bool: lambda value: not value, int: lambda value: value + 1, float: lambda value: 0.75 * value + 0.03}


def changed(kind):
    """Yield arguments that differ from those needed in each setting in turn."""
    needed = NEEDED.get(kind, {})
    given = OTHER | OTHERS.get(kind, {})
    for name, parameter in inspect.signature(kind).parameters.items():
        default = needed.get(name, parameter.default)
        value = given[name] if name in given else MADE[type(default)](default)
        yield needed | (value if isinstance(value, dict) else {name: value})


NAMESPACES = {"nn": vars(nn), "optim": vars(optim), "data": vars(data)}


def evaluated(record, name):
    return eval(repr(record), {**NAMESPACES[name.partition(".")[0]], "half": half, "third": third})


@pytest.mark.parametrize("name", KINDS)
def test_records_are_their_settings(name):
    kind = KINDS[name]
    records = [_records.make(kind, arguments) for arguments in (NEEDED.get(kind, {}), *changed(kind))]
    for index, record in enumerate(records):
        text = json.dumps(record.config(), allow_nan=False)
        assert json.loads(text)["kind"] == name
        twins = (
            fastnn.from_config(json.loads(text), FUNCTIONS), fastnn.from_config(record.config(), FUNCTIONS),
            evaluated(record, name), pickle.loads(pickle.dumps(record)), pickle.loads(pickle.dumps(record, 2)),
            copy.copy(record), copy.deepcopy(record),
        )  # fmt: skip
        for twin in twins:
            assert type(twin) is kind and twin == record and hash(twin) == hash(record)
            assert repr(twin) == repr(record) and twin.config() == record.config()
        assert [other == record for other in records] == [i == index for i in range(len(records))]
    assert len({*records}) == len(records)
    assert list(records[0].config()) == ["kind", *inspect.signature(kind).parameters]


def test_every_class_is_in_the_list():
    bases = (
        nn.Layer, nn.Activation, nn.Loss, optim.Optimizer, optim.FullBatch, optim.Schedule, optim.Average,
        data.Augmentation,
    )  # fmt: skip
    public = [getattr(module, name) for module in (nn, nn.init, optim, data) for name in module.__all__]
    records = {each for each in public if inspect.isclass(each) and hasattr(each, "config")}
    assert set(KINDS.values()) | {nn.Sequential} == records - {*bases}
    assert {"nn.Dense", "nn.ReLU", "optim.Adam", "nn.init.constant", "data.Scaler", "nn.MSELoss"} < set(KINDS)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (nn.Dense(3, 2), "Dense(3, 2)"),
        (nn.Dense(3, 2, True, "orthogonal"), "Dense(3, 2, init='orthogonal')"),
        (nn.Dense(3, 2, init=nn.init.orthogonal(2)), "Dense(3, 2, init=init.orthogonal(gain=2.0))"),
        (nn.Dense(3, 2, bias_init=nn.init.constant(0.1)), "Dense(3, 2, bias_init=init.constant(0.1))"),
        (nn.Dense(3, 2, init=half), "Dense(3, 2, init=half)"),
        (nn.BatchNorm(4), "BatchNorm(4)"),
        (nn.Residual(nn.Dense(3, 3), "relu"), "Residual(Dense(3, 3), ReLU())"),
        (nn.Parallel(nn.Sequential("tanh")), "Parallel(Sequential(Tanh()))"),
        (nn.Parallel("tanh", join="add"), "Parallel(Tanh(), join='add')"),
        (nn.Columns(slice(1, 3), nn.Dense(2, 1)), "Columns((1, 2), Dense(2, 1))"),
        (nn.Columns(range(2, 60, 3), "relu"), "Columns(range(2, 60, 3), ReLU())"),
        (nn.Columns([3, 2, 1, 0]), "Columns(range(3, -1, -1))"),
        (nn.Columns([0, 1, 2, 4]), "Columns((0, 1, 2, 4))"),
        (nn.Columns([0], in_features=3), "Columns((0,), in_features=3)"),
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.CrossEntropyLoss(weight=np.array([1, 2])), "CrossEntropyLoss(weight=(1, 2))"),
        (nn.init.zeros(), "init.zeros()"),
        (optim.Adam(np.float32(0.5)), "Adam(lr=0.5)"),
        (optim.WarmupLR(STEP), "WarmupLR(StepLR(3))"),
        (data.Scaler(0, [math.nan, 1]), "Scaler(0, (float('nan'), 1.0))"),
        (data.Scaler(np.zeros(1001), 1), "Scaler((0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0), 1)"),
    ],
    ids=str,
)
def test_repr(record, text):
    assert repr(record) == text


def test_arguments_may_be_given_in_any_form():
    assert nn.Dense(3, 2, init="orthogonal") == nn.Dense(np.int8(3), 2, np.True_, nn.init.orthogonal())
    assert nn.Dense(3, 2) != (3, 2) and nn.ReLU() != nn.Tanh() and nn.init.zeros() != nn.init.constant(0.0)
    assert data.Scaler([1, 2], 1) == data.Scaler(np.array([1.0, 2.0]), np.float32(1))


# ---- configs ----


def test_a_config_has_plain_values():
    scaler = data.Scaler([1.0, math.nan], -math.inf)
    assert scaler.config() == {
        "kind": "data.Scaler",
        "center": [1.0, {"kind": "float", "value": "nan"}],
        "scale": {"kind": "float", "value": "-inf"},
        "fill": None,
    }
    assert optim.WarmupLR(optim.LambdaLR(half)).config()["after"] == {
        "kind": "optim.LambdaLR",
        "factor": {"kind": "function", "name": f"{__name__}:half"},
        "every": "epoch",
    }


class Scale(nn.Layer):
    """A user's layer."""

    def __init__(self, by):
        super().__init__()
        self._by = by

    def emit(self, builder, x):
        return x


class Named:
    """Something to call that has no name."""

    def __call__(self, shape, random):
        return np.zeros(shape)


def lambdas():
    return [lambda x, y=None: x for _ in range(2)]


@pytest.mark.parametrize(
    ("error", "record", "message"),
    [
        (TypeError, lambda: Scale(2), "Scale must be of a class of fastnn, .*, got the class Scale: pickle it"),
        (
            TypeError,
            lambda: nn.Sequential(nn.Dense(1, 1), Scale(2)),
            r"Sequential.layers\[1\] must be of a class of fastnn",
        ),
        (
            TypeError,
            lambda: nn.Dense(1, 1, init=Named()),
            "Dense.init must be a plain value, a record of fastnn or a f",
        ),
        (ValueError, lambda: nn.CustomLoss(*lambdas()), "CustomLoss.gradient must have another name than the other"),
    ],
)
def test_what_has_no_config(error, record, message):
    with pytest.raises(error, match=f"^{message}"):
        record().config()


DENSE = nn.Dense(1, 2).config()
NET = nn.Sequential(nn.Dense(1, 2, init=half_normal), nn.ReLU(), seed=0).config()


@pytest.mark.parametrize(
    ("error", "config", "message"),
    [
        (TypeError, 3, "config must be a dict, as config.. returns it, got int"),
        (ValueError, {}, "config.kind must be one of fastnn's, such as .*, got None"),
        (ValueError, {"kind": "os.system"}, "config.kind must be one of .*, got 'os.system'"),
        (ValueError, {"kind": "nn.Layer"}, "config.kind must be one of .*, got 'nn.Layer'"),
        (ValueError, {"kind": "optim.Schedule"}, "config.kind must be one of .*, got 'optim.Schedule'"),
        (ValueError, {"kind": ["nn.Dense"]}, "config.kind must be one of .*, got ."),
        (ValueError, {"kind": "nn.Dropout"}, "config must have the keys kind, p and no others, got no 'p'"),
        (ValueError, {"kind": "nn.Dropout", "p": 0.5, "q": 1}, "config must have .*, got an unknown 'q'"),
        (ValueError, {"kind": "nn.Dropout", "p": 2.0}, r"p must be a number in \[0, 1\], got 2.0"),
        (TypeError, DENSE | {"in_features": [1]}, "in_features must be an integer"),
        (TypeError, DENSE | {"init": {1, 2}}, "config.init must be a plain value, a list or a config, got set"),
        (ValueError, DENSE | {"init": {"kind": "nn.init.no"}}, "config.init.kind must be one of .*, got 'nn.init.no'"),
        (
            ValueError,
            DENSE | {"init": {"kind": "float", "value": "1"}},
            "config.init.value must be one of nan, inf, -inf, got '1'",
        ),
        (ValueError, DENSE | {"init": {"kind": "float"}}, "config.init must have the keys kind, value and no others"),
        (
            ValueError,
            NET,
            r"config.layers\[0\].init must name a function that is given in functions, got '[\w.]+:half_normal': w",
        ),
        (TypeError, NET | {"layers": 3}, "config.layers must be a list, got int"),
        (TypeError, NET | {"layers": [3]}, r"layers\[0\] must be a layer, got int"),
        (ValueError, NET | {"layers": []}, "layers must be at least one layer"),
        (TypeError, NET | {"layers": [DENSE], "seed": "x"}, "seed must be an integer"),
    ],
)
def test_damaged_configs_are_refused(error, config, message):
    with pytest.raises(error, match=f"^{message}"):
        fastnn.from_config(config)


def test_a_message_of_a_constructor_names_the_part():
    with pytest.raises(ValueError, match="in_features") as caught:
        fastnn.from_config(NET | {"layers": [DENSE, DENSE | {"in_features": 0}]})
    assert caught.value.__notes__ == ["in config.layers[1]"]
    for functions, error in (
        (3, "functions must be a mapping"),
        ({f"{__name__}:half_normal": 3}, "must be a function, got"),
    ):
        with pytest.raises(TypeError, match=error):
            fastnn.from_config(NET, functions)


def test_a_net_of_a_config_has_new_values(impl):
    net = nn.Sequential(nn.Dense(3, 4, init=half_normal), nn.BatchNorm(4), nn.ReLU(), dtype="float64", seed=7)
    net[0].bias[...] = 5
    twin = fastnn.from_config(json.loads(json.dumps(net.config())), {f"{__name__}:half_normal": half_normal})
    assert repr(twin) == repr(net) and twin.config() == net.config() and twin != net and twin.layers == net.layers
    np.testing.assert_array_equal(twin[0].weight, net[0].weight)
    assert not twin[0].bias.any()
