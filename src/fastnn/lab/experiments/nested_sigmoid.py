"""The sigmoid of the sigmoid of the sigmoid.

What the post says
------------------
The forward pass with the sigmoid has a problem, too: nested three times, all its outputs converge to 0.659.

Where the post errs
-------------------
After three times all outputs are near 0.659, between 0.622 and 0.675. They come as near as one likes only with more
nestings; each makes the range about 0.22 times as wide.

In a net there are weights between the layers, so that units have other values than 0.659. What is true there as well:
with each layer, the outputs depend less on the input.

Formula
-------
The sequence ``x, s(x), s(s(x)), ...`` converges to the fixed point, the only x with ``s(x) = x``:

    s(0.6590460684) = 0.6590460684, with the slope s (1 - s) = 0.2247

What to look at
---------------
The left picture: where the nestings take the smallest and the largest number there is. The right one: how far apart the
outputs of a unit are for different digits, in a net with 10 layers and default initial weights; the standard deviation
over the rows, as the mean over the units.

What to try
-----------
- ``kernels.tanh`` in place of the sigmoid: where does it converge to, and how fast?
- ``nn.Tanh()`` and ``nn.ReLU()`` in the net.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels, nn
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.lab._tasks import net, real
from fastnn.plot import _style

POST = "003"
QUESTION = "Which activation?"
TWINS = ("sigmoid",)
SEEDS = 3
PANELS = 2

NESTED = kernels.sigmoid
LAYER = nn.Sigmoid()
TIMES = (1, 2, 3, 5, 10)


def measure(seed: int) -> Figures:
    """Nest the function, and pass digits through as many layers of a net."""
    extremes = np.array([-np.inf, np.inf])
    ranges = []
    for _ in range(max(TIMES)):
        extremes = NESTED(extremes)
        ranges.append(extremes)

    model = net([64] * (max(TIMES) + 1) + [10], LAYER, seed=seed, dtype="float64")
    outputs = model.activations(real("digits", seed=seed).X)[1::2]
    spreads = [each.std(axis=0).mean() for each in outputs]

    found: dict[str, dict[str, Any]] = {}
    for times in TIMES:
        low, high = ranges[times - 1]
        spread = spreads[times - 1]
        found[f"{times} times"] = {"lowest": low, "highest": high, "range": high - low, "in a net": spread}
    found["1 times"] |= {"all ranges": np.array(ranges), "all spreads": spreads}
    return found


CLAIMS = (
    Between("After three times nothing is below 0.622459.", ("3 times", "lowest"), 0.622459, 0.66),
    Between("Nothing is above 0.675038.", ("3 times", "highest"), 0.65, 0.675038),
    Between("They are not all the same yet.", ("3 times", "range"), 0.05, 0.06),
    Between("After ten times the lowest is at the fixed point.", ("10 times", "lowest"), 0.65904, 0.65905),
    Between("So is the highest.", ("10 times", "highest"), 0.65904, 0.65905),
    Below(
        "In a net with weights, three layers bring the digits close together, too.", ("3 times", "in a net"),
        ("1 times", "in a net"), factor=5,
    ),
)  # fmt: skip


def draw(measured: Measured, nested: Any, in_net: Any) -> None:
    """Draw the range by the number of nestings, and the spread in a net by the number of layers."""
    figures, times = measured["1 times"], np.arange(1, max(TIMES) + 1)
    for i, (name, values) in enumerate(
        zip(("smallest input", "largest input"), figures["all ranges"][0].T, strict=True)
    ):
        _style.line(nested, i, times, values, name)
    nested.axhline(0.6590460684, **_style.GUIDE)
    nested.set(xlabel="times nested", ylabel="output")
    _style.legend(nested)
    _style.runs(in_net, 2, times, figures["all spreads"], "net")
    in_net.set(yscale="log", xlabel="layer of a net", ylabel="standard deviation over digits")
