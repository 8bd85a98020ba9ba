"""Inputs that are all positive give gradients of one sign.

What the post says
------------------
The gradient of a weight of the output layer is its input times the error. If all inputs of that layer have one sign, as
those from a sigmoid, all weights of an output unit are pushed in the same direction. With tanh their directions are
independent.

Formula
-------
For one row, with the hidden outputs h, the target y and the prediction p:

    dL/dw_j = h_j (p - y)

The error ``p - y`` is the same for all j. So two weights move in one direction where their h have the same sign: always
with the sigmoid, in half of all cases with tanh.

What to look at
---------------
The picture: each line is one weight of the output unit, each column one step with one row. Black: the weight goes up;
white: it goes down. With the sigmoid a column has one colour.

The table: the share of pairs of weights that move in one direction, and the share of steps in which all weights do;
for steps with one row and with 32. A batch adds up gradients of both signs, so that its steps are less uniform, also
with the sigmoid.

What to try
-----------
- ``nn.ReLU()``: its outputs are not negative either.
- More ``HIDDEN`` units: the share of pairs that agree stays, as chance would have it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.diagnosis import Trace
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "000"
QUESTION = "Which activation?"
TWINS = ("sigmoid", "dense_grad_weight")
SEEDS = 3
PANELS = 2

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh()}
HIDDEN = 16


def measure(seed: int) -> Figures:
    """Train a net with one output unit, by single rows and by batches, and look at the signs of its updates."""
    task = real("breast_cancer", seed=seed)
    found = {}
    for name, activation in CONDITIONS.items():
        ups = {}
        for batch_size in (1, 32):
            model = net([30, HIDDEN, 1], activation, seed=seed, dtype="float64")
            path = Trace({"2.weight": [(unit, 0) for unit in range(HIDDEN)]})
            settings = {"loss": "bce_with_logits", "optimizer": optim.SGD(lr=0.05), "callbacks": [path]}
            fit(model, task, epochs=1, batch_size=batch_size, **settings)
            ups[batch_size] = np.diff(path.values, axis=0) > 0
        found[name] = {
            "pairs, 1 row": pairs_that_agree(ups[1]),
            "pairs, 32 rows": pairs_that_agree(ups[32]),
            "all, 1 row": in_one_direction(ups[1]),
            "all, 32 rows": in_one_direction(ups[32]),
            "up": ups[1][:60].T,
        }
    return found


def pairs_that_agree(up: Array) -> float:
    """Return the share of pairs of different weights that move in the same direction."""
    ups, n = up.sum(axis=1), up.shape[1]
    return float(np.mean((ups * (ups - 1) + (n - ups) * (n - ups - 1)) / (n * (n - 1))))


def in_one_direction(up: Array) -> float:
    """Return the share of steps in which all weights go up or all go down."""
    return float(np.mean(up.all(axis=1) | ~up.any(axis=1)))


CLAIMS = (
    Between("With the sigmoid all weights agree, in every row.", ("sigmoid", "pairs, 1 row"), 1, 1),
    Between("With tanh about half of the pairs agree.", ("tanh", "pairs, 1 row"), 0.45, 0.65),
    Below(
        "Steps of single rows move all weights in one direction with the sigmoid, hardly ever with tanh.",
        ("tanh", "all, 1 row"), ("sigmoid", "all, 1 row"), factor=10,
    ),
)  # fmt: skip


def draw(measured: Measured, sigmoid: Any, tanh: Any) -> None:
    """Draw the directions of all weights by step."""
    for name, ax in (("sigmoid", sigmoid), ("tanh", tanh)):
        ax.imshow(measured[name]["up"][0], cmap=_style.MAP, aspect="auto", interpolation="nearest", vmin=0, vmax=1)
        ax.set(title=name, xlabel="step", ylabel="weight of the output unit")
