"""Bad input raises the errors that scikit-learn raises; small plain arrays skip scikit-learn's checks."""

import importlib
import subprocess
import sys
import textwrap
import threading
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
import sklearn
import sklearn.neural_network as theirs
from scikit_learn import needs
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import fastnn
import fastnn.sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
NAN, INF = X.copy(), X.copy()
NAN[3, 1], INF[149, 3] = np.nan, -np.inf

PARAMETERS = [
    {"hidden_layer_sizes": 0}, {"hidden_layer_sizes": (5, -1)}, {"hidden_layer_sizes": "many"}, {"activation": "swosh"},
    {"solver": "newton"}, {"alpha": -1}, {"alpha": np.nan}, {"batch_size": 0}, {"batch_size": "all"},
    {"learning_rate": "fast"}, {"learning_rate_init": 0.0}, {"power_t": -0.5}, {"max_iter": 0}, {"max_iter": 1.5},
    {"shuffle": "yes"}, {"random_state": -1}, {"tol": -1e-3}, {"verbose": -1}, {"warm_start": 2}, {"momentum": 1.5},
    {"nesterovs_momentum": "no"}, {"early_stopping": "no"}, {"validation_fraction": 1.0}, {"beta_1": 1.0},
    {"beta_2": -0.1}, {"epsilon": 0.0}, {"n_iter_no_change": 0}, {"max_fun": 0},
    {"early_stopping": True, "validation_fraction": 0.001},
]  # fmt: skip


