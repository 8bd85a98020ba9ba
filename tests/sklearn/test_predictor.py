"""Predictors of estimators, and predictions of few rows: bits, kinds of results, what is refused, updates."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import fastnn
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4))
NUMBERS = RNG.normal(size=(150, 2))
CLASSIFIED = {
    "two classes": (X[:, 0] > 0).astype(int),
    "two names": np.where(X[:, 0] > 0, "yes", "no"),
    "three names": np.array(["a", "b", "long"])[RNG.integers(0, 3, 150)],
    "objects": np.array(["a", "b", "c"], dtype=object)[RNG.integers(0, 3, 150)],
    "labels": (X[:, :3] > 0).astype(int),
    "one class": np.full(150, 7),
}
OPTIONS = {
    "plain": {},
    "scaled": {"scale": "standard"},
    "batch norm": {"batch_norm": True},
    "residual": {"hidden_layer_sizes": (8, 8), "residual": True, "norm": "layer"},
    "float64": {"dtype": "float64"},
}
TARGETS = {"one": NUMBERS[:, 0], "two": NUMBERS}
REGRESSIONS = {**OPTIONS, "scaled targets": {"scale_targets": True}, "poisson": {"loss": "poisson"}}


def fitted(kind, y, **options):
    options = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0, **options}
    return kind(**options).fit(X.astype(np.float32), np.abs(y) if options.get("loss") == "poisson" else y)


def check(estimator, method, kinds=(np.float32, np.float64)):
    """Compare single rows, few rows and a predictor with the method's result for all rows."""
    whole_method = getattr(estimator, method)
    for kind in kinds:
        rows = X.astype(kind)
        whole = whole_method(rows)
        p = estimator.predictor(method=method)
        for call in (whole_method, p):
            for step in (1, 5, 64):
                parts = [call(rows[i : i + step]) for i in range(0, 150 if step > 1 else 10, step)]
                assert {part.dtype for part in parts} == {whole.dtype}
                together = np.concatenate(parts)
                np.testing.assert_array_equal(together, whole[: len(together)])
        for n in (3, 150):
            out = np.empty_like(whole[:n])
            assert p(rows[:n], out=out) is out
            np.testing.assert_array_equal(out, whole[:n])


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("y", CLASSIFIED)
def test_classifiers(y, options):
    estimator = fitted(MLPClassifier, CLASSIFIED[y], **OPTIONS[options])
    for method in ("predict", "predict_proba"):
        check(estimator, method)


@pytest.mark.parametrize("options", REGRESSIONS)
@pytest.mark.parametrize("y", TARGETS)
def test_regressors(y, options):
    check(fitted(MLPRegressor, TARGETS[y], **REGRESSIONS[options]), "predict")


def test_the_usual_calls_are_plain():
    for estimator, methods in (
        (fitted(MLPClassifier, CLASSIFIED["three names"]), ("predict", "predict_proba")),
        (fitted(MLPRegressor, TARGETS["one"]), ("predict",)),
    ):
        rows = X[:3]
        for method in methods:
            expected = getattr(estimator, method)(rows)
            np.testing.assert_array_equal(estimator._plain_result(method, rows), expected)
            for other in (
                rows.tolist(),
                np.tile(X, (4, 1)),
                rows[:0],
                rows[:, :3],
                np.full((1, 4), np.nan),
                np.ones((1, 4), int),
            ):
                assert estimator._plain_result(method, other) is None
            with fastnn.backend("reference"):
                assert estimator._plain_result(method, rows) is None


@pytest.mark.parametrize("attribute", ["coefs_", "intercepts_"])
def test_arrays_that_are_assigned_or_written(attribute):
    estimator = fitted(MLPClassifier, CLASSIFIED["two classes"])
    other = fitted(MLPClassifier, CLASSIFIED["two classes"], random_state=1)
    rows = X[:2].astype(np.float32)
    estimator.predict_proba(rows)
    for array, values in zip(getattr(estimator, attribute), getattr(other, attribute), strict=True):
        array[...] = values
    written = estimator.predict_proba(rows)
    fresh = fitted(MLPClassifier, CLASSIFIED["two classes"])
    fresh.predict_proba(rows)
    setattr(fresh, attribute, getattr(other, attribute))
    np.testing.assert_array_equal(written, fresh.predict_proba(rows))
    assert (written != fitted(MLPClassifier, CLASSIFIED["two classes"]).predict_proba(rows)).all()


