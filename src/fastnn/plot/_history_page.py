"""A history as HTML: a page of its own, and what notebooks show."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fastnn import _html
from fastnn._typing import Array
from fastnn.engine import INPUT
from fastnn.plot import _style
from fastnn.plot._pages import (
    Picture,
    draw_by_epoch,
    drawable,
    drawing,
    log_if_wide,
    panels,
    shortened,
    without_pictures,
    write_page,
)
from fastnn.training import History
from fastnn.training.history import FIGURES, shown_figures

TITLE = "A training"
EDGE = 15  # epochs at the beginning and at the end of a table that has not all of them
FEW_LEFT_OUT = 5  # epochs: a table that could leave out no more has all
SMALL = (2.2, 4.4)  # height and width in inches of a panel of which two fit a page
LONG = 0.9995  # seconds: what is shorter is in milliseconds, of which three digits are then below 1000
LONGEST = 1e9  # seconds that are written without an exponent
MOST_LINES = 8  # in a picture of layers
NOTHING = "No epoch has been trained yet."

# The figures of a `Watch`, by the end of their names; those that have a picture, with what it calls them.
OF_LAYERS = ("std", "gradient", "update", "saturated", "dead", "zeros", "norm", "mean", "min", "max")
DRAWN = {
    "std": "standard deviation of the outputs",
    "gradient": "root mean square of the gradient by the outputs",
    "update": "update over weights",
    "saturated": "share of outputs where the activation is flat",
    "dead": "share of dead units",
}


def write(history: History, path: str | os.PathLike[str]) -> None:
    """Write the page of a history."""
    write_page(path, TITLE, f"<h1>{TITLE}</h1>", _body(history))


def fragment(history: History) -> str:
    """Return what notebooks show: the losses, and the first and the last epoch."""
    if not history.epochs:
        return _html.fragment(_html.paragraph(NOTHING))
    parts = [_html.paragraph(_length(history))]
    if _style.has_matplotlib():
        with drawing():
            parts += [each.html for each in _losses(history)]
    return _html.fragment(*parts, _epochs(history, 1))


def _body(history: History) -> Iterator[str]:
    if not history.epochs:
        yield _html.paragraph(NOTHING)
        return
    yield _html.paragraph(_length(history))
    if not _style.has_matplotlib():
        yield without_pictures()
    else:
        with drawing():
            yield from _pictures(history)
    if rows := _last_of_layers(history):
        yield "<h2>Layers</h2>"
        yield _html.paragraph("The last figure of each layer and of each array of parameters, as fastnn.Watch has it.")
        yield _html.table(*rows)
    yield "<h2>Epochs</h2>"
    yield _epochs(history, EDGE)


def _length(history: History) -> str:
    """Return how long the training was, and how good it became."""
    n = len(history.epochs)
    text = f"{n} epoch{'s' * (n != 1)}."
    seconds = _finite(_values(history, "seconds"))
    with np.errstate(over="ignore"):
        total = float(seconds.sum())
    if len(seconds) and math.isfinite(total):
        text += f" The steps took {_duration(total)}."
    rates = np.unique(_finite(_values(history, "lr")))
    if len(rates) == 1:
        text += f" The learning rate was {rates[0]:g}."
    losses = _values(history, "val_loss")
    if np.isfinite(losses).any():
        best = int(np.nanargmin(losses))
        text += f" The lowest loss on validation data was {losses[best]:.4g}, after epoch {best + 1}."
    return text


def _duration(seconds: float) -> str:
    if seconds < LONG:
        return f"{1e3 * seconds:.3g} ms"
    return f"{seconds:,.0f} seconds" if 100.0 <= seconds < LONGEST else f"{seconds:.3g} seconds"


# ---- figures ----


def _values(history: History, name: str) -> Array:
    """Return a figure of all epochs; NaN where there is none."""
    return np.array([epoch.get(name, np.nan) for epoch in history.epochs], np.float64)


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def _names(history: History) -> list[str]:
    """Return the names of the figures of the whole net, without rate and time."""
    return list(dict.fromkeys(name for epoch in history.epochs for name in shown_figures(epoch)))


def _layers(history: History) -> dict[str, list[str]]:
    """Return the names of the layers and parameters that have each figure of a `Watch`."""
    found: dict[str, list[str]] = {each: [] for each in OF_LAYERS}
    for name in history:
        layer, point, figure = name.rpartition(".")
        if point and figure in found:
            found[figure].append(layer)
    return {figure: layers for figure, layers in found.items() if layers}


def _last_of_layers(history: History) -> tuple[list[str], list[list[str]]] | None:
    """Return a table of the last figures of layers; None if there are none."""
    figures = _layers(history)
    if not figures:
        return None
    names = list(dict.fromkeys(layer for layers in figures.values() for layer in layers))
    rows = []
    for layer in sorted(names, key=[name.rpartition(".")[0] for name in history].index):
        last = [_finite(_values(history, f"{layer}.{figure}"))[-1:] for figure in figures]
        rows.append([layer, *(f"{each[0]:.3g}" if len(each) else "" for each in last)])
    return ["", *figures], rows


# ---- pictures ----


def _pictures(history: History) -> Iterator[str]:
    yield from (each.html for each in _losses(history))
    names = [name for name in _names(history) if not name.endswith("loss")]
    metrics = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    if metrics:
        yield "<h2>Metrics</h2>"
        for metric in metrics:
            names = [metric, f"val_{metric}"]
            yield from (each.html for each in _by_epoch(history, names, metric, linear=True))
    if len(np.unique(_finite(_values(history, "lr")))) > 1:
        yield "<h2>Learning rate</h2>"
        yield from (each.html for each in _by_epoch(history, ["lr"], "learning rate"))
    if figures := _layers(history):
        yield '<h2>Figures of layers</h2>\n<div class="panels">'
        yield from (each.html for name in DRAWN if name in figures for each in _of_layers(history, name, figures[name]))
        yield "</div>"


def _losses(history: History) -> Iterator[Picture]:
    """Yield the picture of the losses, and of other figures whose names end in "loss"."""
    names = ["loss", "val_loss", *(name for name in _names(history) if name.endswith("loss"))]
    yield from _by_epoch(history, names, "loss")


def _by_epoch(history: History, names: Sequence[str], what: str, *, linear: bool = False) -> Iterator[Picture]:
    """Yield a picture of figures by epoch; none if there are no numbers to draw."""
    shown = {name: drawable(_values(history, name)) for name in names}
    shown = {name: values for name, values in shown.items() if len(_finite(values))}
    if not shown:
        return
    figure, (ax,) = panels()
    draw_by_epoch(ax, shown, what)
    if not linear:
        log_if_wide(ax, np.concatenate(list(shown.values())))
    yield Picture(figure, f"{what} by epoch: {' and '.join(shown)}", _caption(what, shown))


def _caption(what: str, shown: dict[str, Array]) -> str:
    parts = []
    for name, values in shown.items():
        first, last = _finite(values)[[0, -1]]
        text = shortened(name) + " (validation data)" * name.startswith("val_")
        parts.append(f"{text} {first:.4g} to {last:.4g}" if first != last else f"{text} {last:.4g}")
    what = shortened(what)
    return f"{what[:1].upper()}{what[1:]} by epoch: {'; '.join(parts)}."


def _of_layers(history: History, figure: str, names: Sequence[str]) -> Iterator[Picture]:
    """Yield a picture of one figure of layers, or of weights, by epoch; none if it is 0 throughout."""
    layers = [each for each in names if f"{each}.norm" not in history or (figure == "update" and "bias" not in each)]
    values = {each: drawable(_values(history, f"{each}.{figure}")) for each in layers if each != INPUT}
    values = {each: some for each, some in values.items() if np.any(_finite(some))}
    if not values:
        return
    chosen = [list(values)[round(i)] for i in np.linspace(0, len(values) - 1, min(len(values), MOST_LINES))]
    drawn, (ax,) = panels(1, *SMALL)
    lines = {layer: values[layer] for layer in chosen}
    draw_by_epoch(ax, lines, figure)
    log_if_wide(ax, np.concatenate(list(lines.values())))
    words = DRAWN[figure]
    caption = f"{words[0].upper()}{words[1:]}, by epoch."
    if len(chosen) < len(values):
        caption += f" {len(chosen)} of {len(values)} are drawn."
    if len(values) < len(layers) - (INPUT in layers):
        caption += " Those of which it is 0 are left out."
    yield Picture(drawn, f"{words} by epoch, a line for each of {', '.join(chosen)}", caption)


# ---- the table ----


def _epochs(history: History, edge: int) -> str:
    """Return the table of the epochs; of many only the first, the best and the last ones."""
    n = len(history.epochs)
    names = [*_names(history), *(each for each in FIGURES if each != "loss" and each in history)]
    losses = _values(history, "val_loss")
    best = int(np.nanargmin(losses)) if len(_finite(losses)) else -1
    cut = n > 2 * edge + FEW_LEFT_OUT or edge == 1
    shown = [i for i in range(n) if not cut or i < edge or i >= n - edge or (i == best and edge > 1)]
    unit, of_seconds = _times(_finite(_values(history, "seconds")))
    texts = {name: of_seconds if name == "seconds" else "{:.4g}".format for name in names}
    rows: list[list[str]] = []
    for before, i in zip([-1, *shown], shown, strict=False):
        if i != before + 1:
            rows.append(["...", *("" for _ in names)])
        figures = history.epochs[i]
        rows.append([str(i + 1), *(texts[name](figures[name]) if name in figures else "" for name in names)])
    header = [unit if name == "seconds" else name for name in names]
    table = _html.table(["epoch", *header], rows)
    if len(shown) == n or edge == 1:
        return table
    left = f"{n - len(shown)} epochs in the middle are left out; history.epochs has them all."
    return _html.paragraph(left) + table


def _times(seconds: Array) -> tuple[str, Callable[[float], str]]:
    """Return the unit of a column of times, and what writes one: with equal decimals, three digits of the longest."""
    longest = float(np.abs(seconds).max(initial=0.0))
    unit, factor = ("seconds", 1.0) if longest >= LONG else ("ms", 1e3)
    if not 0.0 < longest < LONGEST:
        return unit, lambda each: f"{each * factor:.4g}"
    decimals = min(6, max(0, 2 - math.floor(math.log10(longest * factor))))
    return unit, lambda each: f"{each * factor:.{decimals}f}"
