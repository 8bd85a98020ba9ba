"""Whatever is wrong with net, settings or data: `diagnose` gives a report, and changes nothing else."""

import itertools
import math
import pickle
import re
import threading
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import Trainer, data, nn, optim
from fastnn.diagnosis import KINDS
from fastnn.diagnosis._inputs import given_training, subject_of
from fastnn.diagnosis._setup import quiet
from fastnn.nn.activations import MAKERS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
CLASSES = (X[:, 0] + X[:, 1] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
SEVERAL = (X[:, :3] > 0).astype(int)
NUMBERS = X[:, 0]
IDS = np.c_[RNG.integers(0, 5, 60).astype(float), X[:, :2]]


def holed(array, *entries, value=np.nan):
    array = np.array(array, object if value is None else float)
    for each in entries:
        array[each] = value
    return array


def net(*middle, out=2, width=4, dtype="float32"):
    return nn.Sequential(nn.Dense(width, 8), *(middle or (nn.ReLU(),)), nn.Dense(8, out), dtype=dtype, seed=0)


def trainer(*middle, out=2, width=4, loss="cross_entropy", dtype="float32", optimizer="adam", lr=None, **settings):
    new = Trainer(net(*middle, out=out, width=width, dtype=dtype), loss, optimizer, **settings)
    if lr is not None:
        new.lr = lr
    return new


def of_layers(*layers, loss="cross_entropy"):
    return Trainer(nn.Sequential(*layers, seed=0), loss)


def embedding(**settings):
    branches = nn.Columns([0], nn.Embeddings([5], [3], **settings), in_features=3), nn.Columns([1, 2], in_features=3)
    return of_layers(nn.Parallel(*branches), nn.Dense(5, 8), nn.ReLU(), nn.Dense(8, 2))


def regressor(**arguments):
    return trainer(**{"out": 1, "loss": "mean_squared_error"} | arguments)


def frozen(*patterns):
    new = trainer()
    new.net.freeze(*patterns)
    return new


def with_scalers(**settings):
    new = regressor() if settings.pop("targets", False) else trainer()
    new.net.scaler = data.Scaler.fit(X, **settings)
    if new.net.out_features == 1:
        new.net.output_scaler = data.Scaler.fit(NUMBERS[:, np.newaxis])
    return new


def trained(lr=0.1, **arguments):
    new = trainer(optimizer="sgd", lr=lr)
    try:
        new.fit(X, CLASSES, epochs=2, batch_size=16, verbose=0, **arguments)
    except fastnn.TrainingDiverged:
        assert lr > 1
    return new


def with_weights(value):
    new = trainer()
    new.net.params.data[...] = value
    return new


def fails(*_):
    raise RuntimeError("this function fails")


def nan_of(x, *_):
    return np.full_like(x, np.nan)


class Negated(nn.Layer):
    """A user's layer with an op of its own."""

    def __init__(self):
        super().__init__()
        self.in_features = self.out_features = 8

    def emit(self, builder, x):
        y = builder.rows(8)
        builder.op("custom", {"x": x, "y": y}, function=np.negative, backward=lambda dy, x, y, dx: np.negative(dy, dx))
        return y


SQUARES = nn.CustomLoss(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 2 * (z - t))
TANH = nn.CustomActivation(np.tanh, lambda x, *_: 1 - np.tanh(x) ** 2)
LAYERS = {
    "BatchNorm": lambda: nn.BatchNorm(8), "LayerNorm": lambda: nn.LayerNorm(8), "RMSNorm": lambda: nn.RMSNorm(8),
    "Dropout": lambda: nn.Dropout(0.5), "PReLU": nn.PReLU, "Softmax": nn.Softmax, "LogSoftmax": nn.LogSoftmax,
    "ScaleColumns": lambda: nn.ScaleColumns(8), "Residual": lambda: nn.Residual(nn.Dense(8, 8), nn.ReLU()),
    "Parallel": lambda: nn.Parallel(nn.Dense(8, 4), nn.Dense(8, 4)), "CustomActivation": lambda: TANH,
}  # fmt: skip
SETTINGS = {
    "penalty": {"penalty": optim.Penalty(l1=0.1, l2=0.1)}, "clip": {"clip_value": 0.1, "clip_norm": 0.2},
    "accumulate": {"accumulate": 3}, "EMA": {"average": optim.EMA(0.9)}, "SWA": {"average": optim.SWA(start=2)},
    "OneCycleLR": {"schedule": "OneCycleLR"}, "cosine": {"schedule": optim.CosineAnnealingLR(10)},
    "metrics": {"metrics": "accuracy"}, "LBFGS": {"optimizer": optim.LBFGS()},
    "Newton": {"optimizer": optim.Newton()},
    "groups": {"optimizer": optim.Adam(groups=[optim.Group("0.*", lr_scale=0)])},
}  # fmt: skip

# Sound nets, settings and forms of data: a trainer or a net, X and y.
SOUND = {
    **{f"loss {name}, {out}": (lambda loss=loss, out=out: trainer(out=out, loss=loss), X, y)
       for name, loss, out, y in [
           *((each, each, 1, NUMBERS) for each in ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh")),
           ("smooth L1", nn.SmoothL1Loss(), 2, X[:, :2]), ("poisson", nn.PoissonNLLLoss(), 1, np.abs(NUMBERS)),
           ("quantile", nn.QuantileLoss([0.1, 0.5, 0.9]), 3, NUMBERS), ("custom", SQUARES, 1, NUMBERS),
           ("hinge", nn.HingeLoss(), 1, 2 * CLASSES - 1), ("squared hinge", nn.SquaredHingeLoss(), 1, 2 * CLASSES - 1),
           ("margin", nn.MultiMarginLoss(), 3, THREE), ("log", nn.LogLoss(), 2, CLASSES),
           ("log", nn.LogLoss(), 3, SEVERAL),
           ("binary", "binary_cross_entropy", 3, SEVERAL),
           ("soft", "cross_entropy", 2, np.eye(2)[CLASSES] * 0.8 + 0.1),
           ("heads", nn.HeadsLoss([("mean_squared_error", 1), ("cross_entropy", 2)]), 3, np.c_[NUMBERS, CLASSES]),
       ]},
    **{f"activation {name}": (lambda make=make: trainer(make()), X, CLASSES) for name, make in MAKERS.items()},
    **{f"layer {name}": (lambda make=make: trainer(make()), X, CLASSES) for name, make in LAYERS.items()},
    **{f"optimiser {name}": (lambda make=make: trainer(optimizer=make()), X, CLASSES)
       for name, make in optim.OPTIMIZERS.items()},
    **{f"setting {name}": (lambda each=each: trainer(**each), X, CLASSES) for name, each in SETTINGS.items()},
    "user's layer": (lambda: trainer(Negated()), X, CLASSES),
    "branches": (
        lambda: of_layers(
            nn.Parallel(nn.Columns([0, 1], nn.Dense(2, 4), in_features=4), nn.Columns([2, 3], in_features=4)),
            nn.ReLU(), nn.Dense(6, 2),
        ), X, CLASSES,
    ),
    "embedding": (embedding, IDS, CLASSES),
    "unknown ids": (lambda: embedding(unknown="own"), holed(IDS, (3, 0)), CLASSES),
    "only an embedding": (lambda: of_layers(nn.Embedding(5, 3), nn.Dense(3, 2)), IDS[:, :1].astype(int), CLASSES),
    "one layer": (lambda: of_layers(nn.Dense(4, 2)), X, CLASSES),
    "frozen": (lambda: frozen("0.*"), X, CLASSES),
    "float64": (lambda: trainer(dtype="float64"), X, CLASSES),
    "uint8": (trainer, (60 * np.abs(X)).clip(0, 255).astype(np.uint8), CLASSES),
    "bool": (net, X > 0, CLASSES > 0), "integers": (net, (9 * X).astype(int), CLASSES),
    "float16": (net, X.astype("e"), CLASSES),
    "lists": (net, X.tolist(), CLASSES.tolist()),
    "net and numbers": (lambda: net(out=1), X, NUMBERS), "net and one output": (lambda: net(out=1), X, CLASSES),
    "trained": (trained, X, CLASSES), "mixup": (lambda: trained(augment="mixup"), X, CLASSES),
    "augmented": (lambda: trained(augment=[lambda x, random: x + 0.1]), X, CLASSES),
    "validation": (lambda: trained(validation_data=(X[:9], CLASSES[:9])), X, CLASSES),
    "scaled": (with_scalers, X, CLASSES), "scaled targets": (lambda: with_scalers(targets=True), X, NUMBERS),
    "scaler that fills": (lambda: with_scalers(nan="center"), holed(X, (3, 2)), CLASSES),
    "one column": (lambda: trainer(width=1), X[:, :1], CLASSES),
    "3000 columns": (lambda: trainer(width=3000), np.tile(X, 750), CLASSES),
    "50 classes": (lambda: trainer(out=50), np.r_[X, X][:100], np.arange(100) // 2),
    "whole numbers": (regressor, X, np.arange(60)), "rates": (lambda: trainer(lr=1e-30), X, CLASSES),
    "2 rows, norm": (lambda: trainer(nn.BatchNorm(8), nn.ReLU()), X[:2], CLASSES[:2]),
    **{f"{n} rows, {name}": (make, X[:n], y[:n]) for n in (1, 2, 3, 9) for name, make, y in [
        ("classes", trainer, CLASSES), ("numbers", regressor, NUMBERS),
        ("labels", lambda: trainer(out=3, loss="binary_cross_entropy"), SEVERAL),
    ]},
    **{f"X of {size}": (trainer, size * X, CLASSES) for size in (1e-300, 1e-30, 1e30, 1e38, 1e300)},
    "X of 1e-300, float64": (lambda: trainer(dtype="float64"), 1e-300 * X, CLASSES),
    **{f"y of {size}": (regressor, X, size * NUMBERS) for size in (1e-300, 1e-30, 1e30, 1e38, 1e300)},
}  # fmt: skip

# Errors of input that a fit takes, by plain evidence: there is nothing to learn, or numbers are beyond the range of
# float32.
FOUND = {
    "2 rows, norm": {"labels"}, "2 rows, classes": {"labels"}, "3 rows, classes": {"labels"},  # of one class
    **{f"1 rows, {name}": {"columns"} for name in ("classes", "numbers", "labels")},
    "X of 1e-300": {"columns"},  # all of them 0 in float32
    "X of 1e+38": {"nonfinite"}, "X of 1e+300": {"nonfinite"}, "y of 1e+300": {"nonfinite"},
}  # fmt: skip

# Faults that stop a fit, or make it useless: also the kind and words of a finding that is an error.
FAULTY = {
    "NaN": (trainer, holed(X, (2, 1)), CLASSES, "columns", "1 entries of X are NaN"),
    "infinity": (trainer, holed(X, (2, 1), value=np.inf), CLASSES, "columns", "the first in row 2, column 1"),
    "NaN in a column": (trainer, holed(X, (slice(None), 3)), CLASSES, "columns", "60 entries"),
    "only NaN": (trainer, np.full_like(X, np.nan), CLASSES, "columns", "240 entries"),
    "NaN among ids": (embedding, holed(IDS, (3, 0)), CLASSES, "columns", "Column 0 of X has 1 entries"),
    "large id": (embedding, holed(IDS, (3, 0), value=17), CLASSES, "columns", "no rows of its embedding, 0 to 4"),
    "fraction as id": (lambda: embedding(unknown="own"), holed(IDS, (3, 0), value=0.5), CLASSES, "columns", "Column 0"),
    "constant": (trainer, np.full_like(X, 3.0), CLASSES, "columns", "constant"),
    "one row": (trainer, X[:1], CLASSES[:1], "columns", "a single row"),
    "one row and a norm": (
        lambda: trainer(nn.BatchNorm(8)), X[:1], CLASSES[:1], "cannot-fit", "at least 2 rows for batch norm",
    ),
    "tiny": (trainer, 1e-300 * X, CLASSES, "columns", "constant"),
    "strings": (trainer, X, np.array(["no", "yes"])[CLASSES], "labels", "numbers from 0 to 1"),
    "labels from 1": (trainer, X, CLASSES + 1, "labels", "numbers from 0 to 1"),
    "labels as a column": (trainer, X, CLASSES[:, np.newaxis], "labels", "numbers from 0 to 1"),
    "labels of floats": (trainer, X, CLASSES.astype(float), "labels", "numbers from 0 to 1"),
    "labels of hinge": (lambda: trainer(out=1, loss="hinge"), X, CLASSES, "labels", "must be -1 and 1"),
    "None": (trainer, X, holed(CLASSES, 3, value=None), "labels", "1 of 60 rows have no target"),
    "strings and None": (
        trainer, X, holed(np.array(["no", "yes"])[CLASSES], 3, 5, value=None), "labels", "2 of 60 rows",
    ),
    "NaN among classes": (trainer, X, holed(CLASSES, 3), "labels", "1 of 60 rows have no target"),
    "NaN among numbers": (regressor, X, holed(NUMBERS, 3), "labels", "1 of 60 rows"),
    "NaN in several": (lambda: regressor(out=2), X, holed(X[:, :2], (3, 1), (4, 0)), "labels", "2 of 60 rows"),
    "no number": (regressor, X, np.full(60, np.nan), "labels", "60 of 60 rows"),
    "one class": (trainer, X, np.zeros(60, int), "labels", "All 60 rows have the same label"),
    "one yes or no": (lambda: trainer(out=1, loss="binary_cross_entropy"), X, np.ones(60), "labels", "All 60 rows"),
    "one number": (regressor, X, np.full(60, 5.0), "labels", "All 60 rows have the same target"),
    "too few outputs": (trainer, X, THREE, "loss", "y has 3 classes; the loss CrossEntropyLoss()"),
    "one output": (lambda: trainer(out=1), X, CLASSES, "loss", "CrossEntropyLoss() of a net with 1 output"),
    "too many outputs": (lambda: regressor(out=5), X, X[:, :2], "loss", "y has numbers, 2 for each row"),
    "several labels": (lambda: trainer(out=3), X, SEVERAL, "loss", "y has labels of yes or no"),
    "loss that fails": (lambda: regressor(loss=nn.CustomLoss(fails, fails)), X, NUMBERS, "cannot-fit", "fails"),
    "loss of another form": (
        lambda: regressor(loss=nn.CustomLoss(lambda z, t: z - t, lambda z, t: z)), X, NUMBERS, "cannot-fit", "1-dim",
    ),
    "loss of NaN": (
        lambda: regressor(loss=nn.CustomLoss(lambda z, t: z[:, 0] * np.nan, nan_of)), X, NUMBERS, "nonfinite", "epoch",
    ),
    "activation that fails": (lambda: trainer(nn.CustomActivation(fails, fails)), X, CLASSES, "cannot-fit", "Error"),
    "activation of NaN": (lambda: trainer(nn.CustomActivation(nan_of, nan_of)), X, CLASSES, "nonfinite", "layer"),
    "all frozen": (lambda: frozen("*"), X, CLASSES, "cannot-fit", "not frozen"),
    "rate 0": (lambda: trainer(lr=0.0), X, CLASSES, "learning-rate-low", "is 0"),
    "rate 1e30": (lambda: trainer(lr=1e30), X, CLASSES, "nonfinite", "NaN or infinity"),
    "diverged": (lambda: trained(lr=1e30), X, CLASSES, "nonfinite", "NaN or infinity"),
    "weights of NaN": (lambda: with_weights(np.nan), X, CLASSES, "nonfinite", "NaN or infinity"),
    "weights of 1e38": (lambda: with_weights(1e38), X, CLASSES, "nonfinite", "NaN or infinity"),
}  # fmt: skip


def state(given):
    """Return the bits and counts of a net or a trainer."""
    owner = given if isinstance(given, Trainer) else None
    each = owner.net if owner else given
    arrays = [each.params.data, each.state.data, *(owner.slots() if owner else ())]
    counts = (owner.step_count, owner.epoch, owner.lr, repr(owner.history.epochs), owner._last_fit) if owner else ()
    return [array.tobytes() for array in arrays], each.training_steps, each.frozen, each.scaler, counts


def diagnosed(given, x, y, **arguments):
    """Return the report, having checked that nothing else has come of it."""
    before, numbers = state(given), np.random.get_state()[1].copy()  # noqa: NPY002 - that it stays is the test
    filters, modes = list(warnings.filters), np.geterr()
    report = fastnn.diagnose(given, x, y, **{"epochs": 3, "batch_size": 16} | arguments)
    assert state(given) == before
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002
    assert (list(warnings.filters), np.geterr()) == (filters, modes)
    assert set(report.kinds) <= set(KINDS)
    assert math.isfinite(report.before)
    assert not [each.why for each in report.findings if re.search(r"\bnan\b", each.why)]
    assert str(report)
    return report


def gains(finding):
    """Whether a change is shown to help: fits of three epochs may be too short, and nets too narrow."""
    return finding.gain is not None and finding.gain.difference > finding.gain.error


SLOW = ("activation", "optimiser", "layer", "9 rows", "3 rows", "setting LBFGS", "setting Newton", "3000 columns")


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.startswith(SLOW) else ()) for name in SOUND]
)
def test_sound_input(name):
    make, x, y = SOUND[name]
    report = diagnosed(make(), x, y)
    errors = {each.kind for each in report.findings if each.severity == "error" and not gains(each)}
    assert errors <= FOUND.get(name, set()), report


