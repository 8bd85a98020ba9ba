"""Checkpoints in files: a trainer, the arguments of the fit that was running, and where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastnn import _records
from fastnn import _validation as v
from fastnn.io._content import ContentReader, ContentWriter, reading
from fastnn.nn._values import MOST_STEPS
from fastnn.training._arguments import as_accumulate
from fastnn.training._core import Span, TrainerCore
from fastnn.training._fit import BatchFit, FitArguments, Position, StartOfEpoch, WithinEpoch
from fastnn.training._fit_call import checked_arguments
from fastnn.training._progress import ProgressBar
from fastnn.training._state_values import by_name, flat_of, number, same_keys, saved_average, validated_average
from fastnn.training._trainer_content import FIT, TRAINER_KEYS, check_names, pack_trainer, unpack_trainer
from fastnn.training.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from fastnn.training.logs import TimeLimit
from fastnn.training.state import TrainerState

FIT_KEYS = ("arguments", "data", "span", "ended", "stop_requested", "within", "callbacks")
ARGUMENTS = ("epochs", "batch_size", "shuffle", "metrics", "train_metrics", "augment")
WITHIN = ("done", "loss", "weight", "rate", "seconds", "accumulate", "start")
START = ("params", "state", "training_steps", "average")
OF_A_CALLBACK = ("class", "settings", "state")
MARK = ("shape", "dtype", "sha256")

MADE_AGAIN: dict[str, type[Callback]] = {
    f"fastnn.{kind.__name__}": kind for kind in (EarlyStopping, ReduceLROnPlateau, TimeLimit)
}
"""The callbacks that need not be passed again: they are made of plain settings, and write no files."""


# ---- to a file ----


def save_checkpoint(fit: BatchFit, position: Position, path: str | os.PathLike[str]) -> None:
    """Write trainer and position of a running fit into a file."""
    trainer, content = fit.trainer, ContentWriter()
    assert isinstance(trainer, TrainerState)
    part = {
        "arguments": _packed_arguments(fit, content),
        "data": content.value(dict(position.data), f"{FIT}.data"),
        "span": list(position.span),
        "ended": position.ended,
        "stop_requested": position.stop_requested,
        "within": None if position.within is None else _packed_within(position.within, trainer, content),
        "callbacks": [
            _packed_callback(each, state, f"{FIT}.callbacks.{index}", content)
            for index, (each, state) in enumerate(position.states)
            if not isinstance(each, ProgressBar)
        ],
    }
    whole = {**pack_trainer(trainer, content), FIT: part}
    check_names(content)
    content.write(path, "checkpoint", whole)


def _packed_arguments(fit: BatchFit, content: ContentWriter) -> dict[str, Any]:
    arguments, evaluation = fit.arguments, fit.evaluation
    packed = {name: getattr(arguments, name) for name in ARGUMENTS}
    own = arguments.metrics is not None or fit.trainer.metrics is not evaluation.metrics  # a callback may set others
    packed["metrics"] = dict(evaluation.metrics) if own and evaluation.evaluates else None
    packed["augment"] = arguments.augment.given
    return {name: content.value(value, f"{FIT}.{name}") for name, value in packed.items()}


def _packed_within(within: WithinEpoch, trainer: TrainerState, content: ContentWriter) -> dict[str, Any]:
    net, start, averaging = trainer.net, within.start, trainer.averaging
    average = None
    if start.average is not None and averaging is not None:
        average = saved_average(averaging.kind, start.average, net)
    values = {
        "params": by_name(start.params, net.params.layout),
        "state": by_name(start.state, net.state.layout),
        "training_steps": start.training_steps,
        "average": average,
    }
    packed = {name: getattr(within, name) for name in WITHIN if name != "start"} | {"start": values}
    return {name: content.value(value, f"{FIT}.{name}") for name, value in packed.items()}


def _packed_callback(
    callback: Callback, state: Mapping[str, Any], where: str, content: ContentWriter
) -> dict[str, Any]:
    kind = type(callback)
    settings = _settings(callback) if _records.is_own(kind) else {}
    return {
        "class": _class_name(kind),
        "settings": content.value(settings, f"{where}.settings"),
        "state": content.value(dict(state), f"{where}.state"),
    }


def _class_name(kind: type[Callback]) -> str:
    """Return "fastnn.EarlyStopping", and of a user's class its name alone: its module may be a program or imported."""
    return v.public_name(kind) if _records.is_own(kind) else kind.__name__


def _settings(callback: Callback) -> dict[str, Any]:
    """Return the arguments of one of fastnn's callbacks, without paths: what a file says must not choose a file."""
    return {name: value for name, value in callback._arguments().items() if name != "path"}


# ---- from a file ----


def read_checkpoint(
    kind: type[TrainerState],
    path: str | os.PathLike[str],
    callbacks: Sequence[Callback],
    functions: Mapping[str, Callable[..., Any]],
    own: Callable[[Mapping[str, Any]], Callback],
) -> tuple[TrainerState, FitArguments, Position, list[Callback]]:
    """Return what a checkpoint has: trainer, arguments, position, and all callbacks of the rest of the fit.

    `callbacks` are those that the user passes again; `own` makes the `Checkpoint` of its settings.
    """
    with reading(path, "checkpoint", functions=functions) as saved:
        content = saved.part(saved.content, "the content", (*TRAINER_KEYS, FIT))
        part = saved.part(content.pop(FIT), FIT, FIT_KEYS)
        # A run that diverges has finite values again before anything is written; slots may be infinite.
        trainer = unpack_trainer(saved, content, kind, allow_nonfinite=True)
        arguments = _arguments(saved, part["arguments"], trainer)
        states, everything = _callbacks(saved, part["callbacks"], list(callbacks), own)
        position = Position(
            _span(part["span"]),
            v.integer(f"{FIT}.ended", part["ended"], 0, arguments.epochs),
            v.boolean(f"{FIT}.stop_requested", part["stop_requested"]),
            None if part["within"] is None else _within(saved, part["within"], trainer),
            states,
            _marks(saved, part["data"]),
        )
        return trainer, arguments, position, everything


