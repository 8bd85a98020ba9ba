"""Fitting of scalers: what they take from data, against scikit-learn and formulas, in chunks, and with gaps."""

import math
import tracemalloc

import numpy as np
import pytest

from fastnn.data import QuantileScaler, RobustScaler, Scaler
from fastnn.data import scaling as fitting

RNG = np.random.default_rng(0)
N = 5000
SKEWED = np.column_stack(
    [
        RNG.lognormal(size=N) * 1e3, RNG.integers(0, 4, N), RNG.normal(size=N), np.maximum(0, RNG.normal(size=N)),
        np.minimum(1, RNG.normal(1, 1, size=N)), RNG.normal(1e4, 1e-2, size=N),
    ]
)  # fmt: skip
GAPS = np.where(RNG.random(SKEWED.shape) < 0.2, np.nan, SKEWED)
FITS = {
    "standard": Scaler.fit,
    "min_max": lambda X, **more: Scaler.fit(X, "min_max", **more),
    "robust": RobustScaler.fit,
    "quantile": QuantileScaler.fit,
}
every_fit = pytest.mark.parametrize("kind", FITS)


# ---- against scikit-learn ----


@pytest.mark.parametrize("n_quantiles", [2, 10, 166, 1000])
@pytest.mark.parametrize("rows", [7, N])
def test_quantiles_are_scikit_learns(n_quantiles, rows):
    """Also of numbers that were not seen, and of those that are equal to quantiles."""
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    fewer = min(n_quantiles, rows)
    theirs = preprocessing.QuantileTransformer(n_quantiles=fewer, output_distribution="normal", subsample=None)
    theirs.fit(SKEWED[:rows])
    ours = QuantileScaler.fit(SKEWED[:rows], n_quantiles=n_quantiles)
    np.testing.assert_allclose(ours.quantiles, theirs.quantiles_, rtol=1e-13, atol=1e-13)
    ours = QuantileScaler(theirs.quantiles_)  # so that equal numbers stay equal
    X = np.concatenate([SKEWED, SKEWED[:100] * 1.1, SKEWED[:100] - 0.3, theirs.quantiles_])
    expected = theirs.transform(X)
    np.testing.assert_allclose(ours.transform(X), expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        ours.inverse_transform(expected), theirs.inverse_transform(expected), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("kind", "theirs"), [("standard", "StandardScaler"), ("min_max", "MinMaxScaler"), ("robust", "RobustScaler")]
)
@pytest.mark.parametrize("gaps", [False, True])
def test_others_are_scikit_learns(kind, theirs, gaps):
    """Its robust scaler has no limit; all leave NaN out of the fit."""
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X = GAPS if gaps else SKEWED
    more = {"limit": math.inf} if kind == "robust" else {}
    ours = FITS[kind](X, nan="center" if gaps else "error", **more)
    expected = getattr(preprocessing, theirs)().fit(X)
    np.testing.assert_allclose(ours.transform(SKEWED), expected.transform(SKEWED), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(SKEWED)), SKEWED, rtol=1e-12, atol=1e-9)


