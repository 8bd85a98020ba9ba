"""Checks of the labels: whether they belong to the rows, what they are, and how rare they are."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fastnn.diagnosis import _changes
from fastnn.diagnosis._data_checks import predicts_numbers
from fastnn.diagnosis._findings import Suspicion
from fastnn.diagnosis._neighbours import Neighbours, r2
from fastnn.diagnosis._subject import Subject
from fastnn.diagnosis._targets import Targets
from fastnn.nn import BCEWithLogitsLoss, CrossEntropyLoss, Loss

NOISY = 0.9  # among the neighbours of clean labels, more than this share has the same label nearly everywhere
WRONG_LABELS = 0.8  # a net that predicts more than this share of rows held out contradicts a suspicion of wrong labels
LINEAR_ROWS, LINEAR_COLUMNS = 2000, 300  # that a linear model is fitted to
LINEAR = 0.05  # how much better than guessing it is where X and y are related


def linear_gain(subject: Subject) -> float:
    """Return how much better than guessing a linear model predicts rows that it has not seen: R2, or the accuracy.

    It is ridge regression on standardised columns, on each half of the rows for the other half. Columns of noise
    mislead it less than the nearest rows.
    """
    targets, rows = subject.targets, subject.some(subject.sample, LINEAR_ROWS)
    x = np.asarray(subject.setup.X[rows], np.float64)[:, :LINEAR_COLUMNS]
    std = x.std(axis=0)
    x = (x - x.mean(axis=0))[:, std > 0] / std[std > 0]
    truth = targets.truth[rows]
    y = truth if targets.task == "numbers" else np.eye(len(targets.values))[truth]
    y = y - y.mean(axis=0)
    predicted = np.zeros_like(y)
    halves = np.arange(len(rows)) % 2
    for half in range(2):
        train = x[halves == half]
        weights = np.linalg.solve(train.T @ train + len(train) * np.eye(x.shape[1]), train.T @ y[halves == half])
        predicted[halves != half] = x[halves != half] @ weights
    if targets.task == "numbers":
        return max(0.0, r2(y, predicted))
    return float(np.mean((predicted + targets.shares[: y.shape[1]]).argmax(axis=1) == truth)) - targets.majority


def labels(subject: Subject) -> Iterator[Suspicion]:
    """Find labels that are all the same, that have nothing to do with the rows, or many of which are wrong."""
    targets = subject.targets
    if targets.constant:
        what = "label" if targets.task == "classes" else "target"
        why = f"All {len(targets.truth)} rows have the same {what}: there is nothing to learn."
        change = "print(np.unique(y, return_counts=True))  # look where y comes from"
        yield Suspicion("labels", 1.0, why, change, {what: targets.truth[0].tolist()}, judged_by="certain")
        return
    near = subject.neighbours
    if near is None or not subject.valid or not targets.balanced:
        return
    chance = targets.majority if targets.task == "classes" else 0.0
    score = subject.score
    by_chance = max(0.1, 1.25 / math.sqrt(len(subject.held_out[0])))
    learned = score.figure - targets.chance > by_chance or near.ordered > 0.2
    close = near.agreement >= chance + max(0.02, 2 * near.error)
    evidence = {"how often the nearest rows have its label": near.agreement, "the same by chance": chance}
    if not (close or learned) and linear_gain(subject) <= LINEAR:
        why = "Neither the nearest rows nor the net predict the targets of rows held out: X and y seem unrelated."
        change = "print(X[:5], y[:5])  # do the rows belong together? Shuffle X and y by one permutation"
        yield Suspicion("labels", 0.95, why, change, evidence, judged_by="evidence")
    elif targets.task == "classes" and near.certain < NOISY and not seem_numbers(subject, near):
        if not near.agreement - 0.05 <= score.figure <= WRONG_LABELS:  # the net is worse than that, or better
            return
        evidence["share of the leading label among the nearest, 90 % quantile"] = near.certain
        why = (
            "Rows that lie close together often have different labels: the outcome is partly chance, the columns lack "
        )
        why += f"something, or some labels are wrong. Expect an accuracy of about {near.certain:.2g} at most."
        change = "print(y[:20])  # how were the labels made? nn.CrossEntropyLoss(label_smoothing=0.1) makes it milder"
        yield Suspicion("labels", 0.9, why, change, evidence, judged_by="note")


def seem_numbers(subject: Subject, near: Neighbours) -> bool:
    """Whether labels are so many, and so ordered, that they seem to be rounded numbers."""
    targets = subject.targets
    numeric = targets.y.ndim == 1 and targets.y.dtype.kind in "iuf"
    many = targets.task == "classes" and len(targets.values) >= 10
    return numeric and many and near.ordered >= 0.3 and near.agreement <= 0.5


def ordered_classes(subject: Subject) -> Iterator[Suspicion]:
    """Find classes that are rounded numbers."""
    targets = subject.targets
    near = subject.neighbours
    if near is None or predicts_numbers(subject.setup.loss) or not seem_numbers(subject, near):
        return
    why = f"The {len(targets.values)} labels are ordered like numbers, and rows near each other have labels near each "
    why += "other: this is a regression."
    numbers = Targets(targets.y, "numbers", np.zeros(0), targets.y.astype(np.float64)[:, np.newaxis])
    change = 'nn.Dense(..., 1)  # as the last layer\nTrainer(net, loss="mean_squared_error")'
    evidence = {"classes": len(targets.values), "R2 of the mean of the nearest": near.ordered}
    apply = _changes.combined(_changes.for_numbers("mean_squared_error", numbers), _changes.scale_targets)
    yield Suspicion("loss", 0.9, why, change, evidence, apply, judged_by="evidence")


def imbalance(subject: Subject) -> Iterator[Suspicion]:
    """Find a class so frequent that the accuracy says little."""
    targets, loss = subject.targets, subject.setup.loss
    if targets.task != "classes" or targets.balanced or not isinstance(loss, CrossEntropyLoss | BCEWithLogitsLoss):
        return
    if loss.weight is not None if isinstance(loss, CrossEntropyLoss) else loss.pos_weight is not None:
        return
    shares = targets.shares[: len(targets.values)]
    if len(shares) < 2:
        return
    why = f"{100 * targets.majority:.0f} % of the rows have one label: always saying it gives an accuracy of "
    why += f"{targets.majority:.3f}."
    weights = [float(f"{1.0 / (len(shares) * max(each, 1e-12)):.3g}") for each in shares]
    evidence = {"share of the most frequent class": targets.majority, "share of the rarest class": float(shares.min())}
    if isinstance(loss, CrossEntropyLoss):
        change = f'Trainer(net, loss=nn.CrossEntropyLoss(weight={weights}), metrics="balanced_accuracy")'
        weighted: Loss = CrossEntropyLoss(weight=weights, label_smoothing=loss.label_smoothing)
    else:
        ratio = float(f"{shares[0] / max(shares[1], 1e-12):.3g}")
        change = f'Trainer(net, loss=nn.BCEWithLogitsLoss(pos_weight=[{ratio}]), metrics="balanced_accuracy")'
        weighted = BCEWithLogitsLoss(pos_weight=[ratio])
    apply: _changes.Change = _changes.settings(loss=weighted)
    yield Suspicion("imbalance", 0.85, why, change, evidence, apply)


CHECKS = (labels, ordered_classes, imbalance)
