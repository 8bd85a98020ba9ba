"""Fitting of scalers: what they take from data. The scalers themselves are in `fastnn.nn.scaling`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._columns import column_numbers
from fastnn._typing import Array

_BLOCK = 1 << 23  # elements of the columns that are sorted at a time
_LARGE = 1e140  # sums of squares of larger numbers may overflow
_LARGEST = float(np.finfo(np.float64).max)

Fitted = tuple[Any, ...]  # the arguments of a scaler, in order


class _Data:
    """Rows to fit on, and which columns; checked as they are read."""

    def __init__(self, X: npt.ArrayLike, columns: Any, nan: str) -> None:
        self.x = v.numeric("X", X)
        one = "for a single column, such as the targets of a net with one output, write X[:, np.newaxis]"
        v.shape("X", self.x, ("n", "features"), one if self.x.ndim == 1 else "")
        v.at_least("X", self.x, 0, 1, "row")
        self.features = self.x.shape[1]
        self.fills = v.choice("nan", nan, ("error", "center")) == "center"
        self.all = columns is None
        self.columns = np.arange(self.features)
        if columns is not None:
            self.columns = np.array(column_numbers(columns, self.features), np.int64)

    def __len__(self) -> int:
        return len(self.x)

    def parts(self) -> Iterator[Array]:
        """Yield the columns of some rows at a time, as float64."""
        step = max(1, v.CHUNK // max(1, len(self.columns)))
        for start in range(0, len(self.x), step):
            part = self.x[start : start + step]
            yield self._checked(part if self.all else part[:, self.columns], self.columns)

    def each_column(self) -> Iterator[Array]:
        """Yield the numbers of each column, without NaN, as float64."""
        step = max(1, _BLOCK // len(self.x))
        for start in range(0, len(self.columns), step):
            columns = self.columns[start : start + step]
            for j, column in enumerate(self._checked(self.x[:, columns], columns).T):
                numbers = column[~np.isnan(column)] if self.fills else column
                if not numbers.size:
                    self.refuse_empty(columns[j])
                yield numbers

    def _checked(self, part: Array, columns: Array) -> Array:
        """Return a part as float64 if it has no infinity, and no NaN unless these are filled."""
        with np.errstate(over="ignore"):
            numbers: Array = part.astype(np.float64)
        if v.all_finite(numbers):
            return numbers
        infinite, missing = np.isinf(numbers).any(axis=0), np.isnan(numbers).any(axis=0)
        if infinite.any():
            must = f"contain finite numbers in column {columns[infinite.argmax()]}"
            v.refuse(ValueError, "X", must, "infinity", "replace it, or leave the column out by columns=")
        if missing.any() and not self.fills:
            must = f"contain finite numbers in column {columns[missing.argmax()]}"
            v.refuse(ValueError, "X", must, "NaN", 'write nan="center", to fill it with the center of the column')
        return numbers

    def refuse_empty(self, column: int) -> None:
        """Refuse a column without numbers."""
        v.refuse(ValueError, "X", f"contain a number in column {column}", "only NaN", "leave it out by columns=")

    def spread(self, values: Array, others: float) -> Array:
        """Return values of the columns as an array for all columns."""
        if self.all:
            return values
        result = np.full((*values.shape[:-1], self.features), others)
        result[..., self.columns] = values
        return result

    def fill(self, center: Array) -> Array | None:
        """Return the numbers that take the place of NaN."""
        return self.spread(center, np.nan) if self.fills else None


def fit_affine(X: npt.ArrayLike, kind: str, columns: Any, nan: str) -> Fitted:
    """Return center, scale and fill of a `Scaler`."""
    data = _Data(X, columns, nan)
    fit = {"standard": _standard, "min_max": _min_max}[v.choice("kind", kind, ("standard", "min_max"))]
    center, scale, middle = fit(data)
    return data.spread(center, 0.0), data.spread(scale, 1.0), data.fill(middle)


def _standard(data: _Data) -> tuple[Array, Array, Array]:
    """Return the means, 1 over the standard deviations, and the means again."""
    unit = np.ones(len(data.columns))
    with np.errstate(over="ignore", invalid="ignore"):
        size, mean, std = _moments(data, unit)
    # Columns whose squares overflow or underflow are read again, multiplied by a power of 2.
    unit = np.where(size > _LARGE, 2.0**-600, np.where((size > 0) & (size < 1 / _LARGE), 2.0**600, 1.0))
    if (unit != 1).any():
        _, mean, std = _moments(data, unit)
    mean /= unit
    return mean, _reciprocal(std, unit), mean


def _moments(data: _Data, unit: Array) -> tuple[Array, Array, Array]:
    """Return the largest magnitude of each column, and mean and standard deviation of the column times `unit`.

    Means and squares of some rows at a time are combined (Chan, Golub and LeVeque, 1983). The first number of each
    column is subtracted from all, so that a constant column has exactly its number as mean, and no variance.
    """
    size, first, mean, squares, rows = np.zeros((5, len(unit)))
    first[:] = np.nan
    for part in data.parts():
        size = np.fmax(size, np.fmax.reduce(np.abs(part), axis=0))
        part *= unit
        here, present = np.isnan(first), ~np.isnan(part) if data.fills else np.ones(part.shape, bool)
        first[here] = part[present.argmax(axis=0), np.arange(len(unit))][here]
        part -= first
        count = present.sum(axis=0).astype(np.float64)
        mine = np.where(present, part, 0).sum(axis=0) / np.maximum(count, 1)
        deviations = np.where(present, part - mine, 0)
        total = np.maximum(rows + count, 1)
        squares += (deviations**2).sum(axis=0) + (mine - mean) ** 2 * (rows * count / total)
        mean += (mine - mean) * (count / total)
        rows += count
    _refuse_columns_without_numbers(data, rows == 0)
    return size, first + mean, np.sqrt(squares / rows)


def _min_max(data: _Data) -> tuple[Array, Array, Array]:
    """Return the minima, 1 over the ranges, and the middles."""
    low, high = np.full((2, len(data.columns)), np.nan)
    for part in data.parts():
        low, high = np.fmin(low, np.fmin.reduce(part, axis=0)), np.fmax(high, np.fmax.reduce(part, axis=0))
    _refuse_columns_without_numbers(data, np.isnan(low))
    unit = np.where(np.maximum(-low, high) > _LARGE, 0.25, 1.0)  # the range of larger numbers may overflow
    span = high * unit - low * unit
    return low, _reciprocal(span, unit), (low * unit + span / 2) / unit


def _refuse_columns_without_numbers(data: _Data, empty: Array) -> None:
    if empty.any():
        data.refuse_empty(data.columns[empty.argmax()])


def _reciprocal(spread: Array, unit: Array) -> Array:
    """Return unit / spread, finite; 1 where the spread is 0."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(spread > 0, np.minimum(unit / spread, _LARGEST), 1.0)


