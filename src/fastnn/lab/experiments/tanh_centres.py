"""Outputs of tanh have a mean near 0, those of the sigmoid near 0.5.

What the post says
------------------
tanh is between -1 and 1, so the mean of a hidden layer's outputs comes near 0. This centres the inputs of the next
layer, and makes learning easier.

Formula
-------
Both are symmetric about z = 0, and z is as often below 0 as above it:

    tanh(-z) = -tanh(z)             the mean is 0
    sigmoid(-z) = 1 - sigmoid(z)    the mean is 0.5
    relu(z) >= 0                    the mean is above 0

What to look at
---------------
The mean output of each of three hidden layers, over all units and images, after training. tanh is near 0
and the sigmoid near 0.5. The last column is another mean: how far the mean of a single unit is from 0. For tanh, too,
that is not 0: the pixels of the digits are all positive, and each unit leans to one side. tanh centres a layer as a
whole, not each unit. That is what batch norm does.

What to try
-----------
- ``real("digits", scaled=False)``: pixels up to 16. What is the mean of a layer now?
- ``nn.ELU()``, ``nn.LeakyReLU()``: is their mean nearer to 0 than that of ReLU?
- ``nn.BatchNorm(32)`` before each activation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "004"
QUESTION = "Which activation?"
TWINS = ("tanh", "sigmoid", "relu")
SEEDS = 3

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "ReLU": nn.ReLU()}
LAYERS = (1, 2, 3)


def measure(seed: int) -> Figures:
    """Train a net with each activation, and look at the outputs of its hidden layers for the test rows."""
    task = real("digits", seed=seed)
    found = {}
    for name, activation in CONDITIONS.items():
        model = net([64, 32, 32, 32, 10], activation, seed=seed)
        fit(model, task, epochs=5, optimizer=optim.Adam(lr=0.003))
        outputs = model.activations(task.X_test)[1:6:2]  # behind each activation
        found[name] = {f"layer {k}": h.mean() for k, h in zip(LAYERS, outputs, strict=True)}
        found[name]["a unit, from 0"] = np.mean([np.abs(h.mean(axis=0)).mean() for h in outputs])
    return found


CLAIMS = (
    *(Between(f"tanh, layer {k}: near 0.", ("tanh", f"layer {k}"), -0.15, 0.15) for k in LAYERS),
    *(Between(f"Sigmoid, layer {k}: near 0.5.", ("sigmoid", f"layer {k}"), 0.35, 0.65) for k in LAYERS),
    Below("Also a unit of its own is nearer to 0.", ("tanh", "a unit, from 0"), ("sigmoid", "a unit, from 0")),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the mean by layer."""
    panel.axhline(0, **_style.GUIDE)
    for i, name in enumerate(CONDITIONS):
        _style.runs(panel, i, LAYERS, np.stack([measured[name][f"layer {k}"] for k in LAYERS], axis=1), name)
    panel.set(xlabel="hidden layer", ylabel="mean of the outputs", xticks=LAYERS)
    _style.legend(panel)
