"""Tests of kernels without oracles: published test vectors, identities, limits, derivatives by differences."""

import math
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
from specs import BY_NAME, mask_bits, philox_block, same_bits

import fastnn
from fastnn import kernels
from fastnn._activations import ACTIVATIONS
from fastnn.kernels import _dropout_ref

ZERO, ONES = ((0, 0, 0, 0), (0, 0)), ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2)
PI = ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0))
# Random123's known answers for philox4x32: rounds, counter and key, words.
KNOWN_ANSWERS = [
    (7, ZERO, (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
    (7, ONES, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
    (7, PI, (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A)),
    (10, ZERO, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (10, ONES, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (10, PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("rounds", "input", "words"), KNOWN_ANSWERS)
def test_philox_known_answers(rounds, input, words):
    counter, key = input
    block, seed = counter[0] | counter[1] << 32, key[0] | key[1] << 32
    assert tuple(philox_block(block, seed, counter[3], counter[2], rounds)) == words
    twin = _dropout_ref.philox(np.array([block], np.uint64), seed, counter[3], counter[2], rounds)
    assert tuple(twin[0].tolist()) == words


def test_random_bits_known_answer(impl):
    assert tuple(kernels.random_bits(4, seed=0).tolist()) == KNOWN_ANSWERS[3][2]


def test_dropout_known_answer(impl):
    words = KNOWN_ANSWERS[0][2]
    kept = [half >= 0x8000 for word in words for half in (word & 0xFFFF, word >> 16)]
    assert (kernels.dropout(np.ones(8), 0.5, seed=0) > 0).tolist() == kept


@pytest.mark.parametrize("first", [0, 1, 2, 3, 2**32 * 4 - 5, 2**63 - 1 - 20])
def test_random_bits_far_from_the_start(impl, first):
    key = {"seed": 2**64 - 1, "stream": 2**32 - 1, "step": 2**32 - 2}
    got = kernels.random_bits(20, first=first, **key)
    expected = [philox_block(i // 4, 2**64 - 1, 2**32 - 1, 2**32 - 2)[i % 4] for i in range(first, first + 20)]
    assert got.tolist() == expected


# Probabilities at the first element's bits, and half a step and a step from them on both sides.
AT_FIRST = [(2 * int(mask_bits(1, 5, 0, 0)[0]) + halves) / 2**17 for halves in (-2, -1, 0, 1, 2)]


@pytest.mark.parametrize("p", [0.0, 2.0**-17, 3 * 2.0**-17, 2.0**-16, 0.25, 0.5, 0.999, 1 - 2.0**-17, 1.0, *AT_FIRST])
def test_dropout_at_every_threshold(impl, dtype, p):
    """Both backends round p * 2^16 to the even neighbour, and p = 1 does not divide by zero."""
    bits = mask_bits(4096, 5, 0, 0)
    got = kernels.dropout(np.ones(4096, dtype), p, seed=5)
    scale = 0 if p == 1 else np.dtype(dtype).type(1 / (1 - p))
    same_bits(got, np.where(bits >= round(p * 2**16), scale, 0).astype(dtype))


def test_dropout_keeps_the_share_it_should(impl):
    n = 200_000
    for p in (0.1, 0.5, 0.9):
        kept = np.count_nonzero(kernels.dropout(np.ones(n), p, seed=3))
        assert abs(kept - n * (1 - p)) < 5 * np.sqrt(n * p * (1 - p))


def test_dropout_differs_by_seed_stream_and_step(impl):
    x = np.ones(256)
    results = [kernels.dropout(x, 0.5, seed=s, stream=a, step=b) for s in (0, 1, 2**32) for a in (0, 1) for b in (0, 1)]
    assert len({result.tobytes() for result in results}) == len(results)


def test_permutations_are_uniform(impl):
    """The counts of all orders of three: Pearson's statistic with 5 degrees of freedom exceeds 25.7 once in 10 000."""
    counts = dict.fromkeys([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)], 0)
    for step in range(3000):
        counts[tuple(kernels.permutation(3, seed=9, step=step).tolist())] += 1
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 25.7


def test_permutation_holds_every_row_once(impl):
    for n in (0, 1, 5, 1000):
        assert sorted(kernels.permutation(n, seed=1)) == list(range(n))


def test_relu_is_never_minus_zero(impl, dtype):
    assert not np.signbit(kernels.relu(np.array([-0.0, -1.0, 0.0, 5.0], dtype))).any()


def test_derivatives_at_zero(impl):
    assert kernels.relu_backward([7.0], [0.0]) == 0
    assert kernels.leaky_relu_backward([1.0], [0.0], 0.25) == 0.25


# Name, parameters, x, f'(x): PyTorch's values at each kink.
KINKS = [
    ("relu6", (), (-1, 0, 6, 7), (0, 0, 0, 0)),
    ("hard_tanh", (), (-1, 1), (0, 0)),
    ("hard_tanh", (-2, 0.5), (-2, -1, 0.5), (0, 1, 0)),
    ("threshold", (1, 3), (1, 1.5), (0, 1)),
    ("hard_sigmoid", (), (-3, 3), (0, 0)),
    ("hard_swish", (), (-3, 3), (0, 1)),
    ("elu", (0.5,), (0,), (0.5,)),
    ("selu", (), (0,), (1.0507009873554805 * 1.6732632423543772,)),
    ("celu", (0.5,), (0,), (1,)),
]


@pytest.mark.parametrize(("name", "parameters", "x", "expected"), KINKS)
def test_derivatives_at_kinks(name, parameters, x, expected, impl, dtype):
    x, f = np.array(x, dtype), getattr(kernels, name)
    derivative_from = f(x, *parameters) if ACTIVATIONS[name].derivative_from == "output" else x
    got = getattr(kernels, f"{name}_backward")(np.ones_like(x), derivative_from, *parameters)
    np.testing.assert_allclose(got, expected, rtol=2 * np.finfo(dtype).eps)


# f and f' at -inf and at +inf. PyTorch's formulas give NaN for some of them.
LIMITS = {
    "softsign": ((-1, 1), (0, 0)),
    "hard_swish": ((0, np.inf), (0, 1)),
    "elu": ((-1, np.inf), (0, 1)),
    "softplus": ((0, np.inf), (0, 1)),
    "silu": ((0, np.inf), (0, 1)),
    "mish": ((0, np.inf), (0, 1)),
    "gelu": ((0, np.inf), (0, 1)),
    "gelu_tanh": ((0, np.inf), (0, 1)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_at_infinity(name, impl, dtype):
    x = np.array([-np.inf, np.inf], dtype)
    y = getattr(kernels, name)(x)
    derivative_from = y if ACTIVATIONS[name].derivative_from == "output" else x
    slopes = getattr(kernels, f"{name}_backward")(np.ones_like(x), derivative_from)
    assert (y.tolist(), slopes.tolist()) == tuple(map(list, LIMITS[name]))


# Functions whose left tail falls to 0, and the argument where it falls below the normal numbers.
TAILS = {
    "silu": (lambda x: x / (1 + mpmath.exp(-x)), {"float32": -91.8, "float64": -714.9}),
    "mish": (lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), {"float32": -91.8, "float64": -714.9}),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), {"float32": -87.3, "float64": -708.3}),
    "gelu": (lambda x: x / 2 * mpmath.erfc(-x / mpmath.sqrt(2)), {"float32": -13.1, "float64": -37.4}),
    "gelu_tanh": (
        lambda x: x / (1 + mpmath.exp(-mpmath.sqrt(8 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
        {"float32": -10.0, "float64": -21.1},
    ),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", TAILS)
def test_tails_fall_to_zero_with_all_their_digits(name, impl, dtype):
    """Within 4 ULP of f at some x' within 2 ULP of x: by arithmetic of 400 digits, as 1 + e^x rounds to 1 in fewer."""
    exact, ends = TAILS[name]
    x = np.linspace(ends[dtype.name], -1, 60).astype(dtype)
    y = getattr(kernels, name)(x)
    with mpmath.workdps(400):
        for argument, got in zip(x, y, strict=True):
            near = [exact(mpmath.mpf(float(argument + k * np.spacing(argument)))) for k in (-2, 0, 2)]
            allowed = 4 * mpmath.mpf(float(np.spacing(np.abs(got))))
            assert min(near) - allowed <= mpmath.mpf(float(got)) <= max(near) + allowed, (argument, got)


# Arguments for which bodies branch: zeros, non-finite numbers, and results at and below the smallest normal number.
BRANCHING = (
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1e-40,
    3e38,
    -10.2,
    -13.4,
    -14.4,
    -21.3,
    -37.8,
    -88.1,
    -103.0,
    -710.0,
    -745.0,
)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_element_does_not_depend_on_its_neighbours(name, impl, dtype, rng):
    """Some bodies branch for a whole vector: the branch for one element must give all others the same bits."""
    x = rng.uniform(-6, 6, 4099).astype(dtype)
    dy = rng.standard_normal(x.size).astype(dtype)
    replaced = np.zeros(x.size, bool)
    replaced[::7] = True
    mixed = x.copy()
    mixed[replaced] = np.resize(BRANCHING, replaced.sum())
    derivative_from = (x, mixed)
    if ACTIVATIONS[name].derivative_from == "output":
        derivative_from = tuple(getattr(kernels, name)(a) for a in derivative_from)
    forward = [getattr(kernels, name)(a) for a in (x, mixed)]
    backward = [getattr(kernels, f"{name}_backward")(dy, a) for a in derivative_from]
    for alone, beside in (forward, backward):
        np.testing.assert_array_equal(
            beside[~replaced].view(f"u{dtype.itemsize}"), alone[~replaced].view(f"u{dtype.itemsize}")
        )


def test_errors_that_the_docstrings_state_are_the_tiers():
    for name, row in ACTIVATIONS.items():
        assert row.measured_error is None or row.measured_error <= BY_NAME[name].tiers["out"].k
        for stated, spec in zip(row.error, (BY_NAME[name], BY_NAME[f"{name}_backward"]), strict=True):
            assert stated == str(spec.tiers["out"])


def test_tanh_is_odd_monotone_and_bounded(impl, dtype, rng):
    x = np.sort(np.concatenate([rng.uniform(-12, 12, 20_000), np.geomspace(1e-300, 1e3, 5000)])).astype(dtype)
    y = kernels.tanh(x)
    assert np.abs(y).max() <= 1
    same_bits(kernels.tanh(-x), -y)
    # The order of neighbours may be reversed within the error that is allowed.
    assert (np.diff(y) >= -2 * np.spacing(np.abs(y[1:]))).all()
    assert kernels.tanh(np.array([30.0, -30.0], dtype)).tolist() == [1, -1]


def test_sigmoid_complements(impl, dtype, rng):
    x = rng.uniform(-30, 30, 10_000).astype(dtype)
    total = kernels.sigmoid(x).astype(np.longdouble) + kernels.sigmoid(-x)
    assert np.abs(total - 1).max() <= 2 * np.finfo(dtype).eps
    assert kernels.sigmoid(np.array([0.0, 1e4, -1e4], dtype)).tolist() == [0.5, 1, 0]


@pytest.mark.parametrize(
    ("name", "exact"), [("tanh", mpmath.tanh), ("sigmoid", lambda x: 1 / (1 + mpmath.exp(-x)))], ids=["tanh", "sigmoid"]
)
def test_elementary_functions_to_2_ulp(name, exact, impl, dtype, rng):
    """Compare with arithmetic of 50 digits, from the denormals to magnitudes at which the function is constant."""
    info = np.finfo(dtype)
    x = np.concatenate([rng.uniform(-20, 20, 700), np.geomspace(float(info.smallest_subnormal), 700, 200)])
    x = np.concatenate([x, -x]).astype(dtype)
    y = getattr(kernels, name)(x)
    with mpmath.workdps(50):
        for argument, got in zip(x.tolist(), y, strict=True):
            true = exact(mpmath.mpf(argument))
            assert abs(mpmath.mpf(float(got)) - true) <= 2 * float(np.spacing(np.abs(got))), (argument, got)


def test_softmax_rows(impl, dtype, rng):
    x = (30 * rng.standard_normal((50, 17))).astype(dtype)
    p = kernels.softmax(x)
    assert np.abs(p.astype(np.longdouble).sum(axis=1) - 1).max() <= 20 * np.finfo(dtype).eps
    assert (kernels.softmax(np.full((2, 4), np.array(1e30, dtype))) == 0.25).all()
    nan = kernels.softmax(np.array([[np.inf, 1], [-np.inf, -np.inf], [np.nan, 0]], dtype))
    assert np.isnan(nan).all()


def test_cross_entropy_of_equal_logits_is_log_k(impl, dtype):
    for k in (1, 2, 10, 1000):
        loss = kernels.cross_entropy(np.full((3, k), 5, dtype), [0, k - 1, k // 2])
        assert loss == pytest.approx(np.log(k), rel=float(4 * k * np.finfo(dtype).eps))


def test_cross_entropy_takes_masked_classes(impl, dtype):
    """A logit of -inf is an impossible class: it adds nothing to the loss where its target is 0."""
    z = np.array([[0, -np.inf, 0]], dtype)
    grad = np.empty_like(z)
    for target in ([0], np.array([[1, 0, 0]], dtype)):
        assert kernels.cross_entropy(z, target, grad=grad) == pytest.approx(np.log(2), rel=1e-6)
        assert grad.tolist() == [[-0.5, 0, 0.5]]
    assert kernels.cross_entropy(z, [1]) == np.inf


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy", "mean_squared_error"])
def test_rows_of_weight_0_are_no_part_of_a_loss(name, impl, dtype, rng):
    loss = getattr(kernels, name)
    z, t = rng.standard_normal((2, 6, 4)).astype(dtype)
    t = np.abs(t)
    weight = np.array([1.0, 0, 2, 0, 0.5, 0])
    z[1], z[3] = np.nan, np.inf
    grad, expected = np.empty_like(z), np.empty((3, 4), dtype)
    without = loss(np.ascontiguousarray(z[::2]), t[::2], weight[::2], grad=expected)
    assert loss(z, t, weight, grad=grad) == pytest.approx(without, rel=1e-12)
    same_bits(grad[::2], expected)
    assert (grad[1::2] == 0).all()
    assert loss(z, t, np.zeros(6), grad=grad) == 0
    assert (grad == 0).all()


def test_a_weight_of_n_is_n_rows(impl, rng):
    z, t = rng.standard_normal((5, 3)), rng.integers(0, 3, 5)
    count = np.array([1, 2, 3, 1, 2])
    assert kernels.cross_entropy(z, t, count) == pytest.approx(
        kernels.cross_entropy(z.repeat(count, axis=0), t.repeat(count)), rel=1e-14
    )


def test_batch_norm_known_answer(impl, dtype):
    """PyTorch's conventions: the result takes the biased variance of [1, 2, 3, 4], running_var the unbiased one."""
    x = np.array([[1], [2], [3], [4]], dtype)
    mean, var = np.zeros(1, dtype), np.ones(1, dtype)
    result = kernels.batch_norm(
        x, np.ones(1, dtype), np.zeros(1, dtype), eps=0, momentum=1, running_mean=mean, running_var=var
    )
    eps = float(np.finfo(dtype).eps)
    assert mean == 2.5
    assert var == pytest.approx(5 / 3, rel=2 * eps)
    assert result.inv_std == pytest.approx(1 / np.sqrt(1.25), rel=2 * eps)
    np.testing.assert_allclose(result.out[:, 0], (x[:, 0] - 2.5) / np.sqrt(1.25), rtol=4 * eps)


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_batch_norm_far_from_zero(impl, offset, rng):
    """E[x^2] - E[x]^2 would lose every digit of the variance in float32."""
    x = (offset + rng.standard_normal((512, 9))).astype(np.float32)
    inv_std = kernels.batch_norm(x, np.ones(9, np.float32), np.zeros(9, np.float32)).inv_std
    np.testing.assert_allclose(inv_std, 1 / np.sqrt(x.astype(np.float64).var(axis=0) + 1e-5), rtol=1e-4)


def test_batch_norm_of_a_constant_column(impl, dtype):
    x = np.full((100, 3), 0.1, dtype)
    result = kernels.batch_norm(x, np.ones(3, dtype), np.array([1, 2, 3], dtype))
    np.testing.assert_allclose(result.out, np.tile([1, 2, 3], (100, 1)), atol=1e-4)


# Magnitudes of columns, among them those whose squares overflow or underflow in the type.
SIZES = {
    "float32": (3.4e38, 1e38, 1e30, 1e19, 1e18, 1e10, 1.0, 1e-10, 1e-18, 1e-20, 1e-30),
    "float64": (1.7e308, 1e300, 1e160, 1e150, 1e140, 1e30, 1.0, 1e-30, 1e-100, 1e-140),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_batch_norm_of_columns_of_any_size(eps, threads, impl, dtype, rng):
    """Every representable result is finite and within its bound: no intermediate overflows or underflows."""
    sizes = np.repeat(SIZES[dtype.name], 30)
    vectors = {name: rng.standard_normal(len(sizes)).astype(dtype) for name in ("gamma", "beta", "running_mean")}
    for rows, momentum in ((3, 0.0), (70, 1e-3), (500, 1.0)):
        x = (sizes * rng.uniform(-1, 1, (rows, len(sizes)))).astype(dtype)
        forward = {"x": x, **vectors, "running_var": np.ones_like(x[0]), "eps": eps, "momentum": momentum}
        forward = {name: forward[name] for name in BY_NAME["batch_norm"].make(rng, (2, 2), dtype)}
        with fastnn.num_threads(threads):
            results = BY_NAME["batch_norm"].call(kernels, forward)
            BY_NAME["batch_norm"].check(results, forward, f"{rows} rows")
            assert np.isfinite(results["out"]).all()
            backward = {
                "dy": rng.standard_normal(x.shape).astype(dtype),
                "x": x,
                "gamma": forward["gamma"],
                "mean": results["mean"],
                "inv_std": results["inv_std"],
            }
            gradients = BY_NAME["batch_norm_backward"].call(kernels, backward)
        BY_NAME["batch_norm_backward"].check(gradients, backward, f"{rows} rows")


def test_batch_norm_of_a_column_whose_squares_overflow(impl):
    x, one = np.array([[3e38, 1.0], [3e38, 2.0], [-1.0, 3.0]], np.float32), np.ones(2, np.float32)
    mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
    out, batch_mean, inv_std = kernels.batch_norm(x, one, 0 * one, running_mean=mean, running_var=var)
    np.testing.assert_allclose(out[:, 0], [0.5**0.5, 0.5**0.5, -(2**0.5)], rtol=1e-6)
    np.testing.assert_allclose((batch_mean, inv_std), [[2e38, 2], [0.5**0.5 * 1e-38, 1.5**0.5]], rtol=1e-5)
    np.testing.assert_allclose((mean, var), [[2e37, 0.2], [np.inf, 1.0]], rtol=1e-6)
    dy = np.array([[1, 1], [0, 0], [0, 0]], np.float32)
    dx, dgamma, dbeta = kernels.batch_norm_backward(dy, x, one, batch_mean, inv_std)
    np.testing.assert_allclose(dgamma, [0.5**0.5, -(1.5**0.5)], rtol=1e-5)
    assert dbeta.tolist() == [1, 1]
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_batch_norm_keeps_to_columns(wrong, impl, dtype, rng):
    """A large or non-finite entry does not change other columns; a non-finite entry makes its own column NaN."""
    x = rng.standard_normal((40, 9)).astype(dtype)
    gamma, beta = rng.standard_normal((2, 9)).astype(dtype)
    dy = rng.standard_normal(x.shape).astype(dtype)
    good = kernels.batch_norm(x, gamma, beta)
    gradients = kernels.batch_norm_backward(dy, x, gamma, good.mean, good.inv_std)
    other = x.copy()
    other[:, 2] *= SIZES[dtype.name][1]
    other[7, 5] = wrong
    bad = kernels.batch_norm(other, gamma, beta)
    got = kernels.batch_norm_backward(dy, other, gamma, bad.mean, bad.inv_std)
    rest = [0, 1, 3, 4, 6, 7, 8]
    for one, two in zip((*good, *gradients), (*bad, *got), strict=True):
        same_bits(two[..., rest], one[..., rest])
    assert np.isnan(bad.out[:, 5]).all()
    assert np.isnan(got[0][:, 5]).all()
    np.testing.assert_allclose(bad.out[:, 2], good.out[:, 2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_batch_norm_of_a_constant_is_0(eps, impl, dtype):
    """The variance is exactly 0, without a remainder of roundings, so the result is NaN where eps is 0."""
    x = np.full((10, 3), 0.1, dtype) * np.array([1, 1e8, 1e-8], dtype)
    out = kernels.batch_norm(x, np.ones(3, dtype), np.zeros(3, dtype), eps=eps).out
    np.testing.assert_array_equal(out, np.full_like(x, 0 if eps else np.nan))


def test_first_step_of_adam(impl):
    """eps is added after the correction: the first step is lr g / (|g| + eps), half of lr where g is eps."""
    w = np.zeros(1)
    kernels.adam(w, [1e-8], np.zeros(1), np.zeros(1), step=1, lr=1e-3)
    assert w == pytest.approx(-0.5e-3, rel=1e-12)


def test_adam_equals_the_paper(impl, rng):
    """Algorithm 1 of Kingma and Ba, 50 steps."""
    w, m, v = np.ones(20), np.zeros(20), np.zeros(20)
    w1, m1, v1 = np.ones(20, np.longdouble), np.zeros(20, np.longdouble), np.zeros(20, np.longdouble)
    for t in range(1, 51):
        g = rng.standard_normal(20)
        kernels.adam(w, g, m, v, step=t)
        m1, v1 = 0.9 * m1 + 0.1 * g, 0.999 * v1 + 0.001 * g * g
        w1 -= 1e-3 * (m1 / (1 - np.longdouble(0.9) ** t)) / (np.sqrt(v1 / (1 - np.longdouble(0.999) ** t)) + 1e-8)
    np.testing.assert_allclose(w, w1.astype(float), rtol=1e-12)


def test_rmsprop_adds_eps_after_the_root(impl):
    w = np.zeros(1)
    kernels.rmsprop(w, [1.0], np.zeros(1), lr=1, alpha=0, eps=1)
    assert w == -0.5


@pytest.mark.parametrize("kind", ["momentum", "nesterov", "velocity", "rmsprop", "adam", "nadam"])
def test_slots_of_dead_units_reach_zero(kind, impl, dtype):
    """Without gradients every slot decays to 0, and is never denormal."""
    spec = BY_NAME[kind]
    arguments = spec.make(np.random.default_rng(0), (50,), dtype)
    arguments["g"] = np.zeros(50, dtype)
    tiny = np.finfo(dtype).tiny
    for name in spec.in_place[1:]:
        arguments[name][...] = np.geomspace(tiny, 100 * tiny, 50)
    if kind in ("rmsprop", "adam", "nadam"):
        arguments |= {"alpha": 0.5} if kind == "rmsprop" else {"beta2": 0.5}
    for _ in range(100):
        arguments |= spec.call(kernels, arguments)
        for name in spec.in_place[1:]:
            slot = arguments[name]
            assert ((slot == 0) | (np.abs(slot) >= tiny)).all()
    assert not arguments[spec.in_place[-1]].any()


def test_scalars_take_whole_schedules():
    lr = np.array([0.1, 0.2, 0.3])
    table = kernels.adam_scalars(np.arange(1, 4), lr, 0.9, 0.999, 1e-8)
    assert table.shape == (3, 5)
    for t in range(3):
        same_bits(table[t], kernels.adam_scalars(t + 1, lr[t], 0.9, 0.999, 1e-8))
        same_bits(table[t], kernels.adam_scalars([t + 1], [lr[t]], [0.9], 0.999, 1e-8)[0])
    assert kernels.sgd_scalars(lr).shape == (3, 1)
    assert kernels.nesterov_scalars(lr, 0.9).tolist() == [[0.1, 0.9], [0.2, 0.9], [0.3, 0.9]]
    assert kernels.rmsprop_scalars(0.1, 0.75, 1e-8).tolist() == [0.1, 0.75, 0.25, 1e-8]


def test_powers_are_those_of_python():
    """Powers do not depend on the vector unit, so a run continues with the same bits on another machine."""
    steps = np.unique(np.geomspace(1, 1e6, 500).astype(np.int64))
    rates = kernels.adam_scalars(steps, 1.0, 0.9, 0.999, 1e-8)[:, 0]
    expected = [math.sqrt(1 - 0.999**step) / (1 - 0.9**step) for step in steps.tolist()]
    assert rates.tolist() == expected
    steps = steps[steps <= 10_000]
    corrections = kernels.nadam_scalars(steps, 1.0, 0.9, 0.999, 1.0, 0.004)[:, -1]
    assert corrections.tolist() == [math.sqrt(1 - 0.999**step) for step in steps.tolist()]


# ---- derivatives by central differences, in float64 ----


def difference(function, x, eps=1e-5):
    """Return the gradient of a function of an array, to about eps**2."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        plus, minus = x.copy(), x.copy()
        plus[i] += eps
        minus[i] -= eps
        gradient[i] = (function(plus) - function(minus)) / (2 * eps)
    return gradient


def close(analytic, numeric):
    np.testing.assert_allclose(analytic, numeric, rtol=0, atol=1e-7 * np.abs(numeric).max() + 1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivative(name, impl, rng):
    x, dy = rng.uniform(0.1, 2, 20) * np.where(np.arange(20) % 2, 1, -1), rng.standard_normal(20)
    numeric = difference(lambda x: dy @ kernels.activation(name, x), x)
    derivative_from = kernels.activation(name, x) if ACTIVATIONS[name].derivative_from == "output" else x
    close(kernels.activation_backward(name, dy, derivative_from), numeric)


def test_dense_derivatives(impl, rng):
    x, w, b, dy = (rng.standard_normal(shape) for shape in ((5, 4), (4, 3), 3, (5, 3)))

    def loss(x=x, w=w, b=b):
        return (dy * kernels.dense(x, w, b)).sum()

    close(kernels.dense_grad_input(dy, w), difference(lambda x: loss(x=x), x))
    close(kernels.dense_grad_weight(x, dy), difference(lambda w: loss(w=w), w))
    close(kernels.dense_grad_bias(dy), difference(lambda b: loss(b=b), b))


def test_batch_norm_derivatives(impl, rng):
    x, gamma, beta, dy = (rng.standard_normal(shape) for shape in ((6, 3), 3, 3, (6, 3)))

    def loss(x=x, gamma=gamma, beta=beta):
        return (dy * kernels.batch_norm(x, gamma, beta).out).sum()

    _, mean, inv_std = kernels.batch_norm(x, gamma, beta)
    dx, dgamma, dbeta = kernels.batch_norm_backward(dy, x, gamma, mean, inv_std)
    close(dx, difference(lambda x: loss(x=x), x))
    close(dgamma, difference(lambda gamma: loss(gamma=gamma), gamma))
    close(dbeta, difference(lambda beta: loss(beta=beta), beta))


def test_dropout_derivative(impl, rng):
    x, dy = rng.standard_normal((2, 30))
    numeric = difference(lambda x: dy @ kernels.dropout(x, 0.4, seed=1, stream=2, step=3), x)
    close(kernels.dropout_backward(dy, 0.4, seed=1, stream=2, step=3), numeric)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cross_entropy", np.array([0, 2, 1, 1])),
        ("cross_entropy", np.random.default_rng(0).random((4, 3))),
        ("binary_cross_entropy", np.random.default_rng(0).random((4, 3))),
        ("mean_squared_error", np.random.default_rng(0).random((4, 3))),
    ],
)
@pytest.mark.parametrize("weight", [None, np.array([1.0, 0, 3, 0.5])])
def test_loss_derivatives(name, target, weight, impl, rng):
    z = rng.standard_normal((4, 3))
    grad = np.empty_like(z)
    getattr(kernels, name)(z, target, weight, grad=grad)
    close(grad, difference(lambda z: getattr(kernels, name)(z, target, weight), z))


def test_derivatives_of_encodings(impl, rng):
    x, c, bins = rng.uniform(-1, 1, (5, 2)), rng.standard_normal((2, 3)), ((-2.0, -1.0, 2.0), (-5.0, 5.0))
    dy = rng.standard_normal((5, 12))
    y = kernels.periodic(x, c)
    close(kernels.periodic_grad_input(dy, y, c), difference(lambda x: (dy * kernels.periodic(x, c)).sum(), x))
    close(kernels.periodic_grad_frequencies(dy, x, y), difference(lambda c: (dy * kernels.periodic(x, c)).sum(), c))
    dy = dy[:, :3].copy()
    numeric = difference(lambda x: (dy * kernels.piecewise_linear(x, bins)).sum(), x)
    close(kernels.piecewise_linear_backward(dy, x, bins), numeric)


def test_an_encoding_has_no_jumps(impl, dtype):
    """Beside and at each edge it is within rounding errors; the outer bins go on."""
    edges = np.array([-1.5, -0.3, 0.1, 7.0], dtype)
    near = np.concatenate([np.nextafter(edges, -9, dtype=dtype), edges, np.nextafter(edges, 9, dtype=dtype)])
    y = kernels.piecewise_linear(near[:, np.newaxis], [edges]).reshape(3, 4, 3)
    np.testing.assert_allclose(y, np.broadcast_to(np.tri(4, 3, -1), y.shape), atol=8 * np.finfo(dtype).eps)
    outside = kernels.piecewise_linear(np.array([[-2.7], [13.9], [-np.inf], [np.inf], [np.nan]], dtype), [edges])
    expected = [[-1, 0, 0], [1, 1, 2], [-np.inf, 0, 0], [1, 1, np.inf], [np.nan] * 3]
    np.testing.assert_allclose(outside, expected, rtol=8 * np.finfo(dtype).eps)


def test_bins_that_are_no_wider_than_a_float32_are_steps(impl):
    edges = [1.0, 1.0 + 1e-12, 2.0]
    y = kernels.piecewise_linear(np.array([[0.5], [1.0], [1.5]], np.float32), [edges])
    assert np.isfinite(y).all()
    assert y[:, 0].tolist()[1:] == [1, 1]
    np.testing.assert_allclose(y[:, 1], [0, 0, 0.5], atol=1e-6)


def test_large_angles(impl, dtype, rng):
    """Cosine and sine are right within 2 ULP for every angle of the dtype."""
    last = np.finfo(dtype).nmant
    exponents = [*range(-3, last + 4), 60, 100]
    t = np.concatenate([np.ldexp(rng.uniform(1, 2, 12), e) for e in exponents]).astype(dtype)
    t = np.concatenate([t, -t, np.arange(-9, 9) / dtype.type(8), [np.finfo(dtype).max]]).astype(dtype)
    y = kernels.periodic(t[:, np.newaxis], np.ones((1, 1), dtype))
    with mpmath.workprec(300):
        angles = [2 * mpmath.pi * (mpmath.mpf(float(each)) % 1) for each in t]
        exact = np.array([[mpmath.cos(a), mpmath.sin(a)] for a in angles], object)
        # A multiple of a quarter turn has a cosine or a sine of 0, which mpmath's pi misses.
        exact = np.where(abs(exact) < 1e-60, mpmath.mpf(0), exact)
        error = np.array(abs(exact - y), float)
    assert (error <= 2 * np.spacing(abs(exact.astype(float)).astype(dtype))).all()


def test_kernels_run_in_threads_of_python(native, rng):
    """Calls from several threads, each with its own arrays, give the results that they give alone."""
    jobs = [tuple(rng.standard_normal(shape) for shape in ((300, 200), (200, 150))) for _ in range(8)]
    alone = [kernels.dense(*job) for job in jobs]

    def run(job):
        with fastnn.num_threads(2):  # local to the context, and so to the thread
            return kernels.dense(*job)

    with ThreadPoolExecutor(4) as pool:
        for got, expected in zip(pool.map(run, jobs * 4), alone * 4, strict=True):
            same_bits(got, expected)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "mean_squared_error"])
def test_targets_are_taken_in_the_logits_dtype(impl, loss):
    z, grad = np.array([[0.5, -1.0]], "float32"), np.empty((1, 2), "float32")
    expected = getattr(kernels, loss)(z, np.array([[1.0, 0.0]], "float32"), grad=grad)
    for target in ([[1, 0]], [[1.0, 0.0]], np.array([[True, False]])):
        again = np.empty_like(grad)
        assert getattr(kernels, loss)(z, target, grad=again) == expected
        assert (again == grad).all()
