"""Averages of the parameters over the course of a training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from fastnn import _validation as v
from fastnn._names import Names
from fastnn._settings import Settings, settings

__all__ = ["EMA", "SWA", "Average"]


MOST_OF_FIRST = 0.05  # above this share of the first update's parameters in a moving average, a fit warns


class Average(Settings, ABC):
    """Base class of `EMA` and `SWA`, for ``isinstance``. Trainers take no averages of other classes."""

    _internal = frozenset({"counts_epoch", "kind", "shortfall", "step_weight"})
    _how_to_change = "set trainer.average = {call}"

    kind: ClassVar[str]
    """The name of the average, also in the state of a trainer."""

    @property
    def step_weight(self) -> float | None:
        """The weight of the parameters after each update but the first, or None if whole epochs are averaged."""
        return None

    def counts_epoch(self, epoch: int) -> bool:
        """Whether the parameters at the end of an epoch, numbered from 0, are averaged."""
        return False

    @abstractmethod
    def shortfall(self, count: int, epochs: int) -> str:
        """Return what the end of a fit warns of, as too little has been averaged; "" if nothing.

        Parameters
        ----------
        count : int
            How many updates or epochs have been averaged.
        epochs : int
            How many epochs the trainer has trained.
        """


@settings()
class EMA(Average):
    """An exponential moving average of the parameters, taken after every update.

    ``average = decay * average + (1 - decay) * parameters``; the first update copies the parameters. Every operation
    rounds in the net's dtype, in the form of `fastnn.kernels.lerp`. This is PyTorch's ``AveragedModel`` with
    ``get_ema_multi_avg_fn(decay)``.

    Parameters
    ----------
    decay : float, default 0.999
        From 0 to less than 1: the part of the average that each update leaves. About the last ``1 / (1 - decay)``
        updates count, which should be a small part of the training's. So a training of few updates, as of few rows, of
        large batches or with `accumulate`, needs a smaller decay: 0.98 for some hundreds of updates, for example. A fit
        warns if more than 5 % of the average are still the first update's parameters.

    Raises
    ------
    TypeError, ValueError
        If `decay` is of a wrong type or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> net = nn.Sequential(nn.Dense(1, 1, bias=False, init="zeros"))
    >>> trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=1.0), average=optim.EMA(decay=0.75))
    >>> for _ in range(3):
    ...     z = net.forward([[1.0]], training=True)
    ...     net.backward(-np.ones_like(z))
    ...     trainer.step()
    ...     print(net[0].weight.item(), trainer.averaged[0].weight.item())
    1.0 1.0
    2.0 1.25
    3.0 1.6875
    """

    kind: ClassVar[str] = "ema"
    decay: float = 0.999

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("decay", self.decay, 0, 1)

    @property
    def step_weight(self) -> float:
        return 1.0 - self.decay

    def shortfall(self, count: int, epochs: int) -> str:
        left = self.decay ** (count - 1) if count else 0.0
        if self.decay == 0 or left <= MOST_OF_FIRST:
            return ""
        updates = "1 update" if count == 1 else f"{count} updates"
        decay = _fitting_decay(count)
        fix = f"write optim.EMA(decay={decay}), or train for more updates" if decay else "train for more updates"
        return f"the average still has {100 * left:.0f} % of the first update's parameters after {updates}: {fix}"


@settings()
class SWA(Average):
    """The mean of the parameters at the ends of epochs: stochastic weight averaging (Izmailov et al., 2018).

    ``average += (parameters - average) / (n + 1)`` after each epoch that counts, where n is their number so far: this
    is PyTorch's ``AveragedModel`` by default. `Trainer.step` refuses it, as single steps are in no epoch.

    Parameters
    ----------
    start : int
        How many epochs the trainer has to train before the first one that counts, not negative; epochs of earlier fits
        are among them. With a constant or cyclic learning rate from then on, the mean is over different nets. A fit
        that ends before the first one warns.

    Raises
    ------
    TypeError, ValueError
        If `start` is of a wrong type or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X, y = np.eye(4), np.arange(4)
    >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=0), average=optim.SWA(start=2))
    >>> weights = []
    >>> for epochs in (3, 1):
    ...     history = trainer.fit(X, y, epochs=epochs, verbose=0)
    ...     weights.append(trainer.net[0].weight.copy())
    >>> bool(np.allclose(trainer.averaged[0].weight, (weights[0] + weights[1]) / 2))  # after epochs 3 and 4
    True
    """

    kind: ClassVar[str] = "swa"
    start: int

    def __post_init__(self) -> None:
        """Check the settings."""
        v.integer("start", self.start, 0)

    def counts_epoch(self, epoch: int) -> bool:
        return epoch >= self.start

    def shortfall(self, count: int, epochs: int) -> str:
        if count or epochs > self.start:
            return ""
        first = f"optim.SWA(start={self.start}) averages from epoch {self.start + 1} on"
        return f"no epoch has been averaged yet: {first}, and {epochs} {'is' if epochs == 1 else 'are'} trained"


def _fitting_decay(count: int) -> float:
    """Return a decay that leaves about 0.5 % of the first of so many updates, after rounding at most 3 %."""
    if count == 1:
        return 0.0
    per_update = -math.expm1(math.log(MOST_OF_FIRST / 10) / (count - 1))  # 1 - decay, exact also if it is small
    digits = -math.floor(math.log10(per_update))
    return round(1 - round(per_update, digits), digits)


AVERAGES: dict[str, type[Average]] = {each.kind: each for each in (EMA, SWA)}
"""The averages by the names that states have."""

NAMES = Names(
    [EMA.kind],  # those that have default settings
    {"exponential_moving_average": EMA.kind},
    {
        "swa": "write optim.SWA(start=...), with the number of epochs before the first that counts",
        "stochastic_weight_averaging": "write optim.SWA(start=...)",
    },
)


def as_average(average: object) -> Average | None:
    """Return an average, given itself or by its name, or None."""
    if average is None or isinstance(average, EMA | SWA):
        return average
    if not isinstance(average, str):
        must = "be optim.EMA(...), optim.SWA(...), the name 'ema', or None"
        v.refuse_class("average", average, Average, must)
        v.refuse(TypeError, "average", must, v.shown(average), "write optim.EMA(decay=0.999), for example")
    return AVERAGES[v.named("average", average, NAMES)]()
