"""Sums along axes, and a bias gradient that goes wrong in silence.

What the post says
------------------
``np.sum(a, axis=0)`` sums along the rows, ``axis=1`` along the columns, and the axis disappears; ``keepdims=True``
keeps it. Also: ``a[[1, 3, 4]]`` takes the rows 1, 3 and 4.

Formula
-------
The axis that is named is the one that disappears:

    a.sum(axis=0)[j] = a[0, j] + a[1, j] + ...      goes down the rows, leaves a number for each column
    a.sum(axis=1)[i] = a[i, 0] + a[i, 1] + ...      goes along a row, leaves a number for each row

z = x W + b adds b to each row, so the gradient of b is the sum over the rows: ``dz.sum(axis=0)``. In courses that keep
samples in columns, b has the shape (units, 1), and it is ``dz.sum(axis=1, keepdims=True)``.

What to look at
---------------
A layer with four units, and a batch of four samples: then the wrong axis has the right shape, and NumPy says nothing.
Without keepdims, b of the shape (4, 1) minus a gradient of the shape (4,) becomes (4, 4): 16 numbers, in silence
again. The gradient check finds both: the first gradient has wrong numbers, the second a shape that is not that of b.

What to try
-----------
- ``SAMPLES = 5``: NumPy refuses the first mistake now. And the second?
- ``a = np.arange(12).reshape(6, 2); a[[1, 3, 4]] = 0`` changes a; ``b = a[[1, 3, 4]]; b[...] = 1`` does not, as it is a
  copy. ``b = a[1:4]`` is a view.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import nn
from fastnn._typing import Array
from fastnn.lab import Between, Figures, Measured
from fastnn.plot import _style

POST = "004"
QUESTION = "How to write it?"
TWINS = ("dense_grad_bias",)
SEEDS = 3

SAMPLES, UNITS = 4, 4

ROWS, COLUMNS = (UNITS,), (UNITS, 1)  # the shape of b, if samples are rows, and if they are columns
CONDITIONS: dict[str, tuple[tuple[int, ...], Any]] = {
    "samples are rows: axis=0": (ROWS, lambda dz: dz.sum(axis=0)),
    "samples are rows: axis=1": (ROWS, lambda dz: dz.sum(axis=1)),
    "in columns: axis=1, keepdims": (COLUMNS, lambda dz: dz.T.sum(axis=1, keepdims=True)),
    "in columns: axis=1": (COLUMNS, lambda dz: dz.T.sum(axis=1)),
}


def passes(loss: Any, gradient: Any, b: Array) -> bool:
    """Whether the gradient check passes; a gradient that has another shape than b is refused."""
    try:
        return fastnn.check_gradient(loss, gradient, b).ok
    except ValueError:
        return False


def measure(seed: int) -> Figures:
    """Check each way to sum, for the loss of a layer by its bias."""
    rng = np.random.default_rng(seed)
    xW, y = rng.normal(size=(SAMPLES, UNITS)), rng.integers(0, UNITS, SAMPLES)
    dz, cross_entropy = np.empty_like(xW), nn.CrossEntropyLoss()

    def loss(b: Array) -> float:
        return cross_entropy(xW + b.ravel(), y, grad=dz)  # fills dz

    found = {}
    for name, (shape, total) in CONDITIONS.items():
        b = rng.normal(size=shape)
        loss(b)
        db = total(dz)
        found[name] = {
            "numbers in b": b.size,
            "in b - 0.1 db": (b - 0.1 * db).size,
            "check passes": int(passes(loss, lambda b, db=db: db, b)),
        }
    return found


RIGHT = ("samples are rows: axis=0", "in columns: axis=1, keepdims")
WRONG = ("samples are rows: axis=1", "in columns: axis=1")
CLAIMS = (
    *(Between(f"{name}: the check passes.", (name, "check passes"), 1, 1) for name in RIGHT),
    *(Between(f"{name}: the check finds it.", (name, "check passes"), 0, 0) for name in WRONG),
    Between("The wrong axis keeps the shape of b.", (WRONG[0], "in b - 0.1 db"), UNITS, UNITS),
    Between("Without keepdims b becomes a matrix.", (WRONG[1], "in b - 0.1 db"), UNITS * UNITS, UNITS * UNITS),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw how many numbers b has after a step, and whether the check passes."""
    sizes = [measured.mean(name, "in b - 0.1 db") for name in CONDITIONS]
    panel.barh(range(len(sizes)), sizes, color=_style.style(0)["color"])
    for i, name in enumerate(CONDITIONS):
        ok = measured.mean(name, "check passes") == 1
        panel.annotate("check passes" if ok else "check fails", (sizes[i] + 0.3, i), va="center")
    panel.set(
        yticks=range(len(sizes)),
        yticklabels=CONDITIONS,
        xlabel="numbers in b after a step",
        xlim=(0, 21),
        xticks=[0, 4, 16],
    )
    panel.invert_yaxis()
