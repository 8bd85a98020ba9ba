"""`entry_statistics` of numbers that are hard to add or to square, compared with exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest

from fastnn import kernels, num_threads

MAX = np.finfo(np.float64).max
NORMAL = np.random.default_rng(0).normal(size=5000)
HARD = {
    "large": [1e200, -1e200],
    "the mean of huge ones": [1.7e308] * 3,
    "the largest": np.full(1000, MAX),
    "the largest of both signs": [MAX, -MAX] * 1000,
    "huge ones beside tiny ones": [1e300, 1e-300, 3.0],
    "tiny": [1e-200, -1e-200],
    "subnormal": [1e-310, -3e-310, 0.0],
    "the least": [5e-324, 0.0],
    "at the limits": [1e140, -2e140, 1e-120],
    **{f"normal {scale:g}": scale * NORMAL for scale in (1e-323, 1e-308, 1e-121, 1e-119, 1.0, 1e139, 1e141, 1e307)},
    **{f"normal beside {offset:g}": offset + NORMAL for offset in (-1e3, 1e8, 1e12, -1e15, 1e16)},
    "units beside": 1e15 + np.arange(513) % 2,
    "one outlier": np.concatenate([[1e30], NORMAL]),
    "first chunk apart": np.concatenate([np.full(512, 1e12), NORMAL]),
    "many chunks": 1e10 + np.tile(NORMAL, 10),
}
CONSTANT = [0.1, -1 / 3, 1e8 / 7, 1e200 / 3, 1e-200 / 3, 5e-324, MAX]


def root(square):
    """Return the square root of a fraction, rounded once or twice."""
    digits = 2 ** (2 * max(0, 600 + (square.denominator.bit_length() - square.numerator.bit_length()) // 2))
    return math.isqrt(square.numerator * digits // square.denominator) / math.isqrt(digits) if square else 0.0


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", HARD)
def test_hard_numbers(impl, case):
    x = np.asarray(HARD[case])
    got = kernels.entry_statistics(x)
    assert got.nonfinite == 0
    exact = [Fraction(each) for each in x.tolist()]
    n = len(exact)
    mean = sum(exact) / n
    square = sum(each * each for each in exact) / n
    std, rms = root(square - mean * mean), root(square)
    least = 2 * 5e-324
    assert abs(Fraction(got.mean) - mean) <= Fraction(2e-14) * Fraction(rms) + Fraction(least)
    assert got.rms == pytest.approx(rms, rel=2e-14, abs=least)
    assert got.std == pytest.approx(std, rel=2e-14, abs=least)


@pytest.mark.parametrize("value", CONSTANT)
def test_constant_arrays_have_no_deviation(impl, value):
    for n in (1, 2, 3, 17, 511, 513, 1000, 40_001):
        got = kernels.entry_statistics(np.full(n, value))
        assert (got.mean, got.std, got.rms) == (value, 0.0, abs(value)), n


def test_float32_needs_no_scaling(impl):
    x = np.array([1e38, -3e38, 1e-45], np.float32)
    for given in (x[:2], x[2:]):
        assert kernels.entry_statistics(given) == kernels.entry_statistics(given.astype(np.float64))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_threads_do_not_change_a_bit(native, scale):
    x = scale * np.random.default_rng(1).normal(size=300_001) + scale * 1e6
    found = []
    for threads in (1, 2, 3):
        with num_threads(threads):
            found.append(kernels.entry_statistics(x))
    assert found[0] == found[1] == found[2]
