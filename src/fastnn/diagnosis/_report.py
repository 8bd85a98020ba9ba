"""`Report`: what a diagnosis has found."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from fastnn.diagnosis._findings import Finding, figure_text
from fastnn.diagnosis._setup import Setup

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """The result of `fastnn.diagnose`; ``print(report)`` shows it.

    Attributes
    ----------
    findings : tuple of Finding
        The most important first.
    figure : str
        What says how good the net is: "accuracy", "balanced accuracy" or "R2".
    before, error : float
        This figure on the rows held out, of a new training as it is, and its standard error.
    now : float or None
        The same of the net as it was given; None if it has not been trained, which `training_steps` says. Without
        validation data the net may have seen the rows.
    chance : float
        The same of always the same answer.
    rows : int
        Number of rows held out.
    epochs : int
        Number of epochs that the training was run for; fewer than the fit has if that would have taken too long.
    proved : bool
        Whether the changes have been tried on complete trainings, with several seeds.
    setup : Setup
        The training that was diagnosed, for `Finding.apply`.
    seed : int
        That of `fastnn.diagnose`, which chooses the rows held out.
    """

    findings: tuple[Finding, ...]
    figure: str
    before: float
    error: float
    now: float | None
    chance: float
    rows: int
    epochs: int
    proved: bool
    setup: Setup = field(repr=False, compare=False)
    seed: int = field(default=0, repr=False, compare=False)

    def __hash__(self) -> int:
        return hash(self.findings)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickles hold: all but the pictures."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the findings, in order."""
        return tuple(each.kind for each in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there is nothing but notes."""
        return all(each.severity == "note" for each in self.findings)

    @property
    def _head(self) -> str:
        """What is said of the whole: a sentence or more on each line."""
        trained = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        head = f"A new net, trained as this one for {trained}: {self.figure} {figure_text(self.before)} "
        head += f"(+- {self.error:.3f}) on {self.rows} rows held out; guessing: {figure_text(self.chance)}"
        if self.now is not None:
            head += f"; the net as it is: {figure_text(self.now)}"
        head += "."
        if self.healthy:
            head += "\nNo fault found. Notes:" if self.findings else "\nNo fault found."
        elif any(each.gain is not None for each in self.findings):
            head += "\nGains are those of new nets: after a change build the net again, and train it."
        return head

    def __str__(self) -> str:
        return "\n\n".join([self._head, *(f"{i}. {each}" for i, each in enumerate(self.findings, 1))])

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as a page with pictures: one file that needs no other one, and no network.

        Pictures show the rows, the net and short runs of the training. To make them takes some seconds, once for each
        report; without matplotlib the page has all but them. The file has class labels, figures of the columns of X and
        the entries of a few rows: look at it before you send it to somebody.

        Parameters
        ----------
        path : str or os.PathLike
            Of the file, which is replaced if it exists.

        Raises
        ------
        TypeError, ValueError, OSError
            If `path` is not that of a file, or the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> X, y = np.random.default_rng(0).normal(size=(200, 2)), np.arange(200) % 2
        >>> report = fastnn.diagnose(nn.Sequential(nn.Dense(2, 8), nn.ReLU(), nn.Dense(8, 2), seed=0), X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report.to_html(f"{folder}/report.html")
        """
        from fastnn.plot._report_page import write

        write(self, path)

    def _repr_html_(self) -> str:
        """Return what notebooks show: the report with its pictures."""
        from fastnn.plot._report_page import fragment

        return fragment(self)

    @cached_property
    def _pictures(self) -> list[tuple[str, str]]:
        """The pictures of each finding as HTML, which are drawn once: they need trainings."""
        from fastnn.plot._report_page import pictures

        return pictures(self)
