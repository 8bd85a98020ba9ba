from collections.abc import Callable
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

class Setting(Generic[T]):
    variable: ContextVar[T | None]
    _default: T | None
    on_several: Callable[[], None] | None
    def __init__(self, name: str, find_default: Callable[[], T]) -> None: ...
    def get(self) -> T: ...
    def get_announced(self) -> int: ...

def share(backend: Setting[str], num_threads: Setting[int]) -> None: ...
