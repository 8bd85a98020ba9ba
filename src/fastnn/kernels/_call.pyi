from typing import Any, Generic, TypeVar

R = TypeVar("R")

class Call(Generic[R]):
    family: str
    names: tuple[str, ...]
    def __init__(self, family: str, pattern: str, **least: int) -> None: ...
    def __call__(self, *given: object) -> tuple[Any, int, bool, R]: ...
