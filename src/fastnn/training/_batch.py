"""Steps of single batches, `Trainer.train_on_batch`: a call of the executor for plain arrays, checks for others."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from fastnn import _config
from fastnn import _validation as v
from fastnn.engine import Executor, Feed, make_executor
from fastnn.nn.loss_base import batch_rules
from fastnn.training._core import TrainerCore
from fastnn.training.diverged import TrainingDiverged, first_nonfinite
from fastnn.training.examples import Examples, validated_examples, warn_of_last_layer
from fastnn.training.scaled_targets import target_scaling

NAMES = ("x", "y", "sample_weight")


class BatchStep:
    """What `train_on_batch` uses from step to step; a change of settings discards it.

    Parameters
    ----------
    trainer : TrainerCore
    executor : Executor
    target : {"labels", "rows"}
    """

    __slots__ = ("counters", "executor", "frozen", "output_scaling", "rules", "target_scaling", "update_counters")

    def __init__(self, trainer: TrainerCore, executor: Executor, target: str) -> None:
        net = trainer.net
        self.executor, self.frozen, self.output_scaling = executor, net.params.frozen, net.output_scaling
        self.target_scaling = target_scaling(net, trainer.loss)
        self.counters, self.update_counters = (net.forward_counter,), trainer.update_counters
        self.rules = batch_rules(trainer.loss, target, net.out_features)

    def run(self, trainer: TrainerCore, x: Any, y: Any, weight: Any) -> float | None:
        """Make a step of arrays that nobody has checked; None if they have to be, or nothing here fits any more."""
        net = trainer.net
        if net.params.frozen is not self.frozen or net._output_scaling is not self.output_scaling:
            return None
        if self.rules is None:
            return None
        table, row = trainer.next_scalars()
        return self.executor.run_batch(
            x, y, weight,
            rules=self.rules,
            scalars=table,
            row=row,
            step=net._forward_counter.value,
            threads=_config.get_num_threads(),
            scaling=net._scaling,
            target_scaling=self.target_scaling,
            lock=net.lock,
            counters=self.counters,
            update_counters=self.update_counters,
        )  # fmt: skip


def train_on_batch(trainer: TrainerCore, x: Any, y: Any, sample_weight: Any) -> float:
    """Make one step of a batch, and return its loss; `Trainer.train_on_batch` has the documentation."""
    backend = _config.get_backend()
    with trainer.net.training_claim:
        made: BatchStep | None = trainer._batch_steps.get(backend)
        steps = trainer.net.training_steps
        loss = None if made is None else made.run(trainer, x, y, sample_weight)
        # A step may be made though the mean loss overflows: then it is not made again, to find out why.
        if loss is not None and (math.isfinite(loss) or trainer.net.training_steps != steps):
            return loss
        return _checked_step(trainer, backend, x, y, sample_weight)


def _checked_step(trainer: TrainerCore, backend: str, x: Any, y: Any, sample_weight: Any) -> float:
    """Check everything as `fit` does, and make the step as it does."""
    net, loss = trainer.net, trainer.loss
    check_single_steps(trainer, "train_on_batch", "set trainer.accumulate = 1, or call fit")
    net.refuse_all_frozen()
    examples = validated_examples(net, loss, x, y, sample_weight, finite=True, names=NAMES)
    if net.uses_batch_statistics:
        v.at_least("x", examples.x, 0, 2, "rows for batch norm")
    rows, scaling = len(examples.x), target_scaling(net, loss)
    executor = trainer.fit_executor(examples.target, rows)
    rates, scalars = trainer.scalars(1)
    known = trainer._batch_steps.get(backend)
    if known is None:
        warn_of_last_layer(net, loss)
    if known is None or known.executor is not executor or known.output_scaling is not net.output_scaling:
        trainer._batch_steps[backend] = BatchStep(trainer, executor, examples.target)
    feed = Feed(
        examples.x, np.arange(rows), rows, examples.y, examples.row_weight, False, net.input_scaling, scaling
    )  # fmt: skip
    result = executor.run_steps(
        feed, 0, 1, scalars, net.training_steps % 2**32, math.inf, _config.get_num_threads(),
        lock=net.lock, counters=(net.forward_counter,), update_counters=trainer.update_counters,
    )  # fmt: skip
    if result.error is not None:
        raise result.error
    if not result.finite:
        _refuse_loss(trainer, feed, examples, result.last_loss, float(rates[0]))
    return result.loss / result.weight if result.weight else 0.0


def check_single_steps(trainer: TrainerCore, method: str, fix: str) -> None:
    """Refuse settings with which single steps do not go."""
    if trainer.accumulate > 1:
        v.refuse(ValueError, "accumulate", f"be 1 for {method}", trainer.accumulate, fix)
    if trainer.averages_epochs:
        must = f"be an EMA for {method}, which knows no epochs"
        v.refuse(ValueError, "average", must, trainer.average, "set trainer.average = optim.EMA(...)")


def _refuse_loss(trainer: TrainerCore, feed: Feed, examples: Examples, loss: float, lr: float) -> NoReturn:
    """Raise `TrainingDiverged`, after the forward pass again in a program that keeps the output of each layer."""
    net, rows = trainer.net, feed.largest_batch
    program = net.training_program(loss=trainer.loss, target=examples.target, observed=True)
    executor = make_executor(program, net.dtype, rows, net.params, net.state, net.gradient_arena(), (), net.seed)
    threads = _config.get_num_threads()
    executor.run_steps(feed, 0, 1, np.zeros((1, 1)), net.training_steps % 2**32, 0.0, threads, lock=net.lock)
    layer = first_nonfinite(net, executor, rows)
    raise TrainingDiverged(
        trainer.epoch + 1, trainer.step_count + 1, loss, lr, layer,
        unchanged=True,
        was_finite=v.all_finite(net.params.data),
    )  # fmt: skip
