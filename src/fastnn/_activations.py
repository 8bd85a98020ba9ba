"""The registry of activations: one row each, from which kernels, checks, layers and documentation take what they need.

A row stands here, in ``FNN_ACTIVATIONS`` of csrc/fastnn.h and in the table of the NumPy twin, in the same order.
"""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Parameter:
    """A number that an activation takes: finite, low <= value, or low < value where `low` is `excluded`.

    `low` may name a parameter before it.
    """

    name: str
    default: float
    low: float | str = -math.inf
    excluded: bool = False


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes
    ----------
    torch : str
        The name of PyTorch's class, which is also the layer's.
    told_from : {"output", "input"}
        What the derivative is told from.
    parameters : tuple of Parameter
        At most two, in the order and by the names of PyTorch's.
    """

    torch: str
    told_from: Literal["output", "input"]
    parameters: tuple[Parameter, ...] = ()


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("Identity", "output"),
    "relu": Activation("ReLU", "output"),
    # The side is told from the sign of the output, which a negative slope would turn round.
    "leaky_relu": Activation("LeakyReLU", "output", (Parameter("negative_slope", 0.01, low=0),)),
    "sigmoid": Activation("Sigmoid", "output"),
    "tanh": Activation("Tanh", "output"),
}
