"""Encodings of columns of numbers, piecewise linear and periodic, and a learned factor for each column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels import _bins
from fastnn.kernels._arguments import Arguments
from fastnn.kernels._dispatch import backend_module, threads

__all__ = [
    "periodic",
    "periodic_grad_frequencies",
    "periodic_grad_input",
    "piecewise_linear",
    "piecewise_linear_backward",
    "scale_columns",
    "scale_columns_backward",
]

_PERIODIC: Arguments[Array] = Arguments("numeric", "x[B I] frequencies[I K] out![B 2*I*K]")
# The arguments are in another order than the functions': a pattern has the sizes I and K alone before it has 2*I*K. I
# must be at least 1 where `_validation` divides by it.
_PERIODIC_INPUT: Arguments[Array] = Arguments("numeric", "frequencies[I K] dy[B 2*I*K] y[B 2*I*K] out![B I]")
_PERIODIC_FREQUENCIES: Arguments[Array] = Arguments("numeric", "x[B I] out![I K] dy[B 2*I*K] y[B 2*I*K]", I=1)
_SCALE: Arguments[Array] = Arguments("numeric", "x[B I] scale[I] out![B I]=x")
_SCALE_BACKWARD: Arguments[tuple[Array, Array]] = Arguments(
    "numeric", "dy[B I] x[B I] scale[I] out![B I]=dy dscale+[I]"
)


def piecewise_linear(x: ArrayLike, bins: Sequence[ArrayLike], *, out: Array | None = None) -> Array:
    """Encode each column of `x` by its bins: 1 right of a bin, 0 left of it, ``(x - left) / width`` within it.

    The piecewise linear encoding of Gorishniy, Rubachev and Babenko (2022, arXiv 2203.05556). The first bin of a column
    goes on to the left, with values below 0, and the last to the right, with values above 1; a single bin does both.
    A bin contains its left edge. ``1 / width`` is rounded once, and the difference is multiplied by it. NaN gives NaN
    in all entries of its column.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    bins : sequence of I array_like
        The edges of each column's bins: finite, strictly increasing, at least 2. Their numbers may differ. They are
        rounded to the result's dtype; a bin without width in it is a step.
    out : ndarray, shape (B, T), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping `x`.

    Returns
    -------
    ndarray, shape (B, T)
        The encodings side by side, an entry for each of the T bins of all columns: `out`, or a new array: float32 if
        `x` is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, `bins` is no sequence, or `out` has another dtype.
    ValueError
        If shapes do not match, edges are wrong, or `out` overlaps `x`.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.piecewise_linear([[0.5], [3.0], [5.0]], [[0, 1, 2, 4]])
    array([[0.5, 0. , 0. ],
           [1. , 1. , 0.5],
           [1. , 1. , 1.5]])
    """
    (x,) = check.floats(x=x)
    edges = _checked_bins("x", x, bins)
    out = check.output(out, (len(x), _bins.entries(edges)), x.dtype, {"x": x})
    backend_module("numeric").piecewise_linear(x, edges, out, threads())
    return out


def piecewise_linear_backward(
    dy: ArrayLike, x: ArrayLike, bins: Sequence[ArrayLike], *, out: Array | None = None
) -> Array:
    """Compute the gradient of `piecewise_linear` by its input: ``dy / width`` of the bin that has x.

    Parameters
    ----------
    dy : array_like, shape (B, T)
        Gradient by the result of `piecewise_linear`.
    x : array_like, shape (B, I)
        The input of `piecewise_linear`.
    bins : sequence of I array_like
        As in `piecewise_linear`.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64. At an edge it is the gradient to
        the right; where x is NaN, it is NaN.

    Raises
    ------
    TypeError, ValueError
        As `piecewise_linear` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.piecewise_linear_backward([[10.0, 20.0, 30.0]], [[3.0]], [[0, 1, 2, 4]])
    array([[15.]])
    """
    dy, x = check.floats(dy=dy, x=x)
    edges = _checked_bins("x", x, bins)
    check.shape("dy", dy, (len(x), _bins.entries(edges)))
    out = check.output(out, x.shape, x.dtype, {"dy": dy, "x": x})
    out[...] = 0
    backend_module("numeric").piecewise_linear_backward(dy, x, edges, out, threads())
    return out


def _checked_bins(name: str, x: Array, bins: Sequence[ArrayLike]) -> _bins.Bins:
    edges = _bins.checked("bins", bins)
    check.shape(name, x, ("rows", len(edges)))
    return edges


def periodic(x: ArrayLike, frequencies: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``cos(2 pi c x)`` and ``sin(2 pi c x)`` for the k frequencies c of each column.

    The periodic encoding of Gorishniy, Rubachev and Babenko (2022, arXiv 2203.05556). Each column has k cosines and
    then k sines, as in the authors' package rtdl_num_embeddings. The phase ``t = c * x``, in turns, is rounded once to
    the result's dtype; cosine and sine of 2 pi t are within 2 ULP for every t, however large. Infinity and NaN give
    NaN.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    frequencies : array_like, shape (I, k)
        Of any sign.
    out : ndarray, shape (B, 2 I k), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, 2 I k)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, or `out` overlaps an input.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.periodic([[0.25], [3.5]], [[1.0, 2.0]])
    array([[ 0., -1.,  1.,  0.],
           [-1.,  1.,  0.,  0.]])
    """
    module, threads, ready, result = _PERIODIC(x, frequencies, out)
    if not ready:
        x, frequencies = check.floats(x=x, frequencies=frequencies)
        check.shape("x", x, ("rows", "features"))
        check.shape("frequencies", frequencies, (x.shape[1], "k"))
        result = check.output(out, (len(x), 2 * frequencies.size), x.dtype, {"x": x, "frequencies": frequencies})
    module.periodic(x, frequencies, result, threads)
    return result


