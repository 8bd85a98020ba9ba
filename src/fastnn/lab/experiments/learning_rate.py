"""The learning rate: too small, right, too large, and where the limit is.

What the post says
------------------
An update is the rate times the gradient, and the loss swings if the rate is too large. The rate is a hyper-parameter,
and has to be found.

Formula
-------
    w <- w - lr g

Of a quadratic loss, the distance from the minimum along an eigenvector of the Hessian is multiplied by ``1 - lr c`` in
each step, with the eigenvalue c, the curvature. So gradient descent converges below

    lr = 2 / (largest curvature)

and swings from side to side above half of that. Beyond it the distance grows, and the loss by ``(1 - lr c)^2`` a step.

What to look at
---------------
The left picture: linear regression (diabetes), whose loss is quadratic, with rates in parts of the limit. At 0.01 it
has not arrived after 100 steps, at 0.95 it arrives although it swings, at 1.05 it diverges, by the factor of the
formula: ``(1 - 2.1)^2 = 1.21``. The right picture: a net on the digits. Its curvature changes from place to place, so
that there is no sharp limit, but the same three regions.

What to try
-----------
- 1.001 times the limit: for how many steps does the loss fall before it grows?
- Columns that are not scaled, ``real("diabetes", scaled=False)``: what is the limit then?
- ``optim.SGD(rate, momentum=0.9)``: up to which rate does it converge?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import diagnosis, nn, optim
from fastnn._typing import Array
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import Task, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd",)
SEEDS = 3
PANELS = 2

CONDITIONS = {f"{part} of the limit": part for part in (0.01, 0.1, 0.5, 0.95, 1.05)}
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
STEPS = 100


def measure(seed: int) -> Figures:
    """Fit a linear regression with parts of the largest rate, and a net with several rates."""
    task = real("diabetes", seed=seed)
    start = nn.Sequential(nn.Dense(10, 1), dtype="float64", seed=seed)
    curvature = np.linalg.eigvalsh(diagnosis.hessian(start, task.X, task.y, loss="mean_squared_error"))[-1]
    lowest = fitted(start, task, optim.Newton())[-1]
    found: dict[str, dict[str, Any]] = {}
    for name, part in CONDITIONS.items():
        losses = fitted(start, task, optim.SGD(part * 2 / curvature))
        found[name] = {
            "first loss": losses[0],
            "last loss": losses[-1],
            "above the lowest": losses[-1] - lowest,
            "factor of the last step": losses[-1] / losses[-2],
            "losses": losses,
        }
    digits = real("digits", seed=seed)
    by_rate = [
        fit(net([64, 32, 32, 10], nn.Tanh(), seed=seed), digits, epochs=5, optimizer=optim.SGD(rate)).history["loss"][
            -1
        ]
        for rate in RATES
    ]
    found["net, smallest rate"] = {"last loss": by_rate[0]}
    found["net, best rate"] = {"last loss": min(by_rate), "by rate": by_rate}
    found["net, largest rate"] = {"last loss": by_rate[-1]}
    return found


def fitted(start: nn.Sequential, task: Task, optimizer: Any) -> Array:
    """Return the losses of a linear regression before each step with all rows."""
    trainer = fastnn.Trainer(start.copy(), "mean_squared_error", optimizer)
    return np.array(trainer.fit(task.X, task.y, epochs=STEPS, batch_size=len(task.X), verbose=0)["loss"])


BELOW, BEYOND = "0.95 of the limit", "1.05 of the limit"
BEST = ("net, best rate", "last loss")
CLAIMS = (
    Below("Just below the limit the loss falls.", (BELOW, "last loss"), (BELOW, "first loss"), 1.5),
    Below("Just beyond it, it grows.", (BEYOND, "first loss"), (BEYOND, "last loss"), 10),
    Between("It grows by the factor of the formula.", (BEYOND, "factor of the last step"), 1.209, 1.211),
    Below(
        "A small rate is slow.",
        ("0.5 of the limit", "above the lowest"),
        ("0.01 of the limit", "above the lowest"),
        3,
    ),
    Below("For a net, too, a rate may be too small.", BEST, ("net, smallest rate", "last loss"), 3),
    Below("And too large.", BEST, ("net, largest rate", "last loss"), 3),
)


def draw(measured: Measured, by_step: Any, by_rate: Any) -> None:
    """Draw the losses of the linear regression by step, and those of the net by rate."""
    for i, name in enumerate(CONDITIONS):
        _style.runs(by_step, i, np.arange(STEPS), measured[name]["losses"], name)
    by_step.set(yscale="log", ylim=(0.3, 30), xlabel="step", ylabel="loss of the linear regression")
    _style.legend(by_step)
    _style.runs(by_rate, 0, RATES, measured["net, best rate"]["by rate"], "net")
    by_rate.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss of the net after five epochs")
