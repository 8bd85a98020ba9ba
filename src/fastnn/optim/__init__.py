"""Optimisers, learning-rate schedules and averages of parameters."""

from typing import TYPE_CHECKING

from fastnn._habits import module_getattr
from fastnn.optim import update_classes
from fastnn.optim.averages import EMA, SWA, Average
from fastnn.optim.base import NO_DECAY, Group, Optimizer, Penalty
from fastnn.optim.combined_schedules import SCHEDULES, ChainedScheduler, SequentialLR, WarmupLR
from fastnn.optim.full_batch import LBFGS, FullBatch, Newton
from fastnn.optim.optimizers import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, RMSprop
from fastnn.optim.schedules import (
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
    StepLR,
)
from fastnn.optim.update_classes import *

__all__ = [
    "EMA",
    "LBFGS",
    "NO_DECAY",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "SWA",
    "Adagrad",
    "Adam",
    "AdamW",
    "Average",
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

if not TYPE_CHECKING:
    __getattr__ = module_getattr("fastnn.optim", __all__)


def __dir__() -> list[str]:
    return __all__
