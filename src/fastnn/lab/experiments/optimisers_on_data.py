"""The optimisers on the digits: what the choice matters, and what the rate.

What the post says
------------------
RMSprop is much used in practice, and Adam most of all. (Kingma and Ba show Adam's loss below all others, in figure 2 of
their paper of 2014.)

Formula
-------
The same net, the same ten epochs, the same eleven rates for each optimiser. The mean training loss of the last three
epochs is compared: at the best rate, at a tenth of it, and at ten times as much.

What to look at
---------------
The left picture: the loss by the rate. The right one: the loss by epoch at the best rate of each.

With the best rates Adam is ahead of plain SGD, and so is NAdam. As to the others, such as RMSprop against momentum,
their order differs from seed to seed: nothing can be said. Each best rate is a narrow one: few rates give less than
twice the best loss. At a tenth or at ten times its best rate, Adam is far behind SGD at its own: the search for the
rate is worth more than the choice among the optimisers.

The best rates differ by a factor of 30, the defaults of fastnn by one of ten (SGD has 0.01, Adam 0.001). So to compare
two methods at one rate, or at their defaults, is to compare rates.

What to try
-----------
- 50 epochs, or five: is the order the same?
- The test accuracy instead of the loss: ``trainer.history["val_accuracy"]``.
- ``nn.Dropout(0.5)`` after each activation, as in the paper.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "nadam")
SEEDS = 3
PANELS = 2

CONDITIONS: dict[str, optim.Optimizer] = {
    "SGD": optim.SGD(),
    "momentum": optim.SGD(momentum=0.9),
    "Nesterov": optim.SGD(momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad(),
    "RMSprop": optim.RMSprop(),
    "Adam": optim.Adam(),
    "NAdam": optim.NAdam(),
}
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Train the net with each optimiser and each rate."""
    task = real("digits", seed=seed)
    found = {}
    for name, default in CONDITIONS.items():
        curves = []
        for rate in RATES:
            optimizer = replace(default, lr=rate)
            trainer = fit(net([64, 32, 32, 10], nn.ReLU(), seed=seed), task, epochs=EPOCHS, optimizer=optimizer)
            curves.append(trainer.history["loss"])
        losses = np.array([np.mean(curve[-3:]) for curve in curves])
        best = int(np.argmin(losses))
        found[name] = {
            "best rate": RATES[best],
            "loss there": losses[best],
            "at a tenth": losses[best - 2],  # two rates below
            "at ten times": losses[best + 2],
            "rates within twice the loss": np.sum(losses < 2 * losses[best]),
            "by rate": losses,
            "by epoch": curves[best],
        }
    return found


CLAIMS = (
    *(
        Below(f"With the best rates {name} is below SGD.", (name, "loss there"), ("SGD", "loss there"), 1.1)
        for name in ("Adam", "NAdam")
    ),
    *(
        Below(f"SGD at its best rate is below Adam at {text}.", ("SGD", "loss there"), ("Adam", where), 1.3)
        for where, text in (("at a tenth", "a tenth of its best"), ("at ten times", "ten times its best"))
    ),
    *(
        Between(f"{name}: at most three of the rates are good.", (name, "rates within twice the loss"), 1, 3)
        for name in ("SGD", "Adam")
    ),
)


def draw(measured: Measured, by_rate: Any, by_epoch: Any) -> None:
    """Draw the losses of some by rate and by epoch."""
    for i, name in enumerate(("SGD", "momentum", "Adagrad", "RMSprop", "Adam")):
        _style.runs(by_rate, i, RATES, measured[name]["by rate"], name)
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), measured[name]["by epoch"], name)
    by_rate.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss of the last three epochs")
    by_epoch.set(yscale="log", xlabel="epoch", ylabel="loss at the best rate")
    _style.legend(by_epoch)
