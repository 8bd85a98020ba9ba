"""Loops against vectorised code.

What the post says
------------------
A layer can be written without loops: one over the samples can go, and one over the nodes.

Formula
-------
    z[i, j] = x[i, 0] w[0, j] + x[i, 1] w[1, j] + ... + b[j]        for all samples i and nodes j
    z = x @ w + b                                                   the same, in one line

What to look at
---------------
The time of each way to write it, for 100 samples, 64 inputs and 32 nodes. All give the same numbers. Each loop that
goes makes it faster: what costs is not the arithmetic, but that Python looks at each step anew. fastnn's kernel is one
compiled call, like NumPy's. Times differ from machine to machine and from run to run, so the verdicts ask only for
large ratios.

What to try
-----------
- ``ROWS = 1000``: which ways take ten times as long?
- One sample, ``ROWS = 1``: is the matrix product still faster than the loop over the nodes?
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastnn import kernels
from fastnn._typing import Array
from fastnn.lab import Below, Between, Figures, Measured
from fastnn.plot import _style

POST = "004"
QUESTION = "How to write it?"
TWINS = ("dense",)
SEEDS = 3

ROWS, INPUTS, NODES = 100, 64, 32


def three_loops(x: Array, w: Array, b: Array) -> Array:
    """Add up each product by itself."""
    z = np.empty((len(x), len(b)))
    for i, sample in enumerate(x.tolist()):
        for j, column in enumerate(w.T.tolist()):
            total = b[j]
            for value, weight in zip(sample, column, strict=True):
                total += value * weight
            z[i, j] = total
    return z


def two_loops(x: Array, w: Array, b: Array) -> Array:
    """Take one product of vectors for each sample and node."""
    z = np.empty((len(x), len(b)))
    for i in range(len(x)):
        for j in range(len(b)):
            z[i, j] = x[i] @ w[:, j] + b[j]
    return z


def loop_over_samples(x: Array, w: Array, b: Array) -> Array:
    """Compute all nodes of a sample at once (vectorised over nodes)."""
    z = np.empty((len(x), len(b)))
    for i in range(len(x)):
        z[i] = x[i] @ w + b
    return z


def no_loop(x: Array, w: Array, b: Array) -> Array:
    """Compute all samples and nodes at once."""
    z: Array = x @ w + b
    return z


CONDITIONS = {
    "three loops": three_loops,
    "two loops": two_loops,
    "loop over samples": loop_over_samples,
    "x @ w + b": no_loop,
    "fastnn.kernels.dense": kernels.dense,
}


def measure(seed: int) -> Figures:
    """Take the shortest time of five, and compare the results."""
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=(ROWS, INPUTS)), rng.normal(size=(INPUTS, NODES)), rng.normal(size=NODES)
    found = {}
    for name, function in CONDITIONS.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            z = function(x, w, b)
            times.append(time.perf_counter() - start)
        found[name] = {"ms": 1000 * min(times), "largest difference": np.abs(z - (x @ w + b)).max()}
    return found


CLAIMS = (
    *(Between(f"{name}: the same numbers.", (name, "largest difference"), 0, 1e-12) for name in CONDITIONS),
    Below("A product of vectors is faster than a loop.", ("two loops", "ms"), ("three loops", "ms"), 1.2),
    Below("Without the loop over nodes it is faster.", ("loop over samples", "ms"), ("two loops", "ms"), 3),
    Below("Without loops it is 20 times as fast as with two.", ("x @ w + b", "ms"), ("two loops", "ms"), 20),
    Below("So is fastnn.", ("fastnn.kernels.dense", "ms"), ("two loops", "ms"), 20),
)


def draw(measured: Measured, panel: Any) -> None:
    """Draw the times."""
    times = [measured.mean(name, "ms") for name in CONDITIONS]
    panel.plot(times, range(len(times)), **{**_style.style(0), "linestyle": "", "markersize": 8})
    panel.grid(axis="y", alpha=0.5)
    panel.set(xscale="log", yticks=range(len(times)), yticklabels=CONDITIONS, xlabel="time in ms")
    panel.invert_yaxis()
