"""Specs of sums, products and copies of columns. A shape of a copy is (rows, columns copied, columns beside them)."""

import numpy as np

from .spec import ELEMENTWISE, EXACT, Spec, normal, rounder


def pair(name, operation):
    """Return the spec of an operation of two arrays. float64 holds the result of float32, or rounds it once."""
    return Spec(
        name=name,
        family="joins",
        twin=name,
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "x2": normal(rng, shape, dtype)},
        oracle=lambda x, x2: rounder(x)(operation(x.astype(np.float64), x2.astype(np.float64))).astype(x.dtype),
        tiers={"out": EXACT},
        numpy=operation,
        edge_arguments=("x", "x2"),
        **ELEMENTWISE,
    )


def some_columns(rng, count, beside, neighbours):
    """Return different columns of count + beside: in any order, or neighbours in two runs that changed places."""
    if not neighbours:
        return rng.permutation(count + beside)[:count]
    return np.concatenate([beside + np.arange(count // 2, count), np.arange(count // 2)])


def make_take(neighbours):
    def make(rng, shape, dtype):
        rows, count, beside = shape
        columns = some_columns(rng, count, beside, neighbours)
        if not neighbours and count > 2:
            columns[0] = columns[2]  # one is taken twice
        return {"x": normal(rng, (rows, count + beside), dtype), "columns": columns}

    return make


def make_put(neighbours, clear):
    def make(rng, shape, dtype):
        rows, count, beside = shape
        columns = some_columns(rng, count, beside, neighbours)
        out = normal(rng, (rows, count + beside), dtype)
        return {"x": normal(rng, (rows, count), dtype), "columns": columns, "out": out, "clear": clear}

    return make


def take(x, columns):
    result = np.empty((len(x), len(columns)), x.dtype)
    for j, column in enumerate(columns):
        result[:, j] = x[:, column]
    return result


def put(x, columns, out, clear):
    result = np.zeros_like(out) if clear else out.copy()
    for j, column in enumerate(columns):
        result[:, column] = x[:, j]
    return result


def put_by_hand(x, columns, out, clear):
    if clear:
        out[...] = 0
    out[:, columns] = x


COLUMNS = {
    "family": "joins",
    "tiers": {"out": EXACT},
    "shapes": (
        (0, 3, 4),
        (3, 0, 4),
        (0, 0, 0),
        (1, 1, 1),
        (7, 5, 4),
        (2, 9, 0),
        (9, 31, 17),
        (33, 66, 5),
        (17, 61, 127),
    ),
    "large_shape": (4099, 301, 33),
    "bench_shapes": ((128, 32, 32), (1024, 256, 256)),
}
TAKE = {
    "function": "take_columns",
    "twin": "take_columns",
    "oracle": take,
    "numpy": lambda x, columns: x[:, columns],
    "row_arguments": ("x",),
    "edge_arguments": ("x",),
}
PUT = {
    "function": "put_columns",
    "twin": "put_columns",
    "oracle": put,
    "numpy": put_by_hand,
    "out": None,
    "in_place": ("out",),
    "row_arguments": ("x", "out"),
    "edge_arguments": ("x", "out"),
}

SPECS = [
    pair("add", lambda x, x2: x + x2),
    pair("multiply", lambda x, x2: x * x2),
    Spec(name="take_columns", make=make_take(False), **TAKE, **COLUMNS),
    Spec(name="take_columns of neighbours", make=make_take(True), **TAKE, **COLUMNS),
    Spec(name="put_columns", make=make_put(False, False), **PUT, **COLUMNS),
    Spec(name="put_columns, cleared", make=make_put(False, True), **PUT, **COLUMNS),
    Spec(name="put_columns of neighbours, cleared", make=make_put(True, True), **PUT, **COLUMNS),
]
