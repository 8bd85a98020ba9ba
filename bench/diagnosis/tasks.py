"""Data to train on: made by NumPy from seeds, and the sets that come with scikit-learn."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["BINARY", "CLASSES", "REGRESSION", "TASKS", "Data", "divided", "make_data", "standardised"]

HELD_ROWS = 1000  # of made data; of a set that has an end, a quarter


@dataclass(frozen=True)
class Data:
    """Rows to train on, rows to validate with, and rows held out: a diagnosis never sees the last.

    Attributes
    ----------
    X, y, X_val, y_val, X_held, y_held : ndarray
    classes : int
        0 for a regression.
    weight : ndarray or None
        Weights of the rows to train on.
    balanced : bool
        Whether the figure is the mean over the classes of their accuracies.
    """

    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_held: np.ndarray
    y_held: np.ndarray
    classes: int
    weight: np.ndarray | None = None
    balanced: bool = False

    def with_inputs(self, change: Callable) -> "Data":
        """Return the data with all inputs changed, as when a program reads them otherwise."""
        return dataclasses.replace(self, X=change(self.X), X_val=change(self.X_val), X_held=change(self.X_held))

    def with_targets(self, change: Callable) -> "Data":
        """Return the data with all targets changed: another unit, another form."""
        return dataclasses.replace(self.with_given_targets(change), y_held=change(self.y_held))

    def with_given_targets(self, change: Callable) -> "Data":
        """Return the data with wrong targets; those held out stay right."""
        return dataclasses.replace(self, y=change(self.y), y_val=change(self.y_val))

    def rows(self, kept) -> "Data":
        """Return the data with some of the rows to train on."""
        weight = None if self.weight is None else self.weight[kept]
        return dataclasses.replace(self, X=self.X[kept], y=self.y[kept], weight=weight)


def _blobs(rng, n):
    classes, width = int(rng.integers(2, 6)), int(rng.integers(2, 11))
    centres = rng.normal(size=(classes, width)) * rng.uniform(1.2, 2.0)
    y = rng.integers(classes, size=n)
    return centres[y] + rng.normal(size=(n, width)), y, classes


def _circles(rng, n):
    classes = int(rng.integers(2, 4))
    y = rng.integers(classes, size=n)
    return _polar(rng, 1.0 + y, rng.uniform(0, 2 * np.pi, n), 0.15), y, classes


def _moons(rng, n):
    y, angle = rng.integers(2, size=n), rng.uniform(0, np.pi, n)
    X = np.stack([np.cos(angle) * (1 - 2 * y) + y, np.sin(angle) * (1 - 2 * y) + 0.5 * y], axis=1)
    return X + rng.normal(size=X.shape) * 0.12, y, 2


def _spirals(rng, n):
    classes = int(rng.integers(2, 4))
    y, radius = rng.integers(classes, size=n), np.sqrt(rng.uniform(0.02, 1, n))
    return _polar(rng, radius, 4.5 * radius + 2 * np.pi * y / classes, 0.03), y, classes


def _polar(rng, radius, angle, noise):
    X = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return X + rng.normal(size=X.shape) * noise


def _exclusive_or(rng, n):
    X = rng.normal(size=(n, int(rng.integers(2, 7))))
    first, second = np.linalg.qr(rng.normal(size=(X.shape[1], X.shape[1])))[0].T[:2]
    return X, ((X @ first > 0) ^ (X @ second > 0)).astype(int), 2


def _clusters(rng, n):
    """Several clusters for each class, and columns that say nothing."""
    classes, informative, noise = int(rng.integers(2, 5)), int(rng.integers(4, 9)), int(rng.integers(0, 6))
    centres = rng.normal(size=(classes * 2, informative)) * 1.6
    cluster = rng.integers(len(centres), size=n)
    mixing = rng.normal(size=(informative, informative)) / np.sqrt(informative)
    X = (centres[cluster] + rng.normal(size=(n, informative))) @ mixing
    return np.hstack([X, rng.normal(size=(n, noise))]), cluster % classes, classes


def _teacher(rng, n):
    X = rng.normal(size=(n, int(rng.integers(3, 9))))
    hidden = np.tanh(X @ rng.normal(size=(X.shape[1], 6)) + rng.normal(size=6) * 0.5)
    y = hidden @ rng.normal(size=6)
    return X, y + y.std() * 0.1 * rng.normal(size=n), 0


def _friedman(rng, n):
    X = rng.uniform(size=(n, 7))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return X, y + rng.normal(size=n), 0


def _waves(rng, n):
    X = rng.uniform(-2, 2, size=(n, int(rng.integers(2, 5))))
    y = np.sin(X @ rng.normal(size=X.shape[1]) * 1.2) + 0.5 * np.abs(X[:, 0])
    return X, y + rng.normal(size=n) * 0.05, 0


def _shipped(name, classes):
    def load(rng, n):
        from sklearn import datasets

        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        rows = rng.permutation(len(X))
        return X[rows].astype(float), y[rows] if classes else y[rows].astype(float), classes

    return load


# Name of a task -> the function that makes n rows of it from a generator, and whether n is its own.
TASKS = {
    "blobs": (_blobs, False),
    "circles": (_circles, False),
    "moons": (_moons, False),
    "spirals": (_spirals, False),
    "exclusive or": (_exclusive_or, False),
    "clusters": (_clusters, False),
    "teacher": (_teacher, False),
    "friedman": (_friedman, False),
    "waves": (_waves, False),
    "iris": (_shipped("iris", 3), True),
    "wine": (_shipped("wine", 3), True),
    "breast cancer": (_shipped("breast_cancer", 2), True),
    "digits": (_shipped("digits", 10), True),
    "diabetes": (_shipped("diabetes", 0), True),
}
REGRESSION = ("teacher", "friedman", "waves", "diabetes")
BINARY = ("moons", "exclusive or", "breast cancer")
CLASSES = tuple(name for name in TASKS if name not in REGRESSION)


def make_data(task, rng, n):
    """Return data with about n rows to train on, as they come: not scaled."""
    make, whole = TASKS[task]
    X, y, classes = make(rng, n + n // 4 + HELD_ROWS)
    return divided(X, y, classes, n, whole=whole)


def divided(X, y, classes, n, *, whole=False):
    """Return data with n rows to train on, n / 4 to validate with, and the rest held out.

    Of a set that is all there is (`whole`), a quarter is held out and a sixth is to validate with, so n may be less.
    """
    validation = n // 4
    if whole:
        held, validation = len(X) // 4, len(X) // 6
        n = min(n, len(X) - held - validation)
        X, y = X[: n + validation + held], y[: n + validation + held]
    parts = np.split(np.arange(len(X)), [n, n + validation])
    return Data(*(each[part] for part in parts for each in (X, y)), classes=classes)


def standardised(data):
    """Return the data with inputs, and the targets of a regression, of mean 0 and deviation 1 on the rows to train on.

    A column of one value stays 0.
    """
    mean, deviation = data.X.mean(axis=0), data.X.std(axis=0)
    data = data.with_inputs(lambda X: (X - mean) / np.where(deviation > 0, deviation, 1))
    if data.classes:
        return data
    centre, unit = data.y.mean(), data.y.std()
    return data.with_targets(lambda y: (y - centre) / unit)
