"""The validation data of a fit in one form, given as `eval_set` or as `X_val` and `y_val`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastnn import _validation as v


class ValidationSet(NamedTuple):
    """Rows that are not trained on, with the names by which messages call the parts."""

    X: Any
    y: Any
    sample_weight: Any
    names: tuple[str, str, str]


def validation_set(eval_set: Any, X_val: Any, y_val: Any, sample_weight_val: Any) -> ValidationSet | None:
    """Return the validation data that `fit` was given, or None if it was given none.

    Raises
    ------
    TypeError
        If `eval_set` is no tuple of two or three.
    ValueError
        If both forms are given, or only a part of one.
    """
    parts = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
    given = [name for name, value in parts.items() if value is not None]
    if not given:
        if eval_set is None:
            return None
        if not isinstance(eval_set, Sequence) or len(eval_set) not in (2, 3):
            v.refuse(TypeError, "eval_set", "be a tuple (X, y) or (X, y, sample_weight)", v.kind_and_length(eval_set))
        X, y, *rest = eval_set
        return ValidationSet(X, y, rest[0] if rest else None, ("eval_set[0]", "eval_set[1]", "eval_set[2]"))
    if eval_set is not None:
        must = f"be None if {' and '.join(given)} {'is' if len(given) == 1 else 'are'} given"
        v.refuse(ValueError, "eval_set", must, v.kind_and_length(eval_set), "give the validation data once")
    for name in ("X_val", "y_val"):
        if parts[name] is None:
            v.refuse(ValueError, name, f"be given together with {given[0]}", "None")
    return ValidationSet(X_val, y_val, sample_weight_val, ("X_val", "y_val", "sample_weight_val"))
