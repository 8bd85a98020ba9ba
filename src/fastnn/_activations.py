"""The registry of activations: one row each, from which kernels, checks, layers and documentation take what they need.

A row stands here, in ``FNN_ACTIVATIONS`` of csrc/fastnn.h and in the table of the NumPy twin, in the same order.
"""

import math
from dataclasses import dataclass, field
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
    summary : str
        The formula, and who it is from: what the layer's docstring begins with.
    init : {"kaiming", "lecun", "xavier"}
        How a dense layer before it is initialised: with ReLU's gain, to keep the variance, or for what saturates.
    kinks : tuple of float or str
        Where the derivative jumps, numbers or names of parameters: what a gradient check keeps away from.
    """

    torch: str
    told_from: Literal["output", "input"]
    parameters: tuple[Parameter, ...] = ()
    summary: str = field(default="", kw_only=True)
    init: Literal["kaiming", "lecun", "xavier"] = field(default="kaiming", kw_only=True)
    kinks: tuple[float | str, ...] = field(default=(), kw_only=True)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("Identity", "output", summary="``y = x``.", init="xavier"),
    "relu": Activation("ReLU", "output", summary="``y = max(x, 0)``; its derivative at 0 is 0.", kinks=(0,)),
    "leaky_relu": Activation(
        "LeakyReLU",
        "output",
        # The side is told from the sign of the output, which a negative slope would turn round.
        (Parameter("negative_slope", 0.01, low=0),),
        summary="``y = x`` where x > 0, ``negative_slope * x`` elsewhere (Maas et al., 2013). Keras's slope is 0.3.",
        kinks=(0,),
    ),
    "sigmoid": Activation("Sigmoid", "output", summary="``y = 1 / (1 + exp(-x))``.", init="xavier"),
    "tanh": Activation("Tanh", "output", summary="``y = tanh(x)``.", init="xavier"),
}
