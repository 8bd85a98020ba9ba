"""Why weights must not begin at zero, or all alike.

What the post says
------------------
If all weights are zero, all units of a layer compute the same and change in the same way: many units are worth no more
than one (the rows stay symmetric). And the gradient vanishes, so that gradient descent does not move.

Formula
-------
For two dense layers, h = tanh(x V) and z = h W, the gradients are

    dW = h' dz                       zero, if h is: and tanh(0) = 0
    dV = x' ((dz W') (1 - h^2))      zero, if W is

If the columns of V are equal, and the rows of W are, then the columns of dV are equal, and the rows of dW, too.

What to look at
---------------
The rank of V says how many different units there are at the end of the training. With zeros it is 0: only the last
bias has learnt, and all images get the same answer. Equal units do learn, but the 32 of them stay one unit: V has the
rank 1. Random numbers give each unit a beginning of its own.

What to try
-----------
- Random numbers in V, zeros in W: does the net learn? (The last layer alone may begin at zero.)
- ``nn.Sigmoid()``: its output for 0 is 0.5. Which gradients are zero then?
- ``nn.Dropout(0.5)`` behind the hidden layer: it makes equal units different.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, fit, real
from fastnn.lab._first_step import first_step
from fastnn.plot import _style

POST = "004"
QUESTION = "How to begin?"
TWINS = ("dense_grad_weight", "dense_grad_input", "tanh_backward")
SEEDS = 3

UNITS, EPOCHS = 32, 15


def same_columns(shape: tuple[int, ...], random: nn.init.Random) -> Array:
    """Return a random column, so many times: all units are alike."""
    return np.tile(0.1 * random.normal(shape[0])[:, None], (1, shape[1]))


def same_rows(shape: tuple[int, ...], random: nn.init.Random) -> Array:
    """Return a random row, so many times: what reads the units treats them alike."""
    return np.tile(0.1 * random.normal(shape[1]), (shape[0], 1))


CONDITIONS: dict[str, tuple[Any, Any]] = {  # of V and W
    "zeros": ("zeros", "zeros"),
    "equal units": (same_columns, same_rows),
    "random": ("xavier_normal", "xavier_normal"),
}


def measure(seed: int) -> Figures:
    """Train a net from each of the beginnings."""
    task = real("digits", seed=seed)
    found = {}
    for name, (first, last) in CONDITIONS.items():
        model = nn.Sequential(nn.Dense(64, UNITS, init=first), nn.Tanh(), nn.Dense(UNITS, 10, init=last), seed=seed)
        gradient = first_step(model, task.X, task.y).parameters["0.weight"].gradient
        history = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=0.1), metrics="accuracy").history
        V = model.parameters()["0.weight"]
        found[name] = {
            "first gradient": gradient,
            "rank": np.linalg.matrix_rank(V, tol=1e-3),
            "units differ by": np.ptp(V, axis=1).max(),
            "loss": history["loss"][-1],
            "test accuracy": history["val_accuracy"][-1],
            "accuracies": np.array(history["val_accuracy"]),
        }
    return found


CLAIMS = (
    Between("With zeros the first gradient of V is 0.", ("zeros", "first gradient"), 0, 0),
    Between("With zeros the loss stays at guessing, ln 10.", ("zeros", "loss"), 2.25, 2.35),
    Between("Equal units stay equal.", ("equal units", "units differ by"), 0, 1e-4),
    Between("Equal units: V has the rank 1.", ("equal units", "rank"), 1, 1),
    Between("From random weights all units differ.", ("random", "rank"), UNITS, UNITS),
    Below("The net with random weights learns better.", ("random", "loss"), ("equal units", "loss"), 2),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the accuracy by epoch."""
    panel.axhline(0.1, label="guessing", **_style.GUIDE)
    for i, name in enumerate(CONDITIONS):
        _style.runs(panel, i, np.arange(1, EPOCHS + 1), measured[name]["accuracies"], name)
    panel.set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))
    _style.legend(panel)
