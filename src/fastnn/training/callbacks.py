"""Callbacks: objects whose methods the trainer calls before, between and after steps and epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from fastnn import _records
from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._names import suggestion
from fastnn._settings import PublicDir, call_text
from fastnn._typing import Array
from fastnn.training._observing import Interval
from fastnn.training._state_values import number, same_keys, saved_values, validated_values
from fastnn.training.metrics import HIGHER_IS_BETTER
from fastnn.training.metrics import NAMES as METRIC_NAMES

__all__ = ["Callback", "EarlyStopping", "ReduceLROnPlateau"]


def checked_observes(name: str, value: object) -> int | str:
    """Return a value of `Callback.observes`."""
    if isinstance(value, str) and value in ("epoch", "progress", "step"):
        return value
    must = "be 'epoch', 'progress', 'step' or an integer of at least 1"
    if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
        v.refuse(TypeError, name, must, v.shown(value))
    if isinstance(value, str) or value < 1:
        v.refuse(ValueError, name, must, v.shown(value))
    return int(value)


def _derived_observes(kind: type[Callback]) -> int | str:
    """Return what a class observes that does not say so: what a base has set, or more if overridden methods need it."""
    observes: int | str = "epoch"
    for each in reversed(kind.__mro__[: kind.__mro__.index(Callback)]):
        own = vars(each)
        if "observes" in own and "_observes_is_derived" not in own:
            observes = own["observes"]
        elif "on_batch_end" in own and observes in ("epoch", "progress"):
            observes = "step"
        elif "on_progress" in own and observes == "epoch":
            observes = "progress"
    return observes


# Events of other libraries, and what to write.
_EVENTS = {
    "on_batch_begin": "write on_epoch_begin, or on_batch_end of the step before",
    "on_epoch_start": "write on_epoch_begin",
    "on_train_batch_end": "write on_batch_end",
    "on_train_begin": "write on_fit_begin",
    "on_train_end": "write on_fit_end",
    "on_train_start": "write on_fit_begin",
}


class Callback(PublicDir):
    """Base class of callbacks: override the methods that you need.

    They are given the `Trainer` of the fit, which has `net`, `history`, `epoch`, `step_count`, `lr` (which may be set)
    and `stop()`. An exception in a callback ends the fit and leaves the net as it was after the last step; a later fit
    continues there.

    Attributes
    ----------
    observes : int or {"epoch", "progress", "step"}
        When the callback may read the net between the steps of an epoch. Each fit asks once, when it begins.

        - "epoch": never. `on_batch_end` is not called, and `on_progress` must not read the net.
        - "progress": in `on_progress`. `on_batch_end` is not called.
        - "step": in `on_progress`, and in `on_batch_end` after every step.
        - an integer k of at least 1: in `on_batch_end` after every k-th step of an epoch and after its last, and in
          `on_progress`. Without an `on_progress` of its own nothing reads the net for k steps, which is faster.

        A step is a batch here, also if the trainer makes an update for several batches only.

        A class may set it, or an object. For a class that does not, it follows from the methods that the class or a
        base overrides: "step" with `on_batch_end`, otherwise "progress" with `on_progress`, otherwise "epoch". A value
        that a base has set is kept unless it is too rare for a method that the class overrides.

    Raises
    ------
    TypeError, ValueError
        When a class is defined whose `observes` is none of these; when a fit begins, if an object's is not.

    Examples
    --------
    >>> class Print(Callback):
    ...     def on_epoch_end(self, trainer, logs):
    ...         print(f"{logs['loss']:.2f}")
    >>> class Norms(Callback):
    ...     observes = 100
    ...
    ...     def on_batch_end(self, trainer, logs):
    ...         print(logs["batch"], abs(trainer.net.params.data).max())
    >>> Print.observes, Norms.observes
    ('epoch', 100)
    """

    observes: int | str = "epoch"
    _kept_as: ClassVar[Mapping[str, str]] = {}  # attributes that keep an argument, if not under its own name
    _watches: Interval | None = None  # which updates are observed, with `_on_observation`
    _runs_last = False  # after the callbacks whose states it keeps
    _made_again = False  # by `Trainer.resume`, of plain settings; others have to be passed again
    # The settings that an object that is passed again must have as in the fit; None stands for all but paths.
    _compared: ClassVar[tuple[str, ...] | None] = None
    _has_progress = False  # in each class: whether it or a base overrides `on_progress`
    _observes_is_derived = True  # in each class whose `observes` has not been set but derived

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        own = vars(cls)
        known = [each for each in vars(Callback) if each.startswith("on_")]
        for name in own:
            if name in known or not name.startswith("on_"):
                continue
            # Another name that is near to no event is a method of the user's own.
            if fix := _EVENTS.get(name) or suggestion(name, known):
                must = f"be among {', '.join(known)}"
                v.refuse(TypeError, f"methods of {cls.__name__} that begin with on_", must, name, fix)
        cls._has_progress = cls.on_progress is not Callback.on_progress
        if "observes" not in own or "_observes_is_derived" in own:  # both: a copy of a class, as dataclass() makes it
            cls.observes, cls._observes_is_derived = _derived_observes(cls), True
        if not hasattr(own["observes"], "__get__"):  # a property's value is checked when a fit begins
            checked_observes(f"{cls.__name__}.observes", cls.observes)

    def __repr__(self) -> str:
        return call_text(type(self), self._arguments())

    def _check_fit(self, trainer: Any) -> None:
        """Refuse a fit, before any callback has begun it and so before any file has changed."""

    def _on_observation(self, trainer: Any, observed: Any) -> None:
        """Take what an observed step was like, an `Observed`."""

    def _epoch_figures(self) -> Mapping[str, float]:
        """Return figures of the epoch that ends, for the history."""
        return {}

    def _arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, as far as they are kept."""
        known, kept_as = vars(self), self._kept_as
        names = ((name, kept_as.get(name, name)) for name in _records.parameters(type(self)))
        return {name: known[kept] for name, kept in names if kept in known}

    def on_fit_begin(self, trainer: Any) -> None:
        """Run before the first epoch of a fit."""

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Run in place of `on_fit_begin` if `Trainer.resume` goes on with a fit.

        `state` is what `on_checkpoint` returned; lists stand for tuples. By default this calls `on_fit_begin`.
        """
        self.on_fit_begin(trainer)

    def on_checkpoint(self, trainer: Any) -> Mapping[str, Any]:
        """Return what a `Checkpoint` has to keep of the callback, for `on_resume`.

        It is a dict with strings as keys; values are plain values, arrays, records of fastnn, and lists and dicts of
        these. By default it is empty. It runs after the `on_epoch_end` of all callbacks, or between two steps.
        """
        return {}

    def on_epoch_begin(self, trainer: Any) -> None:
        """Run before the first step of an epoch."""

    def on_progress(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Run about twenty times a second during an epoch, and before any callback's `on_batch_end`.

        `logs` has the epoch's ``batch`` (steps done) and ``batches``, and the mean ``loss`` so far. It runs whatever
        `observes` is. If it reads the net, `observes` must not be "epoch": steps then keep large weights in the order
        of their views, which makes them a few percent slower.
        """

    def on_batch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Run after the steps that `observes` names, with `on_progress`'s logs and the step's loss as ``batch_loss``.

        Control returns to Python after each of these steps, which slows small nets down if they are many.
        """

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Run after an epoch and its validation, with the dict that the history contains."""

    def on_fit_end(self, trainer: Any) -> None:
        """Run at the end of a fit, also if it ends with an exception."""


