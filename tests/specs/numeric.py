"""Specs of the encodings of columns of numbers and of factors of columns.

A shape is (rows, columns, the most bins of a column) or (rows, columns, frequencies of a column); of the factors (rows,
columns).
"""

import math

import numpy as np

from .spec import BOUND, EXACT, Spec, Ulp, normal, rounder, wide

NO_OVERFLOW = (0.0, -0.0, 1e-310, -1e-40, 1e10, math.nan)

# ---- piecewise linear ----


def some_bins(rng, columns, most):
    """Return the edges of each column; the last column has one bin."""
    counts = [*rng.integers(1, most + 1, columns - 1), 1] if columns > 1 else [most]
    return tuple(tuple(np.sort(1.5 * rng.standard_normal(count + 1)).tolist()) for count in counts)


def make_piecewise(*names):
    def make(rng, shape, dtype):
        rows, columns, most = shape
        bins = some_bins(rng, columns, most)
        x = normal(rng, (rows, columns), dtype)
        for j, edges in enumerate(bins):
            on_edge = rng.permutation(rows)[: min(len(edges), rows // 4)]
            x[on_edge, j] = edges[: len(on_edge)]
        widths = {"dy": sum(len(edges) - 1 for edges in bins)}
        return {**{name: normal(rng, (rows, widths[name]), dtype) for name in names}, "x": x, "bins": bins}

    return make


def each_bin(x, bins):
    """Yield the column of x, whether its entries are left and right of the bin, the left edge and 1 / width."""
    r = rounder(x)
    for column, edges in zip(x.T.astype(np.float64), bins, strict=True):
        last = len(edges) - 2
        for t in range(last + 1):
            left, right = float(r(edges[t])), float(r(edges[t + 1]))
            below = (column < left) if t > 0 else np.zeros(len(x), bool)
            above = (column >= right) if t < last else np.zeros(len(x), bool)
            yield column, below, above, left, float(r(1 / (edges[t + 1] - edges[t])))


def piecewise_linear(x, bins):
    r = rounder(x)
    entries = [
        np.select([below, above], [0, 1], r(r(column - left) * scale))
        for column, below, above, left, scale in each_bin(x, bins)
    ]
    return np.stack(entries, axis=1).astype(x.dtype)


def piecewise_linear_backward(dy, x, bins):
    r, result, number = rounder(x), np.zeros(x.shape), 0
    entries = list(each_bin(x, bins))
    for j, edges in enumerate(bins):
        for _ in edges[1:]:
            column, below, above, _, scale = entries[number]
            inside = ~below & ~above & ~np.isnan(column)
            result[inside, j] = r(dy[inside, number].astype(np.float64) * scale)
            number += 1
        result[np.isnan(x[:, j]), j] = np.nan
    return (result + 0.0).astype(x.dtype)


def piecewise_by_hand(x, bins):
    parts = []
    for column, edges in zip(x.T, bins, strict=True):
        z = (column[:, np.newaxis] - edges[:-1]) / np.diff(edges)
        low, high = np.zeros(z.shape[1]), np.ones(z.shape[1])
        low[0], high[-1] = -np.inf, np.inf
        parts.append(np.clip(z, low, high))
    return np.hstack(parts)


def piecewise_backward_by_hand(dy, x, bins):
    dx, first = np.empty_like(x), 0
    for j, edges in enumerate(bins):
        t = np.clip(np.searchsorted(edges, x[:, j], side="right") - 1, 0, len(edges) - 2)
        dx[:, j] = np.take_along_axis(dy[:, first:], t[:, np.newaxis], axis=1)[:, 0] / np.diff(edges)[t]
        first += len(edges) - 1
    return dx


PIECEWISE = {
    "family": "numeric",
    "tiers": {"out": EXACT},
    "shapes": ((0, 3, 4), (1, 1, 1), (3, 2, 2), (7, 3, 5), (9, 4, 17), (5, 1, 16), (33, 5, 33), (61, 2, 67)),
    "large_shape": (4099, 7, 50),
    "bench_shapes": ((128, 8, 48), (1024, 13, 48)),
}

SPECS = [
    Spec(
        name="piecewise_linear",
        twin="piecewise_linear",
        make=make_piecewise(),
        oracle=piecewise_linear,
        numpy=piecewise_by_hand,
        row_arguments=("x",),
        edge_arguments=("x",),
        **PIECEWISE,
    ),
    Spec(
        name="piecewise_linear_backward",
        twin="piecewise_linear_backward",
        make=make_piecewise("dy"),
        oracle=piecewise_linear_backward,
        numpy=piecewise_backward_by_hand,
        row_arguments=("dy", "x"),
        edge_arguments=("dy", "x"),
        **PIECEWISE,
    ),
]

# ---- periodic ----


def make_periodic(*names):
    """Return what makes arguments of these names. `y` need not be a result of `periodic`."""

    def make(rng, shape, dtype):
        rows, columns, k = shape
        shapes = {"x": (rows, columns), "frequencies": (columns, k)}
        return {name: normal(rng, shapes.get(name, (rows, 2 * columns * k)), dtype, scale=3.0) for name in names}

    return make


def periodic(x, frequencies):
    """Return cos and sin of 2 pi t, with t rounded once, after an exact reduction to an eighth of a turn."""
    t = rounder(x)(x.astype(np.float64)[:, :, np.newaxis] * frequencies.astype(np.float64))
    t = t if x.dtype == np.float32 else t.astype(np.longdouble)
    rest = np.fmod(t, 1)
    quarters = np.rint(4 * rest)
    angle = 2 * np.arccos(rest.dtype.type(-1)) * (rest - quarters / 4)
    cos, sin = np.cos(angle), np.sin(angle)
    turns = [quarters % 4 == 0, quarters % 4 == 1, quarters % 4 == 2, quarters % 4 == 3]
    nan = np.full_like(cos, np.nan)
    both = np.select(turns, [cos, -sin, -cos, sin], nan), np.select(turns, [sin, cos, -sin, -cos], nan)
    return np.concatenate(both, axis=2).reshape(len(x), 2 * frequencies.size)


def periodic_by_hand(x, frequencies):
    angle = 2 * np.pi * x[:, :, np.newaxis] * frequencies
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=2).reshape(len(x), 2 * frequencies.size)


def angle_gradients(dy, y, columns):
    """Return cos * dsin - sin * dcos, and the sum of the magnitudes of both products: (rows, columns, k)."""
    cos_sin, d = (wide(a).reshape(len(a), columns, 2, a.shape[1] // (2 * columns)) for a in (y, dy))
    first, second = cos_sin[:, :, 0] * d[:, :, 1], cos_sin[:, :, 1] * d[:, :, 0]
    return first - second, abs(first) + abs(second)


def two_pi(a):
    return 2 * np.arccos(wide(a).dtype.type(-1))


def periodic_grad_input(dy, y, frequencies):
    """Bound: a product, a difference, a product with c, k additions, the constant and the product with it: k + 5."""
    g, magnitude = angle_gradients(dy, y, len(frequencies))
    n, c = frequencies.shape[1] + 6, wide(frequencies)
    return two_pi(dy) * (g * c).sum(axis=2), n * two_pi(dy) * (magnitude * abs(c)).sum(axis=2)


def periodic_grad_frequencies(dy, x, y):
    """Bound: as that of the input's, with an addition for each row: rows + 5."""
    g, magnitude = angle_gradients(dy, y, x.shape[1])
    n, x = len(x) + 6, wide(x)[:, :, np.newaxis]
    return two_pi(dy) * (g * x).sum(axis=0), n * two_pi(dy) * (magnitude * abs(x)).sum(axis=0)


def gradients_by_hand(dy, y, columns):
    k = dy.shape[1] // (2 * columns)
    (cos, sin), (dcos, dsin) = (np.moveaxis(a.reshape(len(a), columns, 2, k), 2, 0) for a in (y, dy))
    return 2 * np.pi * (cos * dsin - sin * dcos)


PERIODIC = {
    "family": "numeric",
    "shapes": ((0, 3, 4), (2, 3, 0), (1, 1, 1), (3, 2, 2), (7, 3, 5), (9, 4, 17), (33, 3, 33), (17, 2, 67)),
    "large_shape": (4099, 7, 48),
    "bench_shapes": ((128, 8, 48), (1024, 13, 48)),
}

SPECS += [
    Spec(
        name="periodic",
        twin="periodic",
        make=make_periodic("x", "frequencies"),
        oracle=periodic,
        tiers={"out": Ulp(2)},
        numpy=periodic_by_hand,
        row_arguments=("x",),
        edge_arguments=("x", "frequencies"),
        **PERIODIC,
    ),
    Spec(
        name="periodic_grad_input",
        twin="periodic_grad_input",
        make=make_periodic("dy", "y", "frequencies"),
        oracle=periodic_grad_input,
        tiers={"out": BOUND},
        numpy=lambda dy, y, frequencies: (gradients_by_hand(dy, y, len(frequencies)) * frequencies).sum(axis=2),
        row_arguments=("dy", "y"),
        edge_arguments=("dy",),
        edge_values=NO_OVERFLOW,
        **PERIODIC,
    ),
    Spec(
        name="periodic_grad_frequencies",
        twin="periodic_grad_frequencies",
        make=make_periodic("dy", "x", "y"),
        oracle=periodic_grad_frequencies,
        tiers={"out": BOUND},
        numpy=lambda dy, x, y: (gradients_by_hand(dy, y, x.shape[1]) * x[:, :, np.newaxis]).sum(axis=0),
        edge_arguments=("dy", "x"),
        edge_values=NO_OVERFLOW,
        **PERIODIC,
    ),
]

# ---- a factor for each column ----


def make_factors(*names):
    def make(rng, shape, dtype):
        return {name: normal(rng, shape[1] if name == "scale" else shape, dtype) for name in names}

    return make


def scale_columns(x, scale):
    return rounder(x)(x.astype(np.float64) * scale.astype(np.float64)).astype(x.dtype)


def scale_columns_backward(dy, x, scale):
    """Bound: a product and an addition for each row: rows + 1."""
    products = wide(dy) * wide(x)
    dscale = products.sum(axis=0), (len(x) + 1) * abs(products).sum(axis=0)
    return scale_columns(dy, scale), dscale


FACTORS = {
    "family": "numeric",
    "shapes": ((0, 3), (3, 0), (1, 1), (2, 7), (7, 9), (9, 16), (15, 17), (16, 31), (31, 33), (5, 61), (3, 1025)),
    "large_shape": (4099, 133),
    "bench_shapes": ((128, 256), (1024, 1024)),
}

SPECS += [
    Spec(
        name="scale_columns",
        twin="scale_columns",
        make=make_factors("x", "scale"),
        oracle=scale_columns,
        tiers={"out": EXACT},
        numpy=lambda x, scale: x * scale,
        row_arguments=("x",),
        out_may_be=("x",),
        edge_arguments=("x", "scale"),
        **FACTORS,
    ),
    Spec(
        name="scale_columns_backward",
        twin="scale_columns_backward",
        make=make_factors("dy", "x", "scale"),
        oracle=scale_columns_backward,
        tiers={"out": EXACT, "dscale": BOUND},
        numpy=lambda dy, x, scale: (dy * scale, (dy * x).sum(axis=0)),
        returns=("out", "dscale"),
        out_may_be=("dy",),
        edge_arguments=("dy", "x"),
        edge_values=NO_OVERFLOW,
        **FACTORS,
    ),
]
