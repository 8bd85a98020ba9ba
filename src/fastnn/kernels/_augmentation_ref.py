"""NumPy twin of augmentation: noise, feature dropout, swaps, mixup, shifts and flips of a batch's rows.

All are pure functions of (seed, stream, step, place in the batch). A draw for each entry takes seven rounds of Philox,
as a dropout mask does; a draw for each row takes the words of `random_bits`, of ten.
"""

from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.kernels._dropout_ref import half_words, random_bits, short_words

# ---- noise ----

# sin(2 pi s) / s and (cos(2 pi s) - 1) / s**2 as polynomials in s**2, for s from 0 to 1/8; (log(1 + f) - 2 s) / s**3
# with s = f / (2 + f) as a polynomial in s**2, for s from 0 to 1/5. csrc/augmentation.inc.c has the same numbers.
_SINE = np.array([6.2831855, -41.341660, 81.592346, -75.393242], np.float32)
_COSINE = np.array([-19.739162, 64.922424, -83.629143], np.float32)
_LOGARITHM = np.array([0.66666949, 0.39957908, 0.30359110], np.float32)
_LN_2 = np.float32(0.69314718)

_HALF, _QUARTER, _EIGHTH = np.uint32(1 << 31), np.uint32(1 << 30), np.uint32(1 << 29)  # of a turn, 2**32


def _polynomial(x: Array, coefficients: Array) -> Array:
    """Return ``c[0] + x * (c[1] + x * (...))``, rounded after each operation."""
    result: Any = coefficients[-1]
    for c in coefficients[-2::-1]:
        result = result * x + c
    return np.asarray(result)


def _radius(word: Array) -> Array:
    """Return ``sqrt(-2 log u)`` for u = ((word >> 8) + 1) / 2**24, from 2**-24 to 1.

    With 2**24 u = 2**n m, m from 3/4 to 3/2, the logarithm is (n - 24) log 2 + log(1 + f) for f = m - 1.
    """
    bits = ((word >> 8) + 1).astype(np.float32).view(np.uint32)
    exponent = (bits + (1 << 22)) >> 23
    f = (bits - ((exponent - 127) << 23)).view(np.float32) - 1
    s = f / (f + 2)
    square = s * s
    logarithm = f - s * (f - square * _polynomial(square, _LOGARITHM))
    n = (exponent.view(np.int32) - (127 + 24)).astype(np.float32)
    return np.asarray(np.sqrt((n * _LN_2 + logarithm) * -2))


def _circle(word: Array) -> tuple[Array, Array]:
    """Return cosine and sine of the angle of ``word / 2**32`` turns.

    The angle is that of the nearest quarter turn plus s, from -1/8 to 1/8 of a turn. The two high bits of the nearest
    quarter say whether cosine and sine change places, and their signs.
    """
    s = (word << 2).view(np.int32).astype(np.float32) * np.float32(2.0**-34)
    square = s * s
    sine, cosine = s * _polynomial(square, _SINE), square * _polynomial(square, _COSINE) + 1
    nearest = word + _EIGHTH
    swapped = (nearest & _QUARTER) != 0
    cos, sin = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    cos_sign, sin_sign = (nearest + _QUARTER) & _HALF, nearest & _HALF
    return (cos.view(np.uint32) ^ cos_sign).view(np.float32), (sin.view(np.uint32) ^ sin_sign).view(np.float32)


def _normal(count: int, seed: int, stream: int, step: int) -> Array:
    """Return standard normal numbers in float32, by Box and Muller: two from each two words."""
    words = short_words(count, seed, stream, step).reshape(-1, 2)
    radius, (cos, sin) = _radius(words[:, 0]), _circle(words[:, 1])
    return np.stack([radius * cos, radius * sin], axis=-1).reshape(-1)[:count]


@np.errstate(all="ignore")
def add_noise(x: Array, out: Array, std: float, seed: int, stream: int, step: int, threads: int) -> None:
    """Compute x + std * z, rounded after each operation."""
    z = _normal(x.size, seed, stream, step).reshape(x.shape)
    out[...] = x + x.dtype.type(std) * z.astype(x.dtype)


# ---- features ----


def drop_features(x: Array, out: Array, p: float, seed: int, stream: int, step: int, threads: int) -> None:
    """Copy x where an element's 16 random bits are at least p * 2**16, else write 0."""
    bits = half_words(x.size, seed, stream, step).reshape(x.shape)
    out[...] = np.where(bits >= round(p * 2**16), x, 0)


