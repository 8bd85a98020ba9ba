"""Metrics: figures of targets and outputs that a trainer reports besides the loss."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from fastnn import _losses
from fastnn import _validation as v
from fastnn._names import Names
from fastnn._typing import Array
from fastnn.engine import read_only
from fastnn.nn import HeadsLoss, Loss
from fastnn.nn.losses import as_loss
from fastnn.training.history import FIGURES

Metric: TypeAlias = str | Loss | Callable[[Array, Array], float]
"""A name, a loss, or a function of the targets and the net's outputs of all rows."""

Metrics: TypeAlias = str | Loss | Iterable[Metric] | Mapping[str, Metric]
"""What trainers take."""


# ---- targets and outputs as classes or as predictions ----


def takes_classes(loss: Loss, target: str) -> bool:
    """Whether targets of this kind are classes, so that a prediction is right or wrong."""
    spec = loss.spec
    return target == "labels" or bool(spec.among) or spec.probabilities or loss.link(target) == "sigmoid"


def classes(loss: Loss, y: Array, z: Array) -> tuple[Array, Array]:
    """Return the true and the predicted classes: one for each row, or for binary targets one for each entry."""
    if y.ndim == 1:
        return y, z.argmax(axis=1)
    if loss.spec.probabilities:
        return y.argmax(axis=1), z.argmax(axis=1)
    return y > (0 if -1 in loss.spec.among else 0.5), z > 0


def mean_by_rows(values: Array, weight: Array | None) -> float:
    """Return the weighted mean over the rows of the mean over each row's entries."""
    by_row = values.reshape(len(values), -1).mean(axis=1, dtype=np.float64)
    return float(by_row.mean() if weight is None else by_row @ weight / weight.sum())


def _accuracy(loss: Loss, y: Array, z: Array, weight: Array | None) -> float:
    true, predicted = classes(loss, y, z)
    return mean_by_rows(true == predicted, weight)


def _balanced_accuracy(loss: Loss, y: Array, z: Array, weight: Array | None) -> float:
    true, predicted = classes(loss, y, z)
    weight = np.ones(len(true)) if weight is None else weight
    each = np.broadcast_to(weight.reshape(-1, *[1] * (true.ndim - 1)), true.shape)
    totals = ((each[true == k].sum(), each[(true == k) & (predicted == k)].sum()) for k in np.unique(true))
    return float(np.mean([hits / total for total, hits in totals if total > 0]))


def _predictions(loss: Loss, y: Array, z: Array) -> tuple[Array, Array]:
    """Return targets and predictions in float64: the exponential of outputs that are logarithms of rates."""
    wide = z.astype(np.float64)
    with np.errstate(over="ignore"):
        return y.astype(np.float64), np.exp(wide) if loss.link("rows") == "exp" else wide


def _r2(loss: Loss, y: Array, z: Array, weight: Array | None) -> float:
    true, predicted = _predictions(loss, y, z)
    weight = np.ones(len(true)) if weight is None else weight
    with np.errstate(all="ignore"):
        mean = weight @ true / weight.sum()
        error, spread = weight @ (true - predicted) ** 2, weight @ (true - mean) ** 2
        share = 1.0 - error / spread
    # As scikit-learn: constant targets give 1 if they are predicted exactly, otherwise 0.
    return float(np.mean(np.where(spread > 0, share, np.where(error == 0, 1.0, 0.0))))


def _rmse(loss: Loss, y: Array, z: Array, weight: Array | None) -> float:
    true, predicted = _predictions(loss, y, z)
    with np.errstate(all="ignore"):
        return math.sqrt(mean_by_rows((true - predicted) ** 2, weight))


# ---- the registry ----

