"""Specs of what scalers of columns do. A shape is (rows, features), and of quantiles (rows, features, quantiles)."""

from statistics import NormalDist

import numpy as np

from .spec import BOUND, EXACT, Spec, normal, wide

SHAPES = ((0, 3), (3, 0), (1, 1), (7, 5), (2, 9), (9, 31), (33, 17), (17, 61))
COLUMNS = {
    "family": "scaling",
    "shapes": SHAPES,
    "large_shape": (4099, 301),
    "bench_shapes": ((128, 784), (1024, 64)),
    "row_arguments": ("x",),
    "edge_arguments": ("x",),
    "out_may_be": ("x",),
}


def missing(rng, array):
    """Return the array with NaN in about a third of its entries."""
    array[rng.random(array.shape) < 0.3] = np.nan
    return array


def make_fill(rng, shape, dtype):
    x, fill = missing(rng, normal(rng, shape, dtype)), normal(rng, shape[1], dtype)
    fill[1::3] = np.nan  # nothing is filled there
    return {"x": x, "fill": fill}


def fill_nan(x, fill):
    result = x.copy()
    for j, number in enumerate(fill):
        result[np.isnan(x[:, j]), j] = number
    return result


def make_clip(rng, shape, dtype):
    limit = np.exp(normal(rng, shape[1], dtype))
    limit[2::4] = np.inf
    return {"x": normal(rng, shape, dtype, 5), "limit": limit}


def smooth_clip(x, limit):
    """x / sqrt(1 + (x / limit)^2) = x * limit / hypot(x, limit).

    The kernel rounds the quotient x / limit, which counts twice in its square and half in the root, the square and the
    sum, each half, the root and the division: 4 u in all.
    """
    x, limit = wide(x), np.broadcast_to(wide(limit), x.shape)
    largest = np.maximum(np.abs(x), limit)
    with np.errstate(all="ignore"):
        value = np.where(np.isinf(limit), x, x / largest * (limit / np.hypot(x / largest, limit / largest)))
    value = np.where(np.isinf(x) & ~np.isinf(limit), np.copysign(limit, x), value)
    return value, 4 * np.abs(value)


def make_quantiles(rng, shape, dtype):
    """Return quantiles of which some are equal, at the ends as well, of one column all, and numbers on and between."""
    rows, features, n = shape
    quantiles = np.sort(normal(rng, (n, features), dtype), axis=0)
    quantiles[: n // 4, 1::3] = quantiles[n // 4, 1::3]
    quantiles[n // 2 : n // 2 + 3, ::2] = quantiles[n // 2, ::2]
    quantiles[:, 3::7] = quantiles[0, 3::7]
    quantiles[:, 4::7] = np.nan
    x = normal(rng, (rows, features), dtype, 1.5)
    own = rng.random(x.shape) < 0.3
    x[own] = quantiles[rng.integers(0, n, x.shape), np.arange(features)][own]
    return {"x": x, "quantiles": np.sort(quantiles, axis=0)}


def share_below(x, q):
    """Return the mean of the linear interpolations that np.interp makes from the left and from the right."""
    x, q = x.astype(np.float64), q.astype(np.float64)
    shares = np.arange(len(q), dtype=np.longdouble) / (len(q) - 1)
    share = (interpolated(x, q, shares) - interpolated(-x, -q[::-1], -shares[::-1])) / 2
    share = np.where(x <= q[0], 0, np.where(x >= q[-1], 1, share))
    return np.where((x == q[0]) & (x == q[-1]), np.longdouble(0.5), share)


def interpolated(x, q, shares):
    at = np.clip(np.searchsorted(q, x, "right"), 1, len(q) - 1)
    low, high = q[at - 1].astype(np.longdouble), q[at].astype(np.longdouble)
    with np.errstate(all="ignore"):
        part = np.where(high > low, (x - low) / (high - low), 1)
    return shares[at - 1] + (shares[at] - shares[at - 1]) * part


def upper_tail(z):
    """Return 1 - Phi(z) and the density, z >= 0: by the series of erf, from 2.5 on by Laplace's continued fraction."""
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.longdouble(np.pi))
    term, total, fraction = z, z, z
    for k in range(1, 50):
        term = term * z * z / (2 * k + 1)
        total = total + term
    for k in range(80, 0, -1):
        fraction = z + k / np.maximum(fraction, 1e-9)
    return np.where(z < 2.5, 0.5 - density * total, density / np.maximum(fraction, 1e-9)), density


python_quantile = np.frompyfunc(NormalDist().inv_cdf, 1, 1)


def normal_quantile(share):
    """Return z with Phi(z) = share, and the density there: by Newton's method, which doubles the right digits."""
    tail = np.minimum(share, 1 - share)
    z = -python_quantile(tail.astype(float)).astype(np.longdouble)
    for _ in range(3):
        above, density = upper_tail(z)
        z = np.maximum(z + (above - tail) / density, 0)
    return np.copysign(z, share - 0.5), density


def quantile_normal(x, quantiles):
    """The kernel computes in double for both types.

    The share has at most 6 roundings there; the polynomials and the root have relative errors of 16 u at most. float32
    rounds once more.
    """
    value, share = x.astype(np.longdouble), np.full(x.shape, np.nan, np.longdouble)
    for j, q in enumerate(quantiles.T):
        if not np.isnan(q[0]):
            share[:, j] = np.where(np.isnan(x[:, j]), np.nan, share_below(x[:, j], q))
    mapped = ~np.isnan(share)
    share = np.clip(share, np.longdouble(1e-7), 1 - np.longdouble(1e-7))
    bound = np.zeros_like(value)
    value[mapped], density = normal_quantile(share[mapped])
    bound[mapped] = 6 * share[mapped] / density + 16 * np.abs(value[mapped])
    return value, bound if x.dtype == np.float64 else np.abs(value) + bound * 2.0**-29


def by_interp(x, quantiles):
    """What a user would write: interpolation from the left and from the right, and the normal quantile."""
    shares, out = np.linspace(0, 1, len(quantiles)), x.copy()
    for j, q in enumerate(quantiles.T):
        column = x[:, j]
        share = (np.interp(column, q, shares) - np.interp(-column, -q[::-1], -shares[::-1])) / 2
        share = np.where(q[0] == q[-1], share, np.where(column == q[0], 0, np.where(column == q[-1], 1, share)))
        if not np.isnan(q[0]):
            out[:, j] = python_quantile(np.clip(share, 1e-7, 1 - 1e-7))
    return out


SPECS = [
    Spec(
        name="fill_nan",
        twin="fill_nan",
        make=make_fill,
        oracle=fill_nan,
        tiers={"out": EXACT},
        numpy=lambda x, fill: np.where(np.isnan(x), fill, x),
        **COLUMNS,
    ),
    Spec(
        name="smooth_clip",
        twin="smooth_clip",
        make=make_clip,
        oracle=smooth_clip,
        tiers={"out": BOUND},
        numpy=lambda x, limit: x / np.sqrt(1 + (x / limit) ** 2),
        **COLUMNS,
    ),
    Spec(
        name="quantile_normal",
        twin="quantile_normal",
        make=make_quantiles,
        oracle=quantile_normal,
        tiers={"out": BOUND},
        numpy=by_interp,
        **COLUMNS
        | {
            "shapes": (*((*shape, 5) for shape in SHAPES), (9, 8, 2), (40, 9, 100)),
            "large_shape": (4099, 31, 50),
            "bench_shapes": ((128, 64, 100), (1024, 64, 1000)),
        },
    ),
]
