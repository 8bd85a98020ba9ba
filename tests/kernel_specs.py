"""The table of kernels: arguments, twin, oracle, tier and shapes of each. Tests and benchmarks take theirs from it.

An oracle is written from the formula in wider arithmetic, never from the twin or the kernel. The tier says how a result
is compared with it:

EXACT   the same bits. The oracle rounds after every operation; float64 holds the exact result of each float32 one.
Ulp(k)  within k units in the last place of the true value; Ulp(k, m): of the true value at some x' within m units of x.
        The oracle returns (value, how far m units of x move it).
BOUND   the oracle returns (value, b) and the result is within b u of the value, u half the spacing of the dtype at 1.
        b is a forward error analysis, element by element: gamma_n of the magnitudes summed (Higham, 2002, 3.1).
"""

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

EXACT = "exact"
BOUND = "bound"


@dataclass(frozen=True)
class Ulp:
    k: float
    within: int = 0

    def __str__(self):
        return f"{self.k:g} ULP" + f" at some x' within {self.within} ULP of x" * bool(self.within)


@dataclass(frozen=True)
class Spec:
    """One kernel.

    `make(rng, shape, dtype)` returns the arguments by name; `oracle(**arguments)` one value for each of `tiers`, in
    order; `numpy(**arguments)` is what a user would write by hand. `in_place` names the arguments that are updated,
    `out` the one that takes the result, which may be any of the inputs where `elementwise`, else those in `over`.
    `edges` are the values that the arguments in `edgy` may hold, all if None. `rows` names arguments of which one row
    decides one row of the result.
    """

    name: str
    family: str
    twin: str
    make: Callable[..., dict[str, Any]]
    oracle: Callable[..., Any]
    tiers: dict[str, Any]
    numpy: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    bench_shapes: tuple[tuple[int, ...], ...]
    large: tuple[int, ...]
    function: str = ""
    returns: tuple[str, ...] = ("out",)
    out: str | None = "out"
    in_place: tuple[str, ...] = ()
    elementwise: bool = False
    over: tuple[str, ...] = ()
    edgy: tuple[str, ...] = ()
    edges: tuple[float, ...] | None = None
    rows: tuple[str, ...] = ()

    def call(self, module, arguments, **more):
        """Call the kernel of `module` on copies of what it updates, and return its results by name."""
        arguments = {k: a.copy() if k in self.in_place else a for k, a in arguments.items()}
        if self.out == "grad" and "grad" not in more:
            first = next(iter(arguments.values()))
            narrow = isinstance(first, np.ndarray) and first.itemsize == 4
            more["grad"] = np.empty(np.shape(first), np.float32 if narrow else np.float64)
        value = getattr(module, self.function or self.name)(**arguments, **more)
        results = dict(zip(self.returns, value if isinstance(value, tuple) else (value,), strict=True))
        results |= {k: arguments[k] for k in self.in_place}
        if self.out == "grad":
            results["grad"] = more["grad"]
        return results

    def inputs(self, arguments):
        """Return the arrays among the arguments."""
        return {k: a for k, a in arguments.items() if isinstance(a, np.ndarray)}

    def shareable(self, arguments):
        """Return the arrays that `out` may be."""
        return {k: a for k, a in self.inputs(arguments).items() if self.elementwise or k in self.over}

    def check(self, results, arguments, note=""):
        """Compare results with the oracle."""
        dtypes = [a.dtype for a in self.inputs(arguments).values() if a.dtype in (np.float32, np.float64)]
        dtype = dtypes[0] if dtypes else np.float64
        with np.errstate(all="ignore"):
            expected = self.oracle(**arguments)
            expected = dict(zip(self.tiers, expected if len(self.tiers) > 1 else (expected,), strict=True))
            for name, tier in self.tiers.items():
                compare(results[name], expected[name], tier, f"{self.name}: {name} {note}", dtype)


def compare(got, expected, tier, note="", dtype=np.float64):
    """Assert that a result is what its tier promises of arithmetic in this dtype."""
    got = np.asarray(got)
    if tier == EXACT:
        same_bits(got, expected, note)
        return
    pair = tier == BOUND or tier.within > 0
    value, bound = expected if pair else (expected, 0)
    assert got.shape == np.shape(value), f"{note}: shape {got.shape}, expected {np.shape(value)}"
    rounded = np.asarray(value).astype(got.dtype)
    special = ~np.isfinite(rounded)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    assert same[special].all(), f"{note}: {got[special & ~same]}, expected {rounded[special & ~same]}"
    if tier != BOUND:
        allowed = tier.k * np.spacing(np.abs(rounded)) + bound
    else:
        info = np.finfo(dtype)
        # 1 + n u in place of 1 / (1 - n u), and what is lost below the normal numbers, times what it is multiplied by
        allowed = 1.01 * bound * (info.eps / 2) + 2**14 * info.smallest_subnormal
    error = np.abs(got - value)
    wrong = ~special & ~(error <= allowed)
    assert not wrong.any(), (
        f"{note}: {wrong.sum()} of {wrong.size}, the first {got[wrong][0]!r}, "
        f"expected {np.asarray(value)[wrong][0]!r}; error / allowed is {np.max((error / allowed)[wrong])}"
    )


