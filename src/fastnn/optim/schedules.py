"""Learning-rate schedules under PyTorch's names: pure functions of the time, without state and without ``step()``.

The time t counts epochs from 0, or steps with ``every="step"``. Values are those of PyTorch's schedulers after t calls
of their ``step()``, in closed form, so that training can continue from any epoch or step. A schedule that depends on a
metric is a callback instead, `fastnn.ReduceLROnPlateau`.

Some schedules have a length. If it is None, it is that of each fit, see `Schedule.over`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._settings import Settings, settings
from fastnn._typing import Array

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "InverseTimeLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "Schedule",
    "StepLR",
]


Checks: TypeAlias = Mapping[str, Callable[[str, object], object]]
not_negative = partial(v.real, low=0)
positive = partial(v.integer, low=1)


def _length(name: str, value: object) -> int | None:
    return None if value is None else v.integer(name, value, 1)


def times(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, Iterable):
        v.refuse(TypeError, name, "be a sequence of integers", v.kind_of(value))
    return tuple(v.integer(f"{name}[{i}]", time, 1) for i, time in enumerate(value))


@settings()
class Schedule(Settings, ABC):
    """Base class of all schedules.

    Attributes
    ----------
    every : {"epoch", "step"}
        The unit of the time.
    """

    every: str = field(default="epoch", kw_only=True)

    _how_to_change = "set trainer.schedule = {call}"
    _checks: ClassVar[Checks] = {}
    """The checks of the settings that need no other setting."""
    _length_is: ClassVar[str] = ""
    """The setting that is the schedule's length, if it has one."""

    def __post_init__(self) -> None:
        v.choice("every", self.every, ("epoch", "step"))
        for name, check in self._checks.items():
            check(name, getattr(self, name))

    @property
    def needs_length(self) -> bool:
        """Whether the schedule has a length that is None, so that each fit sets it."""
        return bool(self._length_is) and getattr(self, self._length_is) is None

    def over(self, epochs: int, steps: int) -> Schedule:
        """Return this schedule with the length of a fit where its own is None.

        Parameters
        ----------
        epochs, steps : int
            The length of the fit, of at least 1.

        Returns
        -------
        Schedule
            The schedule itself if it has no length, or one that is not None.

        Examples
        --------
        >>> from fastnn import optim
        >>> optim.OneCycleLR(max_lr=0.1).over(epochs=2, steps=30)
        OneCycleLR(max_lr=0.1, total_steps=30)
        """
        if not self.needs_length:
            return self
        length: dict[str, Any] = {self._length_is: steps if self.every == "step" else epochs}
        return replace(self, **length)

    def _known_length(self) -> int:
        length = getattr(self, self._length_is)
        if length is None:
            fix = "give it a length, or call schedule.over(epochs, steps) first"
            v.refuse(ValueError, "schedule", "have a length outside of a fit", v.shown(self), fix)
        return int(length)

    @abstractmethod
    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        """Return the learning rates at times `t`, from the rate `base`: one for all times, or one for each."""

    def __call__(self, base: float | Array, epoch: int, step: npt.ArrayLike) -> Array:
        """Return the learning rate of each step.

        Parameters
        ----------
        base : float, or ndarray of the shape of `step`
            The learning rate to start from.
        epoch : int
            Number of the epoch, from 0.
        step : array_like of int
            Numbers of the steps, counted from 0 over all epochs.

        Returns
        -------
        ndarray of float64, of the shape of `step`
            The learning rates.

        Raises
        ------
        ValueError
            If the schedule `needs_length`.
        """
        steps = np.asarray(step, dtype=np.float64)
        t = steps if self.every == "step" else np.full_like(steps, epoch)
        return np.broadcast_to(np.asarray(self.rate(base, t), dtype=np.float64), steps.shape)


# ---- schedules with one formula ----


@settings()
class ConstantLR(Schedule):
    """``base * factor`` until time `total_iters`, then ``base``.

    Parameters
    ----------
    factor : float, default 1/3
        Not negative.
    total_iters : int or None, default 5
        At least 1. None is the length of each fit.
    """

    factor: float = 1.0 / 3.0
    total_iters: int | None = 5

    _checks: ClassVar[Checks] = {"factor": not_negative, "total_iters": _length}
    _length_is: ClassVar[str] = "total_iters"

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        length = self._known_length()
        return base * np.where(t < length, self.factor, 1.0)


