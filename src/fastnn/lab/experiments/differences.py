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
The table shows the difference minus 3, the picture the size of this error. On logarithmic axes they are lines of the
slopes 1 and 2. So far, a smaller step is better. But f is rounded: its last digit, about 1e-16, is divided by h, too.
That is the ragged line that rises to the left. The best two-sided step is near 6e-6, the cube root of 2e-16;
``fastnn.check_gradient`` takes that one.

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
from fastnn.lab._claims import Between, Figures, Measured
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
    """Measure how far the differences are from 3, by the step; nothing is random here."""
    found = {f"h = {h:g}": minus_3(one_sided(1, h), two_sided(1, h)) for h in STEPS}
    checked = fastnn.check_gradient(f, slope, 1.0, step=0.01).blocks[0].worst
    assert checked is not None
    found["check_gradient"] = minus_3(checked.one_sided, checked.two_sided)
    for side in ("one-sided", "two-sided"):
        error = {h: abs(found[f"h = {h:g}"][f"{side} - 3"]) for h in STEPS}
        coarse, middle, fine, finest = (error[STEPS[k]] for k in (1, 3, 4, 11))  # h = 1e-2, 1e-4, 1e-5, 1e-12
        found.setdefault("order", {})[f"of {side}"] = np.log10(coarse / middle) / 2  # h falls by two powers of ten
        found.setdefault("error, 1e-12 / 1e-5", {})[f"of {side}"] = finest / fine
    return found


def minus_3(one: float, two: float) -> dict[str, float]:
    """Return the errors of the one-sided and the two-sided difference, with their signs."""
    return {"one-sided - 3": one - 3, "two-sided - 3": two - 3}


ROUNDING = 1e-9
CLAIMS = (
    *(
        Between(f"{text} {3 + error}, that is 3 + {error}.", where, error - ROUNDING, error + ROUNDING)
        for text, where, error in (
            ("One-sided, h = 0.01:", ("h = 0.01", "one-sided - 3"), 0.0301),
            ("Two-sided, h = 0.01:", ("h = 0.01", "two-sided - 3"), 0.0001),
            ("fastnn finds the same,", ("check_gradient", "two-sided - 3"), 0.0001),
        )
    ),
    Between("The error of the one-sided difference is of order h^1.", ("order", "of one-sided"), 0.99, 1.01),
    Between("The error of the two-sided difference is of order h^2.", ("order", "of two-sided"), 1.99, 2.01),
    Between(
        "Steps may be too small: rounding makes the error larger again.",
        ("error, 1e-12 / 1e-5", "of two-sided"),
        1000,
        1e9,
    ),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the errors by the step."""
    for i, side in enumerate(("one-sided", "two-sided")):
        errors = [abs(measured.mean(f"h = {h:g}", f"{side} - 3")) for h in STEPS]
        _style.line(panel, i, STEPS, np.maximum(errors, 1e-16), side)
    panel.set(xscale="log", yscale="log", xlabel="step h", ylabel="error of the slope")
    _style.legend(panel)
