"""The IDX reader, which believes no header, and the scaler."""

import gzip
import struct

import numpy as np
import pytest

from fastnn.data import Scaler, read_idx

CODES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx(code, shape, data, magic=b"\0\0"):
    return magic + bytes([code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


def written(tmp_path, content, packed=False):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 28), (1, 1, 1, 1)])
def test_round(tmp_path, code, shape, packed):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(CODES[code])
    read = read_idx(written(tmp_path, idx(code, shape, array.tobytes()), packed))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")
    assert read.dtype.isnative
    read[...] = 1  # it can be written


GOOD = idx(0x08, (2, 3), bytes(6))
BAD = {
    "empty": b"",
    "short magic": GOOD[:3],
    "wrong magic": idx(0x08, (2, 3), bytes(6), magic=b"\0\1"),
    "unknown dtype": idx(0x0A, (2, 3), bytes(6)),
    "no dimensions": bytes([0, 0, 8, 0]),
    "short sizes": GOOD[:9],
    "short data": GOOD[:-1],
    "long data": GOOD + b"\0",
    "huge": idx(0x0E, (2**32 - 1,) * 3, bytes(6)),
    "product wraps to 0": idx(0x0E, (2**31, 2**31, 4), b""),
    "255 dimensions": idx(0x08, (1,) * 255, b"\0"),
    "huge, then nothing": idx(0x08, (2**32 - 1, 2**32 - 1, 0), b"x"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_files_that_are_none(tmp_path, case, packed):
    path = written(tmp_path, BAD[case], packed)
    with pytest.raises(ValueError, match="file: expected"):
        read_idx(path)


def test_every_truncation_is_an_error(tmp_path):
    for content in (GOOD, gzip.compress(GOOD)):
        for length in range(len(content)):
            with pytest.raises(ValueError, match="expected"):
                read_idx(written(tmp_path, content[:length]))


def test_damaged_gzip(tmp_path):
    content = bytearray(gzip.compress(idx(0x08, (500,), bytes(range(250)) * 2)))
    for at in range(10, len(content)):
        damaged = content.copy()
        damaged[at] ^= 0xFF
        with pytest.raises(ValueError, match="expected"):
            read_idx(written(tmp_path, bytes(damaged)))


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")


# ---- scaler ----


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_scaler(dtype):
    X = (np.random.default_rng(0).random((70001, 3)) * 200 + 30).astype(dtype)
    X[:, 1] = 7
    scaler = Scaler.fit(X)
    scaled = (X - scaler.center) * scaler.scale
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 0, 1], rtol=1e-9)


@pytest.mark.parametrize("X", [np.empty((0, 2)), np.ones(3), [[np.nan, 1.0]], [["a"]]])
def test_scaler_refuses(X):
    with pytest.raises((ValueError, TypeError), match="X: expected"):
        Scaler.fit(X)