def fit_robust(X: npt.ArrayLike, limit: float, columns: Any, nan: str) -> Fitted:
    """Return center, scale, limit and fill of a `RobustScaler`."""
    limit = v.real("limit", limit, 0, closed=True, excluded=True)
    data = _Data(X, columns, nan)
    places, units = _quantiles_of_columns(data, np.array([0, 0.25, 0.5, 0.75, 1]))
    low, first, median, third, high = places
    spread = np.where(third > first, third - first, (high - low) / 2)
    center = median / units
    limits = limit if data.all else data.spread(np.full(len(data.columns), limit), np.inf)
    return data.spread(center, 0.0), data.spread(_reciprocal(spread, units), 1.0), limits, data.fill(center)


def fit_quantiles(X: npt.ArrayLike, n_quantiles: int | None, columns: Any, nan: str) -> Fitted:
    """Return quantiles and fill of a `QuantileScaler`."""
    if n_quantiles is not None:
        n_quantiles = v.integer("n_quantiles", n_quantiles, 2)
    data = _Data(X, columns, nan)
    n = max(min(len(data) // 30, 1000), 10) if n_quantiles is None else n_quantiles
    shares = np.linspace(0, 1, max(2, min(n, len(data))))
    places, units = _quantiles_of_columns(data, np.append(shares, 0.5))
    quantiles = np.maximum.accumulate(places[:-1] / units, axis=0)
    return data.spread(quantiles, np.nan), data.fill(places[-1] / units)


def _quantiles_of_columns(data: _Data, shares: Array) -> tuple[Array, Array]:
    """Return quantiles of each column times a unit, linear between neighbours, and the units."""
    places, units = np.empty((len(shares), len(data.columns))), np.ones(len(data.columns))
    for j, numbers in enumerate(data.each_column()):
        if np.abs(numbers).max() > _LARGE:
            units[j] = 0.25  # differences of larger numbers may overflow
        places[:, j] = np.quantile(numbers * units[j], shares)
    return places, units
