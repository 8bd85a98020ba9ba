"""Layers, nets, losses and initialisers."""

from typing import TYPE_CHECKING

from fastnn._habits import module_getattr
from fastnn._records import from_config
from fastnn.nn import activations, init, loss_classes
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
from fastnn.nn.containers import Columns, Parallel, Residual
from fastnn.nn.embedding import Embedding, Embeddings
from fastnn.nn.heads import HeadsLoss
from fastnn.nn.layers import Dense, Dropout, Layer
from fastnn.nn.loss_classes import *
from fastnn.nn.losses import CustomLoss, Loss, SmoothL1Loss
from fastnn.nn.norms import BatchNorm, LayerNorm, RMSNorm
from fastnn.nn.numeric import Periodic, PiecewiseLinear, ScaleColumns
from fastnn.nn.sequential import Sequential

__all__ = [
    "GELU",
    "Activation",
    "BatchNorm",
    "Columns",
    "CustomActivation",
    "CustomLoss",
    "Dense",
    "Dropout",
    "Embedding",
    "Embeddings",
    "HeadsLoss",
    "Identity",
    "Layer",
    "LayerNorm",
    "LogSoftmax",
    "Loss",
    "PReLU",
    "Parallel",
    "Periodic",
    "PiecewiseLinear",
    "Predictor",
    "RMSNorm",
    "Residual",
    "ScaleColumns",
    "Sequential",
    "SmoothL1Loss",
    "Softmax",
    "activation",
    "from_config",
    "init",
    "register_activation",
]

globals().update(activations.LAYERS)
__all__ += list(activations.LAYERS)
__all__ += loss_classes.__all__

_LATER = {"predictor": ("Predictor",)}  # imported when they are first asked for

if TYPE_CHECKING:
    from fastnn.nn.predictor import Predictor

    def __getattr__(name: str) -> type[Activation]: ...
else:
    __getattr__ = module_getattr("fastnn.nn", __all__, later=_LATER)


def __dir__() -> list[str]:
    return __all__
