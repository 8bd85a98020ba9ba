"""The messages of compiled functions about arrays that the checks of the public ones have not passed."""

import numpy as np
import pytest

from fastnn import _native
from fastnn.kernels import _joins_cy, _losses_cy

FLOATS = "have dtype float32 or float64"


def array(dtype=np.float32, shape=(2, 3)):
    return np.zeros(shape, dtype)


def unaligned(dtype):
    return np.zeros(6 * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype).reshape(2, 3)


def read_only():
    result = array()
    result.flags.writeable = False
    return result


WRONG = [
    ([0.0], TypeError, "be an ndarray, got list"),
    (array(np.int64), TypeError, f"{FLOATS}, got dtype int64"),
    (array(np.uint8), TypeError, f"{FLOATS}, got dtype uint8"),
    (array(np.float16), TypeError, f"{FLOATS}, got dtype float16"),
    (array(object), TypeError, f"{FLOATS}, got dtype object"),
    (array(np.dtype(np.float32).newbyteorder()), TypeError, f"{FLOATS}, got dtype >f4, byte-swapped"),
    (unaligned(np.float32), TypeError, "be aligned, got an array that is not"),
    (array(shape=(3, 2)).T, ValueError, "be C-contiguous, got an array that is not"),
]


@pytest.mark.parametrize(("given", "error", "message"), WRONG)
def test_floats(given, error, message):
    for x, out in ((given, array()), (array(), given)):
        with pytest.raises(error, match=f"^array must {message}"):
            _joins_cy.add(x, array(), out, 1)


def test_what_is_written():
    with pytest.raises(ValueError, match=r"^array must be writable, got an array that is not$"):
        _joins_cy.add(array(), array(), read_only(), 1)
    _joins_cy.add(read_only(), read_only(), array(), 1)
    with pytest.raises(TypeError, match=r"^all arrays of a call must have one dtype, got float32 and float64$"):
        _joins_cy.add(array(), array(), array(float), 1)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_integers_and_weights(dtype):
    """Each has the only dtype that it can have."""
    name, swapped = np.dtype(dtype).name, np.dtype(dtype).newbyteorder()
    wrong = [
        (memoryview(array(dtype, 2)), TypeError, "be an ndarray, got memoryview"),
        (array(np.int32, 2), TypeError, f"have dtype {name}, got dtype int32"),
        (array(np.float32, 2), TypeError, f"have dtype {name}, got dtype float32"),
        (array(swapped, 2), TypeError, f"have dtype {name}, got dtype {swapped}, byte-swapped"),
        (unaligned(dtype)[0, :2], TypeError, "be aligned, got an array that is not"),
        (array(dtype, 4)[::2], ValueError, "be C-contiguous, got an array that is not"),
    ]
    for given, error, message in wrong:
        given = {"target": array(np.int64, 2), "weight": None} | {"target" if dtype is np.int64 else "weight": given}
        with pytest.raises(error, match=f"^array must {message}"):
            _losses_cy.loss(_native.LOSSES[0], array(), *given.values(), np.zeros(0), 1.0, 1.0, None)
