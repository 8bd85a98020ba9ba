"""Programs: a net, a loss and an optimiser lowered to flat lists of ops over named buffers.

Layers emit forward ops into a `Builder`; `lower_inference` and `lower_training` derive the rest and fuse neighbours.

Names say where a buffer lives: ``batch:`` one row per row of the batch, ``vector:`` one entry per feature, ``param:``,
``grad:`` and ``state:`` views of the net's arenas, ``labels:`` and ``weights:`` what the loss is given besides logits.
An op names its buffers by role, so a program is a DAG of buffers and its list any topological order of it.

Both executors run the same lists; every kind of op is described by one row of `OPS`.
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
from fastnn.engine.arena import Arena
from fastnn.kernels.losses import LossCall
from fastnn.kernels.optimizers import SLOTS


@dataclass(frozen=True)
class OpSpec:
    """What an op of one kind holds: the roles of its buffers and its attributes with their defaults.

    Buffers in `optional` may be absent.
    """

    buffers: tuple[str, ...]
    optional: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)


_EPILOGUE = {"activation": "identity", "parameters": (), "p": 0.0, "stream": 0}
"""What many ops do to their result before they leave it: an activation, then dropout.

In training the buffer `h` keeps what the activation's derivative is told from where `y` does not hold it: its output,
if dropout follows, or its input, the op's result before the activation. Of an activation that gates, `y` tells enough.
"""

_UPDATE = {"update": ""}
"""The optimiser that takes the gradients at once; "" leaves them in the arena."""

_CALL = {"function": None}
"""A Python function, called with the op's buffers in the order of its row: arrays of the batch's rows."""

_LOSS = {"loss": "", "value": 1.0, "slope": 1.0, "loss_parameters": ()}
"""What a loss's kernel is told, see `fastnn.kernels.losses.LossCall`."""

OPS: Mapping[str, OpSpec] = {
    # y = dropout(activation(x @ w + b))
    "dense": OpSpec(("x", "w", "y"), ("b", "h"), _EPILOGUE),
    # inference: y = activation(affine(x @ w + b)), the affine map of a batch norm's running statistics
    "dense_affine": OpSpec(("x", "w", "y", "gamma", "beta", "mean", "var"), ("b",), {**_EPILOGUE, "eps": 1e-5}),
    # all epilogue: y = dropout(activation(x)); x itself keeps the activation's input
    "activation": OpSpec(("x", "y"), ("h",), _EPILOGUE),
    # y = x where x > 0, else a * x, a learned; one for all columns or one for each
    "prelu": OpSpec(("x", "a", "y")),
    # of each row
    "softmax": OpSpec(("x", "y")),
    "log_softmax": OpSpec(("x", "y")),
    # of gamma * xhat + beta by the batch's statistics, which the running ones follow
    "batch_norm": OpSpec(
        ("x", "gamma", "beta", "running_mean", "running_var", "mean", "inv_std", "y"),
        ("h",),
        {**_EPILOGUE, "eps": 1e-5, "momentum": 0.1},
    ),
    "affine": OpSpec(("x", "gamma", "beta", "mean", "var", "y"), (), {**_EPILOGUE, "eps": 1e-5}),
    # writes dz and the step's loss, by class labels where there is no target
    "loss": OpSpec(("z", "dz"), ("target",), _LOSS),
    # the function is given labels or rows as its third and the weights, or None, as its fourth, and returns the loss
    "custom_loss": OpSpec(("z", "dz"), ("target",), _CALL),
    # function(x, y) and backward(dy, x, y, dx) write into their last
    "custom": OpSpec(("x", "y"), (), {**_CALL, "backward": None}),
    "custom_backward": OpSpec(("dy", "x", "y", "dx"), (), _CALL),
    # in place: d = derivative by an op's result -> derivative by its pre-activation, told from h
    "epilogue_backward": OpSpec(("d",), ("h",), _EPILOGUE),
    # dx = dy @ w.T, then the epilogue_backward of the op that made x
    "dense_grad_input": OpSpec(("dy", "w", "dx"), ("h",), _EPILOGUE),
    # dw = x.T @ dy, db = dy.sum(0)
    "dense_grad_weight": OpSpec(("x", "dy", "w", "dw"), ("b", "db"), _UPDATE),
    # dx may be dy
    "batch_norm_backward": OpSpec(
        ("dy", "x", "gamma", "beta", "mean", "inv_std", "dx", "dgamma", "dbeta"), (), _UPDATE
    ),
    # adds the penalty of the program's update to the step's loss
    "penalty": OpSpec(()),
    # makes the update multiply all gradients by what brings their norm down to the update's clip_norm
    "clip_norm": OpSpec(()),
    # dx may be dy
    "softmax_backward": OpSpec(("dy", "y", "dx")),
    "log_softmax_backward": OpSpec(("dy", "y", "dx")),
    "prelu_backward": OpSpec(("dy", "x", "a", "dx", "da"), (), _UPDATE),
    # the optimiser over the whole arena
    "update": OpSpec((), (), _UPDATE),
}


