"""An estimator is what was fitted: parameters that change later act at the next fit, or are refused there."""

import copy
import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn.neural_network as theirs
from sklearn.utils.validation import check_is_fitted

import fastnn
import fastnn.sklearn as ours
from fastnn import nn, optim
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.sklearn._estimators import _FITTED

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


def updated(estimator, times=1):
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

# What acts at once, beside what such an estimator begins with.
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


@pytest.mark.parametrize("case", CHANGES)
def test_a_parameter_acts_at_the_next_update(case):
    """The same whether the estimator is pickled before it is set, or after, or not at all."""
    start, change = CHANGES[case]
    same = updated(classifier(**start), 5)
    plain = updated(updated(classifier(**start), 3).set_params(**change), 2)
    before = updated(pickled(updated(classifier(**start), 3)).set_params(**change), 2)
    after = updated(copy.deepcopy(updated(classifier(**start), 3).set_params(**change)), 2)
    assert not np.array_equal(plain.coefs_[0], same.coefs_[0])
    assert np.isfinite(plain.loss_)
    for each in (before, after):
        assert_same(plain, each)
        assert each._optimizer.t == plain._optimizer.t
        assert each._optimizer.learning_rate == plain._optimizer.learning_rate
    assert plain.t_ == same.t_


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("change", [{"activation": "tanh"}, {"activation": "logistic"}, {"alpha": 0.5}], ids=str)
def test_what_scikit_learn_heeds_has_its_results(change, warm_start):
    want, have = (m.MLPClassifier((6,), random_state=0, warm_start=warm_start, max_iter=4) for m in (theirs, ours))
    for each in (want, have):
        for setting in ({}, change):
            each.set_params(**setting)
            for _ in range(2):
                each.fit(X, Y3) if warm_start else each.partial_fit(X, Y3, classes=[0, 1, 2])
    assert have.loss_ == pytest.approx(want.loss_, rel=1e-11)
    np.testing.assert_allclose(have.coefs_[0], want.coefs_[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("start", "change", "inside"),
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
def test_an_optimiser_goes_on_as_if_it_had_been_told(start, change, inside):
    """scikit-learn's takes no notice of parameters, but of its own attributes."""
    want, have = (m.MLPClassifier((6,), random_state=0, **start) for m in (theirs, ours))
    updated(want, 3)
    for name, value in inside.items():
        setattr(want._optimizer, name, value)
    updated(want, 2)
    updated(updated(have, 3).set_params(**change), 2)
    np.testing.assert_allclose(have.coefs_[0], want.coefs_[0], rtol=1e-9)
    assert have.loss_ == pytest.approx(want.loss_, rel=1e-11)


def test_a_rate_that_has_been_lowered_stays_until_another_is_asked_for():
    class Lower(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            trainer.lr = 1e-5

    fit = updated(classifier(callbacks=[Lower()]))
    updated(fit.set_params(callbacks=None, alpha=0.1, beta_1=0.8))
    assert fit._optimizer.base_rate == 1e-5
    assert updated(fit.set_params(learning_rate_init=0.1))._optimizer.base_rate == 0.1


@pytest.mark.parametrize("batch_norm", [False, True])
def test_other_layers_keep_weights_and_optimiser(batch_norm):
    options = {"batch_norm": batch_norm, "activation": "prelu", "solver": "sgd", "momentum": 0.0}
    fit = updated(classifier(**options, learning_rate_init=0.1), 3)
    names = [name for name in fit.other_parameters_ if "running" not in name]
    before = [array.copy() for array in fit.coefs_ + fit.intercepts_ + [fit.other_parameters_[name] for name in names]]
    updated(fit.set_params(dropout=[0.5, 0.25], learning_rate_init=1e-300))
    assert [str(layer) for layer in fit._model.net.layers if isinstance(layer, nn.Dropout)] == [
        "Dropout(0.5)",
        "Dropout(0.25)",
    ]
    others = [array for name, array in fit.other_parameters_.items() if "running" not in name]
    for was, now in zip(before, fit.coefs_ + fit.intercepts_ + others, strict=True):
        np.testing.assert_allclose(now, was, rtol=0, atol=1e-290)
    assert fit._optimizer.t == 12


@pytest.mark.parametrize("how", ["partial_fit", "warm fit"])
def test_parameters_that_are_none_are_refused_whenever_they_were_set(how):
    """scikit-learn looks at them in the first `partial_fit` alone."""
    for wrong in ({"beta_1": 2.0}, {"optimizer": "Adamox"}, {"activation": "swosh"}, {"clip_norm": -1.0}, {"tol": "x"}):
        fit = updated(classifier(warm_start=how == "warm fit"))
        with pytest.raises(ValueError, match=r"The '.*' parameter of MLPClassifier must be"):
            fit.set_params(**wrong).partial_fit(X, Y3) if how == "partial_fit" else fit.set_params(**wrong).fit(X, Y3)


NEED_OTHER_WEIGHTS = {
    "hidden_layer_sizes": (
        {},
        {"hidden_layer_sizes": (6, 4)},
        r"hidden_layer_sizes must be \[6, 5\], as the model was",
    ),
    "depth": ({}, {"hidden_layer_sizes": (6,)}, r"hidden_layer_sizes must be \[6, 5\], .*, got \[6\]"),
    "depth, none": ({"hidden_layer_sizes": 6}, {"hidden_layer_sizes": ()}, r"must be \[6\], .*, got \[\]"),
    "batch_norm": ({}, {"batch_norm": True}, "batch_norm must be False, as the model was fitted .*, got True"),
    "batch_norm, off": ({"batch_norm": True}, {"batch_norm": False}, "batch_norm must be True, .*, got False"),
    "dtype": ({}, {"dtype": "float32"}, "dtype must be float64, as the model was fitted .*, got float32"),
    "slopes": ({}, {"activation": "prelu"}, "activation must be 'relu', as the model was fitted .*, got 'prelu'"),
    "slopes, off": ({"activation": ["relu", "prelu"]}, {"activation": "relu"}, "activation must be .*, got 'relu'"),
}


@pytest.mark.parametrize("how", ["partial_fit", "warm fit"])
@pytest.mark.parametrize("case", NEED_OTHER_WEIGHTS)
def test_what_needs_other_weights_is_refused(case, how):
    start, change, message = NEED_OTHER_WEIGHTS[case]

    def again(estimator):
        return estimator.fit(X, Y3) if how == "warm fit" else estimator.partial_fit(X, Y3)

    fit, untouched = (again(updated(classifier(warm_start=how == "warm fit", **start))) for _ in range(2))
    before, probabilities = dict(vars(fit)), fit.predict_proba(X)
    kept = {name: getattr(fit, name) for name in change}
    fit.set_params(**change)
    with pytest.raises(ValueError, match=message):
        again(fit)
    np.testing.assert_array_equal(fit.predict_proba(X), probabilities)
    assert {name: value for name, value in vars(fit).items() if name not in change} == {
        name: value for name, value in before.items() if name not in change
    }
    assert_same(again(fit.set_params(**kept)), again(untouched))
    fit.set_params(**change, warm_start=False).fit(X, Y3)
    assert np.isfinite(fit.loss_)


def test_a_loss_with_other_outputs_is_refused():
    for first, then, outputs in (("squared_error", "poisson", "'identity'"), ("poisson", "huber", "'exp'")):
        fit = MLPRegressor(first, random_state=0, max_iter=2).partial_fit(X, np.abs(YR))
        want = fit.predict(X)
        with pytest.raises(ValueError, match=f"loss must be one whose outputs go through {outputs}"):
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
}  # fmt: skip
STARTS = {
    "plain": {},
    "more": {"activation": ["prelu", "tanh"], "dropout": [0.1, 0.0], "batch_norm": True, "dtype": "float32"},
}
WRONG = {"activation": ["relu"], "dropout": "many", "hidden_layer_sizes": None, "loss": 3, "batch_norm": None}


def test_every_parameter_has_another_value_here():
    assert MLPClassifier().get_params().keys() | MLPRegressor().get_params().keys() == OTHERS.keys()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("start", STARTS)
def test_a_parameter_alone_changes_no_prediction(start, kind):
    fit = kind(hidden_layer_sizes=(6, 5), random_state=0, max_iter=3, **STARTS[start]).fit(X, YB)
    predict = kind.predict_proba if kind is MLPClassifier else kind.predict
    want, fitted = predict(fit, X), fit.get_params()
    for name, value in [*OTHERS.items(), *WRONG.items(), ("batch_norm", not fitted["batch_norm"])]:
        if name in fitted:
            fit.set_params(**{name: value})
            for each in (fit, copy.copy(fit), copy.deepcopy(fit), pickled(pickled(fit))):
                np.testing.assert_array_equal(predict(each, X), want, err_msg=name)
                assert getattr(each, name) == value
            fit.set_params(**{name: fitted[name]})


def test_what_was_given_may_change_afterwards():
    activations, rates, sizes = ["relu", "tanh"], np.array([0.0, 0.5]), [6, 5]
    fit = classifier(activation=activations, dropout=rates, hidden_layer_sizes=sizes).fit(X, Y3)
    want = fit.predict_proba(X)
    activations[0], rates[0], sizes[0] = "mish", 0.9, 7
    np.testing.assert_array_equal(pickled(fit).predict_proba(X), want)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must be \[6, 5\]"):
        fit.partial_fit(X, Y3)
    sizes[0] = 6
    assert [str(layer) for layer in fit.partial_fit(X, Y3)._model.net.layers][1:3] == ["Mish()", "Dropout(0.9)"]


def test_other_parameters_that_are_assigned_are_the_models():
    fit = updated(classifier(batch_norm=True), 3)
    want = updated(classifier(batch_norm=True, random_state=1), 3)
    fit.coefs_, fit.intercepts_, fit.other_parameters_ = want.coefs_, want.intercepts_, dict(want.other_parameters_)
    for each in (pickled(fit), fit):
        np.testing.assert_array_equal(each.predict_proba(X), want.predict_proba(X))
    fit.other_parameters_["1.running_var"] = np.zeros(7)
    with pytest.raises(ValueError, match=r"other_parameters_\['1.running_var'\] must be shape"):
        fit.predict(X)


# ---- a pickle between two updates ----


class Told(fastnn.Callback):
    """Notes what it is told."""

    def __init__(self):
        self.begun, self.rates = [], []

    def on_fit_begin(self, trainer):
        self.begun.append((trainer.epoch, trainer.step_count, len(trainer.history)))

    def on_epoch_end(self, trainer, logs):
        self.rates.append(logs["lr"])


GOING_ON = {
    "schedule by name": {"schedule": "CosineAnnealingLR", "max_iter": 12},
    "schedule by step": {"schedule": optim.ExponentialLR(0.9, every="step")},
    "schedule, a function": {"schedule": halved},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "no momentum": {"solver": "sgd", "momentum": 0.0},
    "dropout": {"dropout": 0.5},
    "batch norm": {"batch_norm": True, "activation": "prelu"},
    "another optimiser": {"optimizer": optim.RMSprop(0.01, momentum=0.5), "schedule": "OneCycleLR"},
    "bias correction": {"optimizer": "NAdam"},
    "limits": {"clip_norm": 0.1, "clip_value": 0.1, "weight_decay": 0.1},
    "float32": {"dtype": "float32"},
}


@pytest.mark.parametrize("between", [pickled, copy.copy, lambda fit: fit.set_params(alpha=fit.alpha + 0.0)])
@pytest.mark.parametrize("case", GOING_ON)
def test_updates_go_on(case, between):
    """So they do after a parameter has been set to what it was."""
    want, have = classifier(**GOING_ON[case]), classifier(**GOING_ON[case])
    for _ in range(6):
        have = between(updated(have))
    assert_same(have, updated(want, 6))
    assert have.loss_curve_ == want.loss_curve_
    for name in ("t", "epoch", "base_rate", "learning_rate", "learning_rate_init"):
        assert getattr(have._optimizer, name) == getattr(want._optimizer, name)


def test_a_schedule_counts_on_when_another_penalty_is_asked_for():
    fit = classifier(schedule="LinearLR", max_iter=4, learning_rate_init=1.0, callbacks=[Told()])
    for alpha in (0.0, 0.1, 0.2, 0.3, 0.4):
        fit = pickled(updated(fit.set_params(alpha=alpha)))
    want = [optim.LinearLR(total_iters=4)(1.0, epoch, [0])[0] for epoch in range(5)]
    np.testing.assert_allclose(fit.callbacks[0].rates, want, rtol=1e-15)


def test_callbacks_know_of_the_updates_before():
    fit = classifier(callbacks=[Told()])
    for change in ({}, {}, {"alpha": 0.5}, {"activation": "tanh"}):
        fit = pickled(updated(fit.set_params(**change)))
    assert fit.callbacks[0].begun == [(0, 0, 0), (1, 3, 1), (2, 6, 2), (3, 9, 3)]


class Break(fastnn.Callback):
    """Stops or breaks off a fit after so many steps."""

    def __init__(self, steps, error=None):
        self.left, self.error = steps, error

    def on_batch_end(self, trainer, logs):
        self.left -= 1
        if self.left == 0:
            if self.error is not None:
                raise self.error
            trainer.stop()


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5, "batch_norm": True}, {"solver": "sgd"}], ids=str)
def test_a_callbacks_error_leaves_the_last_whole_step(options):
    """And a pickle of it goes on as it does itself."""
    broken, stopped = (updated(classifier(**options), 2) for _ in range(2))
    with pytest.raises(RuntimeError, match="enough"):
        updated(broken.set_params(callbacks=[Break(2, RuntimeError("enough"))]))
    updated(stopped.set_params(callbacks=[Break(2)]))
    assert_same(broken, stopped)
    assert broken._optimizer.t == stopped._optimizer.t == 8
    broken.set_params(callbacks=None)
    twin = pickled(broken)
    assert_same(updated(broken), updated(twin))


