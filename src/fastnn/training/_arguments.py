"""Arguments of trainers and fits, checked and converted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.nn import Loss, Sequential
from fastnn.optim import FullBatch, LambdaLR, Optimizer, Penalty, Schedule
from fastnn.training.callbacks import Callback
from fastnn.training.examples import Examples, validated_examples

Metric = Callable[[Array, Array], float]  # takes the targets and the net's outputs of all rows


def as_schedule(schedule: object) -> Schedule | None:
    if schedule is None or isinstance(schedule, Schedule):
        return schedule
    must = "be a schedule of fastnn.optim, or a function of the epoch"
    v.refuse_class("schedule", schedule, Schedule, must)
    if not callable(schedule):
        fix = "write optim.ExponentialLR(0.9) or lambda epoch: 0.9**epoch, for example"
        v.refuse(TypeError, "schedule", must, v.kind_of(schedule), fix)
    return LambdaLR(schedule)


def as_penalty(penalty: object) -> Penalty:
    if penalty is None:
        return Penalty()
    return v.instance("penalty", penalty, Penalty, "be an optim.Penalty", "write optim.Penalty(l2=...)")


def as_limit(name: str, limit: float | None) -> float:
    return math.inf if limit is None else v.real(name, limit, 0, excluded=True)


def as_callbacks(callbacks: object) -> list[Callback]:
    if not isinstance(callbacks, Iterable):
        fix = "write callbacks=[...]"
        if isinstance(callbacks, type) and issubclass(callbacks, Callback):
            fix = f"write callbacks=[{v.constructor_call(callbacks)}]"
        v.refuse(TypeError, "callbacks", "be a list of callbacks", v.kind_of(callbacks), fix)
    return [v.instance(f"callbacks[{i}]", each, Callback, "be a Callback") for i, each in enumerate(callbacks)]


def as_metrics(metrics: object) -> dict[str, Metric]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        fix = 'write metrics={"name": function}'
        v.refuse(TypeError, "metrics", "be a mapping of names to functions", v.kind_of(metrics), fix)
    for name, metric in metrics.items():
        if not isinstance(name, str):
            v.refuse(TypeError, "metrics", "have strings as names", v.shown(name))
        if name in ("loss", "accuracy"):
            fix = "choose another name, as evaluate reports these itself"
            v.refuse(ValueError, "metrics", "have names other than loss and accuracy", v.shown(name), fix)
        if not callable(metric):
            v.refuse(TypeError, f"metrics[{name!r}]", "be a function of targets and output", v.kind_of(metric))
    return dict(metrics)


def as_validation(net: Sequential, loss: Loss, data: Any) -> Examples | None:
    """Return the rows that a net is evaluated on after every epoch, or None."""
    if data is None:
        return None
    if not isinstance(data, Sequence) or len(data) != 2:
        fix = "write validation_data=(X_val, y_val)"
        v.refuse(TypeError, "validation_data", "be a pair (X, y)", v.kind_and_length(data), fix)
    names = ("validation_data[0]", "validation_data[1]", "sample_weight")
    return validated_examples(net, loss, data[0], data[1], None, finite=True, names=names)


def as_optimizer(optimizer: object) -> Optimizer | FullBatch:
    if not isinstance(optimizer, Optimizer | FullBatch):
        must = "be an optimiser of fastnn.optim"
        v.refuse_class("optimizer", optimizer, (Optimizer, FullBatch), must)
        v.refuse(TypeError, "optimizer", must, v.kind_of(optimizer), "write optim.Adam(), for example")
    return optimizer


def check_full_batch(net: Sequential, optimizer: FullBatch, **unused: object) -> None:
    """Refuse a net or settings that a full-batch optimiser does not support; all settings in `unused` must be None."""
    kind = type(optimizer).__name__
    for name, value in unused.items():
        if value is not None:
            v.refuse(ValueError, name, f"be None with {kind}", v.shown(value), f"write optim.Adam() to use {name}")
    if net.training_program().depends_on_batch_or_chance:
        layers = ", ".join(type(layer).__name__ for layer in net.layers)
        fix = "write optim.Adam() to train it"
        v.refuse(ValueError, "net", f"have no BatchNorm and no Dropout with {kind}", f"the layers {layers}", fix)
    for layer in net.layers:
        if layer.max_norms:
            fix = "write optim.Adam() to use max_norm"
            v.refuse(ValueError, "net", f"have no layer with max_norm, with {kind}", v.shown(layer), fix)
    count = sum(net.params.layout.elements(name) for name in net.params.layout)
    if optimizer.limit is not None and count > optimizer.limit:
        must = f"have at most {optimizer.limit} parameters for {kind}"
        v.refuse(ValueError, "net", must, count, "write optim.LBFGS()")
