from fastnn._typing import Array

NAMES: tuple[str, ...]

def activation(name: str, x: Array, out: Array, parameters: tuple[float, ...], threads: int) -> None: ...
def activation_backward(
    name: str, dy: Array, told_from: Array, out: Array, parameters: tuple[float, ...], threads: int
) -> None: ...