def test_predictions_after_fits():
    estimator = fitted(MLPClassifier, CLASSIFIED["two names"])
    rows = X[:2]
    estimator.predict(rows)
    for y in (CLASSIFIED["three names"], CLASSIFIED["labels"], CLASSIFIED["two classes"]):
        estimator.fit(X, y)
        for n in (2, 100):
            np.testing.assert_array_equal(estimator.predict(X[:n]), copy.deepcopy(estimator).predict(X)[:n])
    estimator.partial_fit(X, CLASSIFIED["two classes"])
    np.testing.assert_array_equal(estimator.predict_proba(rows), estimator.predict_proba(X)[:2])


def test_update_after_fits():
    estimator = fitted(MLPClassifier, CLASSIFIED["two names"])
    p = estimator.predictor(rows=8, method="predict_proba")
    before = p(X[:5])
    estimator.fit(X[:, :3], CLASSIFIED["three names"])
    np.testing.assert_array_equal(p(X[:5]), before)
    p.update()
    np.testing.assert_array_equal(p(X[:5, :3]), estimator.predict_proba(X[:, :3])[:5])
    del estimator
    gc.collect()
    with pytest.raises(RuntimeError, match="the estimator of this predictor does not exist any more"):
        p.update()
    assert p(X[:5, :3]).shape == (5, 3)


def test_a_predictor_keeps_no_model_alive():
    estimator = fitted(MLPRegressor, NUMBERS)
    p, freed = estimator.predictor(), []
    weakref.finalize(estimator._model, freed.append, True)
    del estimator
    gc.collect()
    assert freed and p(X[:2]).shape == (2, 2)


def test_columns_with_names_and_categories():
    frame = pd.DataFrame(X, columns=list("abcd"))
    estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(frame, NUMBERS[:, 0])
    p = estimator.predictor()
    expected = estimator.predict(frame)
    for n in (3, 100):
        np.testing.assert_array_equal(p(frame[:n]), expected[:n])
        np.testing.assert_array_equal(p(X[:n]), expected[:n])  # without a warning: a predictor takes arrays
    with pytest.raises(ValueError, match="feature names"):
        p(frame[["b", "a", "c", "d"]])
    frame["a"] = np.where(X[:, 0] > 0, "x", "y")
    estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, categorical_features=["a"])
    estimator.fit(frame, NUMBERS[:, 0])
    np.testing.assert_array_equal(estimator.predictor()(frame[:3]), estimator.predict(frame)[:3])


