"""What a gradient check found: for each array of gradients, and in all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from fastnn import _html
from fastnn._typing import Array
from fastnn.diagnosis.differences import Differences, Estimate, counted

__all__ = ["BlockReport", "EntryReport", "GradientReport", "compared"]

SIMPLE = 1e-3  # the error, relative to the gradient, of what a wrong gradient is said to be
SIMPLE_FACTORS = (-1.0, 2.0, 0.5, -2.0, -0.5)  # told of a single number, which is some multiple of any other


@dataclass(frozen=True)
class EntryReport:
    """The differences by one number.

    Attributes
    ----------
    index : tuple of int
        Which entry of its array it is; () if that is a single number.
    analytic : float
        The gradient that is checked.
    two_sided, one_sided : float
        ``(f(x + h) - f(x - h)) / 2h`` and ``(f(x + h) - f(x)) / h``, with the step h.
    step : float
    """

    index: tuple[int, ...]
    analytic: float
    two_sided: float
    one_sided: float
    step: float

    def lines(self, name: str) -> Iterator[str]:
        """Yield lines of text, one for each number."""
        where = f"{name}[{', '.join(map(str, self.index))}]" if self.index else name
        yield f"{where}, step {self.step:g}"
        yield f"  analytic   {self.analytic:.10g}"
        for what, value in (("two-sided", self.two_sided), ("one-sided", self.one_sided)):
            yield f"  {what}  {value:.10g}, error {abs(self.analytic - value):.1e}"


@dataclass(frozen=True)
class BlockReport:
    """The comparison of one gradient array: that of a parameter array, or of the input.

    Attributes
    ----------
    name : str
        "0.weight", ..., or "input".
    error : float
        The largest difference ``|analytic - two-sided|``; if entries are wrong, the largest of theirs.
    one_sided : float
        The largest difference ``|analytic - one-sided|``.
    largest : float
        The largest absolute entry of the analytic gradient.
    bound : float
        The largest error that is accepted of the entry that `error` is of: ``rtol * largest + atol``, or more where
        the difference is less exact than that.
    checked, skipped : int
        Number of entries compared, and number of entries of which nothing can be said.
    reasons : mapping of str to int
        Why entries were skipped: "at a kink", where a function has no derivative; "too uncertain", where no step gives
        the derivative to three digits, as rounding hides it; "not finite", where the loss beside it is infinite or NaN;
        "too small a step", where the given step does not change the entry.
    wrong : int
        Number of entries whose gradient is wrong.
    relative_error : float
        ``norm(a - n) / (norm(a) + norm(n))`` of the entries that were compared, with the analytic gradients a and the
        two-sided differences n; 0 if all are 0.
    worst : EntryReport or None
        The entry that `error` is of.
    norms : tuple of float
        The norms of a - n, a and n.
    hint : str
        How the gradient is wrong, if that is simple: it is the numeric one times a constant, or transposed.
    """

    name: str
    error: float
    one_sided: float
    largest: float
    bound: float
    checked: int
    skipped: int
    reasons: Mapping[str, int]
    wrong: int
    relative_error: float
    worst: EntryReport | None
    norms: tuple[float, float, float] = field(repr=False)
    hint: str = ""

    @property
    def ok(self) -> bool:
        """Whether at least one entry was compared, and none is wrong."""
        return self.checked > 0 and not self.wrong

    @property
    def verdict(self) -> str:
        """What to say of the block: "ok", "WRONG", or "cannot tell" if no entry could be compared."""
        return "WRONG" if self.wrong else "ok" if self.checked else "cannot tell"


@dataclass(frozen=True)
class GradientReport:
    """The result of a gradient check; ``str(report)`` is a table.

    ``bool(report)`` says whether all gradients are right.

    Attributes
    ----------
    blocks : tuple of BlockReport
    frozen : tuple of str
        The frozen parameters, which were left out.
    shows_entries : bool
        Whether the table shows the worst entry of every block; otherwise of those that are wrong.
    """

    blocks: tuple[BlockReport, ...]
    frozen: tuple[str, ...] = ()
    shows_entries: bool = field(default=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether all blocks are right."""
        return all(block.ok for block in self.blocks)

    @property
    def relative_error(self) -> float:
        """``norm(a - n) / (norm(a) + norm(n))`` of all entries that were compared; see `BlockReport`."""
        norms = [block.norms for block in self.blocks]
        return _relative(*(math.hypot(*each) for each in zip(*norms, strict=True))) if norms else 0.0

    @property
    def _verdict(self) -> str:
        if any(block.wrong for block in self.blocks):
            return "wrong"
        return "right" if self.ok else "cannot tell"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        width = max([5, *(len(block.name) for block in self.blocks)])
        head = f"{'block':{width}}  {'two-sided':>9}  {'one-sided':>9}  {'bound':>9}  {'largest':>9}  checked  skipped"
        below = (line for lines in self._below() for line in lines)
        return "\n".join([head, *(_row(block, width) for block in self.blocks), *below])

    def _repr_html_(self) -> str:
        """Return what notebooks show: the same as `str`."""
        header = ("block", "verdict", "two-sided", "one-sided", "bound", "largest", "checked", "skipped")
        rows = [(b.name, b.verdict, *_numbers(b)) for b in self.blocks]
        skipped = (_html.paragraph(f"{b.name}: skipped, {_reasons(b)}") for b in self.blocks if b.reasons)
        below = (_html.code("\n".join(each)) if len(each) > 1 else _html.paragraph(*each) for each in self._below())
        return _html.fragment(_html.table(header, rows, texts=2), *skipped, *below)

    def _below(self) -> Iterator[list[str]]:
        """Yield what stands below the table: each time one line, or the lines of an entry."""
        for block in self.blocks:
            if block.worst is not None and (block.wrong or self.shows_entries):
                yield list(block.worst.lines(block.name))
            if block.hint:
                yield [f"{block.name}: {block.hint}"]
        if self.frozen:
            yield [f"left out, as they are frozen: {', '.join(self.frozen)}"]
        if self.shows_entries:
            yield [f"relative error {self.relative_error:.1e}: {self._verdict}"]


