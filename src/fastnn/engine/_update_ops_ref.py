"""The updates of parameters on the NumPy twins: after the backward pass, or by the op that has computed a gradient.

Before them, the mean gradients of several batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from fastnn._typing import Array
from fastnn.engine._op_ref import Shared
from fastnn.engine.ops import Op
from fastnn.kernels import _optimizers_ref


def _gradient(s: Shared, name: str) -> Array:
    """Return a copy of a parameter's gradient, with the penalty added and values clipped."""
    update = s.program.update
    assert update is not None
    g = s[f"grad:{name}"].reshape(-1).copy()
    if update.has_penalty and name in update.penalized:
        factor = s.penalty_factor(s.update_weight)
        _optimizers_ref.regularize(s.params.view(name).reshape(-1), g, update.l1 * factor, update.l2 * factor, g, 1)
    if update.clip_value < math.inf:
        _optimizers_ref.clip(g, update.clip_value, g, 1)
    return g


def _update_parameter(s: Shared, name: str, part: slice = slice(None)) -> None:
    update, layout = s.program.update, s.params.layout
    assert update is not None
    start = layout.offsets[name]
    span = slice(start, start + layout.elements(name))
    slots = tuple(slot[span] for slot in s.slots[: len(s.slots) - update.averaged])
    if name in update.sparse:
        _update_rows(s, name, s.params.data[span], slots)
    else:
        parts = tuple(slot[part] for slot in slots)
        _update_array(s, name, s.params.data[span][part], _gradient(s, name)[part], parts)


def _update_rows(s: Shared, name: str, w: Array, slots: tuple[Array, ...]) -> None:
    """Update the marked rows of a matrix."""
    shape = s.params.layout.shapes[name]
    rows = np.flatnonzero(s.grads.marks(name))
    if not len(rows):
        return
    arrays = [array.reshape(shape) for array in (w, _gradient(s, name), *slots)]
    parts = [array[rows].reshape(-1) for array in arrays]
    _update_array(s, name, parts[0], parts[1], tuple(parts[2:]))
    for array, part in zip(arrays, parts, strict=True):
        array[rows] = part.reshape(len(rows), -1)


def _update_array(s: Shared, name: str, w: Array, g: Array, slots: tuple[Array, ...]) -> None:
    update, scalars = s.program.update, s.scalars
    assert update is not None
    assert scalars is not None
    of_groups = scalars[: len(scalars) - update.averaged]
    row = of_groups.reshape(update.n_groups, -1)[update.groups.get(name, 0)]
    if s.clip != 1:
        _optimizers_ref.scale(g, s.clip, g, 1)
    if update.decay:
        row, decay = row[:-1], row[-1]
        if update.decay == "coupled" and decay != 0:
            _optimizers_ref.regularize(w, g, 0.0, decay, g, 1)
        elif update.decay == "decoupled" and decay != 1:
            _optimizers_ref.scale(w, decay, w, 1)
    _optimizers_ref.update(update.kind, w, g, slots, row, 1)
    if name in update.max_norms:
        _optimizers_ref.limit_norms(s.params.view(name), update.max_norms[name], 1)


def update_now(s: Shared, op: Op, part: slice = slice(None)) -> None:
    """Update the parameters whose gradients the op has computed, if it is to; `part` are those of their numbers."""
    if op.attrs["update"]:
        for name in op.updatable:
            _update_parameter(s, name, part)


def _trained(s: Shared) -> list[str]:
    """Return the names of the parameters that are not frozen."""
    assert s.program.update is not None
    return [name for name in s.params.layout if name not in s.program.update.frozen]


def _add_gradients(s: Shared, op: Op) -> None:
    for name in s.params.layout:
        mean, g = s.params.layout.view(s.means, name).reshape(-1), s[f"grad:{name}"].reshape(-1)
        if s.share == 1:  # the first gradients of a group: the old contents, whatever they are, do not count
            mean[...] = g
        else:
            _optimizers_ref.scale(mean, 1 - s.share, mean, 1)
            _optimizers_ref.regularize(g, mean, 0.0, s.share, mean, 1)  # without l1: mean + share * g


def _mean_gradients(s: Shared, op: Op) -> None:
    for name in s.params.layout:
        s[f"grad:{name}"][...] = s.params.layout.view(s.means, name)


def _update(s: Shared, op: Op) -> None:
    for name in _trained(s):
        _update_parameter(s, name)


def _clip_norm(s: Shared, op: Op) -> None:
    update = s.program.update
    assert update is not None
    square = 0.0
    for name in _trained(s):
        square += _optimizers_ref.sums(_gradient(s, name), 1)[1]
    factor = update.clip_norm / (math.sqrt(square) + 1e-6)
    s.clip = 1.0 if factor >= 1 else factor


def _average(s: Shared, op: Op) -> None:
    assert s.scalars is not None
    _optimizers_ref.lerp(s.slots[-1], s.params.data, s.scalars[-1], s.slots[-1], 1)


UPDATE: Mapping[str, Callable[[Shared, Op], None]] = {
    "add_gradients": _add_gradients,
    "mean_gradients": _mean_gradients,
    "clip_norm": _clip_norm,
    "update": _update,
    "average": _average,
}