@pytest.mark.parametrize("name", [name for name in SOUND if not name.startswith("1 rows")])
def test_a_batch_of_sound_input_shows_all_layers(name):
    """The checks of layers have something to look at, whatever the net is made of."""
    make, x, y = SOUND[name]
    given = given_training(make(), x, y, None, None, None)
    fit = {"epochs": 10, "batch_size": 128, **given.fit}
    with quiet():
        subject, _ = subject_of(
            given.trainer, given.X, given.y, sample_weight=None, validation_data=None, seed=0, fit=fit
        )
        assert subject.valid
        assert subject.probe is not None
    assert len(subject.probe.layers) == len(subject.layers)


@pytest.mark.parametrize("name", FAULTY)
def test_faults(name):
    make, x, y, kind, words = FAULTY[name]
    found = {each.kind: each for each in diagnosed(make(), x, y).findings}
    assert kind in found
    assert found[kind].severity == "error"
    assert words in found[kind].why


def test_heads_are_scored_by_what_their_losses_predict():
    heads = nn.Parallel(nn.Dense(32, 3), nn.Dense(32, 1), nn.Dense(32, 1))
    new = nn.Sequential(nn.Dense(4, 32), nn.Tanh(), heads, seed=0)
    loss = nn.HeadsLoss([("cross_entropy", 3), ("mean_squared_error", 1), ("binary_cross_entropy", 1)])
    y = np.column_stack([THREE, NUMBERS, CLASSES])
    report = diagnosed(Trainer(new, loss, optim.Adam(lr=0.01)), X, y, epochs=60)
    assert report.figure == "R2"
    assert report.before > 0.5


