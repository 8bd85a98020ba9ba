"""Pages: files of HTML that need nothing beside them, and the pictures in them."""

from __future__ import annotations

import contextlib
import os
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _html
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._replacing import replacing
from fastnn.plot import _style
from fastnn.plot._style import drawable, label
from fastnn.plot.trainings import history

__all__ = [
    "Picture",
    "draw_by_epoch",
    "drawable",
    "drawing",
    "label",
    "log_if_wide",
    "panels",
    "without_pictures",
    "write_page",
]

WIDTH, HEIGHT = 5.4, 2.6  # inches of a picture of one panel: its letters can be read on a telephone
LEGEND_WIDTH = 20  # letters of a line of a legend, which takes its room from the panel
LONGEST = 24  # letters of a name in a picture
WIDE = 30.0  # how many times as large as the smallest value the largest may be on a linear scale


@dataclass(frozen=True)
class Picture:
    """A picture and its words.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What stands in its place where it is not seen.
    caption : str
        What stands below it.
    """

    figure: Any
    alt: str
    caption: str

    @property
    def html(self) -> str:
        """The picture as an element that needs no other file."""
        caption = f"<figcaption>{_html.escaped(self.caption)}</figcaption>"
        with drawing():  # the letters are chosen only now
            return f"<figure>{_style.image(self.figure, self.alt)}{caption}</figure>"


def without_pictures() -> str:
    """Return the line that stands in place of pictures where matplotlib is not installed."""
    return _html.paragraph(f"Pictures need matplotlib: {v.install('plot')}")


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Draw with the settings of pages; names in a script that matplotlib's letters lack become boxes, silently."""
    with _style.page_settings(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing")
        yield


def panels(number: int = 1, height: float = HEIGHT, width: float = WIDTH) -> tuple[Any, list[Any]]:
    """Return a figure of the size that fits a page, and its panels, of which two are a half wider than one."""
    return _style.figure(number, width if number == 1 else 0.75 * width, height)


def shortened(text: str) -> str:
    """Return a text without its middle, if it is so long that it would leave no room for a picture."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-(LONGEST // 2 - 3) :]}"


def draw_by_epoch(ax: Any, figures: Mapping[str, Array], ylabel: str) -> None:
    """Draw figures by epoch, as `fastnn.plot.history` does: one named "val_..." goes with the one without it.

    Without any "val_..." lines have the dashes of their styles.
    """
    names = [name for name in figures if not (name.startswith("val_") and name.removeprefix("val_") in figures)]
    keys = _keys(figures)
    history({keys[name]: values for name, values in figures.items()}, [keys[name] for name in names], ax=ax)
    has_pairs = any(name.startswith("val_") for name in figures)
    for index, line in enumerate(ax.lines):
        line.set_label(textwrap.fill(line.get_label(), LEGEND_WIDTH, break_long_words=False))
        if not has_pairs:
            line.set_linestyle(_style.style(index)["linestyle"])
    _style.legend(ax)
    _style.whole_numbers(ax.xaxis)
    ax.set_ylabel(label(shortened(ylabel)))


def _keys(names: Iterable[str]) -> dict[str, str]:
    """Return the names of figures as labels that differ, and still begin with "val_"; long ones are shortened."""
    labels: dict[str, str] = {}
    keys = {}
    for name in names:
        bare = name.removeprefix("val_")
        if bare not in labels:
            short = shortened(bare)
            labels[bare] = f"{short} ({len(labels) + 1})" if short in labels.values() else short
        keys[name] = name.removesuffix(bare) + labels[bare]
    return keys


def log_if_wide(ax: Any, values: Any, axis: str = "y", *, zeros: bool = False) -> None:
    """Take a scale of logarithms if all numbers are above 0 and differ much.

    With `zeros` some may be 0, which such a scale leaves out.
    """
    some = drawable(values)
    some = some[np.isfinite(some) & ~(zeros & (some == 0))]
    if len(some) and some.min() > 0 and some.max() / some.min() > WIDE:
        getattr(ax, f"set_{axis}scale")("log")


def write_page(path: str | os.PathLike[str], title: str, *body: str | Iterable[str], style: str = "") -> None:
    """Write a page. Its parts are HTML; an old file is replaced only once the new one is complete.

    Some parts take long to make, such as pictures. Give these as an iterator: it starts after the path is checked.

    Raises
    ------
    TypeError, ValueError
        If `path` is no path, or that of something else than a file.
    OSError
        If the file cannot be written; the error names `path`.
    """
    with replacing(path) as file:
        parts = (part for each in body for part in ([each] if isinstance(each, str) else each))
        text = _html.page(title, *parts, style=style)
        file.write(text.encode(errors="xmlcharrefreplace"))  # half a pair of UTF-16 has no bytes
