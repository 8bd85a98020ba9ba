"""What each op does, on the NumPy twins: one function for each kind, in the fewest lines.

The ops of the sections `input` and `update` have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fastnn._typing import Array
from fastnn.engine._input_ops_ref import INPUT
from fastnn.engine._observe_ops_ref import OBSERVE
from fastnn.engine._op_ref import Shared
from fastnn.engine._update_ops_ref import UPDATE, update_now
from fastnn.engine.ops import Op, derivative_needs_input, output_holds_mask
from fastnn.kernels import (
    _activations_ref,
    _dense_ref,
    _dropout_ref,
    _embedding_ref,
    _gather_ref,
    _joins_ref,
    _losses_ref,
    _normalization_ref,
    _numeric_ref,
    _optimizers_ref,
)
from fastnn.kernels.normalization import rms_eps

# ---- the epilogue ----


def _result(s: Shared, op: Op) -> Array:
    """Return the buffer of an op's result: `h`, or `y` if the epilogue works in place."""
    return s[op.buffers.get("h", op.buffers["y"])]


def _apply_epilogue(s: Shared, op: Op, result: Array) -> None:
    """Apply the activation to an op's result, then dropout, into the op's y."""
    attrs, y = op.attrs, s[op.buffers["y"]]
    kept = y if derivative_needs_input(op) else _result(s, op)
    _activations_ref.activation(attrs["activation"], result, kept, attrs["parameters"], 1)
    if attrs["p"] > 0:
        _dropout(s, op, kept, y)


def _dropout(s: Shared, op: Op, x: Array, out: Array) -> None:
    _dropout_ref.dropout(x.reshape(-1), out.reshape(-1), op.attrs["p"], s.seed, op.attrs["stream"], s.step, 1)


def _undo_epilogue(s: Shared, op: Op, d: Array) -> None:
    """Apply the derivative of the epilogue to d, in place."""
    attrs = op.attrs
    if attrs["p"] > 0 and output_holds_mask(op):
        _optimizers_ref.scale(d, 1 / (1 - attrs["p"]) if attrs["p"] < 1 else 0.0, d, 1)
    elif attrs["p"] > 0:
        _dropout(s, op, d, d)
    if attrs["activation"] != "identity":
        h = s[op.buffers["h"]]
        _activations_ref.activation_backward(attrs["activation"], d, h, d, attrs["parameters"], 1)


# ---- forward ----


def _product(s: Shared, op: Op, result: Array) -> None:
    x, w = s.arrays(op, "x", "w")
    _dense_ref.dense(x, w, s[op.buffers["b"]] if "b" in op.buffers else None, result, "identity", (), 1)


def _dense(s: Shared, op: Op) -> None:
    result = _result(s, op)
    _product(s, op, result)
    _apply_epilogue(s, op, result)


@np.errstate(all="ignore")
def _affine_scale(s: Shared, op: Op) -> Array:
    gamma, var = s.arrays(op, "gamma", "var")
    scale: Array = gamma / np.sqrt(var + var.dtype.type(op.attrs["eps"]))
    return scale


def _apply_affine(s: Shared, op: Op, x: Array, result: Array) -> None:
    mean, beta = s.arrays(op, "mean", "beta")
    _normalization_ref.affine(x, mean, _affine_scale(s, op), beta, result, 1)
    _apply_epilogue(s, op, result)


def _dense_affine(s: Shared, op: Op) -> None:
    (y,) = s.arrays(op, "y")
    _product(s, op, y)
    _apply_affine(s, op, y, y)


def _affine(s: Shared, op: Op) -> None:
    _apply_affine(s, op, s[op.buffers["x"]], _result(s, op))


def _activation(s: Shared, op: Op) -> None:
    _apply_epilogue(s, op, s[op.buffers["x"]])


def _prelu(s: Shared, op: Op) -> None:
    x, a, y = s.arrays(op, "x", "a", "y")
    _activations_ref.prelu(x, a, y, 1)


def _row_kernel(s: Shared, op: Op) -> None:
    getattr(_losses_ref, op.kind)(*s.arrays(op, *op.spec.buffers), 1)


