from collections.abc import Callable

from fastnn._losses import BatchRules
from fastnn._typing import Array
from fastnn.engine._inference_cy import InferenceExecutor
from fastnn.engine._lock import Counter, NetLock
from fastnn.engine.feed import Feed, Scaling, StepResult

class Executor(InferenceExecutor):
    def array(self, name: str, rows: int) -> Array: ...
    def run(
        self,
        section: str,
        rows: int,
        step: int = 0,
        scalars: Array | None = None,
        threads: int = 1,
        weight: float = 0.0,
        lock: NetLock | None = None,
        counters: tuple[Counter, ...] = (),
    ) -> None: ...
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
        lock: NetLock | None = None,
        counters: tuple[Counter, ...] = (),
        stop_at_nonfinite: bool = True,
        group_weight: float = 0.0,
        update_counters: tuple[Counter, ...] = (),
    ) -> StepResult: ...
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
        lock: NetLock | None = None,
        counters: tuple[Counter, ...] = (),
        update_counters: tuple[Counter, ...] = (),
        draw_order: Callable[[], Array | None] | None = None,
        losses: Array | None = None,
        stop_at_nonfinite: bool = True,
    ) -> float | None: ...
    def restore_order(self) -> None: ...
    def load(self, x: Array, threads: int, scaling: Scaling | None = None) -> None: ...
