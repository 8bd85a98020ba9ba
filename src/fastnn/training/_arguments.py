"""Arguments of trainers and fits, checked and converted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy.typing as npt

from fastnn import _validation as v
from fastnn._names import Names
from fastnn._typing import Array
from fastnn.nn import Loss, Sequential
from fastnn.optim import (
    LBFGS,
    OPTIMIZERS,
    FullBatch,
    LambdaLR,
    Newton,
    Optimizer,
    Penalty,
    Schedule,
    combined_schedules,
    optimizers,
)
from fastnn.training.callbacks import Callback
from fastnn.training.examples import Examples, validated_examples

_OPTIMIZERS: dict[str, Callable[[], Optimizer | FullBatch]] = {**OPTIMIZERS, "LBFGS": LBFGS, "Newton": Newton}
OPTIMIZER_NAMES = Names(_OPTIMIZERS, optimizers.ALIASES | {"l_bfgs_b": "LBFGS"}, optimizers.ELSEWHERE)


def as_schedule(schedule: object, name: str = "schedule") -> Schedule | None:
    """Return what `schedule` stands for; messages call it `name`."""
    if schedule is None or isinstance(schedule, Schedule):
        return schedule
    if isinstance(schedule, str):
        return combined_schedules.named(name, schedule)
    must = "be a schedule of fastnn.optim, the name of one, or a function of the epoch"
    v.refuse_class(name, schedule, Schedule, must)
    if isinstance(schedule, Callback):
        v.refuse(TypeError, name, must, v.kind_of(schedule), "write fit(..., callbacks=[...])")
    if not v.is_function(schedule):
        fix = "write optim.ExponentialLR(0.9) or lambda epoch: 0.9**epoch, for example"
        v.refuse(TypeError, name, must, v.kind_of(schedule), fix)
    return LambdaLR(schedule)


def as_penalty(penalty: object) -> Penalty:
    if penalty is None:
        return Penalty()
    return v.instance("penalty", penalty, Penalty, "be an optim.Penalty", "write optim.Penalty(l2=...)")


def as_limit(name: str, limit: float | None) -> float:
    return math.inf if limit is None else v.real(name, limit, 0, excluded=True)


def as_accumulate(net: Sequential, accumulate: int) -> int:
    count = v.integer("accumulate", accumulate, 1)
    for name in net.sparse_parameters() if count > 1 else ():
        fix = f"write nn.Embedding(..., sparse=False) for {name!r}"
        v.refuse(ValueError, "accumulate", "be 1 with sparse updates", count, fix)
    return count


def as_callbacks(callbacks: object) -> list[Callback]:
    if not isinstance(callbacks, Iterable):
        fix = "write callbacks=[...]"
        if isinstance(callbacks, type) and issubclass(callbacks, Callback):
            fix = f"write callbacks=[{v.constructor_call(callbacks)}]"
        v.refuse(TypeError, "callbacks", "be a list of callbacks", v.kind_of(callbacks), fix)
    return [v.instance(f"callbacks[{i}]", each, Callback, "be a Callback") for i, each in enumerate(callbacks)]


ValidationData: TypeAlias = (
    tuple[npt.ArrayLike, npt.ArrayLike] | tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None]
)


def as_validation(net: Sequential, loss: Loss, data: Any) -> Examples | None:
    """Return the rows that a net is evaluated on after every epoch, or None."""
    if data is None:
        return None
    if not isinstance(data, list | tuple) or len(data) not in (2, 3):
        fix = "write validation_data=(X_val, y_val)"
        v.refuse(TypeError, "validation_data", "be (X, y) or (X, y, sample_weight)", v.kind_and_length(data), fix)
    X, y, weight = (*data, None)[:3]
    names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
    return validated_examples(net, loss, X, y, weight, finite=True, names=names)


def as_optimizer(optimizer: object) -> Optimizer | FullBatch:
    if isinstance(optimizer, str):
        return _OPTIMIZERS[v.named("optimizer", optimizer, OPTIMIZER_NAMES)]()
    if not isinstance(optimizer, Optimizer | FullBatch):
        must = "be an optimiser of fastnn.optim, or the name of one"
        v.refuse_class("optimizer", optimizer, (Optimizer, FullBatch), must)
        v.refuse(TypeError, "optimizer", must, v.kind_of(optimizer), "write optim.Adam(), for example")
    return optimizer


def check_rows_of_batch_norm(x: Array, batch_size: int) -> None:
    """Refuse batches of one row, which have no variance."""
    v.at_least("X", x, 0, 2, "rows for batch norm")
    if batch_size == 1:
        v.refuse(ValueError, "batch_size", "be at least 2 for batch norm", batch_size)


def check_full_batch(net: Sequential, optimizer: FullBatch, **unused: object) -> None:
    """Refuse a net or settings that a full-batch optimiser does not support; those in `unused` must change nothing."""
    kind = type(optimizer).__name__
    for name, value in unused.items():
        neutral = 1 if name == "accumulate" else None
        if value is not None and value != neutral:
            v.refuse(ValueError, name, f"be {neutral} with {kind}", v.shown(value), f"write optim.Adam() to use {name}")
    check_function_of_parameters(net, f"with {kind}", "write optim.Adam() to train it")
    frozen = net.params.frozen
    for layer in net.leaves:
        if any(f"{layer.path}.{name}" not in frozen for name in layer.max_norms):
            fix = "write optim.Adam() to use max_norm"
            v.refuse(ValueError, "net", f"have no layer with max_norm, with {kind}", v.shown(layer), fix)
    count = count_trained(net)
    if optimizer.limit is not None and count > optimizer.limit:
        must = f"have at most {optimizer.limit} parameters for {kind}"
        v.refuse(ValueError, "net", must, count, "write optim.LBFGS()")


def check_function_of_parameters(net: Sequential, what: str, fix: str) -> None:
    """Refuse a net whose loss on all rows is no function of its parameters alone, or whose gradients are sparse.

    `what` says in messages what needs the function, and `fix` what to write.
    """
    if net.training_program().depends_on_batch_or_chance:
        layers = ", ".join(type(layer).__name__ for layer in net.leaves)
        v.refuse(ValueError, "net", f"have no BatchNorm and no Dropout {what}", f"the layers {layers}", fix)
    for name in net.sparse_parameters() - net.params.frozen:
        v.refuse(ValueError, "net", f"have no sparse updates {what}", name, fix)


def count_trained(net: Sequential) -> int:
    """Return the number of parameters that are not frozen."""
    return sum(net.params.layout.elements(name) for name in net.params.layout if name not in net.params.frozen)
