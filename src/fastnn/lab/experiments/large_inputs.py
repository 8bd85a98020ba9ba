"""With large inputs a sigmoid's gradients vanish.

What the post says
------------------
Inputs with large values drive the outputs of a sigmoid to 1. Then gradients explode, and the net cannot learn.

Where the post errs
-------------------
The sigmoid does give 1, or 0, and the net does learn badly. But it is flat there: its slope is 0, and so is the
gradient of nearly every row for nearly every unit. It has vanished.

What the post calls exploding is true of the few rows that are near the threshold of a unit: their gradients grow with
the inputs. And it is they who do the harm. One such step throws a unit so far that it gives 1, or 0, for all images,
and from there no gradient brings it back. The flatness alone is no great harm: if the hidden layer does not learn at
all, the net with the largest inputs is better than if it does.

With ReLU, which does not bend, the gradients of all rows grow with the inputs.

Formula
-------
For a hidden unit ``h = f(z)``, ``z = w x``, and the scale s of the inputs:

    dL/dw = s x  f'(s z)  dL/dh

ReLU: the slope f' is 1 or 0, so that the gradient grows as s. Sigmoid: f'(s z) falls as exp(-s |z|).

What to look at
---------------
Digits with pixels from 0 to 1, times a scale; 16 gives them as they come. The left picture: the norm of the gradient of
a hidden unit's weights by a single row, at the beginning. Half of the rows and units are below the median, which is
drawn at 1e-15 if it is smaller; the largest is that of one row and one unit. The right picture: the loss after ten
epochs, also with the hidden layer frozen as it began. A scale of 4 to 64 helps the sigmoid, larger ones hurt. "Lost"
counts the units, of 32, that have become the same for all images in the training.

What to try
-----------
- ``nn.Tanh()``: it is flat from about 4 on, the sigmoid from 8.
- Pixels minus their mean, times the scale: is it the size that hurts, or that all are positive?
- ``lr=0.01``: smaller steps lose fewer units.
- ``clip_norm=1.0`` in `fit`: the large gradients are made smaller.
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
RATE = 0.1


def measure(seed: int) -> Figures:
    """Look at the gradients of single rows, and train, with each scale."""
    digits = real("digits", seed=seed)
    found = {}
    for scale in SCALES:
        task = digits._replace(X=digits.X * np.float32(scale), X_test=digits.X_test * np.float32(scale))
        sigmoid = gradients_of_units(net([64, 32, 10], SIGMOID, seed=seed), task.X[:200], task.y)
        relu = gradients_of_units(net([64, 32, 10], RELU, seed=seed), task.X[:200], task.y)
        learning, frozen = (net([64, 32, 10], SIGMOID, seed=seed) for _ in range(2))
        frozen.freeze("0.*")
        before = constant(learning, task.X)
        losses = [
            fit(model, task, epochs=10, optimizer=optim.SGD(lr=RATE)).history["loss"][-1]
            for model in (learning, frozen)
        ]
        found[f"scale {scale}"] = {
            "sigmoid, median": np.median(sigmoid),
            "sigmoid, largest": sigmoid.max(),
            "ReLU, mean": relu.mean(),
            "lost": np.sum(constant(learning, task.X) & ~before),
            "loss": losses[0],
            "loss, frozen": losses[1],
        }
    return found


def constant(model: nn.Sequential, X: Array) -> Array:
    """Return which hidden units give the same for all rows."""
    same: Array = np.ptp(model.activations(X)[1], axis=0) < 0.01
    return same


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
    Below(
        "The largest one grows.", ("scale 1", "sigmoid, largest"), ("scale 256", "sigmoid, largest"), factor=50
    ),
    Below(
        "With ReLU it explodes: inputs 256 times as large give gradients at least 100 times as large.",
        ("scale 1", "ReLU, mean"), ("scale 256", "ReLU, mean"), factor=100,
    ),
    Below(
        "With inputs up to 1024 the net with the sigmoid hardly learns.", ("scale 4", "loss"), ("scale 1024", "loss"),
        factor=3,
    ),
    Between("At least a quarter of its units are lost.", ("scale 1024", "lost"), 8, 32),
    Between("With inputs up to 4 none is.", ("scale 4", "lost"), 0, 0),
    Below(
        "It is better if the hidden layer does not learn.", ("scale 1024", "loss, frozen"), ("scale 1024", "loss"),
        factor=1.5,
    ),
    Below(
        "With inputs up to 4 it is worse then.", ("scale 4", "loss"), ("scale 4", "loss, frozen"), factor=2,
    ),
)  # fmt: skip


def draw(measured: Measured, gradients: Any, losses: Any) -> None:
    """Draw the gradients and the losses by the scale."""
    for i, name in enumerate(("sigmoid, median", "sigmoid, largest", "ReLU, mean")):
        values = np.stack([figures[name] for figures in measured.values()], axis=1)
        _style.runs(gradients, i, SCALES, np.maximum(values, 1e-15), name)
    for i, (name, label) in enumerate({"loss": "sigmoid", "loss, frozen": "hidden layer frozen"}.items()):
        _style.runs(losses, i, SCALES, np.stack([each[name] for each in measured.values()], axis=1), label)
    gradients.set(xscale="log", yscale="log", xlabel="scale of the inputs", ylabel="gradient of a unit's weights")
    _style.legend(gradients)
    losses.axhline(np.log(10), **_style.GUIDE)
    losses.set(xscale="log", xlabel="scale of the inputs", ylabel="loss after ten epochs", ylim=(0, None))
    _style.legend(losses)
