"""The backward pass: derived from a forward list, from its last op to its first.

The first backward op that reaches a buffer's gradient writes it, the others add to it. Where the gradient of an op's
input may take the place of the gradient of its result, the two share one buffer. A gradient that other buffers share
is copied before an op changes it. The gradients of frozen parameters are left out, and so is every op that only they
would need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from fastnn import _validation as v
from fastnn.engine.ops import EPILOGUE, Op, derivative_buffer, make_op


def grad(name: str) -> str:
    """Return the name of the buffer for the gradient of a buffer."""
    space, _, rest = name.partition(":")
    return f"grad:{rest}" if space == "param" else f"{space}:d_{rest}"


Into = Mapping[str, str]
"""The roles of an op's inputs whose gradients are needed, with the buffers that get them."""

# ---- one function for each kind of op ----
#
# It returns the ops that compute, from d, the gradient of the op's result, the gradients of the inputs that `into`
# names and those of the parameters.


def _epilogue_backward(op: Op, d: str) -> list[Op]:
    """Return the op, if any, that turns the gradient of an op's result into that before its epilogue, in place."""
    epilogue = {key: op.attrs[key] for key in EPILOGUE}
    if epilogue["activation"] == "identity" and epilogue["p"] == 0.0:
        return []
    return [make_op("epilogue_backward", {"d": d, "h": derivative_buffer(op)}, **epilogue)]


def _dense_backward(op: Op, d: str, into: Into) -> list[Op]:
    b, w = op.buffers.get("b"), op.buffers["w"]
    ops = _epilogue_backward(op, d)
    if "x" in into:
        ops.append(make_op("dense_grad_input", {"dy": d, "w": w, "dx": into["x"]}))
    buffers = {"x": op.buffers["x"], "dy": d, "w": w, "dw": grad(w), "b": b, "db": b and grad(b)}
    return [*ops, make_op("dense_grad_weight", buffers)]


def _batch_norm_backward(op: Op, d: str, into: Into) -> list[Op]:
    inputs = {role: op.buffers[role] for role in ("x", "gamma", "beta", "mean", "inv_std")}
    grads = {"dgamma": grad(op.buffers["gamma"]), "dbeta": grad(op.buffers["beta"])}
    buffers = {"dy": d, "dx": into.get("x", d), **inputs, **grads}
    return [*_epilogue_backward(op, d), make_op("batch_norm_backward", buffers)]


def _affine_backward(op: Op, d: str, into: Into) -> list[Op]:
    inputs = {role: op.buffers[role] for role in ("gamma", "var")}
    scaled = [make_op("affine_backward", {"dy": d, **inputs, "dx": dx}, eps=op.attrs["eps"]) for dx in into.values()]
    return [*_epilogue_backward(op, d), *scaled]


def _row_norm_backward(op: Op, d: str, into: Into) -> list[Op]:
    gamma, beta = op.buffers["gamma"], op.buffers.get("beta")
    inputs = {role: op.buffers[role] for role in ("x", "gamma", "beta", "mean", "inv_std") if role in op.buffers}
    grads = {"dgamma": grad(gamma), "dbeta": beta and grad(beta)}
    buffers = {"dy": d, "dx": into.get("x", d), **inputs, **grads}
    return [*_epilogue_backward(op, d), make_op(f"{op.kind}_backward", buffers)]


def _input_backward(op: Op, d: str, into: Into) -> list[Op]:
    """Only the epilogue has a derivative, and the op has no parameters."""
    return _epilogue_backward(op, d) if into else []


def _multiply_backward(op: Op, d: str, into: Into) -> list[Op]:
    other = {"x": op.buffers["x2"], "x2": op.buffers["x"]}
    products = [make_op("multiply", {"x": d, "x2": other[role], "y": dx}) for role, dx in into.items()]
    return [*_input_backward(op, d, into), *products]


def _scale_backward(op: Op, d: str, into: Into) -> list[Op]:
    return [make_op("scale", {"x": d, "y": d}, factor=op.attrs["factor"])] if into else []


def _take_columns_backward(op: Op, d: str, into: Into) -> list[Op]:
    return [make_op("put_columns", {"x": d, "y": dx}, columns=op.attrs["columns"], clear=True) for dx in into.values()]


def _put_columns_backward(op: Op, d: str, into: Into) -> list[Op]:
    return [make_op("take_columns", {"x": d, "y": dx}, columns=op.attrs["columns"]) for dx in into.values()]


