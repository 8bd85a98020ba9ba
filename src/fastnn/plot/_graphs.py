"""A small net as a graph: units are nodes, weights are lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.diagnosis._data_checks import counted
from fastnn.nn import Dense, Sequential
from fastnn.nn.container_base import Container
from fastnn.plot import _style
from fastnn.plot._boxes import LETTER, shortened, size_of

SMALL = 500  # parameters of a net whose units are drawn by default
MOST_UNITS = 16  # of a layer
THINNEST = 1e-3  # points, of a line: matplotlib would draw dashes of this length
WIDEST = 2.6  # points, of the largest weight's line
POSITIVE, NEGATIVE = _style.STYLES[0]["color"], _style.STYLES[1]["color"]


def can_show(net: Sequential) -> bool:
    """Whether all layers with weights between units are `Dense`, and the others keep the width."""
    width: int | None = net.in_features
    for layer in net.layers:
        out = layer.output_width(width, "")
        if isinstance(layer, Container) or layer.reads_ids or (out != width and not isinstance(layer, Dense)):
            return False
        width = out
    return any(isinstance(layer, Dense) for layer in net.layers)


def check(net: Sequential) -> None:
    """Refuse a net whose units cannot be drawn."""
    if not can_show(net):
        must = "be left out, as only nets of Dense and of layers that keep the width have units to draw"
        v.refuse(ValueError, "units", must, "True", "write plot.net(net), which draws boxes")


def draw(net: Sequential, ax: Any) -> Any:
    """Draw the net from left to right."""
    dense = [each for each in net.layers if isinstance(each, Dense)]
    widths = [net.in_features, *(each.weight.shape[1] for each in dense)]
    places = [_places(width) for width in widths]
    with _style.picture(ax, (max(_style.WIDTH, 1.5 * len(widths)), 1.1 * _style.HEIGHT)) as axes:
        for i, layer in enumerate(dense):
            _lines(axes, i, layer.weight, places[i], places[i + 1])
        for x, (units, heights, cut) in enumerate(places):
            axes.plot(
                np.full(len(units), x), heights, linestyle="", marker="o", markersize=8, color="white",
                markeredgecolor="black", zorder=3, label="_units",
            )  # fmt: skip
            if cut:
                axes.text(x, 0.0, "...", ha="center", va="center", rotation=90, fontsize=11, zorder=4)
        captions = _captions(net)
        longest = max(len(line) for text in captions for line in text.split("\n"))
        size = min(7.5, 0.75 * size_of(axes)[0] / len(widths) / (LETTER * longest))
        bottom = min(float(heights[-1]) for _, heights, _ in places) - 0.14
        for x, text in enumerate(captions):
            axes.text(x, bottom, text, ha="center", va="top", fontsize=size, linespacing=1.3)
        deepest = max(text.count("\n") for text in captions)
        axes.set(xlim=(-0.5, len(widths) - 0.5), ylim=(bottom - 0.15 - 0.14 * deepest, 0.1 - bottom))
        axes.set_axis_off()
        axes.set_title("weights: solid if positive, dashed if negative", fontsize=8)
    return axes


def _places(width: int) -> tuple[Array, Array, bool]:
    """Return which units of a layer are shown, how high, and whether others are left out between them."""
    cut = width > MOST_UNITS
    half = MOST_UNITS // 2
    units = np.r_[0:half, width - half : width] if cut else np.arange(width)
    slots = np.r_[0:half, half + 1 : MOST_UNITS + 1] if cut else units
    count = MOST_UNITS + 1 if cut else width
    reach = min(1.0, 0.16 * (count - 1))
    heights = reach - 2 * reach * slots / max(1, count - 1)
    return units, heights, cut


def _lines(ax: Any, x: int, weight: Array, before: tuple[Array, Array, bool], after: tuple[Array, Array, bool]) -> None:
    """Draw the weights between two layers."""
    shown = weight[np.ix_(before[0], after[0])].astype(np.float64)
    widths = WIDEST * (np.abs(shown) / (np.abs(shown).max() or 1.0))
    seen = widths > THINNEST
    first, second = np.meshgrid(before[1], after[1], indexing="ij")
    ends = np.stack(
        [np.stack([np.full_like(first, x), first], -1), np.stack([np.full_like(first, x + 1), second], -1)], 2
    )
    lines = _style.matplotlib("collections").LineCollection
    for chosen, color, dashes, sign in (
        ((shown > 0) & seen, POSITIVE, "-", "positive"),
        ((shown < 0) & seen, NEGATIVE, (0, (4, 2)), "negative"),
    ):
        if chosen.any():
            ax.add_collection(
                lines(
                    ends[chosen], linewidths=widths[chosen], colors=color, linestyles=[dashes], zorder=1, alpha=0.85,
                    label=f"_{sign} {x}",
                )
            )  # fmt: skip


def _captions(net: Sequential) -> list[str]:
    """Return the text below each column of units: the layers that make its values."""
    captions = [f"input\n{counted(net.in_features, 'column')}" + "\nscaled" * (net.scaler is not None)]
    for layer in net.layers:
        text = shortened(repr(layer), 18)
        captions = [*captions, text] if isinstance(layer, Dense) else [*captions[:-1], f"{captions[-1]}\n{text}"]
    return captions
