"""The two kinds of fits of a trainer: by batches, and with a full-batch optimiser."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from fastnn import _validation as v
from fastnn import kernels
from fastnn._typing import Array
from fastnn.engine import Executor, Feed
from fastnn.optim import FullBatch
from fastnn.training._arguments import check_rows_of_batch_norm
from fastnn.training._augment import Augment
from fastnn.training._core import Span, TrainerCore
from fastnn.training._steps import Slice, StepLoop
from fastnn.training.averaging import AverageValues, Averaging, in_given_order
from fastnn.training.callbacks import Observers
from fastnn.training.diverged import TrainingDiverged, first_nonfinite
from fastnn.training.evaluation import evaluate
from fastnn.training.examples import Examples
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
        trainer.epoch_counter.append_and_count(trainer.history.epochs, logs)
        trainer.history.refresh()
        self.observers.call("on_epoch_end", trainer, logs)


class BatchFit(StepLoop):
    """One call of `Trainer.fit` with an optimiser that steps batch by batch; the arguments have been checked.

    Parameters
    ----------
    evaluation : Evaluation
    feed : Feed
    target : {"labels", "rows"}
    shuffle : bool
    augment : Augment
    recheck_data : callable
        Checks the data again, for a loss or an output scaler that a callback has set; returns the examples and those
        of the validation.
    """

    stop_at_nonfinite = True

    def __init__(
        self,
        evaluation: Evaluation,
        feed: Feed,
        target: str,
        shuffle: bool,
        augment: Augment,
        recheck_data: Callable[[], tuple[Examples, Examples | None]],
    ) -> None:
        super().__init__(evaluation.trainer, evaluation.observers)
        self.evaluation = evaluation
        self.feed, self.batches = feed, feed.n_batches
        self.frozen = self.net.params.frozen
        self.loss, self.target = self.trainer.loss, target
        self.output_scaling = self.net.output_scaling
        self.shuffle, self.augment = shuffle, augment
        self.recheck_data = recheck_data
        # The net's values at the start of the current epoch, all finite: `roll_back` restores them.
        self.start_params, self.start_state = np.empty_like(self.net.params.data), np.empty_like(self.net.state.data)
        self.start_training_steps = 0
        self.start_average: tuple[Averaging, AverageValues] | None = None

    def run(self, epochs: int) -> None:
        trainer = self.trainer
        span = Span(epochs, epochs * self.updates, trainer.epoch, trainer.schedule_step)
        try:
            with trainer.fitting(self.observers, span):
                for _ in range(epochs):
                    if trainer.stop_requested:
                        break
                    self.observers.call("on_epoch_begin", trainer)
                    if not trainer.stop_requested:
                        self.epoch()
                self.compute_statistics()
            self.compute_statistics()  # if a callback has restored an average without statistics
        finally:
            trainer.end_fit()

    def epoch(self) -> None:
        trainer, net = self.trainer, self.net
        self.start_params[...], self.start_state[...] = net.params.data, net.state.data
        self.start_training_steps = net.training_steps
        self.start_average = None if trainer.averaging is None else (trainer.averaging, trainer.averaging.snapshot())
        if self.shuffle:
            order = self.feed.order
            kernels.permutation(len(order), seed=net.seed, stream=ORDER_STREAM, step=trainer.epoch, out=order)
        lr = trainer.lr
        self.begin_epoch()
        if self.feed.accumulate != self.accumulate:
            self.feed = replace(self.feed, accumulate=self.accumulate)
        self.run_feed()
        if self.last is not None:
            lr = lr if self.rate is None else self.rate
            # Within an epoch, the values are checked by the loss of the next step. Here there is no next step.
            if self.done < self.batches and not self.values_are_finite():
                self.roll_back(self.last)
        self.executor()  # checks the validation data again if a callback has set another loss
        trainer.average_epoch()
        if self.evaluation.evaluates:
            self.compute_statistics()
        self.evaluation.end_epoch({"loss": self.mean_loss(), "lr": lr, "seconds": self.seconds})

    def executor(self) -> Executor:
        """Return the executor of the next slice, for the settings that trainer and net have now."""
        trainer = self.trainer
        if trainer.loss is not self.loss or self.net.output_scaling is not self.output_scaling:
            examples, self.evaluation.validation = self.recheck_data()
            if self.evaluation.training is not None:
                self.evaluation.training = examples
            self.loss, self.target = trainer.loss, examples.target
            self.output_scaling, scaling = self.net.output_scaling, target_scaling(self.net, trainer.loss)
            weight = self.augment.row_weight(examples.sample_weight, examples.row_weight)
            self.feed = replace(self.feed, y=examples.y, row_weight=weight, target_scaling=scaling)
        if self.feed.scaling is not self.net.input_scaling:
            self.feed = replace(self.feed, scaling=self.net.input_scaling)
        if self.net.params.frozen != self.frozen:
            self.frozen = self.net.params.frozen
            if self.net.uses_batch_statistics:  # as a batch norm does that is not frozen any more
                check_rows_of_batch_norm(self.feed.x, self.feed.batch_size)
        return trainer.fit_executor(self.target, self.feed.largest_batch, self.augment.steps, self.accumulate > 1)

    def compute_statistics(self) -> None:
        """Compute the running statistics of the average, if it needs some, over all rows of the fit."""
        if self.trainer.averaging is not None:
            self.trainer.averaging.compute_statistics([in_given_order(self.feed)])

    def mean_loss(self) -> float:
        return self.last.result.loss / self.last.result.weight if self.last and self.last.result.weight else 0.0

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
        layer = first_nonfinite(net, last.executor, rows.stop - rows.start)
        pairs: list[tuple[Array, Array]] = []
        counts = [(net.forward_counter, self.start_training_steps)]
        if trainer.averaging is not None:  # a callback may have set another since
            known, values = self.start_average or (None, None)
            pairs, of_average = trainer.averaging.assignments(values if known is trainer.averaging else None)
            counts += of_average
        trainer.assign_and_reset_optimizer(
            (net.params.data, self.start_params), (net.state.data, self.start_state), *pairs, counts=counts
        )
        raise TrainingDiverged(epoch, step, last.result.last_loss, lr, layer)


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
            ends.enter_context(trainer.fitting(self.observers, Span(epochs, epochs, trainer.epoch, 0)))
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
