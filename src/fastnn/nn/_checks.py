"""Checks of dtypes, seeds and the input of nets."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array

_NATIVE_DTYPES = frozenset(map(np.dtype, (np.float32, np.float64, np.uint8)))  # byte-swapped ones compare unequal


def is_native(array: Array) -> bool:
    """Whether executors can read the array without a copy."""
    return array.dtype in _NATIVE_DTYPES and array.flags.aligned


def as_native(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` itself if executors can read it, else a copy of this dtype."""
    return array if is_native(array) else v.contiguous(name, array, dtype)


def as_rows(name: str, value: npt.ArrayLike, width: int, dtype: np.dtype[Any]) -> Array:
    """Return `value` as rows of `width` numbers that executors can read: itself, or a copy of this dtype."""
    array = v.numeric(name, value)
    if array.ndim != 2 or array.shape[1] != width:
        v.shape(name, array, ("n", width), _rows_fix(name, array, width))
    return as_native(name, array, dtype)


def _rows_fix(name: str, array: Array, width: int) -> str:
    """Return what to write instead of an array that is no rows of `width` numbers."""
    if array.ndim == 1 and width == 1:
        return f"write {name}[:, np.newaxis]"
    if array.shape == (width,):
        return f"for a single row write {name}[np.newaxis]"
    if array.ndim > 2 and math.prod(array.shape[1:]) == width:
        return f"write {name}.reshape(len({name}), -1)"
    return ""


def float_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = v.shown(dtype, str)
    if name not in ("float32", "float64"):  # no suggestion: float16 is no misspelt float64
        v.refuse(ValueError, "dtype", "be one of float32, float64", repr(name))
    return np.dtype(name)


# How to draw a seed from objects that users give in its place, by the names of their classes.
_SEEDS = {
    "Generator": "int(rng.integers(2**63))",
    "BitGenerator": "int(np.random.Generator(bits).integers(2**63))",
    "RandomState": "int(rng.randint(2**63, dtype=np.int64))",
    "SeedSequence": "int(sequence.generate_state(1, np.uint64)[0])",
    "Random": "rng.getrandbits(63)",
}


def check_seed(seed: int | None) -> int:
    """Return the seed, or one drawn from the operating system for None."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little") >> 1
    for kind in type(seed).__mro__:
        if kind.__name__ in _SEEDS:
            v.refuse(TypeError, "seed", "be an integer", type(seed).__name__, f"write seed={_SEEDS[kind.__name__]}")
    return v.integer("seed", seed, 0, 2**64 - 1)
