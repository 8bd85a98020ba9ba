"""Files of fastnn: tensors in the safetensors format, and what they belong to as plain values in the metadata.

The metadata has five keys: the version of this format, the kind of what is saved, fastnn's version, the content as
JSON, and the SHA-256 of the file. The content holds configs (see `fastnn._records`) and four more kinds of values:
{"kind": "tensor", "name": ...} for a tensor of the file, {"kind": "strings", ...} for an array of strings, {"kind":
"numbers", "array": ...} for a long list of numbers, and {"kind": "dict", "entries": ...} for a dict.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _records
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn._version import __version__
from fastnn.io._json import MOST_DEPTH, json_text, parsed_json
from fastnn.io._messages import in_file, refuse_file
from fastnn.io._tensors import MOST_AXES, TensorFile, write_tensors
from fastnn.nn import Layer, Sequential
from fastnn.nn.container_base import Chain, check_not_empty

FORMAT = "1"
OWN = "fastnn."  # what the names of tensors begin with that PyTorch does not know, and the keys of the metadata
CHECKSUM = f"{OWN}sha256"
LONG = 64  # entries above which a list of numbers is a tensor

LOADERS: Mapping[str, str] = {
    "net": "fastnn.load(path)",
    "ensemble": "fastnn.Ensemble.load(path)",
    "trainer": "fastnn.Trainer.load(path)",
    "checkpoint": "fastnn.Trainer.resume(path, X, y)",
    "classifier": "fastnn.sklearn.MLPClassifier.load(path)",
    "regressor": "fastnn.sklearn.MLPRegressor.load(path)",
}
"""The kinds of files, and what reads them."""


class ContentWriter(_records.Encoder):
    """What is to be written: the tensors so far, and how values become plain.

    Parameters
    ----------
    refusal : str
        What messages say that refuse functions and objects of users' classes; "" if functions are named.
    functions : mapping of str to callable
        Names that functions have: those under which they were passed when a file was read.

    Attributes
    ----------
    tensors : dict of str to ndarray
    """

    def __init__(self, refusal: str = "", functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        super().__init__()
        self._refusal, self._given = refusal, functions or {}
        self._depth = 0  # of the values that are being made plain
        self.class_fix = refusal or self.class_fix
        self.tensors: dict[str, Array] = {}

    def put(self, name: str, array: Array) -> None:
        """Add a tensor."""
        assert name not in self.tensors, name
        self.tensors[name] = array

    def of_array(self, array: Array, where: str) -> Any:
        """Return an array as plain values: numbers become a tensor, strings are listed."""
        if array.dtype.kind in "OUT":
            values = array.ravel().tolist()
            for each in values:
                v.instance(f"the entries of {where}", each, str, "be strings")
            return {"kind": "strings", "shape": list(array.shape), "values": values}
        name = OWN + where
        while name in self.tensors:  # as {"a.b": x, "a": {"b": y}} has two of one name
            name += "_"
        self.put(name, array)
        return {"kind": "tensor", "name": name}

    def of_function(self, function: Any, where: str) -> dict[str, Any]:
        """Return the name of a function, under which it is passed again, or refuse it."""
        if self._refusal:
            must = "have no function, as files contain no code"
            got = _records.function_name(function) or v.kind_of(function)
            v.refuse(TypeError, where, must, got, self._refusal)
        if given := next((name for name, each in self._given.items() if each is function), ""):
            self.functions[given] = function
            return {"kind": "function", "name": given}
        full = _records.function_name(function)
        name = "" if full is None else full.rpartition(":")[2].rpartition(".")[2]
        if not name.isidentifier():
            fix = "write it by def, so that it can be passed by this name"
            v.refuse(TypeError, where, "have a function with a name", full or v.kind_of(function), fix)
        if self.functions.setdefault(name, function) != function:
            fix = "give each function a name of its own, by def"
            v.refuse(ValueError, where, "have another name than the other functions", v.shown(name), fix)
        return {"kind": "function", "name": name}

    def of_initializer(self, value: Any, where: str) -> Any:
        """Return a record of fastnn, and None, the default, for a user's function: it has drawn the values already."""
        of_fastnn = value is None or (_records.is_record(value) and _records.is_own(type(value)))
        return _records.plain(value, where, self) if of_fastnn else None

    def value(self, value: Any, where: str) -> Any:
        """Return a value of any of the kinds as JSON holds it; its arrays become tensors named by `where`.

        A net is refused, and a layer of one: their configs do not have their arrays.
        """
        if isinstance(value, dict | list | tuple):
            if self._depth > MOST_DEPTH:
                must, got = f"be at most {MOST_DEPTH} lists and dicts deep", "more, or one within itself"
                v.refuse(ValueError, where, must, got)
            self._depth += 1
            try:
                return self._of_dict(value, where) if isinstance(value, dict) else self._of_list(value, where)
            finally:
                self._depth -= 1
        if got := "a net" if isinstance(value, Sequential) else "a layer of a net" if _has_arrays(value) else "":
            must = "be a plain value, an array or a record of settings"
            v.refuse(TypeError, where, must, got, "write net.state_dict()")
        return _records.plain(value, where, self)

    def _of_dict(self, value: dict[Any, Any], where: str) -> dict[str, Any]:
        for key in value:
            v.instance(f"a key of {where}", key, str, "be a string")
        return {"kind": "dict", "entries": {key: self.value(each, f"{where}.{key}") for key, each in value.items()}}

    def _of_list(self, value: Sequence[Any], where: str) -> Any:
        """Return a list; a long one of numbers alone is a tensor, as it would take much memory as JSON."""
        if len(value) > LONG and (kind := _kind_of_numbers(value)) is not None:
            return {"kind": "numbers", "array": self.of_array(np.array(value, kind), where)}
        return [self.value(each, f"{where}.{index}") for index, each in enumerate(value)]

    def write(self, path: str | os.PathLike[str], kind: str, content: Mapping[str, Any]) -> None:
        """Write a file of one of the kinds of `LOADERS`, in whole or not at all."""
        metadata = {
            f"{OWN}format": FORMAT,
            f"{OWN}kind": kind,
            f"{OWN}version": __version__,
            f"{OWN}content": json_text("the content", content),
        }
        write_tensors(path, self.tensors, metadata, CHECKSUM)


