"""Pictures of findings about the layers: initial values, activations, gradients, widths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._changes import pairs_without_activation
from fastnn.diagnosis._findings import Finding
from fastnn.diagnosis._limits import DEAD, SATURATED
from fastnn.diagnosis._probe import LayerProbe, Probe, flat_beyond
from fastnn.diagnosis._setup import Setup
from fastnn.nn import BatchNorm, Dense
from fastnn.plot import _style
from fastnn.plot._finding_pictures_base import (
    AS_IS,
    CHANGED,
    FAULT,
    MENDED,
    NoPicture,
    PicturedTraining,
    bars,
    by_name,
    evidence,
    height_of,
    histogram,
    layers_line,
    numbers,
    shade,
    values_at_bars,
)
from fastnn.plot._pages import Picture, log_if_wide, panels

POINTS = 61  # between two rows
MOST_UNITS, MOST_INPUTS = 40, 40  # of a picture of weights
MOST_BATCHES = 40


def linear(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw outputs on the way from one row to another: straight lines of a net that is one linear map."""
    runs = {AS_IS: training.trained}
    if (changed := training.changed_run(finding)) is not None:
        runs[CHANGED] = changed
    figure, axes = panels(len(runs), 2.4)
    share = np.linspace(-1.0, 2.0, POINTS)
    whole = len(pairs_without_activation(training.setup.net.layers)) >= len(training.dense) - 1
    for ax, (text, run) in zip(axes, runs.items(), strict=True):
        outputs = numbers(training.predicted(run.net, _way(training.setup, share)))[:, :3]
        for j in range(outputs.shape[1]):
            _style.line(ax, j, share, outputs[:, j], f"output {j}")
        ax.set(title=text, xticks=[0, 1], xlabel="from one row (0) to another (1)")
    axes[0].set_ylabel("output after training")
    _style.legend(axes[-1])
    caption = f"A short run: {training.length()}. The way leads through two rows and beyond: of a linear map all lines "
    caption += "are straight."
    if not whole:
        caption += " Other layers of this net have activations, which bend them."
    return Picture(figure, "Outputs of the net between two rows", caption)


def _way(setup: Setup, share: Array) -> Array:
    """Return points on the line through two rows that are far apart; ids stay those of the first row."""
    X = np.asarray(setup.X[:256], np.float64)
    first = X[0]
    second = X[int(np.argmax(np.square(X - first).sum(axis=1)))].copy()
    for each in setup.net.id_columns:
        second[each.column] = first[each.column]
    way: Array = first + share[:, np.newaxis] * (second - first)
    return way


