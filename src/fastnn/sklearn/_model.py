"""From an estimator's parameters to fastnn's objects: every name is looked up in fastnn's own registries."""

from __future__ import annotations

import inspect
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from operator import is_
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.nn.losses import LOSSES, Loss, as_loss

LENGTHS = ("T_max", "total_iters", "total_steps")  # what schedules call the time that they take


def _required(kind: Callable[..., Any]) -> set[str]:
    """Return the names of the parameters that have to be given."""
    return {name for name, p in inspect.signature(kind).parameters.items() if p.default is p.empty}


# scikit-learn's own name, and all that `nn.activation` knows or is told to know later.
ACTIVATIONS: Mapping[str, Callable[..., nn.Layer]] = ChainMap({"logistic": nn.Sigmoid}, nn.activations.MAKERS)
OPTIMIZERS = frozenset(optim.OPTIMIZERS)
INITIALIZERS = frozenset(name for name, kind in nn.init.INITIALIZERS.items() if not _required(kind))
SCHEDULES = frozenset(name for name, kind in optim.SCHEDULES.items() if _required(kind) <= set(LENGTHS))
LOSS_NAMES = frozenset(LOSSES)

# scikit-learn's losses by the output activation, where fastnn has none of that name.
DEFAULT_LOSSES: Mapping[tuple[str, str], Loss] = {
    ("squared_error", "identity"): nn.MSELoss(factor=0.5, gradient_columns="sum"),
    ("poisson", "exp"): nn.PoissonNLLLoss(deviance=True, columns="sum"),
}


def per_layer(name: str, value: Any, layers: int) -> list[Any]:
    """Return one value for each hidden layer, from one for all or a sequence of as many."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        return [value] * layers
    if len(value) != layers:
        v.fail(ValueError, name, f"one value for each of {layers} hidden layers", f"{len(value)} values")
    return list(value)


def activation_layer(name: str, value: Any) -> nn.Layer:
    """Return a new layer from a name of the registry or from a layer, which stays as it is."""
    if isinstance(value, nn.Layer):
        if value.in_features is not None:
            v.fail(ValueError, name, "a layer that takes any width, such as an activation", v.shown(value))
        return value.detached()
    return ACTIVATIONS[v.choice(name, value, ACTIVATIONS)]()


def loss_of(value: str | Loss, out_activation: str, outputs: int) -> Loss:
    """Return the loss of a name, scikit-learn's or fastnn's, or the loss itself."""
    known = DEFAULT_LOSSES.get((value, out_activation)) if isinstance(value, str) else None
    loss = as_loss(value if known is None else known, outputs)
    if out_activation == "logistic" and "labels" in loss.spec.kinds and not isinstance(loss, nn.LogLoss):
        expected = "one of yes or no, such as nn.BCEWithLogitsLoss, as the outputs are not exclusive classes"
        v.fail(ValueError, "loss", expected, v.shown(value))
    return loss


def make_optimizer(estimator: Any) -> optim.Optimizer:
    """Return the optimiser that the parameters describe."""
    chosen, lr = estimator.optimizer, float(estimator.learning_rate_init)
    if isinstance(chosen, optim.Optimizer):
        if estimator.weight_decay is not None:
            v.fail(ValueError, "weight_decay", "None, as the optimizer has its own", estimator.weight_decay)
        return chosen
    decay: dict[str, Any] = {} if estimator.weight_decay is None else {"weight_decay": float(estimator.weight_decay)}
    if chosen is not None:
        return optim.OPTIMIZERS[chosen](lr=lr, **decay)
    if estimator.solver == "adam":
        betas = (float(estimator.beta_1), float(estimator.beta_2))
        return optim.Adam(lr=lr, betas=betas, eps=float(estimator.epsilon), eps_hat=True, **decay)
    momentum = float(estimator.momentum)
    nesterov = bool(estimator.nesterovs_momentum) and momentum > 0
    return optim.SGD(lr=lr, momentum=momentum, nesterov=nesterov, velocity=True, **decay)


def make_schedule(value: Any, epochs: int) -> Any:
    """Return a schedule or a function of the epoch as it is, or the schedule of a name over these epochs."""
    if not isinstance(value, str):
        return value
    kind = optim.SCHEDULES[value]
    lengths = {name: epochs for name in LENGTHS if name in inspect.signature(kind).parameters}
    return kind(**lengths, every="epoch")


def make_net(estimator: Any, widths: Sequence[int], dtype: Any, seed: int) -> nn.Sequential:
    """Return the net of these widths, input and output included; its outputs are what losses take."""
    hidden = len(widths) - 2
    activations = per_layer("activation", estimator.activation, hidden)
    rates = per_layer("dropout", estimator.dropout, hidden)
    initializer = "zeros" if estimator.init is None else estimator.init  # zeros are to be overwritten
    layers: list[nn.Layer] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        normed = estimator.batch_norm and i < hidden
        layers.append(nn.Dense(fan_in, fan_out, bias=not normed, init=initializer))
        if i < hidden:
            layers += [nn.BatchNorm(fan_out)] if normed else []
            layers.append(activation_layer("activation", activations[i]))
            layers += [nn.Dropout(rates[i])] if rates[i] else []
    return nn.Sequential(*layers, dtype=dtype, seed=seed)


class Model:
    """A net, with its arrays as an estimator names them.

    Attributes
    ----------
    net : Sequential
    coefs, intercepts : list of ndarray
        Views of the net's parameters. The shift of a batch norm is its layer's intercept.
    others : dict of str to ndarray
        Views of what the net has besides: scales and running statistics of batch norms, slopes.
    names : tuple of str
        Of the parameters: coefs, intercepts, others.
    trainer : Trainer or None
        Of the fits so far.
    asked : tuple or None
        The settings that it was made with.
    """

    def __init__(self, net: nn.Sequential) -> None:
        self.net = net
        self.trainer: Any = None
        self.asked: Any = None
        dense = [f"{i}" for i, layer in enumerate(net.layers) if isinstance(layer, nn.Dense)]
        shifted = dense + [f"{i}" for i, layer in enumerate(net.layers) if isinstance(layer, nn.BatchNorm)]
        weights = [name for name in net.params.layout if name in [f"{i}.weight" for i in dense]]
        shifts = [name for name in net.params.layout if name in [f"{i}.bias" for i in shifted]]
        rest = [name for name in net.params.layout if name not in weights + shifts]
        self.names = (*weights, *shifts, *rest)
        self.coefs = [net.params.view(name) for name in weights]
        self.intercepts = [net.params.view(name) for name in shifts]
        self.others = {name: net.params.view(name) for name in rest} | net.state.views()

    def holds(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
        """Whether these are the net's own arrays, so that the net is what they say."""
        return (
            len(coefs) == len(intercepts) == len(self.coefs)
            and all(map(is_, coefs, self.coefs))
            and all(map(is_, intercepts, self.intercepts))
        )

    def load(self, coefs: Iterable[Array], intercepts: Iterable[Array], others: Mapping[str, Array]) -> None:
        """Take over values; their shapes fit."""
        with self.net.lock.writing():
            for mine, given in zip(self.coefs + self.intercepts, [*coefs, *intercepts], strict=True):
                if mine is not given:
                    mine[...] = given
            for name, given in others.items():
                self.others[name][...] = given

    def in_order(self, flat: Array) -> list[Array]:
        """Return views of an array that is laid out as the parameters are: by coefs, intercepts, others."""
        layout = self.net.params.layout
        starts = ((name, layout.offsets[name]) for name in self.names)
        return [flat[start : start + layout.elements(name)].reshape(layout.shapes[name]) for name, start in starts]
