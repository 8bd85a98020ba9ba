"""The solvers that train by batches: scikit-learn's epochs and stopping rules, with several epochs per native call.

An epoch can end a fit only after more than `n_iter_no_change` epochs without an improvement. So the next epoch that can
do so is known in advance, and all epochs up to it run without returning to Python, unless every epoch has to be
reported, to callbacks for example.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

from fastnn import _validation as v
from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.engine import Executor, Feed, mixes_targets
from fastnn.sklearn import _messages as messages
from fastnn.sklearn._average import put_average, resume, with_average
from fastnn.sklearn._model import (
    SOFT_LOG_LOSS,
    Model,
    batch_norm_parameter,
    make_loss,
    make_optimizer,
    make_schedule,
    settings_of,
)  # fmt: skip
from fastnn.sklearn._optimizer import OptimizerState
from fastnn.sklearn._repeated import prepare_repeated_fit
from fastnn.sklearn._rows import Rows, batch_sizes, to_dense
from fastnn.sklearn._scaling import fit_scalers
from fastnn.sklearn._targets import encode
from fastnn.sklearn._tasks import CallbackTasks
from fastnn.sklearn._validation_set import ValidationSet
from fastnn.training import Callback, Trainer
from fastnn.training._augment import as_augment
from fastnn.training._core import Span
from fastnn.training._observers import Observers
from fastnn.training._progress import ProgressBar
from fastnn.training._steps import Slice, StepLoop
from fastnn.training.evaluation import evaluate
from fastnn.training.examples import Examples, validated_examples, validated_targets

MOST_ORDERED_ROWS = 1 << 17  # epochs run together only while their row orders have at most this many entries in all


def trainer_for(
    estimator: Any, model: Model, incremental: bool, unchanged: bool, mixes: bool
) -> tuple[Trainer, OptimizerState]:
    """Return a trainer with the estimator's present parameters, and its state as the estimator shows it.

    `mixes` says whether targets are mixed, so that the loss has to take soft targets.

    With `incremental` it continues from the previous trainer: in the schedule and, if the optimiser's kind is the same,
    in the count of steps and in the optimiser's slots. The rate stays what it has become, unless another
    `learning_rate_init` has been set. With `unchanged`, no parameter has changed since then: it is the same trainer.
    """
    before: OptimizerState | None = estimator.__dict__.get("_optimizer") if incremental else None
    if before is not None and model.trainer is not None and unchanged:
        return model.trainer, before
    net = model.net
    loss = make_loss(estimator.loss, estimator.out_activation_, net.out_features)
    if mixes and isinstance(loss, nn.LogLoss):
        loss = SOFT_LOG_LOSS[estimator.out_activation_]
    optimizer = make_optimizer(estimator)
    schedule = make_schedule(estimator.schedule)
    penalty = optim.Penalty(l2=float(estimator.alpha), per_batch=True)
    trainer = Trainer(
        net, loss, optimizer, schedule, penalty, estimator.clip_value, estimator.clip_norm,
        accumulate=estimator.accumulate, average=estimator.average,
    )  # fmt: skip
    state = OptimizerState(optimizer.kind, trainer.lr, [model.views_of(slot) for slot in trainer.slots()])
    if before is not None:
        trainer.history.epochs[:], state.average = before.history, before.average
        continued = before.can_continue_as(state.kind, state.slots)
        trainer.continue_from(before.t if continued else 0, before.schedule_step, before.epoch)
        if continued:
            for new_slot, old_slot in zip(state.slots, before.slots, strict=True):
                for array, values in zip(new_slot, old_slot, strict=True):
                    array[...] = values
            if before.learning_rate_init == state.learning_rate_init:
                trainer.lr = before.base_rate
    state.copy_progress(trainer)
    return trainer, state


def callbacks_of(estimator: Any) -> list[Callback]:
    """Return the estimator's callbacks, checked, and a progress bar if it asks for one."""
    callbacks = list(estimator.callbacks or ())
    for index, each in enumerate(callbacks):
        v.instance(f"callbacks[{index}]", each, Callback, "be a fastnn.Callback")
    return [*callbacks, ProgressBar(estimator.max_iter)] if estimator.verbose == "bar" else callbacks


