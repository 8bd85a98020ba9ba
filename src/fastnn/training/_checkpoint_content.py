"""Checkpoints in files: a trainer, the arguments of the fit that was running, and where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias, cast

from fastnn import _records
from fastnn import _validation as v
from fastnn.io._content import ContentReader, ContentWriter, reading
from fastnn.io._json import MOST_DEPTH
from fastnn.nn._values import MOST_STEPS
from fastnn.training._arguments import as_accumulate
from fastnn.training._core import Span, TrainerCore
from fastnn.training._fit import BatchFit
from fastnn.training._fit_call import checked_arguments
from fastnn.training._position import FitArguments, FitSnapshot, Position, StartOfEpoch, WithinEpoch
from fastnn.training._progress import ProgressBar
from fastnn.training._state_values import KEYS_OF_VALUES, number, same_keys, saved_values, validated_values
from fastnn.training._trainer_content import (
    FIT,
    TRAINER_KEYS,
    check_class,
    check_names,
    pack_trainer,
    unpack_trainer,
    writer_for,
)
from fastnn.training.callbacks import Callback
from fastnn.training.state import TrainerState

# The format's own lists, on purpose: to rename a field of a dataclass must not change what files have.
FIT_KEYS = ("arguments", "data", "span", "ended", "stop_requested", "within", "callbacks")
ARGUMENTS = ("epochs", "batch_size", "shuffle", "metrics", "train_metrics", "augment")
WITHIN = ("done", "loss", "weight", "rate", "seconds", "accumulate", "order_epoch", "start")
START = (*KEYS_OF_VALUES, "training_steps")
CALLBACK_KEYS = ("class", "settings", "state")
FINGERPRINT_KEYS = ("shape", "dtype", "sha256")

Makers: TypeAlias = Mapping[str, Callable[..., Callback]]
"""By the names of their classes, what makes the callbacks that need not be passed again, of their settings."""


# ---- to a file ----


def check_can_be_kept(fit: BatchFit) -> None:
    """Refuse a fit with a setting that a file cannot hold; the states of callbacks are not asked for."""
    trainer = fit.trainer
    assert isinstance(trainer, TrainerState)
    check_class(trainer)
    content = writer_for(trainer)
    _packed_arguments(fit, trainer, content)
    pack_trainer(trainer, content)
    check_names(content)


def save_checkpoint(
    fit: BatchFit, snapshot: FitSnapshot, path: str | os.PathLike[str], trainer: TrainerState | None = None
) -> None:
    """Write a trainer, by default the fit's as it is now, and a snapshot of the fit into a file."""
    if trainer is None:
        assert isinstance(fit.trainer, TrainerState)
        trainer = fit.trainer
    position, content = snapshot.position, writer_for(trainer)
    part = {
        "arguments": _packed_arguments(fit, trainer, content),
        "data": content.value(dict(snapshot.data), f"{FIT}.data"),
        "span": list(position.span),
        "ended": position.ended,
        "stop_requested": position.stop_requested,
        "within": None if position.within is None else _packed_within(position.within, trainer, content),
        "callbacks": [
            _packed_callback(each, state, f"{FIT}.callbacks.{index}", content)
            for index, (each, state) in enumerate(snapshot.states)
            if not isinstance(each, ProgressBar)
        ],
    }
    whole = {**pack_trainer(trainer, content), FIT: part}
    check_names(content)
    content.write(path, "checkpoint", whole)


def _packed_arguments(fit: BatchFit, trainer: TrainerState, content: ContentWriter) -> dict[str, Any]:
    arguments, evaluation = fit.arguments, fit.evaluation
    packed = {name: getattr(arguments, name) for name in ARGUMENTS}
    own = arguments.metrics is not None or trainer.metrics is not evaluation.metrics  # a callback may set others
    packed["metrics"] = dict(evaluation.metrics) if own and evaluation.evaluates else None
    packed["augment"] = arguments.augment.given
    return {name: content.value(value, f"{FIT}.arguments.{name}") for name, value in packed.items()}


