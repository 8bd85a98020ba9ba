"""The gradient of softmax with cross entropy is p - y, and the first loss about ln K.

What the post says
------------------
The last layer is a softmax, so that the outputs are probabilities. The target is 1 for the true class and 0 for the
others, so that of the sum only -log p of the true class is left.

Formula
-------
    p = softmax(z),    loss = -sum_k y_k log p_k = -log p_true
    dloss / dz_k = p_k - y_k

Only the true class counts in the loss, but all outputs get a gradient: p_k for the others, as they share the sum of the
softmax. The gradients of a row add up to 0.

A net that knows nothing should give p = 1 / K to each of K classes, and so the loss log K. This is a check before each
training: with a first loss far from it something is wrong, or the outputs are too large.

What to look at
---------------
The left picture: p and p - y for an image before the training. The right one: the loss before the training over log K.
With the usual random weights it is only about 1: outputs of the size 1 are confident already, and by chance wrong or
right. With the weights of the last layer divided by 100 it is log K.

What to try
-----------
- ``label_smoothing=0.1`` in the loss: what is y then?
- The last layer times 10 instead: how large is the first loss?
- ``real("digits", scaled=False)``: what does the first loss say now?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import kernels, nn
from fastnn._typing import Array
from fastnn.lab._claims import Between, Figures, Measured
from fastnn.lab._tasks import net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "Is the gradient right?"
TWINS = ("cross_entropy", "softmax")
SEEDS = 5
PANELS = 2

CONDITIONS = {"digits": [64, 32, 10], "iris": [4, 32, 3], "breast_cancer": [30, 32, 2]}
SMALL = 0.01  # factor of the last layer


def by_hand(z: Array, y: Array) -> Array:
    """Return the gradient of the loss of each row by the outputs."""
    return kernels.softmax(z) - np.eye(z.shape[1])[y]


def measure(seed: int) -> Figures:
    """Compare the gradient with that by hand, and the first losses with log K."""
    loss = nn.CrossEntropyLoss()
    found: dict[str, dict[str, Any]] = {}
    for name, widths in CONDITIONS.items():
        task = real(name, seed=seed)
        X, y, K = task.X[:50], task.y[:50], widths[-1]
        model = net(widths, nn.ReLU(), seed=seed, dtype="float64")
        z = model.predict(X)
        gradient = np.empty_like(z)
        loss(z, y, grad=gradient)
        first = loss(model.predict(task.X), task.y)
        model.parameters()["2.weight"][...] *= SMALL
        found[name] = {
            "gradient - (p - y)": np.abs(len(y) * gradient - by_hand(z, y)).max(),
            "sum of a row": np.abs(len(y) * gradient.sum(axis=1)).max(),
            "error of p - y by differences": differs(z, y),
            "loss / ln K": first / np.log(K),
            "small outputs": loss(model.predict(task.X), task.y) / np.log(K),
            "p": kernels.softmax(z)[0],
            "p - y": by_hand(z, y)[0],
        }
    return found


def differs(z: Array, y: Array) -> float:
    """Return the relative error of the gradient by hand, against differences of the loss."""
    loss = nn.CrossEntropyLoss()
    report = fastnn.check_gradient(lambda z: loss(z, y), lambda z: by_hand(z, y) / len(y), z)
    return report.relative_error


CLAIMS = (
    *(Between(f"{name}: fastnn's gradient is p - y.", (name, "gradient - (p - y)"), 0, 1e-12) for name in CONDITIONS),
    Between("The gradients of a row add up to 0.", ("digits", "sum of a row"), 0, 1e-12),
    Between("Differences of the loss agree with p - y.", ("digits", "error of p - y by differences"), 0, 1e-7),
    *(
        Between(f"{name}: with small outputs the first loss is log K.", (name, "small outputs"), 0.97, 1.03)
        for name in CONDITIONS
    ),
    Between("digits: with random weights it is near log K.", ("digits", "loss / ln K"), 0.9, 1.4),
)


def draw(measured: Measured, one: Any, first: Any) -> None:
    """Draw p and p - y of an image, and the first losses."""
    for i, name in enumerate(("p", "p - y")):
        _style.line(one, i, np.arange(10), measured["digits"][name][0], name)
    one.axhline(0, **_style.GUIDE)
    one.set(xlabel="class", ylabel="an image before the training", xticks=range(10))
    _style.legend(one)
    for i, name in enumerate(("loss / ln K", "small outputs")):
        values = np.array([measured[where][name] for where in measured])
        look = {**_style.style(i), "linestyle": ""}
        first.plot(np.arange(len(values)).repeat(values.shape[1]) + 0.1 * i, values.ravel(), label=name, **look)
    first.axhline(1, **_style.GUIDE)
    first.set(xticks=range(len(measured)), xticklabels=list(measured), ylabel="loss before the training / ln K")
    _style.legend(first)
