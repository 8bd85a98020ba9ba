"""The average of an estimator's weights. Between two calls the estimator has it in place of what is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Feed
from fastnn.nn import Sequential
from fastnn.optim.averages import AVERAGES
from fastnn.training._core import TrainerCore
from fastnn.training.averaging import AverageValues

Values = tuple[Array, Array]  # the contents of a net's arenas: parameters and running statistics


@dataclass(frozen=True)
class AverageState:
    """An average between two calls, and what is trained.

    Attributes
    ----------
    kind : str
        That of the average: "ema" or "swa".
    average : AverageValues
    trained : pair of ndarray
        The contents of the net's arenas after the last step.
    """

    kind: str
    average: AverageValues
    trained: Values

    def copy(self) -> AverageState:
        """Return a copy that shares no array."""
        average = replace(self.average, values=self.average.values.copy(), statistics=self.average.statistics.copy())
        return AverageState(self.kind, average, (self.trained[0].copy(), self.trained[1].copy()))

    def check(self, name: str, net: Sequential) -> None:
        """Refuse a state that may come from a damaged pickle and does not fit the net.

        Raises
        ------
        TypeError, ValueError
            Naming the array that is wrong.
        """
        v.choice(f"{name}.kind", self.kind, AVERAGES)
        v.instance(f"{name}.average", self.average, AverageValues, "be an AverageValues")
        for count in ("count", "statistics_count"):
            v.integer(f"{name}.{count}", getattr(self.average, count), 0)
        pairs = (self.average.values, self.average.statistics), self.trained
        for arrays in pairs:
            for array, arena in zip(arrays, (net.params, net.state), strict=True):
                if type(array) is not np.ndarray or array.dtype not in v.FLOATS or array.shape != arena.data.shape:
                    v.refuse(ValueError, name, f"have float arrays of shape {arena.data.shape}", v.kind_of(array))


def resume(trainer: TrainerCore, known: AverageState | None) -> None:
    """Put back into the net what is trained, where the estimator still has the average, and continue the average."""
    net, averaging = trainer.net, trainer.averaging
    if known is None:
        return
    pairs: list[tuple[Array, Array]] = []
    counts: list[Any] = []
    if averaging is not None and averaging.count.value == 0 and averaging.kind == known.kind:
        pairs, counts = averaging.assignments(known.average)
    if np.array_equal(net.params.data, known.average.values):  # else somebody has changed the weights
        pairs += zip((net.params.data, net.state.data), known.trained, strict=True)
    net.lock.assign(tuple(pairs), tuple(counts))


def put_average(trainer: TrainerCore, feeds: Callable[[], Iterable[Feed]]) -> AverageState | None:
    """Put the average into the net, with the running statistics of the rows in `feeds`, and return the state."""
    net, averaging = trainer.net, trainer.averaging
    if averaging is None or averaging.count.value == 0:
        return None
    averaging.compute_statistics(feeds())
    average, (trained, _, _) = averaging.snapshot(), net.lock.snapshot((net.params.data, net.state.data))
    statistics = average.statistics if averaging.has_statistics else trained[1]
    net.lock.assign(((net.params.data, average.values), (net.state.data, statistics)))
    return AverageState(averaging.kind, average, (trained[0], trained[1]))


@contextlib.contextmanager
def with_average(trainer: TrainerCore, feeds: Callable[[], Iterable[Feed]]) -> Iterator[None]:
    """Return a context in which the net has the average."""
    net, known = trainer.net, put_average(trainer, feeds)
    try:
        yield
    finally:
        if known is not None:
            net.lock.assign(tuple(zip((net.params.data, net.state.data), known.trained, strict=True)))
