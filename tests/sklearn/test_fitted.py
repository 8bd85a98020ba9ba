"""Parameters that are set after a fit change no prediction; the next fit uses them or refuses them."""

import copy
import functools
import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn.neural_network as theirs
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import fastnn
import fastnn.sklearn as ours
from fastnn import kernels, nn, optim
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.sklearn._estimators import _FITTED_ATTRIBUTES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
YB = (X[:, 0] > 0).astype(int)
Y3 = YB + (X[:, 1] > 0)
YR = X @ [1.0, 2.0, 3.0, 4.0]


def classifier(**parameters):
    return MLPClassifier(
        **{"hidden_layer_sizes": (6, 5), "random_state": 0, "max_iter": 5, "batch_size": 25} | parameters
    )


def update(estimator, times=1):
    """Call `partial_fit` some times, and return the estimator."""
    for _ in range(times):
        estimator.partial_fit(X, Y3, classes=[0, 1, 2])
    return estimator


def pickled(estimator):
    return pickle.loads(pickle.dumps(estimator))


def assert_same(one, other):
    for name in ("coefs_", "intercepts_"):
        for mine, theirs_ in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(mine, theirs_)
    for name, array in vars(one).get("other_parameters_", {}).items():
        np.testing.assert_array_equal(array, other.other_parameters_[name])


def halved(epoch):
    return 0.5**epoch


# ---- parameters that are set between fits ----

