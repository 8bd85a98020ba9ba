"""The state of an estimator's optimiser in files: numbers as plain values, arrays by the names of the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn._updates import SLOTS, SQUARES
from fastnn.engine import Layout
from fastnn.io._content import OWN, ContentReader, ContentWriter
from fastnn.io._histories import pack_history, unpack_history
from fastnn.nn import Sequential
from fastnn.nn._values import MOST_STEPS, VARIANCE
from fastnn.optim.averages import AVERAGES
from fastnn.sklearn._average import AverageState
from fastnn.sklearn._model import Model
from fastnn.sklearn._optimizer import OptimizerState
from fastnn.training.averaging import AverageValues

COUNTS = ("t", "epoch", "schedule_step")
RATES = ("learning_rate_init", "learning_rate", "base_rate")
COUNTS_OF_AVERAGE = ("count", "statistics_count")


def pack_optimizer(state: OptimizerState | None, model: Model, content: ContentWriter) -> dict[str, Any] | None:
    """Return the state as plain values, and add its arrays to the content, in PyTorch's orientation."""
    if state is None:
        return None
    layout = model.net.params.layout
    for slot, arrays in zip(SLOTS[state.kind], state.slots, strict=True):
        for name, array in zip(model.names, arrays, strict=True):
            content.put(_slot_name(slot, name), layout.turned(array, name))
    return {
        "kind": state.kind,
        **{name: content.value(getattr(state, name), f"_optimizer.{name}") for name in (*COUNTS, *RATES)},
        "history": pack_history(state.history, content, "_optimizer.history"),
        "average": None if state.average is None else _pack_average(state.average, model.net, content),
    }


def _slot_name(slot: str, name: str) -> str:
    return f"{OWN}slots.{slot}.{name}"


def _pack_average(state: AverageState, net: Sequential, content: ContentWriter) -> dict[str, Any]:
    pairs = {"average": (state.average.values, state.average.statistics), "trained": state.trained}
    for prefix, arrays in pairs.items():
        for arena, flat in zip((net.params, net.state), arrays, strict=True):
            for name in arena.layout:
                content.put(f"{OWN}{prefix}.{name}", arena.layout.saved(flat, name))
    return {"kind": state.kind, **{name: getattr(state.average, name) for name in COUNTS_OF_AVERAGE}}


def unpack_optimizer(saved: ContentReader, part: Any, model: Model, allowed: bool) -> OptimizerState | None:
    """Return the state that `pack_optimizer` has packed; with `allowed`, its arrays may have NaN and infinity."""
    if part is None:
        return None
    part = saved.part(part, "_optimizer", ("kind", *COUNTS, *RATES, "history", "average"))
    layout, kind = model.net.params.layout, v.choice("_optimizer.kind", part["kind"], SLOTS)
    slots = []
    for slot in SLOTS[kind]:
        arrays = (
            take(saved, _slot_name(slot, name), v.FLOATS, layout.saved_shape(name), slot in SQUARES, allowed)
            for name in model.names
        )
        slots.append([np.ascontiguousarray(layout.turned(*each)) for each in zip(arrays, model.names, strict=True)])
    state = OptimizerState(kind, v.real("_optimizer.learning_rate_init", part["learning_rate_init"], 0), slots)
    for name in COUNTS:
        setattr(state, name, v.integer(f"_optimizer.{name}", part[name], 0, MOST_STEPS))
    for name in RATES:
        setattr(state, name, v.real(f"_optimizer.{name}", part[name], 0))
    state.history = unpack_history(saved, part["history"], "_optimizer.history")
    state.average = None if part["average"] is None else _unpack_average(saved, part["average"], model.net, allowed)
    return state


def _unpack_average(saved: ContentReader, part: Mapping[str, Any], net: Sequential, allowed: bool) -> AverageState:
    where = "_optimizer.average"
    part = saved.part(part, where, ("kind", *COUNTS_OF_AVERAGE))
    kind = v.choice(f"{where}.kind", part["kind"], AVERAGES)
    count, statistics_count = (v.integer(f"{where}.{each}", part[each], 0, MOST_STEPS) for each in COUNTS_OF_AVERAGE)
    layouts = net.params.layout, net.state.layout
    values, statistics = (_flat(saved, "average", layout, net, allowed) for layout in layouts)
    params, state = (_flat(saved, "trained", layout, net, allowed) for layout in layouts)
    return AverageState(kind, AverageValues(values, statistics, count, statistics_count), (params, state))


def _flat(saved: ContentReader, prefix: str, layout: Layout, net: Sequential, allowed: bool) -> Array:
    """Return the arrays of a layout in one, with zeros in the gaps."""
    flat = np.zeros(layout.size, net.dtype)
    for name in layout:
        shape, is_variance = layout.saved_shape(name), name.endswith(VARIANCE)
        array = take(saved, f"{OWN}{prefix}.{name}", (net.dtype,), shape, is_variance, allowed)
        layout.view(flat, name)[...] = layout.turned(array, name)
    return flat


def take(
    saved: ContentReader,
    name: str,
    dtypes: Sequence[np.dtype[Any]],
    shape: tuple[int, ...] | None = None,
    squares: bool = False,
    allowed: bool = False,
) -> Array:
    """Return a tensor of floats, and refuse one of another kind.

    Parameters
    ----------
    saved : ContentReader
    name : str
    dtypes : sequence of dtype
        Those that it may have.
    shape : tuple of int, optional
    squares : bool
        Whether no number may be below 0.
    allowed : bool
        Whether it may have NaN and infinity.
    """
    label, entry = f"the tensor {name!r} of {saved.file.path}", saved.file.entries.get(name)
    if entry is not None:  # before it takes memory
        if entry.dtype not in dtypes:
            v.refuse(ValueError, label, f"be of dtype {' or '.join(map(str, dtypes))}", entry.dtype)
        if shape not in (None, entry.shape):
            v.refuse(ValueError, label, f"have shape {shape}", entry.shape)
    array = saved.take(name)
    if not (allowed or v.all_finite(array)):
        v.refuse(ValueError, label, "be finite", "NaN or infinity", "pass allow_nonfinite=True if it has to be")
    if squares and (array < 0).any():
        v.refuse(ValueError, label, "contain no number below 0", array.min())
    return array
