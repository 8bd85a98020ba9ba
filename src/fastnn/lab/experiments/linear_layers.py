"""Linear layers stay linear, however many there are.

What the post says
------------------
With linear activations, any number of layers computes a linear function. Most data are not linear, so such a net
cannot predict them.

Formula
-------
    ((x A) B) C = x (A B C)      one matrix, of at most the smallest rank of the three

What to look at
---------------
Two rings, one in the other: no straight line parts them. Three dense layers without activations are, up to rounding,
the one matrix A B C, whose best answer is about one half everywhere (left; the darker, the more the net says "outer
ring"). With ReLU between the layers the net draws a closed curve (right).

What to try
-----------
- XOR: ``y = (X[:, 0] * X[:, 1] > 0)``.
- Ten linear layers: is it the same function?
- The columns ``X**2`` as further inputs: now a linear net can do it, too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, Task, fit, net
from fastnn.plot import _style

POST = "004"
QUESTION = "Which activation?"
TWINS = ("dense", "relu")
SEEDS = 3
PANELS = 2

CONDITIONS = {"linear": nn.Identity(), "ReLU": nn.ReLU()}
GRID = np.linspace(-1.5, 1.5, 60)


def rings(rows: int, seed: int) -> Task:
    """Return points of two rings of the radius 0.5 and 1."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    angle, radius = rng.uniform(0, 2 * math.pi, rows), np.where(y, 1.0, 0.5) + 0.08 * rng.normal(size=rows)
    X = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    half = rows // 2
    return Task(X[:half], y[:half], X[half:], y[half:])


def measure(seed: int) -> Figures:
    """Train a net with and one without activations, and compare each with the product of its matrices."""
    task = rings(600, seed)
    found = {}
    for name, activation in CONDITIONS.items():
        model = net([2, 16, 16, 2], activation, seed=seed, dtype="float64")
        trainer = fit(model, task, epochs=60, optimizer=optim.Adam(lr=0.01), metrics="accuracy")
        A, B, C = (model.parameters()[f"{k}.weight"] for k in (0, 2, 4))
        zero = model.predict(np.zeros((1, 2)))  # what the biases make
        off = np.abs(model.predict(task.X_test) - (task.X_test @ (A @ B @ C) + zero)).max()
        plane = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)
        found[name] = {
            "differs from one matrix": off,
            "test accuracy": trainer.history["val_accuracy"][-1],
            "plane": trainer.predict_proba(plane)[:, 1].reshape(len(GRID), -1),
            "points": task.X_test,
            "classes": task.y_test,
        }
    return found


CLAIMS = (
    Between("The linear net is one matrix.", ("linear", "differs from one matrix"), 0, 1e-10),
    Between("It cannot part the rings.", ("linear", "test accuracy"), 0.3, 0.7),
    Between("The net with ReLU can.", ("ReLU", "test accuracy"), 0.97, 1),
    Below("It is no matrix.", ("linear", "differs from one matrix"), ("ReLU", "differs from one matrix"), 1e6),
)


def draw(measured: Measured, *panels: Any) -> None:
    """Draw the plane as each net sees it, and the test rows of the first run."""
    for panel, name in zip(panels, CONDITIONS, strict=True):
        figures = measured[name]
        panel.contourf(GRID, GRID, figures["plane"][0], levels=np.linspace(0, 1, 11), cmap=_style.MAP, alpha=0.7)
        for i, what in enumerate(("inner ring", "outer ring")):
            x, y = figures["points"][0][figures["classes"][0] == i].T
            panel.plot(x, y, **{**_style.style(i), "linestyle": ""}, markersize=3, label=what)
        panel.set(title=name, xlabel="first input", ylabel="second input", aspect="equal")
    _style.legend(panels[-1])
