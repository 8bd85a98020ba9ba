"""Schedules of other schedules, and the schedules by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from itertools import pairwise
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._names import Names
from fastnn._settings import settings
from fastnn._typing import Array
from fastnn.optim.schedules import (
    Checks,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    InverseTimeLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    Schedule,
    StepLR,
    not_negative,
    positive,
    times,
)

__all__ = ["SCHEDULES", "ChainedScheduler", "SequentialLR", "WarmupLR"]


@settings()
class WarmupLR(Schedule):
    """Rise linearly to the first rate of another schedule, then run that schedule from its beginning.

    ``after(base, max(t - total_iters, 0)) * LinearLR(start_factor, 1, total_iters)``, as in Goyal et al., 2017. In
    PyTorch this is a `SequentialLR` of `LinearLR` and the other schedule.

    Parameters
    ----------
    after : Schedule or str
        The other schedule, or its name. If its length is None, it ends with the fit. Its `every` is the unit of the
        time. (For a warm-up by step before a schedule by epoch, use a `ChainedScheduler` of
        ``LinearLR(every="step")`` and that schedule.)
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

    after: Schedule | str
    total_iters: int = 5
    start_factor: float = 1.0 / 3.0
    every: str = field(init=False, default="")

    _checks: ClassVar[Checks] = {"total_iters": positive, "start_factor": not_negative}

    def __post_init__(self) -> None:
        after = _schedule("after", self.after)
        object.__setattr__(self, "after", after)
        object.__setattr__(self, "every", _time_unit("after", after))
        super().__post_init__()

    @property
    def needs_length(self) -> bool:
        return self._after.needs_length

    @property
    def _after(self) -> Schedule:
        return cast(Schedule, self.after)

    def over(self, epochs: int, steps: int) -> Schedule:
        after = self._after.over(*(max(1, length - self.total_iters) for length in (epochs, steps)))
        return self if after is self.after else replace(self, after=after)

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        warm = LinearLR(self.start_factor, 1.0, self.total_iters).rate(1.0, t)
        return np.multiply(warm, self._after.rate(base, np.maximum(t - self.total_iters, 0)))


class _Parts(Schedule):
    """Base of schedules that have a tuple of others."""

    schedules: Iterable[Schedule | str]

    @property
    def _parts(self) -> tuple[Schedule, ...]:
        return cast(tuple[Schedule, ...], self.schedules)

    @property
    def needs_length(self) -> bool:
        return any(schedule.needs_length for schedule in self._parts)


@settings()
class SequentialLR(_Parts):
    """One schedule after another, each from its beginning.

    Parameters
    ----------
    schedules : iterable of Schedule or str
        At least one, or its name; all with the same `every`. One whose length is None ends when the next begins, the
        last one with the fit.
    milestones : iterable of int
        Times when the second, third, ... schedule begins: strictly increasing, one fewer than there are schedules.

    Examples
    --------
    >>> from fastnn import optim
    >>> halves = optim.ExponentialLR(0.5, every="step")
    >>> optim.SequentialLR([halves, halves], [2])(1.0, epoch=0, step=[0, 1, 2, 3])
    array([1. , 0.5, 1. , 0.5])
    """

    schedules: Iterable[Schedule | str]
    milestones: Iterable[int]
    every: str = field(init=False, default="")

    def __post_init__(self) -> None:
        schedules = _schedules(self.schedules)
        milestones = times("milestones", self.milestones)
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

    def over(self, epochs: int, steps: int) -> Schedule:
        if not self.needs_length:
            return self
        ends = [*self.milestones, steps if self.every == "step" else epochs]
        lengths = [max(1, end - start) for start, end in pairwise((0, *ends))]
        parts = [schedule.over(length, length) for schedule, length in zip(self._parts, lengths, strict=True)]
        return replace(self, schedules=parts)

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        bases, rates, starts = np.broadcast_to(base, t.shape), np.empty_like(t), (0, *self.milestones)
        part = np.searchsorted(starts, t, side="right") - 1
        for index, (start, schedule) in enumerate(zip(starts, self._parts, strict=True)):
            here = part == index
            if here.any():
                rates[here] = schedule.rate(bases[here], t[here] - start)
        return rates


