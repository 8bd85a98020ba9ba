"""Programs: a net, a loss and an optimiser lowered to flat lists of ops over named buffers.

Layers emit forward ops into a `Builder`; `lower_inference` and `lower_training` derive the other ops and fuse
neighbours. Each op comes after those that write what it reads; an op in place comes after all others that read the old
contents. Both executors run the same lists.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn._updates import SLOTS
from fastnn.engine.arena import Arena
from fastnn.engine.augment import Step, augmentation_ops, first_buffer, mixes_targets
from fastnn.engine.backward import derive_backward, grad
from fastnn.engine.feed import IdColumn, Labels
from fastnn.engine.fuse import fuse_backward, fuse_forward
from fastnn.engine.loss_ops import TARGET, UNMIXED, loss_ops
from fastnn.engine.observe import Measured, ObservingOps
from fastnn.engine.ops import OF_THE_BATCH, Op, make_op, needs_h
from fastnn.kernels import _bins
from fastnn.kernels.losses import LossCall

SECTIONS = ("input", "forward", "loss", "backward", "reduce", "update", "observe")
"""The sections of a step in their order: the order of a compiled program's lists.

`input` loads the batch from a feed: callers that fill the buffers themselves leave it out. `update` follows the last of
`Feed.accumulate` batches. `observe` follows a step that somebody watches.
"""


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
        Number of scalars of a step, over all groups and the average; 0 if unknown.
    clip_value, clip_norm : float
        Upper limits of each gradient entry, and of the norm of all gradients together. The norm needs all gradients, so
        with `clip_norm` the update is a separate op after the backward pass.
    max_norms : dict of str to float
        Upper limits of the column norms of matrices, applied after the update.
    sparse : frozenset of str
        Matrices of which an update changes only the rows of the last batch. A separate update finds them marked in the
        gradients' arena.
    frozen : frozenset of str
        Parameters that the update leaves as they are: they have no penalty, and no part in the norm of all gradients.
    averaged : bool
        Whether the last of the slots is a moving average of the parameters, which each update moves towards them
        (`fastnn.kernels.lerp`). The last of a step's scalars, after those of all groups, is the weight.
    accumulates : bool
        Whether an update uses the mean gradients of several batches, whose number is `Feed.accumulate`. Then it is a
        separate op, and no update is `sparse`.
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
    sparse: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    averaged: bool = False
    accumulates: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "penalized", self.penalized - self.frozen)

    @property
    def has_penalty(self) -> bool:
        """Whether there is a penalty to add."""
        return (self.l1 > 0 or self.l2 > 0) and bool(self.penalized)

    def ops(self) -> list[Op]:
        """Return the ops that update all parameters after the backward pass."""
        mean = [make_op("mean_gradients", {})] if self.accumulates else []
        clip = [make_op("clip_norm", {})] if self.clip_norm < math.inf else []
        return [*mean, *clip, make_op("update", {}, update=self.kind), *self.ops_after()]

    def ops_after(self) -> list[Op]:
        """Return the ops that follow the updates of all parameters, also of those fused with their gradients."""
        return [make_op("average", {})] if self.averaged else []


@dataclass(frozen=True, kw_only=True)
class Program:
    """Flat lists of ops, one for each section, and the buffers that they need besides the net's arenas.

    Attributes
    ----------
    sections : dict of str to tuple of Op
        Keys are some of `SECTIONS`: ``input`` and ``forward`` for inference, all for training.
    batch, vectors : dict of str to int
        Width of each ``batch:`` and ``vector:`` buffer.
    ids : dict of str to IdColumn
        What each ``ids:`` buffer has: an integer for each row of the batch.
    input, output : str
        The buffers that hold the batch and the net's output; "" in a program with an update alone.
    output_grad, input_grad : str
        The buffers of the loss's gradients with respect to them; "" if there is none.
    update : Update, optional
        The optimiser's update.
    target : {"", "labels", "rows"}
        The kind of target that the input section loads.
    has_batch_statistics : bool
        Whether a batch norm uses the batch's statistics: a batch of one row has none and cannot be trained on.
    depends_on_batch_or_chance : bool
        Whether a row's output depends on the other rows of its batch, or on random numbers.
    calls_python : bool
        Whether an op calls a Python function, which may raise an exception.
    accumulates : bool
        Whether its update uses the mean gradients of several batches.
    measured : tuple of Measured
        What each row of the executor's table of observations is about.
    """

    sections: Mapping[str, tuple[Op, ...]]
    batch: Mapping[str, int] = field(default_factory=dict)
    vectors: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[str, IdColumn] = field(default_factory=dict)
    input: str = ""
    output: str = ""
    output_grad: str = ""
    input_grad: str = ""
    update: Update | None = None
    measured: tuple[Measured, ...] = ()

    @cached_property
    def target(self) -> str:
        return next((op.spec.target for op in self.sections.get("input", ()) if op.spec.target), "")

    @cached_property
    def labels(self) -> tuple[Labels, ...]:
        """Where class labels stand in the targets, which are those of one loss or of several heads."""
        if self.target == "labels":
            return (Labels("y", None, self.batch[self.output]),)
        of_heads = [op for op in self.sections.get("input", ()) if op.kind == "take_labels"]
        return tuple(
            Labels(f"y[:, {op.attrs['column']}] (heads[{op.attrs['head']}])", op.attrs["column"], op.attrs["classes"])
            for op in of_heads
        )

    @cached_property
    def n_heads(self) -> int:
        """The number of heads with a loss, 1 without a loss."""
        return max((op.attrs.get("head", 0) for op in self.sections.get("loss", ())), default=0) + 1

    @cached_property
    def has_batch_statistics(self) -> bool:
        return any(op.spec.mixes_rows for op in self.sections.get("forward", ()))

    @cached_property
    def depends_on_batch_or_chance(self) -> bool:
        return self.has_batch_statistics or any(op.attrs.get("p", 0) > 0 for op in self.sections.get("forward", ()))

    @cached_property
    def calls_python(self) -> bool:
        return any(_calls_python(ops) for ops in self.sections.values())

    @property
    def accumulates(self) -> bool:
        return self.update is not None and self.update.accumulates

    def check(self, params: Arena, state: Arena, slots: tuple[Array, ...], means: Array | None = None) -> None:
        """Refuse arrays that do not fit the program: ops would read and write past their ends.

        Raises
        ------
        ValueError
            If a forward op names a buffer that does not exist, or whose shape does not fit the op's others; if the
            number of slots is not that of the update, or their length not that of the parameters; if the program
            accumulates and `means` is not an array of that length.
        """
        wanted = len(SLOTS[self.update.kind]) + self.update.averaged if self.update is not None else len(slots)
        size, sizes = params.layout.size, [len(slot) for slot in slots]
        if sizes != [size] * wanted:
            v.refuse(ValueError, "slots", f"be {wanted} arrays of {size} entries", f"arrays of {sizes} entries")
        if self.accumulates and (means is None or len(means) != size):
            got = "none" if means is None else f"{len(means)} entries"
            v.refuse(ValueError, "means", f"be an array of {size} entries", got)
        shapes: dict[str, tuple[int, ...]] = {
            name: (width,) for widths in (self.batch, self.vectors) for name, width in widths.items()
        }
        shapes |= dict.fromkeys(self.ids, (1,))
        shapes |= {f"param:{name}": shape for name, shape in params.layout.shapes.items()}
        shapes |= {f"state:{name}": shape for name, shape in state.layout.shapes.items()}
        for op in self.sections.get("forward", ()):
            _check_shapes(op, shapes)

    def __str__(self) -> str:
        return "\n".join(f"{name}:\n" + "\n".join(f"    {op}" for op in ops) for name, ops in self.sections.items())


def _check_shapes(op: Op, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for role, name in op.buffers.items():
        if name not in shapes:
            must = "be a buffer of the builder, or param: or state: and the name of a parameter or running statistic"
            v.refuse(ValueError, f"{role} of op {op.kind!r}", must, v.shown(name))
    for role, like in op.spec.shapes.items():
        if role not in op.buffers:
            continue
        shape = shapes[op.buffers[role]]
        wanted = tuple(shapes[op.buffers[other]][-1] for other in like)
        if shape != wanted and not (shape == (1,) and role in op.spec.broadcast):
            widths = " and ".join(f"the width of {other}" for other in like)
            v.refuse(ValueError, f"{role} of op {op.kind!r}", f"have shape {wanted}, {widths}", f"shape {shape}")
    for role in op.spec.of_rows:
        buffer = op.buffers.get(role, "")
        if buffer and not (buffer.startswith("batch:") and shapes[buffer] == (1,)):
            must = "be a buffer of rows with one entry each, of builder.rows(1)"
            v.refuse(ValueError, f"{role} of op {op.kind!r}", must, f"{buffer} of shape {shapes[buffer]}")
    if op.spec.encodes:
        _check_encoding(op, shapes)
    if op.spec.columns:
        _check_columns(op, op.attrs["columns"], shapes)
    if op.kind == "embedding":
        _check_table(op, shapes)


def _check_encoding(op: Op, shapes: Mapping[str, tuple[int, ...]]) -> None:
    (features,), (width,) = shapes[op.buffers["x"]], shapes[op.buffers["y"]]
    first, n = op.attrs["column"], op.attrs["n_columns"]
    if first + n > features:
        must = f"be within the {features} columns of x"
        v.refuse(ValueError, f"the columns of op {op.kind!r}", must, f"columns {first} to {first + n - 1}")
    if "w" in op.buffers:
        w = shapes[op.buffers["w"]]
        if len(w) != 2 or w[0] != features:
            v.refuse(
                ValueError, f"w of op {op.kind!r}", f"have {features} rows, one for each column of x", f"shape {w}"
            )
        entries = 2 * n * w[1]
    else:
        entries = _bins.entries(op.attrs["bins"])
    if width != entries:
        v.refuse(ValueError, f"y of op {op.kind!r}", f"have {entries} columns, one for each entry", width)


def _check_columns(op: Op, columns: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> None:
    few, wide = op.spec.columns
    n, (limit,) = shapes[op.buffers[few]][-1], shapes[op.buffers[wide]]
    if n != len(columns):
        v.refuse(ValueError, f"{few} of op {op.kind!r}", f"have {len(columns)} columns, those of `columns`", n)
    if not all(0 <= each < limit for each in columns) or len(set(columns)) != n:
        must = f"be different columns of {wide}, from 0 to {limit - 1}"
        v.refuse(ValueError, f"columns of op {op.kind!r}", must, v.shown(columns))


def _check_table(op: Op, shapes: Mapping[str, tuple[int, ...]]) -> None:
    name, columns = op.buffers["w"], op.attrs["columns"]
    if not name.startswith("param:") or len(shapes[name]) != 2:
        v.refuse(ValueError, "w of op 'embedding'", "be a parameter with two axes", f"{name} of shape {shapes[name]}")
    if columns != tuple(range(columns[0], columns[0] + len(columns))):
        v.refuse(ValueError, "columns of op 'embedding'", "be neighbours, from left to right", v.shown(columns))


def _calls_python(ops: Iterable[Op]) -> bool:
    return any("function" in op.attrs for op in ops)


class Builder:
    """Collects the forward ops that layers emit.

    Parameters
    ----------
    in_features : int
        Width of the input.
    training : bool
        Whether the program is for training (batch statistics, dropout) or inference.
    frozen : frozenset of str
        The names of the parameters that training does not change.
    """

    def __init__(self, in_features: int, training: bool, frozen: frozenset[str] = frozenset()) -> None:
        self.training, self.frozen = training, frozen
        self.ops: list[Op] = []
        self.batch: dict[str, int] = {"batch:x": in_features}
        self.vectors: dict[str, int] = {}
        self.input = "batch:x"
        self.written = {self.input}
        self.path = ""  # of the layer that emits ops
        self.paths: dict[str, str] = {}  # buffer -> path of the layer whose op writes it
        self._columns: dict[str, set[int]] = {}  # those written so far of buffers that several ops write
        self._input_columns = {self.input: tuple(range(in_features))}  # of buffers that are columns of the input
        self.ids: dict[str, IdColumn] = {}  # the buffers of ids

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

    def input_columns(self, x: str) -> tuple[int, ...] | None:
        """Return which columns of the net's input a buffer has; None if it has anything else."""
        return self._input_columns.get(x)

    def row_ids(self, column: int, size: int, own_row: bool, layer: str) -> str:
        """Add a buffer with the ids in a column of the input, and return its name.

        Parameters
        ----------
        column : int
        size : int
            The number of rows of the table that is read by these ids, that for unknown ids not counted.
        own_row : bool
            Whether all other numbers have the row `size` of the table; otherwise they are an error.
        layer : str
            What messages call the table.
        """
        name = f"ids:{len(self.ids)}"
        self.ids[name] = IdColumn(column, size, own_row, layer)
        return name

    def op(self, kind: str, buffers: Mapping[str, str | None], **attrs: Any) -> None:
        """Append a forward op.

        Parameters
        ----------
        kind : str
            A kind of the op table.
        buffers : dict of str to str
            The buffers by their roles. Those that the op reads have been written by ops before it; those that it writes
            have not, as the backward pass needs the contents of all.
        **attrs
            Attributes other than their defaults.

        Raises
        ------
        TypeError, ValueError
            If the op is none of the table, or a buffer or an attribute does not fit.
        """
        op = make_op(kind, buffers, **attrs)
        if not op.spec.is_forward or op.attrs.get("clear"):
            got = "one that clears columns" if op.spec.is_forward else v.shown(kind)
            v.refuse(ValueError, "the kind of an op", "be that of a forward op", got)
        for role, name in op.buffers.items():
            self._check_buffer(op, role, name)
        if self.training and "h" not in op.buffers and needs_h(op):
            op = replace(op, buffers={**op.buffers, "h": self.rows(self.batch[op.buffers["y"]])})
        written = {name for name in op.written if not name.startswith("state:")}
        if op.spec.writes_columns:
            written = self._write_columns(op)
        if kind == "take_columns" and op.buffers["x"] in self._input_columns:
            columns = self._input_columns[op.buffers["x"]]
            if all(0 <= each < len(columns) for each in op.attrs["columns"]):
                self._input_columns[op.buffers["y"]] = tuple(columns[each] for each in op.attrs["columns"])
        self.written |= written
        self.paths |= dict.fromkeys(op.written, self.path)
        self.ops.append(op)

    def _check_buffer(self, op: Op, role: str, name: str) -> None:
        """Refuse a buffer that the op must not read or write: an op would use the memory of others."""
        argument = f"{role} of op {op.kind!r}"
        of_the_batch = role in OF_THE_BATCH or role in op.spec.of_rows
        if of_the_batch != name.startswith("batch:"):
            must = "be a buffer of rows, of builder.rows" if of_the_batch else "be no buffer of rows"
            v.refuse(ValueError, argument, must, v.shown(name))
        if (role == "ids") != (name in self.ids):
            must = "be a buffer of ids, of builder.row_ids" if role == "ids" else "be no buffer of ids"
            v.refuse(ValueError, argument, must, v.shown(name))
        temporary = name.startswith(("batch:", "vector:"))
        if role in op.spec.writes and (name in self.written or name.startswith("param:")):
            v.refuse(ValueError, argument, "be a buffer that no op has written", v.shown(name))
        if role not in op.spec.writes and temporary and name not in self.written:
            must = "be a buffer that an op has written"
            if name in self._columns:
                must = "be a buffer of which ops have written all columns"
            v.refuse(ValueError, argument, must, v.shown(name))

    def _write_columns(self, op: Op) -> set[str]:
        """Note the columns that the op writes, and return the buffer if these were the last ones."""
        y, columns = op.buffers["y"], op.attrs["columns"]
        known = self._columns.setdefault(y, set())
        if known.intersection(columns) or len(set(columns)) < len(columns):
            must = "be different columns of y, which no op has written"
            v.refuse(ValueError, f"columns of op {op.kind!r}", must, v.shown(columns))
        known.update(columns)
        return {y} if len(known) == self.batch.get(y) else set()


