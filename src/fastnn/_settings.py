"""What the frozen dataclasses of settings share: how they are shown, compared and hashed, by their fields.

It stands here once because `dataclass` would compile methods for every class anew, which took a third of the time of
`import fastnn`.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar


class Settings:
    """Base of dataclasses with ``frozen=True, repr=False, eq=False``."""

    def _fields(self) -> tuple[tuple[str, Any], ...]:
        return tuple((each.name, getattr(self, each.name)) for each in fields(self))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._fields())
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))


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
            raise AttributeError(f"{kind}.{name} is read-only" + (f": {instead}" if instead else ""))
        if "_settable" in type(self).__dict__:
            what = instead or f"what can be set is {', '.join(sorted(self._settable))}"
            raise AttributeError(f"{kind} has no attribute {name!r} to set: {what}")
