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
def layer_norm(
    x: Array, gamma: Array, beta: Array | None, eps: float, out: Array, mean: Array, inv_std: Array, threads: int
) -> None: ...
def layer_norm_backward(
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
def rms_norm(x: Array, gamma: Array, eps: float, out: Array, inv_rms: Array, threads: int) -> None: ...
def rms_norm_backward(
    dy: Array, x: Array, gamma: Array, inv_rms: Array, out: Array, dgamma: Array, threads: int
) -> None: ...
