"""NumPy twin of the activations: for each, y = f(x), and dx = dy * f'(x) computed from y or x.

`fastnn.kernels.sigmoid` runs `sigmoid` of this module on the reference backend, `fastnn.kernels.sigmoid_backward` runs
`sigmoid_backward`: what they return is then rounded to the dtype of the result, without warnings of overflow.
"""

import math
from collections.abc import Callable

import numpy as np

from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array

# Forward: (x, *parameters). Backward: (dy, y or x, *parameters), as the registry says. Comparisons with NaN are false;
# the formulas are written so that NaN then stays NaN.

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


# ---- piecewise linear ----


def identity(x: Array) -> Array:
    """Return x."""
    return x


def identity_backward(dy: Array, y: Array) -> Array:
    """Return dy."""
    return dy


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    result: Array = np.maximum(x, 0) + 0.0  # the sum makes +0 of -0
    return result


def relu_backward(dy: Array, y: Array) -> Array:
    """Return dy where y > 0, else 0."""
    return np.where(y > 0, dy, np.where(y <= 0, 0, y))


def leaky_relu(x: Array, slope: np.floating) -> Array:
    """Return x where x > 0, else slope * x."""
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(dy: Array, y: Array, slope: np.floating) -> Array:
    """Return dy where y > 0, else slope * dy."""
    return np.where(y > 0, dy, np.where(y <= 0, slope * dy, y))


def relu6(x: Array) -> Array:
    """Return min(max(x, 0), 6)."""
    return np.where(x < 0, 0, np.where(x > 6, 6, x))


def relu6_backward(dy: Array, y: Array) -> Array:
    """Return dy where 0 < y < 6, else 0."""
    return _pass((y > 0) & (y < 6), dy, y)


def hard_tanh(x: Array, low: np.floating, high: np.floating) -> Array:
    """Return min(max(x, low), high)."""
    return np.where(x < low, np.asarray(low), np.where(x > high, np.asarray(high), x))


def hard_tanh_backward(dy: Array, y: Array, low: np.floating, high: np.floating) -> Array:
    """Return dy where low < y < high, else 0."""
    return _pass((y > low) & (y < high), dy, y)


def threshold(x: Array, threshold: np.floating, value: np.floating) -> Array:
    """Return x where x > threshold, else value."""
    return np.where(x <= threshold, np.asarray(value), x)


def threshold_backward(dy: Array, x: Array, threshold: np.floating, value: np.floating) -> Array:
    """Return dy where x > threshold, else 0."""
    return _pass(x > threshold, dy, x)


def hard_sigmoid(x: Array) -> Array:
    """Return min(max(x + 3, 0), 6) / 6."""
    result: Array = np.minimum(np.maximum(x + 3, 0), 6) / 6
    return result


def hard_sigmoid_backward(dy: Array, x: Array) -> Array:
    """Return dy / 6 where -3 < x < 3, else 0."""
    return _pass((x > -3) & (x < 3), dy * (1 / 6), x)


# ---- rational ----


def hard_swish(x: Array) -> Array:
    """Return x * min(max(x + 3, 0), 6) / 6."""
    result: Array = np.maximum(x, -3) * hard_sigmoid(x)
    return result


def hard_swish_backward(dy: Array, x: Array) -> Array:
    """Return dy where x >= 3, dy * (x / 3 + 1 / 2) where -3 < x < 3, else 0."""
    return np.where(x >= 3, dy, _pass(x > -3, dy * (x / 3 + 0.5), x))


def softsign(x: Array) -> Array:
    """Return x / (1 + |x|)."""
    x = np.copysign(np.minimum(np.abs(x), np.finfo(x.dtype).max), x)  # infinity would give NaN
    result: Array = x / (1 + np.abs(x))
    return result


def softsign_backward(dy: Array, x: Array) -> Array:
    """Return dy / (1 + |x|)^2."""
    d = 1 / (1 + np.abs(x))
    return dy * d * d


