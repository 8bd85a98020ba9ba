"""The ops that observe, on the NumPy twins: what the entries of outputs, gradients, parameters and updates are like."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fastnn._typing import Array
from fastnn.engine._op_ref import Shared
from fastnn.engine.ops import Op
from fastnn.kernels import _statistics_ref


def _describe(s: Shared, op: Op, x: Array) -> None:
    _statistics_ref.entry_statistics(x, op.attrs["low"], op.attrs["high"], s.observations[op.attrs["entry"]], 1)


def _observe(s: Shared, op: Op) -> None:
    """Describe a buffer; of one with rows of the batch, the columns are units."""
    (x,) = s.arrays(op, "x")
    _describe(s, op, x if op.buffers["x"].startswith("batch:") else x.reshape(-1))


def _keep(s: Shared, op: Op) -> None:
    x, y = s.arrays(op, "x", "y")
    y[...] = x.reshape(-1)


def _observe_change(s: Shared, op: Op) -> None:
    x, y = s.arrays(op, "x", "y")
    with np.errstate(all="ignore"):
        np.subtract(y, x.reshape(-1), out=y)
    _describe(s, op, y)


OBSERVE: Mapping[str, Callable[[Shared, Op], None]] = {
    "observe": _observe,
    "keep": _keep,
    "observe_change": _observe_change,
}
