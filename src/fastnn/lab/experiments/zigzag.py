"""With positive inputs the weights go in zigzags.

What the post says
------------------
If all inputs of a unit are positive, one weight cannot go up while another goes down: each step moves both in one
direction. To get there all the same, the weights go in zigzags, which takes long. With tanh they go straight.

Formula
-------
A unit with two inputs and two weights, ``p = w1 h1 + w2 h2``. The step for one row with the error ``p - y`` is

    (dw1, dw2) = -2 rate (p - y) (h1, h2)

With h1 > 0 and h2 > 0 it goes up to the right or down to the left, never down to the right.

What to look at
---------------
The target, the star, is down to the right: w1 = 1, w2 = -1. The left picture: the path there. The right one: the
distance that is left by step. The length of the path over the straight distance says how large the detour is; a turn
is a step that goes back, at more than a right angle to the one before.

The rows, the rate and the target are the same for both activations.

What to try
-----------
- ``TARGET = (1, 1)``: now the sigmoid is no obstacle.
- A batch size of 32: the mean over rows of both directions goes straighter, but takes as many steps.
- ``sigmoid(x) - 0.5`` as the input: it is the mean above 0 that makes the detour.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels, nn, optim
from fastnn.diagnosis import Trace
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import Task, fit
from fastnn.plot import _style

POST = "000"
QUESTION = "Which activation?"
TWINS = ("sigmoid", "tanh", "sgd")
SEEDS = 5
PANELS = 2

CONDITIONS = {"sigmoid": kernels.sigmoid, "tanh": kernels.tanh}
TARGET = (1.0, -1.0)
ROWS = 2000


def measure(seed: int) -> Figures:
    """Learn two weights from rows whose targets they explain exactly, one row at a time."""
    x = np.random.default_rng(seed).normal(size=(ROWS, 2))
    found = {}
    for name, activation in CONDITIONS.items():
        inputs = activation(x)
        outputs = inputs @ np.array(TARGET)[:, np.newaxis]
        unit = nn.Sequential(nn.Dense(2, 1, bias=False, init=nn.init.zeros()), dtype="float64", seed=seed)
        path = Trace({"0.weight": [(0, 0), (1, 0)]})
        task = Task(inputs, outputs, inputs, outputs)
        settings = {"loss": "mse", "optimizer": optim.SGD(lr=0.1), "callbacks": [path]}
        fit(unit, task, epochs=1, batch_size=1, **settings)
        steps = np.diff(path.values, axis=0)
        left = np.linalg.norm(path.values - TARGET, axis=1)
        arrived = int(np.argmax(left < 0.1 * left[0]))  # the first step at which 90 % of the way is done
        found[name] = {
            "steps": arrived,
            "path / distance": np.linalg.norm(steps[:arrived], axis=1).sum() / (left[0] - left[arrived]),
            "turns": np.sum(np.sum(steps[: arrived - 1] * steps[1:arrived], axis=1) < 0),
            "path": path.values[:300],
            "left": left[:300],
        }
    return found


CLAIMS = (
    Below("The sigmoid takes more than four times as many steps.", ("tanh", "steps"), ("sigmoid", "steps"), factor=4),
    Below(
        "The path is more than 1.5 times as long as with tanh.", ("tanh", "path / distance"),
        ("sigmoid", "path / distance"), factor=1.5,
    ),
    Below("It turns back more than four times as often.", ("tanh", "turns"), ("sigmoid", "turns"), factor=4),
)  # fmt: skip


def draw(measured: Measured, plane: Any, distance: Any) -> None:
    """Draw the paths of one run in the plane of the two weights, and the distances of all runs."""
    for i, (name, figures) in enumerate(measured.items()):
        first, second = figures["path"][0].T
        _style.line(plane, i, first, second, name, linewidth=1.0)
        _style.runs(distance, i, np.arange(300), figures["left"], name)
    plane.plot(*TARGET, "k*", markersize=14, label="target")
    plane.set(xlabel="first weight", ylabel="second weight", aspect="equal")
    distance.set(xlabel="step", ylabel="distance from the target", yscale="log")
    _style.legend(distance)
