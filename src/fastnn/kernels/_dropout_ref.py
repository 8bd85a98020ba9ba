"""NumPy twin of dropout, random bits and permutations: Philox4x32, a pure function of (seed, stream, step, index).

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

from typing import Any

import numpy as np

from fastnn._typing import Array

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_MASK_ROUNDS = 7


def philox(blocks: Array, seed: int, stream: int, step: int, rounds: int = _ROUNDS) -> Array:
    """Return the four words of each 64-bit block number, as (blocks, 4) uint32."""
    counter: list[Any] = [blocks & _LOW, blocks >> _32, np.uint64(step), np.uint64(stream)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(rounds):
        left, right = _MULTIPLIERS[0] * counter[0], _MULTIPLIERS[1] * counter[2]
        counter = [
            (right >> _32) ^ counter[1] ^ np.uint64(key[0]),
            right & _LOW,
            (left >> _32) ^ counter[3] ^ np.uint64(key[1]),
            left & _LOW,
        ]
        key = [(word + weyl) & 0xFFFFFFFF for word, weyl in zip(key, _WEYL, strict=True)]
    return np.stack(counter, axis=-1).astype(np.uint32)


def random_bits(out: Array, seed: int, stream: int, step: int, first: int) -> None:
    """Compute the words first, first + 1, ... of the stream, four from each block."""
    blocks = np.arange(first // 4, (first + out.size + 3) // 4, dtype=np.uint64)
    out[...] = philox(blocks, seed, stream, step).reshape(-1)[first % 4 :][: out.size]


def short_words(count: int, seed: int, stream: int, step: int) -> Array:
    """Return the words of whole blocks, at least `count` of them, with the seven rounds of masks."""
    return philox(np.arange((count + 3) // 4, dtype=np.uint64), seed, stream, step, _MASK_ROUNDS).reshape(-1)


def half_words(count: int, seed: int, stream: int, step: int) -> Array:
    """Return the 16 random bits of each element of a mask: a word's low half first."""
    words = short_words((count + 1) // 2, seed, stream, step)
    return words.astype("<u4").view("<u2")[:count]


@np.errstate(all="ignore")
def dropout(x: Array, out: Array, p: float, seed: int, stream: int, step: int, threads: int) -> None:
    """Compute x / (1 - p) where an element's 16 random bits are at least p * 2**16, else 0."""
    bits = half_words(x.size, seed, stream, step).reshape(x.shape)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    out[...] = np.where(bits >= round(p * 2**16), x * scale, 0)


def permutation(out: Array, seed: int, stream: int, step: int) -> None:
    """Fisher-Yates: for i from the last down, position i is swapped with position ``bits(i) * (i + 1) >> 32``."""
    bits = np.empty(out.size, np.uint32)
    random_bits(bits, seed, stream, step, 0)
    products: Array = bits * np.arange(1, out.size + 1, dtype=np.uint64)
    swap = (products >> _32).tolist()
    rows = list(range(out.size))
    for i in range(out.size - 1, 0, -1):
        j = swap[i]
        rows[i], rows[j] = rows[j], rows[i]
    out[...] = rows