def _embedding_backward(op: Op, d: str, _: Into) -> list[Op]:
    w, attrs = op.buffers["w"], {key: op.attrs[key] for key in ("columns", "padding_idx", "sparse")}
    return [make_op("embedding_grad", {"dy": d, "ids": op.buffers["ids"], "w": w, "dw": grad(w)}, **attrs)]


def _scale_columns_backward(op: Op, d: str, into: Into) -> list[Op]:
    gamma = op.buffers["gamma"]
    buffers = {"dy": d, "x": op.buffers["x"], "gamma": gamma, "dx": into.get("x", d), "dgamma": grad(gamma)}
    return [make_op("scale_columns_backward", buffers)]


def _piecewise_linear_backward(op: Op, d: str, into: Into) -> list[Op]:
    buffers = {"dy": d, "x": op.buffers["x"]}
    return [make_op("piecewise_linear_backward", {**buffers, "dx": dx}, **op.attrs) for dx in into.values()]


def _periodic_backward(op: Op, d: str, into: Into) -> list[Op]:
    buffers = {"dy": d, "y": op.buffers["y"], "w": op.buffers["w"]}
    ops = [make_op("periodic_grad_input", {**buffers, "dx": dx}, **op.attrs) for dx in into.values()]
    weights = {**buffers, "x": op.buffers["x"], "dw": grad(buffers["w"])}
    return [*ops, make_op("periodic_grad_frequencies", weights, **op.attrs)]


def _prelu_backward(op: Op, d: str, into: Into) -> list[Op]:
    a = op.buffers["a"]
    buffers = {"dy": d, "x": op.buffers["x"], "a": a, "dx": into.get("x", d), "da": grad(a)}
    return [make_op("prelu_backward", buffers)]


def _softmax_backward(op: Op, d: str, into: Into) -> list[Op]:
    return [make_op(f"{op.kind}_backward", {"dy": d, "y": op.buffers["y"], "dx": dx}) for dx in into.values()]


def _custom_backward(op: Op, d: str, into: Into) -> list[Op]:
    buffers = {"dy": d, "x": op.buffers["x"], "y": op.buffers["y"]}
    function = op.attrs["backward"]
    return [make_op("custom_backward", {**buffers, "dx": dx}, function=function) for dx in into.values()]


_BACKWARD: Mapping[str, Callable[[Op, str, Into], list[Op]]] = {
    "dense": _dense_backward,
    "batch_norm": _batch_norm_backward,
    "affine": _affine_backward,
    "layer_norm": _row_norm_backward,
    "rms_norm": _row_norm_backward,
    "activation": _input_backward,
    "add": _input_backward,
    "multiply": _multiply_backward,
    "scale": _scale_backward,
    "take_columns": _take_columns_backward,
    "put_columns": _put_columns_backward,
    "embedding": _embedding_backward,
    "scale_columns": _scale_columns_backward,
    "piecewise_linear": _piecewise_linear_backward,
    "periodic": _periodic_backward,
    "prelu": _prelu_backward,
    "softmax": _softmax_backward,
    "log_softmax": _softmax_backward,
    "custom": _custom_backward,
}


def _without_frozen(op: Op, frozen: Collection[str]) -> Op | None:
    """Return what is left of a backward op without the gradients of frozen parameters; None if nothing is."""
    dropped = {role: name for name, role in op.updatable.items() if name in frozen}
    if not dropped:
        return op
    if op.written == {op.buffers[role] for role in dropped}:
        return None
    if "dw" in dropped:  # of a dense op, whose bias is trained
        return make_op("dense_grad_bias", {role: op.buffers[role] for role in ("dy", "b", "db")})
    spared = {op.spec.updates[role] for role in dropped}.intersection(op.spec.optional)
    return replace(op, buffers={role: name for role, name in op.buffers.items() if role not in {*dropped, *spared}})


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

    def room(self, x: str, taken: Collection[str] = ()) -> str:
        """Return a buffer, none of `taken`, that an op may write the gradient of `x` to."""
        names = [f"{grad(x)}_part", f"{grad(x)}_part2"]
        if x not in self.of:
            names.insert(0, grad(x))
        return self._add_buffer(next(name for name in names if name not in taken), x)

    def so_far(self, x: str) -> str:
        """Return the buffer of the gradient of `x` so far, zeros at first, that an op may add to."""
        if x not in self.of:
            self.of[x] = self.room(x)
            self.ops.append(make_op("zeros", {"y": self.of[x]}))
        return self.own(x)

    def buffers_for_inputs(self, op: Op, unneeded: Collection[str]) -> dict[str, str]:
        """Return the roles of the op's inputs, except for `unneeded` ones, and the buffers for their gradients."""
        into: dict[str, str] = {}
        for role in op.spec.inputs:
            x = op.buffers[role]
            if x in unneeded:
                continue
            if op.spec.gradient_in_place:
                into[role] = self.of[op.buffers["y"]]
            else:
                into[role] = self.so_far(x) if op.spec.adds_gradient else self.room(x, into.values())
        return into

    def receive(self, x: str, dx: str) -> None:
        """Add `dx` to the gradient of `x`, or make it the gradient if it is the first."""
        if x in self.of:
            self.ops.append(make_op("accumulate", {"d": self.own(x), "dy": dx}))
        else:
            self.of[x] = dx


