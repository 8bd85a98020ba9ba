"""Batch norm makes a deep sigmoid net learn faster, and with more learning rates.

What the post says
------------------
The distribution of a layer's values changes while the layers before it learn, and differs from feature to feature. So
learning is slow and unsteady. Batch norm fixes it: training becomes faster and more stable.

Formula
-------
    y = gamma * (x - mean) / sqrt(var + eps) + beta         mean and var of the batch, for each feature

The net is that of the first experiment of the paper on batch norm (Ioffe and Szegedy, 2015): three layers of 100
sigmoids, batches of 60 rows; here it learns the digits of scikit-learn.

What to look at
---------------
The left picture: the loss by epoch at the rate 1. Without batch norm the net learns nothing for many epochs. The right
one: mean and standard deviation of the inputs of the last sigmoids, as ``fastnn.Watch`` has seen them in the steps of
the training. Without batch norm they move to where sigmoids are flat; with it they stay where they are steep. The
table: with batch norm rates that differ by a factor of a hundred all lead somewhere.

What to try
-----------
- ``nn.Tanh()`` and ``nn.ReLU()``: how much of the difference is left?
- ``nn.LayerNorm``, which normalises each row by itself.
- One hidden layer instead of three.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, real
from fastnn.lab._batch_norm import deep_net
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("batch_norm", "batch_norm_backward", "sigmoid")
SEEDS = 3
PANELS = 2

CONDITIONS = {"without": "none", "with batch norm": "before"}
INPUT_OF_LAST_SIGMOID = {"none": "4", "before": "7"}  # the path of the layer before it
RATES = (0.03, 0.3, 1.0, 3.0)
SHOWN = 1.0
EPOCHS = 16


def measure(seed: int) -> Figures:
    """Train both nets with each rate; watch them at one of the rates."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for name, where in CONDITIONS.items():
        watch = fastnn.Watch(every=6)
        found[name] = {}
        for rate in RATES:
            model = deep_net([64, 100, 100, 100, 10], nn.Sigmoid(), where, seed=seed)
            settings: dict[str, Any] = {"callbacks": [watch]} if rate == SHOWN else {}
            trainer = fit(model, task, epochs=EPOCHS, batch_size=60, optimizer=optim.SGD(lr=rate), **settings)
            found[name] |= {f"loss, rate {rate:g}": trainer.history["loss"][-1]}
            found[name] |= {f"by epoch, rate {rate:g}": trainer.history["loss"]}
        inputs = [record.layers[INPUT_OF_LAST_SIGMOID[where]] for record in watch.records]
        found[name] |= {
            "farthest mean": max(abs(layer.mean) for layer in inputs),
            "steps": [record.step for record in watch.records],
            "mean": [layer.mean for layer in inputs],
            "std": [layer.std for layer in inputs],
        }
    return found


CLAIMS = (
    *(
        Below(
            f"At the rate {rate:g} the loss is far lower with batch norm.",
            ("with batch norm", f"loss, rate {rate:g}"),
            ("without", f"loss, rate {rate:g}"),
            2,
        )
        for rate in RATES
    ),
    Between("The inputs of the last sigmoids stay near 0.", ("with batch norm", "farthest mean"), 0, 0.5),
    Between("Without batch norm they leave it.", ("without", "farthest mean"), 1, 10),
)


def draw(measured: Measured, losses: Any, inputs: Any) -> None:
    """Draw the loss by epoch, and mean and standard deviation of the inputs of the last sigmoids by step."""
    for i, name in enumerate(CONDITIONS):
        _style.runs(losses, i, np.arange(1, EPOCHS + 1), measured[name][f"by epoch, rate {SHOWN:g}"], name)
        steps, mean, std = (measured[name][figure][0] for figure in ("steps", "mean", "std"))
        _style.line(inputs, i, steps, mean, name)
        inputs.fill_between(steps, mean - std, mean + std, color=_style.style(i)["color"], alpha=0.18, linewidth=0)
    losses.set(xticks=range(0, EPOCHS + 1, 4), xlabel="epoch", ylabel=f"training loss, rate {SHOWN:g}")
    inputs.set(xlabel="step", ylabel="inputs of the last sigmoids\n(mean ± std, first run)")
    _style.legend(inputs)
