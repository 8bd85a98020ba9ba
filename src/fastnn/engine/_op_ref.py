"""The state that the reference's ops of a step share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from fastnn._typing import Array
from fastnn.engine.arena import Arena
from fastnn.engine.feed import Feed, Group
from fastnn.engine.lower import Program
from fastnn.engine.ops import Op


class Shared:
    """The state that all ops of a step share. ``shared[name]`` is a buffer, cut to the batch's rows."""

    # of the executor
    program: Program
    buffers: Mapping[str, Array]
    params: Arena
    grads: Arena
    slots: tuple[Array, ...]
    means: Array  # the mean gradients of the batches since the last update
    observations: Array  # a row of figures for each entry of the program's `measured`
    seed: int
    # of the batch
    feed: Feed | None = None
    row_numbers: Array = np.zeros(0, np.int64)
    rows = 0
    labels: Mapping[int, Array] = MappingProxyType({})  # by the head
    weight: Array | None = None
    total_weight = 0.0
    in_range = True  # False if a row number or a label is not
    # of the batches whose gradients make one update
    group_batches = 1
    share = 1.0  # of the batch's weight in that of the group so far
    update_weight = 0.0  # the weight of the group so far
    # of the step
    step = 0
    scalars: Array | None = None
    clip = 1.0
    loss = math.nan
    recorded: Array | None = None  # one entry of the caller's losses

    def __getitem__(self, name: str) -> Array:
        return self.buffers[name][: self.rows] if name.startswith(("batch:", "ids:")) else self.buffers[name]

    def arrays(self, op: Op, *roles: str) -> tuple[Array, ...]:
        """Return the op's buffers of these roles."""
        return tuple(self[op.buffers[role]] for role in roles)

    @contextlib.contextmanager
    def reading(self, feed: Feed) -> Iterator[None]:
        """Let the ops of the input section load rows of a feed."""
        self.feed = feed
        try:
            yield
        finally:
            self.feed = self.recorded = None

    def choose(self, row_numbers: Array) -> None:
        """Choose the rows that are the next batch."""
        assert self.feed is not None
        self.row_numbers, self.rows = row_numbers, len(row_numbers)
        self.weight, self.total_weight = None, float(self.rows)
        self.in_range = bool(row_numbers.min() >= 0 and row_numbers.max() < len(self.feed.x))

    def weigh(self, weight: Array) -> None:
        """Set the weights of the batch's rows."""
        self.weight = weight
        self.total_weight = float(abs(weight).sum())  # only custom losses take weights below 0

    def join(self, group: Group, weight: float) -> None:
        """Add the batch to its group, whose weight has been `weight` so far."""
        self.update_weight = self.total_weight + (0.0 if group.begins else weight)
        self.share = self.total_weight / self.update_weight if self.update_weight > 0 else float(group.begins)

    def penalty_factor(self, weight: float) -> float:
        """Return the factor of the penalty for rows of a total weight."""
        update = self.program.update
        if update is None or not update.per_batch:
            return 1.0
        return 1.0 / weight if weight > 0 else 0.0
