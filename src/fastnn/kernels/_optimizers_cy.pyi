from fastnn._typing import Array

UPDATES: dict[str, int]

def update(kind: str, w: Array, g: Array, slots: tuple[Array, ...], scalars: Array, threads: int) -> None: ...
