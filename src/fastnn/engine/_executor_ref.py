"""The reference executor: it runs programs on the NumPy twins and shows in the fewest lines what each op does.

The compiled executor, `_executor_cy`, has the same class with the same signatures and runs the same lists of ops.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine.arena import Arena, aligned_zeros, own_view, resize_guards
from fastnn.engine.feed import Feed, StepResult
from fastnn.engine.program import OPS, Op, Program, check_slots, derivative_from_input, output_holds_mask
from fastnn.kernels import (
    _activations_ref,
    _dense_ref,
    _dropout_ref,
    _gather_ref,
    _losses_ref,
    _normalization_ref,
    _optimizers_ref,
)


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
    ) -> None:
        check_slots(program, params, slots)
        self.program = program
        self.dtype = np.dtype(dtype)
        self.capacity = capacity
        self._arenas: dict[str, Arena | None] = {"param": params, "state": state, "grad": grads}
        self._slots = slots
        self._seed = seed
        if capacity * sum(program.batch.values()) * self.dtype.itemsize > sys.maxsize:
            v.refuse(ValueError, "capacity", f"fit into buffers of at most {sys.maxsize} bytes", f"{capacity} rows")
        self._buffers: dict[str, Array] = {
            name: aligned_zeros(capacity * width, self.dtype).reshape(capacity, width)
            for name, width in program.batch.items()
        }
        self._buffers |= {name: aligned_zeros(width, self.dtype) for name, width in program.vectors.items()}
        for space, arena in self._arenas.items():
            if arena is not None:
                self._buffers |= {f"{space}:{name}": view for name, view in arena.views().items()}
        self._labels: Array | None = None
        self._weight: Array | None = None
        self._loss = math.nan
        self._total_weight = 0.0
        self._clip = 1.0
        self._rows = 0
        self._step = 0
        self._scalars: Array | None = None
        self._state = state.data
        self._calls_python = program.calls_python

    def array(self, name: str, rows: int) -> Array:
        """Return a view of the first `rows` rows of a ``batch:`` buffer, or of a whole ``vector:`` or arena buffer."""
        return self._buffers[name][:rows] if name.startswith("batch:") else self._buffers[name]

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
        section : {"forward", "loss", "backward", "update"}
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
        self._check_scalars(scalars)
        with lock.writing() if lock is not None else contextlib.nullcontext():
            state = self._state.copy() if self._calls_python else None
            try:
                self._run(section, rows, step, scalars, weight)
            except BaseException:
                if state is not None:
                    self._state[...] = state
                raise
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
    ) -> StepResult:
        """Run the training steps of batches ``first, ..., last - 1``: gather, forward, loss, backward and update.

        It stops after the first step that ends `seconds` or more after the call.

        Parameters
        ----------
        feed : Feed
        first, last : int
            Numbers of batches of the feed.
        scalars : ndarray of float64, shape (last - first, s)
            The numbers of the optimiser's update, one row for each batch.
        step : int
            The number of the first step, from which dropout derives its random numbers.
        seconds : float
        threads : int
        loss, weight : float
            The sums of the epoch so far. The result continues them, so that an epoch's loss does not depend on how the
            epoch is cut into slices.
        losses : ndarray of float64, shape (last - first,), optional
            Output: the loss of each step.
        ahead : int
            Number of steps, these included, before any code reads the arenas. If it is above 0, the compiled executor
            may leave the arenas in another order, until `restore_order` is called.
        lock : NetLock, optional
            Acquired for writing during the call. The next acquisition restores the order of the arenas first.
        counters : tuple of Counter
            Counters that are increased by the number of completed steps before the lock is released.
        stop_at_nonfinite : bool
            Whether to stop before the backward pass of a step whose loss is not finite.

        Returns
        -------
        StepResult
        """
        self._check_scalars(scalars)
        with lock.writing() if lock is not None else contextlib.nullcontext():
            result = self._run_steps(feed, first, last, scalars, step, seconds, loss, weight, losses, stop_at_nonfinite)
            for counter in counters:
                counter.value += result.done
        return result

    def _check_scalars(self, scalars: Array | None) -> None:
        wanted = self.program.update.n_scalars if self.program.update is not None else 0
        if scalars is not None and wanted and scalars.shape[-1] != wanted:
            v.refuse(ValueError, "scalars", f"have rows of {wanted} numbers", scalars.shape[-1])

    def _run_steps(
        self,
        feed: Feed,
        first: int,
        last: int,
        scalars: Array,
        step: int,
        seconds: float,
        loss: float,
        weight: float,
        losses: Array | None,
        stop_at_nonfinite: bool,
    ) -> StepResult:
        start = time.monotonic()
        for done, batch in enumerate(range(first, last)):
            rows = feed.order[feed.batch_slice(batch)]
            if not self._gather(feed, rows):
                error = feed.out_of_range(batch, self.program.batch[self.program.output])
                return StepResult(done, loss, weight, True, self._loss, error)
            total = float(len(rows)) if self._weight is None else float(self._weight.sum())
            state = self._state.copy() if self._calls_python else None
            try:
                self._run("forward", len(rows), step + done, None, total)
                self._run("loss", len(rows), step + done, None, total)
                if losses is not None:
                    losses[done] = self._loss
                if stop_at_nonfinite and not math.isfinite(self._loss):
                    return StepResult(done, loss, weight, False, self._loss)
                self._run("backward", len(rows), step + done, scalars[done], total)
            except BaseException as error:
                if state is None:
                    raise
                self._state[...] = state
                return StepResult(done, loss, weight, True, self._loss, error)
            self._run("update", len(rows), step + done, scalars[done], total)
            loss += self._loss * total
            weight += total
            if time.monotonic() - start >= seconds:
                break
        return StepResult(done + 1, loss, weight, True, self._loss)

    def restore_order(self) -> None:
        """Restore the order of the arenas: nothing to do here, as only the compiled executor changes it."""

    def predict(
        self,
        x: Array,
        out: Array,
        threads: int,
        lock: Any = None,
        center: Array | None = None,
        scale: Array | None = None,
    ) -> None:
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
        center, scale : ndarray, shape (in_features,), optional
            The numbers of the net's scaler.
        """
        x, guards = own_view(x), resize_guards(x, out)  # a Python function of the program may resize the user's arrays
        with lock.reading() if lock is not None else contextlib.nullcontext():
            for start in range(0, len(x), self.capacity):
                rows = np.arange(start, min(start + self.capacity, len(x)))
                self._gather_input(x, rows, center, scale)
                self._run("forward", len(rows), 0, None, 0.0)
                out[start : start + len(rows)] = self.array(self.program.output, len(rows))
        del guards

    # ---- used by the functions of the ops ----

    def __getitem__(self, name: str) -> Array:
        return self.array(name, self._rows)

    def _run(self, section: str, rows: int, step: int, scalars: Array | None, weight: float) -> None:
        self._rows, self._step, self._scalars, self._total_weight = rows, step, scalars, weight
        for op in self.program.sections[section]:
            _RUN[op.kind](self, op)

    def _gather(self, feed: Feed, rows: Array) -> bool:
        """Load a batch: input, target and weights. Return False if a row number or a label is out of range."""
        if rows.min() < 0 or rows.max() >= len(feed.x):
            return False
        self._gather_input(feed.x, rows, feed.center, feed.scale)
        self._weight = None if feed.row_weight is None else feed.row_weight[rows]
        if self.program.target == "labels" and feed.y is not None:
            self._labels = feed.y[rows]
            return bool(self._labels.min() >= 0 and self._labels.max() < self.program.batch[self.program.output])
        if self.program.target == "rows" and feed.y is not None:
            _gather_ref.gather(feed.y, rows, self.array("batch:target", len(rows)), 1)
        return True

    def _gather_input(self, source: Array, rows: Array, center: Array | None, scale: Array | None) -> None:
        x = self.array(self.program.input, len(rows))
        _gather_ref.gather(source, rows, x, 1)
        if center is not None and scale is not None:
            with np.errstate(all="ignore"):
                np.multiply(np.subtract(x, center, out=x), scale, out=x)

    def _apply_epilogue(self, op: Op, result: Array) -> None:
        """Apply the activation to an op's result, then dropout, into the op's y."""
        attrs, y = op.attrs, self[op.buffers["y"]]
        kept = y if derivative_from_input(op) else self._result(op)
        _activations_ref.activation(attrs["activation"], result, kept, attrs["parameters"], 1)
        if attrs["p"] > 0:
            self._dropout(op, kept, y)

    def _dropout(self, op: Op, x: Array, out: Array) -> None:
        p, stream = op.attrs["p"], op.attrs["stream"]
        _dropout_ref.dropout(x.reshape(-1), out.reshape(-1), p, self._seed, stream, self._step, 1)

    def _result(self, op: Op) -> Array:
        """Return the buffer of an op's result: `h`, or `y` if the epilogue works in place."""
        return self[op.buffers.get("h", op.buffers["y"])]

    def _undo_epilogue(self, op: Op, d: Array) -> None:
        """Apply the derivative of the epilogue to d, in place."""
        attrs = op.attrs
        if attrs["p"] > 0 and output_holds_mask(op):
            _optimizers_ref.scale(d, 1 / (1 - attrs["p"]) if attrs["p"] < 1 else 0.0, d, 1)
        elif attrs["p"] > 0:
            self._dropout(op, d, d)
        if attrs["activation"] != "identity":
            h = self[op.buffers["h"]]
            _activations_ref.activation_backward(attrs["activation"], d, h, d, attrs["parameters"], 1)

    def _update(self, kind: str, **grads: str) -> None:
        """Update the parameters whose gradients are named."""
        params, scalars = self._arenas["param"], self._scalars
        if not kind or params is None or scalars is None:
            return
        update = self.program.update
        assert update is not None
        for gradient in grads.values():
            name = gradient.partition(":")[2]
            start = params.layout.offsets[name]
            span = slice(start, start + params.layout.elements(name))
            slots = tuple(slot[span] for slot in self._slots)
            w, g = params.data[span], self._gradient(name)
            row = scalars.reshape(update.n_groups, -1)[update.groups.get(name, 0)]
            if self._clip != 1:
                _optimizers_ref.scale(g, self._clip, g, 1)
            if update.decay:
                row, decay = row[:-1], row[-1]
                if update.decay == "coupled" and decay != 0:
                    _optimizers_ref.regularize(w, g, 0.0, decay, g, 1)
                elif update.decay == "decoupled" and decay != 1:
                    _optimizers_ref.scale(w, decay, w, 1)
            _optimizers_ref.update(kind, w, g, slots, row, 1)
            if name in update.max_norms:
                _optimizers_ref.limit_norms(params.view(name), update.max_norms[name], 1)

    def _gradient(self, name: str) -> Array:
        """Return a copy of a parameter's gradient, with the penalty added and values clipped."""
        update, params = self.program.update, self._arenas["param"]
        assert update is not None and params is not None
        g = self[f"grad:{name}"].reshape(-1).copy()
        if update.has_penalty and name in update.penalized:
            share = self._penalty_factor()
            _optimizers_ref.regularize(params.view(name).reshape(-1), g, update.l1 * share, update.l2 * share, g, 1)
        if update.clip_value < math.inf:
            _optimizers_ref.clip(g, update.clip_value, g, 1)
        return g

    def _penalty_factor(self) -> float:
        """Return the factor of the penalty."""
        update, total = self.program.update, self._total_weight
        if update is None or not update.per_batch:
            return 1.0
        return 1.0 / total if total > 0 else 0.0


