"""`Objective`: the mean loss of a whole training set as a function of a net's parameters, for full-batch optimisers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import kernels
from fastnn._typing import Array
from fastnn.engine import Feed, make_executor
from fastnn.nn import Loss, Sequential
from fastnn.optim import Penalty
from fastnn.training._steps import sums_over_rows
from fastnn.training.diverged import first_nonfinite
from fastnn.training.examples import Examples
from fastnn.training.scaled_targets import target_scaling

__all__ = ["Objective"]

CHUNK_ROWS = 4096  # rows whose loss is computed at a time
BAD = 1e6  # a loss that is not finite is replaced by first + BAD * (1 + |first|), with the first loss


class Objective:
    """The mean loss over all rows with its penalty, and its gradient, for any parameters.

    It is computed on a copy of the net, so that predictions never use trial parameters of a line search.

    Parameters
    ----------
    net : Sequential
    loss : Loss
    penalty : Penalty
    examples : Examples
    dtype : str or numpy.dtype
        The dtype of the copy.
    """

    def __init__(self, net: Sequential, loss: Loss, penalty: Penalty, examples: Examples, dtype: object) -> None:
        self.net = twin = net.copy(np.dtype(dtype))  # type: ignore[call-overload]
        rows = len(examples.x)
        self._feed = Feed(
            examples.x, np.arange(rows, dtype=np.int64), min(rows, CHUNK_ROWS), examples.y, examples.row_weight, False,
            twin.input_scaling, target_scaling(twin, loss),
        )  # fmt: skip
        program = twin.training_program(loss=loss, target=examples.target)
        self._executor = make_executor(
            program, twin.dtype, self._feed.largest_batch, twin.params, twin.state, twin.gradient_arena(), (), twin.seed
        )
        self._penalty = penalty
        layout = twin.params.layout
        names = [name for name in layout if name not in twin.params.frozen]
        self._penalized = [name for name in names if name in twin.penalized()]
        spans = [np.arange(layout.offsets[name], layout.offsets[name] + layout.elements(name)) for name in names]
        self._entries = np.concatenate(spans)  # indices of the variables in the arena
        self._others = twin.params.data.copy()  # the rest are frozen, or gaps
        self._losses: dict[bytes, float] = {}
        self._first = math.nan

    def read(self, net: Sequential) -> Array:
        """Return a net's parameters that are not frozen as one vector, and keep the others for `spread`."""
        self._others = net.params.data.astype(self.net.dtype)
        return net.params.data[self._entries].astype(np.float64)

    def spread(self, x: Array, dtype: np.dtype[Any]) -> Array:
        """Return parameters in the layout of a net's arena."""
        with np.errstate(all="ignore"):
            flat: Array = self._others.astype(dtype)
            flat[self._entries] = x
        return flat

    def loss_at(self, x: Array) -> float:
        """Return the loss at `x`, cached if it has been computed before."""
        key = x.tobytes()
        return self._losses[key] if key in self._losses else self(x)[0]

    def forget(self) -> None:
        """Clear the cache of `loss_at`."""
        self._losses.clear()

    def first_nonfinite(self) -> str:
        """Return the name of the first layer with NaN or infinity for the last chunk of rows."""
        rows = self._feed.batch_slice(self._feed.n_batches - 1)
        return first_nonfinite(self.net, self._executor, rows.stop - rows.start)

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Return loss and gradient. If they are not finite, return a large loss and a gradient of zeros instead."""
        self.net.params.data[...] = self.spread(x, self.net.dtype)
        loss, gradient, total = sums_over_rows(self._executor, [self._feed], self.net.gradient_arena())
        with np.errstate(all="ignore"):
            loss, gradient = loss / total, gradient[self._entries] / total
            loss, gradient = self._penalize(loss, gradient, total)
        if math.isnan(self._first):
            self._first = loss
        if not (math.isfinite(loss) and np.isfinite(gradient).all()) and math.isfinite(self._first):
            loss, gradient = self._first + BAD * (1 + abs(self._first)), np.zeros_like(gradient)
        self._losses[x.tobytes()] = loss
        return loss, gradient

    def _penalize(self, loss: float, gradient: Array, total: float) -> tuple[float, Array]:
        factor = 1 / total if self._penalty.per_batch else 1.0
        l1, l2 = self._penalty.l1 * factor, self._penalty.l2 * factor
        if l1 > 0 or l2 > 0:
            arena = np.zeros(len(self.net.params.data))
            arena[self._entries] = gradient
            for name in self._penalized:
                w = self.net.params.view(name)
                start = self.net.params.layout.offsets[name]
                part = arena[start : start + w.size]
                wide = w.reshape(-1).astype(np.float64)
                magnitude, square = kernels.sums(wide)
                loss += l1 * magnitude + 0.5 * l2 * square
                kernels.regularize(wide, part, l1=l1, l2=l2, out=part)
            gradient = arena[self._entries]
        return loss, gradient
