"""What activations cost: the function, the derivative, the whole step.

What the post says
------------------
The derivatives of the sigmoid and of tanh have to be computed by a formula. That of ReLU is 0 or 1, which saves
computing power.

Where the post errs
-------------------
The costly part is not the derivative. It comes from the output, which the forward pass has kept: ``dy y (1 - y)`` needs
one difference and two products, and takes nearly as long as the comparison of ReLU: reading and writing the numbers
takes longer than either. What costs is the exponential in the forward pass. And in a net with layers of some width, the
matrix products take most of the time, so that the whole step is slower by less than the function is.

The better reason for ReLU is the one of the other experiments: its slope is 1.

Formula
-------
    sigmoid: y = 1 / (1 + exp(-x)),   dx = dy y (1 - y)
    tanh:    y = tanh(x),             dx = dy (1 - y y)
    ReLU:    y = max(x, 0),           dx = dy where y > 0, else 0

What to look at
---------------
Times relative to ReLU; each is the shortest of many. "NumPy" is the forward pass as a NumPy formula, "function" and
"derivative" are fastnn's kernels, "step" is the forward and backward pass of a net with two hidden layers of 128 units
and 128 rows. A busy machine disturbs times, so that the limits of the verdicts are wide. On processors with narrow
vector units "function" is larger.

What to try
-----------
- ``WIDTH = 16``: in a narrow net the activation counts for more.
- ``FASTNN_ISA=baseline`` before the command: without wide vector units.
- ``gelu``, ``softplus`` or ``mish`` among the conditions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn import kernels, nn, reference
from fastnn._typing import Array
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.plot import _style

POST = "003"
QUESTION = "Which activation?"
TWINS = ("sigmoid", "sigmoid_backward", "tanh_backward", "relu", "relu_backward")
SEEDS = 3

CONDITIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "ReLU": "relu"}
KERNELS = kernels
WIDTH = 128
REPEATS = 100


def measure(seed: int) -> Figures:
    """Time each activation alone and in a net, on one thread."""
    x = np.random.default_rng(seed).normal(size=(128, WIDTH)).astype("float32")
    calls = {name: calls_of(activation, x) for name, activation in CONDITIONS.items()}
    shortest = {name: dict.fromkeys(each, np.inf) for name, each in calls.items()}
    with fastnn.num_threads(1), fastnn.backend("native"):
        for _ in range(REPEATS):  # the activations take turns, so that a busy moment meets all of them
            for name, each in calls.items():
                for what, call in each.items():
                    shortest[name][what] = min(shortest[name][what], seconds(call))
    relu = shortest["ReLU"]
    return {name: {what: each[what] / relu[what] for what in each} for name, each in shortest.items()}


def calls_of(activation: str, x: Array) -> dict[str, Callable[[], Any]]:
    """Return what is timed of an activation."""
    function, backward = getattr(KERNELS, activation), getattr(KERNELS, f"{activation}_backward")
    formula = getattr(reference, activation)
    y, out, dy = function(x), np.empty_like(x), np.ones_like(x)
    model = nn.Sequential(
        nn.Dense(WIDTH, WIDTH), nn.activation(activation), nn.Dense(WIDTH, WIDTH), nn.activation(activation), seed=0
    )  # fmt: skip

    def step() -> None:
        model.forward(x, training=True)
        model.backward(dy)

    return {
        "NumPy": lambda: formula(x, out=out),
        "function": lambda: function(x, out=out),
        "derivative": lambda: backward(dy, y, out=out),
        "step": step,
    }


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


CLAIMS = (
    Below("As a NumPy formula the sigmoid takes more than 1.5 times as long as ReLU.", ("ReLU", "NumPy"),
          ("sigmoid", "NumPy"), factor=1.5),
    Between("The sigmoid's derivative takes less than 3 times as long as ReLU's.", ("sigmoid", "derivative"), 0.3, 3),
    Between("So does that of tanh.", ("tanh", "derivative"), 0.3, 3),
    Below("The whole step is slower by less than the function.", ("sigmoid", "step"), ("sigmoid", "function"), 1.2),
)  # fmt: skip


def draw(measured: Measured, ax: Any) -> None:
    """Draw the times relative to those with ReLU."""
    parts = ["NumPy", "function", "derivative", "step"]
    for i, name in enumerate(CONDITIONS):
        times = np.stack([measured[name][what] for what in parts], axis=1)
        _style.points(ax, i, np.arange(len(parts)) + 0.1 * (i - 1), times, name)
    ax.set(ylabel="time relative to ReLU", ylim=(0, None), xticks=range(len(parts)), xticklabels=parts)
    _style.legend(ax)