def test_weights_with_zeros():
    weights = np.zeros(60)
    weights[:30] = 1.0
    diagnosed(trainer(), X, CLASSES, sample_weight=weights)
    weights[1:] = 0.0
    diagnosed(trainer(), X, CLASSES, sample_weight=weights)


def test_memory_maps_and_frames(tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = str(diagnosed(trainer(), X.astype(np.float32), CLASSES))
    assert str(diagnosed(trainer(), mapped, CLASSES)) == expected
    pandas = pytest.importorskip("pandas")
    assert str(diagnosed(trainer(), pandas.DataFrame(mapped), pandas.Series(CLASSES))) == expected
    holes = pandas.DataFrame(holed(X, (2, 1)))
    assert diagnosed(trainer(), holes, pandas.Series(CLASSES)).findings[0].kind == "columns"


ERRORS = [
    ((X[:, :3], CLASSES), {}, ValueError, r"X must .*4"),
    ((X[0], CLASSES[:1]), {}, ValueError, "X must be 2-dimensional"),
    ((X[:0], CLASSES[:0]), {}, ValueError, "X must have at least 1 row"),
    ((X.astype(str), CLASSES), {}, TypeError, "X must be an array of real numbers"),
    ((X, CLASSES[1:]), {}, ValueError, "y must have 60 rows, as many as X, got 59"),
    ((X, np.zeros((60, 1, 1))), {}, ValueError, r"y must have shape \(n,\) or \(n, columns\)"),
    ((X, CLASSES), {"sample_weight": np.ones(59)}, ValueError, "sample_weight"),
    ((X, CLASSES), {"sample_weight": np.zeros(60)}, ValueError, "sample_weight must contain at least one weight"),
    ((X, CLASSES), {"sample_weight": np.full(60, np.nan)}, ValueError, "sample_weight"),
    ((X, CLASSES), {"sample_weight": np.full(60, -1.0)}, ValueError, "sample_weight"),
    ((X, CLASSES), {"validation_data": (X[:9, :2], CLASSES[:9])}, ValueError, r"validation_data\[0\]"),
    ((X, CLASSES), {"validation_data": (X[:9], CLASSES[:8])}, ValueError, r"validation_data\[1\]"),
    ((X, CLASSES), {"epochs": 0}, ValueError, "epochs"),
    ((X, CLASSES), {"batch_size": 1.5}, TypeError, "batch_size"),
    ((X, CLASSES), {"seed": -1}, ValueError, "seed"),
    ((X, CLASSES), {"loss": "nothing"}, ValueError, "loss"),
]


@pytest.mark.parametrize(("arrays", "arguments", "error", "message"), ERRORS)
def test_errors(arrays, arguments, error, message):
    with pytest.raises(error, match=message):
        fastnn.diagnose(trainer(), *arrays, **arguments)


@pytest.mark.parametrize("wrong", [None, 3, X, nn.ReLU(), Trainer])
def test_what_is_no_net(wrong):
    with pytest.raises(TypeError, match="net_or_trainer must be a net, a Trainer or an estimator"):
        fastnn.diagnose(wrong, X, CLASSES)


def test_validation_data_with_faults():
    some = np.where(CLASSES, 1.0, np.nan)
    quarter = len(X) // 4  # held out where no row of the validation data is left
    for x, y, kind, rows in (
        (holed(X, (2, 1)), CLASSES, "columns", len(X)),
        (X[:1], CLASSES[:1], None, 1),
        (X, np.array(["no", "yes"])[CLASSES], "labels", quarter),
        (X, CLASSES + 5, "labels", quarter),
        (X, np.eye(3)[CLASSES], "labels", quarter),
        (X, THREE, "labels", np.count_nonzero(THREE < 2)),
        (X, some, "labels", np.count_nonzero(CLASSES)),
        (X, [None] * len(X), "labels", quarter),
        (1000 * X + 5, CLASSES, "validation", len(X)),
    ):
        report = diagnosed(trainer(), X, CLASSES, validation_data=(x, y))
        assert report.rows == rows
        errors = [each for each in report.findings if each.severity == "error" and "validation data" in each.why]
        assert [each.kind for each in errors] == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (0.2, TypeError, "validation_data must be"),
        ((X,), TypeError, "of length 1"),
        ((X[:0], CLASSES[:0]), ValueError, "at least 1 row"),
        ((X[:, :2], CLASSES), ValueError, "validation_data.0. must"),
        ((X, CLASSES[:5]), ValueError, "as many as X"),
    ],
)
def test_validation_data_of_a_wrong_form(data, error, message):
    with pytest.raises(error, match=message):
        fastnn.diagnose(trainer(), X, CLASSES, validation_data=data)


