"""Changes of a training that findings recommend, as functions from a `Setup` to a `Setup`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias, cast

import numpy as np

from fastnn import _validation as v
from fastnn.data import Scaler
from fastnn.diagnosis._probe import can_be_dead, flat_beyond
from fastnn.diagnosis._setup import Setup, edited
from fastnn.diagnosis._targets import Targets
from fastnn.nn import BatchNorm, Dense, Dropout, Identity, Layer, Softmax, activation
from fastnn.nn.activations import Activation as Elementwise
from fastnn.nn.losses import as_loss
from fastnn.optim import Optimizer, Penalty

Change: TypeAlias = Callable[[Setup], Setup]

OUTPUTS = (Elementwise, Softmax)  # layers that may be left out at the end of a net


def relu() -> Layer:
    """Return a new ReLU."""
    return activation("relu")


# ---- data ----


def scale_input(setup: Setup) -> Setup:
    """Give the net a scaler of its input."""
    ids = {each.column for each in setup.net.id_columns}
    columns = [j for j in range(setup.X.shape[1]) if j not in ids]
    return setup.with_scaler(Scaler.fit(setup.X, columns=columns))


def scale_targets(setup: Setup) -> Setup:
    """Give the net a scaler of the targets."""
    y = setup.y.reshape(len(setup.y), -1)
    return setup.with_output_scaler(Scaler.fit(y))


# ---- outputs and loss ----


def without_last(layers: tuple[Layer, ...]) -> list[Layer]:
    """Return layers without the activations at their end."""
    kept = list(layers)
    while len(kept) > 1 and isinstance(kept[-1], OUTPUTS):
        kept.pop()
    return [each.detached() for each in kept]


def drop_output_activation(setup: Setup) -> Setup:
    """Leave the activations at the end of the net out."""
    return setup.with_layers(without_last(setup.net.layers))


def with_outputs(setup: Setup, outputs: int) -> Setup:
    """Give the net so many outputs, without an activation after them."""
    layers = without_last(setup.net.layers)
    last = layers[-1]
    if not isinstance(last, Dense):
        v.refuse(ValueError, "the last layer with parameters", "be a Dense, to get other outputs", v.shown(last))
    layers[-1] = Dense(last.in_features, outputs, bias=last._has_bias, max_norm=last.max_norm)
    return setup.with_layers(layers)


def for_classes(n_classes: int, targets: Targets) -> Change:
    """Return the change to a cross entropy of classes; those of a setup's rows are found in its `y`."""

    def change(setup: Setup) -> Setup:
        y, _ = targets.numbers_of(setup.y)
        return with_outputs(setup, n_classes).changed(y=y, loss=as_loss("cross_entropy", n_classes))

    return change


def for_numbers(loss: str, targets: Targets) -> Change:
    """Return the change to a loss of numbers, or of labels of yes or no, with an output for each column."""
    columns = targets.truth.shape[1]

    def change(setup: Setup) -> Setup:
        y = np.asarray(setup.y, np.float64).reshape(len(setup.y), -1)
        return with_outputs(setup, columns).changed(y=y, loss=as_loss(loss, columns))

    return change


# ---- layers ----


def default_initialisers(setup: Setup) -> Setup:
    """Let every dense layer draw its default initial values."""
    return setup.with_edited_layers(_with_default)


def _with_default(layer: Layer) -> Layer:
    if not isinstance(layer, Dense):
        return layer
    return Dense(layer.in_features, layer.out_features, bias=layer._has_bias, max_norm=layer.max_norm)


def pairs_without_activation(layers: Iterable[Layer]) -> list[tuple[int, int]]:
    """Return the places of dense layers with no activation between them; norms and dropout are none."""
    before: int | None = None
    pairs = list[tuple[int, int]]()
    for index, layer in enumerate(layers):
        if isinstance(layer, Dense):
            if before is not None:
                pairs.append((before, index))
            before = index
        elif not isinstance(layer, BatchNorm | Dropout | Identity):
            before = None
    return pairs


def add_activations(setup: Setup) -> Setup:
    """Put a ReLU between every two dense layers that have no activation between them."""
    seconds = {second for _, second in pairs_without_activation(setup.net.layers)}
    layers: list[Layer] = []
    for index, layer in enumerate(setup.net.layers):
        if index in seconds:
            layers.append(relu())
        if not isinstance(layer, Identity):
            layers.append(_with_default(layer).detached())
    return setup.with_layers(layers)


