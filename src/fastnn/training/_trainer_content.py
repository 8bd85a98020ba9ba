"""Trainers in files: the net, the settings, the state and the history."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn import _records
from fastnn import _validation as v
from fastnn.io._content import OWN, ContentReader, ContentWriter, reading
from fastnn.io._histories import pack_history, unpack_history
from fastnn.io._nets import check_net_class, pack_net, unpack_net
from fastnn.training.state import KEYS, TrainerState, checked_history

TRAINER_KEYS = ("net", "settings", "state", "history", "run")
SETTINGS = (
    "loss", "optimizer", "schedule", "penalty", "clip_value", "clip_norm", "metrics", "accumulate", "average",
)  # fmt: skip
STATE_KEYS = tuple(key for key in KEYS if key != "history")
RESERVED = frozenset(
    {"cls", "path", "allow_nonfinite", "X", "y", "validation_data", "callbacks", "sample_weight", "verbose"}
)
FIT = "fit"  # the part of a checkpoint that a trainer's file has not


def save_trainer(trainer: TrainerState, path: str | os.PathLike[str]) -> None:
    """Write a trainer into a file; see `Trainer.save`."""
    check_class(trainer)
    content = writer_for(trainer)
    part = pack_trainer(trainer, content)
    check_names(content)
    content.write(path, "trainer", part)


def writer_for(trainer: TrainerState) -> ContentWriter:
    """Return a writer in which functions have the names under which they were passed to `load` or `resume`."""
    return ContentWriter(functions=trainer._passed_functions)


def check_class(trainer: TrainerState) -> None:
    """Refuse objects of users' classes: the attributes and methods that they have besides would not come back."""
    check_net_class(trainer.net, "trainer.net")
    if not _records.is_own(type(trainer)):
        must = "be a fastnn.Trainer, as files contain no classes of yours"
        fix = "make one with the same net and settings, and write that.load_state_dict(trainer.state_dict())"
        v.refuse(TypeError, "trainer", must, v.kind_of(trainer), fix)


def check_names(content: ContentWriter) -> None:
    """Refuse functions that could not be passed again by their names."""
    if taken := sorted(content.functions.keys() & RESERVED):
        must = f"have names other than {', '.join(sorted(RESERVED))}, as Trainer.load and Trainer.resume take these"
        v.refuse(
            ValueError, "functions of a trainer in a file", must, v.shown(taken[0]), "give it another name, by def"
        )


def load_trainer(
    kind: type[TrainerState],
    path: str | os.PathLike[str],
    functions: Mapping[str, Callable[..., Any]],
    allow_nonfinite: bool,
) -> TrainerState:
    """Return the trainer in a file, also in a checkpoint."""
    with reading(path, "trainer", "checkpoint", functions=functions) as saved:
        if saved.kind == "checkpoint":
            saved.skip(saved.content.pop(FIT, None), f"{FIT}.")
        return unpack_trainer(saved, saved.content, kind, allow_nonfinite=allow_nonfinite)


def pack_trainer(trainer: TrainerState, content: ContentWriter) -> dict[str, Any]:
    """Return a trainer as plain values, and add its arrays to the content; all are of one moment."""
    twin = trainer.copy()
    state = twin.state_dict()
    return {
        "net": pack_net(twin.net, content),
        "settings": {name: _packed_setting(name, getattr(twin, name), content) for name in SETTINGS},
        "state": {key: content.value(state[key], key) for key in STATE_KEYS},
        "history": pack_history(checked_history(state["history"], "history"), content, "history"),
        "run": trainer.run_name,
    }


def _packed_setting(name: str, value: Any, content: ContentWriter) -> Any:
    if isinstance(value, Mapping):
        value = dict(value)
    elif value == math.inf:  # no limit
        value = None
    return content.value(value, f"trainer.{name}")


def unpack_trainer(saved: ContentReader, part: Any, kind: type[TrainerState], *, allow_nonfinite: bool) -> TrainerState:
    """Return the trainer of a file's content."""
    part = saved.part(part, "the content", TRAINER_KEYS)
    given = saved.part(part["settings"], "settings", SETTINGS)
    settings = {name: saved.value(value, f"trainer.{name}") for name, value in given.items()}
    state = {key: saved.value(value, key) for key, value in saved.part(part["state"], "state", STATE_KEYS).items()}
    if not allow_nonfinite:
        for key in ("slots", "average"):
            _check_finite(f"{OWN}{key}", state[key])
    net = unpack_net(saved, part["net"], allow_nonfinite=allow_nonfinite)
    history = checked_history(unpack_history(saved, part["history"], "history"), "history")
    trainer = kind(net, **settings)
    trainer.load_state_dict({**state, "history": history})
    trainer._passed_functions = dict(saved.functions)
    if part["run"] is not None:
        trainer.name_run(v.instance("run", part["run"], str, "be a string"))
    return trainer


def _check_finite(name: str, value: Any) -> None:
    """Refuse arrays with NaN and infinity, whatever else there is."""
    if isinstance(value, dict):
        for key, each in value.items():
            _check_finite(f"{name}.{key}", each)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and not v.all_finite(value):
        fix = "pass allow_nonfinite=True if it has to be"
        v.refuse(ValueError, f"the tensor {name!r}", "be finite", "NaN or infinity", fix)
