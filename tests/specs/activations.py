"""Specs of the activations and of PReLU.

`activation()` makes two specs of each activation, of its function and of its derivative. The derivative takes the
output y or the input x, as the registry in `fastnn._activations` says.

Tiers, and where their numbers come from:

- Comparisons, products and quotients are exact.
- Ulp(2) is what the elementary functions of `csrc/math.inc.c` promise.
- Ulp(4) is for functions composed of these. `tools/ulp.py --exhaustive` found 1.1 to 3.5 over all float32 arguments;
  the numbers are in the registry, as `reached`.
- `argument_units=2` is for functions whose relative change is many times that of x: rounding an intermediate such as
  beta * x or x * x then moves the result by more than 4 units.
- Derivatives of silu, mish, gelu and gelu_tanh are sums of two terms that cancel near their minimum, so they have a
  bound in the terms' magnitudes.
"""

import math

import numpy as np

from .spec import BOUND, ELEMENTWISE, EXACT, Spec, Ulp, normal, rounder, wide


def activation(
    *,
    name,
    forward,
    forward_tier=EXACT,
    forward_by_hand,
    backward,
    backward_tier=EXACT,
    backward_by_hand,
    parameters=None,
    scale=1,
    output_of=None,
    edge_arguments=None,
    edge_values=None,
):
    """Return the specs of an activation and of its derivative.

    `forward` and `backward` are the oracles. Both tests draw x from a normal distribution of this `scale`. `output_of`
    makes the output from a standard normal x, where the derivative takes the output; None where it takes the input.
    Edge arguments and values are the derivative's: by default all its arrays and all values.
    """
    parameters = parameters or {}
    derivative_from = "x" if output_of is None else "y"

    def make(rng, shape, dtype):
        return {"x": normal(rng, shape, dtype, scale), **parameters}

    def make_backward(rng, shape, dtype):
        dy, x = normal(rng, shape, dtype), normal(rng, shape, dtype, scale if output_of is None else 1)
        return {"dy": dy, derivative_from: x if output_of is None else output_of(x).astype(dtype), **parameters}

    return [
        Spec(
            name=name,
            family="activations",
            twin="activation",
            make=make,
            oracle=forward,
            tiers={"out": forward_tier},
            numpy=forward_by_hand,
            edge_arguments=("x",),
            row_arguments=("x",),
            **ELEMENTWISE,
        ),
        Spec(
            name=f"{name}_backward",
            family="activations",
            twin="activation_backward",
            make=make_backward,
            oracle=backward,
            tiers={"out": backward_tier},
            numpy=backward_by_hand,
            edge_arguments=edge_arguments or ("dy", derivative_from),
            edge_values=edge_values,
            row_arguments=("dy", derivative_from),
            **ELEMENTWISE,
        ),
    ]


# ---- exact oracles, rounded after each operation ----


def leaky_relu(x, negative_slope):
    r = rounder(x)
    return np.where(x > 0, x, r(r(negative_slope) * x.astype(np.float64)).astype(x.dtype))


def leaky_relu_backward(dy, y, negative_slope):
    r = rounder(dy)
    scaled = r(r(negative_slope) * dy.astype(np.float64)).astype(dy.dtype)
    return np.select([y > 0, y <= 0], [dy, scaled], y)


def sigmoid_backward(dy, y):
    r = rounder(dy)
    dy64, y64 = dy.astype(np.float64), y.astype(np.float64)
    return r(dy64 * r(y64 * r(1 - y64))).astype(dy.dtype)


def tanh_backward(dy, y):
    r = rounder(dy)
    dy64, y64 = dy.astype(np.float64), y.astype(np.float64)
    return r(dy64 * r(1 - r(y64 * y64))).astype(dy.dtype)


def dy_where(keep, dy, derivative_from):
    """Return dy or 0, or the NaN of the array that the derivative takes."""
    return np.select([keep, ~np.isnan(derivative_from)], [dy, np.zeros_like(dy)], derivative_from)


def hard_tanh(x, min_val, max_val):
    return np.select([x < min_val, x > max_val], [np.asarray(limit, x.dtype) for limit in (min_val, max_val)], x)


