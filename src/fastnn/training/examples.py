"""Checked training data: the arrays given to `fit` and `evaluate` pass here before anything changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import own_view, pins
from fastnn.nn import Loss
from fastnn.nn.sequential import Sequential, as_native


@dataclass(frozen=True)
class Examples:
    """Rows that a net can be trained on or judged by: views of the user's arrays whose shapes stay as they are.

    Attributes
    ----------
    x : ndarray of float32, float64 or uint8, shape (n, in_features)
    y : ndarray
        Class labels (n,) as int64, or rows (n, columns) of float32, float64 or uint8.
    sample_weight : ndarray of float64, shape (n,), or None
    weight : ndarray of float64, shape (n,), or None
        By which a loss is averaged: the sample weights, or these times weights of the classes.
    """

    x: Array
    y: Array
    sample_weight: Array | None
    weight: Array | None

    def __post_init__(self) -> None:
        """Keep the memory where it is as long as the examples are there."""
        object.__setattr__(self, "_pins", pins(self.x, self.y, self.sample_weight))

    @property
    def target(self) -> str:
        """What a program is told that `y` is: "labels" or "rows"."""
        return "labels" if self.y.ndim == 1 else "rows"


def check_examples(
    net: Sequential,
    loss: Loss,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    *,
    finite: bool,
    names: tuple[str, str, str] = ("X", "y", "sample_weight"),
) -> Examples:
    """Check arrays against a net and a loss, without copies of those that can be read in place.

    Parameters
    ----------
    net : Sequential
    loss : Loss
    X, y, sample_weight : array_like
    finite : bool
        Whether NaN and infinity in X are refused; in the others they always are.
    names : tuple of str
        What messages call the three.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    x = own_view(net.as_input(names[0], X))
    v.at_least(names[0], x, 0, 1, "row")
    target, sample_weight, weight = check_targets(net, loss, y, sample_weight, len(x), names)
    if finite:
        v.in_range(names[0], x)
    return Examples(x, target, sample_weight, weight)


def check_targets(
    net: Sequential,
    loss: Loss,
    y: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    rows: int,
    names: tuple[str, str, str] = ("X", "y", "sample_weight"),
) -> tuple[Array, Array | None, Array | None]:
    """Check what goes with the rows of X: `check_examples` without these, which may be no array.

    Returns
    -------
    y, sample_weight, weight
        As `Examples` has them.
    """
    target = own_view(_target(net, loss, names[1], y))
    if len(target) != rows:
        v.refuse(ValueError, names[1], f"be {rows} rows, as many as {names[0]} has", len(target))
    sample_weight = v.weights(names[2], sample_weight, rows)
    sample_weight = None if sample_weight is None else own_view(sample_weight)
    if sample_weight is not None and not sample_weight.any():
        v.refuse(ValueError, names[2], "be at least one weight above 0", "zeros")
    if target.ndim == 2:
        loss.spec.check_rows(names[1], target)
    weight = loss.row_weights(target, sample_weight)
    if weight is not sample_weight:
        v.weights(f"{names[2]} times the loss's weights of classes", weight, rows)
    if weight is not None and not weight.any():
        v.refuse(ValueError, names[1], "be a row of a class whose weight is above 0", "none")
    return target, sample_weight, weight


def _target(net: Sequential, loss: Loss, name: str, y: npt.ArrayLike) -> Array:
    array, k = v.numeric(name, y), net.out_features
    kinds = loss.spec.kinds_of(k)
    if "labels" in kinds and (array.ndim == 1 or "rows" not in kinds):
        return v.indices(name, array.astype(np.int64) if array.dtype.kind == "b" else array, k, "n")
    columns = loss.bind(k, "rows").target_width
    if array.ndim == 1 and columns == 1:
        array = array[:, np.newaxis]
    v.shape(name, array, ("n", columns))
    return as_native(name, array, net.dtype)