def test_the_robust_formula():
    """The one of RealMLP, also where the quartiles are equal."""
    X = np.column_stack([SKEWED, np.where(np.arange(N) < 100, 5.0, 1.0), np.full(N, 0.1)])
    z = X - np.median(X, axis=0)
    for j in range(X.shape[1]):
        first, third = np.quantile(X[:, j], [0.25, 0.75])
        if third > first:
            z[:, j] /= third - first
        elif X[:, j].max() > X[:, j].min():
            z[:, j] *= 2 / (X[:, j].max() - X[:, j].min())
    np.testing.assert_allclose(RobustScaler.fit(X).transform(X), z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(RobustScaler.fit(X, limit=0.5).transform(X), z / np.sqrt(1 + 4 * z**2), rtol=1e-11)


# ---- which columns, and gaps ----


@every_fit
def test_columns_that_are_not_scaled_stay(kind):
    """Whatever they contain; the others are as if alone."""
    X = SKEWED.copy()
    X[::7, 1], X[::5, 4] = np.nan, np.inf
    some = FITS[kind](X, columns=[5, 0, 3])
    alone = FITS[kind](X[:, [0, 3, 5]]).transform(X[:, [0, 3, 5]])
    scaled = some.transform(X)
    np.testing.assert_array_equal(scaled[:, [0, 3, 5]], alone)
    np.testing.assert_array_equal(scaled[:, [1, 2, 4]], X[:, [1, 2, 4]])
    np.testing.assert_array_equal(some.inverse_transform(X)[:, [1, 2, 4]], X[:, [1, 2, 4]])
    assert some.fill is None
    for columns in (slice(2, 4), range(2, 4), (2, 3), np.array([2, 3])):
        assert FITS[kind](X, columns=columns) == FITS[kind](X, columns=[3, 2])


@every_fit
def test_nan_is_left_out_and_filled(kind):
    scaler = FITS[kind](GAPS, nan="center", **({"n_quantiles": 30} if kind == "quantile" else {}))
    for j in range(GAPS.shape[1]):
        numbers = GAPS[~np.isnan(GAPS[:, j]), j]
        alone = FITS[kind](numbers[:, np.newaxis], **({"n_quantiles": 30} if kind == "quantile" else {}))
        center = {"standard": np.mean, "min_max": lambda x: (x.min() + x.max()) / 2}.get(kind, np.median)(numbers)
        assert scaler.fill[j] == pytest.approx(center, rel=1e-14)
        np.testing.assert_allclose(
            scaler.transform(SKEWED)[:, j], alone.transform(SKEWED[:, [j]])[:, 0], rtol=1e-10, atol=1e-10
        )
        filled = scaler.transform(np.where(np.isnan(GAPS), scaler.fill, GAPS))
        np.testing.assert_array_equal(scaler.transform(GAPS), filled)
    some = FITS[kind](GAPS, nan="center", columns=[2])
    np.testing.assert_array_equal(np.isnan(some.fill), [True, True, False, True, True, True])


@every_fit
@pytest.mark.parametrize("rows", [1, 2, 11, 131_073])
@pytest.mark.parametrize("value", [0.1, -1e8 - 1 / 3, 1e308, 5e-324, 0.0])
def test_constant_columns_become_0(kind, rows, value):
    """Exactly, also a single row, and with gaps."""
    X = np.full((rows, 2), value)
    X[1:, 1] = np.where(np.arange(1, rows) % 2, np.nan, value)
    scaler = FITS[kind](X, nan="center")
    assert (scaler.transform(X) == 0).all()
    assert scaler.fill.tolist() == [value, value]
    assert scaler.inverse_transform(np.zeros((1, 2))).tolist() == [[value, value]]


def test_the_default_number_of_quantiles():
    for rows, n in ((1, 2), (2, 2), (5, 5), (299, 10), (600, 20), (40_000, 1000)):
        assert len(QuantileScaler.fit(np.arange(rows)[:, np.newaxis]).quantiles) == n


def test_large_and_tiny_numbers():
    """Differences that overflow, and numbers whose squares do or are lost."""
    for column in ([-1.7e308, 0.0, 1.5e307, 1.7e308], [1e300, 2e300, 5e300], [5e-324, 0.0, 1e-323], [1e-200, 3e-200]):
        X = np.array(column)[:, np.newaxis]
        for kind, fit in FITS.items():
            scaler = fit(X)
            arrays = [value for value in scaler.fields().values() if np.ndim(value)]
            assert all(np.isfinite(array).all() for array in arrays), kind
    low, high = -1.7e308, 1.7e308
    scaler = Scaler.fit([[low], [high]], "min_max", nan="center")
    assert (scaler.center[0], scaler.fill[0]) == (low, 0) and scaler.scale[0] == pytest.approx(1 / high / 2)
    assert QuantileScaler([[low], [high]]).transform([[0.0], [high / 2]]).round(6).tolist() == [[0.0], [0.67449]]
    assert RobustScaler.fit([[low], [0.0], [high]]).scale[0] == pytest.approx(1 / high)


# ---- in chunks ----


@every_fit
def test_chunks_do_not_matter(kind, monkeypatch):
    X = np.where(np.arange(N)[:, np.newaxis] < 70, np.nan, GAPS)  # whole chunks without a number
    expected = FITS[kind](X, nan="center")
    monkeypatch.setattr(fitting.v, "CHUNK", 7 * X.shape[1])
    monkeypatch.setattr(fitting, "_BLOCK", 2 * N)
    got = FITS[kind](X, nan="center")
    for name, value in expected.fields().items():
        np.testing.assert_allclose(getattr(got, name), value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["standard", "min_max"])
def test_memory_maps_are_not_copied(kind, tmp_path):
    X = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (400_000, 20))
    for start in range(0, len(X), 50_000):
        X[start : start + 50_000] = np.arange(start, start + 50_000)[:, np.newaxis]
    tracemalloc.start()
    scaler = FITS[kind](X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 2
    expected = {"standard": 399_999 / 2, "min_max": 0.0}[kind]
    np.testing.assert_allclose(scaler.center, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["standard", "min_max"])
def test_each_row_is_read_once(kind, monkeypatch):
    reads = []
    checked = fitting._Data._checked
    monkeypatch.setattr(
        fitting._Data, "_checked", lambda self, *part: reads.append(len(part[0])) or checked(self, *part)
    )
    FITS[kind](np.tile(SKEWED, (10, 1)))
    assert sum(reads) == 10 * N


# ---- what is refused ----

ROWS = np.ones((4, 3))


def with_entry(value, column=1):
    X = ROWS.copy()
    X[2, column] = value
    return X


BAD = {
    "no rows": ((np.empty((0, 2)),), {}, r"X must have at least 1 row, got shape \(0, 2\)"),
    "a vector": ((np.ones(3),), {}, r"X must be 2-dimensional, .*: for a single column, .* write X"),
    "words": (([["a"]],), {}, "X must be an array of real numbers, got dtype <U1"),
    "a mask": ((np.ma.ones((3, 2)),), {}, "X must be an array without a mask, got a masked array"),
    "NaN": ((with_entry(np.nan),), {}, 'X must contain finite numbers in column 1, got NaN: write nan="center"'),
    "infinity": ((with_entry(-np.inf),), {}, "X must contain finite numbers in column 1, got infinity: replace it"),
    "infinity, filled": ((with_entry(np.inf, 2),), {"nan": "center"}, "X must contain finite .* column 2, got inf"),
    "only NaN": ((ROWS * [1, np.nan, 1],), {"nan": "center"}, "X must contain a number in column 1, got only"),
    "NaN in a column of some": ((with_entry(np.nan),), {"columns": [2, 1]}, "X must .* finite numbers in column 1"),
    "infinity in one of some": ((with_entry(np.inf),), {"columns": [2, 1]}, "X must .* finite numbers in column 1"),
    "only NaN in one of some": (
        (ROWS * [np.nan, 1, np.nan],),
        {"columns": [1, 2], "nan": "center"},
        "X must contain a number in column 2",
    ),
    "another column": ((ROWS,), {"columns": [0, 3]}, "columns must be numbers from 0 to 2, got the column 3 of"),
    "a negative column": ((ROWS,), {"columns": [-1]}, "columns must be numbers from 0, got -1"),
    "no columns": ((ROWS,), {"columns": []}, "columns must be at least one number in a list"),
    "a mask of columns": ((ROWS,), {"columns": [True, False, True]}, "columns must be integers"),
    "another rule": ((ROWS,), {"nan": "mean"}, "nan must be one of error, center, got 'mean'"),
}  # fmt: skip


@every_fit
@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(kind, case):
    args, more, message = BAD[case]
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        FITS[kind](*args, **more)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: Scaler.fit(ROWS, "robust"), "kind must be one of standard, min_max, got 'robust'"),
        (lambda: RobustScaler.fit(ROWS, limit=0.0), r"limit must be .* above 0, got 0.0"),
        (lambda: RobustScaler.fit(ROWS, limit=math.nan), r"limit must be .*, got nan"),
        (lambda: QuantileScaler.fit(ROWS, n_quantiles=1), r"n_quantiles must be .* got 1"),
        (lambda: QuantileScaler.fit(ROWS, n_quantiles=2.5), r"n_quantiles must be an integer"),
    ],
)
def test_settings_that_are_refused(fit, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        fit()


@every_fit
def test_a_frame_of_no_columns(kind):
    assert FITS[kind](np.empty((3, 0))).transform(np.empty((2, 0))).shape == (2, 0)
