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
Each schedule begins at each of six rates. The left picture: the rates, here from 0.8. The right one: the loss by the
first rate; it is the mean over the last epoch.

At 0.8 the steps of four rows are too large: at the constant rate the loss stays as high as the swinging is. Where the
rate falls, the swinging ends, and the loss falls with it. So with a schedule a first rate that is too large does far
less harm. At 1.6 the swinging has already ruined the net.

At a small first rate the constant rate is ahead: nothing swings, and a schedule only makes the steps smaller still. And
at its best rate the constant one gives a good net, too: here a schedule widens the choice, more it does not do.

What to try
-----------
- A batch size of 128: less swinging from the other side (experiment batches). Which rate is the best then?
- 60 epochs: is a schedule ahead at the best rates?
- ``optim.Adam`` with rates from 0.001 to 0.03.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd",)
SEEDS = 3
PANELS = 2

RATES, EPOCHS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6), 12
CONDITIONS = {
    "constant": None,
    "StepLR": optim.StepLR(4, gamma=0.1),
    "LinearLR": optim.LinearLR(1.0, 0.0, total_iters=None, every="step"),
    "CosineAnnealingLR": optim.CosineAnnealingLR(every="step"),
    "OneCycleLR": optim.OneCycleLR(),
}
DECAYED = list(CONDITIONS)[1:]


def measure(seed: int) -> Figures:
    """Train a net with each schedule and each first rate, from the same weights."""
    task = real("digits", seed=seed)
    found = {}
    for name, schedule in CONDITIONS.items():
        histories = []
        for rate in RATES:
            model = net([64, 32, 10], nn.Tanh(), seed=seed)
            settings = {"optimizer": optim.SGD(lr=rate), "schedule": schedule}
            histories.append(fit(model, task, epochs=EPOCHS, batch_size=4, **settings).history)
        losses = [history["loss"][-1] for history in histories]
        best = int(np.argmin(losses))
        found[name] = {
            "loss from 0.05": losses[0],
            "loss from 0.8": losses[4],
            "best first rate": RATES[best],
            "loss from there": losses[best],
            "test accuracy": histories[best]["val_accuracy"][-1],
            "rates": histories[4]["lr"],
            "losses": losses,
        }
    return found


CLAIMS = (
    *(
        Below(f"From 0.8 the loss with {name} is less than a third.", (name, "loss from 0.8"),
              ("constant", "loss from 0.8"), 3)
        for name in DECAYED
    ),
    *(
        Below(f"From 0.05 the constant rate is ahead of {name}.", ("constant", "loss from 0.05"),
              (name, "loss from 0.05"), 1.2)
        for name in DECAYED
    ),
    Between("At its best rate the constant one gives a good net, too.", ("constant", "test accuracy"), 0.94, 1),
)  # fmt: skip


def draw(measured: Measured, rates: Any, losses: Any) -> None:
    """Draw the rates by epoch, and the losses by the first rate."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.line(rates, i, np.arange(1, EPOCHS + 1), figures["rates"][0], name)
        _style.runs(losses, i, RATES, figures["losses"], name)
    rates.set(xticks=(1, 4, 8, 12), xlabel="epoch", ylabel="learning rate at its end")
    losses.set(xscale="log", yscale="log", xlabel="first learning rate", ylabel="loss of the last epoch")
    losses.set_xticks(RATES, [str(rate) for rate in RATES])
    losses.minorticks_off()
    _style.legend(losses)