def _numbers(b: BlockReport) -> list[str]:
    return [*(f"{each:.2e}" for each in (b.error, b.one_sided, b.bound, b.largest)), str(b.checked), str(b.skipped)]


def _reasons(b: BlockReport) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in b.reasons.items())


def _row(b: BlockReport, width: int) -> str:
    numbers = (f"{each:>{digits}}" for each, digits in zip(_numbers(b), (9, 9, 9, 9, 7, 7), strict=True))
    return f"{b.name:{width}}  {'  '.join(numbers)}  {b.verdict}" + (f" ({_reasons(b)})" if b.reasons else "")


def compared(
    name: str, gradient: Array, off: Array, indices: Array, differences: Differences, rtol: float, atol: float
) -> BlockReport:
    """Return the comparison of an array of gradients with the differences by some of its entries.

    Parameters
    ----------
    name : str
    gradient : ndarray
    off : ndarray, 1-dimensional
        By how much rounding may have changed each entry.
    indices : ndarray of int
        Of its entries, as if it were flat.
    differences : Differences
    rtol, atol : float
        The bound is ``rtol * largest + atol``.
    """
    flat = gradient.reshape(-1)
    largest = float(np.abs(flat[np.isfinite(flat)]).max(initial=0.0))
    bound = rtol * largest + atol
    found = [
        (i, a, differences.estimate(i, a, bound, largest, float(off[i])))
        for i, a in zip(indices.tolist(), flat[indices].tolist(), strict=True)
    ]
    checked = [each for each in found if not each[2].problem]
    problems = [each[2].problem for each in found]
    if not checked:
        zeros = (0.0, 0.0, 0.0)
        return BlockReport(name, 0.0, 0.0, largest, bound, 0, len(found), counted(problems), 0, 0.0, None, zeros)
    index, analytic, worst = max(checked, key=lambda each: _severity(each[1], each[2]))
    shown = worst.shown
    a, n, one = (
        np.array(each) for each in zip(*((a, e.shown.two_sided, e.shown.forward) for _, a, e in checked), strict=True)
    )
    norms = math.hypot(*(a - n)), math.hypot(*a), math.hypot(*n)
    place = tuple(map(int, np.unravel_index(index, gradient.shape)))
    wrong = sum(not each[2].right for each in checked)
    return BlockReport(
        name,
        abs(analytic - shown.two_sided),
        float(np.abs(a - one).max()),
        largest,
        _accepted(worst),
        len(checked),
        len(found) - len(checked),
        counted(problems),
        wrong,
        _relative(*norms),
        EntryReport(place, analytic, shown.two_sided, shown.forward, shown.step),
        norms,
        _hint(a, n, gradient.shape) if wrong else "",
    )


def _hint(a: Array, n: Array, shape: tuple[int, ...]) -> str:
    """Return how analytic gradients that are wrong come from the numeric ones, if it is simple, or ""."""
    size = math.hypot(*a)
    if not (np.isfinite(a).all() and size > 0 and np.any(n)):
        return ""
    scale = np.abs(n).max()
    factor = float(np.dot(a / scale, n / scale) / np.dot(n / scale, n / scale))
    is_told = np.count_nonzero(n) > 1 or any(abs(factor / each - 1) < SIMPLE for each in SIMPLE_FACTORS)
    if is_told and abs(factor - 1) > SIMPLE and math.hypot(*(a - factor * n)) <= SIMPLE * size:
        return f"the analytic gradient is {factor:.4g} times the numeric one"
    if len(shape) == 2 and shape[0] == shape[1] and a.size == math.prod(shape):
        transposed = n.reshape(shape).T.reshape(-1)
        if math.hypot(*(a - transposed)) <= SIMPLE * size:
            return "the analytic gradient is the numeric one transposed"
    return ""


def _accepted(estimate: Estimate) -> float:
    """Return the largest error of the difference that is shown: it may be off itself."""
    return estimate.allowed + abs(estimate.shown.two_sided - estimate.value)


def _severity(analytic: float, estimate: Estimate) -> tuple[bool, float]:
    """Return what orders entries by how bad they are."""
    error = abs(analytic - estimate.shown.two_sided)
    return not estimate.right, math.inf if math.isnan(error) else error


def _relative(difference: float, a: float, n: float) -> float:
    return 0.0 if difference == 0 else difference / (a + n)
