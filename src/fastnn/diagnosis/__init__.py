"""Diagnosis: what keeps a net from learning, statistics of a training, and checks of gradients."""

from typing import TYPE_CHECKING

from fastnn._habits import module_getattr
from fastnn.diagnosis._diagnose import diagnose
from fastnn.diagnosis._findings import KINDS, Finding, Gain
from fastnn.diagnosis._observations import LayerFigures, Observation, ParameterFigures
from fastnn.diagnosis._report import Report
from fastnn.diagnosis._setup import Run, Setup
from fastnn.diagnosis.gradients import BlockReport, EntryReport, GradientReport, check_gradient, check_gradients
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

_LATER = {  # which few programs need, so that `import fastnn` does not wait for them
    "landscape": ("LossLine", "hessian", "loss_along_line"),
    "recorders": ("Histogram", "HistogramRecord", "Histograms", "Trace"),
}

if TYPE_CHECKING:
    from fastnn.diagnosis.landscape import LossLine, hessian, loss_along_line
    from fastnn.diagnosis.recorders import Histogram, HistogramRecord, Histograms, Trace
else:
    __getattr__ = module_getattr("fastnn.diagnosis", __all__, later=_LATER)


def __dir__() -> list[str]:
    return __all__
