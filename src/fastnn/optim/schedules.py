"""Learning-rate schedules by PyTorch's names: pure functions of the time, which nothing has to be told to advance.

The time t counts epochs from 0, or steps with ``every="step"``. Values are those of PyTorch's schedulers after t calls
of their ``step()``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array

__all__ = ["CosineAnnealingLR", "ExponentialLR", "LambdaLR", "LinearLR", "Schedule", "StepLR"]


@dataclass(frozen=True)
class Schedule(ABC):
    """What all schedules have.

    Attributes
    ----------
    every : {"epoch", "step"}
        What the time counts.
    """

    every: str = field(default="epoch", kw_only=True)

    def __post_init__(self) -> None:
        """Check the settings."""
        v.choice("every", self.every, ("epoch", "step"))

    @abstractmethod
    def rate(self, base: float, t: Array) -> npt.ArrayLike:
        """Return the learning rates at times `t`, where `base` is the one to start from."""

    def __call__(self, base: float, epoch: int, step: npt.ArrayLike) -> Array:
        """Return the learning rate of each step.

        Parameters
        ----------
        base : float
            The learning rate to start from.
        epoch : int
            From 0.
        step : array_like of int
            From 0, over all epochs.

        Returns
        -------
        ndarray of float64, of the shape of `step`
        """
        steps = np.asarray(step, dtype=np.float64)
        t = steps if self.every == "step" else np.full_like(steps, epoch)
        return np.broadcast_to(np.asarray(self.rate(base, t), dtype=np.float64), steps.shape)


@dataclass(frozen=True)
class StepLR(Schedule):
    """``base * gamma ** floor(t / step_size)``.

    Parameters
    ----------
    step_size : int
        At least 1.
    gamma : float, default 0.1

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.StepLR(2, gamma=0.5, every="step")(1.0, epoch=0, step=[0, 1, 2, 3, 4])
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.integer("step_size", self.step_size, 1)
        v.real("gamma", self.gamma, 0)

    def rate(self, base: float, t: Array) -> npt.ArrayLike:
        """Return the learning rates at times `t`."""
        return base * self.gamma ** np.floor(t / self.step_size)


@dataclass(frozen=True)
class LinearLR(Schedule):
    """From ``base * start_factor`` to ``base * end_factor`` in `total_iters`, straight, then constant.

    Parameters
    ----------
    start_factor : float, default 1/3
    end_factor : float, default 1.0
    total_iters : int, default 5
        At least 1.
    """

    start_factor: float = 1.0 / 3.0
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.real("start_factor", self.start_factor, 0)
        v.real("end_factor", self.end_factor, 0)
        v.integer("total_iters", self.total_iters, 1)

    def rate(self, base: float, t: Array) -> npt.ArrayLike:
        """Return the learning rates at times `t`."""
        done = np.minimum(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


@dataclass(frozen=True)
class ExponentialLR(Schedule):
    """``base * gamma ** t``.

    Parameters
    ----------
    gamma : float
        Not negative.
    """

    gamma: float

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.real("gamma", self.gamma, 0)

    def rate(self, base: float, t: Array) -> npt.ArrayLike:
        """Return the learning rates at times `t`."""
        return base * self.gamma**t


@dataclass(frozen=True)
class CosineAnnealingLR(Schedule):
    """``eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2`` (Loshchilov and Hutter, 2016).

    Parameters
    ----------
    T_max : int
        At least 1. Beyond it the rate rises again.
    eta_min : float, default 0.0
        The lowest rate.
    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.integer("T_max", self.T_max, 1)
        v.real("eta_min", self.eta_min, 0)

    def rate(self, base: float, t: Array) -> npt.ArrayLike:
        """Return the learning rates at times `t`."""
        return self.eta_min + (base - self.eta_min) * (1 + np.cos(np.pi * t / self.T_max)) / 2


@dataclass(frozen=True)
class LambdaLR(Schedule):
    """``base * factor(t)``, for a function of one's own.

    Parameters
    ----------
    factor : callable
        Takes t as an int, returns a number.
    """

    factor: Callable[[int], float]

    def rate(self, base: float, t: Array) -> npt.ArrayLike:
        """Return the learning rates at times `t`."""
        if self.every == "epoch":  # all the same
            return base * v.real("schedule's factor", self.factor(int(t.flat[0])), 0)
        return [base * v.real("schedule's factor", self.factor(int(time)), 0) for time in t.flat]
