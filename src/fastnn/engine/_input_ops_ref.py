"""The ops of the input section on the NumPy twins: the rows of a batch, loaded from the feed and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fastnn.engine._augment_ops_ref import AUGMENT
from fastnn.engine._op_ref import Shared
from fastnn.engine.ops import Op
from fastnn.kernels import _gather_ref, _scaling_ref
from fastnn.kernels.scaling import apply_scaling


def _gather(s: Shared, op: Op) -> None:
    if s.feed is not None:
        _gather_ref.gather(s.feed.x, s.row_numbers, s[op.buffers["x"]], 1)


def _scale_input(s: Shared, op: Op) -> None:
    (x,) = s.arrays(op, "x")
    if s.feed is not None and s.feed.scaling is not None:
        apply_scaling(_scaling_ref, x, s.feed.scaling, 1)


def _gather_ids(s: Shared, op: Op) -> None:
    if s.feed is not None:
        ids = s.program.ids[op.buffers["ids"]]
        values = s.feed.x[s.row_numbers, ids.column]
        s.in_range = s.in_range and not ids.wrong(values).any()
        s[op.buffers["ids"]][...] = np.where(ids.known(values), values, ids.size if ids.own_row else 0)


def _gather_labels(s: Shared, op: Op) -> None:
    if s.feed is not None and s.feed.y is not None:
        labels = s.feed.y[s.row_numbers]
        s.labels = {0: labels}
        s.in_range = s.in_range and bool(labels.min() >= 0 and labels.max() < s.program.batch[s.program.output])


def _gather_target(s: Shared, op: Op) -> None:
    if s.feed is not None and s.feed.y is not None:
        _gather_ref.gather(s.feed.y, s.row_numbers, s[op.buffers["target"]], 1)


def _scale_target(s: Shared, op: Op) -> None:
    (target,) = s.arrays(op, "target")
    if s.feed is not None and s.feed.target_scaling is not None:
        apply_scaling(_scaling_ref, target, s.feed.target_scaling, 1)


def _take_labels(s: Shared, op: Op) -> None:
    if s.feed is not None:
        numbers, attrs = s[op.buffers["target"]][:, op.attrs["column"]], op.attrs
        good = (numbers >= 0) & (numbers < attrs["classes"]) & (np.floor(numbers) == numbers)
        s.labels = {**s.labels, attrs["head"]: np.where(good, numbers, 0).astype(np.int64)}
        s.in_range = s.in_range and bool(good.all())


def _one_hot(s: Shared, op: Op) -> None:
    if s.feed is not None and s.in_range:
        (target,) = s.arrays(op, "target")
        target[...] = 0
        target[np.arange(s.rows), s.labels[0]] = 1


def _gather_weight(s: Shared, op: Op) -> None:
    if s.feed is not None and s.feed.row_weight is not None:
        s.weigh(s.feed.row_weight[s.row_numbers])


INPUT: Mapping[str, Callable[[Shared, Op], None]] = {
    "gather": _gather,
    "gather_ids": _gather_ids,
    "scale_input": _scale_input,
    "gather_labels": _gather_labels,
    "gather_target": _gather_target,
    "scale_target": _scale_target,
    "gather_weight": _gather_weight,
    "take_labels": _take_labels,
    "one_hot": _one_hot,
    **AUGMENT,
}
