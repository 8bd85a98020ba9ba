"""The variance of the initial weights as a hyperparameter.

What the post says
------------------
The formulas are a beginning. One may multiply the variance by a number and tune it like other hyperparameters. It is
not the first one to tune; sometimes it helps a little.

Formula
-------
    Var w = m 2/n,   with the multiplier m

What to look at
---------------
The loss of a net with five hidden layers after three epochs, by m. The best place is near 1, and the valley is wide: a
factor of two up or down costs less than a factor of ten. That is why this is not the first hyperparameter to tune. To
the left signals vanish: m = 0.01 leaves 0.01^5 of their mean square after five layers. To the right they explode.

What to try
-----------
- 20 hidden layers: the valley becomes narrow.
- ``EPOCHS = 30``: the valley becomes wide, as training mends much.
- ``optim.SGD(lr=0.03)`` in place of Adam: far to the right, the training diverges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "002"
QUESTION = "How to begin?"
TWINS = ("relu",)
SEEDS = 3

MULTIPLIERS = (0.01, 0.1, 0.5, 1.0, 2.0, 10.0)
FACTOR = 2.0  # of 1/n, for ReLU
EPOCHS = 3


def measure(seed: int) -> Figures:
    """Train a net with each of the multipliers."""
    task = real("digits", seed=seed)
    found = {}
    for m in MULTIPLIERS:
        init = nn.init.variance_scaling(FACTOR * m, distribution="normal")
        model = net([64, *[64] * 5, 10], nn.ReLU(), init=init, seed=seed)
        trainer = fit(model, task, epochs=EPOCHS, optimizer=optim.Adam(), metrics="accuracy")
        history = trainer.history
        found[f"m = {m:g}"] = {"loss": history["loss"][-1], "test accuracy": history["val_accuracy"][-1]}
    return found


CLAIMS = (
    Below("m = 1 is better than m = 0.1.", ("m = 1", "loss"), ("m = 0.1", "loss"), 1.5),
    Below("m = 1 is better than m = 10.", ("m = 1", "loss"), ("m = 10", "loss"), 10),
    Below("A factor of two downward costs less than one of ten.", ("m = 0.5", "loss"), ("m = 0.1", "loss"), 1.3),
    Below("A factor of two upward costs less than one of ten.", ("m = 2", "loss"), ("m = 10", "loss"), 10),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the loss by the multiplier."""
    losses = np.stack([measured[name]["loss"] for name in measured], axis=1)
    _style.runs(panel, 0, MULTIPLIERS, losses, "loss")
    panel.axvline(1, **_style.GUIDE)
    panel.set(xscale="log", yscale="log", xlabel="multiplier m of the variance 2/n", ylabel="loss after three epochs")
