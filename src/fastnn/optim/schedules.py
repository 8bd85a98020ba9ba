"""Learning-rate schedules under PyTorch's names: pure functions of the time, without state and without ``step()``.

The time t counts epochs from 0, or steps with ``every="step"``. Values are those of PyTorch's schedulers after t calls
of their ``step()``, in closed form, so that training can continue from any epoch or step. A schedule that depends on a
metric is a callback instead, `fastnn.ReduceLROnPlateau`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from functools import partial
from itertools import pairwise
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._settings import Settings, settings
from fastnn._typing import Array

__all__ = [
    "SCHEDULES",
    "ChainedScheduler",
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
    "SequentialLR",
    "StepLR",
    "WarmupLR",
]


_Checks: TypeAlias = Mapping[str, Callable[[str, object], object]]
_not_negative = partial(v.real, low=0)
_positive = partial(v.integer, low=1)


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
    _checks: ClassVar[_Checks] = {}
    """The checks of the settings that need no other setting."""

    def __post_init__(self) -> None:
        v.choice("every", self.every, ("epoch", "step"))
        for name, check in self._checks.items():
            check(name, getattr(self, name))

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
    total_iters : int, default 5
        At least 1.
    """

    factor: float = 1.0 / 3.0
    total_iters: int = 5

    _checks: ClassVar[_Checks] = {"factor": _not_negative, "total_iters": _positive}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return base * np.where(t < self.total_iters, self.factor, 1.0)


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

    _checks: ClassVar[_Checks] = {"step_size": _positive, "gamma": _not_negative}

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
        object.__setattr__(self, "milestones", tuple(sorted(_times("milestones", self.milestones))))
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

    _checks: ClassVar[_Checks] = {"gamma": _not_negative}

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

    _checks: ClassVar[_Checks] = {"decay": _not_negative, "power": _not_negative}

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
    total_iters : int, default 5
        At least 1.
    """

    start_factor: float = 1.0 / 3.0
    end_factor: float = 1.0
    total_iters: int = 5

    _checks: ClassVar[_Checks] = {"start_factor": _not_negative, "end_factor": _not_negative, "total_iters": _positive}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        done = np.minimum(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


@settings()
class PolynomialLR(Schedule):
    """``base * (1 - t / total_iters) ** power`` until time `total_iters`, then 0.

    Parameters
    ----------
    total_iters : int, default 5
        At least 1.
    power : float, default 1.0
        Not negative.
    """

    total_iters: int = 5
    power: float = 1.0

    _checks: ClassVar[_Checks] = {"total_iters": _positive, "power": _not_negative}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return base * (1.0 - np.minimum(t, self.total_iters) / self.total_iters) ** self.power


@settings()
class CosineAnnealingLR(Schedule):
    """``eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2`` (Loshchilov and Hutter, 2016).

    Parameters
    ----------
    T_max : int
        Time of the lowest rate, at least 1. After it the rate rises again.
    eta_min : float, default 0.0
        The lowest rate, not negative.
    """

    T_max: int
    eta_min: float = 0.0

    _checks: ClassVar[_Checks] = {"T_max": _positive, "eta_min": _not_negative}

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        return self.eta_min + (base - self.eta_min) * (1 + np.cos(np.pi * t / self.T_max)) / 2


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

    _checks: ClassVar[_Checks] = {"T_0": _positive, "T_mult": _positive, "eta_min": _not_negative}

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
    max_lr : float or None
        The highest rate, whatever ``base`` is; None stands for ``base``.
    total_steps : int
        At least 1: the number of epochs times batches per epoch with ``every="step"``, the number of epochs with
        ``every="epoch"``.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_lr is not None:
            v.real("max_lr", self.max_lr, 0)
        v.integer("total_steps", self.total_steps, 1)
        latest = 0.5 if v.boolean("three_phase", self.three_phase) else 1
        v.real("pct_start", self.pct_start, 0, latest, closed=True)
        v.choice("anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        v.real("div_factor", self.div_factor, 1)
        v.real("final_div_factor", self.final_div_factor, 1)

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        assert self.total_steps is not None
        last, up, low = self.total_steps - 1.0, self.pct_start * self.total_steps - 1.0, 1.0 / self.div_factor
        ends = np.array([0.0, up, 2.0 * up, last] if self.three_phase else [0.0, up, last])
        parts = np.array([low, 1.0, low, low] if self.three_phase else [low, 1.0, low])
        parts[-1] /= self.final_div_factor
        t = np.minimum(t, last)
        phase = np.searchsorted(ends[1:-1], t, side="left")
        taken, length = t - ends[phase], ends[phase + 1] - ends[phase]
        done = np.divide(taken, length, out=np.ones_like(t), where=length != 0)
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


# ---- schedules of other schedules ----


@settings()
class WarmupLR(Schedule):
    """Rise linearly to the first rate of another schedule, then run that schedule from its beginning.

    ``after(base, max(t - total_iters, 0)) * LinearLR(start_factor, 1, total_iters)``, as in Goyal et al., 2017. In
    PyTorch this is a `SequentialLR` of `LinearLR` and the other schedule.

    Parameters
    ----------
    after : Schedule
        The other schedule, whose `every` is the unit of the time. (For a warm-up by step before a schedule by epoch,
        use a `ChainedScheduler` of ``LinearLR(every="step")`` and that schedule.)
    total_iters : int, default 5
        At least 1.
    start_factor : float, default 1/3
        Not negative.

    Examples
    --------
    >>> from fastnn import optim
    >>> warm = optim.WarmupLR(optim.ExponentialLR(0.5, every="step"), total_iters=2, start_factor=0.5)
    >>> warm(1.0, epoch=0, step=[0, 1, 2, 3, 4])
    array([0.5 , 0.75, 1.  , 0.5 , 0.25])
    """

    after: Schedule
    total_iters: int = 5
    start_factor: float = 1.0 / 3.0
    every: str = field(init=False, default="")

    _checks: ClassVar[_Checks] = {"total_iters": _positive, "start_factor": _not_negative}

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", _time_unit("after", _schedule("after", self.after)))
        super().__post_init__()

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        warm = LinearLR(self.start_factor, 1.0, self.total_iters).rate(1.0, t)
        return np.multiply(warm, self.after.rate(base, np.maximum(t - self.total_iters, 0)))


@settings()
class SequentialLR(Schedule):
    """One schedule after another, each from its beginning.

    Parameters
    ----------
    schedules : iterable of Schedule
        At least one; all with the same `every`.
    milestones : iterable of int
        Times when the second, third, ... schedule begins: strictly increasing, one fewer than there are schedules.

    Examples
    --------
    >>> from fastnn import optim
    >>> halves = optim.ExponentialLR(0.5, every="step")
    >>> optim.SequentialLR([halves, halves], [2])(1.0, epoch=0, step=[0, 1, 2, 3])
    array([1. , 0.5, 1. , 0.5])
    """

    schedules: Iterable[Schedule]
    milestones: Iterable[int]
    every: str = field(init=False, default="")

    def __post_init__(self) -> None:
        schedules = _schedules(self.schedules)
        milestones = _times("milestones", self.milestones)
        units = [_time_unit(f"schedules[{i}]", schedule) for i, schedule in enumerate(schedules)]
        if len(set(units)) > 1:
            v.refuse(
                ValueError, "schedules", "have the same value of every", " and ".join(map(repr, sorted(set(units))))
            )
        if len(milestones) != len(schedules) - 1:
            must = f"have length {len(schedules) - 1}, one less than that of schedules"
            v.refuse(ValueError, "milestones", must, f"length {len(milestones)}")
        if any(later <= time for time, later in pairwise(milestones)):
            v.refuse(ValueError, "milestones", "be strictly increasing", milestones)
        object.__setattr__(self, "schedules", schedules)
        object.__setattr__(self, "milestones", milestones)
        object.__setattr__(self, "every", units[0])

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        bases, rates, starts = np.broadcast_to(base, t.shape), np.empty_like(t), (0, *self.milestones)
        part = np.searchsorted(starts, t, side="right") - 1
        for index, (start, schedule) in enumerate(zip(starts, self.schedules, strict=True)):
            here = part == index
            if here.any():
                rates[here] = schedule.rate(bases[here], t[here] - start)
        return rates


@settings()
class ChainedScheduler(Schedule):
    """Several schedules at once: the rate of each is the ``base`` of the next.

    If each multiplies ``base`` by a factor, the result is the product of the factors, as in PyTorch. Some schedules may
    count epochs and others steps. (In PyTorch a `LambdaLR` in a chain sets the rate instead of multiplying it, and
    cosines whose `eta_min` is not 0 have another recursion.)

    Parameters
    ----------
    schedules : iterable of Schedule
        At least one.

    Examples
    --------
    >>> from fastnn import optim
    >>> warm = optim.LinearLR(0.5, total_iters=2, every="step")
    >>> optim.ChainedScheduler([warm, optim.ExponentialLR(0.1)])(1.0, epoch=1, step=[0, 1, 2, 3])
    array([0.05 , 0.075, 0.1  , 0.1  ])
    """

    schedules: Iterable[Schedule]
    every: str = field(init=False, default="")

    def __post_init__(self) -> None:
        schedules = _schedules(self.schedules)
        object.__setattr__(self, "schedules", schedules)
        object.__setattr__(self, "every", " and ".join(sorted({schedule.every for schedule in schedules})))

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        for schedule in self.schedules:
            base = np.asarray(schedule.rate(base, t))
        return base

    def __call__(self, base: float | Array, epoch: int, step: npt.ArrayLike) -> Array:
        for schedule in self.schedules:
            base = schedule(base, epoch, step)
        return np.asarray(base)


SCHEDULES: dict[str, type[Schedule]] = {
    kind.__name__: kind
    for kind in (
        ConstantLR, StepLR, MultiStepLR, ExponentialLR, InverseTimeLR, LinearLR, PolynomialLR, CosineAnnealingLR,
        CosineAnnealingWarmRestarts, OneCycleLR, LambdaLR, WarmupLR, SequentialLR, ChainedScheduler,
    )
}  # fmt: skip


def _schedule(name: str, value: object) -> Schedule:
    schedule: Schedule = v.instance(name, value, Schedule, "be a schedule of fastnn.optim")
    return schedule


def _schedules(value: object) -> tuple[Schedule, ...]:
    if not isinstance(value, Iterable):
        fix = "write schedules=[schedule]" if isinstance(value, Schedule) else ""
        v.refuse(TypeError, "schedules", "be a sequence of schedules", v.kind_of(value), fix)
    schedules = tuple(_schedule(f"schedules[{i}]", schedule) for i, schedule in enumerate(value))
    if not schedules:
        v.refuse(ValueError, "schedules", "contain at least one schedule", "none")
    return schedules


def _time_unit(name: str, schedule: Schedule) -> str:
    """Return whether a schedule counts epochs or steps, and refuse one that counts both."""
    if schedule.every not in ("epoch", "step"):
        fix = "only optim.ChainedScheduler takes schedules that count both"
        v.refuse(ValueError, name, "count epochs or steps, not both", f"every={schedule.every!r}", fix)
    return schedule.every


def _times(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, Iterable):
        v.refuse(TypeError, name, "be a sequence of integers", v.kind_of(value))
    return tuple(v.integer(f"{name}[{i}]", time, 1) for i, time in enumerate(value))
