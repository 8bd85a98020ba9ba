"""Specs of the gradient of a table of embeddings. A shape is (rows of the batch, rows of the table, width)."""

import numpy as np

from .spec import EXACT, Spec, normal


def make(padding):
    def arguments(rng, shape, dtype):
        rows, size, width = shape
        ids = rng.integers(0, size, rows)
        ids[: rows // 3] = size // 2  # one category in a third of all rows
        given = {"dy": normal(rng, (rows, width), dtype), "ids": ids, "num_embeddings": size}
        return given | ({"padding_idx": size // 2} if padding else {})

    return arguments


def embedding_grad(dy, ids, num_embeddings, padding_idx=None):
    """Add row after row, as the order of a sum is a part of its contract."""
    result = np.zeros((num_embeddings, dy.shape[1]), dy.dtype)
    with np.errstate(all="ignore"):
        for row, k in zip(dy, ids, strict=True):
            if k != padding_idx:
                result[k] = result[k] + row
    return result


def by_hand(dy, ids, num_embeddings, padding_idx=None):
    result = np.zeros((num_embeddings, dy.shape[1]), dy.dtype)
    np.add.at(result, ids, dy)
    if padding_idx is not None:
        result[padding_idx] = 0
    return result


COMMON = {
    "family": "embedding",
    "function": "embedding_grad",
    "twin": "embedding_grad",
    "oracle": embedding_grad,
    "tiers": {"out": EXACT},
    "numpy": by_hand,
    "shapes": ((0, 3, 4), (3, 2, 0), (0, 1, 1), (1, 1, 1), (7, 5, 9), (9, 700, 3), (33, 8, 530), (61, 17, 127)),
    "large_shape": (4099, 3001, 33),
    "bench_shapes": ((1024, 10_000, 16),),
    "edge_arguments": ("dy",),
}

SPECS = [
    Spec(name="embedding_grad", make=make(False), **COMMON),
    Spec(name="embedding_grad with padding", make=make(True), **COMMON),
]
