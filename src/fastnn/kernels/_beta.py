"""Quantiles of the symmetric beta distribution, from which mixup draws the shares of two rows."""

import functools
import math

import numpy as np

from fastnn._typing import Array

INTERVALS = 1024  # between the quantiles, as many as the 10 high bits of a word tell apart

_CELLS = (
    1 << 12
)  # of the integration: the quantiles are within 1e-9 of SciPy's for alpha from 0.05 to 100, as tests assert
_END = 42.0  # the density is integrated from where it is e**-42 of its largest
_LEAST = 1e-30  # quantiles below are 0, so that no share is denormal, in float32 either
_FLAT, _SHARP = 1e-8, 1e32  # below, and above, the quantiles are those of the limits: 0 and 1, and 1/2


@functools.lru_cache(maxsize=32)
def symmetric_quantiles(alpha: float) -> Array:
    """Return the quantiles of Beta(alpha, alpha) for the probabilities 0, 1/1024, ..., 1, read-only.

    With x = 1 / (1 + exp(-w)) the density in w is proportional to ``cosh(w / 2)**(-2 * alpha)``, smooth and symmetric
    for every alpha. It is integrated over cells of w, up to 0, by Gauss and Legendre; the cell of each quantile is
    found in the sums, and the place in the cell by Newton's method.
    """
    alpha = min(max(alpha, _FLAT), _SHARP)
    nodes, weights = np.polynomial.legendre.leggauss(6)

    def density(w: Array) -> Array:
        half = abs(w) / 2
        return np.exp(-2 * alpha * (half + np.log1p(np.expm1(-2 * half) / 2)))

    def integral(start: Array, length: Array) -> Array:
        w = start[:, np.newaxis] + length[:, np.newaxis] * (nodes + 1) / 2
        return np.asarray(density(w) @ weights * length / 2)

    power = _END / (2 * alpha)  # log cosh(w / 2) at the end
    end = 2 * (power + math.log1p(math.sqrt(-math.expm1(-2 * power))))
    edges = np.linspace(-end, 0, _CELLS + 1)
    sums = np.concatenate([[0.0], np.cumsum(integral(edges[:-1], np.diff(edges)))])
    wanted = sums[-1] * np.arange(1, INTERVALS // 2) / (INTERVALS // 2)
    cell = np.searchsorted(sums, wanted) - 1
    start, missing = edges[cell], wanted - sums[cell]
    width = edges[cell + 1] - start
    step = width * missing / (sums[cell + 1] - sums[cell])
    for _ in range(6):
        step = np.clip(step - (integral(start, step) - missing) / density(start + step), 0, width)
    with np.errstate(under="ignore"):
        e_to_w = np.exp(start + step)
    lower = e_to_w / (1 + e_to_w)
    lower[lower < _LEAST] = 0
    result = np.concatenate([[0.0], lower, [0.5], 1 - lower[::-1], [1.0]])
    result.flags.writeable = False
    return result
