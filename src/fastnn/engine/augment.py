"""Augmentation of batches: the ops of the section `input` that change a batch by chance once it is loaded.

An augmentation is a `Step`: the kind of its op, and the attributes that are its settings. Each reads one buffer and
writes another. Two buffers take turns; the last step writes the net's input. Step i of the list draws from a random
stream of its own, so that the batch is a pure function of the net's seed, of the step's number and of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine.custom import write_result
from fastnn.engine.feed import IdColumn
from fastnn.engine.loss_ops import TARGET, UNMIXED
from fastnn.engine.ops import OPS, Op, make_op

Step: TypeAlias = tuple[str, Mapping[str, Any]]

OTHER = "batch:augmented"  # the buffer besides the net's input
FIRST_STREAM = 2**32 - 2
"""The stream of the first step. Streams of steps count down from it: those of layers count up from 0, and ensembles
draw rows from 2**32 - 1."""


def mixes_targets(augment: Sequence[Step]) -> bool:
    """Whether a step mixes the targets of a batch."""
    return any("mixed" in OPS[kind].writes for kind, _ in augment)


def first_buffer(augment: Sequence[Step], x: str) -> str:
    """Return the buffer that a batch is loaded into, so that the last step writes `x`."""
    return OTHER if len(augment) % 2 else x


def augmentation_ops(augment: Sequence[Step], x: str, batch: dict[str, int], ids: Mapping[str, IdColumn]) -> list[Op]:
    """Return the ops of the steps.

    Columns of `ids` stay as they are, except where a step takes each entry from some row of its column: such a step
    moves the ids alike.

    Parameters
    ----------
    augment : sequence of Step
    x : str
        The buffer of the net's input.
    batch : dict of str to int
        The widths of buffers; it gets those that are needed.
    ids : mapping of str to IdColumn
        The columns of the input that embeddings read, by the buffers of their ids.
    """
    ops: list[Op] = []
    kept = tuple(sorted({each.column for each in ids.values()}))
    before = first_buffer(augment, x)
    batch[before] = batch[x]
    for index, (kind, attrs) in enumerate(augment):
        spec, after, of_step = OPS[kind], OTHER if before == x else x, {**attrs, "stream": FIRST_STREAM - index}
        targets = {"target": UNMIXED, "mixed": TARGET} if "mixed" in spec.writes else {}
        if "kept" in spec.attrs:
            of_step["kept"] = kept
        else:
            where = {name: {"id_column": each.column, "in_features": batch[x]} for name, each in ids.items()}
            ops += [make_op("swap_ids", {"ids": name}, **of_step, **each) for name, each in where.items()]
        batch[after] = batch[x]
        ops.append(make_op(kind, {"x": before, "y": after, **targets}, **of_step))
        before = after
    return ops


class UserStep:
    """A user's function ``function(x, random)`` as the function of an op.

    Parameters
    ----------
    name : str
        What messages call the function.
    function : callable
        Takes a batch, read-only, and a `numpy.random.Generator`; returns another batch, finite and of that shape.
    """

    def __init__(self, name: str, function: Callable[[Array, np.random.Generator], Any]) -> None:
        self.name, self.function = name, function

    def __call__(self, x: Array, y: Array, seed: int, stream: int, step: int) -> None:
        """Write the function's result into y. If x is finite, so must it be."""
        random, label = np.random.default_rng([seed, stream, step]), f"the result of {self.name}"
        write_result(label, self.function, x, random, out=y)
        if not v.all_finite(y) and v.all_finite(x):
            got = "NaN" if np.isnan(y).any() else f"infinity in {y.dtype}"
            v.refuse(ValueError, label, "contain finite numbers", got)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserStep) and other.name == self.name and other.function is self.function

    def __hash__(self) -> int:
        return hash((self.name, id(self.function)))
