"""NumPy twin of the activations: a table with y = f(x) and dx = dy * f'(x) of each, f' computed from y or x."""

import math
from collections.abc import Callable

import numpy as np

from fastnn._typing import Array

# Forward: (x, *parameters). Backward: (dy, y or x, *parameters), as the registry says. Comparisons with NaN are false;
# the formulas are written so that NaN then stays NaN.
_Forward = Callable[..., Array]
_Backward = Callable[..., Array]

_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_LIMIT = 1.7580993408473768599402175208123  # _SELU_SCALE times 1.6732632423543772848170429916717
_GELU_LINEAR = 2 * math.sqrt(2 / math.pi)
_LARGE = 1000.0  # here e^-|x| is 0: used in place of infinity, as 0 times infinity would be NaN

_python_erfc = np.frompyfunc(math.erfc, 1, 1)


def _erfc(x: Array) -> Array:
    return np.asarray(_python_erfc(x), np.float64)


def _pass(where: Array, dy: Array, derivative_from: Array) -> Array:
    """Return dy where the condition holds and 0 elsewhere, but NaN where the derivative's argument is NaN."""
    return np.where(where, dy, np.where(np.isnan(derivative_from), derivative_from, 0))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x.astype(np.float64)))  # at most 1: nothing overflows
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _softplus(x: Array, beta: np.floating) -> Array:
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(beta * x.astype(np.float64)))) / beta
    return result


# x / (1 + e^-u). For u < 0 it is x e^u / (1 + e^u), with e^u as the square of e^(u / 2): x is multiplied by the root
# twice, which keeps full precision until the result itself is denormal.
def _gated(x: Array, u: Array) -> Array:
    root = np.exp(-np.abs(u) / 2)
    result: Array = np.where(u < 0, np.maximum(x, -_LARGE) * root * root, x) / (1 + root * root)
    return result


def _gated_derivative(u: Array, slope: Array) -> Array:
    """Return g + slope * g * (1 - g), where slope = x u'(x)."""
    e = np.exp(-np.abs(u))
    g, rest = np.where(u < 0, [e, np.ones_like(e)], [np.ones_like(e), e]) / (1 + e)
    result: Array = g * (1 + slope * rest)
    return result


def _silu(x: Array) -> Array:
    x = x.astype(np.float64)
    return _gated(x, x)


def _silu_backward(dy: Array, x: Array) -> Array:
    return dy * _gated_derivative(x.astype(np.float64), np.clip(x, -_LARGE, _LARGE))


def _gelu_tanh(x: Array) -> Array:
    x = x.astype(np.float64)
    return _gated(x, _GELU_LINEAR * x * (1 + 0.044715 * (x * x)))


def _gelu_tanh_backward(dy: Array, x: Array) -> Array:
    x = np.clip(x.astype(np.float64), -_LARGE, _LARGE)
    square = x * x
    u, slope = (_GELU_LINEAR * x * (1 + cubic * square) for cubic in (0.044715, 3 * 0.044715))
    return dy * _gated_derivative(u, slope)


def _gelu(x: Array) -> Array:
    x = np.maximum(x.astype(np.float64), -_LARGE)
    return x / 2 * _erfc(-x / math.sqrt(2))


def _gelu_backward(dy: Array, x: Array) -> Array:
    x = np.clip(x.astype(np.float64), -_LARGE, _LARGE)
    distribution = _erfc(-x / math.sqrt(2)) / 2
    result: Array = dy * (distribution + x * np.exp(-(x * x) / 2) / math.sqrt(2 * math.pi))
    return result


# tanh(log(1 + e^x)) = n / d with n = e^x (e^x + 2) and d = n + 2; for x > 0 both are divided by e^2x. With e = e^-|x|
# the quotient is e (1 - e (1 + e) / d) below 0, and 1 - 2 e^2 / d above.
def _mish_d(x: Array, e: Array) -> Array:
    result: Array = np.where(x < 0, e * (e + 2) + 2, 1 + 2 * e + 2 * e * e)
    return result


