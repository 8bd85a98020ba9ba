"""The faults that are planted: what is done to a healthy training, and what the fault is called.

A fault takes a generator and a healthy training, and returns the faulty one and the one with the fault undone, which is
mostly the training that it was given.
"""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.diagnosis.base import draw
from bench.diagnosis.tasks import BINARY, CLASSES, REGRESSION
from bench.diagnosis.training import Case, changed, with_lr
from fastnn import nn, optim

__all__ = ["FAULTS", "KINDS", "Fault", "plant"]

constant, normal = nn.init.constant, nn.init.normal
RELUS = ("relu", "relu", "leaky_relu", "elu", "gelu")
SATURATING = ("tanh", "sigmoid")


@dataclass(frozen=True)
class Fault:
    """A way to spoil a training.

    Attributes
    ----------
    kinds : tuple of str
        The kind, then other kinds that are a right name of this very fault.
    change : callable
        From a generator and a training to the faulty training, or to the pair of the faulty and the undone one.
    base : dict
        What `draw` is given: for which trainings the fault is one.
    healthy : bool
        Whether the undone training has to be a healthy one. Not where the data are meant to be hard.
    """

    kinds: tuple[str, ...]
    change: Callable
    base: Mapping[str, Any] = field(default_factory=dict)
    healthy: bool = True


