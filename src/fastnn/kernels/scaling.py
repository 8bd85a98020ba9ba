"""What scalers of columns do besides the affine map: they fill NaN, clip smoothly, map quantiles to the normal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments
from fastnn.kernels._dispatch import backend_module, threads

__all__ = ["fill_nan", "quantile_normal", "smooth_clip"]

_FILL_NAN: Arguments[Array] = Arguments("scaling", "x[B I] fill[I] out![B I]=x")
_SMOOTH_CLIP: Arguments[Array] = Arguments("scaling", "x[B I] limit[I]>0 out![B I]=x")


def fill_nan(x: ArrayLike, fill: ArrayLike, *, out: Array | None = None) -> Array:
    """Put a number of each column in place of its NaN.

    Parameters
    ----------
    x : array_like, shape (B, N)
        One example a row; there may be none.
    fill : array_like, shape (N,)
        The numbers; where one is NaN, the column stays as it is.
    out : ndarray, shape (B, N), optional
        Where to write the result: C-contiguous, of the result's dtype; `x` itself, or not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, N)
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, or `out` overlaps an input in part.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.fill_nan([[1.0, np.nan], [np.nan, 4.0]], [10.0, 20.0])
    array([[ 1., 20.],
           [10.,  4.]])
    """
    module, threads, ready, result = _FILL_NAN(x, fill, out)
    if not ready:
        x, fill = check.floats(x=x, fill=fill)
        result = _checked("fill", fill, x, out)
    module.fill_nan(x, fill, result, threads)
    return result


def smooth_clip(x: ArrayLike, limit: ArrayLike, *, out: Array | None = None) -> Array:
    """Clip each column smoothly: ``x / sqrt(1 + (x / limit)**2)``.

    Near 0 it is about `x`, and it never exceeds the limit. (Holzmüller et al., 2024, Better by default, clip so, with
    limit 3.)

    Parameters
    ----------
    x : array_like, shape (B, N)
        One example a row; there may be none. Infinity becomes the limit.
    limit : array_like, shape (N,)
        The limit of each column, above 0; a column with an infinite limit stays as it is.
    out : ndarray, shape (B, N), optional
        Where to write the result: C-contiguous, of the result's dtype; `x` itself, or not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, N)
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, a limit is not above 0, or `out` overlaps an input in part.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.smooth_clip([[4.0, 4.0], [1e9, 1e9]], [3.0, np.inf])
    array([[2.4e+00, 4.0e+00],
           [3.0e+00, 1.0e+09]])
    """
    module, threads, ready, result = _SMOOTH_CLIP(x, limit, out)
    if not ready:
        x, limit = check.floats(x=x, limit=limit)
        if not (limit > 0).all():
            check.refuse(ValueError, "limit", "contain numbers above 0", limit[~(limit > 0)][0].item())
        result = _checked("limit", limit, x, out)
    module.smooth_clip(x, limit, result, threads)
    return result


def quantile_normal(x: ArrayLike, quantiles: ArrayLike, *, out: Array | None = None) -> Array:
    """Map each column to the normal distribution by its quantiles: the normal quantile of the share that is below `x`.

    The share F(x) is linear between the quantiles, which are at 0, 1 / (n - 1), ..., 1. Where some are equal, it is the
    middle of the step; at the first quantile 0, at the last 1, and 0.5 if all are equal. F is then limited to 1e-7 and
    1 - 1e-7, so that results are from -5.2 to 5.2. This is scikit-learn's `QuantileTransformer` with
    ``output_distribution="normal"``, except that there all numbers within 1e-7 of the first or last quantile count as
    these. The normal quantile is Wichura's PPND16 (algorithm AS 241, 1988), in double.

    Parameters
    ----------
    x : array_like, shape (B, N)
        One example a row; there may be none. NaN stays NaN.
    quantiles : array_like, shape (n, N)
        At least 2 for each column, ascending. A column of NaN leaves that of `x` as it is.
    out : ndarray, shape (B, N), optional
        Where to write the result: C-contiguous, of the result's dtype; `x` itself, or not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, N)
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, quantiles are infinite or descend, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.quantile_normal([[2.0], [4.0], [100.0]], [[0.0], [2.0], [6.0]]).round(4)
    array([[0.    ],
           [0.6745],
           [5.1993]])
    """
    x, quantiles = check.floats(x=x, quantiles=quantiles)
    check.shape("x", x, ("rows", "features"))
    check.shape("quantiles", quantiles, ("n", x.shape[1]))
    check_quantiles("quantiles", quantiles)
    out = check.output(out, x.shape, x.dtype, {"quantiles": quantiles}, {"x": x})
    backend_module("scaling").quantile_normal(x, np.ascontiguousarray(quantiles.T), out, threads())
    return out


def check_quantiles(name: str, quantiles: Array) -> None:
    """Refuse quantiles (n, features) that are too few, infinite, in part NaN, or that descend."""
    check.at_least(name, quantiles, 0, 2, "rows")
    missing = np.isnan(quantiles)
    wrong = np.isinf(quantiles).any(axis=0) | (missing.any(axis=0) & ~missing.all(axis=0))
    if wrong.any():
        must = f"contain finite numbers in column {wrong.argmax()}, or NaN alone"
        check.refuse(ValueError, name, must, "infinity or NaN beside numbers")
    with np.errstate(invalid="ignore"):
        descends = (quantiles[1:] < quantiles[:-1]).any(axis=0)
    if descends.any():
        fix = f"write np.sort({name}, axis=0)"
        check.refuse(
            ValueError, name, f"be ascending in column {descends.argmax()}", "a smaller number after a larger", fix
        )


def scale_rows(x: Array, by: Any) -> None:
    """Scale rows in place by an `engine.Scaling` of their dtype."""
    apply_scaling(backend_module("scaling"), x, by, threads())


def apply_scaling(functions: Any, x: Array, by: Any, threads: int) -> None:
    """Scale rows in place by an `engine.Scaling` of their dtype; `functions` is a backend's module."""
    if by.fill is not None:
        functions.fill_nan(x, by.fill, x, threads)
    if by.quantiles is not None:
        functions.quantile_normal(x, by.quantiles, x, threads)
    if by.center is not None:
        with np.errstate(all="ignore"):
            np.multiply(np.subtract(x, by.center, out=x), by.scale, out=x)
    if by.limit is not None:
        functions.smooth_clip(x, by.limit, x, threads)


def _checked(name: str, numbers: Array, x: Array, out: Array | None) -> Array:
    """Refuse shapes that do not match, and return `out`, or a new array for the result."""
    check.shape("x", x, ("rows", "features"))
    check.shape(name, numbers, x.shape[1:])
    return check.output(out, x.shape, x.dtype, {name: numbers}, {"x": x})
