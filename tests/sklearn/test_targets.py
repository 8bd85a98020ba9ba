"""Targets and weights: with every solver, estimators accept and refuse what a trainer does."""

import datetime as dt
import decimal
import functools

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scikit_learn import has
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import make_scorer
from sklearn.utils.class_weight import compute_sample_weight

import fastnn
from fastnn import nn
from fastnn.nn.losses import LOSSES
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
YB = (X[:, 0] > 0).astype(int)
Y3 = YB + (X[:, 1] > 0)
YM = np.stack([YB, X[:, 1] > 0, X[:, 2] > 0.5], axis=1).astype(int)
YR = X @ [1.0, 2.0, 3.0, 4.0]
TARGETS = {"two classes": YB, "three classes": Y3, "labels": YM}

SOLVERS = ("adam", "sgd", "lbfgs")


def classifier(**parameters):
    return MLPClassifier(**{"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 1, "alpha": 0.0} | parameters)


def regressor(loss="squared_error", **parameters):
    return MLPRegressor(loss, **{"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 1} | parameters)


def refusal(call):
    """Return the message of the error that a call raises."""
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    return str(raised.value)


# ---- class weights of a loss ----


@pytest.mark.parametrize(("smoothing", "want"), [(0.0, 0.7429445695), (0.1, 0.8039527027)])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_class_weights_of_a_loss(solver, smoothing, want):
    loss = nn.CrossEntropyLoss(weight=[1, 1, 100], label_smoothing=smoothing)
    assert classifier(solver=solver, loss=loss).fit(X, Y3).loss_ == pytest.approx(want, rel=1e-9)
    assert classifier(solver=solver, loss=loss).partial_fit(X, Y3, classes=[0, 1, 2]).loss_ == pytest.approx(want)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("solver", SOLVERS)
def test_class_weights_of_a_loss_act_as_in_a_trainer(solver, smoothing, weighted, impl):
    """By the loss at the initial weights."""
    loss = nn.CrossEntropyLoss(weight=[1, 3, 100], label_smoothing=smoothing)
    weight = np.linspace(0.1, 2, 60) if weighted else None
    start = classifier(solver="sgd", momentum=0.0, learning_rate_init=1e-300).fit(X, Y3)
    want = fastnn.Trainer(start._model.net.copy(), loss).evaluate(X, Y3, sample_weight=weight)["loss"]
    if solver == "lbfgs":
        have = classifier(solver=solver, loss=loss).fit(X, Y3, sample_weight=weight)
        packed = np.hstack([array.ravel() for array in start.coefs_ + start.intercepts_])
        columns = have._label_binarizer.transform(Y3)
        value, gradient = have._loss_grad_lbfgs(packed, X, columns, weight)
        along = RNG.normal(size=gradient.shape)
        losses = [have._loss_grad_lbfgs(packed + s * 1e-6 * along, X, columns, weight)[0] for s in (-1, 1)]
        assert gradient @ along == pytest.approx((losses[1] - losses[0]) / 2e-6, rel=1e-5)
    else:
        value = classifier(solver=solver, loss=loss).fit(X, Y3, sample_weight=weight).loss_
    assert value == pytest.approx(want, rel=1e-12)


def test_class_weights_of_a_loss_act_in_validation():
    loss = nn.CrossEntropyLoss(weight=[1, 3, 100])
    fit = classifier(loss=loss).fit(X, Y3, eval_set=(X, Y3))
    want = fastnn.Trainer(fit._model.net.copy(), loss).evaluate(X, Y3)["loss"]
    assert fit.validation_loss_curve_ == [pytest.approx(want)]


def test_an_update_with_only_classes_of_weight_0_is_refused():
    loss = nn.CrossEntropyLoss(weight=[0, 0, 1])
    assert np.isfinite(classifier(loss=loss).fit(X, Y3).loss_)
    for solver in SOLVERS[:2]:
        fit = classifier(loss=loss, solver=solver).partial_fit(X, Y3, classes=[0, 1, 2])
        with pytest.raises(ValueError, match="y must contain a row of a class whose weight is above 0"):
            fit.partial_fit(X[Y3 < 2], Y3[Y3 < 2])


# ---- targets outside a loss's domain ----

BAD_ALWAYS = (np.nan, np.inf)


def outside(spec):
    """Return finite targets that a loss does not take."""
    wrong = [sum(spec.among) / 2, max(spec.among) + 0.5] if spec.among else []
    return wrong + [bound for bound in (spec.low - 0.1, spec.high + 4) if np.isfinite(bound)]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_estimators_refuse_the_targets_that_a_trainer_refuses(loss, solver):
    """With the same message; the estimator is then unchanged."""
    spec = LOSSES[loss]().spec
    if "rows" not in spec.kinds:
        message = refusal(lambda: regressor(loss, solver=solver).fit(X, YR))
        assert message.startswith("loss must be a regression loss, such as nn.HuberLoss()")
        return
    good = np.tile([0.0, 1.0], (60, 1))
    good = 2 * good - 1 if spec.among == (-1, 1) else good
    fit = regressor(loss, solver=solver).fit(X, good)
    trainer = fastnn.Trainer(fit._model.net.copy(), loss)
    before = dict(vars(fit))
    for value in outside(spec):
        bad = good.copy()
        bad[7, 1] = value
        want = refusal(lambda: trainer.fit(X, bad, epochs=1, verbose=0))  # noqa: B023
        assert want.startswith("y must contain ")
        calls = [lambda: fit.fit(X, bad), lambda: fit.fit(X, bad[:, 1])]  # noqa: B023
        if solver != "lbfgs":
            calls += [lambda: fit.partial_fit(X, bad), lambda: fit.fit(X, good, eval_set=(X, bad))]  # noqa: B023
        wanted = [want, want.replace("column 1", "column 0"), want, want.replace("y must", "eval_set[1] must")]
        assert list(map(refusal, calls)) == wanted[: len(calls)]
        assert all(vars(fit)[name] is before[name] for name in before)
    for value in BAD_ALWAYS:
        bad = good.astype(object)
        bad[7, 1] = value
        assert refusal(lambda: fit.fit(X, bad))  # noqa: B023


def test_a_loss_can_fix_the_number_of_columns():
    loss = nn.QuantileLoss([0.1, 0.9])
    for solver in SOLVERS:
        with pytest.raises(ValueError, match=r"y must have shape \(n, 1\), got shape \(60, 2\)"):
            regressor(loss, solver=solver).fit(X, np.stack([YR, YR], axis=1))


def test_bools_are_numbers_for_a_regressor():
    want, have = (regressor().fit(X, y) for y in (YB.astype(float), YB.astype(bool)))
    np.testing.assert_array_equal(have.coefs_[0], want.coefs_[0])
    with pytest.raises(ValueError, match=r"y must contain only -1 and 1, got 0\.0"):
        regressor("hinge").fit(X, YB.astype(bool))


# ---- weights of rows and of classes ----

BAD_WEIGHTS = {
    "all below 0": (-np.ones(60), "sample_weight must contain finite weights, none below 0, got -1.0"),
    "one below 0": (np.where(np.arange(60) == 3, -0.5, 1), "sample_weight must contain finite weights, none below 0"),
    "float32": (-np.ones(60, np.float32), "sample_weight must contain finite weights, none below 0, got -1.0"),
    "an overflow": (np.full(60, 1e308), "sample_weight must have a finite sum, got inf"),
    "NaN": (np.where(np.arange(60) == 3, np.nan, 1), "Input sample_weight contains NaN"),
    "infinity": (np.where(np.arange(60) == 3, np.inf, 1), "Input sample_weight contains infinity"),
    "zeros": (
        np.zeros(60),
        "Sample weights must contain at least one non-zero number"
        if has("a check that not all weights are 0")
        else "must contain at least one weight other than 0, got only zeros",
    ),
    "dates": (
        np.datetime64("2020-01-01") + np.arange(60),
        "sample_weight must contain real numbers, got dtype datetime64[D]",
    ),
    "text": (np.full(60, "1.0"), "sample_weight must contain real numbers, got dtype <U3"),
    "a number below 0": (-1.0, "sample_weight must contain finite weights, none below 0, got -1.0"),
}


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0, 1: 0.5}], ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_sample_weights_are_refused(case, solver, class_weight):
    weight, message = BAD_WEIGHTS[case]
    kinds = [classifier(class_weight=class_weight), *([] if class_weight else [regressor()])]
    for estimator in kinds:
        fit = estimator.set_params(solver=solver).fit(X, YB)
        before, want = dict(vars(fit)), fit.predict(X)
        calls = [lambda: fit.fit(X, YB, sample_weight=weight)]  # noqa: B023
        if solver != "lbfgs" and class_weight != "balanced":
            calls += [lambda: fit.partial_fit(X, YB, sample_weight=weight)]  # noqa: B023
        if solver != "lbfgs" and not np.isscalar(weight) and case != "zeros":
            calls += [lambda: fit.fit(X, YB, eval_set=(X, YB, weight))]  # noqa: B023
        for call in calls:
            assert message.removeprefix("sample_weight ") in refusal(call)
            assert all(vars(fit)[name] is before[name] for name in before)
        np.testing.assert_array_equal(fit.predict(X), want)


BAD_CLASS_WEIGHTS = [
    ({0: -1.0}, ValueError, r"class_weight\[0\] must be a finite number of at least 0, got -1.0"),
    ({0: 1.0, 1: np.nan}, ValueError, r"class_weight\[1\] must be a finite number of at least 0, got nan"),
    ({0: np.inf, 1: 1.0}, ValueError, r"class_weight\[0\] must be a finite number of at least 0, got inf"),
    ({0: 10**400}, ValueError, r"class_weight\[0\] must be a finite number of at least 0, got a number too large"),
    ({0: "many", 1: 1.0}, TypeError, r"class_weight\[0\] must be a finite number of at least 0, got 'many'"),
    ({0: 1e308, 1: 1e308}, ValueError, "sample_weight times class_weight must have a finite sum"),
    ({0: 0.0, 1: 0.0}, ValueError, "sample_weight times class_weight must contain at least one weight other than 0"),
    ({0: 1.0, "few": 2.0}, ValueError, r"The classes, \[1\], are not in class_weight"),
]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("class_weight", "error", "message"), BAD_CLASS_WEIGHTS, ids=str)
def test_bad_class_weights_are_refused(class_weight, error, message, solver):
    with pytest.raises(error, match=message):
        classifier(solver=solver, class_weight=class_weight).fit(X, YB)
    if solver != "lbfgs":
        fit = classifier(solver=solver, class_weight=class_weight)
        with pytest.raises(error, match=message):
            fit.partial_fit(X, YB, classes=[0, 1])
        assert not hasattr(fit, "classes_")


def test_products_of_weights_that_overflow_are_refused():
    with pytest.raises(ValueError, match="sample_weight times class_weight must contain finite weights"):
        classifier(class_weight={0: 1e200, 1: 1.0}).fit(X, YB, sample_weight=np.full(60, 1e200))
    loss = nn.CrossEntropyLoss(weight=[1e200, 1.0, 1.0])
    message = "sample_weight times the loss's class weights must contain finite weights, none below 0, got inf"
    for solver in SOLVERS:
        with pytest.raises(ValueError, match=message):
            classifier(loss=loss, solver=solver).fit(X, Y3, sample_weight=np.full(60, 1e200))
    net = nn.Sequential(nn.Dense(4, 3), seed=0)
    with pytest.raises(ValueError, match=message):
        fastnn.Trainer(net, loss).fit(X, Y3, sample_weight=np.full(60, 1e200), verbose=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_may_be_of_any_size(solver, dtype):
    """The loss is divided by the sum of the weights."""
    want = regressor(solver=solver, dtype=dtype, max_iter=3, alpha=0.0).fit(X, YR)
    for size in (1e300, 1e-300):
        have = regressor(solver=solver, dtype=dtype, max_iter=3, alpha=0.0).fit(X, YR, sample_weight=np.full(60, size))
        np.testing.assert_allclose(have.predict(X), want.predict(X), rtol=1e-3)


@pytest.mark.parametrize("weighted", ["training", "validation"])
def test_both_parts_of_a_split_need_a_weight_above_0(weighted):
    seen = []
    fit = classifier(early_stopping=True, scoring=lambda _, rows, y: seen.append(rows[:, 0]) or 0.0).fit(X, YB)
    validation = np.isin(X[:, 0], seen[0])
    weight = np.where(validation if weighted == "validation" else ~validation, 1.0, 0.0)
    other = "validation" if weighted == "training" else "training"
    with pytest.raises(ValueError, match=f"sample_weight must be above 0 for at least one {other} row, got only zeros"):
        fit.fit(X, YB, sample_weight=weight)


# ---- balanced classes ----


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", TARGETS)
def test_balanced_classes_count_weights_as_rows(case, solver):
    """A row of weight 2 counts as two rows, and one of weight 0 as none."""
    y, times = TARGETS[case], np.random.default_rng(5).integers(0, 4, 60)
    options = {"class_weight": "balanced", "max_iter": 20, "alpha": 0.01, "solver": solver}
    have = classifier(**options).fit(X, y, sample_weight=times.astype(float))
    want = classifier(**options).fit(np.repeat(X, times, axis=0), np.repeat(y, times, axis=0))
    assert have.loss_ == pytest.approx(want.loss_, rel=1e-6 if solver == "lbfgs" else 1e-10)
    assert have.predict_proba(X) == pytest.approx(want.predict_proba(X), rel=1e-2 if solver == "lbfgs" else 1e-8)
    plain = classifier(**options).fit(X, y)
    assert plain.loss_ != pytest.approx(have.loss_, rel=1e-3)
    as_weights = classifier(**options | {"class_weight": None}).fit(
        X, y, sample_weight=compute_sample_weight("balanced", y)
    )
    assert plain.loss_ == pytest.approx(as_weights.loss_, rel=1e-9)


def test_a_class_without_weight_is_left_out_of_balancing():
    weight = np.where(Y3 == 1, 0.0, 1.0)
    have = classifier(class_weight="balanced", max_iter=9).fit(X, Y3, sample_weight=weight)
    by_hand = np.where(Y3 == 0, 1 / np.sum(Y3 == 0), 1 / np.sum(Y3 == 2))
    want = classifier(max_iter=9).fit(X, Y3, sample_weight=weight * by_hand)
    np.testing.assert_allclose(have.coefs_[0], want.coefs_[0], rtol=1e-9)


def test_partial_fit_refuses_balanced_weights():
    fit = classifier(class_weight="balanced")
    before = dict(vars(fit))
    want = refusal(lambda: SGDClassifier(class_weight="balanced").partial_fit(X, Y3, classes=[0, 1, 2]))
    for _ in range(2):
        have = refusal(lambda: fit.partial_fit(X, Y3, classes=[0, 1, 2]))
        assert have.split(". ")[0] == want.split(". ")[0]
        assert vars(fit) == before
    fit.fit(X, Y3)
    assert refusal(lambda: fit.partial_fit(X, Y3)) == have


def test_a_dict_of_class_weights_may_name_classes_absent_from_an_update():
    weights = {1: 3.0}
    have, want = classifier(class_weight=weights), classifier()
    for rows in (slice(None), Y3 == 0, Y3 == 1):
        have.partial_fit(X[rows], Y3[rows], classes=[0, 1, 2])
        want.partial_fit(
            X[rows], Y3[rows], classes=[0, 1, 2], sample_weight=np.where(Y3[rows] == 1, 3.0, 1.0)
        )  # fmt: skip
    np.testing.assert_array_equal(have.coefs_[0], want.coefs_[0])


# ---- scorers that take no sample weights ----


def without_weights(estimator, features, y):
    return estimator.score(features, y)


def with_weights(estimator, features, y, sample_weight=None):
    return estimator.score(features, y, sample_weight=sample_weight)


def with_keywords(estimator, features, y, **others):
    return estimator.score(features, y, **others)


def metric(y, predicted):
    return np.mean(y == predicted)


class Scorer:
    def __call__(self, estimator, features, y):
        return estimator.score(features, y)


# Scorers, each with one that gives the same scores.
SCORERS = {
    "a function": (without_weights, without_weights),
    "a function with weights": (with_weights, "accuracy"),
    "a function with keywords": (with_keywords, "accuracy"),
    "a partial function": (functools.partial(with_weights, sample_weight=None), without_weights),
    "an object": (Scorer(), without_weights),
    "a method": (Scorer().__call__, without_weights),
    "a scorer of a metric": (make_scorer(metric), without_weights),
    "a name": ("accuracy", None),
    "the name of a scorer without weights": ("rand_score", "rand_score"),
}


@pytest.mark.parametrize("options", [{"class_weight": "balanced"}, {"class_weight": {0: 5.0, 1: 1.0}}, {}], ids=str)
@pytest.mark.parametrize("case", SCORERS)
def test_scorers_need_not_take_weights(case, options):
    options = {"early_stopping": True, "max_iter": 4, "batch_size": 20, "learning_rate_init": 0.05} | options
    weight = np.linspace(0.1, 5, 60)
    scoring, same = SCORERS[case]
    if isinstance(scoring, functools.partial):  # the fit's weights override its own
        same = "accuracy"
    have, want = (classifier(scoring=each, **options).fit(X, YB, sample_weight=weight) for each in (scoring, same))
    assert have.validation_scores_ == want.validation_scores_
    np.testing.assert_array_equal(have.coefs_[0], want.coefs_[0])


def test_a_regressors_scorer_need_not_take_weights():
    def worst(estimator, features, y):
        return -np.abs(estimator.predict(features) - y).max()

    fits = [
        regressor(early_stopping=True, scoring=each, max_iter=3).fit(X, YR, sample_weight=np.linspace(0.1, 5, 60))
        for each in (worst, "neg_max_error", make_scorer(lambda y, z: -np.abs(y - z).max()))
    ]
    assert fits[0].validation_scores_ == fits[1].validation_scores_ == fits[2].validation_scores_


# ---- targets that are no numbers ----

DAYS = np.datetime64("2020-01-01") + np.arange(60)
NOT_NUMBERS = {
    "dates": (DAYS, r"dtype datetime64\[D\]"),
    "dates with a gap": (np.where(np.arange(60) == 3, np.datetime64("NaT"), DAYS), "dtype datetime64"),
    "times": (DAYS - DAYS[0], r"dtype timedelta64\[D\]"),
    "columns of times": (np.stack([DAYS - DAYS[0]] * 2, axis=1), "dtype timedelta64"),
    "dates as objects": (DAYS.astype(object), "date"),
    "times as objects": (np.array([dt.timedelta(days=i) for i in range(60)], object), "timedelta"),
    "NumPy's times as objects": (np.array([*(DAYS - DAYS[0])], object), "timedelta64"),
    "text": (YR.astype(str), "dtype <U32"),
    "text with nan": (np.where(np.arange(60) == 3, "nan", YR.astype(str)), "dtype <U32"),
    "a list of text": (YR.astype(str).tolist(), "dtype <U"),
    "text as objects": (YR.astype(str).astype(object), "str"),
    "one text among objects": (np.array([*YR[:-1], "nan"], object), "str"),
    "bytes": (YR.astype(bytes), r"dtype \|S32"),
    "words": (np.array(["few"] * 60), "dtype <U3"),
    "records": (np.zeros(60, [("a", float)]), "dtype "),
}


@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_a_regressor_refuses_targets_that_are_no_numbers(case):
    y, got = NOT_NUMBERS[case]
    for solver in SOLVERS:
        fit = regressor(solver=solver).fit(X, YR)
        before = dict(vars(fit))
        with pytest.raises(TypeError, match=f"y must contain real numbers, got {got}"):
            fit.fit(X, y)
        if solver != "lbfgs":
            with pytest.raises(TypeError, match=f"y must contain real numbers, got {got}"):
                fit.partial_fit(X, y)
            with pytest.raises(TypeError, match=rf"eval_set\[1\] must contain real numbers, got {got}"):
                fit.fit(X, YR, eval_set=(X, y))
        assert all(vars(fit)[name] is before[name] for name in before)


def test_a_regressor_refuses_series_of_dates_and_text():
    pandas = pytest.importorskip("pandas")
    for y in (pandas.Series(DAYS), pandas.Series(DAYS).dt.tz_localize("UTC"), pandas.Series(YR.astype(str))):
        with pytest.raises(TypeError, match="y must contain real numbers"):
            regressor().fit(X, y)
    for y in (pandas.Series(YR), pandas.Series(YR).astype("Float64"), pandas.Series(YR, dtype=object)):
        np.testing.assert_array_equal(regressor().fit(X, y).coefs_[0], regressor().fit(X, YR).coefs_[0])


@pytest.mark.parametrize("kind", [decimal.Decimal, float, np.float32])
def test_objects_that_are_numbers_are_accepted(kind):
    y = np.array([kind(float(np.float32(each))) for each in YR], object)
    np.testing.assert_array_equal(regressor().fit(X, y).coefs_[0], regressor().fit(X, y.astype(float)).coefs_[0])


def test_missing_objects_are_refused():
    with pytest.raises(ValueError, match="y must contain finite numbers, got nan in row 3"):
        regressor().fit(X, np.where(np.arange(60) == 3, None, YR))
