"""The gradient of softmax and cross entropy is p - y.

What the post says
------------------
The last layer gives probabilities, by the softmax. The target y is 1 for the true class and 0 for all others, so that
only the probability of the true class is left in the loss. The way back begins there.

Formula
-------
    p_k = exp(z_k) / sum of exp(z_j)
    loss = -sum of y_k log p_k = -log p_true = -z_true + log(sum of exp(z_j))
    d loss / d z_k = p_k - y_k

A net that knows nothing gives 1/K to each of K classes: loss = ln K.

What to look at
---------------
The left picture: one row, with ten outputs. Only one bar of y is above 0, but the gradient has ten: the softmax divides
by a sum, so that all outputs take part. The step goes against it: the true class up, all others down, by as much as
they were believed. The entries add up to 0.

The right one: the loss before training, the mean of 50 nets. With the default start it is a bit above ln K, because
the outputs are random numbers, not zeros: the net believes something, and has no reason to. (One net may be lucky.)
With small weights in the last layer it is ln K. Far more than ln K at the start is a sign of a mistake: inputs that are
not scaled, or weights that are too large.

What to try
-----------
- Zeros in the last layer: exactly ln K. Does the net learn?
- Multiply the pixels by 16, so that they are not scaled: how far above ln 10 does it begin?
- Add 1000 to all outputs: p stays the same. And ``np.exp(z)``? The kernel takes off the largest output first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels, nn
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Is the gradient right?"
TWINS = ("softmax", "cross_entropy")
SEEDS = 3
PANELS = 2

TASKS = {"breast_cancer": 2, "iris": 3, "digits": 10}
STARTS: dict[str, Any] = {"default": None, "small": nn.init.normal(std=0.001)}  # of the last layer
NETS = 50  # over which the loss before training is averaged


def loss_and_gradient(z: Array, y: Array) -> tuple[float, Array]:
    """Return the loss of rows, and its gradient by their outputs."""
    dz = np.empty_like(z)
    loss = nn.CrossEntropyLoss()(z, y, grad=dz)  # the mean over the rows
    return loss, dz * len(z)


def measure(seed: int) -> Figures:
    """Look at loss and gradient before training."""
    found: dict[str, dict[str, Any]] = {}
    for name, classes in TASKS.items():
        task = real(name, seed=seed)
        found[name] = {"ln K": np.log(classes)}
        for start, init in STARTS.items():
            losses = []
            for i in range(NETS):
                layers = (nn.Dense(task.X.shape[1], 32), nn.ReLU(), nn.Dense(32, classes, init=init))
                z = nn.Sequential(*layers, dtype="float64", seed=NETS * seed + i).predict(task.X)
                losses.append(loss_and_gradient(z, task.y)[0])
            found[name][f"loss, {start} start"] = np.mean(losses)
        z = np.random.default_rng(seed).normal(size=(len(task.y), classes))  # any outputs
        loss, dz = loss_and_gradient(z, task.y)
        p, y = kernels.softmax(z), np.eye(classes)[task.y]
        only_true = np.mean(-np.log(p[np.arange(len(p)), task.y]))
        found[name] |= {"loss + log p_true": abs(loss - only_true), "gradient - (p - y)": np.abs(dz - (p - y)).max()}
        found[name] |= {"p": p[0], "y": y[0], "dz": dz[0]}
    return found


CLAIMS = (
    *(Between(f"{name}: the gradient is p - y.", (name, "gradient - (p - y)"), 0, 1e-12) for name in TASKS),
    *(Between(f"{name}: only the true class counts.", (name, "loss + log p_true"), 0, 1e-12) for name in TASKS),
    *(
        Below(f"{name}: a usual start is above ln K.", (name, "ln K"), (name, "loss, default start"), 1.03)
        for name in TASKS
    ),
    *(
        Between(f"{name}: with a small last layer it is ln {k}.", (name, "loss, small start"), log - 0.01, log + 0.01)
        for name, k in TASKS.items()
        for log in (np.log(k),)
    ),
)


def draw(measured: Measured, row: Any, start: Any) -> None:
    """Draw p, y and the gradient of one row, and the losses before training."""
    for i, (name, label) in enumerate({"p": "p", "y": "y, the target", "dz": "gradient"}.items()):
        at = np.arange(10) + 0.28 * (i - 1)
        look = {"color": _style.style(i)["color"], "hatch": ("", "///", "...")[i], "edgecolor": "white"}
        row.bar(at, measured["digits"][name][0], 0.26, label=label, **look)
    row.axhline(0, color="black", linewidth=0.8)
    row.set(xticks=range(10), xlabel="class", ylabel="probability, or gradient by the output")
    _style.legend(row)
    places = np.arange(len(TASKS))
    for i, name in enumerate(STARTS):
        losses = np.stack([measured[task][f"loss, {name} start"] for task in TASKS], axis=1)
        _style.points(start, i, places + 0.1 * i, losses, f"{name} last layer")
    start.hlines(np.log(list(TASKS.values())), places - 0.3, places + 0.4, label="ln K", **_style.GUIDE)
    names = [f"{name},\nK = {classes}" for name, classes in TASKS.items()]
    start.set(xticks=range(len(TASKS)), xticklabels=names, ylim=(0, None), ylabel="loss before training")
    _style.legend(start)
