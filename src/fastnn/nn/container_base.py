"""Layers in sequence, the base class of layers made of layers, and a `Sequential` within a net."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, SupportsIndex

import numpy as np

from fastnn import _records
from fastnn import _validation as v
from fastnn.engine import Arena, Builder
from fastnn.nn.activations import as_layer
from fastnn.nn.init import Initializer
from fastnn.nn.layers import Layer, Shapes

__all__ = ["Chain", "Container"]

MOST_NESTED = 100  # containers within each other; Python's own limit would be met without a message


def as_layers(name: str, given: Sequence[object]) -> tuple[Layer, ...]:
    """Return what a net or a container was given, as layers: names become activations, a `Sequential` a `Chain`."""
    made = []
    for index, each in enumerate(given):
        where = f"{name}[{index}]"
        # A net: its module imports this one.
        layer = each._as_part(where) if hasattr(each, "_as_part") else as_layer(where, each)
        made.append(v.instance(where, layer, Layer, "be a layer", _layer_fix(layer)))
    return tuple(made)


def check_not_empty(name: str, layers: Sequence[object]) -> None:
    """Refuse a net or a container without layers."""
    if not layers:
        fix = "write nn.Identity() for a branch without layers" if name == "branches" else ""
        v.refuse(ValueError, name, "be at least one layer", "none", fix)


def _layer_fix(value: object) -> str:
    """Return what to write in place of a value that other libraries take as a layer, or as all layers."""
    if isinstance(value, list | tuple):
        return "write nn.Sequential(*layers)"
    if hasattr(value, "layers"):
        return "write *net"
    return ""


def width_out_of(layers: Sequence[Layer], width: int | None, name: str, source: str = "the input") -> int | None:
    """Check that each layer takes the output of the one before it, and return the width of the last one's output.

    Parameters
    ----------
    layers : sequence of Layer
    width : int or None
        The width of the input; None if it is not known.
    name : str
        What messages call the layers.
    source : str
        What messages call the input.
    """
    before: Layer | None = None  # the last layer that has set the width
    for index, layer in enumerate(layers):
        if width is not None and layer.in_features not in (None, width):
            given = f"the output of {v.shown(before)} before it" if before else source
            v.refuse(ValueError, f"{name}[{index}]", f"take inputs of width {width}, {given}", v.shown(layer))
        new = layer.output_width(width, f"{name}[{index}]")
        if new != width or layer.in_features is not None:
            before, width = layer, new
    return width


def width_into(layers: Sequence[Layer]) -> int | None:
    """Return the width of the input of layers in sequence; None if they do not define it."""
    for layer in layers:
        if layer.in_features is not None or not layer.keeps_width:
            return layer.in_features
    return None


def emit_in_sequence(layers: Sequence[Layer], builder: Builder, x: str, name: str = "layers") -> list[str]:
    """Append the ops of layers in sequence, and return the buffer of each one's output."""
    outputs: list[str] = []
    for index, layer in enumerate(layers):
        outputs.append(emit(layer, builder, outputs[-1] if outputs else x, f"{name}[{index}]"))
    return outputs


def emit(layer: Layer, builder: Builder, x: str, name: str) -> str:
    """Append the ops of a layer that messages call `name`, and return the buffer of its output."""
    outer, builder.path = builder.path, layer.path
    y: object = layer.emit(builder, x)
    builder.path = outer
    if not isinstance(y, str) or y not in builder.written:
        must = "return the name of the buffer that has its output"
        if y in builder.batch:
            must += ", of which all columns are written"
        v.refuse(ValueError, f"emit of {name}, {v.shown(layer)},", must, v.shown(y))
    return y


def initializers_of(layers: Sequence[Layer], after: Initializer) -> list[Initializer]:
    """Return the default initialisers of layers in sequence, those of layers within them included.

    Each depends on the layers after it; `after` is that of a `Dense` that comes last.
    """
    found: list[Initializer] = []
    for layer in reversed(layers):
        found[:0] = layer.default_initializers(after)
        after = layer.init_before() or after
    return found


def walk_in_sequence(layers: Sequence[Layer], width: int | None) -> Iterator[tuple[Layer, int | None]]:
    """Yield layers in sequence and those within them, each with the width of its output for an input of this width."""
    for layer in layers:
        yield from layer.walk(width)
        width = layer.output_width(width, "")


