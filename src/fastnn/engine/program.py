"""Programs: a net, a loss and an optimiser lowered to flat lists of ops over named buffers.

Layers emit forward ops into a `Builder`; `lower_inference` and `lower_training` derive the other ops and fuse
neighbours.

The prefix of a buffer's name says what it is: ``batch:`` has one row per row of the batch, ``vector:`` one entry per
feature, ``param:``, ``grad:`` and ``state:`` are views of the net's arenas. An op names its buffers by role. Each
op comes after those that write what it reads; an op in place comes after all others that read the old contents.

Both executors run the same lists. Each kind of op has one row in `OPS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fastnn import _validation as v
from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array
from fastnn._updates import SLOTS
from fastnn.engine.arena import Arena
from fastnn.kernels.losses import LossCall


@dataclass(frozen=True)
class OpSpec:
    """One kind of op: the roles of its buffers, those that may be absent, and its attributes with their defaults."""

    buffers: tuple[str, ...]
    optional: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)


_EPILOGUE = {"activation": "identity", "parameters": (), "p": 0.0, "stream": 0}
"""The epilogue, which many ops apply to their result: an activation with its `parameters`, then dropout.

`p` is the dropout rate, `stream` the number of the layer's random stream.

The activation's derivative needs the activation's output or its input, see `fastnn._activations`. In training the
buffer `h` keeps that array if `y` does not: the output if dropout follows, or the input, which is the op's result
before the activation. An activation such as ReLU, whose derivative is 0 exactly where its output is 0 and 1 elsewhere,
needs no `h`: `y` after dropout gives both its derivative and the dropout mask, see `output_holds_mask`.
"""

_UPDATE = {"update": ""}
"""The kind of optimiser update that the op applies to its gradients at once; "" leaves them in the arena."""

_CALL = {"function": None}
"""A Python function. It is called with the op's buffers, cut to the batch's rows, in the order of its row in `OPS`."""

_LOSS = {"loss": "", "value": 1.0, "slope": 1.0, "loss_parameters": ()}
"""The settings of a loss kernel, see `fastnn.kernels.losses.LossCall`."""

OPS: Mapping[str, OpSpec] = {
    # y = dropout(activation(x @ w + b))
    "dense": OpSpec(("x", "w", "y"), ("b", "h"), _EPILOGUE),
    # inference: y = activation(affine(x @ w + b)), the affine map of a batch norm's running statistics
    "dense_affine": OpSpec(("x", "w", "y", "gamma", "beta", "mean", "var"), ("b",), {**_EPILOGUE, "eps": 1e-5}),
    # an epilogue alone: y = dropout(activation(x)); the activation's input stays in x
    "activation": OpSpec(("x", "y"), ("h",), _EPILOGUE),
    # y = x where x > 0, else a * x; a is learned, one number for all columns or one for each
    "prelu": OpSpec(("x", "a", "y")),
    # y = softmax of each row, or its logarithm
    "softmax": OpSpec(("x", "y")),
    "log_softmax": OpSpec(("x", "y")),
    # y = epilogue(gamma * xhat + beta) with the batch's statistics, which also update the running statistics
    "batch_norm": OpSpec(
        ("x", "gamma", "beta", "running_mean", "running_var", "mean", "inv_std", "y"),
        ("h",),
        {**_EPILOGUE, "eps": 1e-5, "momentum": 0.1},
    ),
    # inference: the same with the running statistics, if it is not part of a dense op
    "affine": OpSpec(("x", "gamma", "beta", "mean", "var", "y"), (), {**_EPILOGUE, "eps": 1e-5}),
    # writes dz and the step's loss; without a target buffer it reads the class labels
    "loss": OpSpec(("z", "dz"), ("target",), _LOSS),
    # loss = function(z, dz, labels or target rows, weights or None); it writes dz
    "custom_loss": OpSpec(("z", "dz"), ("target",), _CALL),
    # function(x, y) and backward(dy, x, y, dx) write into their last argument
    "custom": OpSpec(("x", "y"), (), {**_CALL, "backward": None}),
    "custom_backward": OpSpec(("dy", "x", "y", "dx"), (), _CALL),
    # in place, with h: d = gradient of an op's result -> gradient of its pre-activation
    "epilogue_backward": OpSpec(("d",), ("h",), _EPILOGUE),
    # dx = dy @ w.T, then the epilogue_backward of the op that made x
    "dense_grad_input": OpSpec(("dy", "w", "dx"), ("h",), _EPILOGUE),
    # dw = x.T @ dy, db = dy.sum(0)
    "dense_grad_weight": OpSpec(("x", "dy", "w", "dw"), ("b", "db"), _UPDATE),
    # dx may be dy
    "batch_norm_backward": OpSpec(
        ("dy", "x", "gamma", "beta", "mean", "inv_std", "dx", "dgamma", "dbeta"), (), _UPDATE
    ),
    # adds the penalty of the program's update to the step's loss; the update adds it to the gradients
    "penalty": OpSpec(()),
    # sets the factor by which the update scales all gradients, so that their norm is at most the update's clip_norm
    "clip_norm": OpSpec(()),
    # dx may be dy
    "softmax_backward": OpSpec(("dy", "y", "dx")),
    "log_softmax_backward": OpSpec(("dy", "y", "dx")),
    "prelu_backward": OpSpec(("dy", "x", "a", "dx", "da"), (), _UPDATE),
    # the optimiser's update of the whole arena
    "update": OpSpec((), (), _UPDATE),
}


@dataclass(frozen=True)
class Update:
    """How an optimiser updates parameters from their gradients.

    Attributes
    ----------
    kind : str
        The name of an update kernel.
    l1, l2 : float
        A penalty ``l1 * sum(|w|) + l2 / 2 * sum(w**2)`` of the parameters in `penalized`. It is added to the gradient
        and to the loss.
    per_batch : bool
        Whether the penalty is divided by the batch's total weight.
    penalized : frozenset of str
    decay : {"", "coupled", "decoupled"}
        How the last scalar of a group is used. "coupled": the scalar times the parameters is added to their gradient.
        "decoupled": the parameters are multiplied by the scalar before the update.
    groups : dict of str to int
        The number of each parameter's group; 0 for parameters that are not named. A step's scalars are those of group
        0, then those of group 1, and so on.
    n_groups : int
    n_scalars : int
        Number of scalars of a step, over all groups; 0 if unknown.
    clip_value, clip_norm : float
        Upper limits of each gradient entry, and of the norm of all gradients together. The norm needs all gradients, so
        with `clip_norm` the update is a separate op after the backward pass.
    max_norms : dict of str to float
        Upper limits of the column norms of matrices, applied after the update.
    """

    kind: str
    l1: float = 0.0
    l2: float = 0.0
    per_batch: bool = False
    penalized: frozenset[str] = frozenset()
    decay: str = ""
    groups: Mapping[str, int] = field(default_factory=dict)
    n_groups: int = 1
    n_scalars: int = 0
    clip_value: float = math.inf
    clip_norm: float = math.inf
    max_norms: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_penalty(self) -> bool:
        """Whether there is a penalty to add."""
        return (self.l1 > 0 or self.l2 > 0) and bool(self.penalized)


@dataclass(frozen=True)
class Op:
    """One instruction: its kind, a key of `OPS`, its buffers by role and its attributes."""

    kind: str
    buffers: Mapping[str, str]
    attrs: Mapping[str, Any]

    def __str__(self) -> str:
        roles = " ".join(f"{role}={name}" for role, name in self.buffers.items())
        attrs = " ".join(f"{key}={value}" for key, value in self.attrs.items() if value != OPS[self.kind].attrs[key])
        return f"{self.kind:20s} {roles} {attrs}".rstrip()


def make_op(kind: str, buffers: Mapping[str, str | None], **attrs: Any) -> Op:
    """Return an op, checked against its row of `OPS`. Buffers that are None are left out."""
    spec = OPS[kind]
    given = {role: name for role, name in buffers.items() if name is not None}
    missing = [role for role in spec.buffers if role not in given]
    unknown = [role for role in given if role not in spec.buffers + spec.optional]
    if missing or unknown:
        optional = f" and may have {', '.join(spec.optional)}" if spec.optional else ""
        must = f"have the buffers {', '.join(spec.buffers)}{optional}"
        v.refuse(ValueError, f"op {kind!r}", must, ", ".join(given) or "none")
    unknown = [name for name in attrs if name not in spec.attrs]
    if unknown:
        must = f"have only the attributes {', '.join(spec.attrs)}" if spec.attrs else "have no attributes"
        v.refuse(ValueError, f"op {kind!r}", must, ", ".join(unknown))
    return Op(kind, given, {**spec.attrs, **attrs})


@dataclass(frozen=True)
class Program:
    """Flat lists of ops, one for each section, and the buffers that they need besides the net's arenas.

    Attributes
    ----------
    sections : dict of str to tuple of Op
        ``forward`` alone for inference; ``forward``, ``loss``, ``backward`` and ``update`` for training.
    batch, vectors : dict of str to int
        Width of each ``batch:`` and ``vector:`` buffer.
    input, output : str
        The buffers that hold the batch and the net's output.
    output_grad, input_grad : str
        The buffers of the loss's gradients with respect to them; "" if there is none.
    target : {"", "labels", "rows"}
        The kind of target that the loss compares the output with.
    update : Update, optional
        The optimiser's update.
    has_batch_statistics : bool
        Whether a batch norm uses the batch's statistics: a batch of one row has none and cannot be trained on.
    calls_python : bool
        Whether an op calls a Python function, which may raise an exception.
    """

    sections: Mapping[str, tuple[Op, ...]]
    batch: Mapping[str, int]
    vectors: Mapping[str, int]
    input: str
    output: str
    output_grad: str = ""
    input_grad: str = ""
    target: str = ""
    update: Update | None = None

    @cached_property
    def has_batch_statistics(self) -> bool:
        return any(op.kind == "batch_norm" for op in self.sections["forward"])

    @cached_property
    def calls_python(self) -> bool:
        return any(_calls_python(ops) for ops in self.sections.values())

    def __str__(self) -> str:
        return "\n".join(f"{name}:\n" + "\n".join(f"    {op}" for op in ops) for name, ops in self.sections.items())


def _calls_python(ops: Iterable[Op]) -> bool:
    return any("function" in op.attrs for op in ops)


def check_slots(program: Program, params: Arena, slots: tuple[Array, ...]) -> None:
    """Refuse slots that do not fit the program's update: a kernel would read and write past their end.

    Raises
    ------
    ValueError
        If their number is not that of the update, or their length not that of the parameters.
    """
    kind = program.update.kind if program.update is not None else ""
    wanted = len(SLOTS[kind]) if kind else len(slots)
    sizes = [len(slot) for slot in slots]
    if sizes != [params.layout.size] * wanted:
        v.refuse(
            ValueError, "slots", f"be {wanted} arrays of {params.layout.size} entries", f"arrays of {sizes} entries"
        )


class Builder:
    """Collects the forward ops that layers emit.

    Parameters
    ----------
    in_features : int
        Width of the input.
    training : bool
        Whether the program is for training (batch statistics, dropout) or inference.
    """

    def __init__(self, in_features: int, training: bool) -> None:
        self.training = training
        self.ops: list[Op] = []
        self.batch: dict[str, int] = {"batch:x": in_features}
        self.vectors: dict[str, int] = {}
        self.input = "batch:x"

    def rows(self, width: int) -> str:
        """Add a buffer with `width` entries for each row of the batch, and return its name."""
        name = f"batch:h{len(self.batch)}"
        self.batch[name] = width
        return name

    def vector(self, width: int) -> str:
        """Add a buffer of `width` entries, and return its name."""
        name = f"vector:v{len(self.vectors)}"
        self.vectors[name] = width
        return name

    def op(self, kind: str, buffers: Mapping[str, str | None], **attrs: Any) -> None:
        """Append an op."""
        self.ops.append(make_op(kind, buffers, **attrs))


# ---- forward fusion: an op is merged with the only consumer of its output ----


def _consumers(ops: Iterable[Op], name: str) -> int:
    """Return how many times ops read the buffer: all its roles but y."""
    return sum(list(op.buffers.values()).count(name) - (op.buffers.get("y") == name) for op in ops)


def derivative_from_input(op: Op) -> bool:
    """Whether the derivative of the op's activation is computed from the activation's input, not from its output."""
    return ACTIVATIONS[op.attrs["activation"]].derivative_from == "input"


def output_holds_mask(op: Op) -> bool:
    """Whether the op's output after dropout gives both the dropout mask and the activation's derivative.

    It does for activations such as ReLU, whose derivative is 0 exactly where the output is 0 and 1 elsewhere: a zero in
    the output has a zero gradient, whether dropout or the activation made it. The mask need not be drawn again.
    """
    return ACTIVATIONS[op.attrs["activation"]].zero_output_zero_gradient


def derivative_from(op: Op) -> str:
    """Return the buffer from which, in training, the derivative of the op's activation is computed."""
    role = "x" if op.kind == "activation" and derivative_from_input(op) else "y"
    return op.buffers.get("h", op.buffers[role])


