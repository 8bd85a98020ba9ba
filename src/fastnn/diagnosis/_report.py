"""`Report`: what a diagnosis has found."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastnn.diagnosis._findings import Finding
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
    before, chance : float
        This figure on the rows held out: of the training as it is, and of always the same answer.
    rows : int
        Number of rows held out.
    epochs : int
        Number of epochs that the training was run for; fewer than the fit has if that would have taken too long.
    proved : bool
        Whether the changes have been tried on complete trainings, with several seeds.
    setup : Setup
        The training that was diagnosed, for `Finding.apply`.
    """

    findings: tuple[Finding, ...]
    figure: str
    before: float
    chance: float
    rows: int
    epochs: int
    proved: bool
    setup: Setup = field(repr=False, compare=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the findings, in order."""
        return tuple(each.kind for each in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there is nothing but notes."""
        return all(each.severity == "note" for each in self.findings)

    def __str__(self) -> str:
        trained = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        head = f"{self.figure} {self.before:.3f} on {self.rows} rows held out, after {trained} "
        head += f"(guessing: {self.chance:.3f})"
        if self.healthy:
            head += "\nnothing is wrong that a diagnosis can see" if self.findings else "\nnothing found"
        return "\n\n".join([head, *(f"{i}. {each}" for i, each in enumerate(self.findings, 1))])
