"""One-sided and two-sided differences.

What the post says
------------------
For f(t) = t^3 at t = 1, whose slope is 3, a step of 0.01 to one side gives 3.0301, and steps to both sides give 3.0001.
The error of the first is of the order of the step h, that of the second of the order of h^2.

Formula
-------
    one-sided:  (f(t + h) - f(t)) / h          error  f''(t) h / 2 + ...      here 3 h + h^2
    two-sided:  (f(t + h) - f(t - h)) / 2h     error  f'''(t) h^2 / 6 + ...   here h^2

What to look at
---------------
The table and the picture show errors: the distance from 3. On logarithmic axes they are lines of the slopes 1 and 2. So
far, a smaller step is better. But f is rounded: its last digit, about 1e-16, is divided by h, too. That is the ragged
line that rises to the left. The best two-sided step is near 6e-6, the cube root of 2e-16; ``fastnn.check_gradient``
takes that one.

What to try
-----------
- ``f`` as ``math.exp``, with the slope e.
- ``abs(t)`` at 0: what do the two differences say at a kink?
- float32, ``np.float32(1)``: where is the best step?
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn.lab._claims import Below, Between, Figures, Measured
from fastnn.plot import _style

POST = "002"
QUESTION = "Is the gradient right?"
TWINS = ()
SEEDS = 1

STEPS = tuple(10.0**-k for k in range(1, 13))


def f(t: float) -> float:
    """Return the cube."""
    return t * t * t


def slope(t: float) -> float:
    """Return the derivative of f."""
    return 3 * t * t


def one_sided(t: float, h: float) -> float:
    """Return the slope of f between t and t + h."""
    return (f(t + h) - f(t)) / h


def two_sided(t: float, h: float) -> float:
    """Return the slope of f between t - h and t + h."""
    return (f(t + h) - f(t - h)) / (2 * h)


def measure(_: int) -> Figures:
    """Measure the errors by the step; nothing is random here."""
    found = {
        f"h = {h:g}": {"one-sided": abs(one_sided(1, h) - 3), "two-sided": abs(two_sided(1, h) - 3)} for h in STEPS
    }
    checked = fastnn.check_gradient(f, slope, 1.0, step=0.01).blocks[0].worst
    assert checked is not None
    found["check_gradient"] = {"one-sided": abs(checked.one_sided - 3), "two-sided": abs(checked.two_sided - 3)}
    larger, smaller = found["h = 0.01"], found["h = 0.0001"]  # the step falls by two powers of ten
    found["order"] = {side: np.log10(larger[side] / smaller[side]) / 2 for side in larger}
    return found


CLAIMS = (
    Between("One-sided, h = 0.01: 3.0301.", ("h = 0.01", "one-sided"), 0.0301 - 1e-9, 0.0301 + 1e-9),
    Between("Two-sided, h = 0.01: 3.0001.", ("h = 0.01", "two-sided"), 0.0001 - 1e-9, 0.0001 + 1e-9),
    Between("fastnn finds the same, 3.0001.", ("check_gradient", "two-sided"), 0.0001 - 1e-9, 0.0001 + 1e-9),
    Between("The error of the one-sided difference is of order h^1.", ("order", "one-sided"), 0.99, 1.01),
    Between("The error of the two-sided difference is of order h^2.", ("order", "two-sided"), 1.99, 2.01),
    Below("Steps may be too small: rounding.", ("h = 1e-05", "two-sided"), ("h = 1e-12", "two-sided"), 1000),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the errors by the step."""
    for i, side in enumerate(("one-sided", "two-sided")):
        errors = [measured.mean(f"h = {h:g}", side) for h in STEPS]
        _style.line(panel, i, STEPS, np.maximum(errors, 1e-16), side)
    panel.set(xscale="log", yscale="log", xlabel="step h", ylabel="error of the slope")
    _style.legend(panel)