def _fuse_pair(first: Op, second: Op, training: bool) -> Op | None:
    """Return one op that does the work of both, or None if there is no such op."""
    if "p" not in first.attrs or first.attrs["p"] > 0.0:
        return None
    no_activation = first.attrs["activation"] == "identity"
    y = second.buffers["y"]
    if (first.kind, second.kind) == ("dense", "affine") and no_activation:
        return make_op("dense_affine", {**second.buffers, **first.buffers, "y": y}, **second.attrs)
    if second.kind != "activation":
        return None
    if second.attrs["activation"] != "identity":
        if not no_activation:
            return None
        attrs = {key: second.attrs[key] for key in _EPILOGUE}
        needs_h = training and first.kind != "activation" and derivative_from_input(second)
    else:
        attrs = {key: second.attrs[key] for key in ("p", "stream")}
        needs_h = not no_activation and not derivative_from_input(first) and not output_holds_mask(first)
    h = {"h": first.buffers["y"]} if needs_h else {}
    return replace(first, buffers={**first.buffers, **h, "y": y}, attrs={**first.attrs, **attrs})


def fuse_forward(ops: Iterable[Op], output: str, training: bool) -> list[Op]:
    """Merge neighbours of a forward list. The results stay bit-identical."""
    fused: list[Op] = []
    pending = list(ops)
    for index, op in enumerate(pending):
        x = op.buffers["x"]
        if fused and fused[-1].buffers["y"] == x != output and _consumers(pending[index:], x) == 1:
            merged = _fuse_pair(fused[-1], op, training)
            if merged is not None:
                fused[-1] = merged
                continue
        fused.append(op)
    return fused


