"""`Feed`, the rows that training steps read, in order and cut into batches; `StepResult`, the result of steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine.arena import own_view, resize_guards

_CHECKED_ROWS = 1 << 16  # whose ids are checked at a time


class Scaling(NamedTuple):
    """The numbers of a net's scaler, applied to the rows of a batch after their cast: first `fill`, then the others.

    All are arrays of the net's dtype, C-contiguous; None are left out.

    Attributes
    ----------
    center, scale : ndarray, shape (in_features,), optional
        The input becomes ``(x - center) * scale``.
    limit : ndarray, shape (in_features,), optional
        After that, ``z / sqrt(1 + (z / limit)**2)``.
    fill : ndarray, shape (in_features,), optional
        What takes the place of NaN.
    quantiles : ndarray, shape (in_features, n), optional
        In place of `center` and `scale`: the quantiles of each column, which become those of the normal distribution.
    """

    center: Array | None = None
    scale: Array | None = None
    limit: Array | None = None
    fill: Array | None = None
    quantiles: Array | None = None

    def keeps(self, column: int) -> bool:
        """Whether a column stays as it is, except NaN."""
        if self.quantiles is not None:
            return bool(np.isnan(self.quantiles[column, 0]))
        assert self.center is not None
        assert self.scale is not None
        unlimited = self.limit is None or self.limit[column] == np.inf
        return bool(self.center[column] == 0 and self.scale[column] == 1 and unlimited)

    def columns(self, columns: Sequence[int]) -> Scaling:
        """Return the numbers of some columns."""
        index = np.asarray(columns, np.intp)
        return Scaling(*(None if each is None else each[index] for each in self))

    def astype(self, dtype: npt.DTypeLike) -> Scaling:
        """Return the same numbers in another dtype."""
        return Scaling(*(None if each is None else each.astype(dtype) for each in self))

    def equals(self, other: Scaling | None) -> bool:
        """Whether all numbers are the same."""
        return other is not None and all(map(_equal, self, other))


def _equal(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)


class Labels(NamedTuple):
    """Class labels among the targets.

    Attributes
    ----------
    name : str
        What messages call them.
    column : int, optional
        The column of a matrix of targets; None if the targets are labels alone.
    classes : int
    """

    name: str
    column: int | None
    classes: int

    @property
    def must(self) -> str:
        """What a message says that they must do."""
        return f"contain integers from 0 to {self.classes - 1}"


class IdColumn(NamedTuple):
    """A column of the input that an embedding reads: row numbers of its table.

    Attributes
    ----------
    column : int
    size : int
        The number of rows of the table, that for unknown ids not counted.
    own_row : bool
        Whether all numbers that are no rows of the table have a row of their own; fractions are errors even so.
    layer : str
        What messages call the embedding.
    """

    column: int
    size: int
    own_row: bool
    layer: str

    def known(self, values: Array) -> Array:
        """Return for each value whether it is the number of a row of the table."""
        with np.errstate(invalid="ignore"):
            known: Array = (values >= 0) & (values < self.size) & (values == np.floor(values))
        return known

    def wrong(self, values: Array) -> Array:
        """Return for each value whether it is an error."""
        if not self.own_row:
            return ~self.known(values)
        with np.errstate(invalid="ignore"):
            right: Array = (values == np.floor(values)) | np.isnan(values)
        return ~right

    def check(self, name: str, x: Array, where: str = "", fix: str = "") -> None:
        """Refuse rows of an array with a value that is an error; `where` they are and `fix` have defaults."""
        for start in range(0, len(x), _CHECKED_ROWS):
            wrong = self.wrong(x[start : start + _CHECKED_ROWS, self.column])
            if wrong.any():
                row = start + int(wrong.argmax())
                value = x[row, self.column].item()
                numbers = "whole numbers" if self.own_row else f"whole numbers from 0 to {self.size - 1}"
                must = f"contain {numbers} in column {self.column}, which {self.layer} reads"
                if not (fix or self.own_row or value % 1 > 0):
                    fix = 'give the layer unknown="own", for a row of its table for all other numbers'
                v.refuse(ValueError, name, must, f"{value} in row {where or row}", fix)


def refuse_ids(x: Array, columns: Iterable[IdColumn]) -> NoReturn:
    """Refuse the rows of a prediction or of a forward pass in which an executor has found a wrong id."""
    for column in columns:
        column.check("X", x)
    v.refuse(ValueError, "X", "be left as it is during a call", "another number for a moment", "pass a copy of it")


class Group(NamedTuple):
    """The batches whose gradients make one update, as one of them sees it.

    Attributes
    ----------
    update : int
        The number of the update in the feed.
    position : int
        The batch's position among them, from 0.
    batches : int
    """

    update: int
    position: int
    batches: int

    @property
    def begins(self) -> bool:
        """Whether the batch is the first of them."""
        return self.position == 0

    @property
    def ends(self) -> bool:
        """Whether the batch is the last of them, so that the update follows."""
        return self.position + 1 == self.batches


@dataclass(frozen=True)
class Feed:
    """The rows of one or more epochs. The caller has checked the arrays.

    The arrays belong to the user, who may change them at any time. A feed therefore keeps its own views: their shapes
    and the address of their memory do not change. Executors check each label again when they read it.

    Attributes
    ----------
    x : ndarray of float32, float64 or uint8, shape (n, in_features)
        Any strides; it is never copied as a whole.
    order : ndarray of int64, shape (epochs * m,)
        Row numbers in the order in which steps take them, C-contiguous, one epoch after the other.
    batch_size : int
        Rows of each batch except the last of an epoch.
    y : ndarray, optional
        int64 (n,), C-contiguous, if the program's target is "labels"; float32, float64 or uint8 (n, K) if it is "rows".
    row_weight : ndarray of float64, shape (n,), optional
        The weight of each row in the loss, C-contiguous.
    merge_last : bool
        Whether a last batch of one row is merged into the batch before it, as one row has no batch statistics.
    scaling, target_scaling : Scaling, optional
        The numbers of the scalers of `x`, and of `y` if the program's target is "rows".
    epochs : int
        Number of epochs in `order`, all with the same number of rows. Batches are numbered across all epochs.
    accumulate : int
        Number of batches for each update. The last update of an epoch takes the batches that are left.
    """

    x: Array
    order: Array
    batch_size: int
    y: Array | None = None
    row_weight: Array | None = None
    merge_last: bool = False
    scaling: Scaling | None = None
    target_scaling: Scaling | None = None
    epochs: int = 1
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Replace the user's arrays by views of them."""
        for name in ("x", "y", "row_weight"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, own_view(array))
        guards = resize_guards(self.x, self.y, self.row_weight, *(self.scaling or ()), *(self.target_scaling or ()))
        object.__setattr__(self, "_resize_guards", guards)

    @cached_property
    def n_rows(self) -> int:
        """Rows of one epoch."""
        return len(self.order) // self.epochs

    @cached_property
    def n_batches(self) -> int:
        """Number of batches of one epoch."""
        full, rest = divmod(self.n_rows, self.batch_size)
        merged = self.merge_last and rest == 1 and full > 0
        return full + (rest > 0 and not merged)

    @cached_property
    def largest_batch(self) -> int:
        """Rows of the largest batch."""
        last = self.n_rows - (self.n_batches - 1) * self.batch_size
        return max(last, self.batch_size) if self.n_batches > 1 else self.n_rows

    def group(self, batch: int) -> Group:
        """Return the group of batches that one of them belongs to."""
        epoch, batch = divmod(batch, self.n_batches)
        number, position = divmod(batch, self.accumulate)
        updates = -(-self.n_batches // self.accumulate)  # of an epoch
        return Group(epoch * updates + number, position, min(self.accumulate, self.n_batches - batch + position))

    def last_batch(self, update: int) -> int:
        """Return the number of the last batch of an update."""
        epoch, number = divmod(update, -(-self.n_batches // self.accumulate))
        return epoch * self.n_batches + min((number + 1) * self.accumulate, self.n_batches) - 1

    def updates(self, first: int, last: int) -> int:
        """Return the number of updates that the batches ``first, ..., last - 1`` take part in."""
        if self.accumulate == 1:
            return last - first
        return self.group(last - 1).update - self.group(first).update + 1

    def batch_slice(self, batch: int) -> slice:
        """Return the part of `order` that is one batch."""
        epoch, batch = divmod(batch, self.n_batches)
        first, start = epoch * self.n_rows, batch * self.batch_size
        stop = self.n_rows if batch == self.n_batches - 1 else start + self.batch_size
        return slice(first + start, first + stop)

    def out_of_range(self, batch: int, labels: tuple[Labels, ...], ids: tuple[IdColumn, ...]) -> ValueError:
        """Return the error for a batch in which a row number, a label or an id is out of range."""
        try:
            self._refuse_out_of_range(batch, labels, ids)
        except ValueError as error:
            return error

    def _refuse_out_of_range(self, batch: int, labels: tuple[Labels, ...], ids: tuple[IdColumn, ...]) -> NoReturn:
        fix = "do not change {} during a fit, or pass a copy of it"
        changed = "(it has changed since the training began)"
        for row in self.order[self.batch_slice(batch)].tolist():
            if not 0 <= row < len(self.x):
                v.refuse(ValueError, "order", f"contain row numbers from 0 to {len(self.x) - 1}", row)
            for column in ids:
                column.check("X", self.x[row : row + 1], f"{row} {changed}", fix.format("X"))
            for each in labels:
                label = self._label(row, each.column)
                if not (0 <= label < each.classes and label == int(label)):
                    v.refuse(ValueError, each.name, each.must, f"{label} in row {row} {changed}", fix.format("y"))
        # The number that the executor read has been changed back since.
        name, must = (labels[0].name, labels[0].must) if len(labels) == 1 else ("y", "contain the numbers of classes")
        if ids and not labels:
            name, must = "X", "contain row numbers of the tables of embeddings"
        v.refuse(ValueError, name, f"{must} throughout the training", "another number for a moment", fix.format(name))

    def _label(self, row: int, column: int | None) -> float:
        assert self.y is not None
        label: float = self.y[row] if column is None else self.y[row, column]
        return label


class StepResult(NamedTuple):
    """The result of some consecutive training steps.

    Attributes
    ----------
    done : int
        Number of completed steps.
    loss : float
        Sum of the batches' losses, each times its weight, over all steps of the epoch so far.
    weight : float
        Sum of those batches' weights. Without sample weights the weight of a batch is its number of rows.
    finite : bool
        False if the loss of the step after the completed ones was NaN or infinite. That step changed no parameter.
    last_loss : float
        The loss of the last step that ran, finite or not.
    error : BaseException or None
        The exception of a Python function in the step after the completed ones. That step changed neither parameters
        nor running statistics. The caller raises the exception after it has counted the completed steps.
    updates : int
        Number of updates made: that of the completed steps, unless gradients of several batches are accumulated.
    group_weight : float
        The total weight of the batches since the last update, whose mean gradients are in the executor's `means`.
    """

    done: int
    loss: float
    weight: float
    finite: bool
    last_loss: float
    error: BaseException | None = None
    updates: int = 0
    group_weight: float = 0.0