REFUSED = {
    "NaN": (np.full((1, 4), np.nan), None, "NaN"),
    "infinity": (np.full((1, 4), np.inf), None, "infinity"),
    "columns": (X[:1, :3], None, "3 features"),
    "one axis": (X[0], None, "Expected 2D array"),
    "no axis": (np.array(1.0), None, "Expected 2D array"),
    "rows": (X[:9], None, r"X must have at most 8 rows.*write predictor\(rows=9\)"),
    "dtype of out": (X[:2], np.empty(2, np.int16), "out must have dtype int64, got dtype int16"),
    "shape of out": (X[:2], np.empty((2, 1), np.int64), "out must be 1-dimensional, of shape"),
    "out is strided": (X[:2], np.empty(4, np.int64)[::2], "out must be C-contiguous"),
    "out is a list": (X[:2], [0, 0], "out must be an ndarray"),
    "out is not writable": (X[:1], np.broadcast_to(np.int64(0), (1,)), "out must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    rows, out, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        fitted(MLPClassifier, CLASSIFIED["two classes"]).predictor(rows=8)(rows, out)


class Fives(MLPRegressor):
    def predict(self, X):
        return super().predict(X) * 0 + 5


class Certain(MLPClassifier):
    def _forward_pass_fast(self, X, check_input=True):
        return np.ones((len(X), 1))


def test_classes_with_methods_of_their_own():
    five = fitted(Fives, NUMBERS[:, 0])
    sure = fitted(Certain, CLASSIFIED["two classes"])
    for _ in range(3):
        for rows in (X[:1], X[:1].tolist()):
            assert five.predict(rows) == five.predictor()(rows) == [5.0]
            assert (
                sure.predict_proba(rows).tolist() == sure.predictor(method="predict_proba")(rows).tolist() == [[0, 1]]
            )


def test_attributes_that_are_set_after_a_prediction():
    estimator = fitted(MLPClassifier, CLASSIFIED["two classes"])
    p = estimator.predictor()
    before = estimator.predict(X[:3])
    np.testing.assert_array_equal(p(X[:3]), before)
    estimator.classes_[...] = [10, 20]
    np.testing.assert_array_equal(p(X[:3]), before)
    np.testing.assert_array_equal(estimator.predict(X[:3]), 10 * before + 10)
    p.update()
    np.testing.assert_array_equal(p(X[:3]), 10 * before + 10)
    estimator.out_activation_ = "identity"
    np.testing.assert_array_equal(estimator.predict_proba(X[:3]), estimator.predict_proba(X)[:3])
    for name, error in (("n_features_in_", AttributeError), ("coefs_", AttributeError), ("coefs_", TypeError)):
        broken = copy.deepcopy(estimator)
        broken.predict(X[:3])
        if error is TypeError:
            broken.coefs_ = None
        else:
            delattr(broken, name)
        with pytest.raises(error):
            broken.predict(X[:3])


def test_out_may_not_overlap():
    estimator = MLPClassifier(hidden_layer_sizes=(4,), max_iter=2).fit(X[:, :1], CLASSIFIED["two classes"] * 1.0)
    p, rows = estimator.predictor(), X[:3, :1].copy()
    with pytest.raises(ValueError, match="out must share no memory with X"):
        p(rows, rows[:, 0])
    np.testing.assert_array_equal(rows, X[:3, :1])
    np.testing.assert_array_equal(p(rows, np.empty(3)), estimator.predict(rows))


def test_facts():
    p = fitted(MLPClassifier, CLASSIFIED["two names"]).predictor(method="predict_proba")
    assert (p.in_features, p.out_features, p.dtype, p.rows) == (4, 2, np.dtype(np.float32), None)
    assert repr(p) == "<Predictor of an estimator: 4 features, results of 2 columns and float32, native>"
    p = fitted(MLPClassifier, CLASSIFIED["three names"]).predictor()
    assert (p.out_features, p.dtype) == (None, np.dtype("<U4"))
    p = fitted(MLPClassifier, CLASSIFIED["labels"]).predictor()
    assert p.out_features == 3 and p.dtype == p(X[:2]).dtype
    assert fitted(MLPRegressor, NUMBERS[:, 0], dtype="float64").predictor().dtype == np.float64
    with pytest.raises(TypeError, match="pickle or copy the estimator"):
        pickle.dumps(p)


def test_update_takes_values_of_the_same_model(monkeypatch):
    """Twice the same two snapshots: later updates copy values alone."""
    estimator = fitted(MLPClassifier, CLASSIFIED["two classes"])
    p = estimator.predictor(method="predict_proba")
    p.update()
    monkeypatch.setattr(type(p), "_new_calls", None)
    for _ in range(4):
        estimator.partial_fit(X.astype(np.float32), CLASSIFIED["two classes"])
        p.update()
        for n in (2, 150):
            np.testing.assert_array_equal(p(X[:n]), estimator.predict_proba(X[:n]))


def test_arguments():
    estimator = fitted(MLPClassifier, CLASSIFIED["two classes"])
    with pytest.raises(ValueError, match="method must be one of predict, predict_proba, got 'decide'"):
        estimator.predictor(method="decide")
    with pytest.raises(ValueError, match="method must be one of predict, got 'predict_proba'"):
        fitted(MLPRegressor, NUMBERS).predictor(method="predict_proba")
    with pytest.raises(ValueError, match="rows must be an integer of at least 1"):
        estimator.predictor(rows=0)
    with pytest.raises(NotFittedError):
        MLPClassifier().predictor()


def test_estimators_with_plain_calls_are_pickled():
    estimator = fitted(MLPClassifier, CLASSIFIED["two classes"])
    expected = estimator.predict_proba(X[:2])
    for again in (pickle.loads(pickle.dumps(estimator)), copy.copy(estimator), copy.deepcopy(estimator)):
        np.testing.assert_array_equal(again.predict_proba(X[:2]), expected)