# ---- backward ----


def _grad(name: str) -> str:
    space, _, rest = name.partition(":")
    return f"grad:{rest}" if space == "param" else f"{space}:d_{rest}"


def _epilogue_backward(op: Op, d: str) -> list[Op]:
    """Return the op, if any, that turns the gradient of an op's result into that of its pre-activation, in place."""
    epilogue = {key: op.attrs[key] for key in _EPILOGUE}
    if epilogue["activation"] == "identity" and epilogue["p"] == 0.0:
        return []
    return [make_op("epilogue_backward", {"d": d, "h": derivative_from(op)}, **epilogue)]


def _dense_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    b, w = op.buffers.get("b"), op.buffers["w"]
    ops = _epilogue_backward(op, d)
    if dx is not None:
        ops.append(make_op("dense_grad_input", {"dy": d, "w": w, "dx": dx}))
    buffers = {"x": op.buffers["x"], "dy": d, "w": w, "dw": _grad(w), "b": b, "db": b and _grad(b)}
    return [*ops, make_op("dense_grad_weight", buffers)]


def _batch_norm_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    inputs = {role: op.buffers[role] for role in ("x", "gamma", "beta", "mean", "inv_std")}
    grads = {"dgamma": _grad(op.buffers["gamma"]), "dbeta": _grad(op.buffers["beta"])}
    return [*_epilogue_backward(op, d), make_op("batch_norm_backward", {"dy": d, "dx": dx or d, **inputs, **grads})]


