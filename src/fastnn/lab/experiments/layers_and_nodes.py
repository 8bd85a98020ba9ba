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
The share of wrong answers for test images, by nodes and layers. Four nodes are far too few. Up to 64, more nodes gain
much. From 64 to 256 the errors fall by some 2 of 100 images more, while the number of weights, and with it the time,
grows by a factor of 4 to 12. Three layers in place of one gain about as little. So: begin small, and stop when growing
no longer pays.

What to try
-----------
- 100 rows to learn from, ``real("digits", 100)``: does the best size change?
- ``real("breast_cancer")``, with 30 inputs and two classes: how few nodes are enough?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "004"
QUESTION = "How large a net, how much data?"
TWINS = ()
SEEDS = 3

NODES = (4, 16, 64, 256)
LAYERS = (1, 3)
EPOCHS = 12


def measure(seed: int) -> Figures:
    """Train a net of each size."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, float]] = {}
    for layers in LAYERS:
        for nodes in NODES:
            model = net([64, *[nodes] * layers, 10], nn.ReLU(), seed=seed)
            trainer = fit(model, task, epochs=EPOCHS, optimizer=optim.Adam(), metrics="accuracy")
            weights = sum(layer.weight.size for layer in model if isinstance(layer, nn.Dense))
            found[f"{layers} x {nodes}"] = {"weights": weights, "test error": 1 - trainer.history["val_accuracy"][-1]}
    error = {name: figures["test error"] for name, figures in found.items()}
    for before, after in (("1 x 4", "1 x 64"), ("1 x 64", "1 x 256"), ("1 x 64", "3 x 64")):
        found[f"{before} -> {after}"] = {"gain": error[before] - error[after]}
    return found


CLAIMS = (
    Below("64 nodes have less than a fifth of the errors of 4.", ("1 x 64", "test error"), ("1 x 4", "test error"), 5),
    Below("From 64 to 256 the gain is small.", ("1 x 64 -> 1 x 256", "gain"), ("1 x 4 -> 1 x 64", "gain"), 5),
    Below("From one to three layers, too.", ("1 x 64 -> 3 x 64", "gain"), ("1 x 4 -> 1 x 64", "gain"), 5),
    Below("256 nodes cost much more than 64.", ("3 x 64", "weights"), ("3 x 256", "weights"), 10),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the errors by nodes, a line for each number of layers."""
    for i, layers in enumerate(LAYERS):
        errors = np.stack([measured[f"{layers} x {nodes}"]["test error"] for nodes in NODES], axis=1)
        _style.runs(panel, i, NODES, errors, f"{layers} hidden layer{'s' * (layers > 1)}")
    panel.set(xscale="log", yscale="log", xlabel="nodes of a layer", ylabel="share of wrong answers", xticks=NODES)
    panel.set_xticklabels(map(str, NODES))
    panel.minorticks_off()
    _style.legend(panel)
