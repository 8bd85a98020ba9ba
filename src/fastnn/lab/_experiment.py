"""`Experiment`: a module of `fastnn.lab.experiments` as an object; `Result`: what a run of it has found."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fastnn import _validation as v
from fastnn._names import suggestion
from fastnn.lab import experiments
from fastnn.lab._claims import Claim, Figures, Measured
from fastnn.lab._words import columns, sections
from fastnn.plot import _style

POSTS: Mapping[str, str] = {
    "000": "Why to normalise inputs, and tanh against sigmoid",
    "001": "How to train a net: optimisers, regularisation, batch norm",
    "002": "Initial weights, and checking gradients",
    "003": "Vanishing gradients and other activations",
    "004": "Activations, initial weights, vectorised code",
}
"""The study posts, by their number."""

PANEL = (5.2, 3.4)
"""Width and height in inches of one of several panels on a page."""

QUESTIONS = (
    "Which activation?",
    "How to begin?",
    "Which inputs?",
    "Is the gradient right?",
    "Which optimiser?",
    "What helps against overfitting?",
    "What does batch norm do?",
    "How large a net, how much data?",
    "How to write it?",
)
"""What the experiments answer, in the order in which one may ask."""


@dataclass(frozen=True)
class Experiment:
    """One claim of a study post as a program of some lines, with its text.

    Attributes
    ----------
    name : str
        As the command line has it, such as "sigmoid-tanh".
    title : str
    text : mapping of str to str
        The sections of the module's docstring.
    post, question : str
        One of `POSTS`, one of `QUESTIONS`.
    twins : tuple of str
        Functions of `fastnn.reference` that the experiment is about.
    seeds : int
        How many runs there are, from the seeds 0, 1, ...
    measure : callable
        Takes a seed, and returns the figures of one run.
    claims : tuple of Below or Between
        What has to hold of the figures.
    panels : int
        The number of panels of the picture.
    draw : callable
        Takes the figures of all runs and the panels, and draws.
    source : str
        The text of the file.
    """

    name: str
    title: str
    text: Mapping[str, str]
    post: str
    question: str
    twins: tuple[str, ...]
    seeds: int
    measure: Callable[[int], Figures]
    claims: tuple[Claim, ...]
    panels: int
    draw: Callable[..., None]
    source: str

    @classmethod
    def of(cls, module: ModuleType) -> Experiment:
        """Return the experiment that a module describes."""
        source = inspect.getsource(module)
        title, text = sections(module.__doc__ or "")
        return cls(
            name_of(module.__name__),
            title,
            text,
            module.POST,
            module.QUESTION,
            module.TWINS,
            module.SEEDS,
            module.measure,
            module.CLAIMS,
            getattr(module, "PANELS", 1),
            module.draw,
            source,
        )

    def run(self, seeds: int | None = None) -> Result:
        """Run it with some seeds, by default all of its own."""
        start = time.perf_counter()
        measured = Measured([self.measure(seed) for seed in range(self.seeds if seeds is None else seeds)])
        return Result(self, measured, time.perf_counter() - start)


@dataclass(frozen=True)
class Result:
    """What the runs of an experiment have found; ``print(result)`` shows it.

    Attributes
    ----------
    experiment : Experiment
    measured : Measured
        All figures.
    seconds : float
        How long the runs took.
    """

    experiment: Experiment
    measured: Measured
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether all claims hold."""
        return all(claim.holds(self.measured) for claim in self.experiment.claims)

    @property
    def verdicts(self) -> Sequence[tuple[bool, str, str]]:
        """Of each claim whether it holds, what it says, and the figures."""
        return [(c.holds(self.measured), c.text, c.evidence(self.measured)) for c in self.experiment.claims]

    def figure(self) -> Any:
        """Draw the picture.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        with _style.styled():
            made, panels = _style.figure(self.experiment.panels)
            self._draw(panels)
        return made

    @functools.cached_property
    def panel_images(self) -> Sequence[str]:
        """Each panel of the picture as an HTML element of its own, which a page can put where there is room."""
        with _style.styled():
            made = [
                _style.figure(1, *PANEL if self.experiment.panels > 1 else ()) for _ in range(self.experiment.panels)
            ]
            self._draw([panel for _, (panel,) in made])
            for _, (panel,) in made:
                if panel.get_legend() is None:  # each may stand alone
                    _style.legend(panel)
        alt = f"The figures of the table: {self.experiment.title}"
        return [_style.image(each, alt) for each, _ in made]

    def _draw(self, panels: Sequence[Any]) -> None:
        self.experiment.draw(self.measured, *panels)

    def __str__(self) -> str:
        header, rows = self.measured.numbers()
        runs = "one run" if self.measured.seeds == 1 else f"{self.measured.seeds} runs, mean ± standard deviation"
        lines = [f"{self.experiment.name}: {self.experiment.title}", "", *columns([header, *rows]), ""]
        for holds, text, evidence in self.verdicts:
            lines += [f"{'shown' if holds else 'NOT SHOWN'}: {text}", f"    {evidence}"]
        return "\n".join([*lines, "", f"{runs}, {self.seconds:.1f} s"])


def name_of(module: str) -> str:
    """Return the name of the experiment in a module."""
    return module.rpartition(".")[2].replace("_", "-")


def names() -> list[str]:
    """Return the names of all experiments, in the order of the questions."""
    return [each.name for each in everything()]


def everything() -> list[Experiment]:
    """Return all experiments, in the order of the questions and of the posts."""
    modules = [each.name for each in pkgutil.iter_modules(experiments.__path__)]
    found = [Experiment.of(importlib.import_module(f"{experiments.__name__}.{name}")) for name in modules]
    return sorted(found, key=lambda each: (QUESTIONS.index(each.question), each.post, each.name))


def experiment(name: str) -> Experiment:
    """Return the experiment of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    modules = {name_of(each.name): each.name for each in pkgutil.iter_modules(experiments.__path__)}
    if name.replace("_", "-") not in modules:
        fix = suggestion(name, modules) or "`python -m fastnn lab list` shows all"
        v.refuse(ValueError, "experiment", "be one of the lab", v.shown(name), fix)
    return Experiment.of(importlib.import_module(f"{experiments.__name__}.{modules[name.replace('_', '-')]}"))
