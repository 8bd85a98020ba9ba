"""`train_on_batch`: a step of one batch, equal bit for bit to a fit of it, which leaves epoch and history alone."""

import copy
import pickle
import signal
import warnings

import loss_cases
import nets
import numpy as np
import pytest
from training_process import BACKENDS as PROCESS_BACKENDS
from training_process import in_two_threads, run
from zoo import LAYOUTS

import fastnn
from fastnn import data, nn, optim
from fastnn.training import _batch

BACKENDS = pytest.mark.parametrize("backend", ["native", "reference"])

OPTIMIZERS = {
    "sgd": optim.SGD(lr=0.1),
    "momentum": optim.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": optim.Adam(lr=0.01),
    "amsgrad": optim.Adam(lr=0.01, amsgrad=True),
    "adamw by groups": optim.AdamW(lr=0.01, groups=[optim.Group("0.*", lr_scale=0.1), optim.NO_DECAY]),
    "rmsprop": optim.RMSprop(lr=0.01),
    "adagrad": optim.Adagrad(lr=0.01),
}
SETTINGS = {
    "plain": {},
    "penalty": {"penalty": optim.Penalty(l1=1e-3, l2=1e-2)},
    "penalty by batch": {"penalty": optim.Penalty(l2=1.0, per_batch=True)},
    "clipped": {"clip_value": 0.05, "clip_norm": 0.1},
    "average": {"average": optim.EMA(0.9)},
    "schedule": {"schedule": optim.ExponentialLR(0.9, every="step")},
    "schedule by epochs": {"schedule": optim.ExponentialLR(0.9)},
}


def state_of(trainer):
    """Return all that a step changes, as a list of arrays, without what it leaves alone."""
    state = trainer.state_dict()
    average = state["average"] or {"values": {}, "count": 0}
    slots = [array for slot in state["slots"].values() for array in slot.values()]
    counts = [state[name] for name in ("step_count", "schedule_step", "training_steps", "lr")]
    values = [*trainer.net.state_dict().values(), *slots, *average["values"].values()]
    return [*values, *map(np.asarray, (*counts, average["count"]))]


