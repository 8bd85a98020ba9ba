from typing import Any

import numpy.typing as npt

from fastnn._typing import Array
from fastnn.engine._executor_ref import Executor
from fastnn.engine._lock import NetLock
from fastnn.engine.feed import Scaling

class PlainNet:
    def __init__(self, executor: Executor, lock: NetLock | None = None) -> None: ...
    def set_scaling(self, scaling: Scaling | None, output_scaling: Scaling | None) -> None: ...
    def keep_values(self) -> None: ...

class PlainCalls:
    def __init__(
        self,
        nets: tuple[PlainNet, ...],
        most_rows: int,
        result: str = "",
        link: str = "",
        classes: Array | None = None,
        finite: bool = False,
    ) -> None: ...
    def __call__(self, x: npt.ArrayLike, out: Array | None = None) -> Array: ...
    def now(self, x: object, out: object) -> Array | None: ...
    def now_scaled(
        self, x: object, out: object, scaling: Scaling | None, output_scaling: Scaling | None
    ) -> Array | None: ...
    def take(self, moves: tuple[Any, ...]) -> None: ...
