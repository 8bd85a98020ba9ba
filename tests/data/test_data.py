"""The IDX reader, also with headers that do not match the file, and the scaler."""

import gzip
import math
import struct

import numpy as np
import pytest

from fastnn import nn
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
def test_idx_round_trip(tmp_path, code, shape, packed):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(CODES[code])
    read = read_idx(written(tmp_path, idx(code, shape, array.tobytes()), packed))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")
    assert read.dtype.isnative
    read[...] = 1  # the array is writable


GOOD = idx(0x08, (2, 3), bytes(6))
MAGIC = r"begin with two bytes 0, a dtype code \(0x08, .*\) and a number of dimensions above 0, got bytes \["
LENGTH = r"have .* bytes for shape \(.*, got (at most )?\d+"
# Files that are refused, and the message.
BAD = {
    "empty": (b"", MAGIC),
    "short magic": (GOOD[:3], MAGIC),
    "wrong magic": (idx(0x08, (2, 3), bytes(6), magic=b"\0\1"), MAGIC),
    "unknown dtype": (idx(0x0A, (2, 3), bytes(6)), MAGIC),
    "no dimensions": (bytes([0, 0, 8, 0]), MAGIC),
    "short sizes": (GOOD[:9], "have 2 sizes of 4 bytes each, got 5 bytes"),
    "short data": (GOOD[:-1], f"{LENGTH}|have 6 bytes of data, got fewer"),
    "long data": (GOOD + b"\0", f"{LENGTH}|have 6 bytes of data, got more"),
    "huge": (idx(0x0E, (2**32 - 1,) * 3, bytes(6)), LENGTH),
    "product wraps to 0": (idx(0x0E, (2**31, 2**31, 4), b""), LENGTH),
    "255 dimensions": (idx(0x08, (1,) * 255, b"\0"), "have at most 64 dimensions, got 255"),
    "huge, then nothing": (
        idx(0x08, (2**32 - 1, 2**32 - 1, 0), b"x"), f"{LENGTH}|have 0 bytes of data, got more"
    ),
    "64 huge dimensions": (idx(0x0E, (2**32 - 1,) * 64, bytes(6)), LENGTH),
}  # fmt: skip

# These files have no data and are complete, but NumPy has no array of these shapes.
EMPTY_BUT_HUGE = [(0, 2**32 - 1, 2**32 - 1), (2**32 - 1, 2**32 - 1, 0), (2**31, 0, 2**31, 2), (2**32 - 1,) * 63 + (0,)]
EMPTY = [(0,), (0, 2**32 - 1), (2**32 - 1, 0), (0, 0, 0), (0, 2**31, 2**28), (0,) * 64]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_files_that_are_not_idx_files(tmp_path, case, packed):
    content, message = BAD[case]
    path = written(tmp_path, content, packed)
    with pytest.raises(ValueError, match=rf"file must ({message})"):
        read_idx(path)


def test_a_path_is_no_number():
    """The built-in open would read from the standard input, and wait for it."""
    for wrong in (0, None):
        with pytest.raises(
            TypeError, match=f"^path must be a path: a string or a pathlib.Path, got {'int' if wrong == 0 else None}$"
        ):
            read_idx(wrong)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [*EMPTY_BUT_HUGE, *EMPTY])
def test_sizes_of_0(tmp_path, shape, packed):
    for code in (0x08, 0x0E):
        path = written(tmp_path, idx(code, shape, b""), packed)
        if shape in EMPTY and (code == 0x08 or math.prod(filter(None, shape)) < 2**60):
            assert read_idx(path).shape == shape
        else:
            with pytest.raises(ValueError, match=r"file must have a shape of at most \d+ bytes, .*, got shape \("):
                read_idx(path)


def test_every_truncation_is_an_error(tmp_path):
    for content in (GOOD, gzip.compress(GOOD)):
        for length in range(len(content)):
            with pytest.raises(ValueError, match=r"file must (begin with|have|be) .*, got "):
                read_idx(written(tmp_path, content[:length]))


