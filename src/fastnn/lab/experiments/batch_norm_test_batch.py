"""Why batch norm must not use the statistics of a test batch.

What the post says
------------------
One must be able to predict a single row. So tests do not use the statistics of the test batch, but those that were
gathered in training. To use those of the test batch would be transductive: a row's prediction would know of its
neighbours, as if the net peeped at them.

Formula
-------
    in training:    mean and var of the batch;  running = 0.9 * running + 0.1 * batch
    in evaluation:  y = gamma * (x - running_mean) / sqrt(running_var + eps) + beta

What to look at
---------------
One trained net, evaluated in two ways. The table has the accuracy in batches of several kinds, and by how much the
outputs for a row change with the batch that it is in. With the running statistics a row's prediction is the same, bit
for bit, alone and in any batch. With the statistics of the test batch it changes with the other rows. In large mixed
batches that does hardly any harm. In small ones the statistics are random (their standard error is std / sqrt(rows)):
of two rows, one becomes +1 and the other -1 in each feature. And in a batch of a single class the mean is what is
typical of the class, so that subtracting it removes what the net looks for: the result is not much better than
guessing.

What to try
-----------
- ``nn.LayerNorm`` instead, which takes the statistics of each row: which of the problems remain?
- Batches of two classes.
- ``nn.BatchNorm(50, momentum=0.001)`` and one epoch: are the running statistics any good?
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, fit, real
from fastnn.lab._batch_norm import deep_net
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("batch_norm", "batch_norm_inference")
SEEDS = 3

CONDITIONS = {"running statistics": False, "own statistics": True}
SIZES = (2, 4, 8, 16, 32, 128)


def outputs(model: nn.Sequential, batch: Array, own_statistics: bool) -> Array:
    """Return the net's outputs for a batch, with the statistics of this batch or with the running ones."""
    return model.forward(batch, training=own_statistics)


def accuracy(model: nn.Sequential, X: Array, y: Array, batches: Sequence[Array], own_statistics: bool) -> float:
    """Return the mean accuracy in batches, which are given by their rows."""
    right = [outputs(model, X[rows], own_statistics).argmax(axis=1) == y[rows] for rows in batches]
    return float(np.mean([each.mean() for each in right]))


def measure(seed: int) -> Figures:
    """Train a net, and evaluate it in batches of several sizes, and in batches of one class each."""
    task = real("digits", seed=seed)
    X, y = task.X_test[:512], task.y_test[:512]
    model = deep_net([64, 50, 50, 50, 10], nn.ReLU(), "before", seed=seed)
    fit(model, task, epochs=10, optimizer=optim.SGD(lr=0.1))
    alone, among_512 = outputs(model, X[:1], False)[0], outputs(model, X, False)[0]
    classes = [np.flatnonzero(y == digit) for digit in range(10)]
    same_row = X[:32], X[[0, *range(32, 63)]]  # the first row twice, with other neighbours
    found: dict[str, dict[str, Any]] = {}
    for name, own in CONDITIONS.items():
        tested = copy.copy(model)  # as a pass in training mode moves the running statistics
        by_size = [accuracy(tested, X, y, np.split(np.arange(512), 512 // size), own) for size in SIZES]
        first, second = (outputs(tested, batch, own)[0] for batch in same_row)
        found[name] = {
            "batches of 128": by_size[-1],
            "of 2": by_size[0],
            "of one class": accuracy(tested, X, y, classes, own),
            "other neighbours": np.abs(first - second).max(),
            "by size": by_size,
        }
    found["running statistics"]["alone or in 512"] = np.abs(alone - among_512).max()
    return found


RUNNING, OWN = CONDITIONS
CLAIMS = (
    Between("Running statistics: other neighbours change nothing.", (RUNNING, "other neighbours"), 0, 0),
    Between("A row alone has the same outputs as among 512.", (RUNNING, "alone or in 512"), 0, 0),
    Between("Test batch: other neighbours change the outputs.", (OWN, "other neighbours"), 0.1, 1000),
    Between("In batches of one class few are right.", (OWN, "of one class"), 0, 0.4),
    Between("With running statistics nearly all are.", (RUNNING, "of one class"), 0.9, 1),
    Below("In batches of two rows fewer are right.", (OWN, "of 2"), (RUNNING, "of 2"), 1.3),
    Between("In large mixed batches nearly all are.", (OWN, "batches of 128"), 0.9, 1),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the accuracy by the size of the batch."""
    for i, name in enumerate(CONDITIONS):
        _style.runs(panel, i, SIZES, measured[name]["by size"], name)
    class_only = measured.mean(OWN, "of one class")
    panel.axhline(class_only, **_style.GUIDE, label="own statistics, one class")
    panel.set(xscale="log", xlabel="rows of the test batch", ylabel="accuracy", ylim=(0, 1.02))
    panel.set_xticks(SIZES, [str(size) for size in SIZES])
    panel.minorticks_off()
    _style.legend(panel)
