"""The ops of a loss: those that load its targets, and those that compute it and the gradient of the output."""

from __future__ import annotations

from fastnn.engine.backward import grad
from fastnn.engine.ops import Op, make_op
from fastnn.kernels.losses import LossCall

TARGET = "batch:target"
UNMIXED = "batch:unmixed"  # the targets of a batch before mixup


def loss_ops(
    loss: LossCall, output: str, batch: dict[str, int], *, target: str = "", loaded: str = TARGET
) -> tuple[list[Op], list[Op]]:
    """Return the ops that load a batch's targets, and those of the loss; `batch` gets the buffers that they need.

    `target` is the kind of targets that are loaded, by default that of the loss: of labels, a loss of rows gets rows of
    0 and 1. Rows are loaded into the buffer `loaded`; the loss reads `TARGET`.
    """
    load = [make_op("gather_labels", {})]
    if loss.target == "rows":
        batch[loaded] = batch[TARGET] = loss.target_width
        rows = {"target": loaded}
        if target == "labels":
            load.append(make_op("one_hot", rows))
        else:
            load = [make_op(kind, rows) for kind in ("gather_target", "scale_target")]
    if loss.heads:
        labels, ops = _heads_ops(loss, output, batch)
        load += labels
    else:
        ops = [_loss_op(loss, output, grad(output), TARGET)]
    return [*load, make_op("gather_weight", {})], ops


def _heads_ops(loss: LossCall, output: str, batch: dict[str, int]) -> tuple[list[Op], list[Op]]:
    """Return the ops that take the labels of heads, and those of their losses, each on columns of output and target.

    A head that has all columns works on them where they are.
    """
    labels: list[Op] = []
    ops: list[Op] = []
    for head, (single, outputs, targets) in enumerate(loss.heads):
        z, dz, target = output, grad(output), TARGET
        all_outputs = len(outputs) == batch[output]
        if not all_outputs:
            z = _take(output, outputs, head, batch, ops)
            dz = grad(z)
            batch[dz] = len(outputs)
        if single.target == "labels":
            settings = {"head": head, "column": targets.start, "classes": len(outputs)}
            labels.append(make_op("take_labels", {"target": TARGET}, **settings))
        elif len(targets) < loss.target_width:
            target = _take(TARGET, targets, head, batch, ops)
        ops.append(_loss_op(single, z, dz, target, head=head, adds=head > 0))
        if not all_outputs:
            ops.append(make_op("put_columns", {"x": dz, "y": grad(output)}, columns=tuple(outputs)))
    return labels, ops


def _take(x: str, columns: range, head: int, batch: dict[str, int], ops: list[Op]) -> str:
    """Append an op that takes columns of a buffer, and return the name of their own buffer."""
    part = f"{x}_head{head}"
    batch[part] = len(columns)
    ops.append(make_op("take_columns", {"x": x, "y": part}, columns=tuple(columns)))
    return part


def _loss_op(loss: LossCall, z: str, dz: str, target: str, **of_head: object) -> Op:
    buffers = {"z": z, "dz": dz, "target": target if loss.target == "rows" else None}
    if loss.function is not None:
        return make_op("custom_loss", buffers, function=loss.function, **of_head)
    settings = {"value": loss.value, "slope": loss.slope, "loss_parameters": loss.parameters}
    return make_op("loss", buffers, loss=loss.kind, **settings, **of_head)
