import numpy as np
import numpy.typing as npt

from fastnn._typing import Array
from fastnn.engine.arena import Arena
from fastnn.engine.lower import Program

class CompiledProgram:
    program: Program
    dtype: np.dtype[np.floating]
    capacity: int
    observations: Array
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
    ) -> None: ...
