"""`Experiment`: a file that tests a claim, as an object; `Result`: what a run of it has found."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fastnn import _validation as v
from fastnn.lab._claims import Claim, Figures, Measured
from fastnn.lab._words import columns, sections
from fastnn.plot import _style

PANEL = (5.2, 3.4)
"""Width and height in inches of one of several panels on a page."""


@dataclass(frozen=True)
class Experiment:
    """One claim as a program of some lines, with its text.

    Attributes
    ----------
    name : str
        As the command line has it, such as "sigmoid-tanh".
    title : str
        The first line of the module's docstring.
    text : mapping of str to str
        The sections of the docstring, by their headings.
    post, question : str
        Where the claim comes from, one of `POSTS`, and what it answers, one of `QUESTIONS`; "" if not given.
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
        """Return the experiment that a module describes.

        Raises
        ------
        ValueError
            If the module lacks `measure`, `CLAIMS` or `draw`.
        """
        missing = [each for each in ("measure", "CLAIMS", "draw") if not hasattr(module, each)]
        if missing:
            must = "define measure, CLAIMS and draw"
            v.refuse(ValueError, f"experiment {module.__name__}", must, f"no {', no '.join(missing)}")
        title, text = sections(module.__doc__ or "")
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        return cls(
            name,
            title or name,
            text,
            getattr(module, "POST", ""),
            getattr(module, "QUESTION", ""),
            getattr(module, "TWINS", ()),
            getattr(module, "SEEDS", 3),
            module.measure,
            tuple(module.CLAIMS),
            getattr(module, "PANELS", 1),
            module.draw,
            inspect.getsource(module),
        )

    def run(self, seeds: int | None = None) -> Result:
        """Run it.

        Parameters
        ----------
        seeds : int, optional
            The number of runs, with the seeds 0, 1, ...; by default that of the experiment.

        Returns
        -------
        Result

        Raises
        ------
        ImportError
            If it needs data of scikit-learn, and that is not installed.
        """
        count = self.seeds if seeds is None else v.integer("seeds", seeds, 1)
        with one_blas_thread():
            start = time.perf_counter()
            measured = Measured([self.measure(seed) for seed in range(count)])
            return Result(self, measured, time.perf_counter() - start)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit the BLAS of NumPy and SciPy to one thread, if threadpoolctl is installed, as it is with scikit-learn.

    The arrays of experiments are small: threads wait for each other longer than they work, on a busy machine ten times
    as long (in SciPy's L-BFGS).
    """
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
        importlib.import_module("sklearn.datasets")  # which loads SciPy's BLAS: only one that is loaded can be limited
    except ImportError:
        yield
        return
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


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
        return all(holds for holds, _, _ in self.verdicts)

    @property
    def verdicts(self) -> Sequence[tuple[bool, str, str]]:
        """Of each claim whether it holds, what it says, and the figures; one without figures does not hold."""
        return [self._verdict(claim) for claim in self.experiment.claims]

    def _verdict(self, claim: Claim) -> tuple[bool, str, str]:
        try:
            return claim.holds(self.measured), claim.text, claim.evidence(self.measured)
        except KeyError as error:  # after a change of the experiment's conditions
            return False, claim.text, f"not measured: {error.args[0]}"

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
        with _style.page_settings():
            made, panels = _style.figure(self.experiment.panels)
            self._draw(panels)
        return made

    @functools.cached_property
    def panel_images(self) -> Sequence[str]:
        """Each panel of the picture as an HTML element of its own, which a page can put where there is room."""
        with _style.page_settings():
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