def _kind_of_numbers(values: Sequence[Any]) -> type[np.generic] | None:
    """Return the dtype that holds numbers of one of Python's types exactly; None if there is none."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.float64
    return np.int64 if kinds == {int} and min(values) >= -(2**63) and max(values) < 2**63 else None


def _has_arrays(value: Any) -> bool:
    """Whether a value is a layer of a net, with parameters or statistics."""
    if not isinstance(value, Layer) or not value.bound:
        return False
    return any(leaf.parameters() or leaf.buffers() for leaf in value.leaves())


class ContentReader(_records.Decoder):
    """What has been read: the content of a file, and how plain values become what they stand for.

    Attributes
    ----------
    file : TensorFile
    kind : str
    content : dict of str
    """

    def __init__(self, file: TensorFile, functions: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(functions)
        self.file = file
        self._unread = dict.fromkeys(file.entries)
        self._named: set[str] = set()  # functions
        keys = [f"{OWN}{key}" for key in ("format", "kind", "version", "content", "sha256")]
        if missing := [key for key in keys if key not in file.metadata]:
            fix = "its tensors alone are fastnn.io.load_tensors(path), for net.load_state_dict"
            refuse_file(file.path, "be a file of fastnn", f"no {missing[0]} in its metadata", fix)
        version, self.kind, written_by, _, checksum = (file.metadata[key] for key in keys)
        if version != FORMAT:
            got = f"format {v.shown(version)}, written by fastnn {v.shown(written_by)}"
            fix = "use that version of fastnn, or a later one"
            refuse_file(file.path, f"have the format {FORMAT}", got, fix)
        if file.digest(CHECKSUM) != checksum:
            refuse_file(
                file.path,
                "have the SHA-256 that it was written with",
                "another",
                "it is damaged, or another program has changed it",
            )
        if self.kind not in LOADERS:
            refuse_file(file.path, f"be one of {', '.join(LOADERS)}", v.shown(self.kind))
        label = f"the content of {file.path}"
        self.content: dict[str, Any] = v.instance(
            label, parsed_json(label, file.metadata.pop(f"{OWN}content")), dict, "be an object"
        )

    @property
    def kinds(self) -> Mapping[str, Callable[[Mapping[str, Any], str], Any]]:
        """The kinds that files have besides those of configs."""
        return {
            "tensor": self._tensor,
            "strings": self._strings,
            "numbers": self._numbers,
            "dict": self._dict,
            "nn.Sequential": self._chain,
        }

    def function(self, name: str, where: str) -> Any:
        """Return the function of this name."""
        self._named.add(name)
        if name not in self.functions:
            fix = f"pass it by this name: {name}=..." if name.isidentifier() else ""
            v.refuse(ValueError, where, "name a function that is passed", v.shown(name), fix)
        return v.function(name, self.functions[name])

    def take(
        self,
        name: str,
        *,
        dtypes: Sequence[np.dtype[Any]] | None = None,
        shape: tuple[int, ...] | None = None,
        nonnegative: bool = False,
        allow_nonfinite: bool = True,
    ) -> Array:
        """Return a tensor. Each is taken once; `check_all_read` refuses a file of which some were not.

        Parameters
        ----------
        name : str
        dtypes : sequence of dtype, optional
            Those that it may have; by default any. They and `shape` are checked before the tensor takes memory.
        shape : tuple of int, optional
            The one that it must have; by default any.
        nonnegative : bool, default False
            Whether no number may be below 0.
        allow_nonfinite : bool, default True
            Whether it may have NaN and infinity.
        """
        entry = self.file.entries.get(name)
        if entry is None:
            refuse_file(self.file.path, f"have the tensor {v.shown(name)}", "none")
        if name not in self._unread:  # a small file could stand for any number of large arrays
            refuse_file(self.file.path, f"name the tensor {v.shown(name)} once", "a second time")
        label = f"the tensor {v.shown(name)}"
        if dtypes is not None and entry.dtype not in dtypes:
            v.refuse(ValueError, label, f"be of dtype {' or '.join(map(str, dtypes))}", entry.dtype_name)
        if shape not in (None, entry.shape):
            v.refuse(ValueError, label, f"have shape {shape}", entry.shape)
        del self._unread[name]
        array = self.file.read(name)
        if not allow_nonfinite and array.dtype.kind == "f" and not v.all_finite(array):
            v.refuse(ValueError, label, "be finite", "NaN or infinity", "pass allow_nonfinite=True if it has to be")
        if nonnegative and (array < 0).any():
            v.refuse(ValueError, label, "contain no number below 0", array[array < 0].min())
        return array

    def _tensor(self, config: Mapping[str, Any], where: str) -> Array:
        _records.check_keys(config, where, ("name",))
        name = config["name"]
        if not isinstance(name, str) or not name.startswith(OWN):
            v.refuse(ValueError, f"{where}.name", f"begin with {OWN!r}", v.shown(name))
        return self.take(name)

    def _strings(self, config: Mapping[str, Any], where: str) -> Array:
        _records.check_keys(config, where, ("shape", "values"))
        shape, values = config["shape"], config["values"]
        for key, kind in (("shape", int), ("values", str)):
            given = config[key]
            if not isinstance(given, list) or not all(type(each) is kind for each in given):
                v.refuse(TypeError, f"{where}.{key}", f"be a list of {kind.__name__}", v.shown(given))
        if len(shape) > MOST_AXES or min(shape, default=0) < 0 or math.prod(n for n in shape if n) > 2**31:
            must = f"be at most {MOST_AXES} numbers from 0, with a product of at most 2**31"
            v.refuse(ValueError, f"{where}.shape", must, v.shown(shape))
        if math.prod(shape) != len(values):
            v.refuse(ValueError, f"{where}.values", f"have as many entries as the shape {tuple(shape)}", len(values))
        array = np.empty(len(values), object)
        array[:] = values
        return array.reshape(shape) if values else np.empty(tuple(shape), object)

    def _numbers(self, config: Mapping[str, Any], where: str) -> list[Any]:
        _records.check_keys(config, where, ("array",))
        array = self.value(config["array"], where)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype not in (np.float64, np.int64):
            v.refuse(ValueError, f"{where}.array", "be a vector of float64 or int64", v.kind_of(array))
        numbers: list[Any] = array.tolist()
        return numbers

    def _dict(self, config: Mapping[str, Any], where: str) -> dict[str, Any]:
        _records.check_keys(config, where, ("entries",))
        entries = v.instance(f"{where}.entries", config["entries"], dict, "be an object")
        return {key: self.value(each, f"{where}.{key}") for key, each in entries.items()}

    def _chain(self, config: Mapping[str, Any], where: str) -> Chain:
        """Return a `Sequential` within a net, without values: as a net it would take memory for some, and draw them."""
        _records.check_keys(config, where, ("layers", "dtype", "seed"))
        layers = self.value(v.instance(f"{where}.layers", config["layers"], list, "be a list"), f"{where}.layers")
        check_not_empty(f"{where}.layers", layers)
        return Chain(*layers)

    def value(self, plain: Any, where: str) -> Any:
        """Return what a plain value of the content stands for."""
        return _records.value_of(plain, where, self)

    def part(self, content: Any, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
        """Return a part of the content, an object that has these keys and no others."""
        part: dict[str, Any] = v.instance(where, content, dict, "be an object")
        if part.keys() != set(keys):
            v.refuse(ValueError, where, f"have the keys {', '.join(keys)} and no others", ", ".join(map(v.shown, part)))
        return part

    def skip(self, part: Any, prefix: str) -> None:
        """Leave out a part of the content, whose tensors have names that begin with fastnn's own and `prefix`."""
        self._named |= names_of(part, "function")
        for name in [name for name in self._unread if name.startswith(OWN + prefix)]:
            del self._unread[name]

    def check_all_read(self, *, spare_functions: bool = False) -> None:
        """Refuse a file with tensors that nothing has asked for, and functions that it does not name.

        With `spare_functions`, these may be any functions.
        """
        if self._unread:
            got = ", ".join(map(v.shown, list(self._unread)[:6]))
            refuse_file(self.file.path, "have no other tensors", got)
        unknown = [name for name in self.functions if name not in self._named]
        if unknown := [name for name in unknown if not (spare_functions and callable(self.functions[name]))]:
            must = "be left out, as the file names none"
            if self._named:
                must = f"be among those that the file names, {', '.join(sorted(self._named))}"
            fix = "leave it out, as settings and arguments of fit come from the file"
            v.refuse(ValueError, "functions", must, v.shown(unknown[0]), fix)


def names_of(config: Any, kind: str) -> set[str]:
    """Return the names of all configs of a kind within a part of the content, whatever else it is."""
    if isinstance(config, list):
        return set[str]().union(*(names_of(each, kind) for each in config))
    if not isinstance(config, dict):
        return set()
    own = {str(config.get("name"))} if config.get("kind") == kind else set()
    return own.union(*(names_of(each, kind) for each in config.values()))


@contextlib.contextmanager
def reading(
    path: str | os.PathLike[str],
    *kinds: str,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    reader: type[ContentReader] = ContentReader,
    spare_functions: bool = False,
) -> Iterator[ContentReader]:
    """Open a file of one of these kinds, and at the end check that all its tensors have been read.

    Messages of what is made of the content within the block get the file's path in front.
    """
    with TensorFile(path) as file:
        saved = reader(file, functions or {})
        if saved.kind not in kinds:
            must, got = (
                f"be the file of {' or '.join(map(_with_article, kinds))}",
                f"that of {_with_article(saved.kind)}",
            )
            refuse_file(file.path, must, got, f"write {LOADERS[saved.kind]}")
        with in_file(file.path):
            yield saved
            saved.check_all_read(spare_functions=spare_functions)


def _with_article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
