"""Small batches: many noisy steps against few exact ones.

What the post says
------------------
SGD is stochastic gradient descent: each step has the gradient of a part of the data.

Formula
-------
The gradient of a batch of B rows, drawn at random, is right on average. Its noise, the typical distance from the
gradient of all n rows, falls as the root of B:

    noise = spread of the rows' gradients / sqrt(B) * sqrt(1 - B / n)

16 times as many rows cost 16 times as much, and the noise is a quarter.

What to look at
---------------
The left picture: the noise of the gradients before the training, against the formula. The right one: the loss by epoch,
each size of batch with the best of some rates. An epoch costs about the same work, whatever the size. The whole set
makes one exact step of it, batches of 8 make 128 noisy ones, and are far ahead: a step need not be exact while the way
is long.

What to try
-----------
- ``SIZES = (1, 2, 4)``: does it go on?
- The loss by step instead of by epoch: which size is ahead?
- The seconds of an epoch, ``trainer.history["seconds"]``: which size makes the most of the machine?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels, nn, optim
from fastnn._typing import Array
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd",)
SEEDS = 3
PANELS = 2

ROWS = 1024
SIZES = {"8 rows": 8, "32 rows": 32, "128 rows": 128, "512 rows": 512, "all rows": ROWS}
RATES = (0.1, 0.3, 1.0)
EPOCHS = 10


def gradient(model: nn.Sequential, X: Array, y: Array) -> Array:
    """Return the gradient of the cross entropy by all parameters."""
    z = model.forward(X, training=True)
    model.backward((kernels.softmax(z) - np.eye(10)[y]) / len(y))
    return np.concatenate([each.ravel() for each in model.gradients().values()])


def spread(gradients: list[Array], exact: Array) -> float:
    """Return the typical distance of gradients from the exact one, over the size of the latter."""
    return float(np.sqrt(np.mean([np.sum((each - exact) ** 2) for each in gradients]) / np.sum(exact**2)))


def measure(seed: int) -> Figures:
    """Measure the noise of batches of each size, and train with them."""
    task, rng = real("digits", ROWS, seed=seed), np.random.default_rng(seed)
    start = net([64, 32, 10], nn.ReLU(), seed=seed)
    exact = gradient(start, task.X, task.y)
    of_rows = spread([gradient(start, task.X[i : i + 1], task.y[i : i + 1]) for i in range(ROWS)], exact)
    found: dict[str, dict[str, Any]] = {}
    for name, size in SIZES.items():
        batches = [rng.choice(ROWS, size, replace=False) for _ in range(50)]
        noise = spread([gradient(start, task.X[rows], task.y[rows]) for rows in batches], exact)
        found[name] = {"noise": noise}
        if size < ROWS:
            formula = of_rows / np.sqrt(size) * np.sqrt(1 - size / ROWS)
            found[name] |= {"by the formula": formula, "noise / formula": noise / formula}
        histories = []
        for rate in RATES:
            model = net([64, 32, 10], nn.ReLU(), seed=seed)
            trainer = fit(model, task, epochs=EPOCHS, batch_size=size, optimizer=optim.SGD(rate))
            histories.append(trainer.history["loss"])
        best = min(histories, key=lambda losses: float(losses[-1]))
        found[name] |= {"updates": EPOCHS * ROWS // size, "loss": best[-1], "losses": best}
    return found


SMALL, LARGE = "8 rows", "128 rows"
CLAIMS = (
    Below("Batches of 128 have a third of the noise of 8, or less.", (LARGE, "noise"), (SMALL, "noise"), 3),
    *(
        Between(f"The noise of {name} is as the formula says.", (name, "noise / formula"), 0.8, 1.2)
        for name in (SMALL, "32 rows", LARGE)
    ),
    Below("After ten epochs batches of 8 are far below all rows.", (SMALL, "loss"), ("all rows", "loss"), 5),
    Below("So are batches of 32.", ("32 rows", "loss"), ("all rows", "loss"), 5),
    Below("And batches of 128.", (LARGE, "loss"), ("all rows", "loss"), 3),
)


def draw(measured: Measured, noises: Any, losses: Any) -> None:
    """Draw the noise by the size of the batch, and the losses by epoch."""
    sizes = list(SIZES.values())[:-1]
    for i, name in enumerate(("noise", "by the formula")):
        values = np.stack([measured[where][name] for where in SIZES if where != "all rows"], axis=1)
        _style.runs(noises, i, sizes, values, name)
    noises.set(xscale="log", yscale="log", xlabel="rows in a batch", ylabel="noise / size of the gradient")
    _style.legend(noises)
    for i, name in enumerate(SIZES):
        _style.runs(losses, i, np.arange(1, EPOCHS + 1), measured[name]["losses"], name)
    losses.set(yscale="log", xlabel="epoch", ylabel="loss at the best rate")
    _style.legend(losses)
