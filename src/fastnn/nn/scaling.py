"""Scalers: maps of each column of a net's input, which can be fitted on training data."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import kernels
from fastnn._settings import Settings, settings
from fastnn._typing import Array
from fastnn.engine import Scaling
from fastnn.kernels.scaling import check_quantiles, scale_rows

__all__ = ["QuantileScaler", "RobustScaler", "Scaler"]

_MOST_SHOWN = 1000  # quantiles that `repr` shows
_LEAST_SHARE = 1e-7  # to which the kernel `quantile_normal` limits shares


class ColumnScaler(Settings, abstract=True):
    """What all scalers have in common. A subclass has a field for each array, `fill` among them."""

    _internal = frozenset({"fields"})
    _how_to_change = "set net.scaler = {call}"

    def __post_init__(self) -> None:
        """Replace arrays by read-only copies."""
        for name, value in self._arguments().items():
            if value is None and name == "fill":
                continue
            array = np.array(v.numeric(name, value))
            self._check(name, array)
            array.setflags(write=False)  # a view of it can neither be made writable nor be resized
            object.__setattr__(self, name, array[...] if array.ndim else array.item())

    def _check(self, name: str, array: Array) -> None:
        """Refuse what the field cannot be, whatever the data are."""

    @classmethod
    @abstractmethod
    def fit(cls, X: npt.ArrayLike) -> Self:
        """Return a scaler fitted on rows."""

    def transform(self, X: npt.ArrayLike) -> Array:
        """Return scaled rows, as a net with this scaler computes them for itself.

        Parameters
        ----------
        X : array_like, shape (n, features)

        Returns
        -------
        ndarray, shape (n, features)
            float32 if `X` is float32, else float64. It is computed in float64, with the scaler's numbers rounded to the
            dtype of the result, as a net of that dtype has them.

        Raises
        ------
        TypeError, ValueError
            If `X` is no matrix of real numbers with as many columns as the scaler.
        """
        return self._mapped("X", X, _scaled)

    def inverse_transform(self, Y: npt.ArrayLike) -> Array:
        """Return the rows that `transform` makes `Y` of. NaN that was filled does not come back.

        Parameters
        ----------
        Y : array_like, shape (n, features)
            Numbers beyond those that `transform` returns stand for the nearest of these.

        Returns
        -------
        ndarray, shape (n, features)
            float32 if `Y` is float32, else float64. It is computed as by `transform`.

        Raises
        ------
        TypeError, ValueError
            If `Y` is no matrix of real numbers with as many columns as the scaler, or a scale is 0.
        """
        return self._mapped("Y", Y, _unscaled)

    def _mapped(self, name: str, rows: npt.ArrayLike, function: Callable[[Array, Scaling], Array]) -> Array:
        x = v.numeric(name, rows)
        v.shape(name, x, ("n", self._width() or "features"))
        out = np.empty(x.shape, np.float32 if x.dtype == np.float32 else np.float64)
        numbers = numbers_of(type(self).__name__, self.fields(), x.shape[1], out.dtype)
        return _in_float64(function, x, numbers, out)

    def _width(self) -> int | None:
        """Return the number of columns, None if there are only numbers for all columns."""
        return next((np.shape(each)[-1] for each in self.fields().values() if np.ndim(each)), None)

    def fields(self) -> dict[str, Any]:
        """Return the numbers by the names of the fields, without those that are None."""
        return {name: value for name, value in self._arguments().items() if value is not None}


@settings()
class Scaler(ColumnScaler):
    """``(x - center) * scale``, for a net's `scaler`.

    Parameters
    ----------
    center, scale : float or array_like, shape (features,)
        Arrays are copied; the copies are read-only.
    fill : float or array_like, shape (features,), optional
        Replaces NaN, before the other steps. Where `fill` is NaN, NaN stays. By default none is replaced.

    Raises
    ------
    TypeError, ValueError
        If one is neither a number nor an array of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.data import Scaler
    >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(1.0)))
    >>> net.scaler = Scaler(center=0, scale=1 / 255)
    >>> net.predict(np.array([[255, 0]], dtype=np.uint8))
    array([[1.]], dtype=float32)
    """

    center: Any
    scale: Any
    fill: Any = None

    @classmethod
    def fit(cls, X: npt.ArrayLike, kind: str = "standard", *, columns: Any = None, nan: str = "error") -> Self:
        """Return the scaler that gives every column of `X` the same mean and variance, or the same range.

        Constant columns, whose entries are all equal as float64, become 0; their scale is 1.

        Parameters
        ----------
        X : array_like, shape (n, features)
            At least one row, of finite numbers. It is read once, some rows at a time, so that a memory map may be
            larger than memory. (Standard scalers read numbers beyond 1e140 or within 1e-140 twice.)
        kind : {"standard", "min_max"}, default "standard"
            What columns get: mean 0 and (biased) variance 1, or minimum 0 and maximum 1.
        columns : sequence of int, slice or range, optional
            Which columns are scaled; all by default. The others stay as they are: center 0 and scale 1.
        nan : {"error", "center"}, default "error"
            Whether NaN in a scaled column is an error, or left out and replaced by the column's center: its mean for
            "standard", the middle of its range for "min_max". A net with such a scaler accepts NaN in these columns.

        Returns
        -------
        Scaler

        Raises
        ------
        TypeError, ValueError
            If `X` is not such an array, a column has no number, or another argument is wrong.

        Examples
        --------
        >>> Scaler.fit([[1.0, 5.0], [3.0, 5.0]])
        Scaler((2.0, 5.0), (1.0, 1.0))
        >>> Scaler.fit([[1.0, 7.0], [float("nan"), 8.0], [3.0, 9.0]], "min_max", columns=[0], nan="center")
        Scaler((1.0, 0.0), (0.5, 1.0), fill=(2.0, float('nan')))
        """
        from fastnn.data.scaling import fit_affine

        return cls(*fit_affine(X, kind, columns, nan))


@settings()
class RobustScaler(ColumnScaler):
    """Robust scaling with smooth clipping, for a net's `scaler`: outliers move other numbers little.

    With ``z = (x - center) * scale`` the result is ``z / sqrt(1 + (z / limit)**2)``, which is about z near 0, and never
    beyond the limit. (Holzmüller et al., 2024, Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data.) scikit-learn's `RobustScaler` has no limit: ``limit=np.inf`` gives its numbers, except where the quartiles of
    a column are equal.

    Parameters
    ----------
    center, scale : float or array_like, shape (features,)
        Arrays are copied; the copies are read-only.
    limit : float or array_like, shape (features,), default 3.0
        Above 0; infinity clips nothing.
    fill : float or array_like, shape (features,), optional
        Replaces NaN, before the other steps. Where `fill` is NaN, NaN stays. By default none is replaced.

    Raises
    ------
    TypeError, ValueError
        If one is neither a number nor an array of real numbers, or a limit is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import RobustScaler
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [1e6]])
    >>> RobustScaler.fit(X).transform(X).round(2)
    array([[-0.95],
           [-0.49],
           [ 0.  ],
           [ 0.49],
           [ 3.  ]])
    """

    center: Any
    scale: Any
    limit: Any = 3.0
    fill: Any = None

    def _check(self, name: str, array: Array) -> None:
        if name == "limit" and not (array > 0).all():
            v.refuse(ValueError, "limit", "be numbers above 0", v.shown(array[~(array > 0)].flat[0].item()))

    @classmethod
    def fit(cls, X: npt.ArrayLike, *, limit: float = 3.0, columns: Any = None, nan: str = "error") -> Self:
        """Return the scaler with each column's median as center, and scale 1 over the distance of its quartiles.

        Where the quartiles are equal, the scale is 2 over the distance of minimum and maximum; constant columns, whose
        scale is 1, become 0.

        Parameters
        ----------
        X : array_like, shape (n, features)
            At least one row, of finite numbers. Some columns at a time are copied.
        limit : float, default 3.0
            Above 0; infinity clips nothing.
        columns : sequence of int, slice or range, optional
            Which columns are scaled; all by default. The others stay as they are: center 0, scale 1 and no limit.
        nan : {"error", "center"}, default "error"
            Whether NaN in a scaled column is an error, or left out and replaced by the column's center, its median. A
            net with such a scaler accepts NaN in these columns.

        Returns
        -------
        RobustScaler

        Raises
        ------
        TypeError, ValueError
            If `X` is not such an array, a column has no number, or another argument is wrong.

        Examples
        --------
        >>> RobustScaler.fit([[0.0], [1.0], [2.0], [6.0], [100.0]])
        RobustScaler((2.0,), (0.2,))
        """
        from fastnn.data.scaling import fit_robust

        return cls(*fit_robust(X, limit, columns, nan))


@settings()
class QuantileScaler(ColumnScaler):
    """A map of each column to the normal distribution, by its quantiles, for a net's `scaler`.

    It is what the kernel `fastnn.kernels.quantile_normal` computes, and scikit-learn's `QuantileTransformer` with
    ``output_distribution="normal"``: the normal quantile of the share of the column below x. Results are from -5.2 to
    5.2. Only the order of a column's numbers counts, so skewed columns and outliers need no care.

    Parameters
    ----------
    quantiles : array_like, shape (n, features)
        At least 2 for each column, ascending: those of the shares 0, 1 / (n - 1), ..., 1. A column of NaN leaves that
        of the input as it is. They are copied; the copy is read-only.
    fill : float or array_like, shape (features,), optional
        Replaces NaN, before the other steps. Where `fill` is NaN, NaN stays. By default none is replaced.

    Raises
    ------
    TypeError, ValueError
        If `quantiles` is no such array.

    Examples
    --------
    >>> from fastnn.data import QuantileScaler
    >>> scaler = QuantileScaler([[0.0], [1.0], [100.0]])
    >>> scaler.transform([[0.5], [1.0], [50.5]]).round(4)
    array([[-0.6745],
           [ 0.    ],
           [ 0.6745]])
    >>> scaler.inverse_transform([[0.0], [9.0]])
    array([[  1.],
           [100.]])
    """

    quantiles: Any
    fill: Any = None

    def _text(self, arguments: Mapping[str, Any]) -> str:
        n, features = self.quantiles.shape
        if n * features <= _MOST_SHOWN:
            return super()._text(arguments)
        fill = "" if self.fill is None else ", fill=..."
        return f"QuantileScaler(<{n} quantiles of {features} {'column' if features == 1 else 'columns'}>{fill})"

    def _check(self, name: str, array: Array) -> None:
        if name == "quantiles":
            v.shape(name, array, ("n", "features"))
            check_quantiles(name, array)

    @classmethod
    def fit(cls, X: npt.ArrayLike, *, n_quantiles: int | None = None, columns: Any = None, nan: str = "error") -> Self:
        """Return the scaler with quantiles of the columns of `X`, linear between the two nearest rows.

        Constant columns become 0.

        Parameters
        ----------
        X : array_like, shape (n, features)
            At least one row, of finite numbers. Some columns at a time are copied.
        n_quantiles : int, optional
            At least 2; at most as many as rows are taken. The default is a 30th of the rows, from 10 to 1000 (Gorishniy
            et al., 2024, TabM).
        columns : sequence of int, slice or range, optional
            Which columns are scaled; all by default. The others stay as they are: their quantiles are NaN.
        nan : {"error", "center"}, default "error"
            Whether NaN in a scaled column is an error, or left out and replaced by the column's center, its median. A
            net with such a scaler accepts NaN in these columns.

        Returns
        -------
        QuantileScaler

        Raises
        ------
        TypeError, ValueError
            If `X` is not such an array, a column has no number, or another argument is wrong.

        Examples
        --------
        >>> QuantileScaler.fit([[1.0], [2.0], [4.0]])
        QuantileScaler(((1.0,), (2.0,), (4.0,)))
        """
        from fastnn.data.scaling import fit_quantiles

        return cls(*fit_quantiles(X, n_quantiles, columns, nan))


# ---- the numbers that are computed with ----


def numbers_of(name: str, fields: dict[str, Any], width: int, dtype: np.dtype[Any]) -> Scaling:
    """Return the fields of a scaler for this many columns and dtype, as new, read-only arrays.

    Raises
    ------
    TypeError, ValueError
        If a field is no array of real numbers, has another shape or is not finite in this dtype. `name` is what
        messages call the scaler.
    """
    numbers = {}
    for key, value in fields.items():
        field = f"{name}.{key}"
        array = v.numeric(field, value)
        if array.ndim or key == "quantiles":
            v.shape(field, array, ("n", width) if key == "quantiles" else (width,))
        with np.errstate(all="ignore"):
            made = np.ascontiguousarray(array.T, dtype) if key == "quantiles" else np.full(width, array, dtype)
        if made is array or made.base is not None:
            made = made.copy()
        _check_numbers(field, key, made)
        if key == "scale" and ((made == 0) & (array != 0)).any():
            v.refuse(ValueError, field, f"contain no number that is 0 in {dtype}", np.abs(array[array != 0]).min())
        made.flags.writeable = False
        numbers[key] = made
    made_of = Scaling(**numbers)
    _check_resolution(name, made_of, fields.get("quantiles"))
    return made_of


_MOST_LOST = 0.01  # of the spread of a column, which becomes about 1


@np.errstate(all="ignore")
def _check_resolution(name: str, numbers: Scaling, quantiles: npt.ArrayLike | None) -> None:
    """Refuse a scaler of a column whose numbers are so far from 0, for their spread, that the dtype rounds them away.

    Input and targets are scaled after their cast to the net's dtype: seconds since 1970 become 128 s steps in float32.
    `quantiles` are those before their cast.
    """
    if numbers.quantiles is not None:
        size, spread = np.abs(numbers.quantiles).max(axis=1), np.ptp(np.asarray(quantiles, np.float64), axis=0)
    elif numbers.center is not None and numbers.scale is not None:
        given = (numbers.scale != 0) & (numbers.scale != 1)  # 1 is that of a constant column
        size, spread = np.abs(numbers.center), np.where(given, 1 / np.abs(numbers.scale), 0)
    dtype = size.dtype
    lost = (np.finfo(dtype).eps * size > _MOST_LOST * spread) & (spread > 0)
    if lost.any():
        column = int(lost.argmax())
        must = f"be of columns whose numbers {dtype} tells apart"
        got = f"column {column}, of numbers near {size[column]:.9g} that differ by {spread[column]:.3g}"
        fix = "subtract a number near them from the column first" + (
            ', or make the net with dtype="float64"' if dtype == np.float32 else ""
        )
        v.refuse(ValueError, name, must, got, fix)


def _check_numbers(field: str, key: str, array: Array) -> None:
    """Refuse numbers that no scaler computes with."""
    if key == "limit":
        if not (array > 0).all():
            v.refuse(ValueError, field, f"contain numbers that are above 0 in {array.dtype}", array.min())
    elif key == "quantiles":
        check_quantiles(field, array.T)
    elif not (np.isfinite(array) | (key == "fill" and np.isnan(array))).all():
        got = "infinity" if key == "fill" else "NaN or infinity"
        v.refuse(ValueError, field, f"contain numbers that are finite in {array.dtype}", got)


def fields_of(numbers: Scaling) -> dict[str, Array]:
    """Return the fields of the scaler that numbers are of, by name."""
    given = {name: array for name, array in numbers._asdict().items() if array is not None}
    return given | ({"quantiles": given["quantiles"].T} if "quantiles" in given else {})


def record_of(numbers: Scaling) -> AnyScaler:
    """Return the scaler with these numbers."""
    fields = fields_of(numbers)
    return KINDS[frozenset(fields) - {"fill"}](**fields)


AnyScaler = Scaler | RobustScaler | QuantileScaler

# The scalers by the fields that each has besides `fill`.
KINDS: dict[frozenset[str], type[AnyScaler]] = {
    frozenset({"center", "scale"}): Scaler,
    frozenset({"center", "scale", "limit"}): RobustScaler,
    frozenset({"quantiles"}): QuantileScaler,
}


def scale_targets(y: Array, by: Scaling, dtype: npt.DTypeLike) -> Array:
    """Return rows of targets as the op `scale_target` makes them of `y` in a net of this dtype."""
    with np.errstate(all="ignore"):
        return _scaled(y.astype(dtype, order="C"), by)


def unscale(z: Array, by: Scaling) -> Array:
    """Replace scaled rows by those that they are of, in place, and return them: `inverse_transform` for a net."""
    return _in_float64(_unscaled, z, by, z)


def _in_float64(function: Callable[[Array, Scaling], Array], x: Array, by: Scaling, out: Array) -> Array:
    step = max(1, v.CHUNK // max(1, x.shape[1]))
    with np.errstate(all="ignore"):
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            out[part] = function(x[part].astype(np.float64, order="C"), by)
    return out


def _scaled(x: Array, by: Scaling) -> Array:
    """Scale rows in place, as the ops `scale_input` and `scale_target` do."""
    scale_rows(x, by.astype(x.dtype))
    return x


def _unscaled(y: Array, by: Scaling) -> Array:
    """Return the rows that `_scaled` makes rows of float64 of."""
    if by.limit is not None:
        largest = 1 - float(np.finfo(by.limit.dtype).epsneg)  # the number before 1
        share = np.clip(y / by.limit, -largest, largest)
        y = np.where(np.isinf(by.limit), y, share * by.limit / np.sqrt((1 - share) * (1 + share)))
    if by.scale is not None and by.center is not None:
        zero = np.flatnonzero(by.scale == 0)
        if zero.size:
            v.refuse(ValueError, "scale", "be other than 0, to have an inverse", f"0 in column {zero[0]}")
        y = y / by.scale + by.center
    for j, q in enumerate(() if by.quantiles is None else by.quantiles):
        if not np.isnan(q[0]):
            y[:, j] = _quantiles_at(_normal_share(y[:, j]), q)
    return y


def _normal_share(z: Array) -> Array:
    """Return the normal distribution function, by GELU: gelu(z) = z * Phi(z)."""
    return np.where(np.abs(z) < 1e-300, 0.5, np.where(np.isinf(z), z > 0, kernels.gelu(z) / z))


def _quantiles_at(share: Array, q: Array) -> Array:
    """Return the quantiles of shares, linear between those in q; the least and the largest share are the ends."""
    least = _LEAST_SHARE * (1 + 1e-5)  # more than the rounding of results in float32 changes a share
    share = np.where(share <= least, 0.0, np.where(share >= 1 - least, 1.0, share)) * (len(q) - 1)
    below = np.clip(np.nan_to_num(np.floor(share)), 0, len(q) - 2).astype(np.intp)
    part = share - below
    low, high = q[below], q[below + 1]  # their difference may overflow, and their halves may be lost
    quantiles: Array = np.where(low == high, low, low * (1 - part) + high * part)
    return quantiles


def rows_for_derivative(by: Scaling, x: Array) -> Array:
    """Return what `derivative` and `sides` need of rows: a copy, or no row where they depend on none."""
    return (x if _depends_on_rows(by) else x[:0]).astype(_dtype_of(by))


def _depends_on_rows(by: Scaling) -> bool:
    return by.quantiles is not None or by.limit is not None or by.fill is not None


def _dtype_of(by: Scaling) -> np.dtype[Any]:
    return next(each.dtype for each in by if each is not None)


def sides(by: Scaling, x: Array) -> bytes:
    """Return bytes that say between which quantiles each number is: between them the scaler is smooth."""
    if by.quantiles is None:
        return b""
    return b"".join(
        np.searchsorted(q, column, side).tobytes()
        for q, column in zip(by.quantiles, x.T, strict=True)
        for side in _BOTH
    )


_BOTH: tuple[Literal["left", "right"], ...] = ("left", "right")


def derivative(by: Scaling, x: Array) -> Array:
    """Return the derivative of a scaler's result by its input, in the dtype of its numbers.

    Parameters
    ----------
    by : Scaling
    x : ndarray, shape (n, features)
        What `rows_for_derivative` returns. Where NaN is filled, the derivative is 0. At a quantile it is the one to the
        right.

    Returns
    -------
    ndarray, shape (n, features) or (features,)
    """
    if by.scale is not None and not _depends_on_rows(by):
        return by.scale
    dtype, x = _dtype_of(by), x.astype(np.float64)
    with np.errstate(all="ignore"):
        if by.quantiles is not None:
            d = _derivative_of_quantiles(x, by.quantiles.astype(np.float64))
        else:
            assert by.scale is not None
            d = np.broadcast_to(by.scale.astype(np.float64), x.shape).copy()
        if by.limit is not None:
            t = (x - by.center) * d / by.limit
            d /= np.sqrt(1 + t * t) ** 3
        if by.fill is not None:
            d[np.isnan(x) & ~np.isnan(by.fill)] = 0
        result: Array = d.astype(dtype)
    return result


def _derivative_of_quantiles(x: Array, quantiles: Array) -> Array:
    """Return the slope of the share below x over the density of the normal distribution at the result."""
    z = kernels.quantile_normal(x, quantiles.T)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    largest = kernels.quantile_normal([[2.0]], [[0.0], [1.0]]).item()
    d = np.ones_like(x)
    for j, q in enumerate(quantiles):
        if not np.isnan(q[0]):
            above = np.clip(np.searchsorted(q, x[:, j], "right"), 1, len(q) - 1)
            slope = 1 / ((q[above] - q[above - 1]) * (len(q) - 1))
            inside = (x[:, j] > q[0]) & (x[:, j] < q[-1]) & (np.abs(z[:, j]) < largest)
            d[:, j] = np.where(inside, slope / density[:, j], np.where(np.isnan(z[:, j]), z[:, j], 0.0))
    return d
