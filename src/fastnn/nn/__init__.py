"""Layers, nets and initialisers."""

from fastnn.nn import init
from fastnn.nn.layers import (
    Activation,
    BatchNorm,
    CustomActivation,
    Dense,
    Dropout,
    Identity,
    Layer,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Tanh,
)
from fastnn.nn.sequential import Sequential

__all__ = [
    "Activation",
    "BatchNorm",
    "CustomActivation",
    "Dense",
    "Dropout",
    "Identity",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "init",
]
