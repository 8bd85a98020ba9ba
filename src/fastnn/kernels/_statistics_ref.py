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


class _Moments(NamedTuple):
    """The number of some entries, their mean and the sum of the squared differences from it."""

    n: int
    mean: float
    square: float


def _join(a: _Moments, b: _Moments) -> _Moments:
    """Return the moments of the entries of both (Chan, Golub and LeVeque, 1983)."""
    n, d = a.n + b.n, b.mean - a.mean
    return _Moments(n, a.mean + d * (b.n / n), a.square + b.square + d * d * (float(a.n) * float(b.n) / n))


def _sums(chunks: Array) -> Array:
    """Return the sum of each chunk: every 16th entry is added to one of 16 sums, and these are added by halves."""
    sums = np.zeros((len(chunks), 16))
    for terms in chunks.reshape(len(chunks), -1, 16).swapaxes(0, 1):
        sums += terms
    for half in (8, 4, 2, 1):
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def _moments(x: Array) -> _Moments:
    """Join the moments of the chunks in their order."""
    n = np.minimum(CHUNK, len(x) - CHUNK * np.arange(-(-len(x) // CHUNK)))
    padded = np.zeros((len(n), CHUNK))
    padded.reshape(-1)[: len(x)] = x
    means = _sums(padded) / n
    differences = np.where(np.arange(CHUNK) < n[:, np.newaxis], padded - means[:, np.newaxis], 0)
    chunks = zip(n.tolist(), means.tolist(), _sums(differences * differences).tolist(), strict=True)
    return reduce(_join, (_Moments(*chunk) for chunk in chunks))


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
    chunks = math.ceil(math.ceil(n / PARTS) / CHUNK)  # of a part
    each = max(PIECE, chunks * CHUNK)
    moments = reduce(_join, (_moments(flat[start : start + each]) for start in range(0, n, each)))
    if nonfinite == 0:
        variance = moments.square / n
        figures[MEAN], figures[STD] = moments.mean, math.sqrt(variance)
        figures[RMS] = math.sqrt(moments.mean * moments.mean + variance)
    numbers = flat[~np.isnan(flat)]
    if len(numbers):
        figures[MIN], figures[MAX] = float(numbers.min()) + 0.0, float(numbers.max()) + 0.0
    figures[ZEROS] = np.count_nonzero(flat == 0) / n
    figures[SATURATED] = np.count_nonzero((flat <= x.dtype.type(low)) | (flat >= x.dtype.type(high))) / n
    if x.ndim == 2:
        figures[DEAD] = np.count_nonzero((x == 0).all(axis=0)) / x.shape[1]
