"""Targets as losses take them, from classes that are columns of bool, or from numbers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.nn import Loss

# Of these NumPy would make numbers, and of a missing one a number as well.
_NO_NUMBERS = (str, bytes, np.datetime64, np.timedelta64, dt.date, dt.time, dt.timedelta)


def check_numbers(name: str, y: Any) -> None:
    """Refuse dates, times and text; the rest is for scikit-learn to look at."""
    try:
        array = np.asarray(y)
    except ValueError:
        return
    came = f"dtype {array.dtype}" if array.dtype.kind not in "biufcO" else ""
    if array.dtype.kind == "O":
        came = next((type(each).__name__ for each in array.flat if isinstance(each, _NO_NUMBERS)), "")
    if came:
        v.refuse(
            TypeError, name, "be real numbers (make some of dates or text first, such as days since the first)", came
        )


def encode(loss: Loss, y: Array, out_activation: str, dtype: Any) -> Array:
    """Return class labels (n,) for a loss that takes them, else rows of numbers.

    Parameters
    ----------
    loss : Loss
    y : ndarray, shape (n, k)
        bool where the columns are classes.
    out_activation : str
        "softmax" where classes exclude each other.
    dtype : dtype
        Of the net.
    """
    if y.dtype != bool:
        return y if y.dtype in (np.float32, np.float64) else y.astype(dtype)
    if "labels" in loss.spec.kinds and out_activation == "softmax":
        return y.argmax(axis=1).astype(np.int64, copy=False)
    if loss.spec.among not in ((), (0, 1)):  # what stands for no and yes
        return np.where(y, *map(np.dtype(dtype).type, loss.spec.among[::-1]))
    return y.view(np.uint8)
