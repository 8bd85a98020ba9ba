"""The gradient from layer to layer: sigmoid, tanh, ReLU.

What the post says
------------------
The slope of the sigmoid is at most 0.25. So the gradient shrinks to a quarter or less with each layer, and vanishes in
deep nets. The slopes of tanh and ReLU reach 1, which eases the problem.

Formula
-------
On its way back through a layer ``h = f(h_before W + b)`` the gradient is multiplied by the slope and by the weights:

    dL/dh_before = (dL/dh * f'(z)) W'

Default initial weights keep its length, and the slopes remain: through L layers with the sigmoid at most

    0.25^L:     3 layers 0.0156     5 layers 0.00098     10 layers 9.5e-7     20 layers 9.1e-13

What to look at
---------------
The left picture: the slopes. The right one: the size of the gradient at each layer of a net with 20 hidden layers, in
the first step. The table: how much of the gradient behind the last hidden layer arrives at the first one. With the
sigmoid it is close to 0.25^L, as its units begin near the middle, where it is steepest.

"At most" is true of the slopes alone: large weights can make up for them.

What to try
-----------
- ``nn.GELU()``, ``nn.ELU()``, ``nn.Softsign()``.
- ``init=nn.init.normal(std=0.5)`` in `net`: weights that are four times as large.
- ``nn.LayerNorm(64)`` behind each activation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "003"
QUESTION = "Which activation?"
TWINS = ("sigmoid_backward", "tanh_backward", "relu_backward")
SEEDS = 3
PANELS = 2

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "ReLU": nn.ReLU()}
DEPTHS = (3, 5, 10, 20)
X = np.linspace(-5, 5, 201)


def measure(seed: int) -> Figures:
    """Look at the gradients in the first step of nets of each depth."""
    task = real("digits", rows=256, seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for name, activation in CONDITIONS.items():
        at_x = slopes(activation)
        found[name] = {"largest slope": at_x.max(), "slopes": at_x}
        for depth in DEPTHS:
            watch = fastnn.Watch()
            fit(
                net([64] * (depth + 1) + [10], activation, seed=seed), task, epochs=1, batch_size=256, callbacks=[watch]
            )
            layers = watch.records[0].layers
            gradients = np.array([layers[str(2 * i)].gradient for i in range(depth)])  # before each activation
            found[name] |= {
                f"{depth} layers": gradients[0] / layers[str(2 * depth - 1)].gradient,
                f"by layer of {depth}": gradients,
            }
    found["0.25^L"] = {f"{depth} layers": 0.25**depth for depth in DEPTHS}
    return found


def slopes(activation: nn.Layer) -> Array:
    """Return the slopes of an activation at X, as the backward pass of a net has them."""
    unit = nn.Sequential(nn.Dense(1, 1, init=nn.init.ones()), activation, dtype="float64")
    unit.forward(X[:, np.newaxis], training=True, input_grad=True)
    gradient = unit.backward(np.ones((len(X), 1)))
    assert gradient is not None
    return gradient[:, 0]


CLAIMS = (
    Between("The largest slope of the sigmoid is 0.25.", ("sigmoid", "largest slope"), 0.25, 0.25),
    Between("That of tanh is 1.", ("tanh", "largest slope"), 1, 1),
    Between("That of ReLU is 1.", ("ReLU", "largest slope"), 1, 1),
    *(
        Between(
            f"Through {depth} layers with the sigmoid about 0.25^{depth} of the gradient is left.",
            ("sigmoid", f"{depth} layers"), 0.25**depth / 10, 0.25**depth * 2,
        )
        for depth in (3, 5, 10)
    ),
    Below("Through 20 layers tanh leaves far more.", ("sigmoid", "20 layers"), ("tanh", "20 layers"), factor=1e9),
    Below("So does ReLU.", ("sigmoid", "20 layers"), ("ReLU", "20 layers"), factor=1e9),
)  # fmt: skip


def draw(measured: Measured, slope: Any, by_layer: Any) -> None:
    """Draw the slopes, and the gradients by layer of the deepest net."""
    for i, name in enumerate(CONDITIONS):
        _style.line(slope, i, X, measured[name]["slopes"][0], name)
        _style.runs(by_layer, i, np.arange(1, 21), measured[name]["by layer of 20"], name)
    slope.axhline(0.25, **_style.GUIDE)
    slope.set(xlabel="z", ylabel="slope")
    by_layer.set(yscale="log", xlabel="layer", ylabel="gradient (root mean square)", xticks=[1, 5, 10, 15, 20])
    _style.legend(by_layer)
