"""What the entries of an array are like: mean, deviation, extremes and counts, in one call."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn.kernels._arguments import Arguments

__all__ = ["EntryStatistics", "entry_statistics"]

_ENTRY_STATISTICS: Arguments[None] = Arguments("statistics", "x[*]")


class EntryStatistics(NamedTuple):
    """The result of `entry_statistics`. Of an empty array, all but the last two are NaN.

    Attributes
    ----------
    mean, std : float
        The mean and the standard deviation ``sqrt(mean((x - mean)**2))``; NaN if an entry is NaN or infinite.
    min, max : float
        The extremes of the entries that are not NaN; NaN if there are none.
    rms : float
        The root mean square ``sqrt(mean(x**2))``; NaN if an entry is NaN or infinite.
    zeros : float
        The share of entries that are 0.
    saturated : float
        The share of entries that are ``<= low`` or ``>= high``.
    nonfinite : int
        The number of entries that are NaN or infinite.
    dead : float
        The share of a matrix's columns that are 0 in all rows; 0 for other arrays.
    """

    mean: float
    std: float
    min: float
    max: float
    rms: float
    zeros: float
    saturated: float
    nonfinite: int
    dead: float


def entry_statistics(x: ArrayLike, *, low: float = -math.inf, high: float = math.inf) -> EntryStatistics:
    """Return what the entries of an array are like.

    Everything is added in float64, in one order for any number of threads. The mean and the squared differences from it
    are computed for 512 entries at a time, corrected for the rounding of the mean and then joined (Chan, Golub and
    LeVeque, 1983): a large mean costs the deviation no digits, unless it is so large that the deviation is a few of its
    last bits. Where all entries are the same, the deviation is exactly 0. Where squares would leave the range of
    float64, all entries are multiplied by a power of two first.

    Parameters
    ----------
    x : array_like
        Of any shape. The columns of a matrix are units, its rows examples.
    low, high : float
        The limits of `saturated`, which are rounded to the dtype of `x`. By default only infinite entries reach them.

    Returns
    -------
    EntryStatistics

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, or a limit is no real number.
    ValueError
        If a limit is NaN.

    Examples
    --------
    >>> from fastnn import kernels
    >>> s = kernels.entry_statistics([[0.0, 1.0, 3.0], [0.0, 3.0, 5.0]], high=4.0)
    >>> s.mean, s.std, s.min, s.max
    (2.0, 1.8257418583505538, 0.0, 5.0)
    >>> round(s.zeros, 3), round(s.saturated, 3), round(s.dead, 3)
    (0.333, 0.167, 0.333)
    """
    module, threads, ready, _ = _ENTRY_STATISTICS(x)
    if not ready:
        (x,) = check.floats(x=x)
    low, high = _limit("low", low), _limit("high", high)
    figures = np.empty(len(EntryStatistics._fields))
    module.entry_statistics(x, low, high, figures, threads)
    mean, std, least, largest, rms, zeros, saturated, nonfinite, dead = figures.tolist()
    return EntryStatistics(mean, std, least, largest, rms, zeros, saturated, int(nonfinite), dead)


def _limit(name: str, value: float) -> float:
    return value if value in (-math.inf, math.inf) else check.real(name, value, -math.inf)