def _input_ops(builder: Builder, loaded: str = "") -> list[Op]:
    """Return the ops that load a batch, into the buffer `loaded` or that of the input."""
    x = {"x": loaded or builder.input}
    ids = [
        make_op("gather_ids", {"ids": name}, column=each.column, size=each.size, own_row=each.own_row)
        for name, each in builder.ids.items()
    ]
    return [make_op("gather", x), make_op("scale_input", x), *ids]


def _without_unread_copies(ops: Iterable[Op], kept: Collection[str]) -> list[Op]:
    """Return the ops without copies of columns that no op reads: embeddings read ids in place of their input."""
    needed, result = set(kept), []
    for op in reversed(list(ops)):
        if op.kind != "take_columns" or op.buffers["y"] in needed:
            needed.update(op.buffers[role] for role in op.spec.reads if role in op.buffers)
            result.append(op)
    return result[::-1]


def _used_buffers(batch: Mapping[str, int], ops: Iterable[Op], *always: str) -> dict[str, int]:
    """Return the buffers of `batch` that the fused ops use, and those named in `always`."""
    used = {name for op in ops for name in op.buffers.values()}.union(always)
    return {name: width for name, width in batch.items() if name in used}


def lower_inference(builder: Builder, output: str, kept: Iterable[str] = ()) -> Program:
    """Return a program of input and forward; a batch norm after a dense op becomes a part of that op.

    `kept` are buffers that the caller reads, besides the output.
    """
    kept = {output, *kept}
    forward = tuple(fuse_forward(_without_unread_copies(builder.ops, kept), kept, training=False))
    return Program(
        sections={"input": tuple(_input_ops(builder)), "forward": forward},
        batch=_used_buffers(builder.batch, forward, builder.input, output),
        vectors=builder.vectors,
        ids=builder.ids,
        input=builder.input,
        output=output,
    )


