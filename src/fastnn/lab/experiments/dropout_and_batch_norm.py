"""Dropout, batch norm, or both.

What the post says
------------------
Dropout is not used so much any more, as batch norm takes over its effect.

Where the post errs
-------------------
Not always: it depends on what a net could learn by heart.

- With right classes it is as the post says: batch norm is as good as dropout. The paper on batch norm (Ioffe and
  Szegedy, 2015) found the same for a large net and very many images. Its random batches are a weak noise.
- With wrong classes among the rows, batch norm does not replace dropout. The net learns the wrong classes by heart even
  faster.

Formula
-------
    dropout:     h * mask / (1 - p)                             strong noise, chosen by p
    batch norm:  (h - mean) / sqrt(var + eps) * gamma + beta    weak noise: mean and var differ from batch to batch

What to look at
---------------
The left picture: the share of new rows that are wrong, after a training with 300 digits. With right classes all four
nets are nearly equal; on average each of the two helps a little, and both together a little more. With 30 % random
classes dropout makes far fewer errors, and batch norm alone does not. The right picture: the training losses with the
random classes. With batch norm they fall faster, and that is what it is for.

What to try
-----------
- ``noisy_digits(seed, rows=797, noise=noise)``, more rows: does anything matter then?
- ``batch_size=8``: the noise of batch norm becomes stronger. Is it enough?
- ``P = 0.2`` and ``P = 0.8``: which is best with batch norm?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._overfitting import EPOCHS, noisy_digits, test_figures, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("batch_norm", "dropout")
SEEDS = 3
PANELS = 2

CLASSES = {"right": 0.0, "30 % random": 0.3}
P = 0.5
CONDITIONS: dict[str, dict[str, Any]] = {
    "neither": {},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": P},
    "both": {"batch_norm": True, "dropout": P},
}
FIRST = 10


def measure(seed: int) -> Figures:
    """Train with and without each of them, with right classes and with some random ones."""
    found: dict[str, dict[str, Any]] = {}
    for classes, noise in CLASSES.items():
        task = noisy_digits(seed, noise=noise)
        for name, settings in CONDITIONS.items():
            trainer = trained(task, seed, **settings)
            test = test_figures(trainer.predict_proba(task.X_test), task)
            found[f"{classes}, {name}"] = {
                f"training loss, {FIRST} epochs": trainer.history["loss"][FIRST - 1],
                "training loss": trainer.history["loss"][-1],
                "test loss": test["test loss"],
                "test errors": 1 - test["test accuracy"],
                "by epoch": trainer.history["loss"],
            }
        of_dropout = found[f"{classes}, dropout"]["test errors"]
        found[f"{classes}, batch norm"][MORE] = found[f"{classes}, batch norm"]["test errors"] - of_dropout
    return found


MORE, SPEED = "errors more than with dropout", f"training loss, {FIRST} epochs"
RIGHT, RANDOM = CLASSES
NEITHER, NORM, DROPOUT, BOTH = (f"{RANDOM}, {name}" for name in CONDITIONS)
CLAIMS = (
    Between("Right classes: batch norm is about as good as dropout.", (f"{RIGHT}, batch norm", MORE), -0.02, 0.02),
    Between("Random classes: it makes many more errors.", (NORM, MORE), 0.04, 1),
    Below("There dropout makes fewer errors than neither.", (DROPOUT, "test errors"), (NEITHER, "test errors"), 1.1),
    Below("Dropout lowers the loss with batch norm, too.", (BOTH, "test loss"), (NORM, "test loss"), 1.1),
    Below("The loss of batch norm alone is not lower.", (NEITHER, "test loss"), (NORM, "test loss")),
    Below("Batch norm learns the training rows faster.", (NORM, SPEED), (NEITHER, SPEED), 1.2),
)


def draw(measured: Measured, errors: Any, losses: Any) -> None:
    """Draw the errors with each set of classes, and the training losses with the random ones by epoch."""
    for i, classes in enumerate(CLASSES):
        values = np.stack([measured[f"{classes}, {name}"]["test errors"] for name in CONDITIONS], axis=1)
        _style.points(errors, i, np.arange(len(CONDITIONS)) + 0.1 * i, values, classes)
    for i, name in enumerate(CONDITIONS):
        _style.runs(losses, i, np.arange(1, EPOCHS + 1), measured[f"{RANDOM}, {name}"]["by epoch"], name)
    errors.set_xticks(range(len(CONDITIONS)), list(CONDITIONS))
    errors.set(ylabel="share of new rows that are wrong", ylim=(0, None), title="by the classes of the training rows")
    losses.set(xlabel="epoch", ylabel="training loss, with dropout's noise", title=f"{RANDOM} classes")
    _style.legend(errors)
    _style.legend(losses)
