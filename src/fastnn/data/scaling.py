"""Scaling of the input, fitted on training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v

__all__ = ["Scaler"]

_CHUNK = 1 << 17  # elements that are summed together, so that no large temporary is made


@dataclass(frozen=True)
class Scaler:
    """``(x - center) * scale``, for a net's `scaler`.

    Parameters
    ----------
    center, scale : float or array_like, shape (features,)

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
