"""Frames, tensors and other objects that are given as arrays: known by their attributes, as no library is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastnn._typing import Array

REAL = "biuf"  # the kinds of dtypes of real numbers

# What a frame's column has that has no numbers, by the beginning of its dtype's name, in pandas and in polars.
_CONTENTS = {
    "cat": "categories", "enum": "categories", "str": "strings", "date": "times", "time": "times", "duration": "times",
}  # fmt: skip
_FIXES = {
    "strings": (
        "encode it, e.g. with sklearn.preprocessing.OneHotEncoder or pandas.get_dummies; nn.Embedding takes "
        "category numbers, by sklearn.preprocessing.OrdinalEncoder or pandas.factorize"
    ),
    "times": "convert it to numbers, such as days",
}
_FIXES["categories"] = _FIXES["strings"]


def is_frame(value: Any) -> bool:
    """Return whether this is a data frame."""
    return hasattr(value, "columns") and hasattr(value, "dtypes")


def _columns(frame: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the name and the values of each column; names may repeat."""
    for i, name in enumerate(frame.columns):
        yield name, frame.iloc[:, i] if hasattr(frame, "iloc") else frame[:, i]


def _numbers(values: Any) -> Array:
    """Return a column or series as an array, NaN for missing numbers."""
    array = np.asarray(values)
    if array.dtype.kind == "O" and getattr(getattr(values, "dtype", None), "kind", "O") in REAL:
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return array


def real_array(value: Any) -> Array | None:
    """Return a frame or series, whose dtypes differ or have missing numbers, as an array of numbers; None if it is not.

    Truth values among numbers become 0 and 1.
    """
    if getattr(value, "ndim", 0) == 1 and hasattr(value, "to_numpy"):
        arrays, array = [], _numbers(value)
    elif is_frame(value):
        arrays = [_numbers(values) for _, values in _columns(value)]
        if not arrays or any(each.dtype.kind not in REAL for each in arrays):
            return None
        array = np.stack(arrays, axis=1)
    else:
        return None
    return array if array.dtype.kind in REAL else None


def wrong_column(value: Any) -> tuple[str, str]:
    """Return what the first column without numbers is, and what to do with it; "" of anything but a frame."""
    if is_frame(value):
        for name, values in _columns(value):
            array = _numbers(values)
            if array.dtype.kind not in REAL:
                kind = str(values.dtype).lower()
                contents = next((each for start, each in _CONTENTS.items() if kind.startswith(start)), f"dtype {kind}")
                if kind == "object" and any(isinstance(each, str) for each in array):
                    contents = "strings"
                return f"the column {name!r} of {contents}", _FIXES.get(contents, "convert it to numbers")
    return "", ""


def how_to_convert(name: str, value: object) -> str:
    """Return how to make an array of an object that NumPy makes none of; "" where that is not known."""
    if hasattr(value, "toarray"):
        return f"write {name}.toarray(); the estimators of fastnn.sklearn take sparse matrices"
    if hasattr(value, "detach"):
        return f"write {name}.detach().cpu().numpy()"
    if hasattr(value, "__next__"):
        return f"write np.stack(list({name}))"
    if hasattr(value, "__iter__") and not isinstance(value, Mapping) and type(value).__module__ != "builtins":
        return "collect its batches in an array first, with np.concatenate"
    return ""
