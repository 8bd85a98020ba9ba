"""Properties of augmentation: distributions, exactness of the draws, and what stays as it is."""

import itertools
import math

import numpy as np
import pytest
from specs import same_bits
from specs.augmentation import mask_words

import fastnn
from fastnn import kernels, reference
from fastnn.kernels import _augmentation_ref, _dispatch
from fastnn.kernels._beta import symmetric_quantiles

KEY = {"seed": 20240229, "stream": 3, "step": 8}


def chi_square(counts, expected):
    return float((np.square(np.asarray(counts, float) - expected) / expected).sum())


def far(degrees):
    """Return what chi-square exceeds about once in 30 000, by Wilson and Hilferty's approximation."""
    return degrees * (1 - 2 / (9 * degrees) + 4 * math.sqrt(2 / (9 * degrees))) ** 3


# ---- noise ----


@pytest.fixture(scope="module")
def draws():
    return kernels.add_noise(np.zeros(1_000_000, np.float32), 1.0, **KEY)


def test_noise_is_normal(draws):
    """Each statistic is within 4 of its own standard deviations; the distance of distributions too, by Kolmogorov."""
    z, n = draws.astype(float), draws.size
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 4 * math.sqrt(variance / n), power
    z.sort()
    distribution = np.array([math.erfc(-each / math.sqrt(2)) / 2 for each in z.tolist()])
    distance = max((np.arange(1, n + 1) / n - distribution).max(), (distribution - np.arange(n) / n).max())
    assert distance * math.sqrt(n) < 2.2


def test_noise_is_normal_in_the_tails(draws):
    for limit in (2, 3, 4):
        expected = draws.size * math.erfc(limit / math.sqrt(2))
        assert abs((abs(draws) > limit).sum() - expected) < 4 * math.sqrt(expected)


def test_noise_of_neighbours_is_independent(draws):
    """Neither neighbours are correlated, nor are their squares; the two of a pair share their radius."""
    z = draws.astype(float)
    for lag in (1, 2, 3, 4, 8, 784):
        a, b = z[:-lag], z[lag:]
        for one, other in ((a, b), (a**2 - 1, b**2 - 1)):
            scale = math.sqrt((one**2).mean() * (other**2).mean() / one.size)
            assert abs((one * other).mean()) < 4.5 * scale, lag


