"""Model files as tests read and write them: by the description of the format, without fastnn.io."""

import hashlib
import json
from pathlib import Path

import numpy as np

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U32": "<u4", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
CHECKSUM = "fastnn.sha256"


def read(path):
    """Return metadata and tensors of a safetensors file."""
    data = Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        flat = np.frombuffer(data[8 + length :][start:stop], DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return metadata, tensors


def write(path, metadata, tensors):
    """Write a safetensors file, with its SHA-256 in the metadata if they have a place for it."""
    names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, array in tensors.items():
        raw = np.asarray(array).tobytes()
        header[name] = {
            "dtype": names[np.asarray(array).dtype],
            "shape": list(np.shape(array)),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    if CHECKSUM in metadata:
        header["__metadata__"] = metadata | {CHECKSUM: "0" * 64}
    text = json.dumps(header, separators=(",", ":")).encode()
    whole = len(text).to_bytes(8, "little") + text + data
    if CHECKSUM in metadata:
        whole = whole.replace(b"0" * 64, hashlib.sha256(whole).hexdigest().encode(), 1)
    Path(path).write_bytes(whole)


def content_of(path):
    """Return what a file of fastnn says of its tensors."""
    return json.loads(read(path)[0]["fastnn.content"])


def change(path, changed):
    """Let a function change content, tensors and metadata of a file of fastnn, whose checksum is right afterwards."""
    metadata, tensors = read(path)
    content = json.loads(metadata["fastnn.content"])
    changed(content, tensors, metadata)
    write(path, metadata | {"fastnn.content": json.dumps(content)}, tensors)


def without_version(path):
    """Return what has to be the same in files that several versions of fastnn write."""
    metadata, tensors = read(path)
    kept = {key: value for key, value in metadata.items() if key not in ("fastnn.version", CHECKSUM)}
    return kept, list(tensors), {name: (each.dtype, each.shape, each.tobytes()) for name, each in tensors.items()}
