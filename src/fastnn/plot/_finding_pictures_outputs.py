"""Pictures of findings about what a net ends in: its loss, its last layer, its first outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._findings import Finding
from fastnn.diagnosis._probe import output_range
from fastnn.nn.container_base import last_of
from fastnn.plot import _style
from fastnn.plot._finding_pictures_base import (
    AS_IS,
    CHANGED,
    MOST_BARS,
    NoPicture,
    PicturedTraining,
    bars,
    class_names,
    evidence,
    height_of,
    histogram,
    numbers,
    shade,
    users_code,
    values_at_bars,
)
from fastnn.plot._finding_pictures_data import targets
from fastnn.plot._pages import Picture, label, log_if_wide, panels


def loss(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw what a net says of each class, the slope of a loss, or what it gives for exact targets."""
    found = finding.evidence
    if "slope along the gradient" in found:
        return _slope(finding, training)
    if "loss of the exact targets" in found:
        names = ["of the exact targets", "of always their mean"]
        values = [found["loss of the exact targets"], evidence(finding, "loss of their mean")]
        figure, (ax,) = panels(height=1.3)
        bars(ax, names, values, [0])
        ax.set_xlabel("loss (less is better)")
        return Picture(figure, "Loss of exact targets, and of their mean", "The loss of exact targets should be less.")
    if "values of y" in found and training.targets.task == "classes":
        X, truth = training.seen[0], training.seen[1].truth
        outputs = training.predicted(training.trained.net, X)
        return (
            _outputs_by_class(training, outputs[:, 0], truth)
            if outputs.shape[1] == 1
            else _answers(training, outputs, truth)
        )
    return targets(training)


def _outputs_by_class(training: PicturedTraining, outputs: Array, truth: Array) -> Picture:
    """Draw the outputs of a net with one output, by class: the number of the class is what it should say."""
    names = class_names(training.targets)[:MOST_BARS]
    figure, (ax,) = panels(height=height_of(len(names)) + 0.3)
    kept = [k for k in range(len(names)) if np.isfinite(outputs[truth == k]).any()]
    ranges = np.array([np.nanquantile(outputs[truth == k], (0.05, 0.5, 0.95)) for k in kept]).reshape(-1, 3)
    low, middle, high = numbers(ranges).T
    look = {"color": _style.style(0)["color"], "fmt": "o", "capsize": 3}
    ax.errorbar(
        middle, kept, xerr=[middle - low, high - middle], label="the net says\n(5 to 95 %\nof the rows)", **look
    )
    values = training.targets.values
    if values.dtype.kind in "biuf":
        look = {"color": _style.style(1)["color"], "marker": "D", "fillstyle": "none", "linestyle": ""}
        ax.plot(values[: len(names)].astype(np.float64), range(len(names)), label="the class's\nnumber", **look)
    ax.set_yticks(range(len(names)), [label(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(xlabel="output", ylabel="class")
    _style.legend(ax)
    caption = f"A short run: {training.length()}. Classes have no order; a net of one number has to put them in one."
    return Picture(figure, "Outputs by class", caption)


def _answers(training: PicturedTraining, outputs: Array, truth: Array) -> Picture:
    """Draw what a net with an output for each class says of each class."""
    names = class_names(training.targets)[:MOST_BARS]
    said = outputs.argmax(axis=1)
    share = np.array([np.mean(said[truth == k] == k) if (truth == k).any() else 0.0 for k in range(len(names))])
    figure, (ax,) = panels(height=height_of(len(names)))
    bars(ax, names, 100.0 * share, [int(share.argmin())])
    ax.set(xlabel="rows of the class for which its output is the largest, %", ylabel="class", xlim=(0, 100))
    return Picture(figure, "Share of right answers by class", f"A short run: {training.length()}.")


def _slope(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the loss on the way along its gradient, and the line that the gradient says."""
    found, loss = training.probed_before, training.setup.loss
    z, rows = found.layers[-1].output, len(found.layers[-1].output)
    d = found.layers[-1].gradient / rows
    claimed = float(evidence(finding, "the same by the loss's gradient"))
    size = math.sqrt(abs(claimed))
    if not math.isfinite(size) or size == 0:
        raise NoPicture("the gradient is 0 or not finite")
    steps = np.linspace(-0.5, 0.5, 21) * max(1.0, float(np.abs(z).max())) / size
    with users_code("the loss does not run"):
        values = [float(loss(z + step * d, found.target)) for step in steps]
    figure, (ax,) = panels()
    _style.line(ax, 0, steps, numbers(values), "the loss")
    _style.line(ax, 1, steps, numbers(found.loss + steps * claimed), "as its\ngradient says")
    ax.set(xlabel="step along the gradient", ylabel="loss of a batch")
    _style.legend(ax)
    return Picture(figure, "The loss along its gradient", "At step 0 both lines should have the same slope.")


def output_activation(_finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the targets, or the outputs, and the range that the last layer can reach."""
    low, high = output_range(last_of(training.setup.net.layers))
    figure, (ax,) = panels()
    if training.targets.task == "numbers":
        truth: Any = training.targets.truth
        scaler = training.setup.net.output_scaler
        histogram(
            ax, truth if scaler is None else scaler.transform(truth), "target" if scaler is None else "scaled target"
        )
        caption = "Targets outside of the grey range cannot be reached by the last layer."
    else:
        histogram(ax, training.predicted(training.trained.net, training.seen[0]), "output of the net")
        caption = f"A short run: {training.length()}. "
        caption += "All outputs are in the grey range, although the loss takes any numbers."
    left, right = ax.get_xlim()
    room = 0.1 * (right - left)
    left, right = (
        min(left, low - room if math.isfinite(low) else left),
        max(right, high + room if math.isfinite(high) else right),
    )
    shade(ax, max(low, left), min(high, right), "range of the\nlast layer")
    for limit in (low, high):
        if math.isfinite(limit):
            ax.axvline(limit, **_style.GUIDE)
    ax.set_xlim(left, right)
    _style.legend(ax)
    return Picture(figure, "Histogram, and the range of the last layer", caption)


def initial_loss(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the loss before training, as it is and with the change, and that of guessing."""
    rows = {AS_IS: evidence(finding, "loss")}
    if (probe := training.changed_probe(finding)) is not None and math.isfinite(probe.loss):
        rows[CHANGED] = probe.loss
    rows["guessing"] = evidence(finding, "loss of guessing")
    values = numbers(list(rows.values()))
    figure, (ax,) = panels(height=height_of(len(rows)))
    bars(ax, list(rows), values, [0])
    log_if_wide(ax, values, "x", zeros=True)
    values_at_bars(ax, [f"{each:.3g}" for each in values])
    ax.set_xlabel("loss before training")
    caption = "A net that has learned nothing should lose about as much as guessing without looking at X."
    return Picture(figure, "Loss before training, and of guessing", caption)


PICTURES: Mapping[str, Callable[[Finding, PicturedTraining], Picture]] = {
    "loss": loss,
    "output-activation": output_activation,
    "initial-loss": initial_loss,
}
