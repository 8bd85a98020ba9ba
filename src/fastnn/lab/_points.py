"""Drawing of figures of several runs at places that have no order, such as columns."""

from __future__ import annotations

from typing import Any

from fastnn._typing import Array
from fastnn.plot import _style


def points(ax: Any, index: int, x: Any, values: Array, label: str) -> None:
    """Draw the means over several runs as markers, and the ranges as vertical lines.

    `values` has a row for each run.
    """
    look = {**_style.style(index), "linestyle": ""}
    ax.plot(x, values.mean(axis=0), label=label, **look)
    ax.vlines(x, values.min(axis=0), values.max(axis=0), color=look["color"], linewidth=1.0)
