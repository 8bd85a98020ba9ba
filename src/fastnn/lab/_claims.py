"""What an experiment has measured, and what it claims about that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array

Figures = Mapping[str, Mapping[str, Any]]
"""What one run measures: condition -> name of a figure -> a number, or an array such as a curve."""

Where = tuple[str, str]
"""A condition and the name of a figure."""


class Measured(Mapping[str, Mapping[str, Array]]):
    """The figures of all runs of an experiment, one run for each seed.

    ``measured["tanh"]["loss"]`` is an array whose first axis is the seeds.

    Parameters
    ----------
    runs : sequence of mapping
        What each run has measured; at least one, all with the same conditions and figures.
    """

    def __init__(self, runs: Sequence[Figures]) -> None:
        self.seeds = len(v.instance("runs", runs, Sequence, "be a list of what runs have measured"))
        if not runs:
            v.refuse(ValueError, "runs", "be of at least one run", "none")
        shapes = [{condition: list(figures) for condition, figures in run.items()} for run in runs]
        if any(each != shapes[0] for each in shapes):
            v.refuse(ValueError, "runs", "have the same conditions and figures", "others in one of them")
        self._figures = {
            condition: {name: np.stack([np.asarray(run[condition][name]) for run in runs]) for name in figures}
            for condition, figures in runs[0].items()
        }

    def __getitem__(self, condition: str) -> Mapping[str, Array]:
        return self._figures[condition]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        return f"Measured({list(self)}, {self.seeds} runs)"

    def at(self, where: Where) -> Array:
        """Return a figure that is a number, of each seed.

        Raises
        ------
        KeyError
            If it has not been measured.
        """
        condition, name = where
        if condition not in self._figures:
            v.refuse(KeyError, "condition", f"be one of {', '.join(self._figures)}", v.shown(condition))
        if name not in self._figures[condition]:
            v.refuse(KeyError, "figure", f"be one of {', '.join(self._figures[condition])}", v.shown(name))
        return self._figures[condition][name]

    def mean(self, condition: str, name: str) -> Array:
        """Return the mean of a figure over the seeds."""
        mean: Array = self._figures[condition][name].mean(axis=0)
        return mean

    def numbers(self) -> tuple[list[str], list[list[str]]]:
        """Return a table of the figures that are numbers: its header, and a row for each condition."""
        names = list(
            dict.fromkeys(
                name for figures in self._figures.values() for name, values in figures.items() if values.ndim == 1
            )
        )
        rows = [
            [condition, *(with_spread(figures[name]) if name in figures else "" for name in names)]
            for condition, figures in self._figures.items()
        ]
        return ["", *names], rows


def number(value: float) -> str:
    """Return a number with four digits, or all digits of an integer below a million."""
    if abs(value) < 1e6 and value == round(value):
        return f"{value:.0f}"
    return f"{value:.4g}"


def with_spread(values: Array) -> str:
    """Return the mean over the seeds and, of several that differ, the standard deviation."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    if np.all(values == values[0]) or spread == 0 or not (math.isfinite(mean) and math.isfinite(spread)):
        return number(mean)
    size = max(abs(mean), spread)
    power = 0 if 1e-3 <= size < 1e5 else math.floor(math.log10(size))
    decimals = max(power + 1 - math.floor(math.log10(spread)), 0)  # two digits of the spread
    if decimals > 6:
        return f"{mean:.7g} ± {spread:.1g}"
    text = f"{mean / 10.0**power:.{decimals}f} ± {spread / 10.0**power:.{decimals}f}"
    return f"({text})e{power}" if power else text


def shown_at(measured: Measured, where: Where) -> str:
    """Return a figure with its spread, and where it is."""
    return f"{with_spread(measured.at(where))} ({', '.join(where)})"


@dataclass(frozen=True)
class Below:
    """In every run one figure is smaller than another.

    Attributes
    ----------
    text : str
        The claim, in a sentence.
    smaller, larger : tuple of str
        Where the two figures are: condition and name.
    factor : float
        How many times as large the larger one is at least.
    """

    text: str
    smaller: Where
    larger: Where
    factor: float = 1.0

    def holds(self, measured: Measured) -> bool:
        """Whether it is so in every run."""
        return bool(np.all(self.factor * measured.at(self.smaller) < measured.at(self.larger)))

    def evidence(self, measured: Measured) -> str:
        """Return the two figures as text."""
        times = f"{number(self.factor)} times " if self.factor != 1 else ""
        return f"{times}{shown_at(measured, self.smaller)} < {shown_at(measured, self.larger)}"


@dataclass(frozen=True)
class Between:
    """In every run a figure is between two values.

    Attributes
    ----------
    text : str
        The claim, in a sentence.
    where : tuple of str
        Where the figure is: condition and name.
    low, high : float
        The limits; they belong to the range.
    """

    text: str
    where: Where
    low: float
    high: float

    def holds(self, measured: Measured) -> bool:
        """Whether it is so in every run."""
        values = measured.at(self.where)
        return bool(np.all((self.low <= values) & (values <= self.high)))

    def evidence(self, measured: Measured) -> str:
        """Return the figure and its limits as text."""
        return f"{shown_at(measured, self.where)}; between {self.low:g} and {self.high:g}"


Claim = Below | Between
