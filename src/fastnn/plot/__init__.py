"""Pictures of nets and trainings, by matplotlib, which the extra ``plot`` installs."""

from fastnn.plot.landscapes import eigenvalues, loss_line, paths
from fastnn.plot.nets import decision_boundary, hidden_units, net, unit_responses

__all__ = [
    "decision_boundary",
    "eigenvalues",
    "hidden_units",
    "loss_line",
    "net",
    "paths",
    "unit_responses",
]


def __dir__() -> list[str]:
    return __all__