def same_bits(got, expected, note=""):
    """Assert equality of dtype, shape and bits; one NaN is as good as another."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype and got.shape == expected.shape, (
        f"{note}: {got.dtype} {got.shape}, expected {expected.dtype} {expected.shape}"
    )
    if got.dtype.kind == "f":
        differ = ~((got == expected) & (np.signbit(got) == np.signbit(expected)) | np.isnan(got) & np.isnan(expected))
    else:
        differ = got != expected
    assert not differ.any(), (
        f"{note}: {differ.sum()} of {differ.size} differ, the first {got[differ][0]!r}, "
        f"expected {expected[differ][0]!r}"
    )


# ---- arithmetic for oracles ----


def wide(a):
    """Return an array in a type with more digits than its own."""
    return a.astype(np.float64 if a.dtype == np.float32 else np.longdouble)


def rounder(a):
    """Return a function that rounds float64 to the dtype of `a`, and keeps it in float64."""
    return lambda value: np.asarray(value).astype(a.dtype).astype(np.float64)


def philox_block(block, seed, stream, step, rounds=10):
    """Return the four words of Philox4x32 for one block, in Python integers."""
    low = 0xFFFFFFFF
    c = [block & low, block >> 32, step, stream]
    k = [seed & low, seed >> 32]
    for _ in range(rounds):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & low, (p0 >> 32) ^ c[3] ^ k[1], p0 & low]
        k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
    return c


@functools.cache
def philox_words(count, seed, stream, step):
    words = [word for block in range((count + 3) // 4) for word in philox_block(block, seed, stream, step)]
    return np.array(words[:count], np.uint32)


@functools.cache
def mask_bits(count, seed, stream, step):
    """Return dropout's 16 bits for each element."""
    blocks = [philox_block(block, seed, stream, step, 7) for block in range((count + 7) // 8)]
    halves = [word >> shift & 0xFFFF for words in blocks for word in words for shift in (0, 16)]
    return np.array(halves[:count], np.uint16)


# ---- arguments ----


def normal(rng, shape, dtype, scale=1.0):
    return np.asarray(scale * rng.standard_normal(shape), dtype)


# ---- dense ----

MATRICES = (
    (0, 4, 5),
    (4, 0, 5),
    (4, 5, 0),
    (1, 1, 1),
    (1, 7, 9),
    (2, 8, 8),
    (3, 9, 7),
    (5, 16, 15),
    (7, 61, 1),
    (13, 17, 33),
    (14, 31, 32),
    (15, 33, 31),
    (29, 64, 65),
    (43, 257, 97),
    (43, 512, 97),  # rows that lie a multiple of 2 KiB apart
    (127, 300, 70),
    (1, 513, 64),
    # so few columns that rows take the lanes
    (35, 37, 2),
    (150, 16, 4),
    (47, 70, 8),
    # more terms than a block of them holds, in each of the three products
    (5, 1030, 33),
    (9, 7, 515),
    (516, 19, 33),
)
DENSE_BENCH = ((64, 64, 64), (128, 784, 256), (1024, 256, 256))
DENSE_LARGE = (301, 570, 131)


def _product(a, b, init=0.0, magnitude=0.0):
    """a @ b + init, and its bound."""
    a, b = wide(a), wide(b)
    return a @ b + init, (a.shape[1] + 1) * (np.abs(a) @ np.abs(b) + magnitude)


def _make_dense(rng, shape, dtype):
    rows, features, units = shape
    return {
        "x": normal(rng, (rows, features), dtype),
        "w": normal(rng, (features, units), dtype),
        "b": normal(rng, units, dtype),
    }


def _sum_rows(dy):
    dy = wide(dy)
    return dy.sum(axis=0), len(dy) * np.abs(dy).sum(axis=0)


DENSE = {
    "family": "dense",
    "tiers": {"out": BOUND},
    "shapes": MATRICES,
    "bench_shapes": DENSE_BENCH,
    "large": DENSE_LARGE,
    "edges": (0.0, -0.0, 1e-310, -1e-40, math.inf, -math.inf, math.nan),
}

SPECS = [
    Spec(
        name="dense",
        twin="dense",
        make=_make_dense,
        oracle=lambda x, w, b: _product(x, w, wide(b), np.abs(b)),
        numpy=lambda x, w, b: x @ w + b,
        rows=("x",),
        edgy=("x", "b"),
        **DENSE,
    ),
    Spec(
        name="dense without bias",
        function="dense",
        twin="dense",
        make=lambda rng, shape, dtype: {k: a for k, a in _make_dense(rng, shape, dtype).items() if k != "b"},
        oracle=lambda x, w: _product(x, w),
        numpy=lambda x, w: x @ w,
        rows=("x",),
        **DENSE,
    ),
    Spec(
        name="dense_grad_input",
        twin="dense_grad_input",
        make=lambda rng, s, dtype: {"dy": normal(rng, (s[0], s[2]), dtype), "w": normal(rng, s[1:], dtype)},
        oracle=lambda dy, w: _product(dy, w.T),
        numpy=lambda dy, w: dy @ w.T,
        rows=("dy",),
        edgy=("dy",),
        **DENSE,
    ),
    Spec(
        name="dense_grad_weight",
        twin="dense_grad_weight",
        make=lambda rng, s, dtype: {"x": normal(rng, s[:2], dtype), "dy": normal(rng, (s[0], s[2]), dtype)},
        oracle=lambda x, dy: _product(x.T, dy),
        numpy=lambda x, dy: x.T @ dy,
        edgy=("x",),
        **DENSE,
    ),
    Spec(
        name="dense_grad_bias",
        twin="dense_grad_bias",
        make=lambda rng, s, dtype: {"dy": normal(rng, (s[0], s[2]), dtype)},
        oracle=_sum_rows,
        numpy=lambda dy: dy.sum(axis=0),
        edgy=("dy",),
        **DENSE,
    ),
]

# ---- activations ----

VECTORS = (*((n,) for n in (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 127, 2053)), (), (3, 5), (2, 3, 7))
ELEMENTWISE = {
    "shapes": VECTORS,
    "bench_shapes": ((64, 64), (1024, 1024)),
    "large": (1_200_007,),
    "elementwise": True,
}


def _leaky_relu(x, alpha):
    r = rounder(x)
    return np.where(x > 0, x, r(r(alpha) * x.astype(np.float64)).astype(x.dtype))


def _leaky_relu_backward(dy, y, alpha):
    r = rounder(dy)
    scaled = r(r(alpha) * dy.astype(np.float64)).astype(dy.dtype)
    return np.select([y > 0, y <= 0], [dy, scaled], y)


def _sigmoid_backward(dy, y):
    r = rounder(dy)
    dy64, y64 = dy.astype(np.float64), y.astype(np.float64)
    return r(dy64 * r(y64 * r(1 - y64))).astype(dy.dtype)


def _tanh_backward(dy, y):
    r = rounder(dy)
    dy64, y64 = dy.astype(np.float64), y.astype(np.float64)
    return r(dy64 * r(1 - r(y64 * y64))).astype(dy.dtype)


def _sigmoid_by_hand(x):
    return 1 / (1 + np.exp(-x))


def _within(dy, keep, told):
    """dy or 0, or the NaN that the derivative is told from."""
    return np.select([keep, ~np.isnan(told)], [dy, np.zeros_like(dy)], told)


def _hard_sigmoid(x):
    r = rounder(x)
    return r(np.clip(r(x.astype(np.float64) + 3), 0, 6) / 6).astype(x.dtype)


def _hard_sigmoid_backward(dy, x):
    sixth = np.float64(dy.dtype.type(1 / 6))
    return _within(rounder(dy)(dy.astype(np.float64) * sixth).astype(dy.dtype), (x > -3) & (x < 3), x)


def _hard_swish(x):
    return rounder(x)(np.maximum(x, -3).astype(np.float64) * _hard_sigmoid(x).astype(np.float64)).astype(x.dtype)


def _hard_swish_backward(dy, x):
    r = rounder(dy)
    sloped = r(dy.astype(np.float64) * r(r(x.astype(np.float64) / 3) + 0.5)).astype(dy.dtype)
    return np.select([x >= 3, x > -3, x <= -3], [dy, sloped, np.zeros_like(dy)], x)


def _softsign(x):
    r, most = rounder(x), float(np.finfo(x.dtype).max)
    x64 = np.clip(x.astype(np.float64), -most, most)
    return r(x64 / r(1 + np.abs(x64))).astype(x.dtype)


def _softsign_backward(dy, x):
    r = rounder(dy)
    d = r(1 / r(1 + np.abs(x.astype(np.float64))))
    return r(r(dy.astype(np.float64) * d) * d).astype(dy.dtype)


def _elu_backward(dy, y, alpha):
    r = rounder(dy)
    return np.where(y > 0, dy, r(dy.astype(np.float64) * r(y.astype(np.float64) + r(alpha))).astype(dy.dtype))


def _celu_backward(dy, y, alpha):
    r = rounder(dy)
    ratio = r(r(y.astype(np.float64) / r(alpha)) + 1)
    return np.where(y > 0, dy, r(dy.astype(np.float64) * ratio).astype(dy.dtype))


SELU_SCALE, SELU_ALPHA = (
    np.longdouble("1.0507009873554804934193349852946"),
    np.longdouble("1.6732632423543772848170429917"),
)


def _selu_backward(dy, y):
    r = rounder(dy)
    limit = r(y.astype(np.float64) + r(SELU_SCALE * SELU_ALPHA))
    return r(dy.astype(np.float64) * np.where(y > 0, r(SELU_SCALE), limit)).astype(dy.dtype)


# Functions and derivatives in wide arithmetic. FAR is so far out that they are at their limits.
FAR = 1e5


def _two_units(x):
    return 2 * np.spacing(np.minimum(np.abs(x), np.finfo(x.dtype).max / 2))  # there is no next after the largest


def _gate(u):
    """1 / (1 + e^-u) and 1 / (1 + e^u)."""
    e = np.exp(-np.abs(u))
    return np.where(u < 0, [e, np.ones_like(e)], [np.ones_like(e), e]) / (1 + e)


def _silu_terms(x):
    g, rest = _gate(x)
    return x * g, g, x * g * rest


def _gelu_tanh_terms(x):
    k = np.sqrt(8 / np.arccos(np.array(-1, x.dtype)))
    cubic = x.dtype.type("0.044715")
    g, rest = _gate(k * x * (1 + cubic * x * x))
    return x * g, g, k * x * (1 + 3 * cubic * x * x) * g * rest


def _mish_terms(x):
    """By tanh(log(1 + e^x)) = a / (a + 2 b), a and b being (1 + e^x)^2 - 1 and 1, or that divided by e^2x."""
    e = np.exp(-np.abs(x))
    a, b = np.where(x < 0, [e * (2 + e), np.ones_like(e)], [1 + 2 * e, e * e])
    g, _ = _gate(x)
    return x * a / (a + 2 * b), a / (a + 2 * b), x * g * 4 * b * (a + b) / (a + 2 * b) ** 2


def _gelu_terms(x):
    """By e^(t^2 / 2) Phi(-t) = integral over v > 0 of e^(-v^2 / 2 - t v) / sqrt(2 pi), by tanh-sinh's kin."""
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


def _smooth(terms):
    """Make oracles from what returns f and the two terms of f' of a wide x.

    The derivative's is a bound: some roundings of both terms, and what moving x by two units does to it.
    """

    def inside(x):
        return np.clip(wide(x), -FAR, FAR)

    def value(x):
        return np.where(
            np.isposinf(x), np.inf, terms(np.where(wide(x) > FAR, FAR, inside(x)))[0] * np.maximum(wide(x) / FAR, 1)
        )

    def forward(x):
        _, one, other = terms(inside(x))
        return value(x), _two_units(x) * np.abs(one + other)

    def backward(dy, x):
        dy, x = wide(dy), inside(x)
        _, one, other = terms(x)
        step = 2.0**-10
        change = np.abs(sum(terms(x * (1 + step))[1:]) - sum(terms(x * (1 - step))[1:])) / (2 * step)
        return dy * (one + other), np.abs(dy) * (10 * (np.abs(one) + np.abs(other)) + 4 * change)

    return value, forward, backward


def _softplus(x, beta):
    reach, x, beta = _two_units(x), wide(x), wide(np.asarray(beta, x.dtype))
    e = np.exp(-np.abs(beta * x))
    return np.maximum(x, 0) + np.log1p(e) / beta, reach * np.where(x < 0, e, 1) / (1 + e)


def _softplus_backward(dy, y, beta):
    return -wide(dy) * np.expm1(-wide(np.asarray(beta, y.dtype)) * wide(y))


def _exponential(x, alpha=1.0, scale=1.0):
    """The scaled exponential unit, x / alpha in the exponent."""
    return scale * np.where(x > 0, x, alpha * np.expm1(x))


def _erf_by_hand(x):
    return np.vectorize(math.erf, otypes=[x.dtype])(x / np.sqrt(x.dtype.type(2)))


def _silu_backward_by_hand(dy, x):
    s = 1 / (1 + np.exp(-x))
    return dy * (s + x * s * (1 - s))


def _mish_backward_by_hand(dy, x):
    t = np.tanh(np.log1p(np.exp(x)))
    return dy * (t + x * (1 - t * t) / (1 + np.exp(-x)))


def _gelu_backward_by_hand(dy, x):
    return dy * (0.5 + _erf_by_hand(x) / 2 + x * np.exp(-x * x / 2) * 0.3989422804)


def _gelu_tanh_by_hand(x):
    return x / 2 * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def _gelu_tanh_backward_by_hand(dy, x):
    t = np.tanh(0.7978845608 * (x + 0.044715 * x**3))
    return dy * ((1 + t) / 2 + x / 2 * (1 - t * t) * 0.7978845608 * (1 + 0.134145 * x * x))


def _activation(
    name,
    forward,
    tier,
    hand,
    backward,
    hand_backward,
    *,
    scale,
    squash=None,
    backward_tier=EXACT,
    edgy=None,
    edges=None,
    **parameters,
):
    """Return the two rows of an activation.

    `squash` makes an output of a number; None where the derivative is told from the input. `edgy` and `edges` are the
    derivative's.
    """
    two = {"family": "activations", **ELEMENTWISE}
    told = "x" if squash is None else "y"

    def make(rng, shape, dtype):
        return {"x": normal(rng, shape, dtype, scale), **parameters}

    def make_backward(rng, shape, dtype):
        dy, x = normal(rng, shape, dtype), normal(rng, shape, dtype, scale if squash is None else 1)
        return {"dy": dy, told: x if squash is None else squash(x).astype(dtype), **parameters}

    def without(function):
        """Call by position."""
        return lambda **arguments: function(*arguments.values())

    return [
        Spec(
            name=name,
            twin="activation",
            make=make,
            oracle=without(forward),
            tiers={"out": tier},
            numpy=without(hand),
            edgy=("x",),
            rows=("x",),
            **two,
        ),
        Spec(
            name=f"{name}_backward",
            twin="activation_backward",
            make=make_backward,
            oracle=without(backward),
            tiers={"out": backward_tier},
            numpy=without(hand_backward),
            edgy=edgy or ("dy", told),
            edges=edges,
            rows=("dy", told),
            **two,
        ),
    ]


SPECS += [
    *_activation(
        "identity",
        lambda x: x,
        EXACT,
        lambda x: x.copy(),
        lambda dy, y: dy,
        lambda dy, y: dy.copy(),
        scale=1,
        squash=np.asarray,
    ),
    *_activation(
        "relu",
        lambda x: np.select([x > 0, x <= 0], [x, np.zeros_like(x)], x),
        EXACT,
        lambda x: np.maximum(x, 0),
        lambda dy, y: np.select([y > 0, y <= 0], [dy, np.zeros_like(dy)], y),
        lambda dy, y: dy * (y > 0),
        scale=1,
        squash=lambda x: np.maximum(x, 0),
    ),
    *_activation(
        "leaky_relu",
        _leaky_relu,
        EXACT,
        lambda x, alpha: np.where(x > 0, x, alpha * x),
        _leaky_relu_backward,
        lambda dy, y, alpha: np.where(y > 0, dy, alpha * dy),
        scale=1,
        squash=np.asarray,
        negative_slope=0.3,
    ),
    *_activation(
        "sigmoid",
        lambda x: 1 / (1 + np.exp(-wide(x))),
        Ulp(2),
        _sigmoid_by_hand,
        _sigmoid_backward,
        lambda dy, y: dy * y * (1 - y),
        scale=12,
        squash=_sigmoid_by_hand,
    ),
    *_activation(
        "tanh",
        lambda x: np.tanh(wide(x)),
        Ulp(2),
        lambda x: np.tanh(x),
        _tanh_backward,
        lambda dy, y: dy * (1 - y * y),
        scale=3,
        squash=np.tanh,
    ),
    *_activation(
        "relu6",
        lambda x: np.clip(x, 0, 6),
        EXACT,
        lambda x: np.clip(x, 0, 6),
        lambda dy, y: _within(dy, (y > 0) & (y < 6), y),
        lambda dy, y: dy * ((y > 0) & (y < 6)),
        scale=5,
        squash=lambda x: np.clip(5 * x, 0, 6),
    ),
    *_activation(
        "hard_tanh",
        lambda x, low, high: np.select([x < low, x > high], [np.asarray(a, x.dtype) for a in (low, high)], x),
        EXACT,
        np.clip,
        lambda dy, y, low, high: _within(dy, (y > np.asarray(low, y.dtype)) & (y < np.asarray(high, y.dtype)), y),
        lambda dy, y, low, high: dy * ((y > np.asarray(low, y.dtype)) & (y < np.asarray(high, y.dtype))),
        scale=1,
        squash=lambda x: np.clip(x, np.asarray(-0.3, x.dtype), np.asarray(0.7, x.dtype)),
        min_val=-0.3,
        max_val=0.7,
    ),
    *_activation(
        "threshold",
        lambda x, at, value: np.where(x <= np.asarray(at, x.dtype), np.asarray(value, x.dtype), x),
        EXACT,
        lambda x, at, value: np.where(x > at, x, value),
        lambda dy, x, at, value: _within(dy, x > np.asarray(at, x.dtype), x),
        lambda dy, x, at, value: dy * (x > at),
        scale=1,
        threshold=0.3,
        value=-0.7,
    ),
    *_activation(
        "hard_sigmoid",
        _hard_sigmoid,
        EXACT,
        lambda x: np.clip(x + 3, 0, 6) / 6,
        _hard_sigmoid_backward,
        lambda dy, x: dy * (np.abs(x) < 3) / 6,
        scale=3,
    ),
    *_activation(
        "hard_swish",
        _hard_swish,
        EXACT,
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        _hard_swish_backward,
        lambda dy, x: dy * np.where(x < 3, (x > -3) * (x / 3 + 0.5), 1),
        scale=3,
    ),
    *_activation(
        "softsign",
        _softsign,
        EXACT,
        lambda x: x / (1 + np.abs(x)),
        _softsign_backward,
        lambda dy, x: dy / (1 + np.abs(x)) ** 2,
        scale=3,
    ),
    *_activation(
        "elu",
        lambda x, alpha: _exponential(wide(x), wide(np.asarray(alpha, x.dtype))),
        Ulp(4),
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
        _elu_backward,
        lambda dy, y, alpha: dy * np.where(y > 0, 1, y + alpha),
        scale=5,
        squash=lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)),
        alpha=0.7,
    ),
    *_activation(
        "selu",
        lambda x: _exponential(wide(x), SELU_ALPHA, SELU_SCALE),
        Ulp(4),
        lambda x: float(SELU_SCALE) * np.where(x > 0, x, float(SELU_ALPHA) * np.expm1(x)),
        _selu_backward,
        lambda dy, y: dy * np.where(y > 0, float(SELU_SCALE), y + float(SELU_SCALE * SELU_ALPHA)),
        scale=5,
        squash=lambda x: 1.05 * np.where(x > 0, x, 1.67 * np.expm1(x)),
    ),
    *_activation(
        "celu",
        lambda x, alpha: (a := wide(np.asarray(alpha, x.dtype))) * _exponential(wide(x) / a),
        Ulp(4),
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
        _celu_backward,
        lambda dy, y, alpha: dy * np.where(y > 0, 1, y / alpha + 1),
        scale=5,
        squash=lambda x: np.where(x > 0, x, 0.7 * np.expm1(x / 0.7)),
        alpha=0.7,
    ),
    *_activation(
        "softplus",
        _softplus,
        Ulp(4, 2),
        lambda x, beta: np.log1p(np.exp(beta * x)) / beta,
        _softplus_backward,
        lambda dy, y, beta: dy * (1 - np.exp(-beta * y)),
        scale=12,
        squash=lambda x: np.log1p(np.exp(5 * x)),
        backward_tier=Ulp(4),
        edges=(0.0, 1e-10, 1.0, 1e10, math.inf, math.nan),
        beta=1.7,
    ),
]

