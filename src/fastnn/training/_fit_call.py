"""One call of `Trainer.fit`: its arguments, checked before anything changes, and what they were, for checkpoints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn.engine import Feed
from fastnn.optim import FullBatch
from fastnn.training._arguments import as_callbacks, as_validation, check_rows_of_batch_norm
from fastnn.training._augment import as_augment
from fastnn.training._core import TrainerCore
from fastnn.training._fit import BatchFit, Evaluation, FullBatchFit
from fastnn.training._observers import Observers
from fastnn.training._position import FitArguments, FitSnapshot
from fastnn.training._progress import progress_bars
from fastnn.training.diverged import TrainingDiverged
from fastnn.training.examples import Examples, check_fingerprints, validated_examples, warn_of_last_layer
from fastnn.training.metrics import as_metrics, check_metrics
from fastnn.training.scaled_targets import target_scaling


@dataclass(frozen=True)
class LastFit:
    """The arguments of a trainer's last fit that say how it trained.

    Attributes
    ----------
    arguments : FitArguments
    with_validation : bool
        Whether it had validation data.
    error : TrainingDiverged or None
        How it ended, if it diverged.
    """

    arguments: FitArguments
    with_validation: bool
    error: TrainingDiverged | None = None


@dataclass(frozen=True)
class Data:
    """The arrays of a fit as the user gave them; `validation` is a tuple of such arrays, or None."""

    X: Any
    y: Any
    sample_weight: Any
    validation: Any


def checked_arguments(
    trainer: TrainerCore,
    *,
    epochs: Any,
    batch_size: Any,
    shuffle: Any,
    metrics: Any,
    train_metrics: Any,
    augment: Any,
) -> FitArguments:
    """Return the arguments that a user gave, checked and converted."""
    net = trainer.net
    net.refuse_all_frozen()
    used = None if metrics is None else as_metrics(metrics, net.out_features)
    train_metrics = v.boolean("train_metrics", train_metrics)
    changes = as_augment(net, augment)
    if changes.steps:
        trainer.refuse_with_full_batch(trainer.optimizer, augment=augment)
    epochs, batch_size = v.integer("epochs", epochs, 1), v.integer("batch_size", batch_size, 1)
    return FitArguments(epochs, batch_size, v.boolean("shuffle", shuffle), used, train_metrics, changes)


def run_fit(
    trainer: TrainerCore,
    arguments: FitArguments,
    data: Data,
    callbacks: Iterable[Any],
    verbose: int | None,
    snapshot: FitSnapshot | None = None,
) -> None:
    """Check the data, and train; with the snapshot of a fit, the rest of it."""
    net, train_metrics = trainer.net, arguments.train_metrics
    used = trainer.metrics if arguments.metrics is None else arguments.metrics

    def checked_data() -> tuple[Examples, Examples | None]:
        """Return the data, checked for the loss that the trainer has now."""
        examples = validated_examples(net, trainer.loss, data.X, data.y, data.sample_weight, finite=True)
        arguments.augment.check(trainer.loss)
        validation = as_validation(net, trainer.loss, data.validation)
        for each in (examples if train_metrics else None, validation):
            if each is not None:
                check_metrics(used, trainer.loss, each.y, net.out_features)
        return examples, validation

    examples, validation = checked_data()
    if arguments.metrics and validation is None and not train_metrics:
        fix = "write validation_data=(X_val, y_val), of which metrics are computed, or train_metrics=True"
        v.refuse(ValueError, "validation_data", "be given with metrics", None, fix)
    states: Sequence[Any] = ()
    position, ended = None, 0
    if snapshot is not None:
        check_fingerprints(snapshot.data, examples, validation)
        states, position = snapshot.states, snapshot.position
        ended = position.ended
    observers = Observers([*as_callbacks(callbacks), *progress_bars(verbose, arguments.epochs, ended)], states)
    if net.uses_batch_statistics:
        check_rows_of_batch_norm(examples.x, min(arguments.batch_size, len(examples.x)))
    warn_of_last_layer(net, trainer.loss)
    trainer._last_fit = LastFit(arguments, validation is not None)
    evaluation = Evaluation(trainer, observers, examples if train_metrics else None, validation, used)
    net.training_claim.refuse_nested_fit()
    with net.training_claim, _remembered(trainer):
        if isinstance(trainer.optimizer, FullBatch):
            trainer.refuse_with_full_batch(trainer.optimizer)  # other parameters may be frozen than before
            FullBatchFit(evaluation, trainer.optimizer, examples).run(arguments.epochs)
        else:
            feed = _feed(trainer, examples, arguments)
            # a MemoryError comes before any callback runs
            trainer.fit_executor(examples.target, feed.largest_batch, arguments.augment.steps)
            BatchFit(evaluation, feed, examples, arguments, checked_data).run(position)
    trainer.warn_of_average()


@contextlib.contextmanager
def _remembered(trainer: TrainerCore) -> Iterator[None]:
    """Let the trainer remember that the fit has diverged, if it does."""
    try:
        yield
    except TrainingDiverged as error:
        trainer._last_fit = replace(trainer._last_fit, error=error)
        raise


def _feed(trainer: TrainerCore, examples: Examples, arguments: FitArguments) -> Feed:
    net, order = trainer.net, np.arange(len(examples.x), dtype=np.int64)
    merge_last = any(layer.uses_batch_statistics for layer in net.leaves)  # a callback may thaw a batch norm
    weight = arguments.augment.row_weight(examples.sample_weight, examples.row_weight)
    scalings = net.input_scaling, target_scaling(net, trainer.loss)
    size = min(arguments.batch_size, len(order))
    return Feed(examples.x, order, size, examples.y, weight, merge_last, *scalings)