def inside(y, min_val, max_val):
    return (y > np.asarray(min_val, y.dtype)) & (y < np.asarray(max_val, y.dtype))


def hard_sigmoid(x):
    r = rounder(x)
    return r(np.clip(r(x.astype(np.float64) + 3), 0, 6) / 6).astype(x.dtype)


def hard_sigmoid_backward(dy, x):
    sixth = np.float64(dy.dtype.type(1 / 6))
    return dy_where((x > -3) & (x < 3), rounder(dy)(dy.astype(np.float64) * sixth).astype(dy.dtype), x)


def hard_swish(x):
    return rounder(x)(np.maximum(x, -3).astype(np.float64) * hard_sigmoid(x).astype(np.float64)).astype(x.dtype)


def hard_swish_backward(dy, x):
    r = rounder(dy)
    sloped = r(dy.astype(np.float64) * r(r(x.astype(np.float64) / 3) + 0.5)).astype(dy.dtype)
    return np.select([x >= 3, x > -3, x <= -3], [dy, sloped, np.zeros_like(dy)], x)


def softsign(x):
    r, largest = rounder(x), float(np.finfo(x.dtype).max)
    x64 = np.clip(x.astype(np.float64), -largest, largest)
    return r(x64 / r(1 + np.abs(x64))).astype(x.dtype)


def softsign_backward(dy, x):
    r = rounder(dy)
    d = r(1 / r(1 + np.abs(x.astype(np.float64))))
    return r(r(dy.astype(np.float64) * d) * d).astype(dy.dtype)


def elu_backward(dy, y, alpha):
    r = rounder(dy)
    return np.where(y > 0, dy, r(dy.astype(np.float64) * r(y.astype(np.float64) + r(alpha))).astype(dy.dtype))


def celu_backward(dy, y, alpha):
    r = rounder(dy)
    ratio = r(r(y.astype(np.float64) / r(alpha)) + 1)
    return np.where(y > 0, dy, r(dy.astype(np.float64) * ratio).astype(dy.dtype))


SELU_SCALE = np.longdouble("1.0507009873554804934193349852946")
SELU_ALPHA = np.longdouble("1.6732632423543772848170429917")


def selu_backward(dy, y):
    r = rounder(dy)
    limit = r(y.astype(np.float64) + r(SELU_SCALE * SELU_ALPHA))
    return r(dy.astype(np.float64) * np.where(y > 0, r(SELU_SCALE), limit)).astype(dy.dtype)


# ---- oracles in wide arithmetic ----


def exponential_unit(x, alpha=1.0, scale=1.0):
    """Return scale * x for x > 0, else scale * alpha * (e^x - 1)."""
    return scale * np.where(x > 0, x, alpha * np.expm1(x))


def two_units(x):
    """Return twice the distance from x to the next number; the largest number has none, and takes a smaller one's."""
    return 2 * np.spacing(np.minimum(np.abs(x), np.finfo(x.dtype).max / 2))


def softplus(x, beta):
    """Return the value, and how far two units of x move it: the derivative is 1 / (1 + e^(-beta x))."""
    moved, x, beta = two_units(x), wide(x), wide(np.asarray(beta, x.dtype))
    e = np.exp(-np.abs(beta * x))
    return np.maximum(x, 0) + np.log1p(e) / beta, moved * np.where(x < 0, e, 1) / (1 + e)


def softplus_backward(dy, y, beta):
    return -wide(dy) * np.expm1(-wide(np.asarray(beta, y.dtype)) * wide(y))


# ---- x times a function that rises from 0 to 1: silu, mish, gelu, gelu_tanh ----

# At this distance from 0 the functions and derivatives are at their limits in every type.
AT_LIMIT = 1e5


def sigmoids(u):
    """Return sigmoid(u) and sigmoid(-u) = 1 - sigmoid(u), without cancellation."""
    e = np.exp(-np.abs(u))
    return np.where(u < 0, [e, np.ones_like(e)], [np.ones_like(e), e]) / (1 + e)


# Each returns f(x) and the two terms of f'(x), of a wide x within AT_LIMIT.


