"""Flat, aligned arrays that hold all parameters of a net, or gradients, or slots; layers hold views of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

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
        The buffer: an update, a norm, a reduction or a save is one pass over it.
    """

    def __init__(self, layout: Layout, dtype: npt.DTypeLike) -> None:
        self.layout = layout
        self.data = aligned_zeros(layout.size, dtype)

    def view(self, name: str) -> npt.NDArray[np.floating]:
        """The array of that name, sharing the buffer's memory."""
        start = self.layout.offsets[name]
        return self.data[start : start + self.layout.elements(name)].reshape(self.layout.shapes[name])

    def views(self) -> dict[str, npt.NDArray[np.floating]]:
        """Every named array."""
        return {name: self.view(name) for name in self.layout}
