"""NumPy twin of softmax and the losses: computed in float64, each result rounded once.

Logits are (B, K). A loss is a weighted mean over the rows, and `grad` its gradient. For infinite logits both have the
values of their limits, and NaN where there is no limit.
"""

from collections.abc import Callable

import numpy as np

from fastnn._typing import Array


def _weighted(a: Array, b: Array) -> Array:
    """Return a * b, with a product of 0 where the weight a is 0, even for an infinite b."""
    product: Array = np.where((a == 0) & ~np.isnan(b), 0, a * b)
    return product


def _log_softmax(z: Array) -> Array:
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
    if x.size:
        out[...] = np.exp(_log_softmax(x.astype(np.float64)))


@np.errstate(all="ignore")
def softmax_backward(dy: Array, y: Array, out: Array, threads: int) -> None:
    wide = dy.astype(np.float64)
    if dy.size:
        out[...] = y * (wide - (wide * y).sum(axis=1, keepdims=True))


@np.errstate(all="ignore")
def log_softmax(x: Array, out: Array, threads: int) -> None:
    if x.size:
        out[...] = _log_softmax(x.astype(np.float64))


@np.errstate(all="ignore")
def log_softmax_backward(dy: Array, y: Array, out: Array, threads: int) -> None:
    wide = dy.astype(np.float64)
    if dy.size:
        out[...] = wide - np.exp(y.astype(np.float64)) * wide.sum(axis=1, keepdims=True)


# ---- the losses: each function returns the rows' losses, summed over the columns, and their derivatives in z ----

Rows = tuple[Array, Array]


def _smoothed(target: Array, parameters: Array) -> Array:
    """Return the smoothed, weighted target of cross entropy; `parameters` is empty or (smoothing, *class weights)."""
    if not parameters.size:
        return target
    smoothing, weight = parameters[0], parameters[1:]
    smoothed: Array = weight * ((1 - smoothing) * target + smoothing / len(weight))
    return smoothed


def _cross_entropy(z: Array, t: Array, parameters: Array) -> Rows:
    alone = (z == np.inf) & ((z == np.inf).sum(axis=1, keepdims=True) == 1)  # its probability is 1
    z = np.where(alone.any(axis=1, keepdims=True) & ~np.isnan(z), np.where(alone, 0, -np.inf), z)
    t, log_p = _smoothed(t, parameters), _log_softmax(z)
    losses = -_weighted(t, log_p).sum(axis=1)
    return losses, np.exp(log_p) * t.sum(axis=1, keepdims=True) - t


def _cross_entropy_labels(z: Array, labels: Array, parameters: Array) -> Rows:
    t = _smoothed(np.eye(z.shape[1])[labels], parameters)
    if parameters.size:
        t = t / parameters[1:][labels][:, None]  # the row's weight contains the class weight already
    return _cross_entropy(z, t, parameters[:0])


def _multi_margin(z: Array, labels: Array, parameters: Array) -> Rows:
    p, margin = parameters
    others = np.ones(z.shape, bool)
    others[np.arange(len(z)), labels] = False
    h = np.where(others, np.maximum(0, margin - z[~others][:, None] + z), 0)
    slopes = np.sign(h) if p == 1 else 2 * h
    return (h**p).sum(axis=1), np.where(others, slopes, -slopes.sum(axis=1, keepdims=True))


def _binary_cross_entropy(z: Array, t: Array, parameters: Array) -> Rows:
    terms, slopes = _binary_terms(z, t, parameters)
    return terms.sum(axis=1), slopes


def _binary_terms(z: Array, t: Array, parameters: Array) -> Rows:
    e = np.exp(-np.abs(z))  # at most 1: nothing overflows
    if not parameters.size:
        positive, slopes = t, np.where(z < 0, e, 1.0) / (1.0 + e) - t
    else:
        positive = parameters * t  # the weights of the positive class for each column
        slopes = (1 - t) - (1 - t + positive) * np.where(z < 0, 1.0, e) / (1.0 + e)
    terms = _weighted(positive, np.maximum(-z, 0) + np.log1p(e)) + _weighted(1 - t, np.maximum(z, 0) + np.log1p(e))
    return terms, slopes


