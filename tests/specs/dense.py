"""Specs of the dense layer's products and sums. A shape is (rows, features, units)."""

import math

import numpy as np

from .spec import BOUND, Spec, normal, wide

DENSE = {
    "family": "dense",
    "tiers": {"out": BOUND},
    "shapes": (
        # empty along each axis
        (0, 4, 5),
        (4, 0, 5),
        (4, 5, 0),
        # around the sizes of vectors and tiles
        (1, 1, 1),
        (1, 7, 9),
        (2, 8, 8),
        (3, 9, 7),
        (5, 16, 15),
        (7, 61, 1),
        (13, 17, 33),
        (14, 31, 32),
        (15, 33, 31),
        (29, 64, 65),
        (43, 257, 97),
        (43, 512, 97),  # rows that lie a multiple of 2 KiB apart
        (127, 300, 70),
        (1, 513, 64),
        # so few columns that the lanes hold rows
        (35, 37, 2),
        (150, 16, 4),
        (47, 70, 8),
        # more terms than a block of terms holds, in each of the three products
        (5, 1030, 33),
        (9, 7, 515),
        (516, 19, 33),
    ),
    "large_shape": (301, 570, 131),
    "bench_shapes": ((64, 64, 64), (128, 784, 256), (1024, 256, 256)),
    # no large finite values: whether a sum of their products overflows depends on its order
    "edge_values": (0.0, -0.0, 1e-310, -1e-40, math.inf, -math.inf, math.nan),
}


def product(a, b, init=0.0, magnitude=0.0):
    """Return a @ b + init, and its bound; `magnitude` is that of init.

    Bound: with n terms, a term is rounded as a product and in at most n additions, init's among them; init itself in
    at most n additions: n + 1 roundings. FMA and blocks of terms make fewer.
    """
    a, b = wide(a), wide(b)
    terms = a.shape[1]
    return a @ b + init, (terms + 1) * (np.abs(a) @ np.abs(b) + magnitude)


def sum_rows(dy):
    """Return the sum of the rows, and its bound.

    Bound: with n rows, n - 1 additions, and one rounding of the twin's sum in float64.
    """
    dy = wide(dy)
    return dy.sum(axis=0), len(dy) * np.abs(dy).sum(axis=0)


def make_dense(rng, shape, dtype):
    rows, features, units = shape
    return {
        "x": normal(rng, (rows, features), dtype),
        "w": normal(rng, (features, units), dtype),
        "b": normal(rng, units, dtype),
    }


SPECS = [
    Spec(
        name="dense",
        twin="dense",
        make=make_dense,
        oracle=lambda x, w, b: product(x, w, init=wide(b), magnitude=np.abs(b)),
        numpy=lambda x, w, b: x @ w + b,
        row_arguments=("x",),
        edge_arguments=("x", "b"),
        **DENSE,
    ),
    Spec(
        name="dense without bias",
        function="dense",
        twin="dense",
        make=lambda rng, shape, dtype: {k: a for k, a in make_dense(rng, shape, dtype).items() if k != "b"},
        oracle=lambda x, w: product(x, w),
        numpy=lambda x, w: x @ w,
        row_arguments=("x",),
        **DENSE,
    ),
    Spec(
        name="dense_grad_input",
        twin="dense_grad_input",
        make=lambda rng, shape, dtype: {
            "dy": normal(rng, (shape[0], shape[2]), dtype),
            "w": normal(rng, shape[1:], dtype),
        },
        oracle=lambda dy, w: product(dy, w.T),
        numpy=lambda dy, w: dy @ w.T,
        row_arguments=("dy",),
        edge_arguments=("dy",),
        **DENSE,
    ),
    Spec(
        name="dense_grad_weight",
        twin="dense_grad_weight",
        make=lambda rng, shape, dtype: {
            "x": normal(rng, shape[:2], dtype),
            "dy": normal(rng, (shape[0], shape[2]), dtype),
        },
        oracle=lambda x, dy: product(x.T, dy),
        numpy=lambda x, dy: x.T @ dy,
        edge_arguments=("x",),
        **DENSE,
    ),
    Spec(
        name="dense_grad_bias",
        twin="dense_grad_bias",
        make=lambda rng, shape, dtype: {"dy": normal(rng, (shape[0], shape[2]), dtype)},
        oracle=sum_rows,
        numpy=lambda dy: dy.sum(axis=0),
        edge_arguments=("dy",),
        **DENSE,
    ),
]
