"""The updates that parameters have missed while they were frozen.

An optimiser such as Adam corrects its means by the number of updates so far. PyTorch's optimisers count these for each
parameter: a parameter that is thawed after 50 steps begins with its own first update. Here one counter has all updates,
and each parameter has the number of those that it missed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class MissedUpdates:
    """How many updates of the optimiser each parameter has missed.

    Attributes
    ----------
    frozen : frozenset of str
        The parameters that are frozen since update `since`.
    since : int
    before : mapping of str to int
        The updates that parameters had missed then, of those with any.
    """

    frozen: frozenset[str] = frozenset()
    since: int = 0
    before: Mapping[str, int] = field(default_factory=lambda: _NONE)

    def at(self, step_count: int) -> Mapping[str, int]:
        """Return how many each parameter has missed of so many updates, of those with any."""
        if not self.frozen or step_count == self.since:
            return self.before
        missed = dict(self.before)
        for name in sorted(self.frozen):
            missed[name] = missed.get(name, 0) + step_count - self.since
        return missed

    def with_frozen(self, frozen: frozenset[str], step_count: int) -> MissedUpdates:
        """Return the same with other parameters frozen from now on."""
        return self if frozen == self.frozen else MissedUpdates(frozen, step_count, self.at(step_count))

    def with_count(self, old: int, new: int) -> MissedUpdates:
        """Return the same after a change of the count of all updates: no parameter can have missed more than these."""
        missed = {name: min(number, new) for name, number in self.at(old).items() if new}
        return MissedUpdates(self.frozen, new, missed)

    def sets(self, groups: Mapping[str, int], n_groups: int) -> tuple[Mapping[str, int], tuple[tuple[int, int], ...]]:
        """Return the number of each parameter's set of scalars, and the sets that follow the first `n_groups`.

        Parameters
        ----------
        groups : mapping of str to int
            The group of each parameter; those that missed nothing have its set.
        n_groups : int

        Returns
        -------
        numbers : mapping of str to int
        further : tuple of (int, int)
            Of each further set its group, and how many updates its parameters have missed.
        """
        if not self.before:
            return groups, ()
        further: dict[tuple[int, int], int] = {}
        numbers = dict(groups)
        for name, group in groups.items():  # in this order, so that equal records have equal sets
            missed = self.before.get(name, 0)
            if missed and name not in self.frozen:
                numbers[name] = n_groups + further.setdefault((group, missed), len(further))
        return numbers, tuple(further)


def in_order(missed: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
    """Return the numbers in the order of these names."""
    return {name: missed[name] for name in names if name in missed}
