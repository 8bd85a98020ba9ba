"""0.01 randn for shallow and for deep nets.

What the post says
------------------
Weights should be random and small, but not too small: multiply random numbers by 0.01, a number found by experience.

Where the post errs
-------------------
0.01 is good for nets of one hidden layer, as in the course that the post is about. From the second hidden layer on it
is too small. The right size depends on the number n of inputs of a layer: 1/sqrt(n), that is 0.125 for 64 inputs. And
the factor does not keep zeros away, as the post has it: a random number is hardly ever 0 anyway. It only sets how large
the weights are.

Formula
-------
While tanh is nearly linear, each layer multiplies the mean square of the signals, and of the gradients on their way
back, by the variance of a weight times n:

    0.0001 n = 0.0064   for n = 64;   with randn / sqrt(n), by 1

What to look at
---------------
The loss after 20 epochs by the number of hidden layers. With one, both beginnings learn. With more, 0.01 randn learns
late or never: after 5 layers 0.0064^5 = 1e-11 of the mean square is left, and the loss stays at guessing, the grey
line.

What to try
-----------
- ``EPOCHS = 100``: which depths learn now?
- ``optim.Adam()``: it enlarges small gradients.
- The factor 0.1 instead of 0.01.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "004"
QUESTION = "How to begin?"
TWINS = ("dense", "tanh")
SEEDS = 3

CONDITIONS = {"0.01 randn": nn.init.normal(std=0.01), "randn / sqrt(n)": nn.init.lecun_normal()}
HIDDEN = (1, 2, 3, 5)
EPOCHS = 20
GUESSING = float(np.log(10))


def measure(seed: int) -> Figures:
    """Train nets of each depth from both beginnings."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, float]] = {}
    for hidden in HIDDEN:
        found[f"{hidden} hidden"] = {}
        for name, init in CONDITIONS.items():
            model = net([64] * (hidden + 1) + [10], nn.Tanh(), init=init, seed=seed)
            trainer = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=0.1))
            found[f"{hidden} hidden"][name] = trainer.history["loss"][-1]
    return found


CLAIMS = (
    Between("With one hidden layer, 0.01 randn learns.", ("1 hidden", "0.01 randn"), 0, 0.3),
    Between("With five it does not.", ("5 hidden", "0.01 randn"), GUESSING - 0.05, GUESSING + 0.05),
    Between("randn / sqrt(n) learns with five, too.", ("5 hidden", "randn / sqrt(n)"), 0, 0.3),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the losses by the number of hidden layers."""
    panel.axhline(GUESSING, label="guessing", **_style.GUIDE)
    for i, name in enumerate(CONDITIONS):
        losses = np.stack([measured[depth][name] for depth in measured], axis=1)
        _style.runs(panel, i, HIDDEN, losses, name)
    panel.set(xlabel="hidden layers", xticks=HIDDEN, ylabel=f"loss after {EPOCHS} epochs", ylim=(0, 2.5))
    _style.legend(panel)
