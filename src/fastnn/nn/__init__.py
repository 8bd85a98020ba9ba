"""Layers, nets, losses and initialisers."""

from typing import TYPE_CHECKING

from fastnn.nn import activations, init
from fastnn.nn.activations import (
    GELU,
    Activation,
    CustomActivation,
    Identity,
    LogSoftmax,
    PReLU,
    Softmax,
    activation,
    register_activation,
)
from fastnn.nn.layers import BatchNorm, Dense, Dropout, Layer
from fastnn.nn.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    CustomLoss,
    HingeLoss,
    HuberLoss,
    L1Loss,
    LogCoshLoss,
    LogLoss,
    Loss,
    MSELoss,
    MultiMarginLoss,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
    SquaredHingeLoss,
)
from fastnn.nn.sequential import Sequential

__all__ = [
    "GELU",
    "Activation",
    "BCEWithLogitsLoss",
    "BatchNorm",
    "CrossEntropyLoss",
    "CustomActivation",
    "CustomLoss",
    "Dense",
    "Dropout",
    "HingeLoss",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "Layer",
    "LogCoshLoss",
    "LogLoss",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MultiMarginLoss",
    "PReLU",
    "PoissonNLLLoss",
    "QuantileLoss",
    "Sequential",
    "SmoothL1Loss",
    "Softmax",
    "SquaredHingeLoss",
    "activation",
    "init",
    "register_activation",
]

globals().update(activations.LAYERS)
__all__ += list(activations.LAYERS)

if TYPE_CHECKING:

    def __getattr__(name: str) -> type[Activation]: ...
