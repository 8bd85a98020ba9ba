"""`read_idx`, the reader of IDX files, the format of MNIST: http://yann.lecun.com/exdb/mnist."""

from __future__ import annotations

import gzip
import math
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array

__all__ = ["read_idx"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMS = 64  # that a NumPy array can have
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_LARGEST_RATIO = 1032  # of deflate: it needs at least 2 bits for 258 bytes


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Read an IDX file, which may be compressed by gzip.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    ndarray
        The data, with the file's shape and dtype (uint8, int8, int16, int32, float32 or float64) in native byte order.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError
        If `path` is no path.
    ValueError
        If the file is not an IDX file, is damaged, or its length differs from what its header says. The header is
        checked against the file's length before memory is allocated for the data.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".idx") as file:
    ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     file.flush()
    ...     read_idx(file.name)
    array([7, 8, 9], dtype=uint8)
    """
    path = v.path("path", path)  # open would take an integer for a file that is open already
    with Path(path).open("rb") as raw:
        length = os.fstat(raw.fileno()).st_size
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        if not packed:
            return _read(raw, path, length, exact=True)
        try:
            with gzip.open(raw, "rb") as unpacked:
                return _read(unpacked, path, length * _GZIP_LARGEST_RATIO, exact=False)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            v.refuse(ValueError, path, "be an intact gzip file", f"a damaged one ({error})", "download it again")


def _read(file: IO[bytes] | gzip.GzipFile, path: str, most: int, *, exact: bool) -> Array:
    """Read a file of at most `most` bytes or, with `exact`, of exactly `most` bytes."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or head[3] == 0:
        known = ", ".join(f"{code:#04x}" for code in _DTYPES)
        must = f"begin with two bytes 0, a dtype code ({known}) and a number of dimensions above 0"
        v.refuse(ValueError, path, must, f"bytes {list(head)}")
    n_dims, dtype = head[3], np.dtype(_DTYPES[head[2]])
    sizes = file.read(4 * n_dims)
    if len(sizes) < 4 * n_dims:
        v.refuse(ValueError, path, f"have {n_dims} sizes of 4 bytes each", f"{len(sizes)} bytes")
    if n_dims > MOST_DIMS:
        v.refuse(ValueError, path, f"have at most {MOST_DIMS} dimensions", n_dims)
    shape = struct.unpack(f">{n_dims}I", sizes)
    n_bytes = math.prod(shape) * dtype.itemsize
    header = 4 + 4 * n_dims
    if header + n_bytes > most or (exact and header + n_bytes != most):
        wanted = v.shown(header + n_bytes)
        got = f"{most} bytes" if exact else f"at most {most} bytes"
        v.refuse(ValueError, path, f"have {wanted} bytes for shape {shape} of {dtype}", got)
    data = file.read(n_bytes)
    if len(data) != n_bytes or file.read(1):
        v.refuse(ValueError, path, f"have {n_bytes} bytes of data", "fewer" if len(data) < n_bytes else "more")
    # NumPy computes the bytes of an empty array as if its sizes of 0 were 1.
    if math.prod(filter(None, shape)) * dtype.itemsize > sys.maxsize:
        must = f"have a shape of at most {sys.maxsize} bytes, with sizes of 0 counted as 1"
        v.refuse(ValueError, path, must, f"shape {shape} of {dtype}")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))  # a copy, as an array over bytes is read-only
