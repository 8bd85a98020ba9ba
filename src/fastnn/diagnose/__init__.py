"""Looking at nets: whether their gradients are right."""

from fastnn.diagnose.gradients import BlockReport, GradientReport, check_gradients

__all__ = ["BlockReport", "GradientReport", "check_gradients"]
