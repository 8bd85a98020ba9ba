"""The learning-rate range test: a short training with rising learning rates shows which ones are useful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.nn import Sequential
from fastnn.optim import FullBatch, Schedule
from fastnn.training._augment import Given
from fastnn.training.callbacks import Callback
from fastnn.training.diverged import TrainingDiverged
from fastnn.training.trainer import Trainer

__all__ = ["LRRange", "lr_range_test"]

BLOW_UP = 4.0  # the test ends at this multiple of the lowest smoothed loss


@dataclass(frozen=True)
class _Sweep(Schedule):
    """Learning rates from `start` at step `first` to `stop` at step ``first + steps - 1``, in geometric progression."""

    start: float
    stop: float
    steps: int
    first: int
    every: str = field(default="step", kw_only=True)

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return self.start * (self.stop / self.start) ** ((t - self.first) / (self.steps - 1))


class _Losses(Callback):
    """Records each step's loss. Ends the fit after `steps` steps, or earlier if the loss has blown up."""

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
        """Whether the loss has risen so far above its lowest value that larger rates need not be tried."""
        lowest = min(self.smoothed)
        if lowest > 0 and not self.signed:
            return self.smoothed[-1] > BLOW_UP * lowest
        # The lowest value of a loss that may be negative can be near 0. The scale is then how far the loss has fallen,
        # from its highest value until the lowest or in the first tenth of the steps. In these first steps the rates are
        # too small to matter, and the loss varies by chance.
        before = self.smoothed[: max(self.smoothed.index(lowest), self.steps // 10) + 1]
        scale = max(abs(lowest), max(before) - lowest)
        return 0 < (BLOW_UP - 1) * scale < self.smoothed[-1] - lowest


@dataclass(frozen=True)
class LRRange:
    """The result of a learning-rate range test.

    Attributes
    ----------
    rates : ndarray of float64, shape (n,)
        The learning rates of the steps, until the loss was not finite or too large.
    losses : ndarray of float64, shape (n,)
        The loss of each step's batch before its update.
    smoothed : ndarray of float64, shape (n,)
        The exponential moving average of the losses.
    suggestion : float or None
        A tenth of the rate with the lowest smoothed loss; None if the smoothed loss has never fallen.
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
            Where to draw; by default in a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        TypeError
            If `ax` are no axes.
        ImportError
            If matplotlib is not installed.
        """
        from fastnn.plot._rates import draw

        return draw(self, ax)


@with_hints
def lr_range_test(
    trainer: Trainer,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    start: float = 1e-6,
    stop: float = 10.0,
    steps: int = 100,
    batch_size: int = 128,
    augment: Given | Sequence[Given] | None = None,
    smoothing: float = 0.9,
) -> LRRange:
    """Train a copy with learning rates that rise from step to step, and return the loss of each step (Smith, 2015).

    Step i of n has the rate ``start * (stop / start) ** (i / (n - 1))``. The loss falls while rates are useful, and
    rises when they are too large. The test ends when the smoothed loss exceeds four times its lowest value. For a loss
    that may be negative (`PoissonNLLLoss`, `CustomLoss`, or any loss whose smoothed value has been) it ends when the
    smoothed loss has risen from its lowest value by three times the larger of two numbers: the absolute lowest value,
    and the difference between the highest value before it, or in the first tenth of the steps, and the lowest. The
    trainer, its net and the state of its optimiser do not change.

    Parameters
    ----------
    trainer : Trainer
        A trainer, new or after some training, whose optimiser steps batch by batch. Its own learning rate and schedule
        are not used.
    X, y, sample_weight
        As for `Trainer.fit`.
    start, stop : float, default 1e-6, 10.0
        The lowest rate, above 0, and the highest, above `start`.
    steps : int, default 100
        At least 2.
    batch_size : int, default 128
        As for `Trainer.fit`. If the trainer accumulates the gradients of k batches, the test takes batches that are k
        times as large: each rate then has one loss.
    augment : Augmentation, str, callable, or a sequence of them, optional
        As for `Trainer.fit`.
    smoothing : float, default 0.9
        The factor of the old average in the moving average of the losses, from 0 to less than 1. The bias of the first
        steps is corrected as in Adam.

    Returns
    -------
    LRRange
        Rates, losses, smoothed losses, a suggestion, and `plot`.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range, or the trainer has a full-batch optimiser.
    TrainingDiverged
        If one of the first two steps has a loss that is not finite.

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
    given: object = trainer
    fix = "write fastnn.Trainer(net)" if isinstance(given, Sequential) else ""
    v.instance("trainer", given, Trainer, "be a Trainer", fix)
    if isinstance(trainer.optimizer, FullBatch):
        fix = "write optim.Adam(), for example, as this optimiser finds its step lengths itself"
        v.refuse(TypeError, "trainer.optimizer", "step batch by batch", v.shown(trainer.optimizer), fix)
    start, stop = v.real("start", start, 0, excluded=True), v.real("stop", stop, 0)
    if stop <= start:
        v.refuse(ValueError, "stop", f"be above start={start:g}", stop)
    steps, batch_size = v.integer("steps", steps, 2), v.integer("batch_size", batch_size, 1)
    callback = _Losses(trainer.loss.spec.signed, steps, v.real("smoothing", smoothing, 0, 1))
    twin = trainer.copy()
    twin.average = None
    first = twin.schedule_step
    twin.accumulate = 1
    twin.schedule = sweep = _Sweep(start, stop, steps, first)
    try:
        twin.fit(
            X, y, epochs=steps, batch_size=batch_size * trainer.accumulate, sample_weight=sample_weight,
            augment=augment, callbacks=[callback], verbose=0,
        )  # fmt: skip
    except TrainingDiverged:
        if len(callback.losses) < 2:
            raise
    losses, smoothed = np.array(callback.losses), np.array(callback.smoothed)
    rates = sweep(twin.lr, 0, first + np.arange(len(losses)))
    lowest = int(smoothed.argmin())
    return LRRange(rates, losses, smoothed, float(rates[lowest]) / 10.0 if lowest else None)
