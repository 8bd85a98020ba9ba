"""Units with ReLU die; with leaky ReLU and PReLU they can come back.

What the post says
------------------
ReLU is 0 for negative inputs. A unit that gives 0 hardly ever gives anything else again: it has died. Leaky ReLU and
PReLU keep a small value below 0, to prevent that.

Formula
-------
    ReLU(z) = max(z, 0)
    leaky ReLU, PReLU: z if z > 0, else a z        a = 0.01; PReLU learns its a, here from 0.25

A unit whose z is negative in all rows has the slope 0 everywhere with ReLU, so that its weights have no gradient. With
the other two the gradient is a times as large, but it is there.

What to look at
---------------
The left picture: how many of 100 hidden units are dead after three epochs of ReLU, by the learning rate: large steps
kill units. The right picture: here all units have been killed at the start, by a bias of -3, and the net is trained on.
With ReLU not one comes back, as the hidden weights do not move at all; the loss stays that of guessing, ln 10.

What to try
-----------
- ``optim.SGD(lr=0.1)`` in place of Adam: a slope of 0.01 makes coming back slow. Adam divides the gradient by its size.
- Leaky ReLU in the left picture: units that are below 0 in all rows are no fewer, but they still learn.
- A hidden layer before the one that has died: can it revive units there?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "003"
QUESTION = "Which activation?"
TWINS = ("relu_backward", "leaky_relu_backward", "prelu_backward")
SEEDS = 3
PANELS = 2

CONDITIONS = {"ReLU": nn.ReLU(), "leaky ReLU": nn.LeakyReLU(0.01), "PReLU": nn.PReLU()}
RATES = (0.1, 0.3, 1.0, 3.0)
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Count the units that large rates kill, and those that come back."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for rate in RATES:
        model = net([64, 100, 10], CONDITIONS["ReLU"], seed=seed)
        fit(model, task, epochs=3, optimizer=optim.SGD(lr=rate))
        found[f"ReLU, rate {rate}"] = {"dead units": dead(model, task.X).sum()}

    for name, activation in CONDITIONS.items():
        model = net([64, 100, 10], activation, seed=seed)
        model.parameters()["0.bias"][...] = -3
        before = dead(model, task.X)
        loss = fit(model, task, epochs=EPOCHS, optimizer=optim.Adam(lr=0.01)).history["loss"]
        found[f"{name}, killed"] = {
            "dead units": before.sum(),
            "came back": np.sum(before & ~dead(model, task.X)),
            "loss": loss[-1],
            "loss by epoch": loss,
        }
    return found


def dead(model: nn.Sequential, X: Array) -> Array:
    """Return which hidden units are negative before the activation, in all rows."""
    z = model.activations(X)[0]
    everywhere: Array = np.all(z <= 0, axis=0)
    return everywhere


CLAIMS = (
    Below(
        "A large rate kills units.", ("ReLU, rate 0.1", "dead units"), ("ReLU, rate 3.0", "dead units"), factor=5
    ),
    Between("With ReLU no dead unit comes back.", ("ReLU, killed", "came back"), 0, 0),
    Between("With leaky ReLU most come back.", ("leaky ReLU, killed", "came back"), 40, 100),
    Between("With PReLU too.", ("PReLU, killed", "came back"), 40, 100),
    Below(
        "The net with leaky ReLU learns, that with ReLU does not.", ("leaky ReLU, killed", "loss"),
        ("ReLU, killed", "loss"), factor=5,
    ),
    Below("That with PReLU learns, too.", ("PReLU, killed", "loss"), ("ReLU, killed", "loss"), factor=5),
)  # fmt: skip


def draw(measured: Measured, by_rate: Any, by_epoch: Any) -> None:
    """Draw the units that died by rate, and the loss of nets whose units were killed."""
    counts = np.stack([measured[f"ReLU, rate {rate}"]["dead units"] for rate in RATES], axis=1)
    _style.runs(by_rate, 0, RATES, counts, "ReLU")
    for i, name in enumerate(CONDITIONS):
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), measured[f"{name}, killed"]["loss by epoch"], name)
    by_epoch.axhline(np.log(10), **_style.GUIDE)
    by_rate.set(xscale="log", xlabel="learning rate", ylabel="dead units of 100", ylim=(0, 100))
    by_epoch.set(yscale="log", xlabel="epoch", ylabel="loss, all units killed before")
    _style.legend(by_epoch)
