"""More data against overfitting.

What the post says
------------------
Against overfitting: the more data, the better.

Formula
-------
    gap = accuracy on the rows to learn from - accuracy on rows to test with

It shows how much a net has learnt by heart. Training takes the same number of steps for each amount of data.

What to look at
---------------
With 50 images the net knows all of them by heart, and a sixth of the others are wrong. The line of the training
accuracy stays near 1, that of the test accuracy comes up to it. Each doubling of the rows brings less than the one
before.

What to try
-----------
- ``noise=0.2`` in ``real(...)``: a fifth of the classes are wrong. How large is the gap?
- Another net, ``[64, 8, 10]``: is the gap smaller? And the test accuracy?
- Pictures shifted by a pixel, ``augment=data.RandomShift((8, 8), 1)``, in place of more data.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, net, real
from fastnn.plot import _style

POST = "004"
QUESTION = "How large a net, how much data?"
TWINS = ()
SEEDS = 3

ROWS = (50, 100, 200, 400, 800, 1600)
STEPS, BATCH = 1000, 50


def measure(seed: int) -> Figures:
    """Train the same net with more and more rows."""
    found = {}
    for rows in ROWS:
        task = real("digits", rows, seed=seed)
        model = net([64, 64, 10], nn.ReLU(), seed=seed)
        trainer = fastnn.Trainer(model, loss="cross_entropy", optimizer=optim.Adam())
        trainer.fit(task.X, task.y, epochs=STEPS * BATCH // rows, batch_size=BATCH, verbose=0)
        train = trainer.evaluate(task.X, task.y, metrics="accuracy")["accuracy"]
        test = trainer.evaluate(task.X_test, task.y_test, metrics="accuracy")["accuracy"]
        found[f"{rows} rows"] = {"training accuracy": train, "test accuracy": test, "gap": train - test}
    return found


CLAIMS = (
    Between("The net knows 50 rows by heart.", ("50 rows", "training accuracy"), 0.99, 1),
    Between("Then it has many of the others wrong.", ("50 rows", "gap"), 0.1, 0.5),
    Below("With 400 rows the gap is less than half of that.", ("400 rows", "gap"), ("50 rows", "gap"), 2),
    Below("With 1600 rows it is less than a quarter.", ("1600 rows", "gap"), ("50 rows", "gap"), 4),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw both accuracies by the number of rows."""
    for i, what in enumerate(("training accuracy", "test accuracy")):
        values = np.stack([measured[f"{rows} rows"][what] for rows in ROWS], axis=1)
        _style.runs(panel, i, ROWS, values, what)
    panel.set(xscale="log", xlabel="rows to learn from", ylabel="accuracy", xticks=ROWS, xticklabels=map(str, ROWS))
    panel.minorticks_off()
    _style.legend(panel)
