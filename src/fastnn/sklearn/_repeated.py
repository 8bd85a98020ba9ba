"""A repeated fit is a `partial_fit` with the parameters, the net and the optimiser of the one before, on plain arrays.

Online learning calls it again and again. What `StochasticFit` makes for each call is then the same as before, and the
checks change and report nothing. So a call is one step of the executor's, and the estimator's figures follow from its
loss. All other calls take the general way: that of `StochasticFit`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.utils import check_random_state

from fastnn import _config, _records, nn, optim
from fastnn import _validation as v
from fastnn._losses import BatchRules
from fastnn._typing import Array
from fastnn.nn.loss_base import batch_rules
from fastnn.sklearn import _messages as messages
from fastnn.sklearn._model import Model, settings_unchanged
from fastnn.sklearn._optimizer import OptimizerState
from fastnn.training import Trainer

_Method = TypeVar("_Method", bound=Callable[..., Any])

# Types of parameters that cannot change without another object in their place, except for a generator's state.
_IMMUTABLE = (bool, int, float, str, type(None), type, np.generic, np.random.RandomState, optim.Optimizer, nn.Loss)

# The parameters that a repeated call needs at these values.
_NEEDED: dict[str, Any] = {
    "early_stopping": False, "verbose": False, "warm_start": False, "schedule": None, "callbacks": None,
    "augment": None, "accumulate": 1, "average": None, "n_threads": None, "categorical_features": None, "scale": None,
    "scale_targets": False, "class_weight": None,
}  # fmt: skip

# Attributes with which scikit-learn's part of a call has more to do: its callbacks, and the names of columns.
_NEED_GENERAL_WAY = frozenset(
    {"_skl_callbacks", "_parent_callback_ctx", "_callback_fit_ctx", "feature_names_in_", "_category_columns"}
)


def _is_immutable(value: Any) -> bool:
    return isinstance(value, _IMMUTABLE) or (isinstance(value, tuple) and all(map(_is_immutable, value)))


def tries_repeated_fit(method: _Method) -> _Method:
    """Let a `partial_fit` try the model's `RepeatedFit` first."""

    @functools.wraps(method)
    def partial_fit(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        model = estimator.__dict__.get("_model")
        repeated_fit = None if model is None or len(args) != 2 else model.repeated_fit
        if kwargs and repeated_fit is not None and not _says_nothing_new(estimator, kwargs):
            repeated_fit = None
        if repeated_fit is not None and repeated_fit.run(estimator, model, *args):
            return estimator
        return method(estimator, *args, **kwargs)

    return cast(_Method, partial_fit)


def _says_nothing_new(estimator: Any, kwargs: dict[str, Any]) -> bool:
    """Whether these arguments are the known classes, as many programs give them in every call, and no weights."""
    if not kwargs.keys() <= {"sample_weight", "classes"} or kwargs.get("sample_weight") is not None:
        return False
    if "classes" not in kwargs:
        return True
    known, classes = estimator.__dict__.get("classes_"), kwargs["classes"]
    if not isinstance(known, np.ndarray) or not isinstance(classes, list | tuple | np.ndarray | None):
        return False
    given = classes.tolist() if isinstance(classes, np.ndarray) else classes
    return given is None or list(given) == known.tolist()


def prepare_repeated_fit(estimator: Any, model: Model, state: OptimizerState) -> None:
    """Make the model's `RepeatedFit` after a call on the general way, or bring it up to date, if there can be one."""
    if model.repeated_fit_settings is not model.settings:
        model.repeated_fit, model.repeated_fit_settings = make_repeated_fit(estimator, model, state), model.settings
    elif model.repeated_fit is not None:
        model.repeated_fit.take_over(estimator, state)


def make_repeated_fit(estimator: Any, model: Model, state: OptimizerState) -> RepeatedFit | None:
    """Return what repeats the call that has just ended; None if the estimator's parameters need more than a step."""
    settings = estimator.get_params(deep=False)
    assert model.trainer is not None
    loss = model.trainer.loss
    own = _records.is_own(type(estimator)) and _records.is_own(type(loss))
    if not (own and all(map(_is_immutable, settings.values()))):
        return None
    if any(settings.get(name, value) != value for name, value in _NEEDED.items()):
        return None
    if estimator.solver == "sgd" and estimator.learning_rate != "constant":
        return None
    labels = estimator.out_activation_ == "softmax" and "labels" in loss.spec.kinds
    target = "labels" if labels else "rows"
    rules = batch_rules(loss, target, model.net.out_features)
    is_classifier = hasattr(estimator, "classes_")
    if is_classifier and (estimator._label_binarizer.y_type_.startswith("multilabel") or estimator.classes_.ndim != 1):
        return None
    if rules is None or model.net.input_scaling is not None or model.net.output_scaling is not None:
        return None
    return RepeatedFit(estimator, model.trainer, state, target, rules)


class RepeatedFit:
    """Repeats a `partial_fit` with other rows.

    Parameters
    ----------
    estimator : estimator
        As the call left it.
    trainer : Trainer
    state : OptimizerState
    target : {"labels", "rows"}
    rules : BatchRules
    """

    def __init__(self, estimator: Any, trainer: Trainer, state: OptimizerState, target: str, rules: BatchRules) -> None:
        self.trainer, self.loss, self.target, self.rules = trainer, trainer.loss, target, rules
        self.take_over(estimator, state)
        self.losses = np.empty(1)
        self.batch_size = estimator.batch_size
        self.most_rows = 200 if self.batch_size == "auto" else int(self.batch_size)

    def take_over(self, estimator: Any, state: OptimizerState) -> None:
        """Take over the objects that the last call has made."""
        self.state = state
        self.generator = estimator._random_state if isinstance(estimator.random_state, Integral) else None

    def run(self, estimator: Any, model: Model, X: Any, y: Any) -> bool:
        """Make the step, and set the estimator's figures; return False, having done nothing, for another call."""
        trainer, net = self.trainer, model.net
        if type(X) is not np.ndarray or type(y) is not np.ndarray or X.dtype.char not in "fd" or X.ndim != 2:
            return False
        rows = len(X)
        if (
            y.shape[:1] != X.shape[:1]
            or rows > self.most_rows
            or (self.batch_size != "auto" and rows != self.most_rows)
        ):
            return False
        net.training_claim.refuse_nested_fit()
        with net.training_claim:
            known = estimator.__dict__  # only now: the end of another thread's fit would replace it
            if not self.is_repeated(estimator, model, known):
                return False
            target = estimator._plain_target(y, self.target)
            if target is None:
                return False
            executor, count = trainer.fit_executor(self.target, rows, accumulates=False), trainer.step_count
            scalars, row = trainer.next_scalars()
            try:
                # The order is drawn once it is certain that a step is made: the general way draws one as well.
                taken = executor.run_batch(
                    X, target, None,
                    rules=self.rules,
                    scalars=scalars,
                    row=row,
                    step=net.training_steps,
                    threads=_config.get_num_threads(),
                    lock=net.lock,
                    counters=(net.forward_counter,),
                    update_counters=trainer.update_counters,
                    draw_order=functools.partial(self.draw_order, estimator, rows),
                    losses=self.losses,
                    stop_at_nonfinite=False,
                ) is not None  # fmt: skip
            except KeyboardInterrupt:
                taken = True
                messages.warn_interrupted()
            finally:
                if trainer.step_count != count:
                    self.record(estimator, known, rows)
            if not taken:
                return False
            if not v.all_finite(net.params.data):
                messages.non_finite_weights()
        return True

    def is_repeated(self, estimator: Any, model: Model, known: dict[str, Any]) -> bool:
        """Return whether everything that the next call depends on is as the last one has left it."""
        state, generator = self.state, self.generator
        return (
            known.get("_model") is model
            and model.trainer is self.trainer
            and known.get("_optimizer") is state
            and state.average is None
            and self.trainer.loss is self.loss
            and settings_unchanged(estimator, model)
            and _NEED_GENERAL_WAY.isdisjoint(known)
            and (generator is None or known.get("_random_state") is generator)
            and type(known.get("loss_curve_")) is list
            and known.get("best_loss_") is not None
            and "_no_improvement_count" in known
            and model.owns(known.get("coefs_", ()), known.get("intercepts_", ()), known.get("other_parameters_", {}))
        )

    def draw_order(self, estimator: Any, rows: int) -> Array | None:
        """Draw the order of the rows as scikit-learn does, with a generator that each call seeds anew from a number."""
        if self.generator is None:
            estimator._random_state = check_random_state(estimator.random_state)
        else:
            self.generator.seed(estimator.random_state)  # takes less time than to make another one
        if not estimator.shuffle:
            return None
        order: Array = estimator._random_state.permutation(rows)
        return order.astype(np.int64, copy=False)

    def record(self, estimator: Any, known: dict[str, Any], rows: int) -> None:
        """Set the figures of an epoch of one step, as `StochasticFit` does."""
        trainer = self.trainer
        loss = self.losses[0] * rows / rows  # rounded as `StochasticFit` rounds the mean over the batches of an epoch
        trainer.epoch_counter.value += 1
        missed = loss > known["best_loss_"] - estimator.tol
        figures = {
            "n_iter_": 1,
            "loss_": loss,
            "t_": known["t_"] + rows,
            "_no_improvement_count": known["_no_improvement_count"] + 1 if missed else 0,
            "best_loss_": min(known["best_loss_"], loss),  # in this order: the best one stays if the loss is NaN
            "validation_scores_": None,
            "best_validation_score_": None,
            "_training_steps": trainer.net.training_steps,
        }
        known["loss_curve_"].append(loss)
        known.update(figures)
        self.state.copy_progress(trainer)
