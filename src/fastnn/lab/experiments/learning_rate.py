"""A learning rate that is too small, right, too large.

What the post says
------------------
Gradient descent goes against the gradient, by a step of the learning rate. With a large rate it swings. The rate is a
hyperparameter.

Formula
-------
    w = w - rate * gradient

Linear regression has a quadratic loss, whose second derivatives H are the same everywhere. Along an eigenvector of H
with the eigenvalue c (the curvature), each step multiplies the distance from the minimum:

    distance = (1 - rate * c) * distance

It shrinks if the factor is between -1 and 1: for all directions, if the rate is below the limit 2 / largest curvature.

What to look at
---------------
The left picture: the diabetes data, linear regression, loss above its minimum. At 1 % of the limit it is slow. At 95 %
it swings in the steepest direction, but is fast in the flat ones. At 105 % it grows, in the end by
(1 - 2 * 1.05)^2 = 1.21 a step: the formula tells exactly where it breaks.

The right one: a net with five hidden layers on the digits. Its curvature changes, so one tries: factors of 10 are
enough. Far to the left hardly anything is learnt. At the rate 1 the units die (experiment dying-relu), and the
net guesses with ln 10 = 2.30. Further to the right numbers overflow: fastnn raises ``TrainingDiverged``. Such losses
are "inf" in the table, and crosses in the picture.

What to try
-----------
- ``SHARES``: 0.999 and 1.001 of the limit, with 1000 steps.
- The data without scaling, ``real("diabetes", scaled=False)``: what is the largest rate?
- ``optim.Adam``: how wide is its valley?
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastnn
from fastnn import diagnosis, nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd",)
SEEDS = 3
PANELS = 2

SHARES = {"1 % of the limit": 0.01, "50 %": 0.5, "95 %": 0.95, "105 %": 1.05}
STEPS = 100
RATES = {f"digits, rate {rate:g}": rate for rate in (0.001, 0.01, 0.1, 1, 10, 100)}
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Train a linear regression and a net with each of their rates."""
    return quadratic(seed) | digits(seed)


def quadratic(seed: int) -> dict[str, dict[str, Any]]:
    """Train a linear regression with rates around the limit that its curvature sets."""
    X, y, *_ = real("diabetes", seed=seed)
    start = nn.Sequential(nn.Dense(X.shape[1], 1, init="zeros"), dtype="float64", seed=seed)
    limit = 2 / np.linalg.eigvalsh(diagnosis.hessian(start, X, y, loss="mse")).max()
    best = fastnn.Trainer(start.copy(), loss="mse", optimizer=optim.Newton())
    best.fit(X, y, epochs=20, verbose=0)
    lowest = best.evaluate(X, y)["loss"]
    found = {}
    for name, share in SHARES.items():
        trainer = fastnn.Trainer(start.copy(), loss="mse", optimizer=optim.SGD(lr=share * limit))
        losses = np.array(trainer.fit(X, y, epochs=STEPS, batch_size=len(X), verbose=0)["loss"]) - lowest
        found[name] = {
            "rate": share * limit,
            "loss above the minimum": losses[-1],
            "at first": losses[0],
            "times a step": losses[-1] / losses[-2],
            "by step": losses,
        }
    return found


def digits(seed: int) -> dict[str, dict[str, Any]]:
    """Train a net with rates of all sizes."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for name, rate in RATES.items():
        model = net([64, *[32] * 5, 10], nn.ReLU(), seed=seed)
        try:
            loss = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=rate)).history["loss"][-1]
        except fastnn.TrainingDiverged:
            loss = math.inf
        found[name] = {"rate": rate, "loss": loss}
    return found


CLAIMS = (
    Below(
        "Below the limit the loss falls, even at 95 %.", ("95 %", "loss above the minimum"), ("95 %", "at first"), 10
    ),
    Below("Above it, at 105 %, it grows.", ("105 %", "at first"), ("105 %", "loss above the minimum"), 1000),
    Between("By the factor of the formula, 1.21 a step.", ("105 %", "times a step"), 1.2, 1.22),
    Below("1 % is too slow.", ("50 %", "loss above the minimum"), ("1 % of the limit", "loss above the minimum"), 5),
    *(
        Below(
            f"A net: rate 0.1 is far better than {rate}.",
            ("digits, rate 0.1", "loss"),
            (f"digits, rate {rate}", "loss"),
            3,
        )
        for rate in ("0.001", "1")
    ),
    Between("At the rate 100 the training diverges.", ("digits, rate 100", "loss"), math.inf, math.inf),
)


def draw(measured: Measured, by_step: Any, by_rate: Any) -> None:
    """Draw the loss of the linear regression by step, and that of the net by rate."""
    for i, name in enumerate(SHARES):
        _style.runs(by_step, i, np.arange(1, STEPS + 1), measured[name]["by step"], name)
    by_step.set(xlabel="step", ylabel="loss above the minimum", yscale="log", ylim=(1e-4, 100))
    _style.legend(by_step)
    losses = np.stack([measured[name]["loss"] for name in RATES], axis=1)
    rates, fine = np.array(list(RATES.values())), np.isfinite(losses).all(axis=0)
    _style.runs(by_rate, 4, rates[fine], losses[:, fine], "loss")
    by_rate.plot(rates[~fine], [10.0] * int(np.sum(~fine)), "kx", markersize=9, label="diverged")
    by_rate.axhline(math.log(10), label="guessing", **_style.GUIDE)
    by_rate.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss after ten epochs")
    _style.legend(by_rate)
