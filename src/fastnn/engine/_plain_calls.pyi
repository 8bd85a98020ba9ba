from typing import Any

import numpy.typing as npt

from fastnn._typing import Array
from fastnn.engine._executor_ref import Executor
from fastnn.engine._lock import NetLock
from fastnn.engine.feed import Scaling

class PlainNet:
    def __init__(self, executor: Executor, lock: NetLock | None = None) -> None: ...
    def keep(self, scaling: Scaling | None, output_scaling: Scaling | None) -> None: ...

class PlainCalls:
    snapshot: Any
    def __init__(
        self,
        nets: tuple[PlainNet, ...],
        most_rows: int,
        result: str = "",
        link: str = "",
        classes: Array | None = None,
        finite: bool = False,
        snapshot: object = None,
    ) -> None: ...
    def now(self, x: object, out: object, attributes: tuple[dict[str, Any], ...]) -> Array | None: ...

class BasePredictor:
    def __call__(self, x: npt.ArrayLike, out: Array | None = None) -> Array: ...
    def _general(self, snapshot: Any, x: npt.ArrayLike, out: Array | None) -> Array: ...
    def _present(self) -> Any: ...
    def _take_spare(self) -> PlainCalls | None: ...
    def _show(self, calls: PlainCalls) -> None: ...
