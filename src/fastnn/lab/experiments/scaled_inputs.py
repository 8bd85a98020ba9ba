"""Columns of different units: as they are, centred, divided, and both.

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
178 wines with 13 measures. The last one, proline, is 750 on average; most others are between 0.1 and 5. "Centred" is
minus the mean of a column, "divided" is by its standard deviation, "scaled" is both.

The left picture: the loss after 30 epochs by the learning rate; a loss above 10 is drawn as 10. No rate helps columns
with their units: one that suits proline is too small for all others, and one that suits the others makes proline jump.
Centring alone does not change that. Dividing alone helps. But the columns are all positive then, most of them far from
0, so that their weights are pushed in one direction (see the experiment zigzag), which does not bear large rates. Only
both together let the net learn fast. The right picture: which share of the first update each column gets, as squared
norms.

What to try
-----------
- ``EPOCHS = 300``: do raw columns only need more time?
- ``optim.Adam(lr=rate)``, which divides each gradient by its usual size: how much of the scaling does it do?
- ``nn.Tanh()`` in place of ``nn.ReLU()``: the raw columns drive it far into its flat ends.
- ``model.scaler = fastnn.data.Scaler.fit(task.X)`` with raw columns: the net scales its input itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import TrainingDiverged, nn, optim
from fastnn._typing import Array
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import Task, fit, net, real
from fastnn.plot import _style

POST = "000"
QUESTION = "Which inputs?"
TWINS = ("dense_grad_weight", "scale")
SEEDS = 3
PANELS = 2

CONDITIONS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "raw": lambda X, mean, std: X,
    "centred": lambda X, mean, std: X - mean,
    "divided": lambda X, mean, std: X / std,
    "scaled": lambda X, mean, std: (X - mean) / std,
}
RATES = (1e-5, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
EPOCHS = 30


def measure(seed: int) -> Figures:
    """Train a net on the wines with each rate, and look at its first update."""
    raw = real("wine", seed=seed, scaled=False)
    mean, std = raw.X.mean(axis=0), raw.X.std(axis=0)
    found = {}
    for name, change in CONDITIONS.items():
        task = raw._replace(X=change(raw.X, mean, std), X_test=change(raw.X_test, mean, std))
        losses, accuracies = zip(*(learn(task, rate, seed) for rate in RATES), strict=True)
        best = int(np.argmin(losses))

        model = net([13, 16, 3], nn.ReLU(), seed=seed)
        logits = model.forward(task.X, training=True)
        at_logits = np.empty_like(logits)
        nn.CrossEntropyLoss()(logits, task.y, grad=at_logits)
        model.backward(at_logits)
        squares = np.sum(model.gradients()["0.weight"] ** 2, axis=1)
        found[name] = {
            "best rate": RATES[best],
            "loss": losses[best],
            "test accuracy": accuracies[best],
            "proline's share of the update": squares[-1] / squares.sum(),
            "loss by rate": losses,
            "shares": squares / squares.sum(),
        }
    return found


def learn(task: Task, rate: float, seed: int) -> tuple[float, float]:
    """Return the loss and the test accuracy after training with a rate; infinity and 0 if it diverges."""
    try:
        history = fit(net([13, 16, 3], nn.ReLU(), seed=seed), task, epochs=EPOCHS, optimizer=optim.SGD(lr=rate)).history
    except TrainingDiverged:
        return np.inf, 0.0
    return history["loss"][-1], history["val_accuracy"][-1]


CLAIMS = (
    Below("Each at its best rate, scaled columns have less than a tenth of the loss of raw ones.", ("scaled", "loss"),
          ("raw", "loss"), factor=10),
    Below("And of that of columns that are only centred.", ("scaled", "loss"), ("centred", "loss"), factor=10),
    Below("And of that of columns that are only divided.", ("scaled", "loss"), ("divided", "loss"), factor=10),
    Below("Dividing alone helps more than centring alone.", ("divided", "loss"), ("centred", "loss"), factor=1.3),
    Below("The net with scaled columns predicts better.", ("raw", "test accuracy"), ("scaled", "test accuracy")),
    Between(
        "One of 13 raw columns gets more than 90 % of the update.", ("raw", "proline's share of the update"), 0.9, 1
    ),
    Between("Centred, too.", ("centred", "proline's share of the update"), 0.9, 1),
    Between("Divided, it gets less than half.", ("divided", "proline's share of the update"), 0, 0.5),
    Between("Scaled, too.", ("scaled", "proline's share of the update"), 0, 0.5),
)  # fmt: skip


def draw(measured: Measured, by_rate: Any, by_column: Any) -> None:
    """Draw the losses by rate, and the columns' shares of the first update."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(by_rate, i, RATES, np.minimum(figures["loss by rate"], 10), name)
        _style.points(by_column, i, np.arange(1, 14), figures["shares"], name)
    by_rate.set(xscale="log", yscale="log", xlabel="learning rate", ylabel=f"loss after {EPOCHS} epochs")
    by_column.set(
        yscale="log", xlabel="column (13: proline)", ylabel="share of the first update", xticks=range(1, 14, 2)
    )
    _style.legend(by_column)
