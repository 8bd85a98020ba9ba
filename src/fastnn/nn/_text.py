"""The texts of nets: the tree that `repr` shows, and the table of `summary`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fastnn.engine import Scaling
from fastnn.nn.container_base import Container, walk_in_sequence
from fastnn.nn.layers import Layer
from fastnn.nn.scaling import fields_of


class Table(str):
    """A text that a session shows as it is, not quoted."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Placeholder:
    """Stands for the layers of a container in the text of its call."""

    def __repr__(self) -> str:
        return "\0"


def tree(layer: Layer, indent: str) -> Iterator[str]:
    """Yield the lines that show a layer in a net: of a container, one for each layer in it, and its parameters."""
    if not isinstance(layer, Container):
        yield f"{indent}{layer!r},"
        return
    arguments = layer._arguments()
    if not arguments.get(layer._layers_argument):  # none, or those of a user's class are others
        yield f"{indent}{layer!r},{count(layer) if layer.layers else ''}"
        return
    before, after = layer._text({**arguments, layer._layers_argument: (_Placeholder(),)}).split("\0")
    yield indent + before.rstrip()
    for child in layer:
        yield from tree(child, indent + "    ")
    if settings := after[:-1].lstrip(", "):
        yield f"{indent}    {settings},"
    yield f"{indent}),{count(layer)}"


def _label(container: Container) -> str:
    """Return the text of a container without its layers: ``Parallel(..., join='add')``."""
    arguments = container._arguments()
    if not arguments.get(container._layers_argument):
        return repr(container)
    layers = (_Placeholder(),)
    return container._text({**arguments, container._layers_argument: layers}).replace("\0", "...")


def count(*layers: Layer) -> str:
    """Return a comment with the number of the layers' parameters."""
    total = sum(math.prod(shape) for layer in layers for shape in layer.parameters().values())
    return f"  # {total:,} parameter{'s' * (total != 1)}"


def summary_rows(
    layers: Sequence[Layer], width: int | None, frozen: frozenset[str], *, scaler: bool, output_scaler: bool
) -> list[tuple[str, ...]]:
    """Return a table of layers, those within them included, for an input of this width, None if it is not known.

    The first row is the header; in the first two columns are texts, in the others numbers.

    `frozen` are the names of the frozen parameters. `scaler` and `output_scaler` say whether the net has one.
    """
    rows: list[tuple[str, ...]] = [("", "layer", "output", "parameters", "trainable")]
    if scaler:
        rows.append(("", "scaler", str(width or "?"), "0", "0"))
    for layer, out in walk_in_sequence(layers, width):
        numbers = _numbers([layer], frozen)
        is_container = isinstance(layer, Container)
        text = "  " * layer.path.count(".") + (_label(layer) if isinstance(layer, Container) else repr(layer))
        rows.append((layer.path, text, str(out or "?"), *(f"({n})" if is_container else str(n) for n in numbers)))
    if output_scaler:
        last = next(row for row in reversed(rows) if "." not in row[0])  # no layer within a container
        rows.append(("", "output_scaler", last[2], "0", "0"))
    rows.append(("", "total", "", *map(str, _numbers(layers, frozen))))
    return rows if frozen else [row[:4] for row in rows]


def summary(
    layers: Sequence[Layer], width: int | None, frozen: frozenset[str], *, scaler: bool, output_scaler: bool
) -> Table:
    """Return the same table as text."""
    rows = summary_rows(layers, width, frozen, scaler=scaler, output_scaler=output_scaler)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for path, name, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[2:], strict=True)]
        lines.append("  ".join([path.ljust(widths[0]), name.ljust(widths[1]), *padded]))
    return Table("\n".join(lines))


def _numbers(layers: Sequence[Layer], frozen: frozenset[str]) -> tuple[int, int]:
    """Return the number of the layers' parameters, and of those that are not frozen."""
    sizes = {f"{layer.path}.{name}": math.prod(shape) for layer in layers for name, shape in layer.parameters().items()}
    return sum(sizes.values()), sum(size for name, size in sizes.items() if name not in frozen)


def scaling(numbers: Scaling) -> str:
    """Return the numbers of a scaler as `repr` shows them: of quantiles, how many."""
    shown = []
    for name, array in fields_of(numbers).items():
        text = np.array2string(array, threshold=6, separator=", ")
        shown.append(f"{len(array)} {name} of {array.shape[1]} columns" if array.ndim == 2 else f"{name}={text}")
    return ", ".join(shown)
