"""Nesterov's momentum looks ahead; libraries have other forms, equal until the rate changes.

What the post says
------------------
First update the parameters by the velocity, then take the gradient there.

Formula
-------
The post's form, which looks ahead to ``w + mu v``:

    v <- mu v - lr g(w + mu v),    w <- w + v

PyTorch's form, ``optim.SGD(momentum=mu, nesterov=True)``, which needs the gradient only where it is:

    b <- mu b + g(u),              u <- u - lr (g(u) + mu b)

scikit-learn's form, ``optim.SGD(momentum=mu, nesterov=True, velocity=True)``, whose buffer contains the rate:

    v <- mu v - lr g(u),           u <- u + mu v - lr g(u)

With ``u = w + mu v``, the point to which the post looks ahead, the third form is the first, line by line. With
``v = -lr b`` the second is the third, as long as lr is constant.

What to look at
---------------
The left picture: the path of u in a ravine. The right one: the size of the steps. The rate is divided by 10 after 30 of
60 steps. Until then the three are one. Then PyTorch's form is slow at once, as the rate multiplies its whole buffer.
The post's and scikit-learn's form still coasts with the velocity that was built up at the old rate.

What to try
-----------
- A rate that rises: which of the two starts off at once?
- ``MU = 0.99``: for how long does it coast? (About ``1 / (1 - mu)`` steps.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import optim, plot
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.lab._surfaces import descend, ravine
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("nesterov", "nesterov_velocity")
SEEDS = 3
PANELS = 2

MU, RATE, STEPS, CHANGE = 0.9, 0.01, 60, 30
SURFACE = ravine(50, turned=20)
SCHEDULE = optim.StepLR(CHANGE, gamma=0.1, every="step")
CONDITIONS = {
    "PyTorch's form": optim.SGD(RATE, momentum=MU, nesterov=True),
    "scikit-learn's form": optim.SGD(RATE, momentum=MU, nesterov=True, velocity=True),
}


def look_ahead(start: Array) -> Array:
    """Return the points to which the post's form looks ahead."""
    w, v, points = start, np.zeros(2), [start]
    for rate in SCHEDULE(RATE, epoch=0, step=np.arange(STEPS)):
        v = MU * v - rate * SURFACE.gradient(*(w + MU * v))
        w = w + v
        points.append(w + MU * v)
    return np.array(points)


def measure(seed: int) -> Figures:
    """Compare the paths of fastnn's two forms with the post's."""
    start = np.random.default_rng(seed).normal((2.0, 1.0), 0.1)
    post = look_ahead(start)
    found: dict[str, dict[str, Any]] = {"the post's form": figures(post, post)}
    for name, optimizer in CONDITIONS.items():
        found[name] = figures(descend(SURFACE, optimizer, start, STEPS, SCHEDULE), post)
    return found


def figures(path: Array, post: Array) -> dict[str, Any]:
    """Return how far a path is from the post's, and how much slower it is after the change."""
    apart = np.abs(path - post).max(axis=1)
    steps = np.hypot(*np.diff(path, axis=0).T)
    return {
        "apart, constant rate": apart[: CHANGE + 1].max(),
        "apart, changed rate": apart[CHANGE + 1 :].max(),
        "way after the change": steps[CHANGE : CHANGE + 10].sum(),
        "path": path,
        "steps": steps,
    }


AFTER = "way after the change"
CLAIMS = (
    *(
        Between(f"At a constant rate {name} is the post's.", (name, "apart, constant rate"), 0, 1e-12)
        for name in CONDITIONS
    ),
    Between(
        "scikit-learn's form is the post's when the rate changes, too.",
        ("scikit-learn's form", "apart, changed rate"),
        0,
        1e-12,
    ),
    Below(
        "PyTorch's form is not.",
        ("scikit-learn's form", "apart, changed rate"),
        ("PyTorch's form", "apart, changed rate"),
        1e6,
    ),
    Below("It is slow at once, the others coast.", ("PyTorch's form", AFTER), ("the post's form", AFTER), 3),
)


def draw(measured: Measured, surface: Any, by_step: Any) -> None:
    """Draw the paths of the first run, and the size of its steps."""
    paths = {name: measured[name]["path"][0] for name in measured}
    plot.paths(SURFACE.value, paths, xlim=(-0.5, 2.5), ylim=(-0.7, 1.3), ax=surface)
    for i, name in enumerate(measured):
        _style.line(by_step, i, np.arange(1, STEPS + 1), measured[name]["steps"][0], name)
    by_step.axvline(CHANGE + 0.5, **_style.GUIDE)
    by_step.set(yscale="log", xlabel="step", ylabel="size of the step")
