"""Specs of augmentation. A shape is (rows, features); of images (rows, height, width); of pairs (rows,).

All are exact. The oracles draw from a Philox4x32 in Python integers. Noise is computed in float64 and rounded to
float32 after each operation; tests/kernels/test_augmentation.py compares it with the formula in float64.
"""

import functools

import numpy as np

from fastnn.kernels._beta import symmetric_quantiles

from .dropout import KEY, P, mask_bits, philox_block, philox_words
from .spec import ELEMENTWISE, EXACT, Spec, normal, rounded_to, rounder

CHANNELS = 3


@functools.cache
def mask_words(count, seed, stream, step):
    """Return the words from which entries are drawn, from Philox with 7 rounds."""
    words = [word for block in range((count + 3) // 4) for word in philox_block(block, seed, stream, step, 7)]
    return np.array(words[:count], np.uint32)


# ---- noise ----


def single(value):
    """Round to float32, and return it as float64."""
    return np.asarray(value).astype(np.float32).astype(np.float64)


def polynomial(x, *coefficients):
    result = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        result = single(single(result * x) + c)
    return result


def radius(word):
    """Return sqrt(-2 log u), u = (word // 256 + 1) / 2^24 = 2^n m, m from 3/4 to 3/2, rounded to float32 throughout."""
    mantissa, n = np.frexp((word // 256 + 1).astype(np.float64))  # from 1/2 to 1
    f, n = np.where(mantissa < 0.75, 2 * mantissa, mantissa) - 1, np.where(mantissa < 0.75, n - 1, n) - 24
    s = single(f / single(f + 2))
    square = single(s * s)
    series = single(square * polynomial(square, *rounded_to(np.float32, 0.66666949, 0.39957908, 0.30359110)))
    logarithm = single(f - single(s * single(f - series)))
    total = single(single(n * float.fromhex("0x1.62e430p-1")) + logarithm)
    return single(np.sqrt(-2 * total))


def circle(word):
    """Return cosine and sine of word / 2^32 turns, rounded to float32 throughout."""
    quarter = (word.astype(np.int64) + 2**29) // 2**30
    s = single((word - quarter * 2**30) * 2.0**-32)
    square = single(s * s)
    sine = single(s * polynomial(square, *rounded_to(np.float32, 2 * np.pi, -41.341660, 81.592346, -75.393242)))
    series = polynomial(square, *rounded_to(np.float32, -19.739162, 64.922424, -83.629143))
    cosine = single(single(square * series) + 1)
    turned = [(cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine)]
    return (np.choose(quarter % 4, [pair[i] for pair in turned]) for i in (0, 1))


def add_noise(x, std, **key):
    words = mask_words(x.size + x.size % 2, **key)
    r, (cos, sin) = radius(words[::2]), circle(words[1::2])
    z = np.stack([single(r * cos), single(r * sin)], axis=-1).reshape(-1)[: x.size].reshape(x.shape)
    rounded = rounder(x)
    return rounded(x.astype(np.float64) + rounded(rounded(std) * z)).astype(x.dtype)


def add_noise_by_hand(x, std, seed, **rest):
    return x + x.dtype.type(std) * np.random.default_rng(seed).standard_normal(x.shape, x.dtype)


# ---- features ----


def drop_features(x, p, **key):
    bits = mask_bits(x.size, **key).reshape(x.shape)
    return np.where(bits >= round(p * 2.0**16), x, x.dtype.type(0))


def drop_features_by_hand(x, p, seed, **rest):
    return np.where(np.random.default_rng(seed).random(x.shape, np.float32) >= p, x, x.dtype.type(0))


def swap_entries(x, p, **key):
    n, k = x.shape
    words, threshold, out = mask_words(n * k, **key).tolist(), round(p * 2**32), x.copy()
    for e, word in enumerate(words):
        i, j = divmod(e, k)
        if word < threshold and n > 1:
            out[i, j] = x[(i + 1 + word * (n - 1) // threshold) % n, j]
    return out


def swap_entries_by_hand(x, p, seed, **rest):
    rng, (n, k) = np.random.default_rng(seed), x.shape
    rows = (np.arange(n)[:, np.newaxis] + rng.integers(1, max(n, 2), (n, k))) % n
    return np.where(rng.random(x.shape, np.float32) < p, x[rows, np.arange(k)], x)


# ---- mixup ----


def mixup_pairs(n, alpha, **key):
    words, q = philox_words(2 * n, **key).tolist(), symmetric_quantiles(alpha).tolist()
    partner = [(i + 1 + word * (n - 1) // 2**32) % n if n > 1 else 0 for i, word in enumerate(words[1::2])]
    share = [q[w // 2**22] + w % 2**22 / 2**22 * (q[w // 2**22 + 1] - q[w // 2**22]) for w in words[::2]]
    return np.array(partner, np.int64), np.array(share, np.float64)


def mixup_pairs_by_hand(n, alpha, seed, **rest):
    rng = np.random.default_rng(seed)
    return rng.permutation(n), rng.beta(alpha, alpha, n)


def make_mix(rng, shape, dtype):
    n = shape[0]
    return {"x": normal(rng, shape, dtype), "partner": rng.integers(0, max(n, 1), n), "share": rng.random(n)}


def mix_rows(x, partner, share):
    r = rounder(x)
    x64, a, b = (each.astype(np.float64) for each in (x, r(share)[:, np.newaxis], r(1 - share)[:, np.newaxis]))
    return r(r(a * x64) + r(b * x64[partner])).astype(x.dtype)


def mix_rows_by_hand(x, partner, share):
    share = share[:, np.newaxis].astype(x.dtype)
    return share * x + (1 - share) * x[partner]


# ---- images ----


def make_images(**settings):
    """Return what makes arguments for images of three channels, or of none without `channels_last` in the settings."""

    def make(rng, shape, dtype):
        n, height, width = shape
        image, settings_of_shape = (height, width), dict(settings)
        if "channels_last" in settings:
            image = (height, width, CHANNELS) if settings["channels_last"] else (CHANNELS, height, width)
        if "fill" in settings:
            settings_of_shape["pixels"] = (min(2, height - 1), min(3, width - 1))
        x = normal(rng, (n, int(np.prod(image))), dtype)
        return {"x": x, "shape": image, **settings_of_shape, **KEY}

    return make


def images(x, shape, channels_last):
    """Return rows as images of (height, width, channels), and a function that makes rows of them."""
    height, width = shape[:2] if channels_last or len(shape) == 2 else shape[1:]
    if channels_last:
        return x.reshape(len(x), height, width, shape[2]), lambda y: y.reshape(x.shape)
    channels = x.shape[1] // (height * width)
    planes = x.reshape(len(x), channels, height, width)
    return np.moveaxis(planes, 1, 3), lambda y: np.moveaxis(y, 3, 1).reshape(x.shape)


def shift_images(x, shape, pixels, fill, channels_last=False, **key):
    before, rows_of = images(x, shape, channels_last)
    after = np.empty_like(before)
    _, height, width, _ = before.shape
    for image, moved, word in zip(before, after, philox_words(len(x), **key).tolist(), strict=True):
        down, right = (
            half * (2 * m + 1) // 2**16 - m for half, m in zip((word % 2**16, word // 2**16), pixels, strict=True)
        )
        for r, c in np.ndindex(height, width):
            row, column = r - down, c - right
            if fill == "edge":
                moved[r, c] = image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            else:
                moved[r, c] = image[row, column] if 0 <= row < height and 0 <= column < width else fill
    return rows_of(after)


def shift_images_by_hand(x, shape, pixels, fill, channels_last=False, seed=0, **rest):
    """Pad all images, then cut each at a random place."""
    before, rows_of = images(x, shape, channels_last)
    how = {"mode": "edge"} if fill == "edge" else {"constant_values": fill}
    padded = np.pad(before, ((0, 0), (pixels[0],) * 2, (pixels[1],) * 2, (0, 0)), **how)
    places = np.random.default_rng(seed).integers(0, 2 * np.array(pixels) + 1, (len(x), 2))
    _, height, width, _ = before.shape
    cut = [image[r : r + height, c : c + width] for image, (r, c) in zip(padded, places, strict=True)]
    return rows_of(np.array(cut, x.dtype).reshape(before.shape))


def flip_images(x, shape, p=0.5, axis="horizontal", channels_last=False, **key):
    before, rows_of = images(x, shape, channels_last)
    after = before.copy()
    for i, word in enumerate(philox_words(len(x), **key).tolist()):
        if word % 2**16 < round(p * 2.0**16):
            after[i] = before[i, ::-1] if axis == "vertical" else before[i, :, ::-1]
    return rows_of(after)


def flip_images_by_hand(x, shape, p=0.5, axis="horizontal", channels_last=False, seed=0, **rest):
    before, rows_of = images(x, shape, channels_last)
    flipped = np.random.default_rng(seed).random(len(x)) < p
    mirrored = np.flip(before, 1 if axis == "vertical" else 2)
    return rows_of(np.where(flipped[:, np.newaxis, np.newaxis, np.newaxis], mirrored, before))


AUGMENTATION = {"family": "augmentation", "tiers": {"out": EXACT}}
ROWS = {
    "shapes": ((0, 4), (3, 0), (1, 1), (2, 3), (7, 5), (1, 33), (5, 1), (31, 19), (9, 133), (61, 17)),
    "large_shape": (1009, 331),
    "bench_shapes": ((128, 784),),
}
IMAGES = {
    "shapes": ((0, 2, 3), (1, 1, 1), (2, 1, 4), (3, 4, 5), (4, 3, 2), (5, 2, 7), (9, 8, 11), (7, 13, 1)),
    "large_shape": (1301, 14, 11),
    "bench_shapes": ((128, 28, 28),),
    "edge_arguments": ("x",),
}
SHIFT = {
    "twin": "shift_images",
    "function": "shift_images",
    "oracle": shift_images,
    "numpy": shift_images_by_hand,
    **AUGMENTATION,
    **IMAGES,
}
FLIP = {
    "twin": "flip_images",
    "function": "flip_images",
    "oracle": flip_images,
    "numpy": flip_images_by_hand,
    **AUGMENTATION,
    **IMAGES,
}

SPECS = [
    Spec(
        name="add_noise",
        twin="add_noise",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "std": 0.3, **KEY},
        oracle=add_noise,
        numpy=add_noise_by_hand,
        edge_arguments=("x",),
        **AUGMENTATION,
        **{**ELEMENTWISE, "bench_shapes": ((128, 784),)},
    ),
    Spec(
        name="drop_features",
        twin="drop_features",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "p": P, **KEY},
        oracle=drop_features,
        numpy=drop_features_by_hand,
        edge_arguments=("x",),
        **AUGMENTATION,
        **{**ELEMENTWISE, "bench_shapes": ((128, 784),)},
    ),
    Spec(
        name="swap_entries",
        twin="swap_entries",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "p": P, **KEY},
        oracle=swap_entries,
        numpy=swap_entries_by_hand,
        edge_arguments=("x",),
        **AUGMENTATION,
        **ROWS,
    ),
    Spec(
        name="mixup_pairs",
        family="augmentation",
        twin="mixup_pairs",
        make=lambda rng, shape, dtype: {"n": shape[0], "alpha": 0.4, **KEY},
        oracle=mixup_pairs,
        numpy=mixup_pairs_by_hand,
        returns=("partner", "share"),
        out=None,
        tiers={"partner": EXACT, "share": EXACT},
        shapes=tuple((n,) for n in (0, 1, 2, 3, 4, 5, 31, 256, 257, 1025)),
        large_shape=(100_003,),
        bench_shapes=((128,),),
    ),
    Spec(
        name="mix_rows",
        twin="mix_rows",
        make=make_mix,
        oracle=mix_rows,
        numpy=mix_rows_by_hand,
        edge_arguments=("x",),
        **AUGMENTATION,
        **ROWS,
    ),
    Spec(name="shift_images", make=make_images(fill=0.5), **SHIFT),
    Spec(name="shift_images of channels, edges", make=make_images(fill="edge", channels_last=False), **SHIFT),
    Spec(name="shift_images of channels last", make=make_images(fill=-2, channels_last=True), **SHIFT),
    Spec(name="shift_images of channels last, edges", make=make_images(fill="edge", channels_last=True), **SHIFT),
    Spec(name="flip_images", make=make_images(), **FLIP),
    Spec(name="flip_images of channels, vertical", make=make_images(axis="vertical", channels_last=False), **FLIP),
    Spec(name="flip_images of channels last", make=make_images(channels_last=True), **FLIP),
]