def lower_update(update: Update) -> Program:
    """Return a program with an update alone, for gradients that another program has computed."""
    return Program(sections={"update": tuple(update.ops())}, update=update)


def lower_training(
    builder: Builder,
    output: str,
    *,
    loss: LossCall | None = None,
    target: str = "",
    optimizer: Update | str = "",
    input_grad: bool = False,
    augment: Sequence[Step] = (),
    observed: Mapping[str, int] | None = None,
) -> Program:
    """Return a program with all sections.

    Parameters
    ----------
    builder : Builder
        Has the forward ops.
    output : str
        The buffer of the net's output.
    loss : LossCall, optional
        None for hand-written loops, which write the output's gradient themselves.
    target : {"", "labels", "rows"}
        The kind of targets that are loaded, by default that of the loss. A loss of rows gets labels as rows of 0 and 1.
    optimizer : Update or str
        The update, or its kind alone, or "" for none. With a loss, the update is fused with the ops that compute the
        gradients. It is a separate op without a loss, with `clip_norm`, if it accumulates, and if a Python function
        takes part in the backward pass: if that function raises, no parameter has been updated.
    input_grad : bool
        Whether the gradient of the input is computed too.
    augment : sequence of (str, mapping)
        The kinds and attributes of the ops that augment each batch, in their order.
    observed : dict of str to int, optional
        The numbers of entries of all parameters, for an observing program (`fastnn.engine.observe`). Its steps have the
        same results, bit for bit, but nothing is fused, so that all outputs and gradients are in buffers.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If two ops use the same parameter.
    """
    forward = _without_unread_copies(builder.ops, {output})
    batch, vectors, stop = dict(builder.batch), builder.vectors, "" if input_grad else builder.input
    observing = None if observed is None else ObservingOps(forward, builder.paths, builder.frozen, observed)
    if observing is None:
        forward = fuse_forward(forward, {output}, training=True)
        derived, gradients = derive_backward(forward, batch, output, stop, builder.frozen)
        backward = fuse_backward(derived)
    else:
        backward, gradients = derive_backward(forward, batch, output, stop, builder.frozen, observing.gradient)
        forward = observing.forward(forward, "" if builder.ids else builder.input)
        vectors = {**vectors, **observing.kept}
    update = (Update(optimizer) if optimizer else None) if isinstance(optimizer, str) else optimizer
    loaded = UNMIXED if mixes_targets(augment) else TARGET
    targets, losses = loss_ops(loss, output, batch, target=target, loaded=loaded) if loss else ([], [])
    inputs = [*_input_ops(builder, first_buffer(augment, builder.input)), *targets]
    inputs += augmentation_ops(augment, builder.input, batch, builder.ids)
    if loss and update is not None and update.has_penalty:
        losses.append(make_op("penalty", {}))
    updates: list[Op] = []
    reduce = [make_op("add_gradients", {})] if update and loss and update.accumulates else []
    fuses = not (observing or reduce or _calls_python(backward)) and update and update.clip_norm == math.inf
    if update and loss and fuses:
        backward = [replace(op, attrs={**op.attrs, "update": update.kind}) if op.updatable else op for op in backward]
        updates = update.ops_after()
    elif update:
        updates = update.ops() if observing is None else observing.update(update.ops())
    observe = [make_op("record_loss", {})] if loss else []
    lists = (inputs, forward, losses, backward, reduce, updates, observe)
    return Program(
        sections={name: tuple(ops) for name, ops in zip(SECTIONS, lists, strict=True)},
        batch=_used_buffers(batch, (op for ops in lists for op in ops), builder.input, output, grad(output)),
        vectors=vectors,
        ids=builder.ids,
        input=builder.input,
        output=output,
        output_grad=grad(output),
        input_grad=gradients.get(builder.input, "") if input_grad else "",
        update=update,
        measured=() if observing is None else tuple(observing.measured),
    )
