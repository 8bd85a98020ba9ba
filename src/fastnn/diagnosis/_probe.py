"""What a batch looks like in each layer of a net: its activations and the gradients that reach them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastnn import kernels
from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array
from fastnn.diagnosis._setup import quiet
from fastnn.nn import Columns, Dense, Layer, LogSoftmax, Loss, Sequential, Softmax
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
        """The share of entries where the activation is flat, by the limits of the registry; 0 for others."""
        limits = flat_beyond(self.layer)
        return 0.0 if limits is None else float(np.mean((self.output <= limits[0]) | (self.output >= limits[1])))


def activation_name(layer: Layer) -> str:
    """Return the name of an elementwise activation in the registry, or ""."""
    if not isinstance(layer, Activation):
        return ""
    kind = type(layer).__name__
    return next((name for name, row in ACTIVATIONS.items() if row.torch == kind), "")


def flat_beyond(layer: Layer) -> tuple[float, float] | None:
    """Return the outputs beyond which an activation is flat; None for one that is not flat on both sides."""
    name = activation_name(layer)
    if not name or ACTIVATIONS[name].saturation is None:
        return None
    values = {each.name: getattr(layer, each.name) for each in ACTIVATIONS[name].parameters}
    limits = [values[limit] if isinstance(limit, str) else limit for limit in ACTIVATIONS[name].saturation or ()]
    return (limits[0], limits[1]) if math.isfinite(limits[0]) and math.isfinite(limits[1]) else None


FAR = 1e6  # an input at which an activation is near its limit, or beyond any target


def _values(layer: Layer, *inputs: Array) -> Array | None:
    """Return what an activation makes of some numbers; None for other layers."""
    name = activation_name(layer)
    if not name:
        return None
    parameters = {each.name: getattr(layer, each.name) for each in ACTIVATIONS[name].parameters}
    return np.asarray(kernels.activation(name, np.concatenate(inputs)[np.newaxis], **parameters)[0])


def output_range(layer: Layer) -> tuple[float, float]:
    """Return the smallest and the largest output of a layer, infinite where it has no limit."""
    if isinstance(layer, Softmax):
        return 0.0, 1.0
    if isinstance(layer, LogSoftmax):
        return -math.inf, 0.0
    values = _values(layer, np.linspace(-10.0, 10.0, 401), np.array([-FAR, FAR]))
    if values is None:
        return -math.inf, math.inf
    low, high = float(values.min()), float(values.max())
    return (-math.inf if low < -0.001 * FAR else low), (math.inf if high > 0.001 * FAR else high)


def can_be_dead(layer: Layer) -> bool:
    """Whether an activation gives 0 for all inputs far below 0, so that a unit can be 0 for all rows."""
    values = _values(layer, np.array([-FAR, -1e3, -10.0]))
    return values is not None and not values.any()


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
