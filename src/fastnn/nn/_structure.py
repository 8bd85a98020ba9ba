"""Checks of the layers of a net: whether they fit together, and which width they need."""

from __future__ import annotations

from typing import Any, NoReturn

from fastnn import _validation as v
from fastnn.nn.container_base import walk_in_sequence, width_into, width_out_of
from fastnn.nn.containers import Columns, width_of_columns
from fastnn.nn.layers import Layer


def check_once(layers: tuple[Layer, ...]) -> None:
    """Refuse a layer with parameters that is given twice, at any depth: layers share no values."""
    seen: set[int] = set()
    for index, layer in enumerate(layers):
        for leaf in layer.leaves():
            if id(leaf) in seen and (leaf.parameters() or leaf.buffers()):
                within = "" if leaf is layer else f", in {v.shown(layer)}"
                must = "be another object than the layers before it"
                fix = "write a new layer, as layers share no weights"
                v.refuse(ValueError, f"layers[{index}]", must, v.shown(leaf) + within, fix)
            seen.add(id(leaf))


def widths(layers: tuple[Layer, ...]) -> tuple[int, int] | None:
    """Check that layers fit together, and return the widths of input and output; None if no layer defines them."""
    width = width_into(layers) or width_of_columns(layers[0])
    last = width_out_of(layers, width, "layers")
    return None if width is None or last is None else (width, last)


class NoWidth:
    """The width of a net whose layers do not define that of its input: reading it raises an error that says so.

    It is an attribute of the class. A net with a width has an attribute of its own, which takes no call to read.
    """

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else _refuse_without_width(instance.layers)

    def __repr__(self) -> str:
        return "a width"


def _refuse_without_width(layers: tuple[Layer, ...]) -> NoReturn:
    must = "contain a layer that defines the width of the input, such as Dense or BatchNorm"
    taken = [j for layer, _ in walk_in_sequence(layers, None) if isinstance(layer, Columns) for j in layer.columns]
    fix = f"write nn.Columns(..., in_features=n), where n is at least {max(taken) + 1}" if taken else ""
    v.refuse(ValueError, "layers", must, v.shown(list(layers)), fix)