def _activation_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    """The op is an epilogue alone: the gradient of its input overwrites that of its result."""
    return _epilogue_backward(op, d) if dx else []


def _prelu_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    a = op.buffers["a"]
    buffers = {"dy": d, "x": op.buffers["x"], "a": a, "dx": dx or d, "da": _grad(a)}
    return [make_op("prelu_backward", buffers)]


def _softmax_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    return [make_op(f"{op.kind}_backward", {"dy": d, "y": op.buffers["y"], "dx": dx})] if dx else []


def _custom_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    buffers = {"dy": d, "x": op.buffers["x"], "y": op.buffers["y"], "dx": dx}
    return [make_op("custom_backward", buffers, function=op.attrs["backward"])] if dx else []


_BACKWARD: Mapping[str, Callable[[Op, str, str | None], list[Op]]] = {
    "dense": _dense_backward,
    "batch_norm": _batch_norm_backward,
    "activation": _activation_backward,
    "prelu": _prelu_backward,
    "softmax": _softmax_backward,
    "log_softmax": _softmax_backward,
    "custom": _custom_backward,
}


_DX_OVERWRITES_DY = {"activation", "prelu", "softmax", "log_softmax"}
"""Kinds of ops whose input's gradient is written into the buffer of their result's gradient."""


def derive_backward(ops: Iterable[Op], batch: dict[str, int], stop: str) -> tuple[list[Op], dict[str, str]]:
    """Return the backward list of a forward list, and the buffer of the gradient of each forward buffer.

    The gradient of the buffer `stop` is not computed. The buffers of gradients are added to `batch`. The gradient of an
    op's result is turned, in place, into that of its pre-activation.
    """
    backward: list[Op] = []
    grad_of: dict[str, str] = {}  # a forward buffer -> the buffer of its gradient
    for op in reversed(list(ops)):
        y, x = op.buffers["y"], op.buffers["x"]
        d = grad_of.setdefault(y, _grad(y))
        dx = None
        if x != stop:
            dx = grad_of[x] = d if op.kind in _DX_OVERWRITES_DY else _grad(x)
            batch[dx] = batch[x]
        batch[d] = batch[y]
        backward += _BACKWARD[op.kind](op, d, dx)
    return backward, grad_of


