"""NumPy twin of the parameter updates: every operation rounds in the arrays' dtype, in the order written here.

A slot that falls below the smallest normal number becomes +0, so that the slots of dead units do not linger as
denormals, which are slow on many processors.
"""

from collections.abc import Callable

import numpy as np

from fastnn._typing import Array


def _store(slot: Array, value: Array) -> None:
    slot[...] = np.where(np.abs(value) < np.finfo(value.dtype).tiny, 0, value)


def _sgd(w: Array, g: Array, slots: tuple[Array, ...], lr: np.floating) -> None:
    w -= lr * g


def _momentum(w: Array, g: Array, slots: tuple[Array, ...], lr: np.floating, mu: np.floating) -> None:
    (buf,) = slots
    _store(buf, mu * buf + g)
    w -= lr * buf


def _nesterov(w: Array, g: Array, slots: tuple[Array, ...], lr: np.floating, mu: np.floating) -> None:
    (buf,) = slots
    _store(buf, mu * buf + g)
    w -= lr * (g + mu * buf)


def _rmsprop(
    w: Array,
    g: Array,
    slots: tuple[Array, ...],
    lr: np.floating,
    alpha: np.floating,
    one_minus_alpha: np.floating,
    eps: np.floating,
) -> None:
    (v,) = slots
    _store(v, alpha * v + one_minus_alpha * (g * g))
    w -= (lr * g) / (np.sqrt(v) + eps)


def _adam(
    w: Array,
    g: Array,
    slots: tuple[Array, ...],
    step_size: np.floating,
    one_minus_beta1: np.floating,
    beta2: np.floating,
    one_minus_beta2: np.floating,
    eps: np.floating,
) -> None:
    m, v = slots
    _store(m, m + one_minus_beta1 * (g - m))
    _store(v, beta2 * v + one_minus_beta2 * (g * g))
    w -= (step_size * m) / (np.sqrt(v) + eps)


_TABLE: dict[str, Callable[..., None]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "rmsprop": _rmsprop,
    "adam": _adam,
}


@np.errstate(all="ignore")
def update(kind: str, w: Array, g: Array, slots: tuple[Array, ...], scalars: Array, threads: int) -> None:
    _TABLE[kind](w, g, slots, *scalars.astype(w.dtype))
