"""`Finding`: one thing that is wrong with a training, and what to change."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn.diagnosis._setup import Setup

__all__ = ["KINDS", "SEVERITIES", "Finding", "Gain"]

WIDTH = 100  # of a printed line
SEVERITIES = ("note", "warning", "error")

KINDS: Mapping[str, str] = {
    "columns": "columns of the input that are constant, equal to another, or not finite",
    "labels": "labels that do not fit the rows, or have a wrong form",
    "loss": "a loss for targets of another kind",
    "output-activation": "a last layer that does not go with the loss or the targets",
    "linear": "layers without an activation between them",
    "input-scale": "columns of very different scales, or far from 0",
    "target-scale": "targets that are large, tiny or far from 0",
    "symmetry": "units that are equal and stay equal",
    "initialisation": "initial weights too large or too small for the width",
    "saturation": "activations where they are flat",
    "dead-units": "units that are 0 for all rows",
    "vanishing-gradient": "gradients that become smaller from layer to layer",
    "exploding-gradient": "gradients that become larger from layer to layer",
    "batch-norm": "batch norm whose batches are too small, or whose running statistics do not fit",
    "initial-loss": "a loss before training that is far above that of guessing",
    "nonfinite": "a training that ends with NaN or infinity",
    "learning-rate-high": "a learning rate with which the loss jumps or grows",
    "learning-rate-low": "a learning rate with which the loss falls too slowly",
    "epochs": "a training that ends too early",
    "batch-size": "batches so large that there are too few steps, or so small that steps are noise",
    "regularisation": "dropout or penalties so strong that the net cannot learn",
    "units": "layers too narrow for the task",
    "overfitting": "a net that learns its rows by heart",
    "imbalance": "a rare class that the accuracy hides",
    "cannot-fit": "a net that cannot even learn 32 rows",
    "validation": "no validation data, or some in other units",
}
"""What each kind of finding means. Where two findings weigh the same, causes stand before what follows from them."""


@dataclass(frozen=True)
class Gain:
    """What a change has gained on rows that the training has not seen.

    Attributes
    ----------
    figure : str
        "accuracy", "balanced accuracy" or "R2".
    before, after : float
        The figure of the training as it is, and of the changed one; means over the seeds.
    error : float
        The standard error of their difference.
    rows, seeds : int
        Number of rows held out, and of trainings of each.
    chance : float
        The figure of always the same answer.
    together : tuple of str
        The kinds whose changes were made with this one, as none of them helps alone; mostly empty.
    fair : bool
        Whether the changed training was no shorter than the one as it is.
    errors_needed, least : float
        How many standard errors the gain has to exceed to count, and the least gain that counts. They depend on how
        sure the check is that has suspected the fault.
    """

    figure: str
    before: float
    after: float
    error: float
    rows: int
    seeds: int
    chance: float
    together: tuple[str, ...] = ()
    fair: bool = True
    errors_needed: float = 2.0
    least: float = 0.01

    @property
    def difference(self) -> float:
        """What the change has gained."""
        return self.after - self.before

    @property
    def helps(self) -> bool:
        """Whether the gain is large enough and beyond chance, and the net then better than guessing."""
        enough = self.difference >= self.least and self.difference > self.errors_needed * self.error
        return enough and self.after > self.chance + 0.05 * (1.0 - self.chance)

    def __str__(self) -> str:
        seeds = f", {self.seeds} seeds" if self.seeds > 1 else ""
        together = f", together with {' and '.join(self.together)}" if self.together else ""
        change = f"{figure_text(self.before)} -> {figure_text(self.after)} (+- {self.error:.3f})"
        return f"{self.figure} {change} on {self.rows} rows held out{seeds}{together}"


def figure_text(figure: float) -> str:
    """Return a figure as text; R2 is not followed below -1."""
    return "below -1" if figure <= -1.0 else f"{figure:.3f}"


@dataclass(frozen=True)
class Finding:
    """One thing that a diagnosis has found.

    Attributes
    ----------
    kind : str
        One of `fastnn.diagnosis.KINDS`.
    severity : {"note", "warning", "error"}
        "error": the training cannot work, or becomes much better by the change. "warning": it becomes better.
        "note": good to know, and no change is shown to help.
    why : str
        What is wrong, in one sentence.
    change : str
        What to do: code, of the names `net`, `trainer`, `X` and `y`, or what to look at. The figures of `gain` are
        those of new nets: build the net again, and train it.
    evidence : mapping of str to object
        The numbers that it rests on.
    gain : Gain or None
        What the change has gained, if it was tried.
    """

    kind: str
    severity: str
    why: str
    change: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    gain: Gain | None = None
    _apply: Callable[[Setup], Setup] | None = field(default=None, repr=False, compare=False)

    def __hash__(self) -> int:
        return hash((self.kind, self.severity, self.why))

    def __reduce__(self) -> Any:
        """Return what pickles hold: all but the function that makes the change."""
        return Finding, (self.kind, self.severity, self.why, self.change, self.evidence, self.gain)

    def _repr_html_(self) -> str:
        """Return what notebooks show."""
        from fastnn.plot._report_page import finding_fragment

        return finding_fragment(self)

    @property
    def can_apply(self) -> bool:
        """Whether `apply` can make the change."""
        return self._apply is not None

    def apply(self, setup: Setup) -> Setup:
        """Return a training with the change made, if fastnn can make it by itself; otherwise the same training.

        Parameters
        ----------
        setup : Setup
            As in `Report.setup`; also one with other rows.

        Returns
        -------
        Setup

        Raises
        ------
        TypeError, ValueError
            If the change does not go with this training.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> X = np.random.default_rng(0).normal(size=(200, 2)) * [1.0, 1000.0]
        >>> y = (X[:, 0] > X[:, 1] / 1000).astype(int)
        >>> net = nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, 2), seed=0)
        >>> report = fastnn.diagnose(net, X, y, epochs=40, batch_size=16)
        >>> before, after = report.setup.fit(), report.findings[0].apply(report.setup).fit()
        >>> after.trainer.evaluate(X, y)["accuracy"] > before.trainer.evaluate(X, y)["accuracy"] + 0.1
        True
        """
        v.instance("setup", setup, Setup, "be a Setup", "write finding.apply(report.setup)")
        return setup if self._apply is None else self._apply(setup)

    def __str__(self) -> str:
        numbers = "; ".join(f"{name} {shown(value, name)}" for name, value in self.evidence.items())
        lines = [f"{self.severity}: {self.kind}", *_wrapped("", self.why)]
        if numbers:
            lines += _wrapped("evidence: ", numbers)
        if self.gain is not None:
            lines.append(f"  tried: {self.gain}")
        label = "possible change: " if self.severity == "note" else "change: "
        lines += [f"  {' ' * len(label) if i else label}{line}" for i, line in enumerate(self.change.splitlines())]
        return "\n".join(lines)


def _wrapped(label: str, text: str) -> list[str]:
    """Return text in indented lines that a terminal shows whole."""
    return textwrap.wrap(label + text, WIDTH, initial_indent="  ", subsequent_indent="  " + " " * len(label))


def shown(value: Any, name: str = "") -> str:
    """Return a value of the evidence, which has this name, as text."""
    if isinstance(value, float | np.floating):
        return figure_text(float(value)) if name.startswith("R2") else f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(each)}" for key, each in list(value.items())[:8])
    if isinstance(value, list | tuple):
        few = [shown(each) for each in value[:6]]
        return f"[{', '.join(few)}{', ...' if len(value) > 6 else ''}]"
    return str(value)


@dataclass(frozen=True)
class Suspicion:
    """What a check suspects, before the change has been tried.

    Checks yield them; `_ranking` makes findings of them.

    Attributes
    ----------
    kind, why, change, evidence
        As in `Finding`.
    prior : float
        How sure the check is, from 0 to 1, before the change is tried.
    apply : callable or None
        Makes the change in a setup: its code takes the place of `change`.
    hint : str
        What else may help, as a comment below that code.
    judged_by : {"trial", "certain", "evidence", "note"}
        How its severity is found. "trial": by what the change gains; "certain": it is an error whatever a trial says,
        as the training cannot run or cannot be right; "evidence": a warning at least; "note": it is a note.
    """

    kind: str
    prior: float
    why: str
    change: str
    evidence: Mapping[str, Any]
    apply: Callable[[Setup], Setup] | None = None
    judged_by: str = "trial"
    hint: str = ""
