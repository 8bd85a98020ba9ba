"""Make net, loss, optimiser and schedule from an estimator's parameters; names are those of fastnn's registries."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from fastnn import _validation as v
from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.nn.activations import MAKERS
from fastnn.nn.losses import Loss, as_loss
from fastnn.sklearn._columns import CategoryColumns
from fastnn.sklearn._optimizer import OptimizerState
from fastnn.sklearn._parameters import ACTIVATION_NAMES, NORM_NAMES, NORMS, OPTIMIZER_NAMES, REGRESSION_LOSS_NAMES
from fastnn.sklearn._scaling import scalers_of, set_scalers
from fastnn.training._arguments import as_schedule
from fastnn.training.metrics import takes_classes

INPUT_AND_TARGETS = ("categorical_features", "scale", "scale_targets")  # parameters that a fitted net keeps

DEFAULT_RATE = 0.001  # of `learning_rate_init`

# scikit-learn's losses that fastnn has not under that name, or defines differently, by their output activation.
DEFAULT_LOSSES: Mapping[tuple[str, str], Loss] = {
    ("squared_error", "identity"): nn.MSELoss(factor=0.5, gradient_columns="sum"),
    ("poisson", "exp"): nn.PoissonNLLLoss(deviance=True, columns="sum"),
}

# The log loss without clipping, whose targets may be any probabilities, by the output activation.
SOFT_LOG_LOSS: Mapping[str, Loss] = {
    "softmax": nn.CrossEntropyLoss(),
    "logistic": nn.BCEWithLogitsLoss(columns="sum"),
}


def per_layer(name: str, value: Any, layers: int) -> list[Any]:
    """Return a list of one value per hidden layer, from one value for all or a sequence of them."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        return [value] * layers
    if len(value) != layers:
        v.refuse(ValueError, name, f"have one value per hidden layer, {layers} in all", f"{len(value)} values")
    return list(value)


def activation_layer(name: str, value: Any) -> nn.Layer:
    """Return a new layer of a registered name, or a copy of a layer, which is not changed."""
    if isinstance(value, nn.Layer):
        if value.in_features is not None:
            v.refuse(ValueError, name, "be a layer that takes any width, such as nn.ReLU()", v.shown(value))
        return value.detached()
    if not isinstance(value, str):
        v.instance(name, value, nn.Layer, f"be a layer, or one of {', '.join(ACTIVATION_NAMES)}")
    return MAKERS[v.named(name, value, ACTIVATION_NAMES)]()


def make_loss(value: str | Loss, out_activation: str, outputs: int) -> Loss:
    """Return the loss of a name, scikit-learn's or fastnn's, or the given loss."""
    name = REGRESSION_LOSS_NAMES.find(value) or value if isinstance(value, str) else ""
    loss = as_loss(DEFAULT_LOSSES.get((name, out_activation)) or value, outputs)
    if isinstance(loss, nn.HeadsLoss):
        v.refuse(ValueError, "loss", "be a loss of one head", v.shown(value), "write fastnn.Trainer(net, loss)")
    if out_activation == "logistic" and "labels" in loss.spec.kinds and not isinstance(loss, nn.LogLoss):
        must = "be a binary loss, such as nn.BCEWithLogitsLoss(), for two classes or for several labels per row"
        v.refuse(ValueError, "loss", must, v.shown(value))
    of_classes = isinstance(loss, nn.CustomLoss) or any(takes_classes(loss, kind) for kind in loss.spec.kinds)
    if out_activation in ("logistic", "softmax") and not of_classes:
        must = "be a loss of classes, such as nn.CrossEntropyLoss() or nn.HingeLoss()"
        v.refuse(ValueError, "loss", must, v.shown(value), "regression losses are for MLPRegressor")
    if out_activation in ("identity", "exp") and "rows" not in loss.spec.kinds:
        v.refuse(ValueError, "loss", "be a regression loss, such as nn.HuberLoss()", v.shown(value))
    return loss


