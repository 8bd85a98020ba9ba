"""What `_optimizer` holds: the optimiser's numbers and arrays as scikit-learn names them."""

from __future__ import annotations

import copy
import math
from typing import Any

from fastnn._typing import Array


class OptimizerState:
    """The state of the optimiser between two calls.

    Attributes
    ----------
    kind : str
        The name of its update among fastnn's kernels.
    learning_rate_init, learning_rate : float
        The rate at first, and the one in force.
    base_rate : float
        The rate in force, without Adam's correction of the bias.
    t : int
        Updates so far.
    epoch, schedule_step : int
        Epochs so far, and what a schedule by steps has counted.
    history : list of dict
        What callbacks were told of each of them.
    slots : list of list of ndarray
        For each of the optimiser's slots one array a parameter: coefs, then intercepts, then others.
    """

    def __init__(self, kind: str, learning_rate: float, slots: list[list[Array]]) -> None:
        self.kind = kind
        self.learning_rate_init = self.learning_rate = self.base_rate = learning_rate
        self.t = self.epoch = self.schedule_step = 0
        self.history: list[dict[str, float]] = []
        self.slots = slots

    @property
    def velocities(self) -> list[Array]:
        """Of gradient descent with momentum."""
        return self.slots[0]

    @property
    def ms(self) -> list[Array]:
        """Of Adam: first moments."""
        return self.slots[0]

    @property
    def vs(self) -> list[Array]:
        """Of Adam: second moments."""
        return self.slots[1]

    def copy(self, trainer: Any = None) -> OptimizerState:
        """Return a state of its own, as it is now; where the trainer is, if that is told."""
        twin = copy.copy(self)
        if trainer is not None:
            twin.copy_progress(trainer)
        twin.slots = [[array.copy() for array in slot] for slot in self.slots]
        twin.history = [dict(epoch) for epoch in twin.history]
        return twin

    def take(self, t: int, epoch: int, slots: list[list[Array]]) -> None:
        """Be at this count of updates and epochs, with these slots."""
        self.schedule_step += t - self.t
        self.t, self.epoch, self.slots = t, epoch, slots

    def copy_progress(self, trainer: Any) -> None:
        """Note where the trainer is; for Adam, scikit-learn tells the rate with the correction of the bias."""
        self.t, self.epoch, self.history = trainer.step_count, trainer.epoch, trainer.history.epochs
        self.schedule_step = trainer.schedule_step
        self.learning_rate = self.base_rate = trainer.lr
        if getattr(trainer.optimizer, "eps_hat", False) and self.t:
            beta1, beta2 = trainer.optimizer.betas
            self.learning_rate = trainer.lr * math.sqrt(1 - beta2**self.t) / (1 - beta1**self.t)

    def goes_on_in(self, kind: str, slots: list[list[Array]]) -> bool:
        """Whether an update of this kind can take over what is in the slots; Nesterov's form only looks ahead."""
        alike = {self.kind, kind} <= {"velocity", "nesterov_velocity"}
        shapes = [[[array.shape for array in slot] for slot in each] for each in (self.slots, slots)]
        return (alike or self.kind == kind) and shapes[0] == shapes[1]
