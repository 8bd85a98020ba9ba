"""Layers made of layers: skips, branches and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from fastnn import _validation as v
from fastnn._columns import check_columns, column_numbers
from fastnn._names import Names
from fastnn.engine import Builder
from fastnn.nn.container_base import (
    Chain,
    Container,
    check_not_empty,
    emit,
    emit_in_sequence,
    walk_in_sequence,
    width_into,
    width_out_of,
)
from fastnn.nn.init import Initializer
from fastnn.nn.layers import Layer

__all__ = ["Columns", "Parallel", "Residual"]


class Residual(Container):
    """Residual block: ``y = x + f(x)``, where f is the layers in sequence (He et al., 2016, Deep residual learning).

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
        check_not_empty("layers", layers)
        self._hold(layers)

    @property
    def keeps_width(self) -> bool:
        """True: the output is as wide as the input."""
        return True

    def input_width(self) -> int | None:
        """Return the width of the input, as far as the layers define it: that of their output is the same."""
        return width_into(self.layers) or width_out_of(self.layers, None, self._layers_argument)

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the layers for an input of this width, which is also that of the output."""
        last = super().output_width(width, name)
        if width is not None and last != width:
            must = f"give outputs of width {width}, that of the input, as both are added"
            fix = 'write nn.Parallel(nn.Dense(...), nn.Sequential(...), join="add") to change the width'
            v.refuse(ValueError, self._name_of_layers(name), must, f"width {last}", fix)
        return last

    def emit(self, builder: Builder, x: str) -> str:
        """Append the ops of the layers, and the sum."""
        return _joined(builder, "add", [emit_in_sequence(self.layers, builder, x)[-1], x])


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

    _layers_argument = "branches"

    join: str

    def __init__(self, *branches: Layer | Sequence[Layer] | str, join: str = "concat") -> None:
        super().__init__()
        if branches and isinstance(branches[-1], str) and NAMES.find(branches[-1]) is not None:
            v.refuse(TypeError, f"branches[{len(branches) - 1}]", "be a layer", repr(branches[-1]), _BY_NAME)
        self._set_unchecked(join=v.named("join", join, NAMES))
        check_not_empty("branches", branches)
        self._hold(branches)

    @property
    def keeps_width(self) -> bool:
        """Whether all branches keep the width, and their outputs are not side by side."""
        one = len(self.layers) == 1 or self.join != "concat"
        return one and all(branch.keeps_width for branch in self.layers)

    def input_width(self) -> int | None:
        """Return the width of the input, as far as a branch defines it."""
        return next((branch.in_features for branch in self.layers if branch.in_features is not None), None)

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the branches for an input of this width."""
        widths: list[int | None] = []
        for index, branch in enumerate(self.layers):
            child = f"{self._name_of_layers(name)}[{index}]"
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
                child = f"{self._name_of_layers(name)}[{index}]"
                fix = "" if self.join == "multiply" else 'for different widths write join="concat"'
                v.refuse(ValueError, child, must, f"width {each}", fix)
        return known[0] if known else width

    def default_initializers(self, after: Initializer) -> list[Initializer]:
        """Return those of the branches; after each comes what is after the container."""
        return [found for branch in self.layers for found in branch.default_initializers(after)]

    def emit(self, builder: Builder, x: str) -> str:
        """Append the ops of the branches, and those that join their outputs."""
        outputs = [emit(branch, builder, x, f"branches[{i}]") for i, branch in enumerate(self.layers)]
        return _joined(builder, self.join, outputs)

    def _walk_within(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        for branch in self.layers:
            yield from branch.walk(width)


class Columns(Container):
    """Layers in sequence that get some of the input's columns, in a given order.

    Parameters
    ----------
    columns : sequence of int, or slice
        Which columns: numbers from 0, none of them twice, such as ``[0, 2, 5]``, ``range(8)`` or ``slice(8, 12)``. A
        slice without an end, or from the end, needs `in_features`.
    *layers : Layer, Sequential or str
        What the columns pass through; without any, the columns are the output.
    in_features : int, optional
        Width of the input, by default None. It is needed if no other layer of the net defines the width, unless the
        net begins with a `Parallel` of `Columns` that leave no column out.

    Attributes
    ----------
    columns : tuple of int
    layers : tuple of Layer
        The layers, bound to the net if the container is.
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

    columns: tuple[int, ...]

    def __init__(
        self,
        columns: npt.ArrayLike | range | slice,
        *layers: Layer | Sequence[Layer] | str,
        in_features: int | None = None,
    ) -> None:
        super().__init__()
        width = None if in_features is None else v.integer("in_features", in_features, 1)
        self._set_unchecked(columns=column_numbers(columns, width), in_features=width)
        self._hold(layers)

    @property
    def keeps_width(self) -> bool:
        """False: the output is as wide as what the columns become."""
        return False

    def _text(self, arguments: Mapping[str, Any]) -> str:
        columns = shown = arguments["columns"]
        if len(columns) > 3:  # a range is shown as one
            step = columns[1] - columns[0]
            line = range(columns[0], columns[-1] + (1 if step > 0 else -1), step)
            shown = line if tuple(line) == columns else columns
        return super()._text({**arguments, "columns": shown})

    def input_width(self) -> int | None:
        """Return the width of the input, if it was given."""
        return self.in_features

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the columns and the layers for an input of this width."""
        check_columns(f"{name}.columns" if name else "columns", self.columns, width)
        return width_out_of(self.layers, len(self.columns), self._name_of_layers(name), "the number of columns")

    def emit(self, builder: Builder, x: str) -> str:
        """Append the copy of the columns, and the ops of the layers."""
        width = builder.batch[x]
        if len(self.columns) < width or self.columns != tuple(range(width)):
            y = builder.rows(len(self.columns))
            builder.op("take_columns", {"x": x, "y": y}, columns=self.columns)
            x = y
        return [x, *emit_in_sequence(self.layers, builder, x)][-1]

    def _walk_within(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        yield from walk_in_sequence(self.layers, len(self.columns))


def width_of_columns(layer: Layer) -> int | None:
    """Return the width of the input of a `Parallel` whose branches get all columns up to the last one, else None."""
    columns = _columns_of(layer)
    return len(columns) if columns and not isinstance(layer, Columns) and len(columns) == max(columns) + 1 else None


def _columns_of(layer: Layer) -> set[int] | None:
    """Return which columns a layer gets of its input, if only `Columns` get any; else None."""
    if isinstance(layer, Columns):
        return set(layer.columns)
    if isinstance(layer, Chain):
        return _columns_of(layer.layers[0])
    found = [_columns_of(branch) for branch in layer.layers] if isinstance(layer, Parallel) else [None]
    return None if None in found else {column for each in found for column in each or ()}


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

NAMES = Names(
    JOINS,
    aliases={
        "average": "mean",
        "cat": "concat",
        "concatenate": "concat",
        "mul": "multiply",
        "prod": "multiply",
        "product": "multiply",
        "sum": "add",
    },
)
_BY_NAME = 'write join="...", by name'


def _joined(builder: Builder, join: str, outputs: Sequence[str]) -> str:
    return outputs[0] if len(outputs) == 1 else JOINS[join](builder, outputs)
