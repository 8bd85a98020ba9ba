"""Pictures of nets and trainings, by matplotlib, which the extra ``plot`` installs."""

from typing import TYPE_CHECKING

from fastnn._habits import module_getattr
from fastnn.plot.landscapes import eigenvalues, loss_line, paths
from fastnn.plot.nets import decision_boundary, hidden_units, net, unit_responses
from fastnn.plot.trainings import gradient_flow, histograms, history, learning_rate, trajectories

__all__ = [
    "decision_boundary",
    "eigenvalues",
    "gradient_flow",
    "hidden_units",
    "histograms",
    "history",
    "learning_rate",
    "loss_line",
    "net",
    "paths",
    "trajectories",
    "unit_responses",
]

if not TYPE_CHECKING:
    __getattr__ = module_getattr("fastnn.plot", __all__)


def __dir__() -> list[str]:
    return __all__
