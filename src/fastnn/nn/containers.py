"""Layers made of layers: branches, skips and parts of nets."""

from __future__ import annotations

import math
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, SupportsIndex

import numpy.typing as npt

from fastnn import _records
from fastnn import _validation as v
from fastnn._settings import Settings
from fastnn.engine import Arena, Builder
from fastnn.nn.activations import as_layer
from fastnn.nn.init import Initializer
from fastnn.nn.layers import Layer, Shapes

__all__ = ["Chain", "Columns", "Container", "Parallel", "Residual", "as_layers", "emit_in_order"]


def as_layers(name: str, given: Sequence[object]) -> tuple[Layer, ...]:
    """Return what was given to a net or a container as layers: at least one, of which names and nets are made."""
    if not given:
        v.refuse(ValueError, name, "be at least one layer", "none", "write nn.Identity() for a branch without layers")
    made = []
    for index, each in enumerate(given):
        place = f"{name}[{index}]"
        layer = each._as_part(place) if hasattr(each, "_as_part") else as_layer(place, each)
        made.append(v.instance(place, layer, Layer, "be a layer", _layer_fix(layer)))
    return tuple(made)


def _layer_fix(value: object) -> str:
    """Return what to write in place of a value that other libraries take as a layer, or as all layers."""
    if isinstance(value, list | tuple):
        return "write nn.Sequential(*layers)"
    if hasattr(value, "layers"):
        return "write *net"
    return ""


def output_width(layers: Sequence[Layer], width: int | None, name: str) -> int | None:
    """Check that each layer takes the output of the one before it, and return the width of the last one's output.

    Parameters
    ----------
    layers : sequence of Layer
    width : int or None
        The width of the input; None if it is not known.
    name : str
        What messages call the layers.
    """
    before: Layer | None = None  # the last layer that has set the width
    for index, layer in enumerate(layers):
        if width is not None and layer.in_features not in (None, width):
            source = f"output of {v.shown(before)} before it" if before else "input"
            v.refuse(ValueError, f"{name}[{index}]", f"take inputs of width {width}, the {source}", v.shown(layer))
        new = layer.output_width(width, f"{name}[{index}]")
        if new != width or layer.in_features is not None:
            before, width = layer, new
    return width


def input_width(layers: Sequence[Layer]) -> int | None:
    """Return the width of the input of layers in a row; None if they do not define it."""
    for layer in layers:
        if layer.in_features is not None or isinstance(layer, Container):
            return layer.in_features
    return None


def emit_in_order(layers: Sequence[Layer], builder: Builder, x: str, name: str = "layers") -> list[str]:
    """Append the ops of layers in a row, and return the buffer of each one's output."""
    outputs, outer = [], builder.place
    for index, layer in enumerate(layers):
        builder.place = layer.path
        x = layer.emit(builder, x)
        if x not in builder.written:
            must = "return the name of the buffer that has its output"
            v.refuse(ValueError, f"emit of {name}[{index}], {v.shown(layer)},", must, v.shown(x))
        outputs.append(x)
    builder.place = outer
    return outputs


def default_initializers(layers: Sequence[Layer], after: Initializer) -> list[Initializer]:
    """Return the default initialisers of all layers in layers in a row, in their order.

    `after` is that of a `Dense` that comes last. Each depends on the layers after it.
    """
    found: list[Initializer] = []
    for layer in reversed(layers):
        found[:0] = layer.default_initializers(after)
        after = layer.init_before() or after
    return found


def walk_in_order(layers: Sequence[Layer], width: int | None) -> Iterator[tuple[Layer, int | None]]:
    """Yield layers in a row and those within them, each with the width of its output for an input of this width."""
    for layer in layers:
        yield from layer.walk(width)
        width = layer.output_width(width, "")


def last_of(layers: Sequence[Layer]) -> Layer:
    """Return the last layer in a row, within a `Sequential` its last one."""
    return last_of(layers[-1].layers) if isinstance(layers[-1], Chain) else layers[-1]


