"""Averages of the parameters over the course of a training."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fastnn import _validation as v
from fastnn._names import Names
from fastnn._settings import Settings, settings

__all__ = ["EMA", "SWA", "Average"]


class Average(Settings, ABC):
    """Base class of the averages of parameters: `EMA` and `SWA`."""

    _internal = frozenset({"kind", "step_weight"})
    _how_to_change = "set trainer.average = {call}"

    @property
    @abstractmethod
    def kind(self) -> str:
        """The name under which the state of a trainer has the average."""

    @property
    def step_weight(self) -> float | None:
        """The weight of the parameters after each update but the first, or None if whole epochs are averaged."""
        return None


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
        updates count, which should be a small part of the training's.

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

    decay: float = 0.999

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("decay", self.decay, 0, 1)

    @property
    def kind(self) -> str:
        return "EMA"

    @property
    def step_weight(self) -> float:
        return 1.0 - self.decay


@settings()
class SWA(Average):
    """The mean of the parameters at the ends of epochs: stochastic weight averaging (Izmailov et al., 2018).

    ``average += (parameters - average) / (n + 1)`` after each epoch that counts, where n is their number so far: this
    is PyTorch's ``AveragedModel`` by default. Single calls of `Trainer.step` are in no epoch, so never counted.

    Parameters
    ----------
    start : int
        How many epochs the trainer has to train before the first one that counts, not negative; epochs of earlier fits
        are among them. With a constant or cyclic learning rate from then on, the mean is over different nets.

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
    >>> for _ in range(4):
    ...     history = trainer.fit(X, y, epochs=1, verbose=0)
    ...     weights.append(trainer.net[0].weight.copy())
    >>> bool(np.allclose(trainer.averaged[0].weight, (weights[2] + weights[3]) / 2))
    True
    """

    start: int

    def __post_init__(self) -> None:
        """Check the settings."""
        v.integer("start", self.start, 0)

    @property
    def kind(self) -> str:
        return "SWA"


AVERAGES = {"EMA": EMA}
"""The averages by name, those that have default settings."""

NAMES = Names(
    AVERAGES,
    {"exponential_moving_average": "EMA"},
    {
        "swa": "write optim.SWA(start=...), with the number of epochs before the first that counts",
        "stochastic_weight_averaging": "write optim.SWA(start=...)",
    },
)


def as_average(average: object) -> Average | None:
    """Return an average, given itself or by its name, or None."""
    if average is None or isinstance(average, Average):
        return average
    if not isinstance(average, str):
        must = "be optim.EMA(...), optim.SWA(...), the name 'ema', or None"
        v.refuse_class("average", average, Average, must)
        v.refuse(TypeError, "average", must, v.shown(average), "write optim.EMA(decay=0.999), for example")
    return AVERAGES[v.named("average", average, NAMES)]()
