"""NumPy twin of the activations: a table row for each, y = f(x) and dx = dy * f'(x) told from y or x."""

from collections.abc import Callable

import numpy as np

from fastnn._typing import Array

# Forward: (x, *parameters). Backward: (dy, y or x, *parameters), as the registry says. A comparison with NaN is false,
# which is how NaN stays.
_Forward = Callable[..., Array]
_Backward = Callable[..., Array]


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x.astype(np.float64)))  # at most 1: nothing overflows
    return np.where(x < 0, e, 1.0) / (1.0 + e)


_TABLE: dict[str, tuple[_Forward, _Backward]] = {
    "identity": (
        lambda x: x,
        lambda dy, y: dy,
    ),
    "relu": (
        lambda x: np.maximum(x, 0) + 0.0,  # the sum makes +0 of -0
        lambda dy, y: np.where(y > 0, dy, np.where(y <= 0, 0, y)),
    ),
    "leaky_relu": (
        lambda x, slope: np.where(x > 0, x, slope * x),
        lambda dy, y, slope: np.where(y > 0, dy, np.where(y <= 0, slope * dy, y)),
    ),
    "sigmoid": (
        _sigmoid,
        lambda dy, y: dy * (y * (1 - y)),
    ),
    "tanh": (
        lambda x: np.tanh(x.astype(np.float64)),
        lambda dy, y: dy * (1 - y * y),
    ),
}

NAMES = tuple(_TABLE)


@np.errstate(all="ignore")
def activation(name: str, x: Array, out: Array, parameters: tuple[float, ...], threads: int) -> None:
    out[...] = _TABLE[name][0](x, *map(x.dtype.type, parameters))


@np.errstate(all="ignore")
def activation_backward(
    name: str, dy: Array, told_from: Array, out: Array, parameters: tuple[float, ...], threads: int
) -> None:
    out[...] = _TABLE[name][1](dy, told_from, *map(dy.dtype.type, parameters))


@np.errstate(all="ignore")
def prelu(x: Array, slope: Array, out: Array, threads: int) -> None:
    out[...] = np.where(x > 0, x, x * slope)


@np.errstate(all="ignore")
def prelu_backward(dy: Array, x: Array, slope: Array, out: Array, dslope: Array, threads: int) -> None:
    """Leave in `dslope`, as long as a row, the gradient by each slope, or by a shared one in its first entry."""
    by_column = np.where(x > 0, 0, dy.astype(np.float64) * x).sum(axis=0)
    out[...] = np.where(x > 0, dy, np.where(x <= 0, slope * dy, x))
    if len(slope) == 1:
        by_column = by_column.sum(keepdims=True)
    dslope[: len(slope)] = by_column
