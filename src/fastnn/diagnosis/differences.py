"""Differences of a function by one number at a time, with an estimate of their own error.

A two-sided difference ``(f(x + h) - f(x - h)) / 2h`` has two errors. The *truncation* falls with the step h, as
``h**2``; that of the *rounding* of f grows as ``1 / h``. Where a first difference does not settle whether a derivative
is right, `Differences` tries other steps and keeps the one whose two errors together are smallest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastnn._typing import Array

__all__ = ["Differences", "Estimate", "Rung", "rounding_of"]

EPS = float(np.finfo(float).eps)
STEP = 6e-6  # about the cube root of EPS, at which both errors of a two-sided difference are about alike
RATIO = 9.3  # between neighbouring steps: no round number, as steps may be so many times the spacing of a function
DOWN, UP = 12, 6  # most steps tried below and above the first
SAFETY = 4.0  # factor of measured errors, which are estimates
RESOLVED = 1e-3  # a derivative is called right if it is known to this share of the largest
CERTAIN = 0.03  # and wrong if it is known to this share of itself
ILL = 1e4 * EPS  # a function that rounding may change by a larger share of it is ill-conditioned
NOISE = 0.01  # a function that rounding may change by this share of it has no digits in which a slope would show
SLIGHT = 0.01  # one-sided differences that differ by less than this share are not looked at again

KINK, UNCERTAIN, NOT_FINITE, SMALL_STEP = "at a kink", "too uncertain", "not finite", "too small a step"

NOISY_ENTRIES = 4  # entries of an array, at most, whose differences are looked at for noise
NOISE_POINTS = 17  # values of the function for each look
DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])  # a fourth difference: of a smooth function it is nearly 0
COARSER = (1000.0, 100.0, 10.0, 1.0)  # steps that show stairs, in first steps
COARSE = 1e3 * EPS  # the share of values that is more than float64's rounding
FINE = 1e-6  # the share of values that may be float32's rounding, not the waves of a function that is fast
STAYS = 0.4  # noise is what falls to no less than this share of itself when the step falls to a tenth


@dataclass(frozen=True)
class Rung:
    """The differences at one step.

    Attributes
    ----------
    step : float
    two_sided, forward, backward : float
        The two-sided difference, and the one-sided ones to the right and to the left.
    rounding : float
        What the rounding of the function may have changed the two-sided difference by.
    crosses : bool
        Whether a kink that is known lies between the two points.
    is_flat : bool
        Whether the function has the same value at all three points.
    share : float
        What share of these values rounding may have made.
    """

    step: float
    two_sided: float
    forward: float
    backward: float
    rounding: float
    crosses: bool
    is_flat: bool
    share: float

    @property
    def jump(self) -> float:
        """What the slope changes by: it falls with the step, except at a kink."""
        return self.forward - self.backward

    @property
    def is_finite(self) -> bool:
        """Whether the function was finite at both points."""
        return math.isfinite(self.forward) and math.isfinite(self.backward) and math.isfinite(self.two_sided)

    @property
    def usable(self) -> bool:
        """Whether the differences tell a derivative."""
        return self.is_finite and not self.crosses


@dataclass(frozen=True)
class Estimate:
    """A derivative by one entry, and what is to be said of a claimed one.

    Attributes
    ----------
    shown : Rung
        The differences at the step that was asked for; by default at the first one, unless another is better.
    value : float
        The best two-sided difference of all steps.
    allowed : float
        The largest difference from `value` that is accepted.
    problem : str
        Why nothing can be said, or "".
    right : bool
        Whether the claimed derivative is.
    best_step : float
        That of `value`, if several have been tried.
    """

    shown: Rung
    value: float
    allowed: float
    problem: str
    right: bool
    best_step: float = 0.0


def rounding_of(
    run: Callable[[], tuple[float, Mapping[str, Array]]], arrays: Sequence[tuple[Array, Array]], draws: int = 6
) -> tuple[float, dict[str, Array]]:
    """Return by how much rounding may change a function and its gradients: as much as the last bits of its numbers do.

    Parameters
    ----------
    run : callable
        Returns the value and the gradients for what is in the arrays.
    arrays : sequence of pairs of ndarray
        Flat arrays, which get their values back, and the indices of the entries that may be changed.
    draws : int
        How often each entry is moved up or down by its last bit.

    Returns
    -------
    float, dict of ndarray
        Of each entry of a gradient the largest change.
    """
    rng = np.random.default_rng(0)
    value, gradients = run()
    largest, changes = 0.0, {name: np.zeros(array.size) for name, array in gradients.items()}
    kept = [array.copy() for array, _ in arrays]
    for _ in range(draws):
        for array, indices in arrays:
            array[indices] *= 1 + EPS * rng.choice([-1.0, 1.0], len(indices))
        moved, others = run()
        for (array, _), values in zip(arrays, kept, strict=True):
            array[...] = values
        largest = float(np.fmax(largest, abs(moved - value) if math.isfinite(moved) else 0.0))
        for name, change in changes.items():
            with np.errstate(all="ignore"):
                moves = np.abs(others[name] - gradients[name]).reshape(-1)
            np.maximum(change, np.where(np.isfinite(moves), moves, 0.0), out=change)
    return SAFETY * largest, changes


class Differences:
    """Differences of a function by entries of a flat array, which are changed and set back.

    Parameters
    ----------
    values : ndarray of float64, 1-dimensional
    run : callable
        Returns the function's value for what is in `values`, and bytes that differ on the two sides of each known kink.
    rounding : float
        By how much the value may be off, as `rounding_of` says.
    step : float, optional
        The first step; by default ``6e-6 * max(1, |x|)``.
    """

    def __init__(
        self, values: Array, run: Callable[[], tuple[float, bytes]], rounding: float, step: float | None
    ) -> None:
        self._values, self._run, self._step = values, run, step
        self._here, _ = run()
        self._rounding = rounding
        self._noise = SAFETY * EPS  # the share of the largest value that it may be off, too
        self._looks = 0

    def estimate(self, index: int, claimed: float, bound: float, largest: float, off: float) -> Estimate:
        """Return the derivative by an entry, compared with a claimed one.

        Parameters
        ----------
        index : int
        claimed : float
        bound : float
            The error that is accepted where rounding allows to see it.
        largest : float
            The largest claimed derivative of the array.
        off : float
            By how much rounding may have changed the claimed derivative.
        """
        value = float(self._values[index])
        step = STEP * max(1.0, abs(value)) if self._step is None else self._step
        if value + step == value or value - step == value:
            nothing = Rung(step, math.nan, math.nan, math.nan, math.inf, crosses=False, is_flat=True, share=1.0)
            return Estimate(nothing, math.nan, bound, SMALL_STEP, right=False)
        found = self._judged(index, step, claimed, bound, largest, off)
        if found.right or found.problem or not self._is_noisier(index, value, step, found.best_step):
            return found
        return self._judged(index, step, claimed, bound, largest, off)

    @np.errstate(all="ignore")
    def _is_noisier(self, index: int, value: float, first: float, best: float) -> bool:
        """Look for noise that moving last bits did not show, and return whether there is more than was known.

        It is that of a function which computes in float32 inside, for example: the scatter of values around a smooth
        curve, if it stays where steps are smaller, as what the curve or a kink adds falls. The best step may be
        within a stair, as the function rounds what it gets; larger ones show it.
        """
        if self._looks == NOISY_ENTRIES:
            return False
        self._looks += 1
        known = self._noise
        for step in (best, *(first * each for each in COARSER)):
            values, closer = (self._values_around(index, value, each) for each in (step, step / 10))
            noise, smaller, largest = _scatter_of(values), _scatter_of(closer), np.abs(values).max()
            if step == best:
                is_stair = np.count_nonzero(np.diff(values)) < NOISE_POINTS / 2
            stays = smaller >= STAYS * noise and smaller > COARSE * largest
            if stays and (step == best or is_stair or noise <= FINE * largest):
                self._noise = max(self._noise, float(SAFETY * min(noise, smaller) / largest))
        return self._noise > known

    def _values_around(self, index: int, value: float, step: float) -> Array:
        """Return the function's values at points a step apart."""
        found = np.empty(NOISE_POINTS)
        for k in range(NOISE_POINTS):
            self._values[index] = value + (k - NOISE_POINTS // 2) * step
            found[k], _ = self._run()
        self._values[index] = value
        return found

    def _judged(self, index: int, step: float, claimed: float, bound: float, largest: float, off: float) -> Estimate:
        """Return the estimate, with the noise of the function that is known by now."""
        value = float(self._values[index])
        first = self._rung(index, value, step)
        slight = SLIGHT * max(abs(first.forward), abs(first.backward)) + bound
        if first.usable and abs(claimed - first.two_sided) <= bound and abs(first.jump) <= slight:
            return Estimate(first, first.two_sided, bound, "", right=True)
        rungs = self._ladder(index, value, first)
        problem, error, best = _best(rungs, bound)
        if not problem and first.usable and abs(claimed - first.two_sided) <= bound:
            return Estimate(first, first.two_sided, bound, "", right=True)
        error += off
        allowed = max(bound, SAFETY * error)
        right = abs(claimed - best.two_sided) <= allowed
        size = abs(best.two_sided)
        if right:
            enough = max(bound, RESOLVED * float(np.fmax(largest, size)))
        else:
            # Either a slope is seen well, or clearly none: one that is seen badly may be that of too large a step.
            # Where last bits matter much, the function may bend at any step, and seem flat at a large one.
            sees_none = size <= SAFETY * error and first.share <= ILL
            enough = CERTAIN * float(np.fmax(size, abs(claimed) if sees_none else 0.0))
        keep = self._step is not None or (first.usable and abs(first.two_sided - best.two_sided) <= allowed)
        shown = first if keep else best
        problem = problem or ("" if error <= enough else UNCERTAIN)
        return Estimate(shown, best.two_sided, allowed, problem, right and not problem, best.step)

    def _rung(self, index: int, value: float, step: float) -> Rung:
        above, below = value + step, value - step
        self._values[index] = above
        f_above, sides_above = self._run()
        self._values[index] = below
        f_below, sides_below = self._run()
        self._values[index] = value
        here, width = self._here, above - below  # not always 2 * step: it is that of the rounded numbers
        largest = max(abs(f_above), abs(f_below), abs(here))
        off = max(self._rounding, self._noise * largest)
        crosses = sides_above != sides_below
        forward, backward = (f_above - here) / (above - value), (here - f_below) / (value - below)
        return Rung(
            step,
            (f_above - f_below) / width,
            forward,
            backward,
            2 * off / width,
            crosses,
            is_flat=f_above == here == f_below,
            share=off / largest if largest else 0.0,
        )

    def _ladder(self, index: int, value: float, first: Rung) -> list[Rung]:
        """Return the differences at other steps, too, the largest step first."""
        least = max(8 * float(np.spacing(abs(value))), first.step * RATIO**-DOWN)
        if first.crosses and self._rung(index, value, max(least, first.step * 1e-7)).crosses:
            return [first]  # the kink is here: no step is small enough
        rungs = [first]
        while rungs[-1].step / RATIO >= least:
            rung = self._rung(index, value, rungs[-1].step / RATIO)
            if rung.is_flat and not first.is_flat:
                break  # rounding has swallowed the step
            rungs.append(rung)
            best = min((error for error, _ in _errors(rungs)), default=math.inf)
            if len(rungs) >= 4 and rungs[-1].rounding >= best:
                break
        while first.usable and len(rungs) and rungs[0].step < first.step * RATIO**UP:
            before = min((error for error, _ in _errors(rungs)), default=math.inf)
            rungs.insert(0, self._rung(index, value, rungs[0].step * RATIO))
            after = min((error for error, _ in _errors(rungs)), default=math.inf)
            if not rungs[0].usable or after >= before:
                break
        return rungs


def _scatter_of(values: Array) -> float:
    """Return the root mean square of what values have beside a smooth curve."""
    differences = np.convolve(values, DIFFERENCE, mode="valid")
    return float(np.sqrt(np.mean(differences**2) / np.sum(DIFFERENCE**2)))


def _errors(rungs: Sequence[Rung]) -> list[tuple[float, Rung]]:
    """Return an estimate of the error of each usable two-sided difference; `rungs` begin with the largest step."""
    usable = [rung for rung in rungs if rung.usable]
    found = []
    for k, rung in enumerate(usable):
        larger, smaller = usable[max(k - 1, 0)], usable[k + 1 :]
        # The truncation of the next larger step is RATIO**2 times as large; to take it for RATIO times is careful. What
        # smaller steps show is rounding, of which they have more.
        truncation = abs(larger.two_sided - rung.two_sided) / (RATIO if smaller else 1)
        if not k:
            truncation = abs(rung.two_sided - smaller[0].two_sided) if smaller else math.inf
        if smaller:  # a kink between the steps
            truncation = max(truncation, abs(rung.two_sided - smaller[0].two_sided) - smaller[0].rounding)
        found.append((rung.rounding + max(truncation, _scatter(rung, smaller)), rung))
    return found


def _scatter(rung: Rung, smaller: Sequence[Rung]) -> float:
    return max((abs(each.two_sided - rung.two_sided) * each.step / rung.step for each in smaller), default=0.0)


def _is_kink(rungs: Sequence[Rung], bound: float) -> bool:
    """Whether the slope jumps at the point: of a smooth function the jump falls as the step does.

    At a kink the jumps of several steps are alike, and the two-sided differences, too; what rounding makes of a smooth
    function is not. At a point such as 0 of ``sqrt(|x|)`` the jump grows.
    """
    usable = [rung for rung in rungs if rung.usable]
    for k in range(len(usable) - 1, 1, -1):
        rung, larger = usable[k], usable[k - 1]
        unsure = 8 * SAFETY * rung.rounding
        if abs(rung.jump) + unsure < abs(larger.jump) / 2:
            return False
        if abs(rung.jump) > max(unsure, bound):
            return _alike(rung, larger) and _alike(larger, usable[k - 2])
    return False


def _alike(rung: Rung, larger: Rung) -> bool:
    """Whether the jumps at two steps may be those of one kink."""
    differ = abs(rung.two_sided - larger.two_sided)
    return 0.5 < rung.jump / larger.jump < 4 and differ < abs(larger.jump) / 4 if larger.jump else False


def _best(rungs: Sequence[Rung], bound: float) -> tuple[str, float, Rung]:
    """Return why the rungs tell no derivative, or "", the error of the best one, and that one."""
    errors = _errors(rungs)
    if not errors:
        return (KINK if any(rung.crosses for rung in rungs) else NOT_FINITE), math.inf, rungs[0]
    error, best = min(errors, key=lambda each: each[0])
    if all(rung.share > NOISE for _, rung in errors):
        return UNCERTAIN, error, best
    return KINK if _is_kink(rungs, bound) else "", error, best


def counted(problems: Sequence[str]) -> dict[str, int]:
    """Return how often each problem occurs."""
    return dict(Counter(each for each in problems if each))
