"""`fastnn.diagnose` of estimators: every option and every form of data gives a report, and nothing else changes."""

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis import KINDS
from fastnn.sklearn import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
BINARY = (X[:, 0] + X[:, 1] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
SEVERAL = (X[:, :3] > 0).astype(int)
RARE = (X[:, 0] > 1.3).astype(int)
NUMBERS = X[:, 0] - X[:, 1]


def holed(x, *entries):
    x = np.array(x, x.dtype if x.dtype.kind == "O" else float)
    for index in entries:
        x[index] = None if x.dtype.kind == "O" else np.nan
    return x


def classifier(**parameters):
    return MLPClassifier(**{"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0} | parameters)


def regressor(**parameters):
    return MLPRegressor(**{"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0} | parameters)


HOLED = holed(X, (2, 1), (7, 0))
INFINITE = np.where(np.isnan(HOLED), np.inf, HOLED)
CODES = np.c_[X[:, 0], THREE, X[:, 1]]
SQUARES = nn.CustomLoss(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 2 * (z - t))

# Options and forms of data that `fit` takes.
ACCEPTED = {
    "two classes": (classifier(), X, BINARY),
    "three classes": (classifier(), X, THREE),
    "strings": (classifier(), X, np.array(["no", "yes", "so"])[THREE]),
    "objects": (classifier(), X, np.array(["no", "yes"], object)[BINARY]),
    "lists": (classifier(), X.tolist(), BINARY.tolist()),
    "several labels": (classifier(), X, SEVERAL),
    "several targets": (regressor(), X, X[:, :2]),
    "float32": (regressor(), X.astype(np.float32), NUMBERS),
    "sparse": (classifier(), scipy.sparse.csr_matrix(X), BINARY),
    "no hidden layer": (classifier(hidden_layer_sizes=()), X, BINARY),
    "residual": (classifier(hidden_layer_sizes=(8, 8), residual=True, dropout=0.2), X, BINARY),
    "norm": (classifier(norm="batch"), X, BINARY),
    "layer norm": (classifier(norm="layer"), X, BINARY),
    "activations": (classifier(activation=["prelu"]), X, BINARY),
    "logistic": (classifier(activation="logistic"), X, BINARY),
    "lbfgs": (classifier(solver="lbfgs"), X, BINARY),
    "lbfgs, several targets": (regressor(solver="lbfgs"), X, X[:, :2]),
    "sgd": (classifier(solver="sgd", learning_rate="invscaling"), X, BINARY),
    "adaptive": (classifier(solver="sgd", learning_rate="adaptive"), X, BINARY),
    "optimizer": (classifier(optimizer=optim.AdamW(lr=0.01)), X, BINARY),
    "schedule": (classifier(schedule="CosineAnnealingLR"), X, BINARY),
    "early stopping": (classifier(early_stopping=True), X, BINARY),
    "scoring": (classifier(scoring="accuracy", early_stopping=True), X, BINARY),
    "callbacks": (classifier(callbacks=[fastnn.EarlyStopping("loss")], warm_start=True), X, BINARY),
    "class weights": (classifier(class_weight="balanced"), X, RARE),
    "imbalance": (classifier(), X, RARE),
    "augment": (classifier(augment=["mixup", "gaussian_noise"]), X, BINARY),
    "average": (classifier(average=optim.EMA(0.5), accumulate=2, batch_size=16), X, BINARY),
    "categories": (regressor(categorical_features=[1], scale="standard"), CODES, NUMBERS),
    "hinge": (classifier(loss="hinge"), X, BINARY),
    "margin": (classifier(loss="multi_margin"), X, THREE),
    "poisson": (regressor(loss="poisson"), X, np.abs(NUMBERS)),
    "custom loss": (regressor(loss=SQUARES), X, NUMBERS),
    "scaled targets": (regressor(scale_targets=True, n_threads=1), X, 1e-30 * NUMBERS),
    "huge targets": (regressor(), X, 1e30 * NUMBERS),
    "one class": (classifier(), X, np.ones(90)),
    "one row": (regressor(), X[:1], NUMBERS[:1]),
    "two rows": (classifier(), X[:2], [0, 1]),
    "random state": (classifier(random_state=np.random.RandomState(1)), X, BINARY),
}  # fmt: skip

# What `fit` refuses, and the kind of the first finding.
REFUSED = {
    "NaN": (classifier(scale="robust"), HOLED, BINARY, "columns"),
    "infinity": (regressor(), INFINITE, NUMBERS, "columns"),
    "float32": (classifier(), HOLED.astype(np.float32), BINARY, "columns"),
    "sparse": (classifier(), scipy.sparse.csr_matrix(HOLED), BINARY, "columns"),
    "all NaN": (classifier(), np.full_like(X, np.nan), BINARY, "columns"),
    "NaN beside categories": (regressor(categorical_features=[1]), holed(CODES, (3, 2)), NUMBERS, "columns"),
    "NaN among targets": (regressor(), X, holed(NUMBERS, 3), "labels"),
    "NaN among several": (regressor(), X, holed(X[:, :2], (3, 1)), "labels"),
    "only NaN": (regressor(), X, np.full(90, np.nan), "labels"),
    "NaN among classes": (classifier(), X, holed(BINARY, 3), "labels"),
    "None among classes": (classifier(), X, holed(np.array(["no", "yes"], object)[BINARY], 3), "labels"),
}


def fitted(estimator, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(x, y)


def state(estimator):
    """Return all that an estimator has; its loss may be one of functions, which no file holds."""
    if isinstance(getattr(estimator, "loss", None), nn.Loss):
        estimator = {name: value for name, value in vars(estimator).items() if name not in ("loss", "_model")}
    return pickle.dumps(estimator)


def diagnosed(estimator, x, y, **arguments):
    """Return the report, having checked that nothing but the report has come of it."""
    before, numbers = state(estimator), np.random.get_state()[1].copy()  # noqa: NPY002 - that it stays is the test
    report = fastnn.diagnose(estimator, x, y, **arguments)
    assert state(estimator) == before
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002
    assert set(report.kinds) <= set(KINDS)
    assert str(report)
    for each in report.findings:
        assert "trainer." not in each.change
        assert "Trainer(" not in each.change
    return report


SLOW = ("lbfgs, several targets", "layer norm", "activations", "sgd", "adaptive", "scoring")
FITTED = ("two classes", "several targets", "categories", "lbfgs", "class weights", "callbacks")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ACCEPTED]
)
def test_what_fit_takes_gives_a_report_before_the_fit(name):
    estimator, x, y = ACCEPTED[name]
    diagnosed(estimator, x, y)
    assert not hasattr(estimator, "coefs_")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FITTED else pytest.mark.slow) for name in ACCEPTED]
)
def test_what_fit_takes_gives_a_report_after_the_fit(name):
    estimator, x, y = ACCEPTED[name]
    diagnosed(fitted(type(estimator)(**estimator.get_params()), x, y), x, y)


@pytest.mark.parametrize("name", REFUSED)
def test_what_fit_refuses_is_reported(name):
    estimator, x, y, kind = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=r"NaN|infinity|None"):
        fitted(estimator, x, y)
    assert diagnosed(estimator, x, y).findings[0].kind == kind


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("all NaN", "only NaN")])
def test_what_fit_refuses_is_mended_by_the_change(name):
    estimator, x, y, kind = REFUSED[name]
    change = diagnosed(estimator, x, y).findings[0].change
    if "import pandas" in change:
        pytest.importorskip("pandas")
    arrays = {"X": x, "y": y, "np": np}
    exec(change, arrays)  # noqa: S102 - it is our text
    mended = fitted(type(estimator)(**estimator.get_params()), arrays["X"], arrays["y"])
    assert ("SimpleImputer" in change) == (kind == "columns")
    assert len(mended.predict(arrays["X"])) == x.shape[0] - (kind == "labels")


