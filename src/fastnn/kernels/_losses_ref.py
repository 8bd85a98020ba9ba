"""NumPy twin of softmax and the losses: float64 inside, each result rounded once.

Logits are (B, K). A loss is a weighted mean over the rows, and `grad` its gradient.
"""

import numpy as np

from fastnn._typing import Array


def _log_softmax(z: Array) -> Array:
    z = z - z.max(axis=1, keepdims=True)  # the largest exponential is 1: nothing overflows
    z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
    return z


def _mean(losses: Array, slopes: Array, weight: Array | None, grad: Array | None) -> float:
    """Average the rows' losses by weight, and write their derivatives."""
    weight = np.ones(len(losses)) if weight is None else weight
    total = weight.sum()
    counted = weight > 0  # a row of no weight is no part of the batch, whatever it holds
    share = np.divide(weight, total, out=np.zeros(len(weight)), where=counted)
    if grad is not None:
        grad[...] = np.where(counted[:, None], share[:, None] * slopes, 0)
    return float(share[counted] @ losses[counted])


@np.errstate(all="ignore")
def softmax(x: Array, out: Array, threads: int) -> None:
    if x.size:
        out[...] = np.exp(_log_softmax(x.astype(np.float64)))


@np.errstate(all="ignore")
def cross_entropy(logits: Array, target: Array, weight: Array | None, grad: Array | None) -> float:
    log_p = _log_softmax(logits.astype(np.float64))
    if target.ndim == 1:
        labels, target = target, np.zeros(logits.shape)
        target[np.arange(len(labels)), labels] = 1
    losses = -np.where(target == 0, 0, target * log_p).sum(axis=1)
    slopes = np.exp(log_p) * target.sum(axis=1, keepdims=True, dtype=np.float64) - target
    return _mean(losses, slopes, weight, grad)


@np.errstate(all="ignore")
def binary_cross_entropy(logits: Array, target: Array, weight: Array | None, grad: Array | None) -> float:
    z, t = logits.astype(np.float64), target.astype(np.float64)
    e = np.exp(-np.abs(z))  # at most 1: nothing overflows
    losses = np.maximum(z, 0) - z * t + np.log1p(e)
    slopes = np.where(z < 0, e, 1.0) / (1.0 + e) - t
    return _mean(losses.mean(axis=1), slopes / z.shape[1], weight, grad)


@np.errstate(all="ignore")
def mean_squared_error(logits: Array, target: Array, weight: Array | None, grad: Array | None) -> float:
    difference = logits.astype(np.float64) - target
    return _mean((difference * difference).mean(axis=1), 2 * difference / difference.shape[1], weight, grad)
