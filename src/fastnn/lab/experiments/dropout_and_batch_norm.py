"""Dropout, batch norm, or both.

What the post says
------------------
Dropout is not used so much any more, as batch norm takes over its effect.

Where the post errs
-------------------
It depends on what is meant. The paper on batch norm (Ioffe and Szegedy, 2015) found that a large net for images,
trained with very many rows, was as good without dropout once it had batch norm: its random batches are a weak noise.
But batch norm is there for the speed of learning. Where a net has much to learn by heart, as here, it does not replace
dropout: the net learns wrong classes by heart even faster.

Formula
-------
    dropout:     h * mask / (1 - p)                             strong noise, chosen by p
    batch norm:  (h - mean) / sqrt(var + eps) * gamma + beta    weak noise: mean and var differ from batch to batch

What to look at
---------------
300 digits, of which 30 % have a random class. Dropout makes fewer errors on new rows, with batch norm and without.
Batch norm alone does not. The picture shows the training losses: with batch norm they fall faster, and that is what it
is for.

What to try
-----------
- ``noise=0.0`` in ``noisy_digits``: right classes only. There the post has a point: each alone is of some help.
- All 1200 digits: does anything matter then?
- ``batch_size=8``: the noise of batch norm becomes stronger. Is it enough?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Figures, Measured
from fastnn.lab._overfitting import EPOCHS, noisy_digits, test_figures
from fastnn.lab._tasks import fit
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("batch_norm", "dropout")
SEEDS = 4

CONDITIONS = {  # with batch norm, p of dropout
    "neither": (False, 0.0),
    "batch norm": (True, 0.0),
    "dropout": (False, 0.5),
    "both": (True, 0.5),
}
FIRST = 10


def measure(seed: int) -> Figures:
    """Train with and without each of them."""
    task = noisy_digits(seed)
    found: dict[str, dict[str, Any]] = {}
    for name, (batch_norm, p) in CONDITIONS.items():
        norm = [nn.BatchNorm(256)] if batch_norm else []
        model = nn.Sequential(nn.Dense(64, 256), *norm, nn.ReLU(), nn.Dropout(p), nn.Dense(256, 10), seed=seed)
        optimizer = optim.SGD(lr=0.05, momentum=0.9)
        trainer = fit(model, task, epochs=EPOCHS, optimizer=optimizer, schedule=optim.CosineAnnealingLR())
        test = test_figures(trainer.predict_proba(task.X_test), task)
        found[name] = {
            f"training loss, {FIRST} epochs": trainer.history["loss"][FIRST - 1],
            "training loss": trainer.history["loss"][-1],
            "test loss": test["test loss"],
            "test errors": 1 - test["test accuracy"],
            "by epoch": trainer.history["loss"],
        }
    return found


SPEED = f"training loss, {FIRST} epochs"
CLAIMS = (
    Below("Dropout makes fewer errors than neither.", ("dropout", "test errors"), ("neither", "test errors"), 1.1),
    Below("It makes fewer than batch norm.", ("dropout", "test errors"), ("batch norm", "test errors"), 1.1),
    Below("It lowers the loss with batch norm, too.", ("both", "test loss"), ("batch norm", "test loss"), 1.1),
    Below("The loss of batch norm alone is not lower.", ("neither", "test loss"), ("batch norm", "test loss")),
    Below("Batch norm learns the training rows faster.", ("batch norm", SPEED), ("neither", SPEED), 1.2),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the training losses by epoch."""
    for i, name in enumerate(CONDITIONS):
        _style.runs(panel, i, np.arange(1, EPOCHS + 1), measured[name]["by epoch"], name)
    panel.set(xlabel="epoch", ylabel="training loss, with dropout's noise")
    _style.legend(panel)