def silu_terms(x):
    g, rest = sigmoids(x)
    return x * g, g, x * g * rest


def gelu_tanh_terms(x):
    k = np.sqrt(8 / np.arccos(np.array(-1, x.dtype)))
    cubic = x.dtype.type("0.044715")
    g, rest = sigmoids(k * x * (1 + cubic * x * x))
    return x * g, g, k * x * (1 + 3 * cubic * x * x) * g * rest


def mish_terms(x):
    """By tanh(log(1 + e^x)) = a / (a + 2 b) with a = (1 + e^x)^2 - 1 and b = 1; for x > 0 both divided by e^2x."""
    e = np.exp(-np.abs(x))
    a, b = np.where(x < 0, [e * (2 + e), np.ones_like(e)], [1 + 2 * e, e * e])
    g, _ = sigmoids(x)
    return x * a / (a + 2 * b), a / (a + 2 * b), x * g * 4 * b * (a + b) / (a + 2 * b) ** 2


def gelu_terms(x):
    """By Mills' ratio, e^(t^2 / 2) Phi(-t) = integral over v > 0 of e^(-v^2 / 2 - t v) / sqrt(2 pi), t = |x|.

    The integral is a sum over equal steps of s, v = exp(s - exp(-s)): the integrand falls off doubly exponentially on
    both sides, as in tanh-sinh quadrature, and the sum is right to about three units of a long double.
    """
    t = np.minimum(np.abs(x), 200)[..., None]
    s = np.arange(-4.25, 6, 1 / 16, dtype=x.dtype)
    v = np.exp(s - np.exp(-s))
    root = np.sqrt(2 * np.arccos(np.array(-1, x.dtype)))
    mills = (np.exp(-v * v / 2 - t * v) * v * (1 + np.exp(-s))).sum(axis=-1) / 16 / root
    t = t[..., 0]
    high = t.astype(np.float32).astype(x.dtype)  # its square is exact
    bell = np.exp(-high * high / 2) * np.exp(-(t - high) * (t + high) / 2)
    below = mills * bell
    return np.maximum(x, 0) - t * below, np.where(x < 0, below, 1 - below), x * bell / root


def value(terms, x):
    """Return f(x). Beyond AT_LIMIT it is x itself above, and the limit below."""
    x = wide(x)
    return np.where(np.isposinf(x), np.inf, terms(np.clip(x, -AT_LIMIT, AT_LIMIT))[0] * np.maximum(x / AT_LIMIT, 1))


def value_and_move(terms, x):
    """Return f(x), and how far two units of x move it."""
    _, first, second = terms(np.clip(wide(x), -AT_LIMIT, AT_LIMIT))
    return value(terms, x), two_units(x) * np.abs(first + second)


def derivative(terms, dy, x):
    """Return dy * f'(x), and its bound.

    Bound: 10 u of each term's magnitude. An exponential's 2 ULP are up to 4 u; 1 + e, the reciprocal, three products
    and the product with dy are 6. Intermediates such as x * x are rounded as if x had moved by two units, each at most
    2 u |x|: that adds 4 u |x f''(x)|. The largest error measured is 0.44 of the bound.
    """
    dy, x = wide(dy), np.clip(wide(x), -AT_LIMIT, AT_LIMIT)
    _, first, second = terms(x)
    step = 2.0**-10
    change = np.abs(sum(terms(x * (1 + step))[1:]) - sum(terms(x * (1 - step))[1:])) / (2 * step)  # |x f''(x)|
    return dy * (first + second), np.abs(dy) * (10 * (np.abs(first) + np.abs(second)) + 4 * change)


# ---- in plain NumPy ----


def sigmoid_by_hand(x):
    return 1 / (1 + np.exp(-x))


def erf_by_hand(x):
    return np.vectorize(math.erf, otypes=[x.dtype])(x / np.sqrt(x.dtype.type(2)))


def silu_backward_by_hand(dy, x):
    s = 1 / (1 + np.exp(-x))
    return dy * (s + x * s * (1 - s))


