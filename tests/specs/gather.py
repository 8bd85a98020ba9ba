"""Specs of the row gather. A shape is (picked rows, rows of x, features)."""

import numpy as np

from .spec import EXACT, Spec


def make_gather(source):
    """Return what makes arguments with x of this dtype; None is the dtype of the result."""

    def make(rng, shape, dtype):
        count, rows, features = shape
        x = rng.integers(0, 256, (rows, features)) if source == np.uint8 else rng.standard_normal((rows, features))
        picked = rng.integers(0, max(rows, 1), count)
        return {"x": x.astype(source or dtype), "rows": picked, "dtype": dtype}

    return make


def gather(x, rows, dtype):
    return np.array([x[row] for row in rows], x.dtype).reshape(len(rows), x.shape[1]).astype(dtype)


GATHER = {
    "family": "gather",
    "twin": "gather",
    "function": "gather",
    "oracle": gather,
    "tiers": {"out": EXACT},
    "numpy": lambda x, rows, dtype: x[rows].astype(dtype),
    "shapes": ((0, 3, 4), (0, 0, 4), (3, 2, 0), (1, 1, 1), (7, 5, 9), (9, 31, 17), (33, 8, 33), (17, 61, 127)),
    "large_shape": (4099, 301, 133),
    "bench_shapes": ((128, 60_000, 784),),
}

SPECS = [
    Spec(name="gather", make=make_gather(None), edge_arguments=("x",), **GATHER),
    Spec(name="gather of bytes", make=make_gather(np.uint8), **GATHER),
    Spec(name="gather of float64", make=make_gather(np.float64), edge_arguments=("x",), **GATHER),
    Spec(name="gather of float32", make=make_gather(np.float32), edge_arguments=("x",), **GATHER),
]