def _packed_within(within: WithinEpoch, trainer: TrainerState, content: ContentWriter) -> dict[str, Any]:
    start, averaging = within.start, trainer.averaging
    average = None if averaging is None else start.average
    values = saved_values(trainer.net, start.params, start.state, average, "" if averaging is None else averaging.kind)
    packed = {name: getattr(within, name) for name in WITHIN}
    packed["start"] = {**values, "training_steps": start.training_steps}
    return {name: content.value(value, f"{FIT}.within.{name}") for name, value in packed.items()}


def _packed_callback(
    callback: Callback, state: Mapping[str, Any], where: str, content: ContentWriter
) -> dict[str, Any]:
    kind = type(callback)
    settings = _settings(callback) if _records.is_own(kind) else {}
    try:
        packed = content.value(dict(state), f"{where}.state")
    except (TypeError, ValueError) as error:
        _refuse_state(error, dict(state), f"{kind.__name__}.on_checkpoint()")
    return {
        "class": _class_name(kind),
        "settings": content.value(settings, f"{where}.settings"),
        "state": packed,
    }


def _refuse_state(error: Exception, state: Any, name: str) -> NoReturn:
    """Raise an error of what a file cannot hold, which names it as users write it."""

    def look(value: Any, place: str, depth: int = 0) -> None:
        if depth > MOST_DEPTH:
            v.refuse(ValueError, name, f"be at most {MOST_DEPTH} lists and dicts deep", "more, or one within itself")
        if isinstance(value, dict):
            for key, each in value.items():
                v.instance(f"a key of {place}", key, str, "be a string")
                look(each, f"{place}[{v.shown(key)}]", depth + 1)
        elif isinstance(value, list | tuple):
            for index, each in enumerate(value):
                look(each, f"{place}[{index}]", depth + 1)
        else:
            ContentWriter().value(value, place)

    look(state, name)
    raise error  # of two functions with one name


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
    makers: Makers,
) -> tuple[TrainerState, FitArguments, FitSnapshot, list[Callback]]:
    """Return what a checkpoint has: trainer, arguments, snapshot, and all callbacks of the rest of the fit.

    `callbacks` are those that the user passes again.
    """
    with reading(path, "checkpoint", functions=functions, spare_functions=True) as saved:
        content = saved.part(saved.content, "the content", (*TRAINER_KEYS, FIT))
        part = saved.part(content.pop(FIT), FIT, FIT_KEYS)
        # A run that diverges has finite values again before anything is written; slots may be infinite.
        trainer = unpack_trainer(saved, content, kind, allow_nonfinite=True)
        arguments = _arguments(saved, part["arguments"], trainer)
        states, all_callbacks = _callbacks(saved, part["callbacks"], callbacks, makers)
        position = Position(
            _span(part["span"]),
            v.integer(f"{FIT}.ended", part["ended"], 0, arguments.epochs),
            v.boolean(f"{FIT}.stop_requested", part["stop_requested"]),
            None if part["within"] is None else _within(saved, part["within"], trainer),
        )
        return trainer, arguments, FitSnapshot(position, states, _fingerprints(saved, part["data"])), all_callbacks


def _arguments(saved: ContentReader, part: Any, trainer: TrainerCore) -> FitArguments:
    where = f"{FIT}.arguments"
    part = saved.part(part, where, ARGUMENTS)
    return checked_arguments(trainer, **{name: saved.value(value, f"{where}.{name}") for name, value in part.items()})


