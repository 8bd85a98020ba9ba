"""Records as plain values that JSON holds, and back: what `config()` returns, and `from_config`.

A config is a dict with a "kind" from a closed list, the public names of fastnn's own records, and one entry for each
argument of the constructor. Values are None, bools, numbers, strings, lists and other configs. Two more kinds stand for
what JSON has no form of: {"kind": "float", "value": "nan"}, "inf" or "-inf"; and {"kind": "function", "name":
"module:qualname"} for a function of the user's, which is named and never stored. What a registered function has made
is named as well: {"kind": "nn.activation", "name": ..., "parameters": {...}}.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import numbers
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fastnn import _validation as v

__all__ = ["from_config"]

_KINDS: dict[str, type[Any]] = {}
_MAKERS: dict[str, Callable[[Mapping[str, Any], str, Decoder], Any]] = {}
_PARAMETERS: weakref.WeakKeyDictionary[Any, dict[str, inspect.Parameter]] = weakref.WeakKeyDictionary()
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def register(kind: type[Any]) -> None:
    """Add a class to the closed list, if it is public and fastnn's own."""
    if is_own(kind) and not kind.__name__.startswith("_"):
        _KINDS[kind_name(kind)] = kind


def register_maker(kind: str, make: Callable[[Mapping[str, Any], str, Decoder], Any]) -> None:
    """Add a kind that stands for a call of a function; `make` makes an object of such a config."""
    _MAKERS[kind] = make


def is_own(kind: type[Any]) -> bool:
    """Whether a class is fastnn's."""
    return kind.__module__.startswith("fastnn.")


def kinds() -> dict[str, type[Any]]:
    """Return the closed list: the classes of fastnn's records by their kinds, without base classes."""
    return {name: kind for name, kind in _KINDS.items() if not inspect.isabstract(kind)}


def kind_name(kind: type[Any]) -> str:
    """Return how a config names a class."""
    return v.public_name(kind).removeprefix("fastnn.")


def parameters(kind: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class's constructor."""
    if kind not in _PARAMETERS:
        _PARAMETERS[kind] = dict(inspect.signature(kind).parameters)
    return _PARAMETERS[kind]


def settled(value: Any) -> Any:
    """Return a value as records compare, show and save it: Python's numbers, and tuples of lists and arrays."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, list | tuple):
        return tuple(map(settled, value))
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def function_name(function: Any) -> str | None:
    """Return "module:qualname", or None of something callable that has no name."""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    module = getattr(function, "__module__", None)
    return f"{module}:{name}" if isinstance(module, str) and isinstance(name, str) else None


def make(kind: type[Any], arguments: Mapping[str, Any]) -> Any:
    """Make an object of a class; the arguments are given by name, those of ``*args`` as one sequence."""
    wanted, named = parameters(kind), dict(arguments)
    spread = next((name for name, p in wanted.items() if p.kind is p.VAR_POSITIONAL), None)
    if spread is None:
        return kind(**named)
    before = [named.pop(name) for name in list(wanted)[: list(wanted).index(spread)]]
    return kind(*before, *named.pop(spread), **named)


def is_record(value: object) -> bool:
    """Whether a value has a config: a record, or a net."""
    return hasattr(value, "_saved")


# ---- to plain values ----


class Encoder:
    """How a config has what JSON has no form of. In this one arrays are lists, and functions have their names.

    Attributes
    ----------
    functions : dict of str to callable
        Those met so far, by name.
    """

    class_fix = "pickle it instead"
    """What the message says that refuses an object of a user's class."""

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}

    def of_array(self, array: np.ndarray[Any, Any], where: str) -> Any:
        """Return an array as plain values."""
        return plain(settled(array), where, self)

    def of_function(self, function: Any, where: str) -> dict[str, Any]:
        """Return a function as plain values; where two functions have one name, the second is refused."""
        name = function_name(function)
        if name is None:
            must = "be a plain value, a record of fastnn or a function with a name"
            v.refuse(TypeError, where, must, v.kind_of(function))
        if self.functions.setdefault(name, function) != function:
            fix = "give each function a name of its own, by def"
            v.refuse(ValueError, where, "have another name than the other functions", v.shown(name), fix)
        return {"kind": "function", "name": name}

    def of_initializer(self, value: Any, where: str) -> Any:
        """Return an argument that only says how initial values are drawn."""
        return plain(value, where, self)


