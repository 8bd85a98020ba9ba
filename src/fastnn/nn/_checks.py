"""Checks of what nets are made of and run on: layers, dtypes, seeds and input."""

from __future__ import annotations

import math
import os
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.nn.container_base import input_width, output_width, walk_in_order
from fastnn.nn.containers import Columns
from fastnn.nn.layers import Layer

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


def check_once(layers: tuple[Layer, ...]) -> None:
    """Refuse a layer with parameters that is given twice, at any depth: layers share no values."""
    seen: set[int] = set()
    for index, layer in enumerate(layers):
        for leaf in layer.leaves():
            if id(leaf) in seen and (leaf.parameters() or leaf.buffers()):
                within = "" if leaf is layer else f", in {v.shown(layer)}"
                must = "be another object than the layers before it"
                fix = "write a new layer, as layers share no weights"
                v.refuse(ValueError, f"layers[{index}]", must, v.shown(leaf) + within, fix)
            seen.add(id(leaf))


def widths(layers: tuple[Layer, ...]) -> tuple[int, int] | None:
    """Check that layers fit together, and return the widths of input and output; None if no layer defines them."""
    width = input_width(layers)
    last = output_width(layers, width, "layers")
    return None if width is None or last is None else (width, last)


class NoWidth:
    """The width of a net whose layers do not define that of its input: reading it raises an error that says so.

    It is an attribute of the class. Nets with a width have an attribute of their own.
    """

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else _refuse_without_width(instance.layers)

    def __repr__(self) -> str:
        return "a width"


def _refuse_without_width(layers: tuple[Layer, ...]) -> NoReturn:
    must, fix = "contain a layer that defines the width of the input, such as Dense or BatchNorm", ""
    for layer, _ in walk_in_order(layers, None):
        if isinstance(layer, Columns):
            fix = f"write nn.Columns(..., in_features=n), where n is at least {max(layer.columns) + 1}"
    v.refuse(ValueError, "layers", must, v.shown(list(layers)), fix)