@settings()
class StepLR(Schedule):
    """``base * gamma ** floor(t / step_size)``.

    Parameters
    ----------
    step_size : int
        At least 1.
    gamma : float, default 0.1
        Not negative.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.StepLR(2, gamma=0.5, every="step")(1.0, epoch=0, step=[0, 1, 2, 3, 4])
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    step_size: int
    gamma: float = 0.1

    _checks: ClassVar[Checks] = {"step_size": positive, "gamma": not_negative}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return base * self.gamma ** np.floor(t / self.step_size)


@settings()
class MultiStepLR(Schedule):
    """``base * gamma ** (number of milestones up to t)``.

    Parameters
    ----------
    milestones : iterable of int
        Times of at least 1; a time given twice counts twice.
    gamma : float, default 0.1
        Not negative.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.MultiStepLR([2, 3], gamma=0.5, every="step")(1.0, epoch=0, step=[0, 1, 2, 3, 4])
    array([1.  , 1.  , 0.5 , 0.25, 0.25])
    """

    milestones: Iterable[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "milestones", tuple(sorted(times("milestones", self.milestones))))
        v.real("gamma", self.gamma, 0)

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return base * self.gamma ** np.searchsorted(np.asarray(self.milestones), t, side="right").astype(np.float64)


@settings()
class ExponentialLR(Schedule):
    """``base * gamma ** t``.

    Parameters
    ----------
    gamma : float
        Not negative.
    """

    gamma: float

    _checks: ClassVar[Checks] = {"gamma": not_negative}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return base * self.gamma**t


@settings()
class InverseTimeLR(Schedule):
    """``base / (1 + decay * t) ** power``.

    PyTorch has no such schedule. scikit-learn's "invscaling" is this one with its `power_t` as `power` and, because it
    counts rows, the number of rows as `decay`.

    Parameters
    ----------
    decay : float
        Not negative.
    power : float, default 1.0
        Not negative.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.InverseTimeLR(1.0, every="step")(1.0, epoch=0, step=[0, 1, 3])
    array([1.  , 0.5 , 0.25])
    """

    decay: float
    power: float = 1.0

    _checks: ClassVar[Checks] = {"decay": not_negative, "power": not_negative}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return base / (1.0 + self.decay * t) ** self.power


@settings()
class LinearLR(Schedule):
    """Linear from ``base * start_factor`` at time 0 to ``base * end_factor`` at `total_iters`, then constant.

    Parameters
    ----------
    start_factor : float, default 1/3
        Not negative.
    end_factor : float, default 1.0
        Not negative.
    total_iters : int or None, default 5
        At least 1. None is the length of each fit.
    """

    start_factor: float = 1.0 / 3.0
    end_factor: float = 1.0
    total_iters: int | None = 5

    _checks: ClassVar[Checks] = {"start_factor": not_negative, "end_factor": not_negative, "total_iters": _length}
    _length_is: ClassVar[str] = "total_iters"

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        length = self._known_length()
        done = np.minimum(t, length) / length
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


@settings()
class PolynomialLR(Schedule):
    """``base * (1 - t / total_iters) ** power`` until time `total_iters`, then 0.

    Parameters
    ----------
    total_iters : int or None, default 5
        At least 1. None is the length of each fit.
    power : float, default 1.0
        Not negative.
    """

    total_iters: int | None = 5
    power: float = 1.0

    _checks: ClassVar[Checks] = {"total_iters": _length, "power": not_negative}
    _length_is: ClassVar[str] = "total_iters"

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        length = self._known_length()
        return base * (1.0 - np.minimum(t, length) / length) ** self.power


@settings()
class CosineAnnealingLR(Schedule):
    """``eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2`` (Loshchilov and Hutter, 2016).

    Parameters
    ----------
    T_max : int, optional
        Time of the lowest rate, at least 1. After it the rate rises again. None (default) is the length of each fit.
    eta_min : float, default 0.0
        The lowest rate, not negative.
    """

    T_max: int | None = None
    eta_min: float = 0.0

    _checks: ClassVar[Checks] = {"T_max": _length, "eta_min": not_negative}
    _length_is: ClassVar[str] = "T_max"

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        length = self._known_length()
        return self.eta_min + (base - self.eta_min) * (1 + np.cos(np.pi * t / length)) / 2


@settings()
class CosineAnnealingWarmRestarts(Schedule):
    """`CosineAnnealingLR` repeated, each time from ``base`` (Loshchilov and Hutter, 2016).

    Parameters
    ----------
    T_0 : int
        Length of the first cycle, at least 1.
    T_mult : int, default 1
        Factor by which each cycle is longer than the one before; at least 1.
    eta_min : float, default 0.0
        The lowest rate, not negative.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.CosineAnnealingWarmRestarts(2, T_mult=2, every="step")(1.0, epoch=0, step=[0, 1, 2, 4, 6]).round(6)
    array([1. , 0.5, 1. , 0.5, 1. ])
    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    _checks: ClassVar[Checks] = {"T_0": positive, "T_mult": positive, "eta_min": not_negative}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        if self.T_mult == 1:
            done = t % self.T_0 / self.T_0
        else:
            starts, length = [0], self.T_0
            while starts[-1] + length <= t.max(initial=0):
                starts.append(starts[-1] + length)
                length *= self.T_mult
            cycle = np.searchsorted(starts, t, side="right") - 1
            done = (t - np.array(starts, np.float64)[cycle]) / (self.T_0 * float(self.T_mult) ** cycle)
        return self.eta_min + (base - self.eta_min) * (1 + np.cos(np.pi * done)) / 2


