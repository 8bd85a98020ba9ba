"""Checks of the data: columns, scales, labels, shares of the classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis import _changes
from fastnn.diagnosis._findings import Suspicion
from fastnn.diagnosis._subject import Subject
from fastnn.diagnosis._targets import Targets
from fastnn.nn import BatchNorm, BCEWithLogitsLoss, CrossEntropyLoss, HeadsLoss, LayerNorm, Loss

LARGE, SMALL = 3.0, 0.1  # root mean squares of columns between which nets learn as they are meant to
APART = 10.0  # how many times the standard deviation of one column may be that of another
OFF_CENTRE = 3.0  # standard deviations between 0 and the mean of a column
ALL_SIGNS = 0.95  # the share of a row's inputs that have the same sign
MISSING_SHARE, MISSING_AWAY = 0.01, 4.0  # how often a number occurs, and how many ranges of the others it is away
NEIGHBOURS = 15
NEIGHBOUR_ROWS = 1500
LEAST_ROWS = 80  # for which the nearest rows say something
WRONG_LABELS = 0.8  # a net that predicts more than this share of rows held out contradicts a suspicion of wrong labels
NOISY = 0.9  # among the neighbours of clean labels, more than this share has the same label nearly everywhere


def columns(subject: Subject) -> Iterator[Suspicion]:
    """Find constant and equal columns."""
    found = subject.columns
    constant = np.flatnonzero(found.constant & ~found.is_id)
    if 0 < len(constant) < len(found.constant):
        why = f"{len(constant)} of {len(found.constant)} columns of X are constant: they say nothing about the rows."
        change = "X = X[:, X.std(axis=0) > 0]"
        evidence = {"constant": [int(j) for j in constant]}
        yield Suspicion("columns", 0.15, why, change, evidence, worth="note")
    elif len(constant):
        why = "All columns of X are constant: no net can tell the rows apart."
        if len(subject.setup.X) == 1:
            why = "X has a single row: there is nothing that it could be told apart from."
        yield Suspicion("columns", 1.0, why, "print(X[:5])  # look where X comes from", {}, worth="certain")
    x = subject.raw[:500]
    _, first, number = np.unique(x.T, axis=0, return_index=True, return_inverse=True)
    same = [(int(first[k]), j) for j, k in enumerate(number.reshape(-1)) if first[k] != j and not found.constant[j]]
    if same:
        why = f"{len(same)} columns of X are equal to another one in all rows that were compared."
        change = f"X = np.delete(X, {[j for _, j in same]}, axis=1)"
        yield Suspicion("columns", 0.15, why, change, {"equal": same}, worth="note")


def sentinels(subject: Subject) -> Iterator[Suspicion]:
    """Find a number that stands for a missing one, such as -999: it occurs often, far from all others."""
    found = {}
    for column in map(
        int, np.flatnonzero(~subject.columns.is_id & ~subject.columns.two_valued & ~subject.columns.constant)
    ):
        x = subject.raw[:, column]
        x = x[np.isfinite(x)]
        for value in (x.min(initial=0.0), x.max(initial=0.0)):
            others = x[x != value]
            often = 1.0 - len(others) / max(1, len(x))
            if len(others) < 10 or not MISSING_SHARE <= often <= 0.9:
                continue
            low, middle, high = np.quantile(others, (0.05, 0.5, 0.95))
            if abs(value - middle) > MISSING_AWAY * (high - low) > 0:
                found[column] = (float(value), often)
    if found:
        (column, (value, often)), *_ = found.items()
        why = f"Column {column} of X has {value:g} in {100 * often:.1f} % of the rows, far from all other entries: it "
        why += "seems to stand for a missing number."
        change = f"X[X == {value:g}] = np.nan\n"
        change += 'net.scaler = fastnn.data.Scaler.fit(X, nan="center")  # fills NaN with the mean of its column'
        evidence = {"column": [value for value, _ in found.values()], "columns": list(found)}
        yield Suspicion("columns", 1.0, why, change, evidence, worth="evidence")


def input_scale(subject: Subject) -> Iterator[Suspicion]:
    """Find columns that are large, small, far from 0, or of very different scales."""
    found = subject.columns
    kept = ~found.is_id & ~found.constant & np.isfinite(found.std) & (found.std > 0)
    if not kept.any() or isinstance(subject.layers[0], BatchNorm | LayerNorm):
        return
    size = float(np.sqrt(found.mean**2 + found.std**2)[kept].max())
    spread = found.std[kept & ~found.two_valued]
    apart = float(spread.max() / spread.min()) if len(spread) else 1.0
    away = float((np.abs(found.mean[kept]) / found.std[kept])[~found.two_valued[kept]].max(initial=0.0))
    agreement = sign_agreement(subject.inputs[:, kept])
    of_size = f"A column of X has a root mean square of {size:.3g}; initial weights and steps are meant for about 1."
    of_mean = f"The mean of a column of X is {away:.3g} times its standard deviation away from 0."
    if agreement > ALL_SIGNS:
        of_mean += (
            " Nearly all inputs of a row have the same sign: so have the gradients of a unit, which moves in a zigzag."
        )
    reasons = {
        of_size: abs(math.log10(size)) - math.log10(LARGE if size > 1 else 1 / SMALL),
        f"The standard deviations of the columns of X differ by a factor of {apart:.3g}: no step fits them all.": (
            math.log10(apart / APART)
        ),
        # a mean that is small in itself does no harm
        of_mean: math.log10(max(away, 1e-9) / OFF_CENTRE) if size > 1.0 else 0.0,
    }
    why = max(reasons, key=lambda each: reasons[each])
    excess = reasons[why]
    if excess <= 0:
        return
    evidence = {
        "largest root mean square of a column": size,
        "largest over smallest standard deviation": apart,
        "largest mean over standard deviation": away,
        "agreement in sign of a unit's gradients": agreement,
    }
    change = "net.scaler = fastnn.data.Scaler.fit(X)"
    yield Suspicion("input-scale", min(1.0, 0.6 + 0.25 * excess), why, change, evidence, _changes.scale_input)


def sign_agreement(x: Array) -> float:
    """Return the share of a unit's weights whose gradients for one row have the same sign, as a mean over rows.

    The gradient of the weight from input i to unit j is ``x[i] * d[j]``: for one unit its sign is that of x[i], or the
    opposite of it for all of them.
    """
    positive, negative = (x > 0).sum(axis=1), (x < 0).sum(axis=1)
    some = positive + negative
    agree = np.maximum(positive, negative)[some > 0] / some[some > 0]
    return float(agree.mean()) if len(agree) else 1.0


def target_scale(subject: Subject) -> Iterator[Suspicion]:
    """Find targets that are large, tiny or far from 0."""
    targets, setup = subject.targets, subject.setup
    if targets.task != "numbers" or setup.net.output_scaler is not None or not predicts_numbers(setup.loss):
        return
    mean, std = np.abs(targets.truth.mean(axis=0)), targets.truth.std(axis=0)
    size, smallest = float(np.sqrt(mean**2 + std**2).max()), float(std.min())
    if smallest == 0 or not math.isfinite(size):
        return
    excess = max(math.log10(size / 10.0), math.log10(0.05 / smallest), math.log10(float((mean / std).max()) / 10.0))
    if excess <= 0:
        return
    evidence = {
        "mean": [float(each) for each in targets.truth.mean(axis=0)],
        "standard deviation": list(map(float, std)),
    }
    largest = float(targets.truth.mean(axis=0)[mean.argmax()])
    why = f"The targets have a mean of {largest:.3g} and a standard deviation of {std.max():.3g}; nets begin near 0 "
    why += "and move by steps meant for targets of about 1."
    change = "net.output_scaler = fastnn.data.Scaler.fit(y.reshape(len(y), -1))"
    yield Suspicion("target-scale", min(1.0, 0.7 + 0.2 * excess), why, change, evidence, _changes.scale_targets)


def predicts_numbers(loss: Loss) -> bool:
    """Whether a loss compares outputs with numbers in their own unit."""
    if isinstance(loss, HeadsLoss):
        return False
    spec = loss.spec
    return spec.outputs == "prediction" and not spec.among and not spec.probabilities and loss.link("rows") == ""


# ---- labels ----


@dataclass(frozen=True)
class Neighbours:
    """What the nearest rows say about the targets of a sample.

    Attributes
    ----------
    agreement : float
        Classes: how often the most frequent label of the neighbours is that of the row. Numbers: R2 of their mean.
    certain : float
        The share of the most frequent label among the neighbours, for the 90 % quantile of the rows.
    ordered : float
        R2 of the neighbours' mean, with the classes' numbers as numbers.
    error : float
        The standard error of `agreement`.
    """

    agreement: float
    certain: float
    ordered: float
    error: float


def neighbours(subject: Subject) -> Neighbours | None:
    """Return what the nearest rows say; None if there are too few rows, or labels of yes or no."""
    targets = subject.targets
    if targets.task == "labels" or len(subject.setup.X) < LEAST_ROWS or targets.truth.std() == 0:
        return None
    rows = subject.sample[:: max(1, len(subject.sample) // NEIGHBOUR_ROWS)]
    x = np.asarray(subject.setup.X[rows], np.float64)
    std = x.std(axis=0)
    x = (x - x.mean(axis=0))[:, std > 0] / std[std > 0]
    if x.shape[1] == 0:
        return None
    squares = (x**2).sum(axis=1)
    distance = squares[:, np.newaxis] + squares - 2.0 * (x @ x.T)
    np.fill_diagonal(distance, np.inf)
    k = min(NEIGHBOURS, len(rows) // 6)
    near = np.argpartition(distance, k, axis=1)[:, :k]
    truth = targets.truth[rows]
    if targets.task == "numbers":
        r2 = _r2(truth[:, 0], truth[near, 0].mean(axis=1))
        return Neighbours(r2, 1.0, r2, 1.0 / math.sqrt(len(rows)))
    votes = np.zeros((len(rows), len(targets.values)))
    np.add.at(votes, (np.arange(len(rows))[:, np.newaxis], truth[near]), 1.0 / k)
    agreement = float(np.mean(votes.argmax(axis=1) == truth))
    numbers = targets.truth[rows].astype(np.float64)
    ordered = _r2(numbers, numbers[near].mean(axis=1))
    certain = float(np.quantile(votes.max(axis=1), 0.9))
    return Neighbours(agreement, certain, ordered, 0.5 / math.sqrt(len(rows)))


def _r2(truth: Array, predicted: Array) -> float:
    return float(1.0 - np.mean((truth - predicted) ** 2) / max(np.var(truth), 1e-300))


def labels(subject: Subject) -> Iterator[Suspicion]:
    """Find labels that are all the same, that have nothing to do with the rows, or many of which are wrong."""
    targets = subject.targets
    if targets.constant:
        what = "label" if targets.task == "classes" else "target"
        why = f"All {len(targets.truth)} rows have the same {what}: there is nothing to learn."
        change = "print(np.unique(y, return_counts=True))  # look where y comes from"
        yield Suspicion("labels", 1.0, why, change, {what: targets.truth[0].tolist()}, worth="certain")
        return
    near = neighbours(subject)
    if near is None or not subject.valid or not targets.balanced:
        return
    chance = targets.majority if targets.task == "classes" else 0.0
    score = subject.score
    by_chance = max(0.1, 1.25 / math.sqrt(len(subject.held_out[0])))
    learned = score.figure - targets.chance > by_chance or near.ordered > 0.2
    evidence = {"agreement of a row with its nearest": near.agreement, "agreement by chance": chance}
    if near.agreement < chance + max(0.02, 2 * near.error) and not learned:
        why = "Neither the nearest rows nor the net predict the targets of rows held out: X and y seem unrelated."
        change = "print(X[:5], y[:5])  # do the rows belong together? Shuffle X and y by one permutation"
        yield Suspicion("labels", 0.95, why, change, evidence, worth="evidence")
    elif targets.task == "classes" and near.certain < NOISY and near.agreement > chance + 3 * near.error:
        if (
            score.figure < near.agreement - 0.05 or score.figure > WRONG_LABELS
        ):  # the net is worse, or better, than that
            return
        evidence["share of the leading label among the nearest, 90 % quantile"] = near.certain
        why = "Even where one label leads, many of the nearest rows have another: a part of the labels seems wrong."
        change = "print(y[:20])  # how were the labels made? nn.CrossEntropyLoss(label_smoothing=0.1) makes it milder"
        yield Suspicion("labels", 0.9, why, change, evidence, worth="evidence")


def ordered_classes(subject: Subject) -> Iterator[Suspicion]:
    """Find classes that are rounded numbers."""
    targets, setup = subject.targets, subject.setup
    if targets.task != "classes" or len(targets.values) < 10 or predicts_numbers(setup.loss):
        return
    near = neighbours(subject)
    if near is None or near.ordered < 0.3 or near.agreement > 0.5 or targets.y.ndim == 2:
        return
    why = f"The {len(targets.values)} labels are ordered like numbers, and rows near each other have labels near each "
    why += "other: this is a regression."
    numbers = Targets(targets.y, "numbers", np.zeros(0), targets.y.astype(np.float64)[:, np.newaxis])
    change = 'nn.Dense(..., 1)  # as the last layer\nTrainer(net, loss="mean_squared_error")'
    evidence = {"classes": len(targets.values), "R2 of the mean of the nearest": near.ordered}
    apply = _changes.both(_changes.for_numbers("mean_squared_error", numbers), _changes.scale_targets)
    yield Suspicion("loss", 0.9, why, change, evidence, apply, worth="evidence")


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


def validation(subject: Subject) -> Iterator[Suspicion]:
    """Find a training without validation data."""
    if not subject.has_validation:
        why = "The fit has no validation data, without which nobody sees whether the net learns its rows by heart."
        change = "trainer.fit(X, y, validation_data=(X_val, y_val))"
        yield Suspicion("validation", 0.1, why, change, {}, worth="note")


CHECKS = (columns, sentinels, input_scale, target_scale, labels, ordered_classes, imbalance, validation)
