from collections.abc import Callable
from contextvars import ContextVar
from typing import Generic, TypeVar

_T = TypeVar("_T")

class Setting(Generic[_T]):
    _override: ContextVar[_T | None]
    _default: _T | None
    on_several: Callable[[], None] | None
    def __init__(self, name: str, find_default: Callable[[], _T]) -> None: ...
    def get(self) -> _T: ...
    def get_announced(self) -> int: ...

def share(backend: Setting[str], num_threads: Setting[int]) -> None: ...
