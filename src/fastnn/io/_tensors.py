"""Files of tensors in the safetensors format, written and read here.

A file is a header's length (eight bytes, little-endian), the header (JSON: of each tensor its dtype, shape and place,
and a mapping of strings to strings), and the tensors' bytes, which have no gaps and no end that is not a tensor's. It
has no code, no paths and no pickles (https://huggingface.co/docs/safetensors).

Everything that is read is checked against limits before memory is taken for it. Files are read, not mapped: the system
ends a process that touches a mapped page of a file that another program has cut.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._json import MOST_JSON, json_text, parsed_json
from fastnn.io._messages import refuse_file
from fastnn.io._replacing import replacing

MOST_HEADER = MOST_JSON  # bytes
MOST_TENSORS = 10_000
MOST_NAME = 1000  # characters of a tensor's name
MOST_AXES = 32
MOST_BYTES = 2**63 - 1  # of a tensor, axes of length 0 left out
BLOCK = 2**20  # bytes that are read or written at a time

DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(kind).newbyteorder("<")
    for name, kind in {
        "F64": "f8", "I64": "i8", "U64": "u8", "F32": "f4", "I32": "i4", "U32": "u4",
        "F16": "f2", "I16": "i2", "U16": "u2", "I8": "i1", "U8": "u1", "BOOL": "?",
    }.items()
}  # fmt: skip
"""The dtypes that NumPy has too, by the format's names."""
NAME_OF_DTYPE = {dtype: name for name, dtype in DTYPES.items()}