def periodic_grad_input(dy: ArrayLike, y: ArrayLike, frequencies: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute the gradient of `periodic` by its input: ``2 pi * sum of c * (cos * dsin - sin * dcos)``.

    The sum is over the frequencies c of a column; cos and sin are the entries of `y`, dcos and dsin those of `dy`.

    Parameters
    ----------
    dy : array_like, shape (B, 2 I k)
        Gradient by the result of `periodic`.
    y : array_like, shape (B, 2 I k)
        The result of `periodic`.
    frequencies : array_like, shape (I, k)
        The frequencies given to `periodic`.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `periodic` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> y = kernels.periodic([[0.25]], [[1.0]])
    >>> kernels.periodic_grad_input([[1.0, 0.0]], y, [[1.0]]).round(4)
    array([[-6.2832]])
    """
    module, threads, ready, result = _PERIODIC_INPUT(frequencies, dy, y, out)
    if not ready:
        dy, y, frequencies = check.floats(dy=dy, y=y, frequencies=frequencies)
        check.shape("frequencies", frequencies, ("features", "k"))
        check.shape("dy", dy, ("rows", 2 * frequencies.size))
        check.shape("y", y, dy.shape)
        others = {"dy": dy, "y": y, "frequencies": frequencies}
        result = check.output(out, (len(dy), len(frequencies)), dy.dtype, others)
    result[...] = 0
    module.periodic_grad_input(dy, y, frequencies, result, threads)
    return result


def periodic_grad_frequencies(dy: ArrayLike, x: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute the gradient of `periodic` by its frequencies: ``2 pi * sum of x * (cos * dsin - sin * dcos)``.

    The sum is over the rows, in their order; cos and sin are the entries of `y`, dcos and dsin those of `dy`.

    Parameters
    ----------
    dy : array_like, shape (B, 2 I k)
        Gradient by the result of `periodic`.
    x : array_like, shape (B, I)
        The input of `periodic`.
    y : array_like, shape (B, 2 I k)
        The result of `periodic`.
    out : ndarray, shape (I, k), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (I, k)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `periodic` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> y = kernels.periodic([[0.25]], [[1.0]])
    >>> kernels.periodic_grad_frequencies([[1.0, 0.0]], [[0.25]], y).round(4)
    array([[-1.5708]])
    """
    module, threads, ready, result = _PERIODIC_FREQUENCIES(x, out, dy, y)
    if not ready:
        dy, x, y = check.floats(dy=dy, x=x, y=y)
        check.shape("x", x, ("rows", "features"))
        rows, features = x.shape
        check.shape("dy", dy, (rows, "2 I k"))
        check.shape("y", y, dy.shape)
        if dy.shape[1] % max(1, 2 * features) or (features == 0 and dy.shape[1]):
            must = f"have a multiple of {2 * features} columns, twice those of x"
            check.refuse(ValueError, "dy", must, f"shape {dy.shape}")
        k = dy.shape[1] // max(1, 2 * features)
        result = check.output(out, (features, k), dy.dtype, {"dy": dy, "x": x, "y": y})
    module.periodic_grad_frequencies(dy, x, y, result, threads)
    return result


def scale_columns(x: ArrayLike, scale: ArrayLike, *, out: Array | None = None) -> Array:
    """Multiply each column by a factor: ``x * scale``.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    scale : array_like, shape (I,)
        The factors.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype; `x` itself, or not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.scale_columns([[1.0, 2.0], [3.0, 4.0]], [10.0, -1.0])
    array([[10., -2.],
           [30., -4.]])
    """
    module, threads, ready, result = _SCALE(x, scale, out)
    if not ready:
        x, scale = check.floats(x=x, scale=scale)
        check.shape("x", x, ("rows", "features"))
        check.shape("scale", scale, x.shape[1:])
        result = check.output(out, x.shape, x.dtype, {"scale": scale}, {"x": x})
    module.scale_columns(x, scale, result, threads)
    return result


def scale_columns_backward(
    dy: ArrayLike, x: ArrayLike, scale: ArrayLike, *, out: Array | None = None
) -> tuple[Array, Array]:
    """Compute the gradients of `scale_columns` by its input and its factors.

    ``dx`` is dy * scale, ``dscale`` the sum of dy * x over the rows, in their order.

    Parameters
    ----------
    dy : array_like, shape (B, I)
        Gradient by the result of `scale_columns`.
    x : array_like, shape (B, I)
        The input of `scale_columns`.
    scale : array_like, shape (I,)
        The factors given to `scale_columns`.
    out : ndarray, shape (B, I), optional
        Where to write dx: C-contiguous, of the result's dtype; `dy` itself, or not overlapping the inputs.

    Returns
    -------
    dx : ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.
    dscale : ndarray, shape (I,)
        Of the same dtype.

    Raises
    ------
    TypeError, ValueError
        As `scale_columns` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.scale_columns_backward([[1.0], [2.0]], [[3.0], [4.0]], [10.0])
    (array([[10.],
           [20.]]), array([11.]))
    """
    module, threads, ready, results = _SCALE_BACKWARD(dy, x, scale, out)
    if not ready:
        dy, x, scale = check.floats(dy=dy, x=x, scale=scale)
        check.shape("dy", dy, ("rows", "features"))
        check.shape("x", x, dy.shape)
        check.shape("scale", scale, dy.shape[1:])
        out = check.output(out, dy.shape, dy.dtype, {"x": x, "scale": scale}, {"dy": dy})
        results = out, np.empty_like(scale)
    module.scale_columns_backward(dy, x, scale, *results, threads)
    return results
