"""Large steps at first, small ones at the end: schedules of the learning rate.

What the post says
------------------
Mostly it is good to take large steps first and small ones later. Linear decay, or steps down every few epochs, do so.
The first rate and the schedule are hyperparameters.

Formula
-------
At the time t of T, with the rate r at first:

    StepLR              r gamma^floor(t / size)
    LinearLR            r (1 - t/T)
    CosineAnnealingLR   r (1 + cos(pi t/T)) / 2
    OneCycleLR          up from r/25 to r, then down by a cosine

What to look at
---------------
The rate 0.7 is large for batches of four rows: the steps swing. The left picture: the rates; the right one: the loss of
the test rows. At the constant rate the loss stays as high as the swinging is. Where the rate falls, the swinging ends,
and the loss falls with it: StepLR shows it best, after five epochs. The loss in the table is the mean over the last
epoch.

The last row: a constant rate that is a seventh swings less, and gives good nets, too. So a schedule is not the only
way; with one, the choice of the first rate matters less.

What to try
-----------
- ``RATE = 0.1``: what is left of the differences?
- A batch size of 128 for a constant rate: less swinging from the other side (experiment batches).
- ``optim.Adam(lr=0.01)`` with and without a schedule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd",)
SEEDS = 3
PANELS = 2

RATE, EPOCHS = 0.7, 15
CONDITIONS = {
    "constant": None,
    "StepLR": optim.StepLR(5, gamma=0.1),
    "LinearLR": optim.LinearLR(1.0, 0.0, total_iters=None, every="step"),
    "CosineAnnealingLR": optim.CosineAnnealingLR(every="step"),
    "OneCycleLR": optim.OneCycleLR(),
}
DECAYED = list(CONDITIONS)[1:]


def measure(seed: int) -> Figures:
    """Train a net with each schedule, from the same weights."""
    task = real("digits", seed=seed)
    found = {}
    runs = [*((name, RATE, schedule) for name, schedule in CONDITIONS.items()), ("constant, a seventh", RATE / 7, None)]
    for name, rate, schedule in runs:
        model = net([64, 32, 10], nn.Tanh(), seed=seed)
        settings = {"optimizer": optim.SGD(lr=rate), "schedule": schedule}
        history = fit(model, task, epochs=EPOCHS, batch_size=4, **settings).history
        found[name] = {
            "last rate": history["lr"][-1],
            "loss": history["loss"][-1],
            "test accuracy": history["val_accuracy"][-1],
            "rates": history["lr"],
            "losses": history["val_loss"],
        }
    return found


CLAIMS = (
    *(
        Below(f"With {name} the loss is less than a third at the end.", (name, "loss"), ("constant", "loss"), 3)
        for name in DECAYED
    ),
    Below("A seventh of the rate helps, too.", ("constant, a seventh", "loss"), ("constant", "loss"), 3),
)


def draw(measured: Measured, rates: Any, losses: Any) -> None:
    """Draw the rates and the losses by epoch."""
    epochs = np.arange(1, EPOCHS + 1)
    for i, (name, figures) in enumerate(measured.items()):
        _style.line(rates, i, epochs, figures["rates"][0], name)
        _style.runs(losses, i, epochs, figures["losses"], name)
    rates.set(xticks=(1, 5, 10, 15), xlabel="epoch", ylabel="learning rate at its end")
    losses.set(xticks=(1, 5, 10, 15), xlabel="epoch", ylabel="test loss", yscale="log")
    _style.legend(losses)