def symmetry(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the initial weights of a layer as an image: equal units are equal rows."""
    path = next(iter(by_name(evidence(finding, "different units by layer"))[0]))
    layers = [training.dense] + ([] if (changed := training.changed_setup(finding)) is None else [_dense(changed)])
    place = next((i for i, each in enumerate(training.dense) if each.path == path), None)
    if place is None:
        raise NoPicture(f"the net has no layer {path}")
    figure, axes = panels(len(layers), 2.5)
    for ax, text, found in zip(axes, (AS_IS, CHANGED), layers, strict=False):
        weights = numbers(found[place].weight.T)[:MOST_UNITS, :MOST_INPUTS]
        most = max(float(np.nanmax(np.abs(weights))), 1e-30)
        image = ax.imshow(weights, cmap=_style.MAP, vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
        figure.colorbar(image, ax=ax, label="weight", shrink=0.9)
        ax.set(title=text, xlabel="input", ylabel="unit")
        _style.whole_numbers(ax.xaxis)
        _style.whole_numbers(ax.yaxis)
    caption = f"The initial weights of layer {path}, a row for each unit: units with equal rows compute the same."
    return Picture(figure, f"Initial weights of layer {path}", caption)


def _dense(setup: Setup) -> list[Dense]:
    return [leaf for leaf in setup.net.leaves if isinstance(leaf, Dense)]


# ---- by layer ----


def _by_layer(
    finding: Finding, training: PicturedTraining, values: Any, of: Callable[[LayerProbe], float], what: str
) -> Picture:
    """Draw a figure of the dense layers, and the same with the change."""
    names, found = by_name(values)
    figure, (ax,) = panels()
    layers_line(ax, FAULT, names, found, AS_IS)
    drawn = [found]
    if (probe := training.changed_probe(finding)) is not None:
        after = numbers([of(each) for each in probe.dense])
        if len(after) == len(found):
            layers_line(ax, MENDED, names, after, CHANGED)
            drawn.append(after)
    ax.set_ylabel(what)
    log_if_wide(ax, drawn, zeros=True)
    _style.legend(ax)
    caption = f"{what.replace(chr(10), ' ')}, by dense layer, before training.".capitalize()
    return Picture(figure, caption, caption)


def initialisation(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the spread of the outputs by layer."""
    values = finding.evidence.get("spread of the outputs by layer")
    if values is None:
        values = {each.path: each.spread for each in training.probed_before.dense}
    return _by_layer(finding, training, values, lambda each: each.spread, "standard deviation\nof the outputs")


def gradient(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the size of the gradient by layer."""
    values = evidence(finding, "gradient by layer")
    return _by_layer(finding, training, values, lambda each: each.gradient_size, "root mean square\nof the gradient")


def dead_units(finding: Finding, _training: PicturedTraining) -> Picture:
    """Draw the share of dead units by layer."""
    names, shares = by_name(evidence(finding, "dead by layer"))
    figure, (ax,) = panels(height=height_of(len(names)))
    bars(ax, [f"layer {name}" for name in names], 100.0 * shares, np.flatnonzero(shares >= DEAD).tolist())
    values_at_bars(ax, [f"{100 * share:.0f} %" for share in shares])
    ax.set(xlabel="units that are 0 for every row, %", xlim=(0, 115), xticks=range(0, 101, 20))
    caption = f"Up to 20 % are common and do no harm; from {100 * DEAD:.0f} % on a bar is marked."
    return Picture(figure, "Share of dead units by layer", caption)


def saturation(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw a histogram of an activation's outputs, with the regions where it is flat."""
    path = str(evidence(finding, "layer"))
    when, layer = "Before", _at(training.probe, path)
    if layer is None or layer.saturated < SATURATED:
        after = _at(training.probe_after, path)
        if after is not None:
            when, layer = "After", after
    limits = None if layer is None else flat_beyond(layer.layer)
    if layer is None or limits is None:
        raise NoPicture(f"layer {path} has no outputs to show")
    figure, (ax,) = panels()
    histogram(ax, layer.output, f"output of layer {layer.name}", limits)
    low, high = limits
    room = 0.08 * (high - low)
    shade(ax, min(low - room, float(layer.output.min())), low, "flat")
    shade(ax, high, max(high + room, float(layer.output.max())))
    _style.legend(ax)
    caption = f"{when} training {100 * layer.saturated:.0f} % of the outputs are in the grey regions, where the slope "
    caption += "is below 8 % of its largest value."
    return Picture(figure, f"Histogram of the outputs of layer {layer.name}", caption)


def _at(found: Probe | None, path: str) -> LayerProbe | None:
    return None if found is None else next((each for each in found.layers if each.path == path), None)


# ---- batch norm, widths ----


def batch_norm(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw how far running statistics get, or how much the means of small batches scatter."""
    if "momentum" in finding.evidence:
        return _running(float(finding.evidence["momentum"]), training)
    size = int(evidence(finding, "batch_size"))
    path = next((each.path for each in training.setup.net.leaves if isinstance(each, BatchNorm)), "0")
    place = int(path.partition(".")[0])
    found = training.probed_before.layers
    output = found[place - 1].output if place else np.asarray(training.inputs, np.float64)
    unit = numbers(output[:, int(np.argmax(output.std(axis=0)))])
    unit = (unit - unit.mean()) / max(float(unit.std()), 1e-300)
    figure, (ax,) = panels(height=1.8)
    for i, n in enumerate((size, 64)):
        batches = np.random.default_rng(0).choice(unit, size=(MOST_BATCHES, n)).mean(axis=1)
        look = {"color": _style.style(i)["color"], "marker": _style.style(i)["marker"], "linestyle": ""}
        ax.plot(batches, np.full(len(batches), i), alpha=0.6, **look)
    ax.axvline(0, **_style.GUIDE)
    ax.set_yticks([0, 1], [f"{size} row{'s' * (size != 1)}", "64 rows"])
    ax.set(ylim=(1.6, -0.6), xlabel="mean of a batch, in standard deviations of the unit")
    caption = f"What layer {path} takes for the mean, {MOST_BATCHES} batches of each size; of all rows it is 0."
    return Picture(figure, "Means of small and of larger batches", caption)


def _running(momentum: float, training: PicturedTraining) -> Picture:
    """Draw how much of the data's statistics the running ones have, by step."""
    last = max(2, training.setup.epochs * training.setup.batches)
    steps = np.arange(0, last + 1, max(1, last // 200))
    figure, (ax,) = panels()
    for i, each in enumerate((momentum, 0.1)):
        _style.line(ax, i, steps, 100.0 * (1.0 - (1.0 - each) ** steps), f"momentum={each:g}")
    ax.set(xlabel="step of the training", ylabel="part of the data's mean and\nvariance in the running ones, %")
    _style.whole_numbers(ax.xaxis)
    _style.legend(ax)
    share = 100.0 * (1.0 - (1.0 - momentum) ** last)
    caption = f"After all {last} steps the running mean and variance have {share:.3g} % of what the batches have, "
    caption += "and else what they began with."
    if momentum > 0.5:
        caption = f"With momentum={momentum:g} they are those of the last batch or two, which are noise."
    return Picture(figure, "How fast the running statistics follow the data", caption)


def units(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the widths from the input to the output."""
    widths = [int(each) for each in evidence(finding, "hidden units")]
    if not widths:
        raise NoPicture("its evidence names no layers")
    net = training.setup.net
    everything = [net.in_features, *widths, net.out_features]
    names = ["input", *(f"hidden {i + 1}" for i in range(len(widths))), "output"]
    figure, (ax,) = panels(height=height_of(len(names)))
    bars(ax, names, everything, [1 + i for i, each in enumerate(widths) if each == min(widths)])
    log_if_wide(ax, everything, "x")
    if ax.get_xscale() == "log":
        ax.set_xlim(left=0.5)
    else:
        _style.whole_numbers(ax.xaxis)
    values_at_bars(ax, [str(each) for each in everything])
    ax.set_xlabel("units")
    narrowest = min(widths)
    caption = f"All that the output depends on passes through {narrowest} number{'s' * (narrowest != 1)} for each row."
    return Picture(figure, "Units by layer", caption)


PICTURES: Mapping[str, Callable[[Finding, PicturedTraining], Picture]] = {
    "linear": linear,
    "symmetry": symmetry,
    "initialisation": initialisation,
    "saturation": saturation,
    "dead-units": dead_units,
    "vanishing-gradient": gradient,
    "exploding-gradient": gradient,
    "batch-norm": batch_norm,
    "units": units,
}
