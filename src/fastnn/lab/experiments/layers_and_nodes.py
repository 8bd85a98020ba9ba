"""How many layers, how many nodes.

What the post says
------------------
The numbers of layers and of nodes are hyperparameters: no gradient says what they should be. One tries.

Formula
-------
A net of d hidden layers of w nodes, for 64 inputs and 10 classes, has this many weights, and needs as many
multiplications for each image:

    64 w + (d - 1) w^2 + 10 w

What to look at
---------------
The share of wrong answers for test images, each net at the best of five learning rates, which the loss on the rows to
learn from has chosen. Four nodes are too few. From 16 to 64 something is gained. From 64 to 256 and from one layer to
three, what is gained or lost is within chance, which is some 6 of 1000 for 539 test images, while the number of
weights, and with it the time, grows by a factor of 4 and 3. So: begin small, and stop when growing no longer pays.

The other marks are the rate 0.001 for all. There the gain from 64 to 256 nodes looks larger. But this is not because 64
are too few for the digits: narrow nets want larger rates, and learn too slowly with this one. So tune the rate before
the size.

What to try
-----------
- 1024 nodes: is anything left to gain?
- ``EPOCHS = 100``: how much of the difference at the rate 0.001 is left?
- 100 rows to learn from, ``real("digits", 100)``: does the best size change?
- ``real("breast_cancer")``, with 30 inputs and two classes: how few nodes are enough?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "004"
QUESTION = "How large a net, how much data?"
TWINS = ()
SEEDS = 3

SIZES = {"1 x 4": [4], "1 x 16": [16], "1 x 64": [64], "1 x 256": [256], "3 x 64": [64, 64, 64]}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
EPOCHS = 20


def measure(seed: int) -> Figures:
    """Train a net of each size with each rate."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, float]] = {}
    for name, hidden in SIZES.items():
        losses, errors = [], []
        for rate in RATES:
            model = net([64, *hidden, 10], nn.ReLU(), seed=seed)
            history = fit(model, task, epochs=EPOCHS, optimizer=optim.Adam(lr=rate), metrics="accuracy").history
            losses.append(history["loss"][-1])
            errors.append(1 - history["val_accuracy"][-1])
        best = int(np.argmin(losses))
        found[name] = {
            "weights": sum(layer.weight.size for layer in model if isinstance(layer, nn.Dense)),
            "best rate": RATES[best],
            "test error": errors[best],
            "test error, rate 0.001": errors[0],
        }
    for before, after in (("1 x 64", "1 x 256"), ("1 x 64", "3 x 64")):
        gain = found[before]["test error"] - found[after]["test error"]
        found[f"{before} -> {after}"] = {"gain": gain}
    return found


CLAIMS = (
    Below("64 nodes have less than half of the errors of 4.", ("1 x 64", "test error"), ("1 x 4", "test error"), 2),
    Between("From 64 to 256 nodes less than 2 of 100 images change.", ("1 x 64 -> 1 x 256", "gain"), -0.02, 0.02),
    Between("From one to three layers, too.", ("1 x 64 -> 3 x 64", "gain"), -0.02, 0.02),
    Below("256 nodes cost more than three times as much as 64.", ("1 x 64", "weights"), ("1 x 256", "weights"), 3),
    Below("Three layers cost more than twice as much as one.", ("1 x 64", "weights"), ("3 x 64", "weights"), 2),
    Below(
        "At the rate 0.001 64 nodes have more errors than at their best rate.", ("1 x 64", "test error"),
        ("1 x 64", "test error, rate 0.001"), factor=1.1,
    ),
)  # fmt: skip


def draw(measured: Measured, panel: Any) -> None:
    """Draw the errors by the size of the net."""
    for i, what in enumerate(("test error", "test error, rate 0.001")):
        errors = np.stack([measured[size][what] for size in SIZES], axis=1)
        _style.points(panel, i, np.arange(len(SIZES)) + 0.15 * i, errors, ("best rate", "rate 0.001")[i])
    panel.set(yscale="log", xlabel="hidden layers x nodes", ylabel="share of wrong answers", xticks=range(len(SIZES)))
    panel.set_xticklabels(SIZES)
    _style.legend(panel)