def test_whole_epochs_of_a_fit_that_fails_are_counted():
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
def test_the_best_epoch_is_one_of_the_same_call(batch_norm):
    rng = np.random.default_rng(1)
    one, other, held = (rng.normal(size=(200, 4)) for _ in range(3))
    options = {"early_stopping": True, "warm_start": True, "max_iter": 300, "learning_rate_init": 0.01}
    fit = classifier(hidden_layer_sizes=(20,), batch_size=50, batch_norm=batch_norm, **options)
    fit.fit(one, one[:, 0] > 0, eval_set=(one, one[:, 0] > 0))
    first, scores = [coef.copy() for coef in fit.coefs_], len(fit.validation_scores_)
    assert fit.best_validation_score_ > 0.99
    fit.fit(other, other[:, 1] > 0, eval_set=(held, held[:, 1] > 0))
    assert not np.array_equal(fit.coefs_[0], first[0])
    assert fit.best_validation_score_ == max(fit.validation_scores_[scores:]) > 0.93
    for each in (fit, pickled(fit)):  # weights and running statistics are those of that epoch
        assert each.score(held, held[:, 1] > 0) == fit.best_validation_score_
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
def test_ways_of_fitting_may_change(sequence):
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
    "weights below 0": ({}, {"sample_weight": -np.ones(60)}, "sample_weight must be finite weights, none below 0"),
    "NaN": ({}, {"X": X * np.nan}, "Input X contains NaN"),
    "no rows": ({}, {"X": X[:0], "y": YB[:0]}, "Found array with 0 sample"),
    "another number of rows": ({}, {"y": YB[:9]}, "inconsistent numbers of samples"),
    "columns": ({}, {"X": X[:, :3], "sample_weight": np.ones(3)}, "sample_weight.shape|3 features"),
    "eval_set": ({}, {"eval_set": (X, YB[:9])}, "inconsistent numbers of samples"),
    "its weights": ({}, {"eval_set": (X, YB, -np.ones(60))}, r"eval_set\[2\] must be finite weights"),
    "parameters": ({"alpha": -1.0}, {}, "The 'alpha' parameter"),
    "hidden_layer_sizes": ({"hidden_layer_sizes": (3, -1)}, {}, "hidden_layer_sizes must be > 0|must be \\[6, 5\\]"),
    "a list": ({"activation": ["relu"] * 3}, {}, "activation must be one value for each of 2 hidden layers"),
    "callbacks": ({"callbacks": [print]}, {}, r"callbacks\[0\] must be a Callback of fastnn"),
    "lone rows": ({"batch_norm": True, "batch_size": 1}, {}, "batch_norm must be n_samples|batch_norm must be"),
    "lbfgs": ({"solver": "lbfgs", "dropout": 0.5}, {}, "dropout must be solver='sgd' or 'adam'"),
    "validation set": ({"early_stopping": True, "validation_fraction": 0.001}, {}, "validation set is|test_size = 1"),
    "optimiser": ({"optimizer": optim.Adam(), "weight_decay": 0.1}, {}, "weight_decay must be None"),
    "loss": ({"loss": nn.CrossEntropyLoss()}, {"y": YB}, "loss must be one of yes or no|same classes"),
    "loss's weights": ({"loss": nn.CrossEntropyLoss(weight=[1.0, 2.0])}, {"y": Y3}, "weight must be shape"),
    "class_weight": ({"class_weight": {0: -1.0}}, {}, r"class_weight\[0\] must be a finite number of at least 0"),
    "scoring": ({"early_stopping": True, "scoring": "qual"}, {}, "The 'scoring' parameter"),
}


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_a_refit_that_is_refused_leaves_the_model_whole(case, warm_start):
    parameters, given, message = REFUSED[case]
    state = np.random.RandomState(3)
    fit, untouched = (classifier(random_state=copy.deepcopy(state), warm_start=warm_start).fit(X, Y3) for _ in range(2))
    before, probabilities, loss_curve = dict(vars(fit)), fit.predict_proba(X), list(fit.loss_curve_)
    fit.set_params(**parameters)
    arguments = {"X": X, "y": Y3 if warm_start else YB} | given
    with pytest.raises(ValueError, match=message) if case != "callbacks" else pytest.raises(TypeError, match=message):
        fit.fit(**arguments)
    names = vars(fit).keys() - parameters.keys()
    assert names == before.keys() - parameters.keys()
    assert all(vars(fit)[name] is before[name] for name in names)
    assert fit.loss_curve_ == loss_curve
    np.testing.assert_array_equal(fit.predict_proba(X), probabilities)
    fit.set_params(**{name: before[name] for name in parameters})
    for each in (fit, untouched):
        updated(each)
        each.fit(X, Y3)
    assert_same(fit, untouched)
    assert fit.loss_curve_ == untouched.loss_curve_


