"""All optimisers on the digits, and how much the choice matters.

What the post says
------------------
RMSprop is much used in practice, and Adam most of all. (Kingma and Ba show Adam's loss below all others, in figure 2 of
their paper of 2014.)

Formula
-------
The same net, the same ten epochs. Each optimiser is tried with its default rate in fastnn times 1/3, 1, 3, 10 and 30,
and the mean loss of the last three epochs is compared.

What to look at
---------------
The left picture: the loss by the rate, in multiples of the default. The right one: the loss by epoch at the best rate
of each.

With the default rates Adam is far ahead of SGD: this is why one begins with it. With the best rates it is still ahead
of plain SGD in each seed, and so is NAdam. As to the others, such as RMSprop against momentum, their order differs from
seed to seed: nothing can be said. And SGD with a good rate is far ahead of Adam with a bad one: the search for the rate
is worth more than the choice among the optimisers.

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
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "nadam")
SEEDS = 3
PANELS = 2

CONDITIONS: dict[str, optim.Optimizer] = {
    "SGD": optim.SGD(),
    "momentum": optim.SGD(momentum=0.9),
    "Nesterov": optim.SGD(momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad(),
    "Adadelta": optim.Adadelta(),
    "RMSprop": optim.RMSprop(),
    "Adam": optim.Adam(),
    "AdamW": optim.AdamW(),
    "NAdam": optim.NAdam(),
}
FACTORS = (1 / 3, 1, 3, 10, 30)
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Train the net with each optimiser and each rate."""
    task = real("digits", seed=seed)
    found = {}
    for name, default in CONDITIONS.items():
        curves = []
        for factor in FACTORS:
            optimizer = replace(default, lr=factor * default.lr)
            trainer = fit(net([64, 32, 32, 10], nn.ReLU(), seed=seed), task, epochs=EPOCHS, optimizer=optimizer)
            curves.append(trainer.history["loss"])
        losses = [np.mean(curve[-3:]) for curve in curves]
        found[name] = {
            "loss, default rate": losses[FACTORS.index(1)],
            "loss, best rate": min(losses),
            "loss, worst rate": max(losses),
            "by rate": losses,
            "by epoch": curves[int(np.argmin(losses))],
        }
    return found


CLAIMS = (
    Below(
        "With the default rates Adam is far below SGD.",
        ("Adam", "loss, default rate"),
        ("SGD", "loss, default rate"),
        2,
    ),
    *(
        Below(f"With the best rates {name} is below SGD.", (name, "loss, best rate"), ("SGD", "loss, best rate"), 1.1)
        for name in ("Adam", "NAdam")
    ),
    Below(
        "SGD with its best rate is far below Adam with its worst one.",
        ("SGD", "loss, best rate"),
        ("Adam", "loss, worst rate"),
        2,
    ),
)


def draw(measured: Measured, by_rate: Any, by_epoch: Any) -> None:
    """Draw the losses of some by rate and by epoch."""
    for i, name in enumerate(("SGD", "momentum", "Adagrad", "RMSprop", "Adam")):
        _style.runs(by_rate, i, FACTORS, measured[name]["by rate"], name)
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), measured[name]["by epoch"], name)
    by_rate.set(
        xscale="log", yscale="log", xlabel="rate, in multiples of the default", ylabel="loss of the last three epochs"
    )
    by_epoch.set(yscale="log", xlabel="epoch", ylabel="loss at the best rate")
    _style.legend(by_epoch)
