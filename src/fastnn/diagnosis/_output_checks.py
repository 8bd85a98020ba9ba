"""Checks of what a net ends in: its last layer, its loss, and whether they go with the targets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.diagnosis import _changes
from fastnn.diagnosis._data_checks import predicts_numbers
from fastnn.diagnosis._findings import Suspicion
from fastnn.diagnosis._probe import output_range
from fastnn.diagnosis._subject import Subject
from fastnn.diagnosis._targets import of_classes
from fastnn.nn import CustomLoss, HeadsLoss, LogSoftmax, Softmax
from fastnn.nn.container_base import last_of

UNBOUNDED = (-math.inf, math.inf)


def output_activation(subject: Subject) -> Iterator[Suspicion]:
    """Find a last layer that does not go with the loss or the targets."""
    setup, targets = subject.setup, subject.targets
    last, loss = last_of(setup.net.layers), setup.loss
    kind, width = type(last).__name__, setup.net.out_features
    if isinstance(loss, HeadsLoss):
        return
    evidence: dict[str, Any] = {"last layer": v.shown(last), "loss": v.shown(loss), "outputs": width}
    leave_out = "net = nn.Sequential(*net[:-1])  # the loss takes the output of the last Dense"
    if isinstance(last, Softmax) and width == 1:
        why = "The softmax of a single output is always 1, whatever the net computes."
        change = f'{leave_out}\nTrainer(net, loss="binary_cross_entropy")'
        yield Suspicion("output-activation", 1.0, why, change, evidence, _binary(subject), judged_by="certain")
    elif targets.task == "labels" and isinstance(last, Softmax | LogSoftmax):
        why = "The outputs of a softmax have the sum 1, but several labels of a row can be true at once."
        change = f'{leave_out}\nTrainer(net, loss="binary_cross_entropy")'
        apply = _changes.for_numbers("binary_cross_entropy", targets)
        yield Suspicion("output-activation", 1.0, why, change, evidence, apply, judged_by="evidence")
    elif loss.spec.outputs == "logits" and not isinstance(last, LogSoftmax) and output_range(last) != UNBOUNDED:
        low, high = output_range(last)
        why = f"The net ends in {kind}, but the loss takes logits, any numbers: these stay "
        why += f"between {low:g} and {high:g}."
        apply = _changes.drop_output_activation
        yield Suspicion("output-activation", 1.0, why, leave_out, evidence, apply, judged_by="evidence")
    elif targets.task == "numbers" and predicts_numbers(loss):
        yield from _bounded(subject, kind, evidence, leave_out)


def _binary(subject: Subject) -> _changes.Change:
    """Return the change to a net of one logit, or of one for each class."""
    targets = subject.targets
    if targets.task == "classes":
        return _changes.for_classes(max(2, len(targets.values)), targets)
    return _changes.for_numbers("mean_squared_error" if targets.task == "numbers" else "binary_cross_entropy", targets)


def _bounded(subject: Subject, kind: str, evidence: dict[str, Any], leave_out: str) -> Iterator[Suspicion]:
    """Find targets that the last layer cannot reach."""
    last = last_of(subject.setup.net.layers)
    low, high = output_range(last)
    truth, scaler = subject.targets.truth, subject.setup.net.output_scaler
    if scaler is not None:
        truth = scaler.transform(truth)
    beyond = float(np.mean((truth < low) | (truth > high)))
    if isinstance(last, Softmax) or beyond > 0:
        why = f"The net ends in {kind}, whose output is between {low:g} and {high:g}: {100 * beyond:.0f} % of the "
        why += f"targets are beyond, the largest is {truth.max():.3g}, the smallest {truth.min():.3g}."
        judged_by = "certain" if beyond > 0.05 else "evidence"
        found = evidence | {"targets beyond": beyond}
        yield Suspicion(
            "output-activation", 1.0, why, leave_out, found, _changes.drop_output_activation, judged_by=judged_by
        )


def loss_of_numbers(subject: Subject) -> Iterator[Suspicion]:
    """Find a loss of numbers on classes."""
    targets, setup = subject.targets, subject.setup
    if not subject.valid or targets.task == "numbers" or isinstance(setup.loss, HeadsLoss):
        return
    if of_classes(setup.loss) or isinstance(setup.loss, CustomLoss):
        if targets.task == "labels" and setup.loss.link("rows") == "softmax":
            why = (
                "Several labels of a row can be true at once, but the cross entropy of classes looks for a single one."
            )
            change = 'Trainer(net, loss="binary_cross_entropy")'
            apply = _changes.for_numbers("binary_cross_entropy", targets)
            yield Suspicion("loss", 0.95, why, change, {"loss": v.shown(setup.loss)}, apply, judged_by="evidence")
        return
    n = len(targets.values)
    several = targets.task == "labels"
    what = "labels of yes or no" if several else f"{n} classes"
    why = (
        f"The targets are {what}, but {v.shown(setup.loss)} treats them as numbers: it punishes answers that are right "
    )
    why += "by too much, and its gradient vanishes where the net is sure of a wrong class."
    name = "binary_cross_entropy" if several else "cross_entropy"
    change = f"nn.Dense(..., {targets.truth.shape[1] if several else n})  # as the last layer, no activation after it\n"
    change += f'Trainer(net, loss="{name}")  # y: {"rows of 0 and 1" if several else f"labels from 0 to {n - 1}"}'
    apply = _changes.for_numbers(name, targets) if several else _changes.for_classes(max(2, n), targets)
    evidence = {"loss": v.shown(setup.loss), "values of y": [each.item() for each in targets.values[:6]]}
    judged_by = "evidence" if several or targets.y.ndim == 2 or targets.y.dtype.kind in "iubOUS" else "trial"
    yield Suspicion("loss", 0.95, why, change, evidence, apply, judged_by=judged_by)


def softmax_entropy(shares: Array) -> float:
    """Return the cross entropy of always giving these shares: the loss of guessing."""
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def initial_loss(subject: Subject) -> Iterator[Suspicion]:
    """Find a loss before training that is far above that of guessing."""
    found, targets, loss = subject.probe, subject.targets, subject.setup.loss
    if found is None or isinstance(loss, HeadsLoss) or not found.layers:
        return
    if targets.task == "classes" and loss.link("labels" if "labels" in loss.spec.kinds else "rows") in (
        "softmax",
        "sigmoid",
    ):
        guess = softmax_entropy(targets.shares) if not targets.balanced else math.log(max(2, len(targets.values)))
    elif targets.task == "numbers" and predicts_numbers(loss) and subject.setup.net.output_scaler is None:
        with np.errstate(all="ignore"):
            middle = np.broadcast_to(np.median(targets.truth, axis=0), targets.truth.shape)
        if middle.shape[1] != subject.setup.net.out_features:
            return
        mean = np.broadcast_to(targets.truth.mean(axis=0), targets.truth.shape)
        guess = min(float(loss(np.ascontiguousarray(each), targets.truth)) for each in (middle, mean))
    else:
        return
    if found.loss > 2.0 * guess + 0.5:
        size = float(np.sqrt(np.mean(np.square(found.layers[-1].output))))
        why = f"Before training the loss is {found.loss:.3g}; guessing without looking at X gives {guess:.3g}."
        change = "net[-1].weight[...] *= 0.1; net[-1].bias[...] = 0  # begin with small outputs"
        evidence = {"loss": found.loss, "loss of guessing": guess, "root mean square of the outputs": size}
        yield Suspicion(
            "initial-loss",
            0.8 if found.loss > 10 * guess + 1 else 0.6,
            why,
            change,
            evidence,
            _changes.default_initialisers,
        )


def custom_gradient(subject: Subject) -> Iterator[Suspicion]:
    """Find a custom loss whose gradient is not that of its value: the two-sided difference along the gradient."""
    loss, found = subject.setup.loss, subject.probe
    if not isinstance(loss, CustomLoss) or found is None:
        return
    z, d = found.layers[-1].output, found.layers[-1].gradient / len(found.layers[-1].output)
    size = float(np.sqrt(np.square(d).sum()))
    if not math.isfinite(size) or size == 0:
        return
    h = 1e-5 * max(1.0, float(np.abs(z).max())) / size
    y = found.target
    numeric = (loss(z + h * d, y) - loss(z - h * d, y)) / (2.0 * h)
    if abs(numeric - size**2) > 0.05 * max(abs(numeric), size**2):
        opposite = " It has the opposite sign." if numeric < 0 else ""
        why = "The gradient that the loss returns is not the slope of its value: along it the value changes by "
        why += f"{numeric:.3g} a step, not by {size**2:.3g}.{opposite}"
        change = "fastnn.check_gradients(net, X[:20], y[:20], loss=loss)  # then mend the loss's gradient"
        evidence = {"slope along the gradient": numeric, "the same by the loss's gradient": size**2}
        yield Suspicion("loss", 1.0, why, change, evidence, judged_by="certain")


def rewarded_errors(subject: Subject) -> Iterator[Suspicion]:
    """Find a custom loss that is larger for the exact targets than for always the same answer."""
    setup, targets = subject.setup, subject.targets
    if not isinstance(setup.loss, CustomLoss) or subject.probe is None or targets.task != "numbers":
        return
    exact = np.ascontiguousarray(subject.probe.target, np.float64)
    if exact.ndim != 2 or exact.shape[1] != setup.net.out_features:
        return
    middle = np.broadcast_to(exact.mean(axis=0), exact.shape).copy()
    right, guess = float(setup.loss(exact, exact)), float(setup.loss(middle, exact))
    if right > guess:
        why = f"The loss of the exact targets, {right:.3g}, is above that of always giving their mean, {guess:.3g}: it "
        why += "rewards errors."
        change = "nn.CustomLoss(...)  # with the other sign, of its value and of its gradient"
        evidence = {"loss of the exact targets": right, "loss of their mean": guess}
        yield Suspicion("loss", 1.0, why, change, evidence, judged_by="certain")


CHECKS = (output_activation, loss_of_numbers, custom_gradient, rewarded_errors, initial_loss)