for _name, _terms, _scale, _tier, _hand, _hand_backward in (
    ("silu", _silu_terms, 30, Ulp(4), lambda x: x / (1 + np.exp(-x)), _silu_backward_by_hand),
    ("mish", _mish_terms, 20, Ulp(4), lambda x: x * np.tanh(np.log1p(np.exp(x))), _mish_backward_by_hand),
    ("gelu", _gelu_terms, 5, Ulp(4, 2), lambda x: x / 2 * (1 + _erf_by_hand(x)), _gelu_backward_by_hand),
    ("gelu_tanh", _gelu_tanh_terms, 3, Ulp(4, 2), _gelu_tanh_by_hand, _gelu_tanh_backward_by_hand),
):
    _value, _moved, _backward = _smooth(_terms)
    SPECS += _activation(
        _name,
        _moved if _tier.within else _value,
        _tier,
        _hand,
        _backward,
        _hand_backward,
        scale=_scale,
        backward_tier=BOUND,
        edgy=("x",),
    )


def _make_prelu(*names, shared):
    def make(rng, shape, dtype):
        matrices = {name: normal(rng, shape, dtype) for name in names}
        return {**matrices, "slope": normal(rng, 1 if shared else shape[1], dtype)}

    return make


def _prelu(x, slope):
    r = rounder(x)
    return np.where(x > 0, x, r(slope.astype(np.float64) * x.astype(np.float64)).astype(x.dtype))


def _prelu_backward(dy, x, slope):
    r = rounder(dy)
    dx = np.select([x > 0, x <= 0], [dy, r(slope.astype(np.float64) * dy.astype(np.float64)).astype(dy.dtype)], x)
    products = np.where(x > 0, 0, wide(dy) * wide(x))
    axes = (0, 1) if len(slope) == 1 else 0
    dslope, terms = products.sum(axis=axes), products.size if len(slope) == 1 else len(x)
    return dx, (np.reshape(dslope, slope.shape), np.reshape((terms + 2) * np.abs(products).sum(axis=axes), slope.shape))


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
    "bench_shapes": ((128, 256), (1024, 1024)),
    "large": (4099, 133),
}

