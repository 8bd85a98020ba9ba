"""The chain rule by hand: back through a sum, a product, and a value that is used twice.

What the post says
------------------
A net is functions inside functions, so the chain rule gives its gradients, from the loss back to the inputs. A few
rules are enough: one for a sum, one for a product, one for an activation, one for a value that goes to several places.

Formula
-------
Let du be the derivative of the loss by u. What goes back:

    u = a + b           da = du,       db = du            a sum passes on what comes
    u = a * b           da = du * b,   db = du * a        a product: times the partner
    u = f(a)            da = du * f'(a)                   an activation: times its slope
    u = a, v = a        da = du + dv                      used twice: the gradients add up

The net has all of them, and u is even used three times:

    u = x A,   s = sigmoid(u B),   z = (u + u * s) C,   loss = mean of (z - y)^2

What to look at
---------------
``gradients`` is the whole way back, ten lines. Without bugs they equal the gradients of fastnn, and the differences of
the loss, (L(w + h) - L(w - h)) / 2h. Then one rule each has a bug. The bars show which gradients become wrong: those
behind the bug on the way back. That of C, the last layer, is before all of them, and always right.

What to try
-----------
- ``tanh(u B)`` in place of the sigmoid: which two lines have to change?
- A bug of your own in ``Rules``, such as a product with the own factor. Which bars rise?
- A layer that is used twice, ``z = x A A``: how many summands has dA?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn import kernels, nn
from fastnn._typing import Array
from fastnn.lab import Between, Figures, Measured
from fastnn.lab.experiments.gradient_check import differences
from fastnn.plot import _style

POST = "001"
QUESTION = "Is the gradient right?"
TWINS = ("dense_grad_weight", "dense_grad_input", "sigmoid_backward")
SEEDS = 3


class Rules(NamedTuple):
    """What goes back through each operation."""

    used_twice: Callable[[Array, Array], Array] = lambda du, dv: du + dv
    product: Callable[[Array, Array, Array], tuple[Array, Array]] = lambda du, a, b: (du * b, du * a)
    sigmoid: Callable[[Array, Array], Array] = lambda ds, s: ds * s * (1 - s)


CONDITIONS = {
    "right": Rules(),
    "bug: one use forgotten": Rules(used_twice=lambda du, dv: dv),
    "bug: product, no partner": Rules(product=lambda du, a, b: (du, du)),
    "bug: no slope": Rules(sigmoid=lambda ds, s: ds),
}
NAMES = ("C", "B", "A")  # in the order of the way back


def forward(x: Array, A: Array, B: Array, C: Array) -> tuple[Array, Array, Array]:
    """Return the values on the way: u, s and z."""
    u = x @ A
    s = kernels.sigmoid(u @ B)
    return u, s, (u + u * s) @ C


def gradients(rules: Rules, x: Array, y: Array, A: Array, B: Array, C: Array) -> dict[str, Array]:
    """Return the gradients of the loss by hand."""
    u, s, z = forward(x, A, B, C)
    dz = 2 * (z - y) / z.size
    dC = (u + u * s).T @ dz
    dh = dz @ C.T  # h = u + u * s, a sum: both summands get dh
    du, ds = rules.product(dh, u, s)
    du = rules.used_twice(dh, du)
    dv = rules.sigmoid(ds, s)  # v = u B
    dB = u.T @ dv
    du = rules.used_twice(du, dv @ B.T)
    return {"C": dC, "B": dB, "A": x.T @ du}


def measure(seed: int) -> Figures:
    """Compare the gradients by hand with those of fastnn, and with differences of the loss."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    gate = nn.Sequential(nn.Dense(5, 5, bias=False), nn.Sigmoid())
    gated = nn.Residual(nn.Parallel(nn.Identity(), gate, join="multiply"))  # u + u * s
    ends = nn.Dense(4, 5, bias=False), nn.Dense(5, 2, bias=False)
    model = nn.Sequential(ends[0], gated, ends[1], dtype="float64", seed=seed)
    z = model.forward(x, training=True)
    dz = np.empty_like(z)
    nn.MSELoss()(z, y, grad=dz)
    model.backward(dz)
    theirs = dict(zip("ABC", model.gradients().values(), strict=True))
    weights = dict(zip("ABC", model.parameters().values(), strict=True))

    def loss() -> float:
        return float(np.mean((forward(x, **weights)[2] - y) ** 2))

    slopes = {name: differences(loss, w.reshape(-1), True).reshape(w.shape) for name, w in weights.items()}
    found: dict[str, dict[str, float]] = {}
    for condition, rules in CONDITIONS.items():
        ours = gradients(rules, x, y, **weights)
        found[condition] = {f"error of d{name}": error(ours[name], theirs[name]) for name in NAMES}
        found[condition]["from differences"] = max(error(ours[name], slopes[name]) for name in NAMES)
    return found


def error(a: Array, b: Array) -> float:
    """Return the relative error."""
    return float(np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b)))


BUGS = list(CONDITIONS)[1:]
CLAIMS = (
    *(Between(f"d{name} by hand equals that of fastnn.", ("right", f"error of d{name}"), 0, 1e-12) for name in NAMES),
    Between("All equal the differences of the loss.", ("right", "from differences"), 0, 1e-7),
    *(Between(f"dA is wrong with the {bug}.", (bug, "error of dA"), 0.02, 1) for bug in BUGS),
    Between("dB is right where only a summand of du is forgotten.", (BUGS[0], "error of dB"), 0, 1e-12),
    Between("It is wrong where the product is.", (BUGS[1], "error of dB"), 0.02, 1),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the error of each gradient, without and with the bugs."""
    for i, (condition, hatch) in enumerate(zip(CONDITIONS, ("", "///", "...", "xx"), strict=True)):
        errors = [max(measured.mean(condition, f"error of d{name}"), 1e-17) for name in NAMES]
        places = np.arange(len(NAMES)) + 0.2 * (i - 1.5)
        panel.bar(places, errors, 0.18, color=_style.style(i)["color"], hatch=hatch, edgecolor="white", label=condition)
    panel.axhline(1e-7, label="limit of right", **_style.GUIDE)
    ticks = [f"d{name}" for name in NAMES]
    panel.set(yscale="log", ylim=(1e-17, 10), xticks=range(len(NAMES)), xticklabels=ticks, ylabel="relative error")
    panel.set_xlabel("gradient, in the order of the way back")
    _style.legend(panel)