@pytest.mark.parametrize(
    "y",
    [
        None, np.array([1, "a", None] * 20, object), np.zeros(60, complex), np.zeros(60, "M8[s]"), np.zeros((60, 0)),
        [[1], [1, 2]] * 30, np.full((60, 2), "a"), np.array([10**400] * 60, object), {"a": 1},
    ],
)  # fmt: skip
def test_targets_of_a_wrong_form_for_a_net(y):
    """A report or a message of the house, never another error."""
    message = "y must"
    try:
        report = fastnn.diagnose(net(), X, y)
    except ValueError as error:
        message = str(error)
    else:
        assert report.findings
    assert message.startswith("y must")


def test_many_classes_in_the_order_of_the_alphabet():
    x = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    y = np.array(list("abcdefghijklmn"))[np.floor(7 * (1 + x[:, 0])).astype(int)]
    layers = nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, 14)
    kinds = diagnosed(nn.Sequential(*layers, seed=0), x, y, epochs=5).kinds
    assert "labels" in kinds  # strings, which fit refuses
    assert "loss" not in kinds


def test_exact_zero_loss():
    z = np.where(CLASSES[:, np.newaxis] > 0, 1e4, -1e4) * np.ones((60, 4))
    for loss in ("cross_entropy", "multi_margin"):
        diagnosed(trainer(loss=loss), z, CLASSES, epochs=20, batch_size=16)


