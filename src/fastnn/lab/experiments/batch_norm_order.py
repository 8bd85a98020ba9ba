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
A net of five hidden layers on two tasks, with two activations. Each net has the best of the rates 0.03, 0.1, 0.3, 1 and
3 for its training loss; without batch norm the sigmoid learns at none of them. With the sigmoid both orders are far
better than no batch norm, and after is better than before. With the ReLU both begin faster on the digits, but which of
the three ends lowest differs from run to run, on both tasks. So it depends, and here more on the activation than on the
task.

What to try
-----------
- ``nn.Tanh()``: the outputs of a sigmoid are all positive, those of tanh have mean 0. Is after better there, too?
- Batch norm before and after.
- 40 epochs: do the orders still differ?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Figures, Measured, fit, real
from fastnn.lab._batch_norm import deep_net
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("batch_norm", "sigmoid", "relu")
SEEDS = 4
PANELS = 2

CONDITIONS = {"none": "none", "before": "before", "after": "after"}
ACTIVATIONS: dict[str, nn.Layer] = {"sigmoid": nn.Sigmoid(), "ReLU": nn.ReLU()}
TASKS = ("digits", "wine")
RATES = {  # the best ones
    ("digits", "sigmoid"): {"none": 0.1, "before": 0.3, "after": 0.1},
    ("digits", "ReLU"): {"none": 0.1, "before": 0.1, "after": 0.1},
    ("wine", "sigmoid"): {"none": 0.1, "before": 0.3, "after": 0.1},
    ("wine", "ReLU"): {"none": 0.1, "before": 0.3, "after": 0.3},
}
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Train each net on each task."""
    found: dict[str, dict[str, Any]] = {name: {} for name in CONDITIONS}
    for name, where in CONDITIONS.items():
        for data in TASKS:
            task = real(data, seed=seed)
            widths = [task.X.shape[1], 50, 50, 50, 50, 50, int(task.y.max()) + 1]
            for activation, layer in ACTIVATIONS.items():
                optimizer = optim.SGD(lr=RATES[data, activation][name])
                model = deep_net(widths, layer, where, seed=seed)
                trainer = fit(model, task, epochs=EPOCHS, optimizer=optimizer)
                found[name] |= {
                    f"{data}, {activation}": trainer.history["loss"][-1],
                    f"{data}, {activation}, by epoch": trainer.history["loss"],
                }
        found[name]["digits, ReLU, epoch 1"] = found[name]["digits, ReLU, by epoch"][0]
    return found


SIGMOID, RELU, BEGIN = "digits, sigmoid", "digits, ReLU", "digits, ReLU, epoch 1"
CLAIMS = (
    *(
        Below(f"{data}, sigmoid: {where} beats none.", (where, f"{data}, sigmoid"), ("none", f"{data}, sigmoid"), 3)
        for data in TASKS
        for where in ("before", "after")
    ),
    Below("digits, sigmoid: after beats before.", ("after", SIGMOID), ("before", SIGMOID), 1.1),
    Below("wine, sigmoid: after beats before.", ("after", "wine, sigmoid"), ("before", "wine, sigmoid"), 1.1),
    Below("digits, ReLU: before begins faster than none.", ("before", BEGIN), ("none", BEGIN), 1.1),
    Below("digits, ReLU: so does after.", ("after", BEGIN), ("none", BEGIN), 1.1),
    Below("In the end none is at most three times as high.", ("none", RELU), ("before", RELU), 1 / 3),
)


def draw(measured: Measured, sigmoid: Any, relu: Any) -> None:
    """Draw the losses on the digits by epoch."""
    for panel, activation in ((sigmoid, "sigmoid"), (relu, "ReLU")):
        for i, name in enumerate(CONDITIONS):
            losses = measured[name][f"digits, {activation}, by epoch"]
            _style.runs(panel, i, np.arange(1, EPOCHS + 1), losses, name)
        panel.set(xlabel="epoch", ylabel="training loss on the digits", title=activation, yscale="log")
    _style.legend(relu)
