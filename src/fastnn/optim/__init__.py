"""Optimisers and learning-rate schedules."""

from fastnn.optim import update_classes
from fastnn.optim.base import NO_DECAY, Group, Optimizer, Penalty
from fastnn.optim.full_batch import LBFGS, FullBatch, Newton
from fastnn.optim.optimizers import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, RMSprop
from fastnn.optim.schedules import (
    SCHEDULES,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    InverseTimeLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    Schedule,
    SequentialLR,
    StepLR,
    WarmupLR,
)
from fastnn.optim.update_classes import *

__all__ = [
    "LBFGS",
    "NO_DECAY",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "FullBatch",
    "Group",
    "InverseTimeLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "Newton",
    "OneCycleLR",
    "Optimizer",
    "Penalty",
    "PolynomialLR",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
]
__all__ += update_classes.__all__


def __dir__() -> list[str]:
    return __all__
