"""What all pictures have in common: sizes, lines that differ without colour, legends where no data are."""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._html import escaped
from fastnn._typing import Array

WIDTH, HEIGHT = 6.4, 3.6  # inches of a picture of one panel

STYLES: Sequence[Mapping[str, Any]] = (
    {"color": "#1f5a96", "linestyle": "-", "marker": "o"},
    {"color": "#c2571a", "linestyle": "--", "marker": "s"},
    {"color": "#2a7d4f", "linestyle": "-.", "marker": "^"},
    {"color": "#8a3f8f", "linestyle": ":", "marker": "D"},
    {"color": "#444444", "linestyle": (0, (6, 2, 1, 2, 1, 2)), "marker": "v"},
    {"color": "#a8862a", "linestyle": (0, (8, 3)), "marker": "P"},
    {"color": "#1a8a8a", "linestyle": (0, (2, 1)), "marker": "X"},
    {"color": "#b03060", "linestyle": (0, (4, 1, 1, 1)), "marker": "*"},
)
"""Of lines, in their order: each differs from the others also in grey, by its dashes and its markers."""

GUIDE: Mapping[str, Any] = {"color": "#8a8a8a", "linewidth": 0.9, "linestyle": (0, (6, 3)), "zorder": 0}
"""Of lines that are no data: a limit, the value of guessing."""

NOT_LOOKS = ("backend", "backend_fallback", "interactive", "toolbar", "timezone")
"""Settings of matplotlib that pages leave as they are: where pictures are shown, not how they look."""

MAP = "Greys"
"""The colour map of values from small (light) to large (dark); also reads in grey."""

SETTINGS: Mapping[str, Any] = {
    "svg.fonttype": "path",  # the same letters on every machine
    "svg.hashsalt": "fastnn",  # equal data give equal text
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.markersize": 4,
    "lines.linewidth": 1.5,
}

LARGEST = 1e290  # what an axis can show, with room around it
MOST_LETTERS = 32  # of a label
MARKS = 10  # markers on a line
BESIDE = 0.02  # of a panel's width, between it and its legend
EDGE = 0.01  # of a figure's width, that stays free at its right
NARROWEST = 0.5  # of its width that a panel keeps beside a legend