def make_optimizer(estimator: Any) -> optim.Optimizer:
    """Return the optimiser that the estimator's parameters describe."""
    chosen, lr = estimator.optimizer, float(estimator.learning_rate_init)
    if isinstance(chosen, optim.Optimizer):
        if estimator.weight_decay is not None:
            fix = "set the weight_decay of the optimizer"
            v.refuse(ValueError, "weight_decay", "be None if optimizer is an object", estimator.weight_decay, fix)
        if lr != DEFAULT_RATE:
            must, fix = f"be {DEFAULT_RATE}, the default, if optimizer is an object", "set the lr of the optimizer"
            v.refuse(ValueError, "learning_rate_init", must, lr, fix)
        return chosen
    decay: dict[str, Any] = {} if estimator.weight_decay is None else {"weight_decay": float(estimator.weight_decay)}
    if chosen is not None:
        return optim.OPTIMIZERS[v.named("optimizer", chosen, OPTIMIZER_NAMES)](lr=lr, **decay)
    if estimator.solver == "adam":
        betas = (float(estimator.beta_1), float(estimator.beta_2))
        return optim.Adam(lr=lr, betas=betas, eps=float(estimator.epsilon), eps_hat=True, **decay)
    momentum = float(estimator.momentum)
    nesterov = bool(estimator.nesterovs_momentum) and momentum > 0
    return optim.SGD(lr=lr, momentum=momentum, nesterov=nesterov, velocity=True, **decay)


def make_schedule(value: Any) -> optim.Schedule | None:
    """Return the schedule of a name, which then counts epochs, or that of an object or a function."""
    schedule = as_schedule(value)
    return replace(schedule, every="epoch") if isinstance(value, str) and schedule is not None else schedule


def structure_of(estimator: Any) -> dict[str, Any]:
    """Return the parameters that define the net, as copies that the caller's later changes do not reach."""
    return {
        "hidden_layer_sizes": _plain_copy(hidden_sizes(estimator)),
        "activation": _plain_copy(estimator.activation),
        "dropout": _plain_copy(estimator.dropout),
        "batch_norm": bool(estimator.batch_norm),
        "norm": estimator.norm,
        "residual": bool(estimator.residual),
        "categorical_features": _plain_features(estimator.categorical_features),
        "scale": estimator.scale,
        "scale_targets": bool(getattr(estimator, "scale_targets", False)),
    }


def norm_of(batch_norm: bool, norm: Any) -> str | None:
    """Return the name among `NORMS` that two parameters ask for, or None.

    Raises
    ------
    TypeError, ValueError
        If `norm` is no such name, or both are given.
    """
    if norm is None:
        return "batch" if batch_norm else None
    known = v.named("norm", norm, NORM_NAMES)
    if batch_norm:
        fix = f"write norm={known!r} without batch_norm"
        v.refuse(ValueError, "norm", "be None with batch_norm=True", v.shown(norm), fix)
    return known


def batch_norm_parameter(estimator: Any) -> str:
    """Return the parameter that asks for batch norm, as the user has written it; "" if none does."""
    if norm_of(estimator.batch_norm, estimator.norm) != "batch":
        return ""
    return "batch_norm=True" if estimator.batch_norm else f"norm={estimator.norm!r}"


