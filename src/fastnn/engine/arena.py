"""Flat, aligned arrays that hold all parameters of a net, or gradients, or slots; layers hold views of them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.engine._lock import NetLock

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True)
class Layout:
    """Where each named array lies in a flat buffer.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        The arrays, in order.
    offsets : dict of str to int
        The first element of each, a multiple of 16 so that every array is aligned in both dtypes; the gaps hold zeros.
    size : int
        Elements in all, gaps included.
    """

    shapes: Mapping[str, tuple[int, ...]]
    offsets: Mapping[str, int] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        offsets: dict[str, int] = {}
        end = 0
        for name, shape in self.shapes.items():
            offsets[name] = end
            end += -(-math.prod(shape) // 16) * 16
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "size", end)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def elements(self, name: str) -> int:
        """Number of elements of one array."""
        return math.prod(self.shapes[name])

    def view(self, flat: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.floating]:
        """The array of that name in a flat buffer that is laid out so, sharing its memory."""
        start = self.offsets[name]
        return flat[start : start + self.elements(name)].reshape(self.shapes[name])


def own_view(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view of the same memory whose shape and dtype its owner cannot change."""
    return array.view(np.ndarray)


def pins(*arrays: npt.NDArray[Any] | None) -> tuple[Any, ...]:
    """Return what keeps the memory of arrays, and of those that they are views of, where it is as long as it is held.

    `ndarray.resize(refcheck=False)` lets go of memory that others look at, unless there is a weak reference.
    """
    held = []
    for array in arrays:
        owner: Any = array
        while isinstance(owner, np.ndarray):
            held.append(weakref.ref(owner))
            owner = owner.base
    return tuple(held)


def aligned_zeros(size: int, dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """A zeroed 1-D array whose memory starts on a cache line."""
    dtype = np.dtype(dtype)
    raw = np.zeros(size * dtype.itemsize + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)


class Arena:
    """One flat buffer and its named views.

    Parameters
    ----------
    layout : Layout
    dtype : {float32, float64}

    Attributes
    ----------
    data : ndarray, shape (layout.size,)
        The buffer, as a view: an update, a norm, a reduction or a save is one pass over it.
    lock : NetLock, optional
        Of the net, whose values it brings back into their order before a view is made, where no step is under way.
    """

    __slots__ = ("_data", "_pins", "layout", "lock")

    def __init__(self, layout: Layout, dtype: npt.DTypeLike, lock: NetLock | None = None) -> None:
        self.layout = layout
        self.lock = lock
        self._data = aligned_zeros(layout.size, dtype)
        self._pins = pins(self._data)

    @property
    def data(self) -> npt.NDArray[np.floating]:
        """The buffer: a new view, of which a change of shape or dtype changes nothing else."""
        return self._data[:]

    def view(self, name: str) -> npt.NDArray[np.floating]:
        """The array of that name, sharing the buffer's memory."""
        if self.lock is not None:
            self.lock.restore_order_if_idle()
        return self.layout.view(self._data, name)

    def views(self) -> dict[str, npt.NDArray[np.floating]]:
        """Every named array."""
        return {name: self.view(name) for name in self.layout}
