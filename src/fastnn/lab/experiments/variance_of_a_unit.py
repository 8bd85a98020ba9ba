"""How large the weighted sum of a unit is.

What the post says
------------------
A unit adds up its n inputs, each times its weight. The more inputs it has, the smaller its weights should be. With
a variance of 1/n the sum is as large as the inputs are; before a ReLU the variance should be 2/n.

Formula
-------
For inputs with mean 0 and variance 1, and independent weights with mean 0 and variance v:

    z = x_1 w_1 + ... + x_n w_n,    Var z = n v
    E[relu(z)^2] = Var z / 2        as half of the values are cut off

What to look at
---------------
Without scaling, the line of Var z rises as n. With 1/n it stays at 1. After a ReLU only half is left, which 2/n makes
up for: it is at 1 again, so that two of the lines cover each other.

What to try
-----------
- Inputs with mean 1, ``1 + rng.normal(...)``: what is Var z then?
- ``nn.init.uniform(-1, 1)``: it has the variance 1/3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn
from fastnn.lab import Between, Figures, Measured, net
from fastnn.plot import _style

POST = "002"
QUESTION = "How to begin?"
TWINS = ("dense", "relu")
SEEDS = 3

INPUTS = (10, 100, 1000)
CONDITIONS = {"randn": nn.init.normal(), "1/n": nn.init.lecun_normal(), "2/n": nn.init.kaiming_normal()}
ROWS, UNITS = 300, 300


def measure(seed: int) -> Figures:
    """Send random inputs through units with each of the variances."""
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, Any]] = {}
    for n in INPUTS:
        x = rng.normal(size=(ROWS, n))
        found[f"n = {n}"] = {}
        for name, init in CONDITIONS.items():
            z, a = net([n, UNITS, 1], nn.ReLU(), init=init, seed=seed).activations(x)[:2]
            found[f"n = {n}"] |= {f"Var z, {name}": z.var(), f"E[relu(z)^2], {name}": np.square(a).mean()}
    return found


CLAIMS = tuple(
    claim
    for n in INPUTS
    for where in (f"n = {n}",)
    for claim in (
        Between(f"randn: Var z is n = {n}.", (where, "Var z, randn"), 0.8 * n, 1.2 * n),
        Between(f"1/n: Var z is 1 for n = {n}.", (where, "Var z, 1/n"), 0.8, 1.2),
        Between(f"2/n: E[relu(z)^2] is 1 for n = {n}.", (where, "E[relu(z)^2], 2/n"), 0.8, 1.2),
    )
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw Var z, and what a ReLU leaves, by the number of inputs."""
    for i, what in enumerate(("Var z, randn", "Var z, 1/n", "E[relu(z)^2], 1/n", "E[relu(z)^2], 2/n")):
        values = np.stack([measured[f"n = {n}"][what] for n in INPUTS], axis=1)
        _style.runs(panel, i, INPUTS, values, what)
    panel.set(xscale="log", yscale="log", xlabel="number of inputs n", ylabel="mean square")
    _style.legend(panel)
