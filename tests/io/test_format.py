"""The file format against everything: cut files, flipped bits, forged files, limits of memory and time."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.io import _json
from fastnn.io._json import json_text, parsed_json
from fastnn.io._tensors import DTYPES, TensorFile, write_tensors
from tests.io import faulty_nets
from tests.io.faulty_files import HOSTILE, Parts, joined, resealed, split
from tests.io.faulty_fuzz import Fuzz

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return the bytes of a file of a net with most kinds of values."""
    path = tmp_path_factory.mktemp("good") / "net.safetensors"
    faulty_nets.net().save(path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def refusal(path, data, **options):
    """Return the message with which a file is refused."""
    path.write_bytes(data)
    with pytest.raises((TypeError, ValueError)) as caught:
        fastnn.load(path, **options)
    assert caught.type in (TypeError, ValueError)  # and no subclass, such as an error of a codec
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


# ---- files that are whole ----


def test_a_good_file_put_together_again_loads(good, path):
    path.write_bytes(Parts(good).data())
    net, first = fastnn.load(path), faulty_nets.net()
    assert net.layers == first.layers and net.frozen == ("1.bias",)
    assert net.scaler == first.scaler and net.seed == 7
    assert resealed(good) == good


def test_files_are_equal_for_equal_nets(good, path):
    faulty_nets.net().save(path)
    assert path.read_bytes() == good


ARRAYS = {
    **{name: np.arange(6).reshape(2, 3).astype(dtype) for name, dtype in DTYPES.items()},
    "0-d": np.array(3.5),
    "empty": np.zeros((3, 0, 2), np.float32),
    "empty of 1 axis": np.zeros(0, bool),
    "of 32 axes": np.ones((1,) * 31 + (2,), np.int16),
    "Fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "strided": np.arange(20, dtype=np.int16)[::3],
    "big-endian": np.arange(5, dtype=">f8"),
    "": np.zeros(1, np.uint8),
    'a name \N{SNOWMAN} \0 \\ " with all kinds of letters': np.ones(2),
    "n" * 1000: np.ones(3),
}


def test_arrays_come_back(path):
    write_tensors(path, ARRAYS, {"a": "\N{SNOWMAN}", "": ""}, "sum")
    header, payload = split(path.read_bytes())
    assert sum(len(payload[slice(*each["data_offsets"])]) for key, each in header.items() if key[:2] != "__") == len(
        payload
    )
    with TensorFile(path) as file:
        assert file.metadata == {"a": "\N{SNOWMAN}", "": "", "sum": file.digest("sum")}
        assert file.entries.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            got = file.read(name)
            assert got.dtype == array.dtype.newbyteorder("=") and got.dtype.isnative and got.flags.writeable
            np.testing.assert_array_equal(got, array)
            assert file.entries[name].start % array.dtype.itemsize == 0  # as some readers want


@pytest.mark.parametrize(
    ("tensors", "metadata", "must"),
    [
        ({"a": np.zeros(1, complex)}, {}, "be of one of the dtypes"),
        ({"a": np.array(["x"])}, {}, "be of one of the dtypes"),
        ({"a": np.array([None])}, {}, "be of one of the dtypes"),
        ({"__metadata__": np.zeros(1)}, {}, "have a name of at most 1000 characters"),
        ({"a" * 1001: np.zeros(1)}, {}, "have a name of at most 1000 characters"),
        ({"\ud800": np.zeros(1)}, {}, "have text that UTF-8 can encode"),
        ({"a": np.zeros((1,) * 33)}, {}, "have at most 32 axes"),
        ({}, {"a": 1}, "have strings only"),
        ({}, {1: "a"}, "have strings only"),
        ({}, {"a": "\udcff"}, "have text that UTF-8 can encode"),
        ({}, {"a": "x" * 2**24}, "have at most 16777216 bytes"),
        ({f"{i}": np.zeros(0) for i in range(10_001)}, {}, "have at most 10000 tensors"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_read_is_not_written(path, tensors, metadata, must):
    with pytest.raises((TypeError, ValueError), match=f"must {must}"):
        write_tensors(path, tensors, metadata)
    assert not list(path.parent.iterdir())


def test_ten_thousand_tensors(path):
    tensors = {f"{i}.weight": np.full((2, 1), i, np.float32) for i in range(10_000)}
    write_tensors(path, tensors, {})
    with TensorFile(path) as file:
        assert all((file.read(name) == array).all() for name, array in tensors.items())


# ---- files with a fault ----


def test_a_file_cut_at_any_byte(good, path):
    for length in range(len(good)):
        refusal(path, good[:length])


@pytest.mark.parametrize("bit", [*(pytest.param(bit, marks=pytest.mark.slow) for bit in (0, 1, 3, 7)), 5])
def test_a_flipped_bit_of_any_byte(good, path, bit):
    for index in range(len(good)):
        refusal(path, good[:index] + bytes([good[index] ^ 1 << bit]) + good[index + 1 :])


def test_bytes_after_the_end(good, path):
    assert "bytes after its header" in refusal(path, good + b"\0")


def test_two_files_in_one(good, path):
    refusal(path, good + good)


@pytest.mark.parametrize("name", faulty_nets.CHANGES)
def test_a_fault_in_the_content(good, path, name):
    change, must = faulty_nets.CHANGES[name]
    assert re.search(must, refusal(path, faulty_nets.changed(good, change)))


@pytest.mark.parametrize("name", faulty_nets.HEADERS)
def test_a_fault_in_the_header(path, name):
    data, must = faulty_nets.HEADERS[name]
    assert re.search(must, refusal(path, data))


def test_a_wrong_checksum(good, path):
    for data, must in faulty_nets.checksums(good).values():
        assert must in refusal(path, data)


def test_no_fault_is_none(good):
    """Each change makes another file, so that no test above loads the good one."""
    files = [data for _, data, _ in faulty_nets.faulty_files(good)]
    assert len({Parts(good).data(), *files}) == len(files) + 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_loaded_on_request(path, value):
    net = nn.Sequential(nn.Dense(2, 2), seed=0)
    net[0].weight[0, 0] = value
    net.save(path)
    refusal(path, path.read_bytes())
    assert np.array_equal(fastnn.load(path, allow_nonfinite=True)[0].weight, net[0].weight, equal_nan=True)


def test_bools_are_zeros_and_ones(path):
    path.write_bytes(joined({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2"))
    with TensorFile(path) as file, pytest.raises(ValueError, match="must have zeros and ones in the tensor 'a'"):
        file.read("a")


# ---- nothing of a file is executed ----

AUDITED = """
import difflib, json, pathlib, re, sys
import fastnn
from fastnn import data, nn

folder = pathlib.Path(sys.argv[1])
files = sorted(folder.iterdir())
events = []


def load(path):
    try:
        fastnn.load(path)
    except (TypeError, ValueError):
        return False
    return True


def hook(event, arguments):
    if watching:
        events.append((event, arguments))


watching = False
load(folder / "good")  # after this, functions have imported what they need
sys.addaudithook(hook)
for path in files:
    events.clear()
    watching = True
    loaded = load(path)
    watching = False
    assert loaded == (path.name == "good"), path.name
    for event, arguments in events:
        this_file = event == "open" and arguments[0] == str(path)
        assert this_file or event in ("builtins.id", "object.__getattr__"), (path.name, event, arguments)
    assert [event for event, _ in events].count("open") >= 1
watching = True
eval("1")
watching = False
assert ("compile", "exec") == (events[-2][0], events[-1][0])  # the hook hears such things
print(len(files))
"""


def test_nothing_is_executed_and_no_other_file_is_opened(good, tmp_path):
    (tmp_path / "good").write_bytes(good)
    for index, (_, data, _) in enumerate(faulty_nets.faulty_files(good)):
        (tmp_path / f"{index}").write_bytes(data)
    command = [sys.executable, "-W", "error", "-c", AUDITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


# ---- memory and time ----

MEASURED = """
import difflib, errno, hashlib, json, re, sys, time
import fastnn


def peak():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s*(\\d+)", file.read())[1])


for path in sys.argv[1], sys.argv[2], sys.argv[2]:  # the first one to import and to set up what later loads use
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before, start = peak(), time.process_time()
    try:
        fastnn.load(path)
        message = ""
    except (TypeError, ValueError) as error:
        message = str(error)
    print(peak() - before, time.process_time() - start, message.replace("\\n", " "), sep="\\t")
    break_after_two = path == sys.argv[2]
    if break_after_two:
        break
"""
needs_proc = pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")


def measured(path, small):
    """Load a file in a process of its own; return its peak of memory in MiB beyond what may be, and the message."""
    command = [sys.executable, "-c", MEASURED, str(small), str(path)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    peak, seconds, message = done.stdout.splitlines()[1].split("\t")
    assert int(peak) / 1024 <= 3 * path.stat().st_size / 2**20 + 32, f"{int(peak) / 1024:.1f} MiB: {message}"
    assert float(seconds) < 10, message  # usually below 2; a quadratic step would take minutes
    return message


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "net.safetensors"
    nn.Sequential(nn.Dense(2, 2), seed=0).save(path)
    return path


LARGE_NETS = {
    "one layer of 60 MB": lambda: [nn.Dense(4000, 3900), nn.ReLU(), nn.Dense(3900, 10)],
    "fifteen layers of 4 MB": lambda: [nn.Dense(1000, 1000) for _ in range(15)],
    "a table of 61 MB": lambda: [nn.Embedding(1_000_000, 16)],
    "10 000 tensors": lambda: [nn.Dense(3, 3) for _ in range(5000)],
}


@needs_proc
@pytest.mark.parametrize(
    "name", ["one layer of 60 MB", *(pytest.param(each, marks=pytest.mark.slow) for each in [*LARGE_NETS][1:])]
)
def test_memory_of_large_nets(path, small, name):
    nn.Sequential(*LARGE_NETS[name](), seed=0).save(path)
    assert not measured(path, small)


def most_that_passes(make, largest):
    """Return the longest text of a form that the limits let pass, found by bisection; the shortest if none does."""
    low, high = 2**11, largest
    if passes(make(largest)):
        return make(largest)
    while high - low > 2**13:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(make(middle)) else (low, middle)
    return make(low)


def passes(text):
    try:
        _json._check_size("text", text)
    except ValueError:
        return False
    return True


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_memory_of_hostile_headers(path, small, name):
    make = HOSTILE[name]
    for text in (make(_json.MOST_JSON), most_that_passes(make, _json.MOST_JSON)):
        path.write_bytes(joined(text))
        assert measured(path, small)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_memory_of_hostile_contents(path, small, name):
    parts, largest = Parts(small.read_bytes()), _json.MOST_JSON - 4096
    text = most_that_passes(HOSTILE[name], largest)
    if (escaped := len(json.dumps(text.decode()))) > largest:
        text = HOSTILE[name](len(text) * largest // escaped - 64)
    parts.content = text.decode()
    path.write_bytes(parts.data())
    assert measured(path, small)


def identities(n):
    return [faulty_nets.config("nn.Identity")] * n


def within(make, depth, layers):
    for _ in range(depth):
        layers = [make(*layers)]
    return layers


EMBEDDING = {"0.weight": np.zeros((2, 2), np.float32)}
HOSTILE_NETS = {
    "layers": (identities(19_900), {}),
    "layers in Sequential": (within(faulty_nets.sequential, 29, identities(19_900)), {}),
    "layers in Parallel": (within(faulty_nets.parallel, 29, [faulty_nets.parallel(*identities(19_900))]), {}),
    "layers after an embedding": ([faulty_nets.embedding(2, 2), *identities(19_900)], EMBEDDING),
    "branches after an embedding": (
        [faulty_nets.embedding(2, 2), faulty_nets.parallel(*identities(9_000))], EMBEDDING,
    ),
    "columns": ([faulty_nets.columns(list(range(180_000, 0, -1)), width=2**60)], {}),
    "columns that double": (
        [faulty_nets.embedding(2, 2), *[faulty_nets.parallel(*identities(10))] * 18], EMBEDDING,
    ),
    "tables": (
        [
            faulty_nets.config(
                "nn.Embeddings", cardinalities=[1] * 80_000, dims=[1] * 80_000, unknown="error", sparse=False, init=None
            )
        ],
        {},
    ),
}  # fmt: skip


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_NETS)
def test_memory_of_hostile_nets(path, small, name):
    parts = Parts(small.read_bytes())
    parts.layers[:], parts.tensors = HOSTILE_NETS[name]
    path.write_bytes(parts.data())
    measured(path, small)


@needs_proc
def test_one_tensor_stands_for_one_array(path, small):
    parts = Parts(small.read_bytes())
    parts.tensors["fastnn.x"] = np.zeros(2**20)
    parts.content["scaler"] = [faulty_nets.config("tensor", name="fastnn.x")] * 10_000
    path.write_bytes(parts.data())
    assert "once" in measured(path, small)


@needs_proc
def test_many_frozen_names_take_no_quadratic_time(path, small):
    nn.Sequential(*[nn.Dense(2, 2) for _ in range(4000)], seed=0).save(path)
    parts = Parts(path.read_bytes())
    parts.content["frozen"] = list(parts.tensors) * 12
    path.write_bytes(parts.data())
    measured(path, small)


# ---- JSON ----


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(2**63), 2**64, 1e-300, "", 'a"\\\n\N{SNOWMAN}\U0001f600\x00', [], {}, [[]], {"": {"": []}}],
    ids=repr,
)
def test_values_come_back(value):
    text = json_text("text", value)
    assert text.isascii()
    assert parsed_json("text", text) == parsed_json("text", text.encode()) == value


def test_a_text_is_measured_block_by_block(monkeypatch):
    """Escapes and strings that lie across the ends of blocks are read as in one block."""
    text = rb'{"a\\":["\"[[[",{"b\\\\\"":["]",1,"\\"]},"\u0041"],"c":[1,[2,[3]]]}'
    parsed_json("text", text)

    def found(block):
        monkeypatch.setattr(_json, "_BLOCK", block)
        seen = []
        monkeypatch.setattr(_json._Size, "add", lambda self, part: seen.append(self) or add(self, part))
        has_escapes = _json._check_size("text", text)
        size = seen[-1]
        return size.memory // 64, size.objects, size.depth, size.within, size.wide, has_escapes

    add = _json._Size.add
    whole = found(2**18)
    assert whole[1:] == (2, 0, False, True, True)
    assert all(found(block)[1:] == whole[1:] for block in range(1, len(text)))


@pytest.mark.parametrize("depth", [64, 65])
def test_depth(depth):
    text = "[" * depth + "]" * depth
    if depth == 64:
        assert json_text("text", parsed_json("text", text)) == text
        return
    for call in (lambda: parsed_json("text", text), lambda: json_text("text", json.loads(text))):
        with pytest.raises(ValueError, match="text must be at most 64 lists and objects deep, got 65"):
            call()


def test_brackets_in_strings_do_not_count():
    assert parsed_json("text", json.dumps(["[" * 1000, "\\" * 999 + '"[{,'])) == ["[" * 1000, "\\" * 999 + '"[{,']


def test_a_string_of_the_largest_size():
    text = b'"' + b"a" * (_json.MOST_JSON - 2) + b'"'
    assert len(parsed_json("text", text)) == _json.MOST_JSON - 2
    with pytest.raises(ValueError, match="text must have at most 16777216 bytes, got 16777217"):
        parsed_json("text", text + b" ")


# ---- a short form of the fuzz ----


def test_fuzz(tmp_path):
    fuzz, end = Fuzz(tmp_path, seed=1), time.monotonic() + 1.5
    while time.monotonic() < end or fuzz.tried < 50:
        fuzz.one()
    assert fuzz.tried >= 50 and fuzz.refused > fuzz.tried // 2


def test_tensors_of_any_file(tmp_path):
    path, tensors = tmp_path / "a.safetensors", {"x": np.arange(6.0).reshape(2, 3), "n": np.array([1, 2], np.int8)}
    write_tensors(path, tensors, {"format": "pt"})
    found = fastnn.io.load_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(
        np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in tensors.items()
    )
    with pytest.raises(ValueError, match=r"its tensors alone are fastnn.io.load_tensors\(path\)"):
        fastnn.load(path)
