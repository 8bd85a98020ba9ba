"""Bins of columns from data, for `fastnn.nn.PiecewiseLinear`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._columns import column_numbers
from fastnn._typing import Array

__all__ = ["quantile_bins"]


def quantile_bins(
    X: npt.ArrayLike, n_bins: int = 48, columns: npt.ArrayLike | range | slice | None = None
) -> tuple[tuple[float, ...], ...]:
    """Return the edges of bins with about as many rows each: the quantiles 0, 1 / n_bins, ..., 1 of each column.

    Quantiles that are equal are one edge, so that a column with few different values has fewer bins. This is
    `compute_bins` without targets of the package rtdl_num_embeddings (Gorishniy, Rubachev and Babenko, 2022, section
    3.2.1), in float64. Quantiles between two values are on the straight line between them.

    Parameters
    ----------
    X : array_like, shape (n, features)
        The training rows, at least 2: finite numbers, in the unit that the layer gets, scaled if the net has a scaler.
        Each column has at least two different values.
    n_bins : int, default 48
        The most bins of a column, at least 1; there are never more than rows less one.
    columns : sequence of int, slice or range, optional
        Which columns, from 0, none of them twice; by default all. The others may have anything.

    Returns
    -------
    tuple of tuple of float
        The edges of each of the columns, as `nn.PiecewiseLinear` takes them.

    Raises
    ------
    TypeError
        If `X` is no array of real numbers, or `n_bins` or `columns` are no integers.
    ValueError
        If there are fewer than two rows, a number is out of range, `columns` are none or one of them is given twice, or
        a column has NaN, infinity or a single value.

    Examples
    --------
    >>> from fastnn import data
    >>> data.quantile_bins([[0, 5], [1, 5], [2, 5], [10, 6]], n_bins=2)
    ((0.0, 1.5, 10.0), (5.0, 6.0))
    """
    x = v.numeric("X", X)
    v.shape("X", x, ("n", "features"))
    v.at_least("X", x, 0, 2, "rows")
    v.at_least("X", x, 1, 1, "column")
    share = np.linspace(0, 1, min(v.integer("n_bins", n_bins, 1), len(x) - 1) + 1)
    chosen = range(x.shape[1]) if columns is None else column_numbers(columns, x.shape[1])
    return tuple(_edges(f"X[:, {j}]", x[:, j].astype(np.float64), share) for j in chosen)


def _edges(name: str, column: Array, share: Array) -> tuple[float, ...]:
    if not v.all_finite(column):
        v.refuse(ValueError, name, "contain finite numbers", "NaN or infinity", "fill what is missing first")
    low, high = column.min(), column.max()
    if low == high:
        got, fix = f"{low} in all rows", "leave the column out with columns=..."
        v.refuse(ValueError, name, "have at least two different values", got, fix)
    if not np.isfinite(high / 2 - low / 2) or high / 2 - low / 2 > np.finfo(np.float64).max / 2:
        v.refuse(ValueError, name, "have a finite range", f"numbers from {low} to {high}", "scale the column first")
    edges: tuple[float, ...] = tuple(np.unique(np.quantile(column, share)).tolist())
    return edges