def test_functions_that_raise_later():
    for calls in (1, 5, 30, 100, 300):
        count = itertools.count()

        def rate(_epoch, count=count, calls=calls):
            if next(count) >= calls:
                raise RuntimeError("this function fails")
            return 1.0

        for prove in (False, True):
            diagnosed(trainer(schedule=rate), X, CLASSES, epochs=2, prove=prove)


def test_the_largest_seed():
    layers = nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 2)
    diagnosed(nn.Sequential(*layers, seed=2**64 - 1), X, CLASSES, epochs=2, prove=True)


def test_reports_in_pickles_and_sets():
    report = diagnosed(trainer(), holed(X, (2, 1)), CLASSES)
    twin = pickle.loads(pickle.dumps(report))
    assert str(twin) == str(report)
    assert len({twin, report, *twin.findings, *report.findings}) <= 2 + len(report.findings)


def test_a_fit_that_has_diverged_is_remembered():
    diverging = trainer(optimizer=optim.SGD(lr=1e30))
    with pytest.raises(fastnn.TrainingDiverged):
        diverging.fit(X, CLASSES, epochs=2, batch_size=16, verbose=0)
    diverging.lr = 0.01
    found = {each.kind: each for each in diagnosed(diverging, X, CLASSES).findings}
    assert "last fit" in found["nonfinite"].why


