"""`categorical_features`: which columns, codes by value, unknown and missing categories, and the net."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

import fastnn
from fastnn import nn
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.sklearn._columns import vector_width

pd = pytest.importorskip("pandas")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = [MLPClassifier, MLPRegressor]
RNG = np.random.default_rng(3)
N = 240
SIZE = RNG.normal(size=N)
TOWNS = np.array(["Aix", "Bonn", "Cork", "Derby", "Essen", "Faro", "Graz", "Hull", "Izmir", "Jena"], dtype=object)
TOWN = RNG.integers(0, len(TOWNS), N)
DAY = RNG.integers(1, 8, N)
FRAME = pd.DataFrame({"size": SIZE, "town": pd.Categorical(TOWNS[TOWN]), "day": DAY})
CODES = np.column_stack([SIZE, TOWN, DAY])
# Which side of 0 is "yes" depends on the town alone.
Y = ((SIZE > 0) ^ np.isin(TOWN, [1, 2, 5, 7, 8])).astype(int)


def fitted(kind=MLPClassifier, X=FRAME, y=Y, **options):
    options = {"categorical_features": [1, 2], "hidden_layer_sizes": (16,), "max_iter": 4, "random_state": 0} | options
    return kind(**options).fit(X, y)


def outputs(fit, X):
    return fit.predict_proba(X) if isinstance(fit, MLPClassifier) else fit.predict(X)


# ---- what they are for ----


def test_towns_are_learned():
    options = {"max_iter": 150, "learning_rate_init": 0.01}
    frame = FRAME[["size", "town"]]
    fit = fitted(X=frame[:180], y=Y[:180], categorical_features="from_dtype", **options)
    assert fit.score(frame[180:], Y[180:]) > 0.9
    without = fitted(X=frame[["size"]][:180], y=Y[:180], categorical_features=None, **options)
    assert without.score(frame[["size"]][180:], Y[180:]) < 0.7


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_solvers_train_the_vectors(kind, solver):
    start = fitted(kind, solver=solver, max_iter=1, learning_rate_init=1e-12, max_fun=1)
    fit = fitted(kind, solver=solver, max_iter=60, learning_rate_init=0.02)
    assert fit.loss_ < 0.8 * start.loss_
    (towns, days) = fit.other_parameters_.values()
    assert towns.shape == (11, 8)
    assert days.shape == (8, 6)
    assert np.abs(towns[:-1] - start.other_parameters_["0.1.0.0.weight"][:-1]).min() > 0
    assert not towns[-1].any()  # nothing unknown was trained on


# ---- which columns ----

SAME_COLUMNS = {
    "numbers": [1, 2],
    "numbers in another order": (2, 1),
    "an array": np.array([1, 2], dtype=np.uint8),
    "a mask": [False, True, True],
    "a mask as an array": np.array([False, True, True]),
    "names": ["town", "day"],
    "names in an index": pd.Index(["day", "town"]),
    "their dtype": "from_dtype",
}


@pytest.mark.parametrize("how", SAME_COLUMNS)
def test_columns_by_number_mask_name_and_dtype(how):
    X = FRAME.astype({"day": "category"}) if how == "their dtype" else FRAME
    fit = fitted(X=X, categorical_features=SAME_COLUMNS[how])
    np.testing.assert_array_equal(fit.is_categorical_, [False, True, True])
    assert [each.tolist() for each in fit.categories_] == [TOWNS.tolist(), list(range(1, 8))]
    assert fit.n_features_in_ == 3
    assert fit.feature_names_in_.tolist() == ["size", "town", "day"]
    np.testing.assert_array_equal(fit.predict_proba(X), fitted().predict_proba(FRAME))


@pytest.mark.parametrize("none", [None, [], np.zeros(3, bool), "from_dtype"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_column_is_as_without_the_parameter(kind, none):
    frame = pd.DataFrame(CODES, columns=["size", "town", "day"])
    fit, want = (fitted(kind, X=frame, categorical_features=each) for each in (none, None))
    assert fit.is_categorical_ is None
    assert fit.categories_ is None
    assert vars(fit).keys() == vars(want).keys()
    np.testing.assert_array_equal(outputs(fit, frame), outputs(want, frame))


BAD_FEATURES = {
    "a name": ("town", ValueError, r"The 'categorical_features' .*: write categorical_features=\['town'\]"),
    "a number": (1, ValueError, r"The 'categorical_features' parameter .*: write categorical_features=\[1\]"),
    "floats": ([1.0], ValueError, "categorical_features must be an array-like of bool, int or str, got: float64"),
    "mixed": (np.array([1, "town"], object), ValueError, "array-like of bool, int or str, got: int, str"),
    "too large": ([3], ValueError, r"integer indices must be in \[0, n_features - 1\]"),
    "negative": ([-1], ValueError, r"integer indices must be in \[0, n_features - 1\]"),
    "a short mask": ([True, False], ValueError, r"a boolean mask must have shape \(n_features,\), got: \(2,\)"),
    "no such name": (["city"], ValueError, "item value 'city' which is not a valid feature name"),
    "two axes": ([[1, 2]], ValueError, r"categorical_features must be 1-dimensional, got shape \(1, 2\)"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_bad_features_are_refused(case):
    features, error, message = BAD_FEATURES[case]
    estimator = MLPClassifier(categorical_features=features)
    before = dict(vars(estimator))
    with pytest.raises(error, match=message):
        estimator.fit(FRAME, Y)
    assert vars(estimator) == before


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (["town"], ValueError, "should be passed as an array of integers or as a boolean mask"),
        ("from_dtype", TypeError, "X must be a data frame with categorical_features='from_dtype', got ndarray"),
    ],
)
def test_arrays_have_no_names_and_one_dtype(features, error, message):
    with pytest.raises(error, match=message):
        MLPClassifier(categorical_features=features).fit(CODES, Y)


# ---- the net ----


@pytest.mark.parametrize(("categories", "width"), [(0, 1), (1, 1), (2, 1), (3, 2), (8, 7), (9, 8), (10, 8), (99, 8)])
def test_widths(categories, width):
    assert vector_width(categories) == width


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_net_that_one_would_write(dtype):
    fit = fitted(MLPRegressor, y=SIZE + TOWN, dtype=dtype, alpha=0, max_iter=1, batch_size=N, shuffle=False)
    inputs = nn.Parallel(nn.Columns([0]), nn.Columns([1, 2], nn.Embeddings([10, 7], [8, 6], unknown="own")))
    net = nn.Sequential(inputs, nn.Dense(15, 16), "relu", nn.Dense(16, 1), dtype=dtype, seed=fit.net_.seed)
    assert net.state_dict().keys() == fit.net_.state_dict().keys()
    for table in net[0][1][0].weights:
        table[-1] = 0
    # Weights as scikit-learn draws them.
    rng = np.random.RandomState(0)
    for layer in (net[1], net[3]):
        bound = np.sqrt(6 / sum(layer.weight.shape))
        layer.weight[...] = rng.uniform(-bound, bound, layer.weight.shape)
        layer.bias[...] = rng.uniform(-bound, bound, layer.bias.shape)
    trainer = fastnn.Trainer(net, nn.MSELoss(factor=0.5), fastnn.optim.Adam(lr=1e-3, eps_hat=True))
    encoded = CODES - [0, 0, 1]
    trainer.fit(encoded, (SIZE + TOWN)[:, None], epochs=1, batch_size=N, shuffle=False, verbose=0)
    np.testing.assert_array_equal(fit.predict(FRAME), net.predict(encoded)[:, 0])
    np.testing.assert_array_equal(fit.net_.predict(encoded)[:, 0], fit.predict(FRAME))


def test_coefs_are_those_of_dense_layers():
    fit = fitted(hidden_layer_sizes=(16, 5))
    assert [coef.shape for coef in fit.coefs_] == [(1 + 8 + 6, 16), (16, 5), (5, 1)]
    assert [each.shape for each in fit.intercepts_] == [(16,), (5,), (1,)]
    assert fit.n_layers_ == 4
    assert fit.net_.in_features == 3
    before = fit.predict_proba(FRAME)
    fit.coefs_ = [coef * 2 for coef in fit.coefs_]
    assert not np.allclose(fit.predict_proba(FRAME), before)
    fit.other_parameters_["0.1.0.0.weight"][...] = 0
    assert len(np.unique(fit.predict_proba(FRAME.assign(size=0.0, day=1)), axis=0)) == 1


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_alpha_leaves_vectors_alone(solver):
    """Without a gradient of the loss, only the penalty moves anything."""
    options = {"solver": solver, "max_iter": 5, "learning_rate_init": 0.1, "momentum": 0.0, "tol": 1e-9}
    fit = fitted(MLPRegressor, y=np.zeros(N), alpha=100.0, activation="identity", **options)
    start = fitted(MLPRegressor, y=np.zeros(N), alpha=0.0, max_iter=1, solver="sgd", learning_rate_init=1e-300)
    assert np.abs(fit.coefs_[0]).max() < 0.1
    day = "0.1.0.1.weight"
    assert np.linalg.norm(fit.other_parameters_[day]) > 0.5 * np.linalg.norm(start.other_parameters_[day])


@pytest.mark.parametrize("X", [FRAME[["town", "day"]], FRAME[["town"]], CODES[:, 1:]], ids=["frame", "one", "array"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_categories_alone(kind, X):
    features = list(range(X.shape[1]))
    fit = fitted(kind, X=X, categorical_features=features)
    assert isinstance(fit.net_[0], nn.Embeddings)
    twin = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(outputs(twin, X), outputs(fit, X))


@pytest.mark.parametrize(
    "options", [{"norm": "layer", "residual": True, "hidden_layer_sizes": (8, 8)}, {"dropout": 0.2}]
)
def test_with_other_options(options):
    fit = fitted(**options, init="kaiming_normal")
    assert np.isfinite(fit.predict_proba(FRAME)).all()
    assert {name for name in fit.other_parameters_ if name.startswith("0.")} == {"0.1.0.0.weight", "0.1.0.1.weight"}


def test_float32_stays_float32():
    fit = fitted(X=CODES.astype(np.float32))
    assert fit.coefs_[0].dtype == np.float32
    assert fit.predict_proba(CODES.astype(np.float32)).dtype == np.float32
    frame = FRAME.astype({"size": np.float32})
    assert fitted(X=frame).coefs_[0].dtype == np.float32
    assert fitted(X=FRAME).coefs_[0].dtype == np.float64


# ---- codes by value ----


def unlike(column):
    """Return columns with the same values in other forms."""
    values = np.asarray(column)
    yield column.cat.set_categories(TOWNS[::-1])
    yield column.cat.set_categories([*TOWNS, "Kiel"])
    yield column.cat.set_categories(["Kiel", *TOWNS], ordered=True)
    yield column.astype(str)
    yield pd.Series(values, index=column.index, dtype=object)
    yield column.astype("string")


@pytest.mark.parametrize("kind", KINDS)
def test_frames_whose_categories_changed(kind):
    fit = fitted(kind)
    want = outputs(fit, FRAME)
    for town in unlike(FRAME["town"]):
        np.testing.assert_array_equal(outputs(fit, FRAME.assign(town=town)), want)
    some = FRAME["town"].isin(["Cork", "Jena"])  # the frame's own codes are now others
    left = FRAME[some].assign(town=FRAME["town"][some].cat.remove_unused_categories())
    assert set(left["town"].cat.codes) == {0, 1}
    np.testing.assert_allclose(outputs(fit, left), want[some.to_numpy()], rtol=1e-12)


@pytest.mark.parametrize("cast", [np.int8, np.uint64, np.float32, np.float64, object, "Int64", "Float64"])
def test_numbers_of_other_dtypes_are_the_same_categories(cast):
    fit = fitted()
    np.testing.assert_array_equal(fit.predict_proba(FRAME.astype({"day": cast})), fit.predict_proba(FRAME))


def test_numbers_are_compared_as_numbers():
    ids = 2**62 + np.arange(N) % 3
    fit = fitted(X=ids[:, None], categorical_features=[0])
    assert fit.categories_[0].tolist() == [2**62, 2**62 + 1, 2**62 + 2]
    assert len(np.unique(fit.predict_proba(ids[:, None]))) == 6
    halves = np.arange(N)[:, None] % 5 / 2
    assert fitted(X=halves, categorical_features=[0]).categories_[0].tolist() == [0, 0.5, 1, 1.5, 2]
    flags = fitted(X=pd.DataFrame({"f": Y.astype(bool)}), categorical_features=["f"])
    assert [int(each) for each in flags.categories_[0]] == [0, 1]


def test_lists_keep_numbers_and_text_apart():
    rows = [[size, town, int(day)] for size, town, day in zip(SIZE, TOWNS[TOWN], DAY, strict=True)]
    fit = fitted(X=rows)
    assert fit.categories_[1].tolist() == list(range(1, 8))
    np.testing.assert_array_equal(fit.predict_proba(rows), fitted().predict_proba(FRAME))
    text = fitted(X=TOWNS[TOWN][:, None].astype(str), categorical_features=[0])
    np.testing.assert_array_equal(
        text.predict_proba(np.array([["Jena"], ["Aix"]])), text.predict_proba(np.array([["Jena"], ["Aix"]], object))
    )


def test_intervals_as_categories():
    frame = pd.DataFrame({"size": SIZE, "band": pd.cut(SIZE, [-9, -1, 0, 1, 9])})
    fit = fitted(X=frame, categorical_features="from_dtype")
    assert fit.categories_[0].tolist() == list(frame["band"].cat.categories)
    again = frame.assign(band=pd.cut(frame["size"], [-9, -1, 0, 1, 9]).cat.reorder_categories(fit.categories_[0][::-1]))
    np.testing.assert_array_equal(fit.predict_proba(again), fit.predict_proba(frame))


def test_frames_of_polars():
    pl = pytest.importorskip("polars")
    columns = {"size": SIZE, "town": TOWNS[TOWN].tolist(), "day": DAY}
    for dtype in (pl.Categorical, pl.Enum(TOWNS.tolist())):
        frame = pl.DataFrame(columns, schema_overrides={"town": dtype, "day": pl.Int64})
        fit, want = fitted(X=frame, categorical_features="from_dtype"), fitted(categorical_features="from_dtype")
        np.testing.assert_array_equal(fit.predict_proba(frame), want.predict_proba(FRAME))
        assert fit.feature_names_in_.tolist() == ["size", "town", "day"]
    nothing = frame.with_columns(town=pl.lit(None, dtype=pl.String))
    np.testing.assert_array_equal(fit.predict_proba(nothing), want.predict_proba(FRAME.assign(town=None)))


# ---- unknown and missing categories ----


@pytest.mark.parametrize("nothing", ["Kiel", None, np.nan, pd.NA], ids=repr)
def test_unseen_and_missing_categories_have_one_vector(nothing):
    fit = fitted()
    encoded = np.column_stack([SIZE, np.full(N, -1), DAY - 1])
    want = 1 / (1 + np.exp(-fit.net_.predict(encoded)[:, 0]))
    column = pd.Series([nothing] * N, dtype=object)
    np.testing.assert_allclose(fit.predict_proba(FRAME.assign(town=column))[:, 1], want, rtol=1e-12)
    column = FRAME["town"].astype(object).where(FRAME.index > 0, nothing)
    mixed = fit.predict_proba(FRAME.assign(town=column))
    assert mixed[0, 1] == pytest.approx(want[0])
    np.testing.assert_allclose(mixed[1:], fit.predict_proba(FRAME)[1:], rtol=1e-12)


@pytest.mark.parametrize("day", [0, 8, -1, 2.5, np.nan, 1e15])
def test_unseen_numbers(day):
    fit = fitted()
    encoded = np.column_stack([SIZE, TOWN, np.full(N, -1)])
    want = 1 / (1 + np.exp(-fit.net_.predict(encoded)[:, 0]))
    np.testing.assert_allclose(fit.predict_proba(FRAME.assign(day=day))[:, 1], want, rtol=1e-12)


def test_missing_categories_are_learned():
    """Which town is missing says nothing; that it is missing says all."""
    missing = RNG.random(N) < 0.5
    frame = FRAME.assign(town=FRAME["town"].astype(object).where(~missing, None))[["size", "town"]]
    fit = fitted(X=frame[:180], y=missing[:180], categorical_features=["town"], max_iter=80, learning_rate_init=0.02)
    assert fit.categories_[0].tolist() == TOWNS.tolist()
    assert fit.score(frame[180:], missing[180:]) > 0.95
    assert fit.score(FRAME[["size", "town"]].assign(town="Kiel"), np.ones(N, bool)) > 0.95


@pytest.mark.parametrize("column", [np.full(N, np.nan), np.array([None] * N, object), np.full(N, "one", object)])
@pytest.mark.parametrize("kind", KINDS)
def test_columns_with_nothing_to_tell(kind, column):
    """All missing, or a single category: the others still train."""
    frame = FRAME.assign(town=column)
    fit = fitted(kind, X=frame, max_iter=20)
    assert len(fit.categories_[0]) == (column[0] == "one")
    assert fit.coefs_[0].shape[0] == 1 + 1 + 6
    for town in ("one", "other", None, 3.0 if column[0] != "one" else None):
        assert np.isfinite(outputs(fit, FRAME.assign(town=town))).all()


# ---- bad rows ----

BAD_ROWS = {
    "numbers, not strings": ({"town": 3}, TypeError, r"X\['town'\] must contain strings, as in the fit, got numbers"),
    "strings, not numbers": ({"day": "1"}, TypeError, r"X\['day'\] must contain numbers, as in the fit, got strings"),
    "dates": ({"town": pd.Timestamp("2024-01-01")}, TypeError, r"X\['town'\] must contain strings or numbers, got dty"),
    "bytes": ({"town": b"Aix"}, TypeError, r"X\['town'\] must contain strings, as in the fit, got bytes"),
    "lists": ({"town": pd.Series([["Aix"]] * N)}, TypeError, r"X\['town'\] must contain strings, .*, got list"),
    "two kinds": (
        {"town": pd.Series(["Aix", 1] * (N // 2), dtype=object)},
        TypeError,
        r"X\['town'\] must contain categories of one kind, got numbers, strings: convert them to strings",
    ),
    "infinity": ({"day": np.inf}, ValueError, r"X\['day'\] must contain no infinity, .*, got inf"),
    "large floats": ({"day": 2.0**53}, ValueError, r"X\['day'\] .* no float of 2\*\*53 or more"),
    "large integers": ({"day": np.full(N, 2**63, np.uint64)}, ValueError, r"X\['day'\] must contain numbers below"),
    "complex": ({"day": 1j}, TypeError, r"X\['day'\] must contain strings or numbers, got dtype complex128"),
    "NaN in numbers": ({"size": np.nan}, ValueError, "Input X contains NaN"),
    "text in numbers": ({"size": "12 m"}, ValueError, r"X\['size'\] must contain numbers, got strings: name it in"),
}


@pytest.mark.parametrize("when", ["predict", "fit", "partial_fit", "eval_set"])
@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_refused(case, when):
    values, error, message = BAD_ROWS[case]
    bad = FRAME.assign(**values)
    if when == "fit" and case == "lists":
        message = r"X\['town'\] must contain categories that can be sorted, got list: convert them to strings"
    elif when == "fit" and "as in the fit" in message:
        return  # they are categories, too
    fit = fitted()
    before, want = dict(vars(fit)), fit.predict_proba(FRAME)
    calls = {
        "predict": lambda: fit.predict(bad),
        "fit": lambda: fit.fit(bad, Y),
        "partial_fit": lambda: fit.partial_fit(bad, Y),
        "eval_set": lambda: fit.fit(FRAME, Y, eval_set=(bad, Y)),
    }
    with pytest.raises(error, match=message):
        calls[when]()
    assert vars(fit) == before
    np.testing.assert_array_equal(fit.predict_proba(FRAME), want)


TEXT = FRAME.astype({"town": object})
DATES = pd.Series(pd.date_range("2024-01-01", periods=N))
OTHER_COLUMNS = {
    "text": (TEXT, "from_dtype", r"X\['town'\] must contain numbers, got strings: name it in categorical_features"),
    "text beside categories": (
        TEXT.astype({"day": "category"}),
        "from_dtype",
        r"X\['town'\] must contain numbers, got strings: name it in categorical_features",
    ),
    "text, without categories": (TEXT, None, "could not convert string to float: "),
    "dates": (FRAME.assign(town=DATES), None, r"X\['town'\] must contain numbers, got dtype datetime.*: convert it to"),
    "dates, by dtype": (
        FRAME.assign(town=DATES),
        "from_dtype",
        r"X\['town'\] must contain numbers, got dtype datetime",
    ),
    "dates beside categories": (
        FRAME.assign(town=DATES),
        ["day"],
        r"X\['town'\] must contain numbers, got dtype datet",
    ),
    "missing numbers": (
        FRAME[["size"]].assign(day=pd.array([pd.NA, *range(N - 1)], dtype="Int64")),
        "from_dtype",
        "Input X contains NaN",
    ),
}


@pytest.mark.parametrize("case", OTHER_COLUMNS)
def test_columns_that_are_neither_numbers_nor_categories(case):
    X, features, message = OTHER_COLUMNS[case]
    estimator = MLPClassifier(categorical_features=features)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=f"^{message}"):
        estimator.fit(X, Y)
    assert vars(estimator) == before


def test_columns_of_arrays_are_named_by_number():
    X = CODES.astype(object)
    X[3, 1] = "x"
    with pytest.raises(TypeError, match=r"X\[:, 1\] must contain categories of one kind, got numbers, strings"):
        fitted(X=X)
    X[:, 0] = "x"
    with pytest.raises(ValueError, match=r"X\[:, 0\] must contain numbers, got strings: name it in"):
        fitted(X=X, categorical_features=[2])


SHAPES = {
    "sparse": (scipy.sparse.csr_array(CODES), TypeError, "X must be dense with categorical_features, got a sparse"),
    "too few columns": (CODES[:, :2], ValueError, "X has 2 features, but MLPClassifier is expecting 3 features"),
    "one axis": (CODES[:, 1], ValueError, "Expected 2D array, got 1D array"),
    "no rows": (CODES[:0], ValueError, r"Found array with 0 sample\(s\)"),
    "no rows of a frame": (FRAME[:0], ValueError, r"Found array with 0 sample\(s\)"),
    "other names": (FRAME.rename(columns={"town": "city"}), ValueError, "feature names should match those"),
    "another order": (FRAME[["town", "size", "day"]], ValueError, "in the same order as they were in fit"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_other_shapes_and_names_are_refused(case):
    X, error, message = SHAPES[case]
    fit = fitted() if case in ("other names", "another order", "no rows of a frame") else fitted(X=CODES)
    with pytest.raises(error, match=message):
        fit.predict(X)
    if "another" not in case and "other" not in case:
        with pytest.raises((TypeError, ValueError), match=r"dense|in \[0|Expected 2D|0 sample"):
            fitted(X=X, y=Y[: X.shape[0]])


def test_an_array_for_a_frame_is_read_by_place():
    fit = fitted()
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        have = fit.predict_proba(FRAME.to_numpy())
    np.testing.assert_array_equal(have, fit.predict_proba(FRAME))


def test_before_a_fit():
    with pytest.raises(NotFittedError):
        MLPClassifier(categorical_features=["town"]).predict(FRAME)


# ---- later calls ----


@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_keeps_the_first_categories(kind):
    more = {"classes": [0, 1]} if kind is MLPClassifier else {}
    first = FRAME["town"].isin(TOWNS[:4]).to_numpy()
    options = {"categorical_features": ["town", "day"], "random_state": 0, "solver": "sgd"}
    fit = kind(**options).partial_fit(FRAME[first], Y[first], **more)
    assert fit.categories_[0].tolist() == TOWNS[:4].tolist()
    before = fit.other_parameters_["0.1.0.0.weight"].copy()
    assert not before[-1].any()
    fit.partial_fit(FRAME[~first], Y[~first])
    assert fit.categories_[0].tolist() == TOWNS[:4].tolist()
    after = fit.other_parameters_["0.1.0.0.weight"]
    assert after[-1].any()  # the towns that were unseen share this vector
    unseen = FRAME[~first].assign(size=0.0, day=1)
    assert len(np.unique(outputs(fit, unseen), axis=0)) == 1


def test_warm_starts_keep_the_first_categories():
    fit = fitted(X=FRAME[TOWN < 5], y=Y[TOWN < 5], warm_start=True)
    tables = fit.other_parameters_["0.1.0.0.weight"]
    fit.fit(FRAME, Y)
    assert fit.categories_[0].tolist() == TOWNS[:5].tolist()
    assert fit.other_parameters_["0.1.0.0.weight"] is tables
    fit.set_params(warm_start=False).fit(FRAME, Y)
    assert fit.categories_[0].tolist() == TOWNS.tolist()
    assert fit.set_params(categorical_features=None).fit(CODES, Y).coefs_[0].shape[0] == 3
    assert fit.categories_ is None
    assert fit.is_categorical_ is None


def test_a_changed_activation_keeps_the_vectors():
    fit = fitted()
    towns = fit.other_parameters_["0.1.0.0.weight"].copy()
    fit.set_params(activation="tanh", learning_rate_init=1e-300).partial_fit(FRAME, Y)
    assert fit.net_[2] == nn.Tanh()
    np.testing.assert_allclose(fit.other_parameters_["0.1.0.0.weight"], towns, atol=1e-290)


@pytest.mark.parametrize("scoring", [None, "loss", "roc_auc", lambda fit, X, y: fit.score(X, y)])
def test_early_stopping(scoring):
    fit = fitted(early_stopping=True, scoring=scoring, max_iter=30, learning_rate_init=0.02)
    assert len(fit.validation_scores_) == fit.n_iter_
    assert len(set(fit.validation_scores_)) > 1
    given = fitted(early_stopping=True, scoring=scoring, X=FRAME[:180], y=Y[:180])
    given.fit(FRAME[:180], Y[:180], eval_set=(FRAME[180:], Y[180:]))
    if scoring is None or callable(scoring):
        assert given.best_validation_score_ == pytest.approx(given.score(FRAME[180:], Y[180:]))
    assert given.validation_loss_curve_


# ---- copies and tools ----


@pytest.mark.parametrize("copied", [lambda fit: pickle.loads(pickle.dumps(fit)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("kind", KINDS)
def test_copies_predict_and_train_as_the_original(kind, copied):
    fit = fitted(kind, batch_size=50)
    twin = copied(fit)
    np.testing.assert_array_equal(outputs(twin, FRAME), outputs(fit, FRAME))
    for each in (fit, twin):
        each.partial_fit(FRAME, Y)
    np.testing.assert_array_equal(outputs(twin, FRAME), outputs(fit, FRAME))
    assert not np.shares_memory(twin.other_parameters_["0.1.0.0.weight"], fit.other_parameters_["0.1.0.0.weight"])


def damage(**changes):
    def damaged(state):
        columns = copy.copy(state["_category_columns"])
        columns.__dict__.update(changes)
        state["_category_columns"] = columns

    return damaged


def replace_columns(value):
    return lambda state: state.update(_category_columns=value)


DAMAGES = {
    "nothing": (replace_columns(None), TypeError, "_category_columns must be a CategoryColumns, got NoneType"),
    "no mask": (damage(mask=[False, True, True]), ValueError, "_category_columns.mask must be an ndarray of bool"),
    "short mask": (damage(mask=np.array([True])), ValueError, r"_category_columns.mask must be .* shape \(3,\)"),
    "a column more": (damage(mask=np.array([True] * 3)), ValueError, "_category_columns.kinds must be a list of 3"),
    "labels": (damage(labels=["X"]), ValueError, "_category_columns.labels must be a list of 3"),
    "kinds": (damage(kinds=[3, 4]), TypeError, r"_category_columns.kinds\[0\] must be a string, got int"),
    "encoders": (damage(encoders=[1, 2]), TypeError, r"_category_columns.encoders\[0\] must be a fitted OrdinalEncod"),
    "unfitted": (damage(encoders=[OrdinalEncoder()] * 2), TypeError, "must be a fitted OrdinalEncoder"),
    "fewer categories": (
        damage(encoders=[OrdinalEncoder().fit([["a"], ["b"]])] * 2),
        ValueError,
        r"coefs_\[0\] must have 3 rows, one per input of the first dense layer, got 15",
    ),
    "other tables": (
        lambda state: state["other_parameters_"].update({"0.1.0.0.weight": np.zeros((3, 8))}),
        ValueError,
        r"other_parameters_\['0.1.0.0.weight'\] must have shape \(11, 8\)",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_states_are_refused(case):
    change, error, message = DAMAGES[case]
    state = fitted().__getstate__()
    change(state)
    with pytest.raises(error, match=message):
        MLPClassifier().__setstate__(state)


def test_clones_and_searches():
    estimator = MLPClassifier((8,), categorical_features=["town", "day"], max_iter=3, random_state=0)
    twin = clone(estimator.fit(FRAME, Y))
    assert not hasattr(twin, "categories_")
    assert twin.get_params() == estimator.get_params()
    grid = {"categorical_features": [["town"], ["town", "day"]], "alpha": [0.0, 0.1]}
    search = GridSearchCV(estimator, grid, cv=2, n_jobs=1, error_score="raise").fit(FRAME, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with joblib.parallel_config(backend="threading"):
        parallel = GridSearchCV(estimator, grid, cv=2, n_jobs=2, error_score="raise").fit(FRAME, Y)
    np.testing.assert_array_equal(parallel.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])


def test_in_a_pipeline():
    add = FunctionTransformer(lambda frame: frame.assign(twice=frame["size"] * 2), feature_names_out=None)
    model = make_pipeline(add, MLPClassifier((8,), categorical_features="from_dtype", max_iter=3, random_state=0))
    model.fit(FRAME, Y)
    assert model[-1].feature_names_in_.tolist() == ["size", "town", "day", "twice"]
    assert model.predict(FRAME).shape == (N,)
    with sklearn.config_context(transform_output="pandas"):
        model.fit(FRAME, Y)


@pytest.mark.parametrize("kind", KINDS)
def test_tags(kind):
    assert kind().__sklearn_tags__().input_tags.sparse
    tags = kind(categorical_features=[0]).__sklearn_tags__().input_tags
    assert tags.categorical
    assert not tags.sparse


def test_threads_and_backends_give_the_same(native):
    with fastnn.num_threads(2):
        two = fitted(max_iter=2).predict_proba(FRAME)
    with fastnn.num_threads(1):
        np.testing.assert_array_equal(fitted(max_iter=2).predict_proba(FRAME), two)
    with fastnn.backend("reference"):
        np.testing.assert_allclose(fitted(max_iter=2).predict_proba(FRAME), two, rtol=1e-9)


def test_vectors_beside_one_hot_columns():
    """A net with one vector for each category can compute what one with one-hot columns computes, and the reverse."""
    one_hot = OneHotEncoder(sparse_output=False).fit(FRAME[["town"]])
    fit = fitted(X=FRAME[["size", "town"]], categorical_features=["town"], hidden_layer_sizes=(5,), max_iter=30)
    towns = fit.other_parameters_["0.1.0.0.weight"][:-1]
    twin = MLPClassifier((5,), max_iter=1, random_state=0)
    X = np.column_stack([SIZE, one_hot.transform(FRAME[["town"]])])
    twin.fit(X, Y)
    twin.coefs_ = [np.vstack([fit.coefs_[0][:1], towns @ fit.coefs_[0][1:]]), fit.coefs_[1]]
    twin.intercepts_ = fit.intercepts_
    np.testing.assert_allclose(twin.predict_proba(X), fit.predict_proba(FRAME[["size", "town"]]), rtol=1e-10)