def last_of(layers: Sequence[Layer]) -> Layer:
    """Return the last layer in sequence, within a `Sequential` its last one."""
    return last_of(layers[-1].layers) if isinstance(layers[-1], Chain) else layers[-1]


def layer_at(layers: tuple[Layer, ...], index: SupportsIndex) -> Layer:
    """Return one of the layers that a net or a container shows as a sequence."""
    try:
        position, last = operator.index(index), len(layers) - 1
        if isinstance(index, bool | np.bool_):
            raise TypeError
    except TypeError:
        v.refuse(TypeError, "the index of a layer", "be an integer or a slice", v.shown(index))
    if not -last - 1 <= position <= last:
        v.refuse(IndexError, "the index of a layer", f"be from {-last - 1} to {last}", position)
    return layers[position]


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
    _depth: int

    _internal = frozenset({"input_width"})
    _fixes: ClassVar[Mapping[str, str]] = {
        name: f"as it is a part of a net: write nn.Sequential(layer).{name}"
        for name in ("activations", "copy", "forward", "load_state_dict", "predict", "state_dict", "summary")
    }
    _layers_argument = "layers"
    """The name of the constructor's argument that takes the layers."""

    def _hold(self, given: Sequence[object]) -> None:
        """Keep the layers, and find the widths as far as they are known."""
        layers = as_layers(self._layers_argument, given)
        depth = 1 + max((layer._depth for layer in layers if isinstance(layer, Container)), default=0)
        if depth > MOST_NESTED:
            v.refuse(ValueError, self._layers_argument, f"be nested at most {MOST_NESTED} deep", depth)
        self._set_unchecked(layers=layers, _depth=depth)
        self._set_unchecked(in_features=self.input_width())
        self._set_unchecked(out_features=self.output_width(self.in_features, ""))

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
        return self.layers[index] if isinstance(index, slice) else layer_at(self.layers, index)

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

    @property
    def saved_as_is(self) -> tuple[str, ...]:
        """The names that the layers have."""
        return tuple(f"{index}.{name}" for index, layer in enumerate(self.layers) for name in layer.saved_as_is)

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
        """Return those of the layers, in sequence."""
        return initializers_of(self.layers, after)

    def output_width(self, width: int | None, name: str) -> int | None:
        """Check the layers, in sequence, for an input of this width."""
        return width_out_of(self.layers, width, self._name_of_layers(name))

    def _name_of_layers(self, name: str) -> str:
        """Return what messages call the layers of a container that they call `name`."""
        return f"{name}.{self._layers_argument}" if name else self._layers_argument

    def walk(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        """Yield each layer, those within it after itself, and the width of its output for an input of this width."""
        yield self, self.output_width(width, "")
        yield from self._walk_within(width)

    def _walk_within(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        yield from walk_in_sequence(self.layers, width)

    # ---- a record ----

    def _arguments(self) -> dict[str, Any]:
        if "_given" in vars(self):  # of a user's class, whose arguments are others
            return super()._arguments()
        kept = {self._layers_argument: "layers"}
        return {name: getattr(self, kept.get(name, name)) for name in _records.parameters(type(self))}


class Chain(Container, abstract=True):  # abstract, so that it is not in the list of public kinds
    """A `Sequential` within a net: its layers in sequence, without values of its own.

    Nets and containers make it of the `Sequential` that they are given. It is shown and saved as a `Sequential`.

    Parameters
    ----------
    *layers : Layer or str
    """

    _shown_as = "Sequential"

    def __init__(self, *layers: Layer | str) -> None:
        super().__init__()
        self._hold(layers)

    @property
    def keeps_width(self) -> bool:
        """Whether all layers keep the width."""
        return all(layer.keeps_width for layer in self.layers)

    def input_width(self) -> int | None:
        """Return the width of the input, as far as the layers define it."""
        return width_into(self.layers)

    def emit(self, builder: Builder, x: str) -> str:
        """Append the ops of the layers."""
        return emit_in_sequence(self.layers, builder, x)[-1]

    def _saved(self) -> tuple[str, dict[str, Any]]:
        return "nn.Sequential", {"layers": self.layers, "dtype": "float32", "seed": None}