def assert_same(one, other):
    for a, b in zip(state_of(one), state_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def fit_one(trainer, X, y, weight=None):
    """Fit one batch, and return its loss; the trainer's epoch stays."""
    epoch = trainer.epoch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an average of few updates
        history = trainer.fit(X, y, sample_weight=weight, batch_size=len(X), epochs=1, shuffle=False, verbose=0)
    trainer.epoch = epoch
    return history["loss"][-1]


def check(trainer, batches):
    """Compare steps with fits of the same batches."""
    twin = trainer.copy()
    for X, y, weight in batches:
        loss = trainer.train_on_batch(X, y, weight)
        assert isinstance(loss, float)
        assert loss == fit_one(twin, X, y, weight)
        assert_same(trainer, twin)
    assert (trainer.epoch, len(trainer.history)) == (0, 0)
    assert trainer.step_count == len(batches)


def batches_of(rng, X, y, weight=None):
    """Return batches of several sizes, each size twice, with and without weights."""
    sizes = [len(X), 5, 5, 2, len(X)]
    return [(X[:n], y[:n], None if weight is None or i % 2 else weight[:n]) for i, n in enumerate(sizes)]


@pytest.fixture
def general_steps(monkeypatch):
    """Return a list that has an entry for each step with checks in Python."""
    found, checked = [], _batch._checked_step

    def step(*args):
        found.append(len(args[2]))
        return checked(*args)

    monkeypatch.setattr(_batch, "_checked_step", step)
    return found


@BACKENDS
@pytest.mark.parametrize("name", loss_cases.ALL)
def test_every_loss(name, backend, dtype, rng, general_steps):
    with fastnn.backend(backend):
        loss, X, y, weight = loss_cases.problem(name)
        weight[:2] = 0.5
        net = loss_cases.net_of(dtype)
        check(fastnn.Trainer(net, loss, optim.SGD(lr=1e-3)), batches_of(rng, X.astype(dtype), y, weight))
    assert general_steps == [len(X)]  # the first one alone


SQUARES = nn.CustomLoss(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 2 * (z - t))
HEADS = {
    "classes, numbers, yes or no": [("cross_entropy", 3), ("mean_squared_error", 2, 0.5), ("binary_cross_entropy", 1)],
    "signs, counts": [("hinge", 3), ("poisson", 3)],
    "a function": [(SQUARES, 6)],
}


@BACKENDS
@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_heads(heads, backend, dtype, rng, general_steps):
    X, loss = rng.normal(size=(40, 4)).astype(dtype), nn.HeadsLoss(heads)
    columns = {"cross_entropy": rng.integers(0, 3, (40, 1)), "hinge": rng.choice([-1, 1], (40, 3))}
    columns |= {"poisson": rng.poisson(2, (40, 3)), "binary_cross_entropy": rng.random((40, 1))}
    y = np.hstack([columns.get(name, rng.normal(size=(40, width))) for name, width, *_ in heads])
    with fastnn.backend(backend):
        net = nn.Sequential(nn.Dense(4, 5), nn.Tanh(), nn.Dense(5, 6), seed=0, dtype=dtype)
        check(fastnn.Trainer(net, loss, optim.SGD(lr=1e-3)), batches_of(rng, X, y.astype(dtype), rng.random(40)))
    assert general_steps == [len(X)]


@BACKENDS
@pytest.mark.parametrize("name", nets.NETS)
def test_every_container(name, backend, rng):
    with fastnn.backend(backend):
        X, y = rng.uniform(-1, 1, (20, nets.WIDTH)), rng.integers(0, nets.OUTPUTS, 20)
        check(fastnn.Trainer(nets.net_of(name)), batches_of(rng, X, y, rng.random(20)))


@BACKENDS
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_optimizer_and_setting(optimizer, settings, backend, rng):
    layers = [nn.Dense(6, 5), nn.BatchNorm(5), nn.Tanh(), nn.Dropout(0.2), nn.Dense(5, 3, max_norm=1.5)]
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nn.Sequential(*layers, seed=1), optimizer=optimizer, **settings)
        X, y = rng.normal(size=(20, 6)).astype(np.float32), rng.integers(0, 3, 20)
        check(trainer, batches_of(rng, X, y))


def embedded(sparse):
    tables = nn.Columns([0, 1], nn.Embeddings([9, 4], [3, 2], sparse=sparse))
    joined = nn.Parallel(tables, nn.Columns([2, 3]), join="concat")
    return nn.Sequential(joined, nn.Dense(7, 5), nn.ReLU(), nn.Dense(5, 3), seed=0)


@BACKENDS
@pytest.mark.parametrize("sparse", [False, True])
def test_embeddings(sparse, backend, rng):
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(embedded(sparse))
        X = np.column_stack([rng.integers(0, 9, 20), rng.integers(0, 4, 20), rng.normal(size=(20, 2))])
        X, y = X.astype(np.float32), rng.integers(0, 3, 20)
        check(trainer, batches_of(rng, X, y))
        before = state_of(trainer)
        X[3, 1] = 4
        with pytest.raises(ValueError, match=r"x must contain whole numbers from 0 to 3 in column 1.* row 3"):
            trainer.train_on_batch(X, y)
        np.testing.assert_equal(state_of(trainer), before)


@BACKENDS
@pytest.mark.parametrize("loss", ["mean_squared_error", "huber"])
def test_scalers_and_a_change_of_them(loss, backend, rng):
    with fastnn.backend(backend):
        X, y = rng.normal(3, 5, (20, 4)), rng.normal(100, 9, (20, 2))
        net = nn.Sequential(nn.Dense(4, 5), nn.Tanh(), nn.Dense(5, 2), seed=0)
        net.scaler, net.output_scaler = data.Scaler.fit(X), data.Scaler.fit(y)
        trainer = fastnn.Trainer(net, loss)
        twin = trainer.copy()
        for i in range(6):
            if i == 3:
                for each in (net, twin.net):
                    each.scaler, each.output_scaler = data.RobustScaler.fit(X), data.Scaler.fit(2 * y)
            assert trainer.train_on_batch(X, y) == fit_one(twin, X, y)
            assert_same(trainer, twin)


