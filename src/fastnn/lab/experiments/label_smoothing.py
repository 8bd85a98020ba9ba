"""Label smoothing: targets that are not quite sure.

What the post says
------------------
Label smoothing is one of the remedies against overfitting.

Formula
-------
    target = (1 - e) * onehot + e / K       for K classes: 1 - e + e / K for the row's class, e / K for the others
    gradient = softmax(z) - target

The gradient is 0 where the probability of the class is 1 - e + e / K: 0.82 for e = 0.2 and ten classes. Without
smoothing it is never 0: to fit a row better, the net makes its logits larger and larger.

What to look at
---------------
The training probability is that of the rows' own classes after training: nearly 1 without smoothing, near 0.82 with it,
if the training is long enough. What this is good for depends on the rows and on the length of the training.

- With right classes more new rows are right. Their log-loss is higher: the net is right, but not sure enough.
- With wrong classes among them, the net learns those by heart later. After 100 epochs, in which the rate falls to 0, it
  makes fewer errors. After 300 epochs at a steady rate it has learned them, and makes about as many errors as without
  smoothing: smoothing does not keep a net from learning wrong classes, it takes longer.

The pictures show the share of new rows that are wrong by epoch.

What to try
-----------
- ``E = 0.1`` and ``E = 0.4``: where is the training probability? And with two classes instead of ten?
- Dropout in addition, ``trained(..., dropout=0.5)``.
- Give rows of probabilities in place of classes, and compare with ``label_smoothing``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._overfitting import noisy_digits, test_figures, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("cross_entropy",)
SEEDS = 3
PANELS = 2

ROWS: dict[str, tuple[float, dict[str, Any]]] = {  # share of random classes, settings of the training
    "right classes": (0.0, {}),
    "30 % random classes": (0.3, {}),
    "30 % random, long training": (0.3, {"epochs": 300, "steady": True}),
}
E = 0.2
CONDITIONS = {"e = 0": 0.0, f"e = {E}": E}


def measure(seed: int) -> Figures:
    """Train with and without smoothing, on each set of rows."""
    found: dict[str, dict[str, Any]] = {}
    for rows, (noise, settings) in ROWS.items():
        task = noisy_digits(seed, noise=noise)
        for name, e in CONDITIONS.items():
            trainer = trained(task, seed, loss=nn.CrossEntropyLoss(label_smoothing=e), **settings)
            test = test_figures(trainer.predict_proba(task.X_test), task)
            found[f"{rows}, {name}"] = {
                "training probability": trainer.predict_proba(task.X)[np.arange(len(task.X)), task.y].mean(),
                "test loss": test["test loss"],
                "test errors": 1 - test["test accuracy"],
                "errors by epoch": 1 - np.array(trainer.history["val_accuracy"]),
            }
    return found


(RIGHT, RIGHT_SMOOTH), (WRONG, WRONG_SMOOTH), (LONG, LONG_SMOOTH) = (
    [f"{rows}, {name}" for name in CONDITIONS] for rows in ROWS
)
CLAIMS = (
    Between("Without smoothing the net becomes sure.", (RIGHT, "training probability"), 0.98, 1),
    Between("With it the probability stays near 0.82.", (RIGHT_SMOOTH, "training probability"), 0.75, 0.85),
    Between("So it does with wrong classes.", (LONG_SMOOTH, "training probability"), 0.75, 0.85),
    Below("Right classes: fewer errors.", (RIGHT_SMOOTH, "test errors"), (RIGHT, "test errors"), 1.1),
    Below("But the loss is higher.", (RIGHT, "test loss"), (RIGHT_SMOOTH, "test loss"), 1.5),
    Below("Wrong classes, 100 epochs: fewer errors.", (WRONG_SMOOTH, "test errors"), (WRONG, "test errors"), 1.03),
    Below("A long training: at most 15 % fewer.", (LONG, "test errors"), (LONG_SMOOTH, "test errors"), 0.85),
)


def draw(measured: Measured, right: Any, wrong: Any) -> None:
    """Draw the errors by epoch, for right classes and for the long training with wrong ones."""
    for panel, title, names in (
        (right, "right classes", (RIGHT, RIGHT_SMOOTH)),
        (wrong, "30 % random classes", (LONG, LONG_SMOOTH)),
    ):
        for i, (label, name) in enumerate(zip(CONDITIONS, names, strict=True)):
            errors = measured[name]["errors by epoch"]
            _style.runs(panel, i, np.arange(1, errors.shape[1] + 1), errors, label)
        panel.set(xlabel="epoch", ylabel="share of new rows that are wrong", title=title)
    right.set_ylim(0, 0.12)
    _style.legend(wrong)
