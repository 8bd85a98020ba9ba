"""Twice as much is more <than> one time.

What the post says
------------------
Twice is more, "always" & everywhere.

Where the post errs
-------------------
Not of numbers below 0.

Formula
-------
    2 x > x        where x > 0

And in words: ``2 * x`` is larger.

What to look at
---------------
- the line `above`,
- and the one
  below

What to try
-----------
Other numbers.
"""

import numpy as np

from fastnn.lab import Below, Between

POST = "003"
QUESTION = "How to begin?"
TWINS = ("relu",)
SEEDS = 3
CONDITIONS = {"once": 1.0, "twice": 2.0}


def measure(seed):
    return {
        name: {"height": factor * (1 + seed), "count": 7, "curve": factor * np.arange(4.0)}
        for name, factor in CONDITIONS.items()
    }


def draw(measured, ax):
    for name, figures in measured.items():
        ax.plot(figures["curve"].mean(axis=0), label=name)


CLAIMS = (
    Below("Twice is higher.", ("once", "height"), ("twice", "height"), factor=1.5),
    Between("The count is seven.", ("once", "count"), 6.5, 7.5),
)
