"""Layer norm and root mean square norm: known answers, rows of any size, gradients by differences."""

import itertools

import numpy as np
import pytest
from specs import BY_NAME, same_bits

import fastnn
from fastnn import kernels

# Magnitudes of rows, among them those whose squares overflow or underflow in the type.
SIZES = {
    "float32": (3.4e38, 1e38, 1e30, 1e19, 1e18, 1e10, 1.0, 1e-10, 1e-18, 1e-20, 1e-30),
    "float64": (1.7e308, 1e300, 1e160, 1e150, 1e140, 1e30, 1.0, 1e-30, 1e-100, 1e-140, 1e-160, 1e-290),
}
NORMS = ("layer_norm", "rms_norm")


def normalise(name, x, gamma, **more):
    return getattr(kernels, name)(x, gamma, **more)


def gradients(name, dy, x, gamma, result):
    return getattr(kernels, f"{name}_backward")(dy, x, gamma, *result[1:])


def test_known_answers(impl, dtype):
    """The biased variance of [1, 2, 3, 4] is 1.25; the mean square of [1, 7] is 25."""
    eps = 4 * float(np.finfo(dtype).eps)
    x, gamma, beta = np.array([[1, 2, 3, 4]], dtype), np.array([1, 1, 2, 1], dtype), np.array([0, 0, 1, 0], dtype)
    out, mean, inv_std = kernels.layer_norm(x, gamma, beta, eps=0)
    assert (mean.tolist(), inv_std.tolist()) == ([2.5], pytest.approx([1.25**-0.5], rel=eps))
    np.testing.assert_allclose(out, [(x[0] - 2.5) / 1.25**0.5 * gamma + beta], rtol=eps)
    out, inv_rms = kernels.rms_norm(np.array([[1, 7]], dtype), np.array([1, 2], dtype), eps=0)
    np.testing.assert_allclose(out, [[0.2, 2.8]], rtol=eps)
    assert inv_rms.tolist() == pytest.approx([0.2], rel=eps)


def test_the_default_eps_of_rms_norm_is_the_spacing_at_1(impl, dtype):
    eps = float(np.finfo(dtype).eps)
    assert kernels.rms_norm(np.zeros((1, 3), dtype), np.ones(3, dtype)).inv_rms == pytest.approx(eps**-0.5, rel=4 * eps)


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_rows_far_from_zero(impl, offset, rng):
    """Every digit that the entries have is in the result, which the rounded mean alone would not give."""
    x = (offset + rng.standard_normal((9, 512))).astype(np.float32)
    out = kernels.layer_norm(x, np.ones(512, np.float32)).out
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(axis=1, keepdims=True)) / np.sqrt(wide.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("cols", [1, 3, 100, 321])
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_a_constant_row_is_beta(cols, eps, impl, dtype, rng):
    """The variance is exactly 0, without a remainder of roundings, so the result is NaN where eps is 0."""
    x = np.array([[0.1], [1e8], [1e-8], [1e30], [0]], dtype) * np.ones(cols, dtype)
    gamma, beta = rng.standard_normal((2, cols)).astype(dtype)
    out = kernels.layer_norm(x, gamma, beta, eps=eps).out
    np.testing.assert_array_equal(out, np.tile(beta, (5, 1)) if eps else np.full_like(x, np.nan))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("eps", [0.0, 1e-320, 1e-5])
@pytest.mark.parametrize("name", NORMS)
def test_rows_of_any_size(name, eps, threads, impl, dtype, rng):
    """Every representable result is finite and within its bound: no intermediate overflows or underflows."""
    sizes = np.repeat(SIZES[dtype.name], 7)[:, None]
    for cols in (3, 70, 333):
        x = (sizes * rng.uniform(-1, 1, (len(sizes), cols))).astype(dtype)
        vectors = {"gamma": rng.standard_normal(cols).astype(dtype), "beta": rng.standard_normal(cols).astype(dtype)}
        vectors = vectors if name == "layer_norm" else {"gamma": vectors["gamma"]}
        forward = {"x": x, **vectors, "eps": eps}
        with fastnn.num_threads(threads):
            results = BY_NAME[name].call(kernels, forward)
            BY_NAME[name].check(results, forward, f"{cols} columns")
            assert np.isfinite(results["out"]).all()
            statistics = {k: results[k] for k in results if k != "out"}
            backward = {
                "dy": rng.standard_normal(x.shape).astype(dtype),
                "x": x,
                "gamma": vectors["gamma"],
                **statistics,
            }
            BY_NAME[f"{name}_backward"].check(BY_NAME[f"{name}_backward"].call(kernels, backward), backward, f"{cols}")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, "large"])
