"""Files with random faults, of which loading may say no, and nothing else."""

import copy
import json
import random
import time
from collections import Counter

import numpy as np

import fastnn
from fastnn import _records, data, nn
from tests.io import faulty_nets
from tests.io.faulty_files import CONTENT, joined, resealed, sealed, split

ALLOWED = (TypeError, ValueError, OSError)
MOST_SECONDS = 10.0  # of CPU time for a file; most take about a millisecond
EDGES = [
    None, True, False, -1, 0, 1, 2, 3, 7, 255, 2**31, 2**53, 2**60, 2**63 - 1, 2**63, 2**64, 10**99, 1.5, -0.0, 1e-320,
    1e308, "", "x", "0.weight", "fastnn.x", "nan", "relu", "float64", "\0", "\N{SNOWMAN}", "\ud800",
    "x" * 5000, [], {}, [[]], [0, 1], [0] * 40, [1.0, 0.5],
    {"kind": "float", "value": "nan"}, {"kind": "float", "value": "-inf"},
    {"kind": "function", "name": "os:system"}, {"kind": "tensor", "name": "fastnn.scaler.scale"},
    {"kind": "dict", "entries": {"a": 1}}, {"kind": "strings", "shape": [2], "values": ["a", "b"]},
]  # fmt: skip


def nets():
    """Return nets that together have every kind of layer that files have."""
    yield faulty_nets.net()
    made = nn.Sequential(
        nn.Residual(nn.LayerNorm(4), nn.Dense(4, 4, init="orthogonal", max_norm=2.0)), nn.Periodic(4, 3, dim=2),
        nn.RMSNorm(8), nn.Parallel(nn.Dense(8, 2), nn.Sequential(nn.Dense(8, 2), "sigmoid"), join="multiply"),
        nn.BatchNorm(2, momentum=None), nn.LeakyReLU(0.2), dtype="float64", seed=1,
    )  # fmt: skip
    made.scaler = data.RobustScaler([0.0] * 4, [1.0] * 4, limit=[3.0] * 4, fill=0.0)
    made.output_scaler = data.Scaler(1.0, 2.0)
    yield made
    bins = [[0.0, 1.0], [-1.0, 0.5, 2.0]]
    made = nn.Sequential(
        nn.Parallel(
            nn.Columns([0, 1], nn.PiecewiseLinear(bins, dim=2)),
            nn.Columns([2, 3], nn.Embeddings([3, 2], dims=[2, 1], unknown="own")),
        ),
        nn.Dense(7, 1),
        seed=2,
    )
    yield made


