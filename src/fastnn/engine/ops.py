"""The op table: what each kind of op reads, writes, may leave out and may overwrite.

The executors have a body for each kind. Lowering, fusion and the backward pass ask the table, so a new kind of op is a
row here and its bodies (docs/programs.md).

An op names its buffers by role. The prefix of a buffer's name says what it is: ``batch:`` has one row per row of the
batch, ``vector:`` one entry per feature, ``param:``, ``grad:`` and ``state:`` are views of the net's arenas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fastnn import _validation as v
from fastnn._activations import ACTIVATIONS
from fastnn.kernels import _bins

EPILOGUE: Mapping[str, Any] = {"activation": "identity", "parameters": (), "p": 0.0, "stream": 0}
"""The epilogue, which many ops apply to their result: an activation with its `parameters`, then dropout.

`p` is the dropout rate, `stream` the number of the layer's random stream.

The activation's derivative needs the activation's output or its input, see `fastnn._activations`. In training the
buffer `h` keeps that array if `y` does not: the output if dropout follows, or the input, which is the op's result
before the activation. An activation such as ReLU, whose derivative is 0 exactly where its output is 0 and 1 elsewhere,
needs no `h`: `y` after dropout gives both its derivative and the dropout mask, see `output_holds_mask`.
"""


@dataclass(frozen=True, kw_only=True)
class OpSpec:
    """One kind of op.

    Attributes
    ----------
    reads, writes : tuple of str
        The roles of its buffers. A role in both is changed in place.
    optional : tuple of str
        Roles that may be absent.
    shapes : dict of str to tuple of str
        Forward ops: role -> roles whose widths are the shape of its buffer, the axis of rows left out.
    of_rows : tuple of str
        Forward ops: roles of buffers with one entry for each row of the batch.
    broadcast : tuple of str
        Those of these roles that may also have a single entry for all columns.
    may_share : dict of str to str
        Written role -> the role that may be the same buffer: the op then overwrites what it has read.
    columns : tuple of str
        Forward ops with the attribute `columns`: the role of what has these columns only, and the role of what they are
        columns of. If that is `y`, other ops may write its other columns.
    encodes : bool
        Whether y has the encodings of `n_columns` columns of x from `column` on, side by side; w, if there is one, has
        a row of parameters for each column of x.
    attrs : dict of str to object
        The other attributes, with their defaults. A `function` is a Python function. It is called with the op's
        buffers, cut to the batch's rows, in the order of `buffers`; that of a `custom_loss` with what its row says.
    epilogue : {"", "applies", "undoes"}
        Whether the op applies an epilogue to its result, or takes its derivative. Either adds the attributes of
        `EPILOGUE`.
    result : str
        The role of the op's result before its epilogue, where there is no `h`; "x" if the op is an epilogue alone.
    absorbs : dict of str to str
        In inference: the kind of an op after this one -> the kind that does the work of both.
    inputs : tuple of str
        Forward ops: the roles for which there are gradients.
    gradient_in_place : bool
        Forward ops: whether the gradient of the inputs takes the place of that of the result.
    adds_gradient : bool
        Forward ops: whether the op's backward op adds to the gradient of x, of which other ops may write other columns.
    updates : dict of str to str
        Role of a gradient -> role of the parameter that the op can update with it at once. It adds the attribute
        `update`: the kind of optimiser update; "" leaves the gradients in the arena.
    mixes_rows : bool
        Whether a row of the result depends on the other rows of the batch.
    augments : bool
        Whether the op augments the batch by chance, drawn from the random stream of its attribute `stream`.
    weight_in_panels : bool
        Whether the op's body can read and write `w` and `dw` in panels (docs/panels.md).
    target : {"", "labels", "rows"}
        The kind of target that the op loads.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_rows: tuple[str, ...] = ()
    broadcast: tuple[str, ...] = ()
    may_share: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    encodes: bool = False
    attrs: Mapping[str, Any] = field(default_factory=dict)
    epilogue: Literal["", "applies", "undoes"] = ""
    result: str = "y"
    absorbs: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("x",)
    gradient_in_place: bool = False
    adds_gradient: bool = False
    updates: Mapping[str, str] = field(default_factory=dict)
    mixes_rows: bool = False
    augments: bool = False
    weight_in_panels: bool = False
    target: Literal["", "labels", "rows"] = ""

    def __post_init__(self) -> None:
        epilogue, update = EPILOGUE if self.epilogue else {}, {"update": ""} if self.updates else {}
        object.__setattr__(self, "attrs", {**epilogue, **update, **self.attrs})

    @property
    def is_forward(self) -> bool:
        """Whether layers may emit the op: the row says which shapes fit together."""
        return bool(self.shapes or self.columns or self.encodes)

    @property
    def writes_columns(self) -> bool:
        """Whether the op writes some columns of y only, so that several ops may write one buffer."""
        return self.columns[1:] == ("y",)

    @property
    def buffers(self) -> tuple[str, ...]:
        """All roles: those that are read, then those that are only written."""
        return tuple(dict.fromkeys(self.reads + self.writes))


