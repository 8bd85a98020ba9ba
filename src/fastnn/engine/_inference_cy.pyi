import numpy.typing as npt

from fastnn._typing import Array
from fastnn.engine._compile_cy import CompiledProgram
from fastnn.engine._lock import NetLock
from fastnn.engine.arena import Arena
from fastnn.engine.feed import Scaling
from fastnn.engine.lower import Program

class InferenceExecutor(CompiledProgram):
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
    ) -> None: ...
    def predict(
        self,
        x: Array,
        out: Array,
        threads: int,
        lock: NetLock | None = None,
        scaling: Scaling | None = None,
    ) -> None: ...
    def keep_scales(self) -> None: ...
