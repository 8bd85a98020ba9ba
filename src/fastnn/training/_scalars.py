"""The scalars of a trainer's updates: the sets of them, and the rows of the next updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastnn._typing import Array
from fastnn._updates import UPDATES
from fastnn.optim import Optimizer
from fastnn.training._missed import MissedUpdates


@dataclass(frozen=True)
class ScalarSets:
    """The sets of scalars that an update has: for each group of parameters one, and more for those that missed updates.

    Attributes
    ----------
    optimizer : Optimizer
    groups : mapping of str to int
        The group of each parameter, as `Optimizer.assign` returns them.
    missed : MissedUpdates
    sparse : bool
        Whether groups have a second set, for sparse updates.
    average_weight : float or None
        The weight of the parameters in an average that each update moves. It is the last scalar.
    """

    optimizer: Optimizer
    groups: Mapping[str, int]
    missed: MissedUpdates
    sparse: bool
    average_weight: float | None

    @cached_property
    def _numbers_and_further(self) -> tuple[Mapping[str, int], tuple[tuple[int, int], ...]]:
        return self.missed.sets(self.groups, self._n_of_groups)

    @property
    def _n_of_groups(self) -> int:
        return (1 + len(self.optimizer.groups)) * (2 if self.sparse else 1)

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each parameter's set."""
        return self._numbers_and_further[0]

    @property
    def count(self) -> int:
        """The number of sets."""
        return self._n_of_groups + len(self._numbers_and_further[1])

    @property
    def width(self) -> int:
        """The number of scalars of an update."""
        of_a_set = len(UPDATES[self.optimizer.kind].scalars) + bool(self.optimizer.decay)
        return self.count * of_a_set + (self.average_weight is not None)

    def table(self, updates: Array, rates: Array) -> Array:
        """Return the scalars of updates with these numbers and learning rates, a row for each."""
        table = self.optimizer.table(updates, rates, self.sparse, self._numbers_and_further[1])
        weight = self.average_weight
        return table if weight is None else np.column_stack([table, np.full(len(table), weight)])


class ScalarRows:
    """The scalars of the next updates. More of them than asked for are computed at once and kept."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], int, Array, Array] | None = None

    def after(
        self, count: int, n: int, block: int, sets: ScalarSets, rates: Callable[[Array], Array], key: tuple[object, ...]
    ) -> tuple[Array, Array]:
        """Return the learning rates and the scalars of the updates that follow the first `count`, a row for each.

        Parameters
        ----------
        count : int
        n : int
            The number of updates.
        block : int
            How many are computed if they are not kept, `n` at least.
        sets : ScalarSets
        rates : callable
            Takes the numbers of updates, 0 for the first, and returns their learning rates.
        key : tuple
            What the rates depend on besides.
        """
        key = (sets, *key)
        if self._kept is not None and self._kept[0] == key:
            _, first, lr, table = self._kept
            offset = count - first
            if 0 <= offset <= len(table) - n:
                return lr[offset : offset + n], table[offset : offset + n]
        counts = count + np.arange(max(n, block))
        lr = rates(counts)
        table = sets.table(counts + 1, lr)
        self._kept = key, count, lr, table
        return lr[:n], table[:n]
