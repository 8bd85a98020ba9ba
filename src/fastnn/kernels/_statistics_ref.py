"""NumPy twin of the statistics of an array's entries."""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import numpy as np

from fastnn._typing import Array

# The figures in the order of fastnn.kernels.EntryStatistics.
MEAN, STD, MIN, MAX, RMS, ZEROS, SATURATED, NONFINITE, DEAD = range(9)

CHUNK = 512  # entries that are described at once
PARTS = 64  # at most so many parts of chunks
PIECE = 1 << 14  # the fewest entries of a part
LARGE = 1e140  # with a larger entry all are multiplied by 2^-600, as squares may overflow
SMALL = 1e-120  # with smaller ones alone by 2^600


class _Moments(NamedTuple):
    """The number of some entries, their mean and the sum of the squared differences from it.

    The mean is ``mean + rest``: the rest is what rounding took from it.
    """

    n: int
    mean: float
    rest: float
    square: float


def _join(a: _Moments, b: _Moments) -> _Moments:
    """Return the moments of the entries of both (Chan, Golub and LeVeque, 1983)."""
    n, d = a.n + b.n, (b.mean - a.mean) + (b.rest - a.rest)
    rest = a.rest + d * (b.n / n)
    mean = a.mean + rest
    of_rest = mean - a.mean  # what a sum has lost by rounding, exactly (Knuth's TwoSum)
    rest = (a.mean - (mean - of_rest)) + (rest - of_rest)
    return _Moments(n, mean, rest, a.square + b.square + d * d * (float(a.n) * float(b.n) / n))


def _sums(chunks: Array) -> Array:
    """Return the sum of each chunk: every 16th entry is added to one of 16 sums, and these are added by halves."""
    sums = np.zeros((len(chunks), 16))
    for terms in chunks.reshape(len(chunks), -1, 16).swapaxes(0, 1):
        sums += terms
    for half in (8, 4, 2, 1):
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def _moments(x: Array) -> _Moments:
    """Join the moments of the chunks in their order.

    The differences from a mean that is rounded do not add up to 0. Their sum tells what rounding took from the mean,
    and what it added to the squares: the corrected two-pass algorithm of Chan, Golub and LeVeque (1983).
    """
    n = np.minimum(CHUNK, len(x) - CHUNK * np.arange(-(-len(x) // CHUNK)))
    padded = np.zeros((len(n), CHUNK))
    padded.reshape(-1)[: len(x)] = x
    means = _sums(padded) / n
    differences = np.where(np.arange(CHUNK) < n[:, np.newaxis], padded - means[:, np.newaxis], 0)
    rests = _sums(differences)
    squares = np.maximum(_sums(differences * differences) - rests * rests / n, 0)
    chunks = zip(n.tolist(), means.tolist(), (rests / n).tolist(), squares.tolist(), strict=True)
    return reduce(_join, (_Moments(*chunk) for chunk in chunks))


def _mean_std_rms(flat: Array) -> tuple[float, float, float]:
    """Return the figures of finite entries, which are scaled first if their squares may leave the range."""
    n = len(flat)
    chunks = math.ceil(math.ceil(n / PARTS) / CHUNK)  # of a part
    each = max(PIECE, chunks * CHUNK)
    largest = float(np.abs(flat).max())
    unit = 2.0**-600 if largest > LARGE else 2.0**600 if 0 < largest < SMALL else 1.0
    parts = (flat[start : start + each] for start in range(0, n, each))
    moments = reduce(_join, (_moments(part * unit) for part in parts))
    mean, variance, largest = moments.mean + moments.rest, moments.square / n, largest * unit
    std, rms = math.sqrt(variance), math.sqrt(mean * mean + variance)
    # None is beyond the largest entry, which rounding could make infinite.
    return max(-largest, min(mean, largest)) / unit, min(std, largest) / unit, min(rms, largest) / unit


@np.errstate(all="ignore")
def entry_statistics(x: Array, low: float, high: float, figures: Array, threads: int) -> None:
    """Write mean, std, min, max, rms, the shares of zeros and of saturated entries, the number of others, and `dead`.

    Others are NaN and infinity. Saturated are those <= low or >= high. `dead` is the share of a matrix's columns of
    zeros.
    """
    n, flat = x.size, x.reshape(-1)
    nonfinite = n - np.count_nonzero(np.isfinite(flat))
    figures[:] = math.nan
    figures[NONFINITE], figures[DEAD] = nonfinite, 0
    if n == 0:
        return
    if nonfinite == 0:
        figures[MEAN], figures[STD], figures[RMS] = _mean_std_rms(flat)
    numbers = flat[~np.isnan(flat)]
    if len(numbers):
        figures[MIN], figures[MAX] = float(numbers.min()) + 0.0, float(numbers.max()) + 0.0
    figures[ZEROS] = np.count_nonzero(flat == 0) / n
    figures[SATURATED] = np.count_nonzero((flat <= x.dtype.type(low)) | (flat >= x.dtype.type(high))) / n
    if x.ndim == 2:
        figures[DEAD] = np.count_nonzero((x == 0).all(axis=0)) / x.shape[1]
