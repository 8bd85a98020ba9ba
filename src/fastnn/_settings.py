"""What holds settings (layers, losses, optimisers, schedules, ...): they are set once, when it is made.

What runs is told of the settings when it is made, and not again: a setting that could change later would be shown,
copied and pickled, and have no effect. What the frozen dataclasses among them share stands here once because
`dataclass` would compile methods for every class anew, which took a third of the time of `import fastnn`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

from fastnn._validation import refuse_attribute

_T = TypeVar("_T")

# What messages call classes by, from the packages that they are in.
_PACKAGES = {"nn": "nn.", "optim": "optim.", "data": "fastnn.data.", "training": "fastnn."}
_SHOWN = (bool, int, float, str, type(None))  # values that a message repeats


class ReadOnly:
    """Base of what lets public attributes be set while `__init__` runs, and neither set nor deleted after.

    Names that begin with "_" stay free, for what a class keeps for itself.
    """

    _instead: ClassVar[str] = "make a new one, {call}"  # what a message says to write
    _made = False  # whether `__init__` has run

    def __init__(self) -> None:
        if self._made:
            refuse_attribute(type(self).__name__, "is read-only", self._advice(""))
        if type(self).__init__ is ReadOnly.__init__:
            self._hold(_made=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _once(cls.__init__)  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: object) -> None:
        if self._made and name[:1] != "_":
            self._refuse(name, value)
        else:
            object.__setattr__(self, name, value)

    def _hold(self, **values: Any) -> None:
        """Set several attributes at once, in a fraction of the time that one by one takes."""
        self.__dict__.update(values)

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            object.__delattr__(self, name)
        else:
            self._refuse(name)

    def _refuse(self, name: str, *value: object) -> None:
        """Say that a setting cannot be set to a value, or deleted without one, and what to write."""
        kind = type(self).__name__
        settings = _parameters(type(self))
        if name in settings or name in vars(self) or any(name in vars(each) for each in type(self).__mro__):
            refuse_attribute(f"{kind}.{name}", "is read-only", self._advice(name, *value))
        what = f"its settings are {', '.join(settings)}" if settings else "it has none"
        if not type(self).__module__.startswith("fastnn."):
            what += "; names that begin with _ are free"
        hint = self._hint(name)
        refuse_attribute(kind, f"has no setting {name}", f"{what}; {hint}" if hint else what)

    def _advice(self, name: str, *value: object) -> str:
        """What to write in place of setting what is there."""
        return self._instead.format(call=_call(type(self), name, *value))

    def _hint(self, name: str) -> str:
        """What to write in place of a setting that other libraries have."""
        return ""


def _once(init: Callable[..., None]) -> Callable[..., None]:
    """An `__init__` that runs once for each object: a second run would change what is in use."""

    @functools.wraps(init)
    def __init__(self: ReadOnly, *args: Any, **kwargs: Any) -> None:
        if self._made:
            ReadOnly.__init__(self)
        init(self, *args, **kwargs)
        if type(self).__init__ is __init__:  # not one that a subclass's calls
            self._hold(_made=True)

    return __init__


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """Return what a class takes by name."""
    variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return {name: p for name, p in inspect.signature(kind).parameters.items() if p.kind not in variadic}


def _call(kind: type, name: str, *value: object) -> str:
    """Return the call that makes one with this setting."""
    parameters = _parameters(kind)
    top, _, rest = kind.__module__.partition(".")
    label = (_PACKAGES.get(rest.partition(".")[0], "") if top == "fastnn" else "") + kind.__name__
    if name not in parameters:
        return f"{label}(...)" if parameters else f"{label}()"
    given = next((repr(each) for each in value if isinstance(each, _SHOWN) and len(repr(each)) < 40), "...")
    if len(parameters) == 1:
        return f"{label}({given})"
    others = any(p.default is p.empty for key, p in parameters.items() if key != name)
    return f"{label}({'..., ' * others}{name}={given})"


class Settings(ReadOnly):
    """Base of classes that `settings` makes dataclasses of: shown, compared and hashed by their fields."""

    def _fields(self) -> tuple[tuple[str, Any], ...]:
        """Return the fields; of a subclass that is no dataclass, also what its `__init__` has set."""
        names = list(self._defaults())
        names += [name for name in vars(self) if not name.startswith("_")]
        return tuple((name, getattr(self, name)) for name in dict.fromkeys(names))

    def _defaults(self) -> dict[str, Any]:
        """Return the fields' defaults, `MISSING` where there is none."""
        kind: Any = type(self)
        return {each.name: each.default for each in fields(kind)} if is_dataclass(kind) else {}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._fields())
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def _key(self) -> tuple[object, ...]:
        """Return what they are compared by."""
        return self._fields()


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def settings(*, kw_only: bool = False) -> Callable[[type[_T]], type[_T]]:
    """Make a subclass of `Settings` a frozen dataclass whose messages say what to write."""

    def make(kind: type[_T]) -> Any:
        made: Any = dataclass(frozen=True, repr=False, eq=False, kw_only=kw_only)(kind)
        del made.__setattr__, made.__delattr__  # dataclass's own messages say less; these are `ReadOnly`'s again
        made.__init__ = _once(made.__init__)
        return made

    return make


class Guarded:
    """Base of objects whose public attributes are known: others cannot be set, as a misspelt one would have no effect.

    A subclass of a user's may have attributes of its own.
    """

    _settable: ClassVar[frozenset[str]] = frozenset()
    _read_only: ClassVar[frozenset[str]] = frozenset()
    _instead: ClassVar[Mapping[str, str]] = {}
    """What to write for names that people try."""

    def __setattr__(self, name: str, value: object) -> None:
        if name[0] != "_" and name not in self._settable:
            self._refuse_unknown(name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name[0] != "_":
            self._refuse_unknown(name)
        object.__delattr__(self, name)

    def _refuse_unknown(self, name: str) -> None:
        kind = type(self).__name__
        instead = self._instead.get(name)
        if name in self._read_only or name in self._settable:
            refuse_attribute(f"{kind}.{name}", "is read-only", instead or "")
        if "_settable" in type(self).__dict__:
            what = instead or f"what can be set is {', '.join(sorted(self._settable))}"
            refuse_attribute(kind, f"has no attribute {name!r} to set", what)
