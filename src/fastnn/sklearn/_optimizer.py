"""What `_optimizer` holds: the optimiser's numbers and arrays as scikit-learn names them."""

from __future__ import annotations

import copy
import math
from typing import Any

from fastnn._typing import Array
from fastnn.sklearn._average import AverageState


class OptimizerState:
    """The state of the optimiser between two calls.

    Attributes
    ----------
    kind : str
        The optimiser's name among fastnn's update kernels.
    learning_rate_init, learning_rate : float
        The initial rate, and the current one.
    base_rate : float
        The current rate without Adam's bias correction.
    t : int
        Number of updates so far.
    epoch, schedule_step : int
        Number of epochs so far, and of updates that a schedule by steps has counted.
    history : list of dict
        The logs that callbacks got at the end of each epoch.
    average : AverageState or None
        The average of the weights, and what is trained, between two calls.
    slots : list of list of ndarray
        For each of the optimiser's slots one array per parameter: coefs, then intercepts, then others.
    """

    def __init__(self, kind: str, learning_rate: float, slots: list[list[Array]]) -> None:
        self.kind = kind
        self.learning_rate_init = self.learning_rate = self.base_rate = learning_rate
        self.t = self.epoch = self.schedule_step = 0
        self.history: list[dict[str, float]] = []
        self.slots = slots
        self.average: AverageState | None = None

    @property
    def velocities(self) -> list[Array]:
        """The velocities of gradient descent with momentum."""
        return self.slots[0]

    @property
    def ms(self) -> list[Array]:
        """Adam's first moments."""
        return self.slots[0]

    @property
    def vs(self) -> list[Array]:
        """Adam's second moments."""
        return self.slots[1]

    def copy(self, trainer: Any = None) -> OptimizerState:
        """Return a copy that shares no array with this state; with a trainer, its progress is the trainer's."""
        twin = copy.copy(self)
        if trainer is not None:
            twin.copy_progress(trainer)
        twin.slots = [[array.copy() for array in slot] for slot in self.slots]
        twin.history = [dict(epoch) for epoch in twin.history]
        twin.average = None if twin.average is None else twin.average.copy()
        return twin

    def set_progress(self, t: int, epoch: int, slots: list[list[Array]]) -> None:
        """Set the numbers of updates and epochs, and the slots."""
        self.schedule_step += t - self.t
        self.t, self.epoch, self.slots = t, epoch, slots

    def copy_progress(self, trainer: Any) -> None:
        """Copy the trainer's counts, history and rate. As in scikit-learn, Adam's rate includes bias correction."""
        self.t, self.epoch, self.history = trainer.step_count, trainer.epoch, trainer.history.epochs
        self.schedule_step = trainer.schedule_step
        self.learning_rate = self.base_rate = trainer.lr
        if getattr(trainer.optimizer, "eps_hat", False) and self.t:
            beta1, beta2 = trainer.optimizer.betas
            self.learning_rate = trainer.lr * math.sqrt(1 - beta2**self.t) / (1 - beta1**self.t)

    def can_continue_as(self, kind: str, slots: list[list[Array]]) -> bool:
        """Return whether an optimiser of this kind, with slots of these shapes, can use the arrays of this state.

        Momentum and Nesterov's momentum keep the same velocities; they differ only in what they add to the weights.
        """
        same_velocities = {self.kind, kind} <= {"velocity", "nesterov_velocity"}
        shapes = [[[array.shape for array in slot] for slot in each] for each in (self.slots, slots)]
        return (same_velocities or self.kind == kind) and shapes[0] == shapes[1]
