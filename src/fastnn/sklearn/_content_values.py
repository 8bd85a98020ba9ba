"""The values of parameters as files have them, and back.

Parameters are compared, cloned and checked as they were given. So what configs do not tell apart has kinds of its own
here: {"kind": "tuple", "items": [...]}, where a list is a list; {"kind": "pairs", "items": [[key, value], ...]} for a
dict whose keys are not all strings; {"kind": "text", "strings": ...} for an array of NumPy's strings; {"kind": "dtype",
"name": ...}; and {"kind": "random_state", ...} for NumPy's old generator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _records
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._content import ContentReader, ContentWriter

MOST_TEXT = 2**23  # characters of an array of NumPy's strings, all as long as the longest
MOST_STRINGS = 400_000  # of categories, classes and names of columns: a file's header holds little more
MOST_STRING_BYTES = 12 * 2**20

_KEY_WORDS = 624  # of the Mersenne Twister
_DTYPES: Mapping[str, type[Any]] = {"float32": np.float32, "float64": np.float64}
_PICKLE = "or pickle the estimator"


class EstimatorWriter(ContentWriter):
    """What is to be written of an estimator.

    Parameters
    ----------
    kind : type
        The estimator's class.
    """

    class_fix = "pickle the estimator"

    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self._parameters = _records.parameters(kind)
        self._strings: dict[str, tuple[int, int]] = {}  # their number, and their bytes in the header

    def of_function(self, function: Any, where: str) -> dict[str, Any]:
        """Refuse a function, and say how to save the estimator without it."""
        parameter, fix = re.split(r"[.\[]", where)[0], "pickle the estimator"
        if parameter == "activation":
            fix = f"register it, nn.register_activation(name, make), and give its name, {_PICKLE}"
        elif parameter in self._parameters:
            default = self._parameters[parameter].default
            fix = f"write set_params({parameter}={default!r}) before, {_PICKLE}"
        must = "have no function, as files contain no code"
        v.refuse(TypeError, where, must, _records.function_name(function) or v.kind_of(function), fix)

    def value(self, value: Any, where: str) -> Any:
        """Return a value of any of the kinds as JSON holds it; its arrays become tensors named by `where`."""
        if isinstance(value, np.ndarray) and value.ndim:
            return self._array(value, where)
        if isinstance(value, list):
            return [self.value(each, f"{where}[{index}]") for index, each in enumerate(value)]
        if isinstance(value, tuple):
            return {"kind": "tuple", "items": self.value(list(value), where)}
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            pairs = [[self.value(part, f"{where}[{key!r}]") for part in (key, each)] for key, each in value.items()]
            return {"kind": "pairs", "items": pairs}
        if isinstance(value, type) and value in _DTYPES.values():
            return {"kind": "dtype", "name": value.__name__}
        if isinstance(value, np.random.RandomState):
            return self._random_state(value, where)
        if not isinstance(value, np.generic | np.ndarray | str) and not _records.is_record(value):
            if hasattr(value, "__array__") and not callable(value):  # of pandas, for example
                return self.value(np.asarray(value), where)
            if isinstance(value, Sequence):
                return self.value(list(value), where)
        return super().value(value, where)

    def _array(self, array: Array, where: str) -> Any:
        if array.dtype.kind == "O" and not all(isinstance(each, str) for each in array.flat):
            return self.value(array.tolist(), where)
        plain = self.of_array(array, where)
        return text(array, where, plain) if array.dtype.kind == "U" else plain

    def _random_state(self, value: np.random.RandomState, where: str) -> dict[str, Any]:
        state: Any = value.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            fix = f"write set_params(random_state=...) before, {_PICKLE}"
            v.refuse(ValueError, where, "have the bit generator MT19937", state["bit_generator"], fix)
        return {
            "kind": "random_state",
            "key": self.of_array(np.asarray(state["state"]["key"], np.uint32).copy(), where),
            "pos": int(state["state"]["pos"]),
            "has_gauss": int(state["has_gauss"]),
            "gauss": float(state["gauss"]),
        }

    def of_strings(self, array: Array, where: str, label: str) -> Any:
        """Return an array of strings, which count for `check_strings`; messages call it `label`."""
        import json

        plain = self.of_array(array.astype(object), where)
        self._strings[label] = len(plain["values"]), len(json.dumps(json.dumps(plain["values"])))
        return plain

    def check_strings(self) -> None:
        """Refuse more strings than the header of a file holds, by the name of what has most of them."""
        count, size = (sum(each) for each in zip(*self._strings.values(), strict=True)) if self._strings else (0, 0)
        if count > MOST_STRINGS or size > MOST_STRING_BYTES:
            place = int(count <= MOST_STRINGS)
            label = max(self._strings, key=lambda name: self._strings[name][place])
            most = f"{MOST_STRINGS} strings and {MOST_STRING_BYTES} bytes with those of all other columns"
            got = f"{self._strings[label][0]} strings and {self._strings[label][1]} bytes"
            v.refuse(ValueError, label, f"have at most {most}, for a file", got, "pickle the estimator")


def text(array: Array, where: str, strings: Any) -> dict[str, Any]:
    """Return an array of NumPy's strings, given as `ContentWriter` has strings."""
    _check_text(where, array.size, max(map(len, array.flat), default=0))
    return {"kind": "text", "strings": strings}


