"""The program that computes the running statistics of a net's batch norms in one pass over the training rows."""

from __future__ import annotations

from fastnn.engine.lower import Builder, Program, lower_inference
from fastnn.engine.ops import Op, make_op


def lower_statistics(training: Builder, inference: Builder, output: str) -> Program | None:
    """Return a program of input and forward whose batch norms use the batch's statistics and take their means.

    All else is as in inference: there is no dropout, and batch norms that keep their statistics in training do so.
    After some batches, the running statistics are the means over these batches, whatever the momentum is.

    Parameters
    ----------
    training, inference : Builder
        They have the net's forward ops, those of training and those of inference.
    output : str
        The buffer of the net's output in `inference`.

    Returns
    -------
    Program or None
        None if no batch norm uses the batch's statistics in training.
    """
    norms = {op.buffers["running_mean"]: op for op in training.ops if op.kind == "batch_norm"}
    inference.ops = [
        _with_batch_statistics(inference, op, norms[op.buffers["mean"]])
        if op.kind == "affine" and op.buffers["mean"] in norms
        else op
        for op in inference.ops
    ]
    program = lower_inference(inference, output)
    return program if program.has_batch_statistics else None


def _with_batch_statistics(builder: Builder, affine: Op, norm: Op) -> Op:
    """Return the batch norm that takes the place of its affine map; it counts the batches."""
    width = builder.batch[affine.buffers["x"]]
    statistics = {role: norm.buffers[role] for role in ("running_mean", "running_var")}
    own = {"mean": builder.vector(width), "inv_std": builder.vector(width)}
    count = norm.buffers.get("count") or builder.vector(1)
    kept = {role: affine.buffers[role] for role in ("x", "gamma", "beta", "y")}
    return make_op("batch_norm", {**kept, **statistics, **own, "count": count}, eps=norm.attrs["eps"])


def reset_values(program: Program) -> dict[str, float]:
    """Return what the running statistics and counts of such a program are before its first batch, by buffer."""
    start = {"running_mean": 0.0, "running_var": 1.0, "count": 0.0}
    norms = [op for op in program.sections["forward"] if op.kind == "batch_norm"]
    return {op.buffers[role]: value for op in norms for role, value in start.items()}
