"""Histories in files: the figures of all epochs as two tensors, so that a million epochs fit.

The names of an epoch's figures, in their order, are a schema; most fits have one or two. The file has the list of
schemas, for each epoch the number of its schema, and the figures of all epochs one after the other. A figure that is a
string is its number in a list of strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._content import ContentReader, ContentWriter

_KEYS = ("schemas", "strings", "schema", "figures")
_KINDS = ("float", "int", "bool", "str")
_LARGEST = 2**53  # float64 has every integer up to here

Schema = tuple[tuple[str, str], ...]  # name and kind of each figure of an epoch


def pack_history(epochs: Sequence[Mapping[str, Any]], content: ContentWriter, where: str) -> dict[str, Any]:
    """Return the figures of all epochs as plain values, and add their arrays to the content.

    Parameters
    ----------
    epochs : sequence of dict of str to float
        Figures may also be strings, bools and integers of at most 2**53. Epochs may have different ones.
    content : ContentWriter
    where : str
        What messages call it, and the names of the tensors begin with.
    """
    schemas: dict[Schema, int] = {}
    strings: dict[str, int] = {}
    schema = np.empty(len(epochs), np.int32)
    figures: list[float] = []
    for index, epoch in enumerate(epochs):
        kinds: list[tuple[str, str]] = []
        for name, value in epoch.items():
            if type(value) is float:
                kinds.append((name, "float"))
                figures.append(value)
            else:
                kind, number = _number(value, strings, f"{where}[{index}][{v.shown(name)}]")
                kinds.append((name, kind))
                figures.append(number)
        schema[index] = schemas.setdefault(tuple(kinds), len(schemas))
    for name in {name for each in schemas for name, _ in each}:
        v.instance(f"the names of {where}", name, str, "be strings")
    return {
        "schemas": [[list(pair) for pair in each] for each in schemas],
        "strings": list(strings),
        "schema": content.of_array(schema, f"{where}.schema"),
        "figures": content.of_array(np.array(figures, np.float64), f"{where}.figures"),
    }


def _number(value: Any, strings: dict[str, int], where: str) -> tuple[str, float]:
    """Return the kind of a figure, and the number that the file has for it."""
    if isinstance(value, str):
        return "str", strings.setdefault(value, len(strings))
    if isinstance(value, bool | np.bool_):
        return "bool", int(value)
    if isinstance(value, int | np.integer):
        if abs(int(value)) > _LARGEST:
            v.refuse(ValueError, where, "be from -2**53 to 2**53, if it is an integer", value, "write a float")
        return "int", int(value)
    if not isinstance(value, float | np.floating):
        v.refuse(TypeError, where, "be a number or a string", v.kind_of(value))
    return "float", float(value)


def unpack_history(saved: ContentReader, plain: Any, where: str) -> list[dict[str, Any]]:
    """Return the figures of all epochs: a list of dicts, as `pack_history` was given."""
    part = saved.part(plain, where, _KEYS)
    schemas = [
        _schema(each, f"{where}.schemas") for each in v.instance(f"{where}.schemas", part["schemas"], list, "be a list")
    ]
    strings = v.instance(f"{where}.strings", part["strings"], list, "be a list")
    schema = _vector(saved, part["schema"], np.dtype(np.int32), f"{where}.schema")
    figures = _vector(saved, part["figures"], np.dtype(np.float64), f"{where}.figures")
    if schema.size and not 0 <= int(schema.min()) <= int(schema.max()) < len(schemas):
        v.refuse(ValueError, f"{where}.schema", f"contain numbers of the {len(schemas)} schemas", "others")
    ends = np.cumsum(np.array([len(each) for each in schemas], np.int64)[schema]) if schema.size else schema
    count = int(ends[-1]) if ends.size else 0
    if count != figures.size:
        v.refuse(ValueError, f"{where}.figures", f"have the {count} figures of all epochs", figures.size)
    epochs: list[dict[str, Any]] = []
    start = 0
    for which, end in zip(schema.tolist(), ends.tolist(), strict=True):
        pairs = zip(schemas[which], figures[start:end].tolist(), strict=True)
        epochs.append(
            {
                name: number if kind == "float" else _figure(kind, number, strings, where)
                for (name, kind), number in pairs
            }
        )
        start = end
    return epochs


def _schema(given: Any, where: str) -> Schema:
    """Return a schema of a file, which is checked."""
    pairs: list[Any] = v.instance(where, given, list, "contain lists of names and kinds")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[1] not in _KINDS:
            v.refuse(ValueError, where, f"contain pairs of a name and one of {', '.join(_KINDS)}", v.shown(pair))
    if len({name for name, _ in pairs}) < len(pairs):
        v.refuse(ValueError, where, "have each name once in an epoch", v.shown([name for name, _ in pairs]))
    return tuple((name, kind) for name, kind in pairs)


def _vector(saved: ContentReader, plain: Any, dtype: np.dtype[Any], where: str) -> Array:
    """Return an array of a file, a vector of this dtype."""
    array = saved.value(plain, where)
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype != dtype:
        got = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else v.kind_of(array)
        v.refuse(ValueError, where, f"be a vector of {dtype}", got)
    return array


def _figure(kind: str, number: float, strings: list[Any], where: str) -> Any:
    """Return a figure that is no float."""
    most = {"int": _LARGEST, "bool": 1, "str": len(strings) - 1}[kind]
    least = -_LARGEST if kind == "int" else 0
    if not (least <= number <= most and number == int(number)):
        v.refuse(
            ValueError,
            f"{where}.figures",
            f"be whole numbers from {least} to {most} for figures of the kind {kind}",
            number,
        )
    if kind == "str":
        return v.instance(f"{where}.strings", strings[int(number)], str, "contain strings")
    return int(number) if kind == "int" else bool(number)
