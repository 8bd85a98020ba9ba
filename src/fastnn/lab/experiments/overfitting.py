"""Overfitting: a large net learns its rows by heart, even if there is nothing to learn.

What the post says
------------------
A model can come out that only memorises its training data. Regularisation is there to prevent that.

Formula
-------
    gap = loss of new rows - loss of the training rows

The net has 64 * 256 + 256 + 256 * 10 + 10 = 19210 parameters. With fewer rows than that there are many settings of them
that fit each row, also rows whose classes have been drawn by chance.

What to look at
---------------
The same 200 images twice. The left picture: all classes are random, so that nothing can be learned. The net is
nevertheless right for each training row, and for new rows no better than guessing, which is right one time in ten. Its
loss falls for the rows that it sees and rises for those that it does not see. The right picture: with the right classes
it learns the training rows by heart, too, but what it learns is of use for new rows: their loss falls.

What to try
-----------
- ``WIDTHS = [64, 16, 10]``, a smaller net: does it still learn random classes by heart?
- ``WIDTHS = [64, 10]``, a linear one.
- More epochs: how far does the loss of new rows rise?
- More rows with right classes: ``amount-of-data``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("cross_entropy",)
SEEDS = 3
PANELS = 2

CONDITIONS = {"random classes": 1.0, "right classes": 0.0}  # share of random classes
RANDOM, RIGHT = CONDITIONS
WIDTHS = [64, 256, 10]
EPOCHS = 80


def measure(seed: int) -> Figures:
    """Train the same net with each kind of classes."""
    found: dict[str, dict[str, Any]] = {}
    for name, noise in CONDITIONS.items():
        task = real("digits", 200, seed=seed, noise=noise)
        task = task._replace(X_test=task.X_test[:500], y_test=task.y_test[:500])
        model = net(WIDTHS, nn.ReLU(), seed=seed)
        trainer = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=0.1, momentum=0.9))
        train, test = trainer.evaluate(task.X, task.y), trainer.evaluate(task.X_test, task.y_test)
        found[name] = {
            "training accuracy": train["accuracy"],
            "test accuracy": test["accuracy"],
            "training loss": train["loss"],
            "test loss": test["loss"],
            "gap": test["loss"] - train["loss"],
            "training loss by epoch": trainer.history["loss"],
            "test loss by epoch": trainer.history["val_loss"],
        }
    return found


CLAIMS = (
    Between("Random classes are learned by heart.", (RANDOM, "training accuracy"), 0.98, 1),
    Between("That is no use: new rows are guessed.", (RANDOM, "test accuracy"), 0, 0.2),
    Between("Their loss is far above that of guessing, ln 10.", (RANDOM, "test loss"), 1.5 * math.log(10), 100),
    Between("Right classes are learned by heart, too,", (RIGHT, "training accuracy"), 0.98, 1),
    Between("but this helps with new rows.", (RIGHT, "test accuracy"), 0.85, 1),
    Below("The gap is far smaller.", (RIGHT, "gap"), (RANDOM, "gap"), 5),
)


def draw(measured: Measured, *panels: Any) -> None:
    """Draw the losses by epoch, with random classes and with right ones."""
    for panel, name in zip(panels, CONDITIONS, strict=True):
        for i, which in enumerate(("training", "test")):
            _style.runs(panel, i, np.arange(1, EPOCHS + 1), measured[name][f"{which} loss by epoch"], which)
        panel.axhline(math.log(10), **_style.GUIDE, label="guessing")
        panel.set(xlabel="epoch", ylabel="loss", title=f"200 rows, {name}")
    _style.legend(panels[-1])
