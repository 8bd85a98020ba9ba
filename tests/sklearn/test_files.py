"""Estimators in files: what is kept, that fits continue bit for bit, and what is refused."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
import sklearn
from model_files import change, content_of, read
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import LabelBinarizer, OrdinalEncoder
from sklearn.utils.metadata_routing import UNUSED

import fastnn
from fastnn import data, nn, optim
from fastnn.io._content import reading
from fastnn.sklearn import MLPClassifier, MLPRegressor, _content_values
from fastnn.sklearn._average import AverageState
from fastnn.sklearn._columns import CategoryColumns
from fastnn.sklearn._optimizer import OptimizerState
from fastnn.training.averaging import AverageValues

pd = pytest.importorskip("pandas")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:the average"),
    pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true"),
]

RNG = np.random.default_rng(7)
N = 60
X = RNG.normal(size=(N, 4))
SIDE = (X[:, 0] > 0).astype(int)
THIRD = SIDE + (X[:, 1] > 0)
SEVERAL = np.column_stack([SIDE, X[:, 1] > 0, X[:, 2] > 0]).astype(int)
T = X @ [1.0, 2.0, 3.0, 4.0]
WORDS = np.array(["no", "perhaps", "yes"])
CATEGORIES = RNG.integers(0, 3, N)
FRAME = pd.DataFrame({"size": X[:, 0], "town": WORDS[CATEGORIES], "day": CATEGORIES % 2 + 1, "depth": X[:, 1]})
GAPS = FRAME.assign(
    town=FRAME["town"].where(CATEGORIES > 0), day=FRAME["day"].where(X[:, 3] > -1), nothing=np.nan, none=None
)
REGISTERED = "files_square"


@pytest.fixture(autouse=True, scope="module")
def registered():
    """Register an activation whose functions are other objects each time."""
    nn.register_activation(
        REGISTERED, lambda p=2.0: nn.CustomActivation(lambda x: np.abs(x) ** p, lambda dy, x, y: 0 * dy)
    )
    yield
    del nn.activations.MAKERS[REGISTERED]


def classifier(y=THIRD, rows=X, fit=None, **parameters):
    return MLPClassifier, parameters, rows, y, fit or {}


def regressor(y=T, rows=X, fit=None, **parameters):
    return MLPRegressor, parameters, rows, y, fit or {}


RECORDS = [
    optim.SGD(0.01, momentum=0.9, nesterov=True), optim.Adam(0.01, amsgrad=True), optim.AdamW(0.01), optim.NAdam(0.01),
    optim.RMSprop(0.01, momentum=0.5), optim.Adagrad(0.01), optim.Adadelta(1.0),
]  # fmt: skip

# Each fit that an estimator can come from: class, parameters, rows, targets, and the arguments of `fit`.
FITS = {
    "default": classifier(),
    "two classes": classifier(SIDE),
    "one class": classifier(np.zeros(N, int)),
    "several labels": classifier(SEVERAL),
    "several labels, sparse": classifier(scipy.sparse.csr_array(SEVERAL)),
    "labels of strings": classifier(WORDS[THIRD]),
    "labels of strings as objects": classifier(WORDS[THIRD].astype(object)),
    "labels of bools": classifier(SIDE.astype(bool)),
    "labels of floats": classifier(THIRD.astype(np.float32)),
    "labels of small integers": classifier((THIRD - 5).astype(np.int8)),
    "labels of a frame": classifier(pd.Series(WORDS[THIRD], dtype="category")),
    "many labels": classifier(np.arange(N)),
    "one output": regressor(),
    "three outputs": regressor(np.column_stack([T, T**2, -T])),
    "float32": classifier(rows=X.astype(np.float32)),
    "dtype by name": regressor(dtype="float32"),
    "dtype by class": regressor(dtype=np.float32),
    "poisson": regressor(np.abs(T), loss="poisson"),
    "loss of a record": classifier(loss=nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0], label_smoothing=0.1)),
    "huber": regressor(loss=nn.HuberLoss(delta=2.0)),
    **{f"scale {name}": regressor(scale=name, scale_targets=True) for name in ("standard", "robust", "quantile")},
    "scale in float32": classifier(scale="quantile", dtype="float32"),
    "scale_targets": regressor(scale_targets=True),
    "categories by number": classifier(rows=FRAME, categorical_features=[1, 2]),
    "categories by name": regressor(rows=FRAME, categorical_features=("town", "day"), scale="robust"),
    "categories by an array": regressor(rows=FRAME, categorical_features=np.array(["town"])),
    "categories by an index": regressor(rows=FRAME, categorical_features=pd.Index(["town"])),
    "categories by a mask": classifier(rows=FRAME, categorical_features=np.array([False, True, True, False])),
    "categories by dtype": regressor(
        rows=FRAME.astype({"town": "category", "day": "category"}), categorical_features="from_dtype"
    ),
    "categories, missing": regressor(rows=GAPS, categorical_features=[1, 2, 4, 5]),
    "categories of an array": classifier(rows=np.column_stack([X, CATEGORIES]), categorical_features=[4]),
    "categories of objects": classifier(
        rows=np.column_stack([X, CATEGORIES]).astype(object), categorical_features=[4], dtype="float32"
    ),
    "categories alone": classifier(rows=FRAME[["town", "day"]], categorical_features=[0, 1], scale="standard"),
    "no categories": classifier(rows=FRAME[["size", "depth"]], categorical_features=[]),
    "batch norm": classifier(batch_norm=True, dropout=0.2),
    "norm": classifier(norm="batch", hidden_layer_sizes=[5, 5], dropout=(0.0, 0.2)),
    "layer norm and residual": regressor(norm="layer", residual=True, hidden_layer_sizes=(6,) * 3),
    "dropout of an array": classifier(dropout=np.array([0.5])),
    "no hidden layer": classifier(hidden_layer_sizes=()),
    "one width": classifier(hidden_layer_sizes=np.int64(7)),
    "a list of activations": classifier(hidden_layer_sizes=(4, 4), activation=["gelu", nn.LeakyReLU(0.2)]),
    "trained slopes": regressor(activation="prelu", solver="lbfgs"),
    "a registered activation": regressor(activation=REGISTERED),
    "a registered activation with a parameter": regressor(activation=("a registered activation", 3.0)),
    "sgd": classifier(solver="sgd", learning_rate="invscaling"),
    "sgd, adaptive": classifier(solver="sgd", learning_rate="adaptive", n_iter_no_change=1, tol=1.0, max_iter=9),
    "sgd without momentum": regressor(np.sign(T), solver="sgd", momentum=0.0),
    "lbfgs": classifier(solver="lbfgs"),
    "lbfgs with categories": regressor(rows=FRAME, categorical_features=["town"], solver="lbfgs", scale="standard"),
    **{type(each).__name__: classifier(optimizer=each) for each in RECORDS},
    "groups": classifier(optimizer=optim.AdamW(0.01, groups=[optim.Group("*.bias", weight_decay=0.0)])),
    "an optimiser by name": regressor(optimizer="AdamW", weight_decay=0.1, clip_norm=1.0, clip_value=0.1),
    "early stopping": classifier(early_stopping=True, validation_fraction=0.2),
    "early stopping by a score": classifier(early_stopping=True, scoring="balanced_accuracy", batch_norm=True),
    "early stopping by the loss": regressor(fit={"eval_set": (X[:9], T[:9])}, early_stopping=True, scoring="loss"),
    "validation": classifier(fit={"X_val": X[:9], "y_val": THIRD[:9]}),
    "sample weights": regressor(fit={"sample_weight": np.arange(N)}),
    "class weights": classifier(class_weight={0: 1.0, np.int64(1): 2, 2: np.float32(3)}),
    "class weights of words": classifier(WORDS[THIRD], class_weight={"yes": 2.0}),
    "balanced": classifier(class_weight="balanced"),
    "ema": classifier(average=optim.EMA(0.5), batch_norm=True),
    "swa": regressor(average=optim.SWA(start=2), max_iter=4),
    "ema by name": classifier(average="ema", early_stopping=True, max_iter=3),
    "accumulate": regressor(accumulate=2),
    "augmentation by name": classifier(augment=["mixup"]),
    "augmentations": regressor(augment=(data.GaussianNoise(0.1), data.FeatureDropout(0.1))),
    "a schedule by name": classifier(schedule="CosineAnnealingLR"),
    "a schedule": regressor(schedule=optim.SequentialLR([optim.LinearLR(0.1, 1.0, 3), optim.StepLR(2)], [3])),
    "initialiser": classifier(init=nn.init.kaiming_normal(0.1)),
    "initialiser by name": regressor(init="xavier_uniform"),
    "warm start": classifier(warm_start=True),
    "random_state of None": classifier(random_state=None, dropout=0.5),
    "a RandomState": classifier(random_state="RandomState", dropout=0.5),
    "progress bar": classifier(verbose="bar", early_stopping=True),
    "numbers of NumPy": classifier(alpha=np.float32(0.1), max_iter=np.int8(3), shuffle=np.bool_(False)),
    "unlimited patience": regressor(n_iter_no_change=np.inf),
}  # fmt: skip


def make(case):
    """Return an unfitted estimator of a case, and what its `fit` takes."""
    kind, parameters, rows, y, options = FITS[case]
    own = {"hidden_layer_sizes": (5,), "max_iter": 3, "batch_size": 25, "random_state": 0} | parameters
    if own.get("activation") == ("a registered activation", 3.0):
        own["activation"] = nn.activation(REGISTERED, p=3.0)
    if own["random_state"] == "RandomState":
        own["random_state"] = np.random.RandomState(3)
        own["random_state"].normal()  # leaves a second number for the next call
    return kind(**own), rows, y, options


def fitted(case):
    estimator, rows, y, options = make(case)
    return estimator.fit(rows, y, **options), rows, y


def reloaded(estimator, path, **options):
    estimator.save(path)
    return type(estimator).load(path, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "estimator.safetensors"


def outputs(estimator, rows):
    found = [estimator.predict(rows)]
    if isinstance(estimator, MLPClassifier):
        found.append(estimator.predict_proba(rows))
    return [each.toarray() if scipy.sparse.issparse(each) else each for each in found]


WITH_ATTRIBUTES = OptimizerState, AverageState, AverageValues, CategoryColumns, LabelBinarizer, OrdinalEncoder


def assert_equal(one, other, where="estimator"):
    """Compare values of any kind that attributes have, down to the bits of arrays."""
    assert type(one) is type(other) or {type(one), type(other)} <= {float, np.float64}, where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}[{index}]")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, where
        assert one.shape == other.shape, where
        if one.dtype == object:
            assert_equal(one.ravel().tolist(), other.ravel().tolist(), where)
        else:
            assert one.tobytes() == other.tobytes(), where
    elif isinstance(one, np.random.RandomState):
        assert_equal(one.get_state(legacy=False), other.get_state(legacy=False), where)
    elif isinstance(one, WITH_ATTRIBUTES):
        assert_equal(vars(one), vars(other), where)
    elif isinstance(one, nn.Layer):
        assert one.config() == other.config(), where
    else:
        assert one == other or (one != one and other != other), where  # noqa: PLR0124


def attributes(estimator):
    """Return the attributes of an estimator, without the net, whose arrays the others show."""
    return {name: value for name, value in vars(estimator).items() if name != "_model"}


def settled(value):
    """Return a parameter as files have it: numbers of NumPy become Python's, and an array-like an array."""
    if isinstance(value, dict):
        return {settled(key): settled(each) for key, each in value.items()}
    return (
        value.item() if isinstance(value, np.generic) else np.asarray(value) if isinstance(value, pd.Index) else value
    )