def _clipped(losses: Array, parameters: Array) -> Array:
    """Clip losses to those of probabilities from eps to 1 - eps; `parameters` is (eps,)."""
    return np.clip(losses, -np.log1p(-parameters[0]), -np.log(parameters[0]))


def _log_loss_labels(z: Array, labels: Array, parameters: Array) -> Rows:
    losses, slopes = _cross_entropy_labels(z, labels, parameters[:0])
    return _clipped(losses, parameters), slopes


def _log_loss(z: Array, t: Array, parameters: Array) -> Rows:
    terms, slopes = _binary_terms(z, t, parameters[:0])
    return _clipped(terms, parameters).sum(axis=1), slopes


def _mean_squared_error(z: Array, t: Array, parameters: Array) -> Rows:
    return ((z - t) ** 2).sum(axis=1), 2 * (z - t)


def _mean_absolute_error(z: Array, t: Array, parameters: Array) -> Rows:
    return np.abs(z - t).sum(axis=1), np.sign(z - t)


def _huber(z: Array, t: Array, parameters: Array) -> Rows:
    d, delta = z - t, parameters[0]
    losses = np.where(np.abs(d) > delta, delta * (np.abs(d) - delta / 2), d * d / 2)
    return losses.sum(axis=1), np.clip(d, -delta, delta)


def _log_cosh(z: Array, t: Array, parameters: Array) -> Rows:
    a = np.abs(z - t)
    small = 2 * np.sinh(np.minimum(a, 1) / 2) ** 2  # cosh(a) - 1
    losses = np.where(a > 1, a + np.log1p(np.exp(-2 * a)) - np.log(2), np.log1p(small))
    return losses.sum(axis=1), np.tanh(z - t)


def _poisson(z: Array, t: Array, parameters: Array) -> Rows:
    log_input, constant, eps = parameters
    rate = np.exp(z) if log_input else z + eps
    if log_input:
        losses, slopes = rate - _weighted(t, z), rate - t
    else:
        losses, slopes = z - _weighted(t, np.log(rate)), 1 - np.where((t == 0) & (rate == 0), 0, t / rate)
    losses = np.where(rate == np.inf, np.inf, losses)  # the rate grows faster than the other term
    t_log_t = t * np.log(np.where(t > 0, t, 1))
    if constant == 1:
        losses = losses + np.where(t > 1, t_log_t - t + np.log(2 * np.pi * np.where(t > 1, t, 1)) / 2, 0 * t)
    if constant == 2:
        losses = losses + t_log_t - t
    return losses.sum(axis=1), slopes


def _quantile(z: Array, t: Array, parameters: Array) -> Rows:
    n, q = len(z), parameters[1:]
    d = t[:, :, None] - z.reshape(n, -1, len(q))  # output j * len(q) + k is quantile k of target j
    losses = np.maximum(q * d, (q - 1) * d)
    slopes = np.where(d > 0, -q, np.where(d < 0, 1 - q, d))
    return losses.sum(axis=(1, 2)), slopes.reshape(n, -1)


def _hinge(z: Array, t: Array, parameters: Array) -> Rows:
    h = np.maximum(0, 1 - t * z)
    return h.sum(axis=1), -t * np.sign(h)


def _squared_hinge(z: Array, t: Array, parameters: Array) -> Rows:
    h = np.maximum(0, 1 - t * z)
    return (h * h).sum(axis=1), -2 * t * h


_TABLE: dict[str, Callable[[Array, Array, Array], Rows]] = {
    "cross_entropy_labels": _cross_entropy_labels,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "log_loss_labels": _log_loss_labels,
    "log_loss": _log_loss,
    "mean_squared_error": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
    "huber": _huber,
    "log_cosh": _log_cosh,
    "poisson": _poisson,
    "quantile": _quantile,
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
    "multi_margin": _multi_margin,
}


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
    if kind.startswith("log_loss"):
        parameters = np.array([np.finfo(logits.dtype).eps])
    z, t = logits.astype(np.float64), target if target.ndim == 1 else target.astype(np.float64)
    losses, slopes = _TABLE[kind](z, t, parameters)
    return value * _mean(losses, slope * slopes, weight, grad)
