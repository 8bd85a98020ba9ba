"""What joins and splits the branches of a net: sums and products of two arrays, copies of columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments

__all__ = ["add", "multiply", "put_columns", "take_columns"]

_JOIN: Arguments[Array] = Arguments("joins", "x[*] x2[*] out![*]=x|x2")
_TAKE_COLUMNS: Arguments[Array] = Arguments("joins", "x[B I] columns[N]<I out![B N]")
_PUT_COLUMNS: Arguments[None] = Arguments("joins", "x[B N] out&[B I] columns[N]<I")


def add(x: ArrayLike, x2: ArrayLike, *, out: Array | None = None) -> Array:
    """Add two arrays, element by element: ``x + x2``.

    The gradients by `x` and by `x2` are both the gradient by the result.

    Parameters
    ----------
    x : array_like
        Of any shape.
    x2 : array_like, of the shape of `x`
        What is added to it.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` or `x2` itself, or overlapping
        neither.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes differ, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.add([[1.0, 2.0]], [[3.0, -2.0]])
    array([[4., 0.]])
    """
    module, threads, ready, result = _JOIN(x, x2, out)
    if not ready:
        x, x2, result = _checked_pair(x, x2, out)
    module.add(x, x2, result, threads)
    return result


def multiply(x: ArrayLike, x2: ArrayLike, *, out: Array | None = None) -> Array:
    """Multiply two arrays, element by element: ``x * x2``.

    For a gradient ``dy`` by the result, the gradient by `x` is ``multiply(dy, x2)`` and that by `x2` is
    ``multiply(dy, x)``.

    Parameters
    ----------
    x : array_like
        Of any shape.
    x2 : array_like, of the shape of `x`
        Its factors.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` or `x2` itself, or overlapping
        neither.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes differ, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.multiply([[1.0, 2.0]], [[3.0, -2.0]])
    array([[ 3., -4.]])
    """
    module, threads, ready, result = _JOIN(x, x2, out)
    if not ready:
        x, x2, result = _checked_pair(x, x2, out)
    module.multiply(x, x2, result, threads)
    return result


def _checked_pair(x: ArrayLike, x2: ArrayLike, out: Array | None) -> tuple[Array, Array, Array]:
    x, x2 = check.floats(x=x, x2=x2)
    check.shape("x2", x2, x.shape)
    return x, x2, check.output(out, x.shape, x.dtype, {}, {"x": x, "x2": x2})


def take_columns(x: ArrayLike, columns: ArrayLike, *, out: Array | None = None) -> Array:
    """Copy columns of `x` in the given order: column j of the result is column ``columns[j]`` of `x`.

    For columns that are all different, the gradient by `x` is `put_columns` of the gradient by the result, with
    ``clear=True``: it is 0 in the columns that were not taken.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    columns : array_like of integers, shape (N,)
        Which columns, from 0 to I - 1. A column may be there more than once.
    out : ndarray, shape (B, N), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, N)
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, `columns` contains no integers, or `out` has another dtype.
    ValueError
        If shapes do not match, a column is out of range, or `out` overlaps an input.

    See Also
    --------
    gather : The same for rows.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.take_columns([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [2, 0])
    array([[3., 1.],
           [6., 4.]])
    """
    module, threads, ready, result = _TAKE_COLUMNS(x, columns, out)
    if not ready:
        (x,) = check.floats(x=x)
        check.shape("x", x, ("rows", "features"))
        columns = check.indices("columns", columns, x.shape[1], "columns")
        result = check.output(out, (x.shape[0], columns.shape[0]), x.dtype, {"x": x, "columns": columns})
    module.take_columns(x, columns, result, threads)
    return result


def put_columns(x: ArrayLike, columns: ArrayLike, *, out: Array, clear: bool = False) -> Array:
    """Copy the columns of `x` into columns of `out`: column j of `x` becomes column ``columns[j]`` of `out`.

    Several calls with one `out` concatenate their inputs. The gradient by `x` is `take_columns` of the gradient by
    `out`, with the same columns.

    Parameters
    ----------
    x : array_like, shape (B, N)
        One example a row; there may be none.
    columns : array_like of integers, shape (N,)
        Which columns of `out`, from 0 to I - 1, all different.
    out : ndarray, shape (B, I)
        Where to write: C-contiguous, float32 if `x` is float32, else float64, not overlapping the inputs.
    clear : bool, default False
        Whether the other columns of `out` become 0. By default they stay as they are.

    Returns
    -------
    ndarray, shape (B, I)
        `out`.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, `columns` contains no integers, or `out` has another dtype.
    ValueError
        If shapes do not match, a column is out of range or there twice, or `out` overlaps an input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.put_columns([[1.0, 2.0]], [2, 0], out=np.ones((1, 4)))
    array([[2., 1., 1., 1.]])
    >>> kernels.put_columns([[1.0, 2.0]], [2, 0], out=np.ones((1, 4)), clear=True)
    array([[2., 0., 1., 0.]])
    """
    module, threads, ready, _ = _PUT_COLUMNS(x, out, columns)
    if not ready:
        (x,) = check.floats(x=x)
        check.shape("x", x, ("rows", "features"))
        check.shape("out", check.writable("out", out, x.dtype), (x.shape[0], "features"))
        columns = check.indices("columns", columns, out.shape[1], "columns")
        check.shape("columns", columns, x.shape[1:])
        check.overlap("out", out, {"x": x, "columns": columns})
    ordered = np.sort(columns)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if repeated.size:
        check.refuse(ValueError, "columns", "contain different integers", f"{repeated[0]} more than once")
    module.put_columns(x, columns, out, check.boolean("clear", clear), threads)
    return out
