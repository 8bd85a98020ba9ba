"""A deep net learns with ReLU or tanh, not with the sigmoid.

What the post says
------------------
The vanishing gradient keeps a deep net with the sigmoid from learning. Another activation solves most of that: with
ReLU or tanh there are no large problems.

Formula
-------
With ten hidden layers the sigmoid's slopes leave at most

    0.25^10 = 9.5e-7

of the gradient for the first layer (see the experiment gradient-by-depth). An update is the rate times the gradient, so
that the first layer hardly moves.

What to look at
---------------
Digits, ten hidden layers of 64 units. The left picture: the test accuracy by epoch; guessing gives 0.1. The right one:
the size of the first update of each layer's weights, relative to the weights. About 0.001 is usual.

What to try
-----------
- ``DEPTH = 1`` and ``DEPTH = 3``: from where on does the sigmoid fail?
- ``optim.Adam()``, which divides each gradient by its size.
- A ``BatchNorm`` before each sigmoid.
- ``EPOCHS = 200``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "003"
QUESTION = "Which activation?"
TWINS = ("relu", "sigmoid_backward")
SEEDS = 3
PANELS = 2

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "ReLU": nn.ReLU()}
DEPTH = 10
EPOCHS = 15


def measure(seed: int) -> Figures:
    """Train a deep net with each activation on the digits."""
    task = real("digits", seed=seed)
    found = {}
    for name, activation in CONDITIONS.items():
        model = net([64] * (DEPTH + 1) + [10], activation, seed=seed)
        watch = fastnn.Watch()
        history = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=0.05), callbacks=[watch]).history
        parameters = watch.records[0].parameters
        updates = [parameters[f"{2 * i}.weight"].update for i in range(DEPTH + 1)]
        found[name] = {
            "loss": history["loss"][-1],
            "best test accuracy": max(history["val_accuracy"]),
            "first layer's update": updates[0],
            "accuracy by epoch": history["val_accuracy"],
            "updates": updates,
        }
    return found


CLAIMS = (
    Between("With the sigmoid the net does not learn at all.", ("sigmoid", "best test accuracy"), 0.05, 0.2),
    Between("With tanh it learns.", ("tanh", "best test accuracy"), 0.85, 1),
    Between("With ReLU it learns.", ("ReLU", "best test accuracy"), 0.85, 1),
    Below(
        "The first update of the first layer is more than 1000 times as large with ReLU.",
        ("sigmoid", "first layer's update"), ("ReLU", "first layer's update"), factor=1000,
    ),
)  # fmt: skip


def draw(measured: Measured, accuracy: Any, updates: Any) -> None:
    """Draw the accuracy by epoch, and the first update by layer."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(accuracy, i, np.arange(1, EPOCHS + 1), figures["accuracy by epoch"], name)
        _style.runs(updates, i, np.arange(1, DEPTH + 2), np.maximum(figures["updates"], 1e-12), name)
    accuracy.axhline(0.1, **_style.GUIDE)
    accuracy.set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))
    updates.set(yscale="log", xlabel="layer of weights", ylabel="first update / weights (norms)")
    _style.legend(updates)
