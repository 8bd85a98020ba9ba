"""What the targets are, whatever form they have, and how well a net predicts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fastnn import kernels
from fastnn._typing import Array
from fastnn.nn import HeadsLoss, Loss, Sequential, Sigmoid, Softmax
from fastnn.nn.container_base import last_of
from fastnn.training.metrics import takes_classes

FEW_NUMBERS = 10  # so many floats 0, 1, 2, ... may be the numbers of classes
MOST_CLASSES = 100  # integers with more values than these are numbers, not classes
LEAST_OF_A_ROW = -2.0  # what a row far off counts in the spread of R2, which few of them would decide otherwise
HIDDEN_BY_ACCURACY = 0.8  # a larger share of one class makes accuracy say little


@dataclass(frozen=True)
class Targets:
    """The targets of a task.

    Attributes
    ----------
    y : ndarray
        As the user gave them.
    task : {"classes", "labels", "numbers"}
        One class for each row; several labels of yes or no for each row; or numbers.
    values : ndarray
        The classes' values in `y`, sorted; empty for the others.
    truth : ndarray
        For classes their numbers in `values`, shape (n,); for the others `y`, shape (n, columns).
    """

    y: Array
    task: str
    values: Array
    truth: Array

    @cached_property
    def shares(self) -> Array:
        """The share of each class; of labels that of no and of yes."""
        if self.task == "numbers":
            return np.ones(1)
        numbers = self.truth.reshape(-1).astype(np.int64)
        return np.bincount(numbers, minlength=max(2, len(self.values))) / max(1, numbers.size)

    @property
    def constant(self) -> bool:
        """Whether all rows have the same."""
        return len(self.truth) > 1 and bool((self.truth == self.truth[0]).all())

    @property
    def majority(self) -> float:
        """The largest of these shares: the accuracy of always the same answer."""
        return float(self.shares.max())

    @property
    def balanced(self) -> bool:
        """Whether the accuracy says enough; otherwise the balanced accuracy is used."""
        return self.task == "numbers" or self.majority < HIDDEN_BY_ACCURACY

    @property
    def figure(self) -> str:
        """The name of the figure that says how good predictions are."""
        if self.task == "numbers":
            return "R2"
        return "accuracy" if self.balanced else "balanced accuracy"

    @property
    def chance(self) -> float:
        """The figure of always the same answer."""
        if self.task == "numbers":
            return 0.0
        return self.majority if self.balanced else 1.0 / max(1, len(self.values) if self.task == "classes" else 2)

    def take(self, rows: Array) -> Targets:
        """Return the targets of some rows."""
        return Targets(self.y[rows], self.task, self.values, self.truth[rows])

    def numbers_of(self, y: Array) -> tuple[Array, Array]:
        """Return the numbers of the classes of targets, and which of them are labels that are known."""
        values = self.values
        if y.ndim == 2 and y.shape[1] > 1:
            return y.argmax(axis=1), np.full(len(y), y.shape[1] == len(values))
        column = y.reshape(-1)
        if (column.dtype.kind in "US") != (values.dtype.kind in "US"):
            return np.zeros(len(column), np.int64), np.zeros(len(column), bool)
        numbers = np.searchsorted(values, column).clip(0, len(values) - 1)
        return numbers, np.asarray(values[numbers] == column)

    def score(self, net: Sequential, loss: Loss, X: Array) -> Score:
        """Return how well a net predicts these rows."""
        with np.errstate(all="ignore"):
            outputs = net.predict(X)
            if self.task == "numbers":
                return Score(*_explained(self.truth, outputs, loss))
            right = _decided(self, outputs, loss, net) == self.truth
            by_row = right.reshape(len(right), -1)
            if self.balanced:
                return Score(float(by_row.mean()), by_row.mean(axis=1))
            truth = self.truth.reshape(right.shape)
            each = [(right[truth == k].mean(), k) for k in np.unique(truth)]
            weight = sum(np.where(truth == k, 1.0 / (np.mean(truth == k) * len(each)), 0.0) for _, k in each)
            weighted = (right * weight).reshape(len(right), -1)
            return Score(float(np.mean([share for share, _ in each])), weighted.mean(axis=1))


@dataclass(frozen=True)
class Score:
    """A figure, and the part that each row has in it, which says how far chance decides it."""

    figure: float
    rows: Array

    @property
    def error(self) -> float:
        """The standard error of the figure."""
        return float(np.std(self.rows) / np.sqrt(max(1, len(self.rows))))

    def gain_over(self, other: Score) -> tuple[float, float]:
        """Return the difference of two scores of the same rows, and its standard error: that of a row at least."""
        difference, n = self.rows - other.rows, max(1, len(self.rows))
        return self.figure - other.figure, max(float(np.std(difference) / np.sqrt(n)), 1.0 / n)


def of_classes(loss: Loss) -> bool:
    """Whether a loss is one of classes, or of labels of yes or no."""
    return not isinstance(loss, HeadsLoss) and any(takes_classes(loss, kind) for kind in loss.spec.kinds)


def _explained(truth: Array, outputs: Array, loss: Loss) -> tuple[float, Array]:
    """Return R2, at least -1, and what each row has in it."""
    truth, predicted = _compared(truth, outputs.astype(np.float64), loss, "rows")
    spread = np.maximum(((truth - truth.mean(axis=0)) ** 2).mean(axis=0), np.finfo(float).tiny)
    rows = 1.0 - np.minimum((truth - predicted) ** 2 / spread, 1e6).mean(axis=1)
    rows = np.where(np.isfinite(rows), rows, -1e6)
    return max(-1.0, float(rows.mean())), np.maximum(rows, LEAST_OF_A_ROW)


LINKS: Mapping[str, Callable[[Array], Array]] = {
    "": np.asarray, "exp": np.exp, "sigmoid": kernels.sigmoid, "softmax": kernels.softmax,
}  # fmt: skip
"""What makes predictions of outputs, by the name that a loss has for it."""


def _compared(truth: Array, z: Array, loss: Loss, target: str) -> tuple[Array, Array]:
    """Return targets and what outputs predict of them, column by column; classes of a head are columns of 0 and 1."""
    if isinstance(loss, HeadsLoss):
        heads = zip(loss._terms, loss._call.heads, strict=True)
        pairs = [_compared(truth[:, t], z[:, o], term, call.target) for term, (call, o, t) in heads]
        return np.hstack([t for t, _ in pairs]), np.hstack([z for _, z in pairs])
    if target == "labels":
        truth = np.eye(z.shape[1])[truth[:, 0].astype(np.int64).clip(0, z.shape[1] - 1)]
    elif z.shape[1] != truth.shape[1]:  # the quantiles of one target: the middle one
        z = z[:, [z.shape[1] // 2]] if truth.shape[1] == 1 else z[:, : truth.shape[1]]
    return truth, LINKS[loss.link(target)](z)


def _decided(targets: Targets, outputs: Array, loss: Loss, net: Sequential) -> Array:
    """Return the classes or labels that outputs stand for, in the form of `truth`."""
    probabilities = isinstance(last_of(net.layers), Sigmoid | Softmax)
    between = 0.5 if probabilities or not of_classes(loss) else 0.0
    if targets.task == "labels":
        return (outputs > between).astype(np.int64)
    if outputs.shape[1] > 1:
        return np.asarray(outputs.argmax(axis=1))
    z = outputs[:, 0]
    if not of_classes(loss):  # a regression on the classes' values
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(z[:, np.newaxis] - targets.values.astype(np.float64)).argmin(axis=1))
    return (z > between).astype(np.int64)


def as_targets(y: npt.ArrayLike, loss: Loss | None) -> Targets:
    """Return what the targets are.

    They are classes if they are integers of few values and the loss is not one of numbers, if they are truth values or
    strings, or rows with a single 1.
    """
    array = np.asarray(y)
    column = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    none = np.zeros(0)
    if column.ndim == 1:
        if array.dtype.kind in "OUSb" or (_are_integers(column) and _may_be_classes(column, array, loss)):
            values, truth = np.unique(column, return_inverse=True)
            return Targets(array, "classes", values, truth.reshape(-1))
        return Targets(array, "numbers", none, column.astype(np.float64)[:, np.newaxis])
    if array.ndim == 2 and array.shape[1] and np.isin(array, (0, 1)).all():
        if (array.sum(axis=1) == 1).all():
            return Targets(array, "classes", np.arange(array.shape[1]), array.argmax(axis=1))
        return Targets(array, "labels", np.array([0, 1]), array.astype(np.int64))
    numbers = array.reshape(len(array), -1).astype(np.float64)
    return Targets(array, "numbers", none, numbers)


def _are_integers(column: Array) -> bool:
    return bool(column.size) and bool(np.isfinite(column.astype(np.float64)).all()) and bool((column % 1 == 0).all())


def _may_be_classes(column: Array, given: Array, loss: Loss | None) -> bool:
    """Whether integers stand for classes: a loss of classes says so, otherwise their dtype and their number."""
    values = np.unique(column)
    if loss is not None and of_classes(loss):
        return len(values) <= max(MOST_CLASSES, len(column) // 2) or given.dtype.kind in "iu"
    few = len(values) <= min(MOST_CLASSES, max(2, len(column) // 10))
    whole = given.dtype.kind in "iub" or len(values) == 2
    numbered = bool((np.diff(values) == 1).all()) and values[0] in (0, 1)
    counted = numbered and values[0] == 0 and len(values) <= FEW_NUMBERS
    return few and (counted or (whole and (numbered or np.array_equal(values, (-1, 1)))))