class Container(Layer, Sequence[Layer], abstract=True):
    """Base class of layers made of layers: a sequence of them, which `len`, indexing and loops show.

    In a net they are numbered directly below their container, as in PyTorch: the second layer of the container that is
    the net's first has the parameters "0.1.weight" and "0.1.bias".

    Attributes
    ----------
    layers : tuple of Layer
        The layers. In a net they are bound to it: ``net[0][1].weight`` is a view of its values.
    in_features, out_features : int or None
        Widths of input and output; None if the layers do not define them.
    """

    layers: tuple[Layer, ...]

    _internal = frozenset({"walk"})
    _children = "layers"

    def _hold(self, given: Sequence[object]) -> None:
        """Keep the layers, and find the widths as far as they are known."""
        layers = as_layers(self._children, given)
        self._set_unchecked(layers=layers)
        width = self.input_width()
        self._set_unchecked(in_features=width)
        self._set_unchecked(out_features=self.output_width(width, ""))

    @abstractmethod
    def input_width(self) -> int | None:
        """Return the width of the input, as far as the layers define it."""

    # ---- a sequence of layers ----

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """Return a layer, or a tuple of layers for a slice."""
        try:
            return self.layers[index if isinstance(index, slice) else operator.index(index)]
        except TypeError:
            v.refuse(TypeError, "the index of a layer", "be an integer or a slice", v.shown(index))
        except IndexError:
            last = len(self.layers) - 1
            v.refuse(IndexError, "the index of a layer", f"be from {-last - 1} to {last}", v.shown(index))

    def leaves(self) -> Iterator[Layer]:
        """Yield all layers in the container that contain no others."""
        for layer in self.layers:
            yield from layer.leaves()

    # ---- in a net ----

    def parameters(self) -> Shapes:
        """Return the shapes of all parameters of the layers."""
        return {
            f"{index}.{name}": shape
            for index, layer in enumerate(self.layers)
            for name, shape in layer.parameters().items()
        }

    def buffers(self) -> Shapes:
        """Return the shapes of all running statistics of the layers."""
        return {
            f"{index}.{name}": shape
            for index, layer in enumerate(self.layers)
            for name, shape in layer.buffers().items()
        }

    def detached(self) -> Self:
        """Return a new container of new layers with the same settings, that belong to no net."""
        twin = super().detached()
        twin._set_unchecked(layers=tuple(layer.detached() for layer in self.layers))
        return twin

    def bound_to(self, path: str, numbers: Iterator[int], params: Arena, state: Arena) -> Self:
        """Return a copy that is part of the net that owns these arenas."""
        twin = super().detached()
        layers = [layer.bound_to(f"{path}.{index}", numbers, params, state) for index, layer in enumerate(self.layers)]
        twin._bind(path, -1, params, state)
        twin._set_unchecked(layers=tuple(layers))
        return twin

    def init_before(self) -> Initializer | None:
        """Return that of the first layer that has one."""
        return next((found for layer in self.layers if (found := layer.init_before())), None)

    def default_initializers(self, after: Initializer) -> list[Initializer]:
        """Return those of the layers, in a row."""
        return default_initializers(self.layers, after)

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the layers, in a row, for an input of this width."""
        return output_width(self.layers, width, self._child_name(name))

    def _child_name(self, name: str) -> str:
        return f"{name}.{self._children}" if name else self._children

    def walk(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        """Yield each layer, those within it after itself, and the width of its output for an input of this width."""
        yield self, self.output_width(width, "")
        yield from walk_in_order(self.layers, width)

    # ---- a record ----

    def _arguments(self) -> dict[str, Any]:
        kept = {self._children: "layers", **self._kept_as}
        return {name: getattr(self, kept.get(name, name)) for name in _records.parameters(type(self))}

    def __hash__(self) -> int:
        return Settings.__hash__(self)


class Chain(Container, abstract=True):
    """A `Sequential` within a net: its layers in a row, without values of its own.

    Nets and containers make it of the `Sequential` that they are given. It is shown and saved as a `Sequential`.

    Parameters
    ----------
    *layers : Layer or str
    """

    _shown_as = "Sequential"

    def __init__(self, *layers: Layer | str) -> None:
        super().__init__()
        self._hold(layers)

    def input_width(self) -> int | None:
        """Return the width of the input, as far as the layers define it."""
        return input_width(self.layers)

    def emit(self, builder: Builder, x: str) -> str:
        """Append the ops of the layers."""
        return emit_in_order(self.layers, builder, x)[-1]

    def _saved(self) -> tuple[str, dict[str, Any]]:
        return "nn.Sequential", {"layers": self.layers, "dtype": "float32", "seed": None}


class Residual(Container):
    """Residual block: ``y = x + f(x)``, where f is the layers in a row (He et al., 2016, Deep residual learning).

    The input of the first layer skips them all and is added to the output of the last one. Gradients skip them too, so
    that nets of many blocks can be trained.

    Parameters
    ----------
    *layers : Layer, Sequential or str
        The last one's output has the width of the first one's input. For another width write
        ``nn.Parallel(nn.Dense(...), nn.Sequential(...), join="add")``.

    Raises
    ------
    TypeError
        If something is no layer.
    ValueError
        If there is no layer, or widths do not fit.

    Examples
    --------
    >>> from fastnn import nn
    >>> double = nn.init.constant(2.0)
    >>> net = nn.Sequential(nn.Residual(nn.Dense(1, 1, init=double), nn.ReLU()))
    >>> net.predict([[1.0], [-1.0]])
    array([[ 3.],
           [-1.]], dtype=float32)
    """

    def __init__(self, *layers: Layer | Sequence[Layer] | str) -> None:
        super().__init__()
        self._hold(layers)

    def input_width(self) -> int | None:
        """Return the width of the input, as far as the layers define it: that of their output is the same."""
        return input_width(self.layers) or output_width(self.layers, None, self._children)

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the layers for an input of this width, which is also that of the output."""
        last = super().output_width(width, name)
        if width is not None and last != width:
            must = f"give outputs of width {width}, that of the input, as both are added"
            fix = 'write nn.Parallel(nn.Dense(...), nn.Sequential(...), join="add") to change the width'
            v.refuse(ValueError, self._child_name(name), must, f"width {last}", fix)
        return last

    def emit(self, builder: Builder, x: str) -> str:
        """Append the ops of the layers, and the sum."""
        return _joined(builder, "add", [emit_in_order(self.layers, builder, x)[-1], x])