SPECS += [
    Spec(
        name=f"prelu{note}",
        function="prelu",
        twin="prelu",
        make=_make_prelu("x", shared=bool(note)),
        oracle=_prelu,
        tiers={"out": EXACT},
        numpy=lambda x, slope: np.where(x > 0, x, slope * x),
        edgy=("x",),
        rows=("x",),
        over=("x",),
        **PRELU,
    )
    for note in ("", ", shared")
]
SPECS += [
    Spec(
        name=f"prelu_backward{note}",
        function="prelu_backward",
        twin="prelu_backward",
        make=_make_prelu("dy", "x", shared=bool(note)),
        oracle=_prelu_backward,
        tiers={"out": EXACT, "dslope": BOUND},
        numpy=lambda dy, x, slope: (
            np.where(x > 0, dy, slope * dy),
            np.where(x > 0, 0, dy * x).sum(axis=None if len(slope) == 1 else 0),
        ),
        returns=("out", "dslope"),
        over=("dy",),
        edgy=("dy", "x"),
        edges=(0.0, -0.0, 1e-310, -1e-40, 1e10, math.nan),
        **PRELU,
    )
    for note in ("", ", shared")
]

# ---- dropout ----

P, SEED, STREAM, STEP = 0.3, 0x123456789ABCDEF, 7, 11
KEY = {"seed": SEED, "stream": STREAM, "step": STEP}


def _dropout(x, p, **key):
    bits = mask_bits(x.size, **key).reshape(x.shape)
    r = rounder(x)
    return np.where(bits >= round(p * 2.0**16), r(x.astype(np.float64) * r(1 / (1 - p))), 0).astype(x.dtype)


def _dropout_by_hand(x, p, **key):
    return x * (np.random.default_rng(key["seed"]).random(x.shape, np.float32) >= p) / x.dtype.type(1 - p)


def _permutation(n, **key):
    words = philox_words(n, **key).tolist()
    rows = list(range(n))
    for i in reversed(range(1, n)):
        j = words[i] * (i + 1) // 2**32
        rows[i], rows[j] = rows[j], rows[i]
    return np.array(rows, np.int64)


DROPOUT = {"family": "dropout", "tiers": {"out": EXACT}}

SPECS += [
    Spec(
        name="dropout",
        twin="dropout",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "p": P, **KEY},
        oracle=_dropout,
        numpy=_dropout_by_hand,
        edgy=("x",),
        **DROPOUT,
        **ELEMENTWISE,
    ),
    Spec(
        name="dropout_backward",
        twin="dropout",
        make=lambda rng, shape, dtype: {"dy": normal(rng, shape, dtype), "p": P, **KEY},
        oracle=lambda dy, p, **key: _dropout(dy, p, **key),
        numpy=lambda dy, p, **key: _dropout_by_hand(dy, p, **key),
        edgy=("dy",),
        **DROPOUT,
        **ELEMENTWISE,
    ),
    Spec(
        name="random_bits",
        twin="random_bits",
        make=lambda rng, shape, dtype: {"n": shape[0], "first": 3, **KEY},
        oracle=lambda n, first, **key: philox_words(first + n, **key)[first:],
        numpy=lambda n, first, seed, **rest: np.random.default_rng(seed).integers(0, 2**32, n, np.uint32),
        shapes=tuple((n,) for n in (0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 1025)),
        bench_shapes=((1 << 20,),),
        large=(100_003,),
        **DROPOUT,
    ),
    Spec(
        name="permutation",
        twin="permutation",
        make=lambda rng, shape, dtype: {"n": shape[0], **KEY},
        oracle=_permutation,
        numpy=lambda n, seed, **rest: np.random.default_rng(seed).permutation(n),
        shapes=tuple((n,) for n in (0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 1025)),
        bench_shapes=((60_000,),),
        large=(10_007,),
        **DROPOUT,
    ),
]

# ---- normalisation ----

BATCHES = (
    (2, 1),
    (2, 7),
    (3, 8),
    (7, 9),
    (8, 15),
    (9, 16),
    (15, 17),
    (16, 31),
    (17, 32),
    (33, 33),
    (61, 127),
    (257, 70),
    (5, 0),
)
NORM_BENCH = ((128, 256), (1024, 256), (1024, 1024))
EPS, MOMENTUM = 1e-5, 0.1


def _vectors(rng, features, dtype):
    return {
        "gamma": normal(rng, features, dtype),
        "beta": normal(rng, features, dtype),
    }


def _make_batch_norm(rng, shape, dtype):
    mean, spread = 3 * rng.standard_normal(shape[1]), np.exp(rng.standard_normal(shape[1]))
    return {
        "x": (mean + spread * rng.standard_normal(shape)).astype(dtype),
        **_vectors(rng, shape[1], dtype),
        "running_mean": normal(rng, shape[1], dtype),
        "running_var": np.exp(normal(rng, shape[1], dtype)),
        "eps": EPS,
        "momentum": MOMENTUM,
    }


def _batch_norm(x, gamma, beta, running_mean, running_var, eps, momentum):
    n, u = len(x), np.finfo(x.dtype).eps / 2
    x, gamma, beta, run_mean, run_var = map(wide, (x, gamma, beta, running_mean, running_var))
    mean = x.sum(axis=0) / n
    var = ((x - mean) ** 2).sum(axis=0) / n
    inv_std = 1 / np.sqrt(var + eps)
    # The mean is off by at most e_mean u; its square is what the second pass has too much, and takes away.
    e_mean = (n + 3) * np.abs(x).sum(axis=0) / n
    e_var = (n + 8) * (var + (e_mean * u) ** 2)
    relative = 4 + e_var / 2 / (var + eps)
    x_hat = (x - mean) * inv_std
    e_out = np.abs(gamma) * (inv_std * e_mean + np.abs(x_hat) * (6 + relative)) + 2 * np.abs(beta)
    unbiased = var * n / (n - 1)
    parts = ((run_mean, mean, e_mean), (run_var, unbiased, e_var * n / (n - 1)))
    running = [
        (
            (1 - momentum) * old + momentum * new,
            4 * ((1 - momentum) * np.abs(old) + momentum * np.abs(new)) + momentum * error,
        )
        for old, new, error in parts
    ]
    return (x_hat * gamma + beta, e_out), (mean, e_mean), (inv_std, inv_std * relative), *running


def _batch_norm_by_hand(x, gamma, beta, running_mean, running_var, eps, momentum):
    mean, var = x.mean(axis=0), x.var(axis=0)
    running_mean = (1 - momentum) * running_mean + momentum * mean
    running_var = (1 - momentum) * running_var + momentum * var * len(x) / (len(x) - 1)
    return (x - mean) / np.sqrt(var + eps) * gamma + beta


def _batch_norm_inference(x, gamma, beta, running_mean, running_var, eps):
    x, gamma, beta, mean, var = map(wide, (x, gamma, beta, running_mean, running_var))
    scaled = (x - mean) * gamma / np.sqrt(var + eps)
    return scaled + beta, 8 * np.abs(scaled) + 2 * np.abs(beta)


def _make_batch_norm_backward(rng, shape, dtype):
    x = normal(rng, shape, dtype) + 1
    return {
        "dy": normal(rng, shape, dtype),
        "x": x,
        "gamma": normal(rng, shape[1], dtype),
        "mean": x.mean(axis=0, dtype=np.float64).astype(dtype),
        "inv_std": (1 / np.sqrt(x.var(axis=0, dtype=np.float64) + EPS)).astype(dtype),
    }


def _batch_norm_backward(dy, x, gamma, mean, inv_std):
    n = len(x)
    dy, x, gamma, mean, inv_std = map(wide, (dy, x, gamma, mean, inv_std))
    x_hat = (x - mean) * inv_std
    sum_dy, sum_dy_x_hat = dy.sum(axis=0), (dy * x_hat).sum(axis=0)
    e_sum_dy, e_sum_dy_x_hat = n * np.abs(dy).sum(axis=0), (n + 4) * np.abs(dy * x_hat).sum(axis=0)
    dx = gamma * inv_std / n * (n * dy - sum_dy - x_hat * sum_dy_x_hat)
    parts = n * np.abs(dy) + np.abs(sum_dy) + np.abs(x_hat * sum_dy_x_hat)
    e_dx = np.abs(gamma * inv_std / n) * (9 * parts + e_sum_dy + np.abs(x_hat) * e_sum_dy_x_hat)
    return (dx, e_dx), (sum_dy_x_hat, e_sum_dy_x_hat), (sum_dy, e_sum_dy)


def _batch_norm_backward_by_hand(dy, x, gamma, mean, inv_std):
    x_hat = (x - mean) * inv_std
    dbeta, dgamma = dy.sum(axis=0), (dy * x_hat).sum(axis=0)
    return gamma * inv_std / len(x) * (len(x) * dy - dbeta - x_hat * dgamma), dgamma, dbeta


NORMALIZATION = {
    "family": "normalization",
    "bench_shapes": NORM_BENCH,
    "large": (4099, 133),
    "edges": (0.0, -0.0, 1e-310, -1e-40, math.nan),
}

