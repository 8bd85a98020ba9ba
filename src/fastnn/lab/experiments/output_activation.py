"""The activation of the output decides which numbers a net can give.

What the post says
------------------
For regression a net has to give any number from minus to plus infinity, so its output is linear. The sigmoid, between
0 and 1, is for two classes.

Formula
-------
The output of a sigmoid is between 0 and 1, that of tanh between -1 and 1. So, whatever the net learns, its mean squared
error is at least that of the nearest number which it can give:

    mean (y - nearest(y))^2,    nearest(y) = y, or the end of the range beyond which y is

What to look at
---------------
The targets of the diabetes data, scaled to the mean 0 and the standard deviation 1: half of them are below 0. The bars
are the errors on the rows to learn from. The marks are the least errors that are possible. The net with the sigmoid
stays above its own; the linear one is far below that.

What to try
-----------
- Targets scaled to 0..1: is the sigmoid as good then? And for rows to test with that are above all others?
- ReLU at the output, for counts or prices, which are never below 0.
- For two classes, fastnn has the sigmoid in the loss: ``loss="binary_cross_entropy"`` takes z, and its gradient by z is
  sigmoid(z) - y. The slope of the sigmoid, which could vanish, has cancelled out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, real
from fastnn.plot import _style

POST = "004"
QUESTION = "Which activation?"
TWINS = ("sigmoid", "tanh", "mean_squared_error")
SEEDS = 3

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "linear": nn.Identity()}
RANGES = {"sigmoid": (0, 1), "tanh": (-1, 1), "linear": (-np.inf, np.inf)}


def measure(seed: int) -> Figures:
    """Train a net with each activation at its output."""
    task = real("diabetes", seed=seed)
    found = {}
    for name, activation in CONDITIONS.items():
        model = nn.Sequential(nn.Dense(10, 32), nn.ReLU(), nn.Dense(32, 1), activation, seed=seed)
        trainer = fit(model, task, epochs=60, loss="mean_squared_error", optimizer=optim.Adam(lr=0.01))
        outputs = trainer.predict(task.X)
        found[name] = {
            "least possible": np.square(task.y - task.y.clip(*RANGES[name])).mean(),
            "error": trainer.history["loss"][-1],
            "lowest output": outputs.min(),
            "highest output": outputs.max(),
        }
    found["targets"] = {"lowest output": task.y.min(), "highest output": task.y.max()}
    return found


CLAIMS = (
    Between("The sigmoid gives nothing below 0.", ("sigmoid", "lowest output"), 0, 1),
    Below("So its error cannot be less than a limit.", ("sigmoid", "least possible"), ("sigmoid", "error")),
    Below(
        "The error of the linear output is below that limit.", ("linear", "error"), ("sigmoid", "least possible"), 1.2
    ),
    Between("The linear output goes below 0.", ("linear", "lowest output"), -10, -0.1),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the errors and their lower limits."""
    places = np.arange(len(CONDITIONS))
    errors, least = ([measured.mean(name, what) for name in CONDITIONS] for what in ("error", "least possible"))
    panel.bar(places, errors, 0.5, color=_style.style(0)["color"], label="error")
    marks = {**_style.style(1), "linestyle": "", "markersize": 8}
    panel.plot(places, least, **marks, label="least possible")
    panel.set(xticks=places, xticklabels=CONDITIONS, xlabel="output", ylabel="mean squared error")
    _style.legend(panel)
