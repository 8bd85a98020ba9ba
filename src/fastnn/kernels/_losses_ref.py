"""NumPy twin of softmax and the losses: computed in float64, each result rounded once.

`fastnn.kernels.huber` runs `huber` of this module on the reference backend, and `loss` averages what it returns.

Logits are (B, K). A loss is a weighted mean over the rows, and `grad` its gradient. For infinite logits both have the
values of their limits, and NaN where there is no limit.
"""

from collections.abc import Callable

import numpy as np

from fastnn._losses import LOSSES
from fastnn._typing import Array


def _weighted(a: Array, b: Array) -> Array:
    """Return a * b, with a product of 0 where the weight a is 0, even for an infinite b."""
    product: Array = np.where((a == 0) & ~np.isnan(b), 0, a * b)
    return product


def _log_softmax(z: Array) -> Array:
    """Return z - log(sum(exp(z))) of each row."""
    z = z - z.max(axis=1, keepdims=True)  # the largest exponential is 1: nothing overflows
    z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
    return z


def _mean(losses: Array, slopes: Array, weight: Array | None, grad: Array | None) -> float:
    """Return the weighted mean of the rows' losses, and write its derivatives."""
    weight = np.ones(len(losses)) if weight is None else weight
    total = weight.sum()
    counted = (weight != 0) & (total > 0)  # rows of weight 0 are ignored, even if they contain NaN
    share = np.divide(weight, total, out=np.zeros(len(weight)), where=counted)
    if grad is not None:
        grad[...] = np.where(counted[:, None], share[:, None] * slopes, 0)
    return float(share[counted] @ losses[counted])


@np.errstate(all="ignore")
def softmax(x: Array, out: Array, threads: int) -> None:
    """Compute exp(x) / sum(exp(x)) of each row."""
    if x.size:
        out[...] = np.exp(_log_softmax(x.astype(np.float64)))


@np.errstate(all="ignore")
def softmax_backward(dy: Array, y: Array, out: Array, threads: int) -> None:
    """Compute y * (dy - sum(dy * y)) of each row."""
    wide = dy.astype(np.float64)
    if dy.size:
        out[...] = y * (wide - (wide * y).sum(axis=1, keepdims=True))


@np.errstate(all="ignore")
def log_softmax(x: Array, out: Array, threads: int) -> None:
    """Compute x - log(sum(exp(x))) of each row."""
    if x.size:
        out[...] = _log_softmax(x.astype(np.float64))


@np.errstate(all="ignore")
def log_softmax_backward(dy: Array, y: Array, out: Array, threads: int) -> None:
    """Compute dy - exp(y) * sum(dy) of each row."""
    wide = dy.astype(np.float64)
    if dy.size:
        out[...] = wide - np.exp(y.astype(np.float64)) * wide.sum(axis=1, keepdims=True)


# ---- the losses ----
#
# Each takes outputs, target and parameters, and returns the terms of each row and their derivatives in z. The terms are
# (B, K) or, where they are added up already, (B, 1).

Terms = tuple[Array, Array]


def cross_entropy(z: Array, t: Array, smoothing: float = 0, *weight: float) -> Terms:
    """Return -u * log(softmax(z)) and softmax(z) * sum(u) - u, where u is the target, smoothed and weighted."""
    u = _smoothed(t, smoothing, weight)
    alone = (z == np.inf) & ((z == np.inf).sum(axis=1, keepdims=True) == 1)  # its probability is 1
    z = np.where(alone.any(axis=1, keepdims=True) & ~np.isnan(z), np.where(alone, 0, -np.inf), z)
    log_p = _log_softmax(z)
    return -_weighted(u, log_p), np.exp(log_p) * u.sum(axis=1, keepdims=True) - u


def _smoothed(t: Array, smoothing: float, weight: tuple[float, ...]) -> Array:
    """Return the smoothed target times the weights of the classes."""
    return np.array(weight) * ((1 - smoothing) * t + smoothing / len(weight)) if weight else t


def cross_entropy_labels(z: Array, labels: Array, smoothing: float = 0, *weight: float) -> Terms:
    """Return `cross_entropy` for the rows of probabilities with a 1 at each label."""
    u = _smoothed(np.eye(z.shape[1])[labels], smoothing, weight)
    if weight:
        u = u / np.array(weight)[labels][:, None]  # the row's weight contains the class weight already
    return cross_entropy(z, u)


def multi_margin(z: Array, labels: Array, p: float, margin: float) -> Terms:
    """Return max(0, margin - z[y] + z[i])**p for i != y, and the derivatives, where y is the row's label."""
    others = np.ones(z.shape, bool)
    others[np.arange(len(z)), labels] = False
    h = np.where(others, np.maximum(0, margin - z[~others][:, None] + z), 0)
    slopes = np.sign(h) if p == 1 else 2 * h
    return h**p, np.where(others, slopes, -slopes.sum(axis=1, keepdims=True))


