"""From an estimator's parameters to fastnn's objects: every name is looked up in fastnn's own registries."""

from __future__ import annotations

import functools
import inspect
import operator
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from fastnn import _validation as v
from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.nn.losses import LOSSES, Loss, as_loss
from fastnn.sklearn._optimizer import OptimizerState

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
        v.refuse(ValueError, name, f"be one value for each of {layers} hidden layers", f"{len(value)} values")
    return list(value)


def activation_layer(name: str, value: Any) -> nn.Layer:
    """Return a new layer from a name of the registry or from a layer, which stays as it is."""
    if isinstance(value, nn.Layer):
        if value.in_features is not None:
            v.refuse(ValueError, name, "be a layer that takes any width, such as an activation", v.shown(value))
        return value.detached()
    return ACTIVATIONS[v.choice(name, value, ACTIVATIONS)]()


def loss_of(value: str | Loss, out_activation: str, outputs: int) -> Loss:
    """Return the loss of a name, scikit-learn's or fastnn's, or the loss itself."""
    known = DEFAULT_LOSSES.get((value, out_activation)) if isinstance(value, str) else None
    loss = as_loss(value if known is None else known, outputs)
    if out_activation == "logistic" and "labels" in loss.spec.kinds and not isinstance(loss, nn.LogLoss):
        expected = "one of yes or no, such as nn.BCEWithLogitsLoss, as the outputs are not exclusive classes"
        v.refuse(ValueError, "loss", f"be {expected}", v.shown(value))
    if out_activation in ("identity", "exp") and "rows" not in loss.spec.kinds:
        v.refuse(ValueError, "loss", "be one of numbers for a regressor, such as nn.HuberLoss", v.shown(value))
    return loss


def make_optimizer(estimator: Any) -> optim.Optimizer:
    """Return the optimiser that the parameters describe."""
    chosen, lr = estimator.optimizer, float(estimator.learning_rate_init)
    if isinstance(chosen, optim.Optimizer):
        if estimator.weight_decay is not None:
            v.refuse(ValueError, "weight_decay", "be None, as the optimizer has its own", estimator.weight_decay)
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


def structure_of(estimator: Any) -> dict[str, Any]:
    """Return the parameters that say what net there is, as plain values that nobody else can change."""
    return {
        "hidden_layer_sizes": _own(hidden_sizes(estimator)),
        "activation": _own(estimator.activation),
        "dropout": _own(estimator.dropout),
        "batch_norm": bool(estimator.batch_norm),
    }