# Parameters of an estimator, and a change of them that has an effect in the next update.
CHANGES = {
    "activation": ({}, {"activation": "tanh"}),
    "activation, of one layer": (
        {"activation": ["relu", nn.LeakyReLU(0.1)]},
        {"activation": ["relu", nn.LeakyReLU(0.2)]},
    ),
    "dropout": ({}, {"dropout": 0.5}),
    "dropout, off": ({"dropout": 0.5}, {"dropout": 0.0}),
    "dropout, another": ({"dropout": [0.0, 0.5], "batch_norm": True}, {"dropout": [0.5, 0.1]}),
    "alpha": ({}, {"alpha": 1.0}),
    "beta_1": ({}, {"beta_1": 0.5}),
    "beta_2": ({}, {"beta_2": 0.5}),
    "epsilon": ({}, {"epsilon": 0.1}),
    "momentum": ({"solver": "sgd"}, {"momentum": 0.5}),
    "momentum, off": ({"solver": "sgd"}, {"momentum": 0.0}),
    "momentum, on": ({"solver": "sgd", "momentum": 0.0}, {"momentum": 0.9}),
    "nesterovs_momentum": ({"solver": "sgd"}, {"nesterovs_momentum": False}),
    "learning_rate_init": ({}, {"learning_rate_init": 0.1}),
    "learning_rate": ({"solver": "sgd"}, {"learning_rate": "invscaling"}),
    "power_t": ({"solver": "sgd", "learning_rate": "invscaling"}, {"power_t": 2.0}),
    "solver": ({}, {"solver": "sgd"}),
    "optimizer": ({}, {"optimizer": "RMSprop"}),
    "optimizer, another": ({"optimizer": optim.Adam(0.01)}, {"optimizer": optim.Adam(0.01, amsgrad=True)}),
    "weight_decay": ({}, {"weight_decay": 0.5}),
    "schedule": ({}, {"schedule": optim.ExponentialLR(0.1)}),
    "schedule, another": ({"schedule": optim.ExponentialLR(0.9)}, {"schedule": optim.ExponentialLR(0.8)}),
    "schedule, off": ({"schedule": optim.ExponentialLR(0.1)}, {"schedule": None}),
    "max_iter": ({"schedule": "CosineAnnealingLR"}, {"max_iter": 50}),
    "clip_norm": ({}, {"clip_norm": 1e-3}),
    "clip_value": ({}, {"clip_value": 1e-6}),
    "loss": ({}, {"loss": "squared_hinge"}),
    "class_weight": ({}, {"class_weight": {0: 5.0}}),
    "batch_size": ({}, {"batch_size": 10}),
    "shuffle": ({}, {"shuffle": False}),
    "random_state": ({}, {"random_state": 1}),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", CHANGES)
def test_a_parameter_acts_at_the_next_update(case):
    """Whether the estimator is copied before the parameter is set, after it, or not at all."""
    start, change = CHANGES[case]
    same = update(classifier(**start), 5)
    plain = update(update(classifier(**start), 3).set_params(**change), 2)
    before = update(pickled(update(classifier(**start), 3)).set_params(**change), 2)
    after = update(copy.deepcopy(update(classifier(**start), 3).set_params(**change)), 2)
    assert not np.array_equal(plain.coefs_[0], same.coefs_[0])
    assert np.isfinite(plain.loss_)
    for each in (before, after):
        assert_same(plain, each)
        assert each._optimizer.t == plain._optimizer.t
        assert each._optimizer.learning_rate == plain._optimizer.learning_rate
    assert plain.t_ == same.t_


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("change", [{"activation": "tanh"}, {"activation": "logistic"}, {"alpha": 0.5}], ids=str)
def test_changes_that_scikit_learn_supports_have_its_results(change, warm_start):
    want, have = (m.MLPClassifier((6,), random_state=0, warm_start=warm_start, max_iter=4) for m in (theirs, ours))
    for each in (want, have):
        for setting in ({}, change):
            each.set_params(**setting)
            for _ in range(2):
                each.fit(X, Y3) if warm_start else each.partial_fit(X, Y3, classes=[0, 1, 2])
    assert have.loss_ == pytest.approx(want.loss_, rel=1e-11)
    np.testing.assert_allclose(have.coefs_[0], want.coefs_[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("start", "change", "attributes"),
    [
        ({}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}),
        ({}, {"learning_rate_init": 0.1}, {"learning_rate_init": 0.1}),
        ({"solver": "sgd"}, {"momentum": 0.5}, {"momentum": 0.5}),
        ({"solver": "sgd"}, {"momentum": 0.0}, {"momentum": 0.0}),
        ({"solver": "sgd"}, {"nesterovs_momentum": False}, {"nesterov": False}),
        ({"solver": "sgd"}, {"learning_rate_init": 0.1}, {"learning_rate": 0.1}),
    ],
    ids=str,
)
def test_the_optimiser_uses_changed_parameters(start, change, attributes):
    """scikit-learn's optimiser ignores the estimator's parameters after the first call, but uses its own attributes."""
    want, have = (m.MLPClassifier((6,), random_state=0, **start) for m in (theirs, ours))
    update(want, 3)
    for name, value in attributes.items():
        setattr(want._optimizer, name, value)
    update(want, 2)
    update(update(have, 3).set_params(**change), 2)
    np.testing.assert_allclose(have.coefs_[0], want.coefs_[0], rtol=1e-9)
    assert have.loss_ == pytest.approx(want.loss_, rel=1e-11)


def test_a_lowered_rate_stays_until_another_learning_rate_init_is_set():
    class Lower(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            trainer.lr = 1e-5

    fit = update(classifier(callbacks=[Lower()]))
    update(fit.set_params(callbacks=None, alpha=0.1, beta_1=0.8))
    assert fit._optimizer.base_rate == 1e-5
    assert update(fit.set_params(learning_rate_init=0.1))._optimizer.base_rate == 0.1


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_net_with_other_layers_keeps_weights_and_optimiser(batch_norm):
    options = {"batch_norm": batch_norm, "activation": "prelu", "solver": "sgd", "momentum": 0.0}
    fit = update(classifier(**options, learning_rate_init=0.1), 3)
    names = [name for name in fit.other_parameters_ if "running" not in name]
    before = [array.copy() for array in fit.coefs_ + fit.intercepts_ + [fit.other_parameters_[name] for name in names]]
    update(fit.set_params(dropout=[0.5, 0.25], learning_rate_init=1e-300))
    found = [layer for layer in fit._model.net if isinstance(layer, nn.Dropout)]
    assert found == [nn.Dropout(0.5), nn.Dropout(0.25)]
    others = [array for name, array in fit.other_parameters_.items() if "running" not in name]
    for was, now in zip(before, fit.coefs_ + fit.intercepts_ + others, strict=True):
        np.testing.assert_allclose(now, was, rtol=0, atol=1e-290)
    assert fit._optimizer.t == 12


@pytest.mark.parametrize("how", ["partial_fit", "warm fit"])
def test_bad_parameters_are_refused_in_later_calls_too(how):
    """scikit-learn checks them only in the first `partial_fit`."""
    for wrong in ({"beta_1": 2.0}, {"optimizer": "Adamox"}, {"activation": "swosh"}, {"clip_norm": -1.0}, {"tol": "x"}):
        fit = update(classifier(warm_start=how == "warm fit"))
        with pytest.raises(ValueError, match=r"The '.*' parameter of MLPClassifier must be"):
            fit.set_params(**wrong).partial_fit(X, Y3) if how == "partial_fit" else fit.set_params(**wrong).fit(X, Y3)


NEED_OTHER_WEIGHTS = {
    "hidden_layer_sizes": (
        {},
        {"hidden_layer_sizes": (6, 4)},
        r"hidden_layer_sizes must be \[6, 5\], as in the fitted model, got \[6, 4\]: to change it, set warm_start",
    ),
    "depth": ({}, {"hidden_layer_sizes": (6,)}, r"hidden_layer_sizes must be \[6, 5\], .*, got \[6\]"),
    "depth, none": ({"hidden_layer_sizes": 6}, {"hidden_layer_sizes": ()}, r"must be \[6\], .*, got \[\]"),
    "batch_norm": ({}, {"batch_norm": True}, "batch_norm must be False, as in the fitted model, got True"),
    "batch_norm, off": ({"batch_norm": True}, {"batch_norm": False}, "batch_norm must be True, .*, got False"),
    "norm": ({}, {"norm": "layer"}, "norm must be None, as in the fitted model, got 'layer'"),
    "norm, off": ({"norm": "batch"}, {"norm": None}, "norm must be 'batch', as in the fitted model, got None"),
    "norm, another": ({"norm": "batch"}, {"norm": "layer"}, "norm must be 'batch', as in the fitted .*, got 'layer'"),
    "norm, not batch_norm": (
        {"batch_norm": True},
        {"batch_norm": False, "norm": "layer"},
        "batch_norm must be True, .*, got False",
    ),
    "residual": ({"hidden_layer_sizes": (6, 6)}, {"residual": True}, "residual must be False, as in .*, got True"),
    "residual, off": (
        {"hidden_layer_sizes": (6, 6), "residual": True},
        {"residual": False},
        "residual must be True, as in the fitted model, got False",
    ),
    "categories": (
        {},
        {"categorical_features": [0]},
        r"categorical_features must be None, as in the fitted model, got \[0\]: to change it, set warm_start",
    ),
    "categories, off": (
        {"categorical_features": np.array([False, True] + [False] * (X.shape[1] - 2))},
        {"categorical_features": None},
        r"categorical_features must be \[False, True, .*, as in the fitted model, got None",
    ),
    "scale": ({}, {"scale": "robust"}, "scale must be None, as in the fitted model, got 'robust'"),
    "scale, off": ({"scale": "standard"}, {"scale": None}, "scale must be 'standard', as in the .*, got None"),
    "dtype": ({}, {"dtype": "float32"}, "dtype must be float64, as in the fitted model, got float32"),
    "slopes": ({}, {"activation": "prelu"}, "activation must be 'relu', as in the fitted model, got 'prelu'"),
    "slopes, off": ({"activation": ["relu", "prelu"]}, {"activation": "relu"}, "activation must be .*, got 'relu'"),
}


@pytest.mark.parametrize("how", ["partial_fit", "warm fit"])
@pytest.mark.parametrize("case", NEED_OTHER_WEIGHTS)
def test_changes_that_need_other_weights_are_refused(case, how):
    start, change, message = NEED_OTHER_WEIGHTS[case]

    def fit_again(estimator):
        return estimator.fit(X, Y3) if how == "warm fit" else estimator.partial_fit(X, Y3)

    fit, untouched = (fit_again(update(classifier(warm_start=how == "warm fit", **start))) for _ in range(2))
    before, probabilities = dict(vars(fit)), fit.predict_proba(X)
    kept = {name: getattr(fit, name) for name in change}
    fit.set_params(**change)
    with pytest.raises(ValueError, match=message):
        fit_again(fit)
    np.testing.assert_array_equal(fit.predict_proba(X), probabilities)
    assert {name: value for name, value in vars(fit).items() if name not in change} == {
        name: value for name, value in before.items() if name not in change
    }
    assert_same(fit_again(fit.set_params(**kept)), fit_again(untouched))
    fit.set_params(**change, warm_start=False).fit(X, Y3)
    assert np.isfinite(fit.loss_)


def test_a_loss_with_other_outputs_is_refused():
    for first, then, fitted, now in (
        ("squared_error", "poisson", "'identity'", "'exp'"),
        ("poisson", "huber", "'exp'", "'identity'"),
    ):
        message = f"loss must be a loss with the output activation {fitted}, as in the .*, got '{then}' with {now}"
        fit = MLPRegressor(first, random_state=0, max_iter=2).partial_fit(X, np.abs(YR))
        want = fit.predict(X)
        with pytest.raises(ValueError, match=message):
            fit.set_params(loss=then).partial_fit(X, np.abs(YR))
        np.testing.assert_array_equal(fit.predict(X), want)


# ---- predictions, copies, pickles ----

# Another value of every parameter.
OTHERS = {
    "hidden_layer_sizes": (7,), "activation": "tanh", "solver": "lbfgs", "alpha": 3.0, "batch_size": 7,
    "learning_rate": "adaptive", "learning_rate_init": 0.5, "power_t": 1.5, "max_iter": 9, "shuffle": False,
    "random_state": 7, "tol": 0.5, "verbose": True, "warm_start": True, "momentum": 0.0, "nesterovs_momentum": False,
    "early_stopping": True, "validation_fraction": 0.5, "beta_1": 0.5, "beta_2": 0.5, "epsilon": 0.5,
    "n_iter_no_change": 3, "max_fun": 3, "dropout": [0.5], "batch_norm": True, "optimizer": "SGD", "weight_decay": 0.5,
    "schedule": "CosineAnnealingLR", "clip_norm": 1.0, "clip_value": 1.0, "scoring": "accuracy", "callbacks": [],
    "init": "zeros", "dtype": "float32", "n_threads": 1, "class_weight": "balanced", "loss": "hinge",
    "norm": "layer", "residual": True, "categorical_features": [0], "scale": "robust", "scale_targets": True,
    "augment": ["noise"], "accumulate": 2, "average": "ema",
}  # fmt: skip
STARTS = {
    "plain": {},
    "more": {"activation": ["prelu", "tanh"], "dropout": [0.1, 0.0], "batch_norm": True, "dtype": "float32"},
    "blocks": {"norm": "layer", "residual": True, "hidden_layer_sizes": (6, 6), "dropout": 0.1},
}
WRONG = {"activation": ["relu"], "dropout": "many", "hidden_layer_sizes": None, "loss": 3, "batch_norm": None}
WRONG |= {"norm": 3, "residual": "yes", "categorical_features": 3, "scale": "min_max", "scale_targets": "y"}


def test_every_parameter_has_another_value_here():
    assert MLPClassifier().get_params().keys() | MLPRegressor().get_params().keys() == OTHERS.keys()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("start", STARTS)
def test_a_parameter_alone_changes_no_prediction(start, kind):
    options = {"hidden_layer_sizes": (6, 5), "random_state": 0, "max_iter": 3} | STARTS[start]
    fit = kind(**options).fit(X, YB)
    predict = kind.predict_proba if kind is MLPClassifier else kind.predict
    want, fitted = predict(fit, X), fit.get_params()
    for name, value in [*OTHERS.items(), *WRONG.items(), ("batch_norm", not fitted["batch_norm"])]:
        if name in fitted:
            fit.set_params(**{name: value})
            for each in (fit, copy.copy(fit), copy.deepcopy(fit), pickled(pickled(fit))):
                np.testing.assert_array_equal(predict(each, X), want, err_msg=name)
                assert getattr(each, name) == value
            fit.set_params(**{name: fitted[name]})


def test_arguments_may_be_changed_after_the_fit():
    activations, rates, sizes = ["relu", "tanh"], np.array([0.0, 0.5]), [6, 5]
    fit = classifier(activation=activations, dropout=rates, hidden_layer_sizes=sizes).fit(X, Y3)
    want = fit.predict_proba(X)
    activations[0], rates[0], sizes[0] = "mish", 0.9, 7
    np.testing.assert_array_equal(pickled(fit).predict_proba(X), want)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must be \[6, 5\]"):
        fit.partial_fit(X, Y3)
    sizes[0] = 6
    assert fit.partial_fit(X, Y3)._model.net.layers[1:3] == (nn.Mish(), nn.Dropout(0.9))


def test_assigned_other_parameters_are_used():
    fit = update(classifier(batch_norm=True), 3)
    want = update(classifier(batch_norm=True, random_state=1), 3)
    fit.coefs_, fit.intercepts_, fit.other_parameters_ = want.coefs_, want.intercepts_, dict(want.other_parameters_)
    for each in (pickled(fit), fit):
        np.testing.assert_array_equal(each.predict_proba(X), want.predict_proba(X))
    fit.other_parameters_["1.running_var"] = np.zeros(7)
    with pytest.raises(
        ValueError, match=r"other_parameters_\['1.running_var'\] must have shape \(6,\), got shape \(7,\)"
    ):
        fit.predict(X)


# ---- a pickle between two updates ----


class Recorder(fastnn.Callback):
    """Records the counts at the begin of each fit, and the rate of each epoch."""

    def __init__(self):
        self.begun, self.rates = [], []

    def on_fit_begin(self, trainer):
        self.begun.append((trainer.epoch, trainer.step_count, len(trainer.history.epochs)))

    def on_epoch_end(self, trainer, logs):
        self.rates.append(logs["lr"])


CONTINUED = {
    "schedule by name": {"schedule": "CosineAnnealingLR", "max_iter": 12},
    "schedule by step": {"schedule": optim.ExponentialLR(0.9, every="step")},
    "schedule, a function": {"schedule": halved},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "no momentum": {"solver": "sgd", "momentum": 0.0},
    "dropout": {"dropout": 0.5},
    "batch norm": {"batch_norm": True, "activation": "prelu"},
    "blocks": {"norm": "layer", "residual": True, "hidden_layer_sizes": (6, 6), "dropout": 0.2},
    "another optimiser": {"optimizer": optim.RMSprop(0.01, momentum=0.5), "schedule": "OneCycleLR"},
    "bias correction": {"optimizer": "NAdam"},
    "limits": {"clip_norm": 0.1, "clip_value": 0.1, "weight_decay": 0.1},
    "float32": {"dtype": "float32"},
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("between", [pickled, copy.copy, lambda fit: fit.set_params(alpha=fit.alpha + 0.0)])
@pytest.mark.parametrize("case", CONTINUED)
def test_updates_continue_after_a_copy(case, between):
    """And after a parameter has been set to its present value."""
    want, have = classifier(**CONTINUED[case]), classifier(**CONTINUED[case])
    for _ in range(6):
        have = between(update(have))
    assert_same(have, update(want, 6))
    assert have.loss_curve_ == want.loss_curve_
    for name in ("t", "epoch", "base_rate", "learning_rate", "learning_rate_init"):
        assert getattr(have._optimizer, name) == getattr(want._optimizer, name)


def test_a_schedule_continues_when_the_penalty_is_changed():
    fit = classifier(schedule="LinearLR", max_iter=4, learning_rate_init=1.0, callbacks=[Recorder()])
    for alpha in (0.0, 0.1, 0.2, 0.3, 0.4):
        fit = pickled(update(fit.set_params(alpha=alpha)))
    want = [optim.LinearLR(total_iters=4)(1.0, epoch, [0])[0] for epoch in range(5)]
    np.testing.assert_allclose(fit.callbacks[0].rates, want, rtol=1e-15)


def test_callbacks_see_the_counts_of_earlier_updates():
    fit = classifier(callbacks=[Recorder()])
    for change in ({}, {}, {"alpha": 0.5}, {"activation": "tanh"}):
        fit = pickled(update(fit.set_params(**change)))
    assert fit.callbacks[0].begun == [(0, 0, 0), (1, 3, 1), (2, 6, 2), (3, 9, 3)]


class Break(fastnn.Callback):
    """Stops a fit after so many steps, or raises an error in it."""

    def __init__(self, steps, error=None):
        self.left, self.error = steps, error

    def on_batch_end(self, trainer, logs):
        self.left -= 1
        if self.left == 0:
            if self.error is not None:
                raise self.error
            trainer.stop()


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5, "batch_norm": True}, {"solver": "sgd"}], ids=str)
def test_a_callbacks_error_leaves_the_weights_of_the_last_step(options):
    """And a pickle of the estimator continues as the estimator does."""
    broken, stopped = (update(classifier(**options), 2) for _ in range(2))
    with pytest.raises(RuntimeError, match="enough"):
        update(broken.set_params(callbacks=[Break(2, RuntimeError("enough"))]))
    update(stopped.set_params(callbacks=[Break(2)]))
    assert_same(broken, stopped)
    assert broken._optimizer.t == stopped._optimizer.t == 8
    broken.set_params(callbacks=None)
    twin = pickled(broken)
    assert_same(update(broken), update(twin))


