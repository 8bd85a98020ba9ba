"""The executors of a net, made when first needed and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _config
from fastnn.engine import Arena, Executor, Program, make_executor, make_plain_calls

if TYPE_CHECKING:
    from fastnn.engine._plain_calls import PlainCalls, PlainNet

PREDICT_ROWS = 512  # rows predicted at a time, so that their activations stay in the second-level cache


class Runners:
    """The executors of one net.

    Programs come from functions that are passed to each call: kept here, they would refer to the net, and a net and its
    executors would be a reference cycle.

    Parameters
    ----------
    dtype : numpy.dtype
    params, state : Arena
    seed : int
        Of dropout.
    """

    def __init__(self, dtype: np.dtype[Any], params: Arena, state: Arena, seed: int) -> None:
        self._dtype, self._params, self._state, self._seed = dtype, params, state, seed
        self._idle: dict[tuple[str, bool], list[Executor]] = {}
        self._training: dict[tuple[str, bool], Executor] = {}
        self.plain_net: PlainNet | None = None
        self.plain: PlainCalls | None = None

    def keep_plain(self, net: PlainNet) -> None:
        """Keep what the plain calls of the net as it is at each call need."""
        self.plain_net, self.plain = net, make_plain_calls((net,), PREDICT_ROWS)

    def take(self, program: Callable[[], Program], backend: str, rows: int) -> Executor:
        """Return an executor for inference that no other thread uses; single rows have small executors."""
        single = rows == 1
        idle = self._idle.setdefault((backend, single), [])
        try:
            return idle.pop()
        except IndexError:
            capacity = 1 if single else PREDICT_ROWS
            return make_executor(program(), self._dtype, capacity, self._params, self._state, backend=backend)

    def put_back(self, backend: str, executor: Executor) -> None:
        """Keep an executor for the next call."""
        self._idle[backend, executor.capacity == 1].append(executor)

    def forget_training(self) -> None:
        """Drop the executors of hand-written loops, whose programs are those of other frozen parameters."""
        self._training.clear()

    def training(self, program: Callable[..., Program], grads: Arena, rows: int, input_grad: bool) -> Executor:
        """Return the executor of hand-written loops, for at least so many rows."""
        key = _config.get_backend(), input_grad
        executor = self._training.get(key)
        if executor is None or executor.capacity < rows:
            executor = self._training[key] = make_executor(
                program(input_grad=input_grad),
                self._dtype,
                rows,
                self._params,
                self._state,
                grads,
                (),
                self._seed,
                key[0],
            )
        return executor