def _fingerprints(saved: ContentReader, part: Any) -> dict[str, Any]:
    where = f"{FIT}.data"
    fingerprints = v.instance(where, saved.value(part, where), dict, "be a dict")
    for name, each in fingerprints.items():
        same_keys(f"{where}[{name!r}]", each, FINGERPRINT_KEYS)
        for key, kind in (("shape", list), ("dtype", str), ("sha256", str)):
            v.instance(f"{where}[{name!r}][{key!r}]", each[key], kind, f"be a {kind.__name__}")
    return fingerprints


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
    where = f"{FIT}.within"
    part = saved.part(part, where, WITHIN)
    part = {name: saved.value(value, f"{where}.{name}") for name, value in part.items()}
    start = dict(saved.part(part["start"], f"{where}.start", START))
    steps = v.integer(f"{where}.start['training_steps']", start.pop("training_steps"), 0, MOST_STEPS)
    kind = "" if trainer.averaging is None else trainer.averaging.kind
    params, state, average = validated_values(f"{where}.start", start, trainer.net, kind)
    return WithinEpoch(
        v.integer(f"{where}.done", part["done"], 1),
        number(f"{where}.loss", part["loss"]),
        number(f"{where}.weight", part["weight"]),
        None if part["rate"] is None else number(f"{where}.rate", part["rate"]),
        number(f"{where}.seconds", part["seconds"]),
        as_accumulate(trainer.net, part["accumulate"]),
        v.integer(f"{where}.order_epoch", part["order_epoch"], 0, MOST_STEPS),
        StartOfEpoch(params, state, steps, average),
    )


# ---- the callbacks of a file ----


def _callbacks(
    saved: ContentReader, part: Any, given: Sequence[Callback], makers: Makers
) -> tuple[list[tuple[Callback, Mapping[str, Any]]], list[Callback]]:
    """Return the callbacks of the fit with their states, and all callbacks: further ones follow those of the fit."""
    states: list[tuple[Callback, Mapping[str, Any]]] = []
    left, made = list(given), list[Callback]()
    for index, entry in enumerate(v.instance(f"{FIT}.callbacks", part, list, "be a list")):
        where = f"{FIT}.callbacks.{index}"
        entry = saved.part(entry, where, CALLBACK_KEYS)
        settings, state = (saved.value(entry[key], f"{where}.{key}") for key in ("settings", "state"))
        for each in (settings, state):
            v.instance(where, each, dict, "have dicts")
        name = v.instance(f"{where}.class", entry["class"], str, "be a string")
        place = next((i for i, each in enumerate(left) if _is_that_of(each, name, settings)), None)
        if place is None:
            made.append(_made(name, settings, left, makers))
        states.append((made[-1] if place is None else left.pop(place), state))
    for callback in left:  # passed in the place of one of the fit, or further ones
        for each in made:
            if type(each) is type(callback):
                _refuse_settings(_class_name(type(each)), _settings(each), callback)
    return states, [*(callback for callback, _ in states), *left]


def _is_that_of(callback: Callback, name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a callback is of a class and, if it is fastnn's, has these settings as far as they are compared."""
    if _class_name(type(callback)) != name:
        return False
    if not _records.is_own(type(callback)):
        return True
    own = _settings(callback)
    compared = callback._compared
    keys = {**own, **settings} if compared is None else compared
    return all(_as_saved(own.get(key)) == _as_saved(settings.get(key)) for key in keys)


def _as_saved(value: Any) -> Any:
    """Return a setting as a file returns it: files have lists only."""
    if isinstance(value, dict):
        return {key: _as_saved(each) for key, each in value.items()}
    return [_as_saved(each) for each in value] if isinstance(value, list | tuple) else value


def _made(name: str, settings: Mapping[str, Any], left: Sequence[Callback], makers: Makers) -> Callback:
    """Return a callback that the user has not passed again."""
    if name not in makers:
        for callback in left:
            if _class_name(type(callback)) == name:
                _refuse_settings(name, settings, callback)
        must = f"contain the {name} of the fit"
        fix = "pass it again, made as it was for the fit; or go on without the fit, with fastnn.Trainer.load(path)"
        v.refuse(ValueError, "callbacks", must, "none", fix)
    maker = makers[name]
    same_keys(f"the settings of {name.removeprefix('fastnn.')}", settings, tuple(_records.parameters(cast(Any, maker))))
    return maker(**settings)


def _refuse_settings(name: str, settings: Mapping[str, Any], callback: Callback) -> NoReturn:
    got = _call(_class_name(type(callback)), _settings(callback))
    fix = "leave it out, as it comes back by itself" if name != "fastnn.CSVLog" else ""
    v.refuse(ValueError, "callbacks", f"have the settings of the fit, {_call(name, settings)}", got, fix)


def _call(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={v.shown(_as_saved(value))}' for key, value in settings.items())})"
