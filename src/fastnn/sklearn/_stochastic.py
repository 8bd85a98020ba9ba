"""The solvers that take batches: scikit-learn's epochs and rules of stopping, several epochs a native call.

An epoch can end a fit only when more epochs than `n_iter_no_change` have passed without an improvement, so the next
one that can is known beforehand: until then nothing has to come back to Python, unless somebody watches every epoch.
"""

from __future__ import annotations

import contextlib
import copy
import time
import warnings
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

from fastnn import _validation as v
from fastnn import optim
from fastnn._config import get_num_threads
from fastnn._typing import Array
from fastnn.engine import Feed
from fastnn.sklearn._model import Model, loss_of, make_optimizer, make_schedule, settings_of
from fastnn.sklearn._optimizer import OptimizerState
from fastnn.sklearn._rows import Rows, batch_sizes, dense
from fastnn.sklearn._targets import encode
from fastnn.sklearn._tasks import Tasks
from fastnn.training import Callback, Trainer
from fastnn.training.callbacks import ProgressBar, observes_steps
from fastnn.training.examples import Examples, validated_examples, validated_targets
from fastnn.training.trainer import call_callbacks

SLICE_SECONDS = 0.05  # native time between two looks at signals
SLICE_STEPS = 4096  # most steps whose scalars are computed together
ORDERED = 1 << 17  # rows whose order is drawn ahead
EVAL_NAMES = ("eval_set[0]", "eval_set[1]", "eval_set[2]")


def trainer_of(estimator: Any, model: Model, incremental: bool, unchanged: bool) -> tuple[Trainer, OptimizerState]:
    """Return what trains by the parameters as they are, and its state as the estimator shows it.

    With `incremental` it goes on where the one before is: in the schedule, in its count of steps and in the optimiser's
    slots, unless these are another kind's. The rate stays what it has become, unless the parameters ask for another.
    """
    before: OptimizerState | None = estimator.__dict__.get("_optimizer") if incremental else None
    if before is not None and model.trainer is not None and unchanged:
        return model.trainer, before
    net = model.net
    loss = loss_of(estimator.loss, estimator.out_activation_, net.out_features)
    optimizer = make_optimizer(estimator)
    schedule = make_schedule(estimator.schedule, estimator.max_iter)
    penalty = optim.Penalty(l2=float(estimator.alpha), per_batch=True)
    trainer = Trainer(net, loss, optimizer, schedule, penalty, estimator.clip_value, estimator.clip_norm)
    state = OptimizerState(optimizer.kind, trainer.lr, [model.in_order(slot) for slot in trainer._get_slots()])
    if before is not None:
        trainer._epoch_counter.value, trainer._schedule_start = before.epoch, before.schedule_step
        trainer.history.epochs[:] = before.history
        if before.goes_on_in(state.kind, state.slots):
            for mine, theirs in zip(state.slots, before.slots, strict=True):
                for array, values in zip(mine, theirs, strict=True):
                    array[...] = values
            trainer._step_counter.value, trainer._schedule_start = before.t, before.schedule_step - before.t
            if before.learning_rate_init == state.learning_rate_init:
                trainer.lr = before.base_rate
        state.copy_progress(trainer)
    return trainer, state


