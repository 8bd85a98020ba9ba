"""Files of nets with one fault each, and a checksum that is right: what each must be refused with."""

import itertools
import math

import numpy as np

from fastnn import data, nn
from tests.io.faulty_files import CHECKSUM, CONTENT, Parts, joined, resealed, sealed

HUGE = 2**60


def net():
    """Return a net whose file has most kinds of values."""
    made = nn.Sequential(
        nn.Parallel(nn.Columns([0, 1], nn.BatchNorm(2)), nn.Columns([2], nn.Embedding(3, 2))),
        nn.Dense(4, 3), nn.PReLU(3), nn.Dropout(0.25), nn.Sequential(nn.Dense(3, 2)), seed=7,
    )  # fmt: skip
    made.scaler = data.Scaler([1.0, 2.0, 0.0], [0.5, 0.25, 1.0])
    made.freeze("1.bias")
    return made


def config(kind, **settings):
    return {"kind": kind, **settings}


def dense(n_in, n_out, **others):
    others = {"bias": True, "init": None, "bias_init": None, "max_norm": None} | others
    return config("nn.Dense", in_features=n_in, out_features=n_out, **others)


def embedding(rows, dim):
    return config(
        "nn.Embedding", num_embeddings=rows, dim=dim, padding_idx=None, unknown="error", sparse=False, init=None
    )


def sequential(*layers):
    return config("nn.Sequential", layers=list(layers), dtype="float32", seed=None)


def parallel(*branches, join="concat"):
    return config("nn.Parallel", branches=list(branches), join=join)


def columns(numbers, *layers, width=None):
    return config("nn.Columns", columns=numbers, layers=list(layers), in_features=width)


def nested(value, depth):
    """Return a value in so many lists."""
    for _ in range(depth):
        value = [value]
    return value


def put(*path, to):
    """Return a change of an entry of the content."""

    def change(parts):
        *most, last = path
        place = parts.content
        for each in most:
            place = place[each]
        place[last] = to

    return change


def layer(index, **settings):
    """Return a change of settings of a layer; None as an index is the new last one."""
    return lambda parts: parts.layers[index].update(settings)


def last(made):
    """Return a change that adds a layer."""
    return lambda parts: parts.layers.append(made)


def first(made):
    """Return a change that puts a layer before the others."""
    return lambda parts: parts.layers.insert(0, made)


def tensor(name, value):
    """Return a change of a tensor: another array, or a function of the old one."""

    def change(parts):
        parts.tensors[name] = value(parts.tensors[name]) if callable(value) else value

    return change


def without(name):
    return lambda parts: parts.tensors.pop(name)


def metadata(key, value):
    """Return a change of the metadata; None removes the key."""

    def change(parts):
        parts.metadata[key] = value
        if value is None:
            del parts.metadata[key]

    return change


def entry(array, index, value):
    """Return a copy of an array with another entry."""
    array = array.copy()
    array.reshape(-1)[index] = value
    return array


def twice(key, value):
    """Return a change that gives a key of the content twice."""

    def change(parts):
        import json

        text = json.dumps(parts.content)
        parts.content = text[:-1] + f', "{key}": {value}}}'

    return change


def text(made):
    return lambda parts: setattr(parts, "content", made)