SPECS += [
    Spec(
        name="batch_norm",
        twin="batch_norm",
        make=_make_batch_norm,
        oracle=_batch_norm,
        tiers=dict.fromkeys(("out", "mean", "inv_std", "running_mean", "running_var"), BOUND),
        numpy=_batch_norm_by_hand,
        shapes=BATCHES,
        returns=("out", "mean", "inv_std"),
        in_place=("running_mean", "running_var"),
        edgy=("x",),
        **NORMALIZATION,
    ),
    Spec(
        name="batch_norm_inference",
        twin="affine",
        make=lambda rng, shape, dtype: {
            k: a for k, a in _make_batch_norm(rng, shape, dtype).items() if k != "momentum"
        },
        oracle=_batch_norm_inference,
        tiers={"out": BOUND},
        numpy=lambda x, gamma, beta, running_mean, running_var, eps: (
            (x - running_mean) * (gamma / np.sqrt(running_var + eps)) + beta
        ),
        shapes=((0, 3), (1, 1), *BATCHES),
        rows=("x",),
        over=("x",),
        edgy=("x",),
        **NORMALIZATION,
    ),
    Spec(
        name="batch_norm_backward",
        twin="batch_norm_backward",
        make=_make_batch_norm_backward,
        oracle=_batch_norm_backward,
        tiers=dict.fromkeys(("out", "dgamma", "dbeta"), BOUND),
        numpy=_batch_norm_backward_by_hand,
        shapes=BATCHES,
        returns=("out", "dgamma", "dbeta"),
        edgy=("dy",),
        **NORMALIZATION,
    ),
]

# ---- losses ----

ROWS = (
    (1, 1),
    (1, 2),
    (2, 7),
    (3, 8),
    (7, 9),
    (8, 15),
    (9, 16),
    (15, 17),
    (16, 31),
    (17, 32),
    (31, 33),
    (5, 61),
    (61, 10),
    (3, 1025),
)


def _softmax_parts(z, limits=False):
    """Return softmax, its bound, the logarithm of the sum and its bound, and z less the row's largest.

    With `limits` a single infinity leaves nothing to the others of its row, in place of NaN to all.
    """
    k = z.shape[1]
    endless = np.isposinf(z)
    d = z - z.max(axis=1, keepdims=True, initial=-np.inf)
    if limits:
        d[endless & (endless.sum(axis=1, keepdims=True) == 1)] = 0
    e = np.exp(d)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    # An exponential is off by 4 u and twice the rounding of its argument, the sum by their mean and K - 1 roundings.
    off = 4 + np.where(p > 0, 2 * np.abs(d), 0) + np.log(total)
    off_total = (p * off).sum(axis=1, keepdims=True) + k
    return p, p * (off + off_total + 4), np.log(total), off_total + 2, d


def _softmax(x):
    p, e_p, *_ = _softmax_parts(wide(x))
    return p, e_p


def _log_softmax(x):
    _, _, log_total, e_log_total, d = _softmax_parts(wide(x))
    return d - log_total, 4 * np.abs(d) + e_log_total + 4 * np.abs(log_total)


def _softmax_backward(dy, y):
    dy, y = wide(dy), wide(y)
    total, size = (dy * y).sum(axis=1, keepdims=True), np.abs(dy * y).sum(axis=1, keepdims=True)
    return y * (dy - total), np.abs(y) * ((y.shape[1] + 4) * size + 4 * np.abs(dy))


def _log_softmax_backward(dy, y):
    dy, p = wide(dy), np.exp(wide(y))
    size = np.abs(dy).sum(axis=1, keepdims=True)
    return dy - p * dy.sum(axis=1, keepdims=True), p * (p.shape[1] + 12) * size + 2 * np.abs(dy)


def _make_softmax_backward(of):
    return lambda rng, shape, dtype: {
        "dy": normal(rng, shape, dtype),
        "y": of(normal(rng, shape, np.float64, 4)).astype(dtype) if np.prod(shape) else np.empty(shape, dtype),
    }


