"""NumPy twin of the dense layer: x is (B, I), w is (I, O), b is (O,), dy is (B, O)."""

import numpy as np

from fastnn._typing import Array
from fastnn.kernels import _activations_ref


@np.errstate(all="ignore")
def dense(
    x: Array, w: Array, b: Array | None, out: Array, activation: str, parameters: tuple[float, ...], threads: int
) -> None:
    """Compute activation(x @ w + b)."""
    np.matmul(x, w, out=out)
    if b is not None:
        out += b
    _activations_ref.activation(activation, out, out, parameters, threads)


@np.errstate(all="ignore")
def dense_grad_input(dy: Array, w: Array, out: Array, threads: int) -> None:
    """Compute dy @ w.T."""
    np.matmul(dy, w.T, out=out)


@np.errstate(all="ignore")
def dense_grad_weight(x: Array, dy: Array, out: Array, threads: int) -> None:
    """Compute x.T @ dy."""
    np.matmul(x.T, dy, out=out)


@np.errstate(all="ignore")
def dense_grad_bias(dy: Array, out: Array, threads: int) -> None:
    """Compute the sums of dy over the rows."""
    out[...] = dy.sum(axis=0, dtype=np.float64)
