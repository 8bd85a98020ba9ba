"""The backward pass: derived from a forward list, from its last op to its first.

The first backward op that reaches a buffer's gradient writes it, the others add to it. Where the gradient of an op's
input may take the place of the gradient of its result, the two share one buffer. A gradient that other buffers share
is copied before an op changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fastnn import _validation as v
from fastnn.engine.ops import EPILOGUE, Op, derivative_buffer, make_op


def grad(name: str) -> str:
    """Return the name of the buffer for the gradient of a buffer."""
    space, _, rest = name.partition(":")
    return f"grad:{rest}" if space == "param" else f"{space}:d_{rest}"


# ---- one function for each kind: the ops that compute dx and the parameters' gradients from d, that of the result ----


def _epilogue_backward(op: Op, d: str) -> list[Op]:
    """Return the op, if any, that turns the gradient of an op's result into that before its epilogue, in place."""
    epilogue = {key: op.attrs[key] for key in EPILOGUE}
    if epilogue["activation"] == "identity" and epilogue["p"] == 0.0:
        return []
    return [make_op("epilogue_backward", {"d": d, "h": derivative_buffer(op)}, **epilogue)]


def _dense_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    b, w = op.buffers.get("b"), op.buffers["w"]
    ops = _epilogue_backward(op, d)
    if dx is not None:
        ops.append(make_op("dense_grad_input", {"dy": d, "w": w, "dx": dx}))
    buffers = {"x": op.buffers["x"], "dy": d, "w": w, "dw": grad(w), "b": b, "db": b and grad(b)}
    return [*ops, make_op("dense_grad_weight", buffers)]


def _batch_norm_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    inputs = {role: op.buffers[role] for role in ("x", "gamma", "beta", "mean", "inv_std")}
    grads = {"dgamma": grad(op.buffers["gamma"]), "dbeta": grad(op.buffers["beta"])}
    return [*_epilogue_backward(op, d), make_op("batch_norm_backward", {"dy": d, "dx": dx or d, **inputs, **grads})]


def _row_norm_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    gamma, beta = op.buffers["gamma"], op.buffers.get("beta")
    inputs = {role: op.buffers[role] for role in ("x", "gamma", "beta", "mean", "inv_std") if role in op.buffers}
    grads = {"dgamma": grad(gamma), "dbeta": beta and grad(beta)}
    buffers = {"dy": d, "dx": dx or d, **inputs, **grads}
    return [*_epilogue_backward(op, d), make_op(f"{op.kind}_backward", buffers)]


def _input_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    """Only the epilogue has a derivative, and the op has no parameters."""
    return _epilogue_backward(op, d) if dx else []


def _prelu_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    a = op.buffers["a"]
    buffers = {"dy": d, "x": op.buffers["x"], "a": a, "dx": dx or d, "da": grad(a)}
    return [make_op("prelu_backward", buffers)]


def _softmax_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    return [make_op(f"{op.kind}_backward", {"dy": d, "y": op.buffers["y"], "dx": dx})] if dx else []


def _custom_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    buffers = {"dy": d, "x": op.buffers["x"], "y": op.buffers["y"], "dx": dx}
    return [make_op("custom_backward", buffers, function=op.attrs["backward"])] if dx else []


_BACKWARD: Mapping[str, Callable[[Op, str, str | None], list[Op]]] = {
    "dense": _dense_backward,
    "batch_norm": _batch_norm_backward,
    "layer_norm": _row_norm_backward,
    "rms_norm": _row_norm_backward,
    "activation": _input_backward,
    "add": _input_backward,
    "prelu": _prelu_backward,
    "softmax": _softmax_backward,
    "log_softmax": _softmax_backward,
    "custom": _custom_backward,
}


# ---- the pass ----


class _Gradients:
    """The ops of the pass, and the buffers of the gradients that are still needed."""

    def __init__(self, batch: dict[str, int], output: str) -> None:
        self.batch = batch
        self.ops: list[Op] = []
        self.of = {output: grad(output)}  # a forward buffer -> the buffer of its gradient, as far as it is complete
        self._add_buffer(grad(output), output)

    def _add_buffer(self, name: str, like: str) -> str:
        self.batch[name] = self.batch[like]
        return name

    def own(self, x: str) -> str:
        """Return the buffer of the gradient of `x`; if another gradient shares it, that of a copy."""
        if list(self.of.values()).count(self.of[x]) > 1:
            mine = self._add_buffer(grad(x), x)
            self.ops.append(make_op("copy", {"x": self.of[x], "y": mine}))
            self.of[x] = mine
        return self.of[x]

    def room(self, x: str) -> str:
        """Return a buffer that an op may write the gradient of `x` to."""
        return self._add_buffer(f"{grad(x)}_part" if x in self.of else grad(x), x)

    def receive(self, x: str, dx: str) -> None:
        """Add `dx` to the gradient of `x`, or make it the gradient if it is the first."""
        if x in self.of:
            self.ops.append(make_op("accumulate", {"d": self.own(x), "dy": dx}))
        else:
            self.of[x] = dx


def derive_backward(
    ops: Iterable[Op], batch: dict[str, int], output: str, stop: str
) -> tuple[list[Op], Mapping[str, str]]:
    """Return the backward list of a forward list, and the buffers of the gradients that no op of it has consumed.

    Ops on which the output does not depend have no backward ops.

    Parameters
    ----------
    ops : iterable of Op
        The forward list.
    batch : dict of str to int
        The widths of its buffers. Those of the gradients are added.
    output : str
        The buffer of the net's output.
    stop : str
        The buffer whose gradient is not computed, or "".

    Raises
    ------
    ValueError
        If two ops use the same parameter: their gradients of it are not added.
    """
    gradients = _Gradients(batch, output)
    seen: set[str] = set()
    for op in reversed(list(ops)):
        y = op.buffers["y"]
        if y not in gradients.of:
            continue
        parameters = {name for name in op.buffers.values() if name.startswith("param:")}
        if not seen.isdisjoint(parameters):
            name = min(seen & parameters).partition(":")[2]
            v.refuse(ValueError, f"parameter {name!r}", "be used by one op of a net", "several")
        seen |= parameters
        inputs = [op.buffers[role] for role in op.spec.inputs if op.buffers[role] != stop]
        d = gradients.of[y]
        dx = None
        if inputs:
            dx = d if op.spec.gradient_in_place else gradients.room(inputs[0])
        made = _BACKWARD[op.kind](op, d, dx)
        if any(d in each.written for each in made) and gradients.own(y) != d:
            d, dx = gradients.of[y], gradients.of[y] if dx == d else dx
            made = _BACKWARD[op.kind](op, d, dx)
        gradients.ops += made
        for x in inputs:
            gradients.receive(x, dx or d)
        del gradients.of[y]
    return gradients.ops, gradients.of
