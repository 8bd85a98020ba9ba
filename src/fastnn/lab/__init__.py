"""The lab: what study posts claim, as short experiments that end in a table, a picture and a verdict."""

from fastnn.lab._catalogue import POSTS, QUESTIONS, experiment, names
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._experiment import Experiment, Result
from fastnn.lab._pages import write_page
from fastnn.lab._tasks import Task, fit, net, real

__all__ = [
    "POSTS",
    "QUESTIONS",
    "Below",
    "Between",
    "Experiment",
    "Figures",
    "Measured",
    "Result",
    "Task",
    "experiment",
    "fit",
    "names",
    "net",
    "real",
    "write_page",
]


def __dir__() -> list[str]:
    return __all__
