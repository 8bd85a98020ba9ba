"""The estimators in scikit-learn's pipelines, searches and other tools."""

import ast
import inspect
import re
import warnings

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from scikit_learn import has, needs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.sklearn._estimators import _FITTED_ATTRIBUTES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
NAMES = np.array(load_iris().target_names)[Y]


def classifier(**parameters):
    return MLPClassifier(**{"random_state": 0, "max_iter": 60, "learning_rate_init": 0.01} | parameters)


def test_pipeline():
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, NAMES)
    assert pipeline.score(X, NAMES) > 0.95
    assert "learning_rate_init" in pipeline._repr_html_()


# Each worker is a process: estimators reach it as pickles, and fitted ones come back as pickles.
def test_grid_search_in_two_processes():
    grid = {"alpha": [1e-4, 1e-2], "hidden_layer_sizes": [(8,), (12, 6)], "dropout": [0.0, 0.1]}
    with joblib.parallel_config("loky", n_jobs=2):
        search = GridSearchCV(classifier(), grid, cv=3, n_jobs=2, return_train_score=True).fit(X, NAMES)
    alone = GridSearchCV(classifier(), grid, cv=3, n_jobs=1).fit(X, NAMES)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert search.best_score_ > 0.9
    np.testing.assert_array_equal(search.best_estimator_.coefs_[0], alone.best_estimator_.coefs_[0])


def test_cross_validate():
    scores = cross_validate(
        classifier(), X, NAMES, cv=3, scoring=("accuracy", "neg_log_loss"), return_estimator=True, n_jobs=2
    )
    assert scores["test_accuracy"].min() > 0.9
    assert scores["test_neg_log_loss"].min() > -0.4
    assert scores["estimator"][0].predict(X[:1]) == NAMES[:1]


def test_calibration_votes_and_importance():
    calibrated = CalibratedClassifierCV(classifier(), cv=3).fit(X, NAMES)
    assert calibrated.score(X, NAMES) > 0.9
    votes = VotingClassifier([("net", classifier()), ("line", LogisticRegression(max_iter=500))], voting="soft")
    assert votes.fit(X, NAMES).score(X, NAMES) > 0.9
    importance = permutation_importance(classifier().fit(X, NAMES), X, NAMES, n_repeats=3, random_state=0)
    assert importance.importances_mean[2:].max() > importance.importances_mean[:2].max()


def test_metadata_is_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        net = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        weight = np.where(Y == 0, 0.0, 1.0)
        search = GridSearchCV(net, {"alpha": [1e-4]}, cv=2).fit(X, Y, sample_weight=weight)
        want = classifier(alpha=1e-4).fit(X, Y, sample_weight=weight)
        np.testing.assert_array_equal(search.best_estimator_.coefs_[0], want.coefs_[0])
    for method in ("set_fit_request", "set_partial_fit_request", "set_score_request"):
        assert callable(getattr(MLPRegressor(), method))


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    fit = classifier(early_stopping=True, scoring="neg_log_loss").fit(frame, NAMES, eval_set=(frame, NAMES))
    assert list(fit.feature_names_in_) == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(fit.predict(frame), fit.classes_[fit.predict_proba(frame).argmax(axis=1)])
    for predict in (fit.predict, fit.predict_proba):
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            predict(X)
        with pytest.raises(ValueError, match="The feature names should match"):
            predict(frame[["b", "a", "c", "d"]])


def test_clones_are_not_fitted_and_have_the_same_parameters():
    optimizer = fastnn.optim.RMSprop(lr=0.1)
    fit = classifier(activation=["relu"], learning_rate_init=0.001, optimizer=optimizer, dropout=[0.1]).fit(X, Y)
    twin = clone(fit)
    assert repr(twin) == repr(fit)
    assert twin.get_params().keys() == fit.get_params().keys()
    with pytest.raises(NotFittedError):
        twin.predict(X)
    assert "dropout" in fit._repr_html_()


def test_joblib(tmp_path):
    fit = classifier().fit(X, NAMES)
    for kwargs in ({}, {"compress": 3}):
        joblib.dump(fit, tmp_path / "net.joblib", **kwargs)
        np.testing.assert_array_equal(joblib.load(tmp_path / "net.joblib").predict_proba(X), fit.predict_proba(X))
    joblib.dump(fit, tmp_path / "net.joblib")
    mapped = joblib.load(tmp_path / "net.joblib", mmap_mode="r")
    np.testing.assert_array_equal(mapped.partial_fit(X, NAMES).coefs_[0], fit.partial_fit(X, NAMES).coefs_[0])


