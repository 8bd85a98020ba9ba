from fastnn._typing import Array

def loss(
    kind: str,
    logits: Array,
    target: Array,
    weight: Array | None,
    parameters: Array,
    value: float,
    slope: float,
    grad: Array | None,
) -> float: ...
def softmax(x: Array, out: Array, threads: int) -> None: ...
