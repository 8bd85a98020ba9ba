"""What the frozen dataclasses of settings share: how they are shown, compared and hashed, by their fields.

It stands here once because `dataclass` would compile methods for every class anew, which took a third of the time of
`import fastnn`.
"""

from dataclasses import fields
from typing import Any


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
