"""Where a fit is, with what a checkpoint keeps of it besides the trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn._typing import Array
from fastnn.training._augment import Augment
from fastnn.training._core import Span
from fastnn.training.averaging import AverageValues
from fastnn.training.callbacks import Callback
from fastnn.training.metrics import Metric


@dataclass(frozen=True)
class FitArguments:
    """The arguments of a fit besides data and callbacks, checked for a trainer.

    Attributes
    ----------
    epochs, batch_size : int
    shuffle, train_metrics : bool
    metrics : mapping of str to Metric, or None
        In place of the trainer's.
    augment : Augment
    """

    epochs: int
    batch_size: int
    shuffle: bool
    metrics: Mapping[str, Metric] | None
    train_metrics: bool
    augment: Augment


@dataclass
class StartOfEpoch:
    """The values of net and average at the start of an epoch, all finite: `BatchFit.roll_back` restores them."""

    params: Array
    state: Array
    training_steps: int
    average: AverageValues | None


@dataclass(frozen=True)
class WithinEpoch:
    """Where a fit is within an epoch, between two updates.

    Attributes
    ----------
    done : int
        Batches that are done.
    loss, weight : float
        The sums of the weighted losses and of the weights of their rows.
    rate : float or None
        The learning rate of the last update.
    seconds : float
    accumulate : int
    order_epoch : int
        The number of the epoch when its rows were ordered: a callback may have set the trainer's number since.
    start : StartOfEpoch
        The values when the epoch began.
    """

    done: int
    loss: float
    weight: float
    rate: float | None
    seconds: float
    accumulate: int
    order_epoch: int
    start: StartOfEpoch


@dataclass(frozen=True)
class Position:
    """Where a fit is between two epochs or two updates.

    Attributes
    ----------
    span : Span
    ended : int
        Epochs of this fit that have ended.
    stop_requested : bool
    within : WithinEpoch or None
        None between two epochs.
    """

    span: Span
    ended: int
    stop_requested: bool
    within: WithinEpoch | None


@dataclass(frozen=True)
class FitSnapshot:
    """What a checkpoint keeps of a fit that is running, besides its trainer and its arguments.

    Attributes
    ----------
    position : Position
    states : sequence of (Callback, dict)
        The callbacks, and what each has returned from `on_checkpoint`.
    data : mapping
        The `data_fingerprints` of the fit's data.
    """

    position: Position
    states: Sequence[tuple[Callback, Mapping[str, Any]]]
    data: Mapping[str, Any]
