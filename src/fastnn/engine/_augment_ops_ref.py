"""The ops that augment a batch, on the NumPy twins: each draws from a stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fastnn._typing import Array
from fastnn.engine._op_ref import Shared
from fastnn.engine.ops import Op
from fastnn.kernels import _augmentation_ref as kernels
from fastnn.kernels._beta import symmetric_quantiles


def _key(s: Shared, op: Op) -> tuple[int, int, int]:
    return s.seed, op.attrs["stream"], s.step % 2**32


def _changed(change: Callable[[Shared, Op, Array, Array], None]) -> Callable[[Shared, Op], None]:
    """Return a body of what writes y from x: it does nothing without a feed, and keeps columns."""

    def body(s: Shared, op: Op) -> None:
        if s.feed is None or not s.in_range:
            return
        x, y = s.arrays(op, "x", "y")
        change(s, op, x, y)
        kept = list(op.attrs.get("kept", ()))
        y[:, kept] = x[:, kept]

    return body


def _add_noise(s: Shared, op: Op, x: Array, y: Array) -> None:
    kernels.add_noise(x, y, op.attrs["std"], *_key(s, op), 1)


def _drop_features(s: Shared, op: Op, x: Array, y: Array) -> None:
    kernels.drop_features(x, y, op.attrs["p"], *_key(s, op), 1)


def _swap_entries(s: Shared, op: Op, x: Array, y: Array) -> None:
    kernels.swap_entries(x, y, op.attrs["p"], *_key(s, op), 1)


def _swap_ids(s: Shared, op: Op) -> None:
    if s.feed is not None:
        (ids,), attrs = s.arrays(op, "ids"), op.attrs
        kernels.swap_ids(ids.copy(), ids, attrs["in_features"], attrs["id_column"], attrs["p"], *_key(s, op))


def _mixup(s: Shared, op: Op, x: Array, y: Array) -> None:
    (target, mixed), partner, share = s.arrays(op, "target", "mixed"), np.empty(s.rows, np.int64), np.empty(s.rows)
    kernels.mixup_pairs(partner, share, symmetric_quantiles(op.attrs["alpha"]), *_key(s, op))
    for before, after in ((x, y), (target, mixed)):
        kernels.mix_rows(before, partner, share, after, 1)
    if s.weight is not None:
        weight = np.empty_like(s.weight)
        kernels.mix_rows(s.weight, partner, share, weight, 1)
        s.weigh(weight)


def _shift_images(s: Shared, op: Op, x: Array, y: Array) -> None:
    layout, most, fill, edge = (op.attrs[name] for name in ("layout", "most", "fill", "edge"))
    kernels.shift_images(x, y, layout, most, fill, edge, *_key(s, op), 1)


def _flip_images(s: Shared, op: Op, x: Array, y: Array) -> None:
    layout, p, vertical = (op.attrs[name] for name in ("layout", "p", "vertical"))
    kernels.flip_images(x, y, layout, p, vertical, *_key(s, op), 1)


def _custom_augmentation(s: Shared, op: Op, x: Array, y: Array) -> None:
    op.attrs["function"](x, y, *_key(s, op))


AUGMENT: Mapping[str, Callable[[Shared, Op], None]] = {
    "add_noise": _changed(_add_noise),
    "drop_features": _changed(_drop_features),
    "swap_entries": _changed(_swap_entries),
    "swap_ids": _swap_ids,
    "mixup": _changed(_mixup),
    "shift_images": _changed(_shift_images),
    "flip_images": _changed(_flip_images),
    "custom_augmentation": _changed(_custom_augmentation),
}
