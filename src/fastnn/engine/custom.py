"""What a program asks of a Python function: a result of the right kind and shape, copied into the program's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array

__all__ = ["call_quietly", "read_only", "write_result"]


def read_only(array: Array) -> Array:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def call_quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, whose arrays it must not write, without warnings of arithmetic: kernels give none either."""
    with np.errstate(all="ignore"):
        return function(*(read_only(each) if isinstance(each, np.ndarray) else each for each in arguments))


def write_result(name: str, function: Callable[..., Any], *arguments: Any, out: Array) -> None:
    """Call a function and copy its result, of the shape of `out` and real, into `out`.

    Parameters
    ----------
    name : str
        What messages call the result.
    function : callable
    *arguments : ndarray
        What it is given; it cannot write them.
    out : ndarray

    Raises
    ------
    TypeError, ValueError
        If the result is no array of real numbers, or of another shape.
    """
    result = v.numeric(name, call_quietly(function, *arguments))
    v.shape(name, result, out.shape)
    with np.errstate(all="ignore"):  # what is too large for the dtype becomes infinite
        out[...] = result