def _batch_norm(s: Shared, op: Op) -> None:
    x, gamma, beta, running_mean, running_var, mean, inv_std = s.arrays(
        op, "x", "gamma", "beta", "running_mean", "running_var", "mean", "inv_std"
    )
    result, var, momentum = _result(s, op), np.empty_like(mean), op.attrs["momentum"]
    if "count" in op.buffers:
        (count,) = s.arrays(op, "count")
        count += 1
        momentum = 1 / float(count[0])
    moving = running_mean, running_var, momentum
    _normalization_ref.batch_norm(x, gamma, beta, op.attrs["eps"], result, mean, var, inv_std, *moving, 1)
    _apply_epilogue(s, op, result)


def _of_rows(s: Shared, op: Op, role: str, like: Array) -> Array:
    """Return the op's statistic of the rows, or room for it where nobody keeps it."""
    return s[op.buffers[role]][:, 0] if role in op.buffers else np.empty(len(like), like.dtype)


def _layer_norm(s: Shared, op: Op) -> None:
    (x, gamma), result = s.arrays(op, "x", "gamma"), _result(s, op)
    beta = s[op.buffers["beta"]] if "beta" in op.buffers else None
    mean, inv_std = _of_rows(s, op, "mean", x), _of_rows(s, op, "inv_std", x)
    _normalization_ref.layer_norm(x, gamma, beta, op.attrs["eps"], result, mean, inv_std, 1)
    _apply_epilogue(s, op, result)


def _rms_norm(s: Shared, op: Op) -> None:
    (x, gamma), result = s.arrays(op, "x", "gamma"), _result(s, op)
    eps = rms_eps(op.attrs["eps"], x.dtype)
    _normalization_ref.rms_norm(x, gamma, eps, result, _of_rows(s, op, "inv_std", x), 1)
    _apply_epilogue(s, op, result)


def _join(s: Shared, op: Op) -> None:
    (x, x2), result = s.arrays(op, "x", "x2"), _result(s, op)
    getattr(_joins_ref, op.kind)(x, x2, result, 1)
    _apply_epilogue(s, op, result)


def _scale(s: Shared, op: Op) -> None:
    x, y = s.arrays(op, "x", "y")
    _optimizers_ref.scale(x, op.attrs["factor"], y, 1)


def _scale_columns(s: Shared, op: Op) -> None:
    x, gamma, y = s.arrays(op, "x", "gamma", "y")
    _numeric_ref.scale_columns(x, gamma, y, 1)


def _encoded(op: Op) -> slice:
    """Return the columns that the op encodes, which are also the rows of their parameters."""
    return slice(op.attrs["column"], op.attrs["column"] + op.attrs["n_columns"])


def _piecewise_linear(s: Shared, op: Op) -> None:
    x, y = s.arrays(op, "x", "y")
    _numeric_ref.piecewise_linear(x[:, _encoded(op)], op.attrs["bins"], y, 1)


def _periodic(s: Shared, op: Op) -> None:
    x, w, y = s.arrays(op, "x", "w", "y")
    _numeric_ref.periodic(x[:, _encoded(op)], w[_encoded(op)], y, 1)


def _take_columns(s: Shared, op: Op) -> None:
    x, y = s.arrays(op, "x", "y")
    _joins_ref.take_columns(x, np.array(op.attrs["columns"], np.int64), y, 1)


def _put_columns(s: Shared, op: Op) -> None:
    x, y = s.arrays(op, "x", "y")
    _joins_ref.put_columns(x, np.array(op.attrs["columns"], np.int64), y, op.attrs["clear"], 1)


def _span(op: Op) -> slice:
    """Return the op's columns, which are neighbours."""
    return slice(op.attrs["columns"][0], op.attrs["columns"][-1] + 1)


def _embedding(s: Shared, op: Op) -> None:
    ids, w, y = s.arrays(op, "ids", "w", "y")
    _gather_ref.gather(w, ids, y[:, _span(op)], 1)


def _call(s: Shared, op: Op) -> None:
    op.attrs["function"](*s.arrays(op, *op.spec.buffers))


# ---- loss ----


def _target(s: Shared, op: Op) -> Array:
    return s[op.buffers["target"]] if "target" in op.buffers else s.labels[op.attrs["head"]]


def _add_loss(s: Shared, op: Op, loss: float) -> None:
    s.loss = s.loss + loss if op.attrs["adds"] else loss


