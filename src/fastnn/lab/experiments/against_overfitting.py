"""All remedies against overfitting, side by side.

What the post says
------------------
It lists what keeps a net from memorising: a penalty on the norm of the weights, early stopping, ensembles, dropout,
label smoothing, augmentation.

Formula
-------
    L1, L2           loss + l1 * sum(|w|), loss + l2 / 2 * sum(w ** 2)
    early stopping   the weights of the lowest validation loss
    ensemble         the mean of five nets' probabilities
    dropout          units times 0 or 1 / (1 - p)
    label smoothing  targets (1 - e) * onehot + e / K
    noise            x + 0.3 * z
    shift, mixup     moved images; mixtures of two rows and of their targets

What to look at
---------------
There are 300 digits to learn from, and 30 % of them have a random class. The picture: the share of new rows that are
wrong. With most remedies it is much smaller than without. Label smoothing and the ensemble help least here: they do not
keep a net from learning wrong classes; with smoothing it only takes longer (``label-smoothing``). The ensemble lowers
the loss for sure, the errors only a little, as large nets with the same rows make similar errors. ("none" is the mean
of its five nets.) Two remedies that work in different ways, noise and L2, are best together.

About 73 % of the training rows have their right class. A net that is right for all training rows, in the second column,
has learned the wrong classes by heart.

What to try
-----------
- ``noise=0.0`` in ``noisy_digits``: few rows, but right ones. Which remedies still help?
- Three at once: noise, dropout and L2. More is not always better.
- 1000 rows in place of 300: what is better, a remedy or more rows?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import data, nn, optim
from fastnn.lab import Below, Figures, Measured
from fastnn.lab._overfitting import noisy_digits, test_figures, trained
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("regularize", "dropout", "cross_entropy", "add_noise", "shift_images", "mix_rows")
SEEDS = 3

L2 = optim.Penalty(l2=1e-2)
NOISE = data.GaussianNoise(0.3)
CONDITIONS: dict[str, dict[str, Any]] = {
    "label smoothing": {"loss": nn.CrossEntropyLoss(label_smoothing=0.2)},
    "L1": {"penalty": optim.Penalty(l1=2e-3)},
    "mixup": {"augment": data.Mixup(alpha=1.0)},
    "early stopping": {"steady": True, "callbacks": [fastnn.EarlyStopping(patience=10)]},
    "dropout": {"dropout": 0.7},
    "L2": {"penalty": L2},
    "noise": {"augment": NOISE},
    "shift": {"augment": data.RandomShift((8, 8), pixels=1)},
    "noise and L2": {"augment": NOISE, "penalty": L2},
}
ENSEMBLE = range(5)  # a net for each


def measure(seed: int) -> Figures:
    """Train with each remedy; 200 rows choose the epoch of early stopping, 800 others are to test with."""
    digits = noisy_digits(seed)
    watched = digits._replace(X_test=digits.X_test[:200], y_test=digits.y_test[:200])
    new = digits._replace(X_test=digits.X_test[200:], y_test=digits.y_test[200:])

    def judged(*nets: nn.Sequential) -> dict[str, Any]:
        mean = fastnn.Ensemble(nets, output="softmax")
        test = test_figures(mean.predict(new.X_test), new)
        right = np.mean(mean.predict(digits.X).argmax(axis=1) == digits.y)
        return {
            "training accuracy": right,
            "test loss": test["test loss"],
            "test errors": 1 - test["test accuracy"],
        }

    nets = [trained(watched, 100 * seed + i).net for i in ENSEMBLE]
    alone = [judged(each) for each in nets]
    none = {name: np.mean([figures[name] for figures in alone]) for name in alone[0]}
    found: dict[str, dict[str, Any]] = {"none": none, "ensemble": judged(*nets)}
    for name, settings in CONDITIONS.items():
        found[name] = judged(trained(watched, 100 * seed, **settings).net)
    return found


FEWER_ERRORS = [name for name in CONDITIONS if name != "noise and L2"]
CLAIMS = (
    *(Below(f"Fewer errors: {each}.", (each, "test errors"), ("none", "test errors"), 1.02) for each in FEWER_ERRORS),
    Below("A lower loss: ensemble.", ("ensemble", "test loss"), ("none", "test loss"), 1.01),
    Below("Noise and L2: far fewer errors.", ("noise and L2", "test errors"), ("none", "test errors"), 1.5),
    Below("Fewer than with L2 alone.", ("noise and L2", "test errors"), ("L2", "test errors")),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the errors with each remedy: the mean, and the range over the runs."""
    names = list(measured)
    errors = np.stack([measured[name]["test errors"] for name in names], axis=1)
    panel.barh(names, errors.mean(axis=0), color=_style.style(0)["color"], alpha=0.6, height=0.6)
    panel.hlines(names, errors.min(axis=0), errors.max(axis=0), color="#222222")
    panel.axvline(errors[:, 0].mean(), **_style.GUIDE)
    panel.invert_yaxis()
    panel.set(xlabel="share of new rows that are wrong")