_OF_CLASSES: Mapping[str, Callable[[Loss, Array, Array, Array | None], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
}
_OF_NUMBERS: Mapping[str, Callable[[Loss, Array, Array, Array | None], float]] = {
    "r2": _r2,
    "root_mean_squared_error": _rmse,
}
HIGHER_IS_BETTER = frozenset({*_OF_CLASSES, "r2"})
METRICS = {**_OF_CLASSES, **_OF_NUMBERS}
"""The metrics by name that are not losses; each takes the loss, targets, outputs and the rows' weights."""

_SKLEARN = 'write metrics={{"{0}": function}}; function(y, output) can call scikit-learn\'s {1}'
NAMES = Names(
    [*METRICS, *_losses.LOSSES],
    _losses.NAMES.aliases
    | {
        "acc": "accuracy",
        "binary_accuracy": "accuracy",
        "categorical_accuracy": "accuracy",
        "r2_score": "r2",
        "rmse": "root_mean_squared_error",
        "sparse_categorical_accuracy": "accuracy",
    },
    _losses.ELSEWHERE
    | {
        "auc": _SKLEARN.format("auc", "roc_auc_score"),
        "f1": _SKLEARN.format("f1", "f1_score"),
        "precision": _SKLEARN.format("precision", "precision_score"),
        "recall": _SKLEARN.format("recall", "recall_score"),
        "roc_auc": _SKLEARN.format("roc_auc", "roc_auc_score"),
    },
)
"""The names of metrics: those of `METRICS`, and those of the losses."""


# ---- the argument ----

_RESERVED = ("epoch", *FIGURES)  # the columns of every log


def as_metrics(metrics: object, outputs: int) -> Mapping[str, Metric]:
    """Return metrics by the names of their figures, checked for a net with so many outputs."""
    if metrics is None:
        return MappingProxyType({})
    if isinstance(metrics, str | Loss):
        metrics = [metrics]
    if callable(metrics) or not isinstance(metrics, Iterable):
        must = 'be names such as "accuracy" and losses, or a mapping of names to functions'
        fix = 'write metrics=["accuracy"] or metrics={"name": function}'
        v.refuse(TypeError, "metrics", must, v.kind_of(metrics), fix)
    named: Mapping[Any, Any] | None = metrics if isinstance(metrics, Mapping) else None
    pairs = [(_figure_name(i, each), each) for i, each in enumerate(metrics)] if named is None else named.items()
    checked: dict[str, Metric] = {}
    for index, (name, metric) in enumerate(pairs):
        if not isinstance(name, str):
            v.refuse(TypeError, "metrics", "have strings as names", v.shown(name))
        if name in _RESERVED or name.startswith("val_"):
            must = "have names other than epoch, loss, lr, seconds and val_..."
            v.refuse(ValueError, "metrics", must, v.shown(name), "choose another name")
        if name in checked:
            fix = 'write metrics={"name": ...}'
            v.refuse(ValueError, "metrics", "have different names", f"{v.shown(name)} twice", fix)
        name = str(name)  # of a NumPy string
        checked[name] = _checked(f"metrics[{index}]" if named is None else f"metrics[{name!r}]", metric, outputs)
        if name == "accuracy" and checked[name] != "accuracy":
            fix = "choose another name, as evaluate reports the accuracy itself"
            v.refuse(ValueError, "metrics", "have another name for another metric than accuracy", "'accuracy'", fix)
    return MappingProxyType(checked)  # so that a change of it is no change of a trainer


def _figure_name(index: int, metric: object) -> str:
    """Return the name of the figure of a metric that is given without one."""
    if isinstance(metric, str):
        return metric
    if isinstance(metric, Loss):
        return next((name for name, spec in _losses.LOSSES.items() if spec is metric.spec), type(metric).__name__)
    name = getattr(metric, "__name__", "")
    if not isinstance(metric, type) and not name.isidentifier():
        fix = 'write metrics={"name": function}'
        v.refuse(TypeError, f"metrics[{index}]", "be a name, a loss or a function with a name", v.shown(metric), fix)
    return str(name)


def _checked(where: str, metric: object, outputs: int) -> Metric:
    if isinstance(metric, str):
        name = v.named(where, metric, NAMES, f"be a function, or one of the names {', '.join(NAMES)}")
        return name if name in METRICS else as_loss(name, outputs)
    if isinstance(metric, Loss):
        return as_loss(metric, outputs)
    if isinstance(metric, type) or not v.is_function(metric):
        must = "be a function of targets and outputs, a loss, or the name of a metric"
        v.refuse_class(where, metric, Loss, must)
        v.refuse(TypeError, where, must, v.kind_of(metric))
    return metric


def check_metrics(metrics: Mapping[str, Metric], loss: Loss, y: Array, outputs: int) -> None:
    """Refuse metrics that do not fit the targets y of a loss of so many outputs, before anything is computed."""
    target, columns = ("labels", 0) if y.ndim == 1 else ("rows", y.shape[1])
    for name, metric in metrics.items():
        where = f"metrics[{name!r}]"
        if isinstance(metric, str) and metric in METRICS and isinstance(loss, HeadsLoss):
            fix = 'write {"hits": lambda y, z: (z[:, :3].argmax(axis=1) == y[:, 0]).mean()}, for example'
            must = "be a function of the columns of a head for a HeadsLoss"
            v.refuse(ValueError, where, must, v.shown(metric), fix)
        if isinstance(metric, str) and metric in _OF_CLASSES and not takes_classes(loss, target):
            fix = 'write "r2" or a loss for real targets'
            v.refuse(ValueError, where, f"be a metric of numbers for the loss {v.shown(loss)}", v.shown(metric), fix)
        if isinstance(metric, str) and metric in _OF_NUMBERS and target == "labels":
            fix = 'write "accuracy" or "balanced_accuracy" for classes'
            v.refuse(ValueError, where, f"be a metric of classes for the loss {v.shown(loss)}", v.shown(metric), fix)
        if isinstance(metric, str) and metric in _OF_NUMBERS and columns != outputs:
            must = f"be a metric for {outputs} outputs of {columns} target{'s' * (columns > 1)}"
            v.refuse(ValueError, where, must, v.shown(metric), "write a function")
        if isinstance(metric, Loss) and target not in metric.spec.kinds:
            given = "classes" if target == "labels" else "rows of numbers"
            v.refuse(ValueError, where, f"be a loss for {given}, as those of {v.shown(loss)}", v.shown(metric))
        if isinstance(metric, Loss) and target == "rows":
            width = metric.bind(outputs, target).target_width
            if width != columns:
                must = f"be a loss for targets with {columns} column{'s' * (columns > 1)}"
                v.refuse(ValueError, where, must, f"{v.shown(metric)}, which takes {width}")
            metric.check_rows(f"y for {where}", y)


def figure(name: str, metric: Metric, loss: Loss, y: Array, z: Array, weight: Array | None) -> float:
    """Return the figure of a metric for targets y, outputs z and the sample weights of the rows, none below 0."""
    if isinstance(metric, Loss):
        return metric(z, y if y.ndim == 1 else y.astype(z.dtype), weight)
    if isinstance(metric, str):
        if weight is not None and not weight.all():  # rows of weight 0 do not count, whatever their outputs are
            y, z, weight = y[weight > 0], z[weight > 0], weight[weight > 0]
        return METRICS[metric](loss, y, z, weight)
    value: object = metric(read_only(y), read_only(z))
    if not isinstance(value, numbers.Real):
        v.refuse(TypeError, f"metrics[{name!r}]", "return a number", v.shown(value))
    v.within_floats(f"the result of metrics[{name!r}]", value)
    return float(value)