def without_seconds(estimator):
    """Return the attributes without parameters and without the times in the history."""
    found = copy.deepcopy(attributes(estimator))
    for logs in found["_optimizer"].history if "_optimizer" in found else ():
        del logs["seconds"]
    return {name: value for name, value in found.items() if name not in estimator.get_params()}


# ---- what is kept ----


@pytest.mark.sampled(5)
@pytest.mark.parametrize("case", FITS)
def test_all_is_kept(case, path):
    """Attributes are those of a copy, as a pickle has them, so that none is forgotten; outputs are the original's."""
    estimator, rows, _ = fitted(case)
    loaded = reloaded(estimator, path)
    parameters = settled(estimator.get_params())
    assert_equal(loaded.get_params(), parameters)
    mine, twin = attributes(loaded), attributes(copy.deepcopy(estimator))
    for name in parameters:
        mine.pop(name), twin.pop(name)
    assert_equal(mine, twin)
    if estimator.random_state is estimator._random_state:
        assert loaded.random_state is loaded._random_state
        assert loaded.random_state is not estimator.random_state
    for one, other in zip(outputs(estimator, rows), outputs(loaded, rows), strict=True):
        assert_equal(one, other)
    again = clone(loaded)
    assert_equal(again.get_params(), parameters)
    assert "coefs_" not in vars(again)


