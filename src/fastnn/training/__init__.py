"""Training of nets: the trainer, callbacks, ensembles, the history and the learning-rate range test."""

from fastnn.training.callbacks import Callback, EarlyStopping, ProgressBar, ReduceLROnPlateau
from fastnn.training.diverged import TrainingDiverged
from fastnn.training.ensembles import Ensemble
from fastnn.training.history import History
from fastnn.training.lr_range import LRRange, lr_range_test
from fastnn.training.trainer import Trainer

__all__ = [
    "Callback",
    "EarlyStopping",
    "Ensemble",
    "History",
    "LRRange",
    "ProgressBar",
    "ReduceLROnPlateau",
    "Trainer",
    "TrainingDiverged",
    "lr_range_test",
]


def __dir__() -> list[str]:
    return __all__