class Decoder:
    """How objects are made of configs.

    Parameters
    ----------
    functions : mapping of str to callable
        The functions that configs name.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.functions = functions

    def function(self, name: str, where: str) -> Any:
        """Return the function of this name."""
        if name not in self.functions:
            fix = f"write from_config(config, functions={{{name!r}: function}})"
            v.refuse(ValueError, where, "name a function that is given in functions", v.shown(name), fix)
        return v.function(f"functions[{name!r}]", self.functions[name])

    @property
    def kinds(self) -> Mapping[str, Callable[[Mapping[str, Any], str], Any]]:
        """The kinds of this decoder alone, each with the function that makes an object of such a config."""
        return {}


def to_config(record: Any, where: str = "", encoder: Encoder | None = None) -> dict[str, Any]:
    """Return the config of a record."""
    kind, where = type(record), where or type(record).__name__
    encoder = Encoder() if encoder is None else encoder
    name, arguments = record._saved() if is_record(record) else ("", {})
    if name in _MAKERS:
        return {
            "kind": name,
            **{key: _plain_entries(each, f"{where}.{key}", encoder) for key, each in arguments.items()},
        }
    if not (name in _KINDS and is_own(kind)):
        must = "be of a class of fastnn, as only these have a config"
        v.refuse(TypeError, where, must, f"the class {kind.__qualname__}", encoder.class_fix)
    drawn = getattr(kind, "_initializers", ())
    values = {
        key: encoder.of_initializer(value, f"{where}.{key}")
        if key in drawn
        else plain(value, f"{where}.{key}", encoder)
        for key, value in arguments.items()
    }
    return {"kind": name, **values}


def _plain_entries(value: Any, where: str, encoder: Encoder) -> Any:
    """Return an argument of a maker as plain values: its parameters are an object, which has no kind."""
    if not isinstance(value, dict):
        return plain(value, where, encoder)
    return {key: plain(each, f"{where}.{key}", encoder) for key, each in value.items()}


def plain(value: Any, where: str, encoder: Encoder) -> Any:
    """Return a value as JSON holds it; messages call it `where`."""
    if isinstance(value, np.ndarray) and value.ndim:
        return encoder.of_array(value, where)
    value = settled(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"kind": "float", "value": str(value)}
    if isinstance(value, tuple):
        return [plain(each, f"{where}[{index}]", encoder) for index, each in enumerate(value)]
    if is_record(value):
        return to_config(value, where, encoder)
    if not callable(value):
        v.refuse(TypeError, where, "be a plain value, a record of fastnn or a function with a name", v.kind_of(value))
    return encoder.of_function(value, where)


# ---- from plain values ----


def from_config(config: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """Make the object whose `config()` this is: a layer, net, loss, optimiser, schedule, initialiser, scaler, ...

    Everything is checked by the constructors, so that a damaged config is refused.

    Parameters
    ----------
    config : mapping of str to plain values
        What `config()` returned, before or after JSON.
    functions : mapping of str to callable, optional
        The user's functions that the config names, by these names: ``{"module:qualname": function}``. They are never
        imported.

    Returns
    -------
    object
        A new object, equal to the one that was saved. A net has new initial values, which are a function of its seed.

    Raises
    ------
    TypeError, ValueError
        If a part of the config is of a wrong type, has an unknown kind, or has missing or unknown keys; if a function
        is not in `functions`; or if a constructor refuses a value. The message names the part, ``config.layers[0]``;
        for a constructor's message it is in the error's notes.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import optim
    >>> optim.StepLR(3).config()
    {'kind': 'optim.StepLR', 'step_size': 3, 'gamma': 0.1, 'every': 'epoch'}
    >>> fastnn.from_config(optim.StepLR(3).config())
    StepLR(3)
    """
    known: Mapping[str, Any] = {} if functions is None else functions
    v.instance("functions", known, Mapping, "be a mapping of names to functions, or None")
    v.instance("config", config, Mapping, "be a dict, as config() returns it")
    try:
        return made(config, "config", Decoder(known))
    except RecursionError:
        v.refuse(ValueError, "config", "be less deep, and not contain itself", "too many configs within each other")


def value_of(value: Any, where: str, decoder: Decoder) -> Any:
    """Return what a plain value, a list or a config stands for."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [value_of(each, f"{where}[{index}]", decoder) for index, each in enumerate(value)]
    if not isinstance(value, Mapping):
        v.refuse(TypeError, where, "be a plain value, a list or a config", v.kind_of(value))
    return made(value, where, decoder)


def made(config: Mapping[str, Any], where: str, decoder: Decoder) -> Any:
    """Return what a config stands for; messages call it `where`."""
    kind = config.get("kind")
    if kind == "float":
        check_keys(config, where, ("value",))
        return _NOT_FINITE[v.choice(f"{where}.value", config["value"], _NOT_FINITE)]
    if kind == "function":
        check_keys(config, where, ("name",))
        if not isinstance(config["name"], str):
            v.refuse(TypeError, f"{where}.name", "be a string", v.kind_of(config["name"]))
        return decoder.function(config["name"], where)
    if isinstance(kind, str) and kind in decoder.kinds:
        return decoder.kinds[kind](config, where)
    if isinstance(kind, str) and kind in _MAKERS:
        return _MAKERS[kind](config, where, decoder)
    known = kinds()
    if not isinstance(kind, str) or kind not in known:
        v.refuse(ValueError, f"{where}.kind", 'be one of fastnn\'s, such as "nn.Dense"', v.shown(kind))
    wanted = parameters(known[kind])
    check_keys(config, where, wanted)
    values = {name: value_of(config[name], f"{where}.{name}", decoder) for name in wanted}
    for name, parameter in wanted.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            v.instance(f"{where}.{name}", values[name], list, "be a list")
    with naming(where):
        return make(known[kind], values)


@contextlib.contextmanager
def naming(where: str) -> Iterator[None]:
    """Add the name of the part of a config that is made to the errors raised within."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if not hasattr(error, "__notes__"):  # of a part within, which it names already
            error.add_note(f"in {where}")
        raise


def check_keys(config: Mapping[str, Any], where: str, names: Any) -> None:
    """Refuse a config that has not these keys and "kind", or has others."""
    missing = [f"no {name!r}" for name in names if name not in config]
    unknown = [f"an unknown {v.shown(key)}" for key in config if key != "kind" and key not in names]
    if missing or unknown:
        must = f"have the keys {', '.join(('kind', *names))} and no others"
        v.refuse(ValueError, where, must, ", ".join(missing + unknown))