def replace_activations(make: Callable[[], Layer], which: Callable[[Layer], bool]) -> Change:
    """Return the change of hidden activations to others; dense layers draw the initial values for these."""

    def change(setup: Setup) -> Setup:
        *body, last = setup.net.layers
        layers = edited(body, lambda each: make() if which(each) else _with_default(each))
        return setup.with_layers([*layers, _with_default(last).detached()])

    return change


def is_saturating(layer: Layer) -> bool:
    """Whether a layer is an activation that becomes flat on both sides."""
    return flat_beyond(layer) is not None


to_relu = replace_activations(relu, is_saturating)
to_leaky_relu = replace_activations(lambda: activation("leaky_relu", negative_slope=0.1), can_be_dead)


def add_batch_norm(setup: Setup) -> Setup:
    """Put a batch norm after every dense layer but the last."""
    layers: list[Layer] = []
    for layer in setup.net.layers[:-1]:
        layers.append(_with_default(layer).detached())
        if isinstance(layer, Dense):
            layers.append(BatchNorm(layer.out_features))
    return setup.with_layers([*layers, _with_default(setup.net.layers[-1]).detached()])


def can_be_wider(setup: Setup) -> bool:
    """Whether `wider` knows which widths follow from which."""
    layers = setup.net.layers
    plain = (
        isinstance(each, Dense | BatchNorm) or (each.keeps_width and list(each.leaves()) == [each]) for each in layers
    )
    return all(plain) and any(isinstance(each, Dense) for each in layers)


def wider(factor: int, least: int) -> Change:
    """Return the change of hidden widths to several times as much."""

    def change(setup: Setup) -> Setup:
        if not can_be_wider(setup):
            must = "be dense layers, batch norms and layers that take any width, to be made wider"
            v.refuse(ValueError, "layers", must, v.shown(list(setup.net.layers)))
        layers, width = list[Layer](), setup.net.in_features
        last = max(i for i, each in enumerate(setup.net.layers) if isinstance(each, Dense))
        for i, layer in enumerate(setup.net.layers):
            if isinstance(layer, Dense):
                out = layer.out_features if i == last else max(least, factor * layer.out_features)
                layers.append(Dense(width, out, bias=layer._has_bias, max_norm=layer.max_norm))
                width = out
            elif isinstance(layer, BatchNorm):
                layers.append(BatchNorm(width, layer.eps, layer.momentum))
            else:
                layers.append(layer.detached())
        return setup.with_layers(layers)

    return change


def without_dropout(setup: Setup) -> Setup:
    """Leave the dropout out."""
    return setup.with_edited_layers(lambda each: None if isinstance(each, Dropout) else each)


def momentum_of_batch_norm(setup: Setup) -> Setup:
    """Give batch norms their default momentum and eps."""
    return setup.with_edited_layers(
        lambda each: BatchNorm(each.out_features or 1) if isinstance(each, BatchNorm) else each
    )


# ---- the training ----


def learning_rate(factor: float) -> Change:
    """Return the change of the learning rate by a factor."""

    def change(setup: Setup) -> Setup:
        return setup.changed(lr=float(f"{setup.lr * factor:.2g}"))

    return change


def settings(**changes: Any) -> Change:
    """Return the change of arguments of the fit, or of settings of the trainer."""
    return lambda setup: setup.changed(**changes)


def without_penalties(setup: Setup) -> Setup:
    """Leave dropout, penalties and weight decay out."""
    optimizer = setup.optimizer
    if getattr(optimizer, "weight_decay", 0):
        optimizer = cast(Optimizer, replace(cast(Any, optimizer), weight_decay=0.0))
    has_dropout = any(isinstance(each, Dropout) for each in setup.net.leaves)
    return (without_dropout(setup) if has_dropout else setup).changed(penalty=Penalty(), optimizer=optimizer)


def combined(*changes: Change) -> Change:
    """Return one change after another."""

    def change(setup: Setup) -> Setup:
        for each in changes:
            setup = each(setup)
        return setup

    return change
