"""Reader of IDX files, the format of MNIST and its kin: http://yann.lecun.com/exdb/mnist."""

from __future__ import annotations

import gzip
import math
import os
import struct
import sys
import zlib
from typing import IO

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array

__all__ = ["read_idx"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMS = 64  # of NumPy's arrays
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_LARGEST_RATIO = 1032  # deflate cannot do better: a byte for at least 258 bytes in 2 bits


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Read an IDX file, compressed by gzip or not.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    ndarray
        Of the file's shape and dtype (uint8, int8, int16, int32, float32 or float64), in native byte order.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no IDX file, damaged, or not as long as its header says. The header is checked against the file's
        length before any memory is allocated for the data.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".idx") as file:
    ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     file.flush()
    ...     read_idx(file.name)
    array([7, 8, 9], dtype=uint8)
    """
    with open(path, "rb") as raw:  # noqa: PTH123 - any path-like
        length = os.fstat(raw.fileno()).st_size
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        if not packed:
            return _read(raw, path, length, exact=True)
        try:
            with gzip.open(raw, "rb") as unpacked:
                return _read(unpacked, path, length * _GZIP_LARGEST_RATIO, exact=False)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            v.refuse(ValueError, str(path), "be a whole gzip file", f"a damaged one ({error})")


def _read(file: IO[bytes] | gzip.GzipFile, path: str | os.PathLike[str], most: int, *, exact: bool) -> Array:
    """Read a whole file of at most `most` bytes, or exactly as many."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or head[3] == 0:
        known = ", ".join(f"{code:#04x}" for code in _DTYPES)
        v.refuse(ValueError, str(path), f"begin with the bytes 0 0 (one of {known}) (dimensions)", list(head))
    n_dims, dtype = head[3], np.dtype(_DTYPES[head[2]])
    sizes = file.read(4 * n_dims)
    if len(sizes) < 4 * n_dims:
        v.refuse(ValueError, str(path), f"have {n_dims} sizes of 4 bytes", f"{len(sizes)} bytes")
    if n_dims > MOST_DIMS:
        v.refuse(ValueError, str(path), f"have at most {MOST_DIMS} dimensions", n_dims)
    shape = struct.unpack(f">{n_dims}I", sizes)
    n_bytes = math.prod(shape) * dtype.itemsize
    header = 4 + 4 * n_dims
    if header + n_bytes > most or (exact and header + n_bytes != most):
        wanted = v.shown(header + n_bytes)
        v.refuse(ValueError, str(path), f"have {wanted} bytes for shape {shape} of {dtype}", f"at most {most}")
    data = file.read(n_bytes)
    if len(data) != n_bytes or file.read(1):
        v.refuse(ValueError, str(path), f"have {n_bytes} bytes of data", "fewer" if len(data) < n_bytes else "more")
    # NumPy counts the bytes of an empty array as if its sizes of 0 were 1.
    if math.prod(filter(None, shape)) * dtype.itemsize > sys.maxsize:
        must = f"have at most {sys.maxsize} bytes, its sizes of 0 left out"
        v.refuse(ValueError, str(path), must, f"shape {shape} of {dtype}")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))  # a copy: what belongs to bytes cannot be written