class Fuzz:
    """Loads files with random faults.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    seed : int

    Attributes
    ----------
    tried, loaded, refused : int
        Numbers of files.
    slowest : float
        The most seconds of CPU time that a file took.
    messages : Counter
        How often each beginning of a message came.
    """

    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.path = folder / "fuzz.safetensors"
        self.bases = []
        for net in nets():
            net.save(self.path)
            self.bases.append(self.path.read_bytes())
        self.kinds = sorted(_records.kinds())
        self.tried = self.loaded = self.refused = 0
        self.slowest, self.messages = 0.0, Counter()

    def one(self):
        """Try one file. On anything but a clean refusal, or a net that works, raise, and leave the file."""
        base = self.random.choice(self.bases)
        change = self.random.choice(
            [self._bytes, self._length, self._header, self._content, self._content, self._tensors]
        )
        data = change(base)
        if self.random.random() < 0.6:
            data = resealed(data)
        self.path.write_bytes(data)
        self.tried += 1
        start = time.process_time()
        try:
            net = fastnn.load(self.path, allow_nonfinite=self.random.random() < 0.3)
        except ALLOWED as error:
            self.refused += 1
            message = str(error)
            assert str(self.path) in message and len(message) < 5000, message
            self.messages[message.replace(str(self.path), "")[:24]] += 1
        else:
            self.loaded += 1
            self._use(net)
        seconds = time.process_time() - start
        self.slowest = max(self.slowest, seconds)
        assert seconds < MOST_SECONDS, f"{seconds:.1f} seconds"

    def _use(self, net):
        """Check that a loaded net works: it predicts, and its own file loads again."""
        try:
            width = net.in_features
        except ValueError:
            return  # no layer says it
        if width <= 1000:
            with np.errstate(all="ignore"):
                net.predict(np.zeros((2, width), net.dtype))
        net.save(self.path)
        assert repr(fastnn.load(self.path, allow_nonfinite=True)) == repr(net)

    # ---- changes ----

    def _bytes(self, base):
        data = bytearray(base)
        for _ in range(self.random.choice([1, 1, 1, 2, 5, 50])):
            start = self.random.randrange(len(data) + 1)
            stop = min(len(data), start + self.random.choice([0, 1, 1, 2, 8, 100]))
            new = self.random.choice([
                b"", bytes(stop - start), self.random.randbytes(self.random.choice([1, 2, 8])), data[stop : stop + 8],
                self.random.choice([b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"9" * 30, b"\\u0000", b"e999"]),
            ])  # fmt: skip
            data[start:stop] = new
        return bytes(data) if self.random.random() < 0.5 or len(data) < 9 else self._with_length(base, bytes(data))

    def _with_length(self, base, data):
        """Return a file with the length in front that puts the payload where it was, counted from the end."""
        payload = len(base) - 8 - int.from_bytes(base[:8], "little")
        return max(0, len(data) - 8 - payload).to_bytes(8, "little") + data[8:]

    def _length(self, base):
        length = int.from_bytes(base[:8], "little") + self.random.choice(
            [-1, 1, 8, -8, 2**8, 2**24, 2**31, 2**32, 2**62]
        )
        data = max(0, length).to_bytes(8, "little") + base[8:]
        return data[: self.random.randrange(len(data))] if self.random.random() < 0.3 else data

    def _header(self, base):
        header, payload = split(base)
        for _ in range(self.random.choice([1, 1, 2, 4])):
            self._change(header)
        if isinstance(header.get("__metadata__"), dict) and self.random.random() < 0.8:
            return sealed(header, payload)
        return joined(header, payload)

    def _content(self, base):
        header, payload = split(base)
        content = json.loads(header["__metadata__"][CONTENT])
        for _ in range(self.random.choice([1, 1, 1, 2, 3, 6])):
            self._change(content)
        header["__metadata__"][CONTENT] = json.dumps(content)
        return sealed(header, payload)

    def _tensors(self, base):
        """Return a file with other values of tensors, or another order of them."""
        header, payload = split(base)
        payload, size = bytearray(payload), len(payload)
        for _ in range(self.random.choice([0, 1, 1, 4])):
            start = self.random.randrange(len(payload))
            payload[start : start + 8] = self.random.choice([b"\xff" * 8, bytes(8), self.random.randbytes(8)])
        names = [name for name in header if name != "__metadata__"]
        one, other = self.random.choice(names), self.random.choice(names)
        key = self.random.choice(["dtype", "shape", "data_offsets", "all", "none"])
        if key == "all":
            header[one], header[other] = header[other], header[one]
        elif key != "none":
            header[one][key], header[other][key] = header[other][key], header[one][key]
        return sealed(header, bytes(payload[:size]))

    def _change(self, value):
        """Change something at random within a list or an object."""
        places = list(self._places(value))
        if not places:
            return
        place, key = self.random.choice(places)
        what = self.random.random()
        if what < 0.15:
            del place[key]
        elif what < 0.25 and isinstance(place, list):
            place.extend([place[key]] * self.random.choice([1, 2, 100]))
        elif what < 0.35:
            other, name = self.random.choice(places)
            place[key] = copy.deepcopy(other[name])
        elif what < 0.45 and isinstance(place, dict):
            place[self.random.choice(["x", "kind", "layers", "0.weight", "name", ""])] = place[key]
        elif what < 0.6 and isinstance(place[key], str):
            place[key] = self.random.choice(self.kinds)
        elif what < 0.7 and isinstance(place[key], int | float):
            place[key] = place[key] + self.random.choice([-1, 1, 0.5, 2**32, -(2**62)])
        elif what < 0.75:
            for _ in range(self.random.choice([1, 30, 70])):
                place[key] = self.random.choice([[place[key]], {"a": place[key]}])
        else:
            place[key] = copy.deepcopy(self.random.choice(EDGES))

    def _places(self, value):
        """Yield every list or object with each of its keys."""
        rest = [value]
        while rest:
            place = rest.pop()
            for key in range(len(place)) if isinstance(place, list) else list(place):
                yield place, key
                if isinstance(place[key], list | dict):
                    rest.append(place[key])
