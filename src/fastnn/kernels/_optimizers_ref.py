"""NumPy twin of the parameter updates: every operation rounds in the arrays' dtype, in the order written here.

A slot below the smallest normal number becomes +0: the slots of dead units would otherwise decay through denormals,
which are slow on many processors.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fastnn._typing import Array
from fastnn._updates import UPDATES

Slots = tuple[Array, ...]
Scalars = Iterable[np.floating]  # rounded to the dtype

CHUNK = 512  # entries whose sum is added to the total at once


def _store(slot: Array, value: Array) -> None:
    """Keep a value in a slot, +0 where it is below the smallest normal number."""
    slot[...] = np.where(np.abs(value) < np.finfo(value.dtype).tiny, 0, value)


# The updates: w and the slots change in place. The scalars c of a step are those of the registry's rows, computed by
# `fastnn.kernels.adam_scalars` and its like.


def sgd(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """w -= lr * g."""
    (lr,) = c
    w -= lr * g


def momentum(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """buf = mu * buf + rest * g, w -= lr * buf; rest is 1 - dampening."""
    (buf,), (lr, mu, rest) = slots, c
    _store(buf, mu * buf + rest * g)
    w -= lr * buf


def nesterov(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """buf = mu * buf + g, w -= lr * (g + mu * buf)."""
    (buf,), (lr, mu) = slots, c
    _store(buf, mu * buf + g)
    w -= lr * (g + mu * buf)


def velocity(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """buf = mu * buf - lr * g, w += buf."""
    (buf,), (lr, mu) = slots, c
    _store(buf, mu * buf - lr * g)
    w += buf


def nesterov_velocity(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """buf = mu * buf - lr * g, w += mu * buf - lr * g."""
    (buf,), (lr, mu) = slots, c
    _store(buf, mu * buf - lr * g)
    w += mu * buf - lr * g


def adagrad(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """v = v + g**2, w -= lr * g / (sqrt(v) + eps)."""
    (v,), (lr, eps) = slots, c
    _store(v, v + g * g)
    w -= (lr * g) / (np.sqrt(v) + eps)


def adadelta(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """v is the mean of g**2, u that of move**2; move = sqrt(u + eps) / sqrt(v + eps) * g, w -= lr * move."""
    (v, u), (lr, rho, rest, eps) = slots, c
    _store(v, rho * v + rest * (g * g))
    move = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    _store(u, rho * u + rest * (move * move))
    w -= lr * move


def rmsprop(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """v = alpha * v + rest * g**2, w -= lr * g / (sqrt(v) + eps); rest is 1 - alpha."""
    (v,), (lr, alpha, rest, eps) = slots, c
    _store(v, alpha * v + rest * (g * g))
    w -= (lr * g) / (np.sqrt(v) + eps)


def rmsprop_momentum(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """v = alpha * v + rest * g**2, buf = mu * buf + g / (sqrt(v) + eps), w -= lr * buf; rest is 1 - alpha."""
    (v, buf), (lr, alpha, rest, eps, mu) = slots, c
    _store(v, alpha * v + rest * (g * g))
    _store(buf, mu * buf + g / (np.sqrt(v) + eps))
    w -= lr * buf


def _variance(v: Array, mean: Array) -> Array:
    """Return v - mean**2, which rounding may make negative, but at least 0."""
    return np.asarray(np.maximum(v - mean * mean, 0))


def rmsprop_centered(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """v = alpha * v + rest * g**2, mean = mean + rest * (g - mean), w -= lr * g / (sqrt(v - mean**2) + eps)."""
    (v, mean), (lr, alpha, rest, eps) = slots, c
    _store(v, alpha * v + rest * (g * g))
    _store(mean, mean + rest * (g - mean))
    w -= (lr * g) / (np.sqrt(_variance(v, mean)) + eps)


def rmsprop_centered_momentum(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """v and mean as in `rmsprop_centered`, buf = mu * buf + g / (sqrt(v - mean**2) + eps), w -= lr * buf."""
    (v, mean, buf), (lr, alpha, rest, eps, mu) = slots, c
    _store(v, alpha * v + rest * (g * g))
    _store(mean, mean + rest * (g - mean))
    _store(buf, mu * buf + g / (np.sqrt(_variance(v, mean)) + eps))
    w -= lr * buf


def adam(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """m = m + rest1 * (g - m), v = beta2 * v + rest2 * g**2, w -= step_size * m / (sqrt(v) + eps).

    rest1 is 1 - beta1, rest2 is 1 - beta2. The corrections of the bias of m and v are in `step_size` and `eps`, which
    `adam_scalars` computes for each step.
    """
    (m, v), (step_size, rest1, beta2, rest2, eps) = slots, c
    _store(m, m + rest1 * (g - m))
    _store(v, beta2 * v + rest2 * (g * g))
    w -= (step_size * m) / (np.sqrt(v) + eps)


def amsgrad(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """m and v as in `adam`, top = max(top, v), w -= step_size * m / (sqrt(top) + eps)."""
    (m, v, top), (step_size, rest1, beta2, rest2, eps) = slots, c
    _store(m, m + rest1 * (g - m))
    _store(v, beta2 * v + rest2 * (g * g))
    np.maximum(top, v, out=top)
    w -= (step_size * m) / (np.sqrt(top) + eps)


def nadam(w: Array, g: Array, slots: Slots, c: Scalars) -> None:
    """m and v as in `adam`, w -= (gradient_rate * g + mean_rate * m) / (sqrt(v) + eps).

    `nadam_scalars` computes the two rates and `eps` for each step.
    """
    (m, v), (gradient_rate, mean_rate, rest1, beta2, rest2, eps) = slots, c
    _store(m, m + rest1 * (g - m))
    _store(v, beta2 * v + rest2 * (g * g))
    w -= (gradient_rate * g + mean_rate * m) / (np.sqrt(v) + eps)


FORMULAS: dict[str, Callable[[Array, Array, Slots, Scalars], None]] = {name: globals()[name] for name in UPDATES}
"""The functions above: one for each row of the registry."""


@np.errstate(all="ignore")
def update(
    kind: str, w: Array, g: Array, slots: tuple[Array, ...], scalars: Sequence[float] | Array, threads: int
) -> None:
    """Update w and the slots by the function `kind`."""
    FORMULAS[kind](w, g, slots, np.asarray(scalars, w.dtype))


@np.errstate(all="ignore")
def regularize(w: Array, g: Array, l1: float, l2: float, out: Array, threads: int) -> None:
    """Compute g + (l2 * w + l1 * sign(w))."""
    one = w.dtype.type
    out[...] = g + (one(l2) * w + one(l1) * np.sign(w))


@np.errstate(all="ignore")
def clip(x: Array, limit: float, out: Array, threads: int) -> None:
    """Compute min(max(x, -limit), limit)."""
    high = x.dtype.type(limit)
    out[...] = np.minimum(np.maximum(x, -high), high)


@np.errstate(all="ignore")
def scale(x: Array, factor: float, out: Array, threads: int) -> None:
    """Compute factor * x."""
    out[...] = x.dtype.type(factor) * x


@np.errstate(all="ignore")
def lerp(a: Array, b: Array, weight: float, out: Array, threads: int) -> None:
    """Compute a + weight * (b - a); for weights of 0.5 and more in a form that gives b for 1."""
    share = a.dtype.type(weight)
    out[...] = a + share * (b - a) if abs(share) < 0.5 else b - (b - a) * (1 - share)


@np.errstate(all="ignore")
def limit_norms(w: Array, limit: float, threads: int) -> None:
    """Multiply each column whose norm is above the limit by limit / norm."""
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