def _sources(words: Array, rows: Array, n: int, p: float) -> Array:
    """Return the row that each entry is taken from: its own in `rows`, or with probability p another of the n."""
    threshold = round(p * 2.0**32)
    words = words.astype(np.uint64)
    moved = words < threshold
    offset = (words * np.uint64(n - 1) // np.uint64(max(threshold, 1))).astype(np.int64)
    return np.where(moved, (rows + 1 + offset) % n, rows)


def swap_entries(x: Array, out: Array, p: float, seed: int, stream: int, step: int, threads: int) -> None:
    """Copy x, each entry with probability p from another row of its column."""
    n, k = x.shape
    if x.size:
        words = short_words(x.size, seed, stream, step)[: x.size].reshape(n, k)
        out[...] = x[_sources(words, np.arange(n)[:, np.newaxis], n, p), np.arange(k)]


def swap_ids(ids: Array, out: Array, k: int, column: int, p: float, seed: int, stream: int, step: int) -> None:
    """Copy ids as `swap_entries` copies this column of a matrix with k columns."""
    n = ids.size
    if n:
        words = short_words(n * k, seed, stream, step)[: n * k].reshape(n, k)[:, column]
        out[...] = ids[_sources(words, np.arange(n), n, p)]


# ---- mixup ----


def mixup_pairs(partner: Array, share: Array, quantiles: Array, seed: int, stream: int, step: int) -> None:
    """Write the row that each row is mixed with, and its own share: words 2i + 1 and 2i are those of row i.

    The share is the quantile of word / 2**32, linear between those that are given.
    """
    n = partner.size
    words = np.empty(2 * n, np.uint32)
    random_bits(words, seed, stream, step, 0)
    interval, rest = words[::2] >> 22, words[::2] & (2**22 - 1)
    low, high = quantiles[interval], quantiles[interval + 1]
    share[...] = low + (rest * 2.0**-22) * (high - low)
    offset = (words[1::2] * np.uint64(max(n - 1, 0)) >> np.uint64(32)).astype(np.int64)
    partner[...] = (np.arange(n) + (n > 1) + offset) % max(n, 1)


@np.errstate(all="ignore")
def mix_rows(x: Array, partner: Array, share: Array, out: Array, threads: int) -> None:
    """Compute share * x + (1 - share) * x[partner], rounded after each operation."""
    a, b = (each.astype(x.dtype).reshape((-1,) + (1,) * (x.ndim - 1)) for each in (share, 1 - share))
    out[...] = a * x + b * x[partner]


# ---- images ----


def _pixels(x: Array, layout: tuple[int, int, int, int]) -> Array:
    """Return rows as images of (outer, height, width, inner): channels are the outer or the inner axis."""
    return x.reshape(len(x), *layout)


def _row_words(n: int, seed: int, stream: int, step: int) -> Array:
    words = np.empty(n, np.uint32)
    random_bits(words, seed, stream, step, 0)
    return words


def _places(length: int, shift: Array, axis: int) -> Array:
    """Return the place along an axis that each pixel is taken from, for each row; -1 or `length` and more: none."""
    places = np.arange(length) - shift[:, np.newaxis]
    return places.reshape(len(shift), *(length if each == axis else 1 for each in (1, 2, 3, 4)))


@np.errstate(all="ignore")
def shift_images(
    x: Array,
    out: Array,
    layout: tuple[int, int, int, int],
    most: tuple[int, int],
    fill: float,
    edge: bool,
    seed: int,
    stream: int,
    step: int,
    threads: int,
) -> None:
    """Move each image down and to the right by up to `most` pixels, or up and to the left.

    The low 16 bits of row i's word i choose the rows, the high ones the columns.
    """
    _, height, width, _ = layout
    words = _row_words(len(x), seed, stream, step)
    down, right = (
        (half.astype(np.int64) * (2 * m + 1) >> 16) - m
        for half, m in zip((words & 0xFFFF, words >> 16), most, strict=True)
    )
    rows, columns = _places(height, down, 2), _places(width, right, 3)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    images = np.take_along_axis(_pixels(x, layout), np.clip(rows, 0, height - 1), axis=2)
    images = np.take_along_axis(images, np.clip(columns, 0, width - 1), axis=3)
    out[...] = (images if edge else np.where(inside, images, x.dtype.type(fill))).reshape(x.shape)


def flip_images(
    x: Array,
    out: Array,
    layout: tuple[int, int, int, int],
    p: float,
    vertical: bool,
    seed: int,
    stream: int,
    step: int,
    threads: int,
) -> None:
    """Mirror each image with probability p: where the low 16 bits of row i's word i are below p * 2**16."""
    flipped = (_row_words(len(x), seed, stream, step) & 0xFFFF) < round(p * 2**16)
    mirrored = np.flip(_pixels(x, layout), axis=2 if vertical else 3).reshape(x.shape)
    out[...] = np.where(flipped[:, np.newaxis], mirrored, x)
