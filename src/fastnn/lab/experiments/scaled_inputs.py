"""Columns of different units: as they are, and scaled.

What the post says
------------------
Amounts of money and heights have different units. The column with the large numbers gets the large updates, and an
important column with small numbers is hardly noticed. Scaled to mean 0 and standard deviation 1, all columns count
alike, and the net learns faster.

Formula
-------
The gradient of a weight of the first layer is its input times the gradient at its unit:

    dL/dw_ij = mean over rows of  x_i d_j

So a column with numbers a thousand times as large has gradients a thousand times as large, of one and the same d_j.

What to look at
---------------
178 wines with 13 measures. The last one, proline, is 750 on average; most others are between 0.1 and 5.

The left picture: the loss after 30 epochs by the learning rate. No rate helps the raw columns: one that suits proline
is too small for all others, and one that suits the others makes proline jump. The right picture: which share of the
first update each column gets, as squared norms.

What to try
-----------
- ``EPOCHS = 300``: do raw columns only need more time?
- ``optim.Adam(lr=rate)``, which divides each gradient by its usual size: how much of the scaling does it do?
- ``nn.Tanh()`` in place of ``nn.ReLU()``: the raw columns drive it far into its flat ends.
- ``model.scaler = fastnn.data.Scaler.fit(task.X)`` with raw columns: the net scales its input itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "000"
QUESTION = "Which inputs?"
TWINS = ("dense_grad_weight", "scale")
SEEDS = 3
PANELS = 2

CONDITIONS = {"raw": False, "scaled": True}
RATES = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0)
EPOCHS = 30


def measure(seed: int) -> Figures:
    """Train a net on the wines with each rate, and look at its first update."""
    found = {}
    for name, scaled in CONDITIONS.items():
        task = real("wine", seed=seed, scaled=scaled)
        histories = [
            fit(net([13, 16, 3], nn.ReLU(), seed=seed), task, epochs=EPOCHS, optimizer=optim.SGD(lr=rate)).history
            for rate in RATES
        ]
        losses = [history["loss"][-1] for history in histories]

        model = net([13, 16, 3], nn.ReLU(), seed=seed)
        logits = model.forward(task.X, training=True)
        at_logits = np.empty_like(logits)
        nn.CrossEntropyLoss()(logits, task.y, grad=at_logits)
        model.backward(at_logits)
        squares = np.sum(model.gradients()["0.weight"] ** 2, axis=1)
        found[name] = {
            "loss at the best rate": min(losses),
            "test accuracy": histories[int(np.argmin(losses))]["val_accuracy"][-1],
            "proline's share of the update": squares[-1] / squares.sum(),
            "loss by rate": losses,
            "shares": squares / squares.sum(),
        }
    return found


CLAIMS = (
    Below(
        "Also at the best rate for raw columns, their loss is more than ten times that of scaled ones.",
        ("scaled", "loss at the best rate"), ("raw", "loss at the best rate"), factor=10,
    ),
    Below("The net with scaled columns predicts better.", ("raw", "test accuracy"), ("scaled", "test accuracy")),
    Between(
        "One of 13 raw columns gets more than 90 % of the update.", ("raw", "proline's share of the update"), 0.9, 1
    ),
    Between("Scaled, it gets less than half.", ("scaled", "proline's share of the update"), 0, 0.5),
)  # fmt: skip


def draw(measured: Measured, by_rate: Any, by_column: Any) -> None:
    """Draw the losses by rate, and the columns' shares of the first update."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(by_rate, i, RATES, figures["loss by rate"], name)
        _style.points(by_column, i, np.arange(1, 14), figures["shares"], name)
    by_rate.set(xscale="log", yscale="log", xlabel="learning rate", ylabel=f"loss after {EPOCHS} epochs")
    by_column.set(
        yscale="log", xlabel="column (13: proline)", ylabel="share of the first update", xticks=range(1, 14, 2)
    )
    _style.legend(by_column)