def _arguments(saved: ContentReader, part: Any, trainer: TrainerCore) -> FitArguments:
    part = saved.part(part, f"{FIT}.arguments", ARGUMENTS)
    return checked_arguments(trainer, **{name: saved.value(value, f"{FIT}.{name}") for name, value in part.items()})


def _marks(saved: ContentReader, part: Any) -> dict[str, Any]:
    where = f"{FIT}.data"
    marks = v.instance(where, saved.value(part, where), dict, "be a dict")
    for name, mark in marks.items():
        same_keys(f"{where}[{name!r}]", mark, MARK)
        v.instance(f"{where}[{name!r}]['shape']", mark["shape"], list, "be a list")
    return marks


def _span(given: Any) -> Span:
    counts = v.instance(f"{FIT}.span", given, list, "be a list")
    if len(counts) != len(Span._fields):
        v.refuse(ValueError, f"{FIT}.span", f"have {len(Span._fields)} entries", len(counts))
    lengths, starts = counts[:2], counts[2:]
    return Span(
        *(v.integer(f"{FIT}.span", each, 1, MOST_STEPS) for each in lengths),
        *(v.integer(f"{FIT}.span", each, 0, MOST_STEPS) for each in starts),
    )


def _within(saved: ContentReader, part: Any, trainer: TrainerState) -> WithinEpoch:
    part = saved.part(part, f"{FIT}.within", WITHIN)
    part = {name: saved.value(value, f"{FIT}.{name}") for name, value in part.items()}
    start = saved.part(part["start"], f"{FIT}.start", START)
    net, average = trainer.net, None
    if start["average"] is not None:
        kind = "" if trainer.averaging is None else trainer.averaging.kind
        average = validated_average(f"{FIT}.start['average']", start["average"], kind, net)
    return WithinEpoch(
        v.integer(f"{FIT}.done", part["done"], 1),
        number(f"{FIT}.loss", part["loss"]),
        number(f"{FIT}.weight", part["weight"]),
        None if part["rate"] is None else number(f"{FIT}.rate", part["rate"]),
        number(f"{FIT}.seconds", part["seconds"]),
        as_accumulate(net, part["accumulate"]),
        StartOfEpoch(
            flat_of(f"{FIT}.start['params']", start["params"], net.params.layout, net.dtype),
            flat_of(f"{FIT}.start['state']", start["state"], net.state.layout, net.dtype),
            v.integer(f"{FIT}.start['training_steps']", start["training_steps"], 0, MOST_STEPS),
            average,
        ),
    )


def _callbacks(
    saved: ContentReader, part: Any, given: list[Callback], own: Callable[[Mapping[str, Any]], Callback]
) -> tuple[list[tuple[Callback, Mapping[str, Any]]], list[Callback]]:
    """Return the callbacks of the fit with their states, and all callbacks: further ones follow those of the fit."""
    states: list[tuple[Callback, Mapping[str, Any]]] = []
    left = list(given)
    for index, entry in enumerate(v.instance(f"{FIT}.callbacks", part, list, "be a list")):
        where = f"{FIT}.callbacks.{index}"
        entry = saved.part(entry, where, OF_A_CALLBACK)
        settings, state = (saved.value(entry[key], f"{where}.{key}") for key in ("settings", "state"))
        for each in (settings, state):
            v.instance(where, each, dict, "have dicts")
        callback = _of_class(v.instance(f"{where}.class", entry["class"], str, "be a string"), settings, left, own)
        states.append((callback, state))
    return states, [*(callback for callback, _ in states), *left]


def _of_class(
    name: str, settings: Mapping[str, Any], left: list[Callback], own: Callable[[Mapping[str, Any]], Callback]
) -> Callback:
    """Take the first callback of a class from those that are left, or make one of fastnn's own."""
    for index, callback in enumerate(left):
        if _class_name(type(callback)) != name:
            continue
        if _records.is_own(type(callback)):
            own_settings = _settings(callback)
            # A Checkpoint may write at other times; but what has been the best one is known for one figure alone.
            compared = ("monitor", "mode") if name == "fastnn.Checkpoint" else {**own_settings, **settings}
            if any(own_settings.get(key) != settings.get(key) for key in compared):
                wanted = ", ".join(f"{key}={value!r}" for key, value in settings.items())
                v.refuse(ValueError, "callbacks", f"have the settings of the fit, {name}({wanted})", repr(callback))
        return left.pop(index)
    if name == "fastnn.Checkpoint":
        return own(settings)
    if name not in MADE_AGAIN:
        must = f"contain the {name} of the fit"
        v.refuse(ValueError, "callbacks", must, "none", "pass it again, made as it was for the fit")
    kind = MADE_AGAIN[name]
    same_keys(f"the settings of {kind.__name__}", settings, tuple(_records.parameters(kind)))
    return kind(**settings)
