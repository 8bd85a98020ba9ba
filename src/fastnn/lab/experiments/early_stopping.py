"""Early stopping: end the training before the net learns by heart.

What the post says
------------------
Stop before the net overfits.

Formula
-------
    after each epoch:  loss of the validation rows; keep the weights if it is the lowest so far
    stop when it has not become lower for `patience` epochs, and take the kept weights

The validation rows are neither training rows nor test rows: they choose the epoch, so that their loss is a little too
good to be that of new rows.

What to look at
---------------
The picture: the loss of the training rows falls on and on. That of the validation rows has its minimum within the first
epochs. From there on the net learns the wrong classes of some of the training rows by heart: the table has the share of
them that it gives back. Stopping is better for new rows and needs fewer epochs.

What to try
-----------
- ``patience=1``: it may stop at the first bump of the curve.
- ``restore_best=False``: the net stays as it is when the fit stops, 15 epochs after the best one.
- ``optim.SGD(lr=0.005)``: where is the minimum then?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn.lab import Below, Between, Figures, Measured, Task
from fastnn.lab._overfitting import EPOCHS, noisy_digits, test_figures, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("cross_entropy",)
SEEDS = 5

CONDITIONS = {"all epochs": EPOCHS, "early stopping": 15}  # patience


def measure(seed: int) -> Figures:
    """Train with both; 200 rows of those that are not trained with choose the epoch, the other 800 are new."""
    task = noisy_digits(seed)
    wrong = task.y != noisy_digits(seed, noise=0.0).y
    chosen_with = Task(task.X, task.y, task.X_test[:200], task.y_test[:200])
    new = Task(task.X, task.y, task.X_test[200:], task.y_test[200:])
    found: dict[str, dict[str, Any]] = {}
    for name, patience in CONDITIONS.items():
        stopping = fastnn.EarlyStopping(patience=patience, restore_best=patience < EPOCHS)
        trainer = trained(chosen_with, seed, steady=True, callbacks=[stopping])
        epochs = len(trainer.history.epochs)
        kept = trainer.evaluate(chosen_with.X_test, chosen_with.y_test)["loss"]
        found[name] = {
            "epochs": epochs,
            "wrong classes learned": np.mean(trainer.predict_proba(task.X).argmax(axis=1)[wrong] == task.y[wrong]),
            "kept / lowest validation loss": kept / stopping.best,
            **test_figures(trainer.predict_proba(new.X_test), new),
        }
        for figure in ("loss", "val_loss"):  # of the epochs that have not been run: NaN, so that nothing is drawn
            found[name][f"{figure} by epoch"] = np.append(trainer.history[figure], np.full(EPOCHS - epochs, np.nan))
    return found


KEPT = "kept / lowest validation loss"
STOPPED, ALL = "early stopping", "all epochs"
CLAIMS = (
    Below("It needs less than two thirds of the epochs.", (STOPPED, "epochs"), (ALL, "epochs"), 1.5),
    Between("The weights are those of the lowest validation loss.", (STOPPED, KEPT), 1, 1.00001),
    Between("Without it the validation loss rises again.", (ALL, KEPT), 1.1, 10),
    Below("The loss of new rows is lower.", (STOPPED, "test loss"), (ALL, "test loss"), 1.1),
    Below("More new rows are right.", (ALL, "test accuracy"), (STOPPED, "test accuracy"), 1.02),
    Between("All epochs: the wrong classes are learned by heart.", (ALL, "wrong classes learned"), 0.98, 1),
    Below("Stopped: fewer of them are.", (STOPPED, "wrong classes learned"), (ALL, "wrong classes learned"), 1.05),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the losses by epoch, and where each run has stopped."""
    epochs = np.arange(1, EPOCHS + 1)
    for i, (which, figure) in enumerate({"training rows": "loss", "validation rows": "val_loss"}.items()):
        _style.runs(panel, i, epochs, measured[ALL][f"{figure} by epoch"], which)
    for i, epoch in enumerate(measured[STOPPED]["epochs"]):
        panel.axvline(epoch, **_style.GUIDE, label="" if i else "stopped (each run)")
    panel.set(xlabel="epoch", ylabel="loss")
    _style.legend(panel)