def mish_backward_by_hand(dy, x):
    t = np.tanh(np.log1p(np.exp(x)))
    return dy * (t + x * (1 - t * t) / (1 + np.exp(-x)))


def gelu_backward_by_hand(dy, x):
    return dy * (0.5 + erf_by_hand(x) / 2 + x * np.exp(-x * x / 2) * 0.3989422804)


def gelu_tanh_by_hand(x):
    return x / 2 * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def gelu_tanh_backward_by_hand(dy, x):
    t = np.tanh(0.7978845608 * (x + 0.044715 * x**3))
    return dy * ((1 + t) / 2 + x / 2 * (1 - t * t) * 0.7978845608 * (1 + 0.134145 * x * x))


# ---- the specs ----

SPECS = [
    *activation(
        name="identity",
        forward=lambda x: x,
        forward_by_hand=lambda x: x.copy(),
        backward=lambda dy, y: dy,
        backward_by_hand=lambda dy, y: dy.copy(),
        output_of=np.asarray,
    ),
    *activation(
        name="relu",
        forward=lambda x: np.select([x > 0, x <= 0], [x, np.zeros_like(x)], x),
        forward_by_hand=lambda x: np.maximum(x, 0),
        backward=lambda dy, y: np.select([y > 0, y <= 0], [dy, np.zeros_like(dy)], y),
        backward_by_hand=lambda dy, y: dy * (y > 0),
        output_of=lambda x: np.maximum(x, 0),
    ),
    *activation(
        name="leaky_relu",
        forward=leaky_relu,
        forward_by_hand=lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
        backward=leaky_relu_backward,
        backward_by_hand=lambda dy, y, negative_slope: np.where(y > 0, dy, negative_slope * dy),
        parameters={"negative_slope": 0.3},
        output_of=np.asarray,
    ),
    *activation(
        name="sigmoid",
        forward=lambda x: 1 / (1 + np.exp(-wide(x))),
        forward_tier=Ulp(2),
        forward_by_hand=sigmoid_by_hand,
        backward=sigmoid_backward,
        backward_by_hand=lambda dy, y: dy * y * (1 - y),
        scale=12,
        output_of=sigmoid_by_hand,
    ),
    *activation(
        name="tanh",
        forward=lambda x: np.tanh(wide(x)),
        forward_tier=Ulp(2),
        forward_by_hand=lambda x: np.tanh(x),
        backward=tanh_backward,
        backward_by_hand=lambda dy, y: dy * (1 - y * y),
        scale=3,
        output_of=np.tanh,
    ),
    *activation(
        name="relu6",
        forward=lambda x: np.clip(x, 0, 6),
        forward_by_hand=lambda x: np.clip(x, 0, 6),
        backward=lambda dy, y: dy_where((y > 0) & (y < 6), dy, y),
        backward_by_hand=lambda dy, y: dy * ((y > 0) & (y < 6)),
        scale=5,
        output_of=lambda x: np.clip(5 * x, 0, 6),
    ),
    *activation(
        name="hard_tanh",
        forward=hard_tanh,
        forward_by_hand=lambda x, min_val, max_val: np.clip(x, min_val, max_val),
        backward=lambda dy, y, min_val, max_val: dy_where(inside(y, min_val, max_val), dy, y),
        backward_by_hand=lambda dy, y, min_val, max_val: dy * inside(y, min_val, max_val),
        parameters={"min_val": -0.3, "max_val": 0.7},
        output_of=lambda x: np.clip(x, np.asarray(-0.3, x.dtype), np.asarray(0.7, x.dtype)),
    ),
    *activation(
        name="threshold",
        forward=lambda x, threshold, value: np.where(
            x <= np.asarray(threshold, x.dtype), np.asarray(value, x.dtype), x
        ),
        forward_by_hand=lambda x, threshold, value: np.where(x > threshold, x, value),
        backward=lambda dy, x, threshold, value: dy_where(x > np.asarray(threshold, x.dtype), dy, x),
        backward_by_hand=lambda dy, x, threshold, value: dy * (x > threshold),
        parameters={"threshold": 0.3, "value": -0.7},
    ),
    *activation(
        name="hard_sigmoid",
        forward=hard_sigmoid,
        forward_by_hand=lambda x: np.clip(x + 3, 0, 6) / 6,
        backward=hard_sigmoid_backward,
        backward_by_hand=lambda dy, x: dy * (np.abs(x) < 3) / 6,
        scale=3,
    ),
    *activation(
        name="hard_swish",
        forward=hard_swish,
        forward_by_hand=lambda x: x * np.clip(x + 3, 0, 6) / 6,
        backward=hard_swish_backward,
        backward_by_hand=lambda dy, x: dy * np.where(x < 3, (x > -3) * (x / 3 + 0.5), 1),
        scale=3,
    ),
    *activation(
        name="softsign",
        forward=softsign,
        forward_by_hand=lambda x: x / (1 + np.abs(x)),
        backward=softsign_backward,
        backward_by_hand=lambda dy, x: dy / (1 + np.abs(x)) ** 2,
        scale=3,
    ),
    *activation(
        name="elu",
        forward=lambda x, alpha: exponential_unit(wide(x), wide(np.asarray(alpha, x.dtype))),
        forward_tier=Ulp(4),
        forward_by_hand=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
        backward=elu_backward,
        backward_by_hand=lambda dy, y, alpha: dy * np.where(y > 0, 1, y + alpha),
        parameters={"alpha": 0.7},
        scale=5,
        output_of=lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)),
    ),
    *activation(
        name="selu",
        forward=lambda x: exponential_unit(wide(x), SELU_ALPHA, SELU_SCALE),
        forward_tier=Ulp(4),
        forward_by_hand=lambda x: float(SELU_SCALE) * np.where(x > 0, x, float(SELU_ALPHA) * np.expm1(x)),
        backward=selu_backward,
        backward_by_hand=lambda dy, y: dy * np.where(y > 0, float(SELU_SCALE), y + float(SELU_SCALE * SELU_ALPHA)),
        scale=5,
        output_of=lambda x: 1.05 * np.where(x > 0, x, 1.67 * np.expm1(x)),
    ),
    *activation(
        name="celu",
        forward=lambda x, alpha: (a := wide(np.asarray(alpha, x.dtype))) * exponential_unit(wide(x) / a),
        forward_tier=Ulp(4),
        forward_by_hand=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
        backward=celu_backward,
        backward_by_hand=lambda dy, y, alpha: dy * np.where(y > 0, 1, y / alpha + 1),
        parameters={"alpha": 0.7},
        scale=5,
        output_of=lambda x: np.where(x > 0, x, 0.7 * np.expm1(x / 0.7)),
    ),
    *activation(
        name="softplus",
        forward=softplus,
        forward_tier=Ulp(4, argument_units=2),
        forward_by_hand=lambda x, beta: np.log1p(np.exp(beta * x)) / beta,
        backward=softplus_backward,
        backward_tier=Ulp(4),  # expm1's 2, which two products carry and round; 2.1 measured
        backward_by_hand=lambda dy, y, beta: dy * (1 - np.exp(-beta * y)),
        parameters={"beta": 1.7},
        scale=12,
        output_of=lambda x: np.log1p(np.exp(5 * x)),
        edge_values=(0.0, 1e-10, 1.0, 1e10, math.inf, math.nan),  # an output is never negative
    ),
    *activation(
        name="silu",
        forward=lambda x: value(silu_terms, x),
        forward_tier=Ulp(4),
        forward_by_hand=lambda x: x / (1 + np.exp(-x)),
        backward=lambda dy, x: derivative(silu_terms, dy, x),
        backward_tier=BOUND,
        backward_by_hand=silu_backward_by_hand,
        scale=30,
        edge_arguments=("x",),
    ),
    *activation(
        name="mish",
        forward=lambda x: value(mish_terms, x),
        forward_tier=Ulp(4),
        forward_by_hand=lambda x: x * np.tanh(np.log1p(np.exp(x))),
        backward=lambda dy, x: derivative(mish_terms, dy, x),
        backward_tier=BOUND,
        backward_by_hand=mish_backward_by_hand,
        scale=20,
        edge_arguments=("x",),
    ),
    *activation(
        name="gelu",
        forward=lambda x: value_and_move(gelu_terms, x),
        forward_tier=Ulp(4, argument_units=2),
        forward_by_hand=lambda x: x / 2 * (1 + erf_by_hand(x)),
        backward=lambda dy, x: derivative(gelu_terms, dy, x),
        backward_tier=BOUND,
        backward_by_hand=gelu_backward_by_hand,
        scale=5,
        edge_arguments=("x",),
    ),
    *activation(
        name="gelu_tanh",
        forward=lambda x: value_and_move(gelu_tanh_terms, x),
        forward_tier=Ulp(4, argument_units=2),
        forward_by_hand=gelu_tanh_by_hand,
        backward=lambda dy, x: derivative(gelu_tanh_terms, dy, x),
        backward_tier=BOUND,
        backward_by_hand=gelu_tanh_backward_by_hand,
        scale=3,
        edge_arguments=("x",),
    ),
]

