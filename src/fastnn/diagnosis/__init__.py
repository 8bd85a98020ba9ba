"""Diagnosis of nets: a check of their gradients, and statistics of a training."""

from fastnn.diagnosis.gradients import BlockReport, GradientReport, check_gradients
from fastnn.diagnosis.watch import LayerFigures, Observation, ParameterFigures, Watch

__all__ = [
    "BlockReport",
    "GradientReport",
    "LayerFigures",
    "Observation",
    "ParameterFigures",
    "Watch",
    "check_gradients",
]


def __dir__() -> list[str]:
    return __all__
