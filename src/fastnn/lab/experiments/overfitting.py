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
The first row of the table: all classes are random, so that nothing can be learned. The net is nevertheless right for
each training row, and for new rows no better than guessing, which is right one time in ten. The left picture shows how
its loss falls for the rows it sees and rises for those it does not see. The right picture: with right classes, more
rows make the gap small.

What to try
-----------
- A smaller net, such as ``[64, 16, 10]``: does it still learn random classes by heart?
- A linear net, ``[64, 10]``, with the random classes.
- More epochs: how far does the loss of new rows rise?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("cross_entropy",)
SEEDS = 3
PANELS = 2

CONDITIONS = {  # number of rows, share of random classes
    "200 rows, random classes": (200, 1.0),
    "40 rows": (40, 0.0),
    "200 rows": (200, 0.0),
    "800 rows": (800, 0.0),
}
RANDOM, FEW, SOME, MANY = CONDITIONS
EPOCHS = 80


def measure(seed: int) -> Figures:
    """Train the same net with each set of rows."""
    found: dict[str, dict[str, Any]] = {}
    for name, (rows, noise) in CONDITIONS.items():
        task = real("digits", rows, seed=seed, noise=noise)
        task = task._replace(X_test=task.X_test[:500], y_test=task.y_test[:500])
        model = net([64, 256, 10], nn.ReLU(), seed=seed)
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
    Between("Right classes are learned by heart, too,", (SOME, "training accuracy"), 0.98, 1),
    Between("but this helps with new rows.", (SOME, "test accuracy"), 0.85, 1),
    Below("40 rows have a larger gap than 200.", (SOME, "gap"), (FEW, "gap"), 1.1),
    Below("200 rows have a larger gap than 800.", (MANY, "gap"), (SOME, "gap"), 1.1),
)


def draw(measured: Measured, by_epoch: Any, by_rows: Any) -> None:
    """Draw the losses with random classes by epoch, and those with right classes by the number of rows."""
    epochs = np.arange(1, EPOCHS + 1)
    right = [name for name in CONDITIONS if name != RANDOM]
    rows = [CONDITIONS[name][0] for name in right]
    for i, which in enumerate(("training", "test")):
        _style.runs(by_epoch, i, epochs, measured[RANDOM][f"{which} loss by epoch"], which)
        losses = np.stack([measured[name][f"{which} loss"] for name in right], axis=1)
        _style.runs(by_rows, i, rows, losses, which)
    by_epoch.axhline(np.log(10), **_style.GUIDE, label="guessing")
    by_epoch.set(xlabel="epoch", ylabel="loss", title="200 rows, random classes")
    by_rows.set(xticks=rows, xlabel="training rows", ylabel="loss after training", title="right classes")
    _style.legend(by_epoch)
