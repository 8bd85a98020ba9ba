"""Sigmoid against tanh over learning rates.

What the post says
------------------
After ten epochs the loss of a net with tanh is below that of the same net with the sigmoid, and tanh copes with more
learning rates.

Formula
-------
    sigmoid(x) = 1 / (1 + exp(-x))          between 0 and 1, slope at most 1/4
    tanh(x) = 2 sigmoid(2 x) - 1            between -1 and 1, slope at most 1

What to look at
---------------
The left picture: the loss after ten epochs by the learning rate. The right one: the loss by epoch at the rate 0.3.
tanh is below the sigmoid at each rate. Its outputs have mean 0, so that the weights of the next layer can move in all
directions, and its slope is four times as large.

What to try
-----------
- ``RATES`` up to 10: where does each of them break?
- ``nn.ReLU()`` as a third condition.
- ``optim.Adam()`` instead of plain gradient descent: how much of the difference is left?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "000"
QUESTION = "Which activation?"
TWINS = ("sigmoid", "tanh")
SEEDS = 3
PANELS = 2

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh()}
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Train a net with each activation and each rate on the digits."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, Any]] = {f"rate {rate}": {} for rate in RATES}
    for name, activation in CONDITIONS.items():
        for rate in RATES:
            model = net([64, 32, 32, 10], activation, seed=seed)
            trainer = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=rate))
            found[f"rate {rate}"] |= {name: trainer.history["loss"][-1], f"{name} by epoch": trainer.history["loss"]}
    return found


CLAIMS = tuple(
    Below(f"At the rate {rate} the loss of tanh after ten epochs is lower.", (where, "tanh"), (where, "sigmoid"))
    for rate in RATES
    for where in (f"rate {rate}",)
)


def draw(measured: Measured, by_rate: Any, by_epoch: Any) -> None:
    """Draw the losses by rate and by epoch."""
    for i, name in enumerate(CONDITIONS):
        losses = np.stack([measured[where][name] for where in measured], axis=1)
        _style.runs(by_rate, i, RATES, losses, name)
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), measured["rate 0.3"][f"{name} by epoch"], name)
    by_rate.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss after ten epochs")
    by_epoch.set(xlabel="epoch", ylabel="loss at the rate 0.3")
    _style.legend(by_epoch)