def matplotlib(module: str) -> Any:
    """Import a module of matplotlib, such as "figure".

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError:
        v.refuse_missing("fastnn.plot", "matplotlib", "plot")


def has_matplotlib() -> bool:
    """Whether matplotlib can be imported: one that is there may be broken, or made for another NumPy."""
    try:
        importlib.import_module("matplotlib.figure")
    except Exception:  # noqa: BLE001 - it fails in ways of its own
        return False
    return True


def style(index: int) -> Mapping[str, Any]:
    """Return the style of the line with this index."""
    return STYLES[index % len(STYLES)]


def _is_default(setting: str) -> bool:
    """Whether the user has left one of matplotlib's settings as it is."""
    import matplotlib as mpl

    return bool(mpl.rcParams[setting] == mpl.rcParamsDefault[setting])


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw a picture of the user's: `SETTINGS` hold, but for what the user has set.

    The settings are as before afterwards.
    """
    import matplotlib as mpl

    ours = {name: value for name, value in SETTINGS.items() if _is_default(name)}
    if "font.size" not in ours:  # by default titles are as large as letters need it
        ours.pop("axes.titlesize", None)
    with mpl.rc_context(ours):
        yield


@contextlib.contextmanager
def page_settings() -> Iterator[None]:
    """Draw or save a picture of a page: matplotlib's defaults and `SETTINGS` hold, whatever the user has set.

    So equal data give equal pages, also in a notebook with a dark style or with LaTeX.
    """
    import matplotlib as mpl

    defaults = {name: mpl.rcParamsDefault[name] for name in mpl.rcParamsDefault if name not in NOT_LOOKS}
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)
        mpl.rcParams.update(defaults)
        mpl.rcParams.update(SETTINGS)
        yield


@contextlib.contextmanager
def picture(ax: Any, size: tuple[float, float] = (WIDTH, HEIGHT)) -> Iterator[Any]:
    """Draw with `styled` into the given axes, or into those of a new figure of pyplot, which an error closes.

    It has this size, in inches, for letters of the usual size, if the user has not set another one.
    """
    import matplotlib as mpl

    with styled():
        if ax is not None:
            yield ax
            return
        pyplot = matplotlib("pyplot")
        larger = max(1.0, mpl.rcParams["font.size"] / SETTINGS["font.size"])
        own = (larger * size[0], larger * size[1]) if _is_default("figure.figsize") else None
        made, axes = pyplot.subplots(figsize=own, layout="constrained")
        try:
            yield axes
        except BaseException:
            pyplot.close(made)
            raise


def ink() -> Any:
    """Return the colour of axes, black or, in dark styles, white, for what is drawn on the background."""
    import matplotlib as mpl

    return mpl.rcParams["axes.edgecolor"]


def label(name: object) -> str:
    """Return a name as a label.

    matplotlib takes "$" for the beginning of a formula, leaves out "_names", and cannot write half a pair of UTF-16.
    """
    text = str(name).encode(errors="replace").decode()
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS - 13]}...{text[-10:]}"  # names of one kind often differ at their ends
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def drawable(values: Any) -> Array:
    """Return numbers with NaN in place of those that no axis can show."""
    array = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(array) < LARGEST, array, np.nan)


def figure(panels: int = 1, width: float = WIDTH, height: float = HEIGHT) -> tuple[Any, list[Any]]:
    """Return a figure, which no display shows, and its panels, side by side or, from three, in rows of two."""
    columns = min(panels, 2)
    rows = -(-panels // columns)
    size = (width * (1.5 if columns > 1 else 1.0), height * rows)
    with page_settings():
        made = matplotlib("figure").Figure(figsize=size, layout="constrained")
        return made, [made.add_subplot(rows, columns, 1 + i) for i in range(panels)]


def line(ax: Any, index: int, x: Any, y: Any, label: str, **settings: Any) -> None:
    """Draw a line in the style of its index, with some markers."""
    every = max(1, len(x) // MARKS)
    ax.plot(x, y, label=label, markevery=every, **{**style(index), **settings})


def runs(ax: Any, index: int, x: Any, values: Any, label: str, **settings: Any) -> None:
    """Draw the mean over several runs as a line, and the range from the lowest to the highest as a band.

    `values` has a row for each run.
    """
    line(ax, index, x, values.mean(axis=0), label, **settings)
    if len(values) > 1:
        color = style(index)["color"]
        ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0)


def points(ax: Any, index: int, x: Any, values: Any, label: str) -> None:
    """Draw the means over several runs as markers, and the ranges as vertical lines.

    `values` has a row for each run.
    """
    look = {**style(index), "linestyle": ""}
    ax.plot(x, values.mean(axis=0), label=label, **look)
    ax.vlines(x, values.min(axis=0), values.max(axis=0), color=look["color"], linewidth=1.0)


def whole_numbers(axis: Any) -> None:
    """Let an axis have ticks at whole numbers alone."""
    locator = matplotlib("ticker").MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    axis.set_major_locator(locator)


def legend(ax: Any) -> None:
    """Put the labels to the right of the panel, where no data are.

    A layout of the figure makes room for them. In a figure without one the panel is drawn narrower; if too little of it
    would be left, the labels are put inside.
    """
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    place = {"loc": "upper left", "bbox_to_anchor": (1.0 + BESIDE, 1.0), "borderaxespad": 0.0}
    narrower = Narrower(ax.legend(handles, labels, handlelength=3.2, **place))
    if _has_layout(ax.figure):
        return
    if narrower.share(ax) >= NARROWEST:
        ax.set_axes_locator(narrower)
    else:
        ax.legend(handles, labels, handlelength=2.4, loc="best", frameon=True, fontsize="small")


def _has_layout(figure: Any) -> bool:
    engine = figure.get_layout_engine()
    return engine is not None and not isinstance(engine, matplotlib("layout_engine").PlaceHolderLayoutEngine)


@dataclass(frozen=True, eq=False)
class Narrower:
    """Where matplotlib draws a panel of a figure without a layout, so that its legend fits beside it.

    matplotlib asks for this whenever it draws. The panel's own position stays, so that `tight_layout` and other layouts
    that the figure gets later work as ever; the panel then is where they put it.
    """

    legend: Any

    def get_subplotspec(self) -> Any:
        """Return the panel's cell, which `tight_layout` asks for."""
        return self.legend.axes.get_subplotspec()

    def share(self, ax: Any) -> float:
        """Return how much of its width the panel keeps, if the legend ends where the panel's cell does.

        Cells of the last column reach to the edge of the figure.
        """
        place, cell = ax.get_position(original=True), self.get_subplotspec()
        inner = cell is not None and not cell.is_last_col()
        end = cell.get_position(ax.figure).x1 if inner else 1.0 - EDGE
        free = end - self.legend.get_window_extent().width / ax.figure.bbox.width - place.x0
        return min(1.0, float(free / (1.0 + BESIDE) / place.width))

    def __call__(self, ax: Any, renderer: Any) -> Any:
        place = ax.get_position(original=True)
        if _has_layout(ax.figure) or ax.get_legend() is not self.legend:
            return place
        width = max(NARROWEST, self.share(ax)) * place.width
        return type(place).from_bounds(place.x0, place.y0, width, place.height)


def svg(figure: Any) -> str:
    """Return the text of a picture; equal data give equal text."""
    file = io.StringIO()
    with page_settings():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return "\n".join(each.rstrip() for each in file.getvalue().splitlines()) + "\n"


def image(figure: Any, alt: str) -> str:
    """Return a picture as an HTML element that needs no other file; `alt` says what it shows."""
    data = base64.b64encode(svg(figure).encode()).decode()
    return f'<img alt="{escaped(alt)}" src="data:image/svg+xml;base64,{data}">'
