"""`Report`: what a diagnosis has found."""

from __future__ import annotations

from dataclasses import dataclass, field

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

    def __hash__(self) -> int:
        return hash(self.findings)

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
        head = f"A new net, trained as this one for {trained}: {self.figure} {figure_text(self.before)} "
        head += f"(+- {self.error:.3f}) on {self.rows} rows held out; guessing: {figure_text(self.chance)}"
        if self.now is not None:
            head += f"; the net as it is: {figure_text(self.now)}"
        head += "."
        if self.healthy:
            head += "\nNo fault found. Notes:" if self.findings else "\nNo fault found."
        elif any(each.gain is not None for each in self.findings):
            head += "\nGains are those of new nets: after a change build the net again, and train it."
        return "\n\n".join([head, *(f"{i}. {each}" for i, each in enumerate(self.findings, 1))])
