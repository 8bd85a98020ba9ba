"""The learning-rate range test: which rates a training can take, found by a short run over all of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.optim import FullBatch, Schedule
from fastnn.training.callbacks import Callback
from fastnn.training.diverged import TrainingDiverged
from fastnn.training.trainer import Trainer

__all__ = ["LRRange", "lr_range_test"]

BLOW_UP = 4.0  # times the lowest smoothed loss, at which nothing more is to be learned


@dataclass(frozen=True)
class _Sweep(Schedule):
    """From `start` at step `first` to `stop` at step ``first + steps - 1``, each rate the same multiple of the last."""

    start: float
    stop: float
    steps: int
    first: int
    every: str = field(default="step", kw_only=True)

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return self.start * (self.stop / self.start) ** ((t - self.first) / (self.steps - 1))


class _Losses(Callback):
    """Keeps each step's loss, and ends the fit when there are enough or they have blown up."""

    def __init__(self, signed: bool, steps: int, smoothing: float) -> None:
        self.signed = signed
        self.steps = steps
        self.smoothing = smoothing
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._mean = 0.0

    def on_batch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        self.losses.append(logs["batch_loss"])
        self._mean = self.smoothing * self._mean + (1.0 - self.smoothing) * self.losses[-1]
        self.smoothed.append(self._mean / (1.0 - self.smoothing ** len(self.losses)))
        if len(self.losses) == self.steps or self.blown_up():
            trainer.stop()

    def blown_up(self) -> bool:
        """Whether the loss is so far above its lowest that nothing more is to be learned."""
        lowest = min(self.smoothed)
        if lowest > 0 and not self.signed:
            return self.smoothed[-1] > BLOW_UP * lowest
        # A lowest near 0 is no measure where losses go on below it: what they have fallen is. In the first tenth of the
        # steps, whose rates are too small to matter, what they do is chance.
        before = self.smoothed[: max(self.smoothed.index(lowest), self.steps // 10) + 1]
        scale = max(abs(lowest), max(before) - lowest)
        return 0 < (BLOW_UP - 1) * scale < self.smoothed[-1] - lowest


@dataclass(frozen=True)
class LRRange:
    """What a learning-rate range test has found.

    Attributes
    ----------
    rates : ndarray of float64, shape (n,)
        The learning rates of the steps, up to where the loss was no longer finite or too large to go on.
    losses : ndarray of float64, shape (n,)
        The loss of each step's batch before its update.
    smoothed : ndarray of float64, shape (n,)
        Their exponential mean.
    suggestion : float or None
        A tenth of the rate where the smoothed loss is lowest; None where it has never fallen.
    """

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float | None

    def plot(self, ax: Any = None) -> Any:
        """Draw losses over rates.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a figure of its own.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If `ax` is not given and matplotlib is not installed.
        """
        if ax is None:
            try:
                ax = importlib.import_module("matplotlib.pyplot").subplots()[1]
            except ImportError:
                v.refuse_missing("plot", "matplotlib", "plot")
        ax.plot(self.rates, self.losses, alpha=0.4, label="loss of the batch")
        ax.plot(self.rates, self.smoothed, label="smoothed")
        if self.suggestion is not None:
            ax.axvline(self.suggestion, color="black", linestyle=":", label=f"suggestion: {self.suggestion:.2g}")
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend()
        return ax


def lr_range_test(
    trainer: Trainer,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    start: float = 1e-6,
    stop: float = 10.0,
    steps: int = 100,
    batch_size: int = 128,
    sample_weight: npt.ArrayLike | None = None,
    smoothing: float = 0.9,
) -> LRRange:
    """Train a copy with rates that rise from step to step, and tell the loss at each (Smith, 2015).

    Step i of n has the rate ``start * (stop / start) ** (i / (n - 1))``. The loss falls while rates are useful, and
    rises when they are too large; the test ends there, at four times the lowest smoothed loss. A loss that may be below
    0 (`PoissonNLLLoss`, `CustomLoss`, or any whose smoothed loss has been) has to rise from its lowest by three times
    that lowest's size, and by three times what it had fallen till then or varied in the first tenth of the steps. The
    trainer, its net and the state of its optimiser stay as they are.

    Parameters
    ----------
    trainer : Trainer
        New, or after some training; its optimiser steps batch by batch. Its own rate and schedule do not count.
    X, y, batch_size, sample_weight
        As for `Trainer.fit`.
    start, stop : float, default 1e-6, 10.0
        The lowest rate, above 0, and the highest, above `start`.
    steps : int, default 100
        At least 2.
    smoothing : float, default 0.9
        What the mean of the losses keeps at each step, from 0 to less than 1. As in Adam it is corrected for its start.

    Returns
    -------
    LRRange
        Rates, losses, smoothed losses, a suggestion, and `plot`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind, shape or range, or the trainer's optimiser one that sees all rows at once.
    TrainingDiverged
        If not even the first two steps have a finite loss.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(256, 4))
    >>> y = X.sum(axis=1) + rng.normal(size=256)
    >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 1), seed=0), "mean_squared_error", optim.SGD())
    >>> found = fastnn.lr_range_test(trainer, X, y, batch_size=32)
    >>> 0.03 < found.suggestion < 0.3
    True
    """
    if not isinstance(trainer, Trainer):
        v.refuse(TypeError, "trainer", "be a Trainer", type(trainer).__name__)
    if isinstance(trainer.optimizer, FullBatch):
        what = "one that steps batch by batch, such as optim.Adam(): this one looks for the length of its steps itself"
        v.refuse(TypeError, "trainer.optimizer", f"be {what}", v.shown(trainer.optimizer))
    start, stop = v.real("start", start, 0), v.real("stop", stop, 0)
    if start == 0.0:
        v.refuse(ValueError, "start", "be a rate above 0", start)
    if stop <= start:
        v.refuse(ValueError, "stop", f"be a rate above start, which is {start:g}", stop)
    steps = v.integer("steps", steps, 2)
    callback = _Losses(trainer.loss.spec.signed, steps, v.real("smoothing", smoothing, 0, 1))
    twin = trainer.copy()
    first = twin.schedule_step
    twin.schedule = sweep = _Sweep(start, stop, steps, first)
    try:
        twin.fit(X, y, steps, batch_size, sample_weight=sample_weight, callbacks=[callback], verbose=0)
    except TrainingDiverged:
        if len(callback.losses) < 2:
            raise
    losses, smoothed = np.array(callback.losses), np.array(callback.smoothed)
    rates = sweep(twin.lr, 0, first + np.arange(len(losses)))
    lowest = int(smoothed.argmin())
    return LRRange(rates, losses, smoothed, float(rates[lowest]) / 10.0 if lowest else None)
