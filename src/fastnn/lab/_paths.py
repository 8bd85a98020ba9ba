"""A callback that keeps the weights after every step, to draw where they went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.training import Callback


class Path(Callback):
    """Keeps a copy of an array of parameters from before the first step, and after each step.

    Parameters
    ----------
    name : str
        The parameter's name, such as "2.weight".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._copies: list[Array] = []

    def on_fit_begin(self, trainer: Any) -> None:
        """Keep the initial weights."""
        self._copies = [trainer.net.parameters()[self.name].copy()]

    def on_batch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Keep the weights after a step."""
        self._copies.append(trainer.net.parameters()[self.name].copy())

    @property
    def weights(self) -> Array:
        """The copies, shape (steps + 1, number of weights)."""
        return np.stack([each.ravel() for each in self._copies])
