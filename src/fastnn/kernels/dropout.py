"""Inverted dropout and its random numbers: pure functions of (seed, stream, step, index)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments
from fastnn.kernels._dispatch import backend_module

__all__ = ["dropout", "dropout_backward", "permutation", "random_bits"]

_DROPOUT: Arguments[Array] = Arguments("dropout", "x[*] out![*]=x")


def stream_key(seed: object, stream: object, step: object) -> tuple[int, int, int]:
    """Return the three numbers of a random stream, checked."""
    return (
        check.integer("seed", seed, 0, 2**64 - 1),
        check.integer("stream", stream, 0, 2**32 - 1),
        check.integer("step", step, 0, 2**32 - 1),
    )


def _dropout(name: str, value: ArrayLike, p: float, key: tuple[int, int, int], out: Array | None) -> Array:
    p = check.real("p", p, 0, 1, closed=True)
    module, threads, ready, result = _DROPOUT(value, out)
    if not ready:
        (value,) = check.floats(**{name: value})
        result = check.output(out, value.shape, value.dtype, {}, {name: value})
    module.dropout(value, result, p, *key, threads)
    return result


def dropout(
    x: ArrayLike,
    p: float = 0.5,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """Set each element to 0 with probability `p` and divide the others by ``1 - p`` (Srivastava et al., 2014).

    Element i, in C order, has 16 random bits: half-word i % 8, low halves first, of block i // 8 of Philox4x32-7, with
    key and counter as in `random_bits`. The element is kept if its bits are at least ``round(p * 2**16)``, so the
    probability is `p` rounded to a multiple of 1 / 65536, and then multiplied by ``1 / (1 - p)`` rounded to the dtype.
    The result is the same on every backend and for any number of threads.

    Parameters
    ----------
    x : array_like
        Of any shape.
    p : float, default 0.5
        From 0, which keeps all elements, to 1, which sets all to 0.
    seed : int
        From 0 to 2**64 - 1.
    stream, step : int, default 0
        From 0 to 2**32 - 1. Different streams and steps of one seed are independent.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` itself, or not overlapping it.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, `out` has another dtype, or `seed`, `stream` or `step` is no integer.
    ValueError
        If a number is out of range, or `out` has another shape or overlaps `x` in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.dropout([1.0, 2.0, 3.0, 4.0], 0.5, seed=0)
    array([2., 0., 0., 0.])
    """
    return _dropout("x", x, p, stream_key(seed, stream, step), out)


def dropout_backward(
    dy: ArrayLike,
    p: float = 0.5,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """Compute the gradient of `dropout` by its input: `dropout` of `dy` with the same random bits.

    Parameters
    ----------
    dy : array_like
        Gradient by the output.
    p, seed, stream, step
        As given to `dropout`.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `dy` itself, or not overlapping it.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `dy` is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `dropout` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.dropout_backward([1.0, 1.0, 1.0, 1.0], 0.5, seed=0)
    array([2., 0., 0., 0.])
    """
    return _dropout("dy", dy, p, stream_key(seed, stream, step), out)


def random_bits(
    n: int,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return the 32-bit random words ``first`` to ``first + n - 1`` of a stream.

    The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011)
    with the key `seed` and the counter (index // 4 as two words, `step`, `stream`); index % 4 picks one of the four
    words.

    Parameters
    ----------
    n : int
        Number of words.
    seed : int
        From 0 to 2**64 - 1.
    stream, step : int, default 0
        From 0 to 2**32 - 1.
    first : int, default 0
        Index of the first word; ``first + n`` is at most 2**63 - 1.
    out : ndarray of uint32, shape (n,), optional
        Where to write the result.

    Returns
    -------
    ndarray of uint32, shape (n,)
        `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        If a number is no integer or out of range, or `out` has another dtype or shape.

    Examples
    --------
    >>> from fastnn import kernels
    >>> [hex(word) for word in kernels.random_bits(4, seed=0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    key = stream_key(seed, stream, step)
    n = check.integer("n", n, 0, 2**63 - 1)
    first = check.integer("first", first, 0, 2**63 - 1 - n)
    check.size("n", (n,), np.uint32)
    out = check.output(out, (n,), np.dtype(np.uint32), {})
    backend_module("dropout").random_bits(out, *key, first)
    return out


def permutation(n: int, *, seed: int, stream: int = 0, step: int = 0, out: Array | None = None) -> Array:
    """Return the numbers from 0 to n - 1 in a random order.

    Fisher and Yates's shuffle: for i from n - 1 down to 1, position i is swapped with position
    ``(word i of random_bits) * (i + 1) >> 32``.

    Parameters
    ----------
    n : int
        How many numbers, at most 2**32.
    seed : int
        From 0 to 2**64 - 1.
    stream, step : int, default 0
        From 0 to 2**32 - 1.
    out : ndarray of int64, shape (n,), optional
        Where to write the result.

    Returns
    -------
    ndarray of int64, shape (n,)
        `out`, or a new array.

    Raises
    ------
    TypeError, ValueError
        If a number is no integer or out of range, or `out` has another dtype or shape.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.permutation(5, seed=0)
    array([0, 1, 3, 2, 4])
    """
    key = stream_key(seed, stream, step)
    n = check.integer("n", n, 0, 2**32)
    out = check.output(out, (n,), np.dtype(np.int64), {})
    backend_module("dropout").permutation(out, *key)
    return out
