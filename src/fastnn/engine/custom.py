"""Calls of users' Python functions inside programs: arguments that they cannot write, results that are checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array

__all__ = ["call_quietly", "read_only", "write_result"]


def read_only(array: Array) -> Array:
    """Return a read-only view."""
    view = array.view()
    view.flags.writeable = False
    return view


def call_quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with read-only arrays and without floating-point warnings, as kernels give none either."""
    with np.errstate(all="ignore"):
        return function(*(read_only(each) if isinstance(each, np.ndarray) else each for each in arguments))


def write_result(name: str, function: Callable[..., Any], *arguments: Any, out: Array) -> None:
    """Call a function and copy its result into `out`. The result must be real and have the shape of `out`.

    Parameters
    ----------
    name : str
        The name of the result in messages.
    function : callable
    *arguments : ndarray
        Arguments of the function; arrays are passed read-only.
    out : ndarray

    Raises
    ------
    TypeError, ValueError
        If the result is not an array of real numbers, or has another shape.
    """
    result = v.numeric(name, call_quietly(function, *arguments))
    v.shape(name, result, out.shape)
    with np.errstate(all="ignore"):  # numbers too large for the dtype become infinite
        out[...] = result
