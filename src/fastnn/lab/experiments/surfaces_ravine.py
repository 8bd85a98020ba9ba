"""A ravine: gradient descent swings from side to side.

What the post says
------------------
SGD oscillates, depending on the rate. Momentum averages the directions. Adagrad and RMSprop give each parameter a rate
of its own: less for those that have been updated much.

Formula
-------
    f(x, y) = (x^2 + 100 y^2) / 2           100 times as steep across (y) as along (x)

Each step of gradient descent multiplies x by ``1 - lr`` and y by ``1 - 100 lr``. The rate must be below 2 / 100, or y
grows; and near that limit y changes its sign in each step, while x falls by only 2 %.

What to look at
---------------
The left picture: the paths from the same start. The right one: the loss by step. SGD has nearly the largest possible
rate, momentum and Nesterov a quarter of it, and they still arrive sooner: what points across cancels, as its sign
changes, and what points along the ravine adds up. Adagrad and RMSprop need no momentum: they divide each coordinate by
the size of its gradient, as if the ravine were a round bowl. RMSprop does not stay at the bottom: however small the
gradient, its steps have about the size of the rate, unless the rate falls.

But that works along the axes only. In the last column the ravine is turned by 45 degrees, so that both coordinates are
steep, and rates for single coordinates help little. Momentum does not mind.

What to try
-----------
- SGD at the rate 0.0201, just beyond the limit.
- A curvature of 1000: by how much do the steps of SGD and of momentum grow? (About tenfold, and by its root at best.)
- Other angles, and other rates in the turned ravine: how much of the harm do they undo?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import optim, plot
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._surfaces import descend, first, ravine
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
SEEDS = 3
PANELS = 2

CONDITIONS = {  # each with about its best rate
    "SGD": optim.SGD(0.0195),
    "momentum": optim.SGD(0.005, momentum=0.9),
    "Nesterov": optim.SGD(0.005, momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad(0.5),
    "RMSprop": optim.RMSprop(0.05, alpha=0.9),
    "Adam": optim.Adam(0.1),
}
STEPS = 500
ANGLE = 45.0
ALONG, TURNED = ravine(100), ravine(100, ANGLE)


def measure(seed: int) -> Figures:
    """Descend from a random point at distance 1, in the ravine and in one that is turned with its start."""
    angle = np.random.default_rng(seed).uniform(30, 60)
    found = {}
    for name, optimizer in CONDITIONS.items():
        path = descend(ALONG, optimizer, at_angle(angle), STEPS)
        loss = ALONG.value(path[:, 0], path[:, 1])
        turned = TURNED.value(*descend(TURNED, optimizer, at_angle(angle + ANGLE), STEPS).T)
        found[name] = {
            "steps until loss / 10000": first(loss < 1e-4 * loss[0]),
            "turns in 40 steps": np.sum(path[1:41, 1] * path[:40, 1] < 0),
            "steps in the turned ravine": first(turned < 1e-4 * turned[0]),
            "path": path,
            "loss": loss,
        }
    return found


def at_angle(degrees: float) -> tuple[float, float]:
    """Return the point at distance 1 in a direction."""
    return np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))


NEEDED, TURNS, IN_TURNED = "steps until loss / 10000", "turns in 40 steps", "steps in the turned ravine"
CLAIMS = (
    Below("Momentum crosses the ravine less than half as often as SGD.", ("momentum", TURNS), ("SGD", TURNS), 2),
    *(
        Below(f"{name} arrives sooner than SGD.", (name, NEEDED), ("SGD", NEEDED), 1.3)
        for name in ("momentum", "Nesterov", "Adagrad", "RMSprop", "Adam")
    ),
    *(
        Below(f"In the turned ravine {name} needs more steps.", (name, NEEDED), (name, IN_TURNED), 1.5)
        for name in ("Adagrad", "RMSprop", "Adam")
    ),
    Below("In the turned ravine Nesterov is before Adagrad.", ("Nesterov", IN_TURNED), ("Adagrad", IN_TURNED), 1.5),
)


def draw(measured: Measured, surface: Any, by_step: Any) -> None:
    """Draw the paths of the first run, and the loss by step."""
    paths = {name: figures["path"][0] for name, figures in measured.items()}
    plot.paths(ALONG.value, paths, xlim=(-0.2, 0.8), ylim=(-0.8, 0.8), ax=surface)
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(by_step, i, np.arange(STEPS + 1), np.maximum(figures["loss"], 1e-9), name)
    by_step.set(yscale="log", xlabel="step", ylabel="loss", ylim=(1e-8, None), xlim=(0, 300))
