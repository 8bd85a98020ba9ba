"""Files of fastnn taken apart and put together again with faults, with a checksum that is right for what they contain.

Nothing here uses fastnn's own reader or writer: the layout of the format is written down a second time.
"""

import hashlib
import json

import numpy as np

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
CHECKSUM, CONTENT = "fastnn.sha256", "fastnn.content"


def joined(header, payload=b"", length=None):
    """Return a file with this header, a text or what JSON has for it, and this length written in front."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + payload


def sealed(header, payload=b""):
    """Return a file with the right checksum in its metadata."""
    header = header | {"__metadata__": header["__metadata__"] | {CHECKSUM: "0" * 64}}
    text = json.dumps(header, separators=(",", ":")).encode()
    return resealed(joined(text, payload))


def resealed(data):
    """Return a file whose checksum has been made right, or as it is if it has none."""
    start = data.find(f'"{CHECKSUM}":"'.encode())
    if start < 0:
        return data
    start += len(CHECKSUM) + 4
    digest = hashlib.sha256(data[:start] + b"0" * 64 + data[start + 64 :]).hexdigest()
    return data[:start] + digest.encode() + data[start + 64 :]


class Parts:
    """A file in parts: `metadata`, `content` (parsed), `tensors` (arrays by name)."""

    def __init__(self, data):
        header, payload = split(data)
        self.metadata = header.pop("__metadata__")
        self.content = json.loads(self.metadata[CONTENT])
        self.tensors = {}
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            array = np.frombuffer(payload[start:stop], DTYPES[entry["dtype"]]).reshape(entry["shape"])
            self.tensors[name] = array.copy()

    @property
    def layers(self):
        """The configs of the net's layers."""
        return self.content["config"]["layers"]

    def header(self):
        """Return the header and the payload that are right for the parts."""
        text = self.content if isinstance(self.content, str) else json.dumps(self.content)
        header, payload = {"__metadata__": self.metadata | {CONTENT: text}}, b""
        for name, array in self.tensors.items():
            stop = len(payload) + array.nbytes
            header[name] = {
                "dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [len(payload), stop],
            }  # fmt: skip
            payload += array.tobytes()
        return header, payload

    def data(self):
        """Return the file."""
        return sealed(*self.header())


def split(data):
    """Return the header and the payload of a file."""
    stop = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:stop]), data[stop:]


# ---- texts of JSON that are as large as the format lets them be, and worse ----


def filled(begin, unit, end, size):
    """Return a text of about this size that repeats a part, with commas."""
    count = (size - len(begin) - len(end)) // (len(unit) + 1)
    return begin + b",".join([unit] * count) + end


def numbered(begin, unit, end, size):
    """Return the same, with a number in each part, so that no two are equal."""
    count = (size - len(begin) - len(end)) // (len(unit % 10**6) + 1)
    return begin + b",".join(unit % (10**6 + i) for i in range(count)) + end


HOSTILE = {
    "empty lists": lambda n: filled(b'{"a":[', b"[]", b"]}", n),
    "empty objects": lambda n: filled(b'{"a":[', b"{}", b"]}", n),
    "small objects": lambda n: filled(b'{"a":[', b'{"a":0}', b"]}", n),
    "objects with other keys": lambda n: numbered(b'{"a":[', b'{"%d":0}', b"]}", n),
    "empty strings": lambda n: filled(b'{"a":[', b'""', b"]}", n),
    "short strings": lambda n: numbered(b'{"a":[', b'"%d"', b"]}", n),
    "short strings of Hangul": lambda n: numbered(b'{"a":[', b'"\xed\x95\x9c%d"', b"]}", n),
    "small numbers": lambda n: filled(b'{"a":[', b"1", b"]}", n),
    "numbers": lambda n: numbered(b'{"a":[', b"1234%d", b"]}", n),
    "fractions": lambda n: numbered(b'{"a":[', b"%d.5", b"]}", n),
    "long integers": lambda n: filled(b'{"a":[', b"9" * 4000, b"]}", n),
    "one integer": lambda n: b'{"a":' + b"9" * (n - 6) + b"}",
    "one fraction": lambda n: b'{"a":0.' + b"9" * (n - 8) + b"}",
    "one string": lambda n: b'{"a":"' + b"a" * (n - 8) + b'"}',
    "one string with a letter of four bytes": lambda n: b'{"a":"\xf0\x9f\x98\x80' + b"a" * (n - 12) + b'"}',
    "one string with an escape of four bytes": lambda n: b'{"a":"' + b"a" * (n - 20) + b'\\ud83d\\ude00"}',
    "escapes": lambda n: b'{"a":"' + b"\\u0001" * ((n - 8) // 6) + b'"}',
    "escapes of surrogates": lambda n: b'{"a":"' + b"\\ud83d\\ude00" * ((n - 8) // 12) + b'"}',
    "escapes of quotes": lambda n: b'{"a":"' + b'\\"' * ((n - 8) // 2) + b'"}',
    "backslashes": lambda n: b'{"a":"' + b"\\" * ((n - 8) // 2 * 2) + b'"}',
    "quotes without an end": lambda n: b'{"a":"' + b'\\"' * ((n - 8) // 2),
    "keys": lambda n: numbered(b"{", b'"%d":0', b"}", n),
    "one key": lambda n: b'{"' + b"a" * (n - 6) + b'":0}',
    "equal keys": lambda n: filled(b"{", b'"a":0', b"}", n),
    "literals": lambda n: filled(b'{"a":[', b"null", b"]}", n),
    "depth": lambda n: b'{"a":' + b"[" * (n // 2 - 6) + b"]" * (n // 2 - 6) + b"}",
    "openings": lambda n: b'{"a":' + b"[" * (n - 5),
    "spaces": lambda n: b"{" + b" " * (n - 2) + b"}",
    "tensors": lambda n: numbered(b"{", b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}', b"}", n),
    "entries": lambda n: numbered(b"{", b'"%d":[]', b"}", n),
}
"""Texts of JSON that take much memory or time: functions of their size."""
