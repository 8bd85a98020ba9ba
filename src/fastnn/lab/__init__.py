"""The lab: what the study posts claim, as short experiments that end in a table, a picture and a verdict."""

from fastnn.lab._claims import Below, Between, Measured
from fastnn.lab._experiment import POSTS, QUESTIONS, Experiment, Result, experiment, names

__all__ = ["POSTS", "QUESTIONS", "Below", "Between", "Experiment", "Measured", "Result", "experiment", "names"]


def __dir__() -> list[str]:
    return __all__