def _without_gradient(ops: Iterable[Op], stop: str, frozen: Collection[str]) -> set[str]:
    """Return the buffers whose gradients nobody needs.

    They are `stop`, and what is computed from it without parameters that are trained.
    """
    unneeded, needed = {stop}, set()
    for op in ops:
        y = op.buffers["y"]
        if _parameters(op).difference(frozen) or not all(op.buffers[role] in unneeded for role in op.spec.inputs):
            needed.add(y)
            unneeded.discard(y)
        elif y not in needed:
            unneeded.add(y)
    return unneeded


def _parameters(op: Op) -> set[str]:
    return {name.partition(":")[2] for name in op.buffers.values() if name.startswith("param:")}


def _check_used_once(op: Op, used: dict[str, set[int] | None]) -> None:
    """Note the parameters of an op, and refuse those of other ops; encodings may each use some of the rows.

    `used` has the rows of each parameter that are used, None for all.
    """
    for name in sorted(_parameters(op)):
        rows = None
        if op.spec.encodes:
            rows = set(range(op.attrs["column"], op.attrs["column"] + op.attrs["n_columns"]))
        if name in used:
            before = used[name]
            if rows is None or before is None or rows & before:
                v.refuse(ValueError, f"parameter {name!r}", "be used by one op of a net", "several")
            rows |= before
        used[name] = rows


def _backward_of(op: Op, d: str, into: Into, frozen: Collection[str]) -> list[Op]:
    """Return the backward ops of a forward op."""
    if op.kind == "affine" and not _parameters(op).issubset(frozen):
        trained = ", ".join(sorted(_parameters(op).difference(frozen)))
        v.refuse(ValueError, "op 'affine'", "have frozen parameters in training", trained, "emit a batch_norm")
    left = (_without_frozen(each, frozen) for each in _BACKWARD[op.kind](op, d, into))
    return [each for each in left if each is not None]


def derive_backward(
    ops: Iterable[Op],
    batch: dict[str, int],
    output: str,
    stop: str,
    frozen: Collection[str] = frozenset(),
    on_gradient: Callable[[str, str], Iterable[Op]] = lambda y, d: (),
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
        The buffer of the input, if its gradient is not needed, or "".
    frozen : collection of str
        The names of the parameters whose gradients are not needed.
    on_gradient : callable
        Takes the buffer of an op's result and that of its gradient, and returns ops to run once that is complete.

    Raises
    ------
    ValueError
        If two ops use the same parameter: their gradients of it are not added. If an ``affine`` op has parameters that
        are not frozen: in training it has no gradients of them.
    """
    gradients, ops = _Gradients(batch, output), list(ops)
    unneeded = _without_gradient(ops, stop, frozen)
    writers = Counter(op.buffers["y"] for op in ops)
    used: dict[str, set[int] | None] = {}
    for op in reversed(ops):
        y = op.buffers["y"]
        writers[y] -= 1
        if y not in gradients.of or y in unneeded:
            continue
        _check_used_once(op, used)
        gradients.ops += on_gradient(y, gradients.of[y])
        d, into = gradients.of[y], gradients.buffers_for_inputs(op, unneeded)
        made = _backward_of(op, d, into, frozen)
        if any(d in each.written for each in made) and gradients.own(y) != d:
            into = {role: gradients.of[y] if dx == d else dx for role, dx in into.items()}
            made = _backward_of(op, gradients.of[y], into, frozen)
        gradients.ops += made
        for role, dx in into.items() if not op.spec.adds_gradient else ():
            gradients.receive(op.buffers[role], dx)
        if not writers[y]:  # an op before this one may have written other columns
            del gradients.of[y]
    return gradients.ops, gradients.of
