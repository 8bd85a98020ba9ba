"""A net's scaler: what it may be set to, the numbers that the net computes with, and their keys in state dicts.

A net has a scaler in two forms: the record that was set, and its numbers as arrays of the net's dtype, a `Scaling`.
Messages and keys call it `name`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Scaling
from fastnn.nn.scaling import KINDS, AnyScaler, ColumnScaler, Scaler, fields_of, numbers_of

Scalers = tuple[AnyScaler, Scaling] | tuple[None, None]  # the record and its numbers


class HasCenterAndScale(Protocol):
    """What a net's scalers may be set to as well: columns become ``(x - center) * scale``."""

    @property
    def center(self) -> Any:
        """A number for all columns or one for each, which is subtracted."""

    @property
    def scale(self) -> Any:
        """A number for all columns or one for each, by which the difference is multiplied."""


def scaler_of(name: str, value: Any, width: int, dtype: np.dtype[Any], fix: str) -> Scalers:
    """Return what a net keeps of a scaler: a record, an object or a pair of center and scale, or None.

    `fix` is what messages say to write.
    """
    if value is None:
        return None, None
    if isinstance(value, ColumnScaler):
        record: Any = value
        return record, numbers_of(name, record.fields(), width, dtype)
    if isinstance(value, tuple):
        if len(value) != 2:
            v.refuse(ValueError, name, "be a pair of center and scale", f"{len(value)} values")
        pair = value
    else:
        for attribute in ("center", "scale"):
            if not hasattr(value, attribute):
                must = "have the attributes center and scale, or be None"
                v.refuse(TypeError, name, must, v.kind_of(value), fix)
        pair = value.center, value.scale
    numbers = numbers_of(name, dict(zip(("center", "scale"), pair, strict=True)), width, dtype)
    return Scaler(*pair), numbers


def is_key(name: str, key: object) -> bool:
    """Whether a key of a state dict is one of a scaler's."""
    return isinstance(key, str) and key.removeprefix(f"{name}.") in Scaling._fields and key.startswith(f"{name}.")


def saved(name: str, numbers: Scaling | None) -> dict[str, Array]:
    """Return the entries of a state dict for a scaler, as copies."""
    if numbers is None:
        return {}
    return {f"{name}.{field}": array.copy() for field, array in fields_of(numbers).items()}


def loaded(name: str, entries: dict[str, Any], width: int, dtype: np.dtype[Any], own: Scaling | None) -> Scalers | None:
    """Return the scaler that entries of a state dict are of, or None if it is the net's `own`, or there are none."""
    if not entries:
        return None
    fields = {key.removeprefix(f"{name}."): value for key, value in entries.items()}
    kind = KINDS.get(frozenset(fields) - {"fill"})
    if kind is None:
        sets = (" and ".join(f"{name}.{field}" for field in Scaling._fields if field in each) for each in KINDS)
        must = (
            f"contain the keys of one scaler: {', or '.join(sets)}, with or without {name}.fill, or no key of a scaler"
        )
        v.refuse(ValueError, "state_dict", must, " and ".join(entries))
    numbers = numbers_of(name, fields, width, dtype)
    if numbers.equals(own):
        return None
    return kind(**fields), numbers
