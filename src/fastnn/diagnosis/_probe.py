"""What a batch looks like in each layer of a net: its activations and the gradients that reach them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array
from fastnn.diagnosis._setup import quiet
from fastnn.nn import Columns, Dense, Layer, Loss, Sequential
from fastnn.nn.activations import Activation
from fastnn.nn.scaling import scale_targets
from fastnn.training.scaled_targets import target_scaling


@dataclass(frozen=True)
class LayerProbe:
    """One layer of a net, with a batch.

    Attributes
    ----------
    layer : Layer
    path : str
    output, gradient : ndarray, shape (rows, width)
        What the layer gives, and the gradient of the loss with respect to it, times the number of rows.
    """

    layer: Layer
    path: str
    output: Array
    gradient: Array

    @property
    def name(self) -> str:
        """What messages call the layer."""
        return f"{self.path} ({type(self.layer).__name__})"

    @property
    def spread(self) -> float:
        """The root mean square over the units of the standard deviation over the rows."""
        return float(np.sqrt(np.mean(np.var(self.output, axis=0))))

    @property
    def gradient_size(self) -> float:
        """The root mean square of the gradient."""
        return float(np.sqrt(np.mean(np.square(self.gradient))))

    @property
    def dead(self) -> float:
        """The share of units that are 0 for all rows."""
        return float(np.mean(~np.any(self.output, axis=0)))

    @property
    def saturated(self) -> float:
        """The share of entries at which the activation is nearly flat: its slope is below 5 % of its largest."""
        slope = slopes(self.layer, self.output)
        return 0.0 if slope is None else float(np.mean(slope < 0.05))


SATURATING = frozenset({"sigmoid", "tanh", "hard_tanh", "hard_sigmoid", "softsign"})
WITH_ZERO = frozenset({"relu", "relu6", "threshold"})  # activations whose units can be 0 for all rows


def activation_name(layer: Layer) -> str:
    """Return the name of an elementwise activation in the registry, or ""."""
    if not isinstance(layer, Activation):
        return ""
    kind = type(layer).__name__
    return next((name for name, row in ACTIVATIONS.items() if row.torch == kind), "")


def slopes(layer: Layer, output: Array) -> Array | None:
    """Return the derivatives of an activation that saturates, as shares of the largest; None for other layers."""
    name = activation_name(layer)
    if name not in SATURATING:
        return None
    y = output.astype(np.float64)
    if name == "tanh":
        return 1.0 - y * y
    if name == "sigmoid":
        return 4.0 * y * (1.0 - y)
    if name == "softsign":
        return (1.0 - np.abs(y)) ** 2
    low, high = (0.0, 1.0) if name == "hard_sigmoid" else (-1.0, 1.0)
    return ((y > low) & (y < high)).astype(np.float64)


@dataclass(frozen=True)
class Probe:
    """All layers of a net, with a batch.

    Attributes
    ----------
    layers : tuple of LayerProbe
    loss : float
        The loss of the batch.
    target : ndarray
        The batch's targets, as the loss takes them.
    """

    layers: tuple[LayerProbe, ...]
    loss: float
    target: Array

    @property
    def dense(self) -> tuple[LayerProbe, ...]:
        """The dense layers."""
        return tuple(each for each in self.layers if isinstance(each.layer, Dense))


def probe(net: Sequential, loss: Loss, X: Array, y: Array, sample_weight: Array | None = None) -> Probe:
    """Run a batch through a net in training mode, layer by layer, and back.

    Containers count as one layer. Dropout masks are other ones than those of the net.
    """
    with quiet():
        wide = net.copy("float64")
        parts, x, outputs = list[Sequential](), X, list[Array]()
        for index in range(len(wide)):
            parts.append(_part(wide, index, x.shape[1]))
            x = parts[-1].forward(x, training=True, input_grad=index > 0)
            outputs.append(x)
        scaling = target_scaling(net, loss)
        target = y if scaling is None else scale_targets(y, scaling, np.float64)
        d = np.zeros_like(x)
        value = loss(x, target, sample_weight, grad=d)
        found: list[LayerProbe] = []
        for part, output in zip(reversed(parts), reversed(outputs), strict=True):
            gradient, index = d * len(output), len(net) - 1 - len(found)
            back = part.backward(d)
            found.append(LayerProbe(net.layers[index], str(index), output, gradient))
            if back is not None:
                d = back
    return Probe(tuple(reversed(found)), float(value), target)


def _part(net: Sequential, index: int, width: int) -> Sequential:
    """Return a net of one layer of another net, with its values, whose input is so wide."""
    part = net[index : index + 1]
    if net.layers[index].in_features is not None:
        return part
    columns = Sequential(Columns(range(width), net.layers[index], in_features=width), dtype=net.dtype, seed=net.seed)
    columns.scaler, columns.output_scaler = part.scaler, part.output_scaler
    return columns


def softmax_entropy(shares: Array) -> float:
    """Return the cross entropy of always giving these shares: the loss of guessing."""
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())
