"""Checks of the data: columns, scales, validation data."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis import _changes
from fastnn.diagnosis._findings import Suspicion
from fastnn.diagnosis._limits import LARGE_COLUMN, SMALL_COLUMN
from fastnn.diagnosis._setup import quiet
from fastnn.diagnosis._subject import Subject
from fastnn.nn import BatchNorm, HeadsLoss, LayerNorm, Loss

APART = 10.0  # how many times the standard deviation of one column may be that of another
OFF_CENTRE = 3.0  # standard deviations between 0 and the mean of a column
ALL_SIGNS = 0.95  # the share of a row's inputs that have the same sign
LEAST_VALIDATION = 20  # rows whose mean and deviation say something
OTHER_MEAN = 3.0  # standard deviations between the means of X and of validation data in the same unit
MISSING_SHARE, MISSING_AWAY = 0.01, 10.0  # how often a number occurs, and how many ranges of the others it is away


def columns(subject: Subject) -> Iterator[Suspicion]:
    """Find constant and equal columns."""
    found = subject.columns
    constant = np.flatnonzero(found.constant & ~found.is_id)
    if 0 < len(constant) < len(found.constant):
        why = f"Of the columns of X, {len(constant)} of {len(found.constant)} {'is' if len(constant) == 1 else 'are'} "
        why += "constant, and cannot tell rows apart."
        change = "X = X[:, X.std(axis=0) > 0]"
        evidence = {"constant": [int(j) for j in constant]}
        yield Suspicion("columns", 0.15, why, change, evidence, judged_by="note")
    elif len(constant):
        why = "All columns of X are constant: no net can tell the rows apart."
        if len(subject.setup.X) == 1:
            why = "X has a single row: there is nothing that it could be told apart from."
        yield Suspicion("columns", 1.0, why, "print(X[:5])  # look where X comes from", {}, judged_by="certain")
    x = subject.raw[:200]
    _, first, number = np.unique(x.T, axis=0, return_index=True, return_inverse=True)
    same = [(int(first[k]), j) for j, k in enumerate(number.reshape(-1)) if first[k] != j and not found.constant[j]]
    if same:
        why = f"{counted(len(same), 'column')} of X repeat{'s' * (len(same) == 1)} another, in all rows compared."
        change = f"X = np.delete(X, {[j for _, j in same]}, axis=1)"
        yield Suspicion("columns", 0.15, why, change, {"equal": same}, judged_by="note")


def sentinels(subject: Subject) -> Iterator[Suspicion]:
    """Find a whole number that stands for a missing one, such as -999: it occurs often, far from all others."""
    found = {}
    for column in map(
        int, np.flatnonzero(~subject.columns.is_id & ~subject.columns.two_valued & ~subject.columns.constant)
    ):
        x = subject.raw[:, column]
        x = x[np.isfinite(x)]
        for value in (x.min(initial=0.0), x.max(initial=0.0)):
            others = x[x != value]
            often = 1.0 - len(others) / max(1, len(x))
            if len(others) < 10 or not MISSING_SHARE <= often <= 0.9 or value % 1 != 0:
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
        evidence = {"numbers": [value for value, _ in found.values()], "columns": list(found)}
        yield Suspicion("columns", 1.0, why, change, evidence, judged_by="evidence")


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
            " Nearly all inputs of a row have the same sign: so do the gradients of a unit's weights, which then "
        )
        of_mean += "move in a zigzag."
    reasons = {
        of_size: max(decades(size / LARGE_COLUMN), decades(SMALL_COLUMN / size)),
        f"The standard deviations of the columns of X differ by a factor of {apart:.3g}: no step fits them all.": (
            decades(apart / APART)
        ),
        # a mean that is small in itself does no harm
        of_mean: decades(away / OFF_CENTRE) if size > 1.0 else 0.0,
    }
    why = max(reasons, key=lambda each: reasons[each])
    excess = reasons[why]
    if excess <= 0:
        return
    evidence = {
        "largest root mean square of a column": size,
        "largest over smallest standard deviation": apart,
        "largest mean over standard deviation": away,
        "share of a row's inputs with the same sign": agreement,
    }
    change = "net.scaler = fastnn.data.Scaler.fit(X)"
    yield Suspicion("input-scale", min(1.0, 0.6 + 0.25 * excess), why, change, evidence, _changes.scale_input)


def decades(ratio: float) -> float:
    """Return by how many powers of ten something exceeds its limit, of which it is this many times."""
    return math.log10(max(ratio, 1e-30))


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
    excess = max(decades(size / 10.0), decades(0.05 / smallest), decades(float((mean / std).max()) / 10.0))
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


def validation(subject: Subject) -> Iterator[Suspicion]:
    """Find a training without validation data, or with some in other units than the rows of the training."""
    if subject.validation is not None:
        yield from _other_units(subject, subject.held_out[0])
    elif not subject.has_validation:
        why = "The fit has no validation data: without them it cannot be seen whether the net learns its rows by heart."
        change = "trainer.fit(X, y, validation_data=(X_val, y_val))"
        yield Suspicion("validation", 0.1, why, change, {}, judged_by="note")


def _other_units(subject: Subject, X: Array) -> Iterator[Suspicion]:
    """Find columns of the validation data that are scaled differently."""
    found = subject.columns
    with quiet():
        x = np.asarray(X, np.float64)
        scaler = subject.setup.net.scaler
        x = x if scaler is None else np.asarray(scaler.transform(x), np.float64)
        away = np.abs(np.nanmean(x, axis=0) - found.mean) / found.std
        ratio = np.nanstd(x, axis=0) / found.std
    kept = ~found.is_id & ~found.constant & (len(X) >= LEAST_VALIDATION)
    odd = np.flatnonzero(kept & ((away > OTHER_MEAN) | (ratio > APART) | (ratio < 1.0 / APART)))
    if 2 * len(odd) >= np.count_nonzero(kept) > 0:
        j = int(odd[0])
        why = f"The validation data have other units than X: {counted(len(odd), 'column')} of {len(kept)} differ. "
        why += f"The mean of column {j} is {away[j]:.3g} deviations away, with {ratio[j]:.3g} times the deviation."
        change = "X_val = scaler.transform(X_val)  # as X was; or leave both as they are, and write net.scaler"
        evidence = {"columns": [int(each) for each in odd]}
        yield Suspicion("validation", 1.0, why, change, evidence, judged_by="certain")


def counted(n: int, what: str) -> str:
    """Return a number of things in words: ``1 column``, ``2,080 columns``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


CHECKS = (columns, sentinels, input_scale, target_scale, validation)
