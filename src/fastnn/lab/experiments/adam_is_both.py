"""Adam is RMSprop and momentum, and what the correction of its means is for.

What the post says
------------------
Adam is RMSprop with momentum. As beta is large, it mostly keeps the direction so far; that would change too slowly, so
it uses the corrected m and S.

Where the post errs
-------------------
The means m and S start at 0, and without the correction both are too small at first: so far the post is right. But S is
the smaller one, and its root is below the line. With the usual betas, 0.9 and 0.999, the steps are too large without
the correction, not too small: the first one is 3.2 times the rate, those after it up to 6.6 times. The correction makes
them smaller. The post would be right with equal betas, such as 0.9 and 0.9.

Formula
-------
    m <- beta1 m + (1 - beta1) g            momentum: a mean of the last gradients
    S <- beta2 S + (1 - beta2) g^2          RMSprop: a mean of their squares
    w <- w - lr M / sqrt(T)                 M = m / (1 - beta1^t),  T = S / (1 - beta2^t)

In the first step M = g and T = g^2, so that each weight moves by exactly lr. Without the correction it moves by
``lr (1 - beta1) / sqrt(1 - beta2)``.

What to look at
---------------
The first two rows: without m, ``betas=(0, 0.999)``, Adam takes the steps of RMSprop with a schedule that corrects S.
Without S (eps so large that the root does not count) it takes those of SGD with momentum and a schedule that corrects
m. The left picture: the size of the first steps in a ravine, in rates. The right one: the loss on the digits after two
epochs, by the rate. Without the correction the rate is in truth larger. So a small rate learns faster, and a large one
does harm: this is what the correction prevents.

What to try
-----------
- ``BETAS = (0.9, 0.99)``: how large is the first step without the correction?
- ``optim.RMSprop``, which has no correction, on the digits: how does it do with large rates?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.lab._surfaces import descend, ravine
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("adam", "rmsprop", "momentum")
SEEDS = 3
PANELS = 2

RATE, STEPS = 0.01, 50
RATES = (0.001, 0.003, 0.01, 0.03)
BETAS = BETA1, BETA2 = 0.9, 0.999


def by_step(factor: Any) -> optim.Schedule:
    """Return the schedule that multiplies the rate of step t, from 1, by factor(t)."""
    return optim.LambdaLR(lambda t: factor(t + 1), every="step")


HALVES = {
    "without m": (
        optim.Adam(RATE, betas=(0.0, BETA2), eps=0),
        optim.RMSprop(RATE, alpha=BETA2, eps=0),
        by_step(lambda t: np.sqrt(1 - BETA2**t)),
    ),
    "without S": (
        optim.Adam(1e10 * RATE, betas=BETAS, eps=1e10),
        optim.SGD((1 - BETA1) * RATE, momentum=BETA1),
        by_step(lambda t: 1 / (1 - BETA1**t)),
    ),
}
CONDITIONS = {  # betas, and a schedule that takes the correction away
    "Adam": (BETAS, None),
    "no correction": (BETAS, by_step(lambda t: (1 - BETA1**t) / np.sqrt(1 - BETA2**t))),
    "no correction, equal betas": ((BETA1, BETA1), by_step(lambda t: (1 - BETA1**t) / np.sqrt(1 - BETA1**t))),
}


def measure(seed: int) -> Figures:
    """Compare Adam's halves with RMSprop and momentum, and Adam with and without the correction."""
    surface, start = ravine(50, turned=20), np.random.default_rng(seed).normal((2.0, 1.0), 0.1)
    found: dict[str, dict[str, Any]] = {}
    for name, (adam, other, schedule) in HALVES.items():
        apart = descend(surface, adam, start, STEPS) - descend(surface, other, start, STEPS, schedule)
        found[name] = {"apart": np.abs(apart).max()}
    task = real("digits", seed=seed)
    for name, (betas, without) in CONDITIONS.items():
        path = descend(surface, optim.Adam(RATE, betas=betas), start, STEPS, without)
        sizes = np.abs(np.diff(path, axis=0)).max(axis=1) / RATE
        losses = []
        for rate in RATES:
            model, optimizer = net([64, 32, 32, 10], nn.ReLU(), seed=seed), optim.Adam(rate, betas=betas)
            losses.append(fit(model, task, epochs=2, optimizer=optimizer, schedule=without).history["loss"][-1])
        found[name] = {
            "first step, in rates": sizes[0],
            "loss, rate 0.001": losses[0],
            "loss, rate 0.03": losses[-1],
            "sizes": sizes,
            "losses": losses,
        }
    return found


FIRST, SMALL, LARGE = "first step, in rates", "loss, rate 0.001", "loss, rate 0.03"
CLAIMS = (
    Between("Adam without m is RMSprop, but for the correction.", ("without m", "apart"), 0, 1e-9),
    Between("Adam without S is momentum, but for the correction.", ("without S", "apart"), 0, 1e-6),
    Between("Adam's first step is as large as the rate.", ("Adam", FIRST), 0.999, 1.001),
    Between("Without the correction it is 3.16 times as large.", ("no correction", FIRST), 3.1, 3.2),
    Between("With equal betas it would be smaller.", ("no correction, equal betas", FIRST), 0.31, 0.32),
    Below("Without the correction a small rate learns faster.", ("no correction", SMALL), ("Adam", SMALL), 1.5),
    Below("And a large rate does harm.", ("Adam", LARGE), ("no correction", LARGE), 1.5),
)


def draw(measured: Measured, sizes: Any, losses: Any) -> None:
    """Draw the sizes of the first steps, and the losses by rate."""
    for i, name in enumerate(CONDITIONS):
        _style.runs(sizes, i, np.arange(1, STEPS + 1), measured[name]["sizes"], name)
        _style.runs(losses, i, RATES, measured[name]["losses"], name)
    sizes.axhline(1, **_style.GUIDE)
    sizes.set(xlabel="step", ylabel="largest move of a number, in rates")
    losses.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss after two epochs")
    _style.legend(losses)