# ---- one function for each kind of op ----


def _dense(run: Executor, op: Op) -> None:
    b = op.buffers.get("b")
    result = run._result(op)
    _dense_ref.dense(run[op.buffers["x"]], run[op.buffers["w"]], run[b] if b else None, result, "identity", (), 1)
    run._apply_epilogue(op, result)


def _apply_affine(run: Executor, op: Op, x: Array, y: Array) -> None:
    gamma, beta, mean, var = (run[op.buffers[role]] for role in ("gamma", "beta", "mean", "var"))
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(var + var.dtype.type(op.attrs["eps"]))
    _normalization_ref.affine(x, mean, scale, beta, y, 1)


def _dense_affine(run: Executor, op: Op) -> None:
    b, y = op.buffers.get("b"), run[op.buffers["y"]]
    _dense_ref.dense(run[op.buffers["x"]], run[op.buffers["w"]], run[b] if b else None, y, "identity", (), 1)
    _apply_affine(run, op, y, y)
    run._apply_epilogue(op, y)


def _affine(run: Executor, op: Op) -> None:
    y = run[op.buffers["y"]]
    _apply_affine(run, op, run[op.buffers["x"]], y)
    run._apply_epilogue(op, y)


def _activation(run: Executor, op: Op) -> None:
    run._apply_epilogue(op, run[op.buffers["x"]])


