"""`Scaler`: an affine map of each column of a net's input, which can be fitted on training data."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._settings import Settings, settings
from fastnn._typing import Array

__all__ = ["Scaler"]

_CHUNK = 1 << 17  # elements that are summed at a time, so that no large temporary is made
_LARGE = 1e140  # sums of squares of larger numbers may overflow


@settings()
class Scaler(Settings):
    """``(x - center) * scale``, for a net's `scaler`.

    Parameters
    ----------
    center, scale : float or array_like, shape (features,)
        Arrays are copied; the copies are read-only.

    Raises
    ------
    TypeError, ValueError
        If one is neither a number nor an array of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.data import Scaler
    >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(1.0)))
    >>> net.scaler = Scaler(center=0, scale=1 / 255)
    >>> net.predict(np.array([[255, 0]], dtype=np.uint8))
    array([[1.]], dtype=float32)
    """

    center: Any
    scale: Any

    _how_to_change = "set net.scaler = {call}"

    def __post_init__(self) -> None:
        """Replace arrays by read-only copies."""
        for name in ("center", "scale"):
            array = np.array(v.numeric(name, getattr(self, name)))
            array.setflags(write=False)  # a view of it can neither be made writable nor be resized
            object.__setattr__(self, name, array[...] if array.ndim else array.item())

    @classmethod
    def fit(cls, X: npt.ArrayLike) -> Self:
        """Return the scaler that gives every column of `X` mean 0 and (biased) variance 1; constant columns become 0.

        A column is constant if all its entries are equal as float64. Its scale is 1.

        Parameters
        ----------
        X : array_like, shape (n, features)
            Finite numbers, at least one row.

        Returns
        -------
        Scaler

        Raises
        ------
        TypeError, ValueError
            If `X` is not such an array.

        Examples
        --------
        >>> Scaler.fit([[1.0, 5.0], [3.0, 5.0]])
        Scaler((2.0, 5.0), (1.0, 1.0))
        """
        x = v.numeric("X", X)
        v.shape("X", x, ("n", "features"))
        v.at_least("X", x, 0, 1, "row")
        step = max(1, _CHUNK // max(1, x.shape[1]))
        starts = range(0, len(x), step)

        def chunks() -> Iterator[Array]:
            return (x[start : start + step].astype(np.float64) for start in starts)

        with np.errstate(over="ignore"):  # numbers too large for float64 are refused below
            size = functools.reduce(np.maximum, (np.abs(chunk).max(axis=0) for chunk in chunks()))
        if not np.isfinite(size).all():
            v.refuse(ValueError, "X", "contain finite numbers", "NaN or infinity")
        # Columns whose squares would overflow or underflow are multiplied by a power of 2. The first row is subtracted
        # from all rows, so that a constant column becomes exactly 0.
        unit = np.where(size > _LARGE, 2.0**-600, np.where(size < 1 / _LARGE, 2.0**600, 1.0))
        first = x[0].astype(np.float64) * unit
        center = np.sum([(chunk * unit - first).sum(axis=0) for chunk in chunks()], axis=0) / len(x)
        squares = [((chunk * unit - first - center) ** 2).sum(axis=0) for chunk in chunks()]
        std = np.sqrt(np.sum(squares, axis=0) / len(x))
        with np.errstate(divide="ignore", over="ignore"):
            scale = np.minimum(unit / std, np.finfo(np.float64).max)
        return cls((first + center) / unit, np.where(std > 0, scale, 1.0))