class StochasticFit(StepLoop):
    """One call of `fit` or `partial_fit` with any solver but "lbfgs".

    The constructor checks the data and the parameters and does not change the estimator's attributes;
    `set_initial_attributes` and `run` do.
    """

    stop_at_nonfinite = False  # as in scikit-learn

    def __init__(
        self,
        estimator: Any,
        model: Model,
        X: Any,
        y: Array,
        sample_weight: Array | None,
        validation: ValidationSet | None,
        incremental: bool,
        unchanged: bool,
        names: tuple[str, str, str],
    ) -> None:
        self.augment = as_augment(model.net, estimator.augment)
        mixes = mixes_targets(self.augment.steps)
        trainer, self.state = trainer_for(estimator, model, incremental, unchanged, mixes)
        if trainer is not model.trainer:
            model = copy.copy(model)
            model.trainer, model.settings = trainer, settings_of(estimator)
            model.repeated_fit = model.repeated_fit_settings = None
        super().__init__(trainer, Observers(callbacks_of(estimator)))
        self.estimator, self.model, self.incremental, self.loss = estimator, model, incremental, trainer.loss
        encoded = encode(self.loss, y, estimator.out_activation_, self.net.dtype)
        target, sample_weight, weight = validated_targets(
            self.net, self.loss, encoded, sample_weight, X.shape[0], names
        )
        self.augment.check(self.loss)
        weight = self.augment.row_weight(sample_weight, weight)
        self.order, held_out = np.arange(X.shape[0]), validation if estimator.early_stopping else None
        if estimator.early_stopping and validation is None:
            held_out = self.hold_out_rows(X, y, sample_weight, weight, names[2])
        fit_scalers(estimator, self.net, self.loss, X, y, self.order if len(self.order) < X.shape[0] else None)
        # The rows whose loss is computed after every epoch; `held_out` are those whose score is.
        loss_data = validation if estimator.scoring != "loss" or validation is not None else held_out
        self.validation = None if loss_data is None else self.encoded_examples(loss_data)
        self.held_out = None if held_out is None else self.for_scorer(held_out)
        has_scorer = self.held_out is not None and estimator.scoring not in (None, "loss")
        self.scorer = check_scoring(estimator, scoring=estimator.scoring) if has_scorer else None

        batch_size = self.batch_size()
        self.rows = Rows(X, target, weight, batch_size, bool(batch_norm_parameter(estimator)), self.net, self.loss)
        self.batch_sizes = batch_sizes(len(self.order), batch_size, self.rows.merge_last)
        self.batches = len(self.batch_sizes)
        self.target = "labels" if target.ndim == 1 else "rows"
        self.executor()  # may lack memory: then the fit is refused
        self.losses = np.empty(0)  # of the steps that are done
        self.prints_progress = bool(estimator.verbose) and estimator.verbose != "bar"
        self.tasks: Any = None
        self.best_others: list[Array] = []
        self.returns_every_epoch = True

    def hold_out_rows(
        self, X: Any, y: Array, sample_weight: Array | None, weight: Array | None, name: str
    ) -> ValidationSet:
        """Take the rows of a validation out of the training; return them."""
        self.order, rows = self.split_validation(y)
        for part, weights, chosen in (("training", weight, self.order), ("validation", sample_weight, rows)):
            if weights is not None and not weights[chosen].any():
                v.refuse(ValueError, name, f"be above 0 for at least one {part} row", "only zeros")
        weights = None if sample_weight is None else sample_weight[rows]
        return ValidationSet(_safe_indexing(X, rows), y[rows], weights, ("X", "y", name))

    def encoded_examples(self, given: ValidationSet) -> Examples:
        """Return validation data in the form that the net is evaluated on."""
        X, y, weight, names = given
        encoded = encode(self.loss, y, self.estimator.out_activation_, self.net.dtype)
        return validated_examples(self.net, self.loss, to_dense(X), encoded, weight, finite=True, names=names)

    def for_scorer(self, given: ValidationSet) -> tuple[Any, Array, Array | None]:
        """Return validation data for scorers, which take targets in the user's form."""
        X, y, weight, _ = given
        if is_classifier(self.estimator):
            y = self.estimator._label_binarizer.inverse_transform(y)
        elif y.shape[1] == 1:
            y = y[:, 0]
        return X, y, weight

    def batch_size(self) -> int:
        """Return the number of rows of a batch."""
        estimator, n = self.estimator, len(self.order)
        if estimator.batch_size != "auto" and estimator.batch_size > n:
            messages.warn_batch_size_clipped()
        size = int(min(200 if estimator.batch_size == "auto" else estimator.batch_size, n))
        if size == 1 and (parameter := batch_norm_parameter(estimator)):
            got = f"{size} with n_samples={n}"  # scikit-learn's checks of estimators look for "n_samples=1"
            v.refuse(ValueError, "batch_size", f"be at least 2 with {parameter}", got)
        return size

    def split_validation(self, y: Array) -> tuple[Array, Array]:
        """Split the rows into training and validation as scikit-learn does, stratified by one column of classes."""
        estimator = self.estimator
        stratify = y if is_classifier(estimator) and y.shape[1] == 1 else None
        train, held_out = train_test_split(
            self.order,
            random_state=estimator._random_state,
            test_size=estimator.validation_fraction,
            stratify=stratify,
        )
        if len(held_out) < 2:
            messages.validation_set_too_small()
        return train, held_out

    # ---- epochs ----

    def set_initial_attributes(self) -> None:
        """Set the attributes that the estimator has before the first epoch.

        The best score is that of one call, also with `warm_start`.
        """
        estimator, known = self.estimator, self.estimator.__dict__
        estimator._optimizer, estimator.n_iter_ = self.state, 0
        known.setdefault("loss_curve_", [])
        known.setdefault("_no_improvement_count", 0)
        if estimator.early_stopping:
            estimator._no_improvement_count, estimator.best_validation_score_, estimator.best_loss_ = 0, -np.inf, None
            if known.get("validation_scores_") is None:
                estimator.validation_scores_ = []
            self.keep_best()
        else:
            estimator.validation_scores_ = estimator.best_validation_score_ = None
            if known.get("best_loss_") is None:
                estimator._no_improvement_count, estimator.best_loss_ = 0, np.inf

    def keep_best(self) -> None:
        """Copy the present weights as those of the best epoch."""
        estimator, model = self.estimator, self.model
        estimator._best_coefs = [coef.copy() for coef in model.coefs]
        estimator._best_intercepts = [intercept.copy() for intercept in model.intercepts]
        self.best_others = [array.copy() for array in model.others.values()]

    def run(self, estimator: Any, tasks: CallbackTasks) -> None:
        """Train until a stopping rule or a callback ends the fit."""
        self.estimator, self.tasks = estimator, tasks
        trainer = self.trainer
        reported = self.observers or tasks or self.held_out or self.validation or self.prints_progress
        # A schedule or "invscaling" needs Python after every epoch as well, to set the trainer's rate.
        returns = trainer.schedule or trainer.averages_epochs or estimator.learning_rate == "invscaling"
        self.returns_every_epoch = bool(reported or returns)
        resume(trainer, self.state.average)
        self.state.average = None
        with trainer.fitting(self.observers, Span(estimator.max_iter, estimator.max_iter * self.updates, 0, 0)):
            try:
                while not trainer.stop_requested and self.train_until_check(self.incremental):
                    pass
            except BaseException as error:
                if not self.returns_every_epoch:
                    self.record_epochs()
                if not isinstance(error, KeyboardInterrupt):
                    raise
                messages.warn_interrupted()
            finally:
                self.record_progress()
                trainer.end_fit()
                estimator._training_steps = self.net.training_steps
        if estimator.early_stopping:
            self.model.load(estimator._best_coefs, estimator._best_intercepts, self.best_others)
        else:
            self.state.average = put_average(trainer, self.training_feeds)
        if self.incremental:
            prepare_repeated_fit(estimator, self.model, self.state)
        else:
            trainer.warn_of_average()

    def training_feeds(self) -> Iterator[Feed]:
        """Yield all training rows, in the order in which they were given."""
        return self.rows.feeds(np.sort(self.order)[np.newaxis])

    def train_until_check(self, incremental: bool) -> bool:
        """Train up to the next epoch after which a rule can end the fit; return whether the fit continues."""
        estimator, trainer = self.estimator, self.trainer
        started = time.perf_counter()
        self.tasks.begin_epoch()
        self.observers.call("on_epoch_begin", trainer)
        if trainer.stop_requested:
            return False
        self.train_epochs(1 if incremental or self.returns_every_epoch else self.epochs_until_check())
        trainer.average_epoch()
        seconds, rate = time.perf_counter() - started, self.last_step_rate()
        self.record_epochs()
        if estimator.solver == "sgd" and estimator.learning_rate == "invscaling":
            trainer.lr = self.state.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
        self.record_progress()
        stopped = self.call_epoch_end(seconds, rate)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            stopped |= self.stop_or_lower_rate()
            if not stopped:
                estimator._no_improvement_count = 0
        if stopped or incremental:
            return False
        if estimator.n_iter_ == estimator.max_iter:
            messages.warn_not_converged(estimator.max_iter)
        return bool(estimator.n_iter_ < estimator.max_iter)

    def record_progress(self) -> None:
        """Copy the trainer's progress into `_optimizer`; a callback may have given the trainer another optimiser."""
        state, trainer = self.state, self.trainer
        if trainer.optimizer.kind != state.kind:
            slots = [self.model.views_of(slot) for slot in trainer.slots()]
            state.kind, state.slots = trainer.optimizer.kind, slots
        state.copy_progress(trainer)

    def last_step_rate(self) -> float:
        """Return the learning rate of the last step, with the schedule applied."""
        trainer = self.trainer
        if trainer.schedule is None:
            return trainer.lr
        return float(trainer.rates(np.array([trainer.schedule_step - 1]))[0])

    def epochs_until_check(self) -> int:
        """Return the number of epochs up to the next one after which a rule can stop the fit or lower the rate."""
        estimator = self.estimator
        until_rule = estimator.n_iter_no_change + 1 - estimator._no_improvement_count
        left = estimator.max_iter - estimator.n_iter_
        return max(1, int(min(until_rule, left, MOST_ORDERED_ROWS // len(self.order))))

    def train_epochs(self, epochs: int) -> None:
        """Draw the row orders, each a permutation of the one before as in scikit-learn, and run the steps."""
        orders = np.empty((epochs, len(self.order)), dtype=np.int64)
        for order in orders:
            if self.estimator.shuffle:
                np.take(self.order, self.estimator._random_state.permutation(len(order)), out=order, mode="clip")
            else:
                order[...] = self.order
            self.order = order
        self.begin_epoch()
        self.losses = np.empty(epochs * self.batches)
        for feed in self.rows.feeds(orders, self.accumulate):
            self.feed = feed
            self.run_feed(self.losses[self.done :])

    def executor(self, *, observed: bool = False) -> Executor:
        """Return the executor of the next slice, or of an observed step, for the settings that the trainer has now."""
        if self.trainer.loss is not self.loss:
            must = "stay the same during the fit of an estimator"
            v.refuse(ValueError, "trainer.loss", must, self.trainer.loss, "set the estimator's loss before the fit")
        return self.trainer.fit_executor(
            self.target, int(self.batch_sizes.max()), self.augment.steps, self.accumulate > 1, observed=observed
        )

    def check(self, last: Slice) -> None:
        """Accept any loss."""

    def mean_loss(self) -> float:
        return float(np.average(self.losses[: self.done], weights=self.batch_sizes[: self.done]))

    def record_epochs(self) -> None:
        """Record all epochs whose steps are done."""
        n = len(self.order)
        epochs, rest = divmod(self.done, self.batches)
        means = self.losses[: epochs * self.batches].reshape(epochs, self.batches) @ self.batch_sizes / n
        if rest and not epochs and self.trainer.stop_requested:  # a callback has stopped the fit within the epoch
            means = np.array([np.average(self.losses[:rest], weights=self.batch_sizes[:rest])])
        self.begin_epoch()
        self.trainer.epoch_counter.value += len(means)
        for mean in means:
            self.record_epoch(mean, n)

    def record_epoch(self, loss: float, n: int) -> None:
        """Update the estimator's attributes as scikit-learn does after each epoch."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.loss_ = loss
        estimator.t_ += n
        estimator.loss_curve_.append(loss)
        if self.prints_progress:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        if self.validation is not None or self.held_out is not None:
            with with_average(self.trainer, self.training_feeds):
                best = self.evaluate_epoch()
        if self.held_out is None:
            estimator._no_improvement_count = (
                estimator._no_improvement_count + 1 if loss > estimator.best_loss_ - estimator.tol else 0
            )
            if loss < estimator.best_loss_:  # noqa: PLR1730 - min() would return its first argument if one is NaN
                estimator.best_loss_ = loss
            return
        missed = estimator.validation_scores_[-1] < best + estimator.tol
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if missed else 0

    def evaluate_epoch(self) -> float:
        """Compute the validation's loss and score of the weights that the net has, and keep these if they are best.

        Returns
        -------
        float
            The best score before; NaN if there are no scores.
        """
        estimator = self.estimator
        if self.validation is not None:
            validation_loss = evaluate(self.net, self.loss, self.validation, {})["loss"]
            estimator.__dict__.setdefault("validation_loss_curve_", []).append(validation_loss)
        if self.held_out is None:
            return np.nan
        if estimator.scoring == "loss":
            score = -validation_loss
        else:
            score = estimator._validation_score(self.scorer, *self.held_out)
        estimator.validation_scores_.append(score)
        if self.prints_progress:
            print(f"Validation score: {score:f}")
        best: float = estimator.best_validation_score_
        if score > best:
            estimator.best_validation_score_ = score
            self.keep_best()
        return best

    def stop_or_lower_rate(self) -> bool:
        """After too many epochs without an improvement, lower an adaptive rate or stop; return whether to stop."""
        estimator, trainer = self.estimator, self.trainer
        what = "Validation score" if estimator.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} consecutive "
            "epochs."
        )
        adaptive = estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
        stop = not (adaptive and trainer.lr > 1e-6)
        if stop:
            message += " Learning rate too small. Stopping." if adaptive else " Stopping."
        else:
            trainer.lr /= 5.0
            self.record_progress()
            message += f" Setting learning rate to {trainer.lr:f}"
        if self.prints_progress:
            print(message)
        return stop

    def call_epoch_end(self, seconds: float, rate: float) -> bool:
        """Call the callbacks at the end of an epoch; return whether one of them asks to stop."""
        estimator, trainer = self.estimator, self.trainer
        if self.observers:
            logs = {"loss": float(estimator.loss_), "lr": rate, "seconds": seconds}
            if self.validation is not None:
                logs["val_loss"] = estimator.validation_loss_curve_[-1]
            if self.held_out is not None:
                logs["val_score"] = float(estimator.validation_scores_[-1])
            logs |= self.observers.epoch_figures()
            trainer.history.epochs.append(logs)
            self.observers.call("on_epoch_end", trainer, logs)
        return self.tasks.end_epoch() or trainer.stop_requested
