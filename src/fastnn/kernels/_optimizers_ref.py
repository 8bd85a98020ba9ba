"""NumPy twin of the parameter updates: every operation rounds in the arrays' dtype, in the order written here.

A slot below the smallest normal number becomes +0: the slots of dead units would otherwise decay through denormals,
which are slow on many processors.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np

from fastnn._typing import Array

Slots = tuple[Array, ...]
Scalars = Iterable[np.floating]  # rounded to the dtype

CHUNK = 512  # entries whose sum is added to the total at once


def _store(slot: Array, value: Array) -> None:
    slot[...] = np.where(np.abs(value) < np.finfo(value.dtype).tiny, 0, value)


# The bodies: w and the slots change in place; the scalars c are those of the registry's rows.


def _sgd(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (lr,) = c
    w -= lr * g


def _momentum(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (buf,), (lr, mu, rest) = slots, c
    _store(buf, mu * buf + rest * g)
    w -= lr * buf


def _nesterov(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (buf,), (lr, mu) = slots, c
    _store(buf, mu * buf + g)
    w -= lr * (g + mu * buf)


def _velocity(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (buf,), (lr, mu) = slots, c
    _store(buf, mu * buf - lr * g)
    w += buf


def _nesterov_velocity(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (buf,), (lr, mu) = slots, c
    _store(buf, mu * buf - lr * g)
    w += mu * buf - lr * g


def _adagrad(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (v,), (lr, eps) = slots, c
    _store(v, v + g * g)
    w -= (lr * g) / (np.sqrt(v) + eps)


def _adadelta(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (v, u), (lr, rho, rest, eps) = slots, c
    _store(v, rho * v + rest * (g * g))
    move = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    _store(u, rho * u + rest * (move * move))
    w -= lr * move


def _mean_square(v: Array, g: Array, alpha: np.floating, rest: np.floating) -> Array:
    _store(v, alpha * v + rest * (g * g))
    return v


def _variance(v: Array, mean: Array, g: Array, alpha: np.floating, rest: np.floating) -> Array:
    _mean_square(v, g, alpha, rest)
    _store(mean, mean + rest * (g - mean))
    return np.asarray(np.maximum(v - mean * mean, 0))  # rounding may make it negative


def _rmsprop(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (v,), (lr, alpha, rest, eps) = slots, c
    w -= (lr * g) / (np.sqrt(_mean_square(v, g, alpha, rest)) + eps)


def _rmsprop_momentum(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (v, buf), (lr, alpha, rest, eps, mu) = slots, c
    _store(buf, mu * buf + g / (np.sqrt(_mean_square(v, g, alpha, rest)) + eps))
    w -= lr * buf


def _rmsprop_centered(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (v, mean), (lr, alpha, rest, eps) = slots, c
    w -= (lr * g) / (np.sqrt(_variance(v, mean, g, alpha, rest)) + eps)


def _rmsprop_centered_momentum(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (v, mean, buf), (lr, alpha, rest, eps, mu) = slots, c
    _store(buf, mu * buf + g / (np.sqrt(_variance(v, mean, g, alpha, rest)) + eps))
    w -= lr * buf


def _moments(m: Array, v: Array, g: Array, rest1: np.floating, beta2: np.floating, rest2: np.floating) -> None:
    _store(m, m + rest1 * (g - m))
    _store(v, beta2 * v + rest2 * (g * g))


def _adam(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (m, v), (step_size, *betas, eps) = slots, c
    _moments(m, v, g, *betas)
    w -= (step_size * m) / (np.sqrt(v) + eps)


def _amsgrad(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (m, v, top), (step_size, *betas, eps) = slots, c
    _moments(m, v, g, *betas)
    np.maximum(top, v, out=top)
    w -= (step_size * m) / (np.sqrt(top) + eps)


def _nadam(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    (m, v), (gradient_rate, mean_rate, *betas, eps) = slots, c
    _moments(m, v, g, *betas)
    w -= (gradient_rate * g + mean_rate * m) / (np.sqrt(v) + eps)


_TABLE: dict[str, Callable[[Array, Array, Slots, Scalars], None]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "velocity": _velocity,
    "nesterov_velocity": _nesterov_velocity,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "rmsprop": _rmsprop,
    "rmsprop_momentum": _rmsprop_momentum,
    "rmsprop_centered": _rmsprop_centered,
    "rmsprop_centered_momentum": _rmsprop_centered_momentum,
    "adam": _adam,
    "amsgrad": _amsgrad,
    "nadam": _nadam,
}


@np.errstate(all="ignore")
def update(kind: str, w: Array, g: Array, slots: tuple[Array, ...], scalars: Array, threads: int) -> None:
    _TABLE[kind](w, g, slots, scalars.astype(w.dtype))


@np.errstate(all="ignore")
def regularize(w: Array, g: Array, l1: float, l2: float, out: Array, threads: int) -> None:
    one = w.dtype.type
    out[...] = g + (one(l2) * w + one(l1) * np.sign(w))


@np.errstate(all="ignore")
def clip(x: Array, limit: float, out: Array, threads: int) -> None:
    high = x.dtype.type(limit)
    out[...] = np.minimum(np.maximum(x, -high), high)


@np.errstate(all="ignore")
def scale(x: Array, factor: float, out: Array, threads: int) -> None:
    out[...] = x.dtype.type(factor) * x


@np.errstate(all="ignore")
def limit_norms(w: Array, limit: float, threads: int) -> None:
    if w.size:
        norm = np.sqrt(np.cumsum(w.astype(np.float64) ** 2, axis=0)[-1])
        w *= np.where(norm > limit, limit / norm, 1).astype(w.dtype)


@np.errstate(all="ignore")
def sums(x: Array, threads: int) -> tuple[float, float]:
    """Add every eighth entry of a chunk to one of 8 sums, add these by halves, and add the chunks in order."""
    padded = np.zeros(-(-len(x) // CHUNK) * CHUNK)
    padded[: len(x)] = x
    chunks = padded.reshape(-1, CHUNK // 8, 8)
    totals = []
    for terms in (np.abs(chunks), chunks * chunks):
        eight = np.zeros((len(chunks), 8))
        for row in range(CHUNK // 8):
            eight += terms[:, row]
        for half in (4, 2, 1):
            eight = eight[:, :half] + eight[:, half:]
        totals.append(float(sum(eight[:, 0], start=0.0)))
    return totals[0], totals[1]


def power(base: Array, exponent: Array) -> None:
    """Raise `base` to `exponent` in place, as Python does."""
    base[...] = np.frompyfunc(math.pow, 2, 1)(base, exponent)