# ---- PReLU: a learned slope for each column, or one for all. A shape is (rows, columns) ----


def make_prelu(*names, shared):
    """Return what makes matrices of these names and the slopes."""

    def make(rng, shape, dtype):
        matrices = {name: normal(rng, shape, dtype) for name in names}
        return {**matrices, "slope": normal(rng, 1 if shared else shape[1], dtype)}

    return make


def prelu(x, slope):
    r = rounder(x)
    return np.where(x > 0, x, r(slope.astype(np.float64) * x.astype(np.float64)).astype(x.dtype))


def prelu_backward(dy, x, slope):
    """Return dx, and the slope's derivative with its bound.

    Bound: with n terms for a slope, a product, n - 1 additions and a conversion to the dtype: n + 1, n + 2 allowed.
    """
    r = rounder(dy)
    scaled = r(slope.astype(np.float64) * dy.astype(np.float64)).astype(dy.dtype)
    dx = np.select([x > 0, x <= 0], [dy, scaled], x)
    products = np.where(x > 0, 0, wide(dy) * wide(x))
    shared = len(slope) == 1
    axes, n = ((0, 1), products.size) if shared else (0, len(x))
    dslope, bound = products.sum(axis=axes), (n + 2) * np.abs(products).sum(axis=axes)
    return dx, (np.reshape(dslope, slope.shape), np.reshape(bound, slope.shape))