class Epochs:
    """One call of fit or partial_fit: checked when it is made, of which the estimator's attributes know nothing."""

    def __init__(
        self,
        estimator: Any,
        model: Model,
        X: Any,
        y: Array,
        sample_weight: Array | None,
        eval_set: tuple[Any, Array, Array | None] | None,
        incremental: bool,
        unchanged: bool,
        names: tuple[str, str, str],
    ) -> None:
        self.estimator, self.net, self.incremental = estimator, model.net, incremental
        self.trainer, self.state = trainer_of(estimator, model, incremental, unchanged)
        if self.trainer is not model.trainer:
            model = copy.copy(model)
            model.trainer, model.settings = self.trainer, settings_of(estimator)
        self.model, trainer = model, self.trainer
        loss, told = trainer.loss, (estimator.out_activation_, self.net.dtype)
        target, sample_weight, weight = validated_targets(
            self.net, loss, encode(loss, y, *told), sample_weight, X.shape[0], names
        )
        self.order = np.arange(X.shape[0])
        self.held_out = eval_set if estimator.early_stopping else None
        if estimator.early_stopping and eval_set is None:
            self.order, rows = self.split(y)
            held_weight = None if sample_weight is None else sample_weight[rows]
            self.held_out = _safe_indexing(X, rows), y[rows], held_weight
            for part, of_part in (("training", weight), ("validation", sample_weight)):
                if of_part is not None and not of_part[self.order if part == "training" else rows].any():
                    v.refuse(ValueError, names[2], f"be above 0 for one of the {part} rows at least", "zeros alone")
        judged = eval_set if estimator.scoring != "loss" or eval_set is not None else self.held_out
        self.validation: Examples | None = None
        if judged is not None:
            X_val, y_val, val_weight = judged
            self.validation = validated_examples(
                self.net, loss, dense(X_val), encode(loss, y_val, *told), val_weight, finite=True, names=EVAL_NAMES
            )
        if self.held_out is not None:  # in the form in which targets are given
            X_val, y_val, val_weight = self.held_out
            if is_classifier(estimator):
                y_val = estimator._label_binarizer.inverse_transform(y_val)
            elif y_val.shape[1] == 1:
                y_val = y_val[:, 0]
            self.held_out = X_val, y_val, val_weight
        named = self.held_out is not None and estimator.scoring not in (None, "loss")
        self.scorer = check_scoring(estimator, scoring=estimator.scoring) if named else None

        n = n_samples = len(self.order)
        batch_size = estimator.batch_size
        if batch_size == "auto":
            batch_size = min(200, n)
        elif batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=2
            )
        batch_size = int(min(batch_size, n))
        if estimator.batch_norm and min(n, batch_size) == 1:
            v.refuse(
                ValueError,
                "batch_norm",
                "be n_samples and batch_size of at least 2 with it",
                f"{n_samples=}, {batch_size=}",
            )
        self.rows = Rows(X, target, weight, batch_size, bool(estimator.batch_norm), self.net)
        self.sizes = batch_sizes(n, batch_size, self.rows.merge_last)
        self.loss, self.target = loss, "labels" if target.ndim == 1 else "rows"
        trainer._fit_executor(self.target, int(self.sizes.max()))  # its memory may be refused
        self.threads = get_num_threads()
        self.losses, self.done = np.empty(0), 0  # of the steps since epochs were last counted

        callbacks = list(estimator.callbacks or ())
        for index, each in enumerate(callbacks):
            if not isinstance(each, Callback):
                v.refuse(TypeError, f"callbacks[{index}]", "be a Callback of fastnn", type(each).__name__)
        if estimator.verbose == "bar":
            callbacks.append(ProgressBar(estimator.max_iter))
        self.callbacks: list[Callback] = callbacks
        self.batch_callbacks = [each for each in callbacks if type(each).on_batch_end is not Callback.on_batch_end]
        self.observed = observes_steps(callbacks)
        self.prints = bool(estimator.verbose) and estimator.verbose != "bar"
        self.tasks: Any = None
        self.best_others: list[Array] = []
        self.one_by_one = True

    def split(self, y: Array) -> tuple[Array, Array]:
        """Set rows aside as scikit-learn does: stratified where there is one column of classes."""
        estimator = self.estimator
        stratify = y if is_classifier(estimator) and y.shape[1] == 1 else None
        train, held_out = train_test_split(
            self.order,
            random_state=estimator._random_state,
            test_size=estimator.validation_fraction,
            stratify=stratify,
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return train, held_out

    # ---- epochs ----

    def begin(self) -> None:
        """Give the estimator the attributes that it has before the first epoch; best scores are those of one call."""
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
        estimator, model = self.estimator, self.model
        estimator._best_coefs = [coef.copy() for coef in model.coefs]
        estimator._best_intercepts = [intercept.copy() for intercept in model.intercepts]
        self.best_others = [array.copy() for array in model.others.values()]

    def run(self, estimator: Any, tasks: Tasks) -> None:
        self.estimator, self.tasks = estimator, tasks
        trainer = self.trainer
        watched = self.callbacks or tasks or self.held_out or self.validation or self.prints
        # A rate that changes with the epoch is told to the trainer between two of them.
        self.one_by_one = bool(watched or trainer.schedule or estimator.learning_rate == "invscaling")
        with contextlib.ExitStack() as ends:
            for callback in reversed(self.callbacks):
                ends.callback(call_callbacks, [callback], "on_fit_end", trainer)
            trainer._stop_requested = False
            call_callbacks(self.callbacks, "on_fit_begin", trainer)
            try:
                while not trainer._stop_requested and self.epochs(self.incremental):
                    pass
            except BaseException as error:
                if not self.one_by_one:
                    self.count()
                if not isinstance(error, KeyboardInterrupt):
                    raise
                warnings.warn("Training interrupted by user.", stacklevel=2)
            finally:
                self.record_progress()
                estimator._training_steps = self.net.training_steps
        if estimator.early_stopping:
            self.model.load(estimator._best_coefs, estimator._best_intercepts, self.best_others)

    def epochs(self, incremental: bool) -> bool:
        """Train until a rule has to be looked at; whether to go on."""
        estimator, trainer = self.estimator, self.trainer
        started = time.perf_counter()
        self.tasks.begin_epoch()
        call_callbacks(self.callbacks, "on_epoch_begin", trainer)
        if trainer._stop_requested:
            return False
        self.train(1 if incremental or self.one_by_one else self.ahead())
        seconds, rate = time.perf_counter() - started, self.last_rate()
        self.count()
        if estimator.solver == "sgd" and estimator.learning_rate == "invscaling":
            trainer.lr = self.state.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
        self.record_progress()
        stopped = self.notify_epoch_end(seconds, rate)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            stopped |= self.end_or_lower_rate()
            if not stopped:
                estimator._no_improvement_count = 0
        if stopped or incremental:
            return False
        if estimator.n_iter_ == estimator.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return bool(estimator.n_iter_ < estimator.max_iter)

    def record_progress(self) -> None:
        """Note where the trainer is; a callback may have given it another optimiser."""
        state, trainer = self.state, self.trainer
        if trainer.optimizer.kind != state.kind:
            state.kind, state.slots = trainer.optimizer.kind, [self.model.in_order(s) for s in trainer._get_slots()]
        state.copy_progress(trainer)

    def last_rate(self) -> float:
        """The learning rate of the last step, by the schedule where there is one."""
        trainer = self.trainer
        if trainer.schedule is None:
            return trainer.lr
        return float(trainer.schedule(trainer.lr, trainer.epoch, [trainer.schedule_step - 1])[0])

    def ahead(self) -> int:
        """How many epochs there are to the next at whose end a rule may do something."""
        estimator = self.estimator
        quiet = estimator.n_iter_no_change + 1 - estimator._no_improvement_count
        left = estimator.max_iter - estimator.n_iter_
        return max(1, int(min(quiet, left, ORDERED // len(self.order))))

    def train(self, epochs: int) -> None:
        """Draw the orders, each a permutation of the one before, and run the steps."""
        orders = np.empty((epochs, len(self.order)), dtype=np.int64)
        for order in orders:
            if self.estimator.shuffle:
                np.take(self.order, self.estimator._random_state.permutation(len(order)), out=order, mode="clip")
            else:
                order[...] = self.order
            self.order = order
        self.losses, self.done = np.empty(epochs * len(self.sizes)), 0
        for feed in self.rows.feeds(orders):
            self.steps(feed)

    def steps(self, feed: Feed) -> None:
        """Run all batches of a feed, in slices."""
        try:
            self.run_all(feed)
        finally:
            self.net.lock.restore_order()

    def run_all(self, feed: Feed) -> None:
        trainer, net, at, last = self.trainer, self.net, 0, feed.epochs * feed.n_batches
        while at < last and not trainer._stop_requested:
            steps = 1 if self.batch_callbacks else min(SLICE_STEPS, last - at)
            if trainer.loss is not self.loss:
                v.refuse(
                    ValueError,
                    "trainer.loss",
                    "be as it is until the fit ends: set the estimator's `loss`",
                    trainer.loss,
                )
            executor = trainer._fit_executor(self.target, int(self.sizes.max()))
            scalars = trainer.scalars(steps, last - at)[1]
            result = executor.run_steps(
                feed,
                at,
                at + steps,
                scalars,
                net.training_steps % 2**32,
                SLICE_SECONDS,
                self.threads,
                losses=self.losses[self.done :],
                ahead=0 if self.observed else last - at,
                lock=net.lock,
                counters=(net._forward_counter, trainer._step_counter),
            )
            self.done += result.done
            if result.error is not None:
                raise result.error
            at += result.done
            if self.callbacks:
                done = self.done
                mean = np.average(self.losses[:done], weights=self.sizes[:done])
                logs = {"batch": done, "batches": len(self.sizes), "loss": float(mean)}
                call_callbacks(self.callbacks, "on_progress", trainer, logs)
                call_callbacks(self.batch_callbacks, "on_batch_end", trainer, logs | {"batch_loss": result.last_loss})

    def count(self) -> None:
        """Note the epochs whose steps are done."""
        batches, n = len(self.sizes), len(self.order)
        epochs, rest = divmod(self.done, batches)
        means = self.losses[: epochs * batches].reshape(epochs, batches) @ self.sizes / n
        if rest and not epochs and self.trainer._stop_requested:  # a callback has ended the epoch
            means = np.array([np.average(self.losses[:rest], weights=self.sizes[:rest])])
        self.done = 0
        self.trainer._epoch_counter.value += len(means)
        for mean in means:
            self.epoch_ended(mean, n)

    def epoch_ended(self, loss: float, n: int) -> None:
        """What scikit-learn does after each epoch."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.loss_ = loss
        estimator.t_ += n
        estimator.loss_curve_.append(loss)
        if self.prints:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        if self.validation is not None:
            judged = self.trainer._evaluate(self.validation, {})["loss"]
            estimator.__dict__.setdefault("validation_loss_curve_", []).append(judged)
        if self.held_out is None:
            estimator._no_improvement_count = (
                estimator._no_improvement_count + 1 if loss > estimator.best_loss_ - estimator.tol else 0
            )
            if loss < estimator.best_loss_:  # noqa: PLR1730 - of NaN, min takes the first
                estimator.best_loss_ = loss
            return
        score = -judged if estimator.scoring == "loss" else estimator._validation_score(self.scorer, *self.held_out)
        estimator.validation_scores_.append(score)
        if self.prints:
            print(f"Validation score: {score:f}")
        estimator._no_improvement_count = (
            estimator._no_improvement_count + 1 if score < estimator.best_validation_score_ + estimator.tol else 0
        )
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            self.keep_best()

    def end_or_lower_rate(self) -> bool:
        """End the fit, or lower an adaptive rate: whether it has ended."""
        estimator, trainer = self.estimator, self.trainer
        what = "Validation score" if estimator.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} consecutive "
            "epochs."
        )
        adaptive = estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
        if adaptive and trainer.lr > 1e-6:
            trainer.lr /= 5.0
            self.record_progress()
            message += f" Setting learning rate to {trainer.lr:f}"
        else:
            message += " Learning rate too small. Stopping." if adaptive else " Stopping."
        if self.prints:
            print(message)
        return message.endswith("Stopping.")

    def notify_epoch_end(self, seconds: float, rate: float) -> bool:
        """Tell whoever watches that an epoch has ended: whether the fit shall."""
        estimator, trainer = self.estimator, self.trainer
        if self.callbacks:
            logs = {"loss": float(estimator.loss_), "lr": rate, "seconds": seconds}
            if self.validation is not None:
                logs["val_loss"] = estimator.validation_loss_curve_[-1]
            if self.held_out is not None:
                logs["val_score"] = float(estimator.validation_scores_[-1])
            trainer.history.epochs.append(logs)
            call_callbacks(self.callbacks, "on_epoch_end", trainer, logs)
        return self.tasks.end_epoch() or trainer._stop_requested