def _prelu(run: Executor, op: Op) -> None:
    x, a, y = (run[op.buffers[role]] for role in ("x", "a", "y"))
    _activations_ref.prelu(x, a, y, 1)


def _row_kernel(run: Executor, op: Op) -> None:
    getattr(_losses_ref, op.kind)(*(run[op.buffers[role]] for role in OPS[op.kind].buffers), 1)


def _batch_norm(run: Executor, op: Op) -> None:
    x, gamma, beta, running_mean, running_var, mean, inv_std = (
        run[op.buffers[role]] for role in ("x", "gamma", "beta", "running_mean", "running_var", "mean", "inv_std")
    )
    result, var = run._result(op), np.empty_like(mean)
    moving = running_mean, running_var, op.attrs["momentum"]
    _normalization_ref.batch_norm(x, gamma, beta, op.attrs["eps"], result, mean, var, inv_std, *moving, 1)
    run._apply_epilogue(op, result)


def _loss(run: Executor, op: Op) -> None:
    target = run[op.buffers["target"]] if "target" in op.buffers else run._labels
    assert target is not None
    z, dz, attrs = run[op.buffers["z"]], run[op.buffers["dz"]], op.attrs
    parameters = np.array(attrs["loss_parameters"], np.float64)
    run._loss = _losses_ref.loss(attrs["loss"], z, target, run._weight, parameters, attrs["value"], attrs["slope"], dz)


