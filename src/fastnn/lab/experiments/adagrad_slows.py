"""Adagrad's rates only fall, RMSprop's follow the gradients.

What the post says
------------------
Adagrad gives each parameter a rate of its own: where much has been updated, it is lower. Its weakness: the sum S of the
squared gradients only grows, so that the rate only falls. RMSprop mends that.

Formula
-------
    Adagrad:   S <- S + g^2                         w <- w - lr g / (sqrt(S) + eps)
    RMSprop:   S <- alpha S + (1 - alpha) g^2       w <- w - lr g / (sqrt(S) + eps)

``lr / (sqrt(S) + eps)`` is the effective rate of a weight. The sum of t squares of about equal size is t times one of
them, so that Adagrad's rate falls as ``1 / sqrt(t)``. The mean of the last squares does not depend on t.

What to look at
---------------
The left picture: the median of the effective rates of the weights of the second layer, by epoch. Adagrad's falls, and
not one of the single rates ever rises. It falls less and less, as the gradients get smaller: Adagrad slows down, but it
does not stop. RMSprop's rate rises as the gradients fade. The right picture: the rates in the first layer after the
last epoch, by how much ink there is in a pixel. Pixels that seldom have ink have small gradients, and high rates: this
is what Adagrad was made for.

What to try
-----------
- ``optim.Adam(0.003)`` as a third condition.
- ``optim.Adagrad(0.03, initial_accumulator_value=1)``: what changes at the beginning?
- Noisy labels, ``real("digits", noise=0.3)``, keep the gradients large: how far does Adagrad's rate fall then?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.lab import Below, Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Which optimiser?"
TWINS = ("adagrad", "rmsprop")
SEEDS = 3
PANELS = 2

CONDITIONS: dict[str, Any] = {"Adagrad": optim.Adagrad(0.03), "RMSprop": optim.RMSprop(0.003)}
EPOCHS = 20


class Rates(fastnn.Callback):
    """Records the effective rate of each weight of two layers after each epoch."""

    def __init__(self) -> None:
        self.first: list[Any] = []
        self.second: list[Any] = []

    def on_epoch_end(self, trainer: fastnn.Trainer, logs: Any) -> None:
        """Read S from the trainer's state."""
        S = trainer.state_dict()["slots"]["v"]
        optimizer: Any = trainer.optimizer
        self.first.append(optimizer.lr / (np.sqrt(S["0.weight"]) + optimizer.eps))
        self.second.append(optimizer.lr / (np.sqrt(S["2.weight"]) + optimizer.eps))


def measure(seed: int) -> Figures:
    """Train with both, and record the effective rates."""
    task = real("digits", seed=seed)
    ink = task.X.mean(axis=0)
    rare, frequent = (ink > 0.001) & (ink < 0.05), ink > 0.5
    found: dict[str, dict[str, Any]] = {}
    for name, optimizer in CONDITIONS.items():
        rates = Rates()
        model = net([64, 32, 32, 10], nn.Tanh(), seed=seed)
        fit(model, task, epochs=EPOCHS, optimizer=optimizer, callbacks=[rates])
        second = np.array(rates.second)
        median = np.median(second, axis=(1, 2))
        by_pixel = np.median(rates.first[-1], axis=0)
        found[name] = {
            "rates that rise in an epoch, %": 100 * np.mean(np.diff(second, axis=0) > 0),
            "median rate, epoch 1": median[0],
            "epoch 20": median[-1],
            "of frequent pixels": np.median(by_pixel[frequent]),
            "of rare pixels": np.median(by_pixel[rare]),
            "by epoch": median,
            "ink": ink,
            "by pixel": by_pixel,
        }
    return found


CLAIMS = (
    Between("No rate of Adagrad ever rises.", ("Adagrad", "rates that rise in an epoch, %"), 0, 0),
    Below("Adagrad's rates fall.", ("Adagrad", "epoch 20"), ("Adagrad", "median rate, epoch 1"), 1.5),
    Between("Many of RMSprop's rise.", ("RMSprop", "rates that rise in an epoch, %"), 30, 100),
    Below("RMSprop's are higher at the end.", ("RMSprop", "median rate, epoch 1"), ("RMSprop", "epoch 20"), 1.2),
    *(
        Below(f"{name} gives rare pixels higher rates.", (name, "of frequent pixels"), (name, "of rare pixels"), 2)
        for name in CONDITIONS
    ),
)


def draw(measured: Measured, by_epoch: Any, by_pixel: Any) -> None:
    """Draw the median rate by epoch, and the rates of the pixels of the first run."""
    for i, (name, figures) in enumerate(measured.items()):
        _style.runs(by_epoch, i, np.arange(1, EPOCHS + 1), figures["by epoch"], name)
        inked = figures["ink"][0] > 0.001
        look = {**_style.style(i), "linestyle": ""}
        by_pixel.plot(figures["ink"][0][inked], figures["by pixel"][0][inked], label=name, **look)
    by_epoch.set(ylim=(0, None), xlabel="epoch", ylabel="median effective rate, layer 2")
    by_pixel.set(yscale="log", xlabel="mean ink of a pixel", ylabel="median effective rate of its weights")
    _style.legend(by_pixel)
