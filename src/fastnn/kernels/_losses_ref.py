"""NumPy twin of softmax and the losses: float64 inside, each result rounded once.

Logits are (B, K). A loss is a weighted mean over the rows, and `grad` its gradient.
"""

import numpy as np

from fastnn._typing import Array


def _log_softmax(z: Array) -> Array:
    z = z - z.max(axis=1, keepdims=True)  # the largest exponential is 1: nothing overflows
    z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
    return z


def _scale(rows: int, weight: Array | None) -> Array:
    """Each row's share of the loss; all 0 if the weights are."""
    weight = np.ones(rows) if weight is None else weight
    total = weight.sum()
    return np.zeros(rows) if total == 0 else weight / total


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
    scale = _scale(len(logits), weight)
    if grad is not None:
        grad[...] = scale[:, None] * (np.exp(log_p) * target.sum(axis=1, keepdims=True) - target)
    losses = -np.where(target == 0, 0, target * log_p).sum(axis=1)
    return float(scale @ losses)


@np.errstate(all="ignore")
def binary_cross_entropy(logits: Array, target: Array, weight: Array | None, grad: Array | None) -> float:
    z, t = logits.astype(np.float64), target.astype(np.float64)
    e = np.exp(-np.abs(z))  # at most 1: nothing overflows
    scale = _scale(len(z), weight) / z.shape[1]
    if grad is not None:
        grad[...] = scale[:, None] * (np.where(z < 0, e, 1.0) / (1.0 + e) - t)
    return float(scale @ (np.maximum(z, 0) - z * t + np.log1p(e)).sum(axis=1))


@np.errstate(all="ignore")
def mean_squared_error(logits: Array, target: Array, weight: Array | None, grad: Array | None) -> float:
    difference = logits.astype(np.float64) - target
    scale = _scale(len(difference), weight) / difference.shape[1]
    if grad is not None:
        grad[...] = scale[:, None] * (2 * difference)
    return float(scale @ (difference * difference).sum(axis=1))