def _softmax_by_hand(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _shares(z, sample_weight):
    """Return each row's share of the loss, and in units of u the error of sums over the rows, which are in float64."""
    weight = np.ones(len(z)) if sample_weight is None else sample_weight
    weight = weight.astype(np.longdouble)
    off = (len(z) + 4) * np.finfo(np.float64).eps / np.finfo(z.dtype).eps
    return (weight / weight.sum())[:, None], off


def _mean(losses, bounds, share, off):
    """Average the rows' losses and their bounds."""
    return _times(share, losses).sum(), _times(share, bounds + 2 * off * np.abs(losses)).sum()


def _times(share, values):
    """Multiply; a row of no share is no part of the batch, whatever it holds."""
    return np.where(share > 0, share * values, 0)


def _cross_entropy(logits, target, sample_weight=None, weight=None, label_smoothing=0.0):
    z = wide(logits)
    k = z.shape[1]
    t = np.eye(k)[target] if target.ndim == 1 else wide(target)
    by_class = np.ones(k) if weight is None else np.array(weight)
    t = by_class * ((1 - label_smoothing) * t + label_smoothing / k)
    if target.ndim == 1:  # the mean is by the rows' weights times those of their classes
        t = t / by_class[target][:, None]
        sample_weight = by_class[target] * (1 if sample_weight is None else sample_weight)
    share, off = _shares(logits, sample_weight)
    p, e_p, log_total, e_log_total, d = _softmax_parts(z, limits=True)
    sum_t = t.sum(axis=1, keepdims=True)
    td = np.where(t == 0, 0, t * d)
    losses = sum_t * log_total - td.sum(axis=1, keepdims=True)
    # A target that is computed is off by 4 u.
    e_losses = np.abs(sum_t) * (e_log_total + (k + 8) * log_total) + (k + 8) * np.abs(td).sum(axis=1, keepdims=True)
    grad = _times(share, p * sum_t - t)
    e_grad = _times(share, np.abs(sum_t) * (e_p + (k + 8) * p) + 8 * np.abs(t)) + off * np.abs(grad)
    return _mean(losses, e_losses, share, off), (grad, e_grad)


def _cross_entropy_by_hand(logits, target, sample_weight=None, **settings):
    p = _softmax_by_hand(logits)
    rows = np.arange(len(p))
    loss = -np.log(p[rows, target]).mean() if target.ndim == 1 else -(target * np.log(p)).sum(axis=1).mean()
    if target.ndim == 1:
        p[rows, target] -= 1
    else:
        p -= target
    return loss, p / len(p)


def _columns(parts):
    """Return the oracle of a loss whose columns count for themselves, from its terms.

    `parts(z, t, **settings)` returns the terms, the magnitudes that they and their sums are made of, the derivatives by
    z and the magnitudes of these; each error is a few u of the magnitudes.
    """

    def oracle(**arguments):
        (_, outputs), (_, target), *others = arguments.items()
        settings = dict(others)
        sample_weight = settings.pop("sample_weight", None)
        z = wide(outputs)
        terms, size, slopes, slope_size = parts(z, target if target.ndim == 1 else wide(target), **settings)
        share, off = _shares(outputs, sample_weight)
        share /= z.shape[1]
        losses = terms.sum(axis=1, keepdims=True)
        e_losses = (z.shape[1] + 20) * size.sum(axis=1, keepdims=True)
        e_grad = _times(share, (20 + off) * slope_size)
        return _mean(losses, e_losses, share, off), (_times(share, slopes), e_grad)

    return oracle


def _part(a, b):
    """Multiply as in the limit of b, where a is 0 before b is infinite."""
    return np.where((a == 0) & np.isinf(b), 0, a * b)


def _binary_parts(z, t, pos_weight=None):
    yes, no = np.logaddexp(0, -z), np.logaddexp(0, z)
    p, q = np.exp(-yes), np.exp(-no)
    a = t if pos_weight is None else np.array(pos_weight) * t
    terms, size = (
        _part(a, yes) + _part(1 - t, no),
        np.abs(_part(1 - t, z)) + (1 + a + 2 * t) * np.log1p(np.exp(-np.abs(z))),
    )
    if pos_weight is None:
        return terms, size + np.maximum(z, 0) + np.abs(_part(t, z)), p - t, p + np.abs(p - t)
    size += (1 + a + t) * np.maximum(-z, 0)
    return terms, size, (1 - t) - (1 - t + a) * q, (1 + t) + (1 + a + t) * q


def _log_loss(logits, target, sample_weight=None):
    """Return the oracle of `log_loss`: the losses are held to those of probabilities from eps to 1 - eps."""
    eps = float(np.finfo(logits.dtype).eps)
    z, (share, off) = wide(logits), _shares(logits, sample_weight)
    if target.ndim == 1:
        (_, grads), k = _cross_entropy(logits, target, sample_weight), z.shape[1]
        _, _, log_total, e_log_total, d = _softmax_parts(z, limits=True)
        score = np.take_along_axis(d, target[:, None], axis=1)
        losses, errors = log_total - score, e_log_total + (k + 8) * (log_total + np.abs(score))
    else:
        losses, sizes, slopes, slope_sizes = _binary_parts(z, wide(target))
        grads = _times(share, slopes), _times(share, (20 + off) * slope_sizes)
        errors = (z.shape[1] + 20) * sizes.sum(axis=1, keepdims=True)
    held = np.clip(losses, -np.log1p(-eps), -np.log(eps)).sum(axis=1, keepdims=True)
    return _mean(held, errors + held, share, off), grads


def _log_loss_by_hand(logits, target, sample_weight=None):
    if target.ndim == 1:
        return _cross_entropy_by_hand(logits, target)
    terms, _, slopes, _ = _binary_parts(logits, target)
    return terms.sum(axis=1).mean(), slopes / len(logits)


def _squared_parts(z, t):
    d = z - t
    return d * d, d * d, 2 * d, 2 * np.abs(d)


def _absolute_parts(z, t):
    d = z - t
    return np.abs(d), np.abs(d), np.sign(d), np.abs(np.sign(d))


def _huber_parts(z, t, delta):
    a = np.abs(z - t)
    terms = np.where(a <= delta, a * a / 2, delta * a - delta * delta / 2)
    slopes = np.sign(z - t) * np.where(a <= delta, a, delta)
    return terms, np.where(a <= delta, terms, delta * a + delta * delta), slopes, np.abs(slopes)


def _log_cosh_parts(z, t):
    a = np.abs(z - t)
    near = np.log1p(2 * np.sinh(np.minimum(a, 2) / 2) ** 2)
    terms = np.where(a < 1, near, np.logaddexp(a, -a) - np.log(z.dtype.type(2)))
    slopes = np.tanh(z - t)
    return np.where(np.isnan(a), a, terms), terms + (a > 1) * (a + 1), slopes, np.abs(slopes)


def _poisson_parts(z, t, log_input=True, full=False, deviance=False, eps=1e-8):
    if log_input:
        rate = np.exp(z)
        parts, slopes = (rate, -_part(t, z)), (rate - t, rate + np.abs(t))
    else:
        rate = z + eps
        over = np.where((t == 0) & (rate == 0), 0, t / rate)
        parts, slopes = (z, -_part(t, np.log(rate))), (1 - over, 1 + np.abs(over))
    parts = np.where(np.isposinf(rate), np.inf, parts[0]), np.where(np.isposinf(rate), 0, parts[1])
    t_log_t = t * np.log(np.where(t > 0, t, 1))
    if full:
        parts += (
            np.where(t > 1, t_log_t, 0),
            np.where(t > 1, -t, 0),
            np.where(t > 1, np.log(2 * np.pi * t + (t <= 1)) / 2, 0),
        )
    if deviance:
        parts += (t_log_t, -t)
    return sum(parts), sum(map(np.abs, parts)), *slopes


def _quantile_parts(z, t, quantiles):
    q = np.tile(np.atleast_1d(quantiles), t.shape[1])
    d = np.repeat(t, np.size(quantiles), axis=1) - z
    terms = np.where(d > 0, q * d, (1 - q) * -d)
    slopes = np.select([d > 0, d < 0], [np.broadcast_to(-q, d.shape), np.broadcast_to(1 - q, d.shape)], d)
    return terms, np.abs(d), slopes, 1 + np.abs(slopes)


def _hinge_parts(z, t):
    margin = 1 - t * z
    slopes = np.select([margin > 0, margin <= 0], [-t, 0 * t], margin)
    return np.maximum(margin, 0), np.where(margin > 0, 1 + np.abs(t * z), 0), slopes, np.abs(slopes)


def _squared_hinge_parts(z, t):
    h = np.maximum(1 - t * z, 0)
    return h * h, np.where(h > 0, h * (1 + np.abs(t * z)), 0), -2 * t * h, np.where(h > 0, 2 + 2 * np.abs(t * z), 0)


def _multi_margin_parts(z, t, p, margin):
    mine = np.arange(z.shape[1]) == t[:, None]
    score = z[mine][:, None]
    h = np.where(mine, 0, np.maximum(margin - score + z, 0))
    size = np.where(mine | (h == 0), 0, margin + np.abs(score) + np.abs(z))
    slopes = np.where(h > 0, p * h ** (p - 1), h)
    slopes = np.where(mine, -slopes.sum(axis=1, keepdims=True), slopes)
    slope_size = 2 * size if p == 2 else np.abs(slopes)
    slope_size = np.where(mine, z.shape[1] * slope_size.sum(axis=1, keepdims=True), slope_size)
    return h**p, np.where(h == 0, 0, h ** (p - 1) * size), slopes, slope_size


def _by_hand(parts):
    """Return what a user would write, without care for the dtype or overflow."""

    def loss(**arguments):
        (_, z), (_, t), *others = arguments.items()
        terms, _, slopes, _ = parts(z, t, **{name: value for name, value in others if name != "sample_weight"})
        return terms.mean(), slopes / z.size

    return loss


def _make_loss(target, weighted=False, name="logits", outputs=1, positive=False, **settings):
    """Return what makes arguments: `outputs` columns for each of the target, settings that may depend on the shape."""

    def make(rng, shape, dtype):
        z = normal(rng, (shape[0], shape[1] * outputs), dtype, 4)
        arguments = {name: np.abs(z) if positive else z, "target": target(rng, shape, dtype)}
        arguments |= {k: value(shape) if callable(value) else value for k, value in settings.items()}
        if weighted:
            weight = rng.random(shape[0])
            weight[::3] = 0
            weight[-1] = 1
            arguments["sample_weight"] = weight
        return arguments

    return make


def _classes(rng, shape, dtype):
    return rng.integers(0, shape[1], shape[0])


def _bits(rng, shape, dtype):
    return rng.integers(0, 2, shape).astype(dtype)


def _counts(rng, shape, dtype):
    return rng.poisson(2, shape).astype(dtype)


def _signs(rng, shape, dtype):
    return rng.choice([-1, 1], shape).astype(dtype)


def _ramp(shape):
    """Return a weight for each column."""
    return np.linspace(0.25, 3, shape[1]).tolist()


def _probabilities(rng, shape, dtype):
    t = rng.random(shape)
    t[t < 0.2] = 0
    t[:, 0] += 0.1
    return (t / t.sum(axis=1, keepdims=True)).astype(dtype)


LOSS = {
    "family": "losses",
    "tiers": {"loss": BOUND, "grad": BOUND},
    "returns": ("loss",),
    "out": "grad",
    "shapes": ROWS,
    "bench_shapes": ((128, 10), (1024, 1024)),
    "large": (4099, 37),
    "edges": (0.0, -0.0, 1e-310, -1e-40, 80.0, -200.0, 3e38, -3e38, math.inf, -math.inf, math.nan),
}

SOFTMAX = LOSS | {
    "tiers": {"out": BOUND},
    "returns": ("out",),
    "out": "out",
    "shapes": ((0, 3), (3, 0), *ROWS),
    "edges": (0.0, -0.0, 1e-310, -1e-40, 80.0, -200.0, math.inf, -math.inf, math.nan),
}

SPECS += [
    Spec(
        name="softmax",
        twin="softmax",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype, 4)},
        oracle=_softmax,
        numpy=_softmax_by_hand,
        rows=("x",),
        edgy=("x",),
        **SOFTMAX,
    ),
    Spec(
        name="log_softmax",
        twin="log_softmax",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype, 4)},
        oracle=_log_softmax,
        numpy=lambda x: np.log(_softmax_by_hand(x)),
        rows=("x",),
        edgy=("x",),
        **SOFTMAX,
    ),
    Spec(
        name="softmax_backward",
        twin="softmax_backward",
        make=_make_softmax_backward(_softmax_by_hand),
        oracle=_softmax_backward,
        numpy=lambda dy, y: y * (dy - (dy * y).sum(axis=1, keepdims=True)),
        rows=("dy", "y"),
        over=("dy",),
        edgy=("dy",),
        **SOFTMAX,
    ),
    Spec(
        name="log_softmax_backward",
        twin="log_softmax_backward",
        make=_make_softmax_backward(lambda x: np.log(_softmax_by_hand(x))),
        oracle=_log_softmax_backward,
        numpy=lambda dy, y: dy - np.exp(y) * dy.sum(axis=1, keepdims=True),
        rows=("dy", "y"),
        over=("dy",),
        edgy=("dy",),
        **SOFTMAX,
    ),
    Spec(
        name="cross_entropy",
        twin="loss",
        make=_make_loss(_classes),
        oracle=_cross_entropy,
        numpy=_cross_entropy_by_hand,
        edgy=("logits",),
        **LOSS,
    ),
    Spec(
        name="cross_entropy of probabilities, weighted",
        function="cross_entropy",
        twin="loss",
        make=_make_loss(_probabilities, weighted=True),
        oracle=_cross_entropy,
        numpy=_cross_entropy_by_hand,
        edgy=("logits",),
        **LOSS,
    ),
    Spec(
        name="cross_entropy, smoothed and weighted by class",
        function="cross_entropy",
        twin="loss",
        make=_make_loss(_classes, weighted=True, weight=_ramp, label_smoothing=0.1),
        oracle=_cross_entropy,
        numpy=_cross_entropy_by_hand,
        edgy=("logits",),
        **LOSS,
    ),
    Spec(
        name="cross_entropy of probabilities, smoothed and weighted by class",
        function="cross_entropy",
        twin="loss",
        make=_make_loss(_probabilities, weighted=True, weight=_ramp, label_smoothing=0.1),
        oracle=_cross_entropy,
        numpy=_cross_entropy_by_hand,
        edgy=("logits",),
        **LOSS,
    ),
]

SPECS += [
    Spec(
        name=f"log_loss{how}",
        function="log_loss",
        twin="loss",
        make=_make_loss(target, weighted=weighted),
        oracle=_log_loss,
        numpy=_log_loss_by_hand,
        edgy=("logits",),
        **LOSS,
    )
    for how, target, weighted in (("", _classes, False), (" of columns, weighted", _bits, True))
]


def _loss(function, parts, target, *, how="", edgy=(), name="prediction", weighted=False, **more):
    return Spec(
        name=function + how,
        function=function,
        twin="loss",
        make=_make_loss(target, weighted=weighted, name=name, **more),
        oracle=_columns(parts),
        numpy=_by_hand(parts),
        edgy=(name, *edgy),
        **LOSS,
    )