@pytest.mark.parametrize("name", NORMS)
def test_rows_keep_to_themselves(name, wrong, impl, dtype, rng):
    """A large or non-finite entry does not change a bit of other rows; a NaN makes its own row NaN."""
    x, dy = rng.standard_normal((2, 9, 40)).astype(dtype)
    gamma = rng.standard_normal(40).astype(dtype)
    good = normalise(name, x, gamma)
    other = x.copy()
    other[5, 7] = SIZES[dtype.name][0] if wrong == "large" else wrong
    bad = normalise(name, other, gamma)
    rest = [i for i in range(9) if i != 5]
    pairs = zip((*good, gradients(name, dy, x, gamma, good)[0]), (*bad, gradients(name, dy, other, gamma, bad)[0]),
                strict=True)  # fmt: skip
    for one, two in pairs:
        same_bits(two[rest], one[rest])
    if wrong == "large":
        assert np.isfinite(bad.out).all()
    elif np.isnan(wrong):
        assert np.isnan(bad.out[5]).all()
    else:
        assert np.isnan(bad.out[5, 7])


@pytest.mark.parametrize("name", NORMS)
def test_a_gradient_that_is_not_finite_keeps_to_its_row_and_column(name, impl, dtype, rng):
    x, dy = rng.standard_normal((2, 9, 40)).astype(dtype)
    gamma = rng.standard_normal(40).astype(dtype)
    result = normalise(name, x, gamma)
    good = gradients(name, dy, x, gamma, result)
    dy[4, 3] = np.nan
    bad = gradients(name, dy, x, gamma, result)
    assert np.isnan(bad[0][4]).all()
    same_bits(np.delete(bad[0], 4, axis=0), np.delete(good[0], 4, axis=0))
    for one, two in zip(good[1:], bad[1:], strict=True):
        assert np.isnan(two[3])
        np.testing.assert_allclose(np.delete(two, 3), np.delete(one, 3), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NORMS)
def test_derivatives(name, impl, rng):
    x, gamma, beta, dy = (rng.standard_normal(shape) for shape in ((4, 6), 6, 6, (4, 6)))
    given = [gamma, beta] if name == "layer_norm" else [gamma]
    result = getattr(kernels, name)(x, *given)
    got = gradients(name, dy, x, gamma, result)
    for array, gradient in zip((x, *given), got, strict=True):
        for index in itertools.product(*map(range, array.shape)):
            kept, values = array[index], []
            for step in (1e-5, -1e-5):
                array[index] = kept + step
                values.append((dy * getattr(kernels, name)(x, *given).out).sum())
            array[index] = kept
            assert gradient[index] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6, abs=1e-8)


def test_sums_over_many_columns(native, rng):
    """The sums of a second task do not fit the scratch memory: one task has all rows."""
    x, dy = rng.standard_normal((2, 66, 120_000))
    result = kernels.layer_norm(x, x[0])
    _, dgamma, dbeta = kernels.layer_norm_backward(dy, x, x[0], *result[1:])
    x_hat = (x - result.mean[:, None]) * result.inv_std[:, None]
    np.testing.assert_allclose(dbeta, dy.sum(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(dgamma, (dy * x_hat).sum(axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e160, 1e300])
def test_constant_rows_become_the_shift(impl, size):
    out, mean, inv_std = kernels.layer_norm(np.full((2, 3), size), np.ones(3), [0.5, 0.25, 0.0])
    np.testing.assert_array_equal(out, [[0.5, 0.25, 0.0]] * 2)
    np.testing.assert_array_equal(mean, size)
    np.testing.assert_allclose(inv_std, 1 / np.sqrt(1e-5))
