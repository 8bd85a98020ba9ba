"""Training of nets: the trainer, callbacks, ensembles, the history and the learning-rate range test."""

from fastnn.training._progress import ProgressBar
from fastnn.training.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from fastnn.training.checkpoints import Checkpoint
from fastnn.training.diverged import TrainingDiverged
from fastnn.training.ensembles import Ensemble
from fastnn.training.history import History
from fastnn.training.logs import CSVLog, TimeLimit
from fastnn.training.lr_range import LRRange, lr_range_test
from fastnn.training.trainer import Trainer

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Ensemble",
    "History",
    "LRRange",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TimeLimit",
    "Trainer",
    "TrainingDiverged",
    "lr_range_test",
]


def __dir__() -> list[str]:
    return __all__
