"""The state dict of a trainer: its keys, its slots by name, and its validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn._updates import SQUARES
from fastnn.engine import Layout

__all__ = ["slots_by_name", "validated_state"]

KEYS = ("optimizer", "step_count", "schedule_step", "epoch", "lr", "training_steps", "history", "slots")
FIGURES = ("loss", "lr", "seconds")  # keys of every epoch of the history


def slots_by_name(names: tuple[str, ...], slots: tuple[Array, ...], layout: Layout) -> dict[str, dict[str, Array]]:
    """Return copies of the slots by slot name and parameter name, in PyTorch's orientation."""

    def part(slot: Array, name: str) -> Array:
        return np.ascontiguousarray(layout.view(slot, name).T.copy("C"))

    return {key: {name: part(slot, name) for name in layout} for key, slot in zip(names, slots, strict=True)}


def validated_state(state: object, kind: str, names: tuple[str, ...], layout: Layout) -> dict[str, Any]:
    """Return a checked copy of a state dict, with the slots in the orientation of the parameters' layout."""
    if not isinstance(state, Mapping):
        v.refuse(TypeError, "state_dict", "be a mapping of names to values", v.kind_of(state))
    _same_keys("state_dict", state, KEYS)
    saved_kind = state["optimizer"]
    if not isinstance(saved_kind, str) or saved_kind != kind:
        error = ValueError if isinstance(saved_kind, str) else TypeError
        fix = "make the trainer with the optimiser of the saved one"
        v.refuse(error, "state_dict['optimizer']", f"be {kind!r}, as in this trainer", v.shown(saved_kind), fix)
    checked: dict[str, Any] = {"optimizer": kind}
    for key in ("step_count", "schedule_step", "epoch", "training_steps"):
        checked[key] = v.integer(f"state_dict[{key!r}]", state[key], 0)
    checked["lr"] = v.real("state_dict['lr']", state["lr"], 0)
    checked["history"] = _history(state["history"])
    slots, where = state["slots"], "state_dict['slots']"
    _same_keys(where, slots, names)
    checked["slots"] = {}
    for key in names:
        _same_keys(f"{where}[{key!r}]", slots[key], tuple(layout))
        checked["slots"][key] = {
            name: _slot(f"{where}[{key!r}][{name!r}]", key, slots[key][name], layout.shapes[name]) for name in layout
        }
    return checked


def _same_keys(name: str, mapping: object, keys: tuple[str, ...]) -> None:
    if not isinstance(mapping, Mapping):
        v.refuse(TypeError, name, "be a mapping", v.kind_of(mapping))
    missing = [f"no {key!r}" for key in keys if key not in mapping]
    unknown = [f"an unknown {v.shown(key)}" for key in mapping if key not in keys]
    if missing or unknown:
        must = f"have the keys {', '.join(keys)} and no others" if keys else "be empty"
        v.refuse(ValueError, name, must, ", ".join(missing + unknown))


def _history(history: object) -> list[dict[str, float]]:
    name = "state_dict['history']"
    if not isinstance(history, list):
        v.refuse(TypeError, name, "be a list with a dict for each epoch", v.kind_of(history))
    for epoch in history:
        if not isinstance(epoch, Mapping) or not all(isinstance(key, str) for key in epoch):
            v.refuse(TypeError, name, "contain mappings of names to numbers", v.shown(epoch))
    return [
        {key: _figure(f"{name}[{i}][{key!r}]", key, epoch[key]) for key in epoch} for i, epoch in enumerate(history)
    ]


def _figure(name: str, key: str, value: Any) -> Any:
    """Return a number, which may be NaN. Callbacks may have added strings under other keys than the trainer's."""
    if isinstance(value, str) and key not in FIGURES and not key.startswith("val_"):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        v.refuse(TypeError, name, "be a number", v.shown(value))
    except OverflowError:  # an integer or a fraction that is too large for a float
        v.refuse(ValueError, name, "be a number that a float holds", value)


def _slot(name: str, key: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = v.numeric(name, value)
    v.shape(name, array, shape[::-1])
    if key in SQUARES and np.any(array < 0):
        v.refuse(ValueError, name, "contain no number below 0", array.min())
    return array.T
