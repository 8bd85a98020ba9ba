from fastnn._typing import Array

def affine(x: Array, center: Array, scale: Array, shift: Array, out: Array, threads: int) -> None: ...
def batch_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float,
    out: Array,
    mean: Array,
    var: Array,
    inv_std: Array,
    running_mean: Array | None,
    running_var: Array | None,
    momentum: float,
    threads: int,
) -> None: ...
def batch_norm_backward(
    dy: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    inv_std: Array,
    out: Array,
    dgamma: Array,
    dbeta: Array,
    threads: int,
) -> None: ...