@settings()
class ChainedScheduler(_Parts):
    """Several schedules at once: the rate of each is the ``base`` of the next.

    If each multiplies ``base`` by a factor, the result is the product of the factors, as in PyTorch. Some schedules may
    count epochs and others steps. (In PyTorch a `LambdaLR` in a chain sets the rate instead of multiplying it, and
    cosines whose `eta_min` is not 0 have another recursion.)

    Parameters
    ----------
    schedules : iterable of Schedule or str
        At least one, or its name.

    Examples
    --------
    >>> from fastnn import optim
    >>> warm = optim.LinearLR(0.5, total_iters=2, every="step")
    >>> optim.ChainedScheduler([warm, optim.ExponentialLR(0.1)])(1.0, epoch=1, step=[0, 1, 2, 3])
    array([0.05 , 0.075, 0.1  , 0.1  ])
    """

    schedules: Iterable[Schedule | str]
    every: str = field(init=False, default="")

    def __post_init__(self) -> None:
        schedules = _schedules(self.schedules)
        object.__setattr__(self, "schedules", schedules)
        object.__setattr__(self, "every", " and ".join(sorted({schedule.every for schedule in schedules})))

    def over(self, epochs: int, steps: int) -> Schedule:
        if not self.needs_length:
            return self
        return replace(self, schedules=[schedule.over(epochs, steps) for schedule in self._parts])

    def rate(self, base: float | Array, t: Array) -> npt.ArrayLike:
        for schedule in self._parts:
            base = np.asarray(schedule.rate(base, t))
        return base

    def __call__(self, base: float | Array, epoch: int, step: npt.ArrayLike) -> Array:
        for schedule in self._parts:
            base = schedule(base, epoch, step)
        return np.asarray(base)


SCHEDULES: dict[str, type[Schedule]] = {
    kind.__name__: kind
    for kind in (
        ConstantLR, StepLR, MultiStepLR, ExponentialLR, InverseTimeLR, LinearLR, PolynomialLR, CosineAnnealingLR,
        CosineAnnealingWarmRestarts, OneCycleLR, LambdaLR, WarmupLR, SequentialLR, ChainedScheduler,
    )
}  # fmt: skip


_REQUIRED = {
    "ChainedScheduler": "write optim.ChainedScheduler([...])",
    "CosineAnnealingWarmRestarts": "write optim.CosineAnnealingWarmRestarts(10), for example",
    "ExponentialLR": "write optim.ExponentialLR(0.9), for example",
    "InverseTimeLR": "write optim.InverseTimeLR(0.1), for example",
    "LambdaLR": "write lambda epoch: 0.9**epoch, for example",
    "MultiStepLR": "write optim.MultiStepLR([10, 20]), for example",
    "SequentialLR": "write optim.SequentialLR([...], milestones)",
    "StepLR": "write optim.StepLR(10), for example",
    "WarmupLR": 'write optim.WarmupLR("CosineAnnealingLR"), for example',
}  # what to write for those that need an argument, and so cannot be given by name
_NAMED = {name: kind for name, kind in SCHEDULES.items() if name not in _REQUIRED}

NAMES = Names(
    _NAMED,
    {name.removesuffix("LR"): name for name in _NAMED if name not in ("ConstantLR", "LinearLR")}
    | {"cosine": "CosineAnnealingLR", "cosine_annealing": "CosineAnnealingLR", "one_cycle": "OneCycleLR"},
    _REQUIRED
    | {name.removesuffix("LR"): fix for name, fix in _REQUIRED.items()}
    | {
        "adaptive": "give fit the callback fastnn.ReduceLROnPlateau()",
        "constant": 'leave schedule out for a constant rate; "ConstantLR" begins with a third of it',
        "cosine_with_warmup": 'write optim.WarmupLR("CosineAnnealingLR")',
        "inv_scaling": "write optim.InverseTimeLR(1.0, power=0.5), for example",
        "linear": 'write "PolynomialLR", which falls to 0, or "LinearLR", which rises from a third',
        "reduce_lr_on_plateau": "give fit the callback fastnn.ReduceLROnPlateau()",
        "warm_restarts": _REQUIRED["CosineAnnealingWarmRestarts"],
    },
)
"""The names of the schedules that need no argument."""


def named(argument: str, name: str) -> Schedule:
    """Return the schedule of a name, over the length of each fit if it has a length."""
    kind = _NAMED[v.named(argument, name, NAMES)]
    lengths: dict[str, Any] = {kind._length_is: None} if kind._length_is else {}
    return kind(**lengths)


def _schedule(name: str, value: object) -> Schedule:
    if isinstance(value, str):
        return named(name, value)
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