def test_a_failed_fit_counts_its_finished_epochs():
    calls = []

    def value(z, t):
        calls.append(len(z))
        if len(calls) == 8:
            raise RuntimeError("enough")
        return ((z - t) ** 2).sum(axis=1)

    loss = nn.CustomLoss(value, lambda z, t: 2 * (z - t))
    fit = MLPRegressor(loss, (5,), random_state=0, batch_size=20, alpha=0.0)
    with pytest.raises(RuntimeError, match="enough"):
        fit.fit(X, YR)
    assert (fit.n_iter_, len(fit.loss_curve_), fit.t_, fit._optimizer.t) == (2, 2, 120, 7)


# ---- early stopping ----


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_best_epoch_is_one_of_the_last_call(batch_norm):
    rng = np.random.default_rng(1)
    one, other, held_out = (rng.normal(size=(200, 4)) for _ in range(3))
    options = {"early_stopping": True, "warm_start": True, "max_iter": 300, "learning_rate_init": 0.01}
    fit = classifier(hidden_layer_sizes=(20,), batch_size=50, batch_norm=batch_norm, **options)
    fit.fit(one, one[:, 0] > 0, eval_set=(one, one[:, 0] > 0))
    first, scores = [coef.copy() for coef in fit.coefs_], len(fit.validation_scores_)
    assert fit.best_validation_score_ > 0.99
    fit.fit(other, other[:, 1] > 0, eval_set=(held_out, held_out[:, 1] > 0))
    assert not np.array_equal(fit.coefs_[0], first[0])
    assert fit.best_validation_score_ == max(fit.validation_scores_[scores:]) > 0.93
    for each in (fit, pickled(fit)):  # both weights and running statistics are those of the best epoch
        assert each.score(held_out, held_out[:, 1] > 0) == fit.best_validation_score_
    np.testing.assert_array_equal(fit._best_coefs[0], fit.coefs_[0])


