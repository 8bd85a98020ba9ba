"""The engine: programs over named buffers, and the two executors that run them, compiled and on the NumPy twins."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

import numpy.typing as npt

from fastnn import _config
from fastnn._typing import Array
from fastnn.engine._executor_ref import Executor
from fastnn.engine._lock import Counter, NetLock, TrainingClaim
from fastnn.engine.arena import Arena, Layout, aligned_zeros, own_view, resize_guards
from fastnn.engine.augment import Step, UserStep, mixes_targets
from fastnn.engine.custom import call_quietly, read_only, write_result
from fastnn.engine.feed import Feed, IdColumn, Scaling, StepResult
from fastnn.engine.lower import Builder, Program, Update, lower_inference, lower_training, lower_update
from fastnn.engine.observe import INPUT, Measured
from fastnn.engine.ops import OPS, Op, OpSpec, derivative_buffer, derivative_needs_input

if TYPE_CHECKING:
    from fastnn.engine._plain_calls import PlainCalls, PlainNet

__all__ = [
    "INPUT",
    "OPS",
    "Arena",
    "Builder",
    "Counter",
    "Executor",
    "Feed",
    "IdColumn",
    "Layout",
    "Measured",
    "NetLock",
    "Op",
    "OpSpec",
    "Program",
    "Scaling",
    "Step",
    "StepResult",
    "TrainingClaim",
    "Update",
    "UserStep",
    "aligned_zeros",
    "call_quietly",
    "derivative_buffer",
    "derivative_needs_input",
    "lower_inference",
    "lower_training",
    "lower_update",
    "make_executor",
    "make_plain_calls",
    "make_plain_net",
    "mixes_targets",
    "own_view",
    "read_only",
    "resize_guards",
    "write_result",
]

_MODULES = {"native": "fastnn.engine._executor_cy", "reference": "fastnn.engine._executor_ref"}


def make_executor(
    program: Program,
    dtype: npt.DTypeLike,
    capacity: int,
    params: Arena,
    state: Arena,
    grads: Arena | None = None,
    slots: tuple[Array, ...] = (),
    seed: int = 0,
    backend: str | None = None,
    means: Array | None = None,
) -> Executor:
    """Return an executor of the named backend, by default the current one; the other parameters are `Executor`'s."""
    module = importlib.import_module(_MODULES[backend or _config.get_backend()])
    return cast(Executor, module.Executor(program, dtype, capacity, params, state, grads, slots, seed, means))


def make_plain_net(
    program: Program,
    dtype: npt.DTypeLike,
    rows: int,
    params: Arena,
    state: Arena,
    lock: NetLock | None = None,
) -> PlainNet:
    """Return a net for `make_plain_calls`, of an inference program over these arenas.

    Parameters
    ----------
    program, dtype, params, state
        As for `make_executor`.
    rows : int
        Of a call, at most.
    lock : NetLock, optional
        That of a net whose arrays are read as they are at each call. A snapshot, which nobody trains, has none.
    """
    from fastnn.engine._plain_calls import PlainNet

    return PlainNet(make_executor(program, dtype, rows, params, state, backend="native"), lock)


def make_plain_calls(nets: tuple[PlainNet, ...], rows: int, result: str = "", link: str = "") -> PlainCalls:
    """Return an object whose method `now` predicts in compiled code alone where it can; see `PlainCalls`."""
    from fastnn.engine._plain_calls import PlainCalls

    return PlainCalls(nets, rows, result, link)
