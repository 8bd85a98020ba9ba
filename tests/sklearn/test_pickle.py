"""Pickles contain plain arrays and parameters, training continues from them, and damaged ones are refused."""

import copy
import pickle
import pickletools

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_iris

from fastnn import nn
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


def fitted(kind=MLPClassifier, **parameters):
    return kind(**{"random_state": 0, "max_iter": 5, "batch_size": 20} | parameters).fit(X, Y)


OPTIONS = {
    "plain": {},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling"},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
    "more": {"batch_norm": True, "dropout": 0.2, "optimizer": "RMSprop", "activation": [nn.LeakyReLU(0.2)]},
    "float32": {"dtype": "float32"},
    "blocks": {"norm": "layer", "residual": True, "hidden_layer_sizes": (8, 8), "dropout": 0.2},
}


@pytest.mark.parametrize("copied", [lambda fit: pickle.loads(pickle.dumps(fit)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_copy_predicts_and_trains_as_the_original(kind, options, copied):
    fit = fitted(kind, **OPTIONS[options])
    twin = copied(fit)
    np.testing.assert_array_equal(twin.predict(X), fit.predict(X))
    assert not np.shares_memory(twin.coefs_[0], fit.coefs_[0])
    if options not in ("lbfgs", "early stopping"):
        for each in (fit, twin):
            each.partial_fit(X, Y)
            each.partial_fit(X[::2], Y[::2])
        for mine, other in zip(twin.coefs_ + twin.intercepts_, fit.coefs_ + fit.intercepts_, strict=True):
            np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(twin.predict(X), fit.predict(X))
        assert twin._optimizer.learning_rate == fit._optimizer.learning_rate


def test_pickles_contain_no_object_of_the_engine():
    fit = fitted(batch_norm=True)
    names = {argument for code, argument, _ in pickletools.genops(pickle.dumps(fit, 2)) if code.name == "GLOBAL"}
    ours = {name for name in names if name.startswith("fastnn")}
    assert ours == {"fastnn.sklearn._estimators MLPClassifier", "fastnn.sklearn._optimizer OptimizerState"}


# Functions that return a change of a pickled state.


def replace(name, value):
    def change(state):
        state[name] = value

    return change


def replace_item(name, index, value):
    def change(state):
        state[name] = [*state[name]]
        state[name][index] = value

    return change


def update_mapping(name, **values):
    def change(state):
        state[name] = state[name] | values

    return change


def set_attributes(name, **values):
    def change(state):
        vars(state[name]).update(values)

    return change


DAMAGES = [
    (replace("coefs_", None), "coefs_ must be a list of arrays"),
    (replace("coefs_", []), "coefs_ must be a list of arrays"),
    (replace("intercepts_", [np.zeros(100)]), "intercepts_ must be a list of arrays"),
    (
        replace_item("coefs_", 0, np.zeros((4, 99))),
        r"coefs_\[1\] must have 99 rows, one per output of the layer before, got 100",
    ),
    (replace_item("coefs_", 0, np.zeros(4)), r"coefs_\[0\] must be 2-dimensional, not empty, got shape \(4,\)"),
    (replace_item("coefs_", 0, np.zeros((4, 100), object)), r"coefs_\[0\] must be an ndarray of float32 or float64"),
    (replace_item("coefs_", 0, "weights"), r"coefs_\[0\] must be an ndarray of float32 or float64, got str"),
    (replace_item("intercepts_", 1, np.zeros(4)), r"intercepts_\[1\] must have shape \(3,\), got \(4,\)"),
    (
        replace_item("_best_coefs", 1, np.zeros((7, 3))),
        r"_best_coefs\[1\] must have 100 rows, one per output of the layer before, got 7",
    ),
    (replace("n_layers_", 4), "n_layers_ must be 3 to match coefs_, got 4"),
    (replace("n_features_in_", 5), "n_features_in_ must be 4 to match coefs_, got 5"),
    (replace("n_outputs_", 1), "n_outputs_ must be 3 to match coefs_, got 1"),
    (replace("t_", -1), "t_ must be an integer of at least 0"),
    (replace("_training_steps", 0.5), "_training_steps must be an integer"),
    (replace("out_activation_", "eval"), "out_activation_ must be one of"),
    (
        replace("_structure", {"activation": "relu"}),
        "_structure must be a mapping with the keys activation, batch_norm, categorical_features, dropout",
    ),
    (
        replace("_structure", "relu"),
        "_structure must be a mapping with the keys activation, batch_norm, categorical_features, dropout",
    ),
    (update_mapping("_structure", activation="swosh"), "activation must be one of"),
    (
        update_mapping("_structure", activation=["relu", "relu"]),
        "activation must have one value per hidden layer, 1 in all, got 2",
    ),
    (update_mapping("_structure", dropout=2.0), r"p must be a number in \[0, 1\], got 2.0"),
    (update_mapping("_structure", batch_norm=True), "other_parameters_ must have the keys"),
    (update_mapping("_structure", norm="layer"), "other_parameters_ must have the keys"),
    (update_mapping("_structure", norm="swish"), "norm must be one of batch, layer, got 'swish'"),
    (update_mapping("_structure", norm=3), "norm must be one of batch, layer, got int"),
    (update_mapping("_structure", norm="layer", batch_norm=True), "norm must be None with batch_norm=True"),
    (replace("_optimizer", print), "_optimizer must be an OptimizerState"),
    (set_attributes("_optimizer", t=-1), "_optimizer.t must be an integer of at least 0"),
    (set_attributes("_optimizer", epoch=0.5), "_optimizer.epoch must be an integer of at least 0"),
    (set_attributes("_optimizer", epoch=None), "_optimizer.epoch must be an integer of at least 0"),
    (set_attributes("_optimizer", base_rate=np.nan), "_optimizer.base_rate must be a finite number"),
    (set_attributes("_optimizer", learning_rate_init="fast"), "_optimizer.learning_rate_init must be a finite number"),
    (set_attributes("_optimizer", history={"loss": 1.0}), "_optimizer.history must be a list of dicts, one per epoch"),
    (replace("other_parameters_", [1]), "other_parameters_ must be a mapping"),
    (replace("other_parameters_", {"1.weight": np.zeros(3)}), "other_parameters_ must have the keys"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES)
def test_damaged_states_are_refused(change, message):
    fit = fitted()
    state = fit.__getstate__()
    change(state)
    fresh = MLPClassifier.__new__(MLPClassifier)
    with pytest.raises((TypeError, ValueError), match=message):
        fresh.__setstate__(state)
    assert vars(fresh) == {}


def test_damaged_optimisers_and_norms_are_refused():
    fit = fitted(batch_norm=True)
    slots = [list(slot) for slot in fit._optimizer.slots]
    for wrong, message in (
        ([slots[0][:1], slots[1]], r"_optimizer.slots\[0\] must have arrays of shapes .*, got \[\(4, 100\)\]"),
        ([[*slots[0][:-1], np.zeros(3)], slots[1]], r"_optimizer.slots\[0\] must have arrays of shapes .*, \(3,\)\]$"),
        ([[*slots[0][:-1], "x"], slots[1]], r"_optimizer.slots\[0\] must be an ndarray"),
    ):
        state = copy.deepcopy(fit).__getstate__()
        state["_optimizer"].slots = wrong
        with pytest.raises((TypeError, ValueError), match=message):
            MLPClassifier.__new__(MLPClassifier).__setstate__(state)
    for value, message in (
        (np.zeros(7), r"must have shape \(100,\), got shape \(7,\)"),
        (-np.ones(100), "must contain no number below 0, got -1.0"),
    ):
        state = fit.__getstate__()
        state["other_parameters_"] = fit.other_parameters_ | {"1.running_var": value}
        with pytest.raises(ValueError, match=rf"other_parameters_\['1.running_var'\] {message}"):
            MLPClassifier.__new__(MLPClassifier).__setstate__(state)
    for state in (None, [], {1: 2}):
        with pytest.raises(TypeError, match="state must be a mapping of attribute names"):
            MLPClassifier.__new__(MLPClassifier).__setstate__(state)


def test_assigned_arrays_are_used():
    fit, other = fitted(), fitted(random_state=1)
    want = other.predict_proba(X)
    fit.coefs_, fit.intercepts_ = [c.copy() for c in other.coefs_], [i.copy() for i in other.intercepts_]
    np.testing.assert_array_equal(fit.predict_proba(X), want)
    fit.coefs_[1][...] = 0
    fit.intercepts_[1] = np.zeros(3)
    np.testing.assert_allclose(fit.predict_proba(X), 1 / 3)
    wide = fitted(hidden_layer_sizes=(7,))
    fit.coefs_, fit.intercepts_ = wide.coefs_, wide.intercepts_
    np.testing.assert_array_equal(fit.predict_proba(X), wide.predict_proba(X))


@pytest.mark.parametrize(
    ("assign", "message"),
    [
        (
            lambda fit: setattr(fit, "coefs_", fit.coefs_[:1]),
            "intercepts_ must be a list of arrays, one per layer, got 2 arrays",
        ),
        (lambda fit: fit.coefs_.__setitem__(0, None), r"coefs_\[0\] must be an array of real numbers"),
        (lambda fit: fit.coefs_.__setitem__(0, np.zeros((4, 9))), r"coefs_\[1\] must have 9 rows, one per output"),
        (lambda fit: fit.intercepts_.__setitem__(1, np.zeros(7)), r"intercepts_\[1\] must have shape \(3,\)"),
    ],
)
def test_assigned_arrays_that_make_no_net_are_refused_by_name(assign, message):
    fit = fitted()
    assign(fit)
    for use in (lambda: fit.predict(X), lambda: pickle.dumps(fit)):
        with pytest.raises((TypeError, ValueError), match=message):
            use()