def _loss(s: Shared, op: Op) -> None:
    (z, dz), target, attrs = s.arrays(op, "z", "dz"), _target(s, op), op.attrs
    parameters = np.array(attrs["loss_parameters"], np.float64)
    loss = _losses_ref.loss(attrs["loss"], z, target, s.weight, parameters, attrs["value"], attrs["slope"], dz)
    _add_loss(s, op, loss)


def _custom_loss(s: Shared, op: Op) -> None:
    _add_loss(s, op, float(op.attrs["function"](*s.arrays(op, "z", "dz"), _target(s, op), s.weight)))


def _penalty(s: Shared, op: Op) -> None:
    update, penalty = s.program.update, 0.0
    assert update is not None
    for name in s.params.layout:
        if name in update.penalized:
            magnitude, square = _optimizers_ref.sums(s.params.view(name).reshape(-1), 1)
            penalty += update.l1 * magnitude + 0.5 * update.l2 * square
    # The update divides by the weight of all k batches of the group, so the loss shown for a batch has 1/k of the
    # penalty; exact only if the k batches weigh the same.
    s.loss += s.penalty_factor(s.total_weight * s.group_batches) * penalty


# ---- backward ----


def _epilogue_backward(s: Shared, op: Op) -> None:
    _undo_epilogue(s, op, s[op.buffers["d"]])


def _dense_grad_input(s: Shared, op: Op) -> None:
    dy, w, dx = s.arrays(op, "dy", "w", "dx")
    _dense_ref.dense_grad_input(dy, w, dx, 1)
    _undo_epilogue(s, op, dx)


def _dense_grad_weight(s: Shared, op: Op) -> None:
    x, dy, dw = s.arrays(op, "x", "dy", "dw")
    _dense_ref.dense_grad_weight(x, dy, dw, 1)
    if "db" in op.buffers:
        _dense_ref.dense_grad_bias(dy, s[op.buffers["db"]], 1)
    update_now(s, op)


def _dense_grad_bias(s: Shared, op: Op) -> None:
    dy, db = s.arrays(op, "dy", "db")
    _dense_ref.dense_grad_bias(dy, db, 1)
    update_now(s, op)


def _embedding_grad(s: Shared, op: Op) -> None:
    (dy, ids, dw), attrs = s.arrays(op, "dy", "ids", "dw"), op.attrs
    padding = -1 if attrs["padding_idx"] is None else attrs["padding_idx"]
    _embedding_ref.embedding_grad(dy[:, _span(op)], ids, padding, dw, 1)
    if attrs["sparse"]:
        marks = s.grads.marks(op.buffers["w"].partition(":")[2])
        marks[...] = 0
        marks[ids[ids != padding]] = 1
    update_now(s, op)


def _gradient(s: Shared, op: Op, role: str, like: Array) -> Array:
    """Return the buffer of a parameter's gradient, or room for it where nobody needs it."""
    return s[op.buffers[role]] if role in op.buffers else np.empty_like(like)


def _batch_norm_backward(s: Shared, op: Op) -> None:
    dy, x, gamma, mean, inv_std, dx = s.arrays(op, "dy", "x", "gamma", "mean", "inv_std", "dx")
    dgamma, dbeta = _gradient(s, op, "dgamma", gamma), _gradient(s, op, "dbeta", gamma)
    _normalization_ref.batch_norm_backward(dy, x, gamma, mean, inv_std, dx, dgamma, dbeta, 1)
    update_now(s, op)


def _affine_backward(s: Shared, op: Op) -> None:
    _numeric_ref.scale_columns(s[op.buffers["dy"]], _affine_scale(s, op), s[op.buffers["dx"]], 1)


def _layer_norm_backward(s: Shared, op: Op) -> None:
    dy, x, gamma, mean, inv_std, dx = s.arrays(op, "dy", "x", "gamma", "mean", "inv_std", "dx")
    dgamma, dbeta = _gradient(s, op, "dgamma", gamma), _gradient(s, op, "dbeta", gamma)
    _normalization_ref.layer_norm_backward(dy, x, gamma, mean[:, 0], inv_std[:, 0], dx, dgamma, dbeta, 1)
    update_now(s, op)


def _rms_norm_backward(s: Shared, op: Op) -> None:
    dy, x, gamma, inv_rms, dx = s.arrays(op, "dy", "x", "gamma", "inv_std", "dx")
    _normalization_ref.rms_norm_backward(dy, x, gamma, inv_rms[:, 0], dx, _gradient(s, op, "dgamma", gamma), 1)
    update_now(s, op)


