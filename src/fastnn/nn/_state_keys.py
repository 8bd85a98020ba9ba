"""Errors of keys and shapes in state dicts and in the nets that values are copied from: they say what to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from fastnn import _validation as v
from fastnn.engine import Layout

MOST_NAMED = 6  # keys that a message names

Shapes = Mapping[str, tuple[int, ...]]


def refuse_keys(wanted: Shapes, given: Mapping[Any, Any], missing: list[str], unknown: list[Any]) -> NoReturn:
    """Refuse a state dict with other keys than `wanted`."""
    got = [f"no {key!r}" for key in missing] + [f"an unknown {v.shown(key)}" for key in unknown]
    if len(got) > MOST_NAMED:
        got[MOST_NAMED - 1 :] = [f"{len(got) - MOST_NAMED + 1} other differences"]
    fix = _fix(wanted, given, missing, [key for key in unknown if isinstance(key, str)])
    v.refuse(ValueError, "state_dict", "have the keys of net.state_dict() and no others", ", ".join(got), fix)


def _fix(wanted: Shapes, given: Mapping[Any, Any], missing: list[str], unknown: list[str]) -> str:
    """Return what to write in place of a state dict with missing and unknown keys, or ""."""
    for key, value in given.items():
        if isinstance(value, Mapping) and wanted.keys() & value.keys():
            return f"write net.load_state_dict(state_dict[{key!r}])"
    if "optimizer" in given:
        return "load the state of a trainer by trainer.load_state_dict"
    for prefix in _prefixes(missing, unknown):
        if all(prefix + key in given for key in missing):
            return f"write {{key.removeprefix({prefix!r}): array for key, array in state_dict.items()}}"
    near = _nearest(missing, unknown)
    if near is not None:
        return f"write {near[0]!r} for {near[1]!r}"
    if missing and [np.shape(given[key]) for key in unknown] == [wanted[key] for key in missing]:
        return "if the layers are in this order, write dict(zip(net.state_dict(), state_dict.values()))"
    return ""


def _prefixes(missing: list[str], unknown: list[str]) -> dict[str, None]:
    """Return what stands before a missing key in unknown ones, such as "module."."""
    ends = [(key, "." + name, len(name)) for key in unknown for name in missing]
    return dict.fromkeys(key[:-length] for key, end, length in ends if key.endswith(end))


def _nearest(missing: list[str], unknown: list[str]) -> tuple[str, str] | None:
    """Return the first missing key and an unknown one that may be meant by it, a key of the same layer."""
    import difflib

    for key in missing:
        same_layer = [name for name in unknown if name.rpartition(".")[0] == key.rpartition(".")[0]]
        for name in difflib.get_close_matches(key, same_layer, 1):
            return key, name
    return None


def fix_of_shape(wanted: tuple[int, ...], got: tuple[int, ...], has_own_row: bool) -> str:
    """Return what to write in place of an array of another shape, or ""; `has_own_row` is of a table of vectors."""
    if has_own_row and got == (wanted[0] - 1, *wanted[1:]):
        return "append a row for unknown categories: np.vstack([table, table.mean(axis=0)])"
    return ""


def refuse_shapes(*layouts: Layout) -> NoReturn:
    """Refuse a net whose arrays differ from those of this net: pairs of layouts, each of this net and of the other."""
    shapes = [
        (f"{name} {other.shapes.get(name, 'missing')}", f"{name} {layout.shapes.get(name, 'missing')}")
        for layout, other in zip(layouts[::2], layouts[1::2], strict=True)
        for name in {**layout.shapes, **other.shapes}
    ]
    got, wanted = next(pair for pair in shapes if pair[0] != pair[1])
    must = "have arrays of the same shapes as the net"
    v.refuse(ValueError, "other", must, f"{got} where the net has {wanted}")
