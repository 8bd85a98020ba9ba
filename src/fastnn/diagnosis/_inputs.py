"""The arguments of `diagnose`, made into a `Subject`: what is wrong with the arrays becomes a suspicion, no error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.diagnosis import _changes
from fastnn.diagnosis._data_checks import counted
from fastnn.diagnosis._findings import Finding, Suspicion
from fastnn.diagnosis._setup import Setup
from fastnn.diagnosis._subject import Subject
from fastnn.diagnosis._targets import Targets, as_targets, of_classes
from fastnn.nn import HeadsLoss, Loss, Sequential
from fastnn.nn.losses import as_loss
from fastnn.training import Trainer
from fastnn.training.examples import validated_targets

_MISSING = ("NoneType", "NAType", "NaTType")  # types whose objects stand for a missing value, as NaN does


@dataclass(frozen=True)
class Given:
    """A training, as an estimator describes it.

    Attributes
    ----------
    trainer : Trainer
        Before its first step.
    X, y, sample_weight, validation_data
        As the trainer's `fit` takes them, but with NaN and infinity where the user's arrays have them.
    fit : dict
        Other arguments of `fit`.
    words : callable or None
        Takes a finding and the training; returns the change in the estimator's words, or None to leave the finding out.
    """

    trainer: Trainer
    X: npt.ArrayLike
    y: npt.ArrayLike
    sample_weight: npt.ArrayLike | None
    validation_data: Any
    fit: dict[str, Any]
    words: Callable[[Finding, Setup], str | None] | None = None


def given_training(
    given: Any, X: npt.ArrayLike, y: npt.ArrayLike, loss: Any, sample_weight: npt.ArrayLike | None, validation_data: Any
) -> Given:
    """Return the training of a net, a trainer or an estimator."""
    if hasattr(given, "_diagnosed"):
        if loss is not None:
            v.refuse(ValueError, "loss", "be None for an estimator", v.shown(loss), "write clf.set_params(loss=...)")
        found: Given = given._diagnosed(X, y, sample_weight, validation_data)
        return found
    trainer = as_trainer(given, X, y, loss)
    fit = arguments_of_last_fit(given) if isinstance(given, Trainer) else {}
    return Given(trainer, X, y, sample_weight, validation_data, fit)


def in_words_of(given: Given, findings: Iterable[Finding], setup: Setup) -> tuple[Finding, ...]:
    """Return findings whose changes are written for what was given to `diagnose`."""
    if given.words is None:
        return tuple(findings)
    changes = [(each, given.words(each, setup)) for each in findings]
    return tuple(replace(each, change=change) for each, change in changes if change is not None)


RARE = 0.1  # of the rows of the validation data


def as_trainer(given: object, X: npt.ArrayLike, y: npt.ArrayLike, loss: str | Loss | None) -> Trainer:
    """Return the trainer, or one of a net: with Adam, and a loss for the targets if none is given."""
    if isinstance(given, Trainer):
        if loss is None:
            return given
        twin = given.copy()
        twin.loss = loss
        return twin
    if not isinstance(given, Sequential):
        must = "be a net, a Trainer or an estimator of fastnn.sklearn"
        fix = "write fastnn.diagnose(trainer, X, y)"
        if hasattr(given, "named_steps"):
            fix = "give the last step and what it is fitted on: fastnn.diagnose(pipe[-1], pipe[:-1].transform(X), y)"
        elif hasattr(given, "estimator"):
            fix = "give the estimator within, such as search.best_estimator_"
        v.refuse(TypeError, "net_or_trainer", must, v.kind_of(given), fix)
    if loss is None:
        known, kept = _as_targets_array("y", y, len(v.numeric("X", X)))
        targets = as_targets(known[kept], None)
        loss = {"classes": "cross_entropy", "labels": "binary_cross_entropy"}.get(targets.task, "mean_squared_error")
        if loss == "cross_entropy" and given.out_features == 1:
            loss = "binary_cross_entropy"
    return Trainer(given, as_loss(loss, given.out_features))


def arguments_of_last_fit(trainer: Trainer) -> dict[str, Any]:
    """Return the arguments of `fit` that a trainer remembers; none if it has not been trained."""
    if trainer._last_fit is None:
        return {}
    last = trainer._last_fit.arguments
    return {
        "epochs": last.epochs,
        "batch_size": last.batch_size,
        "shuffle": last.shuffle,
        "augment": list(last.augment.given) or None,
    }


def subject_of(
    trainer: Trainer,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None,
    validation_data: Any,
    seed: int,
    fit: dict[str, Any],
) -> tuple[Subject, list[Suspicion]]:
    """Return what the checks look at, and what is wrong with the arrays themselves.

    `fit` are the arguments of the fit that is diagnosed: epochs, batch_size, shuffle, augment.
    """
    net, loss = trainer.net, trainer.loss
    x = v.numeric("X", X)
    v.shape("X", x, ("n", net.in_features))
    v.at_least("X", x, 0, 1, "row")
    given, kept = _as_targets_array("y", y, len(x))
    weight = v.weights("sample_weight", sample_weight, len(x), negative=loss.spec.negative_weights)
    if weight is not None and not weight.any():
        v.refuse(ValueError, "sample_weight", "contain at least one weight other than 0", "only zeros")
    suspicions = list(_missing_targets(given, kept))
    if not kept.any():
        kept, given = np.ones(len(x), bool), np.zeros(given.shape)
    rows, given, weight = x[kept], given[kept], None if weight is None else weight[kept]
    rows, found = _filled(rows, net)
    rows, of_ids = _with_known_ids(rows, net)
    targets = as_targets(given, loss)
    setup = Setup.of(trainer, rows, given, sample_weight=weight, **fit)
    setup, valid, about_targets = _with_valid_targets(setup, targets)
    suspicions += [*found, *of_ids, *about_targets]
    last = trainer._last_fit
    has_validation = validation_data is not None or (last is not None and last.with_validation)
    validation, of_validation = _validation_of(net, targets, validation_data)
    suspicions += of_validation
    if validation is not None:
        setup = setup.changed(validation=(validation[0], validation[1].y))
    return Subject(trainer, setup, targets, valid, has_validation, validation, seed), suspicions


def _validation_of(
    net: Sequential, targets: Targets, data: Any
) -> tuple[tuple[Array, Targets] | None, list[Suspicion]]:
    """Return the validation data, with targets in the form of the others, and what is wrong with them.

    Rows without a target, or with a label that no other row has, are left out; None if there are no others.
    """
    if data is None:
        return None, []
    if not isinstance(data, list | tuple) or len(data) not in (2, 3):
        fix = "write validation_data=(X_val, y_val)"
        v.refuse(TypeError, "validation_data", "be (X, y) or (X, y, sample_weight)", v.kind_and_length(data), fix)
    X = v.numeric("validation_data[0]", data[0])
    v.shape("validation_data[0]", X, ("n", net.in_features))
    v.at_least("validation_data[0]", X, 0, 1, "row")
    y, kept = _as_targets_array("validation_data[1]", data[1], len(X))
    found = _missing_targets(y, kept)
    X, of_columns = _filled(X, net)
    X, of_ids = _with_known_ids(X, net)
    found += [*of_columns, *of_ids]
    if targets.task == "classes":
        numbers, known = targets.numbers_of(y)
        if not known[kept].all():
            found.append(_unknown_labels(y[kept & ~known], len(y)))
        kept &= known
    elif y.reshape(len(y), -1).shape[1] != targets.truth.shape[1] or y.dtype.kind not in "biuf":
        must = f"have {targets.truth.shape[1]} numbers for each row, as y has"
        v.refuse(ValueError, "validation_data[1]", must, f"shape {y.shape}, dtype {y.dtype}")
    else:
        numbers = y.reshape(len(y), -1).astype(np.float64 if targets.task == "numbers" else np.int64)
    found = [replace(each, why=f"In the validation data: {each.why}") for each in found]
    if not kept.any():
        return None, found
    return (X[kept], Targets(y[kept], targets.task, targets.values, numbers[kept])), found


def _unknown_labels(y: Array, rows: int) -> Suspicion:
    """Return what is wrong with labels of the validation data; some rows of rare classes are worth a note only."""
    shown = [each.item() if isinstance(each, np.generic) else each for each in np.unique(y.reshape(-1))[:5]]
    why = f"{counted(len(y), 'row')} have labels that y has not, such as {v.shown(shown[0])}."
    change = "print(np.unique(y), np.unique(y_val))  # number the labels of both by one table"
    rare = len(y) < RARE * rows
    evidence = {"unknown labels": shown, "rows": len(y)}
    return Suspicion("labels", 0.1 if rare else 1.0, why, change, evidence, judged_by="note" if rare else "certain")


def _as_targets_array(name: str, y: npt.ArrayLike, rows: int) -> tuple[Array, Array]:
    """Return targets as an array of numbers or strings, and which rows have them all."""
    try:
        array = np.asarray(y)
    except ValueError:
        v.refuse(ValueError, name, "have rows of the same length", "rows of different lengths")
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufOUS" or 0 in array.shape[1:]:
        must = "have shape (n,) or (n, columns), of numbers or strings"
        v.refuse(ValueError, name, must, f"shape {array.shape}, dtype {array.dtype}")
    if array.dtype.kind in "US" and array.ndim == 2 and array.shape[1] > 1:
        v.refuse(ValueError, name, "be numbers if it has several columns", "strings")
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":
        array = array.astype(np.float64)
    if len(array) != rows:
        v.refuse(ValueError, name, f"have {rows} rows, as many as X", len(array))
    missing = missing_entries(array)
    if array.dtype.kind == "O":
        array = np.where(missing, np.nan, array)
        try:
            array = array.astype(np.float64)
            missing |= ~np.isfinite(array)
        except (TypeError, ValueError, OverflowError):
            array = array.astype(str)
    return array, np.asarray(~missing.reshape(rows, -1).any(axis=1))


def missing_entries(array: Array) -> Array:
    """Return which entries of targets are NaN, infinite, None or stand for a missing value in a data frame."""
    if array.dtype.kind == "f":
        return np.asarray(~np.isfinite(array))
    missing: Array = np.zeros(array.size, bool)
    if array.dtype.kind == "O":
        # NaN is the only number that is not equal to itself.
        missing[:] = [
            type(each).__name__ in _MISSING or (isinstance(each, float) and each != each)  # noqa: PLR0124
            for each in array.flat
        ]
    return missing.reshape(array.shape)


def _missing_targets(y: Array, kept: Array) -> list[Suspicion]:
    missing = int(np.count_nonzero(~kept))
    if not missing:
        return []
    why = f"{missing} of {len(kept)} rows have no target: it is missing, NaN or infinite, which fit refuses."
    known = "np.isfinite(y).reshape(len(y), -1).all(axis=1)"
    if y.dtype.kind not in "biuf":
        known = "np.array([isinstance(each, str) for each in y])"
    change = f"known = {known}\nX, y = X[known], y[known]"
    return [Suspicion("labels", 1.0, why, change, {"missing": missing, "rows": len(kept)}, judged_by="certain")]


def _with_known_ids(x: Array, net: Sequential) -> tuple[Array, list[Suspicion]]:
    """Return rows in which 0 stands for ids that are errors, and what is wrong with them."""
    found: dict[int, int] = {}
    for each in net.id_columns:
        wrong = each.wrong(x[:, each.column])
        if wrong.any():
            x = x.copy() if not found else x
            x[wrong, each.column] = 0
            found[each.column] = int(np.count_nonzero(wrong))
    if not found:
        return x, []
    sizes = {each.column: each.size for each in net.id_columns}
    column = next(iter(found))
    why = (
        f"Column {column} of X has {found[column]} entries that are no rows of its embedding, 0 to {sizes[column] - 1}."
    )
    change = 'nn.Embeddings(..., unknown="own")  # takes other whole numbers and NaN; or number the ids from 0'
    return x, [Suspicion("columns", 1.0, why, change, {"entries by column": found}, judged_by="certain")]


def _filled(x: Array, net: Sequential) -> tuple[Array, list[Suspicion]]:
    """Return rows without NaN and infinity, which become the mean of their column, and what is wrong with them."""
    if x.dtype.kind != "f":
        return (x if x.dtype == np.uint8 else x.astype(np.float32)), []
    x = x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)
    wrong = ~np.isfinite(x)
    wrong[:, [each.column for each in net.id_columns]] = False
    if net.input_scaling is not None and net.input_scaling.fill is not None:
        wrong &= ~(np.isnan(x) & ~np.isnan(net.input_scaling.fill))
    if not wrong.any():
        return x, []
    columns = np.flatnonzero(wrong.any(axis=0))
    with np.errstate(all="ignore"):
        finite = np.where(np.isfinite(x), x, 0.0)
        means = finite.sum(axis=0, dtype=np.float64) / np.maximum(1, np.isfinite(x).sum(axis=0))
    filled = np.where(wrong, means, x).astype(x.dtype)
    row, column = np.argwhere(wrong)[0]
    number = int(np.count_nonzero(wrong))
    why = f"{number} entries of X are NaN or infinite, the first in row {row}, column {column}; fit refuses them."
    change = 'net.scaler = fastnn.data.Scaler.fit(X, nan="center")  # fills NaN with the mean of its column'
    evidence = {"entries": number, "columns": [int(each) for each in columns], "first row": int(row)}
    return filled, [Suspicion("columns", 1.0, why, change, evidence, judged_by="certain")]


# ---- targets that the loss refuses ----


def _with_valid_targets(setup: Setup, targets: Targets) -> tuple[Setup, bool, list[Suspicion]]:
    """Return the training with targets that its loss takes, whether there are any, and what was wrong with them."""
    try:
        with np.errstate(all="ignore"):
            validated_targets(setup.net, setup.loss, setup.y, setup.sample_weight, len(setup.X))
    except (TypeError, ValueError) as error:
        return _mended(setup, targets, str(error))
    return setup, True, []


def _mended(setup: Setup, targets: Targets, message: str) -> tuple[Setup, bool, list[Suspicion]]:
    """Return a training whose targets or whose loss have been made to fit, as far as that is possible."""
    loss, outputs = setup.loss, setup.net.out_features
    kinds = set() if isinstance(loss, HeadsLoss) else set(loss.spec.kinds)
    takes_classes = of_classes(loss)
    evidence: dict[str, Any] = {"fit says": message}
    if targets.task == "classes":
        n_classes = len(targets.values)
        evidence |= {"classes": n_classes, "outputs": outputs, "first labels": _first(targets)}
        if takes_classes and "labels" in kinds and n_classes <= outputs:
            why = f"The labels do not have the form that the loss takes: numbers from 0 to {outputs - 1}, shape (n,)."
            change = "y = np.unique(y, return_inverse=True)[1]  # for one-hot rows y.argmax(axis=1)"
            mended = setup.changed(y=targets.truth.astype(np.int64))
            return mended, True, [Suspicion("labels", 1.0, why, change, evidence, judged_by="certain")]
        if takes_classes and outputs == 1 and n_classes == 2 and _takes_one_column(loss):
            low = -1 if -1 in loss.spec.among else 0
            why = f"The labels must be {low} and 1 for this loss."
            change = f"y = np.where(y == y.max(), 1, {low})"
            mended = setup.changed(y=np.where(targets.truth == 1, 1.0, low))
            return mended, True, [Suspicion("labels", 1.0, why, change, evidence, judged_by="certain")]
        apply = _changes.for_classes(n_classes, targets)
        has = f"{outputs} output{'s' * (outputs != 1)}"
        why = f"y has {n_classes} classes; the loss {v.shown(loss)} of a net with {has} does not take such labels."
        change = f'nn.Dense(..., {n_classes})  # as the last layer\nTrainer(net, loss="cross_entropy")'
        return setup, False, [Suspicion("loss", 1.0, why, change, evidence, apply, judged_by="certain")]
    columns = targets.truth.shape[1]
    evidence |= {"outputs": outputs, "columns of y": columns}
    name = "binary_cross_entropy" if targets.task == "labels" else "mean_squared_error"
    what = "labels of yes or no" if targets.task == "labels" else "numbers"
    has = f"{outputs} output{'s' * (outputs != 1)}"
    why = f"y has {what}, {columns} for each row; the loss {v.shown(loss)} of a net with {has} does not take them."
    change = f'nn.Dense(..., {columns})  # as the last layer\nTrainer(net, loss="{name}")'
    apply = _changes.for_numbers(name, targets)
    return setup, False, [Suspicion("loss", 1.0, why, change, evidence, apply, judged_by="certain")]


def _takes_one_column(loss: Loss) -> bool:
    """Whether a loss takes the two classes as one column of yes or no, not as labels of two outputs."""
    try:
        return "labels" not in loss.spec.kinds_of(1)
    except ValueError:
        return False


def _first(targets: Targets) -> Sequence[Any]:
    return [each.item() if isinstance(each, np.generic) else each for each in targets.values[:5]]
