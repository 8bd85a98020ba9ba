"""Diagnosis of nets: a check of their gradients."""

from fastnn.diagnosis.gradients import BlockReport, EntryReport, GradientReport, check_gradient, check_gradients

__all__ = ["BlockReport", "EntryReport", "GradientReport", "check_gradient", "check_gradients"]


def __dir__() -> list[str]:
    return __all__