@functools.cache
def _parameter_getter(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    return operator.attrgetter(*kind._get_param_names())


def settings_of(estimator: Any) -> tuple[Any, ...]:
    """Return the values of all the estimator's parameters."""
    return _parameter_getter(estimator.__class__)(estimator)


def settings_unchanged(estimator: Any, model: Model) -> bool:
    """Return whether no parameter has been set since the model's trainer was made."""
    settings = settings_of(estimator)
    return len(settings) == len(model.settings) and all(map(operator.is_, settings, model.settings))


def adapt_model(estimator: Any, model: Model, structure: Mapping[str, Any]) -> Model:
    """Return the model with which a fit continues under the estimator's present parameters.

    It is the given model or, if activations or dropout have changed, a new one with the same weights. The estimator's
    `_structure` is set to the present structure.

    Parameters
    ----------
    estimator : estimator
    model : Model
    structure : mapping
        As `structure_of` returned it when the model was made.

    Raises
    ------
    ValueError
        If a parameter needs weights of other shapes or dtype, or another output activation.
    """
    net, out_activation = model.net, estimator._output_activation()
    if estimator.dtype is not None and np.dtype(estimator.dtype) != net.dtype:
        _refuse_new_value("dtype", str(net.dtype), str(np.dtype(estimator.dtype)))
    if out_activation != estimator.out_activation_:
        fitted = f"a loss with the output activation {estimator.out_activation_!r}"
        _refuse_new_value("loss", fitted, f"{v.shown(estimator.loss)} with {out_activation!r}")
    now = estimator._structure = structure_of(estimator)
    if now == structure:
        return model
    widths = [model.coefs[0].shape[0], *(coef.shape[1] for coef in model.coefs)]
    hidden = len(widths) - 2
    if now["hidden_layer_sizes"] not in (structure["hidden_layer_sizes"], widths[1:-1]):
        _refuse_new_value("hidden_layer_sizes", structure["hidden_layer_sizes"], now["hidden_layer_sizes"])
    same_norm = norm_of(now["batch_norm"], now["norm"]) == norm_of(structure["batch_norm"], structure["norm"])
    for name in (*(() if same_norm else ("batch_norm", "norm")), "residual", *INPUT_AND_TARGETS):
        if now[name] != structure[name]:
            _refuse_new_value(name, repr(structure[name]), repr(now[name]))
    before, after = (hidden_activations(each, hidden) for each in (structure, now))
    if list(map(_arrays_needed, before)) != list(map(_arrays_needed, after)):
        _refuse_new_value("activation", repr(structure["activation"]), repr(now["activation"]))
    rates = [list(map(float, per_layer("dropout", each["dropout"], hidden))) for each in (structure, now)]
    if rates[0] == rates[1] and all(map(_same_layer, before, after)):
        return model
    if any(rates[1]):
        estimator._ensure_seed()
    columns, seed = estimator._fitted_columns(), estimator.__dict__.get("_seed", 0)
    adapted = Model(make_net(now, columns, widths, net.dtype, seed))
    set_scalers(adapted.net, scalers_of(net))
    adapted.load(model.coefs, model.intercepts, model.others.values())
    adapted.net.training_steps = net.training_steps
    return adapted


def _arrays_needed(layer: nn.Layer) -> Any:
    """Return what must be equal in two layers for one to take over the arrays of the other; None if it has no arrays.

    The class is a part of it: arrays of equal shapes mean different things in layers of different classes.
    """
    arrays = layer.parameters(), layer.buffers()
    return (*map(type, layer.leaves()), *arrays) if any(arrays) else None


def _same_layer(one: nn.Layer, other: nn.Layer) -> bool:
    """Return whether two layers certainly compute the same."""
    try:
        return type(one) is type(other) and bool(vars(one) == vars(other))
    except ValueError:  # attributes that are arrays have no single truth value
        return False


def _refuse_new_value(name: str, fitted: object, now: object) -> NoReturn:
    """Refuse a parameter with which the fit cannot continue."""
    fix = "to change it, set warm_start=False and call fit, or fit a new estimator"
    v.refuse(ValueError, name, f"be {fitted}, as in the fitted model", now, fix)


def hidden_sizes(estimator: Any) -> list[Any]:
    """Return the widths of the hidden layers."""
    sizes = estimator.hidden_layer_sizes
    return list(sizes) if hasattr(sizes, "__iter__") else [sizes]


def _plain_copy(value: Any) -> Any:
    if isinstance(value, nn.Layer):
        return value.detached()
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return [_plain_copy(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _plain_features(value: Any) -> Any:
    """Return `categorical_features` as plain values."""
    return value if value is None or isinstance(value, str) else np.asarray(value).tolist()


def make_net(
    structure: Mapping[str, Any],
    columns: CategoryColumns | None,
    widths: Sequence[int],
    dtype: Any,
    seed: int,
    init: Any = None,
) -> nn.Sequential:
    """Return the net of these widths, input and output included; losses apply the output activation themselves.

    The first width is that of the first `Dense`. With categorical columns, layers that embed them are before it.

    Raises
    ------
    TypeError, ValueError
        If the structure makes no net of these widths.
    """
    hidden = len(widths) - 2
    named = norm_of(structure["batch_norm"], structure["norm"])
    norm = None if named is None else NORMS[named]
    if structure["residual"] and len({*widths[1:-1]}) > 1:
        must = "have equal widths with residual=True, as the output of each hidden layer is added to its input"
        fix = f"write hidden_layer_sizes=({widths[1]},) * {hidden}"
        v.refuse(ValueError, "hidden_layer_sizes", must, [int(width) for width in widths[1:-1]], fix)
    activations = hidden_activations(structure, hidden)
    rates = per_layer("dropout", structure["dropout"], hidden)
    initializer = "zeros" if init is None else init  # weights drawn as scikit-learn draws them replace the zeros
    layers: list[nn.Layer] = [] if columns is None else columns.input_layers()
    for i, (fan_in, fan_out) in enumerate(pairwise(widths[:-1])):
        block: list[nn.Layer] = [nn.Dense(fan_in, fan_out, bias=norm is None or norm.dense_bias, init=initializer)]
        block += [norm.layer(fan_out)] if norm else []
        block.append(activations[i])
        block += [nn.Dropout(rates[i])] if rates[i] else []
        layers += [nn.Residual(*block)] if structure["residual"] and i > 0 else block
    layers.append(nn.Dense(widths[-2], widths[-1], init=initializer))
    return nn.Sequential(*layers, dtype=dtype, seed=seed)


def hidden_activations(structure: Mapping[str, Any], hidden: int) -> list[nn.Layer]:
    """Return a new layer for each hidden layer's activation."""
    return [activation_layer("activation", each) for each in per_layer("activation", structure["activation"], hidden)]


class Model:
    """A net, and its arrays under the names that an estimator gives them.

    Attributes
    ----------
    net : Sequential
    coefs, intercepts : list of ndarray
        Views of the net's parameters, one of each for every `Dense`. One without a bias, which batch norm follows, has
        the norm's shift as its intercept.
    others : dict of str to ndarray
        Views of the net's other arrays: scales of norms, running statistics, shifts of layer norms, trained slopes.
    names : tuple of str
        Names of the net's parameters: coefs, intercepts, others.
    trainer : Trainer or None
        The trainer of the fits so far.
    settings : tuple
        The values of the estimator's parameters when the trainer was made.
    live_calls : LiveCalls or None
        Predictions of few rows, once one has been made.
    repeated_fit : RepeatedFit or None
        What repeats the last `partial_fit`, if these parameters allow it.
    repeated_fit_settings : tuple or None
        The `settings` that it was made for, or found to be impossible.
    """

    def __init__(self, net: nn.Sequential) -> None:
        self.net = net
        self.trainer: Any = None
        self.settings: tuple[Any, ...] = ()
        self.live_calls: Any = None
        self.repeated_fit: Any = None
        self.repeated_fit_settings: tuple[Any, ...] | None = None
        weights: list[str] = []
        shifts: list[str] = []
        for layer in net.leaves:
            if isinstance(layer, nn.Dense):
                weights.append(f"{layer.path}.weight")
            if "bias" in layer.parameters() and len(shifts) < len(weights):
                shifts.append(f"{layer.path}.bias")
        rest = [name for name in net.params.layout if name not in weights + shifts]
        self.names = (*weights, *shifts, *rest)
        self.coefs = [net.params.view(name) for name in weights]
        self.intercepts = [net.params.view(name) for name in shifts]
        self.others = {name: net.params.view(name) for name in rest} | net.state.views()

    def owns(self, coefs: Sequence[Any], intercepts: Sequence[Any], others: Mapping[str, Any]) -> bool:
        """Return whether these are the model's own arrays, not replaced by others."""
        return (
            len(coefs) == len(intercepts) == len(self.coefs)
            and all(map(operator.is_, coefs, self.coefs))
            and all(map(operator.is_, intercepts, self.intercepts))
            and others.keys() == self.others.keys()
            and all(others[name] is array for name, array in self.others.items())
        )

    def load(self, coefs: Iterable[Array], intercepts: Iterable[Array], others: Iterable[Array] | None = None) -> None:
        """Copy values of the right shapes into the net; those of `others`, if given, in the order of `self.others`."""
        mine, given = [*self.coefs, *self.intercepts], [*coefs, *intercepts]
        if others is not None:
            mine += self.others.values()
            given += others
        pairs = [(array, values) for array, values in zip(mine, given, strict=True) if array is not values]
        self.net.lock.assign(tuple((array, np.ascontiguousarray(values, array.dtype)) for array, values in pairs))

    def snapshot(self, optimizer: OptimizerState | None) -> dict[str, Any]:
        """Return copies of the estimator's arrays and of its optimiser's state, all from one moment between steps."""
        net, trainer = self.net, self.trainer if optimizer is not None else None
        arenas = net.params.data, net.state.data
        slots = () if trainer is None else trainer.slots()
        counters = net.forward_counter, *(() if trainer is None else (trainer.step_counter, trainer.epoch_counter))
        (params, state, *slots), counts, _ = net.lock.snapshot((*arenas, *slots), counters)
        arrays = dict(zip(self.names, self.views_of(params), strict=True))
        arrays |= {name: net.state.layout.view(state, name) for name in net.state.layout}
        values = list(arrays.values())
        n, both = len(self.coefs), len(self.coefs) + len(self.intercepts)
        copies: dict[str, Any] = {"coefs_": values[:n], "intercepts_": values[n:both], "_training_steps": counts[0]}
        if self.others:
            copies["other_parameters_"] = {name: arrays[name] for name in self.others}
        if optimizer is not None:
            copies["_optimizer"] = optimizer.copy(trainer)
            if trainer is not None:
                copies["_optimizer"].set_progress(counts[1], counts[2], [self.views_of(slot) for slot in slots])
        return copies

    def views_of(self, flat: Array) -> list[Array]:
        """Return views of a flat array with the layout of the net's parameters, in the order of `names`."""
        layout = self.net.params.layout
        starts = ((name, layout.offsets[name]) for name in self.names)
        return [flat[start : start + layout.elements(name)].reshape(layout.shapes[name]) for name, start in starts]
