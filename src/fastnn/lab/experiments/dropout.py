"""Dropout: train with a part of the units switched off.

What the post says
------------------
Dropout masks a part of the units in training, and so keeps the net from relying on single features. All units are used
for tests.

Formula
-------
    in training:    y = x * mask / (1 - p)      each entry of the mask is 0 with probability p, else 1
    in evaluation:  y = x

The mean of y over many masks is (1 - p) * x / (1 - p) = x: the next layer gets inputs of the same mean in training and
in evaluation. This is called inverted dropout; without the division, weights have to be multiplied by 1 - p for tests.

What to look at
---------------
The left picture: the more units are off, the larger the loss of the training rows, whose classes are partly wrong, and
the smaller that of new rows. The right one: the losses by epoch. The last column of the table: the mean output of a
dropout layer whose inputs are 1.

What to try
-----------
- p = 0.9: too much.
- Dropout of inputs, ``nn.Dropout(0.2)`` as the first layer.
- ``noisy_digits(seed, rows=797, noise=0.0)``, more rows and right classes: what does dropout do for a net that hardly
  overfits?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._overfitting import EPOCHS, noisy_digits, test_figures, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("dropout",)
SEEDS = 4
PANELS = 2

CONDITIONS = {"p = 0": 0.0, "p = 0.2": 0.2, "p = 0.5": 0.5, "p = 0.7": 0.7}


def measure(seed: int) -> Figures:
    """Train with each probability; also the mean output of the layer alone."""
    task = noisy_digits(seed)
    found: dict[str, dict[str, Any]] = {}
    for name, p in CONDITIONS.items():
        trainer = trained(task, seed, dropout=p)
        train, test = trainer.evaluate(task.X, task.y), test_figures(trainer.predict_proba(task.X_test), task)
        found[name] = {
            "training loss": train["loss"],
            **test,
            "gap": test["test loss"] - train["loss"],
            "mean output": kernels.dropout(np.ones(100_000), p, seed=seed).mean(),
            "test loss by epoch": trainer.history["val_loss"],
        }
    return found


CLAIMS = (
    Below("Dropout lowers the loss of new rows.", ("p = 0.5", "test loss"), ("p = 0", "test loss"), 1.1),
    Below("More of them are right.", ("p = 0", "test accuracy"), ("p = 0.5", "test accuracy"), 1.03),
    Below("The gap becomes smaller.", ("p = 0.5", "gap"), ("p = 0", "gap"), 1.2),
    Below("It is smaller still with p = 0.7.", ("p = 0.7", "gap"), ("p = 0.5", "gap"), 1.2),
    Between("The mean of the layer's outputs stays that of its inputs.", ("p = 0.5", "mean output"), 0.98, 1.02),
)


def draw(measured: Measured, by_p: Any, by_epoch: Any) -> None:
    """Draw the losses by p, and those of new rows by epoch."""
    for i, (which, figure) in enumerate({"training rows": "training loss", "new rows": "test loss"}.items()):
        losses = np.stack([measured[name][figure] for name in CONDITIONS], axis=1)
        _style.runs(by_p, i, list(CONDITIONS.values()), losses, which)
    for i, name in enumerate(CONDITIONS):
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), measured[name]["test loss by epoch"], name)
    by_p.set(xlabel="probability p of 0", ylabel="loss after training")
    by_epoch.set(xlabel="epoch", ylabel="loss of new rows")
    _style.legend(by_p)
    _style.legend(by_epoch)