def test_damaged_gzip(tmp_path):
    content = bytearray(gzip.compress(idx(0x08, (500,), bytes(range(250)) * 2)))
    for at in range(10, len(content)):
        damaged = content.copy()
        damaged[at] ^= 0xFF
        with pytest.raises(ValueError, match=r"file must (begin with|have|be) .*, got "):
            read_idx(written(tmp_path, bytes(damaged)))


def test_a_truncated_gzip_file_is_named_as_damaged(tmp_path):
    path = written(tmp_path, gzip.compress(GOOD)[:-4])
    with pytest.raises(
        ValueError, match=r"file must be an intact gzip file, got a damaged one \(.*\): download it again$"
    ):
        read_idx(path)


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


ULP = 2.0**-56  # of 0.1, twice

CONSTANT = [0.1, 0.3, -1e8 - 1 / 3, 1e-310, 5e-324, 1e308, 0.0, -0.0, 1 / 3]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
@pytest.mark.parametrize("rows", [1, 2, 10, 131_073])
def test_constant_columns_become_0(rows, dtype):
    """Exactly 0, although a mean is rounded."""
    with np.errstate(over="ignore"):
        column = np.array(CONSTANT).astype(dtype)
    column = column[np.isfinite(column)]
    scaler = Scaler.fit(np.tile(column, (rows, 1)))
    assert scaler.center.tolist() == column.astype(float).tolist()
    assert scaler.scale.tolist() == [1.0] * len(column)


@pytest.mark.parametrize("value", [7, 255, True, 2**60])
def test_constant_columns_of_integers(value):
    scaler = Scaler.fit(np.full((1000, 2), value))
    assert (scaler.center.tolist(), scaler.scale.tolist()) == ([float(value)] * 2, [1.0, 1.0])


# Columns that are not constant, with values and differences of any size.
VARYING = {
    "1e8 and a millionth": 1e8 + 1e-6 * np.arange(100),
    "a spacing": np.where(np.arange(100) % 2, 0.1, 0.1 + ULP),
    "one of many": np.where(np.arange(100_000) == 77, 0.1 + 1e-9, 0.1),
    "float32": np.float32(1e8) + 8 * np.arange(50, dtype=np.float32),
    "large float32": np.array([3e38, 3e38, -1, 0], np.float32),
    "squares overflow": 1e300 * np.arange(-50, 50),
    "the sum overflows": np.linspace(1.0e308, 1.7e308, 64),
    "the difference overflows": np.array([-1.7e308, 0.0, 1.5e307, 1.7e308]) / 2,
    "squares are lost": 1e-170 * np.arange(100),
    "bytes": np.arange(256, dtype=np.uint8),
    "bits": np.array([True, False, False]),
}


@pytest.mark.parametrize("name", VARYING)
def test_other_columns_get_variance_1(name):
    x = VARYING[name]
    scaler = Scaler.fit(x[:, None])
    exact = x.astype(np.longdouble)
    mean = exact.mean()
    std = np.sqrt(((exact - mean) ** 2).mean())
    assert scaler.scale[0] == pytest.approx(float(1 / std), rel=1e-11)
    assert abs(scaler.center[0] - mean) <= 2e-16 * np.abs(exact).max()
    others = np.column_stack([x, np.full(len(x), 0.1), x])
    beside = Scaler.fit(others.astype(float))
    np.testing.assert_allclose(beside.scale, [scaler.scale[0], 1.0, scaler.scale[0]], rtol=1e-11)


def test_scales_are_finite():
    """A column of the smallest numbers cannot have variance 1."""
    scaler = Scaler.fit([[0.0], [5e-324]])
    assert np.isfinite(scaler.scale).all() and scaler.scale[0] > 1e308


def test_a_net_turns_constant_columns_into_0(impl):
    X = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    X[:, 1] = 0.1
    net = nn.Sequential(nn.Dense(3, 3, init=nn.init.constant(1.0)), seed=0)
    net.layers[0].weight[...] = np.eye(3)
    net.scaler = Scaler.fit(X)
    assert (net.predict(X)[:, 1] == 0).all()
    assert Scaler.fit(np.empty((3, 0))).scale.shape == (0,)