_EPS = {"eps": 1e-5}
_FUNCTION = {"function": None}
_HEAD = {"head": 0, "adds": False}
_COLUMNS: Mapping[str, Any] = {"columns": ()}
_ENCODED = {"column": 0, "n_columns": 1}
_BINS = {**_ENCODED, "bins": ()}
_LIKE_X = dict.fromkeys(("y", "h", "x2", "a", "gamma", "beta", "running_mean", "running_var", "mean", "var"), ("x",))
_LIKE_X["inv_std"] = ("x",)
_OF_ROWS = dict.fromkeys(("y", "h", "gamma", "beta"), ("x",))
_STATISTICS = ("mean", "inv_std")
_OF_DENSE = {"w": ("x", "y"), **dict.fromkeys(("b", "h", "gamma", "beta", "mean", "var"), ("y",))}
_CHANCE = {"stream": 0}
_AUGMENTED: Mapping[str, Any] = {**_CHANCE, "kept": ()}
_IMAGE: Mapping[str, Any] = {**_AUGMENTED, "layout": (1, 1, 1, 1)}
_OBSERVED = {"entry": 0, "low": -math.inf, "high": math.inf}
_ROWS_BACKWARD = OpSpec(reads=("dy", "y"), writes=("dx",), may_share={"dx": "dy"})

