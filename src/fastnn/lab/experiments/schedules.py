"""Learning-rate schedules: large steps first, small ones at the end.

What the post says
------------------
It is usually good to take large steps first and small ones later. So the rate follows a schedule: linear decay, steps,
and others. Its kind and its start are hyper-parameters.

Formula
-------
Of the epoch t of T:

    steps:      lr 0.3^floor(t / 6)
    linear:     lr (1 - 0.99 t / T)
    cosine:     lr (1 + cos(pi t / T)) / 2
    one cycle:  from lr / 25 up to lr, then down to nearly 0

The gradients of small batches are noisy. At a constant rate the weights never come to rest: they move around the
minimum, the farther the larger the rate. A small constant rate has less noise, but it is slow.

What to look at
---------------
The left picture: the rates. The right one: the training loss. The data are digits of which a fifth have a random label,
so that the gradients stay noisy. The net with the large constant rate is good in the first epochs, and then those whose
rate falls pass it. Look at the test errors in the table, means of the last five epochs: the kind of decay hardly
matters, that there is one does.

What to try
-----------
- Batches of 128: what is left of the difference, and why?
- ``noise=0.0``: when is a constant rate good enough?
- ``optim.Adam(0.01)`` instead of SGD: does Adam need a schedule?
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

RATE, EPOCHS = 0.3, 20
CONDITIONS: dict[str, optim.Schedule | None] = {
    "constant": None,
    "small constant": optim.LambdaLR(lambda t: 0.03),
    "steps": optim.StepLR(6, gamma=0.3),
    "linear": optim.LinearLR(1.0, 0.01, EPOCHS),
    "cosine": optim.CosineAnnealingLR(EPOCHS),
    "one cycle": optim.OneCycleLR(),
}


def measure(seed: int) -> Figures:
    """Train the same net with each schedule."""
    task = real("digits", seed=seed, noise=0.2)
    found = {}
    for name, schedule in CONDITIONS.items():
        model, optimizer = net([64, 32, 10], nn.ReLU(), seed=seed), optim.SGD(RATE)
        history = fit(model, task, epochs=EPOCHS, batch_size=8, optimizer=optimizer, schedule=schedule).history
        found[name] = {
            "last rate": history["lr"][-1],
            "loss": history["loss"][-1],
            "test error, %": 100 * (1 - np.mean(history["val_accuracy"][-5:])),
            "rates": history["lr"],
            "losses": history["loss"],
        }
    return found


DECAYED = ("steps", "linear", "cosine", "one cycle")
CLAIMS = (
    *(
        Below(f"{name}: the loss is below the constant rate's.", (name, "loss"), ("constant", "loss"))
        for name in DECAYED
    ),
    *(
        Below(f"{name}: so is the test error.", (name, "test error, %"), ("constant", "test error, %"), 1.2)
        for name in DECAYED
    ),
    Below("A small constant rate is too slow.", ("cosine", "loss"), ("small constant", "loss"), 1.2),
)


def draw(measured: Measured, rates: Any, losses: Any) -> None:
    """Draw rates and losses by epoch."""
    epochs = np.arange(1, EPOCHS + 1)
    for i, name in enumerate(measured):
        _style.line(rates, i, epochs, measured[name]["rates"][0], name)
        _style.runs(losses, i, epochs, measured[name]["losses"], name)
    rates.set(xlabel="epoch", ylabel="learning rate at the end of the epoch")
    losses.set(xlabel="epoch", ylabel="loss", ylim=(0.6, 2))
    _style.legend(losses)
