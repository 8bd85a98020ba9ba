"""The executors of a net, made when first needed and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _config
from fastnn.engine import Executor, lower_inference, make_executor

if TYPE_CHECKING:
    from fastnn.nn.sequential import Sequential

PREDICT_ROWS = 512  # rows predicted at a time, so that their activations stay in the second-level cache


class Runners:
    """The executors of one net, which its methods get as an argument: a net and its executors are no cycle."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, bool], list[Executor]] = {}
        self._training: dict[tuple[str, bool], Executor] = {}

    def take(self, net: Sequential, backend: str, rows: int) -> Executor:
        """Return an executor for inference that no other thread uses; single rows have small executors."""
        single = rows == 1
        idle = self._idle.setdefault((backend, single), [])
        try:
            return idle.pop()
        except IndexError:
            program = lower_inference(*net.emit(training=False))
            capacity = 1 if single else PREDICT_ROWS
            return make_executor(program, net.dtype, capacity, net.params, net.state, backend=backend)

    def put_back(self, backend: str, executor: Executor) -> None:
        """Keep an executor for the next call."""
        self._idle[backend, executor.capacity == 1].append(executor)

    def training(self, net: Sequential, rows: int, input_grad: bool) -> Executor:
        """Return the executor of hand-written loops, for at least so many rows."""
        key = _config.get_backend(), input_grad
        executor = self._training.get(key)
        if executor is None or executor.capacity < rows:
            program = net.training_program(input_grad=input_grad)
            executor = self._training[key] = make_executor(
                program, net.dtype, rows, net.params, net.state, net.gradient_arena(), (), net.seed, key[0]
            )
        return executor