def test_labels_without_a_relation_to_the_rows():
    """The change speaks of no loss: the estimator's is another one for two classes than for three."""
    x, y = np.random.default_rng(3).normal(size=(400, 4)), np.random.default_rng(4).integers(0, 2, 400)
    report = diagnosed(classifier(max_iter=30), x, y)
    found = {each.kind: each for each in report.findings}["labels"]
    assert found.severity != "error"
    assert "nn." not in found.change
    exec(found.change, {"X": x, "y": y})  # noqa: S102 - it is our text


def test_a_change_that_does_not_go_with_the_net_has_words():
    """A block that adds its input is as wide as that: the net's own layers cannot be made wider one by one."""
    report = diagnosed(classifier(hidden_layer_sizes=(1, 1), residual=True, max_iter=90), *noisy(300))
    found = {each.kind: each for each in report.findings}["units"]
    assert found.change == "clf.set_params(hidden_layer_sizes=(32, 32))"


def test_columns_of_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": holed(X[:, 0], 3), "b": pandas.Categorical(np.where(X[:, 1] > 0, "x", "y"))})
    report = diagnosed(classifier(categorical_features="from_dtype", scale="standard"), frame, BINARY)
    assert report.findings[0].kind == "columns"
    assert report.findings[0].evidence["columns"] == [0]
    frame = frame.assign(a=X[:, 0])
    assert "columns" not in diagnosed(classifier(categorical_features=["b"]), frame, BINARY).kinds


def test_equal_reports_on_both_backends_and_in_a_second_call(impl):
    estimator = classifier()
    with fastnn.num_threads(2):
        first = diagnosed(estimator, X, BINARY)
    assert str(diagnosed(estimator, X, BINARY)) == str(first)


def test_fits_after_a_diagnosis_have_the_bits_of_fits_without():
    one, other = (classifier(random_state=np.random.RandomState(5), dropout=0.1) for _ in range(2))
    for _ in range(2):
        diagnosed(one, X, BINARY)
        fitted(one, X, BINARY), fitted(other, X, BINARY)
        assert all(map(np.array_equal, one.coefs_, other.coefs_))
    for _ in range(2):
        diagnosed(one, X, BINARY)
        one.partial_fit(X, BINARY), other.partial_fit(X, BINARY)
        assert all(map(np.array_equal, one.coefs_, other.coefs_))


