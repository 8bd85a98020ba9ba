"""The chain rule by hand: what sums, products, branches and activations do with a gradient.

What the post says
------------------
A net is a composed function, so that its gradient follows from the rule of each operation: a sum, a product, a variable
that goes to several places, an activation.

Formula
-------
With g for the gradient of the loss by the result of an operation:

    z = u + v           u gets g,           v gets g
    z = u v             u gets g v,         v gets g u              (each gets its partner)
    x goes to u and v   x gets the sum of what comes back from both
    z = f(u)            u gets g f'(u)

The product of matrices is made of sums and products: of ``z = x @ w``, w gets ``x.T @ g`` and x gets ``g @ w.T``.

What to look at
---------------
The net is ``Dense, Tanh, Residual(Dense), Dense``. A residual adds its input to its output, ``s = h + h @ w + b``, so
that h goes to two places. By hand, with all four rules, the gradients are those of fastnn. Without the branch or the
slope of tanh, layer 0 is wrong: what lies before the mistake. Layers behind it stay right. Without the partner only the
weight of layer 2 is wrong, as its gradient goes no further. The left picture: the error of each layer. The right one:
the gradients of layer 0 by hand, against fastnn's.

What to try
-----------
- Forget the rule of the sum: let b get ``g`` of the first row only.
- Two residuals: by how many ways does h reach the loss?
- ``fastnn.check_gradients(net, X, y, loss="mean_squared_error")``, and print it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn
from fastnn._typing import Array
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import real
from fastnn.plot import _style

POST = "001"
QUESTION = "Is the gradient right?"
TWINS = ("dense", "dense_grad_input", "dense_grad_weight", "dense_grad_bias", "tanh_backward")
SEEDS = 3
PANELS = 2

CONDITIONS = {  # the rule that is forgotten
    "all rules": "",
    "no branch": "branch",
    "no partner": "partner",
    "no slope": "slope",
}
NAMES = ("0.weight", "0.bias", "2.0.weight", "2.0.bias", "3.weight", "3.bias")


def backward(P: Any, x: Array, t: Array, forget: str = "") -> dict[str, Array]:
    """Return the gradients of the mean squared error, by hand; `forget` names a rule that is left out."""
    h = np.tanh(x @ P["0.weight"] + P["0.bias"])
    s = h + h @ P["2.0.weight"] + P["2.0.bias"]
    z = s @ P["3.weight"] + P["3.bias"]

    grads = {}
    dz = 2 * (z - t) / z.size
    grads["3.weight"], grads["3.bias"] = s.T @ dz, dz.sum(axis=0)
    ds = dz @ P["3.weight"].T
    partner = np.ones_like(h) if forget == "partner" else h
    grads["2.0.weight"], grads["2.0.bias"] = partner.T @ ds, ds.sum(axis=0)
    dh = ds @ P["2.0.weight"].T
    if forget != "branch":
        dh = dh + ds
    da = dh if forget == "slope" else dh * (1 - h**2)
    grads["0.weight"], grads["0.bias"] = x.T @ da, da.sum(axis=0)
    return grads


def measure(seed: int) -> Figures:
    """Compare the gradients by hand with fastnn's, and fastnn's with differences of the loss."""
    task = real("diabetes", rows=50, seed=seed)
    x, t = task.X.astype("float64"), task.y[:, None]
    net = nn.Sequential(
        nn.Dense(10, 4), nn.Tanh(), nn.Residual(nn.Dense(4, 4)), nn.Dense(4, 1), dtype="float64", seed=seed
    )
    z = net.forward(x, training=True)
    net.backward(2 * (z - t) / z.size)
    right = net.gradients()
    found: dict[str, dict[str, Any]] = {}
    for name, forget in CONDITIONS.items():
        by_hand = backward(net.parameters(), x, t, forget)
        errors = [np.abs(by_hand[each] - right[each]).max() / np.abs(right[each]).max() for each in NAMES]
        found[name] = {
            "layer 0": errors[0],
            "layer 2": errors[2],
            "layer 3": errors[4],
            "by hand": by_hand["0.weight"].ravel(),
            "fastnn": right["0.weight"].copy().ravel(),
        }
    report = fastnn.check_gradients(net, x, t, loss="mean_squared_error")
    found["fastnn, by differences"] = {"error, all layers": report.relative_error}
    return found


CLAIMS = (
    *(
        Between(f"With all rules {layer} is right.", ("all rules", layer), 0, 1e-12)
        for layer in ("layer 0", "layer 2", "layer 3")
    ),
    Between("Differences of the loss agree.", ("fastnn, by differences", "error, all layers"), 0, 1e-7),
    Below("Without the branch layer 0 is wrong.", ("all rules", "layer 0"), ("no branch", "layer 0"), 1e6),
    Between("Layer 2, behind it, is right.", ("no branch", "layer 2"), 0, 1e-12),
    Below("Without the partner layer 2 is wrong.", ("all rules", "layer 2"), ("no partner", "layer 2"), 1e6),
    Below("Without the slope layer 0 is wrong.", ("all rules", "layer 0"), ("no slope", "layer 0"), 1e6),
)


def draw(measured: Measured, by_layer: Any, entries: Any) -> None:
    """Draw the errors of the layers, and the gradients of layer 0 in the first run."""
    layers = ("layer 0", "layer 2", "layer 3")
    for i, name in enumerate(CONDITIONS):
        errors = np.stack([measured[name][layer] for layer in layers], axis=1)
        _style.runs(by_layer, i, np.arange(3) + 0.06 * i, np.maximum(errors, 1e-17), name)
        look = {**_style.style(i), "linestyle": "", "alpha": 0.7}
        entries.plot(measured[name]["fastnn"][0], measured[name]["by hand"][0], label=name, **look)
    entries.axline((0, 0), slope=1, **_style.GUIDE)
    by_layer.set(yscale="log", xticks=range(3), xticklabels=layers, ylabel="error / largest gradient")
    entries.set(xlabel="gradient of a weight of layer 0, fastnn", ylabel="by hand")
    _style.legend(entries)
