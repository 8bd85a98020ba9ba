"""Fits agree with scikit-learn's to many digits: losses, weights, scores, stopping, and the random numbers drawn."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn.neural_network as theirs
from scikit_learn import has, needs
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification, make_regression

import fastnn
import fastnn.sklearn as ours
from fastnn.engine import Feed
from fastnn.sklearn._rows import batch_sizes

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = load_iris(return_X_y=True)
BINARY = IRIS[0][:100], np.array(["no", "yes"])[IRIS[1][:100]]
DIGITS = tuple(array[:500] for array in load_digits(return_X_y=True))
LABELS = make_multilabel_classification(n_samples=90, random_state=0)
NUMBERS = make_regression(n_samples=210, n_features=10, n_targets=3, random_state=0)
NUMBERS = NUMBERS[0], NUMBERS[1] / 100
COUNTS = NUMBERS[0], np.round(np.abs(NUMBERS[1][:, 0]) * 3)

CASES = {
    "adam": ("MLPClassifier", IRIS, {}),
    "digits": ("MLPClassifier", DIGITS, {"max_iter": 60}),
    "two hidden layers": ("MLPClassifier", IRIS, {"hidden_layer_sizes": (20, 10), "activation": "tanh"}),
    "no hidden layer": ("MLPClassifier", IRIS, {"hidden_layer_sizes": ()}),
    "short batches": ("MLPRegressor", NUMBERS, {"batch_size": 23, "alpha": 0.1}),
    "one row a batch": ("MLPClassifier", IRIS, {"batch_size": 1, "max_iter": 5}),
    "in order": ("MLPClassifier", IRIS, {"batch_size": 40, "shuffle": False}),
    "binary, logistic": ("MLPClassifier", BINARY, {"activation": "logistic"}),
    "multilabel": ("MLPClassifier", LABELS, {"activation": "identity"}),
    "sgd": ("MLPClassifier", IRIS, {"solver": "sgd", "batch_size": 32, "learning_rate_init": 0.05}),
    "momentum": ("MLPRegressor", NUMBERS, {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 50}),
    "no momentum": ("MLPRegressor", NUMBERS, {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.01}),
    "momentum of 1": ("MLPRegressor", NUMBERS, {"solver": "sgd", "momentum": 1.0, "max_iter": 20}),
    "invscaling": ("MLPClassifier", IRIS, {"solver": "sgd", "learning_rate": "invscaling", "batch_size": 30}),
    "adaptive": (
        "MLPClassifier",
        IRIS,
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.3, "tol": 1e-2, "n_iter_no_change": 2},
    ),
    "poisson": ("MLPRegressor", COUNTS, {"loss": "poisson"}),
    "early stopping": ("MLPClassifier", IRIS, {"early_stopping": True, "n_iter_no_change": 4}),
    "early stopping with words": ("MLPClassifier", BINARY, {"early_stopping": True, "n_iter_no_change": 4}),
    "early stopping by R2": ("MLPRegressor", NUMBERS, {"early_stopping": True, "max_iter": 60}),
    "tolerance": ("MLPClassifier", IRIS, {"tol": 1e-2, "n_iter_no_change": 3}),
    "no patience": ("MLPClassifier", IRIS, {"tol": 1.0, "n_iter_no_change": np.inf, "max_iter": 30}),
}

# Features of scikit-learn that cases need and that not all its versions have.
NEEDS = {
    "poisson": ["losses of a regressor"],
    "early stopping with words": ["early stopping with classes that are words"],
}


def needs_features(case, weighted=False):
    """Skip the test if the installed scikit-learn lacks what the case compares."""
    needs(*NEEDS.get(case, []), *["sample weights"] * weighted)


def weights_for(X, weighted, rng):
    """Return the keyword for `fit`; versions without sample weights know no such keyword."""
    return {"sample_weight": rng.uniform(0.5, 2.0, len(X))} if weighted else {}


def pair(kind, **parameters):
    return (getattr(module, kind)(**{"random_state": 0, **parameters}) for module in (theirs, ours))


def assert_same_fit(want, have):
    assert have.n_iter_ == want.n_iter_
    assert have.t_ == want.t_
    np.testing.assert_allclose(have.loss_curve_, want.loss_curve_, rtol=1e-11)
    np.testing.assert_allclose(have.loss_, want.loss_, rtol=1e-11)
    for name in ("coefs_", "intercepts_", "_best_coefs", "_best_intercepts"):
        for mine, other in zip(getattr(have, name), getattr(want, name), strict=True):
            assert mine.dtype == other.dtype
            assert np.abs(mine - other).max() <= 1e-9 * np.abs(other).max(), name
    for name in ("best_loss_", "best_validation_score_"):
        mine, other = getattr(have, name), getattr(want, name)
        assert mine is other is None or mine == pytest.approx(other, rel=1e-11)
    assert have.validation_scores_ == (want.validation_scores_ and pytest.approx(want.validation_scores_, rel=1e-11))
    assert have._no_improvement_count == want._no_improvement_count
    assert have._optimizer.learning_rate == pytest.approx(want._optimizer.learning_rate, rel=1e-14)
    for mine, other in zip(have._random_state.get_state()[1:3], want._random_state.get_state()[1:3], strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_fits_agree(case, weighted, rng):
    needs_features(case, weighted)
    kind, (X, y), parameters = CASES[case]
    weight = weights_for(X, weighted, rng)
    want, have = (each.fit(X, y, **weight) for each in pair(kind, **parameters))
    assert_same_fit(want, have)
    if kind == "MLPClassifier":
        np.testing.assert_array_equal(have.predict(X), want.predict(X))
        np.testing.assert_allclose(have.predict_proba(X), want.predict_proba(X), rtol=1e-8)
        np.testing.assert_allclose(have.predict_log_proba(X), want.predict_log_proba(X), rtol=1e-7)
    else:
        np.testing.assert_allclose(have.predict(X), want.predict(X), rtol=1e-8)


@pytest.mark.parametrize("case", ["digits", "sgd", "early stopping", "early stopping with words", "poisson"])
def test_both_backends_agree(case, impl):
    needs_features(case)
    kind, (X, y), parameters = CASES[case]
    want, have = (each.fit(X, y) for each in pair(kind, **{**parameters, "max_iter": 20}))
    assert_same_fit(want, have)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_later_calls_agree(solver):
    """partial_fit keeps the optimiser, a warm start makes a new one; both restart the random numbers from the seed."""
    X, y = IRIS
    want, have = pair("MLPClassifier", solver=solver, batch_size=20, learning_rate_init=0.01)
    for each in (want, have):
        for start in (0, 30, 60, 0):
            each.partial_fit(X[start::2], y[start::2], classes=[0, 1, 2])
    assert_same_fit(want, have)
    if solver == "adam":
        for name in ("ms", "vs"):
            for mine, other in zip(getattr(have._optimizer, name), getattr(want._optimizer, name), strict=True):
                np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12 * np.abs(other).max())
        assert have._optimizer.t == want._optimizer.t
    else:
        for mine, other in zip(have._optimizer.velocities, want._optimizer.velocities, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12 * np.abs(other).max())
    want, have = pair("MLPClassifier", solver=solver, warm_start=True, max_iter=7)
    for each in (want, have):
        each.fit(X, y)
        each.set_params(alpha=0.5, max_iter=9)
        each.fit(X, y)
        each.partial_fit(X, y)
    assert_same_fit(want, have)


LBFGS = ["adam", "binary, logistic", "multilabel", "short batches", "poisson", "two hidden layers"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LBFGS)
def test_loss_and_gradient_of_lbfgs_agree(case, weighted, rng, impl):
    needs_features(case, weighted)
    kind, (X, y), parameters = CASES[case]
    parameters = {**parameters, "solver": "lbfgs", "max_iter": 3, "alpha": 0.3}
    weight = weights_for(X, weighted, rng)
    want, have = (each.fit(X, y, **weight) for each in pair(kind, **parameters))
    assert have.n_iter_ == want.n_iter_
    assert have.loss_ == pytest.approx(want.loss_, rel=1e-12)
    packed = np.hstack([array.ravel() for array in want.coefs_ + want.intercepts_])
    target = y if kind == "MLPRegressor" else want._label_binarizer.transform(y).astype(bool)
    target = target.reshape(len(X), -1)
    layers = want.n_layers_ - 1
    buffers = [X] + [None] * layers, [None] * layers, [np.empty_like(c) for c in want.coefs_], [None] * layers
    weights = weight.get("sample_weight")
    for_theirs = [weights] if has("sample weights") else []
    wanted_loss, wanted = want._loss_grad_lbfgs(packed, X, target, *for_theirs, *buffers)
    loss, gradient = have._loss_grad_lbfgs(packed, X, target, weights, *buffers)
    assert loss == pytest.approx(wanted_loss, rel=1e-12)
    assert np.abs(gradient - wanted).max() <= 1e-12 * np.abs(wanted).max()


def test_a_fit_continues_with_nonfinite_losses_and_raises_for_nonfinite_weights_at_its_end():
    """As in scikit-learn."""
    X, y = NUMBERS
    want, have = pair("MLPRegressor", solver="sgd", learning_rate_init=1e3, max_iter=12)
    for each in (want, have):
        with np.errstate(all="ignore"), pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
            each.fit(X, y)
    assert have.n_iter_ == want.n_iter_
    np.testing.assert_allclose(have.loss_curve_[:3], want.loss_curve_[:3], rtol=1e-9)
    np.testing.assert_array_equal(np.isfinite(have.loss_curve_), np.isfinite(want.loss_curve_))


@pytest.mark.parametrize("sparse", ["csr", "csc"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_give_the_same_fit_as_dense_ones(sparse, solver, monkeypatch):
    import scipy.sparse

    X, y = DIGITS
    have = ours.MLPClassifier(solver=solver, random_state=0, max_iter=5, batch_size=49).fit(X, y)
    container = getattr(scipy.sparse, f"{sparse}_array")(X)
    fits = [ours.MLPClassifier(solver=solver, random_state=0, max_iter=5, batch_size=49).fit(container, y)]
    monkeypatch.setattr(
        fastnn.sklearn._rows, "BLOCK", 64 * 49 * 3
    )  # small enough that X is made dense in several blocks
    fits.append(ours.MLPClassifier(solver=solver, random_state=0, max_iter=5, batch_size=49).fit(container, y))
    for fit in fits:
        for mine, other in zip(fit.coefs_, have.coefs_, strict=True):
            np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(fit.predict_proba(container), have.predict_proba(X))


def test_a_lone_last_row_of_sparse_blocks_joins_the_batch_before(monkeypatch):
    import scipy.sparse

    X, y = DIGITS[0][:99], DIGITS[1][:99]
    options = {"batch_norm": True, "batch_size": 49, "random_state": 0, "max_iter": 4}
    want = ours.MLPClassifier(**options).fit(X, y)
    monkeypatch.setattr(fastnn.sklearn._rows, "BLOCK", 64 * 49)
    have = ours.MLPClassifier(**options).fit(scipy.sparse.csr_array(X), y)
    np.testing.assert_array_equal(have.coefs_[0], want.coefs_[0])
    assert have.loss_curve_ == want.loss_curve_


@pytest.mark.parametrize("merge_last", [False, True])
def test_batches_have_the_sizes_that_a_feed_has(merge_last):
    for n in range(1, 12):
        for batch_size in range(2 if merge_last else 1, n + 1):
            feed = Feed(np.empty((n, 1)), np.arange(n), batch_size, merge_last=merge_last)
            spans = [feed.batch_slice(batch) for batch in range(feed.n_batches)]
            want = [float(span.stop - span.start) for span in spans]
            assert batch_sizes(n, batch_size, merge_last).tolist() == want


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_dtypes_are_those_of_scikit_learn(kind, solver):
    X, y = IRIS
    want, have = (each.fit(X.astype(np.float32), y) for each in pair(kind, solver=solver, max_iter=3))
    assert [array.dtype for array in have.coefs_] == [array.dtype for array in want.coefs_]
    assert have.loss_ == pytest.approx(want.loss_, rel=1e-4)
    X = X.astype(np.float32)
    assert have.predict(X).dtype == want.predict(X).dtype
    np.testing.assert_allclose(have.predict(X), want.predict(X), rtol=1e-3, atol=1e-4)
