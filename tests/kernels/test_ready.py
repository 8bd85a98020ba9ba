"""`_native.ready`, the fast check before elementwise kernels, accepts only what `_validation` accepts unchanged."""

import numpy as np
import pytest

from fastnn import _native

BASE = np.zeros((4, 6), np.float32)
READ_ONLY = BASE.copy()
READ_ONLY.flags.writeable = False
LONG = np.zeros(48, np.float32)
UNALIGNED = np.zeros(97, np.uint8)[1:].view(np.float32).reshape(4, 6)


def like(dtype=np.float32, shape=(4, 6)):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("written", "read", "in_place", "expected"),
    [
        ((like(),), (like(),), False, True),
        ((like(np.float64),), (like(np.float64), like(np.float64)), False, True),
        ((like(shape=()),), (like(shape=()),), False, True),
        ((like(shape=(0, 3)),), (like(shape=(0, 3)),), False, True),
        ((BASE,), (BASE,), True, True),
        ((BASE,), (BASE,), False, False),
        ((BASE, BASE), (like(),), True, False),
        ((LONG[:24],), (LONG[24:],), False, True),
        ((LONG[:24],), (LONG[23:47],), True, False),
        ((LONG[:24],), (LONG[:24].copy(), LONG[:24]), True, True),
        ((like(),), (READ_ONLY,), False, True),
        ((READ_ONLY,), (like(),), False, False),
        ((like(),), (like(np.float64),), False, False),
        ((like(np.int32),), (like(np.int32),), False, False),
        ((like(">f4"),), (like(">f4"),), False, False),
        ((like(),), (like(shape=(6, 4)),), False, False),
        ((like(),), (like(shape=(24,)),), False, False),
        ((like(),), (like(shape=(6, 4)).T,), False, False),
        ((like().T,), (like().T,), False, False),
        ((UNALIGNED,), (like(),), False, False),
        ((like(),), (UNALIGNED,), False, False),
        ((like(),), (like().tolist(),), False, False),
        ((like(),), (np.ma.masked_array(like()),), False, False),
        ((None,), (like(),), False, False),
        ((like(),), tuple(like() for _ in range(8)), False, False),
    ],
)
def test_ready(written, read, in_place, expected):
    assert _native.ready(written, read, in_place) is expected


VECTOR = like(shape=(6,))


@pytest.mark.parametrize(
    ("written", "read", "expected"),
    [
        ((like(), like(shape=(6,))), (like(), VECTOR, VECTOR), True),
        ((like(),), (like(), VECTOR), True),
        ((like(), like(shape=(4,))), (like(), VECTOR), False),
        ((like(), VECTOR), (like(), VECTOR), False),
        ((like(), like()), (like(), VECTOR), False),
        ((like(),), (VECTOR, VECTOR), False),
        ((VECTOR.copy(),), (VECTOR, VECTOR), False),
        ((like(shape=(2, 4, 6)),), (like(shape=(2, 4, 6)), VECTOR), False),
        ((like(),), (like(shape=(3, 6)), VECTOR), False),
        ((like(),), (like(), like(np.float64, 6)), False),
    ],
)
def test_ready_with_columns(written, read, expected):
    assert _native.ready(written, read, False, True) is expected


BY_ROW = like(shape=(4,))


@pytest.mark.parametrize(
    ("written", "by_row", "expected"),
    [
        (like(), (BY_ROW, like(shape=(4,))), True),
        (like(), (BY_ROW, BY_ROW), True),
        (like(), (VECTOR,), False),
        (like(), (like(shape=(4, 1)),), False),
        (like(), (like(np.float64, 4),), False),
        (like(), ([0.0] * 4,), False),
        (like(), tuple(BY_ROW for _ in range(6)), False),
        (LONG[:24].reshape(4, 6), (LONG[20:24],), False),
        (LONG[:24].reshape(4, 6), (LONG[24:28],), True),
        (VECTOR, (BY_ROW,), False),
    ],
)
def test_ready_with_an_entry_for_each_row(written, by_row, expected):
    assert _native.ready((written,), (like(), VECTOR), False, True, by_row) is expected
