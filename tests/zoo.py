"""Arrays that every kernel is tested with: memory layouts, edge values of floats, memory with guards around it."""

import numpy as np


def _strided(a):
    every_other = tuple(slice(None, None, 2) for _ in a.shape)
    view = np.zeros([2 * n for n in a.shape], a.dtype)[every_other]
    view[...] = a
    return view


def _reversed(a):
    backwards = tuple(slice(None, None, -1) for _ in a.shape)
    return a[backwards].copy()[backwards]


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _byte_swapped(a):
    return a.astype(a.dtype.newbyteorder("S"))


def _unaligned(a):
    raw = np.empty(a.nbytes + 1, np.uint8)[1:]
    view = np.frombuffer(raw.data, a.dtype, a.size).reshape(a.shape)
    view[...] = a
    return view


def _offset(a):
    """Return an array that is aligned to its elements, but to no vector."""
    view = np.empty(a.size + 1, a.dtype)[1:].reshape(a.shape)
    view[...] = a
    return view


# Each returns an array with the same values in another layout.
LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": _strided,
    "reversed": _reversed,
    "read_only": _read_only,
    "byte_swapped": _byte_swapped,
    "unaligned": _unaligned,
    "offset": _offset,
}


def edges(dtype):
    """Return every kind of float: zeros, denormals, the smallest and the largest normal numbers, infinities, NaN."""
    info = np.finfo(dtype)
    positive = [0.0, info.smallest_subnormal, info.tiny / 2, info.tiny, info.eps, 1.0, 1e10, info.max, np.inf]
    return np.array([*positive, *(-np.array(positive, dtype)), np.nan], dtype)


def guarded(shape, dtype):
    """Return an array of NaN (ones for integers), and a function that returns False if memory beside it was written."""
    dtype = np.dtype(dtype)
    margin, count = 64, int(np.prod(shape))
    buffer = np.full(count + 2 * margin, 42, dtype)
    inner = buffer[margin : margin + count]
    inner[...] = np.nan if dtype.kind == "f" else 1

    def intact():
        return bool((buffer[:margin] == 42).all() and (buffer[margin + count :] == 42).all())

    return inner.reshape(shape), intact
