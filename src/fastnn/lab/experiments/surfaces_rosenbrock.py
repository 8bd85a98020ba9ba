"""The optimisers in Rosenbrock's bent valley.

What the post says
------------------
The optimisers are a row of improvements, from SGD over momentum and Adagrad to RMSprop and Adam. Second derivatives are
faster still.

Formula
-------
    f(x, y) = (1 - x)^2 + 100 (y - x^2)^2           the minimum is at (1, 1)

The bottom of the valley, y = x^2, is nearly flat, its sides are steep. The valley bends, so that neither axis is its
direction.

What to look at
---------------
Each optimiser has 500 steps and the best of nine rates, the same nine for all. The left picture: some paths. The right
one: the distance to the minimum by step. Plain SGD is slow on the flat bottom, as the sides allow only a small rate.
Momentum helps. Rates of single coordinates do not, where the valley bends. Newton's method and L-BFGS know the
curvature and arrive in some dozens of iterations (each costs more). AdamW stops away from the minimum, as its weight
decay pulls to 0. ("inf": not each run came so near.)

It is no row of improvements: with the best constant rates, Adagrad is behind plain SGD here, and RMSprop is behind the
older momentum. Which one wins depends on the surface.

What to try
-----------
- ``optim.AdamW(rate, weight_decay=0)``: is it Adam?
- 5000 steps: who arrives?
- A schedule that lets the rate fall, with RMSprop: ``descend`` takes one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import optim, plot
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._surfaces import ROSENBROCK, descend, first
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
SEEDS = 3
PANELS = 2

RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
CONDITIONS: dict[str, list[Any]] = {  # those to take the best of
    "SGD": [optim.SGD(rate) for rate in RATES],
    "momentum": [optim.SGD(rate, momentum=0.9) for rate in RATES],
    "Nesterov": [optim.SGD(rate, momentum=0.9, nesterov=True) for rate in RATES],
    "Adagrad": [optim.Adagrad(rate) for rate in RATES],
    "RMSprop": [optim.RMSprop(rate) for rate in RATES],
    "Adam": [optim.Adam(rate) for rate in RATES],
    "AdamW": [optim.AdamW(rate) for rate in RATES],
    "L-BFGS": [optim.LBFGS()],
    "Newton": [optim.Newton()],
}
STEPS = 500


def measure(seed: int) -> Figures:
    """Descend with each optimiser and each rate from beside (-1.2, 1), and keep the best rate of each."""
    start = np.random.default_rng(seed).normal((-1.2, 1.0), 0.05)
    found: dict[str, dict[str, Any]] = {}
    for name, optimizers in CONDITIONS.items():
        paths = [descend(ROSENBROCK, optimizer, start, STEPS) for optimizer in optimizers]
        best = int(np.argmin([distance(path)[-1] for path in paths]))
        path, distances = paths[best], distance(paths[best])
        found[name] = {"rate": RATES[best]} if len(paths) > 1 else {}
        found[name] |= {
            "distance to the minimum": distances[-1],
            "steps until 0.01": first(distances < 0.01),
            "path": path,
            "distances": distances,
        }
    return found


def distance(path: Array) -> Array:
    """Return the distance of each point from the minimum."""
    distances: Array = np.hypot(path[:, 0] - 1, path[:, 1] - 1)
    return distances


DISTANCE = "distance to the minimum"
CLAIMS = (
    *(
        Below(f"{name} is nearer than SGD.", (name, DISTANCE), ("SGD", DISTANCE), 2)
        for name in ("momentum", "Nesterov", "Adam")
    ),
    Below("Adam is nearer than Adagrad.", ("Adam", DISTANCE), ("Adagrad", DISTANCE), 2),
    Below("Plain SGD, too, is nearer than Adagrad.", ("SGD", DISTANCE), ("Adagrad", DISTANCE)),
    Below("Momentum is nearer than RMSprop.", ("momentum", DISTANCE), ("RMSprop", DISTANCE), 2),
    Below("AdamW stops away from the minimum.", ("Adam", DISTANCE), ("AdamW", DISTANCE), 3),
    *(
        Between(f"{name} arrives within 60 iterations.", (name, "steps until 0.01"), 1, 60)
        for name in ("L-BFGS", "Newton")
    ),
)


def draw(measured: Measured, surface: Any, by_step: Any) -> None:
    """Draw paths of the first run, and the distance by step."""
    shown = ("SGD", "momentum", "RMSprop", "Adam", "Newton")
    paths = {name: measured[name]["path"][0] for name in shown}
    plot.paths(ROSENBROCK.value, paths, xlim=(-2, 2), ylim=(-1, 3), ax=surface)
    for i, name in enumerate(shown):
        _style.runs(by_step, i, np.arange(STEPS + 1), np.maximum(measured[name]["distances"], 1e-6), name)
    by_step.set(yscale="log", xlabel="step", ylabel="distance to the minimum", ylim=(1e-5, None))
