"""The state of a trainer: its state dict, copies and pickles, and the checks of what is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self, cast

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn._updates import SQUARES
from fastnn.engine import Counter, Layout
from fastnn.nn import Sequential
from fastnn.nn._values import MOST_STEPS
from fastnn.training._core import TrainerCore
from fastnn.training._missed import MissedUpdates, in_order
from fastnn.training._scalars import ScalarRows
from fastnn.training._state_values import by_name, net_array, same_keys, saved_average, validated_average
from fastnn.training.averaging import AverageValues, Averaging
from fastnn.training.history import FIGURES, History

__all__ = ["TrainerState"]

LARGEST_INTEGER = 2**53  # every integer up to here is a float

KEYS = (
    "optimizer", "step_count", "schedule_step", "epoch", "lr", "training_steps", "missed_updates", "history", "slots",
    "average",
)  # fmt: skip


def slots_by_name(names: tuple[str, ...], slots: tuple[Array, ...], layout: Layout) -> dict[str, dict[str, Array]]:
    """Return copies of the slots by slot name and parameter name, in PyTorch's orientation."""
    pairs = zip(names, slots, strict=True)
    return {key: by_name(slot, layout) for key, slot in pairs}


def validated_state(state: object, kind: str, names: tuple[str, ...], layout: Layout) -> dict[str, Any]:
    """Return a checked copy of a state dict, with the slots in the orientation of the parameters' layout."""
    if not isinstance(state, Mapping):
        v.refuse(TypeError, "state_dict", "be a mapping of names to values", v.kind_of(state))
    state = {"average": None, **state}  # state dicts of earlier versions have none
    same_keys("state_dict", state, KEYS)
    saved_kind = state["optimizer"]
    if not isinstance(saved_kind, str) or saved_kind != kind:
        error = ValueError if isinstance(saved_kind, str) else TypeError
        fix = "make the trainer with the optimiser of the saved one"
        v.refuse(error, "state_dict['optimizer']", f"be {kind!r}, as in this trainer", v.shown(saved_kind), fix)
    checked: dict[str, Any] = {"optimizer": kind}
    for key in ("step_count", "schedule_step", "epoch", "training_steps"):
        checked[key] = v.integer(f"state_dict[{key!r}]", state[key], 0, MOST_STEPS)
    checked["lr"] = v.real("state_dict['lr']", state["lr"], 0)
    checked["missed_updates"] = _missed(state["missed_updates"], checked["step_count"], layout)
    checked["history"] = checked_history(state["history"])
    slots, where = state["slots"], "state_dict['slots']"
    same_keys(where, slots, names)
    checked["slots"] = {}
    for key in names:
        same_keys(f"{where}[{key!r}]", slots[key], tuple(layout))
        checked["slots"][key] = {
            name: _slot(f"{where}[{key!r}][{name!r}]", key, slots[key][name], layout, name) for name in layout
        }
    return checked


def _missed(missed: object, step_count: int, layout: Layout) -> dict[str, int]:
    name = "state_dict['missed_updates']"
    if not isinstance(missed, Mapping):
        v.refuse(TypeError, name, "be a mapping of parameters' names to numbers of updates", v.kind_of(missed))
    for key in missed:
        v.choice(f"a key of {name}", key, tuple(layout))
    return {key: v.integer(f"{name}[{key!r}]", number, 0, step_count) for key, number in missed.items()}


def checked_history(history: object) -> list[dict[str, float]]:
    """Return a checked copy of the history of a state dict."""
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
    if isinstance(value, np.bool_ | np.integer):
        value = value.item()
    if isinstance(value, int) and abs(value) <= LARGEST_INTEGER and key not in FIGURES:
        return value  # a count or a bool that a callback has added
    try:
        return float(value)
    except (TypeError, ValueError):
        v.refuse(TypeError, name, "be a number", v.shown(value))
    except OverflowError:  # an integer or a fraction that is too large for a float
        v.refuse(ValueError, name, "be a number that a float holds", value)


def _slot(where: str, key: str, value: Any, layout: Layout, name: str) -> Array:
    array = net_array(where, value, layout, name)
    if key in SQUARES and np.any(array < 0):
        v.refuse(ValueError, where, "contain no number below 0", array.min())
    return array


