"""Base classes of objects whose attributes users cannot set, or not all of them.

`ReadOnly` is for settings (layers, losses, optimisers, schedules, ...). They are read-only after `__init__`: programs
and executors read them once, so a setting changed later would be shown, copied and pickled without any effect.
`FixedAttributes` is for nets and trainers, which have attributes to set, but no others.

What the frozen dataclasses among the settings share is defined once, in `Settings`: `dataclass` would generate and
compile these methods for every class, which took a third of the time of ``import fastnn``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

from fastnn._validation import public_name, refuse_attribute

_T = TypeVar("_T")

_SHOWN_TYPES = (bool, int, float, str, type(None))  # a message repeats values of these types


class ReadOnly:
    """Base of objects whose public attributes can be set while `__init__` runs, and neither set nor deleted later.

    Names that begin with "_" stay free, for internal state.
    """

    _how_to_change: ClassVar[str] = "make a new one, {call}"
    """What a message says to write in place of setting an attribute; `call` is the constructor's call."""

    _initialised = False

    def __init__(self) -> None:
        if self._initialised:
            refuse_attribute(type(self).__name__, "is read-only", self._fix(""))
        if type(self).__init__ is ReadOnly.__init__:
            self._set_unchecked(_initialised=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _runs_once(cls.__init__)  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: object) -> None:
        if self._initialised and name[:1] != "_":
            self._refuse(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_unchecked(self, **values: Any) -> None:
        """Set attributes without `__setattr__`, in a fraction of its time."""
        self.__dict__.update(values)

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            object.__delattr__(self, name)
        else:
            self._refuse(name)

    def _refuse(self, name: str, *value: object) -> None:
        """Raise the error for setting an attribute to `value`, or for deleting it if no value is given."""
        kind = type(self).__name__
        settings = _parameters(type(self))
        if name in settings or name in vars(self) or any(name in vars(each) for each in type(self).__mro__):
            refuse_attribute(f"{kind}.{name}", "is read-only", self._fix(name, *value))
        known = f"its settings are {', '.join(settings)}" if settings else "it has no settings"
        if not type(self).__module__.startswith("fastnn."):
            known += "; names that begin with _ are free"
        hint = self._hint(name)
        refuse_attribute(kind, f"has no setting {name}", f"{known}; {hint}" if hint else known)

    def _fix(self, name: str, *value: object) -> str:
        """Return what to write in place of setting an attribute."""
        return self._how_to_change.format(call=_constructor_call(type(self), name, *value))

    def _hint(self, name: str) -> str:
        """Return what to write in place of a setting that other libraries have, or ""."""
        return ""


def _runs_once(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap an `__init__` so that a second call on the same object is refused: it would change settings in use."""

    @functools.wraps(init)
    def __init__(self: ReadOnly, *args: Any, **kwargs: Any) -> None:
        if self._initialised:
            ReadOnly.__init__(self)
        init(self, *args, **kwargs)
        if type(self).__init__ is __init__:  # not called by a subclass's __init__, which goes on
            self._set_unchecked(_initialised=True)

    return __init__


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class that can be given by name."""
    variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return {name: p for name, p in inspect.signature(kind).parameters.items() if p.kind not in variadic}


def _constructor_call(kind: type, name: str, *value: object) -> str:
    """Return the call that makes an object with this setting: ``nn.BatchNorm(..., eps=0.001)``."""
    parameters = _parameters(kind)
    label = public_name(kind)
    if name not in parameters:
        return f"{label}(...)" if parameters else f"{label}()"
    given = next((repr(each) for each in value if isinstance(each, _SHOWN_TYPES) and len(repr(each)) < 40), "...")
    if len(parameters) == 1:
        return f"{label}({given})"
    others = any(p.default is p.empty for key, p in parameters.items() if key != name)
    return f"{label}({'..., ' * others}{name}={given})"


class Settings(ReadOnly):
    """Base of the classes that `settings` makes dataclasses of: shown, compared and hashed by their fields."""

    def _fields(self) -> tuple[tuple[str, Any], ...]:
        """Return the fields; of a subclass that is no dataclass, also the public attributes that its `__init__` set."""
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
        """Return what is compared and hashed."""
        return self._fields()


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def settings(*, kw_only: bool = False) -> Callable[[type[_T]], type[_T]]:
    """Make a subclass of `Settings` a frozen dataclass whose error messages say what to write."""

    def make(kind: type[_T]) -> Any:
        made: Any = dataclass(frozen=True, repr=False, eq=False, kw_only=kw_only)(kind)
        del made.__setattr__, made.__delattr__  # so that those of `ReadOnly` apply, whose messages say what to write
        made.__init__ = _runs_once(made.__init__)
        return made

    return make


class FixedAttributes:
    """Base of objects with a fixed list of public attributes: setting another, such as a misspelt one, raises.

    Subclasses outside fastnn may have other attributes.
    """

    _settable: ClassVar[frozenset[str]] = frozenset()
    _read_only: ClassVar[frozenset[str]] = frozenset()
    _fixes: ClassVar[Mapping[str, str]] = {}
    """What to write instead of setting an attribute by this name, which other libraries may have."""

    def __setattr__(self, name: str, value: object) -> None:
        if name[0] != "_" and name not in self._settable:
            self._refuse_unknown(name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._settable:
            refuse_attribute(f"{type(self).__name__}.{name}", "cannot be deleted")
        if name[0] != "_":
            self._refuse_unknown(name)
        object.__delattr__(self, name)

    def _refuse_unknown(self, name: str) -> None:
        kind = type(self).__name__
        fix = self._fixes.get(name, "")
        if name in self._read_only or name in self._settable:
            refuse_attribute(f"{kind}.{name}", "is read-only", fix)
        if "_settable" in type(self).__dict__:
            fix = fix or f"the attributes to set are {', '.join(sorted(self._settable))}"
            refuse_attribute(kind, f"has no attribute {name!r} to set", fix)