@dataclass(frozen=True)
class Update:
    """How parameters follow their gradients.

    Attributes
    ----------
    kind : str
        One of the kernels' updates.
    l1, l2 : float
        A penalty ``l1 * sum(|w|) + l2 / 2 * sum(w**2)`` of the parameters in `penalized`, which goes into gradient and
        loss.
    per_batch : bool
        Whether it is divided by the batch's total weight.
    penalized : frozenset of str
    decay : {"", "coupled", "decoupled"}
        What the last of a group's scalars is for: times the parameters it is added to their gradient, or the parameters
        are multiplied by it before the update.
    groups : dict of str to int
        Which group a parameter is in; 0 where it is not named. A step's scalars are one group's after the other's.
    n_groups : int
    n_scalars : int
        Numbers of a step, those of all groups together; 0 where it is not said.
    clip_value, clip_norm : float
        What no entry of a gradient, and the norm of all gradients together, may be above. The norm needs all gradients:
        nothing is updated before, and the update is an op of its own.
    max_norms : dict of str to float
        What no column of an updated matrix may be above.
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
        """Whether there is anything to add."""
        return (self.l1 > 0 or self.l2 > 0) and bool(self.penalized)


@dataclass(frozen=True)
class Op:
    """One instruction: a kind of `OPS`, its buffers by role and its attributes."""

    kind: str
    buffers: Mapping[str, str]
    attrs: Mapping[str, Any]

    def __str__(self) -> str:
        roles = " ".join(f"{role}={name}" for role, name in self.buffers.items())
        attrs = " ".join(f"{key}={value}" for key, value in self.attrs.items() if value != OPS[self.kind].attrs[key])
        return f"{self.kind:20s} {roles} {attrs}".rstrip()


def make_op(kind: str, buffers: Mapping[str, str | None], **attrs: Any) -> Op:
    """An op, checked against its row of `OPS`; buffers that are None are left out."""
    spec = OPS[kind]
    held = {role: name for role, name in buffers.items() if name is not None}
    missing = [role for role in spec.buffers if role not in held]
    unknown = [role for role in held if role not in spec.buffers + spec.optional]
    unknown += [name for name in attrs if name not in spec.attrs]
    if missing or unknown:
        v.refuse(
            ValueError, f"op {kind!r}", f"have the buffers {spec.buffers}", f"missing {missing}, unknown {unknown}"
        )
    return Op(kind, held, {**spec.attrs, **attrs})


@dataclass(frozen=True)
class Program:
    """Flat lists of ops by section, and the buffers that they need besides the net's arenas.

    Attributes
    ----------
    sections : dict of str to tuple of Op
        ``forward`` alone for inference; ``forward``, ``loss``, ``backward`` and ``update`` for training.
    batch, vectors : dict of str to int
        Width of each ``batch:`` and ``vector:`` buffer.
    input, output : str
        The buffers that hold the batch and the net's output.
    output_grad, input_grad : str
        The buffers of the loss's derivatives by them; "" where there is none.
    target : {"", "labels", "rows"}
        What the loss compares the output with.
    update : Update, optional
        How the parameters follow.
    has_batch_statistics : bool
        Whether a batch of one row cannot be trained on.
    calls_python : bool
        Whether an op calls a Python function, which may raise.
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


def check_arrays(program: Program, params: Arena, slots: tuple[Array, ...]) -> None:
    """Refuse slots that are not those of the program's update: a kernel would read and write past their end.

    Raises
    ------
    ValueError
        If there are more or fewer than the update has, or one is not as long as the parameters.
    """
    kind = program.update.kind if program.update is not None else ""
    wanted = len(SLOTS[kind]) if kind else len(slots)
    sizes = [len(slot) for slot in slots]
    if sizes != [params.layout.size] * wanted:
        v.refuse(ValueError, "slots", f"be {wanted} arrays of {params.layout.size} entries", f"lengths {sizes}")


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
        """A new buffer with one row of `width` entries per row of the batch."""
        name = f"batch:h{len(self.batch)}"
        self.batch[name] = width
        return name

    def vector(self, width: int) -> str:
        """A new buffer of `width` entries."""
        name = f"vector:v{len(self.vectors)}"
        self.vectors[name] = width
        return name

    def op(self, kind: str, buffers: Mapping[str, str | None], **attrs: Any) -> None:
        """Appends an op."""
        self.ops.append(make_op(kind, buffers, **attrs))


