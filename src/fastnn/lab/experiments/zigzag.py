"""With positive inputs the weights go in zigzags.

What the post says
------------------
If all inputs of a unit are positive, one weight cannot go up while another goes down: each step moves both in one
direction. To get there all the same, the weights go in zigzags, which takes long. With tanh they go straight.

Where the post errs
-------------------
The zigzag is there, but it is not the detour that takes long. At one rate, positive inputs need as many steps as the
same inputs around 0. They take long because they do not bear large rates: with each at its best rate, positive inputs
need more steps.

To see this, compare inputs that vary alike. Those from the sigmoid vary a third as much as those
from tanh, so that they need about ten times the steps at the same rate, wherever their mean is.

Formula
-------
A unit with two inputs and two weights, ``p = w1 h1 + w2 h2``. The step for one row with the error ``p - y`` is

    (dw1, dw2) = -2 rate (p - y) (h1, h2)

With h1 > 0 and h2 > 0 it goes up to the right or down to the left, never down to the right. In the mean over rows,
the error of the weights shrinks by

    1 - 2 rate Var h                      down to the right: no mean in it, so the zigzag arrives as early
    1 - 2 rate (Var h + 2 (E h)^2)        up to the right: the mean is in it, and a large rate overshoots

What to look at
---------------
The target, the star, is down to the right: w1 = 1, w2 = -1. The left picture: the path there. The right one: the
distance that is left by step; the lines of inputs that vary alike fall together. The length of the path over the
straight distance says how large the detour is. A turn is a step that goes back, at more than a right angle to the one
before; about every second one is with positive inputs. All of this is at the rate 0.1. The last column has the steps at
the best of several rates. A walk has arrived when 1/10000 of the distance is left.

What to try
-----------
- ``TARGET = (1, 1)``: now the mean above 0 is no obstacle, but a help.
- A batch size of 32: the mean over rows of both directions goes straighter, but takes as many steps.
- ``kernels.relu`` and ``kernels.relu(x) - 0.4``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import TrainingDiverged, kernels, nn, optim
from fastnn._typing import Array
from fastnn.diagnosis import Trace
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import Task, fit
from fastnn.plot import _style

POST = "000"
QUESTION = "Which activation?"
TWINS = ("sigmoid", "tanh", "sgd")
SEEDS = 3
PANELS = 2

CONDITIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": kernels.sigmoid,
    "sigmoid - 0.5": lambda x: kernels.sigmoid(x) - 0.5,
    "tanh + 1": lambda x: kernels.tanh(x) + 1,
    "tanh": kernels.tanh,
}
TARGET = (1.0, -1.0)
ROWS = 1200
RATE = 0.1  # one for all
RATES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
PARTS = 4  # the rows are parted, and each rate has to do with a part; the mean over the parts is taken


def measure(seed: int) -> Figures:
    """Learn two weights from rows whose targets they explain exactly, one row at a time."""
    x = np.random.default_rng(seed).normal(size=(ROWS, 2))
    found = {}
    for name, activation in CONDITIONS.items():
        inputs = activation(x)
        path = walk(inputs, RATE)
        steps = np.diff(path[: arrival(path) + 1], axis=0)
        by_rate = [np.mean([arrival(walk(part, rate)) for part in np.split(inputs, PARTS)]) for rate in RATES]
        found[name] = {
            "path / distance": np.linalg.norm(steps, axis=1).sum() / np.linalg.norm(TARGET),
            "turns / steps": np.mean(np.sum(steps[:-1] * steps[1:], axis=1) < 0),
            "steps": len(steps),
            "best rate": RATES[int(np.argmin(by_rate))],
            "steps, best rate": min(by_rate),
            "path": path[:300],
            "left": distances(path)[:300],
        }
    return found


def walk(inputs: Array, rate: float) -> Array:
    """Return the weights before the first and after each step; they stay at 0 if the rate is too large."""
    outputs = inputs @ np.array(TARGET)[:, np.newaxis]
    unit = nn.Sequential(nn.Dense(2, 1, bias=False, init=nn.init.zeros()), dtype="float64")
    path = Trace({"0.weight": [(0, 0), (1, 0)]})
    task = Task(inputs, outputs, inputs, outputs)
    try:
        fit(unit, task, epochs=1, batch_size=1, loss="mse", optimizer=optim.SGD(lr=rate), callbacks=[path])
    except TrainingDiverged:
        return np.zeros((len(inputs) + 1, 2))
    return path.values


def distances(path: Array) -> Array:
    """Return how far each point of a path is from the target."""
    far: Array = np.linalg.norm(path - TARGET, axis=1)
    return far


def arrival(path: Array) -> int:
    """Return after how many steps 1/10000 of the distance is left; all steps, if it never is."""
    left = distances(path)
    arrived = left < 1e-4 * left[0]
    return int(np.argmax(arrived)) if arrived.any() else len(path) - 1


CLAIMS = (
    Below(
        "The sigmoid's path is more than twice as long as that of its outputs around 0.",
        ("sigmoid - 0.5", "path / distance"), ("sigmoid", "path / distance"), factor=2,
    ),
    Below(
        "That of tanh + 1 is longer than that of tanh.", ("tanh", "path / distance"),
        ("tanh + 1", "path / distance"), factor=1.2,
    ),
    Below(
        "The sigmoid turns back in more of the steps.", ("sigmoid - 0.5", "turns / steps"),
        ("sigmoid", "turns / steps"), factor=1.4,
    ),
    Below("So does tanh + 1.", ("tanh", "turns / steps"), ("tanh + 1", "turns / steps"), factor=1.2),
    Below(
        "At one rate the detour takes less than 1.25 times as many steps.", ("sigmoid", "steps"),
        ("sigmoid - 0.5", "steps"), factor=0.8,
    ),
    Below(
        "tanh needs less than a quarter of the sigmoid's steps even with a mean of 1.", ("tanh + 1", "steps"),
        ("sigmoid", "steps"), factor=4,
    ),
    Below(
        "Each at its best rate, the sigmoid takes more steps than around 0.", ("sigmoid - 0.5", "steps, best rate"),
        ("sigmoid", "steps, best rate"), factor=1.2,
    ),
    Below("And tanh + 1 more than tanh.", ("tanh", "steps, best rate"), ("tanh + 1", "steps, best rate"), factor=1.2),
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
