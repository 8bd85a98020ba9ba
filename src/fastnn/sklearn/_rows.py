"""The rows of a fit. Dense rows are read in place; sparse ones are made dense a few batches at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.engine import Feed, own_view, resize_guards
from fastnn.nn import Loss, Sequential
from fastnn.training.scaled_targets import target_scaling

BLOCK = 1 << 22  # most elements of a sparse matrix that are dense at a time


def to_dense(X: Any) -> Array:
    """Return all rows as an ndarray."""
    return X if isinstance(X, np.ndarray) else X.toarray()


def dense_blocks(X: Any) -> Iterator[tuple[slice, Array]]:
    """Yield the rows of a sparse matrix as dense blocks, each with its slice."""
    X = X.tocsr()
    step = max(1, BLOCK // max(1, X.shape[1]))
    for start in range(0, X.shape[0], step):
        rows = slice(start, min(start + step, X.shape[0]))
        yield rows, X[rows].toarray()


def batch_sizes(n: int, batch_size: int, merge_last: bool) -> Array:
    """Return the number of rows of each batch of an epoch."""
    feed = Feed(np.empty((0, 0)), np.empty(n, dtype=np.int8), batch_size, merge_last=merge_last)
    sizes = np.full(feed.n_batches, float(batch_size))
    sizes[-1] = n - batch_size * (len(sizes) - 1)
    return sizes


class Rows:
    """The data of a fit, from which the executor's feeds are made.

    Parameters
    ----------
    X : ndarray or sparse matrix, shape (n, in_features)
        A small sparse matrix is made dense once.
    y : ndarray
        In a form that `Feed` takes.
    weight : ndarray of float64, shape (n,), or None
    batch_size : int
    merge_last : bool
        Whether a lone last row joins the batch before it.
    net : Sequential
        The net that the rows are for. Its scalers scale rows and targets.
    loss : Loss
    """

    def __init__(
        self, X: Any, y: Array, weight: Array | None, batch_size: int, merge_last: bool, net: Sequential, loss: Loss
    ) -> None:
        self.sparse = not isinstance(X, np.ndarray)
        if self.sparse and X.shape[0] * X.shape[1] <= BLOCK:
            X, self.sparse = X.toarray(), False
        self.X = X.tocsr() if self.sparse else own_view(net.as_input("X", X))
        # The arrays may be the user's: while they are read, a callback must not be able to free or resize them.
        self._resize_guards = resize_guards(None if self.sparse else self.X, y, weight)
        self.y, self.weight, self.batch_size, self.merge_last = y, weight, batch_size, merge_last
        self.scaling, self.target_scaling = net.input_scaling, target_scaling(net, loss)

    def feeds(self, orders: Array, accumulate: int = 1) -> Iterator[Feed]:
        """Yield the feeds of some epochs, given one order of the rows per epoch. A dense X needs only one feed.

        No feed but the last of an epoch ends within the `accumulate` batches of an update.
        """
        if not self.sparse:
            yield self._feed(self.X, orders.reshape(-1), self.y, self.weight, len(orders), accumulate)
            return
        of_update = self.batch_size * accumulate
        step = max(1, BLOCK // (of_update * self.X.shape[1])) * of_update
        for order in orders:
            edges = [*range(0, len(order), step), len(order)]
            if self.merge_last and len(edges) > 2 and edges[-1] - edges[-2] == 1:
                del edges[-2]
            for start, stop in pairwise(edges):
                rows = order[start:stop]
                weight = None if self.weight is None else self.weight[rows]
                yield self._feed(self.X[rows].toarray(), np.arange(len(rows)), self.y[rows], weight, 1, accumulate)

    def _feed(self, x: Array, order: Array, y: Array, weight: Array | None, epochs: int, accumulate: int) -> Feed:
        scalings = self.scaling, self.target_scaling
        return Feed(x, order, self.batch_size, y, weight, self.merge_last, *scalings, epochs, accumulate)
