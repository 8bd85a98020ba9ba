from numpy.typing import ArrayLike

from fastnn._typing import Array

__all__ = [
    "adadelta",
    "adadelta_scalars",
    "adagrad",
    "adagrad_scalars",
    "adam",
    "adam_scalars",
    "amsgrad",
    "amsgrad_scalars",
    "momentum",
    "momentum_scalars",
    "nadam",
    "nadam_scalars",
    "nesterov",
    "nesterov_scalars",
    "nesterov_velocity",
    "nesterov_velocity_scalars",
    "rmsprop",
    "rmsprop_centered",
    "rmsprop_centered_momentum",
    "rmsprop_centered_momentum_scalars",
    "rmsprop_centered_scalars",
    "rmsprop_momentum",
    "rmsprop_momentum_scalars",
    "rmsprop_scalars",
    "sgd",
    "sgd_scalars",
    "velocity",
    "velocity_scalars",
]

def adadelta(
    w: Array, g: ArrayLike, v: Array, u: Array, *, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-06
) -> Array: ...
def adadelta_scalars(lr: ArrayLike, rho: ArrayLike, eps: ArrayLike) -> Array: ...
def adagrad(w: Array, g: ArrayLike, v: Array, *, lr: float = 0.01, eps: float = 1e-10) -> Array: ...
def adagrad_scalars(lr: ArrayLike, eps: ArrayLike) -> Array: ...
def adam(
    w: Array,
    g: ArrayLike,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-08,
) -> Array: ...
def adam_scalars(
    step: ArrayLike, lr: ArrayLike, beta1: ArrayLike, beta2: ArrayLike, eps: ArrayLike, *, eps_hat: bool = False
) -> Array: ...
def amsgrad(
    w: Array,
    g: ArrayLike,
    m: Array,
    v: Array,
    top: Array,
    *,
    step: int,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-08,
) -> Array: ...
def amsgrad_scalars(
    step: ArrayLike, lr: ArrayLike, beta1: ArrayLike, beta2: ArrayLike, eps: ArrayLike, *, eps_hat: bool = False
) -> Array: ...
def momentum(
    w: Array, g: ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9, dampening: float = 0.0
) -> Array: ...
def momentum_scalars(lr: ArrayLike, momentum: ArrayLike, dampening: ArrayLike = 0.0) -> Array: ...
def nadam(
    w: Array,
    g: ArrayLike,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-08,
    momentum_decay: float = 0.004,
) -> Array: ...
def nadam_scalars(
    step: ArrayLike, lr: ArrayLike, beta1: float, beta2: ArrayLike, eps: ArrayLike, momentum_decay: float
) -> Array: ...
def nesterov(w: Array, g: ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9) -> Array: ...
def nesterov_scalars(lr: ArrayLike, momentum: ArrayLike) -> Array: ...
def nesterov_velocity(w: Array, g: ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9) -> Array: ...
def nesterov_velocity_scalars(lr: ArrayLike, momentum: ArrayLike) -> Array: ...
def rmsprop(
    w: Array, g: ArrayLike, v: Array, *, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-08
) -> Array: ...
def rmsprop_scalars(lr: ArrayLike, alpha: ArrayLike, eps: ArrayLike) -> Array: ...
def rmsprop_centered(
    w: Array, g: ArrayLike, v: Array, mean: Array, *, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-08
) -> Array: ...
def rmsprop_centered_scalars(lr: ArrayLike, alpha: ArrayLike, eps: ArrayLike) -> Array: ...
def rmsprop_centered_momentum(
    w: Array,
    g: ArrayLike,
    v: Array,
    mean: Array,
    buf: Array,
    *,
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-08,
    momentum: float = 0.9,
) -> Array: ...
def rmsprop_centered_momentum_scalars(
    lr: ArrayLike, alpha: ArrayLike, eps: ArrayLike, momentum: ArrayLike
) -> Array: ...
def rmsprop_momentum(
    w: Array,
    g: ArrayLike,
    v: Array,
    buf: Array,
    *,
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-08,
    momentum: float = 0.9,
) -> Array: ...
def rmsprop_momentum_scalars(lr: ArrayLike, alpha: ArrayLike, eps: ArrayLike, momentum: ArrayLike) -> Array: ...
def sgd(w: Array, g: ArrayLike, *, lr: float) -> Array: ...
def sgd_scalars(lr: ArrayLike) -> Array: ...
def velocity(w: Array, g: ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9) -> Array: ...
def velocity_scalars(lr: ArrayLike, momentum: ArrayLike) -> Array: ...
