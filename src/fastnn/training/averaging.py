"""The average of a trainer's parameters: its values, and the nets that have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fastnn import _config
from fastnn._typing import Array
from fastnn.engine import Counter, Executor, Feed, aligned_zeros, make_executor
from fastnn.engine.statistics import lower_statistics, reset_values
from fastnn.nn import Sequential
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.optim import Average

SLICE_SECONDS = 0.05  # time in native code before signals are handled
SLICE_STEPS = 4096  # batches of a slice at most


@dataclass(frozen=True)
class AverageValues:
    """The values of an average at one moment.

    Attributes
    ----------
    values, statistics : ndarray
        In the layouts of the net's parameters and of its running statistics.
    count, statistics_count : int
    """

    values: Array
    statistics: Array
    count: int
    statistics_count: int


class Averaging:
    """The average of a net's parameters. The net's lock guards it.

    Parameters
    ----------
    net : Sequential
        The net that is trained.
    average : Average
        The settings with which it begins.

    Attributes
    ----------
    begun_as : Average
        These settings. Others of the same kind may follow them.
    values : ndarray
        The average, in the layout of the net's parameters. While weights are in panels, it is too. They are 0 before
        anything has been averaged: a kernel's first update copies the parameters only where the old values are finite.
    statistics : ndarray
        The running statistics that belong to it, in the layout of the net's.
    count : Counter
        How many updates or epochs have been averaged.
    statistics_count : Counter
        The count at which the statistics were computed.
    """

    def __init__(self, net: Sequential, average: Average) -> None:
        self.net, self.begun_as = net, average
        self.values = aligned_zeros(net.params.layout.size, net.dtype)
        self.statistics = aligned_zeros(net.state.layout.size, net.dtype)
        self.count, self.statistics_count = Counter(), Counter()
        self._evaluated: Sequential | None = None
        self._executor: tuple[str, Executor] | None = None  # that computes statistics, and its backend

    @property
    def kind(self) -> str:
        """The name of the average."""
        return self.begun_as.kind

    # ---- values ----

    @property
    def arrays(self) -> tuple[Array, Array]:
        """What `NetLock.snapshot` copies."""
        return self.values, self.statistics

    @property
    def counters(self) -> tuple[Counter, Counter]:
        """The counters that `NetLock.snapshot` reads with the arrays."""
        return self.count, self.statistics_count

    def snapshot(self) -> AverageValues:
        """Return a copy of the values, of one moment between steps."""
        (values, statistics), (count, statistics_count), _ = self.net.lock.snapshot(self.arrays, self.counters)
        return AverageValues(values, statistics, count, statistics_count)

    def assignments(self, new: AverageValues | None) -> tuple[list[tuple[Array, Array]], list[tuple[Counter, int]]]:
        """Return what `NetLock.assign` takes to restore a snapshot, or to forget all values."""
        if new is None or new.count == 0:
            new = AverageValues(np.zeros_like(self.values), np.zeros_like(self.statistics), 0, 0)
        arrays = [(self.values, new.values), (self.statistics, new.statistics)]
        return arrays, [(self.count, new.count), (self.statistics_count, new.statistics_count)]

    @property
    def has_statistics(self) -> bool:
        """Whether the statistics are those of the present values."""
        return 0 < self.count.value == self.statistics_count.value

    def add_parameters(self) -> None:
        """Add the net's parameters to the mean."""
        (w, average), (n,), _ = self.net.lock.snapshot((self.net.params.data, self.values), (self.count,))
        with np.errstate(all="ignore"):
            mean = w if n == 0 else average + (w - average) / w.dtype.type(n + 1)
        self.net.lock.assign(((self.values, mean),), ((self.count, n + 1),))

    # ---- nets ----

    def new_net(self) -> Sequential:
        """Return a new net with the averaged values as they are now."""
        net = self.net
        arrays = (net.params.data, net.state.data, *self.arrays)
        (params, state, values, statistics), counts, _ = net.lock.snapshot(
            arrays, (net.forward_counter, *self.counters)
        )
        steps, count, statistics_count = counts
        if count:
            params, state = values, statistics if statistics_count == count else state
        return net.with_values(params, state, steps, net.dtype)

    def evaluated_net(self) -> Sequential:
        """Return a net with the values as they are now: always the same one, whose executors are kept."""
        if self._evaluated is None:
            self._evaluated = self.new_net()
            return self._evaluated
        net, evaluated = self.net, self._evaluated
        with net.lock.reading():
            state = self.statistics if self.has_statistics else net.state.data
            pairs = (evaluated.params.data, self.values), (evaluated.state.data, state)
            scalers = [each.held(net) for each in SCALERS]
            known = all(evaluated.__dict__[key] is value for held in scalers for key, value in held.items())
            # A signal handler may have interrupted a prediction of this net: what has not changed is not set.
            if not (known and all(np.array_equal(to, values) for to, values in pairs)):
                evaluated.lock.assign(pairs, (), tuple((evaluated.__dict__, held) for held in scalers))
        return evaluated

    # ---- running statistics ----

    def compute_statistics(self, feeds: Iterable[Feed]) -> None:
        """Compute the statistics of the present values, unless there are some, in one pass over the rows of feeds.

        They are the means over the batches of each batch's mean and unbiased variance, as those of PyTorch's
        ``update_bn``. Nets without batch norms that use the batch's statistics have none.
        """
        if self.count.value == 0 or self.has_statistics or not self.net.uses_batch_statistics:
            return
        count, net = self.count.value, self.evaluated_net()
        begun = False
        for feed in feeds:
            executor = self._statistics_executor(net, feed.largest_batch)
            if executor is None:
                return
            if not begun:
                begun = True
                for name, value in reset_values(executor.program).items():
                    executor.array(name, 0)[...] = value
            _run(executor, feed, net)
        self.net.lock.assign(((self.statistics, net.state.data),), ((self.statistics_count, count),))

    def _statistics_executor(self, net: Sequential, rows: int) -> Executor | None:
        """Return the executor of the pass over the rows, or None if there are no statistics to compute.

        Which batch norms use the batch's statistics says the net that is trained, and it may have changed.
        """
        backend = _config.get_backend()
        (training, _), (inference, output) = self.net.emit(training=True), self.net.emit(training=False)
        program = lower_statistics(training, inference, output)
        if program is None:
            return None
        if self._executor is not None and self._executor[0] == backend:
            executor = self._executor[1]
            if executor.capacity >= rows and executor.program == program:
                return executor
        executor = make_executor(program, net.dtype, rows, net.params, net.state, seed=net.seed, backend=backend)
        self._executor = backend, executor
        return executor


def _run(executor: Executor, feed: Feed, net: Sequential) -> None:
    """Run all batches of a feed, in slices between which signals are handled."""
    done = 0
    while done < feed.n_batches:
        steps = min(SLICE_STEPS, feed.n_batches - done)
        result = executor.run_steps(
            feed,
            done,
            done + steps,
            np.zeros((steps, 1)),
            0,
            SLICE_SECONDS,
            _config.get_num_threads(),
            lock=net.lock,
            stop_at_nonfinite=False,
        )
        if result.error is not None:
            raise result.error
        done += result.done


def in_given_order(feed: Feed) -> Feed:
    """Return a feed of the same rows and batches, in the order in which the rows were given."""
    order = np.arange(len(feed.x), dtype=np.int64)
    return replace(feed, order=order, y=None, row_weight=None, target_scaling=None, accumulate=1)
