"""The error of a training whose loss is not finite any more, and where that began."""

from __future__ import annotations

import numpy as np

from fastnn.engine import Builder, Executor
from fastnn.nn import Sequential

__all__ = ["TrainingDiverged"]


class TrainingDiverged(ArithmeticError):
    """The loss of a step, or a parameter after it, is NaN or infinite.

    The net is as at the end of the last epoch before, and the optimiser as new.

    Attributes
    ----------
    epoch, step : int
        Where it happened, counted from 1; steps over all epochs since the optimiser was new.
    loss : float
        The step's loss.
    lr : float
        The step's learning rate.
    layer : str
        What was the first to hold NaN or infinity, in forward order.
    """

    def __init__(self, epoch: int, step: int, loss: float, lr: float, layer: str) -> None:
        super().__init__(epoch, step, loss, lr, layer)
        self.epoch, self.step, self.loss, self.lr, self.layer = epoch, step, loss, lr, layer

    def __str__(self) -> str:
        return (
            f"training diverged: epoch {self.epoch}, step {self.step}, learning rate {self.lr:g}, loss {self.loss:g}; "
            f"first non-finite layer: {self.layer}. The net is as at the end of the last finite epoch, its optimiser "
            "as new; a lower learning rate or scaled input may help"
        )


def first_nonfinite(net: Sequential, executor: Executor, rows: int) -> str:
    """Name what is the first in forward order to hold NaN or infinity, in the buffers that a step has left behind.

    Parameters
    ----------
    net : Sequential
    executor : Executor
        Of a training program.
    rows : int
        Of the step's batch.

    Returns
    -------
    str
        "3 (Dense)", "the input" or "none, the loss itself".
    """
    program = executor.program
    if not np.isfinite(executor.array(program.input, rows)).all():
        return "the input"
    builder = Builder(net.in_features, training=True)
    layer_of, x = {builder.input: -1}, builder.input
    for index, layer in enumerate(net.layers):
        x = layer.emit(builder, x)
        layer_of.setdefault(x, index)
    for op in program.sections["forward"]:
        held = [name.partition(":")[2] for name in op.buffers.values() if name.startswith("param:")]
        arrays = [net.params.view(name) for name in held]
        arrays += [executor.array(op.buffers[role], rows) for role in ("h", "y") if role in op.buffers]
        if not all(np.isfinite(array).all() for array in arrays):
            index = int(held[0].split(".")[0]) if held else layer_of[op.buffers["y"]]
            return f"{index} ({type(net.layers[index]).__name__})"
    return "none, the loss itself"
