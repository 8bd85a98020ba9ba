"""A net as boxes: a box for each layer, from above to below, with branches side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnn.diagnosis._data_checks import counted
from fastnn.nn import Columns, Layer, Parallel, Residual, Sequential
from fastnn.nn.container_base import Chain
from fastnn.plot import _style

BOX = 0.66  # height of a box in its row, which has height 1
SPLIT, JOIN = 0.3, 0.8  # heights of what is above and below branches
MOST_BRANCHES = 6  # side by side
SAME = 3  # so many equal blocks in sequence are drawn once
MOST_LETTERS = 30  # of a line in a box
ROW, LANE = 0.52, 2.3  # inches of a new figure
LETTER = 0.56  # width of a letter over its size, about
READABLE = 4.0  # points, of letters that need a second line to be left out if they are smaller
FILLED, EMPTY = "#e4e4e4", "white"
LINE = "#6e6e6e"  # seen on white and on black
SIGNS = {"add": "+", "multiply": "\u00d7", "mean": "mean", "concat": "side by side"}


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 3].rstrip(" ,(") + "..."


def size_of(ax: Any) -> tuple[float, float]:
    """Return width and height of axes in points, as far as they are known before a layout."""
    place, inches = ax.get_position(), ax.figure.get_size_inches()
    return 72.0 * float(place.width * inches[0]), 72.0 * float(place.height * inches[1])


@dataclass(frozen=True)
class Item:
    """What is drawn as one box, or as a part with branches.

    Attributes
    ----------
    layer : Layer or None
        None for a box that is no layer.
    text : str
        Of such a box.
    times : int
        How many equal items in sequence this one stands for.
    """

    layer: Layer | None = None
    text: str = ""
    times: int = 1

    @property
    def parts(self) -> list[Item]:
        """The items within: of a sequence one below the other, of `Parallel` side by side."""
        if isinstance(self.layer, Parallel):
            branches = [Item(each) for each in self.layer.layers]
            if len(branches) > MOST_BRANCHES:
                left_out = len(branches) - MOST_BRANCHES + 1
                branches = [*branches[: MOST_BRANCHES - 2], Item(text=f"... {left_out} more\nbranches"), branches[-1]]
            return branches
        if isinstance(self.layer, Columns):
            return [Item(text=_columns(self.layer.columns)), *in_sequence(self.layer.layers)]
        if isinstance(self.layer, Chain | Residual):
            return in_sequence(self.layer.layers)
        return []

    @property
    def lanes(self) -> float:
        """The width, in lanes of a box each."""
        inner = [part.lanes for part in self.parts] or [1.0]
        if isinstance(self.layer, Parallel):
            return sum(inner)
        return max(inner) + (0.7 if isinstance(self.layer, Residual) else 0.0)

    @property
    def rows(self) -> float:
        """The height, in rows of a box each."""
        inner = [part.rows for part in self.parts] or [1.0]
        if isinstance(self.layer, Parallel):
            return SPLIT + max(inner) + JOIN
        return sum(inner) + (SPLIT + JOIN if isinstance(self.layer, Residual) else 0.0)


def in_sequence(layers: Sequence[Layer]) -> list[Item]:
    """Return the items of layers in sequence; several equal blocks become one."""
    items: list[Item] = []
    for _, group in itertools.groupby(layers, key=lambda layer: (type(layer), repr(layer))):
        same = list(group)
        is_block = isinstance(same[0], Chain | Residual | Parallel)
        items += [Item(same[0], times=len(same))] if is_block and len(same) >= SAME else [Item(each) for each in same]
    return items


def _columns(columns: tuple[int, ...]) -> str:
    """Return the text of the columns that a branch gets."""
    first, last, count = columns[0], columns[-1], len(columns)
    if count == 1:
        return f"column {first}"
    if columns == tuple(range(first, last + 1)):
        return f"columns {first} to {last}"
    return shortened(f"columns {', '.join(map(str, columns))}", MOST_LETTERS)


@dataclass
class Plan:
    """Boxes, lines and joins with their places; y grows downwards."""

    boxes: list[tuple[float, float, str, bool]] = field(default_factory=list)
    joins: list[tuple[float, float, str]] = field(default_factory=list)
    lines: list[list[tuple[float, float]]] = field(default_factory=list)
    notes: list[tuple[float, float, str]] = field(default_factory=list)

    def box(self, x: float, top: float, text: str, filled: bool = False) -> float:
        """Add a box with the lines above and below it; return where the next one begins."""
        gap = (1 - BOX) / 2
        self.boxes.append((x, top + gap, text, filled))
        self.lines += [[(x, top), (x, top + gap)], [(x, top + 1 - gap), (x, top + 1)]]
        return top + 1

    def join(self, x: float, y: float, text: str) -> float:
        """Add what joins branches, in the middle of the room for it; return where the next item begins."""
        self.joins.append((x, y + JOIN / 2, text))
        self.lines.append([(x, y + JOIN / 2), (x, y + JOIN)])
        return y + JOIN

    def add(self, item: Item, x: float, top: float, width: int | None) -> tuple[float, int | None]:
        """Add an item below `top`, in the lane around `x`; return where the next one begins, and how wide its input is.

        `width` is the width of the item's input.
        """
        layer = item.layer
        if layer is None:
            return self.box(x, top, item.text), width
        out = layer.output_width(width, "")
        if item.times > 1:
            self.notes.append((x + item.lanes / 2, top + item.rows / 2, f"{item.times} times"))
        if isinstance(layer, Parallel):
            return self._side_by_side(item, x, top, width, f"{SIGNS[layer.join]}"), out
        if not item.parts:
            size = sum(math.prod(shape) for shape in layer.parameters().values())
            detail = counted(out, "output") if out else "outputs as inputs"
            detail += f", {counted(size, 'parameter')}" if size else ""
            return self.box(x, top, f"{shortened(repr(layer), MOST_LETTERS)}\n{detail}", size > 0), out
        if not isinstance(layer, Residual):
            inner = len(layer.columns) if isinstance(layer, Columns) else width
            return self._below(item.parts, x, top, inner), out
        self.lines.append([(x, top), (x, top + SPLIT)])
        bottom = self._below(item.parts, x, top + SPLIT, width)
        side, start, end = x + item.lanes / 2 - 0.12, top + SPLIT / 2, bottom + JOIN / 2
        self.lines += [[(x, start), (side, start), (side, end), (x, end)], [(x, bottom), (x, end)]]
        return self.join(x, bottom, "+"), out

    def _below(self, items: Sequence[Item], x: float, top: float, width: int | None) -> float:
        for each in items:
            top, width = self.add(each, x, top, width)
        return top

    def _side_by_side(self, item: Item, x: float, top: float, width: int | None, sign: str) -> float:
        """Add branches between a split and a join."""
        left, start, bottom = x - item.lanes / 2, top + SPLIT / 2, top + item.rows - JOIN
        end = bottom + JOIN / 2
        self.lines.append([(x, top), (x, start)])
        for branch in item.parts:
            middle = left + branch.lanes / 2
            reached, _ = self.add(branch, middle, top + SPLIT, width)
            self.lines += [
                [(x, start), (middle, start), (middle, top + SPLIT)],
                [(middle, reached), (middle, end), (x, end)],
            ]
            left += branch.lanes
        return self.join(x, bottom, sign)


def plan_of(net: Sequential) -> tuple[Plan, float, float]:
    """Return the plan of a net, and its size in lanes and rows."""
    items = [Item(text=f"input\n{counted(net.in_features, 'column')}")]
    if net.scaler is not None:
        items.append(Item(text=f"scaler\n{type(net.scaler).__name__}"))
    items += in_sequence(net.layers)
    if net.output_scaler is not None:
        items.append(Item(text=f"output scaler, inverted\n{type(net.output_scaler).__name__}"))
    lanes, rows = max(item.lanes for item in items), sum(item.rows for item in items)
    plan, top = Plan(), 0.0
    width: int | None = net.in_features
    for item in items:
        top, width = plan.add(item, lanes / 2, top, width)
    return plan, lanes, rows


def draw(net: Sequential, ax: Any) -> Any:
    """Draw the net from above to below."""
    plan, lanes, rows = plan_of(net)
    with _style.picture(ax, (max(3.2, LANE * lanes), ROW * rows + 0.1)) as axes:
        texts, size = _fitted([text for _, _, text, _ in plan.boxes], *size_of(axes), lanes, rows)
        for line in _without_doubles(plan.lines):
            axes.plot(*zip(*line, strict=True), color=LINE, linewidth=1, zorder=1, solid_joinstyle="miter")
        box = _style.matplotlib("patches").FancyBboxPatch
        inside = {"ha": "center", "va": "center", "fontsize": size, "zorder": 3, "color": "black"}
        for (x, top, _, filled), text in zip(plan.boxes, texts, strict=True):
            look = {"facecolor": FILLED if filled else EMPTY, "edgecolor": "black", "linewidth": 0.9, "zorder": 2}
            axes.add_patch(box((x - 0.45, top), 0.9, BOX, boxstyle="round,pad=0,rounding_size=0.05", **look))
            axes.text(x, top + BOX / 2, text, linespacing=1.25, **inside)
        for x, y, sign in plan.joins:
            frame = {"boxstyle": "circle,pad=0.15" if len(sign) == 1 else "round,pad=0.25", "facecolor": "white"}
            axes.text(x, y, sign, bbox={**frame, "edgecolor": "black", "linewidth": 0.9}, **inside)
        for x, y, note in plan.notes:
            axes.text(x, y, note, ha="left", va="center", fontsize=size, zorder=3)
        right = lanes + (0.45 if plan.notes else 0.0)
        axes.set(xlim=(0, right), ylim=(rows, (1 - BOX) / 2 - 0.02))
        axes.set_axis_off()
    return axes


def _fitted(texts: Sequence[str], width: float, height: float, lanes: float, rows: float) -> tuple[list[str], float]:
    """Return the texts of boxes, and the size of their letters; without second lines if these could not be read."""
    for shown, lines in ((list(texts), 2.9), ([text.partition("\n")[0] for text in texts], 1.6)):
        longest = max(len(line) for text in shown for line in text.split("\n"))
        size = min(8.0, height / rows * BOX / lines, 0.9 * width / lanes / (LETTER * longest))
        if size >= READABLE:
            break
    return shown, size


def _without_doubles(lines: Sequence[list[tuple[float, float]]]) -> Iterator[list[tuple[float, float]]]:
    """Yield each line once."""
    seen: set[tuple[tuple[float, float], ...]] = set()
    for line in lines:
        if tuple(line) not in seen:
            seen.add(tuple(line))
            yield line
