"""A gradient check finds a bug, and says where it is.

What the post says
------------------
One may not be sure whether each detail of a backward pass is right. Then one compares its gradients with two-sided
differences of the loss. This takes twice as long as one-sided differences, but is far more exact.

Formula
-------
For each parameter w, with h = 6e-6:

    two-sided = (L(w + h) - L(w - h)) / 2h
    relative error = |gradient - two-sided| / (|gradient| + |two-sided|)

below 1e-7: right; above 1e-3: wrong. The derivative of tanh is 1 - y^2. The bug is 1 - y, a square forgotten.

What to look at
---------------
The bars: with the right derivative all blocks of gradients are far below the line at 1e-7. With the bug, three blocks
are wrong: those of layer 0 and of the input. The layers 2 and 4, behind the activation, are right. So the bug sits
between layer 2 and layer 0: in layer 1. The training alone may hide it: a net with this bug still learns a little.

What to try
-----------
- ``BUG_IN = 3``: which blocks are wrong now?
- Other bugs: ``dy * (1 - y**2) * 1.01``, ``dy``, ``dy * (1 - x**2)``.
- ``print(fastnn.check_gradients(...))``: the table also guesses what is wrong.
- A ``nn.ReLU()``: what does the report say of kinks?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn import nn
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.plot import _style

POST = "002"
QUESTION = "Is the gradient right?"
TWINS = ("tanh_backward", "dense_grad_weight", "cross_entropy")
SEEDS = 3

CONDITIONS = {
    "right": nn.CustomActivation(np.tanh, lambda dy, x, y: dy * (1 - y**2)),
    "bug": nn.CustomActivation(np.tanh, lambda dy, x, y: dy * (1 - y)),
}
BUG_IN = 1  # which layer
SIDES = {"one-sided": False, "two-sided": True}


def differences(loss: Callable[[], float], w: Array, two_sided: bool, h: float = 6e-6) -> Array:
    """Return the differences of the loss by each entry of w."""
    slopes = np.empty(w.size)
    here = 0.0 if two_sided else loss()
    for i, value in enumerate(w.copy()):
        w[i] = value + h
        above = loss()
        if two_sided:
            w[i] = value - h
            slopes[i] = (above - loss()) / (2 * h)
        else:
            slopes[i] = (above - here) / h
        w[i] = value
    return slopes


def measure(seed: int) -> Figures:
    """Check a net with each of the two activations; and by hand, to count."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(20, 5)), rng.integers(0, 3, 20)
    found: dict[str, dict[str, Any]] = {}
    for name, activation in CONDITIONS.items():
        layers = [nn.Dense(5, 6), nn.Tanh(), nn.Dense(6, 6), nn.Tanh(), nn.Dense(6, 3)]
        layers[BUG_IN] = activation
        net = nn.Sequential(*layers, seed=seed, dtype="float64")
        blocks = {block.name: block for block in fastnn.check_gradients(net, X, y).blocks}
        wrong = {block for block in blocks if not blocks[block].ok}
        found[name] = {
            "wrong before layer 1": len(wrong & {"input", "0.weight", "0.bias"}),
            "wrong behind it": len(wrong & {"2.weight", "2.bias", "4.weight", "4.bias"}),
            "relative error": max(block.relative_error for block in blocks.values()),
            "by block": np.array([block.relative_error for block in blocks.values()]),
        }

    return found | by_hand(nn.Sequential(nn.Dense(5, 6), nn.Tanh(), nn.Dense(6, 3), seed=seed, dtype="float64"), X, y)


def by_hand(net: nn.Sequential, X: Array, y: Array) -> dict[str, dict[str, Any]]:
    """Check the weights of the first layer with one- and with two-sided differences, and count the losses."""
    cross_entropy = nn.CrossEntropyLoss()
    z = net.forward(X, training=True)
    dz = np.empty_like(z)
    cross_entropy(z, y, grad=dz)
    net.backward(dz)
    gradient = net.gradients()["0.weight"].ravel()
    computed = []

    def loss() -> float:
        computed.append(cross_entropy(net.predict(X), y))
        return float(computed[-1])

    found = {}
    for name, two_sided in SIDES.items():
        computed.clear()
        slopes = differences(loss, net.parameters()["0.weight"].reshape(-1), two_sided)
        error = np.linalg.norm(slopes - gradient) / (np.linalg.norm(slopes) + np.linalg.norm(gradient))
        found[name] = {"relative error": error, "losses computed": len(computed)}
    return found


CLAIMS = (
    Between("With the right derivative the check passes.", ("right", "relative error"), 0, 1e-7),
    Between("With the bug the gradients of layer 0 and of the input are wrong.", ("bug", "wrong before layer 1"), 3, 3),
    Between("Those of the layers 2 and 4 are right, so the bug is in layer 1.", ("bug", "wrong behind it"), 0, 0),
    Below("Two-sided is far more exact.", ("two-sided", "relative error"), ("one-sided", "relative error"), 100),
    Between("Two-sided takes two losses for each of the 30 weights.", ("two-sided", "losses computed"), 60, 60),
    Between("One-sided takes one for each, and one more.", ("one-sided", "losses computed"), 31, 31),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the relative error of each block, with and without the bug."""
    blocks = ("input", "0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias")
    for i, (name, hatch) in enumerate(zip(CONDITIONS, ("", "///"), strict=True)):
        errors = np.maximum(measured.mean(name, "by block"), 1e-12)
        places = np.arange(len(blocks)) + 0.36 * (i - 0.5)
        panel.bar(places, errors, 0.34, color=_style.style(i)["color"], hatch=hatch, edgecolor="white", label=name)
    panel.axhline(1e-7, label="limit of right", **_style.GUIDE)
    panel.set(yscale="log", ylim=(1e-12, 10), xticks=range(len(blocks)), xticklabels=blocks, ylabel="relative error")
    _style.legend(panel)
