"""A wider net learns the digits in fewer epochs.

What the post says
------------------
More nodes make a layer able to find more features, so that a wide net learns faster.

Formula
-------
    loss after five epochs: narrow net > wide net

What to look at
---------------
The loss by epoch, the mean over the runs and their range.

What to try
-----------
Other widths, and other optimisers.
"""

import numpy as np

from fastnn import lab, nn

SEEDS = 3  # runs
CONDITIONS = {"narrow": 8, "wide": 64}
EPOCHS = 5


def measure(seed):
    """Return the figures of one run: by condition, numbers for the table and arrays for the picture."""
    task = lab.real("digits", seed=seed)  # X, y, X_test, y_test
    found = {}
    for name, width in CONDITIONS.items():
        history = lab.fit(lab.net([64, width, 10], nn.ReLU(), seed=seed), task, epochs=EPOCHS).history
        found[name] = {"loss": history["loss"][-1], "by epoch": history["loss"]}
    return found


CLAIMS = [
    lab.Below("The wider net has the lower loss.", ("wide", "loss"), ("narrow", "loss"), factor=2),
    lab.Between("It has learned something.", ("wide", "loss"), 0, 1),
]


def draw(measured, ax):
    """Draw the losses of all runs by epoch, with matplotlib; `measured` has an array of the runs for each figure."""
    epochs = np.arange(1, EPOCHS + 1)
    for name in CONDITIONS:
        losses = measured[name]["by epoch"]
        ax.plot(epochs, losses.mean(axis=0), label=name)
        ax.fill_between(epochs, losses.min(axis=0), losses.max(axis=0), alpha=0.2)
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend()
