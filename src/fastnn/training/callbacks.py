"""Callbacks: what runs between epochs and steps."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastnn import _validation as v
from fastnn._typing import Array

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "ProgressBar", "ReduceLROnPlateau"]


class Callback:
    """Base of callbacks: override what is wanted.

    The trainer that calls has `net`, `history`, `epoch`, `step_count`, `lr` (which may be set) and `stop()`. What a
    callback raises ends the fit and leaves the net as it is after the last step; a later fit goes on from there.

    Examples
    --------
    >>> class Print(Callback):
    ...     def on_epoch_end(self, trainer, logs):
    ...         print(f"{logs['loss']:.2f}")
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Run before the first epoch of a fit."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Run before the first step of an epoch."""

    def on_progress(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Run some twenty times a second during an epoch.

        `logs` has the epoch's ``batch`` (steps done) and ``batches``, and the mean ``loss`` so far. Overriding it keeps
        large weights in the order of their views while steps run, which takes a few percent longer.
        """

    def on_batch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Run after every step, with the logs of `on_progress` and the step's own loss as ``batch_loss``.

        Overriding it brings the steps back to Python one by one, which slows small nets down.
        """

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Run after an epoch and its validation, with the dict that the history holds."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Run at the end of a fit, however it ends."""


class _Watcher(Callback):
    """A callback that follows one figure of the history.

    Attributes
    ----------
    monitor : str
    sign : float
        1 where less is better, -1 where more is.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        if not isinstance(monitor, str):
            v.refuse(TypeError, "monitor", "be a key of the history", type(monitor).__name__)
        if v.choice("mode", mode, ("auto", "min", "max")) == "auto":
            if not monitor.endswith(("loss", "accuracy")):
                v.refuse(
                    ValueError, "mode", f"be min or max, as {monitor!r} does not tell which way is better", "'auto'"
                )
            mode = "max" if monitor.endswith("accuracy") else "min"
        self.monitor = monitor
        self.sign = -1.0 if mode == "max" else 1.0

    def figure(self, logs: Mapping[str, float]) -> float:
        """Return the figure, or refuse a history that has none."""
        if self.monitor not in logs:
            v.refuse(ValueError, "monitor", f"be one of {', '.join(logs)}", v.shown(self.monitor))
        return logs[self.monitor]


class EarlyStopping(_Watcher):
    """Ends a fit when a figure has not improved for a while, and brings the best weights back.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A key of the history; ``"val_<name>"`` is a metric that `Trainer.fit` was given.
    patience : int, default 10
        Epochs without improvement after which the fit ends; 0 ends it at the first.
    min_delta : float, default 0.0
        What counts as an improvement must be larger.
    mode : {"auto", "min", "max"}, default "auto"
        Which way is better; "auto" takes "min" for losses and "max" for accuracies, and does for nothing else.
    restore_best : bool, default True
        Whether parameters and running statistics of the best epoch are put back when the fit ends, however it ends.

    Attributes
    ----------
    best : float
        The best value.
    best_epoch : int
        Its index in the history.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range; at the end of the first epoch if the history has no such key.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> X, y = np.eye(4), np.arange(4)
    >>> trainer = fastnn.Trainer(fastnn.nn.Sequential(fastnn.nn.Dense(4, 4), seed=0))
    >>> stopping = fastnn.EarlyStopping(patience=2, min_delta=10.0)
    >>> len(trainer.fit(X, y, epochs=9, validation_data=(X, y), callbacks=[stopping], verbose=0))
    3
    """

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
        self.restore_best = restore_best
        self.best = math.nan
        self.best_epoch = -1
        self._values: tuple[Array, Array] | None = None
        self._waited = 0

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Start anew: what an earlier fit found does not count."""
        self.best, self.best_epoch, self._values, self._waited = math.nan, -1, None, 0

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Compare, and ask for the end when it is time."""
        value = self.figure(logs)
        first = self.best_epoch < 0 or (math.isnan(self.best) and not math.isnan(value))
        if first or self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_epoch, self._waited = value, len(trainer.history) - 1, 0
            if self.restore_best:
                self._values = trainer.net.params.data.copy(), trainer.net.state.data.copy()
            return
        self._waited += 1
        if self._waited >= self.patience:
            trainer.stop()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Put the best values back."""
        if self._values is not None:
            net, (params, state) = trainer.net, self._values
            net.lock.assign(((net.params.data, params), (net.state.data, state)))
            self._values = None


# What is better than the best is beyond this bar, by a threshold that is negative where more is better.
_BARS: dict[str, Callable[[float, float], float]] = {
    "rel": lambda best, margin: best * (1.0 - (margin if best > 0 else -margin)),
    "abs": lambda best, margin: best - margin,
    "torch_rel": lambda best, margin: best * (1.0 - margin),
}


class ReduceLROnPlateau(_Watcher):
    """Multiplies the trainer's rate by `factor` when a figure has not improved for more than `patience` epochs.

    It is PyTorch's scheduler of that name, but for relative thresholds of figures below 0. The rate is ``trainer.lr``,
    the one before the schedule. Later fits go on counting, so that two fits of five epochs are one of ten; the first
    fit of a new trainer counts anew.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A key of the history; ``"val_<name>"`` is a metric that `Trainer.fit` was given.
    mode : {"auto", "min", "max"}, default "auto"
        Which way is better; "auto" takes "min" for losses and "max" for accuracies, and does for nothing else.
    factor : float, default 0.1
        From 0 to less than 1.
    patience : int, default 10
        Epochs in a row that may pass without improvement; 0 lowers the rate at the first.
    threshold : float, default 1e-4
        What counts as an improvement.
    threshold_mode : {"rel", "abs", "torch_rel"}, default "rel"
        "rel": better than ``best - threshold * |best|`` (with "max", ``best + threshold * |best|``); "abs": better than
        ``best - threshold`` (``best + threshold``). "torch_rel" is PyTorch's "rel", better than ``best * (1 -
        threshold)`` (``best * (1 + threshold)``): the same for figures above 0, while a constant one below 0 counts as
        an improvement in every epoch.
    cooldown : int, default 0
        Epochs after a reduction in which nothing is counted.
    min_lr : float, default 0.0
        The lowest rate.
    eps : float, default 1e-8
        A change that is not larger is not made.

    Attributes
    ----------
    best : float
        The best value so far.
    bad_epochs, cooldown_left : int
        Epochs without improvement since then or since the last reduction, and those yet to pass uncounted.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range; at the end of the first epoch if the history has no such key.

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
        self.threshold_mode = v.choice("threshold_mode", threshold_mode, _BARS)
        self.cooldown = v.integer("cooldown", cooldown, 0)
        self.min_lr = v.real("min_lr", min_lr, 0)
        self.eps = v.real("eps", eps, 0)
        self._begin()

    def _begin(self) -> None:
        self.best = self.sign * math.inf
        self.bad_epochs = self.cooldown_left = 0

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Start anew with a new trainer."""
        if trainer.epoch == 0:
            self._begin()

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Compare, count, and lower the rate when it is time."""
        value, bar = self.figure(logs), self.best
        if math.isfinite(bar):
            bar = _BARS[self.threshold_mode](bar, self.sign * self.threshold)
        if self.sign * value < self.sign * bar:
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


class ProgressBar(Callback):
    """Shows a bar for each epoch if tqdm is installed, else prints a line for each.

    Parameters
    ----------
    epochs : int
        Of each fit.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._epoch = 0
        self._bar: Any = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Count anew: an object may serve several fits."""
        self._epoch = 0

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Open a bar."""
        self._epoch += 1
        if has_tqdm():
            bar = importlib.import_module("tqdm.auto").tqdm
            self._bar = bar(desc=self._title(), unit="batch", dynamic_ncols=True, leave=True)

    def on_progress(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Move it."""
        if self._bar is not None:
            self._bar.total = int(logs["batches"])
            self._bar.set_postfix_str(f"loss={logs['loss']:.4g}", refresh=False)
            self._bar.update(int(logs["batch"]) - self._bar.n)

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Close it with the epoch's figures."""
        figures = {key: f"{value:.4g}" for key, value in logs.items() if key != "seconds"}
        if self._bar is not None:
            self._bar.set_postfix(figures, refresh=False)
            self._close()
        else:
            line = " ".join(f"{key}={value}" for key, value in figures.items())
            print(f"{self._title()}: {line} seconds={logs['seconds']:.3g}", flush=True)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close what an early end has left open."""
        if self._bar is not None:
            self._close()

    def _close(self) -> None:
        self._bar.close()
        self._bar = None

    def _title(self) -> str:
        return f"epoch {self._epoch}/{self._epochs}"


def observes_steps(callbacks: Iterable[Callback]) -> bool:
    """Whether any may look at the net before an epoch's steps are done. Of a bar it is known that it does not."""
    blind = Callback.on_progress, ProgressBar.on_progress
    return any(
        type(each).on_progress not in blind or type(each).on_batch_end is not Callback.on_batch_end
        for each in callbacks
    )


def has_tqdm() -> bool:
    """Whether a bar can be shown."""
    return importlib.util.find_spec("tqdm") is not None


def on_terminal() -> bool:
    """Whether somebody is there to see it."""
    return sys.stderr is not None and sys.stderr.isatty()