def test_fits_after_a_diagnosis_have_the_bits_of_fits_without(impl):
    new = [
        trainer(nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2), schedule="OneCycleLR", average=optim.EMA(0.5))
        for _ in range(2)
    ]
    for count in range(2):
        report = str(diagnosed(new[0], X, CLASSES, epochs=2))
        assert count or str(diagnosed(new[0], X, CLASSES, epochs=2)) == report
        for each in new:
            each.fit(X, CLASSES, epochs=2, batch_size=16, verbose=0)
        assert np.array_equal(new[0].net.params.data, new[1].net.params.data)
        assert new[0].history["loss"] == new[1].history["loss"]


class Diagnosing(fastnn.Callback):
    """Diagnoses the trainer whose fit is running."""

    def __init__(self):
        self.reports = []

    def on_epoch_end(self, trainer, logs):
        self.reports.append(fastnn.diagnose(trainer, X, CLASSES, epochs=2, batch_size=16))


def test_within_a_running_fit():
    one, other, callback = trainer(), trainer(), Diagnosing()
    one.fit(X, CLASSES, epochs=2, batch_size=16, verbose=0, callbacks=[callback])
    other.fit(X, CLASSES, epochs=2, batch_size=16, verbose=0)
    assert len(callback.reports) == 2
    assert np.array_equal(one.net.params.data, other.net.params.data)


