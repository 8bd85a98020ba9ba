"""Diagnosis: what keeps a net from learning, statistics of a training, and checks of gradients."""

from fastnn.diagnosis._diagnose import diagnose
from fastnn.diagnosis._findings import KINDS, Finding, Gain
from fastnn.diagnosis._observations import LayerFigures, Observation, ParameterFigures
from fastnn.diagnosis._report import Report
from fastnn.diagnosis._setup import Run, Setup
from fastnn.diagnosis.gradients import BlockReport, EntryReport, GradientReport, check_gradient, check_gradients
from fastnn.diagnosis.landscape import LossLine, hessian, loss_along_line
from fastnn.diagnosis.recorders import Histogram, HistogramRecord, Histograms, Trace
from fastnn.diagnosis.watch import Watch

__all__ = [
    "KINDS",
    "BlockReport",
    "EntryReport",
    "Finding",
    "Gain",
    "GradientReport",
    "Histogram",
    "HistogramRecord",
    "Histograms",
    "LayerFigures",
    "LossLine",
    "Observation",
    "ParameterFigures",
    "Report",
    "Run",
    "Setup",
    "Trace",
    "Watch",
    "check_gradient",
    "check_gradients",
    "diagnose",
    "hessian",
    "loss_along_line",
]


def __dir__() -> list[str]:
    return __all__