class Parallel(Container):
    """Branches that all get the same input; their outputs are joined.

    Parameters
    ----------
    *branches : Layer, Sequential or str
        A branch of several layers is a `Sequential`, one without any is ``nn.Identity()``.
    join : {"concat", "add", "multiply", "mean"}, default "concat"
        "concat" puts the outputs side by side: their widths add up. The others are elementwise and need equal widths:
        the sum, the product or the mean of the outputs, from the first branch to the last.

    Attributes
    ----------
    layers : tuple of Layer
        The branches. In a net they are bound to it: ``net[0][1].weight`` is a view of its values.
    in_features, out_features : int or None
        Widths of input and output; None if the branches do not define them.

    Raises
    ------
    TypeError
        If something is no layer.
    ValueError
        If there is no branch, `join` is unknown, or widths do not fit.

    Examples
    --------
    >>> from fastnn import nn
    >>> one, two = nn.init.constant(1.0), nn.init.constant(2.0)
    >>> net = nn.Sequential(nn.Parallel(nn.Dense(1, 1, init=one), nn.Dense(1, 2, init=two)))
    >>> net.predict([[1.0], [3.0]])
    array([[1., 2., 2.],
           [3., 6., 6.]], dtype=float32)

    A gated linear unit, of which one branch says how much of the other passes (Dauphin et al., 2017):

    >>> nn.Parallel(nn.Dense(4, 8), nn.Sequential(nn.Dense(4, 8), "sigmoid"), join="multiply").out_features
    8
    """

    _children = "branches"

    join: str

    def __init__(self, *branches: Layer | Sequence[Layer] | str, join: str = "concat") -> None:
        super().__init__()
        self._set_unchecked(join=v.choice("join", join, JOINS))
        self._hold(branches)

    def input_width(self) -> int | None:
        """Return the width of the input, as far as a branch defines it."""
        return next((branch.in_features for branch in self.layers if branch.in_features is not None), None)

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the branches for an input of this width."""
        widths: list[int | None] = []
        for index, branch in enumerate(self.layers):
            child = f"{self._child_name(name)}[{index}]"
            if width is not None and branch.in_features not in (None, width):
                must = f"take inputs of width {width}, which all branches share"
                v.refuse(ValueError, child, must, v.shown(branch))
            widths.append(branch.output_width(width, child))
        if self.join == "concat":
            return None if None in widths else sum(each for each in widths if each)
        known = [each for each in widths if each is not None]
        for index, each in enumerate(widths):
            if each is not None and each != known[0]:
                first = self.layers[widths.index(known[0])]
                must = f"give outputs of width {known[0]}, as {v.shown(first)} does, for join={self.join!r}"
                child = f"{self._child_name(name)}[{index}]"
                v.refuse(ValueError, child, must, f"width {each}", 'for different widths write join="concat"')
        return known[0] if known else width

    def default_initializers(self, after: Initializer) -> list[Initializer]:
        """Return those of the branches; after each comes what is after the container."""
        return [found for branch in self.layers for found in branch.default_initializers(after)]

    def emit(self, builder: Builder, x: str) -> str:
        """Append the ops of the branches, and those that join their outputs."""
        outputs = [emit_in_order([branch], builder, x, f"branches[{i}:]")[0] for i, branch in enumerate(self.layers)]
        return _joined(builder, self.join, outputs)

    def walk(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        """Yield each layer, those within it after itself, and the width of its output for an input of this width."""
        yield self, self.output_width(width, "")
        for branch in self.layers:
            yield from branch.walk(width)


class Columns(Container):
    """Layers that get some of the input's columns, in a given order.

    Parameters
    ----------
    columns : sequence of int, or slice
        Which columns: numbers from 0, none of them twice, such as ``[0, 2, 5]``, ``range(8)`` or ``slice(8, 12)``; a
        slice needs its end.
    *layers : Layer, Sequential or str
        What the columns pass through; without any, the columns are the output.
    in_features : int, optional
        Width of the input, where no other layer of the net defines it.

    Attributes
    ----------
    columns : tuple of int
    layers : tuple of Layer
        The layers, bound to the net if the container is. Without any this is one `Identity`.
    in_features, out_features : int or None
        Widths of input and output; None if they are not known.

    Raises
    ------
    TypeError
        If `columns` are no integers, or something is no layer.
    ValueError
        If there is no column, a column is below 0, not below `in_features` or given twice, or widths do not fit.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Sequential(nn.Columns([2, 0], in_features=3)).predict([[1.0, 2.0, 3.0]])
    array([[3., 1.]], dtype=float32)

    A wide and deep net (Cheng et al., 2016): the last two of four columns are added up by one layer alone.

    >>> deep = nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 1))
    >>> net = nn.Sequential(nn.Parallel(nn.Columns([2, 3], nn.Dense(2, 1)), deep, join="add"), seed=0)
    >>> net.in_features, net.out_features
    (4, 1)
    """

    _kept_as: ClassVar[Mapping[str, str]] = {"in_features": "_given_width"}

    columns: tuple[int, ...]
    _given_width: int | None
    _has_layers: bool

    def __init__(
        self,
        columns: npt.ArrayLike | range | slice,
        *layers: Layer | Sequence[Layer] | str,
        in_features: int | None = None,
    ) -> None:
        super().__init__()
        chosen = _columns(columns)
        width = None if in_features is None else v.integer("in_features", in_features, 1)
        self._set_unchecked(columns=chosen, _given_width=width, _has_layers=bool(layers))
        self._hold(layers or [as_layer("", "identity")])

    def _arguments(self) -> dict[str, Any]:
        return super()._arguments() | ({} if self._has_layers else {"layers": ()})

    def _text(self, arguments: Mapping[str, Any]) -> str:
        columns = shown = arguments["columns"]
        if len(columns) > 3:  # a range is shown as one
            step = columns[1] - columns[0]
            line = range(columns[0], columns[-1] + (1 if step > 0 else -1), step)
            shown = line if tuple(line) == columns else columns
        return super()._text({**arguments, "columns": shown})

    def input_width(self) -> int | None:
        """Return the width of the input, if it was given."""
        return self._given_width

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the columns and the layers for an input of this width."""
        place, last = f"{name}.columns" if name else "columns", max(self.columns)
        if width is not None and last >= width:
            got = f"the column {last} of an input of width {width}"
            v.refuse(ValueError, place, f"be numbers from 0 to {width - 1}", got)
        return super().output_width(len(self.columns), name)

    def emit(self, builder: Builder, x: str) -> str:
        """Append the copy of the columns, and the ops of the layers."""
        if self.columns != tuple(range(builder.batch[x])):
            y = builder.rows(len(self.columns))
            builder.op("take_columns", {"x": x, "y": y}, columns=self.columns)
            x = y
        return emit_in_order(self.layers, builder, x)[-1]

    def walk(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        """Yield each layer, those within it after itself, and the width of its output for an input of this width."""
        yield self, self.output_width(width, "")
        if self._has_layers:
            yield from walk_in_order(self.layers, len(self.columns))


def _columns(columns: Any) -> tuple[int, ...]:
    """Return the numbers of columns, checked."""
    if isinstance(columns, slice):
        if columns.stop is None or min(columns.start or 0, columns.stop) < 0:
            fix = "write slice(start, stop), or range(start, stop)"
            v.refuse(ValueError, "columns", "have its start and its end from 0, if it is a slice", columns, fix)
        columns = range(columns.start or 0, columns.stop, columns.step or 1)
    array = v.numeric("columns", list(columns) if isinstance(columns, range) else columns)
    if array.ndim != 1 or array.size == 0:
        v.refuse(ValueError, "columns", "be at least one number in a list", v.shown(columns), "such as [0, 2]")
    if array.dtype.kind not in "iu":
        fix = "write np.flatnonzero(columns)" if array.dtype.kind == "b" else ""
        v.refuse(TypeError, "columns", "be integers", v.shown(columns), fix)
    numbers = tuple(int(each) for each in array)
    if min(numbers) < 0:
        v.refuse(ValueError, "columns", "be numbers from 0", min(numbers))
    if len(set(numbers)) != len(numbers):
        twice = next(each for index, each in enumerate(numbers) if each in numbers[:index])
        v.refuse(ValueError, "columns", "be different", f"{twice} twice")
    return numbers


# ---- joins ----


def _concat(builder: Builder, outputs: Sequence[str]) -> str:
    """Append copies of the outputs into one buffer, side by side."""
    y, start = builder.rows(sum(builder.batch[x] for x in outputs)), 0
    for x in outputs:
        columns = tuple(range(start, start + builder.batch[x]))
        builder.op("put_columns", {"x": x, "y": y}, columns=columns)
        start += builder.batch[x]
    return y


def _pairwise(kind: str) -> Callable[[Builder, Sequence[str]], str]:
    """Return a function that appends ops of this kind, of two inputs each, from the first output to the last."""

    def join(builder: Builder, outputs: Sequence[str]) -> str:
        result = outputs[0]
        for x in outputs[1:]:
            y = builder.rows(builder.batch[x])
            builder.op(kind, {"x": result, "x2": x, "y": y})
            result = y
        return result

    return join


def _mean(builder: Builder, outputs: Sequence[str]) -> str:
    total = JOINS["add"](builder, outputs)
    y = builder.rows(builder.batch[total])
    builder.op("scale", {"x": total, "y": y}, factor=1 / len(outputs))
    return y


JOINS: Mapping[str, Callable[[Builder, Sequence[str]], str]] = {
    "concat": _concat,
    "add": _pairwise("add"),
    "multiply": _pairwise("multiply"),
    "mean": _mean,
}
"""How outputs are joined: functions that append the ops and return the buffer of the result."""


def _joined(builder: Builder, join: str, outputs: Sequence[str]) -> str:
    return outputs[0] if len(outputs) == 1 else JOINS[join](builder, outputs)


# ---- the tree of a net ----


class _Children:
    """Stands for the layers of a container in the text of its call."""

    def __repr__(self) -> str:
        return "\0"


def tree(layer: Layer, indent: str) -> Iterator[str]:
    """Yield the lines that show a layer in a net: of a container, one for each layer in it, and its parameters."""
    if not isinstance(layer, Container):
        yield f"{indent}{layer!r},"
        return
    arguments = layer._arguments()
    if not arguments[layer._children]:
        yield f"{indent}{layer!r},"
        return
    before, after = layer._text({**arguments, layer._children: (_Children(),)}).split("\0")
    yield indent + before.rstrip()
    for child in layer:
        yield from tree(child, indent + "    ")
    if settings := after[:-1].lstrip(", "):
        yield f"{indent}    {settings},"
    yield f"{indent}),{count_text(layer)}"


def label(container: Layer) -> str:
    """Return the text of a container without its layers: ``Parallel(..., join='add')``."""
    assert isinstance(container, Container)
    arguments = container._arguments()
    children = (_Children(),) if arguments[container._children] else ()
    return container._text({**arguments, container._children: children}).replace("\0", "...")


def count_text(*layers: Layer) -> str:
    """Return a comment with the number of the layers' parameters."""
    total = sum(math.prod(shape) for layer in layers for shape in layer.parameters().values())
    return f"  # {total:,} parameter{'s' * (total != 1)}"
