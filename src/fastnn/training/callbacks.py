"""Callbacks: what runs between epochs and steps."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastnn import _validation as v
from fastnn._typing import Array

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "ProgressBar"]


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

        `logs` has the epoch's ``batch`` (steps done) and ``batches``, and the mean ``loss`` so far.
        """

    def on_batch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Run after every step, with the logs of `on_progress` and the step's own loss as ``batch_loss``.

        Overriding it brings the steps back to Python one by one, which slows small nets down.
        """

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Run after an epoch and its validation, with the dict that the history holds."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Run at the end of a fit, however it ends."""


class EarlyStopping(Callback):
    """Ends a fit when a figure has not improved for a while, and brings the best weights back.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A key of the history.
    patience : int, default 10
        Epochs without improvement after which the fit ends; 0 ends it at the first.
    min_delta : float, default 0.0
        What counts as an improvement must be larger.
    mode : {"auto", "min", "max"}, default "auto"
        Which way is better; "auto" takes "max" for accuracies.
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
    >>> trainer = fastnn.Trainer(fastnn.nn.Sequential(fastnn.nn.Dense(4, 4)))
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
        if not isinstance(monitor, str):
            v.fail(TypeError, "monitor", "a key of the history", type(monitor).__name__)
        self.monitor = monitor
        self.patience = v.integer("patience", patience, 0)
        self.min_delta = v.real("min_delta", min_delta, 0)
        mode = v.choice("mode", mode, ("auto", "min", "max"))
        self.sign = -1.0 if mode == "max" or (mode == "auto" and monitor.endswith("accuracy")) else 1.0
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
        if self.monitor not in logs:
            v.fail(ValueError, "monitor", f"one of {', '.join(logs)}", repr(self.monitor))
        value = logs[self.monitor]
        if math.isnan(self.best) or self.sign * value < self.sign * self.best - self.min_delta:
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
            with trainer.net.lock.writing():
                trainer.net.params.data[...], trainer.net.state.data[...] = self._values
            self._values = None


class ProgressBar(Callback):
    """Shows a bar for each epoch if tqdm is installed, else prints a line for each.

    Parameters
    ----------
    epochs : int
        Of the fit.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._epoch = 0
        self._bar: Any = None

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


def has_tqdm() -> bool:
    """Whether a bar can be shown."""
    return importlib.util.find_spec("tqdm") is not None


def on_terminal() -> bool:
    """Whether somebody is there to see it."""
    return sys.stderr is not None and sys.stderr.isatty()
