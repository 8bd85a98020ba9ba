"""`TrainingDiverged`, the error of a loss that is not finite, and the search for the first layer that is not."""

from __future__ import annotations

import numpy as np

from fastnn.engine import Executor
from fastnn.nn import Sequential
from fastnn.nn.container_base import walk_in_sequence

__all__ = ["TrainingDiverged"]


class TrainingDiverged(ArithmeticError):
    """The loss of a step, or a parameter after it, is NaN or infinite.

    The net is as it was at the start of the epoch, and the optimiser is reset. After `Trainer.train_on_batch` nothing
    has changed.

    Attributes
    ----------
    epoch, step : int
        The epoch and the step, both counted from 1. Steps are updates since the optimiser's last reset.
    loss : float
        The step's loss.
    lr : float
        The step's learning rate.
    layer : str
        The first layer, in forward order, with NaN or infinity: "3 (Dense)", "the input" or "none, the loss itself".
    unchanged : bool
        Whether net and optimiser are as before the call.
    was_finite : bool
        Whether all parameters were finite before the step. After `Trainer.train_on_batch` they may not be: what an
        update makes of them shows in the next loss.
    """

    def __init__(
        self,
        epoch: int,
        step: int,
        loss: float,
        lr: float,
        layer: str,
        unchanged: bool = False,
        was_finite: bool = True,
    ) -> None:
        super().__init__(epoch, step, loss, lr, layer, unchanged, was_finite)
        self.epoch, self.step, self.loss, self.lr, self.layer = epoch, step, loss, lr, layer
        self.unchanged, self.was_finite = unchanged, was_finite

    @property
    def _state(self) -> str:
        if not self.was_finite:
            return "Parameters were NaN or infinite before the call, and still are: load earlier ones or begin anew"
        if self.unchanged:
            return "Net and optimiser are as before the call"
        return "The net is as at the start of the epoch, the optimiser is reset"

    def __str__(self) -> str:
        return (
            f"training diverged: epoch {self.epoch}, step {self.step}, learning rate {self.lr:g}, loss {self.loss:g}, "
            f"first non-finite layer: {self.layer}. {self._state}. "
            "Try a lower learning rate, or scale the input"
        )


def first_nonfinite(net: Sequential, executor: Executor, rows: int) -> str:
    """Return the name of the first layer, in forward order, with NaN or infinity after a step.

    Parameters
    ----------
    net : Sequential
    executor : Executor
        The executor that ran the step. Its buffers contain the step's activations: with nothing fused, those of all
        layers.
    rows : int
        Number of rows of the step's batch.

    Returns
    -------
    str
        "3 (Dense)", "the input" or "none, the loss itself".
    """
    program = executor.program
    ids = [each.column for each in program.ids.values()]  # ids may be NaN
    if not np.isfinite(np.delete(executor.array(program.input, rows), ids, axis=1)).all():
        return "the input"
    paths = net.emit(training=True)[0].paths
    names = {layer.path: type(layer).__name__ for layer, _ in walk_in_sequence(net.layers, None)}
    for op in program.sections["forward"]:
        parameters = [name.partition(":")[2] for name in op.buffers.values() if name.startswith("param:")]
        arrays = [net.params.view(name) for name in parameters]
        arrays += [executor.array(op.buffers[role], rows) for role in ("h", "y") if role in op.buffers]
        if not all(np.isfinite(array).all() for array in arrays):
            path = parameters[0] if parameters else paths[op.buffers["y"]]
            while path and path not in names:  # the name of a parameter, which may have points
                path = path.rpartition(".")[0]
            return f"{path} ({names.get(path, 'a layer')})"
    return "none, the loss itself"
