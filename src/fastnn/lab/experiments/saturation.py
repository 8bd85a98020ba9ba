"""Large weights: flat sigmoids and tanhs, steep ReLUs.

What the post says
------------------
Where |z| is large, sigmoid and tanh are flat: the slope is near 0, and learning is slow. ReLU has the slope 1 for all
z > 0.

Where the post errs
-------------------
It adds that z is never exactly 0, where ReLU has no slope. It is, wherever all inputs of a unit are 0 and its bias is:
in a layer behind ReLUs, for an image that none of them lets through. So libraries have to say what the slope is at 0,
and nearly all say 0.

Formula
-------
    sigmoid'(z) = s (1 - s),  s = sigmoid(z)    0.25 at 0, 0.0066 at 5
    tanh'(z) = 1 - tanh(z)^2                    1 at 0, 0.00018 at 5
    relu'(z) = 1 if z > 0 else 0

What to look at
---------------
The weights of the hidden layers begin 1, 10 or 100 times as large as usual. Left: the mean slope of the units of the
last hidden layer. For sigmoid and tanh it falls to nearly 0, for ReLU it stays at about a half: half of the units have
z > 0. Right: the loss after ten epochs. Tanh learns more slowly with each step. The sigmoid is best at 10. Under 100
times as large weights it is flat. It is slowest under the usual ones, where it is steepest: its outputs are all close
to 0.5 there, whatever the image, so that the next layer has little to tell them apart by. ReLU's loss is left out: its
outputs grow with the weights, so other things than slopes decide. The last row: how often z is exactly 0 in the second
layer of narrow nets, before they have learnt.

What to try
-----------
- ``nn.init.lecun_normal()`` for the digits in ``real("digits", scaled=False)``: inputs up to 16 do the same as weights.
- A ``nn.BatchNorm`` before each activation: it brings z back to where the slope is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import fit, net, real
from fastnn.plot import _style

POST = "004"
QUESTION = "Which activation?"
TWINS = ("sigmoid_backward", "tanh_backward", "relu_backward")
SEEDS = 3
PANELS = 2

CONDITIONS = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "ReLU": nn.ReLU()}
SLOPES: dict[str, Callable[[Array], Array]] = {  # by the output a
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a**2,
    "ReLU": lambda a: a > 0,
}
TIMES = {"1 times": 1.0, "10 times": 10.0, "100 times": 100.0}
EPOCHS = 10


def measure(seed: int) -> Figures:
    """Look at the slopes at the beginning, and train the nets that saturate."""
    task = real("digits", seed=seed)
    found: dict[str, dict[str, float]] = {}
    for where, times in TIMES.items():
        found[where] = figures = {}
        init = nn.init.variance_scaling(times**2, distribution="normal")
        for name, activation in CONDITIONS.items():
            hidden = [nn.Dense(64, 32, init=init), activation, nn.Dense(32, 32, init=init), activation]
            model = nn.Sequential(*hidden, nn.Dense(32, 10), seed=seed)
            outputs = model.activations(task.X)[3]
            figures[f"slope, {name}"] = SLOPES[name](outputs).mean()
            if name != "ReLU":
                history = fit(model, task, epochs=EPOCHS, optimizer=optim.SGD(lr=0.1)).history
                figures[f"loss, {name}"] = history["loss"][-1]
    narrow = [net([64, 4, 4, 10], CONDITIONS["ReLU"], seed=20 * seed + k) for k in range(20)]
    found["ReLU, 4 units"] = {"share of z = 0": np.mean([model.activations(task.X)[2] == 0 for model in narrow])}
    return found


CLAIMS = (
    Below("100 times: the sigmoid is flat.", ("100 times", "slope, sigmoid"), ("1 times", "slope, sigmoid"), 10),
    Below("100 times: tanh is flat.", ("100 times", "slope, tanh"), ("1 times", "slope, tanh"), 10),
    Between("In narrow nets z may be exactly 0.", ("ReLU, 4 units", "share of z = 0"), 1e-6, 1),
    Between("Half of the ReLUs have the slope 1, whatever the size.", ("100 times", "slope, ReLU"), 0.3, 0.7),
    Below(
        "The flat sigmoid learns more slowly than at 10 times.",
        ("10 times", "loss, sigmoid"),
        ("100 times", "loss, sigmoid"),
    ),
    Below(
        "It is slowest at 1 times, for another reason.",
        ("100 times", "loss, sigmoid"),
        ("1 times", "loss, sigmoid"),
        1.2,
    ),
    Below(
        "The flat tanh learns more slowly than at 1 times.", ("1 times", "loss, tanh"), ("100 times", "loss, tanh"), 1.5
    ),
)


def draw(measured: Measured, slopes: Any, losses: Any) -> None:
    """Draw slopes and losses by the size of the weights."""
    for panel, what in ((slopes, "slope"), (losses, "loss")):
        for i, name in enumerate(CONDITIONS):
            if f"{what}, {name}" in measured["1 times"]:
                values = np.stack([measured[where][f"{what}, {name}"] for where in TIMES], axis=1)
                _style.runs(panel, i, list(TIMES.values()), values, name)
        panel.set(xscale="log", xlabel="weights, times the usual size")
    slopes.set(yscale="log", ylabel="mean slope at the beginning")
    losses.set(ylim=(0, None), ylabel="loss after ten epochs")
    _style.legend(slopes)
