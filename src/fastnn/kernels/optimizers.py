"""The checked call of an update, and what surrounds updates: penalties, clipping, limits of norms, sums.

Every operation rounds in the arrays' dtype, in a fixed order, so that both backends give the same bits. A slot
(momentum, mean square) below the smallest normal number becomes 0. The updates are the rows of `fastnn._updates`.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn._updates import UPDATES
from fastnn.kernels._arguments import Arguments

__all__ = ["clip", "lerp", "limit_norms", "regularize", "scale", "sums"]

# By the number of slots.
_UPDATES: tuple[Arguments[None], ...] = tuple(
    Arguments("optimizers", f"w&[*] g[*] {' '.join(f'slot{i}&[*]' for i in range(n))}")
    for n in range(1 + max(len(row.slots) for row in UPDATES.values()))
)
_REGULARIZE: Arguments[Array] = Arguments("optimizers", "w[*] g[*] out![*]=w|g")
_BY_ELEMENTS: Arguments[Array] = Arguments("optimizers", "x[*] out![*]=x")
_LERP: Arguments[Array] = Arguments("optimizers", "a[*] b[*] out![*]=a|b")
_LIMIT_NORMS: Arguments[None] = Arguments("optimizers", "w&[B I]")
_SUMS: Arguments[None] = Arguments("optimizers", "x[*]")


def update(kind: str, w: Array, g: ArrayLike, slots: tuple[Array, ...], scalars: tuple[float, ...]) -> Array:
    module, threads, ready, _ = _UPDATES[len(slots)](w, g, *slots)
    if not ready:
        check.writable("w", w)
        (gradient,) = check.floats(g=g)
        if gradient.dtype != w.dtype:
            check.refuse(TypeError, "g", f"have dtype {w.dtype}, that of w", f"dtype {gradient.dtype}")
        check.shape("g", gradient, w.shape)
        checked = {"g": gradient}
        names = (slot.name for slot in UPDATES[kind].slots)
        for name, array in {"w": w, **dict(zip(names, slots, strict=True))}.items():
            check.shape(name, check.writable(name, array, w.dtype), w.shape)
            check.overlap(name, array, checked)
            checked[name] = array
        g = gradient
    module.update(kind, w, g, slots, scalars, threads)
    return w


def regularize(w: ArrayLike, g: ArrayLike, *, l1: float = 0.0, l2: float = 0.0, out: Array | None = None) -> Array:
    """Add the gradient of ``l1 * sum(|w|) + l2 / 2 * sum(w**2)``: ``g + (l2 * w + l1 * sign(w))``.

    ``sign(0)`` is 0.

    Parameters
    ----------
    w : array_like
        Parameters.
    g : array_like, of the shape of `w`
        Their gradient.
    l1, l2 : float, default 0.0
        Not negative.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `w` or `g` itself, or
        overlapping neither.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes differ, a number is out of range, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.regularize([2.0, 0.0, -4.0], [1.0, 1.0, 1.0], l1=0.25, l2=0.5)
    array([ 2.25,  1.  , -1.25])
    """
    l1, l2 = check.real("l1", l1, 0), check.real("l2", l2, 0)
    module, threads, ready, result = _REGULARIZE(w, g, out)
    if not ready:
        w, g = check.floats(w=w, g=g)
        check.shape("g", g, w.shape)
        result = check.output(out, w.shape, w.dtype, {}, {"w": w, "g": g})
    module.regularize(w, g, l1, l2, result, threads)
    return result


def clip(x: ArrayLike, limit: float, *, out: Array | None = None) -> Array:
    """Clip entries by value: ``min(max(x, -limit), limit)``.

    Parameters
    ----------
    x : array_like
        Of any shape.
    limit : float
        Above 0.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` itself, or not overlapping it.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, or `out` has another dtype.
    ValueError
        If `limit` is out of range, or `out` overlaps `x` in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.clip([-3.0, 0.5, 2.0], 1.0)
    array([-1. ,  0.5,  1. ])
    """
    limit = check.real("limit", limit, 0, excluded=True)
    module, threads, ready, result = _BY_ELEMENTS(x, out)
    if not ready:
        x, result = _checked_elements(x, out)
    module.clip(x, limit, result, threads)
    return result


def scale(x: ArrayLike, factor: float, *, out: Array | None = None) -> Array:
    """Multiply: ``factor * x``.

    Parameters
    ----------
    x : array_like
        Of any shape.
    factor : float
        Finite.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` itself, or not overlapping it.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, or `out` has another dtype.
    ValueError
        If `factor` is not finite, or `out` overlaps `x` in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.scale([1.0, -2.0], 0.5)
    array([ 0.5, -1. ])
    """
    factor = check.real("factor", factor, -math.inf)
    module, threads, ready, result = _BY_ELEMENTS(x, out)
    if not ready:
        x, result = _checked_elements(x, out)
    module.scale(x, factor, result, threads)
    return result


def _checked_elements(x: ArrayLike, out: Array | None) -> tuple[Array, Array]:
    (x,) = check.floats(x=x)
    return x, check.output(out, x.shape, x.dtype, {}, {"x": x})


def lerp(a: ArrayLike, b: ArrayLike, weight: float, *, out: Array | None = None) -> Array:
    """Interpolate linearly, the step of a moving average: ``a + weight * (b - a)``.

    The formula is that of ``torch.lerp``: if the absolute value of `weight` is 0.5 or more, it is ``b - (b - a) * (1 -
    weight)``, which for 1 is `b` if ``b - a`` is finite.

    Parameters
    ----------
    a, b : array_like
        Of one shape.
    weight : float
        Finite; 0 gives `a` and 1 gives `b` where ``b - a`` is finite, else they give NaN. It is rounded to the result's
        dtype, and so is every operation.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `a` or `b` itself, or
        overlapping neither.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes differ, `weight` is not finite, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.lerp([0.0, 4.0], [8.0, 0.0], 0.25)
    array([2., 3.])
    """
    weight = check.real("weight", weight, -math.inf)
    module, threads, ready, result = _LERP(a, b, out)
    if not ready:
        a, b = check.floats(a=a, b=b)
        check.shape("b", b, a.shape)
        result = check.output(out, a.shape, a.dtype, {}, {"a": a, "b": b})
    module.lerp(a, b, weight, result, threads)
    return result


def limit_norms(w: Array, limit: float) -> Array:
    """Scale columns whose Euclidean norm is above `limit` down to it, in place.

    The constraint of Srivastava et al. (2014) on the incoming weights of each unit of a dense layer.

    Parameters
    ----------
    w : ndarray of float32 or float64, shape (rows, columns)
        C-contiguous.
    limit : float
        Above 0.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError
        If `w` is no float ndarray.
    ValueError
        If `w` is no matrix that can be written in place, or `limit` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.limit_norms(np.array([[3.0, 0.3], [4.0, 0.4]]), 1.0)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """
    limit = check.real("limit", limit, 0, excluded=True)
    module, threads, ready, _ = _LIMIT_NORMS(w)
    if not ready:
        check.shape("w", check.writable("w", w), ("rows", "columns"))
    module.limit_norms(w, limit, threads)
    return w


def sums(x: ArrayLike) -> tuple[float, float]:
    """Return ``sum(|x|)`` and ``sum(x**2)``, added in float64 in one order for any number of threads.

    Parameters
    ----------
    x : array_like
        Of any shape.

    Returns
    -------
    (float, float)
        The two sums.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.sums([3.0, -4.0])
    (7.0, 25.0)
    """
    module, threads, ready, _ = _SUMS(x)
    if not ready:
        (x,) = check.floats(x=x)
        x = x.reshape(-1)
    magnitude, square = module.sums(x, threads)
    return magnitude, square