OPS: Mapping[str, OpSpec] = {
    # ---- input: the batch ----
    # x = the batch's rows of the feed, cast
    "gather": OpSpec(writes=("x",)),
    # ids = the row numbers that the batch has in a column of the feed, before any cast, for a table of `size` rows;
    # with `own_row`, all numbers that are no row of it become `size`; others end the run
    "gather_ids": OpSpec(writes=("ids",), attrs={"column": 0, "size": 0, "own_row": False}),
    # x as the scaler of the feed, if it has one, makes it of x
    "scale_input": OpSpec(reads=("x",), writes=("x",)),
    # the batch's labels, or its rows of targets, and the weights of its rows, if the feed has any
    "gather_labels": OpSpec(target="labels"),
    "gather_target": OpSpec(writes=("target",), target="rows"),
    # target = (target - center) * scale, if the feed has a scaler of the targets
    "scale_target": OpSpec(reads=("target",), writes=("target",)),
    "gather_weight": OpSpec(),
    # the class numbers of a head of several: `column` of the target; numbers of none of the classes end the run
    "take_labels": OpSpec(reads=("target",), attrs={"head": 0, "column": 0, "classes": 0}),
    # target = the rows of 0 and 1 that stand for the labels
    "one_hot": OpSpec(writes=("target",)),
    # ---- input: augmentation ----
    # y = what chance makes of x, as the kernels of `fastnn.kernels.augmentation`; columns `kept` stay as they are
    "add_noise": OpSpec(augments=True, reads=("x",), writes=("y",), attrs={**_AUGMENTED, "std": 0.1}),
    "drop_features": OpSpec(augments=True, reads=("x",), writes=("y",), attrs={**_AUGMENTED, "p": 0.1}),
    "swap_entries": OpSpec(augments=True, reads=("x",), writes=("y",), attrs={**_CHANCE, "p": 0.1}),
    # the ids of a column of the input, swapped as `swap_entries` swaps this column of `in_features`
    "swap_ids": OpSpec(
        augments=True, reads=("ids",), writes=("ids",), attrs={**_CHANCE, "p": 0.1, "id_column": 0, "in_features": 1}
    ),
    # y and mixed = rows of x and target, each mixed with another; the weights of the rows are mixed, too
    "mixup": OpSpec(augments=True, reads=("x", "target"), writes=("y", "mixed"), attrs={**_AUGMENTED, "alpha": 0.2}),
    # rows are images of `layout`: outer, height, width, inner; vacated pixels get `fill`, or the nearest pixel
    "shift_images": OpSpec(
        augments=True, reads=("x",), writes=("y",), attrs={**_IMAGE, "most": (0, 0), "fill": 0.0, "edge": False}
    ),
    "flip_images": OpSpec(augments=True, reads=("x",), writes=("y",), attrs={**_IMAGE, "p": 0.5, "vertical": False}),
    # function(x, y, seed, stream, step) writes y
    "custom_augmentation": OpSpec(augments=True, reads=("x",), writes=("y",), attrs={**_AUGMENTED, **_FUNCTION}),
    # ---- forward ----
    # y = dropout(activation(x @ w + b))
    "dense": OpSpec(
        reads=("x", "w", "b"),
        writes=("y", "h"),
        optional=("b", "h"),
        shapes=_OF_DENSE,
        epilogue="applies",
        absorbs={"affine": "dense_affine"},
        weight_in_panels=True,
    ),
    # inference: y = activation(affine(x @ w + b)), the affine map of a batch norm's running statistics
    "dense_affine": OpSpec(
        reads=("x", "w", "b", "gamma", "beta", "mean", "var"),
        writes=("y",),
        optional=("b",),
        shapes=_OF_DENSE,
        attrs=_EPS,
        epilogue="applies",
    ),
    # an epilogue alone: y = dropout(activation(x)); the activation's input stays in x
    "activation": OpSpec(
        reads=("x",),
        writes=("y", "h"),
        optional=("h",),
        shapes=_LIKE_X,
        epilogue="applies",
        result="x",
        gradient_in_place=True,
    ),
    # y = x where x > 0, else a * x; a is learned, one number for all columns or one for each
    "prelu": OpSpec(reads=("x", "a"), writes=("y",), shapes=_LIKE_X, broadcast=("a",), gradient_in_place=True),
    # y = softmax of each row, or its logarithm
    "softmax": OpSpec(reads=("x",), writes=("y",), shapes=_LIKE_X, gradient_in_place=True),
    "log_softmax": OpSpec(reads=("x",), writes=("y",), shapes=_LIKE_X, gradient_in_place=True),
    # y = epilogue(gamma * xhat + beta) with the batch's statistics, which also update the running statistics; with a
    # `count` of the batches so far these are the means over all batches, whatever the momentum is
    "batch_norm": OpSpec(
        reads=("x", "gamma", "beta", "running_mean", "running_var", "count"),
        writes=("running_mean", "running_var", "count", "mean", "inv_std", "y", "h"),
        optional=("count", "h"),
        shapes={**_LIKE_X, "count": ("x",)},
        broadcast=("count",),
        attrs={**_EPS, "momentum": 0.1},
        epilogue="applies",
        mixes_rows=True,
    ),
    # the same with the running statistics: in inference, if it is not part of a dense op, and in training if the
    # parameters are frozen
    "affine": OpSpec(
        reads=("x", "gamma", "beta", "mean", "var"),
        writes=("y", "h"),
        optional=("h",),
        shapes=_LIKE_X,
        attrs=_EPS,
        epilogue="applies",
        gradient_in_place=True,
    ),
    # y = epilogue(gamma * xhat + beta) with each row's own statistics, which training keeps
    "layer_norm": OpSpec(
        reads=("x", "gamma", "beta"),
        writes=("mean", "inv_std", "y", "h"),
        optional=("beta", "mean", "inv_std", "h"),
        shapes=_OF_ROWS,
        of_rows=_STATISTICS,
        attrs=_EPS,
        epilogue="applies",
        gradient_in_place=True,
    ),
    # the same without means: xhat = x * inv_std, where inv_std is the kernel's inv_rms, 1 / sqrt(mean square + eps);
    # eps None is that of the dtype
    "rms_norm": OpSpec(
        reads=("x", "gamma"),
        writes=("inv_std", "y", "h"),
        optional=("inv_std", "h"),
        shapes=_OF_ROWS,
        of_rows=_STATISTICS,
        attrs={"eps": None},
        epilogue="applies",
        gradient_in_place=True,
    ),
    # y = epilogue(x + x2)
    "add": OpSpec(
        reads=("x", "x2"),
        writes=("y", "h"),
        optional=("h",),
        shapes=_LIKE_X,
        epilogue="applies",
        inputs=("x", "x2"),
        gradient_in_place=True,
    ),
    # y = epilogue(x * x2)
    "multiply": OpSpec(
        reads=("x", "x2"),
        writes=("y", "h"),
        optional=("h",),
        shapes=_LIKE_X,
        may_share={"y": "x"},
        epilogue="applies",
        inputs=("x", "x2"),
    ),
    # y = factor * x
    "scale": OpSpec(
        reads=("x",),
        writes=("y",),
        shapes=_LIKE_X,
        may_share={"y": "x"},
        attrs={"factor": 1.0},
        gradient_in_place=True,
    ),
    # y = x * gamma, a learned factor for each column
    "scale_columns": OpSpec(reads=("x", "gamma"), writes=("y",), shapes=_LIKE_X),
    # y = the piecewise linear encodings of some columns, each by its tuple of edges
    "piecewise_linear": OpSpec(reads=("x",), writes=("y",), encodes=True, adds_gradient=True, attrs=_BINS),
    # y = cos(2 pi w x) of the frequencies w of some columns, then sin(2 pi w x), for each of them
    "periodic": OpSpec(reads=("x", "w"), writes=("y",), encodes=True, adds_gradient=True, attrs=_ENCODED),
    # column j of y = column columns[j] of x
    "take_columns": OpSpec(reads=("x",), writes=("y",), columns=("y", "x"), attrs=_COLUMNS),
    # column columns[j] of y = column j of x; the other columns of y stay as they are, or become 0 with `clear`
    "put_columns": OpSpec(reads=("x",), writes=("y",), columns=("x", "y"), attrs={**_COLUMNS, "clear": False}),
    # column columns[j] of y = column j of the rows `ids` of the table w; gradients of the row `padding_idx` are 0; a
    # `sparse` update changes the rows of the batch only
    "embedding": OpSpec(
        reads=("ids", "w"),
        writes=("y",),
        columns=("w", "y"),
        attrs={**_COLUMNS, "padding_idx": None, "sparse": False},
        inputs=(),
    ),
    # function(x, y) and backward(dy, x, y, dx) write into their last argument
    "custom": OpSpec(reads=("x",), writes=("y",), shapes=_LIKE_X, attrs={**_FUNCTION, "backward": None}),
    # ---- loss ----
    # writes dz and the step's loss; without a target buffer it reads the class labels, of several heads those of `head`
    # with `adds` it adds to the step's loss; the other attributes are those of `fastnn.kernels.losses.LossCall`
    "loss": OpSpec(
        reads=("z", "target"),
        writes=("dz",),
        optional=("target",),
        attrs={"loss": "", "value": 1.0, "slope": 1.0, "loss_parameters": (), **_HEAD},
    ),
    # loss = function(z, dz, labels or target rows, weights or None); it writes dz
    "custom_loss": OpSpec(reads=("z", "target"), writes=("dz",), optional=("target",), attrs=_FUNCTION | _HEAD),
    # adds the penalty of the program's update to the step's loss; the update adds it to the gradients
    "penalty": OpSpec(),
    # ---- backward ----
    # d = gradient of an op's result -> gradient of its result before the epilogue
    "epilogue_backward": OpSpec(reads=("d", "h"), writes=("d",), optional=("h",), epilogue="undoes"),
    # dx = dy @ w.T, then the epilogue_backward of the op that made x
    "dense_grad_input": OpSpec(
        reads=("dy", "w", "h"), writes=("dx",), optional=("h",), epilogue="undoes", weight_in_panels=True
    ),
    # dw = x.T @ dy, db = dy.sum(0)
    "dense_grad_weight": OpSpec(
        reads=("x", "dy", "w", "b"),
        writes=("dw", "db"),
        optional=("b", "db"),
        updates={"dw": "w", "db": "b"},
        weight_in_panels=True,
    ),
    # db = dy.sum(0), where the weight is frozen
    "dense_grad_bias": OpSpec(reads=("dy", "b"), writes=("db",), updates={"db": "b"}),
    # dw = for each row of the table the sum of the gradients dy[:, columns] of the rows of the batch that have its id
    "embedding_grad": OpSpec(
        reads=("dy", "ids", "w"),
        writes=("dw",),
        attrs={**_COLUMNS, "padding_idx": None, "sparse": False},
        updates={"dw": "w"},
    ),
    # of norms, slopes and factors: dx, and the gradients of those parameters that are not frozen
    "batch_norm_backward": OpSpec(
        reads=("dy", "x", "gamma", "beta", "mean", "inv_std"),
        writes=("dx", "dgamma", "dbeta"),
        optional=("dgamma", "dbeta"),
        may_share={"dx": "dy"},
        updates={"dgamma": "gamma", "dbeta": "beta"},
    ),
    # dx = dy * gamma / sqrt(var + eps); nobody needs the gradients of frozen parameters
    "affine_backward": OpSpec(reads=("dy", "gamma", "var"), writes=("dx",), may_share={"dx": "dy"}, attrs=_EPS),
    "layer_norm_backward": OpSpec(
        reads=("dy", "x", "gamma", "beta", "mean", "inv_std"),
        writes=("dx", "dgamma", "dbeta"),
        optional=("beta", "dgamma", "dbeta"),
        may_share={"dx": "dy"},
        updates={"dgamma": "gamma", "dbeta": "beta"},
    ),
    "rms_norm_backward": OpSpec(
        reads=("dy", "x", "gamma", "inv_std"),
        writes=("dx", "dgamma"),
        optional=("dgamma",),
        may_share={"dx": "dy"},
        updates={"dgamma": "gamma"},
    ),
    "prelu_backward": OpSpec(
        reads=("dy", "x", "a"), writes=("dx", "da"), optional=("da",), may_share={"dx": "dy"}, updates={"da": "a"}
    ),
    "scale_columns_backward": OpSpec(
        reads=("dy", "x", "gamma"),
        writes=("dx", "dgamma"),
        optional=("dgamma",),
        may_share={"dx": "dy"},
        updates={"dgamma": "gamma"},
    ),
    # the gradients of encodings are added to the columns of dx that were encoded
    "piecewise_linear_backward": OpSpec(reads=("dy", "x", "dx"), writes=("dx",), attrs=_BINS),
    "periodic_grad_input": OpSpec(reads=("dy", "y", "w", "dx"), writes=("dx",), attrs=_ENCODED),
    # dw = the gradients of the frequencies of these columns; the other rows stay as they are
    "periodic_grad_frequencies": OpSpec(
        reads=("dy", "x", "y", "w"), writes=("dw",), attrs=_ENCODED, updates={"dw": "w"}
    ),
    # y = 0, for a gradient that ops add to
    "zeros": OpSpec(writes=("y",)),
    "softmax_backward": _ROWS_BACKWARD,
    "log_softmax_backward": _ROWS_BACKWARD,
    "custom_backward": OpSpec(reads=("dy", "x", "y"), writes=("dx",), attrs=_FUNCTION),
    # y = x, for a gradient that an op is about to change and another buffer shares
    "copy": OpSpec(reads=("x",), writes=("y",)),
    # d += dy, the gradients of a buffer with several readers
    "accumulate": OpSpec(reads=("d", "dy"), writes=("d",)),
    # ---- reduce ----
    # the mean gradients of the batches since the last update, weighted by their rows' total weights, get this batch's
    "add_gradients": OpSpec(),
    # ---- update ----
    # the gradients become those means
    "mean_gradients": OpSpec(),
    # sets the factor by which the update scales all gradients, so that their norm is at most the update's clip_norm
    "clip_norm": OpSpec(),
    # the optimiser's update of the whole arena
    "update": OpSpec(attrs={"update": ""}),
    # moves the average of the parameters, the last of the slots, towards them, by the last of the step's scalars
    "average": OpSpec(),
    # ---- observe ----
    # stores the step's loss where the caller wants the loss of each step
    "record_loss": OpSpec(),
    # ---- observing programs, in any section ----
    # row `entry` of the executor's table of observations = the fastnn.kernels.EntryStatistics of x
    "observe": OpSpec(reads=("x",), attrs=_OBSERVED),
    # y = a parameter before its update
    "keep": OpSpec(reads=("x",), writes=("y",)),
    # the row of what has changed since: y = y - x
    "observe_change": OpSpec(reads=("x", "y"), writes=("y",), attrs=_OBSERVED),
}

