"""Bins of columns from data."""

import numpy as np
import pytest

from fastnn import data, nn


def test_bins_are_the_quantiles(rng):
    X = rng.normal(size=(500, 3))
    X[:, 1] = np.floor(X[:, 1])
    bins = data.quantile_bins(X, 10)
    for column, edges in zip(X.T, bins, strict=True):
        assert (edges[0], edges[-1]) == (column.min(), column.max())
        np.testing.assert_allclose(edges, np.unique(np.quantile(column, np.arange(11) / 10)))
    assert np.histogram(X[:, 0], bins[0])[0].tolist() == [50] * 10
    assert len(bins[0]) == 11 > len(bins[1])
    assert len(data.quantile_bins(X)[2]) == 49
    layer = nn.PiecewiseLinear(bins)
    assert layer.bins == bins
    inside = nn.Sequential(layer, dtype="float64").predict(X)
    assert inside.min() == 0 and inside.max() <= 1


def test_columns_may_be_chosen():
    X = np.array([[0, np.nan, 3], [1, 2, 3], [4, 2, 5]])
    assert data.quantile_bins(X, 2, columns=[2, 0]) == ((3.0, 5.0), (0.0, 1.0, 4.0))
    assert data.quantile_bins(X[:, :1], 1) == ((0.0, 4.0),)


def test_arrays_of_any_kind():
    X = [[0, 1], [1, 3], [4, 1]]
    for given in (X, np.array(X, np.uint8), np.array(X, np.float32), np.asfortranarray(X), np.array(X, ">f8")):
        assert data.quantile_bins(given, 2) == ((0.0, 1.0, 4.0), (1.0, 3.0))


def test_columns_are_those_of_scalers():
    X = np.arange(12).reshape(3, 4)
    for columns in (slice(1, None), range(1, 4), [1, 2, 3], np.array([1, 2, 3])):
        assert data.quantile_bins(X, 2, columns) == data.quantile_bins(X[:, 1:], 2)
        assert (data.Scaler.fit(X, columns=columns).scale != 1).tolist() == [False, True, True, True]


WRONG = {
    "constant": (
        [[1, 5], [2, 5]],
        {},
        r"X\[:, 1\] must have at least two different values, got 5.0 in all rows: leave",
    ),
    "nan": ([[1, 5], [2, np.nan]], {}, r"X\[:, 1\] must contain finite numbers, got NaN or infinity: fill"),
    "infinite": ([[np.inf, 5], [2, 6]], {}, r"X\[:, 0\] must contain finite numbers"),
    "too wide": ([[-1.7e308], [1.7e308]], {}, r"X\[:, 0\] must have a finite range, got numbers from -1.7e\+308 to"),
    "one row": ([[1, 5]], {}, r"X must have at least 2 rows, got shape \(1, 2\)"),
    "no column": (np.ones((3, 0)), {}, "X must have at least 1 column"),
    "one axis": ([1, 5], {}, r"X must be 2-dimensional, of shape \(n, features\), got shape \(2,\)"),
    "text": ([["a"], ["b"]], {}, "X must be an array of real numbers"),
    "no bins": ([[1], [2]], {"n_bins": 0}, "n_bins must be an integer of at least 1, got 0"),
    "half a bin": ([[1], [2]], {"n_bins": 2.5}, "n_bins must be an integer"),
    "no such column": ([[1], [2]], {"columns": [1]}, "columns must be numbers from 0 to 0, got the column 1 of an"),
    "no columns": ([[1], [2]], {"columns": []}, "columns must be at least one number in a list"),
    "a column twice": ([[1], [2]], {"columns": [0, 0]}, "columns must be different, got 0 twice"),
    "a mask": ([[1], [2]], {"columns": [True]}, r"columns must be integers, .*: write np.flatnonzero"),
    "a name": ([[1], [2]], {"columns": ["a"]}, "columns must be .*: for names of columns write"),
}


@pytest.mark.parametrize(("X", "settings", "message"), WRONG.values(), ids=WRONG)
def test_what_is_refused(X, settings, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        data.quantile_bins(X, **settings)


def test_the_widest_range_has_bins():
    (edges,) = data.quantile_bins([[-8e307], [8e307], [0], [1], [2]], 4)
    assert np.isfinite(edges).all() and len(edges) == 5


def test_there_are_no_more_bins_than_rows_less_one():
    assert data.quantile_bins([[1.0], [2.0], [4.0]], 10**9) == ((1.0, 2.0, 4.0),)
