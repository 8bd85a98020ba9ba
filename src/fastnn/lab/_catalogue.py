"""The experiments of the lab by name, question and post, and those in files of the user's."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path

from fastnn import _validation as v
from fastnn._names import suggestion
from fastnn.lab import experiments
from fastnn.lab._experiment import Experiment

POSTS: Mapping[str, str] = {
    "000": "Why to normalise inputs, and tanh against sigmoid",
    "001": "How to train a net: optimisers, regularisation, batch norm",
    "002": "Initial weights, and checking gradients",
    "003": "Vanishing gradients and other activations",
    "004": "Activations, initial weights, vectorised code",
}
"""The study posts, by their number."""

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


def names() -> list[str]:
    """Return the names of all experiments, in the order of the questions."""
    return [each.name for each in everything()]


def everything() -> list[Experiment]:
    """Return all experiments, in the order of the questions and of the posts."""
    modules = [each.name for each in pkgutil.iter_modules(experiments.__path__)]
    found = [Experiment.of(importlib.import_module(f"{experiments.__name__}.{name}")) for name in modules]
    return sorted(found, key=lambda each: (QUESTIONS.index(each.question), each.post, each.name))


def experiment(name: str) -> Experiment:
    """Return an experiment of the lab, or one in a file.

    Parameters
    ----------
    name : str
        As ``python -m fastnn lab list`` shows it, or the path of a file, which ends in ".py".

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If there is none, or if the file lacks a part of an experiment.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from fastnn import lab
    >>> found = lab.experiment("nested-sigmoid")
    >>> found.post, found.question
    ('003', 'Which activation?')
    >>> found.run(seeds=1).holds
    True
    """
    if v.instance("experiment", name, str, "be a string").endswith(".py"):
        return _of_file(Path(name))
    modules = {each.name.replace("_", "-"): each.name for each in pkgutil.iter_modules(experiments.__path__)}
    key = name.replace("_", "-")
    if key not in modules:
        fix = suggestion(name, modules) or "`python -m fastnn lab list` shows all"
        v.refuse(ValueError, "experiment", "be one of the lab, or the path of a .py file", v.shown(name), fix)
    return Experiment.of(importlib.import_module(f"{experiments.__name__}.{modules[key]}"))


def _of_file(path: Path) -> Experiment:
    """Return the experiment in a file, which is run as a module is."""
    if not path.is_file():
        v.refuse(FileNotFoundError, "experiment", "be the path of a file", v.shown(str(path)))
    name = f"fastnn.lab.own.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # as the path ends in ".py"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return Experiment.of(module)
