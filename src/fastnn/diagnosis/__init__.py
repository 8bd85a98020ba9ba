"""Diagnosis: what keeps a net from learning, and checks of its gradients."""

from fastnn.diagnosis._findings import KINDS, Finding, Gain
from fastnn.diagnosis._report import Report
from fastnn.diagnosis._setup import Run, Setup
from fastnn.diagnosis.diagnose import diagnose
from fastnn.diagnosis.gradients import BlockReport, EntryReport, GradientReport, check_gradient, check_gradients

__all__ = [
    "KINDS",
    "BlockReport",
    "EntryReport",
    "Finding",
    "Gain",
    "GradientReport",
    "Report",
    "Run",
    "Setup",
    "check_gradient",
    "check_gradients",
    "diagnose",
]


def __dir__() -> list[str]:
    return __all__
