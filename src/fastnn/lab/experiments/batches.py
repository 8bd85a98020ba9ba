"""Some rows a step against all rows a step.

What the post says
------------------
Stochastic gradient descent takes the gradient of a few rows for each step, not of all. Its steps swing, the more the
larger the learning rate is.

Formula
-------
Rows are drawn at random, so the gradient of a batch is right in the mean. With g, the gradient of all rows,

    noise = mean |g_batch - g| / |g|  =  constant / sqrt(rows in the batch)

The cosine between both directions is 1 if they are equal, and 0 at a right angle.

What to look at
---------------
The left picture: the loss by epoch. An epoch reads each row once, so all sizes cost about the same. With 8 rows it is
158 steps, with all rows it is one. Each size has that of four learning rates which has the lowest training loss.

The right picture: steps do swing. But 16 times the rows only take the noise to a quarter, so that many rough steps
bring more than one exact step. The noise is that at the start; the line is the formula, drawn through the first point.

In the mean a batch of 8 rows points the right way, less than 80 degrees off. But some batches are further off, and a
few point uphill: there the cosine is below 0. The last rows: how often a step with 8 rows makes the loss of all rows
larger. At a small rate only the few uphill ones do, at a large one most: the swinging depends on the rate.

What to try
-----------
- ``SIZES = {"1 row": 1, ...}``: at which size is the net the best after ten epochs?
- The noise after the training: ``swing(trainer.net, ...)`` after ``fit``.
- A schedule, such as ``optim.CosineAnnealingLR()``: smaller steps at the end swing less (experiment schedules).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, Task, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("sgd", "cross_entropy")
SEEDS = 3
PANELS = 2

ROWS = 1258
SIZES = {"8 rows": 8, "32 rows": 32, "128 rows": 128, "all rows": ROWS}
RATES = (0.1, 0.3, 1.0, 3.0)
EPOCHS = 10
STEPS_OF = (0.01, 1)  # rates at which the loss is looked at after one step
DRAWS = 200  # batches whose direction is compared with that of all rows


def gradient(model: nn.Sequential, X: Array, y: Array) -> Array:
    """Return the gradient of the mean loss of these rows by all parameters, as one vector."""
    z = model.forward(X, training=True)
    dz = np.empty_like(z)
    nn.CrossEntropyLoss()(z, y, grad=dz)
    model.backward(dz)
    return np.concatenate([each.ravel() for each in model.gradients().values()])


def swing(model: nn.Sequential, task: Task, size: int, seed: int) -> dict[str, float]:
    """Compare the directions of random batches with that of all rows."""
    rng = np.random.default_rng(seed)
    whole = gradient(model, task.X, task.y)
    noises, cosines = [], []
    for _ in range(DRAWS):
        rows = rng.integers(0, ROWS, size)
        batch = gradient(model, task.X[rows], task.y[rows])
        noises.append(np.linalg.norm(batch - whole) / np.linalg.norm(whole))
        cosines.append(batch @ whole / (np.linalg.norm(batch) * np.linalg.norm(whole)))
    off = 100 * np.mean(np.array(cosines) < np.cos(np.deg2rad(80)))
    return {"noise": float(np.mean(noises)), "cosine": float(np.mean(cosines)), "over 80 degrees off, %": float(off)}


def rises(model: nn.Sequential, task: Task, rate: float, seed: int) -> float:
    """Return after how many of 100 steps with 8 rows, each from these weights, the loss of all rows is larger."""
    rng = np.random.default_rng(seed)
    losses = []
    for each in (0, *[rate] * 100):
        rows = rng.integers(0, ROWS, 8)
        trainer = fastnn.Trainer(model.copy(), "cross_entropy", optim.SGD(each))
        trainer.fit(task.X[rows], task.y[rows], epochs=1, batch_size=8, verbose=0)
        losses.append(trainer.evaluate(task.X, task.y)["loss"])
    return float(100 * np.mean(np.array(losses[1:]) > losses[0]))


def measure(seed: int) -> Figures:
    """Train with batches of each size, and look at the directions of such batches at the start."""
    task = real("digits", ROWS, seed=seed)
    start = net([64, 32, 10], nn.Tanh(), seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for name, size in SIZES.items():
        losses = {}
        for rate in RATES:
            trainer = fit(start.copy(), task, epochs=EPOCHS, batch_size=size, optimizer=optim.SGD(lr=rate))
            losses[rate] = trainer.history["loss"][-1], trainer.history["val_loss"]
        best = min(RATES, key=lambda rate: losses[rate][0])
        found[name] = {
            "steps": EPOCHS * math.ceil(ROWS / size),
            "best rate": best,
            "test loss": losses[best][1][-1],
            "by epoch": losses[best][1],
        }
        if size < ROWS:
            found[name] |= swing(start, task, size, seed)
    found["8 rows / 128 rows"] = {"noise": found["8 rows"]["noise"] / found["128 rows"]["noise"]}
    for rate in STEPS_OF:
        found[f"8 rows, rate {rate}"] = {"loss rises, %": rises(start, task, rate, seed)}
    return found


CLAIMS = (
    Below("After ten epochs with 32 rows a step the loss is a third of that with all.", ("32 rows", "test loss"),
          ("all rows", "test loss"), 3),
    Below("With 8 rows, the noisiest, it is a half or less.", ("8 rows", "test loss"), ("all rows", "test loss"), 2),
    Between("The directions swing: with 8 rows the noise is larger than the gradient.", ("8 rows", "noise"), 1, 5),
    Between("Yet in the mean they point the right way, less than 80 degrees off.", ("8 rows", "cosine"), 0.174, 1),
    Between("16 times the rows have a quarter of the noise, as sqrt(16) = 4.", ("8 rows / 128 rows", "noise"),
            3.5, 4.5),
    Below("The larger the rate, the more steps make the loss larger.", ("8 rows, rate 0.01", "loss rises, %"),
          ("8 rows, rate 1", "loss rises, %"), 2),
)  # fmt: skip


def draw(measured: Measured, by_epoch: Any, by_size: Any) -> None:
    """Draw the losses by epoch, and the noise by the size of the batch."""
    for i, name in enumerate(SIZES):
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), measured[name]["by epoch"], f"{name} a step")
    by_epoch.set(xlabel="epoch", ylabel="test loss", yscale="log")
    _style.legend(by_epoch)
    names = [name for name, size in SIZES.items() if size < ROWS]
    sizes = np.array([SIZES[name] for name in names])
    noises = np.stack([measured[name]["noise"] for name in names], axis=1)
    _style.runs(by_size, 4, sizes, noises, "measured")
    by_size.plot(sizes, noises[:, 0].mean() * np.sqrt(sizes[0] / sizes), label="constant / sqrt(rows)", **_style.GUIDE)
    by_size.set(xscale="log", yscale="log", xlabel="rows in the batch", ylabel="noise / gradient")
    by_size.set_xticks(sizes, [str(size) for size in sizes])
    by_size.set_yticks([0.5, 1, 2], ["0.5", "1", "2"])
    by_size.minorticks_off()
    _style.legend(by_size)