def better(monitor: str) -> str:
    """Return whether lower or higher values of a figure are better: "min", "max", or "" if it is not known."""
    name = monitor.removeprefix("val_")
    metric = METRIC_NAMES.find(name)
    if metric in HIGHER_IS_BETTER or name == "score" or name.endswith("accuracy"):
        return "max"
    return "min" if metric is not None or name.endswith("loss") else ""


class _Monitor(Callback):
    """A callback that monitors one figure of the history.

    Attributes
    ----------
    monitor : str
    mode : {"min", "max"}
    sign : float
        1 if lower is better, -1 if higher is.
    """

    _internal = frozenset({"figure", "sign"})
    _kept_as: ClassVar[Mapping[str, str]] = {"mode": "_given_mode"}  # `mode` is never "auto"

    def __init__(self, monitor: str, mode: str) -> None:
        if not isinstance(monitor, str):
            v.refuse(
                TypeError, "monitor", "be a key of the history", v.kind_of(monitor), 'write "val_loss", for example'
            )
        self._given_mode = mode
        if v.choice("mode", mode, ("auto", "min", "max")) == "auto":
            mode = better(monitor)
            if not mode:
                fix = "'auto' is for losses and for metrics that have a name in fastnn"
                v.refuse(ValueError, "mode", f"be 'min' or 'max' for monitor={v.shown(monitor)}", "'auto'", fix)
        self.monitor, self.mode = monitor, mode
        self.sign = -1.0 if mode == "max" else 1.0

    def figure(self, logs: Mapping[str, float]) -> float:
        """Return the figure, or refuse a history that does not have it."""
        if self.monitor not in logs:
            fix = suggestion(self.monitor, logs)
            if self.monitor.startswith("val_") and "val_loss" not in logs:
                fix = "pass validation_data to fit, or eval_set to the fit of an estimator"
            elif not fix:
                fix = 'give the Trainer this metric, such as metrics=["accuracy"]'
            v.refuse(ValueError, "monitor", f"be one of {', '.join(logs)}", v.shown(self.monitor), fix)
        return logs[self.monitor]


