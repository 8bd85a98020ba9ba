"""Gathering rows of a matrix, with a cast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._dispatch import backend_module, threads

__all__ = ["gather"]

_SOURCES = ("float32", "float64", "uint8")


def gather(
    x: ArrayLike,
    rows: ArrayLike,
    *,
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Array:
    """Copy rows of `x` in the given order, cast by value.

    Parameters
    ----------
    x : array_like, shape (B, I)
        The rows to choose from. float32, float64 and uint8 are read in place, with any strides, so `x` may be
        memory-mapped and larger than memory; others are converted to float64 first.
    rows : array_like of integers, shape (N,)
        Indices of the rows, from 0 to B - 1.
    dtype : {"float32", "float64"}, optional
        Of the result. By default that of `out`; without `out`, float32 if `x` is float32 or uint8, else float64.
    out : ndarray, shape (N, I), optional
        Where to write the result: C-contiguous, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (N, I)
        `out`, or a new array.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, `rows` contains no integers, or a dtype is neither float32 nor float64.
    ValueError
        If shapes do not match, a row is out of range, or `out` overlaps an input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.gather(np.array([[1, 2], [3, 4]], np.uint8), [1, 0])
    array([[3., 4.],
           [1., 2.]], dtype=float32)
    """
    x = check.numeric("x", x)
    if x.dtype not in _SOURCES or not x.flags.aligned or not x.dtype.isnative:
        (x,) = check.floats(x=x)
    check.shape("x", x, ("rows", "features"))
    rows = check.indices("rows", rows, x.shape[0], "rows")
    if dtype is None:
        result = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
        if out is not None:
            result = check.writable("out", out).dtype
    else:
        result = check.float_dtype("dtype", dtype)
    out = check.output(out, (rows.shape[0], x.shape[1]), result, {"x": x, "rows": rows})
    backend_module("gather").gather(x, rows, out, threads())
    return out
