"""What an epoch reads: arrays, the order of their rows and how it is cut into batches; and what a slice of it did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from fastnn._typing import Array
from fastnn.engine.arena import own_view, pins


@dataclass(frozen=True)
class Feed:
    """The rows of one epoch. Whoever makes one has checked it.

    The arrays are the user's, who may change them at any time. A feed has views of its own, whose shapes stay as they
    are, and their memory stays where it is; executors look at labels again when they take them.

    Attributes
    ----------
    x : ndarray of float32, float64 or uint8, shape (n, in_features)
        Any strides; it is never copied as a whole.
    order : ndarray of int64, shape (epochs * m,)
        The rows in the order in which they are taken, C-contiguous, epoch after epoch.
    batch_size : int
        Rows of each batch but the last.
    y : ndarray, optional
        int64 (n,), C-contiguous, where the target is "labels"; float32, float64 or uint8 (n, K) where it is "rows".
    weight : ndarray of float64, shape (n,), optional
        C-contiguous.
    merge_last : bool
        Whether a lone last row joins the batch before it, as batch statistics of one row do not exist.
    center, scale : ndarray of the net's dtype, shape (in_features,), optional
        The net's scaler, applied after the cast: ``(x - center) * scale``.
    epochs : int
        How many epochs `order` holds, of as many rows each. Batches count through all of them.
    """

    x: Array
    order: Array
    batch_size: int
    y: Array | None = None
    weight: Array | None = None
    merge_last: bool = False
    center: Array | None = None
    scale: Array | None = None
    epochs: int = 1

    def __post_init__(self) -> None:
        """Take views of one's own."""
        for name in ("x", "y", "weight"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, own_view(array))
        object.__setattr__(self, "_pins", pins(self.x, self.y, self.weight, self.center, self.scale))

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
    def largest(self) -> int:
        """Rows of the largest batch."""
        last = self.n_rows - (self.n_batches - 1) * self.batch_size
        return max(last, self.batch_size) if self.n_batches > 1 else self.n_rows

    def rows(self, batch: int) -> slice:
        """Where one batch lies in the order."""
        epoch, batch = divmod(batch, self.n_batches)
        first, start = epoch * self.n_rows, batch * self.batch_size
        stop = self.n_rows if batch == self.n_batches - 1 else start + self.batch_size
        return slice(first + start, first + stop)

    def out_of_range(self, rows: slice, classes: int) -> ValueError:
        """Return the error of a batch in which a row's number or label is out of range."""
        for row in self.order[rows].tolist():
            if not 0 <= row < len(self.x):
                return ValueError(f"order must hold rows from 0 to {len(self.x) - 1}, got {row}")
            if self.y is not None and not 0 <= self.y[row] < classes:
                changed = "(it has changed since the training began)"
                return ValueError(
                    f"y must be integers from 0 to {classes - 1}, got {self.y[row]} in row {row} {changed}"
                )
        return ValueError(f"y must be integers from 0 to {classes - 1} throughout the training, got others for a while")


class StepResult(NamedTuple):
    """What a slice of an epoch did.

    Attributes
    ----------
    done : int
        Steps completed.
    loss : float
        Sum over the epoch's steps so far of the batch's loss times its weight.
    weight : float
        Sum of those batches' weights: their rows, where there are no sample weights.
    finite : bool
        False if the loss of the step after those was NaN or infinite, which has left the parameters as they were.
    last_loss : float
        The loss of the last step run, whether it was finite or not.
    error : BaseException or None
        What a Python function raised in the step after those, which has left parameters and running statistics as they
        were; the caller raises it once it has noted the steps that are done.
    """

    done: int
    loss: float
    weight: float
    finite: bool
    last_loss: float
    error: BaseException | None = None