def _fuse_backward(ops: Iterable[Op]) -> list[Op]:
    """Merge each dense_grad_input with the epilogue_backward of the op that made its x."""
    fused: list[Op] = []
    for op in ops:
        # Between the two there is at most the weight gradient of the same dense op, which uses neither buffer.
        partner = next(
            (
                i
                for i, other in enumerate(fused[-2:], max(len(fused) - 2, 0))
                if op.kind == "epilogue_backward"
                and other.buffers.get("dx") == op.buffers["d"]
                and other.kind == "dense_grad_input"
                and "h" not in other.buffers
            ),
            None,
        )
        if partner is None:
            fused.append(op)
        else:
            fused[partner] = make_op("dense_grad_input", {**fused[partner].buffers, "h": op.buffers["h"]}, **op.attrs)
    return fused


# ---- whole programs ----


def _used_buffers(batch: Mapping[str, int], ops: Iterable[Op], *always: str) -> dict[str, int]:
    """Return the buffers of `batch` that the fused ops use, and those named in `always`."""
    used = {name for op in ops for name in op.buffers.values()}.union(always)
    return {name: width for name, width in batch.items() if name in used}


def lower_inference(builder: Builder, output: str) -> Program:
    """Return a program with the forward list alone; a batch norm after a dense op becomes a part of that op."""
    ops = tuple(fuse_forward(builder.ops, output, training=False))
    batch = _used_buffers(builder.batch, ops, builder.input, output)
    return Program({"forward": ops}, batch, builder.vectors, builder.input, output)


def lower_training(
    builder: Builder,
    output: str,
    *,
    loss: LossCall | None = None,
    optimizer: Update | str = "",
    input_grad: bool = False,
) -> Program:
    """Return a program with forward, loss, backward and update.

    Parameters
    ----------
    builder : Builder
        Has the forward ops.
    output : str
        The buffer of the net's output.
    loss : LossCall, optional
        None for hand-written loops, which write the output's gradient themselves.
    optimizer : Update or str
        The update, or its kind alone, or "" for none. With a loss, the update is fused with the ops that compute the
        gradients. It is a separate op without a loss, with `clip_norm`, and if a Python function takes part in the
        backward pass: if that function raises, no parameter has been updated.
    input_grad : bool
        Whether the gradient of the input is computed too.

    Returns
    -------
    Program
    """
    forward = fuse_forward(builder.ops, output, training=True)
    batch = dict(builder.batch)
    derived, grad_of = derive_backward(forward, batch, "" if input_grad else builder.input)
    backward = _fuse_backward(derived)
    output_grad = _grad(output)
    losses: list[Op] = []
    updates: list[Op] = []
    update = (Update(optimizer) if optimizer else None) if isinstance(optimizer, str) else optimizer
    kind = update.kind if update else ""
    if loss:
        rows = "batch:target" if loss.target == "rows" else None
        if rows:
            batch[rows] = loss.target_width
        buffers = {"z": output, "dz": output_grad, "target": rows}
        if loss.function is None:
            settings = {"value": loss.value, "slope": loss.slope, "loss_parameters": loss.parameters}
            losses = [make_op("loss", buffers, loss=loss.kind, **settings)]
        else:
            losses = [make_op("custom_loss", buffers, function=loss.function)]
        if update is not None and update.has_penalty:
            losses.append(make_op("penalty", {}))
    clips = update is not None and update.clip_norm < math.inf
    if loss and not _calls_python(backward) and not clips:
        backward = [replace(op, attrs={"update": kind}) if "update" in op.attrs else op for op in backward]
    elif kind:
        updates = [*([make_op("clip_norm", {})] if clips else []), make_op("update", {}, update=kind)]
    lists = {"forward": forward, "loss": losses, "backward": backward, "update": updates}
    sections = {name: tuple(ops) for name, ops in lists.items()}
    batch = _used_buffers(batch, (op for ops in lists.values() for op in ops), builder.input, output, output_grad)
    return Program(
        sections,
        batch,
        builder.vectors,
        builder.input,
        output,
        output_grad,
        grad_of[builder.input] if input_grad else "",
        loss.target if loss else "",
        update,
    )
