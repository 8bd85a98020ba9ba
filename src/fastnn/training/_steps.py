"""The loop over training steps, which fits and estimators share, and sums over all rows for full-batch optimisers."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn import _config
from fastnn._typing import Array
from fastnn.engine import Arena, Executor, Feed, StepResult
from fastnn.training._core import TrainerCore
from fastnn.training._observers import Observers
from fastnn.training._observing import Observed, steps_until

SLICE_SECONDS = 0.05  # time in native code before signals and callbacks are handled
SLICE_STEPS = 4096  # largest number of steps whose scalars are computed together


class Slice(NamedTuple):
    """The steps of one native call.

    Attributes
    ----------
    executor : Executor
        Its buffers contain the activations of the last step.
    first : int
        The number of its first batch in the feed.
    rates : ndarray
        The learning rates of the updates that its batches take part in.
    result : StepResult
    """

    executor: Executor
    first: int
    rates: Array
    result: StepResult


class StepLoop(ABC):
    """Runs the batches of feeds in slices; between two slices signals are handled and callbacks called.

    Subclasses say what is particular to a kind of fit.

    Attributes
    ----------
    stop_at_nonfinite : bool
        Whether a step whose loss is not finite ends its slice before it changes a parameter; `check` then decides
        what happens. Otherwise the step is made like any other.
    feed : Feed
        The rows of the next slice. `executor` may replace it by one with the same batches.
    batches : int
        Number of steps of an epoch, which may have several feeds.
    accumulate : int
        Number of batches for each update, as the trainer had it at `begin_epoch`: it stays the same for an epoch.
    done : int
        Number of completed steps since `begin_epoch`. A step is a batch; not each of them makes an update.
    seconds : float
        The time of these steps.
    last : Slice or None
        The last slice of these steps.
    rate : float or None
        The learning rate of the last update of these steps.
    sums : tuple of float
        The sums of the weighted losses and of the weights of the rows of these steps.
    running : bool
        Whether steps are being run, so that a callback is called between two of them.
    watches_next : bool
        Whether the next update is observed in any case, if somebody watches: the first one of a fit is.
    """

    stop_at_nonfinite: ClassVar[bool]
    feed: Feed
    batches: int

    def __init__(self, trainer: TrainerCore, observers: Observers) -> None:
        self.trainer = trainer
        self.net = trainer.net
        self.observers = observers
        self.watches_next = True  # whatever its number
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget the steps of the epoch before."""
        self.accumulate = self.trainer.accumulate
        self.done, self.seconds = 0, 0.0
        self.last: Slice | None = None
        self.rate: float | None = None
        self.sums = (0.0, 0.0)
        self.running = False

    @property
    def updates(self) -> int:
        """Number of updates of an epoch."""
        return -(-self.batches // self.trainer.accumulate)

    @abstractmethod
    def executor(self, *, observed: bool = False) -> Executor:
        """Return the executor of the next slice, or of an observed step, for the settings of trainer and net now."""

    @abstractmethod
    def mean_loss(self) -> float:
        """Return the mean loss of the epoch so far, for callbacks."""

    @abstractmethod
    def check(self, last: Slice) -> None:
        """Check the result of a slice, before callbacks are called."""

    def run_feed(self, losses: Array | None = None, first: int = 0) -> None:
        """Run all batches of the feed from the first one to run, or until a callback asks to stop.

        The net's weights are in their usual order afterwards, also after an error. `losses` is an output: the loss of
        each step. With `first`, `sums` are those of the batches before it.
        """
        self.running = True
        try:
            self._run_slices(losses, first)
        finally:
            self.running = False
            self.net.lock.restore_order()

    def _run_slices(self, losses: Array | None, first: int) -> None:
        trainer, net, observers, batch = self.trainer, self.net, self.observers, first
        has_callbacks, observed = bool(observers), False
        loss, weight = self.sums if first else (0.0, 0.0)
        group_weight = 0.0
        last = self.feed.epochs * self.feed.n_batches
        while batch < last and not trainer.stop_requested:
            unseen = last - batch
            if observers.watchers:
                until = steps_until(self.feed, batch, trainer.step_count, observers.intervals, self.watches_next)
                observed, unseen = until == 0, min(unseen, until or 1)
            if has_callbacks:
                unseen = min(unseen, observers.steps_until_look(self.done, self.batches))
            executor = self.executor(observed=observed)
            steps = min(SLICE_STEPS, unseen)
            updates, ahead = (self.feed.updates(batch, end) for end in (batch + steps, last))
            # With observed steps between them, slices are many: the scalars of an epoch are computed together.
            rates, scalars = trainer.scalars(min(SLICE_STEPS, ahead) if observers.watchers else updates, ahead)
            start = time.perf_counter()
            result = executor.run_steps(
                self.feed,
                batch,
                batch + steps,
                scalars[:updates],
                net.training_steps % 2**32,
                SLICE_SECONDS,
                _config.get_num_threads(),
                loss,
                weight,
                losses=None if losses is None else losses[batch:],
                ahead=0 if observers.reads_in_progress else unseen,
                lock=net.lock,
                counters=(net.forward_counter,),
                stop_at_nonfinite=self.stop_at_nonfinite,
                group_weight=group_weight,
                update_counters=trainer.update_counters,
            )
            self.done += result.done
            self.sums = result.loss, result.weight
            if result.error is not None:
                raise result.error
            self.last = Slice(executor, batch, rates, result)
            self.check(self.last)
            self.seconds += time.perf_counter() - start
            batch, loss, weight, group_weight = batch + result.done, result.loss, result.weight, result.group_weight
            if result.updates:
                self.rate = float(rates[result.updates - 1])
            if has_callbacks:
                if observed:
                    observers.tell_observation(trainer, self.figures_of_step(executor), everybody=self.watches_next)
                    self.watches_next = False
                if result.done == unseen:
                    net.lock.restore_order()  # for an `on_batch_end`
                logs = {"batch": self.done, "batches": self.batches, "loss": self.mean_loss()}
                observers.after_steps(trainer, logs, result.last_loss)

    def figures_of_step(self, executor: Executor, **more: Any) -> Observed:
        """Return what the last step was like, which this observing executor has run."""
        trainer = self.trainer
        table = executor.observations.copy()
        executor.observations[...] = math.nan
        facts = {"epoch": trainer.epoch + 1, "step": trainer.step_count, **more}
        return Observed(measured=executor.program.measured, table=table, **facts)


def sums_over_rows(executor: Executor, feeds: Iterable[Feed], grads: Arena) -> tuple[float, Array, float]:
    """Return the sum of the weighted losses of all rows, the gradient of this sum and the total weight.

    Parameters
    ----------
    executor : Executor
        Of a program without an update.
    feeds : iterable of Feed
    grads : Arena
        The gradients that the executor writes.

    Returns
    -------
    loss : float
    gradient : ndarray of float64, in the layout of `grads`
    weight : float
        With it, means are ``loss / weight`` and ``gradient / weight``. They may be NaN or infinite.
    """
    loss = weight = 0.0
    gradient, no_scalars = np.zeros(grads.layout.size), np.zeros((1, 1))
    for feed in feeds:
        for batch in range(feed.n_batches):
            result = executor.run_steps(
                feed, batch, batch + 1, no_scalars, 0, math.inf, _config.get_num_threads(), stop_at_nonfinite=False
            )
            if result.error is not None:
                raise result.error
            loss += result.loss
            weight += result.weight
            with np.errstate(all="ignore"):
                gradient += result.weight * grads.data.astype(np.float64)
    return loss, gradient, weight
