"""NumPy twins of what scalers of columns do: they fill NaN, clip smoothly, map quantiles to the normal."""

import numpy as np

from fastnn._typing import Array

_CLIPPED = 2.0**30  # from here on t / sqrt(1 + t^2) is 1 to the last digit
_SMALLEST_TAIL = 1e-7

# The numbers of Wichura's PPND16, from the constant term on.
_MIDDLE = (
    3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
)  # fmt: skip
_MIDDLE_UNDER = (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
)  # fmt: skip
_TAILS = (
    1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
    1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
)  # fmt: skip
_TAILS_UNDER = (
    1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
)  # fmt: skip


def fill_nan(x: Array, fill: Array, out: Array, threads: int) -> None:
    """Write the column's number where x is NaN."""
    out[...] = np.where(np.isnan(x), fill, x)


@np.errstate(all="ignore")
def smooth_clip(x: Array, limit: Array, out: Array, threads: int) -> None:
    """Return x / sqrt(1 + (x / limit)^2), without overflow."""
    t = x / limit
    clipped = np.where(np.abs(t) >= _CLIPPED, np.copysign(limit, x), x / np.sqrt(1 + t * t))
    out[...] = np.where(np.isinf(limit), x, clipped)


@np.errstate(all="ignore")
def quantile_normal(x: Array, quantiles: Array, out: Array, threads: int) -> None:
    """Return the normal distribution's quantile of the share of each column below x; there is a row for each column."""
    for j, q in enumerate(quantiles):
        column = x[:, j]
        if not np.isnan(q[0]):
            column = np.where(np.isnan(column), column, _normal_quantile(_share_below(q, column)))
        out[:, j] = column


def _share_below(q: Array, x: Array) -> Array:
    """Return the share below x of a distribution with the quantiles q at 0, 1 / (n - 1), ..., 1, in float64.

    It is linear between them, and the middle of the step where some are equal.
    """
    n, wide, places = len(q), q.astype(np.float64), x.astype(np.float64)
    first, last = np.searchsorted(q, x, "left"), np.searchsorted(q, x, "right")
    above = np.clip(first, 1, n - 1)
    a, b = wide[above - 1], wide[above]
    overflows = np.isinf(b - a)
    part = np.where(overflows, (places / 2 - a / 2) / (b / 2 - a / 2), (places - a) / (b - a))
    share = np.where(last > first, 0.5 * (first + last - 1), above - 1 + part) / (n - 1)
    share = np.where(x <= q[0], 0.0, np.where(x >= q[-1], 1.0, share))
    return np.where((x == q[0]) & (x == q[-1]), 0.5, share)


def _normal_quantile(p: Array) -> Array:
    """Return the number that a share p of the normal distribution is below, for 1e-7 <= p <= 1 - 1e-7.

    Wichura's PPND16 (algorithm AS 241, Applied Statistics 37, 1988), relative error about 1e-16.
    """
    from_half = p - 0.5
    r = 0.180625 - from_half * from_half
    middle = from_half * _polynomial(_MIDDLE, r) / _polynomial(_MIDDLE_UNDER, r)
    r = np.sqrt(-np.log(np.maximum(np.where(from_half < 0, p, 1 - p), _SMALLEST_TAIL))) - 1.6
    tails = np.copysign(_polynomial(_TAILS, r) / _polynomial(_TAILS_UNDER, r), from_half)
    return np.where(np.abs(from_half) <= 0.425, middle, tails)


def _polynomial(factors: tuple[float, ...], r: Array) -> Array:
    total = np.full_like(r, factors[-1])
    for factor in reversed(factors[:-1]):
        total = total * r + factor
    return total
