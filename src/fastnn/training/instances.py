"""Arguments that must be instances: a class in place of one is refused with the call that makes an instance."""

from __future__ import annotations

import inspect
from typing import TypeVar

from fastnn import _validation as v

_T = TypeVar("_T")

_PREFIXES = {"nn": "nn.", "optim": "optim.", "training": "fastnn."}
"""How users write the classes of each subpackage."""


def instance(name: str, value: object, kind: type[_T], must: str, fix: str = "") -> _T:
    """Return `value`, an instance of `kind`.

    Parameters
    ----------
    name : str
        The argument as the caller wrote it.
    value : object
    kind : type
    must : str
        The requirement, as `fastnn._validation.refuse` takes it.
    fix : str
        What to write instead, where it is not obvious and `value` is not a class.

    Raises
    ------
    TypeError
        If `value` is anything else. For a class of this kind, the message says how to make an instance.
    """
    if not isinstance(value, kind):
        refuse_class(name, value, kind, must)
        v.refuse(TypeError, name, must, type_name(value), fix)
    return value


def refuse_class(name: str, value: object, kind: type | tuple[type, ...], must: str) -> None:
    """Refuse a class of this kind in place of an instance: ``optimizer must be ..., got the class Adam``."""
    if isinstance(value, type) and issubclass(value, kind):
        fix = "" if inspect.isabstract(value) else f"write {call_of(value)}"
        v.refuse(TypeError, name, must, type_name(value), fix)


def type_name(value: object) -> str:
    """Return the name of the value's type; for a class, its own name."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def call_of(kind: type) -> str:
    """Return the call that makes an instance: ``optim.Adam()``, or ``optim.StepLR(...)`` if it needs arguments."""
    top, _, rest = kind.__module__.partition(".")
    prefix = _PREFIXES.get(rest.partition(".")[0], "") if top == "fastnn" else ""
    parameters = inspect.signature(kind).parameters.values()
    needs = any(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters)
    return f"{prefix}{kind.__name__}({'...' * needs})"
