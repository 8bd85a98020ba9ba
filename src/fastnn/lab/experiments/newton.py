"""Newton's method: few steps, dear ones, and not always down.

What the post says
------------------
The gradient says only where it goes down. With second derivatives one finds the minimum of a quadratic function: this
is much faster, and the update is sure. The Hessian is a matrix of parameters times parameters.

Where the post errs
-------------------
The step is sure only where the surface bends upwards in all directions. Newton's step goes to the point where the
gradient of the quadratic function is 0, and near a saddle this point is the saddle: the plain method goes there and
stays. ``optim.Newton`` therefore adds a shift to the Hessian until the step goes down.

Formula
-------
    gradient descent:   w <- w - lr g
    plain Newton:       w <- w - H^-1 g
    optim.Newton:       w <- w - (H + shift I)^-1 g         with a shift that makes the matrix positive definite

For n parameters the Hessian H has n^2 numbers: for a net of 100 000 weights 80 GB. fastnn computes it from 2 n
gradients.

What to look at
---------------
The left picture: the loss of a logistic regression (tumours, ten measures, 11 parameters) by step. Newton needs some
steps. Gradient descent, at the best of four rates, needs many times as many. But a step of Newton costs 22 gradients
and the solution of a system of equations: counted in gradients, gradient descent is ahead here. On the quadratic it is
not. The right picture: from (0.8, 0.3) the plain method goes to the saddle, the others go to a minimum.

What to try
-----------
- All 30 measures: how many gradients does each method need, at which rate?
- A start on the saddle surface at y = 0.8: why is the plain method right there?
- ``optim.LBFGS()``, which gathers the curvature from the gradients of its steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim, plot
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, real
from fastnn.lab._surfaces import SADDLE, descend, first, ravine
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd",)
SEEDS = 3
PANELS = 2

COLUMNS, STEPS, EPOCHS = 10, 1000, 400
QUADRATIC, START = ravine(100), (1.0, 1.0)
BESIDE = (0.8, 0.3)  # the start near a saddle
CONDITIONS: dict[str, Any] = {  # optimisers for the quadratic, the logistic regression (the best counts), the saddle
    "gradient descent": (optim.SGD(2 / 101), [optim.SGD(rate) for rate in (1.0, 3.0, 10.0, 30.0)], optim.SGD(0.1)),
    "Newton": (optim.Newton(shift=1e-9), [optim.Newton()], optim.Newton()),
}
GRADIENTS = {"gradient descent": 1, "Newton": 2 * (COLUMNS + 1)}  # for a step


def measure(seed: int) -> Figures:
    """Count steps on a quadratic and of a logistic regression, and go down from beside a saddle."""
    found: dict[str, dict[str, Any]] = {}
    for name, (on_quadratic, on_data, at_saddle) in CONDITIONS.items():
        path = descend(QUADRATIC, on_quadratic, START, STEPS)
        down = descend(SADDLE, at_saddle, BESIDE, 100)
        found[name] = {
            "steps, quadratic": first(np.abs(path).max(axis=1) < 1e-6),
            "y at the end, saddle": abs(down[-1, 1]),
            "losses": [logistic_regression(optimizer, seed) for optimizer in on_data],
            "path": down,
        }
    lowest = min(np.min(figures["losses"]) for figures in found.values())
    for name, figures in found.items():
        runs = [losses - lowest for losses in figures.pop("losses")]
        figures["excess"] = min(runs, key=lambda excess: first(excess < 1e-4))
        figures["steps, data"] = first(figures["excess"] < 1e-4)
        figures["gradients, data"] = GRADIENTS[name] * figures["steps, data"]
    path = plain_newton(BESIDE, 100)
    found["plain Newton"] = {"y at the end, saddle": abs(path[-1, 1]), "path": path}
    return found


def logistic_regression(optimizer: Any, seed: int) -> Array:
    """Return the loss before each step; when the method has converged, the last one goes on."""
    task = real("breast_cancer", seed=seed)
    model = nn.Sequential(nn.Dense(COLUMNS, 1), dtype="float64", seed=seed)
    trainer = fastnn.Trainer(model, "binary_cross_entropy", optimizer, penalty=optim.Penalty(l2=1e-3))
    losses = trainer.fit(task.X[:, :COLUMNS], task.y, epochs=EPOCHS, batch_size=len(task.X), verbose=0)["loss"]
    return np.pad(losses, (0, EPOCHS - len(losses)), mode="edge")


def plain_newton(start: tuple[float, float], steps: int) -> Array:
    """Return the points of Newton's method as it is in the formula."""
    points = [np.array(start)]
    for _ in range(steps):
        w = points[-1]
        points.append(w - np.linalg.solve(hessian(*w), SADDLE.gradient(*w)))
    return np.array(points)


def hessian(_x: float, y: float) -> Array:
    """Return the second derivatives of the surface with the saddle."""
    return np.array([[1.0, 0.0], [0.0, 3 * y**2 - 1]])


AT_SADDLE = "y at the end, saddle"
CLAIMS = (
    Between("On a quadratic Newton needs one step.", ("Newton", "steps, quadratic"), 1, 1),
    Below(
        "Gradient descent needs hundreds.",
        ("Newton", "steps, quadratic"),
        ("gradient descent", "steps, quadratic"),
        200,
    ),
    Below(
        "On data, too, Newton needs far fewer steps.",
        ("Newton", "steps, data"),
        ("gradient descent", "steps, data"),
        5,
    ),
    Below(
        "Counted in gradients, gradient descent is ahead.",
        ("gradient descent", "gradients, data"),
        ("Newton", "gradients, data"),
    ),
    Between("Plain Newton goes to the saddle.", ("plain Newton", AT_SADDLE), 0, 1e-9),
    *(
        Between(f"{text} to a minimum.", (name, AT_SADDLE), 0.999, 1.001)
        for name, text in (("gradient descent", "Gradient descent goes"), ("Newton", "optim.Newton goes"))
    ),
)


def draw(measured: Measured, by_step: Any, surface: Any) -> None:
    """Draw the loss by step, and the paths near the saddle."""
    for i, name in enumerate(CONDITIONS):
        _style.runs(by_step, i, np.arange(1, EPOCHS + 1), np.maximum(measured[name]["excess"], 1e-9), name)
    by_step.axhline(1e-4, **_style.GUIDE)
    by_step.set(xscale="log", yscale="log", xlabel="step", ylabel="loss above the lowest", ylim=(1e-8, None))
    paths = {name: measured[name]["path"][0] for name in measured}
    plot.paths(SADDLE.value, paths, xlim=(-0.3, 1.1), ylim=(-0.4, 1.5), ax=surface)
