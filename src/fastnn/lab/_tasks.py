"""What experiments have in common: data, nets and trainings of a line each."""

from __future__ import annotations

import importlib
import itertools
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn import _validation as v
from fastnn import nn
from fastnn._typing import Array


class Task(NamedTuple):
    """Rows to learn from and rows to test with.

    Attributes
    ----------
    X, y : ndarray
        To learn from.
    X_test, y_test : ndarray
        To test with.
    """

    X: Array
    y: Array
    X_test: Array
    y_test: Array


def real(name: str, rows: int | None = None, *, seed: int = 0, scaled: bool = True, noise: float = 0.0) -> Task:
    """Return a data set that comes with scikit-learn; the seed draws which rows are which.

    Parameters
    ----------
    name : {"digits", "breast_cancer", "wine", "iris", "diabetes"}
        digits: 1797 images of 8 x 8 pixels, ten classes. breast_cancer: 569 tumours, 30 measures, two classes. wine:
        178 wines, 13 measures, three classes. iris: 150 flowers, 4 measures, three classes. diabetes: 442 patients, 10
        measures, a number to predict.
    rows : int, optional
        How many rows to learn from; by default 70 % of all. All others are to test with.
    seed : int
    scaled : bool
        Whether columns have mean 0 and standard deviation 1 over the rows to learn from; the digits are divided by 16
        instead, and the targets of diabetes are scaled, too.
    noise : float
        The share of the rows to learn from whose class is replaced by a random one.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    """
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError:
        v.refuse_missing("this experiment", "scikit-learn, which has the data", "lab")
    found = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    X, y = found.data.astype(np.float64), found.target
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    train, test = np.split(order, [round(0.7 * len(X)) if rows is None else rows])
    y_train, y_test = y[train], y[test]
    if name == "diabetes":
        mean, std = y_train.mean(), y_train.std()
        y_train, y_test = (y_train - mean) / std, (y_test - mean) / std
    elif noise:
        wrong = rng.random(len(train)) < noise
        y_train = np.where(wrong, rng.integers(0, y.max() + 1, len(train)), y_train)
    if scaled and name == "digits":
        X = X / 16
    elif scaled:
        mean, std = X[train].mean(axis=0), X[train].std(axis=0)
        X = (X - mean) / np.where(std > 0, std, 1)
    return Task(X[train].astype("float32"), y_train, X[test].astype("float32"), y_test)


def net(widths: list[int], activation: nn.Layer, *, init: Any = None, seed: int = 0, **settings: Any) -> nn.Sequential:
    """Return dense layers of these widths, input and output among them, with an activation between them."""
    layers = list[nn.Layer]()
    for pair in itertools.pairwise(widths):
        layers += [nn.Dense(*pair, init=init), activation]
    return nn.Sequential(*layers[:-1], seed=seed, **settings)


def fit(
    model: nn.Sequential, task: Task, *, epochs: int, batch_size: int = 32, loss: Any = "cross_entropy", **settings: Any
) -> fastnn.Trainer:
    """Train a net, quietly, and evaluate it on the test rows after each epoch; return its trainer.

    `callbacks`, `augment` and `shuffle` go to the fit, other settings to the trainer.
    """
    fitting = {name: settings.pop(name) for name in ("callbacks", "augment", "shuffle") if name in settings}
    trainer = fastnn.Trainer(model, loss=loss, **settings)
    test = (task.X_test, task.y_test)
    trainer.fit(task.X, task.y, epochs=epochs, batch_size=batch_size, validation_data=test, verbose=0, **fitting)
    return trainer