def _call(run: Executor, op: Op) -> None:
    op.attrs["function"](*(run[op.buffers[role]] for role in OPS[op.kind].buffers))


def _custom_loss(run: Executor, op: Op) -> None:
    target = run[op.buffers["target"]] if "target" in op.buffers else run._labels
    run._loss = float(op.attrs["function"](run[op.buffers["z"]], run[op.buffers["dz"]], target, run._weight))


def _clip_norm(run: Executor, op: Op) -> None:
    update, params, square = run.program.update, run._arenas["param"], 0.0
    assert update is not None and params is not None
    for name in params.layout:
        square += _optimizers_ref.sums(run._gradient(name), 1)[1]
    factor = update.clip_norm / (math.sqrt(square) + 1e-6)
    run._clip = 1.0 if factor >= 1 else factor


def _penalty(run: Executor, op: Op) -> None:
    update, params, penalty = run.program.update, run._arenas["param"], 0.0
    assert update is not None and params is not None
    for name in params.layout:
        if name in update.penalized:
            magnitude, square = _optimizers_ref.sums(params.view(name).reshape(-1), 1)
            penalty += update.l1 * magnitude + 0.5 * update.l2 * square
    run._loss += run._penalty_factor() * penalty


def _epilogue_backward(run: Executor, op: Op) -> None:
    run._undo_epilogue(op, run[op.buffers["d"]])


def _dense_grad_input(run: Executor, op: Op) -> None:
    dx = run[op.buffers["dx"]]
    _dense_ref.dense_grad_input(run[op.buffers["dy"]], run[op.buffers["w"]], dx, 1)
    run._undo_epilogue(op, dx)


def _dense_grad_weight(run: Executor, op: Op) -> None:
    dy, grads = run[op.buffers["dy"]], {"w": op.buffers["dw"]}
    _dense_ref.dense_grad_weight(run[op.buffers["x"]], dy, run[grads["w"]], 1)
    if "db" in op.buffers:
        grads["b"] = op.buffers["db"]
        _dense_ref.dense_grad_bias(dy, run[grads["b"]], 1)
    run._update(op.attrs["update"], **grads)


def _batch_norm_backward(run: Executor, op: Op) -> None:
    dy, x, gamma, mean, inv_std, dx, dgamma, dbeta = (
        run[op.buffers[role]] for role in ("dy", "x", "gamma", "mean", "inv_std", "dx", "dgamma", "dbeta")
    )
    _normalization_ref.batch_norm_backward(dy, x, gamma, mean, inv_std, dx, dgamma, dbeta, 1)
    run._update(op.attrs["update"], gamma=op.buffers["dgamma"], beta=op.buffers["dbeta"])


def _prelu_backward(run: Executor, op: Op) -> None:
    dy, x, a, dx, da = (run[op.buffers[role]] for role in ("dy", "x", "a", "dx", "da"))
    by_column = np.empty(max(len(a), x.shape[1]), x.dtype)
    _activations_ref.prelu_backward(dy, x, a, dx, by_column, 1)
    da[...] = by_column[: len(a)]
    run._update(op.attrs["update"], a=op.buffers["da"])


def _update(run: Executor, op: Op) -> None:
    grads = run._arenas["grad"]
    assert grads is not None
    run._update(op.attrs["update"], **{name: f"grad:{name}" for name in grads.layout})


_RUN: Mapping[str, Callable[[Executor, Op], None]] = {
    "dense": _dense,
    "dense_affine": _dense_affine,
    "activation": _activation,
    "prelu": _prelu,
    "softmax": _row_kernel,
    "log_softmax": _row_kernel,
    "batch_norm": _batch_norm,
    "affine": _affine,
    "loss": _loss,
    "custom_loss": _custom_loss,
    "custom": _call,
    "custom_backward": _call,
    "epilogue_backward": _epilogue_backward,
    "dense_grad_input": _dense_grad_input,
    "dense_grad_weight": _dense_grad_weight,
    "batch_norm_backward": _batch_norm_backward,
    "prelu_backward": _prelu_backward,
    "softmax_backward": _row_kernel,
    "log_softmax_backward": _row_kernel,
    "penalty": _penalty,
    "clip_norm": _clip_norm,
    "update": _update,
}