OF_THE_BATCH = frozenset(("x", "x2", "y", "h"))
"""The roles of forward ops, besides `OpSpec.of_rows`, whose buffers have a row for each row of the batch."""

ROLES = tuple(dict.fromkeys(role for spec in OPS.values() for role in spec.buffers))
"""All roles, in the order in which the table names them: the order of a compiled op's pointers."""


@dataclass(frozen=True)
class Op:
    """One instruction: its kind, a key of `OPS`, its buffers by role and its attributes."""

    kind: str
    buffers: Mapping[str, str]
    attrs: Mapping[str, Any]

    @property
    def spec(self) -> OpSpec:
        """The op's row of the table."""
        return OPS[self.kind]

    @property
    def updatable(self) -> dict[str, str]:
        """The parameters, by name, whose gradients the op computes, with the roles of these."""
        return {
            self.buffers[of].partition(":")[2]: role for role, of in self.spec.updates.items() if role in self.buffers
        }

    @property
    def written(self) -> set[str]:
        """The names of the buffers that the op writes."""
        return {self.buffers[role] for role in self.spec.writes if role in self.buffers}

    def __str__(self) -> str:
        roles = " ".join(f"{role}={name}" for role, name in self.buffers.items())
        attrs = " ".join(
            f"{key}={v.shown(value) if isinstance(value, tuple) else value}"
            for key, value in self.attrs.items()
            if value != self.spec.attrs[key]
        )
        return f"{self.kind:20s} {roles} {attrs}".rstrip()