def outcome(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the error's type is compared as well
            return type(error), str(error)
    return None, ""


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_parameters(kind, parameters):
    if "early_stopping" in parameters and "validation_fraction" in parameters:
        needs("a check of small validation sets")
    want, have = (outcome(lambda: getattr(m, kind)(**parameters).fit(X, Y)) for m in (theirs, ours))  # noqa: B023
    assert have[0] is want[0] is not None
    assert have[1].split(" must be ")[0] == want[1].split(" must be ")[0]


FITS = {
    "NaN": (NAN, Y, None),
    "infinity": (INF, Y, None),
    "one axis": (X[:, 0], Y, None),
    "three axes": (X[None], Y, None),
    "no rows": (X[:0], Y[:0], None),
    "no columns": (X[:, :0], Y, None),
    "too few targets": (X, Y[:9], None),
    "NaN in y": (X, np.where(Y == 0, np.nan, Y), None),
    "no y": (X, None, None),
    "words": (np.full((3, 2), "a"), [0, 1, 0], None),
    "complex": (X * 1j, Y, None),
    "coordinates, which are converted": (scipy.sparse.coo_array(X), Y, None),
    "weights that are too few": (X, Y, np.ones(3)),
    "weights that are NaN": (X, Y, np.where(Y == 0, np.nan, 1.0)),
    "weights of zero": (X, Y, np.zeros(150)),
    "weights of two axes": (X, Y, np.ones((150, 2))),
}


def keyword(case, weight):
    """Return the keyword of the weights of a case; skip the test if scikit-learn lacks what the case compares."""
    if weight is not None:
        needs("sample weights")
    if case == "weights of zero":
        needs("a check that not all weights are 0")
    return {} if weight is None else {"sample_weight": weight}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("case", FITS)
def test_fits(case, kind, method):
    X, y, weight = FITS[case]
    more = {"classes": [0, 1, 2]} if (kind, method) == ("MLPClassifier", "partial_fit") else {}
    more |= keyword(case, weight)
    calls = [lambda m=m: getattr(getattr(m, kind)(max_iter=2), method)(X, y, **more) for m in (theirs, ours)]
    want, have = map(outcome, calls)
    assert have == want


PREDICTIONS = {
    "NaN": NAN[:4],
    "infinity": INF[-2:],
    "infinity that a sum hides": np.array([[np.inf, -np.inf, 0, 0]]),
    "too few columns": X[:, :3],
    "too many columns": np.hstack([X, X]),
    "one axis": X[0],
    "no rows": X[:0],
    "words": np.full((2, 4), "a"),
    "objects": np.array([[None] * 4]),
    "complex": X[:2] * 1j,
    "a scalar": np.float64(3.0),
    "None": None,
}


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("case", PREDICTIONS)
def test_predictions(case, method):
    fits = [m.MLPClassifier(max_iter=2, random_state=0).fit(X, Y) for m in (theirs, ours)]
    want, have = (outcome(lambda fit=fit: getattr(fit, method)(PREDICTIONS[case])) for fit in fits)
    assert have == want
    assert have[0] is not None
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
        getattr(ours.MLPClassifier(), method)(X)


@pytest.mark.parametrize(
    "given",
    [
        X[:1], X, X.astype(np.float32), np.asfortranarray(X[:9]), X[::-3], X[:5, ::-1], X[:3].tolist(),
        (X * 10).astype(int), X.astype(object), X.astype(">f8"), X.astype(np.longdouble), np.full((2, 4), 1e200),
        np.tile(X, (40, 1)), scipy.sparse.csr_array(X), scipy.sparse.csc_matrix(X), scipy.sparse.coo_array(X),
    ],
    ids=lambda given: f"{type(given).__name__} {getattr(given, 'dtype', '')} {getattr(given, 'shape', '')}",
)  # fmt: skip
def test_any_form_of_rows_predicts_the_same(given):
    want, have = (m.MLPClassifier(max_iter=3, random_state=0).fit(X, Y) for m in (theirs, ours))
    np.testing.assert_allclose(have.predict_proba(given), want.predict_proba(given), rtol=1e-7, atol=1e-12)
    np.testing.assert_array_equal(have.predict(given), want.predict(given))


def test_a_row_is_predicted_alone_as_among_others():
    fit = ours.MLPClassifier(max_iter=3, random_state=0, hidden_layer_sizes=(30, 7)).fit(X, Y)
    together = fit.predict_proba(np.tile(X, (20, 1)))  # too many to skip scikit-learn's checks
    for row in (0, 77, 149):
        np.testing.assert_array_equal(fit.predict_proba(X[row : row + 1])[0], together[row])


def test_small_plain_inputs_skip_scikit_learns_checks():
    fit = ours.MLPClassifier(max_iter=2, random_state=0).fit(X, Y)
    with sklearn.config_context(assume_finite=True):
        assert np.isnan(fit.predict_proba(NAN[3:4])).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours._estimators, "validated", None)
        assert fit.predict_proba(X[:2]).shape == (2, 3)


def outcome_and_warnings(call):
    """Return the outcome of a call, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return outcome(call), [str(each.message) for each in caught]


UPDATES = {
    **FITS,
    "too few columns": (X[:, :3], Y, None),
    "another class": (X, Y + 1, None),
    "a class below": (X[:9], Y[:9] - 1, None),
    "classes of another kind": (X, Y.astype(float), None),
    "fractions": (X, Y + 0.5, None),
    "a column": (X, Y[:, None], None),
    "no targets": (X[:3], Y[:0], None),
    "infinite targets": (X[:3], np.full(3, np.inf), None),
    "good": (X, Y, None),
    "a row": (X[:1], Y[:1], None),
    "numbers": (X[:30], X[:30, 0], None),
    "a column of numbers": (X[:30], X[:30, :1], None),
    "numbers in lists": (X[:30].tolist(), Y[:30].tolist(), None),
}


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("case", UPDATES)
def test_later_updates(case, kind):
    """Updates that skip scikit-learn's checks have the same outcome as with them, warnings included."""
    X_, y, weight = UPDATES[case]
    more = {"classes": [0, 1, 2]} if kind == "MLPClassifier" else {}
    weight = keyword(case, weight)
    fits = [getattr(m, kind)(random_state=0).partial_fit(X, Y, **more) for m in (theirs, ours)]
    want, have = (outcome_and_warnings(lambda fit=fit: fit.partial_fit(X_, y, **weight)) for fit in fits)
    assert have == want


