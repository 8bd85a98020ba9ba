from typing import Any, Generic, TypeVar

_R = TypeVar("_R")

class Arguments(Generic[_R]):
    family: str
    names: tuple[str, ...]
    def __init__(self, family: str, pattern: str, **least: int) -> None: ...
    def __call__(self, *given: object) -> tuple[Any, int, bool, _R]: ...

def same_objects(a: dict[str, object], b: dict[str, object]) -> bool: ...