SPECS += [
    _loss("binary_cross_entropy", _binary_parts, _probabilities, name="logits"),
    _loss(
        "binary_cross_entropy",
        _binary_parts,
        _probabilities,
        how=" by column, weighted",
        name="logits",
        weighted=True,
        pos_weight=_ramp,
    ),
    _loss("mean_squared_error", _squared_parts, normal, edgy=("target",)),
    _loss("mean_squared_error", _squared_parts, normal, how=", weighted", edgy=("target",), weighted=True),
    _loss("mean_absolute_error", _absolute_parts, normal, edgy=("target",)),
    _loss("huber", _huber_parts, normal, edgy=("target",), delta=1.5),
    _loss("log_cosh", _log_cosh_parts, normal, edgy=("target",)),
    _loss("poisson", _poisson_parts, _counts),
    _loss(
        "poisson", _poisson_parts, _counts, how=" of rates in full", positive=True, log_input=False, full=True, eps=0.25
    ),
    _loss("poisson", _poisson_parts, _counts, how=", the deviance", deviance=True),
    _loss("quantile", _quantile_parts, normal, edgy=("target",), quantiles=0.25),
    _loss("quantile", _quantile_parts, normal, how=" at three", outputs=3, quantiles=(0.125, 0.5, 0.9)),
    _loss("hinge", _hinge_parts, _signs),
    _loss("squared_hinge", _squared_hinge_parts, _signs),
    _loss("multi_margin", _multi_margin_parts, _classes, p=1, margin=0.75),
    _loss("multi_margin", _multi_margin_parts, _classes, how=" squared", p=2, margin=0.75),
]

# ---- optimisers ----


def _make_update(slots, **parameters):
    def make(rng, shape, dtype):
        w, g = normal(rng, shape, dtype), normal(rng, shape, dtype)
        arguments = {"w": w, "g": g}
        for slot in slots:
            value = normal(rng, shape, dtype)
            value = value * value if slot in ("v", "u", "top") else value
            # Some units are dead: their slots are about to fall below the normal numbers.
            dead = np.asarray(rng.random(shape) < 0.2)
            arguments[slot] = np.where(dead, np.finfo(dtype).tiny * (0.5 + rng.random(shape)), value).astype(dtype)
            g[dead] = 0
        return arguments | parameters

    return make


def _keep(value, dtype):
    """Return a slot's new value: 0 in place of denormals."""
    return np.where(np.abs(value) < np.finfo(dtype).tiny, 0, value)


def _widen(dtype, *values):
    return [np.asarray(value).astype(dtype).astype(np.float64) for value in values]


def _sgd(w, g, lr):
    r = rounder(w)
    w64, g64, lr = _widen(w.dtype, w, g, lr)
    return r(w64 - r(lr * g64)).astype(w.dtype)


def _momentum(w, g, buf, lr, momentum, dampening=0.0):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu, rest = _widen(dtype, w, g, buf, lr, momentum, 1 - dampening)
    b = _keep(r(r(mu * b) + r(rest * g64)), dtype)
    return r(w64 - r(lr * b)).astype(dtype), b.astype(dtype)


def _nesterov(w, g, buf, lr, momentum):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu = _widen(dtype, w, g, buf, lr, momentum)
    b = _keep(r(r(mu * b) + g64), dtype)
    return r(w64 - r(lr * r(g64 + r(mu * b)))).astype(dtype), b.astype(dtype)


def _velocity(w, g, buf, lr, momentum):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu = _widen(dtype, w, g, buf, lr, momentum)
    b = _keep(r(r(mu * b) - r(lr * g64)), dtype)
    return r(w64 + b).astype(dtype), b.astype(dtype)


def _nesterov_velocity(w, g, buf, lr, momentum):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu = _widen(dtype, w, g, buf, lr, momentum)
    b = _keep(r(r(mu * b) - r(lr * g64)), dtype)
    return r(w64 + r(r(mu * b) - r(lr * g64))).astype(dtype), b.astype(dtype)


def _rmsprop(w, g, v, lr, alpha, eps):
    r, dtype = rounder(w), w.dtype
    w64, g64, v, lr, a, rest, eps = _widen(dtype, w, g, v, lr, alpha, 1 - alpha, eps)
    v = _keep(r(r(a * v) + r(rest * r(g64 * g64))), dtype)
    return r(w64 - r(r(lr * g64) / r(r(np.sqrt(v)) + eps))).astype(dtype), v.astype(dtype)


def _rmsprop_all(w, g, lr, alpha, eps, momentum=None, centered=False, **slots):
    r, dtype = rounder(w), w.dtype
    w64, g64, v, lr, a, rest, eps = _widen(dtype, w, g, slots["v"], lr, alpha, 1 - alpha, eps)
    v = _keep(r(r(a * v) + r(rest * r(g64 * g64))), dtype)
    kept, square = [v], v
    if centered:
        (mean,) = _widen(dtype, slots["mean"])
        mean = _keep(r(mean + r(rest * r(g64 - mean))), dtype)
        square = np.maximum(r(v - r(mean * mean)), 0)
        kept.append(mean)
    root = r(r(np.sqrt(square)) + eps)
    if momentum is None:
        w64 = r(w64 - r(r(lr * g64) / root))
    else:
        b, mu = _widen(dtype, slots["buf"], momentum)
        b = _keep(r(r(mu * b) + r(g64 / root)), dtype)
        w64 = r(w64 - r(lr * b))
        kept.append(b)
    return w64.astype(dtype), *(slot.astype(dtype) for slot in kept)


_rmsprop_centered = functools.partial(_rmsprop_all, centered=True)


def _adagrad(w, g, v, lr, eps):
    r, dtype = rounder(w), w.dtype
    w64, g64, v, lr, eps = _widen(dtype, w, g, v, lr, eps)
    v = _keep(r(v + r(g64 * g64)), dtype)
    return r(w64 - r(r(lr * g64) / r(r(np.sqrt(v)) + eps))).astype(dtype), v.astype(dtype)


def _adadelta(w, g, v, u, lr, rho, eps):
    r, dtype = rounder(w), w.dtype
    w64, g64, v, u, lr, rest, rho, eps = _widen(dtype, w, g, v, u, lr, 1 - rho, rho, eps)
    v = _keep(r(r(rho * v) + r(rest * r(g64 * g64))), dtype)
    d = r(r(r(np.sqrt(r(u + eps))) / r(np.sqrt(r(v + eps)))) * g64)
    u = _keep(r(r(rho * u) + r(rest * r(d * d))), dtype)
    return r(w64 - r(lr * d)).astype(dtype), v.astype(dtype), u.astype(dtype)


def _amsgrad(w, g, m, v, top, step, lr, beta1, beta2, eps):
    r, dtype = rounder(w), w.dtype
    root = math.sqrt(1 - beta2**step)
    w64, g64, m, v, top = _widen(dtype, w, g, m, v, top)
    size = lr * root / (1 - beta1**step)
    size, rest1, beta2, rest2, eps = _widen(dtype, size, 1 - beta1, beta2, 1 - beta2, eps * root)
    m = _keep(r(m + r(rest1 * r(g64 - m))), dtype)
    v = _keep(r(r(beta2 * v) + r(rest2 * r(g64 * g64))), dtype)
    top = np.maximum(top, v)
    return r(w64 - r(r(size * m) / r(r(np.sqrt(top)) + eps))).astype(dtype), *(s.astype(dtype) for s in (m, v, top))


def _nadam(w, g, m, v, step, lr, beta1, beta2, eps, momentum_decay):
    r, dtype = rounder(w), w.dtype
    root = math.sqrt(1 - beta2**step)
    mu = [beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, step + 2)]
    at_g = lr * root * (1 - mu[-2]) / (1 - math.prod(mu[:-1]))
    at_m = lr * root * mu[-1] / (1 - math.prod(mu))
    w64, g64, m, v, at_g, at_m = _widen(dtype, w, g, m, v, at_g, at_m)
    rest1, beta2, rest2, eps = _widen(dtype, 1 - beta1, beta2, 1 - beta2, eps * root)
    m = _keep(r(m + r(rest1 * r(g64 - m))), dtype)
    v = _keep(r(r(beta2 * v) + r(rest2 * r(g64 * g64))), dtype)
    return r(w64 - r(r(r(at_g * g64) + r(at_m * m)) / r(r(np.sqrt(v)) + eps))).astype(dtype), *(
        s.astype(dtype) for s in (m, v)
    )


def _adam(w, g, m, v, step, lr, beta1, beta2, eps):
    r, dtype = rounder(w), w.dtype
    root = math.sqrt(1 - beta2**step)
    w64, g64, m, v = _widen(dtype, w, g, m, v)
    size = lr * root / (1 - beta1**step)
    size, rest1, beta2, rest2, eps = _widen(dtype, size, 1 - beta1, beta2, 1 - beta2, eps * root)
    m = _keep(r(m + r(rest1 * r(g64 - m))), dtype)
    v = _keep(r(r(beta2 * v) + r(rest2 * r(g64 * g64))), dtype)
    return r(w64 - r(r(size * m) / r(r(np.sqrt(v)) + eps))).astype(dtype), m.astype(dtype), v.astype(dtype)


def _momentum_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf += g
    w -= lr * buf


def _damped_by_hand(w, g, buf, lr, momentum, dampening):
    buf *= momentum
    buf += (1 - dampening) * g
    w -= lr * buf


def _nesterov_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf += g
    w -= lr * (g + momentum * buf)


def _velocity_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf -= lr * g
    w += buf


def _nesterov_velocity_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf -= lr * g
    w += momentum * buf - lr * g


def _sgd_by_hand(w, g, lr):
    w -= lr * g


def _rmsprop_by_hand(w, g, v, lr, alpha, eps):
    v *= alpha
    v += (1 - alpha) * g * g
    w -= lr * g / (np.sqrt(v) + eps)