@pytest.mark.parametrize(
    "sequence",
    [
        ({"early_stopping": False}, {"early_stopping": True}),
        ({"early_stopping": True}, {"early_stopping": False}),
        ({"solver": "lbfgs"}, {"solver": "adam"}),
        ({"solver": "lbfgs"}, {"solver": "sgd", "early_stopping": True}),
        ({"solver": "sgd"}, {"solver": "lbfgs"}),
        ({"early_stopping": True}, {"solver": "lbfgs", "early_stopping": False}, {"solver": "adam"}),
    ],
    ids=str,
)
def test_solver_and_early_stopping_may_change(sequence):
    fit = classifier(warm_start=True)
    for parameters in sequence:
        before = fit.score(X, Y3) if hasattr(fit, "coefs_") else 0.0
        fit.set_params(**parameters).fit(X, Y3)
        assert np.isfinite(fit.loss_) and fit.score(X, Y3) >= before - 0.2
        if fit.solver != "lbfgs":
            assert (fit.best_validation_score_ is not None) == fit.early_stopping
            assert (fit.best_loss_ is None) == fit.early_stopping
    if fit.solver != "lbfgs":
        fit.set_params(early_stopping=False).partial_fit(X, Y3)
    assert_same(fit, pickled(fit))


# ---- fits that are refused, and fits that fail ----

