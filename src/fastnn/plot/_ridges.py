"""Ridges: filled curves above each other, one for each of several histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis import Histogram
from fastnn.plot import _style

CELLS = 160  # of the common grid
HEIGHT = 0.86  # of a ridge, where the next one begins at 1
FILL = "#c9d8e8"  # light, so that the edges are seen on it


def common_edges(histograms: Sequence[Histogram], log: bool) -> Array:
    """Return edges of one grid for all histograms."""
    used = [each for each in histograms if each.counts.any()]
    low = min((float(each.edges[0]) for each in used), default=0.1 if log else -1.0)
    high = max((float(each.edges[-1]) for each in used), default=1.0)
    return (np.geomspace if log else np.linspace)(low, high, CELLS + 1)


def heights(histogram: Histogram, edges: Array, log: bool) -> Array:
    """Return the entries of a histogram in the cells of a grid, over the largest number; 0 if there are none.

    Within each of its own bins the entries are taken as evenly spread.
    """
    own, grid = (np.log(histogram.edges), np.log(edges)) if log else (histogram.edges, edges)
    up_to = np.interp(grid, own, np.concatenate([[0], np.cumsum(histogram.counts)]))
    found: Array = np.diff(up_to)
    return found / found.max() if found.max() > 0 else found


def draw_ridges(ax: Any, histograms: Sequence[Histogram], labels: Sequence[str], *, log: bool) -> None:
    """Draw a ridge for each histogram, the first at the top; the label says how many entries are 0."""
    edges = common_edges(histograms, log)
    for i, each in enumerate(histograms):
        base = float(len(histograms) - 1 - i)
        steps = np.repeat(heights(each, edges, log), 2)
        x = np.repeat(edges, 2)[1:-1]
        ax.fill_between(x, base, base + HEIGHT * steps, facecolor=FILL, edgecolor="none", zorder=2)
        ax.plot(x, base + HEIGHT * steps, color=_style.style(0)["color"], linewidth=0.9, zorder=3)
    if log:
        ax.set_xscale("log")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(-0.1, len(histograms))
    middles = np.arange(len(histograms))[::-1] + HEIGHT / 2
    ax.set_yticks(middles, [_label(*each) for each in zip(labels, histograms, strict=True)])
    ax.tick_params(axis="y", length=0)


def _label(label: str, histogram: Histogram) -> str:
    share = histogram.zeros / max(1, histogram.size)
    return f"{label}, {share:.0%} are 0" if share >= 0.005 else label
