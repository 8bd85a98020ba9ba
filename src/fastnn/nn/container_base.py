"""Layers in a row, the base class of layers made of layers, and a `Sequential` within a net."""

from __future__ import annotations

import math
import operator
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self, SupportsIndex

from fastnn import _records
from fastnn import _validation as v
from fastnn._settings import Settings
from fastnn.engine import Arena, Builder
from fastnn.nn.activations import as_layer
from fastnn.nn.init import Initializer
from fastnn.nn.layers import Layer, Shapes

__all__ = ["Chain", "Container"]


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

    _internal = frozenset({"input_width"})
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