def test_later_updates_with_labels_of_another_kind():
    words = Y.astype(str)
    fits = [m.MLPClassifier(random_state=0).partial_fit(X, words, classes=["0", "1", "2"]) for m in (theirs, ours)]
    want, have = (outcome_and_warnings(lambda fit=fit: fit.partial_fit(X, Y)) for fit in fits)
    assert have == want
    assert have[0][0] is ValueError


def test_settings_may_change_between_updates():
    for changed in ({"alpha": 10.0}, {"loss": "squared_hinge"}, {"clip_norm": 1e-3}):
        same, other, theirs_ = (
            m.MLPClassifier(random_state=0).partial_fit(X, Y, classes=[0, 1, 2]) for m in (ours, ours, theirs)
        )
        other.set_params(**changed).partial_fit(X, Y)
        assert not np.array_equal(same.partial_fit(X, Y).coefs_[0], other.coefs_[0])
        if "alpha" in changed:
            theirs_.set_params(**changed).partial_fit(X, Y)
            np.testing.assert_allclose(other.coefs_[0], theirs_.coefs_[0], rtol=1e-9)


def test_later_updates_with_warm_start_need_all_classes():
    fits = [
        m.MLPClassifier(random_state=0, warm_start=True).partial_fit(X, Y, classes=[0, 1, 2]) for m in (theirs, ours)
    ]
    want, have = (outcome(lambda fit=fit: fit.partial_fit(X[:9], Y[:9])) for fit in fits)
    assert have == want
    assert have[0] is ValueError


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("labels", [Y, Y.astype("U1"), Y > 0, Y.astype(np.uint8)], ids=lambda labels: str(labels.dtype))
def test_updates_are_the_same_with_and_without_scikit_learns_checks(labels, kind):
    y = labels if kind == "MLPClassifier" else np.stack([Y, X[:, 0]], axis=1)
    more = {"classes": np.unique(labels)} if kind == "MLPClassifier" else {}
    checked, unchecked = (getattr(ours, kind)(random_state=0).partial_fit(X, y, **more) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours._estimators, "validated", None)
        unchecked.partial_fit(X, y)
    checked.partial_fit(X.tolist(), y)
    for have, want in zip(unchecked.coefs_, checked.coefs_, strict=True):
        np.testing.assert_array_equal(have, want)