# ---- exponentials ----


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)): with e = exp(-|x|), 1 / (1 + e) where x >= 0 and e / (1 + e) elsewhere."""
    e = np.exp(-np.abs(x.astype(np.float64)))  # at most 1: nothing overflows
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """Return dy * y * (1 - y)."""
    derivative: Array = y * (1 - y)
    return dy * derivative


def tanh(x: Array) -> Array:
    """Return tanh(x)."""
    result: Array = np.tanh(x.astype(np.float64))
    return result


def tanh_backward(dy: Array, y: Array) -> Array:
    """Return dy * (1 - y * y)."""
    derivative: Array = 1 - y * y
    return dy * derivative


def elu(x: Array, alpha: np.floating) -> Array:
    """Return x where x > 0, else alpha * (exp(x) - 1)."""
    return np.where(x >= 0, x, alpha * np.expm1(x.astype(np.float64)))


def elu_backward(dy: Array, y: Array, alpha: np.floating) -> Array:
    """Return dy where y > 0, else dy * (y + alpha)."""
    return np.where(y > 0, dy, dy * (y + alpha))


def selu(x: Array) -> Array:
    """Return 1.0507 x where x > 0, else 1.7581 (exp(x) - 1)."""
    x64 = x.astype(np.float64)
    return np.where(x >= 0, _SELU_SCALE * x64, _SELU_LIMIT * np.expm1(x64))


def selu_backward(dy: Array, y: Array) -> Array:
    """Return dy * 1.0507 where y > 0, else dy * (y + 1.7581)."""
    return dy * np.where(y > 0, np.array(_SELU_SCALE, y.dtype), y + _SELU_LIMIT)


def celu(x: Array, alpha: np.floating) -> Array:
    """Return x where x > 0, else alpha * (exp(x / alpha) - 1)."""
    return np.where(x >= 0, x, alpha * np.expm1(x.astype(np.float64) / alpha))


def celu_backward(dy: Array, y: Array, alpha: np.floating) -> Array:
    """Return dy where y > 0, else dy * (y / alpha + 1)."""
    return np.where(y > 0, dy, dy * (y / alpha + 1))


def softplus(x: Array, beta: np.floating) -> Array:
    """Return log(1 + exp(beta * x)) / beta, as max(x, 0) + log(1 + exp(-|beta * x|)) / beta: nothing overflows."""
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(beta * x.astype(np.float64)))) / beta
    return result


def softplus_backward(dy: Array, y: Array, beta: np.floating) -> Array:
    """Return dy * (1 - exp(-beta * y))."""
    return -dy * np.expm1(-beta * y.astype(np.float64))


# ---- gated: x times a sigmoid or a distribution function ----


# For u < 0 the quotient is x e^u / (1 + e^u), with e^u as the square of e^(u / 2): x is multiplied by the root twice,
# which keeps full precision until the result itself is denormal.
def _gated(x: Array, u: Array) -> Array:
    """Return x * sigmoid(u) = x / (1 + exp(-u))."""
    root = np.exp(-np.abs(u) / 2)
    result: Array = np.where(u < 0, np.maximum(x, -_LARGE) * root * root, x) / (1 + root * root)
    return result


def _gated_derivative(u: Array, slope: Array) -> Array:
    """Return g + slope * g * (1 - g), where g = sigmoid(u) and slope = x u'(x)."""
    e = np.exp(-np.abs(u))
    g, rest = np.where(u < 0, [e, np.ones_like(e)], [np.ones_like(e), e]) / (1 + e)
    result: Array = g * (1 + slope * rest)
    return result


def silu(x: Array) -> Array:
    """Return x * sigmoid(x) = x / (1 + exp(-x))."""
    x = x.astype(np.float64)
    return _gated(x, x)


def silu_backward(dy: Array, x: Array) -> Array:
    """Return dy * (g + x * g * (1 - g)), where g = sigmoid(x)."""
    return dy * _gated_derivative(x.astype(np.float64), np.clip(x, -_LARGE, _LARGE))


def gelu_tanh(x: Array) -> Array:
    """Return x * sigmoid(u), where u = 2 sqrt(2 / pi) (x + 0.044715 x^3)."""
    x = x.astype(np.float64)
    return _gated(x, _GELU_LINEAR * x * (1 + 0.044715 * (x * x)))


def gelu_tanh_backward(dy: Array, x: Array) -> Array:
    """Return dy * (g + x u' * g * (1 - g)), where g = sigmoid(u) and u' = 2 sqrt(2 / pi) (1 + 3 * 0.044715 x^2)."""
    x = np.clip(x.astype(np.float64), -_LARGE, _LARGE)
    square = x * x
    u, slope = (_GELU_LINEAR * x * (1 + cubic * square) for cubic in (0.044715, 3 * 0.044715))
    return dy * _gated_derivative(u, slope)


