"""Arenas: one flat, aligned array for all parameters, running statistics or gradients of a net, with named views.

`resize_guards` keeps the memory of arrays in place while code reads it.
"""

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
    """The position of each named array in a flat buffer.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        The arrays, in order.
    saved_as_is : frozenset of str
        The matrices that state dicts have as they are; the others are transposed there, to PyTorch's orientation.
    offsets : dict of str to int
        Index of the first element of each array: a multiple of 16, so that every array is aligned in both dtypes. The
        gaps contain zeros.
    size : int
        Total number of elements, gaps included.
    """

    shapes: Mapping[str, tuple[int, ...]]
    saved_as_is: frozenset[str] = frozenset()
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
        """Return the number of elements of one array."""
        return math.prod(self.shapes[name])

    def view(self, flat: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.floating]:
        """Return a view of the named array in a flat buffer that has this layout."""
        start = self.offsets[name]
        return flat[start : start + self.elements(name)].reshape(self.shapes[name])

    def saved_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the named array in state dicts."""
        shape = self.shapes[name]
        return shape if name in self.saved_as_is else shape[::-1]

    def turned(self, array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
        """Return the named array in the orientation of state dicts, or one of a state dict in that of the net."""
        return array if name in self.saved_as_is else array.T

    def saved(self, flat: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.floating]:
        """Return a copy of the named array of a flat buffer in the orientation of state dicts."""
        return np.ascontiguousarray(self.turned(self.view(flat, name), name).copy("C"))


def own_view(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view of the same memory; setting the shape or dtype of `array` does not change the view."""
    return array.view(np.ndarray)


def resize_guards(*arrays: npt.NDArray[Any] | None) -> tuple[Any, ...]:
    """Return weak references to the arrays that own the memory of these.

    While the references exist, NumPy refuses `ndarray.resize(refcheck=False)`, which would free memory that is still
    read. Compiled code has `guard_of` of _arrays.pxd.
    """
    references = []
    for array in arrays:
        owner: Any = array
        while isinstance(owner, np.ndarray) and isinstance(owner.base, np.ndarray):
            owner = owner.base
        if isinstance(owner, np.ndarray):
            references.append(weakref.ref(owner))
    return tuple(references)


def aligned_zeros(size: int, dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """Return a 1-D array of zeros whose memory starts on a cache line."""
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
        The net's lock. If no step is running, it restores the order of the values before a view is made.
    used : bool
        Whether somebody may have read the values, since this was set to False.
    frozen : frozenset of str
        The names of the arrays that training leaves as they are, of an arena of parameters.
    """

    __slots__ = ("_data", "_marks", "_resize_guards", "frozen", "layout", "lock", "used")

    def __init__(self, layout: Layout, dtype: npt.DTypeLike, lock: NetLock | None = None) -> None:
        self.layout = layout
        self.lock = lock
        self._data = aligned_zeros(layout.size, dtype)
        self._resize_guards = resize_guards(self._data)
        self.used = True
        self.frozen: frozenset[str] = frozenset()
        self._marks: dict[str, npt.NDArray[np.uint8]] = {}

    @property
    def data(self) -> npt.NDArray[np.floating]:
        """The buffer, as a new view: setting its shape or dtype changes nothing else."""
        self.used = True
        return self._data[:]

    def view(self, name: str) -> npt.NDArray[np.floating]:
        """Return a view of the named array."""
        if self.lock is not None:
            self.lock.restore_order_if_idle()
        self.used = True
        return self.layout.view(self._data, name)

    def marks(self, name: str) -> npt.NDArray[np.uint8]:
        """Return a byte for each row of the named matrix, 0 at first.

        In an arena of gradients they say which rows a sparse update changes: those of the last batch.
        """
        return self._marks.setdefault(name, np.zeros(self.layout.shapes[name][0], np.uint8))

    def views(self) -> dict[str, npt.NDArray[np.floating]]:
        """Return a view of every named array."""
        return {name: self.view(name) for name in self.layout}