REFUSED = {
    "weights that are too few": ({}, {"sample_weight": np.ones(3)}, "sample_weight.shape"),
    "weights below 0": ({}, {"sample_weight": -np.ones(60)}, "sample_weight must contain finite weights, none below 0"),
    "NaN": ({}, {"X": X * np.nan}, "Input X contains NaN"),
    "no rows": ({}, {"X": X[:0], "y": YB[:0]}, "Found array with 0 sample"),
    "another number of rows": ({}, {"y": YB[:9]}, "inconsistent numbers of samples"),
    "columns": ({}, {"X": X[:, :3], "sample_weight": np.ones(3)}, "sample_weight.shape|3 features"),
    "eval_set": ({}, {"eval_set": (X, YB[:9])}, "inconsistent numbers of samples"),
    "its weights": ({}, {"eval_set": (X, YB, -np.ones(60))}, r"eval_set\[2\] must contain finite weights"),
    "parameters": ({"alpha": -1.0}, {}, "The 'alpha' parameter"),
    "hidden_layer_sizes": ({"hidden_layer_sizes": (3, -1)}, {}, "hidden_layer_sizes must be > 0|must be \\[6, 5\\]"),
    "width": (
        {"hidden_layer_sizes": (3, 1.5)},
        {},
        r"hidden_layer_sizes\[1\] must be an integer of at least 1, got 1.5|must be \[6, 5\]",
    ),
    "widths as text": (
        {"hidden_layer_sizes": (3, "a")},
        {},
        r"hidden_layer_sizes\[1\] must be an integer of at least 1, got 'a'|must be \[6, 5\]",
    ),
    "rates": ({"dropout": [0.1, "a"]}, {}, r"dropout\[1\] must be a number in \[0, 1\], got 'a'"),
    "a rate": ({"dropout": [0.1, 2]}, {}, r"dropout\[1\] must be a number in \[0, 1\], got 2.0"),
    "layers": ({"activation": ["relu", nn.ReLU]}, {}, r"activation must be a layer, or .*: write nn\.ReLU\(\)$"),
    "a list": ({"activation": ["relu"] * 3}, {}, "activation must have one value per hidden layer, 2 in all, got 3"),
    "callbacks": ({"callbacks": [print]}, {}, r"callbacks\[0\] must be a fastnn.Callback"),
    "lone rows": (
        {"batch_norm": True, "batch_size": 1},
        {},
        "batch_size must be at least 2 with batch_norm=True|batch_norm must be False, as",
    ),
    "lbfgs": ({"solver": "lbfgs", "dropout": 0.5}, {}, "dropout must be 0.0 with solver='lbfgs', got 0.5: use solver"),
    "validation set": ({"early_stopping": True, "validation_fraction": 0.001}, {}, "validation set is|test_size = 1"),
    "optimiser": (
        {"optimizer": optim.Adam(), "weight_decay": 0.1},
        {},
        "weight_decay must be None if optimizer is an object",
    ),
    "loss": ({"loss": nn.CrossEntropyLoss()}, {"y": YB}, "loss must be a binary loss|same classes"),
    "loss's weights": ({"loss": nn.CrossEntropyLoss(weight=[1.0, 2.0])}, {"y": Y3}, r"weight must have shape \(3,\)"),
    "class_weight": ({"class_weight": {0: -1.0}}, {}, r"class_weight\[0\] must be a finite number of at least 0"),
    "scoring": ({"early_stopping": True, "scoring": "qual"}, {}, "The 'scoring' parameter"),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_fit_leaves_the_estimator_unchanged(case, warm_start):
    parameters, given, message = REFUSED[case]
    state = np.random.RandomState(3)
    fit, untouched = (classifier(random_state=copy.deepcopy(state), warm_start=warm_start).fit(X, Y3) for _ in range(2))
    before, probabilities, loss_curve = dict(vars(fit)), fit.predict_proba(X), list(fit.loss_curve_)
    fit.set_params(**parameters)
    arguments = {"X": X, "y": Y3 if warm_start else YB} | given
    with pytest.raises((TypeError, ValueError), match=message):
        fit.fit(**arguments)
    names = vars(fit).keys() - parameters.keys()
    assert names == before.keys() - parameters.keys()
    assert all(vars(fit)[name] is before[name] for name in names)
    assert fit.loss_curve_ == loss_curve
    np.testing.assert_array_equal(fit.predict_proba(X), probabilities)
    fit.set_params(**{name: before[name] for name in parameters})
    for each in (fit, untouched):
        update(each)
        each.fit(X, Y3)
    assert_same(fit, untouched)
    assert fit.loss_curve_ == untouched.loss_curve_


@pytest.mark.parametrize("how", ["partial_fit", "warm fit", "eval_set"])
def test_labels_of_another_kind_are_refused(how):
    several = np.stack([YB, 1 - YB], axis=1)
    for y, other, message in (
        (YB, several, "y must be 1-dimensional, like the labels of the previous fit, got shape"),
        (several, YB, "multi|shape|y must have 2 columns, as in the previous fit, got 1"),
    ):
        fit = classifier(warm_start=how == "warm fit").fit(X, y)
        want = fit.predict_proba(X)
        calls = {
            "partial_fit": lambda: fit.partial_fit(X, other),  # noqa: B023
            "warm fit": lambda: fit.fit(X, other),  # noqa: B023
            "eval_set": lambda: fit.fit(X, y, eval_set=(X, other)),  # noqa: B023
        }
        with pytest.raises(ValueError, match=message):
            calls[how]()
        np.testing.assert_array_equal(fit.predict_proba(X), want)


def test_a_refused_first_update_leaves_the_estimator_unchanged():
    fit = classifier()
    before = dict(vars(fit))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fit.partial_fit(X * np.nan, YB, classes=[0, 1])
    assert vars(fit) == before
    fit.partial_fit(X, Y3, classes=[0, 1, 2])
    assert_same(fit, update(classifier()))


@pytest.mark.parametrize("error", [RuntimeError("enough"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("steps", [1, 5])
def test_a_failed_fit_from_the_beginning_leaves_nothing_of_the_fit_before(steps, error):
    """Labels, losses and the net, after its last whole step, are those of the new fit."""
    fit = classifier(dropout=0.5).fit(X, Y3, eval_set=(X, Y3)).set_params(callbacks=[Break(steps, error)])
    new = classifier(dropout=0.5, callbacks=[Break(steps)])
    names = np.array(["no", "yes"])[YB]
    if isinstance(error, KeyboardInterrupt):
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            fit.fit(X, names)
    else:
        with pytest.raises(RuntimeError, match="enough"):
            fit.fit(X, names)
    new.fit(X, names)
    assert_same(fit, new)
    np.testing.assert_array_equal(fit.predict(X), new.predict(X))
    assert fit.n_iter_ == len(fit.loss_curve_) == steps // 3
    assert not hasattr(fit, "validation_loss_curve_")


def test_a_failed_lbfgs_fit_has_the_weights_of_an_iterate():
    left = 0

    def value(z, t):
        nonlocal left
        left -= 1
        if left == 0:
            raise RuntimeError("enough")
        return ((z - t) ** 2).sum(axis=1)

    loss = nn.CustomLoss(value, lambda z, t: 2 * (z - t))

    def fitted():
        return MLPRegressor(loss, (5,), random_state=0, solver="lbfgs", max_iter=3, warm_start=True).fit(X, YR)

    fit = fitted()
    want = fit.predict(X)
    errors = [np.mean((want - YR) ** 2)]
    for calls in (1, 2, 3, 9):
        left = calls
        with pytest.raises(RuntimeError, match="enough"):
            fit.set_params(max_iter=20).fit(X, YR)
        errors.append(np.mean((fit.predict(X) - YR) ** 2))
        if calls == 1:
            np.testing.assert_array_equal(fit.predict(X), want)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]


def test_predictions_during_lbfgs_are_those_of_iterates():
    """Never of points of a line search: each iterate has a smaller loss than the one before."""
    errors = []

    def value(z, t):
        errors.append(np.mean((fit.predict(X) - YR) ** 2) if errors or hasattr(fit, "coefs_") else np.inf)
        return ((z - t) ** 2).sum(axis=1)

    fit = MLPRegressor(
        nn.CustomLoss(value, lambda z, t: 2 * (z - t)), (5,), random_state=0, solver="lbfgs", max_iter=30, alpha=0.0
    )
    fit.fit(X, YR)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]


def test_a_new_fit_keeps_no_attributes_of_the_old_one():
    fit = classifier(early_stopping=True, batch_norm=True).fit(X, Y3, eval_set=(X, Y3))
    fit.set_params(early_stopping=False, batch_norm=False, solver="lbfgs").fit(X, YB)
    new = classifier(solver="lbfgs").fit(X, YB)
    assert vars(fit).keys() == vars(new).keys()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_all_fitted_attributes_are_listed(kind):
    """The next fit from the beginning starts without them."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    fits = [
        kind(max_iter=2, early_stopping=True, batch_norm=True, dropout=0.1).fit(frame, YB, eval_set=(frame, YB)),
        kind(max_iter=2, solver="lbfgs").fit(X, YB),
        kind(max_iter=2, callbacks=[fastnn.EarlyStopping("loss")]).fit(X, YB).partial_fit(X, YB),
        kind(max_iter=2, categorical_features=[0], scale="standard").fit(X, YB),
    ]
    for fit in fits:
        check_is_fitted(fit)
        assert vars(fit).keys() <= _FITTED_ATTRIBUTES | fit.get_params().keys()
    assert {name for fit in fits for name in vars(fit)} >= _FITTED_ATTRIBUTES - {"classes_", "_label_binarizer"}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_second_fit_in_another_thread_is_refused(solver):
    running, unchanged = threading.Event(), []
    proceed = threading.Event()

    def value(z, t):
        if not running.is_set():
            running.set()
            proceed.wait(20)
        return ((z - t) ** 2).sum(axis=1)

    fit = MLPRegressor(nn.CustomLoss(value, lambda z, t: 2 * (z - t)), (5,), solver=solver, max_iter=3, random_state=0)
    thread = threading.Thread(target=fit.fit, args=(X, YR))
    thread.start()
    assert running.wait(20)
    before = dict(vars(fit))
    for method in ("fit", *(["partial_fit"] if solver == "adam" else [])):
        with pytest.raises(RuntimeError, match="the net is being trained in another thread"):
            getattr(fit, method)(X, YR)
        unchanged.append(all(vars(fit)[name] is before[name] for name in before))
    proceed.set()
    thread.join()
    assert all(unchanged)
    want = MLPRegressor(nn.CustomLoss(value, lambda z, t: 2 * (z - t)), (5,), solver=solver, max_iter=3, random_state=0)
    assert_same(fit, want.fit(X, YR))


# ---- net_ ----

LINKS = {
    "three classes": (classifier, Y3, lambda z: kernels.softmax(z), "predict_proba"),
    "two classes": (classifier, YB, lambda z: np.hstack([1 - kernels.sigmoid(z), kernels.sigmoid(z)]), "predict_proba"),
    "labels": (classifier, np.stack([YB, 1 - YB], axis=1), lambda z: kernels.sigmoid(z), "predict_proba"),
    "numbers": (MLPRegressor, YR, np.ravel, "predict"),
    "counts": (functools.partial(MLPRegressor, "poisson"), Y3, lambda z: np.exp(z).ravel(), "predict"),
}


@pytest.mark.parametrize("case", LINKS)
def test_the_net_gives_the_estimators_outputs(case, impl):
    kind, y, link, method = LINKS[case]
    fit = kind(batch_norm=True, dropout=0.2, max_iter=4, random_state=0, dtype="float32").fit(X, y)
    assert isinstance(fit.net_, nn.Sequential)
    np.testing.assert_array_equal(link(fit.net_.predict(X)), getattr(fit, method)(X))


def test_the_net_is_a_copy_of_the_present_weights():
    fit = classifier().fit(X, Y3)
    net, want = fit.net_, fit.predict_proba(X)
    fastnn.Trainer(net, "cross_entropy").fit(X, Y3, epochs=1, verbose=0)
    np.testing.assert_array_equal(fit.predict_proba(X), want)
    before = net.predict(X)
    fit.partial_fit(X, Y3)
    np.testing.assert_array_equal(net.predict(X), before)
    fit.coefs_ = [coef * 2 for coef in fit.coefs_]
    np.testing.assert_array_equal(kernels.softmax(fit.net_.predict(X)), fit.predict_proba(X))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_an_estimator_that_is_not_fitted_has_no_net(kind):
    assert not hasattr(kind(), "net_")
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        _ = kind().net_


def test_pickles_contain_the_weights_once():
    fit = classifier(hidden_layer_sizes=(300,), solver="sgd", momentum=0.0, max_iter=1).fit(X, Y3)
    size = len(pickle.dumps(fit))
    assert fit.net_.predict(X).shape == (60, 3)
    assert len(pickle.dumps(fit)) == size
    assert "net_" not in fit.__getstate__()