@pytest.mark.parametrize("how", ["partial_fit", "warm fit", "eval_set"])
def test_labels_of_another_kind_are_refused(how):
    several = np.stack([YB, 1 - YB], axis=1)
    for y, other, message in (
        (YB, several, "y must be 1-dimensional, as the labels of the"),
        (several, YB, "multi|shape|y: "),
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


def test_a_first_update_that_is_refused_leaves_nothing():
    fit = classifier()
    before = dict(vars(fit))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fit.partial_fit(X * np.nan, YB, classes=[0, 1])
    assert vars(fit) == before
    fit.partial_fit(X, Y3, classes=[0, 1, 2])
    assert_same(fit, updated(classifier()))


@pytest.mark.parametrize("error", [RuntimeError("enough"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("steps", [1, 5])
def test_a_fit_from_the_beginning_that_fails_is_the_new_one(steps, error):
    """Its labels, its net after the last whole step, its figures: nothing is left of the fit before."""
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


def test_a_fit_by_lbfgs_that_fails_is_at_an_iterate():
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


def test_nobody_sees_a_point_of_a_line_search():
    """Whoever predicts while "lbfgs" runs has an iterate: each has less loss than the one before."""
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


def test_nothing_is_left_of_a_fit_of_another_kind():
    fit = classifier(early_stopping=True, batch_norm=True).fit(X, Y3, eval_set=(X, Y3))
    fit.set_params(early_stopping=False, batch_norm=False, solver="lbfgs").fit(X, YB)
    new = classifier(solver="lbfgs").fit(X, YB)
    assert vars(fit).keys() == vars(new).keys()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_what_a_fit_sets_is_known(kind):
    """So that the next fit from the beginning can leave it out."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    fits = [
        kind(max_iter=2, early_stopping=True, batch_norm=True, dropout=0.1).fit(frame, YB, eval_set=(frame, YB)),
        kind(max_iter=2, solver="lbfgs").fit(X, YB),
        kind(max_iter=2, callbacks=[fastnn.EarlyStopping("loss")]).fit(X, YB).partial_fit(X, YB),
    ]
    for fit in fits:
        check_is_fitted(fit)
        assert vars(fit).keys() <= _FITTED | fit.get_params().keys()
    assert {name for fit in fits for name in vars(fit)} >= _FITTED - {"classes_", "_label_binarizer"}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_model_that_is_being_fitted_is_not_fitted_anew(solver):
    inside, seen = threading.Event(), []
    leave = threading.Event()

    def value(z, t):
        if not inside.is_set():
            inside.set()
            leave.wait(20)
        return ((z - t) ** 2).sum(axis=1)

    fit = MLPRegressor(nn.CustomLoss(value, lambda z, t: 2 * (z - t)), (5,), solver=solver, max_iter=3, random_state=0)
    thread = threading.Thread(target=fit.fit, args=(X, YR))
    thread.start()
    assert inside.wait(20)
    before = dict(vars(fit))
    for method in ("fit", *(["partial_fit"] if solver == "adam" else [])):
        with pytest.raises(RuntimeError, match="the net is being trained in another thread"):
            getattr(fit, method)(X, YR)
        seen.append(all(vars(fit)[name] is before[name] for name in before))
    leave.set()
    thread.join()
    assert all(seen)
    want = MLPRegressor(nn.CustomLoss(value, lambda z, t: 2 * (z - t)), (5,), solver=solver, max_iter=3, random_state=0)
    assert_same(fit, want.fit(X, YR))