CHANGES = {
    # ---- class names ----
    "kind os.system": (last(config("os.system", command="true")), "kind must be one of fastnn's.*'os.system'"),
    "kind builtins.eval": (last(config("builtins.eval", value="1")), "kind must be one of fastnn's"),
    "kind fastnn.x": (last(config("fastnn.x")), "kind must be one of fastnn's"),
    "kind of a full name": (last(config("fastnn.nn.ReLU")), "kind must be one of fastnn's"),
    "kind of an abstract class": (last(config("nn.Layer")), "kind must be one of fastnn's"),
    "kind of a private class": (last(config("nn._Norm", features=2)), "kind must be one of fastnn's"),
    "kind none": (last({}), "kind must be one of fastnn's.*None"),
    "kind a number": (last(config(3)), "kind must be one of fastnn's"),
    "kind a list": (last(config(["nn.ReLU"])), "kind must be one of fastnn's"),
    "kind very long": (last(config("x" * 10**6)), "kind must be one of fastnn's"),
    "kind of a net": (put("config", "kind", to="nn.Dense"), "net.config.kind must be 'nn.Sequential'"),
    "an optimiser as a layer": (
        last(
            config(
                "optim.Adam", lr=0.001, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, groups=[], amsgrad=False,
                decoupled_weight_decay=False,
            )
        ),
        "must be a layer|must have the keys",
    ),
    "a schedule as a layer": (
        last(config("optim.StepLR", step_size=3, gamma=0.1, every="epoch")), r"layers\[5\] must be a layer",
    ),
    "a scaler as a layer": (
        last(config("data.Scaler", center=0.0, scale=1.0, fill=None)), r"must be a layer|kind must be one",
    ),
    "a loss as a branch": (
        last(parallel(config("nn.HuberLoss", delta=1.0, reduction="mean"))), "must be a layer|must have the keys",
    ),
    "a string as a layer": (last("relu"), r"layers\[5\] must be a layer"),
    "a float as a layer": (last(config("float", value="nan")), r"layers\[5\] must be a layer"),
    "a dict as a layer": (last(config("dict", entries={})), r"layers\[5\] must be a layer"),
    "a tensor as a layer": (last(config("tensor", name="fastnn.scaler.scale")), "must be a layer"),
    "a function as a layer": (last(config("function", name="os:system")), "must name a function that is passed"),
    "a function of activations": (
        last(config("nn.CustomActivation", forward=config("function", name="posix:system"), backward=None)),
        "must name a function that is passed",
    ),
    "an initialiser by a function": (
        layer(1, init=config("function", name="os:system")), "must name a function that is passed",
    ),
    "an unknown activation": (
        last(config("nn.activation", name="x", parameters={})), "must name an activation that is registered, got 'x'",
    ),
    # ---- structure ----
    "content a list": (text("[]"), "the content of .* must be an object"),
    "content a number": (text("1"), "the content of .* must be an object"),
    "content empty": (text(""), "the content of .* must be JSON"),
    "content text": (text("import os"), "the content of .* must be JSON"),
    "content with a comma too many": (text('{"config":1,}'), "the content of .* must be JSON"),
    "content deep": (put("frozen", to=nested(0, 10_000 // 20)), "must be at most 64 lists and objects deep"),
    "content 64 deep": (put("frozen", to=nested("0.weight", 63)), "frozen must be a tuple of names"),
    "content of depth in text": (text("[" * 10_000 + "]" * 10_000), "must be at most 64 lists and objects deep"),
    "content NaN": (text('{"config":NaN}'), "must have finite numbers"),
    "content Infinity": (text('{"config":-Infinity}'), "must have finite numbers"),
    "content 1e999": (text('{"config":1e999}'), "must have finite numbers"),
    "content of 4301 digits": (text('{"config":' + "9" * 4301 + "}"), "must have numbers of at most 100 characters"),
    "content of half a surrogate pair": (text('{"config":"\\ud800"}'), "must have text that UTF-8 can encode"),
    "content key twice": (twice("frozen", "[]"), "must have each key once"),
    "missing key": (lambda parts: parts.content.pop("frozen"), "net must have the keys"),
    "unknown key": (put("x", to=1), "net must have the keys"),
    "unknown key of the config": (put("config", "x", to=1), "net.config must have the keys"),
    "unknown setting": (layer(1, x=1), "an unknown 'x'"),
    "missing setting": (lambda parts: parts.layers[3].pop("p"), "no 'p'"),
    "config a list": (put("config", to=[]), "net.config must be an object"),
    "config null": (put("config", to=None), "net.config must be an object"),
    "layers null": (put("config", "layers", to=None), "layers must be a list"),
    "layers an object": (put("config", "layers", to=dense(2, 2)), "layers must be a list"),
    "no layers": (put("config", "layers", to=[]), "layers must be at least one layer"),
    "layers within lists": (lambda parts: parts.layers.append([dense(2, 2)]), "must be a layer"),
    "100 000 layers": (
        lambda parts: parts.layers.extend([config("nn.ReLU")] * 100_000), "must have at most 20000 objects|MiB",
    ),
    "nested containers": (last(parallel(parallel(parallel()))), "must be at least one layer"),
    # ---- sizes ----
    "2**60 rows of Dense": (layer(1, in_features=HUGE), "entries, for Dense"),
    "2**60 columns of Dense": (layer(1, out_features=HUGE), "entries, for Dense"),
    "2**60 by 2**60": (layer(1, in_features=HUGE, out_features=HUGE), "entries, for Dense"),
    "2**60 rows of an embedding": (first(columns([0], embedding(HUGE, 4))), "must be|tensor"),
    "an embedding in Sequential": (first(sequential(embedding(2**50, HUGE))), "entries|tensor"),
    "2**60 rows in Parallel": (
        lambda parts: parts.layers[0]["branches"][1]["layers"][0].update(num_embeddings=2**50), "entries, for",
    ),
    "2**60 rows in Sequential": (
        lambda parts: parts.layers[4]["layers"][0].update(out_features=HUGE), "entries, for",
    ),
    "2**60 features of a norm": (last(config("nn.LayerNorm", features=HUGE, eps=1e-5, bias=True)), "tensor '5.weight'"),
    "2**60 columns beside an embedding": (
        put("config", "layers", to=[parallel(config("nn.Identity"), columns([0], embedding(3, 2), width=HUGE))]),
        "tensor|columns in all layers",
    ),
    "columns that double": (
        lambda parts: parts.layers.extend([parallel(*[config("nn.Identity")] * 10)] * 18), "columns in all layers",
    ),
    "widths that do not chain": (first(dense(3, 5)), "must take inputs of width|must have|tensor"),
    "a width that no tensor has": (layer(2, num_parameters=5), "entries, for PReLU"),
    "width 0": (layer(1, in_features=0), "in_features must be an integer"),
    "width -1": (layer(1, in_features=-1), "in_features must be an integer"),
    "width 2**64": (layer(1, in_features=2**64), "in_features must be an integer"),
    "width 3.0": (layer(1, in_features=3.0), "in_features must be an integer"),
    "width true": (layer(1, in_features=True), "in_features must be an integer"),
    "width a text": (layer(1, in_features="3"), "in_features must be an integer"),
    "width null": (layer(1, in_features=None), "in_features must be an integer"),
    # ---- settings ----
    "dropout 1.5": (layer(3, p=1.5), "p must be"),
    "dropout -0.1": (layer(3, p=-0.1), "p must be"),
    "dropout nan": (layer(3, p=config("float", value="nan")), "p must be"),
    "dropout of an unknown float": (layer(3, p=config("float", value="1")), "value must be one of"),
    "bias 1": (layer(1, bias=1), "bias must be True or False"),
    "max_norm 0": (layer(1, max_norm=0.0), "max_norm must be"),
    "negative eps": (
        lambda parts: parts.layers[0]["branches"][0]["layers"][0].update(eps=-1.0), "eps must be",
    ),
    "an unknown join": (layer(0, join="x"), "join must be"),
    "columns twice": (lambda parts: parts.layers[0]["branches"][0].update(columns=[0, 0]), "columns"),
    "column -1": (lambda parts: parts.layers[0]["branches"][0].update(columns=[-1, 0]), "columns"),
    "dtype int32": (put("config", "dtype", to="int32"), "dtype must be one of float32, float64"),
    "dtype O": (put("config", "dtype", to="O"), "dtype must be one of float32, float64"),
    "dtype float64": (put("config", "dtype", to="float64"), "must be of dtype float64"),
    "dtype a list": (put("config", "dtype", to=[["a", "f8"]]), "dtype must be one of float32, float64"),
    "seed too large": (put("config", "seed", to=2**64), "seed must be"),
    "seed -1": (put("config", "seed", to=-1), "seed must be"),
    "seed 0.5": (put("config", "seed", to=0.5), "seed must be"),
    "seed null": (put("config", "seed", to=None), "seed must be"),
    "steps -1": (put("training_steps", to=-1), "training_steps must be"),
    "steps 2**63": (put("training_steps", to=2**63), "training_steps must be"),
    "steps true": (put("training_steps", to=True), "training_steps must be"),
    "steps 1.0": (put("training_steps", to=1.0), "training_steps must be"),
    "frozen unknown": (put("frozen", to=["9.weight"]), "frozen must be one of"),
    "frozen null": (put("frozen", to=None), "frozen must be a list"),
    "frozen numbers": (put("frozen", to=[1]), "frozen must be a tuple of names"),
    # ---- tensors ----
    "a missing tensor": (without("1.bias"), "must have the tensor '1.bias'"),
    "a missing count": (without("0.0.0.num_batches_tracked"), "must have the tensor '0.0.0.num_batches_tracked'"),
    "a missing tensor of a scaler": (without("fastnn.scaler.scale"), "must have the tensor 'fastnn.scaler.scale'"),
    "a surplus tensor": (tensor("9.weight", np.zeros(3, np.float32)), "must have no other tensors, got '9.weight'"),
    "a surplus tensor of fastnn": (tensor("fastnn.x", np.zeros(3, np.float32)), "must have no other tensors"),
    "a surplus empty tensor": (tensor("", np.zeros(0, np.float32)), "must have no other tensors"),
    "a name like __proto__": (tensor("../../x", np.zeros(1, np.float32)), "must have no other tensors"),
    "a transposed tensor": (tensor("1.weight", lambda w: w.T), "must have shape"),
    "a flat tensor": (tensor("1.weight", lambda w: w.ravel()), "must be 2-dimensional"),
    "a shorter tensor": (tensor("1.bias", lambda b: b[:2]), "must have 3 entries"),
    "an empty tensor": (tensor("1.bias", lambda b: b[:0]), "must have 3 entries"),
    "a count of another shape": (tensor("0.0.0.num_batches_tracked", np.zeros(2, np.int64)), "must be 0-dimensional"),
    "a count below 0": (tensor("0.0.0.num_batches_tracked", np.array(-1)), "must be an integer"),
    "a count of floats": (tensor("0.0.0.num_batches_tracked", np.array(1.0)), "must be of dtype int64"),
    "float64": (tensor("1.bias", lambda b: b.astype(np.float64)), "must be of dtype float32"),
    "float16": (tensor("1.bias", lambda b: b.astype(np.float16)), "must be of float32, .* of 4 or 8 bytes"),
    "int32": (tensor("1.bias", lambda b: b.astype(np.int32)), "must be of dtype float32"),
    "bools": (tensor("1.bias", lambda b: b.astype(bool)), "must be of float32, .* of 4 or 8 bytes"),
    "NaN in a weight": (tensor("1.weight", lambda w: entry(w, 5, math.nan)), "must be finite.*allow_nonfinite=True"),
    "infinity in a bias": (tensor("1.bias", lambda b: entry(b, 2, -math.inf)), "must be finite"),
    "NaN in running_mean": (tensor("0.0.0.running_mean", lambda m: entry(m, 0, math.nan)), "must be finite"),
    "negative running_var": (tensor("0.0.0.running_var", lambda x: entry(x, 1, -1e-30)), "contain no number below 0"),
    # ---- scalers ----
    "a scaler of another width": (tensor("fastnn.scaler.scale", np.ones(4)), "scaler"),
    "a scaler of two axes": (tensor("fastnn.scaler.scale", np.ones((1, 3))), "scale"),
    "a scaler with NaN": (tensor("fastnn.scaler.scale", np.array([1, math.nan, 1])), "scale.* must"),
    "a scaler with infinity": (tensor("fastnn.scaler.center", np.array([0, math.inf, 0])), "center.* must"),
    "a scaler that is a layer": (put("scaler", to=config("nn.ReLU")), "net.scaler must be a scaler, got ReLU"),
    "a scaler that is a text": (put("scaler", to="x"), "net.scaler must be a scaler, got str"),
    "a scaler of strings": (
        put("scaler", "scale", to=config("strings", shape=[3], values=["a", "b", "c"])), "scale must",
    ),
    "strings of a huge shape": (
        put("scaler", "scale", to=config("strings", shape=[0, HUGE, HUGE], values=[])), "shape must be at most",
    ),
    "strings of 40 axes": (
        put("scaler", "scale", to=config("strings", shape=[1] * 40, values=["a"])), "shape must be at most 32",
    ),
    "strings of too few values": (
        put("scaler", "scale", to=config("strings", shape=[3], values=["a"])), "as many entries as the shape",
    ),
    "strings that are numbers": (put("scaler", "scale", to=config("strings", shape=[1], values=[1])), "list of str"),
    "a tensor of the net for a scaler": (
        put("scaler", "scale", "name", to="1.bias"), "must begin with 'fastnn.'",
    ),
    "a tensor twice": (put("scaler", "scale", "name", to="fastnn.scaler.center"), "must name the tensor .* once"),
    "a tensor without a name": (put("scaler", "scale", "name", to=None), "must begin with 'fastnn.'"),
    "a scaled embedding": (tensor("fastnn.scaler.scale", np.full(3, 0.5)), "must leave column 2 as it is"),
    "a scaler for the output of another width": (
        put("output_scaler", to=config("fastnn.data.Scaler", center=[1.0] * 3, scale=[1.0] * 3, fill=None)),
        "output_scaler|kind must",
    ),
    # ---- metadata ----
    "another format": (metadata("fastnn.format", "2"), "must have the format 1, got format '2'.*later"),
    "no format": (metadata("fastnn.format", None), "must be a file of fastnn, got no fastnn.format"),
    "no content": (lambda parts: setattr(parts, "no_content", True), "must be a file of fastnn"),
    "another kind of file": (metadata("fastnn.kind", "ensemble"), "must be the file of a net, got that of an ensemble"),
    "an unknown kind of file": (metadata("fastnn.kind", "x"), "must be one of net, ensemble"),
}  # fmt: skip


def changed(data, change):
    """Return a file with a change and the right checksum."""
    parts = Parts(data)
    change(parts)
    header, payload = parts.header()
    if hasattr(parts, "no_content"):
        del header["__metadata__"][CONTENT]
    return sealed(header, payload)


# ---- files that are none of fastnn's, or have a header with a fault ----


def tensors(**entries):
    """Return a header of tensors: dtype, shape and offsets of each."""
    return {
        name: dict(zip(("dtype", "shape", "data_offsets"), each, strict=True)) for name, each in entries.items()
    }  # fmt: skip


EIGHT = bytes(8)
KIND = "must be a safetensors file, got "
HEADERS = {
    "empty": (b"", KIND + "an empty file"),
    "one byte": (b"\x08", KIND + "one of 1 bytes"),
    "nine bytes": (bytes(9), KIND + "one of 9 bytes"),
    "text": (b"hello,\nworld, hello", KIND + "a text that begins with"),
    "a line of text": (b"hello, world, how are you?", KIND + "a text that begins with 'hello, world, ho'"),
    "JSON": (b'{"a": [1, 2, 3], "b": {}}', KIND + "a text"),
    "HTML": (b"<!DOCTYPE html><html></html>", KIND + "a page of HTML"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", KIND + "a pointer of Git LFS"),
    "pickle 2": (b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", KIND + "a pickle"),
    "pickle 4": (b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system", KIND + "a pickle"),
    "zip": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(40), KIND + "a zip archive, as PyTorch's and Keras's files"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), KIND + "an HDF5 file"),
    "npy": (b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', }", KIND + "a NumPy file"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bytes(9), KIND + "a gzip archive"),
    "xz": (b"\xfd7zXZ\x00\x00\x04" + bytes(20), KIND + "an xz archive"),
    "bzip2": (b"BZh91AY&SY" + bytes(20), KIND + "a bzip2 archive"),
    "ONNX": (b"\x08\x08\x12\x07pytorch\x1a\x062.13.0:\x90", KIND + "a file of protocol buffers, as ONNX's are"),
    "length 0": (joined(b"{}", length=0), KIND),
    "length 1": (joined(b"{}", length=1), KIND),
    "length 2**63": (joined(b"{}", length=2**63), "header of at most 16777216 bytes, got 9223372036854775808"),
    "length 2**64 - 1": (joined(b"{}", length=2**64 - 1), "must have a header of at most 16777216 bytes"),
    "length beyond the file": (joined(b"{}", length=3), "must have a header of 3 bytes, got 2: it has been cut"),
    "length of 16 MiB": (joined(b"{}", length=2**24), "must have a header of 16777216 bytes, got 2"),
    "length within the header": (joined(b'{"a":{}}', length=5), "must be JSON"),
    "a list": (joined(b"[]" + b" " * 6), KIND),
    "a number": (joined(b"12345678"), KIND),
    "spaces before the brace": (joined(b" {} "), KIND),
    "a byte order mark": (joined(b"\xef\xbb\xbf{}"), KIND),
    "two values": (joined(b"{}{}"), "must be JSON"),
    "no end": (joined(b'{"a":'), "must be JSON"),
    "UTF-16": (joined('{"a":{}}'.encode("utf-16-le")), "must be JSON"),
    "Latin-1": (joined(b'{"\xe9":1}'), "must be JSON in UTF-8, got an error at byte 2"),
    "a control character": (joined(b'{"\x00":1}'), "must be JSON"),
    "NaN": (joined(b'{"a":NaN}'), "must have finite numbers, got NaN"),
    "a number that is too large": (joined(b'{"a":1e999}'), "must have finite numbers, got 1e999"),
    "a number of 4301 digits": (joined(b'{"a":' + b"1" * 4301 + b"}"), "must have numbers of at most 100 characters"),
    "10 000 deep": (joined(b'{"a":' + b"[" * 9999 + b"]" * 9999 + b"}"), "must be at most 64 lists and objects deep"),
    "10 000 deep without an end": (joined(b'{"a":' * 10_000), "must be at most 64 lists and objects deep"),
    "a name twice": (joined(b'{"a":1,"a":2}'), "must have each key once"),
    "a key of an entry twice": (joined(b'{"a":{"dtype":"U8","dtype":"U8"}}'), "must have each key once"),
    "half a surrogate pair": (joined(b'{"\\ud800":1}'), "must have text that UTF-8 can encode"),
    "100 000 tensors": (
        joined(b"{" + b",".join(b'"%d":1' % i for i in range(100_000)) + b"}"), "must have|at most",
    ),
    "10 001 tensors": (joined(tensors(**{f"{i}": ("U8", [0], [0, 0]) for i in range(10_001)})), "most 10000 tensors"),
    "a name of 1001 characters": (joined(tensors(**{"a" * 1001: ("U8", [0], [0, 0])})), "names of at most 1000"),
    "metadata a list": (joined({"__metadata__": []}), "must have an object of strings as its metadata, got list"),
    "metadata null": (joined({"__metadata__": None}), "must have an object of strings as its metadata, got None"),
    "metadata of numbers": (joined({"__metadata__": {"a": 1}}), "must have an object of strings as its metadata"),
    "metadata of objects": (joined({"__metadata__": {"a": {}}}), "must have an object of strings as its metadata"),
    "an entry a list": (joined({"a": []}), "must have dtype, shape and data_offsets of the tensor 'a', got list"),
    "an entry null": (joined({"a": None}), "must have dtype, shape and data_offsets of the tensor 'a', got None"),
    "no dtype": (joined({"a": {"shape": [], "data_offsets": [0, 0]}}), "must have dtype, shape and data_offsets"),
    "an unknown key": (joined({"a": tensors(a=("U8", [0], [0, 0]))["a"] | {"x": 1}}), "must have dtype, shape and"),
    "dtype x": (joined(tensors(a=("x", [0], [0, 0]))), "one of the dtypes F64.*got 'x'"),
    "dtype O": (joined(tensors(a=("O", [1], [0, 8])), EIGHT), "one of the dtypes F64"),
    "dtype BF16": (joined(tensors(a=("BF16", [4], [0, 8])), EIGHT), "must be a file of fastnn"),
    "dtype null": (joined(tensors(a=(None, [0], [0, 0]))), "one of the dtypes"),
    "dtype a list": (joined(tensors(a=(["U8"], [0], [0, 0]))), "one of the dtypes"),
    "shape null": (joined(tensors(a=("U8", None, [0, 0]))), "list of at most 32 numbers as shape"),
    "shape a text": (joined(tensors(a=("U8", "8", [0, 8])), EIGHT), "list of at most 32 numbers as shape"),
    "shape of 33 axes": (joined(tensors(a=("U8", [1] * 33, [0, 1])), b"0"), "list of at most 32 numbers as shape"),
    "shape -1": (joined(tensors(a=("U8", [-8, -1], [0, 8])), EIGHT), "whole numbers from 0 to"),
    "shape 8.0": (joined(tensors(a=("U8", [8.0], [0, 8])), EIGHT), "whole numbers from 0 to"),
    "shape true": (joined(tensors(a=("U8", [True], [0, 1])), b"0"), "whole numbers from 0 to"),
    "shape a list of lists": (joined(tensors(a=("U8", [[8]], [0, 8])), EIGHT), "whole numbers from 0 to"),
    "shape 2**63": (joined(tensors(a=("U8", [2**63], [0, 8])), EIGHT), "whole numbers from 0 to"),
    "shape 2**64 + 8": (joined(tensors(a=("U8", [2**64 + 8], [0, 8])), EIGHT), "whole numbers from 0 to"),
    "shape that overflows to 8": (joined(tensors(a=("U8", [2**62, 4, 1], [0, 8])), EIGHT), "fits in memory"),
    "shape that overflows by its dtype": (joined(tensors(a=("F64", [2**61 + 1], [0, 8])), EIGHT), "fits in memory"),
    "shape of many large axes": (joined(tensors(a=("U8", [2**62] * 32, [0, 8])), EIGHT), "fits in memory"),
    "shape of large axes and 0": (joined(tensors(a=("U8", [2**62, 2**62, 0], [0, 0]))), "fits in memory"),
    "shape 2**60": (joined(tensors(a=("F32", [2**60], [0, 2**62])), EIGHT), "bytes of the tensor 'a' within the file"),
    "offsets null": (joined(tensors(a=("U8", [0], None))), "list of at most 2 numbers as data_offsets"),
    "one offset": (joined(tensors(a=("U8", [0], [0]))), "bytes of the tensor 'a' within the file"),
    "three offsets": (joined(tensors(a=("U8", [0], [0, 0, 0]))), "list of at most 2 numbers as data_offsets"),
    "offsets of floats": (joined(tensors(a=("U8", [8], [0.0, 8.0])), EIGHT), "whole numbers from 0 to"),
    "offsets that are negative": (joined(tensors(a=("U8", [8], [-8, 0])), EIGHT), "whole numbers from 0 to"),
    "offsets backwards": (joined(tensors(a=("U8", [8], [8, 0])), EIGHT), "bytes of the tensor 'a' within the file"),
    "offsets beyond the file": (joined(tensors(a=("U8", [8], [1, 9])), EIGHT), "bytes of the tensor 'a' within"),
    "offsets beyond 2**63": (joined(tensors(a=("U8", [8], [2**64, 2**64 + 8])), EIGHT), "whole numbers from 0 to"),
    "offsets shorter than the shape": (joined(tensors(a=("F32", [2], [0, 4])), EIGHT), "have 8 bytes of the tensor"),
    "a hole": (joined(tensors(a=("U8", [2], [0, 2]), b=("U8", [2], [6, 8])), EIGHT), "at byte 2, without gaps"),
    "a hole at the start": (joined(tensors(a=("U8", [4], [4, 8])), EIGHT), "at byte 0, without gaps"),
    "a hole at the end": (joined(tensors(a=("U8", [4], [0, 4])), EIGHT), "must have 4 bytes after its header, got 8"),
    "an overlap": (joined(tensors(a=("U8", [5], [0, 5]), b=("U8", [5], [3, 8])), EIGHT), "at byte 5, without gaps"),
    "the same bytes twice": (joined(tensors(a=("U8", [8], [0, 8]), b=("U8", [8], [0, 8])), EIGHT), "without gaps"),
    "an empty tensor beyond the others": (joined(tensors(a=("U8", [0], [3, 3])), b""), "within the file"),
    "bytes without tensors": (joined(b"{}", b"abc"), "must have 0 bytes after its header, got 3"),
    "no tensors": (joined(b"{}"), "must be a file of fastnn, got no fastnn.format in its metadata"),
    "tensors alone": (joined(tensors(a=("U8", [8], [0, 8])), EIGHT), "must be a file of fastnn"),
}  # fmt: skip


def checksums(data):
    """Return files with a wrong checksum, by name."""
    start = data.index(CHECKSUM.encode()) + len(CHECKSUM) + 3
    digits = data[start : start + 64]

    def with_digits(value):
        return data[:start] + value + data[start + 64 :]

    capitals = digits.upper() if digits.upper() != digits else b"A" * 64
    spelled = resealed(data).replace(f'"{CHECKSUM}":"'.encode(), f'"{CHECKSUM}": "'.encode(), 1)
    length = int.from_bytes(data[:8], "little") + 1
    return {
        "zeros": (with_digits(b"0" * 64), "must have the SHA-256 that it was written with"),
        "capitals": (with_digits(capitals), "must have the SHA-256 that it was written with"),
        "63 digits": (_shorter(data, start), "must have 64 digits"),
        "other letters": (with_digits("ä".encode() * 32), "must have 64 digits"),
        "another spelling": (length.to_bytes(8, "little") + spelled[8:], "as it was written"),
    }  # fmt: skip


def _shorter(data, start):
    length = int.from_bytes(data[:8], "little") - 1
    return length.to_bytes(8, "little") + data[8 : start + 63] + data[start + 64 :]


def faulty_files(data):
    """Yield name, file and the pattern of the message of every fault; `data` is the file of `net`."""
    changes = ((f"net: {name}", changed(data, change), must) for name, (change, must) in CHANGES.items())
    headers = ((f"file: {name}", made, must) for name, (made, must) in HEADERS.items())
    sums = ((f"checksum: {name}", made, must) for name, (made, must) in checksums(data).items())
    return itertools.chain(changes, headers, sums)
