"""Batch norm before the activation, or after it.

What the post says
------------------
Usually one normalises, scales, and then applies the activation. Whether batch norm is better before or after the
activation depends on the task.

Formula
-------
    before:  a = f(BN(W x + b))     each activation gets inputs of mean beta
    after:   a = BN(f(W x + b))     the next layer gets inputs of mean beta

What to look at
---------------
A net of five hidden layers on two tasks, with two activations. With the sigmoid both orders are far better than no
batch norm, and after is better than before: the outputs of a sigmoid are all positive, which only a batch norm after it
mends. With the ReLU both begin faster on the digits, but which one ends lower differs from run to run; and on the 124
wines the net learns its rows faster without. So it depends, and here more on the activation than on the task.

What to try
-----------
- ``nn.Tanh()``, whose outputs have mean 0 by themselves.
- Batch norm before and after.
- 40 epochs: do the orders still differ?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._batch_norm import deep_net
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import fit, real
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("batch_norm", "sigmoid", "relu")
SEEDS = 4
PANELS = 2

CONDITIONS = {"none": "none", "before": "before", "after": "after"}
ACTIVATIONS: dict[str, nn.Layer] = {"sigmoid": nn.Sigmoid(), "ReLU": nn.ReLU()}
TASKS = ("digits", "wine")
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Train each net on each task."""
    found: dict[str, dict[str, Any]] = {name: {} for name in CONDITIONS}
    for name, where in CONDITIONS.items():
        for data in TASKS:
            task = real(data, seed=seed)
            widths = [task.X.shape[1], 50, 50, 50, 50, 50, int(task.y.max()) + 1]
            for activation, layer in ACTIVATIONS.items():
                trainer = fit(
                    deep_net(widths, layer, where, seed=seed), task, epochs=EPOCHS, optimizer=optim.SGD(lr=0.1)
                )
                found[name] |= {
                    f"{data}, {activation}": trainer.history["loss"][-1],
                    f"{data}, {activation}, by epoch": trainer.history["loss"],
                }
        found[name]["digits, ReLU, epoch 1"] = found[name]["digits, ReLU, by epoch"][0]
    return found


CLAIMS = (
    *(
        Below(f"{data}, sigmoid: {where} beats none.", (where, f"{data}, sigmoid"), ("none", f"{data}, sigmoid"), 1.5)
        for data in TASKS
        for where in ("before", "after")
    ),
    *(
        Below(
            f"{data}, sigmoid: after beats before.", ("after", f"{data}, sigmoid"), ("before", f"{data}, sigmoid"), 1.2
        )
        for data in TASKS
    ),
    Below("wine, ReLU: none beats before.", ("none", "wine, ReLU"), ("before", "wine, ReLU"), 1.2),
    *(
        Below(
            f"digits, ReLU: after one epoch {where} beats none.",
            (where, "digits, ReLU, epoch 1"),
            ("none", "digits, ReLU, epoch 1"),
            1.1,
        )
        for where in ("before", "after")
    ),
)


def draw(measured: Measured, sigmoid: Any, relu: Any) -> None:
    """Draw the losses on the digits by epoch."""
    for panel, activation in ((sigmoid, "sigmoid"), (relu, "ReLU")):
        for i, name in enumerate(CONDITIONS):
            losses = measured[name][f"digits, {activation}, by epoch"]
            _style.runs(panel, i, np.arange(1, EPOCHS + 1), losses, name)
        panel.set(xlabel="epoch", ylabel="training loss on the digits", title=activation, yscale="log")
    _style.legend(relu)