# ---- forward fusion: an op takes up what alone consumes its output ----


def _consumers(ops: Iterable[Op], name: str) -> int:
    return sum(list(op.buffers.values()).count(name) - (op.buffers.get("y") == name) for op in ops)


def derivative_from_input(op: Op) -> bool:
    """Whether the derivative of the op's activation is told from the activation's input."""
    return ACTIVATIONS[op.attrs["activation"]].derivative_from == "input"


def masked(op: Op) -> bool:
    """Whether the zeros that dropout has left of the op's activation tell its mask, and its derivative."""
    return ACTIVATIONS[op.attrs["activation"]].zero_output_zero_gradient


def derivative_from(op: Op) -> str:
    """The buffer that, in training, the derivative of the op's activation is told from."""
    own = "x" if op.kind == "activation" and derivative_from_input(op) else "y"
    return op.buffers.get("h", op.buffers[own])


def _fuse_pair(first: Op, second: Op, training: bool) -> Op | None:
    """The op that does both, or None where there is none."""
    if "p" not in first.attrs or first.attrs["p"] > 0.0:
        return None
    plain = first.attrs["activation"] == "identity"
    y = second.buffers["y"]
    if (first.kind, second.kind) == ("dense", "affine") and plain:
        return make_op("dense_affine", {**second.buffers, **first.buffers, "y": y}, **second.attrs)
    if second.kind != "activation":
        return None
    if second.attrs["activation"] != "identity":
        if not plain:
            return None
        attrs = {key: second.attrs[key] for key in _EPILOGUE}
        keep = training and first.kind != "activation" and derivative_from_input(second)
    else:
        attrs = {key: second.attrs[key] for key in ("p", "stream")}
        keep = not plain and not derivative_from_input(first) and not masked(first)
    kept = {"h": first.buffers["y"]} if keep else {}
    return replace(first, buffers={**first.buffers, **kept, "y": y}, attrs={**first.attrs, **attrs})


def fuse_forward(ops: Iterable[Op], output: str, training: bool) -> list[Op]:
    """Merges neighbours of a forward list; the values stay the same to the last bit."""
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
    """What turns the derivative by an op's result into the one by its pre-activation, in place."""
    epilogue = {key: op.attrs[key] for key in _EPILOGUE}
    if epilogue["activation"] == "identity" and epilogue["p"] == 0.0:
        return []
    return [make_op("epilogue_backward", {"d": d, "h": derivative_from(op)}, **epilogue)]


def _dense_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    b, w = op.buffers.get("b"), op.buffers["w"]
    ops = _epilogue_backward(op, d)
    if dx is not None:
        ops.append(make_op("dense_grad_input", {"dy": d, "w": w, "dx": dx}))
    held = {"x": op.buffers["x"], "dy": d, "w": w, "dw": _grad(w), "b": b, "db": b and _grad(b)}
    return [*ops, make_op("dense_grad_weight", held)]


def _batch_norm_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    held = {role: op.buffers[role] for role in ("x", "gamma", "beta", "mean", "inv_std")}
    grads = {"dgamma": _grad(op.buffers["gamma"]), "dbeta": _grad(op.buffers["beta"])}
    return [*_epilogue_backward(op, d), make_op("batch_norm_backward", {"dy": d, "dx": dx or d, **held, **grads})]


def _activation_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    """An op that is all epilogue: its input's derivative takes over the memory of its result's."""
    return _epilogue_backward(op, d) if dx else []


def _prelu_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    a = op.buffers["a"]
    held = {"dy": d, "x": op.buffers["x"], "a": a, "dx": dx or d, "da": _grad(a)}
    return [make_op("prelu_backward", held)]


def _softmax_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    return [make_op(f"{op.kind}_backward", {"dy": d, "y": op.buffers["y"], "dx": dx})] if dx else []


def _custom_backward(op: Op, d: str, dx: str | None) -> list[Op]:
    held = {"dy": d, "x": op.buffers["x"], "y": op.buffers["y"], "dx": dx}
    return [make_op("custom_backward", held, function=op.attrs["backward"])] if dx else []