def binary_cross_entropy(z: Array, t: Array, *pos_weight: float) -> Terms:
    """Return pos_weight * t * log1p(exp(-z)) + (1 - t) * log1p(exp(z)), and the derivative.

    Without a weight the derivative is sigmoid(z) - t.
    """
    e = np.exp(-np.abs(z))  # at most 1: nothing overflows
    positive, slopes = t, np.where(z < 0, e, 1.0) / (1.0 + e) - t
    if pos_weight:
        positive = np.array(pos_weight) * t
        slopes = (1 - t) - (1 - t + positive) * np.where(z < 0, 1.0, e) / (1.0 + e)
    terms = _weighted(positive, np.maximum(-z, 0) + np.log1p(e)) + _weighted(1 - t, np.maximum(z, 0) + np.log1p(e))
    return terms, slopes


def _clipped(terms: Array, eps: float) -> Array:
    """Clip log losses to those of probabilities from eps to 1 - eps."""
    return np.clip(terms, -np.log1p(-eps), -np.log(eps))


def log_loss_labels(z: Array, labels: Array, eps: float) -> Terms:
    """Return `cross_entropy_labels`, summed over the row and clipped; the derivative is not clipped."""
    terms, slopes = cross_entropy_labels(z, labels)
    return _clipped(terms.sum(axis=1, keepdims=True), eps), slopes


def log_loss(z: Array, t: Array, eps: float) -> Terms:
    """Return `binary_cross_entropy`, clipped; the derivative is not clipped."""
    terms, slopes = binary_cross_entropy(z, t)
    return _clipped(terms, eps), slopes


def mean_squared_error(z: Array, t: Array) -> Terms:
    """Return (z - t)**2 and 2 * (z - t)."""
    return (z - t) ** 2, 2 * (z - t)


def mean_absolute_error(z: Array, t: Array) -> Terms:
    """Return |z - t| and sign(z - t)."""
    return np.abs(z - t), np.sign(z - t)


def huber(z: Array, t: Array, delta: float) -> Terms:
    """Return d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), and clip(d, -delta, delta); d = z - t."""
    d = z - t
    return np.where(np.abs(d) > delta, delta * (np.abs(d) - delta / 2), d * d / 2), np.clip(d, -delta, delta)


def log_cosh(z: Array, t: Array) -> Terms:
    """Return log(cosh(z - t)) and tanh(z - t)."""
    a = np.abs(z - t)
    small = 2 * np.sinh(np.minimum(a, 1) / 2) ** 2  # cosh(a) - 1
    return np.where(a > 1, a + np.log1p(np.exp(-2 * a)) - np.log(2), np.log1p(small)), np.tanh(z - t)


def poisson(z: Array, t: Array, log_input: float, constant: float, eps: float) -> Terms:
    """Return exp(z) - t * z and exp(z) - t, or z - t * log(z + eps) and 1 - t / (z + eps), plus the constant chosen."""
    if log_input:
        rate = np.exp(z)
        terms, slopes = rate - _weighted(t, z), rate - t
    else:
        rate = z + eps
        terms, slopes = z - _weighted(t, np.log(rate)), 1 - np.where((t == 0) & (rate == 0), 0, t / rate)
    terms = np.where(rate == np.inf, np.inf, terms)  # the rate grows faster than the other term
    t_log_t = t * np.log(np.where(t > 0, t, 1))
    if constant == 1:
        terms = terms + np.where(t > 1, t_log_t - t + np.log(2 * np.pi * np.where(t > 1, t, 1)) / 2, 0 * t)
    if constant == 2:
        terms = terms + t_log_t - t
    return terms, slopes


def quantile(z: Array, t: Array, n: float, *quantiles: float) -> Terms:
    """Return max(q * (t - z), (q - 1) * (t - z)), and -q where z < t, 1 - q where z > t."""
    q = np.array(quantiles)
    d = t[:, :, None] - z.reshape(len(z), -1, len(q))  # output j * len(q) + k is quantile k of target j
    terms, slopes = np.maximum(q * d, (q - 1) * d), np.where(d > 0, -q, np.where(d < 0, 1 - q, d))
    return terms.reshape(z.shape), slopes.reshape(z.shape)


def hinge(z: Array, t: Array) -> Terms:
    """Return max(0, 1 - t * z), and -t where that is above 0."""
    h = np.maximum(0, 1 - t * z)
    return h, -t * np.sign(h)


def squared_hinge(z: Array, t: Array) -> Terms:
    """Return max(0, 1 - t * z)**2 and -2 * t * max(0, 1 - t * z)."""
    h = np.maximum(0, 1 - t * z)
    return h * h, -2 * t * h


FORMULAS: dict[str, Callable[..., Terms]] = {
    kind: globals()[kind] for row in LOSSES.values() for kind in row.kinds.values()
}
"""The functions above: one for each loss and kind of target in the registry."""


@np.errstate(all="ignore")
def loss(
    kind: str,
    logits: Array,
    target: Array,
    weight: Array | None,
    parameters: Array,
    value: float,
    slope: float,
    grad: Array | None,
) -> float:
    """Compute value * the weighted mean of the terms that the function `kind` returns, and slope * its gradient."""
    if kind.startswith("log_loss"):
        parameters = np.array([np.finfo(logits.dtype).eps])
    z, t = logits.astype(np.float64), target if target.ndim == 1 else target.astype(np.float64)
    terms, slopes = FORMULAS[kind](z, t, *parameters)
    return value * _mean(terms.sum(axis=1), slope * slopes, weight, grad)