def _check_text(where: str, size: int, longest: int) -> None:
    if size * longest > MOST_TEXT:
        must = f"have at most {MOST_TEXT} characters, if all its strings are as long as the longest"
        v.refuse(ValueError, where, must, f"{size} strings of up to {longest}")


class EstimatorReader(ContentReader):
    """What has been read of an estimator."""

    @property
    def kinds(self) -> Mapping[str, Callable[[Mapping[str, Any], str], Any]]:
        """The kinds that files of estimators have besides those of configs."""
        return {
            **super().kinds,
            "tuple": self._tuple,
            "pairs": self._pairs,
            "text": self._text,
            "dtype": self._dtype,
            "random_state": self._random_state,
        }

    def _tuple(self, config: Mapping[str, Any], where: str) -> tuple[Any, ...]:
        _records.check_keys(config, where, ("items",))
        return tuple(self.value(v.instance(f"{where}.items", config["items"], list, "be a list"), where))

    def _pairs(self, config: Mapping[str, Any], where: str) -> dict[Any, Any]:
        _records.check_keys(config, where, ("items",))
        items = v.instance(f"{where}.items", config["items"], list, "be a list")
        made: dict[Any, Any] = {}
        for index, pair in enumerate(items):
            if not isinstance(pair, list) or len(pair) != 2:
                v.refuse(TypeError, f"{where}.items[{index}]", "be a list of key and value", v.shown(pair))
            key, value = self.value(pair, f"{where}.items[{index}]")
            if not isinstance(key, str | int | float | None):
                v.refuse(TypeError, f"{where}.items[{index}][0]", "be a number or a string", v.kind_of(key))
            if key in made:
                v.refuse(ValueError, where, "have each key once", f"{v.shown(key)} twice")
            made[key] = value
        return made

    def _text(self, config: Mapping[str, Any], where: str) -> Array:
        _records.check_keys(config, where, ("strings",))
        array = self.value(config["strings"], where)
        if not isinstance(array, np.ndarray) or array.dtype != object:
            v.refuse(TypeError, where, "be an array of strings", v.kind_of(array))
        _check_text(where, array.size, max(map(len, array.flat), default=0))
        return array.astype(str)

    def _dtype(self, config: Mapping[str, Any], where: str) -> type[Any]:
        _records.check_keys(config, where, ("name",))
        return _DTYPES[v.choice(f"{where}.name", config["name"], _DTYPES)]

    def _random_state(self, config: Mapping[str, Any], where: str) -> np.random.RandomState:
        _records.check_keys(config, where, ("key", "pos", "has_gauss", "gauss"))
        key = self.value(config["key"], f"{where}.key")
        right = isinstance(key, np.ndarray) and key.dtype == np.uint32 and key.shape == (_KEY_WORDS,)
        if not right or not key.any():
            must = f"be {_KEY_WORDS} numbers of uint32, not all of them 0"
            v.refuse(ValueError, f"{where}.key", must, v.shown(key))
        state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": v.integer(f"{where}.pos", config["pos"], 0, _KEY_WORDS)},
            "has_gauss": v.integer(f"{where}.has_gauss", config["has_gauss"], 0, 1),
            "gauss": v.real(f"{where}.gauss", config["gauss"], -np.inf),
        }
        generator = np.random.RandomState(0)
        generator.set_state(state)
        return generator
