"""The scalars of a trainer's updates: the sets of them, and the rows of the next updates."""

from __future__ import annotations

from collections.abc import Mapping
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
    """The scalars of the next updates. More of them than asked for are computed at once and kept.

    Attributes
    ----------
    sets : ScalarSets or None
        The sets of scalars, once they are made.
    key : tuple or None
        What the learning rates depend on besides the numbers of the updates; None if nothing is kept.
    first : int
        The number of updates before those that are kept.
    rates : ndarray
    table : ndarray
        A row of scalars for each.
    """

    def __init__(self) -> None:
        self.sets: ScalarSets | None = None
        self.key: tuple[object, ...] | None = None
        self.first = 0
        self.rates: Array = np.zeros(0)
        self.table: Array = np.zeros((0, 0))

    def keep(self, key: tuple[object, ...], counts: Array, rates: Array) -> None:
        """Compute and keep the scalars of the updates that follow the first ``counts[0]``, ``counts[1]``, ... ones."""
        assert self.sets is not None
        self.key = None  # an interrupt may come between any two of these lines
        self.first, self.rates, self.table = int(counts[0]), rates, self.sets.table(counts + 1, rates)
        self.key = key
