"""The two kinds of fits of a trainer: by batches, and with a full-batch optimiser."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from fastnn import _config, kernels
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Executor, Feed
from fastnn.optim import FullBatch
from fastnn.training._arguments import check_rows_of_batch_norm
from fastnn.training._core import Span, TrainerCore
from fastnn.training._observers import Observers
from fastnn.training._observing import first_nonfinite_row
from fastnn.training._position import FitArguments, FitSnapshot, Position, StartOfEpoch, WithinEpoch
from fastnn.training._steps import Slice, StepLoop
from fastnn.training.averaging import Averaging, in_given_order
from fastnn.training.callbacks import Callback
from fastnn.training.diverged import TrainingDiverged, first_nonfinite
from fastnn.training.evaluation import evaluate
from fastnn.training.examples import Examples, data_fingerprints
from fastnn.training.full_batch import Objective
from fastnn.training.metrics import Metric
from fastnn.training.scaled_targets import target_scaling

ORDER_STREAM = 0  # stream of random numbers for the order of the rows; layers use the other streams


@dataclass
class Evaluation:
    """What follows the steps of an epoch: evaluations, the history and the callbacks.

    `training` are the rows of the training if their metrics are wanted, or None.
    """

    trainer: TrainerCore
    observers: Observers
    training: Examples | None
    validation: Examples | None
    metrics: Mapping[str, Metric]

    @property
    def evaluates(self) -> bool:
        """Whether there is anything to evaluate."""
        return self.training is not None or self.validation is not None

    def end_epoch(self, logs: dict[str, float]) -> None:
        """Add the figures of the evaluations to `logs`, and the logs to the history; then call the callbacks."""
        trainer = self.trainer
        net = trainer.evaluated_net(shared=True) if self.evaluates else trainer.net
        if self.training is not None:
            logs |= evaluate(net, trainer.loss, self.training, self.metrics) | {"loss": logs["loss"]}
        if self.validation is not None:
            figures = evaluate(net, trainer.loss, self.validation, self.metrics)
            logs |= {f"val_{key}": value for key, value in figures.items()}
        logs |= self.observers.epoch_figures()
        trainer.epoch_counter.append_and_count(trainer.history.epochs, logs)
        trainer.history.refresh()
        self.observers.call("on_epoch_end", trainer, logs)


class BatchFit(StepLoop):
    """One call of `Trainer.fit` with an optimiser that steps batch by batch; the arguments have been checked.

    Parameters
    ----------
    evaluation : Evaluation
    feed : Feed
    examples : Examples
        The rows of the training.
    arguments : FitArguments
    recheck_data : callable
        Checks the data again, for a loss or an output scaler that a callback has set; returns the examples and those
        of the validation.
    """

    stop_at_nonfinite = True

    def __init__(
        self,
        evaluation: Evaluation,
        feed: Feed,
        examples: Examples,
        arguments: FitArguments,
        recheck_data: Callable[[], tuple[Examples, Examples | None]],
    ) -> None:
        super().__init__(evaluation.trainer, evaluation.observers)
        self.evaluation = evaluation
        self.feed, self.batches = feed, feed.n_batches
        self.frozen = self.net.params.frozen
        self.loss, self.examples = self.trainer.loss, examples
        self.output_scaling = self.net.output_scaling
        self.arguments = arguments
        self.fingerprints: tuple[Examples, dict[str, Any]] | None = None  # those of these examples
        self.recheck_data = recheck_data
        self.start = StartOfEpoch(np.empty_like(self.net.params.data), np.empty_like(self.net.state.data), 0, None)
        self.start_averaging: Averaging | None = None  # that of `start.average`
        self.ended = self.order_epoch = 0  # epochs of this fit; the present one's number when its rows were ordered

    def run(self, position: Position | None = None) -> None:
        """Train; with a position, the rest of the fit that was there."""
        trainer, epochs = self.trainer, self.arguments.epochs
        span, within = Span(epochs, epochs * self.updates, trainer.epoch, trainer.schedule_step), None
        if position is not None:
            self.check_position(position)
            span, self.ended, within = position.span, position.ended, position.within
            self.watches_next = False
        try:
            with trainer.fitting(self.observers, span, self, stop=position is not None and position.stop_requested):
                while self.ended < epochs and not trainer.stop_requested:
                    if within is None:
                        self.observers.call("on_epoch_begin", trainer)
                    if not trainer.stop_requested:
                        self.epoch(within)
                    within = None
                self.compute_statistics()
            self.compute_statistics()  # if a callback has restored an average without statistics
        finally:
            trainer.end_fit()

    def check_position(self, position: Position) -> None:
        """Refuse a position that this fit, of these rows, cannot have had."""
        within, epochs = position.within, self.arguments.epochs
        if within is None:
            return
        if position.ended == epochs:
            v.refuse(ValueError, "fit.ended", f"be below {epochs} within an epoch", position.ended)
        feed = replace(self.feed, accumulate=within.accumulate)
        if within.done >= self.batches or not feed.group(within.done - 1).ends:
            must = f"be a whole number of updates, fewer than the {self.batches} batches of an epoch"
            v.refuse(ValueError, "fit.within.done", must, within.done)

    def epoch(self, within: WithinEpoch | None = None) -> None:
        """Train an epoch, or the rest of one."""
        trainer, net = self.trainer, self.net
        self.keep_start(None if within is None else within.start)
        self.order_epoch = trainer.epoch if within is None else within.order_epoch
        if self.arguments.shuffle:
            rows = self.feed.order
            kernels.permutation(len(rows), seed=net.seed, stream=ORDER_STREAM, step=self.order_epoch, out=rows)
        lr = trainer.lr
        self.begin_epoch()
        if within is not None:
            self.accumulate, self.done, self.seconds = within.accumulate, within.done, within.seconds
            self.rate, self.sums = within.rate, (within.loss, within.weight)
        if self.feed.accumulate != self.accumulate:
            self.feed = replace(self.feed, accumulate=self.accumulate)
        self.run_feed(first=self.done)
        lr = lr if self.rate is None else self.rate
        # Within an epoch, the values are checked by the loss of the next step. Here there is no next step.
        if self.last is not None and self.done < self.batches and not self.values_are_finite():
            self.roll_back(self.last)
        self.executor()  # checks the validation data again if a callback has set another loss
        trainer.average_epoch()
        if self.evaluation.evaluates:
            self.compute_statistics()
        self.ended += 1
        self.evaluation.end_epoch({"loss": self.mean_loss(), "lr": lr, "seconds": self.seconds})

    def keep_start(self, start: StartOfEpoch | None) -> None:
        """Copy the present values of net and average, or take those of an epoch that is resumed."""
        net, averaging = self.net, self.trainer.averaging
        self.start_averaging = averaging
        if start is not None:
            self.start = start
            return
        self.start.params[...], self.start.state[...] = net.params.data, net.state.data
        self.start.training_steps = net.training_steps
        self.start.average = None if averaging is None else averaging.snapshot()

    def snapshot(self) -> FitSnapshot | None:
        """Return what a checkpoint keeps of the fit; None where there is no `position`."""
        position = self.position()
        if position is None:
            return None
        states = [(each, _state_of(each, self.trainer)) for each in self.observers.callbacks]
        self.follow_settings()
        if self.fingerprints is None or self.fingerprints[0] is not self.examples:
            self.fingerprints = self.examples, data_fingerprints(self.examples, self.evaluation.validation)
        return FitSnapshot(position, states, self.fingerprints[1])

    def position(self) -> Position | None:
        """Return where the fit is; None in the middle of an update or after an epoch's last step.

        It is asked for by callbacks: after an epoch, or between two steps.
        """
        trainer, within = self.trainer, None
        if self.running:
            if self.done == self.batches or not self.feed.group(self.done - 1).ends or trainer.stop_requested:
                return None
            start = copy.deepcopy(self.start)
            if trainer.averaging is not self.start_averaging:  # `roll_back` forgets the new one
                start.average = None
            within = WithinEpoch(
                self.done, *self.sums, self.rate, self.seconds, self.accumulate, self.order_epoch, start
            )
        assert trainer.span is not None
        return Position(trainer.span, self.ended, trainer.stop_requested, within)

    def executor(self, *, observed: bool = False) -> Executor:
        """Return the executor of the next slice, or of an observed step, for the settings of trainer and net now."""
        self.follow_settings()
        if self.feed.scaling is not self.net.input_scaling:
            self.feed = replace(self.feed, scaling=self.net.input_scaling)
        if self.net.params.frozen != self.frozen:
            self.frozen = self.net.params.frozen
            if self.net.uses_batch_statistics:  # as a batch norm does that is not frozen any more
                check_rows_of_batch_norm(self.feed.x, self.feed.batch_size)
        steps = self.arguments.augment.steps
        target, rows, accumulates = self.examples.target, self.feed.largest_batch, self.accumulate > 1
        return self.trainer.fit_executor(target, rows, steps, accumulates, observed=observed)

    def follow_settings(self) -> None:
        """Check the data again if a callback has set another loss or output scaler."""
        trainer = self.trainer
        if trainer.loss is not self.loss or self.net.output_scaling is not self.output_scaling:
            examples, self.evaluation.validation = self.recheck_data()
            if self.evaluation.training is not None:
                self.evaluation.training = examples
            self.loss, self.examples = trainer.loss, examples
            self.output_scaling, scaling = self.net.output_scaling, target_scaling(self.net, trainer.loss)
            weight = self.arguments.augment.row_weight(examples.sample_weight, examples.row_weight)
            self.feed = replace(self.feed, y=examples.y, row_weight=weight, target_scaling=scaling)

    def compute_statistics(self) -> None:
        """Compute the running statistics of the average, if it needs some, over all rows of the fit."""
        if self.trainer.averaging is not None:
            self.trainer.averaging.compute_statistics([in_given_order(self.feed)])

    def mean_loss(self) -> float:
        loss, weight = self.sums
        return loss / weight if weight else 0.0

    def check(self, last: Slice) -> None:
        if not (last.result.finite and (self.done < self.batches or self.values_are_finite())):
            self.roll_back(last)

    def values_are_finite(self) -> bool:
        return v.all_finite(self.net.params.data) and v.all_finite(self.net.state.data)

    def roll_back(self, last: Slice) -> NoReturn:
        """Restore net and average as at the start of the epoch, reset the optimiser and raise `TrainingDiverged`.

        The failed step is the one after the completed steps of the slice if its loss was not finite; it is not counted.
        Otherwise it is the last completed one, whose update made values of the net NaN or infinite. Of several batches
        for an update, the error names the number of their update, made or not.
        """
        trainer, net, epoch = self.trainer, self.net, self.trainer.epoch + 1
        uncounted = not last.result.finite
        failed = last.first + last.result.done - 1 + uncounted
        step = trainer.step_count + (uncounted or not self.feed.group(failed).ends)
        lr = float(last.rates[self.feed.updates(last.first, failed + 1) - 1])
        rows = self.feed.batch_slice(failed)
        executor = self.failed_again(failed)
        layer = first_nonfinite(net, executor, rows.stop - rows.start)
        if self.observers.watchers:
            row = first_nonfinite_row(executor, self.feed, failed)
            observation = self.figures_of_step(executor, step=step, row=row, failed=True)
            self.observers.tell_observation(trainer, observation, everybody=True)
        pairs: list[tuple[Array, Array]] = []
        counts = [(net.forward_counter, self.start.training_steps)]
        if trainer.averaging is not None:  # a callback may have set another since
            known = trainer.averaging is self.start_averaging
            pairs, of_average = trainer.averaging.assignments(self.start.average if known else None)
            counts += of_average
        trainer.assign_and_reset_optimizer(
            (net.params.data, self.start.params), (net.state.data, self.start.state), *pairs, counts=counts
        )
        raise TrainingDiverged(epoch, step, last.result.last_loss, lr, layer)

    def failed_again(self, failed: int) -> Executor:
        """Run the failed step again, or that of its rows with the values that it has left, in the observing program.

        That one has the output of each layer; in others an activation may have hidden infinity in the layer before.
        """
        executor, trainer = self.executor(observed=True), self.trainer
        executor.observations[...] = math.nan
        scalars, steps = trainer.scalars(1)[1], self.net.training_steps % 2**32
        threads = _config.get_num_threads()
        executor.run_steps(self.feed, failed, failed + 1, scalars, steps, 0.0, threads, lock=self.net.lock)
        return executor


def _state_of(callback: Callback, trainer: TrainerCore) -> Mapping[str, Any]:
    """Return what a callback wants to be kept."""
    state: Any = callback.on_checkpoint(trainer)
    name = f"{type(callback).__name__}.on_checkpoint"
    return v.instance(name, state, Mapping, "return a dict")


class FullBatchFit:
    """One call of `Trainer.fit` with a full-batch optimiser, each of whose iterations is an epoch."""

    def __init__(self, evaluation: Evaluation, optimizer: FullBatch, examples: Examples) -> None:
        self.evaluation, self.observers = evaluation, evaluation.observers
        self.trainer = trainer = evaluation.trainer
        self.optimizer = optimizer
        dtype = np.dtype(np.float64) if optimizer.wide else trainer.net.dtype
        self.objective = Objective(trainer.net, trainer.loss, trainer.penalty, examples, dtype)
        self.frozen = trainer.net.params.frozen
        self.epochs_left = 0
        self.loss = math.nan
        self.epoch_start = 0.0

    def run(self, epochs: int) -> None:
        trainer, self.epochs_left = self.trainer, epochs
        with contextlib.ExitStack() as ends:
            ends.callback(trainer.__dict__.update, _in_full_batch_fit=False)
            ends.callback(trainer.end_fit)
            trainer._in_full_batch_fit = True
            ends.enter_context(trainer.fitting(self.observers, Span(epochs, epochs, trainer.epoch, 0), self))
            start = self.objective.read(trainer.net)
            self.loss = self.objective.loss_at(start)
            if not math.isfinite(self.loss):
                layer = self.objective.first_nonfinite()
                raise TrainingDiverged(trainer.epoch + 1, trainer.step_count + 1, self.loss, trainer.lr, layer)
            if self.begin_epoch():
                self.optimizer.minimize(self.objective, start, epochs, self.accept)

    def begin_epoch(self) -> bool:
        """Begin the next epoch. Return False if there is none: all are done, or a callback has asked to stop."""
        if self.epochs_left == 0 or self.trainer.stop_requested:
            return False
        self.observers.call("on_epoch_begin", self.trainer)
        self.epoch_start = time.perf_counter()
        return not self.trainer.stop_requested

    def accept(self, x: Array) -> bool:
        """End an epoch with the parameters `x`. Return whether the optimiser must stop."""
        trainer, net = self.trainer, self.trainer.net
        if net.params.frozen != self.frozen:
            fix = "call freeze and unfreeze before the fit"
            v.refuse_state(f"a callback has changed what is frozen during a fit with {self.optimizer!r}", fix)
        values = self.objective.spread(x, net.dtype)
        net.lock.assign(((net.params.data, values),), ((trainer.step_counter, trainer.step_count + 1),))
        logs = {"loss": self.loss, "lr": trainer.lr, "seconds": time.perf_counter() - self.epoch_start}
        self.loss = self.objective.loss_at(x)
        self.objective.forget()
        if self.observers:
            self.observers.after_steps(trainer, {"batch": 1, "batches": 1, "loss": logs["loss"]}, logs["loss"])
        self.epochs_left -= 1
        self.evaluation.end_epoch(logs)
        return not self.begin_epoch()
