"""With large inputs a sigmoid's gradients vanish.

What the post says
------------------
Inputs with large values drive the outputs of a sigmoid to 1. Then gradients explode, and the net cannot learn.

Where the post errs
-------------------
The sigmoid does give 1, or 0, and the net does learn badly. But the sigmoid is flat there: its slope is 0, and so is
the gradient of nearly every row. It has vanished. Only the rare rows near the threshold of a unit have a gradient, and
theirs is large, so that the mean over many rows stays about as it was.

Gradients explode with large inputs where the activation does not bend: with ReLU they are proportional to the inputs.

Formula
-------
For a hidden unit ``h = f(z)``, ``z = w x``, and the scale s of the inputs:

    dL/dw = s x  f'(s z)  dL/dh

ReLU: the slope f' is 1 or 0, so that the gradient grows as s. Sigmoid: f'(s z) falls as exp(-s |z|).

What to look at
---------------
Digits with pixels from 0 to 1, times a scale; 16 gives them as they come. The left picture: the norm of the gradient of
a hidden unit's weights by a single row. Half of the rows and units are below the median, which is drawn at 1e-15 if it
is smaller.
The right picture: the loss after ten epochs. A scale of some units helps the sigmoid, and large ones hurt.

What to try
-----------
- ``nn.Tanh()``: it is flat from about 4 on, the sigmoid from 8.
- Pixels minus their mean, times the scale: is it the size that hurts, or that all are positive?
- A ``BatchNorm`` before the activation: it takes the scale out again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "000"
QUESTION = "Which inputs?"
TWINS = ("sigmoid_backward", "relu_backward")
SEEDS = 3
PANELS = 2

SCALES = (1, 4, 16, 64, 256, 1024)
SIGMOID, RELU = nn.Sigmoid(), nn.ReLU()


def measure(seed: int) -> Figures:
    """Look at the gradients of single rows, and train, with each scale."""
    digits = real("digits", seed=seed)
    found = {}
    for scale in SCALES:
        task = digits._replace(X=digits.X * np.float32(scale), X_test=digits.X_test * np.float32(scale))
        sigmoid = gradients_of_units(net([64, 32, 10], SIGMOID, seed=seed), task.X[:200], task.y)
        relu = gradients_of_units(net([64, 32, 10], RELU, seed=seed), task.X[:200], task.y)
        history = fit(net([64, 32, 10], SIGMOID, seed=seed), task, epochs=10, optimizer=optim.SGD(lr=0.1)).history
        found[f"scale {scale}"] = {
            "sigmoid, median": np.median(sigmoid),
            "sigmoid, mean": sigmoid.mean(),
            "ReLU, mean": relu.mean(),
            "sigmoid, loss": history["loss"][-1],
        }
    return found


def gradients_of_units(model: nn.Sequential, X: Array, y: Array) -> Array:
    """Return the norms of the gradients of each hidden unit's weights by each row, shape (rows, units)."""
    norms = []
    for x, target in zip(X, y, strict=False):
        logits = model.forward(x[np.newaxis], training=True)
        at_logits = np.empty_like(logits)
        nn.CrossEntropyLoss()(logits, [target], grad=at_logits)
        model.backward(at_logits)
        norms.append(np.linalg.norm(model.gradients()["0.weight"], axis=0))
    return np.array(norms)


CLAIMS = (
    Below(
        "With the sigmoid, the gradient of most rows vanishes.", ("scale 256", "sigmoid, median"),
        ("scale 1", "sigmoid, median"), factor=1e6,
    ),
    Between("Its mean does not explode.", ("scale 256", "sigmoid, mean"), 0, 2),
    Below(
        "With ReLU it explodes: inputs 256 times as large give gradients at least 100 times as large.",
        ("scale 1", "ReLU, mean"), ("scale 256", "ReLU, mean"), factor=100,
    ),
    Below(
        "With inputs up to 1024 the net with the sigmoid hardly learns.", ("scale 4", "sigmoid, loss"),
        ("scale 1024", "sigmoid, loss"), factor=3,
    ),
)  # fmt: skip


def draw(measured: Measured, gradients: Any, losses: Any) -> None:
    """Draw the gradients and the loss by the scale."""
    for i, name in enumerate(("sigmoid, median", "sigmoid, mean", "ReLU, mean")):
        values = np.stack([figures[name] for figures in measured.values()], axis=1)
        _style.runs(gradients, i, SCALES, np.maximum(values, 1e-15), name)
    _style.runs(losses, 0, SCALES, np.stack([each["sigmoid, loss"] for each in measured.values()], axis=1), "sigmoid")
    gradients.set(xscale="log", yscale="log", xlabel="scale of the inputs", ylabel="gradient of a unit's weights")
    losses.axhline(np.log(10), **_style.GUIDE)
    losses.set(xscale="log", xlabel="scale of the inputs", ylabel="the sigmoid's loss after ten epochs", ylim=(0, None))
    _style.legend(gradients)
