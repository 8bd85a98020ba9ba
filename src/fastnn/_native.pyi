import numpy.typing as npt

from fastnn._typing import Array

ACTIVATIONS: dict[str, str]
UPDATES: dict[str, int]
LOSSES: tuple[str, ...]

def ready(
    written: tuple[Array, ...],
    read: tuple[npt.ArrayLike, ...],
    in_place: bool = False,
    columns: bool = False,
    by_row: tuple[npt.ArrayLike, ...] = (),
) -> bool: ...
def levels() -> dict[str, bool]: ...
def isa() -> str: ...
def set_isa(name: str | None) -> None: ...
def compiler() -> str: ...