def test_a_loaded_estimator_is_saved_as_it_was(path):
    estimator, *_ = fitted("ema")
    estimator.save(path)
    first = path.read_bytes()
    MLPClassifier.load(path).save(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("case", FITS)
def test_parameters_alone_are_kept(case, path):
    estimator, rows, y, options = make(case)
    loaded = reloaded(estimator, path)
    assert_equal(vars(loaded), settled(vars(estimator)))
    with pytest.raises(NotFittedError):
        loaded.predict(rows)
    if estimator.random_state is not None:
        for each in (estimator, loaded):
            each.fit(rows, y, **options)
        assert_equal(outputs(loaded, rows), outputs(estimator, rows))


def continued(estimator, rows, y, how):
    np.random.seed(1)  # noqa: NPY002 - of random_state=None
    if how == "partial_fit":
        estimator.set_params(early_stopping=False)
        estimator.partial_fit(rows, y).partial_fit(rows[: N // 2], y[: N // 2])
    else:
        estimator.set_params(warm_start=how == "warm start").fit(rows, y)
    return estimator


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "how", ["partial_fit", *(pytest.param(each, marks=pytest.mark.slow) for each in ("warm start", "fit"))]
)
@pytest.mark.parametrize("case", FITS)
def test_fits_continue_bit_for_bit(case, how, path):
    estimator, rows, y = fitted(case)
    if how == "partial_fit" and (estimator.solver == "lbfgs" or getattr(estimator, "class_weight", None) == "balanced"):
        return
    loaded = reloaded(estimator, path)
    for each in (estimator, loaded):
        continued(each, rows, y, how)
    assert_equal(*map(without_seconds, (loaded, estimator)))
    for one, other in zip(outputs(estimator, rows), outputs(loaded, rows), strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_partial_fits_continue(kind, path):
    options = {"average": "ema", "schedule": optim.StepLR(2), "dropout": 0.1}
    estimator = kind(hidden_layer_sizes=(5,), random_state=np.random.RandomState(1), **options)
    y, first = (T, {}) if kind is MLPRegressor else (WORDS[THIRD], {"classes": [*WORDS, "zero"]})
    estimator.partial_fit(X[:30], y[:30], **first)
    for rows in (slice(30), slice(30, 60), slice(10, 50)):
        loaded = reloaded(estimator, path)
        for each in (estimator, loaded):
            each.partial_fit(X[rows], y[rows])
        assert_equal(*map(without_seconds, (loaded, estimator)))
        estimator = loaded


def test_several_labels_by_partial_fit(path):
    estimator = MLPClassifier((5,), random_state=0).partial_fit(X, SEVERAL, classes=[0, 1, 2])
    loaded = reloaded(estimator, path)
    assert_equal(*map(without_seconds, (loaded, estimator)))
    assert_equal(loaded.partial_fit(X, SEVERAL).predict(X), estimator.partial_fit(X, SEVERAL).predict(X))


def test_what_is_changed_after_a_fit(path):
    """Parameters of the next fit are kept beside the fitted net, and so are weights that are assigned."""
    estimator, *_ = fitted("default")
    estimator.set_params(hidden_layer_sizes=(9, 9), activation="tanh", max_iter=7)
    estimator.coefs_ = [coef * 2 for coef in estimator.coefs_]
    estimator.intercepts_[0][...] = 1
    loaded = reloaded(estimator, path)
    assert loaded.get_params() == estimator.get_params()
    assert_equal(outputs(loaded, X), outputs(estimator, X))
    assert [coef.shape for coef in loaded.fit(X, THIRD).coefs_] == [(4, 9), (9, 9), (9, 3)]


def test_a_copy_shares_nothing(path):
    estimator, *_ = fitted("ema")
    loaded = reloaded(estimator, path)
    before = outputs(estimator, X)
    loaded.partial_fit(X, THIRD)
    loaded.coefs_[0][...] = 0
    assert_equal(outputs(estimator, X), before)


def test_a_callback_saves_during_a_fit(path):
    class Save(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            if trainer.step_count == 4:
                twin = copy.copy(estimator).set_params(callbacks=None)
                twin.save(path)
                saved.append(twin)

    saved = []
    estimator = MLPClassifier((5,), random_state=0, batch_size=25, max_iter=3, callbacks=[Save()])
    estimator.fit(X, THIRD)
    loaded = MLPClassifier.load(path)
    assert loaded._optimizer.t == 4
    assert_equal(loaded.predict_proba(X), saved[0].predict_proba(X))
    loaded.partial_fit(X, THIRD)
    assert len(estimator.loss_curve_) == 3


@pytest.mark.parametrize("case", ["default", "one output"])
@pytest.mark.parametrize("fit", [False, True])
def test_metadata_requests_are_kept(case, fit, path):
    with sklearn.config_context(enable_metadata_routing=True):
        estimator, rows, y, options = make(case)
        estimator.set_fit_request(sample_weight="weights", X_val=True).set_score_request(sample_weight=False)
        if fit:
            estimator.fit(rows, y, **options)
        loaded = reloaded(estimator, path)
        assert str(loaded.get_metadata_routing()) == str(estimator.get_metadata_routing())
        assert str(clone(loaded).get_metadata_routing()) != str(type(loaded)().get_metadata_routing())
        estimator.set_fit_request(sample_weight=UNUSED, X_val=None)
        loaded = reloaded(estimator, path)
        assert str(loaded.get_metadata_routing()) == str(estimator.get_metadata_routing())
    want = {"fit": {"sample_weight": "$UNUSED$"}, "score": {"sample_weight": False}}
    assert content_of(path)["requests"] == want


def test_callbacks_of_scikit_learn_are_refused(path):
    pytest.importorskip("sklearn.callback")
    from sklearn.callback import ScoringMonitor

    estimator = MLPClassifier().set_callbacks(ScoringMonitor(scoring="accuracy"))
    message = r"^scikit-learn's callbacks must be none, .*ScoringMonitor.*: write set_callbacks\(\) before, or pickle"
    with pytest.raises(TypeError, match=message):
        estimator.save(path)
    assert not path.exists()
    estimator.set_callbacks().save(path)


def test_own_attributes_are_left_out(path):
    estimator, *_ = fitted("default")
    estimator.note = "x"
    assert not hasattr(reloaded(estimator, path), "note")


def test_names_of_tensors(path):
    """The net's have PyTorch's names and orientation, and are those of the net's own file."""
    estimator, *_ = fitted("batch norm")
    estimator.save(path)
    tensors = read(path)[1]
    kept = {name: array for name, array in tensors.items() if not name.startswith("fastnn.")}
    assert_equal(kept, dict(sorted(estimator.net_.state_dict().items(), key=lambda item: list(kept).index(item[0]))))
    assert kept["0.weight"].shape == (5, 4)
    others = {"fastnn.slots.m.0.weight", "fastnn.best.coefs.0", "fastnn.classes_", "fastnn.loss_curve_"}
    assert others <= tensors.keys()
    assert tensors["fastnn.slots.m.0.weight"].shape == (5, 4)


def test_an_average_is_as_in_the_file_of_a_trainer(path):
    estimator, *_ = fitted("ema")
    estimator.save(path)
    mine, tensors = content_of(path)["fitted"]["optimizer"]["average"], read(path)[1]
    trainer = fastnn.Trainer(estimator.net_, average=optim.EMA(0.5))
    trainer.fit(X, THIRD, epochs=1, verbose=0)
    trainer.averaged  # noqa: B018 - computes the running statistics
    trainer.save(path)
    theirs, of_trainer = content_of(path)["state"]["average"], read(path)[1]
    mine["entries"]["count"] = theirs["entries"]["count"]
    assert mine == theirs
    names = [name for name in tensors if name.startswith("fastnn.average.")]
    assert names == [name for name in of_trainer if name.startswith("fastnn.average.")]
    assert {"fastnn.average.values.0.weight", "fastnn.average.statistics.1.running_var"} <= set(names)


def test_it_is_written_over_the_old_one_or_not_at_all(path):
    estimator, *_ = fitted("default")
    estimator.save(path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="schedule must have no function"):
        estimator.set_params(schedule=lambda epoch: 1.0).save(path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with pytest.raises(FileNotFoundError):
        fitted("default")[0].save(path.parent / "none" / path.name)


# ---- files of this version stay readable ----

SAMPLES = Path(__file__).parent / "files"
SAMPLE_ROWS = FRAME[:12].assign(town=["Graz", None, *FRAME["town"][2:12]])

# What the samples are of: fits that have most of what a file can have.
SAMPLE_FITS = {
    "classifier": MLPClassifier(
        (6, 4), activation=["gelu", nn.LeakyReLU(0.2)], random_state=np.random.RandomState(5), max_iter=3,
        batch_size=20, dropout=[0.0, 0.1], norm="batch", schedule=optim.StepLR(2), class_weight={"no": 2.0},
        scale="quantile", categorical_features=("town", "day"), augment=[data.GaussianNoise(0.1)],
        average=optim.EMA(0.5),
    ),
    "regressor": MLPRegressor(
        nn.HuberLoss(delta=2.0), (6,), random_state=1, max_iter=3, early_stopping=True, dtype="float32",
        norm="layer", optimizer=optim.AdamW(0.01), scale="robust", scale_targets=True,
        categorical_features=np.array([False, True] * 2),
    ),
}  # fmt: skip


def sample_rows(name):
    return SAMPLE_ROWS.assign(depth=SAMPLE_ROWS["day"] * 1.0) if name == "regressor" else SAMPLE_ROWS


def write_samples():
    """Write the samples, each with what it predicts. Those of a published version stay as they are."""
    for name, estimator in SAMPLE_FITS.items():
        rows = FRAME.assign(depth=FRAME["day"] * 1.0) if name == "regressor" else FRAME
        clone(estimator).fit(rows, T if name == "regressor" else WORDS[THIRD]).save(SAMPLES / f"{name}.safetensors")
        loaded = type(estimator).load(SAMPLES / f"{name}.safetensors")
        found = [each.tolist() for each in outputs(loaded, sample_rows(name))]
        (SAMPLES / f"{name}.json").write_text(json.dumps(found) + "\n")


@pytest.mark.parametrize("name", SAMPLE_FITS)
def test_files_of_this_version_stay_readable(name, path, impl):
    want = SAMPLE_FITS[name]
    loaded = type(want).load(SAMPLES / f"{name}.safetensors")
    rows, stored = sample_rows(name), json.loads((SAMPLES / f"{name}.json").read_text())
    assert repr(clone(loaded)) == repr(clone(want)) or name == "classifier"  # a RandomState is shown by its address
    for found, known in zip(outputs(loaded, rows), stored, strict=True):
        if found.dtype.kind == "U":
            assert found.tolist() == known
        else:
            np.testing.assert_allclose(found, known, rtol=2e-5 if found.dtype == np.float32 else 1e-10)
    if name == "classifier":
        assert np.isfinite(loaded.set_params(batch_size=5).partial_fit(rows[2:], ["no", "yes"] * 5).loss_)
    loaded.save(path)


# ---- what cannot be saved ----


class Mine(MLPClassifier):
    """A class of a user's."""


class MyLayer(nn.Layer):
    """A layer of a user's."""

    def emit(self, builder, x):
        return x


def halved(epoch):
    return 0.5**epoch


def scorer(estimator, rows, y):
    return 1.0


SQUARE = nn.CustomActivation(np.square, lambda dy, x, y: 2 * x * dy)
ABSOLUTE = nn.CustomLoss(lambda z, t: abs(z - t).sum(1), lambda z, t: np.sign(z - t))
PICKLE = "or pickle the estimator$"
NOT_SAVED = {
    "a schedule": (
        {"schedule": halved},
        (
            r"schedule must have no function, as files contain no code, got .*:halved: write "
            rf"set_params\(schedule=None\) before, {PICKLE}"
        ),
    ),
    "a lambda": ({"schedule": lambda epoch: 1.0}, r"schedule must have no function, .*<lambda>: write set_params\(s"),
    "an object": ({"schedule": np.poly1d([1.0])}, r"schedule must have no function, .* got poly1d: write set_params\("),
    "a function within": (
        {"schedule": optim.SequentialLR([optim.LambdaLR(halved), optim.StepLR(2)], [3])},
        r"schedule\.schedules\[0\]\S* must have no function, .*:halved: write set_params\(schedule=",
    ),
    "an initialiser": ({"init": lambda shape, rng: np.zeros(shape)}, r"init must have .*set_params\(init=None\)"),
    "a scorer": ({"scoring": scorer}, r"scoring must have no function, .*:scorer: write set_params\(scoring=None\)"),
    "an augmentation": ({"augment": [data.Mixup(), lambda x, rng: x]}, r"augment\[1\] must have .*\(augment=None\)"),
    "a loss": ({"loss": ABSOLUTE}, r"loss\.\w+ must have no function, .*write set_params\(loss='log_loss'\) before"),
    "an activation": (
        {"activation": SQUARE},
        (
            r"activation\.forward must have no function, as files contain no code, got .*: register it, "
            rf"nn.register_activation\(name, make\), and give its name, {PICKLE}"
        ),
    ),
    "one of several": ({"activation": ["relu", SQUARE]}, r"activation\[1\]\.forward must have no function"),
    "a layer of a user's": (
        {"activation": MyLayer()},
        "activation must be of a class of fastnn, .* the class MyLayer: pickle the estimator",
    ),
    "callbacks": (
        {"callbacks": [fastnn.EarlyStopping("loss")]},
        (
            r"callbacks must be None, as files contain no code, got \[EarlyStopping.*\]: write "
            rf"set_params\(callbacks=None\) before, {PICKLE}"
        ),
    ),
    "another generator": (
        {"random_state": np.random.RandomState(np.random.PCG64(0))},
        (
            r"random_state must have the bit generator MT19937, got PCG64: write set_params\(random_state=...\) "
            rf"before, {PICKLE}"
        ),
    ),
    "a wrong parameter": ({"max_iter": -1}, "The 'max_iter' parameter of MLPClassifier must be an int"),
    "dates": ({"hidden_layer_sizes": np.array(["2020-01-01"], "M8[D]")}, "must be of one of the dtypes"),
}


@pytest.mark.parametrize("case", NOT_SAVED)
def test_parameters_with_code_are_refused_by_name(case, path):
    parameters, message = NOT_SAVED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        MLPClassifier(**parameters).save(path)
    assert not list(path.parent.iterdir())


def test_what_the_fit_has_kept_may_have_no_function_either(path):
    estimator = (
        MLPRegressor(hidden_layer_sizes=(5,), activation=SQUARE, max_iter=2, random_state=0)
        .fit(X, T)
        .set_params(activation="relu")
    )
    with pytest.raises(
        TypeError, match=r"_structure\.activation\.forward must have no function, .*: pickle the estimator"
    ):
        estimator.save(path)


def test_functions_that_are_no_longer_there_do_not_matter(path):
    """Those that drew the initial weights, or stopped the fit."""
    options = {"init": lambda shape, rng: np.full(shape, 0.1), "callbacks": [fastnn.EarlyStopping("loss")]}
    estimator = MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0, **options).fit(X, T)
    loaded = reloaded(estimator.set_params(init=None, callbacks=None), path)
    assert_equal(loaded.predict(X), estimator.predict(X))
    assert_equal(loaded._optimizer.history, estimator._optimizer.history)


def test_classes_of_users_have_no_files(path):
    with pytest.raises(
        TypeError, match=r"the estimator must be of a class of fastnn, .* got the class Mine: pickle it"
    ):
        Mine().save(path)
    MLPClassifier().save(path)
    with pytest.raises(TypeError, match=r"the estimator must be of a class of fastnn, .* got the class Mine"):
        Mine.load(path)


def test_labels_and_categories_are_numbers_or_strings(path):
    days = np.array(["2020-01-01", "2020-01-02"], "M8[D]")[SIDE]
    estimator = MLPClassifier((5,), max_iter=2, random_state=0).fit(X, SIDE)
    estimator._label_binarizer.classes_ = estimator.classes_ = np.unique(days)
    with pytest.raises(TypeError, match=r"classes_ must be numbers or strings, got dtype datetime64\[D\]: fit with"):
        estimator.save(path)
    estimator.classes_ = np.array([5, 3])
    with pytest.raises(ValueError, match=r"classes_ must be the classes of the fit, got array\(\[5, 3\]\)"):
        estimator.save(path)
    frame = FRAME.assign(day=days).astype({"day": object})
    estimator = MLPRegressor(hidden_layer_sizes=(5,), categorical_features=["day"], max_iter=2, random_state=0)
    estimator.fit(frame[["size", "day"]], T)
    with pytest.raises(
        TypeError, match=r"X\['day'\] must have categories that are strings or numbers, .*: convert the"
    ):
        estimator.save(path)


def test_too_many_strings_are_refused_by_the_column(path, monkeypatch):
    frame = FRAME.assign(town=[f"town {i}" for i in range(N)])
    estimator = MLPRegressor(
        hidden_layer_sizes=(5,), categorical_features=["town", "day"], max_iter=2, random_state=0
    ).fit(frame, T)
    for name, most, got in (("MOST_STRINGS", 60, "60 strings"), ("MOST_STRING_BYTES", 500, "60 strings and 772")):
        with monkeypatch.context() as patch:
            patch.setattr(_content_values, name, most)
            with pytest.raises(
                ValueError, match=rf"X\['town'\] must have at most .*, got {got}.*: pickle the estimator"
            ):
                estimator.save(path)
    estimator.save(path)
    monkeypatch.setattr(_content_values, "MOST_TEXT", 10)
    with pytest.raises(ValueError, match=r"classes_ must have at most 10 characters, .*, got 3 strings of up to 7"):
        fitted("labels of strings")[0].save(path)


def test_weights_without_a_fit_are_refused(path):
    estimator = MLPRegressor(hidden_layer_sizes=(5,))
    other, *_ = fitted("one output")
    for name in ("coefs_", "intercepts_", "out_activation_"):
        setattr(estimator, name, getattr(other, name))
    with pytest.raises(ValueError, match="n_iter_ must be set by a fit, got none: call fit or partial_fit before save"):
        estimator.save(path)


# ---- NaN ----


@pytest.mark.parametrize("case", ["ema", "early stopping"])
@pytest.mark.parametrize("where", ["coefs_", "_best_coefs", "slots", "trained"])
def test_nan_is_allowed_on_request(case, where, path):
    estimator, *_ = fitted(case)
    if where == "slots":
        estimator._model.trainer.slots()[0][0] = np.nan
    elif where == "trained":
        if case != "ema":
            return
        estimator._optimizer.average.trained[0][0] = np.nan
    else:
        getattr(estimator, where)[0][0, 0] = np.nan
    estimator.save(path)
    with pytest.raises(
        ValueError,
        match=r"(the tensor '.*'.*|_optimizer\.trained) must be finite, got NaN or infinity: pass allow_nonfini",
    ):
        MLPClassifier.load(path)
    loaded = MLPClassifier.load(path, allow_nonfinite=True)
    assert_equal(attributes(loaded), attributes(estimator) | {"_optimizer": copy.copy(estimator)._optimizer})
    with pytest.raises(TypeError, match="allow_nonfinite must be True or False"):
        MLPClassifier.load(path, allow_nonfinite="yes")


# ---- files of others ----


def test_files_of_other_kinds(path):
    MLPRegressor().save(path)
    with pytest.raises(
        ValueError, match=r"must be the file of a classifier, got that of a regressor: write fastnn\.sklea"
    ):
        MLPClassifier.load(path)
    with pytest.raises(
        ValueError, match=r"must be the file of a net, got that of a regressor: write fastnn\.sklearn\.MLPR"
    ):
        fastnn.load(path)
    fitted("default")[0].net_.save(path)
    with pytest.raises(
        ValueError, match=r"must be the file of a regressor, got that of a net: write fastnn\.load\(path\)"
    ):
        MLPRegressor.load(path)
    path.write_bytes(b"\x80\x04\x95" * 5)
    with pytest.raises(ValueError, match="must be a safetensors file, got a pickle"):
        MLPClassifier.load(path)


# Functions that return a change of a file.


def entry(*keys, value):
    """Replace, or with ... delete, an entry of the content."""

    def changed(content, tensors, metadata):
        for key in keys[:-1]:
            content = content[key]
        if value is ...:
            del content[keys[-1]]
        else:
            content[keys[-1]] = value

    return changed


def tensor(name, function):
    """Replace, or with ... delete, a tensor."""

    def changed(content, tensors, metadata):
        if function is ...:
            del tensors[name]
        else:
            tensors[name] = np.asarray(function(tensors[name].copy() if name in tensors else None))

    return changed


def both(*changes):
    def changed(content, tensors, metadata):
        for each in changes:
            each(content, tensors, metadata)

    return changed


def attribute(name, value):
    return entry("fitted", "attributes", name, value=value)


def parameter(name, value):
    return entry("parameters", name, value=value)


def column(index, name, value):
    return entry("fitted", "categories", "columns", index, name, value=value)


def structure(name, value):
    return entry("fitted", "structure", name, value=value)


def optimizer(name, value):
    return entry("fitted", "optimizer", name, value=value)


def average(name, value):
    return entry("fitted", "optimizer", "average", "entries", name, value=value)


def strings(*values):
    return {"kind": "strings", "shape": [len(values)], "values": list(values)}


def set_entry(index, value):
    def function(array):
        array.flat[index] = value
        return array

    return function


def without_last(array):
    return array[:-1]


NAMED = "fastnn.classes_"
DAMAGES = {
    "default": {
        "no requests": (entry("requests", value=None), "requests must be an object"),
        "requests of a method": (entry("requests", "save", value={}), "the name of a method in requests must be"),
        "requests of a list": (entry("requests", "fit", value=[]), r"requests\.fit must be an object"),
        "an unknown request": (entry("requests", "fit", value={"x": True}), "a name in requests.fit must be one"),
        "a request of a number": (
            entry("requests", "fit", value={"X_val": 1}), r"requests\.fit\.X_val must be True, False, None, a name"
        ),
        "no name": (entry("requests", "fit", value={"X_val": "a b"}), r"requests\.fit\.X_val must be True, False"),
        "no net": (entry("net", value=None), "the content must have a net"),
        "nothing fitted": (entry("fitted", value=None), "fitted must be an object, got None"),
        "no parameters": (entry("parameters", value=...), "the content must have the keys parameters, net, fitted"),
        "another part": (entry("more", value=1), "the content must have the keys parameters, net, fitted"),
        "a part of fitted": (entry("fitted", "names", value=...), "fitted must have the keys attributes, structure"),
        "a tensor more": (tensor("fastnn.more", lambda _: np.zeros(3)), "must have no other tensors"),
        "a tensor less": (tensor("fastnn.slots.v.0.bias", ...), r"must have the tensor 'fastnn\.slots\.v\.0\.bias'"),
        "an unknown parameter": (parameter("eval", "x"), "the name of a parameter must be one of hidden_layer"),
        "parameters of a list": (entry("parameters", value=[]), "parameters must be an object, got list"),
        "a wrong parameter": (parameter("max_iter", "x"), "The 'max_iter' parameter of MLPClassifier must be"),
        "a function": (parameter("schedule", {"kind": "function", "name": "os:system"}), "schedule must name a fun"),
        "an unknown kind": (parameter("loss", {"kind": "os.system"}), r"loss\.kind must be one of fastnn's"),
        "a wrong tuple": (parameter("dropout", {"kind": "tuple", "items": 3}), r"dropout\.items must be a list"),
        "no generator": (entry("fitted", "random_state", value=None), "_random_state must be a RandomState"),
        "an unknown attribute": (attribute("predict", 1), "the name of an attribute must be one of"),
        "an attribute less": (attribute("t_", ...), r"fitted\.attributes must have t_, got none"),
        "a negative count": (attribute("n_iter_", -1), "n_iter_ must be an integer of at least 0, got -1"),
        "a count of half": (attribute("_no_improvement_count", 0.5), "_no_improvement_count must be an integer"),
        "a string as loss": (attribute("loss_", "low"), "loss_ must be a float, got 'low'"),
        "no loss": (attribute("loss_", None), "loss_ must be a float, got None"),
        "a curve of a list": (attribute("loss_curve_", [1.0]), "loss_curve_ must be a 1-dimensional array"),
        "a curve of two axes": (tensor("fastnn.loss_curve_", lambda x: x[None]), "loss_curve_ must be a 1-dim"),
        "another activation": (attribute("out_activation_", "eval"), "out_activation_ must be one of identity, logis"),
        "one of two classes": (attribute("out_activation_", "logistic"), "out_activation_ must be 'softmax' for"),
        "names of numbers": (entry("fitted", "names", value=[1, 2, 3, 4]), "feature_names_in_ must be 4 strings"),
        "a key less": (structure("scale", ...), r"fitted\.structure must have the keys activation, batch_norm"),
        "a width of half": (structure("hidden_layer_sizes", [0.5]), r"_structure\.hidden_layer_sizes\[0\] must be an"),
        "widths of a number": (structure("hidden_layer_sizes", 5), r"_structure\.hidden_layer_sizes must be a list"),
        "batch_norm of a string": (structure("batch_norm", "no"), r"_structure\.batch_norm must be True or False"),
        "an unknown activation": (structure("activation", "swosh"), "activation must be one of"),
        "one activation too many": (structure("activation", ["relu", "relu"]), "activation must have one value"),
        "other dropout": (structure("dropout", 2.0), r"_structure\.dropout must be a number in \[0, 1\]"),
        "dropout of a dict": (structure("dropout", {"kind": "dict", "entries": {}}), r"_structure\.dropout must be a"),
        "an unknown norm": (structure("norm", "swish"), "norm must be one of batch, layer"),
        "columns of a number": (structure("categorical_features", 3), r"_structure\.categorical_features must be a s"),
        "columns of arrays": (structure("categorical_features", [[1]]), r"_structure\.categorical_features must be"),
        "an unknown scale": (structure("scale", "log"), r"_structure\.scale must be one of standard"),
        "a scale without a scaler": (structure("scale", "robust"), r"net\.scaler must be a RobustScaler, as in the p"),
        "another layer": (structure("activation", "tanh"), r"net\.layers\[1\] must be Tanh\(\), as in the parameters"),
        "a layer more": (structure("dropout", 0.5), r"net\.layers\[2\] must be Dropout"),
        "a layer less": (entry("net", "config", "layers", 1, value=...), r"must have the tensor '1\.weight', got none"),
        "no layer": (entry("net", "config", "layers", value=[]), "must be at least one layer"),
        "another width": (entry("net", "config", "layers", 0, "out_features", value=6), "must have 24 entries"),
        "no dense layer": (entry("net", "config", "layers", value=[{"kind": "nn.ReLU"}]), "layers must contain a "),
        "frozen": (entry("net", "frozen", value=["0.weight"]), r"net\.frozen must be empty, as estimators train"),
        "transposed": (tensor("0.weight", np.transpose), r"must have shape \(5, 4\), got shape \(4, 5\)"),
        "float16": (tensor("0.weight", lambda x: x.astype(np.float16)), "of 4 or 8 bytes, got float16"),
        "a class less": (tensor(NAMED, without_last), "net must have 1 outputs, for 2 classes, got 3"),
        "a class more": (tensor(NAMED, lambda x: np.arange(4)), "net must have 4 outputs, for 4 classes, got 3"),
        "a class twice": (tensor(NAMED, lambda x: np.array([0, 1, 1])), "classes_ must be in ascending order, each"),
        "not in order": (tensor(NAMED, lambda x: x[::-1].copy()), "classes_ must be in ascending order"),
        "classes of NaN": (tensor(NAMED, lambda x: np.array([0, 1, np.nan])), "classes_ must be whole numbers"),
        "classes of two axes": (tensor(NAMED, lambda x: x[None]), "classes_ must be 1-dimensional"),
        "classes of None": (entry("fitted", "classes", "classes_", value=None), "classes_ must be an array"),
        "no classes": (entry("fitted", "classes", value=None), r"fitted\.classes must be an object"),
        "sparse of a number": (entry("fitted", "classes", "sparse", value=1), "sparse must be True or False"),
        "an unknown update": (optimizer("kind", "eval"), r"_optimizer\.kind must be one of"),
        "another update": (optimizer("kind", "adadelta"), r"must have the tensor 'fastnn\.slots\.\w+\.0\.weight'"),
        "negative t": (optimizer("t", -1), r"_optimizer\.t must be an integer from 0"),
        "t too large": (optimizer("t", 2**63 - 1), r"_optimizer\.t must be an integer from 0"),
        "no rate": (optimizer("base_rate", None), r"_optimizer\.base_rate must be a finite number"),
        "a negative rate": (optimizer("learning_rate", -1.0), r"_optimizer\.learning_rate must be a finite number"),
        "a slot of another shape": (tensor("fastnn.slots.m.0.bias", without_last), r"have shape \(5,\), got \(4,\)"),
        "a slot of integers": (tensor("fastnn.slots.m.0.bias", np.int64), "must be of dtype float32 or float64"),
        "a negative square": (tensor("fastnn.slots.v.0.bias", set_entry(0, -1.0)), "contain no number below 0"),
        "no history": (optimizer("history", None), r"_optimizer\.history must be an object"),
        "no best weights": (entry("fitted", "best", value=0), r"fitted\.best must be an integer from 1"),
        "too many": (entry("fitted", "best", value=3), r"must have the tensor 'fastnn\.best\.coefs\.2'"),
        "do not chain": (tensor("fastnn.best.coefs.1", without_last), r"_best_coefs\[1\] must have 5 rows"),
        "best of float16": (tensor("fastnn.best.coefs.1", np.float16), "must be of dtype float32 or float64"),
    },
    "Adam": {
        "a wrong record": (parameter("optimizer", {"kind": "optim.Adam"}), "optimizer must have the keys kind, lr"),
    },
    "class weights": {
        "wrong pairs": (entry("parameters", "class_weight", "items", 0, value=[1]), "list of key and value"),
        "a list as key": (entry("parameters", "class_weight", "items", 0, 0, value=[]), "must be a number"),
        "a key twice": (entry("parameters", "class_weight", "items", 0, 0, value=1), "have each key once"),
    },
    "dtype by class": {
        "another dtype": (entry("parameters", "dtype", "name", value="float16"), "must be one of float32"),
    },
    "categories by an array": {
        "text of numbers": (entry("parameters", "categorical_features", "strings", value=3), "be an array of strings"),
    },
    "a RandomState": {
        "a state too short": (tensor("fastnn.random_state", without_last), "must be 624 numbers of uint32"),
        "a state of zeros": (tensor("fastnn.random_state", np.zeros_like), "624 numbers .* not all of them 0"),
        "a wrong position": (entry("parameters", "random_state", "pos", value=625), r"pos must be .*to 624"),
        "a wrong number": (entry("parameters", "random_state", "gauss", value="x"), r"gauss must be a finite"),
    },
    "two classes": {
        "softmax of two": (attribute("out_activation_", "softmax"), "out_activation_ must be 'logistic'"),
        "no class": (tensor(NAMED, lambda x: x[:0]), "classes_ must be 1-dimensional, not empty"),
        "several labels of one": (entry("fitted", "classes", "multilabel", value=True), "net must have 2 outputs"),
        "a sparse label": (entry("fitted", "classes", "sparse", value=True), r"fitted\.classes\.sparse must be F"),
    },
    "one output": {
        "a regressor's": (attribute("out_activation_", "softmax"), "out_activation_ must be one of identity, exp"),
        "no activation": (attribute("out_activation_", None), "out_activation_ must be one of identity, logis"),
        "a regressor's classes": (entry("fitted", "classes", value={}), r"fitted\.classes must be None for a reg"),
    },
    "categories by number": {
        "names too few": (entry("fitted", "names", value=strings("a")), "feature_names_in_ must be 4"),
        "a category less": (column(0, "values", strings("a", "b")), r"coefs_\[0\] must have 4 rows, one per input"),
        "not sorted": (column(0, "values", strings("b", "a", "c")), r"categories\.1 must have .* in asc"),
        "twice": (column(0, "values", strings("a", "a", "b")), r"categories\.1 must have .* each once"),
        "days not sorted": (tensor("fastnn.categories.2", lambda x: x[::-1].copy()), "in ascending"),
        "days too many": (tensor("fastnn.categories.2", lambda x: np.arange(9)), "coefs_.*must have"),
        "days of float32": (tensor("fastnn.categories.2", np.float32), "array of int64 or float64"),
        "days of NaN": (tensor("fastnn.categories.2", lambda x: x * np.nan), "have finite categories"),
        "strings of numbers": (column(0, "kind", "numbers"), r"categories\.1 must be a 1-dimensional"),
        "an unknown kind of category": (column(0, "kind", "date"), r"kind must be one of strings, num"),
        "no categories": (column(0, "values", strings()), "must have categories with the kind"),
        "missing of a number": (column(0, "missing", 1), "missing must be True or False"),
        "missing days": (column(1, "missing", True), "must have float64 categories with missing"),
        "a column less": (entry("fitted", "categories", "columns", 1, value=...), "one entry for each"),
        "a mask of none": (tensor("fastnn.categories.mask", np.zeros_like), "one entry for each column"),
        "a short mask": (tensor("fastnn.categories.mask", without_last), r"categories\.mask must be 4"),
        "labels too few": (entry("fitted", "categories", "labels", value=strings("a")), "must be 4 str"),
        "other columns": (tensor("fastnn.categories.mask", lambda x: x[[1, 0, 2, 3]]), r"net\.layers\[0\] must be P"),
        "categories not asked for": (structure("categorical_features", None), "without categorical_f"),
        "no columns": (entry("fitted", "categories", value=None), "n_features_in_ must be 5 to match coefs_"),
    },
    "batch norm": {
        "another norm": (structure("batch_norm", False), "other_parameters_ must have the keys"),
        "negative variance": (tensor("1.running_var", set_entry(0, -1.0)), "contain no number below 0"),
    },
    "scale robust": {
        "another scaler": (structure("scale", "standard"), r"net\.scaler must be a Scaler, as in"),
        "a scaler too many": (structure("scale", None), r"net\.scaler must be None, as in the parameters"),
    },
    "scale_targets": {
        "no output scaler": (entry("net", "output_scaler", value=None), r"net\.output_scaler must be a Scaler, as"),
    },
    "labels of strings": {
        "words not in order": (
            entry("fitted", "classes", "classes_", "strings", "values", value=["yes", "no", "a"]),
            "classes_ must be in ascending order",
        ),
        "classes as objects": (
            entry("fitted", "classes", "classes_", value=strings("a", "b", "c")),
            "classes_ must be numbers or strings, got dtype object",
        ),
    },
    "categories, missing": {
        "nothing": (column(2, "missing", False), "missing values alone with the kind ''"),
    },
    "ema": {
        "an unknown average": (average("kind", "max"), r"average\['kind'\] must be one of ema"),
        "no kind of average": (average("kind", ...), r"average\['kind'\] must be one of ema"),
        "a kind of a list": (average("kind", []), r"average\['kind'\] must be one of ema"),
        "a negative average": (average("count", -1), r"average\['count'\] must be an integer"),
        "an average of another shape": (
            tensor("fastnn.average.values.0.weight", np.transpose),
            r"_optimizer\.average\['values'\]\['0\.weight'\] must have shape \(5, 4\)",
        ),
        "an average less": (tensor("fastnn.trained.params.0.weight", ...), r"the tensor 'fastnn\.trained\.params\.0"),
        "an average of NaN": (
            tensor("fastnn.average.values.0.weight", set_entry(0, np.nan)),
            r"_optimizer\.average must be finite, got NaN or infinity: pass allow_nonfinite",
        ),
        "no average": (optimizer("average", None), r"_optimizer\.average must be a dict"),
        "an average of a list": (optimizer("average", []), r"_optimizer\.average must be a dict"),
        "nothing trained": (optimizer("trained", None), r"_optimizer\.trained must be a mapping"),
        "a variance below 0": (
            tensor("fastnn.trained.state.1.running_var", set_entry(0, -1.0)),
            r"trained\['state'\]\['1.running_var'\] must contain no number below 0",
        ),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def saved_files(tmp_path_factory):
    """Return a function that returns the file of a case, made once."""
    folder, made = tmp_path_factory.mktemp("files"), {}

    def file_of(case):
        if case not in made:
            estimator, *_ = fitted(case)
            made[case] = type(estimator), folder / f"{len(made)}"
            estimator.save(made[case][1])
        return made[case]

    return file_of


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("case", "damage"), [(case, each) for case, damages in DAMAGES.items() for each in damages])
def test_forged_files_are_refused(case, damage, saved_files, path):
    changed, message = DAMAGES[case][damage]
    kind, original = saved_files(case)
    path.write_bytes(original.read_bytes())
    change(path, lambda *_: None)
    kind.load(path)
    change(path, changed)
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        kind.load(path)
    assert re.match(r"[\S ]+ must ", str(caught.value)), "the form of messages"


def test_a_file_without_a_later_parameter_has_its_default(saved_files, path):
    kind, original = saved_files("ema")
    path.write_bytes(original.read_bytes())
    change(path, entry("parameters", "accumulate", value=...))
    assert kind.load(path).accumulate == 1


def test_cut_files_are_refused(saved_files, path):
    kind, original = saved_files("ema")
    whole = original.read_bytes()
    for length in (*range(64), *range(64, len(whole), 97)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="must"):
            kind.load(path)
    with reading(original, "classifier") as saved:
        for name in saved.file.entries:
            saved.take(name)
