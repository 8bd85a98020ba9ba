"""Augmentation of the rows of a batch: pure functions of (seed, stream, step, place in the batch)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments
from fastnn.kernels._beta import symmetric_quantiles
from fastnn.kernels._dispatch import backend_module
from fastnn.kernels._images import fill_value, flip_settings, image_layout, largest, most_pixels
from fastnn.kernels.dropout import stream_key

__all__ = ["add_noise", "drop_features", "flip_images", "mix_rows", "mixup_pairs", "shift_images", "swap_entries"]

MOST_ROWS = 2**32  # from which one is chosen by a word

_ELEMENTS: Arguments[Array] = Arguments("augmentation", "x[*] out![*]=x")
_ROWS: Arguments[Array] = Arguments("augmentation", "x[B I] out![B I]")
_MIX_ROWS: Arguments[Array] = Arguments("augmentation", "x[B I] partner[B]<B share[B]:float64 out![B I]")


def add_noise(
    x: ArrayLike,
    std: float = 0.1,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """Add normally distributed noise to each element: ``x + std * z`` (Bishop, 1995).

    z is standard normal, by Box and Muller (1958): each two 32-bit words a, b of Philox4x32-7, with key and counter as
    in `random_bits`, give ``r * cos(t)`` and ``r * sin(t)`` for two elements, in C order, with
    ``r = sqrt(-2 * log((a // 2**8 + 1) / 2**24))`` and ``t = 2 * pi * b / 2**32``. z is drawn in float32, whatever the
    dtype, within 4 ULP of the formula; it is from -5.77 to 5.77, as u of ``log(u)`` is at least 2**-24 and
    ``sqrt(48 * log(2))`` is 5.77. The result is the same on every backend and for any number of threads.

    Parameters
    ----------
    x : array_like
        Of any shape.
    std : float, default 0.1
        Standard deviation of the noise: at least 0, finite in the result's dtype.
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
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.add_noise(np.ones(3, np.float32), 0.1, seed=0)
    array([1.1327974 , 1.045817  , 0.94325906], dtype=float32)
    """
    (x,) = check.floats(x=x)
    std, key = check.real("std", std, 0, largest(x.dtype), closed=True), stream_key(seed, stream, step)
    module, threads, ready, result = _ELEMENTS(x, out)  # last, as reading a setting may run code that changes arrays
    if not ready:
        result = check.output(out, x.shape, x.dtype, {}, {"x": x})
    module.add_noise(x, result, std, *key, threads)
    return result


def drop_features(
    x: ArrayLike,
    p: float = 0.1,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """Set each element to 0 with probability `p` and leave the others as they are (Vincent et al., 2008).

    The elements are those that `dropout` sets to 0 with the same `p`, `seed`, `stream` and `step`; the others are not
    scaled, so that an entry that is kept has a value that it has in the data. `p` is rounded to a multiple of 1/65536.

    Parameters
    ----------
    x : array_like
        Of any shape.
    p : float, default 0.1
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
    >>> kernels.drop_features([1.0, 2.0, 3.0, 4.0], 0.5, seed=0)
    array([1., 0., 0., 0.])
    """
    p, key = check.real("p", p, 0, 1, closed=True), stream_key(seed, stream, step)
    module, threads, ready, result = _ELEMENTS(x, out)
    if not ready:
        (x,) = check.floats(x=x)
        result = check.output(out, x.shape, x.dtype, {}, {"x": x})
    module.drop_features(x, result, p, *key, threads)
    return result


def swap_entries(
    x: ArrayLike,
    p: float = 0.1,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """Replace each entry with probability `p` by the entry of the same column in another row: swap noise.

    So each entry stays one that its column has, whatever the column means (Jahrer, 2017; Bahri et al., 2022, SCARF).
    The entry in row i and column j has the word ``i * k + j`` of Philox4x32-7, with key and counter as in
    `random_bits`. With w this word and ``t = round(p * 2**32)``, it is replaced if ``w < t``, by the entry of row
    ``(i + 1 + w * (n - 1) // t) % n``: all other rows are equally likely. So `p` is rounded to a multiple of 2**-32. A
    batch of one row stays as it is.

    Parameters
    ----------
    x : array_like, shape (n, k)
        One example a row; there may be none, and at most 2**32.
    p : float, default 0.1
        From 0, which keeps all entries, to 1, which replaces all.
    seed : int
        From 0 to 2**64 - 1.
    stream, step : int, default 0
        From 0 to 2**32 - 1. Different streams and steps of one seed are independent.
    out : ndarray, shape (n, k), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping `x`.

    Returns
    -------
    ndarray, shape (n, k)
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, `out` has another dtype, or `seed`, `stream` or `step` is no integer.
    ValueError
        If a number is out of range, or an array has another shape or overlaps `x`.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.swap_entries([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], 0.5, seed=0)
    array([[5., 4.],
           [1., 2.],
           [5., 6.]])
    """
    p, key = check.real("p", p, 0, 1, closed=True), stream_key(seed, stream, step)
    module, threads, ready, result = _ROWS(x, out)
    if not ready:
        x = _checked_rows(x, "features")
        result = check.output(out, x.shape, x.dtype, {"x": x})
    if result.size:
        check.integer("len(x)", len(result), 0, MOST_ROWS)
    module.swap_entries(x, result, p, *key, threads)
    return result


def mixup_pairs(n: int, alpha: float = 0.2, *, seed: int, stream: int = 0, step: int = 0) -> tuple[Array, Array]:
    """Draw for each of n rows the row that it is mixed with, and its own share (Zhang et al., 2018, mixup).

    Row i becomes ``share[i] * row_i + (1 - share[i]) * row_partner[i]``, in the inputs and in the targets: see
    `mix_rows`. With w and v the words 2i and 2i + 1 of `random_bits`, ``partner[i]`` is
    ``(i + 1 + v * (n - 1) // 2**32) % n``: all other rows are equally likely, and a single row is mixed with itself.
    ``share[i]`` is the quantile of Beta(alpha, alpha) for the probability ``w / 2**32``, linear between the quantiles
    for 0, 1/1024, ..., 1; for alpha from 0.05 to 100 these are within 1e-9 of SciPy's. Each row has a share of its own;
    in the paper's code all rows of a batch have one.

    Parameters
    ----------
    n : int
        How many rows, at most 2**32.
    alpha : float, default 0.2
        Above 0. With small ones most rows stay nearly as they are; 1 makes all shares equally likely; with large ones
        they are near 1/2.
    seed : int
        From 0 to 2**64 - 1.
    stream, step : int, default 0
        From 0 to 2**32 - 1. Different streams and steps of one seed are independent.

    Returns
    -------
    partner : ndarray of int64, shape (n,)
    share : ndarray of float64, shape (n,)
        From 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If a number is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import kernels
    >>> partner, share = kernels.mixup_pairs(4, seed=0)
    >>> partner
    array([3, 3, 0, 0])
    >>> share.round(3)
    array([0.214, 0.969, 1.   , 0.936])
    """
    n = check.integer("n", n, 0, MOST_ROWS)
    alpha = check.real("alpha", alpha, 0, excluded=True)
    key = stream_key(seed, stream, step)
    partner, share = np.empty(n, np.int64), np.empty(n)
    backend_module("augmentation").mixup_pairs(partner, share, symmetric_quantiles(alpha), *key)
    return partner, share


def mix_rows(x: ArrayLike, partner: ArrayLike, share: ArrayLike, *, out: Array | None = None) -> Array:
    """Mix each row with another: ``share[i] * x[i] + (1 - share[i]) * x[partner[i]]``.

    ``1 - share`` is computed in float64. Both shares are rounded to the dtype of `x`, then each operation. NaN and
    infinity are treated as arithmetic does: ``0 * inf`` is NaN.

    Parameters
    ----------
    x : array_like, shape (n, k) or (n,)
        Inputs or targets, one example a row.
    partner : array_like of integers, shape (n,)
        From 0 to n - 1, such as those of `mixup_pairs`.
    share : array_like, shape (n,)
        The share of row i itself, such as those of `mixup_pairs`.
    out : ndarray, of the shape of `x`, optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, of the shape of `x`
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` or `share` is no array of real numbers, `partner` contains no integers, or `out` has another dtype.
    ValueError
        If shapes do not match, a partner is out of range, or `out` overlaps an input.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.mix_rows([[0.0, 8.0], [4.0, 0.0]], [1, 0], [0.75, 1.0])
    array([[1., 6.],
           [4., 0.]])
    """
    module, threads, ready, result = _MIX_ROWS(x, partner, share, out)
    if not ready:
        (x,) = check.floats(x=x)
        if x.ndim != 1:
            check.shape("x", x, ("rows", "features"), "write x.reshape(len(x), -1)" if x.ndim else "")
        partner = check.indices("partner", partner, len(x), "rows")
        check.shape("partner", partner, (len(x),))
        share = check.contiguous("share", check.numeric("share", share), np.dtype(np.float64))
        check.shape("share", share, (len(x),))
        result = check.output(out, x.shape, x.dtype, {"x": x, "partner": partner, "share": share})
    module.mix_rows(x, partner, share, result, threads)
    return result


# ---- images ----


def _checked_rows(x: ArrayLike, columns: str) -> Array:
    (x,) = check.floats(x=x)
    check.shape("x", x, ("rows", columns))
    return x


def shift_images(
    x: ArrayLike,
    shape: tuple[int, ...],
    pixels: int | tuple[int, int] = 2,
    *,
    fill: float | Literal["edge"] = 0.0,
    channels_last: bool = False,
    seed: int,
    stream: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """Move each image by a random number of pixels, down or up and to the right or to the left.

    Rows of `x` are images. With w word i of `random_bits` and m the largest shift, image i is moved down by
    ``(w % 2**16) * (2 * m + 1) // 2**16 - m`` pixels, and to the right by the same of ``w // 2**16``: by each of -m to
    m with the same probability, to about 2**-16. torchvision's ``RandomCrop(shape, padding=m)`` draws the same way.

    Parameters
    ----------
    x : array_like, shape (n, pixels)
        One image a row, in C order.
    shape : tuple of int
        Of an image: (height, width), (channels, height, width), or with `channels_last` (height, width, channels).
    pixels : int or (int, int), default 2
        The largest shift, or those down and to the right: from 0 to below height and width.
    fill : float or "edge", default 0.0
        What vacated pixels get: a number that is finite in the result's dtype, or with ``"edge"`` the nearest pixel of
        the image. After a scaler, 0 is its centre.
    channels_last : bool, default False
        Whether the channels of a pixel are beside each other.
    seed : int
        From 0 to 2**64 - 1.
    stream, step : int, default 0
        From 0 to 2**32 - 1. Different streams and steps of one seed are independent.
    out : ndarray, of the shape of `x`, optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping `x`.

    Returns
    -------
    ndarray, of the shape of `x`
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is of a wrong kind, or `out` has another dtype.
    ValueError
        If `shape` does not match the rows, a number is out of range, or `out` has another shape or overlaps `x`.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.shift_images([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], (2, 3), 1, seed=5).reshape(2, 3)
    array([[0., 1., 2.],
           [0., 4., 5.]])
    """
    x = _checked_rows(x, "pixels")
    rows = x.shape
    layout = image_layout(shape, rows[1], channels_last)
    most, (number, edge) = most_pixels(pixels, layout), fill_value(fill, x.dtype)
    key = stream_key(seed, stream, step)
    check.shape("x", x, rows)  # again, as reading a setting may run code that changes arrays
    module, threads, ready, result = _ROWS(x, out)
    if not ready:
        result = check.output(out, x.shape, x.dtype, {"x": x})
    module.shift_images(x, result, layout, most, number, edge, *key, threads)
    return result


def flip_images(
    x: ArrayLike,
    shape: tuple[int, ...],
    p: float = 0.5,
    *,
    axis: Literal["horizontal", "vertical"] = "horizontal",
    channels_last: bool = False,
    seed: int,
    stream: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """Mirror each image with probability `p`: left and right, or top and bottom, change places.

    Rows of `x` are images. With w word i of `random_bits`, image i is mirrored if ``w % 2**16 < round(p * 2**16)``: `p`
    is rounded to a multiple of 1/65536. torchvision's names are ``RandomHorizontalFlip`` and ``RandomVerticalFlip``.

    Parameters
    ----------
    x : array_like, shape (n, pixels)
        One image a row, in C order.
    shape : tuple of int
        Of an image: (height, width), (channels, height, width), or with `channels_last` (height, width, channels).
    p : float, default 0.5
        From 0, which mirrors no image, to 1, which mirrors all.
    axis : {"horizontal", "vertical"}, default "horizontal"
        Whether left and right change places, or top and bottom.
    channels_last : bool, default False
        Whether the channels of a pixel are beside each other.
    seed : int
        From 0 to 2**64 - 1.
    stream, step : int, default 0
        From 0 to 2**32 - 1. Different streams and steps of one seed are independent.
    out : ndarray, of the shape of `x`, optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping `x`.

    Returns
    -------
    ndarray, of the shape of `x`
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is of a wrong kind, or `out` has another dtype.
    ValueError
        If `shape` does not match the rows, a number is out of range, or `out` has another shape or overlaps `x`.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.flip_images([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], (2, 3), 1.0, seed=0).reshape(2, 3)
    array([[3., 2., 1.],
           [6., 5., 4.]])
    """
    x = _checked_rows(x, "pixels")
    rows = x.shape
    layout = image_layout(shape, rows[1], channels_last)
    p, vertical = flip_settings(p, axis)
    key = stream_key(seed, stream, step)
    check.shape("x", x, rows)  # again, as reading a setting may run code that changes arrays
    module, threads, ready, result = _ROWS(x, out)
    if not ready:
        result = check.output(out, x.shape, x.dtype, {"x": x})
    module.flip_images(x, result, layout, p, vertical, *key, threads)
    return result
