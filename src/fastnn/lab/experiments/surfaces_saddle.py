"""A saddle point stops gradient descent, but not for ever.

What the post says
------------------
SGD is easily caught by saddle points, where the loss falls in one direction and rises in the other. Momentum and
methods with a rate for each parameter are the remedy.

Where the post errs
-------------------
Without noise it is right: plain SGD stays near a saddle for long, and on the ridge for ever. But the S of SGD stands
for stochastic: the gradients of batches are noisy, and noise alone frees plain SGD (the last column). Saddles slow it
down; they seldom catch it.

Formula
-------
    f(x, y) = x^2 / 2 - y^2 / 2 + y^4 / 4       a saddle at (0, 0), minima at (0, 1) and (0, -1)

Near the saddle each step of gradient descent multiplies y by ``1 + lr``, so that a start at a tiny y needs about
``log(0.5 / y) / log(1 + lr)`` steps until y = 0.5.

What to look at
---------------
All start at x = 1 and y near one millionth, almost on the ridge. The left picture: the paths. The right one: how far y
is from the ridge, by step. SGD first goes to the saddle and seems to have converged there. Momentum adds up the small
steps that all point the same way. Adagrad, RMSprop and Adam divide by the size of the gradient, so that a tiny gradient
makes a whole step. RMSprop's first step is even ten times the rate, ``lr / sqrt(1 - alpha)`` with alpha = 0.99, as it
does not correct its mean: so it leaves in one step.

From the ridge itself, y = 0, none of them leaves: the gradient across is exactly 0. With noise all of them do.

What to try
-----------
- ``NOISE`` ten times as large and as small: how many steps does it save?
- ``optim.Newton()`` and ``optim.LBFGS()`` among the conditions: which one takes the saddle for a minimum?
- A start at y = 1e-12.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastnn import optim, plot
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._surfaces import SADDLE, descend, first
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
SEEDS = 3
PANELS = 2

RATE = 0.1
CONDITIONS = {
    "SGD": optim.SGD(RATE),
    "momentum": optim.SGD(RATE, momentum=0.9),
    "Nesterov": optim.SGD(RATE, momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad(RATE),
    "RMSprop": optim.RMSprop(RATE),
    "Adam": optim.Adam(RATE),
}
STEPS = 250
RIDGE = 0.0  # the y of the ridge
NOISE = 1e-3  # standard deviation of the noise in the gradient


def measure(seed: int) -> Figures:
    """Descend from beside the ridge, from the ridge, and from the ridge with noise."""
    rng = np.random.default_rng(seed)
    beside = 1e-6 * rng.uniform(0.5, 2)
    noisy = replace(SADDLE, gradient=lambda x, y: SADDLE.gradient(x, y) + NOISE * rng.normal(size=2))
    found = {}
    for name, optimizer in CONDITIONS.items():
        path = descend(SADDLE, optimizer, (1, beside), STEPS)
        stays = descend(SADDLE, optimizer, (1, RIDGE), STEPS)
        shaken = descend(noisy, optimizer, (1, RIDGE), STEPS)
        found[name] = {
            "steps to leave": first(np.abs(path[:, 1]) > 0.5),
            "y at the end, from the ridge": stays[-1, 1],
            "steps to leave the ridge, with noise": first(np.abs(shaken[:, 1]) > 0.5),
            "path": path,
        }
    return found


STEPS_OF_SGD = ("SGD", "steps to leave")
CLAIMS = (
    Between("Plain SGD needs as many steps as the formula says.", STEPS_OF_SGD, 125, 155),
    Below("Momentum leaves in less than half the steps.", ("momentum", "steps to leave"), STEPS_OF_SGD, 2),
    Below("So does Nesterov's momentum.", ("Nesterov", "steps to leave"), STEPS_OF_SGD, 2),
    *(
        Below(f"{name} leaves in less than a fifth of the steps.", (name, "steps to leave"), STEPS_OF_SGD, 5)
        for name in ("Adagrad", "RMSprop", "Adam")
    ),
    *(
        Between(f"From the ridge itself {name} never leaves.", (name, "y at the end, from the ridge"), 0, 0)
        for name in ("SGD", "Adam")
    ),
    Between("RMSprop leaves in its first step.", ("RMSprop", "steps to leave"), 1, 1),
    Between("Noise alone frees plain SGD from the ridge.", ("SGD", "steps to leave the ridge, with noise"), 1, 150),
)


def draw(measured: Measured, surface: Any, by_step: Any) -> None:
    """Draw the paths of the first run, and |y| by step."""
    paths = {name: figures["path"][0] for name, figures in measured.items()}
    plot.paths(SADDLE.value, paths, xlim=(-0.9, 1.1), ylim=(-0.4, 1.5), ax=surface)
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(by_step, i, np.arange(STEPS + 1), np.abs(figures["path"][:, :, 1]), name)
    by_step.axhline(0.5, **_style.GUIDE)
    by_step.set(yscale="log", xlabel="step", ylabel="|y|: distance from the ridge")
