"""Diagnosis of nets: a check of their gradients."""

from fastnn.diagnosis.gradients import BlockReport, GradientReport, check_gradients

__all__ = ["BlockReport", "GradientReport", "check_gradients"]


def __dir__() -> list[str]:
    return __all__