class EarlyStopping(_Monitor):
    """Ends a fit when a figure has stopped improving, and restores the best weights.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A key of the history; ``"val_<name>"`` is a metric of the `Trainer` or of `fit`.
    patience : int, default 10
        Number of epochs without improvement after which the fit ends; 0 ends it at the first such epoch.
    min_delta : float, default 0.0
        A change counts as an improvement only if it is larger than this.
    mode : {"auto", "min", "max"}, default "auto"
        Whether lower or higher is better. "auto" takes "max" for keys that end with accuracy, r2 or score, "min" for
        those that end with loss or the name of a loss, and refuses others.
    restore_best : bool, default True
        Whether the parameters and running statistics of the best epoch, and the trainer's `average` as it was then, are
        restored when the fit ends, also if it ends with an exception.

    Attributes
    ----------
    best : float
        The best value.
    best_epoch : int
        The index of its epoch in the history.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong type or out of range; at the end of the first epoch if the history has no such key.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> X, y = np.eye(4), np.arange(4)
    >>> trainer = fastnn.Trainer(fastnn.nn.Sequential(fastnn.nn.Dense(4, 4), seed=0))
    >>> stopping = fastnn.EarlyStopping(patience=2, min_delta=10.0)
    >>> len(trainer.fit(X, y, epochs=9, validation_data=(X, y), callbacks=[stopping], verbose=0).epochs)
    3
    """

    _made_again = True

    @with_hints
    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        super().__init__(monitor, mode)
        self.patience = v.integer("patience", patience, 0)
        self.min_delta = v.real("min_delta", min_delta, 0)
        self.restore_best = v.boolean("restore_best", restore_best)
        self.best = math.nan
        self.best_epoch = -1
        # Of the best epoch: parameters, running statistics, the average and its values.
        self._best_values: tuple[Array, Array, Any, Any] | None = None
        self._epochs_waited = 0

    def on_fit_begin(self, trainer: Any) -> None:
        """Reset the search for the best epoch: results of an earlier fit do not count."""
        self.best, self.best_epoch, self._best_values, self._epochs_waited = math.nan, -1, None, 0

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Compare the figure with the best one, and stop the fit after `patience` epochs without improvement."""
        value = self.figure(logs)
        first = self.best_epoch < 0 or (math.isnan(self.best) and not math.isnan(value))
        if first or self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_epoch, self._epochs_waited = value, len(trainer.history.epochs) - 1, 0
            if self.restore_best:
                net, average = trainer.net, trainer.averaging
                values = None if average is None else average.snapshot()
                self._best_values = net.params.data.copy(), net.state.data.copy(), average, values
            return
        self._epochs_waited += 1
        if self._epochs_waited >= self.patience:
            trainer.stop()

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the best figure and the best values so far."""
        state: dict[str, Any] = {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "epochs_waited": self._epochs_waited,
            "values": None,
        }
        if self._best_values is not None:
            params, statistics, average, values = self._best_values
            if average is None or average is not trainer.averaging:
                values = None
            kind = "" if values is None else average.kind
            state["values"] = saved_values(trainer.net, params, statistics, values, kind)
        return state

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Take over the search for the best epoch."""
        same_keys("the state of EarlyStopping", state, ("best", "best_epoch", "epochs_waited", "values"))
        self.best = number("best", state["best"])
        self.best_epoch = v.integer("best_epoch", state["best_epoch"], -1)
        self._epochs_waited = v.integer("epochs_waited", state["epochs_waited"], 0)
        self._best_values = None
        if state["values"] is not None:
            averaging = trainer.averaging
            kind = "" if averaging is None else averaging.kind
            params, statistics, average = validated_values("values", state["values"], trainer.net, kind)
            self._best_values = params, statistics, None if average is None else averaging, average

    def on_fit_end(self, trainer: Any) -> None:
        """Restore the best values."""
        if self._best_values is not None:
            net, (params, state, average, values) = trainer.net, self._best_values
            pairs, counts = [(net.params.data, params), (net.state.data, state)], []
            if average is not None and average is trainer.averaging:
                of_average, counts = average.assignments(values)
                pairs += of_average
            net.lock.assign(tuple(pairs), tuple(counts))
            self._best_values = None


# The limit that a figure must pass to be an improvement; the threshold is negative if higher is better.
_LIMITS: dict[str, Callable[[float, float], float]] = {
    "rel": lambda best, threshold: best * (1.0 - (threshold if best > 0 else -threshold)),
    "abs": lambda best, threshold: best - threshold,
    "torch_rel": lambda best, threshold: best * (1.0 - threshold),
}


class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rate by `factor` when a figure has not improved for more than `patience` epochs.

    It behaves like PyTorch's scheduler of the same name, except for relative thresholds of figures below 0. The
    learning rate is ``trainer.lr``, the one before the schedule. Later fits continue the counts, so that two fits of
    five epochs are one of ten; the first fit of a new trainer resets them.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A key of the history; ``"val_<name>"`` is a metric of the `Trainer` or of `fit`.
    mode : {"auto", "min", "max"}, default "auto"
        Whether lower or higher is better. "auto" takes "max" for keys that end with accuracy, r2 or score, "min" for
        those that end with loss or the name of a loss, and refuses others.
    factor : float, default 0.1
        From 0 to less than 1.
    patience : int, default 10
        Number of consecutive epochs that may pass without improvement; 0 lowers the rate at the first such epoch.
    threshold : float, default 1e-4
        The smallest change that counts as an improvement, see `threshold_mode`.
    threshold_mode : {"rel", "abs", "torch_rel"}, default "rel"
        "rel": better than ``best - threshold * |best|`` (with "max", ``best + threshold * |best|``); "abs": better than
        ``best - threshold`` (``best + threshold``). "torch_rel" is PyTorch's "rel", better than ``best * (1 -
        threshold)`` (``best * (1 + threshold)``). It is the same for figures above 0, but a constant figure below 0
        counts as an improvement in every epoch.
    cooldown : int, default 0
        Number of epochs after a reduction in which epochs without improvement are not counted.
    min_lr : float, default 0.0
        The lowest learning rate.
    eps : float, default 1e-8
        The rate is changed only if the change is larger than this.

    Attributes
    ----------
    best : float
        The best value so far.
    bad_epochs : int
        Number of epochs without improvement since the best one or the last reduction.
    cooldown_left : int
        Number of epochs that are left of the cooldown.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong type or out of range; at the end of the first epoch if the history has no such key.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> X, y = np.eye(4), np.arange(4)
    >>> net = fastnn.nn.Sequential(fastnn.nn.Dense(4, 4), seed=0)
    >>> trainer = fastnn.Trainer(net, optimizer=fastnn.optim.SGD(lr=1.0))
    >>> plateau = fastnn.ReduceLROnPlateau("loss", factor=0.5, patience=1, threshold=0.9)
    >>> trainer.fit(X, y, epochs=6, callbacks=[plateau], verbose=0)["lr"]
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    """

    _made_again = True

    @with_hints
    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(monitor, mode)
        self.factor = v.real("factor", factor, 0, 1)
        self.patience = v.integer("patience", patience, 0)
        self.threshold = v.real("threshold", threshold, 0)
        self.threshold_mode = v.choice("threshold_mode", threshold_mode, _LIMITS)
        self.cooldown = v.integer("cooldown", cooldown, 0)
        self.min_lr = v.real("min_lr", min_lr, 0)
        self.eps = v.real("eps", eps, 0)
        self._reset()

    def _reset(self) -> None:
        self.best = self.sign * math.inf
        self.bad_epochs = self.cooldown_left = 0

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the best figure and the counts."""
        return {"best": self.best, "bad_epochs": self.bad_epochs, "cooldown_left": self.cooldown_left}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Take over the best figure and the counts."""
        same_keys("the state of ReduceLROnPlateau", state, ("best", "bad_epochs", "cooldown_left"))
        self.best = number("best", state["best"])
        self.bad_epochs = v.integer("bad_epochs", state["bad_epochs"], 0)
        self.cooldown_left = v.integer("cooldown_left", state["cooldown_left"], 0)

    def on_fit_begin(self, trainer: Any) -> None:
        """Reset the counts in the first fit of a trainer."""
        if trainer.epoch == 0:
            self._reset()

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Compare the figure with the best one, and lower the rate after more than `patience` bad epochs."""
        value, limit = self.figure(logs), self.best
        if math.isfinite(limit):
            limit = _LIMITS[self.threshold_mode](limit, self.sign * self.threshold)
        if self.sign * value < self.sign * limit:
            self.best, self.bad_epochs = value, 0
        else:
            self.bad_epochs += 1
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            lr = max(trainer.lr * self.factor, self.min_lr)
            if trainer.lr - lr > self.eps:
                trainer.lr = lr
            self.cooldown_left, self.bad_epochs = self.cooldown, 0
