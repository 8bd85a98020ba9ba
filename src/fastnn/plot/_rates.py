"""The picture of a learning-rate range test."""

from __future__ import annotations

from typing import Any

from fastnn.plot import _style
from fastnn.plot._inputs import check_axes
from fastnn.training import LRRange


def draw(found: LRRange, ax: Any) -> Any:
    """Draw the losses over the rates, and the rate that is suggested."""
    check_axes(ax)
    with _style.picture(ax) as axes:
        axes.plot(found.rates, found.losses, color=_style.GUIDE["color"], linewidth=0.8, label="loss of the batch")
        axes.plot(found.rates, found.smoothed, color=_style.style(0)["color"], linewidth=1.8, label="smoothed")
        if found.suggestion is not None:
            axes.axvline(found.suggestion, color="black", linestyle=":", label=f"suggestion: {found.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        _style.legend(axes)
    return axes
