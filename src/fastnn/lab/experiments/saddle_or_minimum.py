"""Gradient zero: a saddle or a minimum? The Hessian's eigenvalues tell.

What the post says
------------------
At a minimum the gradient is 0. But one has to go on searching, because of saddle points: there the loss falls in one
direction and rises in another, and the gradient is 0, too. The best of all minima cannot be found, but a local one is
usually good enough.

Formula
-------
Where the gradient is 0, a small step s changes the loss by ``s^T H s / 2`` with the Hessian H. Along an eigenvector of
H the loss rises if the eigenvalue is above 0, and falls if it is below:

    all eigenvalues above 0:    a minimum
    some below 0:               a saddle

What to look at
---------------
The net has two tanh units and 25 parameters, the targets (diabetes) have mean 0. With all weights 0 the gradient is 0,
and there are negative eigenvalues. If both units start with equal weights, they get equal gradients, and the training
ends in a saddle: it is the best net of one unit. A random push of 0.001 and some more epochs, and the loss is lower. A
random start ends where no eigenvalue is below 0. The pictures: all eigenvalues, and the loss along the eigenvector of
the smallest.

What to try
-----------
- ``nn.ReLU()`` instead of tanh: what is the Hessian at all weights 0?
- ``optim.Newton()`` for the units that start equal: rounding is enough of a push for it.
- Seeds: how different are the losses of the minima?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import diagnosis, nn, optim
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, Task, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("mean_squared_error", "tanh")
SEEDS = 3
PANELS = 2

EPOCHS = 1500
PUSH = 1e-3  # standard deviation of the random push
SPAN, POINTS = (-0.5, 0.5), 41  # of steps along the eigenvector
LOSS = "mean_squared_error"


def equal_units(values: dict[str, Array]) -> None:
    """Give the second hidden unit the weights of the first."""
    values["0.weight"][:, 1] = values["0.weight"][:, 0]
    values["2.weight"][1] = values["2.weight"][0]


def measure(seed: int) -> Figures:
    """Look at four points where the gradient is 0, or nearly."""
    task = real("diabetes", seed=seed)
    zero, equal, start = (net([10, 2, 1], nn.Tanh(), seed=seed, dtype="float64") for _ in range(3))
    zero.params.data[...] = 0
    equal_units(equal.parameters())
    train(equal, task, optim.Adam(0.02))
    pushed = equal.copy()
    pushed.params.data[...] += PUSH * np.random.default_rng(seed).normal(size=pushed.params.data.shape)
    train(pushed, task, optim.Adam(0.02))
    train(start, task, optim.Newton())
    nets = {"all weights 0": zero, "equal units": equal, "equal units, pushed": pushed, "random start": start}
    return {name: figures(each, task) for name, each in nets.items()}


def train(model: nn.Sequential, task: Task, optimizer: Any) -> None:
    """Train a net with all rows in each step."""
    trainer = fastnn.Trainer(model, LOSS, optimizer)
    trainer.fit(task.X, task.y, epochs=EPOCHS, batch_size=len(task.X), verbose=0)


def figures(model: nn.Sequential, task: Task) -> dict[str, Any]:
    """Return loss, gradient and eigenvalues, and the loss along the eigenvector of the smallest."""
    z = model.forward(task.X, training=True)
    model.backward(2 * (z - task.y[:, None]) / len(z))
    H = diagnosis.hessian(model, task.X, task.y, loss=LOSS)
    eigenvalues, vectors = np.linalg.eigh(H)
    line = diagnosis.loss_along_line(
        model, task.X, task.y, loss=LOSS, direction=vectors[:, 0], normalize=False, span=SPAN, points=POINTS
    )
    return {
        "loss": np.mean((z[:, 0] - task.y) ** 2),
        "largest gradient": max(np.abs(each).max() for each in model.gradients().values()),
        "smallest eigenvalue": eigenvalues[0],
        "eigenvalues below -0.01": np.sum(eigenvalues < -0.01),
        "eigenvalues": eigenvalues,
        "along": line.losses - line.losses[POINTS // 2],
    }


SMALLEST, GRADIENT = "smallest eigenvalue", "largest gradient"
CLAIMS = (
    *(
        Between(f"{text} the gradient is nearly 0.", (name, GRADIENT), 0, 3e-3)
        for name, text in (
            ("all weights 0", "With all weights 0"),
            ("equal units", "With equal units"),
            ("random start", "From a random start"),
        )
    ),
    Between("All weights 0 are a saddle.", ("all weights 0", SMALLEST), -100, -0.1),
    Between("Units that start equal end in a saddle.", ("equal units", SMALLEST), -100, -0.02),
    Between("A random start ends in a minimum.", ("random start", SMALLEST), -1e-4, 100),
    Below("A push out of the saddle lowers the loss.", ("equal units, pushed", "loss"), ("equal units", "loss"), 1.02),
)


def draw(measured: Measured, spectrum: Any, along: Any) -> None:
    """Draw the eigenvalues, and the loss along the eigenvector of the smallest, of the first run."""
    for i, (name, each) in enumerate(measured.items()):
        values = each["eigenvalues"][0]
        _style.line(spectrum, i, np.arange(1, len(values) + 1), values, name)
        _style.line(along, i, np.linspace(*SPAN, POINTS), each["along"][0], name)
    spectrum.axhline(0, **_style.GUIDE)
    spectrum.set(yscale="symlog", xlabel="number of the eigenvalue", ylabel="eigenvalue of the Hessian")
    along.set(xlabel="step along the eigenvector of the smallest eigenvalue", ylabel="change of the loss")
    _style.legend(along)
