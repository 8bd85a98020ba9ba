"""The bins of piecewise linear encodings: checks of their edges, and the numbers that kernels compute from them."""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastnn import _validation as check
from fastnn._typing import Array

Bins = tuple[tuple[float, ...], ...]


def checked(name: str, bins: Any) -> Bins:
    """Return the edges of each column's bins as floats: finite, strictly increasing, at least 2 of each column."""
    must, fix = "be a list of edges for each column", "write [[0.0, 1.0], [-1.0, 0.0, 1.0]], for example"
    if isinstance(bins, str | bytes | dict) or not hasattr(bins, "__iter__"):
        check.refuse(TypeError, name, must, check.kind_of(bins), fix)
    columns = list(bins)
    if not columns:
        check.refuse(ValueError, name, must, "no column", fix)
    return tuple(_edges(f"{name}[{j}]", each, fix) for j, each in enumerate(columns))


def _edges(name: str, given: Any, fix: str) -> tuple[float, ...]:
    numbers = given.tolist() if type(given) is np.ndarray and given.dtype is check.FLOATS[1] else given
    # Finite ends, and each edge above the one before it: so all are finite. For a few edges this is faster than
    # NumPy.
    if (
        type(numbers) in (list, tuple)
        and len(numbers) > 1
        and set(map(type, numbers)) == {float}
        and math.isfinite(numbers[-1] - numbers[0])
        and all(map(operator.lt, numbers, numbers[1:]))
    ):
        return tuple(numbers)
    edges = check.numeric(name, given).astype(np.float64)
    if edges.ndim != 1 or len(edges) < 2:
        got = f"{len(edges)} edges" if edges.ndim == 1 else check.shown(given)
        check.refuse(ValueError, name, "be a list of at least 2 edges", got, "" if edges.ndim == 1 else fix)
    if not np.isfinite(edges).all():
        check.refuse(ValueError, name, "contain finite numbers", "NaN or infinity")
    with np.errstate(over="ignore"):
        widths = np.diff(edges)
    if not (widths > 0).all():
        t = int(np.argmin(widths > 0))
        got = f"{edges[t + 1]} after {edges[t]}"
        check.refuse(ValueError, name, "be strictly increasing", got, "write np.unique(edges)")
    if not np.isfinite(widths).all():
        check.refuse(ValueError, name, "have bins of finite width", check.shown(given))
    return tuple(edges.tolist())


def numbers(edges: Sequence[float], dtype: npt.DTypeLike) -> Array:
    """Return four numbers of each bin of a column, as rows: left, scale, lower, upper.

    `left` is the left edge and `scale` 1 / width, each rounded once to the dtype. `lower` and `upper` are the edges at
    which the entry stays 0 and 1. The first bin has no lower one and the last no upper one: they are NaN, so that every
    comparison with them is false.
    """
    most = np.finfo(dtype).max
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.minimum(1 / np.diff(edges), most)
    rounded = np.clip(edges, -most, most).astype(dtype) + 0  # no -0: bins with 0 are the same to `table`
    result = np.array([rounded[:-1], scale, rounded[:-1], rounded[1:]], dtype)
    result[2, 0] = result[3, -1] = np.nan
    return cast(Array, result)


@functools.lru_cache(maxsize=16)  # of the last layers
def table(bins: Bins, dtype: npt.DTypeLike) -> tuple[Array, Array]:
    """Return the numbers of all columns side by side, and where each column begins; both are read-only."""
    starts = np.cumsum([0, *(len(edges) - 1 for edges in bins)], dtype=np.int64)
    found = np.ascontiguousarray(np.hstack([numbers(edges, dtype) for edges in bins]))
    found.flags.writeable = starts.flags.writeable = False
    return found, starts


def entries(bins: Bins) -> int:
    """Return the number of bins of all columns."""
    return sum(len(edges) - 1 for edges in bins)