def _prelu_backward(s: Shared, op: Op) -> None:
    (dy, x, a, dx), da = s.arrays(op, "dy", "x", "a", "dx"), _gradient(s, op, "da", s[op.buffers["a"]])
    by_column = np.empty(max(len(a), x.shape[1]), x.dtype)
    _activations_ref.prelu_backward(dy, x, a, dx, by_column, 1)
    da[...] = by_column[: len(a)]
    update_now(s, op)


def _scale_columns_backward(s: Shared, op: Op) -> None:
    dy, x, gamma, dx = s.arrays(op, "dy", "x", "gamma", "dx")
    _numeric_ref.scale_columns_backward(dy, x, gamma, dx, _gradient(s, op, "dgamma", gamma), 1)
    update_now(s, op)


def _piecewise_linear_backward(s: Shared, op: Op) -> None:
    (dy, x, dx), columns = s.arrays(op, "dy", "x", "dx"), _encoded(op)
    _numeric_ref.piecewise_linear_backward(dy, x[:, columns], op.attrs["bins"], dx[:, columns], 1)


def _periodic_grad_input(s: Shared, op: Op) -> None:
    (dy, y, w, dx), columns = s.arrays(op, "dy", "y", "w", "dx"), _encoded(op)
    _numeric_ref.periodic_grad_input(dy, y, w[columns], dx[:, columns], 1)


def _periodic_grad_frequencies(s: Shared, op: Op) -> None:
    (dy, x, y, dw), columns = s.arrays(op, "dy", "x", "y", "dw"), _encoded(op)
    _numeric_ref.periodic_grad_frequencies(dy, x[:, columns], y, dw[columns], 1)
    k = dw.shape[1]
    update_now(s, op, slice(columns.start * k, columns.stop * k))


def _zeros(s: Shared, op: Op) -> None:
    (y,) = s.arrays(op, "y")
    y[...] = 0


def _copy(s: Shared, op: Op) -> None:
    x, y = s.arrays(op, "x", "y")
    y[...] = x


def _accumulate(s: Shared, op: Op) -> None:
    d, dy = s.arrays(op, "d", "dy")
    with np.errstate(all="ignore"):
        np.add(d, dy, out=d)


# ---- observe ----


def _record_loss(s: Shared, op: Op) -> None:
    if s.recorded is not None:
        s.recorded[...] = s.loss


RUN: Mapping[str, Callable[[Shared, Op], None]] = {
    **INPUT,
    "dense": _dense,
    "dense_affine": _dense_affine,
    "activation": _activation,
    "prelu": _prelu,
    "softmax": _row_kernel,
    "log_softmax": _row_kernel,
    "batch_norm": _batch_norm,
    "affine": _affine,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "add": _join,
    "multiply": _join,
    "scale": _scale,
    "scale_columns": _scale_columns,
    "piecewise_linear": _piecewise_linear,
    "periodic": _periodic,
    "take_columns": _take_columns,
    "put_columns": _put_columns,
    "embedding": _embedding,
    "custom": _call,
    "loss": _loss,
    "custom_loss": _custom_loss,
    "penalty": _penalty,
    "epilogue_backward": _epilogue_backward,
    "dense_grad_input": _dense_grad_input,
    "dense_grad_weight": _dense_grad_weight,
    "dense_grad_bias": _dense_grad_bias,
    "embedding_grad": _embedding_grad,
    "batch_norm_backward": _batch_norm_backward,
    "affine_backward": _affine_backward,
    "layer_norm_backward": _layer_norm_backward,
    "rms_norm_backward": _rms_norm_backward,
    "prelu_backward": _prelu_backward,
    "scale_columns_backward": _scale_columns_backward,
    "piecewise_linear_backward": _piecewise_linear_backward,
    "periodic_grad_input": _periodic_grad_input,
    "periodic_grad_frequencies": _periodic_grad_frequencies,
    "zeros": _zeros,
    "softmax_backward": _row_kernel,
    "log_softmax_backward": _row_kernel,
    "custom_backward": _call,
    "copy": _copy,
    "accumulate": _accumulate,
    **UPDATE,
    "record_loss": _record_loss,
    **OBSERVE,
}
