"""`scale` and `scale_targets`: scalers of the net, fitted on training rows, kept, pickled and refused."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import data, nn
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = [MLPClassifier, MLPRegressor]
SCALES = {"standard": data.Scaler, "robust": data.RobustScaler, "quantile": data.QuantileScaler}
RNG = np.random.default_rng(5)
N = 200
Z = RNG.normal(size=(N, 4))
X = Z * [1, 1e3, 1e-3, 5] + [0, 1e5, 0, 3]
Y = (Z[:, 1] + Z[:, 2] > 0).astype(int)
T = 1e4 + 300 * Z[:, 1] - 200 * Z[:, 2]


def fitted(kind=MLPClassifier, rows=X, y=None, **options):
    y = (Y if kind is MLPClassifier else T) if y is None else y
    return kind(**{"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0} | options).fit(rows, y)


def outputs(fit, rows=X):
    return fit.predict_proba(rows) if isinstance(fit, MLPClassifier) else fit.predict(rows)


# ---- the input ----


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_standard_is_a_standard_scaler_in_front(kind, solver):
    options = {"solver": solver, "max_iter": 20}
    y = Y if kind is MLPClassifier else Z[:, 0] + Y
    fit = fitted(kind, y=y, scale="standard", **options)
    scaler = StandardScaler().fit(X)
    want = fitted(kind, scaler.transform(X), y, **options)
    np.testing.assert_allclose(outputs(fit), outputs(want, scaler.transform(X)), rtol=1e-8)
    assert fit.loss_ == pytest.approx(want.loss_, rel=1e-9)
    np.testing.assert_allclose(fit.net_.scaler.center, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(fit.net_.scaler.scale, 1 / scaler.scale_, rtol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_net_with_that_scaler(dtype, scale):
    y = Z[:, 0]
    fit = fitted(MLPRegressor, y=y, scale=scale, dtype=dtype, alpha=0, batch_size=N, shuffle=False, max_iter=3)
    net = fitted(MLPRegressor, y=y, dtype=dtype, max_iter=1, learning_rate_init=1e-300).net_
    net.scaler = SCALES[scale].fit(X)
    trainer = fastnn.Trainer(net, nn.MSELoss(factor=0.5, gradient_columns="sum"), fastnn.optim.Adam(eps_hat=True))
    history = trainer.fit(X, y[:, None], epochs=3, batch_size=N, shuffle=False, verbose=0)
    np.testing.assert_allclose(fit.loss_curve_, history["loss"], rtol=1e-6 if dtype == "float32" else 1e-12)
    np.testing.assert_allclose(fit.predict(X), net.predict(X)[:, 0], rtol=1e-4 if dtype == "float32" else 1e-9)
    assert type(fit.net_.scaler) is SCALES[scale]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_held_out_for_validation_do_not_move_the_scaler(kind, scale):
    seen = []

    def score(estimator, rows, y):
        seen.append(rows)
        return estimator.score(rows, y)

    options = {"scale": scale, "early_stopping": True, "scoring": score}
    fit = fitted(kind, **options)
    held_out = np.isin(X[:, 0], seen[0][:, 0])
    assert held_out.sum() == 20
    assert fit.net_.scaler == SCALES[scale].fit(X[~held_out])
    moved = X.copy()
    moved[held_out] *= 1e6
    again = fitted(kind, moved, **options)
    assert again.net_.scaler == fit.net_.scaler
    np.testing.assert_array_equal(again.loss_curve_[0], fit.loss_curve_[0])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_eval_set_do_not_move_the_scaler(kind):
    y = Y if kind is MLPClassifier else T
    want = data.Scaler.fit(X[:150])
    for early in (False, True):
        fit = kind(scale="standard", max_iter=2, early_stopping=early)
        fit.fit(X[:150], y[:150], eval_set=(X[150:] * 1e3, y[150:]))
        assert fit.net_.scaler == want


def test_categories_are_not_scaled():
    rows = np.column_stack([X, np.arange(N) % 7])
    for scale, kind in SCALES.items():
        fit = fitted(rows=rows, scale=scale, categorical_features=[4])
        assert fit.net_.scaler == kind.fit(rows, columns=range(4))
    alone = fitted(rows=rows[:, 4:], scale="standard", categorical_features=[0])
    assert alone.net_.scaler is None
    want = fitted(rows=rows[:, 4:], categorical_features=[0])
    np.testing.assert_array_equal(outputs(alone, rows[:, 4:]), outputs(want, rows[:, 4:]))


@pytest.mark.parametrize("scale", SCALES)
def test_constant_columns_and_outliers(scale):
    rows = np.column_stack([X, np.full(N, 3.0)])
    rows[0, 0] = 1e30
    fit = fitted(rows=rows, scale=scale)
    assert np.isfinite(outputs(fit, rows)).all()
    other = rows.copy()
    other[:, 4] = 9.0
    assert np.isfinite(outputs(fit, other)).all()


def test_sample_weights_do_not_enter():
    weight = np.where(np.arange(N) % 2, 1.0, 50.0)
    fit = MLPClassifier(scale="standard", max_iter=2).fit(X, Y, sample_weight=weight)
    assert fit.net_.scaler == data.Scaler.fit(X)


# ---- later calls ----


@pytest.mark.parametrize("scale", SCALES)
def test_partial_fit_keeps_the_scaler_of_its_first_rows(scale):
    fit = MLPClassifier(scale=scale, random_state=0).partial_fit(X[:50], Y[:50], classes=[0, 1])
    want = SCALES[scale].fit(X[:50])
    assert fit.net_.scaler == want
    assert fit.partial_fit(X[50:] * 100, Y[50:]).net_.scaler == want


def test_warm_starts_keep_it_and_other_fits_do_not():
    fit = fitted(rows=X[:50], y=Y[:50], scale="standard", warm_start=True)
    first = fit.net_.scaler
    assert fit.fit(X * 2, Y).net_.scaler == first
    assert fit.set_params(warm_start=False).fit(X * 2, Y).net_.scaler == data.Scaler.fit(X * 2)
    assert fit.set_params(scale=None).fit(X, Y).net_.scaler is None
    assert pickle.loads(pickle.dumps(fit)).net_.scaler is None


@pytest.mark.parametrize("scale", SCALES)
def test_a_changed_activation_keeps_it(scale):
    fit = fitted(scale=scale)
    before = fit.net_.scaler
    fit.set_params(activation="tanh").partial_fit(X, Y)
    assert fit.net_[1] == nn.Tanh()
    assert fit.net_.scaler == before


def test_assigned_weights_keep_it():
    fit = fitted(scale="standard")
    want = outputs(fit)
    fit.coefs_ = [coef.copy() for coef in fit.coefs_]
    np.testing.assert_array_equal(outputs(fit), want)
    # Other shapes: a net with the same scaler.
    fit.coefs_, fit.intercepts_ = [np.ones((4, 1))], [np.zeros(1)]
    fit.set_params(hidden_layer_sizes=())
    fit._structure = None
    hidden = StandardScaler().fit_transform(X).sum(axis=1)
    np.testing.assert_allclose(outputs(fit)[:, 1], 1 / (1 + np.exp(-hidden)), rtol=1e-9)


@pytest.mark.parametrize("copied", [lambda fit: pickle.loads(pickle.dumps(fit)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_predict_and_train_as_the_original(dtype, scale, copied):
    fit = fitted(scale=scale, dtype=dtype)
    twin = copied(fit)
    np.testing.assert_array_equal(outputs(twin), outputs(fit))
    for each in (fit, twin):
        each.partial_fit(X, Y)
    np.testing.assert_array_equal(outputs(twin), outputs(fit))


def test_clones_and_searches():
    estimator = MLPClassifier((4,), max_iter=2, random_state=0)
    twin = clone(fitted(scale="robust"))
    assert twin.scale == "robust"
    assert not hasattr(twin, "coefs_")
    search = GridSearchCV(estimator, {"scale": [None, *SCALES]}, cv=2, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_damaged_scaler_is_refused():
    state = fitted(scale="standard").__getstate__()
    for scalers, error, message in (
        (3, TypeError, "_scalers must be a tuple of 2, got 3"),
        ((), TypeError, "_scalers must be a tuple of 2"),
        (("standard", None), TypeError, "scaler must have the attributes center and scale, or be None, got str"),
        ((data.Scaler([0, 0], 1), None), ValueError, r"scaler.center must have shape \(4,\), got shape \(2,\)"),
    ):
        fit = MLPClassifier()
        with pytest.raises(error, match=message):
            fit.__setstate__({**state, "_scalers": scalers})
        assert not hasattr(fit, "coefs_")


# ---- what is refused ----

REFUSED = {
    "another scale": ({"scale": "min_max"}, X, ValueError, "The 'scale' parameter of MLP.* must be a str among"),
    "a record": ({"scale": data.Scaler(0, 1)}, X, ValueError, "The 'scale' parameter of MLP.* must be a str among"),
    "a scaler": ({"scale": StandardScaler()}, X, ValueError, r"The 'scale' parameter .*: write scale='standard'"),
    "a class": ({"scale": data.QuantileScaler}, X, ValueError, r"The 'scale' parameter .*: write scale='quantile'"),
    "a boolean": ({"scale": True}, X, ValueError, r"The 'scale' parameter of MLP.*: write scale='standard'"),
    "sparse": ({"scale": "standard"}, scipy.sparse.csr_array(X), TypeError, "X must be dense with scale='standard'"),
    "NaN": ({"scale": "robust"}, np.where(X > 1e5, np.nan, X), ValueError, "Input X contains NaN"),
    "too large": ({"scale": "standard", "dtype": "float32"}, X * 1e60, ValueError, "scaler.center must contain"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, kind):
    options, rows, error, message = REFUSED[case]
    estimator = kind(**options)
    before = dict(vars(estimator))
    with pytest.raises(error, match=message):
        estimator.fit(rows, Y)
    assert vars(estimator) == before
    fit = fitted(kind, scale=None if case == "NaN" else "standard")
    before, want = dict(vars(fit)), outputs(fit)
    with pytest.raises(error, match=message):
        fit.set_params(**options).fit(rows, Y)
    assert {name: vars(fit)[name] for name in before if name not in options} == {
        name: value for name, value in before.items() if name not in options
    }
    np.testing.assert_array_equal(outputs(fit), want)


def test_sparse_rows_of_later_calls():
    """A fitted scaler takes sparse rows in predictions; trainings ask for dense ones."""
    fit = fitted(scale="standard")
    np.testing.assert_array_equal(outputs(fit, scipy.sparse.csr_array(X)), outputs(fit))
    with pytest.raises(TypeError, match="X must be dense with scale='standard'"):
        fit.partial_fit(scipy.sparse.csr_array(X), Y)
    assert not fit.__sklearn_tags__().input_tags.sparse


@pytest.mark.parametrize("scale", SCALES)
def test_backends_and_threads_give_the_same(native, scale):
    with fastnn.num_threads(2):
        two = outputs(fitted(scale=scale, max_iter=2))
    with fastnn.num_threads(1):
        np.testing.assert_array_equal(outputs(fitted(scale=scale, max_iter=2)), two)
    with fastnn.backend("reference"):
        np.testing.assert_allclose(outputs(fitted(scale=scale, max_iter=2)), two, rtol=1e-9)


# ---- targets ----


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_targets_are_learned_in_scaled_units(solver):
    """The same as training on standardised targets, and scaling predictions back."""
    options = {"solver": solver, "max_iter": 30, "scale": "standard"}
    fit = fitted(MLPRegressor, scale_targets=True, **options)
    scaler = StandardScaler().fit(T[:, None])
    want = fitted(MLPRegressor, y=scaler.transform(T[:, None])[:, 0], **options)
    assert fit.loss_ == pytest.approx(want.loss_, rel=1e-9)
    assert fit.loss_ < 1
    np.testing.assert_allclose(fit.predict(X), scaler.inverse_transform(want.predict(X)[:, None])[:, 0], rtol=1e-8)
    assert fit.score(X, T) == pytest.approx(want.score(X, scaler.transform(T[:, None])[:, 0]))
    outside = TransformedTargetRegressor(
        MLPRegressor(hidden_layer_sizes=(8,), random_state=0, **options), transformer=StandardScaler()
    )
    np.testing.assert_allclose(fit.predict(X), outside.fit(X, T).predict(X), rtol=1e-8)
    np.testing.assert_array_equal(fit.net_.predict(X)[:, 0], fit.predict(X))


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_any_unit_gives_the_same_fit(factor):
    fit = fitted(MLPRegressor, y=T * factor, scale="standard", scale_targets=True, max_iter=100)
    want = fitted(MLPRegressor, scale="standard", scale_targets=True, max_iter=100)
    np.testing.assert_allclose(fit.predict(X), want.predict(X) * factor, rtol=1e-8)
    assert fit.n_iter_ == want.n_iter_


def test_each_column_of_the_targets_is_scaled():
    y = np.column_stack([T, Z[:, 0] * 1e-4, np.full(N, 7.0)])
    fit = fitted(MLPRegressor, y=y, scale="standard", scale_targets=True, solver="lbfgs", max_iter=500)
    assert fit.net_.output_scaler == data.Scaler.fit(y)
    np.testing.assert_allclose(fit.predict(X)[:, 2], 7.0, atol=0.05)
    for column in (0, 1):
        assert np.corrcoef(fit.predict(X)[:, column], y[:, column])[0, 1] > 0.99


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool, np.float32])
def test_targets_of_other_dtypes(dtype):
    y = (10 * (Z[:, 0] > 0)).astype(dtype)
    fit = fitted(MLPRegressor, y=y, scale_targets=True)
    assert fit.net_.output_scaler == data.Scaler.fit(y[:, None].astype(np.float64))
    assert np.isfinite(fit.predict(X)).all()


def test_validation_targets_do_not_move_the_scaler_and_scores_are_in_their_unit():
    seen = []

    def score(estimator, rows, y):
        seen.append((rows, y, estimator.predict(rows)))
        return -np.abs(estimator.predict(rows) - y).mean()

    options = {"scale": "standard", "scale_targets": True, "early_stopping": True}
    fit = fitted(MLPRegressor, scoring=score, **options)
    held_out = np.isin(X[:, 0], seen[0][0][:, 0])
    assert fit.net_.output_scaler == data.Scaler.fit(T[~held_out][:, None])
    assert set(seen[0][1]) == set(T[held_out])
    assert abs(seen[0][2].mean() - 1e4) < 500
    assert fit.validation_scores_[0] == -np.abs(seen[0][1] - seen[0][2]).mean()
    of_r2 = fitted(MLPRegressor, **options, max_iter=200, learning_rate_init=0.02)
    assert of_r2.best_validation_score_ > 0.9
    by_loss = fitted(MLPRegressor, **options, scoring="loss")
    assert 0 < by_loss.validation_loss_curve_[0] < 5  # in scaled units
    given = MLPRegressor(scale_targets=True, max_iter=2).fit(X[:150], T[:150], eval_set=(X[150:], T[150:] * 9))
    assert given.net_.output_scaler == data.Scaler.fit(T[:150, None])


def test_later_calls_keep_the_scaler_of_the_targets():
    fit = MLPRegressor(scale_targets=True, random_state=0).partial_fit(X[:50], T[:50])
    want = data.Scaler.fit(T[:50, None])
    assert fit.partial_fit(X[50:], 2 * T[50:]).net_.output_scaler == want
    assert fit.set_params(activation="tanh").partial_fit(X, T).net_.output_scaler == want
    assert fit.set_params(warm_start=True, max_iter=2).fit(X, 2 * T).net_.output_scaler == want
    assert fit.set_params(warm_start=False).fit(X, 2 * T).net_.output_scaler == data.Scaler.fit(2 * T[:, None])
    for change in ({"scale_targets": False}, {"scale": "standard"}):
        with pytest.raises(ValueError, match="as in the fitted model"):
            clone(fit).set_params(warm_start=True).fit(X, T).set_params(**change).fit(X, T)
    assert fit.set_params(scale_targets=False).fit(X, T).net_.output_scaler is None


@pytest.mark.parametrize("copied", [lambda fit: pickle.loads(pickle.dumps(fit)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_keep_the_scaler_of_the_targets(dtype, copied):
    fit = fitted(MLPRegressor, scale="robust", scale_targets=True, dtype=dtype)
    twin = copied(fit)
    np.testing.assert_array_equal(twin.predict(X), fit.predict(X))
    for each in (fit, twin):
        each.partial_fit(X, T)
    np.testing.assert_array_equal(twin.predict(X), fit.predict(X))


UNITS = ["squared_error", "mae", "huber", "smooth_l1", "log_cosh", nn.HuberLoss(delta=0.5)]


@pytest.mark.parametrize("loss", UNITS, ids=str)
def test_losses_in_the_unit_of_the_targets(loss):
    fit = fitted(MLPRegressor, loss=loss, scale="standard", scale_targets=True, max_iter=300, learning_rate_init=0.01)
    assert fit.score(X, T) > 0.9


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", ["poisson", nn.PoissonNLLLoss()], ids=str)
def test_losses_without_that_unit_are_refused(loss, solver):
    estimator = MLPRegressor(loss=loss, scale_targets=True, solver=solver)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=r"scale_targets must be False with loss=.*oisson.*, got True"):
        estimator.fit(X, np.abs(T))
    assert vars(estimator) == before
    with pytest.raises(ValueError, match="The 'scale_targets' parameter of MLPRegressor must be an instance of 'bool'"):
        MLPRegressor(scale_targets="standard").fit(X, T)
    with pytest.raises(TypeError, match="scale_targets"):
        MLPClassifier(scale_targets=True)


def test_all_three_together():
    rows = np.column_stack([X, np.arange(N) % 5])
    y = T + 500 * (np.arange(N) % 5 == 3)
    options = {"scale": "quantile", "scale_targets": True, "categorical_features": [4], "early_stopping": True}
    fit = fitted(MLPRegressor, rows, y, **options, max_iter=300, learning_rate_init=0.02)
    assert fit.score(rows, y) > 0.7
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fit)).predict(rows), fit.predict(rows))
