"""Scaling of the input, fitted on training data."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._settings import Settings, settings

__all__ = ["Scaler"]

_CHUNK = 1 << 17  # elements that are summed together, so that no large temporary is made


@settings()
class Scaler(Settings):
    """``(x - center) * scale``, for a net's `scaler`.

    Parameters
    ----------
    center, scale : float or array_like, shape (features,)
        Arrays are copied, and the copies read-only.

    Raises
    ------
    TypeError, ValueError
        If one is no number and no array of real numbers.

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

    _instead = "set net.scaler = {call}"

    def __post_init__(self) -> None:
        """Keep what nobody can change."""
        for name in ("center", "scale"):
            array = np.array(v.numeric(name, getattr(self, name)))
            array.setflags(write=False)
            object.__setattr__(self, name, array if array.ndim else array.item())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.center, self.scale)  # a pickle of an array does not tell that it is read-only

    def _key(self) -> tuple[object, ...]:
        return tuple((np.shape(each), *np.ravel(each).tolist()) for each in (self.center, self.scale))

    @classmethod
    def fit(cls, X: npt.ArrayLike) -> Self:
        """Return the scaler that gives every column of `X` mean 0 and (biased) variance 1; constant columns become 0.

        Parameters
        ----------
        X : array_like, shape (n, features)
            Finite, with at least one row.

        Returns
        -------
        Scaler

        Raises
        ------
        TypeError, ValueError
            If `X` is no such array.

        Examples
        --------
        >>> Scaler.fit([[1.0, 5.0], [3.0, 5.0]])
        Scaler(center=array([2., 5.]), scale=array([1., 1.]))
        """
        x = v.numeric("X", X)
        v.shape("X", x, ("n", "features"))
        v.at_least("X", x, 0, 1, "row")
        step = max(1, _CHUNK // max(1, x.shape[1]))
        chunks = [slice(start, start + step) for start in range(0, len(x), step)]
        center = np.sum([x[rows].sum(axis=0, dtype=np.float64) for rows in chunks], axis=0) / len(x)
        if not np.isfinite(center).all():
            v.fail(ValueError, "X", "finite numbers", "NaN or infinity")
        squares = [((x[rows] - center) ** 2).sum(axis=0) for rows in chunks]
        std = np.sqrt(np.sum(squares, axis=0) / len(x))
        return cls(center, 1.0 / np.where(std > 0, std, 1.0))