def make_op(kind: str, buffers: Mapping[str, str | None], **attrs: Any) -> Op:
    """Return an op, checked against its row of `OPS`. Buffers that are None are left out.

    Raises
    ------
    ValueError
        If the kind or the activation is unknown, a buffer is missing, a buffer or an attribute is none of the row's, or
        the op would overwrite a buffer that it must not.
    """
    spec = OPS[v.choice("the kind of an op", kind, OPS)]
    given = {role: name for role, name in buffers.items() if name is not None}
    required = [role for role in spec.buffers if role not in spec.optional]
    missing = [role for role in required if role not in given]
    unknown = [role for role in given if role not in spec.buffers]
    if missing or unknown:
        optional = f" and may have {', '.join(spec.optional)}" if spec.optional else ""
        must = f"have the buffers {', '.join(required)}{optional}" if spec.buffers else "have no buffers"
        v.refuse(ValueError, f"op {kind!r}", must, ", ".join(given) or "none")
    unknown = [name for name in attrs if name not in spec.attrs]
    if unknown:
        must = f"have only the attributes {', '.join(spec.attrs)}" if spec.attrs else "have no attributes"
        v.refuse(ValueError, f"op {kind!r}", must, ", ".join(unknown))
    made = {**spec.attrs, **attrs}
    if spec.epilogue and attrs:
        wanted = ACTIVATIONS[v.choice("activation", made["activation"], ACTIVATIONS)].parameters
        if len(made["parameters"]) != len(wanted):
            names = f"be the values of {', '.join(each.name for each in wanted)}" if wanted else "be empty"
            v.refuse(ValueError, f"parameters of {made['activation']}", names, v.shown(made["parameters"]))
        v.real("p", made["p"], 0, 1, closed=True)
    if made.get("eps") is not None:
        v.real("eps", made["eps"], 0)
    if "factor" in made:
        v.real("factor", made["factor"], -math.inf)
    if made.get("padding_idx") is not None:
        v.integer("padding_idx", made["padding_idx"], 0)
    if "columns" in made and not all(type(each) is int for each in made["columns"]):
        v.refuse(TypeError, f"columns of op {kind!r}", "be integers", v.shown(made["columns"]))
    if "n_columns" in made:
        v.integer("column", made["column"], 0)
        v.integer("n_columns", made["n_columns"], 1)
    if "bins" in made:
        made["bins"] = _bins.checked("bins", made["bins"])
        if len(made["bins"]) != made["n_columns"]:
            v.refuse(ValueError, "bins", f"be those of {made['n_columns']} columns", f"{len(made['bins'])} lists")
    for role in spec.writes:
        for other, name in given.items():
            if name == given.get(role) and other not in (role, spec.may_share.get(role)):
                must = f"write its {role} into a buffer of its own"
                v.refuse(ValueError, f"op {kind!r}", must, f"that of its {other}")
    return Op(kind, given, made)


