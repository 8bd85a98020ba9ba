"""What the nearest rows say about the targets of a row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._targets import Targets

NEIGHBOURS = 15
COMPARED_ROWS, COMPARED_COLUMNS = 1000, 300  # at most
LEAST_ROWS = 80  # for which the nearest rows say something


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


def neighbours(X: Array, targets: Targets) -> Neighbours | None:
    """Return what the nearest rows say; None if there are too few rows, or labels of yes or no.

    Columns are standardised; of many, some are taken at equal distances.
    """
    if targets.task == "labels" or len(X) < LEAST_ROWS or targets.truth.std() == 0:
        return None
    step = max(1, -(-X.shape[1] // COMPARED_COLUMNS))
    x = np.asarray(X[:, ::step], np.float32)
    truth = targets.truth
    std = x.std(axis=0)
    x = (x - x.mean(axis=0))[:, std > 0] / std[std > 0]
    if x.shape[1] == 0:
        return None
    squares = (x**2).sum(axis=1)
    distance = squares[:, np.newaxis] + squares - 2.0 * (x @ x.T)
    np.fill_diagonal(distance, np.inf)
    k = min(NEIGHBOURS, len(x) // 6)
    near = np.argpartition(distance, k, axis=1)[:, :k]
    if targets.task == "numbers":
        explained = r2(truth[:, 0], truth[near, 0].mean(axis=1))
        return Neighbours(explained, 1.0, explained, 1.0 / math.sqrt(len(x)))
    votes = np.zeros((len(x), len(targets.values)))
    np.add.at(votes, (np.arange(len(x))[:, np.newaxis], truth[near]), 1.0 / k)
    agreement = float(np.mean(votes.argmax(axis=1) == truth))
    numbers = truth.astype(np.float64)
    ordered = r2(numbers, numbers[near].mean(axis=1))
    certain = float(np.quantile(votes.max(axis=1), 0.9))
    return Neighbours(agreement, certain, ordered, 0.5 / math.sqrt(len(x)))


def r2(truth: Array, predicted: Array) -> float:
    """Return the share of the variance that predictions explain."""
    return float(1.0 - np.mean((truth - predicted) ** 2) / max(np.var(truth), 1e-300))
