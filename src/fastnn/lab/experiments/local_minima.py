"""Many starts, many minima, about equally good.

What the post says
------------------
The best of all minima cannot be found, but a local one is usually good enough. Yet SGD is easily caught by local
minima.

Formula
-------
A net is trained from 12 random starts. How good its worst end is:

    reached = (guess - worst loss) / (guess - best loss)        1 if all are equal, 0 if one is a guess

With a small penalty, ``l2 / 2 |w|^2``, the loss has minima at finite weights. The targets (diabetes) have variance 1,
so that the guess, their mean, has the loss 1.

What to look at
---------------
L-BFGS goes on until the gradient is nearly 0. From 12 starts a net of four tanh units ends in several different minima.
But they are alike: the worst has reached nearly all that the best has. And the lowest minimum is seldom the one that is
best on the test rows (the right picture): the search for the best of all minima is in vain.

SGD, with steps of eight rows, does not end in a minimum: the noise goes on. Its loss is a bit higher, but no start is
caught anywhere near the guess, and on the test rows it is not behind.

What to try
-----------
- 16 units: do more units give better minima, and better nets?
- ``PENALTY = optim.Penalty(l2=0.1)``: how many minima are left?
- Weights that all start equal (experiment saddle-or-minimum).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("mean_squared_error", "tanh")
SEEDS = 3
PANELS = 2

STARTS = range(12)
GUESS = 1.0  # the loss of the mean
PENALTY = optim.Penalty(l2=0.01)
CONDITIONS: dict[str, dict[str, Any]] = {  # optimiser, and settings of the fit
    "L-BFGS": {"optimizer": optim.LBFGS(), "epochs": 200},
    "SGD": {"optimizer": optim.SGD(0.02), "epochs": 60, "batch_size": 8},
}


def measure(seed: int) -> Figures:
    """Train from many starts, with all rows and with batches."""
    task = real("diabetes", seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for name, settings in CONDITIONS.items():
        fitting = {"batch_size": len(task.X), **settings}
        optimizer = fitting.pop("optimizer")
        losses, tests = [], []
        for start in STARTS:
            model = net([10, 4, 1], nn.Tanh(), seed=1000 * seed + start, dtype="float64")
            trainer = fastnn.Trainer(model, "mean_squared_error", optimizer, penalty=PENALTY)
            trainer.fit(task.X, task.y, verbose=0, **fitting)
            weights = [each for key, each in model.parameters().items() if "weight" in key]
            penalty = PENALTY.l2 / 2 * sum(float(np.sum(each**2)) for each in weights)
            losses.append(trainer.evaluate(task.X, task.y)["loss"] + penalty)
            tests.append(trainer.evaluate(task.X_test, task.y_test)["loss"])
        found[name] = {
            "best loss": min(losses),
            "worst loss": max(losses),
            "reached": (GUESS - max(losses)) / (GUESS - min(losses)),
            "different losses": len(np.unique(np.round(losses, 3))),
            "mean test loss": np.mean(tests),
            "lowest test loss": min(tests),
            "at the best loss": tests[int(np.argmin(losses))],
            "losses": losses,
            "tests": tests,
        }
    return found


CLAIMS = (
    Between("There are several minima.", ("L-BFGS", "different losses"), 3, 12),
    *(
        Between(f"{name}: the worst start reaches nearly all that the best does.", (name, "reached"), 0.9, 1)
        for name in CONDITIONS
    ),
    Below("On the test rows SGD is not behind.", ("SGD", "mean test loss"), ("L-BFGS", "mean test loss")),
)


def draw(measured: Measured, losses: Any, tests: Any) -> None:
    """Draw the losses of all starts in their order, and the test losses by the loss, of the first run."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.line(losses, i, np.arange(1, len(STARTS) + 1), np.sort(figures["losses"][0]), name)
        look = {**_style.style(i), "linestyle": ""}
        tests.plot(figures["losses"][0], figures["tests"][0], label=name, **look)
    losses.axhline(GUESS, label="guess", **_style.GUIDE)
    losses.set(ylim=(0, 1.05), xticks=(1, 4, 8, 12), xlabel="start, in the order of the loss", ylabel="loss")
    tests.set(xlabel="loss, with the penalty", ylabel="test loss")
    _style.legend(losses)