@BACKENDS
def test_changes_of_settings_between_the_steps(backend, rng):
    """Whatever is set applies from the next step, as in fits."""
    X, y = rng.normal(size=(12, 6)).astype(np.float32), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of("batch norm", "float32"), average="ema")
        twin = trainer.copy()
        changes = (
            lambda t: setattr(t, "lr", 0.05), lambda t: setattr(t, "clip_norm", 0.1),
            lambda t: setattr(t, "loss", nn.CrossEntropyLoss(label_smoothing=0.1)),
            lambda t: setattr(t, "loss", nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])),
            lambda t: t.net.freeze("0.*"), lambda t: t.net.unfreeze("0.*"),
            lambda t: setattr(t, "optimizer", optim.RMSprop()), lambda t: setattr(t, "average", None),
            lambda t: setattr(t, "schedule", optim.StepLR(2, 0.5, every="step")),
            lambda t: setattr(t, "step_count", 100), lambda t: t.reset_optimizer(),
            lambda t: t.load_state_dict(copy.deepcopy(t.state_dict())),
        )  # fmt: skip
        for change in changes:
            for each in (trainer, twin):
                change(each)
            for _ in range(2):
                assert trainer.train_on_batch(X, y) == fit_one(twin, X, y)
                assert_same(trainer, twin)


@BACKENDS
def test_kinds_of_arrays(backend, rng):
    """Arrays that are read in place and others give the same step."""
    X, y = rng.integers(0, 200, (12, 6)).astype(np.float32), rng.integers(0, 3, 12)
    weight = rng.random(12).astype(np.float32).astype(float)
    with fastnn.backend(backend):
        start = fastnn.Trainer(nets.net_of("concat", "float32"))
        start.train_on_batch(X, y, weight)
        wanted = start.copy()
        loss = wanted.train_on_batch(X, y, weight)
        xs = [X.astype(kind) for kind in (np.float64, np.uint8, np.int16)] + [each(X) for each in LAYOUTS.values()]
        ys = [y.astype(kind) for kind in (np.int32, np.uint8, np.longlong, np.int16)]
        ys += [each(y) for each in LAYOUTS.values()]
        weights = [weight.tolist(), LAYOUTS["strided"](weight), LAYOUTS["byte_swapped"](weight)]
        weights += [weight.astype(np.float32), LAYOUTS["strided"](weight.astype(np.float32))]
        calls = [(each, y, weight) for each in (*xs, X.tolist(), X.view(np.matrix))]
        calls += [(X, each, weight) for each in (*ys, y.tolist())] + [(X, y, each) for each in weights]
        for call in calls:
            trainer = start.copy()
            for _ in range(2):  # the second call has what the first one has made
                again = trainer.copy()
                assert trainer.train_on_batch(*call) == again.train_on_batch(X, y, weight)
            trainer = start.copy()
            assert trainer.train_on_batch(*call) == loss
            assert_same(trainer, wanted)


@BACKENDS
def test_truth_values_are_labels(backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.random(12) > 0.5
    with fastnn.backend(backend):
        check(fastnn.Trainer(nets.net_of("add")), [(X, y, None), (X, y, None), (X, ~y, None)])


@BACKENDS
def test_targets_of_one_column_may_be_a_vector(backend, rng):
    X, y = rng.normal(size=(12, 4)), rng.normal(size=12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 1), seed=0), "mean_squared_error")
        check(trainer, [(X, y, None), (X, y[:, np.newaxis], None), (X, y.astype(np.float32), None)])


