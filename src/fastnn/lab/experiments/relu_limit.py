"""ReLU cut off at 1: whether its large outputs speed up learning.

What the post says
------------------
The largest value of ReLU may be more than 1, so that learning is fast.

Where the post errs
-------------------
A ReLU that is cut off at 1 learns nearly as fast. What counts is the slope of 1, which it has as well. The post is
right that ReLU is faster than the sigmoid; but the cut ReLU, which ends at 1 like the sigmoid, is, too.

The cut does cost something at small rates, where outputs are smaller, and so are the gradients of the weights that
read them. At the best rate little is left of that, and after 15 epochs hardly anything.

Formula
-------
    ReLU(x) = max(x, 0)                       slope 1 for x > 0
    ReLU up to 1 = min(max(x, 0), 1)          slope 1 for 0 < x < 1, else 0
    sigmoid(x)                                slope at most 1/4

What to look at
---------------
The digits, three hidden layers. The loss after six epochs by the learning rate. The table has the best of the rates,
and the loss there. A loss above 5 is drawn as 5.

What to try
-----------
- ``EPOCHS = 15``: how much of the difference is left?
- ``up_to(0.3)`` and ``up_to(6)``: the latter is known as ReLU6.
- ``nn.Tanh()``: slope 1 at 0, and it ends at 1 as well.
- Ten hidden layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import TrainingDiverged, nn, optim
from fastnn.lab import Below, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "003"
QUESTION = "Which activation?"
TWINS = ("relu", "sigmoid")
SEEDS = 3


def up_to(limit: float) -> nn.CustomActivation:
    """Return a ReLU that is cut off at a limit."""
    return nn.CustomActivation(lambda x: np.clip(x, 0, limit), lambda dy, x, y: dy * ((x > 0) & (x < limit)))


CONDITIONS = {"ReLU": nn.ReLU(), "ReLU up to 1": up_to(1), "sigmoid": nn.Sigmoid()}
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
EPOCHS = 6


def measure(seed: int) -> Figures:
    """Train a net with each activation and each rate on the digits."""
    task = real("digits", seed=seed)
    found = {}
    for name, activation in CONDITIONS.items():
        losses = []
        for rate in RATES:
            model = net([64, 64, 64, 64, 10], activation, seed=seed)
            try:
                losses.append(fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=rate)).history["loss"][-1])
            except TrainingDiverged:
                losses.append(np.inf)
        found[name] = {"best rate": RATES[int(np.argmin(losses))], "loss": min(losses), "loss by rate": losses}
    return found


CLAIMS = (
    Below(
        "The loss of ReLU up to 1 is less than 3 times that of ReLU.", ("ReLU up to 1", "loss"), ("ReLU", "loss"), 1 / 3
    ),
    Below("The loss of the sigmoid is more than 6 times that of ReLU.", ("ReLU", "loss"), ("sigmoid", "loss"), 6),
    Below("It is more than 6 times that of ReLU up to 1.", ("ReLU up to 1", "loss"), ("sigmoid", "loss"), 6),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the losses by rate."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(panel, i, RATES, np.minimum(figures["loss by rate"], 5), name)
    panel.axhline(np.log(10), **_style.GUIDE)
    panel.set(xscale="log", yscale="log", xlabel="learning rate", ylabel=f"loss after {EPOCHS} epochs")
    _style.legend(panel)
