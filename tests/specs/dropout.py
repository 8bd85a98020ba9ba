"""Specs of dropout, random bits and permutations, from a Philox4x32 in Python integers.

All are exact: the random words are integers, and an element is kept or scaled by one product.
"""

import functools

import numpy as np

from .spec import ELEMENTWISE, EXACT, Spec, normal, rounder

# Arguments of every call: the probability of a zero, and what a random word depends on besides its index.
P = 0.3
KEY = {"seed": 0x123456789ABCDEF, "stream": 7, "step": 11}


def philox_block(block, seed, stream, step, rounds=10):
    """Return the four words of Philox4x32 for one block (Salmon et al., 2011)."""
    low = 0xFFFFFFFF
    counter = [block & low, block >> 32, step, stream]
    key = [seed & low, seed >> 32]
    for _ in range(rounds):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (second >> 32) ^ counter[1] ^ key[0],
            second & low,
            (first >> 32) ^ counter[3] ^ key[1],
            first & low,
        ]
        key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
    return counter


@functools.cache
def philox_words(count, seed, stream, step):
    """Return the first words of a stream."""
    words = [word for block in range((count + 3) // 4) for word in philox_block(block, seed, stream, step)]
    return np.array(words[:count], np.uint32)


@functools.cache
def mask_bits(count, seed, stream, step):
    """Return dropout's 16 bits for each element: the halves of words, from Philox with 7 rounds."""
    blocks = [philox_block(block, seed, stream, step, 7) for block in range((count + 7) // 8)]
    halves = [word >> shift & 0xFFFF for words in blocks for word in words for shift in (0, 16)]
    return np.array(halves[:count], np.uint16)


def dropout(x, p, **key):
    bits = mask_bits(x.size, **key).reshape(x.shape)
    r = rounder(x)
    return np.where(bits >= round(p * 2.0**16), r(x.astype(np.float64) * r(1 / (1 - p))), 0).astype(x.dtype)


def dropout_by_hand(x, p, **key):
    return x * (np.random.default_rng(key["seed"]).random(x.shape, np.float32) >= p) / x.dtype.type(1 - p)


def permutation(n, **key):
    """Fisher and Yates's shuffle, from the last row down."""
    words = philox_words(n, **key).tolist()
    rows = list(range(n))
    for i in reversed(range(1, n)):
        j = words[i] * (i + 1) // 2**32
        rows[i], rows[j] = rows[j], rows[i]
    return np.array(rows, np.int64)


DROPOUT = {"family": "dropout", "tiers": {"out": EXACT}}
WORDS = {**DROPOUT, "shapes": tuple((n,) for n in (0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 1025))}

SPECS = [
    Spec(
        name="dropout",
        twin="dropout",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "p": P, **KEY},
        oracle=dropout,
        numpy=dropout_by_hand,
        edge_arguments=("x",),
        **DROPOUT,
        **ELEMENTWISE,
    ),
    Spec(
        name="dropout_backward",
        twin="dropout",
        make=lambda rng, shape, dtype: {"dy": normal(rng, shape, dtype), "p": P, **KEY},
        oracle=lambda dy, p, **key: dropout(dy, p, **key),
        numpy=lambda dy, p, **key: dropout_by_hand(dy, p, **key),
        edge_arguments=("dy",),
        **DROPOUT,
        **ELEMENTWISE,
    ),
    Spec(
        name="random_bits",
        twin="random_bits",
        make=lambda rng, shape, dtype: {"n": shape[0], "first": 3, **KEY},
        oracle=lambda n, first, **key: philox_words(first + n, **key)[first:],
        numpy=lambda n, first, seed, **rest: np.random.default_rng(seed).integers(0, 2**32, n, np.uint32),
        large_shape=(100_003,),
        bench_shapes=((1 << 20,),),
        **WORDS,
    ),
    Spec(
        name="permutation",
        twin="permutation",
        make=lambda rng, shape, dtype: {"n": shape[0], **KEY},
        oracle=permutation,
        numpy=lambda n, seed, **rest: np.random.default_rng(seed).permutation(n),
        large_shape=(10_007,),
        bench_shapes=((60_000,),),
        **WORDS,
    ),
]
