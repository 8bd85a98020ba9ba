"""Observed steps: which steps of a fit are those of the observing program, and what callbacks are told of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from fastnn._typing import Array
from fastnn.engine import Executor, Feed, Measured


class Interval(NamedTuple):
    """Which updates are observed, by their numbers: `every`, 2 `every`, ...; `early` also 1, 2, 4, 8, ... before."""

    every: int
    early: bool = False

    def wait(self, count: int) -> int:
        """Return how many updates are not observed, after `count` of them, before the next one that is."""
        doubled = 1 << count.bit_length()  # the least power of two above `count`
        if self.early and doubled < self.every:
            return doubled - count - 1
        return -(count + 1) % self.every


class Observed(NamedTuple):
    """What an observed step was like.

    Attributes
    ----------
    epoch, step : int
        Both counted from 1, the steps as updates since the optimiser's last reset.
    measured : tuple of Measured
        What each row of `table` is about.
    table : ndarray of float64
        The figures of `fastnn.kernels.EntryStatistics`; NaN where the step did not get so far.
    row : int
        Of a step that failed, the row of the data with the first NaN or infinity; -1 if there is none, or if the step
        did not fail.
    failed : bool
        Whether the training diverged in this step.
    """

    epoch: int
    step: int
    measured: tuple[Measured, ...]
    table: Array
    row: int = -1
    failed: bool = False


def steps_until(feed: Feed, batch: int, count: int, intervals: Collection[Interval], first: bool) -> int:
    """Return the number of steps before the next one that is observed: the last of those that make an update.

    Parameters
    ----------
    feed : Feed
    batch : int
        The next batch.
    count : int
        The number of updates so far.
    intervals : collection of Interval
        Those of all who watch.
    first : bool
        Whether the next update is asked for in any case.
    """
    others = 0 if first else min([each.wait(count) for each in intervals])  # updates before that one
    if feed.accumulate == 1:
        return others
    return feed.last_batch(feed.group(batch).update + others) - batch


def first_nonfinite_row(executor: Executor, feed: Feed, batch: int) -> int:
    """Return the row of the data that has the first NaN or infinity in the forward order of layers, or -1."""
    rows = feed.order[feed.batch_slice(batch)]
    for measured in executor.program.measured:
        if measured.what == "output":
            finite = np.isfinite(executor.array(measured.buffer, len(rows))).all(axis=1)
            if not finite.all():
                return int(rows[np.argmin(finite)])
    return -1
