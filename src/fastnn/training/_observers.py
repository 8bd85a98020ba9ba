"""The callbacks of one fit, and when each of them is called."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastnn.training._observing import Observed
from fastnn.training.callbacks import Callback, checked_observes


class Observers:
    """The callbacks of one fit, and after which steps each of them is called.

    Parameters
    ----------
    callbacks : iterable of Callback
        In the order in which they are called.
    states : sequence of (Callback, dict)
        If the fit is resumed: what the callbacks that were in it returned from `on_checkpoint`.

    Attributes
    ----------
    callbacks : list of Callback
        Those that run last are behind the others.
    reads_in_progress : bool
        Whether any of them may read the net in `on_progress`, which is called between any two steps.
    watchers : list of (Callback, Interval)
        Those for which steps are observed, and which.
    intervals : set of Interval
        The same of all of them.

    Raises
    ------
    TypeError, ValueError
        If the `observes` of a callback is none of those that `Callback` knows.
    """

    def __init__(
        self, callbacks: Iterable[Callback], states: Sequence[tuple[Callback, Mapping[str, Any]]] = ()
    ) -> None:
        self.callbacks = sorted(callbacks, key=lambda each: each._runs_last)
        self.states = states
        self._first = [each for each in self.callbacks if not each._runs_last]
        self._last = [each for each in self.callbacks if each._runs_last]
        self.reads_in_progress = False
        self._looks: list[tuple[Callback, int]] = []  # whose `on_batch_end` is called, and after how many steps
        for i, each in enumerate(self.callbacks):
            rate = checked_observes(f"callbacks[{i}].observes", each.observes)
            self.reads_in_progress |= rate == "progress" or (rate != "epoch" and each._has_progress)
            if rate == "step" or isinstance(rate, int):
                self._looks.append((each, rate if isinstance(rate, int) else 1))
        self._intervals = {k for _, k in self._looks}
        self.watchers = [(each, each._watches) for each in self.callbacks if each._watches is not None]
        self.intervals = {interval for _, interval in self.watchers}

    def __bool__(self) -> bool:
        return bool(self.callbacks)

    def steps_until_look(self, batch: int, batches: int) -> int:
        """Return how many steps can run until an `on_batch_end` is due, if `batch` steps of the epoch are done.

        They are at most the ``batches - batch`` that are left.
        """
        steps = batches - batch
        for k in self._intervals:
            steps = min(steps, k - batch % k)
        return steps

    def call(self, event: str, trainer: Any, *logs: Mapping[str, float]) -> None:
        """Call a method of all callbacks."""
        if self.callbacks:
            call_callbacks(self.callbacks, event, trainer, *logs)

    def after_steps(self, trainer: Any, logs: Mapping[str, float], batch_loss: float) -> None:
        """Call every `on_progress`, and each `on_batch_end` that is due.

        Parameters
        ----------
        trainer : Trainer
        logs : mapping
            ``batch``, the steps of the epoch that are done, ``batches``, and the mean ``loss`` so far.
        batch_loss : float
            The loss of the last step.
        """
        done, last = logs["batch"], logs["batches"]
        of_step = {**logs, "batch_loss": batch_loss}
        with trainer.net.training_claim.in_callbacks():
            for each in self._first:
                each.on_progress(trainer, logs)
            for each, k in self._looks:
                if done % k == 0 or done == last:
                    each.on_batch_end(trainer, of_step)
            for each in self._last:
                each.on_progress(trainer, logs)

    def tell_observation(self, trainer: Any, observed: Observed, everybody: bool) -> None:
        """Tell what a step was like to those that watch for its number, or to everybody who watches."""
        with trainer.net.training_claim.in_callbacks():
            for each, interval in self.watchers:
                if everybody or interval.wait(observed.step - 1) == 0:
                    each._on_observation(trainer, observed)

    def epoch_figures(self) -> dict[str, float]:
        """Return the figures of those that watch for the epoch that ends."""
        return {name: figure for each, _ in self.watchers for name, figure in each._epoch_figures().items()}

    def fit(self, trainer: Any) -> contextlib.AbstractContextManager[None]:
        """Return the context of one fit: call every `on_fit_begin`, and at its end every `on_fit_end`, in this order.

        Callbacks with a state get it by `on_resume` instead.

        Each `on_fit_end` is called, also if the fit, an `on_fit_begin` or another `on_fit_end` raises.
        """
        return self._fit(trainer) if self.callbacks else contextlib.nullcontext()

    @contextlib.contextmanager
    def _fit(self, trainer: Any) -> Iterator[None]:
        states = {id(callback): state for callback, state in self.states}
        for callback in self.callbacks:
            callback._check_fit(trainer)
        with contextlib.ExitStack() as ends:
            for callback in reversed(self.callbacks):  # the stack calls the last one first
                ends.callback(call_callbacks, [callback], "on_fit_end", trainer)
            for callback in self.callbacks:
                if id(callback) in states:
                    call_callbacks([callback], "on_resume", trainer, states[id(callback)])
                else:
                    call_callbacks([callback], "on_fit_begin", trainer)
            yield


def call_callbacks(callbacks: Sequence[Callback], event: str, trainer: Any, *logs: Mapping[str, float]) -> None:
    """Call a method of all callbacks. While they run, they may take single steps with the net and set its values."""
    if callbacks:
        with trainer.net.training_claim.in_callbacks():
            for callback in callbacks:
                getattr(callback, event)(trainer, *logs)
