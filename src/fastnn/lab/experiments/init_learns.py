"""Which initial weights let a net of 30 ReLU layers learn.

What the post says
------------------
With ReLU, a variance of 2/n works better than 1/n. It does not solve the problem of vanishing gradients, but a deep net
can be trained.

Formula
-------
He et al. (2015) trained a net of 30 layers: under Glorot's variance, 1/n here, it did not learn, under 2/n it did. The
mean square of the signals that reach its end, and of the gradients that reach its beginning, is multiplied by

    (n v / 2)^30,  which is 1 for v = 2/n and 2^-30, a billionth, for v = 1/n

The signals themselves, the roots of that, are multiplied by 2^-15, that is 1/33000.

What to look at
---------------
The loss by epoch, for the digits. Who guesses has the loss ln 10 = 2.303, the grey line. Under 1/n the loss
stays there: what reaches the output is so small that it is the same for all images. With one hidden layer, both work.

What to try
-----------
- ``HIDDEN = 10``: does 1/n learn there?
- ``optim.Adam()``: it divides a gradient by its own size, so that tiny gradients move weights, too. The net then learns
  under 1/n, only later than under 2/n.
- ``nn.Tanh()`` in place of ``nn.ReLU()``: which one is best?
- A ``nn.BatchNorm(WIDTH)`` after each dense layer: the initial weights hardly matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "002"
QUESTION = "How to begin?"
TWINS = ("relu", "relu_backward")
SEEDS = 3

CONDITIONS = {"1/n": nn.init.lecun_normal(), "2/n": nn.init.kaiming_normal()}
HIDDEN, WIDTH, EPOCHS = 30, 64, 10
GUESSING = float(np.log(10))


def measure(seed: int) -> Figures:
    """Train a net with each of the initialisers."""
    task = real("digits", seed=seed)
    found = {}
    for name, init in CONDITIONS.items():
        model = net([64, *[WIDTH] * HIDDEN, 10], nn.ReLU(), init=init, seed=seed)
        trainer = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=0.003, momentum=0.9), metrics="accuracy")
        history = trainer.history
        found[name] = {
            "loss": history["loss"][-1],
            "test accuracy": history["val_accuracy"][-1],
            "losses": np.array(history["loss"]),
        }
    return found


CLAIMS = (
    Below("Under 2/n the net learns.", ("2/n", "loss"), ("1/n", "loss"), 1.3),
    Between("Under 1/n it stays at guessing.", ("1/n", "loss"), GUESSING - 0.05, GUESSING + 0.05),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the losses by epoch."""
    panel.axhline(GUESSING, label="guessing", **_style.GUIDE)
    for i, name in enumerate(CONDITIONS):
        _style.runs(panel, i, np.arange(1, EPOCHS + 1), measured[name]["losses"], name)
    panel.set(xlabel="epoch", ylabel="loss", ylim=(0, 2.5))
    _style.legend(panel)
