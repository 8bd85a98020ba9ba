"""The state of an estimator's optimiser in files: numbers as plain values, arrays by the names of the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._updates import SLOTS, SQUARES
from fastnn.io._content import OWN, ContentReader, ContentWriter
from fastnn.io._histories import pack_history, unpack_history
from fastnn.nn import Sequential
from fastnn.nn._values import MOST_STEPS
from fastnn.optim.averages import AVERAGES
from fastnn.sklearn._average import AverageState
from fastnn.sklearn._model import Model
from fastnn.sklearn._optimizer import OptimizerState
from fastnn.training._state_values import by_name, flat_of, same_keys, saved_average, validated_average

COUNTS = ("t", "epoch", "schedule_step")
RATES = ("learning_rate_init", "learning_rate", "base_rate")
TRAINED = ("params", "state")


def pack_optimizer(state: OptimizerState | None, model: Model, content: ContentWriter) -> dict[str, Any] | None:
    """Return the state as plain values, and add its arrays to the content, in PyTorch's orientation."""
    if state is None:
        return None
    net, average, trained = model.net, None, None
    layout = net.params.layout
    if state.average is not None:
        average = saved_average(state.average.kind, state.average.average, net)
        flats = zip(TRAINED, state.average.trained, (net.params, net.state), strict=True)
        trained = {key: by_name(flat, arena.layout) for key, flat, arena in flats}
    for slot, arrays in zip(SLOTS[state.kind], state.slots, strict=True):
        for name, array in zip(model.names, arrays, strict=True):
            content.put(_slot_name(slot, name), layout.turned(array, name))
    return {
        "kind": state.kind,
        **{name: content.value(getattr(state, name), f"_optimizer.{name}") for name in (*COUNTS, *RATES)},
        "history": pack_history(state.history, content, "_optimizer.history"),
        "average": content.value(average, "average"),
        "trained": content.value(trained, "trained"),
    }


def _slot_name(slot: str, name: str) -> str:
    return f"{OWN}slots.{slot}.{name}"


def unpack_optimizer(saved: ContentReader, part: Any, model: Model, allow_nonfinite: bool) -> OptimizerState | None:
    """Return the state that `pack_optimizer` has packed; its arrays may have NaN and infinity if allowed."""
    if part is None:
        return None
    part = saved.part(part, "_optimizer", ("kind", *COUNTS, *RATES, "history", "average", "trained"))
    layout, kind = model.net.params.layout, v.choice("_optimizer.kind", part["kind"], SLOTS)
    slots = []
    for slot in SLOTS[kind]:
        arrays = (
            saved.take(
                _slot_name(slot, name),
                dtypes=v.FLOATS,
                shape=layout.saved_shape(name),
                nonnegative=slot in SQUARES,
                allow_nonfinite=allow_nonfinite,
            )
            for name in model.names
        )
        slots.append([np.ascontiguousarray(layout.turned(*each)) for each in zip(arrays, model.names, strict=True)])
    state = OptimizerState(kind, v.real("_optimizer.learning_rate_init", part["learning_rate_init"], 0), slots)
    for name in COUNTS:
        setattr(state, name, v.integer(f"_optimizer.{name}", part[name], 0, MOST_STEPS))
    for name in RATES:
        setattr(state, name, v.real(f"_optimizer.{name}", part[name], 0))
    state.history = unpack_history(saved, part["history"], "_optimizer.history")
    state.average = _unpack_average(saved, part, model.net, allow_nonfinite)
    return state


def _unpack_average(saved: ContentReader, part: Any, net: Sequential, allow_nonfinite: bool) -> AverageState | None:
    """Return the average, and what is trained, of the state's part."""
    where = "_optimizer.average"
    given, trained = (saved.value(part[key], f"_optimizer.{key}") for key in ("average", "trained"))
    if given is None and trained is None:
        return None
    given = v.instance(where, given, dict, "be a dict if there is something trained besides")
    kind = v.choice(f"{where}['kind']", given.get("kind"), AVERAGES)
    average = validated_average(where, given, kind, net)
    assert average is not None
    same_keys("_optimizer.trained", trained, TRAINED)
    params, state = (
        flat_of(f"_optimizer.trained[{key!r}]", trained[key], arena.layout, net.dtype)
        for key, arena in zip(TRAINED, (net.params, net.state), strict=True)
    )
    for name, arrays in ((where, (average.values, average.statistics)), ("_optimizer.trained", (params, state))):
        if not (allow_nonfinite or all(map(v.all_finite, arrays))):
            v.refuse(ValueError, name, "be finite", "NaN or infinity", "pass allow_nonfinite=True if it has to be")
    return AverageState(kind, average, (params, state))
