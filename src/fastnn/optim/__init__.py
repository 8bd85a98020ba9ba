"""Optimisers and learning-rate schedules."""

from fastnn.optim.optimizers import SGD, Adam, Optimizer, RMSprop
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

__all__ = [
    "SCHEDULES",
    "SGD",
    "Adam",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "InverseTimeLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
]