def test_partial_fit_needs_a_stochastic_solver():
    for kind in (ours.MLPClassifier, ours.MLPRegressor):
        assert not hasattr(kind(solver="lbfgs"), "partial_fit")
        with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as raised:
            kind(solver="lbfgs").partial_fit(X, Y)
        assert str(raised.value.__cause__) == (
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        ours.MLPClassifier().partial_fit(X, Y)
    fit = ours.MLPRegressor(max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match="y must have 1 column, as in the previous fit, got 2"):
        fit.partial_fit(X, np.stack([Y, Y], axis=1))
    with pytest.raises(ValueError, match="X has 3 features, but MLPRegressor is expecting 4 features"):
        fit.partial_fit(X[:, :3], Y)


def test_warnings():
    with pytest.warns(ConvergenceWarning, match=r"Stochastic Optimizer: Maximum iterations \(2\) reached"):
        ours.MLPClassifier(max_iter=2).fit(X, Y)
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size"):
        ours.MLPClassifier(max_iter=2, batch_size=1000).fit(X, Y)
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        ours.MLPClassifier(max_iter=2).fit(X, Y[:, None])


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_the_finished_epochs(early_stopping, monkeypatch):
    class Interrupt(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            if len(trainer.history.epochs) == 3:
                raise KeyboardInterrupt

    fit = ours.MLPClassifier(random_state=0, early_stopping=early_stopping, callbacks=[Interrupt()])
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        fit.fit(X, Y)
    assert fit.n_iter_ == len(fit.loss_curve_) == 3
    want = ours.MLPClassifier(random_state=0, max_iter=3, early_stopping=early_stopping).fit(X, Y)
    np.testing.assert_array_equal(fit.coefs_[0], want.coefs_[0])


def test_ctrl_c_within_a_native_call_counts_its_finished_epochs(monkeypatch):
    monkeypatch.setattr("fastnn.training._steps.SLICE_STEPS", 4)  # of a call of eleven epochs with two batches each
    unpatched = fastnn.Trainer.scalars
    calls = []

    def scalars(self, steps, ahead):
        calls.append(steps)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return unpatched(self, steps, ahead)

    monkeypatch.setattr(fastnn.Trainer, "scalars", scalars)
    fit = ours.MLPClassifier(random_state=0, batch_size=100)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        fit.fit(X, Y)
    assert fit.n_iter_ == len(fit.loss_curve_) == 4
    monkeypatch.undo()
    want = ours.MLPClassifier(random_state=0, batch_size=100, max_iter=4).fit(X, Y)
    np.testing.assert_array_equal(fit.coefs_[0], want.coefs_[0])


def test_a_net_is_fitted_by_one_call_at_a_time():
    fit = ours.MLPClassifier(max_iter=1, random_state=0, warm_start=True).fit(X, Y)
    seen = []

    class Again(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            fit.callbacks = None
            thread = threading.Thread(target=lambda: seen.append(outcome(lambda: fit.partial_fit(X, Y))))
            thread.start()
            thread.join()

    fit.set_params(callbacks=[Again()]).fit(X, Y)
    assert seen == [(RuntimeError, "the net is being trained in another thread")]


def test_multilabel_rows_may_be_sparse():
    features, labels = make_multilabel_classification(n_samples=60, random_state=0)
    want, have = (
        m.MLPClassifier(random_state=0, max_iter=5).fit(features, scipy.sparse.csr_array(labels))
        for m in (theirs, ours)
    )
    np.testing.assert_array_equal(have.predict(features).toarray(), want.predict(features).toarray())


def test_without_scikit_learn_the_rest_works():
    code = """
    import sys

    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "sklearn":
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Blocked())
    import fastnn

    assert fastnn.nn.Sequential(fastnn.nn.Dense(2, 1)).predict([[1.0, 2.0]]).shape == (1, 1)
    try:
        import fastnn.sklearn
    except ImportError as error:
        print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == (
        "fastnn.sklearn needs scikit-learn 1.6 or newer, got none: "
        'in a checkout of fastnn run pip install ".[sklearn]"\n'
    )


def test_an_old_scikit_learn_is_refused(monkeypatch):
    monkeypatch.setattr(sklearn, "__version__", "1.5.2")
    monkeypatch.delitem(sys.modules, "fastnn.sklearn")
    with pytest.raises(ImportError, match=r"needs scikit-learn 1\.6 or newer, got 1\.5\.2: .*pip install"):
        importlib.import_module("fastnn.sklearn")


def test_what_is_assigned_to_fitted_attributes_is_checked():
    fit = ours.MLPClassifier((4,), max_iter=2, batch_norm=True, random_state=0).fit(X, Y)
    for name, message in (
        ("coefs_", "coefs_ must be a list of arrays, one per layer, got int"),
        ("intercepts_", "intercepts_ must be a list of arrays, one per layer, got int"),
        ("other_parameters_", "other_parameters_ must be a mapping of names to arrays, got int"),
    ):
        good = getattr(fit, name)
        setattr(fit, name, 5)
        with pytest.raises(TypeError, match=f"^{message}$"):
            fit.predict(X)
        setattr(fit, name, good)
    assert fit.predict(X).shape == Y.shape


def test_a_score_must_be_a_number():
    model = ours.MLPClassifier((4,), max_iter=2, early_stopping=True, scoring=lambda *_: "good")
    with pytest.raises(TypeError, match=r"^the result of scoring must be a number, got 'good'$"):
        model.fit(X, Y)
