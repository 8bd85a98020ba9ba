"""The reference executor: it runs programs on the NumPy twins and shows in the fewest lines what a step is.

The compiled executor, `_executor_cy`, has the same class with the same signatures and runs the same lists of ops.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._losses import SURE_SUM_TOLERANCE, BatchRules, ColumnRule
from fastnn._typing import Array
from fastnn.engine._op_ref import Shared
from fastnn.engine._ops_ref import RUN
from fastnn.engine.arena import Arena, aligned_zeros, resize_guards
from fastnn.engine.feed import Feed, Scaling, StepResult, refuse_ids
from fastnn.engine.lower import Program
from fastnn.engine.observe import empty_table

# NumPy's characters of the dtypes: float32, float64 and uint8.
_ROWS: Final = "fdB"
_WEIGHTS: Final = "fd"


def _is_plain(array: Any, ndim: int, characters: str) -> bool:
    """Whether this is a plain array (`_given_cy`) of so many axes, whose dtype has one of these characters."""
    if type(array) is not np.ndarray or array.ndim != ndim or array.dtype.char not in characters:
        return False
    return array.flags.aligned and array.dtype.isnative


def _are_plain_weights(array: Any, rows: int, negative: bool) -> bool:
    """Whether this is a plain vector of weights for so many rows, one of which is not 0."""
    if not (_is_plain(array, 1, _WEIGHTS) and len(array) == rows and (negative or (array >= 0).all())):
        return False
    with np.errstate(over="ignore"):
        return bool(0 < abs(array).sum(dtype=np.float64) <= np.finfo(np.float64).max / 2)


def _holds(rule: ColumnRule, rows: Array) -> bool:
    """Whether rows of finite numbers are as a rule says."""
    if not 0 <= rule.first <= rule.last <= rows.shape[1]:
        v.refuse(ValueError, "rules", f"have columns from 0 to {rows.shape[1]}", f"{rule.first} to {rule.last}")
    numbers = rows[:, rule.first : rule.last].astype(np.float64)
    good = (numbers >= rule.low) & (numbers <= rule.high)
    if rule.kind == "whole":
        good &= numbers == np.floor(numbers)
    elif rule.kind == "either":
        good = (numbers == rule.low) | (numbers == rule.high)
    elif rule.kind == "probabilities":
        with np.errstate(over="ignore"):
            good &= abs(numbers.sum(axis=1, keepdims=True) - 1) <= SURE_SUM_TOLERANCE
    return bool(good.all())


class Executor:
    """Runs one program. It has its own buffers for the batch and works on the arenas of a net.

    Parameters
    ----------
    program : Program
    dtype : {float32, float64}
    capacity : int
        The largest number of rows in a batch.
    params, state : Arena
        The net's parameters and running statistics.
    grads : Arena, optional
        The gradients; training programs need it.
    slots : tuple of ndarray
        The optimiser's slots, each of the length of ``params.data``.
    seed : int
        The seed of dropout.
    means : ndarray, optional
        The mean gradients of the batches since the last update, of the length of ``params.data``; a program that
        accumulates needs it.

    Attributes
    ----------
    observations : ndarray of float64
        What the last steps of an observing program have been like: for each entry of `Program.measured` the figures of
        `fastnn.kernels.EntryStatistics`.

    Raises
    ------
    ValueError
        If the size of the buffers in bytes exceeds `sys.maxsize`.
    MemoryError
        If there is not enough memory for the buffers.
    """

    def __init__(
        self,
        program: Program,
        dtype: npt.DTypeLike,
        capacity: int,
        params: Arena,
        state: Arena,
        grads: Arena | None = None,
        slots: tuple[Array, ...] = (),
        seed: int = 0,
        means: Array | None = None,
    ) -> None:
        program.check(params, state, slots, means)
        self.program = program
        self.dtype = np.dtype(dtype)
        self.capacity = capacity
        if capacity * sum(program.batch.values()) * self.dtype.itemsize > sys.maxsize:
            v.refuse(ValueError, "capacity", f"need buffers of at most {sys.maxsize} bytes", f"{capacity} rows")
        buffers: dict[str, Array] = {
            name: aligned_zeros(capacity * width, self.dtype).reshape(capacity, width)
            for name, width in program.batch.items()
        }
        buffers |= {name: aligned_zeros(width, self.dtype) for name, width in program.vectors.items()}
        buffers |= {name: np.zeros(capacity, np.int64) for name in program.ids}
        for space, arena in (("param", params), ("state", state), ("grad", grads)):
            if arena is not None:
                buffers |= {f"{space}:{name}": view for name, view in arena.views().items()}
        self._shared = s = Shared()
        s.program, s.buffers, s.params, s.slots, s.seed = program, buffers, params, slots, seed
        if grads is not None:
            s.grads = grads
        if means is not None:
            s.means = means
        self._state = state.data
        self.observations = s.observations = empty_table(program.measured)

    def array(self, name: str, rows: int) -> Array:
        """Return a view of the first `rows` rows of a ``batch:`` buffer, or of a whole ``vector:`` or arena buffer."""
        buffer = self._shared.buffers[name]
        return buffer[:rows] if name.startswith("batch:") else buffer

    def run(
        self,
        section: str,
        rows: int,
        step: int = 0,
        scalars: Array | None = None,
        threads: int = 1,
        weight: float = 0.0,
        lock: Any = None,
        counters: tuple[Any, ...] = (),
    ) -> None:
        """Run one section of the program over the first `rows` rows of the buffers.

        Parameters
        ----------
        section : str
            One of `fastnn.engine.lower.SECTIONS`.
        rows : int
            At most the capacity.
        step : int
            The number of the step, from which dropout derives its random numbers.
        scalars : ndarray of float64, optional
            The numbers of the optimiser's update; needed if the section updates parameters.
        threads : int
            Ignored by the reference.
        weight : float
            The total weight of the batch, by which a penalty may be divided.
        lock : NetLock, optional
            Acquired for writing during the call.
        counters : tuple of Counter
            Counters that are increased by 1 before the lock is released.

        Raises
        ------
        BaseException
            An exception of a Python function of the program. Running statistics are then as before the call.
        """
        if not 0 <= rows <= self.capacity:
            v.refuse(ValueError, "rows", f"be from 0 to {self.capacity}", rows)
        self._check_scalars(scalars)
        s = self._shared
        with lock.writing() if lock is not None else contextlib.nullcontext():
            s.rows, s.step, s.scalars, s.total_weight = rows, step, scalars, weight
            s.group_batches, s.share, s.update_weight = 1, 1.0, weight
            error = self._run(self._copy_state(), section)
            if error is not None:
                raise error
            for counter in counters:
                counter.value += 1

    def run_steps(
        self,
        feed: Feed,
        first: int,
        last: int,
        scalars: Array,
        step: int,
        seconds: float,
        threads: int,
        loss: float = 0.0,
        weight: float = 0.0,
        losses: Array | None = None,
        ahead: int = 0,
        lock: Any = None,
        counters: tuple[Any, ...] = (),
        stop_at_nonfinite: bool = True,
        group_weight: float = 0.0,
        update_counters: tuple[Any, ...] = (),
    ) -> StepResult:
        """Run the training steps of batches ``first, ..., last - 1``: all sections of the program.

        It stops after the first step that ends `seconds` or more after the call.

        Parameters
        ----------
        feed : Feed
        first, last : int
            Numbers of batches of the feed.
        scalars : ndarray of float64, shape (updates, s)
            The numbers of the optimiser's updates, one row for each update that these batches take part in.
        step : int
            The number of the first step, from which dropout derives its random numbers.
        seconds : float
        threads : int
        loss, weight : float
            The sums of the epoch so far. The result continues them, so that an epoch's loss does not depend on how the
            epoch is cut into slices.
        losses : ndarray of float64, shape (last - first,), optional
            Output: the loss of each step. With it, the steps are watched: the observe section runs after each.
        ahead : int
            Number of steps, these included, before any code reads the arenas. If it is above 0, the compiled executor
            may leave the arenas in another order, until `restore_order` is called.
        lock : NetLock, optional
            Acquired for writing during the call. The next acquisition restores the order of the arenas first.
        counters : tuple of Counter
            Counters that are increased by the number of completed steps before the lock is released.
        stop_at_nonfinite : bool
            Whether to stop before the backward pass of a step whose loss is not finite. Running statistics are then as
            before it.
        group_weight : float
            The total weight of the batches since the last update, from the result of the steps before these. It is not
            used if `first` is the first batch of its group.
        update_counters : tuple of Counter
            Counters that are increased by the number of updates.

        Returns
        -------
        StepResult
        """
        self._check_scalars(scalars)
        if feed.accumulate > 1 and not self.program.accumulates:
            v.refuse(ValueError, "feed.accumulate", "be 1 for a program that does not accumulate", feed.accumulate)
        s, finite, done, updates = self._shared, True, 0, 0
        error: BaseException | None = None
        with lock.writing() if lock is not None else contextlib.nullcontext(), s.reading(feed):
            started = time.monotonic()
            while done < last - first:
                s.choose(feed.order[feed.batch_slice(first + done)])
                group = feed.group(first + done)
                s.step, s.scalars, s.group_batches = step + done, scalars[updates], group.batches
                s.recorded = None if losses is None else losses[done : done + 1]
                kept, before = self._state.copy(), self._copy_state()
                error = self._run(before, "input") if s.in_range else None
                if not s.in_range:
                    error = feed.out_of_range(first + done, self.program.labels, tuple(self.program.ids.values()))
                if error is None:
                    error = self._run(before, "forward", "loss")
                finite = error is not None or not stop_at_nonfinite or math.isfinite(s.loss)
                if error is None and finite:
                    s.join(group, group_weight)
                    error = self._run(before, "backward")
                if error is not None:
                    break
                ends = ["reduce", *(["update"] if group.ends else [])] if finite else []
                self._run(None, *ends, *(["observe"] if losses is not None else []))
                if not finite:
                    self._state[...] = kept
                    break
                group_weight = s.update_weight
                loss += s.loss * s.total_weight
                weight += s.total_weight
                done += 1
                updates += group.ends
                if time.monotonic() - started >= seconds:
                    break
            for counter in counters:
                counter.value += done
            for counter in update_counters:
                counter.value += updates
        return StepResult(done, loss, weight, finite, s.loss, error, updates, group_weight)

    def run_batch(
        self,
        x: Array,
        y: Array,
        weight: Array | None,
        *,
        rules: BatchRules,
        scalars: Array,
        row: int,
        step: int,
        threads: int,
        scaling: Scaling | None = None,
        target_scaling: Scaling | None = None,
        lock: Any = None,
        counters: tuple[Any, ...] = (),
        update_counters: tuple[Any, ...] = (),
        draw_order: Callable[[], Array | None] | None = None,
        losses: Array | None = None,
        stop_at_nonfinite: bool = True,
    ) -> float | None:
        """Run one training step of all rows of arrays that nobody has checked.

        Nothing happens unless all arrays are plain (`_given_cy`) and have the right shapes:

        - `x` and rows of targets are finite, and as the rules say; labels are in range
        - of `weight` one is not 0, the sum is finite, and none is below 0 unless the rules allow it
        - there are at least as many rows as the program needs, and at most the capacity

        Parameters
        ----------
        x, y, weight : array_like
            The batch; `weight` is None or has a weight for each row.
        rules : BatchRules
            What targets and weights have to be.
        scalars : ndarray of float64, shape (updates, s)
        row : int
            The row of `scalars` that has the numbers of this update.
        step, threads, lock
            As for `run_steps`.
        scaling, target_scaling : Scaling, optional
            As a `Feed` has them.
        counters, update_counters : tuple of Counter
            Increased by 1 if the step is completed.
        draw_order : callable, optional
            Called without arguments when the arrays have been found plain, and the step begins. It returns the row
            numbers in the order in which the step takes the rows, as an ndarray of int64 of shape (n,), or None.
        losses : ndarray of float64, shape (1,), optional
            Output: the loss of the step.
        stop_at_nonfinite : bool
            As for `run_steps`.

        Returns
        -------
        float or None
            The loss. If it is not finite and `stop_at_nonfinite`, the step has changed nothing. None for arrays that
            are not plain, and if an id is out of range; the caller then checks them, with messages, and
            calls `run_steps`.

        Raises
        ------
        BaseException
            An exception of a Python function of the program. The step has changed nothing then.
        """
        guards = resize_guards(x, y, weight)
        if not self._takes_batch(x, y, weight, rules):
            return None
        target = y.astype(np.int64, copy=False) if self.program.target == "labels" else y
        target = target[:, np.newaxis] if target.ndim == 1 and self.program.target == "rows" else target
        weight = None if weight is None else np.ascontiguousarray(weight, np.float64)
        if rules.row_weights is not None:
            weight = rules.row_weights(target, weight)
            if not _are_plain_weights(weight, len(x), negative=False):
                return None
        order = None if draw_order is None else draw_order()
        order = np.arange(len(x)) if order is None else order
        feed = Feed(x, order, len(x), target, weight, False, scaling, target_scaling)
        result = self.run_steps(
            feed, 0, 1, scalars[row : row + 1], step, math.inf, threads, losses=losses, lock=lock, counters=counters,
            stop_at_nonfinite=stop_at_nonfinite, update_counters=update_counters,
        )  # fmt: skip
        del guards
        if not self._shared.in_range:
            return None
        if result.error is not None:
            raise result.error
        return result.last_loss if not result.finite else result.loss / result.weight if result.weight else 0.0

    def _takes_batch(self, x: Any, y: Any, weight: Any, rules: BatchRules) -> bool:
        """Whether `run_batch` runs a step of these arrays."""
        program = self.program
        least, width = 2 if program.has_batch_statistics else 1, program.batch[program.input]
        if not (_is_plain(x, 2, _ROWS) and x.shape[1] == width and np.isfinite(x).all()):
            return False
        rows = len(x)
        if not least <= rows <= self.capacity:
            return False
        if weight is not None and not _are_plain_weights(weight, rows, rules.negative_weights):
            return False
        if program.target == "labels":
            is_plain = _is_plain(y, 1, np.typecodes["AllInteger"]) and len(y) == rows
            return is_plain and bool(((y >= 0) & (y < program.labels[0].classes)).all())
        if rules.may_be_vector and _is_plain(y, 1, _ROWS):
            y = y[:, np.newaxis]
        if not (_is_plain(y, 2, _ROWS) and y.shape == (rows, program.batch["batch:target"])):
            return False
        return bool(np.isfinite(y).all()) and all(_holds(rule, y) for rule in rules.columns)

    def _check_scalars(self, scalars: Array | None) -> None:
        wanted = self.program.update.n_scalars if self.program.update is not None else 0
        if scalars is not None and wanted and scalars.shape[-1] != wanted:
            v.refuse(ValueError, "scalars", f"have rows of {wanted} numbers", scalars.shape[-1])

    def _copy_state(self) -> Array | None:
        return self._state.copy() if self.program.calls_python else None

    def _run(self, before: Array | None, *sections: str) -> BaseException | None:
        """Run sections. With `before`, the running statistics, an exception is returned after they are restored."""
        try:
            for section in sections:
                for op in self.program.sections.get(section, ()):
                    RUN[op.kind](self._shared, op)
        except BaseException as error:
            if before is None:
                raise
            self._state[...] = before
            return error
        return None

    def restore_order(self) -> None:
        """Restore the order of the arenas: nothing to do here, as only the compiled executor changes it."""

    def load(self, x: Array, threads: int, scaling: Scaling | None = None) -> None:
        """Run the input section over all rows of `x`, for callers that then run other sections.

        Parameters
        ----------
        x : ndarray of float32, float64 or uint8, shape (n, in_features)
            Of any strides, at most as many rows as the capacity.
        threads : int
        scaling : Scaling, optional
            The numbers of the net's scaler.
        """
        if len(x) > self.capacity:
            v.refuse(ValueError, "x", f"have at most {self.capacity} rows", len(x))
        feed = Feed(x, np.arange(len(x)), self.capacity, scaling=scaling)
        with self._shared.reading(feed):
            self._shared.choose(feed.order)
            self._load(x)

    def _load(self, x: Array) -> None:
        """Load the chosen rows of `x`, and refuse ids that are no rows of their tables."""
        self._run(None, "input")
        if not self._shared.in_range:
            refuse_ids(x, self.program.ids.values())

    def predict(self, x: Array, out: Array, threads: int, lock: Any = None, scaling: Scaling | None = None) -> None:
        """Run an inference program over all rows of `x`, in chunks of the capacity.

        Parameters
        ----------
        x : ndarray of float32, float64 or uint8, shape (n, in_features)
            Of any strides.
        out : ndarray, shape (n, out_features)
            C-contiguous, of the net's dtype.
        threads : int
        lock : NetLock, optional
            Acquired for reading during the call.
        scaling : Scaling, optional
            The numbers of the net's scaler.
        """
        guards = resize_guards(x, out)  # a Python function of the program may resize the user's arrays
        feed = Feed(x, np.arange(len(x)), self.capacity, scaling=scaling)
        s = self._shared
        with lock.reading() if lock is not None else contextlib.nullcontext(), s.reading(feed):
            for start in range(0, len(x), self.capacity):
                s.choose(feed.order[start : start + self.capacity])
                self._load(x)
                self._run(None, "forward")
                out[start : start + s.rows] = s[self.program.output]
        del guards
