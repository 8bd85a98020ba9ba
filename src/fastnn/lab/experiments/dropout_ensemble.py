"""Dropout as an ensemble of thinned nets.

What the post says
------------------
Dropout also has the effect of an ensemble.

Formula
-------
    one mask:       softmax(W2 (mask * h) / (1 - p) + b2)          a thinned net, one of 2 ** 256
    ensemble:       the mean of the probabilities over many masks
    without masks:  softmax(W2 h + b2)                             the net as it is used for tests

Each step of the training draws a mask, and so trains another thinned net; all of them share their weights. To average
over them, one would have to run them all. The net without masks does nearly that in one pass.

What to look at
---------------
The picture: the loss of new rows by the number of masks that are averaged over. One mask is bad, as half of the units
are missing; the mean of many is far better. The net without masks is even a little better than that, and predicts the
same class for nearly all rows.

What to try
-----------
- p = 0.2 and p = 0.8: where do mean and net differ more?
- The standard deviation over the masks as a measure of doubt (Gal and Ghahramani, 2016): is it larger where the net is
  wrong?
- A real ensemble of nets that were trained one by one: ``ensembles``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._overfitting import noisy_digits, test_figures, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("dropout", "softmax")
SEEDS = 4

MASKS = (1, 2, 4, 8, 16, 32, 64)
DROPOUT = 0.5


def measure(seed: int) -> Figures:
    """Train a net with dropout; predict with 64 masks, with their means, and without a mask."""
    task = noisy_digits(seed)
    trainer = trained(task, seed, dropout=DROPOUT)
    masked = np.stack(
        [kernels.softmax(trainer.net.forward(task.X_test, training=True)) for _ in range(max(MASKS))]
    )  # each pass in training mode draws the next mask
    found: dict[str, dict[str, Any]] = {}
    for count in MASKS:
        means = masked.reshape(-1, count, *masked.shape[1:]).mean(axis=1)
        judged = [test_figures(mean, task) for mean in means]
        found["1 mask" if count == 1 else f"{count} masks"] = {
            figure: np.mean([each[figure] for each in judged]) for figure in judged[0]
        }
    without = trainer.predict_proba(task.X_test)
    same = without.argmax(axis=1) == masked.mean(axis=0).argmax(axis=1)
    found["without masks"] = {**test_figures(without, task), "same class as 64 masks": np.mean(same)}
    return found


CLAIMS = (
    Below("The mean over 64 masks has a lower loss.", ("64 masks", "test loss"), ("1 mask", "test loss"), 1.1),
    Below("It is right more often.", ("1 mask", "test accuracy"), ("64 masks", "test accuracy"), 1.04),
    Below("So is the net without masks.", ("1 mask", "test accuracy"), ("without masks", "test accuracy"), 1.04),
    Below("Its loss is even below that of 64 masks.", ("without masks", "test loss"), ("64 masks", "test loss"), 1.01),
    Between("Both predict nearly the same classes.", ("without masks", "same class as 64 masks"), 0.93, 1),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the loss of new rows by the number of masks."""
    names = [name for name in measured if name != "without masks"]
    _style.runs(panel, 0, MASKS, np.stack([measured[name]["test loss"] for name in names], axis=1), "mean over masks")
    without = np.repeat(measured["without masks"]["test loss"][:, None], len(MASKS), axis=1)
    _style.runs(panel, 1, MASKS, without, "net without masks")
    panel.set(xscale="log", xlabel="number of masks", ylabel="loss of new rows")
    panel.set_xticks(MASKS, [str(count) for count in MASKS])
    panel.minorticks_off()
    _style.legend(panel)