SIZES: Mapping[str, int] = {
    **{name: dtype.itemsize for name, dtype in DTYPES.items()},
    "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "C64": 8,
}  # fmt: skip
"""Bytes of a number of each dtype that headers may name. Tensors of those that are not in `DTYPES` cannot be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor in a file: its bytes are from `start` to `stop`, counted from the end of the header."""

    kind: str
    """The dtype by the format's name."""
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The dtype of the array that `TensorFile.read` returns; None if it cannot."""
        return DTYPES[self.kind].newbyteorder("=") if self.kind in DTYPES else None

    @property
    def dtype_name(self) -> str:
        """The dtype as messages say it: NumPy's name, or the format's."""
        return self.kind if self.dtype is None else str(self.dtype)


# ---- writing ----


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Array],
    metadata: Mapping[str, str],
    checksum: str = "",
) -> None:
    """Write a file in whole or not at all: whoever opens the path finds the old file or the new one.

    Parameters
    ----------
    path : path-like
        Its folder must exist. An existing file is replaced, and keeps its permissions.
    tensors : mapping of str to ndarray
        Of the format's dtypes.
    metadata : mapping of str to str
    checksum : str
        A key for the SHA-256 of the file, in which this value's own digits are zeros; "" for none.

    Raises
    ------
    TypeError, ValueError
        If `path` is not that of a file, a name or a dtype is none of the format's, or the file would be beyond the
        limits of this module.
    OSError
        If the file cannot be written. The old file, if there is one, is as before.
    """
    header, ordered = _header(tensors, {**metadata, checksum: "0" * 64} if checksum else metadata)
    if checksum:
        import hashlib

        digest = hashlib.sha256(header)
        for array in ordered:
            for block in _blocks(array):
                digest.update(block)
        place = header.index(f'"{checksum}":"{"0" * 64}"'.encode()) + len(checksum) + 4
        header = header[:place] + digest.hexdigest().encode() + header[place + 64 :]
    with replacing(path) as file:
        file.write(header)
        for array in ordered:
            for block in _blocks(array):
                file.write(block)


def _header(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> tuple[bytes, list[Array]]:
    """Return the header with its length in front, and the arrays in the order of the file."""
    if len(tensors) > MOST_TENSORS:
        v.refuse(ValueError, "a file", f"have at most {MOST_TENSORS} tensors", len(tensors))
    for key, value in metadata.items():
        for each in (key, value):
            v.instance("metadata", each, str, "have strings only")
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    ordered: list[Array] = []
    start = 0
    # Large elements first: so each array begins at a multiple of its element's size.
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        where = f"the tensor {v.shown(name)}"
        if len(name) > MOST_NAME or name == "__metadata__":
            must = f'have a name of at most {MOST_NAME} characters other than "__metadata__"'
            v.refuse(ValueError, where, must, "this name")
        dtype = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
        if dtype not in NAME_OF_DTYPE:
            v.refuse(TypeError, where, f"be of one of the dtypes {', '.join(DTYPES)}", array.dtype)
        if array.ndim > MOST_AXES:
            v.refuse(ValueError, where, f"have at most {MOST_AXES} axes", array.ndim)
        entries[name] = {
            "dtype": NAME_OF_DTYPE[dtype], "shape": list(array.shape), "data_offsets": [start, start + array.nbytes],
        }  # fmt: skip
        ordered.append(array)
        start += array.nbytes
    text = json_text("the header of the file", entries).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER:
        v.refuse(ValueError, "the header of the file", f"have at most {MOST_HEADER} bytes", len(text))
    return len(text).to_bytes(8, "little") + text, ordered


def _blocks(array: Array) -> Iterator[memoryview]:
    """Yield the bytes of an array in C order, some at a time."""
    little = array.dtype.newbyteorder("<")
    flat = np.ascontiguousarray(array, little).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, BLOCK):
        yield flat[start : start + BLOCK].data


# ---- reading ----


class TensorFile:
    """A file of tensors, whose header is read and checked when it is opened; a context manager, which closes it.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : str
    size : int
        Of the file, in bytes.
    metadata : dict of str to str
    entries : dict of str to Entry

    Raises
    ------
    TypeError
        If `path` is no path.
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, damaged, or beyond the limits of this module.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = v.path("path", path)
        self._check_kind(Path(self.path).stat().st_mode)  # to open a device may do something
        self._file = open(self.path, "rb", buffering=0, opener=_opened)  # noqa: SIM115 - until `close`
        try:
            status = os.fstat(self._file.fileno())
            self._check_kind(status.st_mode)
            self.size, self._changed = status.st_size, status.st_mtime_ns
            self._read_header()
        except BaseException:
            self.close()
            raise

    def _refuse(self, must: str, got: object, fix: str = "") -> NoReturn:
        refuse_file(self.path, must, got, fix)

    def _check_kind(self, mode: int) -> None:
        if not stat.S_ISREG(mode):
            self._refuse("be a file", "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or the like")

    def _read_header(self) -> None:
        beginning = bytes(self._bytes(0, min(_BEGINNING, self.size)))
        length = int.from_bytes(beginning[:8], "little")
        if length < 2 or beginning[8:9] != b"{":
            self._refuse("be a safetensors file", known_kind(beginning))
        if length > MOST_HEADER:
            self._refuse(f"have a header of at most {MOST_HEADER} bytes", length)
        if length > self.size - 8:
            self._refuse(f"have a header of {length} bytes", self.size - 8, "it has been cut")
        self._start = 8 + length
        header = parsed_json(f"the header of {self.path}", self._bytes(8, length))
        assert isinstance(header, dict)  # as it begins with a brace
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
            got = v.kind_of(metadata) if not isinstance(metadata, dict) else "other values in it"
            self._refuse("have an object of strings as its metadata", got)
        self.metadata: dict[str, str] = metadata
        if len(header) > MOST_TENSORS:
            self._refuse(f"have at most {MOST_TENSORS} tensors", len(header))
        self.entries = {name: self._entry(name, each) for name, each in header.items()}
        end = 0
        for name, entry in sorted(self.entries.items(), key=lambda item: (item[1].start, item[1].stop)):
            if entry.start != end:
                self._refuse(f"have the tensor {v.shown(name)} at byte {end}, without gaps", f"byte {entry.start}")
            end = entry.stop
        if end != self.size - self._start:
            self._refuse(f"have {end} bytes after its header", self.size - self._start, "it may have been cut")

    def _entry(self, name: str, given: Any) -> Entry:
        if len(name) > MOST_NAME:
            self._refuse(f"have names of at most {MOST_NAME} characters", len(name))
        where = f"the tensor {v.shown(name)}"
        if not isinstance(given, dict) or given.keys() != {"dtype", "shape", "data_offsets"}:
            got = ", ".join(map(v.shown, list(given)[:6])) if isinstance(given, dict) else v.kind_of(given)
            self._refuse(f"have dtype, shape and data_offsets of {where}", got or "none")
        kind, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
        if not isinstance(kind, str) or kind not in SIZES:
            self._refuse(f"have {where} of one of the dtypes {', '.join(SIZES)}", v.shown(kind))
        for key, value, most in (("shape", shape, MOST_AXES), ("data_offsets", offsets, 2)):
            if not isinstance(value, list) or len(value) > most:
                got = f"{len(value)} values" if isinstance(value, list) else v.kind_of(value)
                self._refuse(f"have a list of at most {most} numbers as {key} of {where}", got)
            if not all(type(n) is int and 0 <= n < 2**63 for n in value):
                self._refuse(f"have whole numbers from 0 to 2**63 - 1 in the {key} of {where}", v.shown(value))
        size = SIZES[kind]
        if math.prod(n for n in shape if n) * size > MOST_BYTES:  # also without values NumPy has no larger shapes
            self._refuse(f"have a shape of {where} that fits in memory", v.shown(shape))
        nbytes = math.prod(shape) * size
        if len(offsets) != 2 or offsets[1] - offsets[0] != nbytes or offsets[1] > self.size - self._start:
            self._refuse(f"have {nbytes} bytes of {where} within the file", f"data_offsets {offsets}")
        return Entry(kind, tuple(shape), offsets[0], offsets[1])

    def _bytes(self, start: int, length: int) -> bytearray:
        buffer = bytearray(length)
        self._fill(start, memoryview(buffer))
        return buffer

    def _fill(self, start: int, buffer: memoryview) -> None:
        """Read into a buffer, from a place in the file."""
        self._file.seek(start)
        done = 0
        while done < len(buffer):
            count = self._file.readinto(buffer[done : done + BLOCK])
            if not count:
                self._refuse(f"have {self.size} bytes", "fewer", "it was cut while it was read")
            done += count
        status = os.fstat(self._file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self._changed):
            self._refuse("be left as it is while it is read", "a change by another program", "read it again")

    def read(self, name: str) -> Array:
        """Return a new array with the values of a tensor."""
        entry = self.entries[name]
        if entry.dtype is None:
            must = f"have the tensor {v.shown(name)} of one of the dtypes {', '.join(DTYPES)}"
            self._refuse(must, entry.kind, "convert it to F32 with the program that wrote it")
        array = np.empty(entry.shape, DTYPES[entry.kind])
        values = array.reshape(-1).view(np.uint8)
        self._fill(self._start + entry.start, values.data)
        if entry.dtype == np.bool_ and values.max(initial=0) > 1:
            self._refuse(f"have zeros and ones in the tensor {v.shown(name)} of bools", values.max())
        return array.astype(entry.dtype, copy=False)

    def digest(self, key: str) -> str:
        """Return the SHA-256 of the file with zeros in place of the digits in the metadata's `key`."""
        import hashlib

        if len(self.metadata[key]) != 64 or not self.metadata[key].isascii():
            self._refuse(f"have 64 digits as {key}", v.shown(self.metadata[key]))
        known = f'"{key}":"{self.metadata[key]}"'.encode()
        header = self._bytes(0, self._start)
        place = header.find(known, 8)
        if place < 0:
            self._refuse(f"have {key} in its header as it was written", "another spelling")
        place += len(known) - 65
        header[place : place + 64] = b"0" * 64
        digest = hashlib.sha256(header)
        del header
        buffer = memoryview(bytearray(BLOCK))
        for start in range(self._start, self.size, BLOCK):
            block = buffer[: min(BLOCK, self.size - start)]
            self._fill(start, block)
            digest.update(block)
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _opened(path: str, flags: int) -> int:
    """Open a file, without waiting if it has just become a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


_BEGINNING = 16  # bytes that say what kind of file it is
_KINDS: Iterable[tuple[bytes, str]] = (
    (b"PK\x03\x04", "a zip archive, as PyTorch's and Keras's files are"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"GGUF", "a GGUF file"),
    (b"version https://", "a pointer of Git LFS, without the file that it stands for"),
    (b"<", "a page of HTML or XML"),
    *((b"\x80" + bytes([protocol]), "a pickle") for protocol in range(2, 6)),
    *((b"\x08" + bytes([version]), "a file of protocol buffers, as ONNX's are") for version in range(1, 32)),
)


def known_kind(beginning: bytes) -> str:
    """Return what a file that begins so may be."""
    if not beginning:
        return "an empty file"
    if len(beginning) < 10 and not any(beginning[3:8]):
        return f"one of {len(beginning)} bytes, which may have been cut"
    kind = next((kind for known, kind in _KINDS if beginning.startswith(known)), "")
    if not kind and beginning.isascii() and all(each.isprintable() or each in "\t\r\n" for each in beginning.decode()):
        kind = f"a text that begins with {beginning.decode()!r}"
    return kind or f"one that begins with {beginning!r}"


def load_tensors(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return the tensors of a file in the safetensors format, whoever has written it.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to ndarray
        New arrays, by the names in the file. `Sequential.load_state_dict` takes those of PyTorch's nets.

    Raises
    ------
    TypeError, ValueError
        If `path` is no path, the file is none of this format, or a tensor has a dtype that NumPy does not have, such as
        bfloat16.
    OSError
        If the file cannot be read.

    Notes
    -----
    What a file of fastnn has besides its tensors is for `fastnn.load` and the methods ``load``, which also compare its
    checksum.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastnn import io, nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.Sequential(nn.Dense(2, 3), seed=0).save(Path(folder, "net.safetensors"))
    ...     tensors = io.load_tensors(Path(folder, "net.safetensors"))
    >>> {name: array.shape for name, array in tensors.items()}
    {'0.weight': (3, 2), '0.bias': (3,)}
    """
    with TensorFile(path) as file:
        return {name: file.read(name) for name in file.entries}