def check_pairs(first, second, z):
    """Compare with Box and Muller's formula in float64: within 4 ULP of each."""
    radius = np.sqrt(-2 * np.log((first.astype(np.int64) // 256 + 1) / 2.0**24))
    # The angle from the nearest eighth of a turn is exact in float64; so no digits are lost near the zeros.
    eighth = np.rint(second / 2.0**29).astype(np.int64)
    rest = 2 * np.pi * ((second.astype(np.int64) - eighth * 2**29) / 2.0**32)
    quarter, odd = np.divmod(eighth, 2)
    for i in (0, 1):
        # cos and sin of (quarter + odd / 2) quarters + rest
        half = odd * np.pi / 4
        turned = np.choose(
            (quarter - i) % 4,
            [np.cos(half + rest), -np.sin(half + rest), -np.cos(half + rest), np.sin(half + rest)],
        )
        exact = radius * turned
        error = np.abs(z[:, i] - exact) / np.spacing(np.abs(exact).astype(np.float32))
        assert error.max() <= 4, (i, error.max(), first[error.argmax()], second[error.argmax()])


def test_noise_is_box_and_mullers_formula(impl):
    words = mask_words(20_000, **KEY).reshape(-1, 2)
    z = kernels.add_noise(np.zeros(20_000, np.float32), 1.0, **KEY)
    check_pairs(words[:, 0], words[:, 1], z.reshape(-1, 2))


def test_noise_at_the_ends_of_the_words():
    """The twin's steps, at words that no short stream has: the largest and smallest radii, and the quarter turns."""
    ends = [e + d for e in (0, 2**8, 2**29, 2**30, 2**31, 3 * 2**30, 2**32) for d in (-257, -256, -1, 0, 1, 255, 256)]
    words = np.array([word % 2**32 for word in ends], np.uint32)
    words = np.concatenate([words, np.arange(0, 2**32, 65_537 * 3, np.int64).astype(np.uint32)])
    first, second = words, words[::-1].copy()
    radius, (cos, sin) = _augmentation_ref._radius(first), _augmentation_ref._circle(second)
    check_pairs(first, second, np.stack([radius * cos, radius * sin], axis=-1))
    most = _augmentation_ref._radius(np.array([0, 2**32 - 1], np.uint32))
    np.testing.assert_allclose(most, [math.sqrt(48 * math.log(2)), 0], rtol=3e-7)
    axes = np.array([0, 2**30, 2**31, 3 * 2**30], np.uint32)
    np.testing.assert_array_equal(_augmentation_ref._circle(axes), [[1, 0, -1, 0], [0, 1, 0, -1]])


def test_noise_is_the_same_in_both_dtypes(impl):
    x = np.zeros(1000)
    narrow = kernels.add_noise(x.astype(np.float32), 1.0, **KEY)
    same_bits(kernels.add_noise(x, 1.0, **KEY), narrow.astype(np.float64))


def test_rows_of_odd_lengths_are_those_of_the_whole_array(native, dtype, rng):
    """Parts for threads begin anywhere in a block of random words."""
    x = rng.standard_normal((1200, 37)).astype(dtype)
    for function in (kernels.add_noise, kernels.drop_features):
        for n_threads in (1, 3):
            with fastnn.num_threads(n_threads):
                same_bits(function(x, **KEY).reshape(-1), function(x.reshape(-1), **KEY))
    same_bits(kernels.swap_entries(x, **KEY), reference.swap_entries(x, **KEY))


def test_noise_of_0_changes_nothing(impl, dtype, rng):
    x = rng.standard_normal((7, 9)).astype(dtype)
    same_bits(kernels.add_noise(x, 0, **KEY), x)


# ---- features ----


def test_features_are_those_that_dropout_sets_to_0(impl, dtype, rng):
    x = rng.standard_normal((50, 31)).astype(dtype)
    for p in (0, 0.2, 1):
        dropped = kernels.drop_features(x, p, **KEY)
        same_bits(dropped, np.where(kernels.dropout(x, p, **KEY) == 0, 0, x).astype(dtype))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_swapped_entries_are_of_the_same_column_and_of_another_row(p, impl):
    n, k = 400, 7
    x = np.arange(n * k, dtype=float).reshape(n, k)  # from which row and column an entry is, can be read
    rows, columns = np.divmod(kernels.swap_entries(x, p, **KEY).astype(int), k)
    assert (columns == np.arange(k)).all()
    swapped = rows != np.arange(n)[:, np.newaxis]
    assert abs(swapped.sum() - n * k * p) <= 4 * math.sqrt(n * k * p * (1 - p))


def test_swaps_take_every_other_row_with_the_same_probability(impl):
    n, k = 5, 20_000
    for p in (0.4, 1.0):
        rows = kernels.swap_entries(np.repeat(np.arange(n, dtype=float)[:, np.newaxis], k, axis=1), p, **KEY)
        for i in range(n):
            counts = np.bincount(rows[i].astype(int), minlength=n)
            expected = np.full(n, k * p / (n - 1))
            expected[i] = k * (1 - p)
            if p == 1:
                assert counts[i] == 0
                counts, expected = np.delete(counts, i), np.delete(expected, i)
            assert chi_square(counts, expected) < far(counts.size - 1)


def test_a_single_row_is_not_swapped(impl, dtype, rng):
    x = rng.standard_normal((1, 100)).astype(dtype)
    same_bits(kernels.swap_entries(x, 1, **KEY), x)


# A row, the number of rows and the threshold for which the quotient is rounded to another integer in float64: to one
# too small, and to one too large. They were found by a search for divisors.
@pytest.mark.parametrize(("i", "n", "threshold", "off"), [(4, 22, 386393907, -1), (26, 2**21, 4265244057, 1)])
def test_swaps_are_exact_where_float64_is_not(i, n, threshold, off, native):
    word = int(mask_words(i + 1, **KEY)[i])
    exact = word * (n - 1) // threshold
    assert word < threshold
    assert int(float(word * (n - 1)) * (1 / threshold)) == exact + off
    x = np.arange(n, dtype=np.float32).reshape(-1, 1)
    assert kernels.swap_entries(x, threshold / 2**32, **KEY)[i] == (i + 1 + exact) % n


@pytest.mark.parametrize("p", [1.0, 0.7, 1e-3])
def test_swaps_among_many_rows(p, native):
    x = np.arange(100_003, dtype=float).reshape(-1, 1)
    same_bits(kernels.swap_entries(x, p, **KEY), reference.swap_entries(x, p, **KEY))


def test_swaps_of_ids_are_those_of_the_column(impl, rng):
    """For ids that are stored apart from the rows."""
    module = _dispatch.backend_module("augmentation")
    for n, k in ((0, 3), (1, 3), (2, 1), (100, 7), (1000, 3)):
        ids = rng.integers(-(2**60), 2**60, n)
        rows = np.arange(n, dtype=float)[:, np.newaxis].repeat(k, axis=1)
        for p, column in itertools.product((0.0, 0.25, 1.0), (0, k - 1)):
            out = np.empty_like(ids)
            module.swap_ids(ids, out, k, column, p, *KEY.values())
            same_bits(out, ids[kernels.swap_entries(rows, p, **KEY)[:, column].astype(int)])


# ---- mixup ----


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.5, 0.99, 1, 1.01, 2, 7, 30, 100])
def test_quantiles_of_the_beta_distribution(alpha):
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    expected = stats.beta.ppf(np.arange(1025) / 1024, alpha, alpha)
    np.testing.assert_allclose(symmetric_quantiles(alpha), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("alpha", [5e-324, 1e-300, 1e-9, 1e-4, 1, 1e9, 1e300])
def test_quantiles_of_any_alpha_are_symmetric_and_ascend(alpha):
    q = symmetric_quantiles(alpha)
    assert q.shape == (1025,)
    assert (np.diff(q) >= 0).all()
    assert (q[0], q[512], q[1024]) == (0, 0.5, 1)
    np.testing.assert_allclose(q + q[::-1], 1, rtol=0, atol=1e-15)
    assert ((q == 0) | (q >= 1e-30)).all()
    assert not q.flags.writeable


def test_quantiles_of_known_distributions():
    """Beta(1, 1) is uniform, Beta(1/2, 1/2) is the arcsine's."""
    p = np.arange(1025) / 1024
    np.testing.assert_allclose(symmetric_quantiles(1), p, rtol=0, atol=1e-12)
    np.testing.assert_allclose(symmetric_quantiles(0.5), np.sin(np.pi * p / 2) ** 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 3.0])
def test_shares_have_the_beta_distribution(alpha, impl):
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    n = 20_000
    _, share = kernels.mixup_pairs(n, alpha, **KEY)
    distribution = stats.beta.cdf(np.sort(share), alpha, alpha)
    distance = np.abs(distribution - (np.arange(n) + 0.5) / n).max()
    assert distance < 2.2 / math.sqrt(n) + 1 / 1024  # they are linear between the quantiles


def test_partners_are_other_rows_with_the_same_probability(impl):
    n = 6
    offsets = [(kernels.mixup_pairs(n, **KEY | {"step": step})[0] - np.arange(n)) % n for step in range(3000)]
    counts = np.bincount(np.concatenate(offsets), minlength=n)
    assert counts[0] == 0
    assert chi_square(counts[1:], n * 3000 / (n - 1)) < far(n - 2)


def test_a_single_row_is_mixed_with_itself(impl):
    partner, share = kernels.mixup_pairs(1, **KEY)
    assert partner == 0
    x = np.array([[0.1, 0.7]])
    np.testing.assert_allclose(kernels.mix_rows(x, partner, share), x, rtol=1e-15)


def test_rows_and_numbers_are_mixed_alike(impl, dtype, rng):
    """Targets may be numbers, one for each row, or rows."""
    x = rng.standard_normal(33).astype(dtype)
    partner, share = kernels.mixup_pairs(33, 1.0, **KEY)
    same_bits(kernels.mix_rows(x, partner, share), kernels.mix_rows(x[:, np.newaxis], partner, share)[:, 0])
    assert kernels.mix_rows(np.array([], dtype), [], []).shape == (0,)


def test_mixtures_treat_infinity_as_arithmetic_does(impl, dtype):
    x = np.array([[np.inf, np.nan, 1.0], [2.0, 3.0, -np.inf]], dtype)
    mixed = kernels.mix_rows(x, [1, 0], [0.5, 1.0])
    np.testing.assert_array_equal(mixed, [[np.inf, np.nan, -np.inf], [np.nan, np.nan, -np.inf]])


# ---- images ----


def test_every_shift_has_the_same_probability(impl):
    """The place of a single bright pixel says how far its image was moved."""
    n, height, width, most = 12_000, 7, 9, (1, 2)
    x = np.zeros((n, height, width), np.float32)
    x[:, 3, 4] = 1
    moved = kernels.shift_images(x.reshape(n, -1), (height, width), most, **KEY).reshape(x.shape)
    counts = moved.sum(axis=0)
    assert counts.sum() == n
    inside = counts[3 - most[0] : 4 + most[0], 4 - most[1] : 5 + most[1]]
    assert inside.sum() == n
    assert chi_square(inside, n / inside.size) < far(inside.size - 1)


@pytest.mark.parametrize("fill", [-1.5, "edge"])
def test_the_largest_shifts_leave_one_line(fill, impl, dtype):
    x = np.tile(np.arange(1, 13, dtype=dtype), (300, 1))
    moved = kernels.shift_images(x, (3, 4), (2, 3), fill=fill, **KEY).reshape(-1, 3, 4)
    image = np.arange(1, 13).reshape(3, 4)
    corner = np.full((3, 4), 1 if fill == "edge" else fill)
    if fill == "edge":
        corner[-1], corner[:, -1] = 1, 1
    else:
        corner[-1, -1] = 1
    assert any((each == corner).all() for each in moved)  # by the most down and to the right
    assert any((each == image).all() for each in moved)


def test_images_without_a_shift_stay(impl, dtype, rng):
    x = rng.standard_normal((20, 30)).astype(dtype)
    same_bits(kernels.shift_images(x, (5, 6), 0, **KEY), x)
    same_bits(kernels.shift_images(x, (30, 1), (0, 0), fill="edge", **KEY), x)


def test_layouts_of_channels_agree(impl, rng):
    """The channels of a pixel move together, wherever they are."""
    first = rng.standard_normal((40, 3, 6, 5))
    last = np.moveaxis(first, 1, 3).copy()
    for function in (kernels.shift_images, kernels.flip_images):
        a = function(first.reshape(40, -1), (3, 6, 5), **KEY).reshape(first.shape)
        b = function(last.reshape(40, -1), (6, 5, 3), channels_last=True, **KEY).reshape(last.shape)
        same_bits(np.moveaxis(a, 1, 3), b)
        single = function(first[:, 1].reshape(40, -1), (6, 5), **KEY).reshape(40, 6, 5)
        same_bits(single, a[:, 1])


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_flips(axis, impl, rng):
    x = rng.standard_normal((500, 12))
    mirrored = kernels.flip_images(x, (3, 4), 1, axis=axis, **KEY)
    same_bits(
        mirrored.reshape(-1, 3, 4),
        x.reshape(-1, 3, 4)[:, :: -1 if axis == "vertical" else 1][..., :: 1 if axis == "vertical" else -1],
    )
    same_bits(kernels.flip_images(mirrored, (3, 4), 1, axis=axis, **KEY), x)
    same_bits(kernels.flip_images(x, (3, 4), 0, axis=axis, **KEY), x)
    flipped = (kernels.flip_images(x, (3, 4), 0.3, axis=axis, **KEY) != x).any(axis=1)
    assert abs(flipped.sum() - 150) < 4 * math.sqrt(500 * 0.3 * 0.7)


# ---- all ----

X = np.random.default_rng(0).standard_normal((64, 36))
DRAWING = {
    "add_noise": lambda **key: kernels.add_noise(X, **key),
    "drop_features": lambda **key: kernels.drop_features(X, **key),
    "swap_entries": lambda **key: kernels.swap_entries(X, **key),
    "mixup_pairs": lambda **key: kernels.mixup_pairs(64, **key)[1],
    "shift_images": lambda **key: kernels.shift_images(X, (6, 6), **key),
    "flip_images": lambda **key: kernels.flip_images(X, (6, 6), **key),
}


@pytest.mark.parametrize("name", DRAWING)
def test_draws_differ_by_seed_stream_and_step(name, impl):
    keys = [{"seed": s, "stream": a, "step": b} for s in (0, 1, 2**32) for a in (0, 1) for b in (0, 1)]
    assert len({DRAWING[name](**key).tobytes() for key in keys}) == len(keys)


@pytest.mark.parametrize("name", ["shift_images", "flip_images"])
def test_an_image_does_not_depend_on_the_images_after_it(name, impl):
    function = getattr(kernels, name)
    same_bits(function(X[:23], (6, 6), **KEY), function(X, (6, 6), **KEY)[:23])


def test_many_images_draw_their_own_words(native):
    """More images than words are drawn at a time, in one task and in many."""
    x = np.arange(2000.0)[:, np.newaxis].repeat(4, axis=1) * 10 + np.arange(4)
    for n_threads in (1, 3):
        with fastnn.num_threads(n_threads):
            same_bits(kernels.flip_images(x, (2, 2), **KEY), reference.flip_images(x, (2, 2), **KEY))
            same_bits(kernels.shift_images(x, (4, 1), (3, 0), **KEY), reference.shift_images(x, (4, 1), (3, 0), **KEY))