@functools.cache
def _parameters(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    return operator.attrgetter(*kind._get_param_names())


def settings_of(estimator: Any) -> tuple[Any, ...]:
    """Return the values of all parameters."""
    return _parameters(estimator.__class__)(estimator)


def goes_unchanged(estimator: Any, model: Model) -> bool:
    """Whether no parameter has been set since the model's trainer was made."""
    settings = settings_of(estimator)
    return len(settings) == len(model.settings) and all(map(operator.is_, settings, model.settings))


def adapted(estimator: Any, model: Model, structure: Mapping[str, Any]) -> Model:
    """Return the model of a fit that goes on, by the parameters as they are now, and have the estimator know of them.

    It is the model itself, or one with its values whose activations and dropout are others.

    Parameters
    ----------
    estimator : estimator
    model : Model
    structure : mapping
        As `structure_of` returned it when the model was made.

    Raises
    ------
    ValueError
        If a parameter asks for other weights than there are.
    """
    net, outputs = model.net, estimator._output_activation()
    if estimator.dtype is not None and np.dtype(estimator.dtype) != net.dtype:
        _refuse("dtype", str(net.dtype), str(np.dtype(estimator.dtype)))
    if outputs != estimator.out_activation_:
        fitted, asked = (f"through {each!r}" for each in (estimator.out_activation_, outputs))
        _refuse("loss", f"one whose outputs go {fitted}", f"{estimator.loss!r}, whose go {asked}")
    now = estimator._structure = structure_of(estimator)
    if now == structure:
        return model
    widths = [net.in_features, *(coef.shape[1] for coef in model.coefs)]
    hidden = len(widths) - 2
    if now["hidden_layer_sizes"] not in (structure["hidden_layer_sizes"], widths[1:-1]):
        _refuse("hidden_layer_sizes", structure["hidden_layer_sizes"], now["hidden_layer_sizes"])
    if now["batch_norm"] != structure["batch_norm"]:
        _refuse("batch_norm", structure["batch_norm"], now["batch_norm"])
    before, after = (hidden_activations(each, hidden) for each in (structure, now))
    if list(map(_held, before)) != list(map(_held, after)):
        _refuse("activation", repr(structure["activation"]), repr(now["activation"]))
    rates = [list(map(float, per_layer("dropout", each["dropout"], hidden))) for each in (structure, now)]
    if rates[0] == rates[1] and all(map(_alike, before, after)):
        return model
    if any(rates[1]):
        estimator._need_seed()
    other = Model(make_net(now, widths, net.dtype, estimator.__dict__.get("_seed", 0)))
    other.load(model.coefs, model.intercepts, model.others.values())
    other.net.training_steps = net.training_steps
    return other


def _held(layer: nn.Layer) -> Any:
    """What a layer needs in a net's arenas; layers of different kinds that need something are never the same."""
    held = layer.parameters(), layer.buffers()
    return (type(layer), *held) if any(held) else None


def _alike(one: nn.Layer, other: nn.Layer) -> bool:
    """Whether two layers compute the same, for all that can be seen."""
    try:
        return type(one) is type(other) and bool(vars(one) == vars(other))
    except ValueError:  # of arrays
        return False


def _refuse(name: str, fitted: object, now: object) -> NoReturn:
    """Say what a fit cannot go on with."""
    advice = "as the model was fitted (for another, set warm_start=False and call fit, or fit a new estimator)"
    v.refuse(ValueError, name, f"be {fitted}, {advice}", now)


def hidden_sizes(estimator: Any) -> list[Any]:
    """Return the widths of the hidden layers."""
    sizes = estimator.hidden_layer_sizes
    return list(sizes) if hasattr(sizes, "__iter__") else [sizes]


def _own(value: Any) -> Any:
    if isinstance(value, nn.Layer):
        return value.detached()
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return [_own(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def make_net(
    structure: Mapping[str, Any], widths: Sequence[int], dtype: Any, seed: int, init: Any = None
) -> nn.Sequential:
    """Return the net of these widths, input and output included; its outputs are what losses take."""
    hidden = len(widths) - 2
    activations = hidden_activations(structure, hidden)
    rates = per_layer("dropout", structure["dropout"], hidden)
    initializer = "zeros" if init is None else init  # zeros are to be overwritten
    layers: list[nn.Layer] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        normed = structure["batch_norm"] and i < hidden
        layers.append(nn.Dense(fan_in, fan_out, bias=not normed, init=initializer))
        if i < hidden:
            layers += [nn.BatchNorm(fan_out)] if normed else []
            layers.append(activations[i])
            layers += [nn.Dropout(rates[i])] if rates[i] else []
    return nn.Sequential(*layers, dtype=dtype, seed=seed)


def hidden_activations(structure: Mapping[str, Any], hidden: int) -> list[nn.Layer]:
    """Return a new layer for each hidden layer's activation."""
    return [activation_layer("activation", each) for each in per_layer("activation", structure["activation"], hidden)]


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
    settings : tuple
        The estimator's parameters as the trainer was made with them.
    """

    def __init__(self, net: nn.Sequential) -> None:
        self.net = net
        self.trainer: Any = None
        self.settings: tuple[Any, ...] = ()
        dense = [f"{i}" for i, layer in enumerate(net.layers) if isinstance(layer, nn.Dense)]
        shifted = dense + [f"{i}" for i, layer in enumerate(net.layers) if isinstance(layer, nn.BatchNorm)]
        weights = [name for name in net.params.layout if name in [f"{i}.weight" for i in dense]]
        shifts = [name for name in net.params.layout if name in [f"{i}.bias" for i in shifted]]
        rest = [name for name in net.params.layout if name not in weights + shifts]
        self.names = (*weights, *shifts, *rest)
        self.coefs = [net.params.view(name) for name in weights]
        self.intercepts = [net.params.view(name) for name in shifts]
        self.others = {name: net.params.view(name) for name in rest} | net.state.views()

    def holds(self, coefs: Sequence[Any], intercepts: Sequence[Any], others: Mapping[str, Any]) -> bool:
        """Whether these are the net's own arrays, so that the net is what they say."""
        return (
            len(coefs) == len(intercepts) == len(self.coefs)
            and all(map(operator.is_, coefs, self.coefs))
            and all(map(operator.is_, intercepts, self.intercepts))
            and others.keys() == self.others.keys()
            and all(others[name] is array for name, array in self.others.items())
        )

    def load(self, coefs: Iterable[Array], intercepts: Iterable[Array], others: Iterable[Array] | None = None) -> None:
        """Take over values, whose shapes fit; the others in their order, where they are given."""
        mine, given = [*self.coefs, *self.intercepts], [*coefs, *intercepts]
        if others is not None:
            mine += self.others.values()
            given += others
        pairs = [(array, values) for array, values in zip(mine, given, strict=True) if array is not values]
        self.net.lock.assign(tuple((array, np.ascontiguousarray(values, array.dtype)) for array, values in pairs))

    def saved(self, optimizer: OptimizerState | None) -> dict[str, Any]:
        """Return copies of what an estimator shows of net and optimiser, of one moment between two steps."""
        net, trainer = self.net, self.trainer if optimizer is not None else None
        arenas = net.params.data, net.state.data
        slots = () if trainer is None else trainer._get_slots()
        counters = net._forward_counter, *(() if trainer is None else (trainer._step_counter, trainer._epoch_counter))
        (params, state, *slots), counts, _ = net.lock.snapshot((*arenas, *slots), counters)
        arrays = dict(zip(self.names, self.in_order(params), strict=True))
        arrays |= {name: net.state.layout.view(state, name) for name in net.state.layout}
        values = list(arrays.values())
        n, both = len(self.coefs), len(self.coefs) + len(self.intercepts)
        saved: dict[str, Any] = {"coefs_": values[:n], "intercepts_": values[n:both], "_training_steps": counts[0]}
        if self.others:
            saved["other_parameters_"] = {name: arrays[name] for name in self.others}
        if optimizer is not None:
            saved["_optimizer"] = optimizer.copy(trainer)
            if trainer is not None:
                saved["_optimizer"].take(counts[1], counts[2], [self.in_order(slot) for slot in slots])
        return saved

    def in_order(self, flat: Array) -> list[Array]:
        """Return views of an array that is laid out as the parameters are: by coefs, intercepts, others."""
        layout = self.net.params.layout
        starts = ((name, layout.offsets[name]) for name in self.names)
        return [flat[start : start + layout.elements(name)].reshape(layout.shapes[name]) for name, start in starts]
