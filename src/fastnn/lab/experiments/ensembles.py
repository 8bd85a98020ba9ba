"""Ensembles: the mean of several nets is better than the nets.

What the post says
------------------
Each training gives another net, even with the same data, as it is partly random. The mean of several nets generalises
better.

Formula
-------
    p = (p_1 + ... + p_k) / k               the mean of the nets' probabilities

The logarithm is concave: the log-loss of p is never above the mean log-loss of the nets (Jensen's inequality). It is
far below where the nets disagree.

What to look at
---------------
All nets have the same rows; they differ by their initial weights and by the order of the rows. The pictures: loss and
errors fall with the number of nets, steeply at first. The last column of the table: on how many new rows two nets
disagree. Nets that always agree would gain nothing.

What to try
-----------
- Larger nets, ``[64, 300, 10]``: they disagree less, and an ensemble gains less.
- Train each net with other rows (bagging): ``rng.integers(0, len(X), len(X))`` draws them.
- ``NET_SEEDS = [0] * 16``: equal nets. What is left of the gain?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net
from fastnn.lab._overfitting import noisy_digits, test_figures
from fastnn.plot import _style

POST = "001"
QUESTION = "What helps against overfitting?"
TWINS = ("softmax",)
SEEDS = 3
PANELS = 2

SIZES = (1, 2, 4, 8, 16)
NET_SEEDS = range(16)


def measure(seed: int) -> Figures:
    """Train 16 nets; judge each, all pairs of neighbours, and so on, up to the ensemble of all."""
    task = noisy_digits(seed)
    nets = []
    for net_seed in NET_SEEDS:
        member = net([64, 20, 10], nn.Tanh(), seed=1000 * seed + net_seed)
        nets.append(fit(member, task, epochs=60, optimizer=optim.SGD(lr=0.05, momentum=0.9)).net)
    found: dict[str, dict[str, Any]] = {}
    for size in SIZES:
        groups = [fastnn.Ensemble(nets[i : i + size], output="softmax") for i in range(0, len(nets), size)]
        judged = [test_figures(group.predict(task.X_test), task) for group in groups]
        found["1 net" if size == 1 else f"{size} nets"] = {
            "test loss": np.mean([each["test loss"] for each in judged]),
            "test errors": 1 - np.mean([each["test accuracy"] for each in judged]),
        }
    classes = [each.predict(task.X_test).argmax(axis=1) for each in nets]
    found["1 net"]["differ from the next"] = np.mean([classes[i] != classes[i - 1] for i in range(len(nets))])
    found["1 net"]["fewest errors"] = min(np.mean(each != task.y_test) for each in classes)
    return found


CLAIMS = (
    Between("Two nets disagree on many rows.", ("1 net", "differ from the next"), 0.1, 0.5),
    Below("The mean of 4 nets has a lower loss than one net.", ("4 nets", "test loss"), ("1 net", "test loss"), 1.05),
    Below("That of 16 has a lower one than that of 4.", ("16 nets", "test loss"), ("4 nets", "test loss"), 1.01),
    Below("The mean of 4 nets makes fewer errors than one.", ("4 nets", "test errors"), ("1 net", "test errors"), 1.1),
    Below(
        "All together make fewer than the best of them.", ("16 nets", "test errors"), ("1 net", "fewest errors"), 1.02
    ),
)


def draw(measured: Measured, losses: Any, errors: Any) -> None:
    """Draw loss and errors by the number of nets."""
    for panel, figure in ((losses, "test loss"), (errors, "test errors")):
        _style.runs(panel, 0, SIZES, np.stack([measured[name][figure] for name in measured], axis=1), "ensemble")
        panel.set(xscale="log", xlabel="number of nets")
        panel.set_xticks(SIZES, [str(size) for size in SIZES])
        panel.minorticks_off()
    best = measured.mean("1 net", "fewest errors")
    errors.axhline(best, **_style.GUIDE, label="best single net")
    losses.set(ylabel="loss of new rows")
    errors.set(ylabel="share of new rows that are wrong")
    _style.legend(errors)