def _adagrad_by_hand(w, g, v, lr, eps):
    v += g * g
    w -= lr * g / (np.sqrt(v) + eps)


def _adadelta_by_hand(w, g, v, u, lr, rho, eps):
    v *= rho
    v += (1 - rho) * g * g
    d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u *= rho
    u += (1 - rho) * d * d
    w -= lr * d


def _rmsprop_all_by_hand(w, g, v, lr, alpha, eps, mean=None, buf=None, momentum=0.0):
    v *= alpha
    v += (1 - alpha) * g * g
    square = v
    if mean is not None:
        mean *= alpha
        mean += (1 - alpha) * g
        square = v - mean * mean
    if buf is None:
        w -= lr * g / (np.sqrt(square) + eps)
    else:
        buf *= momentum
        buf += g / (np.sqrt(square) + eps)
        w -= lr * buf


def _amsgrad_by_hand(w, g, m, v, top, step, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    np.maximum(top, v, out=top)
    w -= lr * (m / (1 - beta1**step)) / (np.sqrt(top / (1 - beta2**step)) + eps)


def _nadam_by_hand(w, g, m, v, step, lr, beta1, beta2, eps, momentum_decay):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    mu = beta1 * (1 - 0.5 * 0.96 ** (np.arange(1, step + 2) * momentum_decay))
    rate, mean_rate = (1 - mu[-2]) / (1 - mu[:-1].prod()), mu[-1] / (1 - mu.prod())
    w -= lr * (rate * g + mean_rate * m) / (np.sqrt(v / (1 - beta2**step)) + eps)


def _adam_by_hand(w, g, m, v, step, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    w -= lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)


def _update(name, slots, oracle, by_hand, named="", **parameters):
    changed = ("w", *slots)
    return Spec(
        name=named or name,
        function=name,
        family="optimizers",
        twin="update",
        make=_make_update(slots, **parameters),
        oracle=oracle,
        tiers=dict.fromkeys(changed, EXACT),
        numpy=by_hand,
        returns=("w",),
        out=None,
        in_place=changed,
        edgy=("w", "g"),
        **{k: a for k, a in ELEMENTWISE.items() if k not in ("elementwise", "bench_shapes")},
        bench_shapes=((4096,), (1 << 20,)),
    )


RMSPROP = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8}
ADAM = {"step": 3, "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}

SPECS += [
    _update("sgd", (), _sgd, _sgd_by_hand, lr=0.05),
    _update("momentum", ("buf",), _momentum, _momentum_by_hand, lr=0.05, momentum=0.9),
    _update(
        "momentum", ("buf",), _momentum, _damped_by_hand, lr=0.05, momentum=0.9, dampening=0.3, named="damped momentum"
    ),
    _update("nesterov", ("buf",), _nesterov, _nesterov_by_hand, lr=0.05, momentum=0.9),
    _update("velocity", ("buf",), _velocity, _velocity_by_hand, lr=0.05, momentum=0.9),
    _update("nesterov_velocity", ("buf",), _nesterov_velocity, _nesterov_velocity_by_hand, lr=0.05, momentum=0.9),
    _update("rmsprop", ("v",), _rmsprop, _rmsprop_by_hand, lr=0.01, alpha=0.99, eps=1e-8),
    _update("adagrad", ("v",), _adagrad, _adagrad_by_hand, lr=0.05, eps=1e-10),
    _update("adadelta", ("v", "u"), _adadelta, _adadelta_by_hand, lr=0.7, rho=0.9, eps=1e-6),
    _update("rmsprop_momentum", ("v", "buf"), _rmsprop_all, _rmsprop_all_by_hand, **RMSPROP, momentum=0.9),
    _update(
        "rmsprop_centered",
        ("v", "mean"),
        functools.partial(_rmsprop_all, centered=True),
        _rmsprop_all_by_hand,
        **RMSPROP,
    ),
    _update(
        "rmsprop_centered_momentum",
        ("v", "mean", "buf"),
        functools.partial(_rmsprop_all, centered=True),
        _rmsprop_all_by_hand,
        **RMSPROP,
        momentum=0.9,
    ),
    _update("adam", ("m", "v"), _adam, _adam_by_hand, **ADAM),
    _update("amsgrad", ("m", "v", "top"), _amsgrad, _amsgrad_by_hand, **ADAM),
    _update("nadam", ("m", "v"), _nadam, _nadam_by_hand, **ADAM, momentum_decay=4e-3),
]


def _regularize(w, g, l1, l2):
    r = rounder(w)
    w64, g64, l1, l2 = _widen(w.dtype, w, g, l1, l2)
    return r(g64 + r(r(l2 * w64) + r(l1 * np.sign(w64)))).astype(w.dtype)


def _limit_norms(w, limit):
    square = np.zeros(w.shape[1])
    for row in w.astype(np.float64):
        square = square + row * row
    norm = np.sqrt(square)
    return w * np.where(norm > limit, limit / norm, 1).astype(w.dtype)


def _limit_norms_by_hand(w, limit):
    norm = np.linalg.norm(w, axis=0)
    w *= np.minimum(1, limit / norm)


def _sums(x):
    """Entries i, i + 8, ... of each 512 in turn, the eight sums by halves, then one chunk after the other."""
    totals = [np.float64(0), np.float64(0)]
    for start in range(0, x.size, 512):
        chunk = np.zeros(512)
        some = x.reshape(-1)[start : start + 512]
        chunk[: some.size] = some
        for which, terms in enumerate((np.abs(chunk), chunk * chunk)):
            e = [functools.reduce(operator.add, terms[j::8], np.float64(0)) for j in range(8)]
            totals[which] += ((e[0] + e[4]) + (e[2] + e[6])) + ((e[1] + e[5]) + (e[3] + e[7]))
    return tuple(totals)


SPECS += [
    Spec(
        name="regularize",
        family="optimizers",
        twin="regularize",
        make=lambda rng, shape, dtype: {
            "w": normal(rng, shape, dtype), "g": normal(rng, shape, dtype), "l1": 0.01, "l2": 0.3,
        },
        oracle=_regularize,
        tiers={"out": EXACT},
        numpy=lambda w, g, l1, l2: g + l2 * w + l1 * np.sign(w),
        edgy=("w", "g"),
        **ELEMENTWISE,
    ),
    Spec(
        name="clip",
        family="optimizers",
        twin="clip",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "limit": 0.7},
        oracle=lambda x, limit: np.clip(x, -x.dtype.type(limit), x.dtype.type(limit)),
        tiers={"out": EXACT},
        numpy=lambda x, limit: np.clip(x, -limit, limit),
        edgy=("x",),
        **ELEMENTWISE,
    ),
    Spec(
        name="scale",
        family="optimizers",
        twin="scale",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "factor": 0.7},
        oracle=lambda x, factor: rounder(x)(float(x.dtype.type(factor)) * x.astype(np.float64)).astype(x.dtype),
        tiers={"out": EXACT},
        numpy=lambda x, factor: factor * x,
        edgy=("x",),
        **ELEMENTWISE,
    ),
    Spec(
        name="limit_norms",
        family="optimizers",
        twin="limit_norms",
        make=lambda rng, shape, dtype: {"w": normal(rng, shape, dtype), "limit": math.sqrt(shape[0])},
        oracle=_limit_norms,
        tiers={"w": EXACT},
        numpy=_limit_norms_by_hand,
        returns=("w",),
        out=None,
        in_place=("w",),
        edgy=("w",),
        shapes=((1, 0), (1, 1), (3, 1), (2, 8), (7, 9), (33, 63), (100, 64), (61, 65), (5, 130)),
        bench_shapes=((784, 256),),
        large=(700, 1100),
    ),
    Spec(
        name="sums",
        family="optimizers",
        twin="sums",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype)},
        oracle=_sums,
        tiers={"magnitude": EXACT, "square": EXACT},
        numpy=lambda x: (np.abs(x).sum(), (x * x).sum()),
        returns=("magnitude", "square"),
        out=None,
        edgy=("x",),
        **{k: a for k, a in ELEMENTWISE.items() if k != "elementwise"},
    ),
]  # fmt: skip

# ---- gather ----


def _make_gather(source):
    def make(rng, shape, dtype):
        count, rows, features = shape
        x = rng.integers(0, 256, (rows, features)) if source == np.uint8 else rng.standard_normal((rows, features))
        picked = rng.integers(0, max(rows, 1), count)
        return {"x": x.astype(source or dtype), "rows": picked, "dtype": dtype}

    return make


GATHER = {
    "family": "gather",
    "twin": "gather",
    "function": "gather",
    "oracle": lambda x, rows, dtype: (
        np.array([x[row] for row in rows], x.dtype).reshape(len(rows), x.shape[1]).astype(dtype)
    ),
    "tiers": {"out": EXACT},
    "numpy": lambda x, rows, dtype: x[rows].astype(dtype),
    "shapes": ((0, 3, 4), (0, 0, 4), (3, 2, 0), (1, 1, 1), (7, 5, 9), (9, 31, 17), (33, 8, 33), (17, 61, 127)),
    "bench_shapes": ((128, 60_000, 784),),
    "large": (4099, 301, 133),
}

SPECS += [
    Spec(name="gather", make=_make_gather(None), edgy=("x",), **GATHER),
    Spec(name="gather of bytes", make=_make_gather(np.uint8), **GATHER),
    Spec(name="gather of float64", make=_make_gather(np.float64), edgy=("x",), **GATHER),
    Spec(name="gather of float32", make=_make_gather(np.float32), edgy=("x",), **GATHER),
]

BY_NAME = {spec.name: spec for spec in SPECS}
