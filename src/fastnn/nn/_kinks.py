"""On which side of the kinks of activations and encodings a forward pass was.

The gradient check leaves out weights that cross one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastnn import kernels
from fastnn._activations import ACTIVATIONS
from fastnn.engine import Executor, Op, derivative_buffer, derivative_needs_input


def sides(executor: Executor, rows: int) -> bytes:
    """Return bits that say on which side of each kink the executor's last forward pass, of so many rows, was."""
    packed = []
    for op in executor.program.sections["forward"]:
        for buffer, column, kinks in _kinks(op):
            values = executor.array(buffer, rows)[:, column]
            packed += [np.searchsorted(kinks, values, side=side).tobytes() for side in ("left", "right")]
    return b"".join(packed)


def _kinks(op: Op) -> Iterator[tuple[str, int | slice, Sequence[float]]]:
    """Yield the kinks of an op: a buffer, columns of it, and the values, ascending, at which these cross a kink."""
    whole = slice(None)
    if op.kind == "prelu":
        yield op.buffers["x"], whole, [0.0]
    if op.kind == "piecewise_linear":
        for column, edges in enumerate(op.attrs["bins"], op.attrs["column"]):
            yield op.buffers["x"], column, edges[1:-1]
    if "activation" not in op.attrs:
        return
    row = ACTIVATIONS[op.attrs["activation"]]
    parameters = dict(zip((p.name for p in row.parameters), op.attrs["parameters"], strict=True))
    for kink in row.kinks:
        x = parameters[kink] if isinstance(kink, str) else kink
        # Where only the output is kept, the function is increasing: the output is compared with its value at the kink.
        at = x if derivative_needs_input(op) else kernels.activation(op.attrs["activation"], x, **parameters).item()
        yield derivative_buffer(op), whole, [at]
