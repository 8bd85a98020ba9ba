"""Sigmoid against tanh over learning rates.

What the post says
------------------
After ten epochs the loss of a net with tanh is below that of the same net with the sigmoid. Over several learning rates
tanh is stable, and the sigmoid is not.

Where the post errs
-------------------
It is so for the rates at which one usually begins, up to 1. Each activation has its own range of good rates: at the
rate 3 the net with tanh breaks, and that with the sigmoid learns. tanh is the better choice because its range is wider
and begins earlier, not because it bears every rate.

Formula
-------
    sigmoid(x) = 1 / (1 + exp(-x))          between 0 and 1, slope at most 1/4
    tanh(x) = 2 sigmoid(2 x) - 1            between -1 and 1, slope at most 1

What to look at
---------------
The left picture: the loss after ten epochs by the learning rate; a net that only guesses has ln 10 = 2.30. The right
one: the loss by epoch at the rate 0.3. The last row of the table counts the rates at which the loss gets below 0.7.

tanh has outputs with mean 0, so that the weights of the next layer can move in all directions, and its slope is four
times as large.

What to try
-----------
- ``nn.ReLU()`` as a third condition: at which rate does it break?
- ``optim.Adam()`` instead of plain gradient descent: how much of the difference is left?
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "000"
QUESTION = "Which activation?"
TWINS = ("sigmoid", "tanh")
SEEDS = 3
PANELS = 2

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh()}
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
EPOCHS = 10
LEARNT = 0.7  # a loss that is far below ln 10


def measure(seed: int) -> Figures:
    """Train a net with each activation and each rate on the digits."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, Any]] = {f"rate {rate}": {} for rate in RATES}
    for name, activation in CONDITIONS.items():
        for rate in RATES:
            model = net([64, 32, 32, 10], activation, seed=seed)
            loss = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=rate)).history["loss"]
            found[f"rate {rate}"] |= {name: loss[-1], f"{name} by epoch": loss}
    found["rates that learn"] = {
        name: sum(found[f"rate {rate}"][name] < LEARNT for rate in RATES) for name in CONDITIONS
    }
    return found


CLAIMS = (
    *(
        Below(
            f"At the rate {rate} the loss of tanh after ten epochs is less than half.", (where, "tanh"),
            (where, "sigmoid"), factor=2,
        )
        for rate in (0.03, 0.1, 0.3)
        for where in (f"rate {rate}",)
    ),
    Below("tanh learns at more rates.", ("rates that learn", "sigmoid"), ("rates that learn", "tanh"), factor=1.2),
    Below("At the rate 3 tanh breaks, and the sigmoid learns.", ("rate 3.0", "sigmoid"), ("rate 3.0", "tanh"), 2),
)  # fmt: skip


def draw(measured: Measured, by_rate: Any, by_epoch: Any) -> None:
    """Draw the losses by rate and by epoch."""
    for i, name in enumerate(CONDITIONS):
        losses = np.stack([measured[f"rate {rate}"][name] for rate in RATES], axis=1)
        _style.runs(by_rate, i, RATES, losses, name)
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), measured["rate 0.3"][f"{name} by epoch"], name)
    by_rate.axhline(math.log(10), **_style.GUIDE)
    by_rate.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss after ten epochs")
    by_epoch.axhline(math.log(10), **_style.GUIDE)
    by_epoch.set(xlabel="epoch", ylabel="loss at the rate 0.3")
    _style.legend(by_epoch)