class Recorder:
    """A callback with scikit-learn's protocol."""

    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.calls.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, y=None, fitted_estimator=None):
        self.calls.append(
            ("end", context.task_name, fitted_estimator.predict(X[:3]).tolist(), fitted_estimator.n_iter_)
        )
        assert y is NAMES
        return context.task_name == "epoch" and fitted_estimator.n_iter_ == self.stop_after

    def teardown(self, estimator, context):
        self.calls.append("teardown")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver):
    needs("callbacks")
    recorder = Recorder(stop_after=3)
    fit = classifier(solver=solver, max_iter=9).set_callbacks(recorder).fit(X, NAMES)
    epochs = [("begin", "epoch", i) for i in range(3)] if solver == "adam" else []
    assert [each for each in recorder.calls if each[0] == "begin"] == [("begin", "fit", 0), *epochs]
    assert [each[3] for each in recorder.calls if each[:2] == ("end", "epoch")] == [1, 2, 3][: len(epochs)]
    assert recorder.calls[-2] == ("end", "fit", fit.predict(X[:3]).tolist(), fit.n_iter_)
    assert (recorder.calls[0], recorder.calls[-1]) == ("setup", "teardown")
    same = classifier(solver=solver, max_iter=3 if solver == "adam" else 9).fit(X, NAMES)
    np.testing.assert_array_equal(fit.coefs_[0], same.coefs_[0])


def test_a_scoring_monitor_logs_every_epoch():
    needs("callbacks")
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    fit = classifier(max_iter=5).set_callbacks(monitor).fit(X, NAMES)
    assert fit.n_iter_ == 5
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[-1]["accuracy"] == fit.score(X, NAMES)


def test_a_scikit_learn_without_callbacks_is_named():
    if has("callbacks"):
        pytest.skip("this scikit-learn has callbacks")
    assert not hasattr(classifier(), "set_callbacks")
    with pytest.raises(AttributeError, match=r"^set_callbacks needs scikit-learn 1\.9 or newer, got 1\.[678]"):
        classifier().set_callbacks(Recorder())


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_signature_is_that_of_scikit_learn_and_more(kind):
    import sklearn.neural_network

    theirs = inspect.signature(getattr(sklearn.neural_network, kind.__name__)).parameters
    ours = inspect.signature(kind).parameters
    assert [name for name in ours if name != "loss" or "loss" in theirs][: len(theirs)] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default
        assert ours[name].kind == parameter.kind
    assert all(p.kind is p.KEYWORD_ONLY for name, p in ours.items() if name not in {*theirs, "loss"})
    constraints = getattr(sklearn.neural_network, kind.__name__)._parameter_constraints
    assert kind._parameter_constraints.keys() >= constraints.keys()
    for name, wanted in constraints.items():
        mine = kind._parameter_constraints[name][: len(wanted)]
        if name not in ("activation", "loss"):  # these accept more
            assert [sorted(str(each)) for each in mine] == [sorted(str(each)) for each in wanted], name
    public = {name for name in dir(getattr(sklearn.neural_network, kind.__name__)) if not name.startswith("_")}
    assert public <= set(dir(kind))
    X, y = (globals()["X"], Y) if kind is MLPClassifier else make_regression(random_state=0)
    for solver in ("adam", "lbfgs"):
        parameters = {"max_iter": 3, "solver": solver}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            want = getattr(sklearn.neural_network, kind.__name__)(**parameters).fit(X, y)
            have = kind(**parameters).fit(X, y)
        attributes = {name for name in vars(want) if name.endswith("_")}
        more = {"categories_", "is_categorical_"}  # of `categorical_features`, which is off
        assert {name: vars(have)[name] for name in more} == dict.fromkeys(more)
        assert attributes | more == {name for name in vars(have) if name.endswith("_")}


# ---- what users see of an estimator ----


def entries(kind, section):
    """Return the entries of a section of a class's docstring: the text by the name."""
    text = re.search(rf"^{section}\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", inspect.getdoc(kind), re.MULTILINE | re.DOTALL)[1]
    return dict(re.findall(r"^(\w+) : (.*\n(?:(?: .*)?\n)*)", text, re.MULTILINE))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_docstrings_list_all_parameters_and_fitted_attributes(kind):
    """Each by itself: scikit-learn shows them beside the values in notebooks."""
    parameters = entries(kind, "Parameters")
    assert parameters.keys() == inspect.signature(kind).parameters.keys()
    for name, parameter in inspect.signature(kind).parameters.items():
        assert ast.literal_eval(re.search("default=(.*)\n", parameters[name])[1]) == parameter.default, name
    public = {name for name in _FITTED_ATTRIBUTES if not name.startswith("_")} | {"net_"}
    assert entries(kind, "Attributes").keys() == public - ({"classes_"} if kind is MLPRegressor else set())


def test_docstrings_of_both_estimators_say_the_same():
    for section, differ in (
        ("Parameters", {"loss", "scoring", "scale_targets"}),
        ("Attributes", {"net_", "out_activation_"}),
    ):
        of_classifier, of_regressor = entries(MLPClassifier, section), entries(MLPRegressor, section)
        for name in of_regressor.keys() - differ:
            assert of_regressor[name].strip() == of_classifier[name].strip()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_dir_shows_no_internals(kind):
    fit = kind(max_iter=2, batch_norm=True).fit(X, Y, X_val=X, y_val=Y)
    shown = {name for name in dir(fit) if not name.startswith("_")}
    documented = {*entries(kind, "Parameters"), *entries(kind, "Attributes")}
    starts = ("fit", "partial_fit", "predict", "score", "get_", "set_", "save", "load")
    methods = {name for name in shown if name.startswith(starts)}
    assert shown - methods <= documented
