from typing import Self

from fastnn._typing import Array

class Source:
    def __new__(cls, x: Array) -> Self: ...

def gather(x: Array, rows: Array, out: Array, threads: int) -> None: ...