# ---- the activation of an op's epilogue ----


def derivative_needs_input(op: Op) -> bool:
    """Whether the derivative of the op's activation is computed from the activation's input, not from its output."""
    return ACTIVATIONS[op.attrs["activation"]].derivative_from == "input"


def derivative_buffer(op: Op) -> str:
    """Return the buffer that holds, in training, what the derivative of the op's activation is computed from."""
    role = op.spec.result if derivative_needs_input(op) else "y"
    return op.buffers.get("h", op.buffers[role])


def needs_h(op: Op) -> bool:
    """Whether in training the op needs a buffer `h` for what its derivative is computed from, besides `y`."""
    if op.spec.epilogue != "applies" or op.attrs["activation"] == "identity":
        return False
    if derivative_needs_input(op):
        return op.spec.result == "y"
    return op.attrs["p"] > 0.0 and not output_holds_mask(op)


def output_holds_mask(op: Op) -> bool:
    """Whether the op's output after dropout gives both the dropout mask and the activation's derivative.

    It does for activations such as ReLU, whose derivative is 0 exactly where the output is 0 and 1 elsewhere: a zero in
    the output has a zero gradient, whether dropout or the activation made it. The mask need not be drawn again.
    """
    return ACTIVATIONS[op.attrs["activation"]].zero_output_zero_gradient
