"""Files of tensors in the safetensors format, written and read here.

A file is a header's length (eight bytes, little-endian), the header (JSON: of each tensor its dtype, shape and place,
and a mapping of strings to strings), and the tensors' bytes, which have no gaps and no end that is not a tensor's. It
has no code, no paths and no pickles (https://huggingface.co/docs/safetensors).

Everything that is read is checked against limits before memory is taken for it. Files are read, not mapped: the system
ends a process that touches a mapped page of a file that another program has cut.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, Self

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array

MOST_HEADER = 16 * 2**20  # bytes
MOST_TENSORS = 10_000
MOST_DEPTH = 64  # of lists and objects within each other
MOST_VALUES = 500_000  # in a text of JSON, so that what Python makes of it takes less than 32 MiB
MOST_NAME = 1000  # characters of a tensor's name
MOST_AXES = 32
BLOCK = 2**20  # bytes that are read or written at a time

DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(kind).newbyteorder("<")
    for name, kind in {
        "F64": "f8", "I64": "i8", "U64": "u8", "F32": "f4", "I32": "i4", "U32": "u4",
        "F16": "f2", "I16": "i2", "U16": "u2", "I8": "i1", "U8": "u1", "BOOL": "?",
    }.items()
}  # fmt: skip
"""The dtypes that NumPy has too, by the format's names."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: its bytes are from `start` to `stop`, counted from the end of the header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


# ---- JSON with limits ----


def parsed_json(name: str, text: bytes) -> Any:
    """Return the values of a text of JSON, which messages call `name`.

    Raises
    ------
    ValueError
        If it is no JSON, has a key twice, NaN or infinity, more than `MOST_VALUES` values, or is deeper than
        `MOST_DEPTH`.
    """
    import json

    _check_size_of_json(name, text)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            v.refuse(ValueError, name, "have each key once", "one of them twice")
        return made

    def constant(text: str) -> NoReturn:
        v.refuse(ValueError, name, "have finite numbers", text)

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=constant)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        v.refuse(ValueError, name, "be JSON in UTF-8", str(error))