_BACKWARD: Mapping[str, Callable[[Op, str, str | None], list[Op]]] = {
    "dense": _dense_backward,
    "batch_norm": _batch_norm_backward,
    "activation": _activation_backward,
    "prelu": _prelu_backward,
    "softmax": _softmax_backward,
    "log_softmax": _softmax_backward,
    "custom": _custom_backward,
}


_IN_PLACE = {"activation", "prelu", "softmax", "log_softmax"}
"""Kinds whose derivative by the input takes over the memory of the one by the result."""


def derive_backward(ops: Iterable[Op], batch: dict[str, int], stop: str) -> tuple[list[Op], dict[str, str]]:
    """The backward list of a forward list, as far as the buffer `stop`, and where the derivative by each buffer is.

    It adds the derivatives' buffers to `batch`.  The derivative by an op's result lives in one buffer and becomes, in
    place, the one by its pre-activation.
    """
    backward: list[Op] = []
    held: dict[str, str] = {}  # a buffer -> where the derivative by it is
    for op in reversed(list(ops)):
        y, x = op.buffers["y"], op.buffers["x"]
        d = held.setdefault(y, _grad(y))
        dx = None
        if x != stop:
            dx = held[x] = d if op.kind in _IN_PLACE else _grad(x)
            batch[dx] = batch[x]
        batch[d] = batch[y]
        backward += _BACKWARD[op.kind](op, d, dx)
    return backward, held


def _fuse_backward(ops: Iterable[Op]) -> list[Op]:
    """dense_grad_input takes up the epilogue_backward of the op that made its x."""
    fused: list[Op] = []
    for op in ops:
        # Between the two stands only the weight gradient of the same dense, which touches neither.
        first = next(
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
        if first is None:
            fused.append(op)
        else:
            fused[first] = make_op("dense_grad_input", {**fused[first].buffers, "h": op.buffers["h"]}, **op.attrs)
    return fused


# ---- whole programs ----


def _named(batch: Mapping[str, int], ops: Iterable[Op], *always: str) -> dict[str, int]:
    """The buffers of `batch` that fusion has left in use."""
    used = {name for op in ops for name in op.buffers.values()}.union(always)
    return {name: width for name, width in batch.items() if name in used}


def lower_inference(builder: Builder, output: str) -> Program:
    """The forward list alone, batch norms folded into the dense ops before them."""
    ops = tuple(fuse_forward(builder.ops, output, training=False))
    batch = _named(builder.batch, ops, builder.input, output)
    return Program({"forward": ops}, batch, builder.vectors, builder.input, output)


def lower_training(
    builder: Builder,
    output: str,
    *,
    loss: LossCall | None = None,
    optimizer: Update | str = "",
    input_grad: bool = False,
) -> Program:
    """Forward, loss, backward and update.

    Parameters
    ----------
    builder : Builder
        Holds the forward ops.
    output : str
        The buffer of the net's output.
    loss : LossCall, optional
        None for hand-written loops, which write the output's derivative themselves.
    optimizer : Update or str
        How the parameters follow, or the kind of update alone, or "" for none.  With a loss it is fused with the
        gradients, else an op of its own; as it is where the gradients' norm is clipped, and where a Python function is
        among the gradients, so that one that raises leaves no parameter updated.
    input_grad : bool
        Whether the derivative by the input is wanted as well.

    Returns
    -------
    Program
    """
    forward = fuse_forward(builder.ops, output, training=True)
    batch = dict(builder.batch)
    derived, held = derive_backward(forward, batch, "" if input_grad else builder.input)
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
        given = {"z": output, "dz": output_grad, "target": rows}
        told = {"value": loss.value, "slope": loss.slope, "loss_parameters": loss.parameters}
        if loss.function is None:
            losses = [make_op("loss", given, loss=loss.kind, **told)]
        else:
            losses = [make_op("custom_loss", given, function=loss.function)]
        if update is not None and update.has_penalty:
            losses.append(make_op("penalty", {}))
    clips = update is not None and update.clip_norm < math.inf
    if loss and not _calls_python(backward) and not clips:
        backward = [replace(op, attrs={"update": kind}) if "update" in op.attrs else op for op in backward]
    elif kind:
        updates = [*([make_op("clip_norm", {})] if clips else []), make_op("update", {}, update=kind)]
    lists = {"forward": forward, "loss": losses, "backward": backward, "update": updates}
    sections = {name: tuple(ops) for name, ops in lists.items()}
    batch = _named(batch, (op for ops in lists.values() for op in ops), builder.input, output, output_grad)
    return Program(
        sections,
        batch,
        builder.vectors,
        builder.input,
        output,
        output_grad,
        held[builder.input] if input_grad else "",
        loss.target if loss else "",
        update,
    )