def gelu(x: Array) -> Array:
    """Return x * Phi(x) = x / 2 * erfc(-x / sqrt(2)), where Phi is the normal distribution function."""
    x = np.maximum(x.astype(np.float64), -_LARGE)
    return x / 2 * _erfc(-x / math.sqrt(2))


def gelu_backward(dy: Array, x: Array) -> Array:
    """Return dy * (Phi(x) + x * exp(-x * x / 2) / sqrt(2 pi))."""
    x = np.clip(x.astype(np.float64), -_LARGE, _LARGE)
    distribution = _erfc(-x / math.sqrt(2)) / 2
    result: Array = dy * (distribution + x * np.exp(-(x * x) / 2) / math.sqrt(2 * math.pi))
    return result


# tanh(log(1 + e^x)) = n / d with n = e^x (e^x + 2) and d = n + 2; for x > 0 both are divided by e^2x. With e = e^-|x|
# the quotient is e (1 - e (1 + e) / d) below 0, and 1 - 2 e^2 / d above.
def _mish_d(x: Array, e: Array) -> Array:
    result: Array = np.where(x < 0, e * (e + 2) + 2, 1 + 2 * e + 2 * e * e)
    return result


def mish(x: Array) -> Array:
    """Return x * tanh(log(1 + exp(x))), the hyperbolic tangent as a quotient of powers of exp(-|x|)."""
    x = x.astype(np.float64)
    root = np.exp(-np.abs(x) / 2)
    e = root * root
    part = 1 - e * np.where(x < 0, 1 + e, 2 * e) / _mish_d(x, e)
    return np.where(x < 0, np.maximum(x, -_LARGE) * root * root, x) * part


def mish_backward(dy: Array, x: Array) -> Array:
    """Return dy * (n / d + 4 x e^x (1 + e^x) / d^2), where n = e^x (e^x + 2) and d = n + 2."""
    x = np.clip(x.astype(np.float64), -_LARGE, _LARGE)
    e = np.exp(-np.abs(x))
    d = _mish_d(x, e)
    slope = 4 * x * (1 + e) / d
    result: Array = dy * np.where(x < 0, e * (e + 2 + slope), 1 + 2 * e + e * e * slope) / d
    return result


FORMULAS: dict[str, Callable[..., Array]] = {
    name + suffix: globals()[name + suffix] for name in ACTIVATIONS for suffix in ("", "_backward")
}
"""The functions above: one for each row of the registry, and one for its derivative."""


@np.errstate(all="ignore")
def activation(name: str, x: Array, out: Array, parameters: tuple[float, ...], threads: int) -> None:
    """Compute y = f(x) by the function of this name."""
    out[...] = FORMULAS[name](x, *map(x.dtype.type, parameters))


@np.errstate(all="ignore")
def activation_backward(
    name: str, dy: Array, derivative_from: Array, out: Array, parameters: tuple[float, ...], threads: int
) -> None:
    """Compute dy * f'(x) by the function of this name with "_backward"."""
    out[...] = FORMULAS[name + "_backward"](dy, derivative_from, *map(dy.dtype.type, parameters))


@np.errstate(all="ignore")
def prelu(x: Array, slope: Array, out: Array, threads: int) -> None:
    """Compute x where x > 0, else slope * x."""
    out[...] = np.where(x > 0, x, x * slope)


@np.errstate(all="ignore")
def prelu_backward(dy: Array, x: Array, slope: Array, out: Array, dslope: Array, threads: int) -> None:
    """Compute dy where x > 0, else slope * dy; and the sums of dy * x where x <= 0, the gradients by the slopes.

    `dslope` is as long as a row; of a shared slope, the gradient is its first entry.
    """
    by_column = np.where(x > 0, 0, dy.astype(np.float64) * x).sum(axis=0)
    out[...] = np.where(x > 0, dy, np.where(x <= 0, slope * dy, x))
    if len(slope) == 1:
        by_column = by_column.sum(keepdims=True)
    dslope[: len(slope)] = by_column
