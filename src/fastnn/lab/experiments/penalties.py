"""L1 and L2: a penalty on large weights.

What the post says
------------------
To keep a net from memorising, add a norm of its weights to the loss, such as the L1 norm: the sum of their absolute
values.

Formula
-------
    L1: loss + l1 * sum(|w|)            gradient + l1 * sign(w)
    L2: loss + l2 / 2 * sum(w ** 2)     gradient + l2 * w

L1 pulls each weight towards 0 with the same force, however small it is: weights that the loss does not need arrive at
0. L2 pulls large weights strongly and small ones hardly.

What to look at
---------------
A part of the training rows has wrong classes. Without a penalty the net learns those, too, and pays with new rows. The
picture shows the sizes of the weights: L1 brings most of them to nearly 0 and leaves some large; L2 makes all smaller.
(The first point counts all sizes below 0.000002.)

What to try
-----------
- Ten times as strong penalties: the net then fits too little.
- Both at once, ``optim.Penalty(l1=5e-4, l2=5e-3)``: the elastic net.
- ``optim.AdamW(weight_decay=...)``: how does it differ from an L2 penalty with Adam?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import optim
from fastnn.lab import Below, Figures, Measured
from fastnn.lab._overfitting import noisy_digits, test_figures, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("regularize",)
SEEDS = 4

CONDITIONS = {"none": None, "L2": optim.Penalty(l2=5e-3), "L1": optim.Penalty(l1=2e-3)}
BINS = np.logspace(-6, 1, 29)


def measure(seed: int) -> Figures:
    """Train with each penalty, and look at the weights."""
    task = noisy_digits(seed)
    found: dict[str, dict[str, Any]] = {}
    for name, penalty in CONDITIONS.items():
        trainer = trained(task, seed, penalty=penalty)
        matrices = [values for name, values in trainer.net.state_dict().items() if name.endswith("weight")]
        weights = np.abs(np.concatenate([matrix.ravel() for matrix in matrices]))
        found[name] = {
            "training accuracy": trainer.evaluate(task.X, task.y)["accuracy"],
            **test_figures(trainer.predict_proba(task.X_test), task),
            "sum of squares": np.sum(weights**2),
            "below 0.001": np.mean(weights < 1e-3),
            "largest weight": weights.max(),
            "sizes": np.histogram(np.maximum(weights, BINS[0]), BINS)[0] / len(weights),
        }
    return found


CLAIMS = (
    Below("With L2 the loss of new rows is lower.", ("L2", "test loss"), ("none", "test loss"), 1.03),
    Below("With L2 more new rows are right.", ("none", "test accuracy"), ("L2", "test accuracy"), 1.02),
    Below("With L1 more are right, too.", ("none", "test accuracy"), ("L1", "test accuracy"), 1.02),
    Below("L2 makes weights small.", ("L2", "sum of squares"), ("none", "sum of squares"), 2),
    Below("L1 brings many more of them to nearly 0 than L2.", ("L2", "below 0.001"), ("L1", "below 0.001"), 20),
    Below("L1 leaves a few large weights, L2 does not.", ("L2", "largest weight"), ("L1", "largest weight"), 1.1),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw how many weights there are of each size."""
    middle = np.sqrt(BINS[1:] * BINS[:-1])
    for i, name in enumerate(CONDITIONS):
        _style.runs(panel, i, middle, measured[name]["sizes"], name)
    panel.set(xscale="log", xlabel="size of the weight, |w|", ylabel="share of the weights")
    _style.legend(panel)
