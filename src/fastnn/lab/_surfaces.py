"""Surfaces of two numbers, and fastnn's optimisers on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn._typing import Array

LOST = 1e6  # a point beyond it counts as infinite


@dataclass(frozen=True)
class Surface:
    """A function f of two numbers x and y.

    Attributes
    ----------
    value : callable
        Takes x and y, which may be arrays of one shape, and returns f.
    gradient : callable
        Takes x and y, and returns (df/dx, df/dy).
    """

    value: Callable[[Any, Any], Any]
    gradient: Callable[[Any, Any], Array]


SADDLE = Surface(
    lambda x, y: x**2 / 2 - y**2 / 2 + y**4 / 4,
    lambda x, y: np.array([x, y**3 - y]),
)
"""A saddle at (0, 0) between two minima, at (0, 1) and (0, -1)."""

ROSENBROCK = Surface(
    lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    lambda x, y: np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]),
)
"""A flat, bent valley with steep sides (Rosenbrock, 1960); the minimum is at (1, 1)."""


def ravine(curvature: float, turned: float = 0.0) -> Surface:
    """Return the quadratic whose curvature is 1 along the ravine and another one across; the minimum is at (0, 0).

    Parameters
    ----------
    curvature : float
        Across the ravine, which runs along the x axis.
    turned : float, default 0.0
        The angle by which it is turned, in degrees.
    """
    c, s = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
    turn = np.array([[c, -s], [s, c]])
    H = turn @ np.diag([1.0, curvature]) @ turn.T
    return Surface(
        lambda x, y: (H[0, 0] * x**2 + 2 * H[0, 1] * x * y + H[1, 1] * y**2) / 2,
        lambda x, y: H @ np.array([x, y]),
    )


def descend(surface: Surface, optimizer: Any, start: Any, steps: int, schedule: Any = None) -> Array:
    """Let an optimiser of fastnn descend, and return its points, of shape (steps + 1, 2).

    The two numbers are the weights of a net whose input is 1, so that its output is the point. Once a point is not
    finite, or far away, all are infinite; once a method has converged, all are the same.
    """
    path = np.full((steps + 1, 2), np.inf)
    path[0] = start
    if isinstance(optimizer, optim.FullBatch):
        points = _points(surface, optimizer, path[0], steps)
        path[: len(points)], path[len(points) :] = points, points[-1]
        return path
    net = nn.Sequential(nn.Dense(1, 2, bias=False), dtype="float64", seed=0)
    weight = net.parameters()["0.weight"]
    weight[...] = path[0]
    trainer = fastnn.Trainer(net, "mean_squared_error", optimizer, schedule=schedule)
    for step in range(steps):
        (point,) = net.forward([[1.0]], training=True)
        net.backward(surface.gradient(*point)[None])
        trainer.step()
        if not np.abs(weight).max() < LOST:
            break
        path[step + 1] = weight
    return path


def _points(surface: Surface, optimizer: optim.FullBatch, start: Array, steps: int) -> list[Array]:
    """Return the start and the points of an optimiser that is given a function."""
    points = [start]

    def function(point: Array) -> tuple[float, Array]:
        return float(surface.value(*point)), surface.gradient(*point)

    def accept(point: Array) -> bool:
        points.append(point.copy())
        return False

    optimizer.minimize(function, start, steps, accept)
    return points


def heights(surface: Surface, path: Array) -> Array:
    """Return the value at each point of a path, infinite where the point is."""
    values = np.full(len(path), np.inf)
    near = np.isfinite(path).all(axis=1)
    values[near] = surface.value(*path[near].T)
    return values


def first(where: Array) -> float:
    """Return the index of the first True, or infinity if there is none."""
    return float(np.argmax(where)) if where.any() else np.inf
