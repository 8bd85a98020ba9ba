"""fastnn trains and serves multilayer perceptrons on CPUs."""

from typing import TYPE_CHECKING

from fastnn import data, io, kernels, nn, optim, reference
from fastnn._config import backend, get_backend, get_num_threads, num_threads, set_backend, set_num_threads
from fastnn._habits import module_getattr
from fastnn._records import from_config
from fastnn._show_config import show_config
from fastnn._version import __version__
from fastnn.diagnosis import Watch, check_gradient, check_gradients, diagnose
from fastnn.io import load
from fastnn.training import (
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    Ensemble,
    History,
    ReduceLROnPlateau,
    TimeLimit,
    Trainer,
    TrainingDiverged,
    lr_range_test,
)

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Ensemble",
    "History",
    "ReduceLROnPlateau",
    "TimeLimit",
    "Trainer",
    "TrainingDiverged",
    "Watch",
    "__version__",
    "backend",
    "check_gradient",
    "check_gradients",
    "data",
    "diagnose",
    "from_config",
    "get_backend",
    "get_num_threads",
    "io",
    "kernels",
    "lab",
    "load",
    "lr_range_test",
    "nn",
    "num_threads",
    "optim",
    "plot",
    "reference",
    "set_backend",
    "set_num_threads",
    "show_config",
]

if TYPE_CHECKING:
    from fastnn import lab, plot
else:
    __getattr__ = module_getattr("fastnn", __all__, (nn, optim, data, kernels), later={"lab": (), "plot": ()})


def __dir__() -> list[str]:
    return __all__