@BACKENDS
def test_labels_and_rows_in_turns(backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        check(fastnn.Trainer(nets.net_of("add")), [(X, y, None), (X, np.eye(3)[y], None), (X, y, None)])


# Arrays that are refused, with the message; the trainer has a cross entropy of three classes and a batch norm.
def broken(array, index, value):
    array = array.copy()
    array[index] = value
    return array


REFUSED = {
    "width": (lambda X, y: (X[:, 1:], y), ValueError, r"x must have shape \(n, 6\), got"),
    "one row": (lambda X, y: (X[:1], y[:1]), ValueError, "x must have at least 2 rows for batch norm"),
    "no row": (lambda X, y: (X[:0], y[:0]), ValueError, "x must have at least 1 row"),
    "nan": (lambda X, y: (broken(X, (3, 2), np.nan), y), ValueError, "x must contain finite .* nan in row 3, column 2"),
    "inf": (lambda X, y: (broken(X, (3, 2), np.inf), y), ValueError, "x must contain finite numbers, got inf in row 3"),
    "label above": (lambda X, y: (X, broken(y, 4, 3)), ValueError, "y must contain integers from 0 to 2, got 3"),
    "label below": (lambda X, y: (X, broken(y, 4, -1)), ValueError, "y must contain integers from 0 to 2, got -1"),
    "float labels": (lambda X, y: (X, y.astype(float)), TypeError, "y must contain integers, got dtype float64"),
    "lengths": (lambda X, y: (X, y[1:]), ValueError, "y must have 12 rows, as many as x, got 11"),
    "text": (lambda X, y: (X.astype(str), y), TypeError, "x must"),
    "weights below 0": (lambda X, y: (X, y, broken(np.ones(12), 1, -1)), ValueError, "sample_weight must contain fin"),
    "weights nan": (lambda X, y: (X, y, broken(np.ones(12), 1, np.nan)), ValueError, "sample_weight must contain fin"),
    "weights of 0": (lambda X, y: (X, y, np.zeros(12)), ValueError, "sample_weight must contain at least one weight"),
    "weights too few": (lambda X, y: (X, y, np.ones(11)), ValueError, r"sample_weight must have shape \(12,\)"),
}


@BACKENDS
@pytest.mark.parametrize("made", [False, True], ids=["first", "later"])
@pytest.mark.parametrize(("change", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_refused_arrays_change_nothing(change, error, match, made, backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of("batch norm"))
        if made:
            trainer.train_on_batch(X, y)
        before = state_of(trainer)
        with pytest.raises(error, match=match):
            trainer.train_on_batch(*change(X, y))
        np.testing.assert_equal(state_of(trainer), before)
        assert not trainer.net.training_claim.taken
        trainer.train_on_batch(X, y)


TARGETS = {  # losses, rows that they take, a number in place of [2, 1], and why that is refused
    "yes or no": ("binary_cross_entropy", [1, 1, 1], 1.5, r"y must contain numbers from 0 to 1"),
    "counts": ("poisson", [1, 1, 1], -1.0, r"y must contain finite numbers of at least 0"),
    "signs": ("hinge", [1, 1, 1], 0.5, r"y must contain only -1 and 1"),
    "numbers": ("mean_squared_error", [1, 1, 1], np.nan, r"y must contain finite numbers"),
    "shares": ("cross_entropy", [0, 1, 0], 0.5, r"y must contain rows of probabilities, .* got a sum of 0.5 in row 2"),
    "a head": (
        nn.HeadsLoss([("mean_squared_error", 1), ("cross_entropy", 2)]),
        [0.5, 1],
        1.5,
        r"y\[:, 1\] \(heads\[1\]\) must contain integers from 0 to 1, got 1.5 in row 2",
    ),
}


@BACKENDS
@pytest.mark.parametrize(("loss", "row", "value", "match"), TARGETS.values(), ids=TARGETS)
def test_refused_targets(loss, row, value, match, backend, rng):
    X, y = rng.normal(size=(12, 6)), np.tile(np.array(row, float), (12, 1))
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of("add"), loss)
        trainer.train_on_batch(X, y)
        with pytest.raises(ValueError, match=match):
            trainer.train_on_batch(X, broken(y, (2, 1), value))
        assert trainer.step_count == 1


@BACKENDS
def test_labels_of_classes_without_weight_are_refused(backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of("add"), nn.CrossEntropyLoss(weight=[1, 1, 0]))
        trainer.train_on_batch(X, y)
        with pytest.raises(ValueError, match="y must contain a row of a class whose weight is above 0, got none"):
            trainer.train_on_batch(X, np.full(12, 2))
        assert trainer.step_count == 1


@BACKENDS
def test_weights_below_0(backend, rng, general_steps):
    X, y, weight = rng.normal(size=(12, 4)), rng.normal(size=(12, 6)), rng.normal(size=12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(loss_cases.net_of(), SQUARES, optim.SGD(lr=1e-3))
        check(trainer, [(X, y, weight), (X, y, weight), (X, y, weight.astype(np.float32)), (X, y, -abs(weight))])
    assert len(general_steps) == 1


SETTINGS_REFUSED = {
    "accumulate": (lambda t: setattr(t, "accumulate", 2), ValueError, "accumulate must be 1 for train_on_batch, got 2"),
    "swa": (
        lambda t: setattr(t, "average", optim.SWA(start=1)),
        ValueError,
        "average must be an EMA for train_on_batch",
    ),
    "full batch": (lambda t: setattr(t, "optimizer", optim.LBFGS()), TypeError, "optimizer must step batch by batch"),
    "schedule": (lambda t: setattr(t, "schedule", "cosine"), ValueError, "schedule must have a length for single"),
    "frozen": (lambda t: t.net.freeze("*"), ValueError, "frozen"),
}


@BACKENDS
@pytest.mark.parametrize(("change", "error", "match"), SETTINGS_REFUSED.values(), ids=SETTINGS_REFUSED)
def test_refused_settings(change, error, match, backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of("add"))
        trainer.train_on_batch(X, y)
        change(trainer)
        with pytest.raises(error, match=match):
            trainer.train_on_batch(X, y)
        assert trainer.net.training_steps == 1


@BACKENDS
def test_an_output_scaler_and_a_loss_of_classes(backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of("add"))
        trainer.train_on_batch(X, y)
        trainer.net.output_scaler = data.Scaler.fit(rng.normal(size=(12, 3)))
        with pytest.raises(ValueError, match="loss must be a loss of outputs in the targets' unit"):
            trainer.train_on_batch(X, y)


@BACKENDS
@pytest.mark.parametrize("name", ["batch norm", "dropout", "layer norm"])
@pytest.mark.parametrize("average", [None, "ema"])
def test_a_loss_that_is_not_finite_changes_nothing(name, average, backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of(name), average=average)
        for _ in range(2):
            trainer.train_on_batch(X, y)
        weight = trainer.net.parameters()[list(trainer.net.parameters())[-2]]
        kept = weight[0, 0]
        weight[0, 0] = np.inf
        before, history = state_of(trainer), trainer.history.epochs[:]
        for _ in range(2):
            with pytest.raises(
                fastnn.TrainingDiverged, match=r"were NaN or infinite before the call.*load ear"
            ) as caught:
                trainer.train_on_batch(X, y)
            np.testing.assert_equal(state_of(trainer), before)
        error = pickle.loads(pickle.dumps(caught.value))
        assert (error.step, error.unchanged, error.was_finite) == (3, True, False)
        assert error.layer == caught.value.layer and "Dense" in error.layer
        assert trainer.history.epochs == history
        weight[0, 0] = kept
        trainer.train_on_batch(X, y)
        assert trainer.step_count == 3


@BACKENDS
def test_rows_with_which_an_output_overflows_change_nothing(backend):
    with fastnn.backend(backend), np.errstate(over="ignore"):
        net = nn.Sequential(nn.Dense(1, 1, init="ones"), nn.Dense(1, 1, init="ones"), seed=0)
        net.layers[1].weight[...] = 10
        trainer = fastnn.Trainer(net, "mean_squared_error")
        before = state_of(trainer)
        with pytest.raises(fastnn.TrainingDiverged, match="are as before the call") as caught:
            trainer.train_on_batch([[3e38]], [[0.0]])
        assert caught.value.unchanged and caught.value.was_finite
        np.testing.assert_equal(state_of(trainer), before)


@BACKENDS
def test_an_error_of_a_custom_loss_changes_nothing(backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.normal(size=(12, 3))
    failing = []

    def value(z, t):
        if failing:
            raise LookupError("broken")
        return ((z - t) ** 2).sum(axis=1)

    with fastnn.backend(backend):
        loss = nn.CustomLoss(value, lambda z, t: 2 * (z - t))
        trainer = fastnn.Trainer(nets.net_of("batch norm"), loss)
        trainer.train_on_batch(X, y)
        before = state_of(trainer)
        failing.append(True)
        with pytest.raises(LookupError, match="broken"):
            trainer.train_on_batch(X, y)
        np.testing.assert_equal(state_of(trainer), before)
        failing.clear()
        trainer.train_on_batch(X, y)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_step_whose_mean_loss_overflows_is_made_once(backend):
    """Each loss is finite, but their sum, or that of the weighted losses, is not: the step is made, as in a fit."""
    x, weights = np.ones((8, 3)), np.full(8, 1e306)
    with fastnn.backend(backend):
        for y, weight in ((np.full((8, 1), 1e154), None), (np.full((8, 1), 1e3), weights)):
            trainers = [
                fastnn.Trainer(
                    nn.Sequential(nn.Dense(3, 1), dtype="float64", seed=0), "mean_squared_error", optim.SGD(lr=1e-9)
                )
                for _ in range(2)
            ]
            for step in range(1, 4):
                trainers[0].train_on_batch(x, y, weight)
                trainers[1].fit(x, y, sample_weight=weight, epochs=1, batch_size=8, shuffle=False, verbose=0)
                assert [each.step_count for each in trainers] == [step, step]
            np.testing.assert_array_equal(*(each.net.params.data for each in trainers))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("fits", [False, True])
def test_an_error_of_a_function_does_not_outlive_its_step(backend, fits):
    """A signal's exception comes in its place; the next step must not raise it."""
    failing = [False]

    def loss(z, t):
        if failing[0]:
            signal.raise_signal(signal.SIGINT)
            raise ValueError("from the loss")
        return np.square(z - t).mean(axis=1)

    x, y = np.ones((8, 3)), np.ones((8, 1))
    with fastnn.backend(backend):
        custom = nn.CustomLoss(loss, lambda z, t: 2 * (z - t))
        trainer = fastnn.Trainer(nn.Sequential(nn.Dense(3, 1), seed=0), custom)
        step = (lambda: trainer.fit(x, y, epochs=1, verbose=0)) if fits else lambda: trainer.train_on_batch(x, y)
        for failing[0] in (False, True, False, False):
            if failing[0]:
                with pytest.raises((KeyboardInterrupt, ValueError)):
                    step()
            else:
                step()
    assert trainer.step_count == 3


@BACKENDS
def test_a_warning_of_the_last_layer_comes_once(backend, rng):
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nn.Sequential(nn.Dense(6, 3), nn.Softmax()))
        with pytest.warns(UserWarning, match="ends in Softmax"):
            trainer.train_on_batch(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trainer.train_on_batch(X, y)


class Steps(fastnn.Callback):
    """Makes a step of its own after each step of a fit."""

    def __init__(self, X, y):
        self.batch, self.losses = (X, y), []

    def on_batch_end(self, trainer, logs):
        self.losses.append(trainer.train_on_batch(*self.batch))


@BACKENDS
def test_in_a_callback(backend, rng):
    """A fit whose callback makes steps is one of all these batches in turns."""
    X, y = rng.normal(size=(12, 6)), rng.integers(0, 3, 12)
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(nets.net_of("dropout"))
        twin, steps = trainer.copy(), Steps(X[:4], y[:4])
        trainer.fit(X, y, batch_size=6, epochs=2, shuffle=False, callbacks=[steps], verbose=0)
        losses = []
        for start in (0, 6, 0, 6):
            twin.train_on_batch(X[start : start + 6], y[start : start + 6])
            losses.append(twin.train_on_batch(X[:4], y[:4]))
        assert steps.losses == losses
        assert_same(trainer, twin)


def test_two_threads_on_one_net(rng):
    X, y = rng.normal(size=(4000, 6)), rng.integers(0, 3, 4000)
    trainer = fastnn.Trainer(nets.net_of("add"))
    trainer.train_on_batch(X, y)
    done = in_two_threads([lambda _: trainer.train_on_batch(X, y)] * 2)
    assert trainer.step_count == trainer.net.training_steps == 1 + done


@PROCESS_BACKENDS
@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')", reason="needs POSIX signals")
def test_handlers_in_the_middle(backend):
    """A handler predicts and sees whole steps; it may not train; an exception that it raises loses no count."""
    run(
        """
        trainer = fastnn.Trainer(net_of(), average="ema")
        X, y = X[:256], y[:256]
        trainer.train_on_batch(X, y)
        trainer.net.predict(X[:3])
        def check_counts():
            state = trainer.state_dict()
            assert state["step_count"] == state["training_steps"] == state["average"]["count"]
        def handle():
            check_counts()
            assert np.isfinite(trainer.net.predict(X[:3])).all()
            try:
                trainer.train_on_batch(X, y)
            except RuntimeError:
                pass
        run_under_signals(lambda: trainer.train_on_batch(X, y), handle, LookupError, 5)
        check_counts()
        assert not trainer.net.training_claim.taken and trainer.net.lock.holders == set()
        trainer.train_on_batch(X, y)
        """,
        backend,
    )


@pytest.mark.parametrize("which", ["x", "y", "weight", "labels"])
@pytest.mark.parametrize("is_view", [False, True])
def test_no_array_moves_while_it_is_read(which, is_view):
    """Another thread that runs while large arrays are checked, or during the step, cannot free their memory."""
    loss, y = ("cross_entropy", "y % 4") if which == "labels" else ("mean_squared_error", "rng.random((n, 4))")
    run(
        f"""
        fastnn.set_num_threads(1)
        n, which, is_view = len(X), "{which}", {is_view}
        trainer = fastnn.Trainer(nn.Sequential(nn.Dense(20, 4), seed=0), "{loss}")
        arrays = {{"x": X.copy(), "y": {y}, "weight": rng.random(n)}}
        trainer.train_on_batch(*arrays.values())
        owner = arrays["y" if which == "labels" else which]
        call = [array[:] if is_view else array for array in arrays.values()]
        del arrays
        outcomes, turn, calls = [], threading.Lock(), 0
        def resize():
            for _ in range(20):
                turn.acquire()
                try:
                    owner.resize(3, refcheck=False)
                    outcomes.append("resized")
                except ValueError as error:
                    outcomes.append(str(error))
        sys.setswitchinterval(100)  # the thread goes on only where a call lets it
        turn.acquire()
        thread = threading.Thread(target=resize, daemon=True)
        thread.start()
        for tries in range(20):
            turn.release()
            while len(outcomes) == tries and calls < 500:
                assert np.isfinite(trainer.train_on_batch(*call))
                calls += 1
        assert len(outcomes) == 20 and all("cannot resize" in each for each in outcomes), (outcomes, calls)
        thread.join()
        assert trainer.step_count == 1 + calls
        if not is_view:
            del call
            owner.resize(3, refcheck=False)  # allowed again
        """,
        "native",
    )
