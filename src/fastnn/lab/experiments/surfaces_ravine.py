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
Each method has the best of twelve rates, one for the ravine and one for the turned ravine. The left picture: the paths
from the same start. The right one: the loss by step. SGD needs nearly the largest possible rate. Momentum and Nesterov
arrive sooner: what points across cancels, as its sign changes, and what points along the ravine adds up. Adagrad and
RMSprop need no momentum: they divide each coordinate by the size of its gradient, as if the ravine were a round bowl.
But RMSprop does not stay at the bottom: however small the gradient, its steps have about the size of the rate.

And that works along the axes only. In the last columns the ravine is turned by 45 degrees, so that both coordinates are
steep. Now Adagrad is behind plain SGD, and RMSprop needs many times its steps, or does not arrive ("inf"). SGD,
momentum and Nesterov do not mind. Adam has momentum, too: it loses little, and stays ahead of SGD.

What to try
-----------
- SGD at the rates 0.0197 and 0.0199, just below and just beyond the limit.
- A curvature of 1000: by how much do the steps of SGD and of momentum grow? (About tenfold, and by its root at best.)
- Other angles: from which one on is Adagrad behind momentum?
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastnn import optim, plot
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._surfaces import Surface, descend, first, heights, ravine
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
SEEDS = 3
PANELS = 2

CONDITIONS: dict[str, optim.Optimizer] = {
    "SGD": optim.SGD(),
    "momentum": optim.SGD(momentum=0.9),
    "Nesterov": optim.SGD(momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad(),
    "RMSprop": optim.RMSprop(alpha=0.9),
    "Adam": optim.Adam(),
}
RATES = [0.0195 * 2.0**k for k in range(-4, 8)]  # from 0.0012 to 2.5; for SGD the limit is about 0.0198
STEPS = 300
ANGLE = 45.0
ALONG, TURNED = ravine(100), ravine(100, ANGLE)


def measure(seed: int) -> Figures:
    """Descend from a random point at distance 1, in the ravine and in one that is turned with its start."""
    angle = np.random.default_rng(seed).uniform(30, 60)
    found = {}
    for name, optimizer in CONDITIONS.items():
        rate, steps, path = best_rate(optimizer, ALONG, angle)
        _, steps_turned, _ = best_rate(optimizer, TURNED, angle + ANGLE)
        found[name] = {
            "rate": rate,
            "steps until loss / 10000": steps,
            "turns in 40 steps": np.sum(path[1:41, 1] * path[:40, 1] < 0),
            "steps, turned": steps_turned,
            "turned / straight": steps_turned / steps,
            "path": path,
            "loss": heights(ALONG, path),
        }
    return found


def best_rate(optimizer: optim.Optimizer, surface: Surface, degrees: float) -> tuple[float, float, Array]:
    """Descend from the point at distance 1 in a direction; return the rate with the fewest steps, these, the path."""
    start = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    found = []
    for rate in RATES:
        path = descend(surface, replace(optimizer, lr=rate), start, STEPS)
        loss = heights(surface, path)
        found.append((rate, first(loss < 1e-4 * loss[0]), path))
    return min(found, key=lambda each: each[1])


NEEDED, TURNS, IN_TURNED = "steps until loss / 10000", "turns in 40 steps", "steps, turned"
RATIO = "turned / straight"
CLAIMS = (
    Below("Momentum crosses the ravine less than half as often as SGD.", ("momentum", TURNS), ("SGD", TURNS), 2),
    *(
        Below(f"{name} arrives sooner than SGD.", (name, NEEDED), ("SGD", NEEDED), 1.3)
        for name in ("momentum", "Nesterov", "Adagrad", "RMSprop", "Adam")
    ),
    *(
        Between(f"{name} needs as many steps in the turned ravine.", (name, RATIO), 0.9, 1.1)
        for name in ("SGD", "momentum", "Nesterov")
    ),
    *(
        Between(f"{name} needs more than five times as many there.", (name, RATIO), 5, np.inf)
        for name in ("Adagrad", "RMSprop")
    ),
    Below("Adagrad is behind SGD there.", ("SGD", IN_TURNED), ("Adagrad", IN_TURNED), 1.1),
    Below("Adam is still ahead of SGD there.", ("Adam", IN_TURNED), ("SGD", IN_TURNED), 1.3),
)


def draw(measured: Measured, surface: Any, by_step: Any) -> None:
    """Draw the paths of the first run, and the loss by step."""
    paths = {name: figures["path"][0] for name, figures in measured.items()}
    plot.paths(ALONG.value, paths, xlim=(-0.2, 0.8), ylim=(-0.8, 0.8), ax=surface)
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(by_step, i, np.arange(STEPS + 1), np.maximum(figures["loss"], 1e-9), name)
    by_step.set(yscale="log", xlabel="step", ylabel="loss", ylim=(1e-8, 1e2), xlim=(0, 200))
