"""Values of trainers and averages as state dicts, files and callbacks keep them: by name, in PyTorch's orientation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Layout
from fastnn.nn import Sequential
from fastnn.nn._values import MOST_STEPS, VARIANCE, fill
from fastnn.training.averaging import AverageValues

KEYS_OF_AVERAGE = ("kind", "count", "values", "statistics")
KEYS_OF_VALUES = ("params", "state", "average")


def same_keys(name: str, mapping: object, keys: tuple[str, ...]) -> None:
    """Refuse what is no mapping with these keys and no others."""
    if not isinstance(mapping, Mapping):
        v.refuse(TypeError, name, "be a mapping", v.kind_of(mapping))
    missing = [f"no {key!r}" for key in keys if key not in mapping]
    unknown = [f"an unknown {v.shown(key)}" for key in mapping if key not in keys]
    if missing or unknown:
        must = f"have the keys {', '.join(keys)} and no others" if keys else "be empty"
        v.refuse(ValueError, name, must, ", ".join(missing + unknown))


def number(name: str, value: object) -> float:
    """Return a float, which may be NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        v.refuse(TypeError, name, "be a number", v.shown(value))
    return float(value)


# ---- arrays ----


def by_name(flat: Array, layout: Layout) -> dict[str, Array]:
    """Return copies of the arrays of a flat buffer."""
    return {name: layout.saved(flat, name) for name in layout}


def net_array(where: str, value: Any, layout: Layout, name: str) -> Array:
    """Return an array of a state dict in the orientation of the net."""
    array = v.numeric(where, value)
    v.shape(where, array, layout.saved_shape(name))
    return layout.turned(array, name)


def flat_of(where: str, arrays: Any, layout: Layout, dtype: np.dtype[Any]) -> Array:
    """Return a flat buffer with arrays that `by_name` returned, checked."""
    same_keys(where, arrays, tuple(layout))
    flat = np.zeros(layout.size, dtype)
    for name in layout:
        fill(layout.view(flat, name), net_array(f"{where}[{name!r}]", arrays[name], layout, name))
        if name.endswith(VARIANCE) and np.any(layout.view(flat, name) < 0):
            v.refuse(ValueError, f"{where}[{name!r}]", "contain no number below 0", arrays[name].min())
    return flat


# ---- averages ----


def saved_average(kind: str, average: AverageValues, net: Sequential) -> dict[str, Any]:
    """Return an average as it is in a state dict."""
    computed = 0 < average.count == average.statistics_count
    return {
        "kind": kind,
        "count": average.count,
        "values": by_name(average.values, net.params.layout),
        "statistics": by_name(average.statistics, net.state.layout) if computed else None,
    }


def validated_average(where: str, state: object, kind: str, net: Sequential) -> AverageValues | None:
    """Return a checked copy of a saved average; `kind` is that of the trainer's average, "" without one."""
    fix = "make the trainer with the average of the saved one"
    if state is None or not kind:
        if state is not None or kind:
            must = f"be that of {kind}, as this trainer has it" if kind else "be None, as this trainer has no average"
            v.refuse(ValueError, where, must, "None" if state is None else v.kind_of(state), fix)
        return None
    same_keys(where, state, KEYS_OF_AVERAGE)
    assert isinstance(state, Mapping)
    if not isinstance(state["kind"], str) or state["kind"] != kind:
        error = ValueError if isinstance(state["kind"], str) else TypeError
        v.refuse(error, f"{where}['kind']", f"be {kind!r}, as in this trainer", v.shown(state["kind"]), fix)
    count, statistics = v.integer(f"{where}['count']", state["count"], 0, MOST_STEPS), state["statistics"]
    values = flat_of(f"{where}['values']", state["values"], net.params.layout, net.dtype)
    if statistics is None:
        return AverageValues(values, np.zeros(net.state.layout.size, net.dtype), count, 0)
    computed = flat_of(f"{where}['statistics']", statistics, net.state.layout, net.dtype)
    return AverageValues(values, computed, count, count)


# ---- what a net and its average were at one moment ----


def saved_values(
    net: Sequential, params: Array, state: Array, average: AverageValues | None, kind: str
) -> dict[str, Any]:
    """Return values of parameters, running statistics and average; `kind` is that of the average."""
    return {
        "params": by_name(params, net.params.layout),
        "state": by_name(state, net.state.layout),
        "average": None if average is None else saved_average(kind, average, net),
    }


def validated_values(where: str, values: Any, net: Sequential, kind: str) -> tuple[Array, Array, AverageValues | None]:
    """Return checked copies of what `saved_values` returned; `kind` is that of the trainer's average, "" without."""
    same_keys(where, values, KEYS_OF_VALUES)
    average = values["average"]
    return (
        flat_of(f"{where}['params']", values["params"], net.params.layout, net.dtype),
        flat_of(f"{where}['state']", values["state"], net.state.layout, net.dtype),
        None if average is None else validated_average(f"{where}['average']", average, kind, net),
    )