def between(rng, low, high):
    """Return a number between two, evenly on the scale of logarithms."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# ---- the data ----


def _scaled(low, high, *, one_column=False):
    def change(rng, training):
        factor = np.ones(training.data.X.shape[1])
        factor[rng.integers(len(factor)) if one_column else slice(None)] = between(rng, low, high)
        return changed(training, data=training.data.with_inputs(lambda X: X * factor))

    return change


def _off_centre(rng, training):
    shift = rng.choice([-1, 1]) * between(rng, 20, 1000)
    return changed(training, data=training.data.with_inputs(lambda X: X + shift))


def _raw_units(rng, training):
    """Give each column a unit and a zero of its own, as measurements have them."""
    width = training.data.X.shape[1]
    factor, zero = 10.0 ** rng.uniform(-2, 4, size=width), rng.uniform(0, 5, size=width)
    return changed(training, data=training.data.with_inputs(lambda X: (X + zero) * factor))


def _spoiled(share, value):
    """Put a value into a share of the entries of one column; the undone training has its mean, 0, there."""

    def change(rng, training):
        data = training.data
        column, part = int(rng.integers(data.X.shape[1])), rng.uniform(*share)
        holes = {len(X): rng.random(len(X)) < part for X in (data.X, data.X_val, data.X_held)}

        def with_entries(entry):
            def fill(X):
                X = X.copy()
                X[holes[len(X)], column] = entry
                return X

            return changed(training, data=data.with_inputs(fill))

        return with_entries(value), with_entries(0.0)

    return change


def _bad_rows(name):
    """Spoil an entry of a few rows to train on, in X or y; undone, these rows are left out."""

    def change(rng, training):
        data = training.data
        values = getattr(data, name).astype(float)
        rows = rng.choice(len(values), size=int(rng.integers(1, 6)), replace=False)
        columns = () if values.ndim == 1 else (rng.integers(values.shape[1], size=len(rows)),)
        values[(rows, *columns)] = rng.choice([np.nan, np.inf])
        spoiled = dataclasses.replace(data, **{name: values})
        kept = np.delete(np.arange(len(values)), rows)
        return changed(training, data=spoiled), changed(training, data=data.rows(kept))

    return change


def _targets(unit=(1, 1), zero=(0, 0)):
    def change(rng, training):
        factor = 10 ** rng.uniform(*unit)
        shift = factor * rng.choice([-1, 1]) * rng.uniform(*zero)
        return changed(training, data=training.data.with_targets(lambda y: y * factor + shift))

    return change


def _shuffled(rng, training):
    """Put the targets into another order than the rows."""
    return changed(training, data=training.data.with_given_targets(rng.permutation))


def _shuffled_rows(rng, training):
    """Put the rows to train on into another order than the targets; the validation data are right."""
    data = training.data
    return changed(training, data=dataclasses.replace(data, X=rng.permutation(data.X)))


def _corrupted(rng, training):
    """Give 40 to 60 % of the rows a label drawn from the others."""
    classes, share = training.data.classes, rng.uniform(0.4, 0.6) if training.data.classes > 2 else 0.4

    def corrupt(y):
        wrong = rng.random(len(y)) < share
        return np.where(wrong, (y + rng.integers(1, classes, size=len(y))) % classes, y)

    return changed(training, data=training.data.with_given_targets(corrupt))


def _divided(rng, training):
    """Divide the labels by 255 together with the pixels; a loss that takes integers then gets zeros alone."""
    integers = training.loss == "cross_entropy"

    def divide(y):
        return (y / 255).astype(int) if integers else y / 255

    return changed(training, data=training.data.with_given_targets(divide))


def _from_one(rng, training):
    return changed(training, data=training.data.with_given_targets(lambda y: y + 1))


def _imbalanced(rng, training):
    """Keep so few rows of class 1 that accuracy hides it; undone, rows have weights. Balanced accuracy judges both."""
    share, noise = rng.uniform(0.015, 0.04), rng.uniform(0.3, 0.8)
    data = training.data.with_inputs(lambda X: X + noise * rng.normal(size=X.shape))

    def kept(y):
        ones = np.flatnonzero(y == 1)
        return np.delete(np.arange(len(y)), ones[max(3, int(share * len(y))) :])

    train, val = kept(data.y), kept(data.y_val)
    few = dataclasses.replace(data.rows(train), X_val=data.X_val[val], y_val=data.y_val[val], balanced=True)
    weight = np.where(few.y == 1, (few.y == 0).sum() / (few.y == 1).sum(), 1.0)
    return changed(training, data=few), changed(training, data=dataclasses.replace(few, weight=weight))


# ---- the output and the loss ----


def _head(*names, **settings):
    return lambda rng, training: changed(training, head=names, **settings)


def _wide_targets(head):
    """Bound the output below what the targets reach."""

    def change(rng, training):
        wide = changed(training, data=training.data.with_targets(lambda y: y * 3))
        return changed(wide, head=head), wide

    return change


def _one_hot(training, head=()):
    classes = training.data.classes
    data = training.data.with_given_targets(lambda y: np.eye(classes)[y])
    return changed(training, data=data, loss="mean_squared_error", head=head)


def _numbers_for_classes(rng, training):
    """Fit the numbers of the classes as if they were amounts."""
    return changed(training, loss="mean_squared_error", out=1, data=training.data.with_given_targets(np.float64))


def _classes_for_numbers(rng, training):
    """Make each rounded amount a class, without an order."""
    levels = int(rng.integers(30, 80))
    low, high = training.data.y.min(), training.data.y.max()

    def rounded(y):
        return np.clip(np.rint((y - low) / (high - low) * levels), 0, levels).astype(int)

    data = training.data.with_targets(rounded)
    middle, unit = levels / 2, levels / 6
    undone = changed(training, data=data.with_targets(lambda y: (y - middle) / unit))
    return changed(training, data=data, loss="cross_entropy", out=levels + 1), undone


# ---- the net ----


def _initial(low, high):
    return lambda rng, training: changed(training, init=normal(std=between(rng, low, high)))


def _standard_normal(rng, training):
    return changed(training, init=normal(std=1.0), last_init=normal(std=1.0))


def _growing(rng, training):
    """Multiply the variance by 4 to 16 in each layer."""
    width = training.hidden[0]
    return changed(training, init=normal(std=rng.uniform(2, 4) * (2 / width) ** 0.5))


def _identical(rng, training):
    value = constant(float(rng.choice([0.0, 0.01, 0.1, 0.5])))
    return changed(training, init=value, last_init=value)


def _dead(rng, training):
    return changed(training, bias=constant(-float(rng.uniform(5, 30))))


def _last_bias(rng, training):
    if training.out == 1:
        return changed(training, last_bias=constant(float(rng.choice([-1, 1]) * between(rng, 20, 200))))
    return changed(training, last_bias=normal(std=between(rng, 20, 200)))


def _narrow(rng, training):
    return changed(training, hidden=(int(rng.integers(1, 3)),) * len(training.hidden))


# ---- the training ----


def _rate(low, high):
    return lambda rng, training: changed(training, optimizer=with_lr(training.optimizer, between(rng, low, high)))


def _few_epochs(rng, training):
    return changed(training, epochs=int(rng.integers(1, 3)))


def _all_rows(rng, training):
    return changed(training, batch_size=len(training.data.X))


def _single_rows(rng, training):
    """Take one or two rows for a step, with a rate that suits large batches."""
    rate = with_lr(training.optimizer, rng.uniform(2, 5))
    return changed(training, batch_size=int(rng.integers(1, 3)), optimizer=rate)


def _dropped(rng, training):
    return changed(training, dropout=float(rng.uniform(0.7, 0.9)))


def _penalty(name, low, high):
    return lambda rng, training: changed(training, penalty=optim.Penalty(**{name: between(rng, low, high)}))


def _weight_decay(rng, training):
    decay = between(rng, 0.03, 1.0)
    return changed(training, optimizer=dataclasses.replace(training.optimizer, weight_decay=decay))


def _pairs(rng, training):
    normed = changed(training, norm=0.1)
    return changed(normed, batch_size=2), normed


def _late_statistics(rng, training):
    normed = changed(training, norm=0.1)
    return changed(normed, norm=between(rng, 1e-5, 1e-4)), normed


def _overfitted(rng, training):
    """Train a wide net for long on a few rows with noise; undone, a penalty and fewer epochs."""
    data = training.data
    noise = rng.uniform(0.6, 1.0)
    data = data.with_inputs(lambda X: np.hstack([X, rng.normal(size=(len(X), 20))]))
    data = data.with_targets(lambda y: y + noise * rng.normal(size=y.shape))
    long = changed(training, data=data, hidden=(128, 128), optimizer=optim.Adam(lr=3e-3), epochs=200, batch_size=32)
    return changed(long, validation=True), changed(long, epochs=40, penalty=optim.Penalty(l2=0.1))


SMALL = {"depth": (1, 3), "norm": 0.0}
OF_CLASSES, OF_NUMBERS = {"tasks": CLASSES}, {"tasks": REGRESSION}
SEVERAL = {"tasks": ("blobs", "clusters", "iris", "wine", "digits")}
DEEP = {"depth": (4, 8), "widths": (16, 32, 64, 128), "norm": 0.0}
FEW_NUMBERS = {"tasks": ("teacher", "friedman", "waves"), "rows": (150, 300), "norm": 0.0, "activations": RELUS}
DEEP_RELU = {**DEEP, "activations": RELUS}

# Name of a fault -> its kinds, what it does, and to which trainings. An even number of each kind is drawn.
FAULTS = {
    "a large column": Fault(("input-scale",), _scaled(300, 1e4, one_column=True)),
    "large inputs": Fault(("input-scale",), _scaled(100, 1e4)),
    "tiny inputs": Fault(("input-scale",), _scaled(1e-4, 1e-2)),
    "inputs off centre": Fault(("input-scale",), _off_centre),
    "inputs in raw units": Fault(("input-scale",), _raw_units),
    "a column with NaN": Fault(("columns", "nonfinite"), _spoiled((0.05, 1.0), np.nan)),
    "a number for what is missing": Fault(("columns", "input-scale"), _spoiled((0.02, 0.3), -9999.0)),
    "rows that are not finite": Fault(("nonfinite", "columns"), _bad_rows("X")),
    "targets that are not finite": Fault(("nonfinite", "labels"), _bad_rows("y"), OF_NUMBERS),
    "large targets": Fault(("target-scale",), _targets(unit=(2, 4)), OF_NUMBERS),
    "targets off centre": Fault(("target-scale",), _targets(zero=(100, 1e4)), OF_NUMBERS),
    "softmax of one unit": Fault(
        ("output-activation",), _head("softmax", out=1, loss="bce_with_logits"), {"tasks": BINARY}
    ),
    "softmax before cross entropy": Fault(
        ("output-activation",), _head("softmax", loss="cross_entropy"), {**SEVERAL, **SMALL}
    ),
    "sigmoid before cross entropy": Fault(
        ("output-activation",), _head("sigmoid", loss="cross_entropy"), {**SEVERAL, **SMALL}
    ),
    "ReLU before cross entropy": Fault(("output-activation",), _head("relu", loss="cross_entropy"), SEVERAL),
    "sigmoid before its loss": Fault(
        ("output-activation",), _head("sigmoid", out=1, loss="bce_with_logits"), {"tasks": BINARY}
    ),
    "ReLU at the output": Fault(("output-activation",), _head("relu"), OF_NUMBERS),
    "bounded by sigmoid": Fault(("output-activation",), _wide_targets(("sigmoid",)), OF_NUMBERS),
    "bounded by tanh": Fault(("output-activation",), _wide_targets(("tanh",)), OF_NUMBERS),
    "numbers of classes fitted": Fault(("loss",), _numbers_for_classes, SEVERAL),
    "squared error of softmax": Fault(("loss",), lambda rng, t: _one_hot(t, ("softmax",)), SEVERAL),
    "squared error of one-hot rows": Fault(("loss",), lambda rng, t: _one_hot(t), SEVERAL),
    "amounts as classes": Fault(("loss",), _classes_for_numbers, OF_NUMBERS),
    "targets shuffled": Fault(("labels",), _shuffled),
    "rows shuffled": Fault(("labels",), _shuffled_rows),
    "labels corrupted": Fault(("labels",), _corrupted, OF_CLASSES),
    "labels divided": Fault(("labels",), _divided, OF_CLASSES),
    "labels from one": Fault(("labels",), _from_one, OF_CLASSES),
    "few rows of a class": Fault(
        ("imbalance",), _imbalanced, {"tasks": ("moons", "exclusive or"), "rows": (1200, 2400, 3000)}, False
    ),
    "no activations": Fault(("linear",), lambda rng, t: changed(t, activation=None)),
    "large weights": Fault(
        ("saturation", "initialisation"),
        _initial(2, 10),
        {"activations": SATURATING, "widths": (16, 32, 64, 128), "norm": 0.0},
    ),
    "negative biases": Fault(
        ("dead-units", "initialisation"), _dead, {"activations": ("relu",), "norm": 0.0, "depth": (1, 4)}
    ),
    "deep sigmoid": Fault(("vanishing-gradient",), lambda rng, t: changed(t, activation="sigmoid"), DEEP_RELU),
    "weights that make signals grow": Fault(("exploding-gradient", "initialisation"), _growing, DEEP_RELU),
    "standard normal weights": Fault(
        ("initialisation", "exploding-gradient"), _standard_normal, {**DEEP_RELU, "depth": (2, 6)}
    ),
    "tiny weights": Fault(("initialisation", "vanishing-gradient"), _initial(3e-4, 1e-2), DEEP),
    "equal weights": Fault(("symmetry",), _identical, {"widths": (8, 16, 32, 64, 128)}),
    "a wrong last bias": Fault(("initial-loss", "initialisation"), _last_bias),
    "a low rate": Fault(("learning-rate-low",), _rate(1e-3, 1e-2)),
    "a high rate": Fault(("learning-rate-high",), _rate(30, 1000)),
    "one epoch or two": Fault(("epochs",), _few_epochs),
    "all rows in a batch": Fault(("batch-size",), _all_rows),
    "a row or two in a batch": Fault(("batch-size", "learning-rate-high"), _single_rows, {"norm": 0.0}),
    "much dropout": Fault(("regularisation",), _dropped),
    "a large L2 penalty": Fault(("regularisation",), _penalty("l2", 0.03, 3.0)),
    "a large L1 penalty": Fault(("regularisation",), _penalty("l1", 0.02, 0.5)),
    "much weight decay": Fault(("regularisation",), _weight_decay),
    "batch norm of two rows": Fault(("batch-norm", "batch-size"), _pairs),
    "batch norm with late statistics": Fault(("batch-norm",), _late_statistics),
    "overfitting": Fault(("overfitting",), _overfitted, FEW_NUMBERS, False),
    "a unit or two": Fault(("units",), _narrow, {"widths": (32, 64, 128), "depth": (1, 3)}),
}
KINDS = tuple(dict.fromkeys(fault.kinds[0] for fault in FAULTS.values()))


def plant(name, seed):
    """Return the case of a fault and a seed; where it is healthy without the fault is for its caller to see."""
    fault = FAULTS[name]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    training = draw(rng, **fault.base)
    trainings = fault.change(rng, training)
    faulty, undone = trainings if isinstance(trainings, tuple) else (trainings, training)
    return Case(f"{name}, {seed}", fault.kinds, faulty, undone, fitted=bool(rng.random() < 0.5))