def noisy(n, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 6))
    return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(int)


WORDS = {
    "input-scale": (classifier(max_iter=20), X * [1, 1e4, 1, 1], BINARY, 'clf.set_params(scale="standard")'),
    "learning-rate-low": (classifier(learning_rate_init=1e-5, max_iter=40), X, BINARY, "clf.set_params(learning_rate_"),
    "target-scale": (regressor(max_iter=40, batch_size=8), X, NUMBERS + 1e3, "reg.set_params(scale_targets=True)"),
    "epochs": (classifier(max_iter=3, batch_size=16), X, BINARY, "clf.set_params(max_iter="),
    "imbalance": (classifier(max_iter=30, batch_size=8), X, RARE, 'clf.set_params(class_weight="balanced")'),
    "batch-size": (classifier(batch_size=90), X, BINARY, "clf.set_params(batch_size=32)"),
    "validation": (classifier(), X, BINARY, "clf.fit(X, y, eval_set=(X_val, y_val))"),
    "symmetry": (classifier(init="zeros", max_iter=30), X, BINARY, "clf.set_params(init=None)"),
    "units": (classifier(hidden_layer_sizes=(1,), max_iter=90), *noisy(300), "hidden_layer_sizes=(32,)"),
    "regularisation": (classifier(dropout=0.9, alpha=9, max_iter=30), X, BINARY, "set_params(alpha=0, dropout=0.0)"),
    "loss": (regressor(), X, BINARY, "clf = MLPClassifier(...)"),
    "linear": (classifier(hidden_layer_sizes=(9, 9), activation="identity", max_iter=90), *noisy(300), '"relu"'),
    "columns": (classifier(), HOLED, BINARY, "SimpleImputer()"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WORDS)
def test_changes_are_written_in_parameters(kind):
    estimator, x, y, change = WORDS[kind]
    report = diagnosed(estimator, x, y)
    found = {each.kind: each.change for each in report.findings}
    assert change in found.get(kind, ""), report


def test_the_changes_are_calls_that_run():
    """Every `set_params` that is recommended is one that `fit` takes."""
    for estimator, x, y, _ in WORDS.values():
        for each in fastnn.diagnose(estimator, x, y).findings:
            if "set_params" in each.change:
                twin = type(estimator)(**estimator.get_params())
                exec(each.change, {"clf": twin, "reg": twin, "nn": nn, "optim": optim})  # noqa: S102 - it is our text
                assert twin.get_params() != estimator.get_params(), each
                if not np.isnan(np.min(x)):
                    fitted(twin.set_params(max_iter=2), x, y)


def test_epochs_are_those_of_the_fits_so_far():
    estimator = fitted(classifier(max_iter=300, tol=0.1, n_iter_no_change=2), X, BINARY)
    assert estimator.n_iter_ < 300
    assert diagnosed(estimator, X, BINARY).epochs == estimator.n_iter_
    assert diagnosed(estimator, X, BINARY, epochs=3).epochs == 3
    assert diagnosed(estimator.set_params(max_iter=4), X, BINARY).epochs == 4  # the next fit's, once it is changed


def test_class_weights_need_no_other_ones_and_early_stopping_no_validation():
    report = diagnosed(classifier(class_weight="balanced", early_stopping=True), X, RARE)
    assert not {"imbalance", "validation"} & set(report.kinds)


def test_validation_data_are_those_of_fit():
    y = np.array(["no", "yes"])[BINARY]
    report = diagnosed(classifier(), X[:60], y[:60], validation_data=(X[60:], y[60:]))
    assert report.rows == 30
    assert "validation" not in report.kinds


PIPE = make_pipeline(StandardScaler(), classifier())
ERRORS = [
    (PIPE, {}, TypeError, r"diagnose\(pipe\[-1\], pipe\[:-1\].transform\(X\), y\)"),
    (GridSearchCV(classifier(), {"alpha": [1]}), {}, TypeError, "such as search.best_estimator_"),
    (StandardScaler(), {}, TypeError, "be a net, a Trainer or an estimator"),
    (classifier(), {"loss": "hinge"}, ValueError, r"clf.set_params\(loss=...\)"),
    (classifier(alpha=-1), {}, ValueError, "alpha"),
    (classifier(solver="lbfgs", dropout=0.5), {}, ValueError, "dropout must be 0.0 with solver='lbfgs'"),
]


@pytest.mark.parametrize(("estimator", "arguments", "error", "message"), ERRORS)
def test_errors(estimator, arguments, error, message):
    with pytest.raises(error, match=message):
        fastnn.diagnose(estimator, X, BINARY, **arguments)


def test_arrays_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fastnn.diagnose(classifier(), X, BINARY[:-1])
    with pytest.raises(ValueError, match="2D array"):
        fastnn.diagnose(classifier(), X[0], BINARY[:1])
