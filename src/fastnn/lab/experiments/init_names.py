"""Three formulas for initial weights, and their names.

What the post says
------------------
For tanh, a variance of 1/n is better than 2/n; this is Xavier's initialisation. Bengio and his colleagues have another
version, with another formula.

Where the post errs
-------------------
Only the names are mixed up. 1/n is LeCun's (1998). "Xavier" is Xavier Glorot, and the paper of "Bengio and his
colleagues" is his: Glorot and Bengio (2010) propose 2/(in + out). In a layer that has as many inputs as outputs both of
them say 1/n. This may be why the names are confused so often. In fastnn, PyTorch and Keras, "xavier" or "glorot" means
2/(in + out).

Formula
-------
For a layer z = x W with W of ``in`` rows and ``out`` columns:

    Var z / Var x   = in  Var w       the signals, forward
    Var dx / Var dz = out Var w       the gradients, backward

LeCun's makes the first one 1, and He's makes it 2, as a ReLU afterwards halves it. Glorot's makes the mean of the two
1: no variance can make both of them 1, if ``in`` and ``out`` differ.

What to look at
---------------
A layer of 400 inputs and 100 units: the bars are the two factors. The variance of N weights is known to
sqrt(2 / N), that is 0.7 % here; the limits are five times as far (a chi-square bound).

What to try
-----------
- ``IN, OUT = 100, 400``: which bars change?
- ``nn.init.xavier_uniform()``: another distribution, but what of the variance?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn
from fastnn.lab import Between, Figures, Measured
from fastnn.plot import _style

POST = "002"
QUESTION = "How to begin?"
TWINS = ("dense", "dense_grad_input")
SEEDS = 3

CONDITIONS = {
    "LeCun, 1/in": nn.init.lecun_normal(),
    "Glorot, 2/(in + out)": nn.init.xavier_normal(),
    "He, 2/in": nn.init.kaiming_normal(),
}
IN, OUT = 400, 100


def measure(seed: int) -> Figures:
    """Draw the weights of a layer, and send random numbers through it, forward and backward."""
    rng = np.random.default_rng(seed)
    x, dz = rng.normal(size=(500, IN)), rng.normal(size=(500, OUT))
    found = {}
    for name, init in CONDITIONS.items():
        layer = nn.Sequential(nn.Dense(IN, OUT, init=init), seed=seed, dtype="float64")
        z = layer.forward(x, training=True, input_grad=True)
        dx = layer.backward(dz)
        assert dx is not None
        variance = layer.parameters()["0.weight"].var()
        found[name] = {
            "variance": variance,
            "in x variance": IN * variance,
            "forward": z.var() / x.var(),
            "backward": dx.var() / dz.var(),
        }
    return found


OFF = 5 * np.sqrt(2 / (IN * OUT))  # five standard deviations of a measured variance, as a share of it
CLAIMS = tuple(
    Between(f"{name}: {text}", (name, "in x variance"), value * (1 - OFF), value * (1 + OFF))
    for name, text, value in (
        ("LeCun, 1/in", "in x variance is 1.", 1.0),
        ("Glorot, 2/(in + out)", "in x variance is 2 x 400 / 500 = 1.6.", 1.6),
        ("He, 2/in", "in x variance is 2.", 2.0),
    )
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw both factors of each initialiser."""
    for i, (what, hatch) in enumerate({"forward": "", "backward": "///"}.items()):
        places = np.arange(len(CONDITIONS)) + 0.36 * (i - 0.5)
        values = [measured.mean(name, what) for name in CONDITIONS]
        panel.bar(places, values, 0.34, color=_style.style(i)["color"], hatch=hatch, edgecolor="white", label=what)
    panel.axhline(1, **_style.GUIDE)
    panel.set(xticks=range(len(CONDITIONS)), xticklabels=CONDITIONS, ylabel="variance after / variance before")
    _style.legend(panel)
