"""Targets as losses take them, from classes that are columns of bool, or from numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.nn import Loss


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
