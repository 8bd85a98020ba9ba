"""NumPy twin of the activations: a table row for each, y = f(x) and dx = dy * f'(x) told from y."""

from collections.abc import Callable

import numpy as np

from fastnn._typing import Array

# Forward: (x, alpha). Backward: (dy, y, alpha). A comparison with NaN is false, which is how NaN stays.
_Forward = Callable[[Array, np.floating], Array]
_Backward = Callable[[Array, Array, np.floating], Array]


def _sigmoid(x: Array, alpha: np.floating) -> Array:
    e = np.exp(-np.abs(x.astype(np.float64)))  # at most 1: nothing overflows
    return np.where(x < 0, e, 1.0) / (1.0 + e)


_TABLE: dict[str, tuple[_Forward, _Backward]] = {
    "identity": (
        lambda x, alpha: x,
        lambda dy, y, alpha: dy,
    ),
    "relu": (
        lambda x, alpha: np.maximum(x, 0) + 0.0,  # the sum makes +0 of -0
        lambda dy, y, alpha: np.where(y > 0, dy, np.where(y <= 0, 0, y)),
    ),
    "leaky_relu": (
        lambda x, alpha: np.where(x > 0, x, alpha * x),
        lambda dy, y, alpha: np.where(y > 0, dy, np.where(y <= 0, alpha * dy, y)),
    ),
    "sigmoid": (
        _sigmoid,
        lambda dy, y, alpha: dy * (y * (1 - y)),
    ),
    "tanh": (
        lambda x, alpha: np.tanh(x.astype(np.float64)),
        lambda dy, y, alpha: dy * (1 - y * y),
    ),
}

NAMES = tuple(_TABLE)


@np.errstate(all="ignore")
def activation(name: str, x: Array, out: Array, alpha: float, threads: int) -> None:
    out[...] = _TABLE[name][0](x, x.dtype.type(alpha))


@np.errstate(all="ignore")
def activation_backward(name: str, dy: Array, y: Array, out: Array, alpha: float, threads: int) -> None:
    out[...] = _TABLE[name][1](dy, y, y.dtype.type(alpha))