@settings()
class OneCycleLR(Schedule):
    """Rise from ``max_lr / div_factor`` to `max_lr`, then fall to a small fraction of it (Smith and Topin, 2017).

    The rise ends at time ``pct_start * total_steps - 1``, the fall to ``max_lr / div_factor / final_div_factor`` at
    ``total_steps - 1``. After that the rate is constant, where PyTorch's scheduler raises an error. Only the learning
    rate is cycled; the momentum is constant, as with PyTorch's ``cycle_momentum=False``.

    Parameters
    ----------
    max_lr : float, optional
        The highest rate, whatever ``base`` is; None (default) stands for ``base``.
    total_steps : int, optional
        At least 1: the number of epochs times batches per epoch with ``every="step"``, the number of epochs with
        ``every="epoch"``. None (default) is the length of each fit.
    pct_start : float, default 0.3
        Fraction of the time that the rise takes, from 0 to 1; with `three_phase`, from 0 to 0.5.
    anneal_strategy : {"cos", "linear"}, default "cos"
        Shape of rise and fall.
    div_factor : float, default 25.0
        At least 1.
    final_div_factor : float, default 1e4
        At least 1.
    three_phase : bool, default False
        Whether the rate first falls to ``max_lr / div_factor``, in as much time as the rise took, and then further.
    every : {"epoch", "step"}, default "step"
        The unit of the time.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.OneCycleLR(1.0, 5, pct_start=0.6, anneal_strategy="linear", div_factor=5.0)(0.1, 0, [0, 1, 2, 3]).round(3)
    array([0.2, 0.6, 1. , 0.5])
    """

    max_lr: float | None = None
    total_steps: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False
    every: str = field(default="step", kw_only=True)

    _checks: ClassVar[Checks] = {"total_steps": _length}
    _length_is: ClassVar[str] = "total_steps"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_lr is not None:
            v.real("max_lr", self.max_lr, 0)
        latest = 0.5 if v.boolean("three_phase", self.three_phase) else 1
        v.real("pct_start", self.pct_start, 0, latest, closed=True)
        v.choice("anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        v.real("div_factor", self.div_factor, 1)
        v.real("final_div_factor", self.final_div_factor, 1)

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        length = self._known_length()
        last, up, low = length - 1.0, self.pct_start * length - 1.0, 1.0 / self.div_factor
        ends = np.array([0.0, up, 2.0 * up, last] if self.three_phase else [0.0, up, last])
        parts = np.array([low, 1.0, low, low] if self.three_phase else [low, 1.0, low])
        parts[-1] /= self.final_div_factor
        t = np.minimum(t, last)
        phase = np.searchsorted(ends[1:-1], t, side="left")
        taken, span = t - ends[phase], ends[phase + 1] - ends[phase]
        done = np.divide(taken, span, out=np.ones_like(t), where=span != 0)
        if self.anneal_strategy == "cos":
            done = (1.0 - np.cos(np.pi * done)) / 2.0
        peak = base if self.max_lr is None else self.max_lr
        part: Array = parts[phase] * (1.0 - done) + parts[phase + 1] * done
        return peak * part


@settings()
class LambdaLR(Schedule):
    """``base * factor(t)`` with a function of your own.

    Parameters
    ----------
    factor : callable
        Takes t as an int and returns a number that is not negative.
    """

    factor: Callable[[int], float]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.factor):
            v.refuse(TypeError, "factor", "be a function of the time", v.kind_of(self.factor))

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        times, where = np.unique(t, return_inverse=True)  # if the time counts epochs, all are the same
        return base * np.array([self._factor(int(time)) for time in times])[where.reshape(t.shape)]

    def _factor(self, t: int) -> float:
        factor = self.factor(t)  # which may be a condition, such as t < 5
        return v.real("the result of the schedule's function", int(factor) if isinstance(factor, bool) else factor, 0)
