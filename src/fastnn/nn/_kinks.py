"""On which side of each activation's kinks a forward pass was: the gradient check leaves out weights that cross one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn import kernels
from fastnn._activations import ACTIVATIONS
from fastnn.engine import Executor, Op, derivative_buffer, derivative_needs_input


def sides(executor: Executor, rows: int) -> bytes:
    """Return bits that say on which side of each kink the executor's last forward pass, of so many rows, was."""
    packed = []
    for op in executor.program.sections["forward"]:
        for buffer, kink in _kinks(op):
            values = executor.array(buffer, rows)
            packed += [np.packbits(values > kink), np.packbits(values >= kink)]
    return b"".join(array.tobytes() for array in packed)


def _kinks(op: Op) -> Iterator[tuple[str, float]]:
    """Yield the kinks of an op's activation: each as a buffer, and the value at which the buffer crosses the kink."""
    if op.kind == "prelu":
        yield op.buffers["x"], 0.0
    if "activation" not in op.attrs:
        return
    row = ACTIVATIONS[op.attrs["activation"]]
    parameters = dict(zip((p.name for p in row.parameters), op.attrs["parameters"], strict=True))
    for kink in row.kinks:
        x = parameters[kink] if isinstance(kink, str) else kink
        # Where only the output is kept, the function is increasing: the output is compared with its value at the kink.
        at = x if derivative_needs_input(op) else kernels.activation(op.attrs["activation"], x, **parameters).item()
        yield derivative_buffer(op), at
