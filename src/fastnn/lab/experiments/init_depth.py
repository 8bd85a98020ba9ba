"""Initial weights and the size of signals through 30 layers.

What the post says
------------------
Weights that are a little too large or too small make the signals of a deep net explode or vanish. For tanh the
variance of a weight should be 1/n, for ReLU 2/n, where n is the number of inputs of a unit.

Formula
-------
The mean square of a layer's output, by that of the layer before, for weights with mean 0 and variance v:

    ReLU:  E[a_new^2] = n v / 2  E[a^2]        so v = 2/n keeps it, and v = 1/n halves it
    tanh:  E[a_new^2] = n v      E[a^2]        while a is small; never above 1

The gradients of the loss are multiplied by the same factors on their way back. Here n = 128, so the 0.01 randn of the
post 004, v = 0.0001, gives the factors 0.0064 and 0.0128. Glorot's 2/(in + out) is 1/n, as all layers are as wide.

What to look at
---------------
The factor of each layer is the slope of the lines. Only 2/n keeps the signals of ReLU layers, forward and backward.
Under 1/n their mean square is halved by each layer: 2^-30, a billionth, is left at the end. With tanh, outputs are
never above 1, so they look healthy under 2/n, too; but the gradients grow. Under 1/n both fall, slowly: as 1 / layer,
not exponentially. With 0.01 randn nothing is left after a few layers, and with zeros nothing at all.

What to try
-----------
- ``nn.Sigmoid()`` in ``NETS``: which variance keeps its gradients?
- ``WIDTH = 32``: the factors of 1/n and 2/n are the same, but differ more from seed to seed.
- ``nn.init.orthogonal()`` in ``CONDITIONS``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn
from fastnn.lab._claims import Between, Figures, Measured
from fastnn.lab._first_step import first_step
from fastnn.lab._tasks import net
from fastnn.plot import _style

POST = "002"
QUESTION = "How to begin?"
TWINS = ("dense", "relu", "dense_grad_input")
SEEDS = 3
PANELS = 4

NETS = {"ReLU": nn.ReLU(), "tanh": nn.Tanh()}
CONDITIONS = {
    "zeros": nn.init.zeros(),
    "0.01 randn": nn.init.normal(std=0.01),
    "1/n": nn.init.lecun_normal(),
    "2/n": nn.init.kaiming_normal(),
}
WIDTH, LAYERS = 128, 30


def factor(squares: Any) -> float:
    """Return by what the values are multiplied from layer to layer, in the mean; 0 if there are none."""
    return float((squares[-1] / squares[0]) ** (1 / (len(squares) - 1))) if squares[0] else 0.0


def measure(seed: int) -> Figures:
    """Look at the first step of each net: the mean square of all outputs and of all gradients, layer by layer."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(64, WIDTH)), rng.integers(0, WIDTH, 64)
    found = {}
    for kind, activation in NETS.items():
        for name, init in CONDITIONS.items():
            model = net([WIDTH] * (LAYERS + 2), activation, init=init, seed=seed, dtype="float64")
            layers = first_step(model, X, y).layers
            hidden = [layers[str(2 * k + 1)] for k in range(LAYERS)]  # the activations; the dense layers are between
            outputs = np.array([each.rms**2 for each in hidden])
            gradients = np.array([each.gradient**2 for each in hidden])
            found[f"{kind}, {name}"] = {
                "output, by layer": factor(outputs),
                "gradient, by layer": factor(gradients[::-1]),
                "output, last": outputs[-1],
                "outputs": outputs,
                "gradients": gradients,
            }
    return found


CLAIMS = (
    Between("2/n keeps the outputs of ReLU layers.", ("ReLU, 2/n", "output, by layer"), 0.85, 1.15),
    Between("2/n keeps their gradients.", ("ReLU, 2/n", "gradient, by layer"), 0.85, 1.15),
    Between(
        "1/n halves the mean square of the outputs with each ReLU layer.", ("ReLU, 1/n", "output, by layer"), 0.42, 0.58
    ),
    Between("1/n halves that of the gradients.", ("ReLU, 1/n", "gradient, by layer"), 0.42, 0.58),
    Between("0.01 randn: n v / 2 = 0.0064 for ReLU.", ("ReLU, 0.01 randn", "output, by layer"), 0.0054, 0.0074),
    Between("0.01 randn: n v = 0.0128 for tanh.", ("tanh, 0.01 randn", "output, by layer"), 0.0118, 0.0138),
    Between("1/n nearly keeps the gradients of tanh layers.", ("tanh, 1/n", "gradient, by layer"), 0.85, 1.0),
    Between("2/n makes the gradients of tanh layers grow.", ("tanh, 2/n", "gradient, by layer"), 1.05, 1.2),
    Between("All zeros: no signal.", ("ReLU, zeros", "output, last"), 0.0, 0.0),
)


def draw(measured: Measured, *panels: Any) -> None:
    """Draw the mean squares by layer; zeros have no logarithm, and 0.01 randn soon leaves the picture."""
    for panel, (what, kind) in zip(
        panels, [(what, kind) for what in ("outputs", "gradients") for kind in NETS], strict=True
    ):
        for i, name in enumerate(list(CONDITIONS)[1:]):
            _style.runs(panel, i, np.arange(1, LAYERS + 1), measured[f"{kind}, {name}"][what], name)
        panel.set(yscale="log", ylim=(1e-18, 1e2), xlabel="layer", ylabel=f"mean square of the {what}", title=kind)
    _style.legend(panels[1])