class _Snapshot(NamedTuple):
    """All values of a trainer and its net at one moment."""

    params: Array
    state: Array
    slots: tuple[Array, ...]
    average: AverageValues | None
    step_count: int
    epoch: int
    training_steps: int
    history: list[dict[str, float]]


class TrainerState(TrainerCore):
    """The part of `Trainer` that saves, loads and copies the training state."""

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the training state: everything that the next steps need besides the net's values.

        Together with the net's own `state_dict` it is complete: load both into a net and a trainer made with the same
        settings, and their fits continue bit for bit.

        Returns
        -------
        dict
            ``optimizer`` (the kind of its update), ``step_count``, ``schedule_step``, ``epoch``, ``lr``,
            ``training_steps`` (of the net), ``missed_updates`` (how many updates of ``step_count`` a parameter has
            missed while it was frozen, of those with any), ``history`` (a list of dicts), ``slots``, the optimiser's
            arrays by slot ("m", "v", ...) and parameter ("0.weight", ...), in the orientation of the net's
            `state_dict`, and ``average``: None, or a dict with its ``kind`` ("ema" or "swa"), its ``count`` of updates
            or epochs, its ``values`` by parameter, and ``statistics``, the running statistics by name if they have been
            computed since its last change, else None.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> X, y = np.eye(4), np.arange(4)
        >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=1))
        >>> saved = trainer.fit(X, y, epochs=3, verbose=0) and (trainer.net.state_dict(), trainer.state_dict())
        >>> again = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=1))
        >>> again.net.load_state_dict(saved[0])
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        >>> again.load_state_dict(saved[1])
        >>> again.fit(X, y, epochs=2, verbose=0)["loss"] == trainer.fit(X, y, epochs=2, verbose=0)["loss"]
        True
        """
        return self._state(self._snapshot())

    def _snapshot(self) -> _Snapshot:
        """Return copies of all values, all of the same moment."""
        net, averaging, slots = self.net, self._averaging, self.slots()
        of_average = ((), ()) if averaging is None else (averaging.arrays, averaging.counters)
        arrays, counts, (history,) = net.lock.snapshot(
            (net.params.data, net.state.data, *slots, *of_average[0]),
            (self._step_counter, self._epoch_counter, net.forward_counter, *of_average[1]),
            (self.history.epochs,),
        )
        end, average = 2 + len(slots), None
        if averaging is not None:
            average = AverageValues(arrays[end], arrays[end + 1], counts[3], counts[4])
        return _Snapshot(arrays[0], arrays[1], arrays[2:end], average, counts[0], counts[1], counts[2], history)

    def _state(self, now: _Snapshot) -> dict[str, Any]:
        average = self._average
        return {
            "optimizer": self.optimizer.kind,
            "step_count": now.step_count,
            "schedule_step": self._schedule_start + now.step_count,
            "epoch": now.epoch,
            "lr": self._lr,
            "training_steps": now.training_steps,
            "missed_updates": in_order(self._missed.at(now.step_count), self.net.params.layout.shapes),
            "history": [dict(epoch) for epoch in now.history],
            "slots": slots_by_name(self.slot_names(), now.slots, self.net.params.layout),
            "average": None if average is None else saved_average(average.kind, cast(Any, now.average), self.net),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a `state_dict` of a trainer with the same layers and the same kinds of optimiser and average.

        Parameters
        ----------
        state_dict : mapping
            With exactly the keys and shapes of `state_dict`; arrays are converted to the net's dtype. Without
            ``average``, as earlier versions saved it, it is that of a trainer that has none.

        Raises
        ------
        TypeError, ValueError
            If a key is missing or unknown, a value has a wrong type, shape or range, or the state is that of another
            kind of optimiser or average. Trainer and net have not changed then.
        RuntimeError
            If called by a signal handler that has interrupted a training of the net.
        """
        layout, averaging = self.net.params.layout, self._averaging
        state = validated_state(state_dict, self.optimizer.kind, self.slot_names(), layout)
        average = validated_average(
            "state_dict['average']", state_dict.get("average"), self._average.kind if self._average else "", self.net
        )
        pairs, of_average = ([], []) if averaging is None else averaging.assignments(average)
        for key, slot in zip(self.slot_names(), self.slots(), strict=True):
            flat = np.zeros_like(slot)
            with np.errstate(all="ignore"):
                for name in layout:
                    layout.view(flat, name)[...] = state["slots"][key][name]
            pairs.append((slot, flat))
        missed = MissedUpdates(
            self.net.params.frozen, state["step_count"], {key: n for key, n in state["missed_updates"].items() if n}
        )
        new = {
            "_lr": state["lr"],
            "_schedule_start": state["schedule_step"] - state["step_count"],
            "_scalar_rows": ScalarRows(),
            **self.with_missed(missed),
        }
        self.net.training_claim.refuse_change("the trainer's state", elsewhere=False)
        self.net.lock.assign(
            tuple(pairs),
            (
                (self._step_counter, state["step_count"]),
                (self._epoch_counter, state["epoch"]),
                (self.net.forward_counter, state["training_steps"]),
                *of_average,
            ),
            ((self.__dict__, new), (self.history.__dict__, {"epochs": state["history"]})),
        )
        self.history.refresh()

    def copy(self) -> Self:
        """Return an independent trainer with a copy of the net, of the optimiser's state and of the history.

        Fits of the original and of the copy give the same bits, and do not affect each other.

        Returns
        -------
        Trainer
        """
        now = self._snapshot()
        copied = type(self).__new__(type(self))
        copied.__dict__.update(
            self.__dict__,
            net=self.net.with_values(now.params, now.state, now.training_steps, self.net.dtype),
            history=History([dict(epoch) for epoch in now.history]),
        )
        copied._step_counter, copied._epoch_counter = Counter(now.step_count), Counter(now.epoch)
        copied._stop_requested = copied._in_full_batch_fit = False
        copied._span = copied._running_fit = copied._run_name = None
        copied._slots = copied._means = None
        copied._change()
        for new_slot, slot in zip(copied.slots(), now.slots, strict=True):
            new_slot[...] = slot
        averaging = copied._averaging
        if now.average is not None and averaging is not None:
            copied._averaging = Averaging(copied.net, averaging.begun_as)
            pairs, counts = copied._averaging.assignments(now.average)
            copied.net.lock.assign(tuple(pairs), tuple(counts))
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        now = self._snapshot()
        limits = (None if limit == math.inf else limit for limit in (self._clip_value, self._clip_norm))
        settings = (
            self._loss, self._optimizer, self._schedule, self._penalty, *limits, dict(self._metrics),
            self._accumulate, self._average,
        )  # fmt: skip
        user_attributes = {
            name: value for name, value in self.__dict__.items() if name[0] != "_" and name not in self._read_only
        }
        # pickle saves the net after this method has returned. During a training, more steps may have run by then. So
        # the net's values are saved here too, as of the same step as the trainer's state.
        net_values = (now.params, now.state) if self.net.training_claim.taken else None
        return _restore, (type(self), self.net, settings, self._state(now), net_values, user_attributes)


def _restore(
    kind: type[TrainerState],
    net: Sequential,
    settings: tuple[Any, ...],
    state: Mapping[str, Any],
    net_values: tuple[Array, Array] | None,
    user_attributes: Mapping[str, Any],
) -> TrainerState:
    """Make a trainer from a pickle. The pickle may be damaged, so everything is checked."""
    trainer = kind.__new__(kind)
    TrainerState.__init__(trainer, net, *settings)
    trainer.load_state_dict(state)
    if net_values is not None:
        arenas = net.params, net.state
        for name, arena, flat in zip(("params", "state"), arenas, net_values, strict=True):
            if type(flat) is not np.ndarray or flat.dtype != net.dtype or flat.shape != arena.data.shape:
                v.refuse(ValueError, name, f"be a {net.dtype} array of shape {arena.data.shape}", v.shown(flat))
        net.lock.assign(tuple((arena.data, flat) for arena, flat in zip(arenas, net_values, strict=True)))
    for name, value in user_attributes.items():
        setattr(trainer, name, value)
    return trainer