def _check_size_of_json(name: str, text: bytes) -> None:
    """Refuse a text that is too deep or has too many values, before anything is made of it."""
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"")  # every quote is now one end of a string
    if bare.count(b'"') > 4 * MOST_VALUES:
        v.refuse(ValueError, name, f"have at most {2 * MOST_VALUES} strings", bare.count(b'"') // 2)
    outside = b"".join(bare.split(b'"')[::2])
    values = sum(outside.count(each) for each in (b",", b"[", b"{"))
    if values > MOST_VALUES:
        v.refuse(ValueError, name, f"have at most {MOST_VALUES} values", values)
    steps = np.frombuffer(outside, np.uint8)
    opens, closes = ((steps == ord(each[0])) | (steps == ord(each[1])) for each in ("[{", "]}"))
    brackets = (opens.astype(np.int8) - closes)[opens | closes]
    depth = int(np.cumsum(brackets, dtype=np.int64).max(initial=0))
    if depth > MOST_DEPTH:
        v.refuse(ValueError, name, f"be at most {MOST_DEPTH} lists and objects deep", depth)


def json_text(name: str, value: Any) -> str:
    """Return values as a text of JSON that `parsed_json` takes."""
    import json

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    _check_size_of_json(name, text.encode())
    return text


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
        If a name or a dtype is none of the format's, or the file would be too large to be read.
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
    with _replacing(path) as file:
        file.write(header)
        for array in ordered:
            for block in _blocks(array):
                file.write(block)


def _header(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> tuple[bytes, list[Array]]:
    """Return the header with its length in front, and the arrays in the order of the file."""
    if len(tensors) > MOST_TENSORS:
        v.refuse(ValueError, "a file", f"have at most {MOST_TENSORS} tensors", len(tensors))
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    ordered: list[Array] = []
    start = 0
    # Large elements first: so each array begins at a multiple of its element's size.
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        dtype = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
        if len(name) > MOST_NAME:
            v.refuse(ValueError, "names of tensors", f"have at most {MOST_NAME} characters", len(name))
        if dtype not in NAMES:
            v.refuse(TypeError, f"the tensor {name!r}", f"be of one of the dtypes {', '.join(DTYPES)}", array.dtype)
        entries[name] = {
            "dtype": NAMES[dtype], "shape": list(array.shape), "data_offsets": [start, start + array.nbytes],
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


@contextlib.contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Return a file to write, which takes the place of `path` once it is complete and on the disk."""
    target = Path(os.path.realpath(path))  # a link to a file stays one
    mode = None
    if target.exists():
        mode = target.stat().st_mode
        if not stat.S_ISREG(mode):
            v.refuse(ValueError, "path", "be a file", f"{str(path)!r}, which is none")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(temporary, "wb", opener=lambda name, _: os.open(name, flags, 0o666)) as file:
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# ---- reading ----


class TensorFile:
    """A file of tensors, whose header is read and checked when it is opened; a context manager, which closes it.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : str
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
        if not isinstance(path, str | os.PathLike):
            v.refuse(TypeError, "path", "be a path", v.kind_of(path))
        self.path = os.fspath(path)
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for its writer
            self._refuse("be a file", "a folder" if os.path.isdir(path) else "something else")
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - until `close`
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._read_header()
        except BaseException:
            self.close()
            raise

    def _refuse(self, must: str, got: object, fix: str = "") -> NoReturn:
        v.refuse(ValueError, self.path, must, got, fix)

    def _read_header(self) -> None:
        self._prefix = self._bytes(0, min(8, self._size))
        length = int.from_bytes(self._prefix, "little")
        if self._size < 10 or not 2 <= length <= MOST_HEADER or length > self._size - 8:
            self._refuse("be a safetensors file", known_kind(self._prefix))
        self._start = 8 + length
        text = self._bytes(8, length)
        if text[:1] != b"{":
            self._refuse("be a safetensors file", known_kind(self._prefix + text[:8]))
        self._text = text
        header = parsed_json(f"the header of {self.path}", text)
        if not isinstance(header, dict):
            self._refuse("have an object as its header", v.kind_of(header))
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
            self._refuse("have metadata of strings", v.kind_of(metadata))
        self.metadata: dict[str, str] = metadata
        if len(header) > MOST_TENSORS:
            self._refuse(f"have at most {MOST_TENSORS} tensors", len(header))
        self.entries = {name: self._entry(name, each) for name, each in header.items()}
        end = 0
        for name, entry in sorted(self.entries.items(), key=lambda item: (item[1].start, item[1].stop)):
            if entry.start != end:
                self._refuse(f"have the tensor {v.shown(name)} at byte {end}, without gaps", f"byte {entry.start}")
            end = entry.stop
        if end != self._size - self._start:
            self._refuse(f"have {end} bytes after its header", self._size - self._start, "it may have been cut")

    def _entry(self, name: str, given: Any) -> Entry:
        where = f"the tensor {v.shown(name)}"
        if len(name) > MOST_NAME:
            self._refuse(f"have names of at most {MOST_NAME} characters", len(name))
        if not isinstance(given, dict) or given.keys() != {"dtype", "shape", "data_offsets"}:
            self._refuse(f"have dtype, shape and data_offsets of {where}", v.shown(given))
        kind, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
        if not isinstance(kind, str) or kind not in DTYPES:
            self._refuse(f"have {where} of one of the dtypes {', '.join(DTYPES)}", v.shown(kind))
        for key, value in (("shape", shape), ("data_offsets", offsets)):
            if not isinstance(value, list) or not all(type(n) is int and 0 <= n < 2**63 for n in value):
                self._refuse(f"have whole numbers in the {key} of {where}", v.shown(value))
        if len(shape) > MOST_AXES or len(offsets) != 2:
            self._refuse(f"have at most {MOST_AXES} axes and two offsets of {where}", v.shown(given))
        nbytes = math.prod(shape) * DTYPES[kind].itemsize
        if offsets[1] - offsets[0] != nbytes or offsets[1] > self._size - self._start:
            self._refuse(f"have {nbytes} bytes of {where} within the file", f"data_offsets {offsets}")
        return Entry(DTYPES[kind], tuple(shape), offsets[0], offsets[1])

    def _bytes(self, start: int, length: int) -> bytes:
        buffer = bytearray(length)
        self._fill(start, memoryview(buffer))
        return bytes(buffer)

    def _fill(self, start: int, buffer: memoryview) -> None:
        """Read into a buffer, from a place in the file."""
        self._file.seek(start)
        done = 0
        while done < len(buffer):
            count = self._file.readinto(buffer[done : done + BLOCK])  # type: ignore[attr-defined]
            if not count:
                self._refuse(f"have {start + len(buffer)} bytes", "fewer", "it was cut while it was read")
            done += count

    def read(self, name: str) -> Array:
        """Return a new array with the values of a tensor."""
        entry = self.entries[name]
        array = np.empty(entry.shape, entry.dtype)
        self._fill(self._start + entry.start, array.reshape(-1).view(np.uint8).data)
        return array.astype(entry.dtype.newbyteorder("="), copy=False)

    def digest(self, key: str) -> str:
        """Return the SHA-256 of the file with zeros in place of the digits in the metadata's `key`."""
        import hashlib

        known = f'"{key}":"{self.metadata[key]}"'.encode()
        place = self._text.find(known)
        if place < 0 or len(self.metadata[key]) != 64:
            self._refuse(f"have 64 digits as {key}", v.shown(self.metadata[key]))
        place += len(known) - 65
        digest = hashlib.sha256(self._prefix)
        digest.update(self._text[:place] + b"0" * 64 + self._text[place + 64 :])
        buffer = memoryview(bytearray(BLOCK))
        for start in range(self._start, self._size, BLOCK):
            block = buffer[: min(BLOCK, self._size - start)]
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


_KINDS: Iterable[tuple[bytes, str]] = (
    (b"PK\x03\x04", "a zip archive, as PyTorch's and Keras's files are"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x80", "a pickle"),
    (b"\x08", "a file of protocol buffers, as ONNX's are"),
)


def known_kind(start: bytes) -> str:
    """Return what a file that begins so may be."""
    if not start:
        return "an empty file"
    return next((kind for known, kind in _KINDS if start.startswith(known)), f"one that begins with {start[:8]!r}")