def _mish(x: Array) -> Array:
    x = x.astype(np.float64)
    root = np.exp(-np.abs(x) / 2)
    e = root * root
    part = 1 - e * np.where(x < 0, 1 + e, 2 * e) / _mish_d(x, e)
    return np.where(x < 0, np.maximum(x, -_LARGE) * root * root, x) * part


def _mish_backward(dy: Array, x: Array) -> Array:
    """Return dy * (n / d + 4 x e^x (1 + e^x) / d^2)."""
    x = np.clip(x.astype(np.float64), -_LARGE, _LARGE)
    e = np.exp(-np.abs(x))
    d = _mish_d(x, e)
    slope = 4 * x * (1 + e) / d
    result: Array = dy * np.where(x < 0, e * (e + 2 + slope), 1 + 2 * e + e * e * slope) / d
    return result


def _hard_tanh(x: Array, low: np.floating, high: np.floating) -> Array:
    return np.where(x < low, np.asarray(low), np.where(x > high, np.asarray(high), x))


def _threshold(x: Array, threshold: np.floating, value: np.floating) -> Array:
    return np.where(x <= threshold, np.asarray(value), x)


def _hard_sigmoid(x: Array) -> Array:
    result: Array = np.minimum(np.maximum(x + 3, 0), 6) / 6
    return result


def _hard_swish_backward(dy: Array, x: Array) -> Array:
    return np.where(x >= 3, dy, _pass(x > -3, dy * (x / 3 + 0.5), x))


def _softsign(x: Array) -> Array:
    x = np.copysign(np.minimum(np.abs(x), np.finfo(x.dtype).max), x)  # infinity would give NaN
    result: Array = x / (1 + np.abs(x))
    return result


def _softsign_backward(dy: Array, x: Array) -> Array:
    d = 1 / (1 + np.abs(x))
    return dy * d * d


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
    "relu6": (
        lambda x: np.where(x < 0, 0, np.where(x > 6, 6, x)),
        lambda dy, y: _pass((y > 0) & (y < 6), dy, y),
    ),
    "hard_tanh": (
        _hard_tanh,
        lambda dy, y, low, high: _pass((y > low) & (y < high), dy, y),
    ),
    "threshold": (
        _threshold,
        lambda dy, x, threshold, value: _pass(x > threshold, dy, x),
    ),
    "hard_sigmoid": (
        _hard_sigmoid,
        lambda dy, x: _pass((x > -3) & (x < 3), dy * (1 / 6), x),
    ),
    "hard_swish": (
        lambda x: np.maximum(x, -3) * _hard_sigmoid(x),
        _hard_swish_backward,
    ),
    "softsign": (
        _softsign,
        _softsign_backward,
    ),
    "elu": (
        lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(x.astype(np.float64))),
        lambda dy, y, alpha: np.where(y > 0, dy, dy * (y + alpha)),
    ),
    "selu": (
        lambda x: np.where(x >= 0, _SELU_SCALE * x.astype(np.float64), _SELU_LIMIT * np.expm1(x.astype(np.float64))),
        lambda dy, y: dy * np.where(y > 0, np.array(_SELU_SCALE, y.dtype), y + _SELU_LIMIT),
    ),
    "celu": (
        lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(x.astype(np.float64) / alpha)),
        lambda dy, y, alpha: np.where(y > 0, dy, dy * (y / alpha + 1)),
    ),
    "softplus": (
        _softplus,
        lambda dy, y, beta: -dy * np.expm1(-beta * y.astype(np.float64)),
    ),
    "silu": (_silu, _silu_backward),
    "mish": (_mish, _mish_backward),
    "gelu": (_gelu, _gelu_backward),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_backward),
}

NAMES = tuple(_TABLE)


@np.errstate(all="ignore")
def activation(name: str, x: Array, out: Array, parameters: tuple[float, ...], threads: int) -> None:
    out[...] = _TABLE[name][0](x, *map(x.dtype.type, parameters))


@np.errstate(all="ignore")
def activation_backward(
    name: str, dy: Array, derivative_from: Array, out: Array, parameters: tuple[float, ...], threads: int
) -> None:
    out[...] = _TABLE[name][1](dy, derivative_from, *map(dy.dtype.type, parameters))


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
