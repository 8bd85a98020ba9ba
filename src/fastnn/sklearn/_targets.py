"""Targets in the form that losses take: from classes, given as columns of bool, or from numbers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.nn import Loss

# NumPy converts these to numbers when it is asked for floats, missing values among them (NaT, "nan").
_NOT_NUMBERS = (str, bytes, np.datetime64, np.timedelta64, dt.date, dt.time, dt.timedelta)


def check_numbers(name: str, y: Any) -> None:
    """Refuse dates, times and text. Everything else is left to scikit-learn's checks."""
    try:
        array = np.asarray(y)
    except ValueError:
        return
    got = f"dtype {array.dtype}" if array.dtype.kind not in "biufcO" else ""
    if array.dtype.kind == "O":
        got = next((type(each).__name__ for each in array.flat if isinstance(each, _NOT_NUMBERS)), "")
    if got:
        v.refuse(
            TypeError,
            name,
            "contain real numbers",
            got,
            "convert dates or text to numbers, such as days since the first date",
        )


def encode(loss: Loss, y: Array, out_activation: str, dtype: Any) -> Array:
    """Return class labels (n,) for a loss that takes labels, else rows of numbers.

    Parameters
    ----------
    loss : Loss
    y : ndarray, shape (n, k)
        bool if the columns are classes.
    out_activation : str
        "softmax" if the classes exclude each other.
    dtype : dtype
        The net's dtype.
    """
    if y.dtype != bool:
        return y if y.dtype in (np.float32, np.float64) else y.astype(dtype)
    if "labels" in loss.spec.kinds and out_activation == "softmax":
        return y.argmax(axis=1).astype(np.int64, copy=False)
    if loss.spec.among not in ((), (0, 1)):  # the loss has other targets for the two classes, such as -1 and 1
        return np.where(y, *map(np.dtype(dtype).type, loss.spec.among[::-1]))
    return y.view(np.uint8)