PRELU = {
    "family": "activations",
    "shapes": (
        (0, 3),
        (3, 0),
        (1, 1),
        (2, 7),
        (7, 9),
        (9, 16),
        (15, 17),
        (16, 31),
        (31, 33),
        (5, 61),
        (61, 10),
        (3, 1025),
    ),
    "large_shape": (4099, 133),
    "bench_shapes": ((128, 256), (1024, 1024)),
}
SLOPES = (("", False), (", shared", True))

SPECS += [
    Spec(
        name=f"prelu{variant}",
        function="prelu",
        twin="prelu",
        make=make_prelu("x", shared=shared),
        oracle=prelu,
        tiers={"out": EXACT},
        numpy=lambda x, slope: np.where(x > 0, x, slope * x),
        row_arguments=("x",),
        out_may_be=("x",),
        edge_arguments=("x",),
        **PRELU,
    )
    for variant, shared in SLOPES
]
SPECS += [
    Spec(
        name=f"prelu_backward{variant}",
        function="prelu_backward",
        twin="prelu_backward",
        make=make_prelu("dy", "x", shared=shared),
        oracle=prelu_backward,
        tiers={"out": EXACT, "dslope": BOUND},
        numpy=lambda dy, x, slope: (
            np.where(x > 0, dy, slope * dy),
            np.where(x > 0, 0, dy * x).sum(axis=None if len(slope) == 1 else 0),
        ),
        returns=("out", "dslope"),
        out_may_be=("dy",),
        edge_arguments=("dy", "x"),
        edge_values=(0.0, -0.0, 1e-310, -1e-40, 1e10, math.nan),  # no sums that overflow
        **PRELU,
    )
    for variant, shared in SLOPES
]
