"""Label smoothing: targets that are not quite sure.

What the post says
------------------
Label smoothing is one of the remedies against overfitting.

Formula
-------
    target = (1 - e) * onehot + e / K       for K classes: 1 - e + e / K for the row's class, e / K for the others
    gradient = softmax(z) - target

The gradient is 0 where the probability of the class is 1 - e + e / K: 0.91 for e = 0.1 and ten classes. Without
smoothing it is never 0: to fit a row better, the net makes its logits larger and larger.

What to look at
---------------
The training probability is that of the rows' own classes after training: nearly 1 without smoothing, near 0.91 with it.
What this is good for depends on the rows.

- With wrong classes among them, the net learns those by heart, and is sure of them. Smoothing makes it less sure: the
  log-loss of new rows is lower. But no more of them are right.
- With right classes only, more new rows are right, and the log-loss is higher: the net is right, but not sure enough.

The pictures show the loss of new rows by epoch for both.

What to try
-----------
- ``e = 0.3``: where is the training probability? And with two classes instead of ten?
- Dropout in addition, ``wide_net(seed, 0.5)``.
- Give rows of probabilities in place of classes, and compare with ``label_smoothing``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._overfitting import noisy_digits, test_figures, wide_net
from fastnn.lab._tasks import fit
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("cross_entropy",)
SEEDS = 4
PANELS = 2

CONDITIONS = {  # share of random classes, e
    "30 % random classes, e = 0": (0.3, 0.0),
    "30 % random classes, e = 0.1": (0.3, 0.1),
    "right classes, e = 0": (0.0, 0.0),
    "right classes, e = 0.1": (0.0, 0.1),
}
EPOCHS = 100


def measure(seed: int) -> Figures:
    """Train with and without smoothing, on each set of rows."""
    found: dict[str, dict[str, Any]] = {}
    for name, (noise, e) in CONDITIONS.items():
        task = noisy_digits(seed, noise=noise)
        settings: dict[str, Any] = {
            "metrics": {"log_loss": nn.CrossEntropyLoss()},
            "optimizer": optim.SGD(lr=0.2, momentum=0.9),
        }
        loss = nn.CrossEntropyLoss(label_smoothing=e)
        trainer = fit(wide_net(seed), task, epochs=EPOCHS, loss=loss, **settings)
        test = test_figures(trainer.predict_proba(task.X_test), task)
        found[name] = {
            "training probability": trainer.predict_proba(task.X)[np.arange(len(task.X)), task.y].mean(),
            "test loss": test["test loss"],
            "test errors": 1 - test["test accuracy"],
            "loss by epoch": trainer.history["val_log_loss"],
        }
    return found


NOISY, NOISY_SMOOTH, CLEAN, CLEAN_SMOOTH = CONDITIONS
CLAIMS = (
    Between("Without smoothing the net becomes sure.", (NOISY, "training probability"), 0.98, 1),
    Between("With it the probability stays at 0.91.", (NOISY_SMOOTH, "training probability"), 0.86, 0.94),
    Between("So it does with right classes.", (CLEAN_SMOOTH, "training probability"), 0.86, 0.94),
    Below("With wrong classes the loss is lower.", (NOISY_SMOOTH, "test loss"), (NOISY, "test loss"), 1.1),
    Below("With right classes there are fewer errors.", (CLEAN_SMOOTH, "test errors"), (CLEAN, "test errors"), 1.05),
    Below("But their loss is higher.", (CLEAN, "test loss"), (CLEAN_SMOOTH, "test loss")),
)


def draw(measured: Measured, noisy: Any, clean: Any) -> None:
    """Draw the loss of new rows by epoch, for both sets of rows."""
    epochs = np.arange(1, EPOCHS + 1)
    for panel, names in ((noisy, (NOISY, NOISY_SMOOTH)), (clean, (CLEAN, CLEAN_SMOOTH))):
        for i, name in enumerate(names):
            rows, e = name.split(", ")
            _style.runs(panel, i, epochs, measured[name]["loss by epoch"], e)
        panel.set(xlabel="epoch", ylabel="log-loss of new rows", title=rows, ylim=(0, None))
    _style.legend(clean)