def test_two_threads():
    new, expected, found = trainer(), str(fastnn.diagnose(trainer(), X, CLASSES, epochs=3)), []
    threads = [
        threading.Thread(target=lambda: found.append(str(fastnn.diagnose(new, X, CLASSES, epochs=3)))) for _ in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [expected, expected]


def test_interrupts_are_raised_and_change_nothing():
    calls = []

    def interrupts(z, t):
        calls.append(len(z))
        if len(calls) == 20:
            raise KeyboardInterrupt
        return ((z - t) ** 2).sum(axis=1)

    new = regressor(loss=nn.CustomLoss(interrupts, lambda z, t: 2 * (z - t)))
    before, modes = state(new), np.geterr()
    with pytest.raises(KeyboardInterrupt):
        fastnn.diagnose(new, X, NUMBERS, epochs=3, batch_size=16)
    assert state(new) == before
    assert np.geterr() == modes


@pytest.mark.parametrize("name", ["strings", "NaN among numbers", "loss that fails", "too few outputs", "diverged"])
def test_proofs_of_faults(name):
    make, x, y, kind, _ = FAULTY[name]
    report = diagnosed(make(), x, y, prove=True)
    assert report.proved
    assert kind in report.kinds


def test_proofs_of_a_sound_net():
    report = diagnosed(trainer(lr=0.01), X, CLASSES, epochs=20, prove=True)
    assert report.proved
    assert all(each.gain.seeds == 3 for each in report.findings if each.gain is not None)
