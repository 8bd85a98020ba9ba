"""Optimisers and learning-rate schedules."""

from fastnn.optim.optimizers import SGD, Adam, Optimizer, RMSprop
from fastnn.optim.schedules import CosineAnnealingLR, ExponentialLR, LambdaLR, LinearLR, Schedule, StepLR

__all__ = [
    "SGD",
    "Adam",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "StepLR",
]
