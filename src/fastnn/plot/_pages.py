"""Pages: files of HTML that need nothing beside them, and the pictures in them."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastnn import _html
from fastnn import _validation as v
from fastnn.io._replacing import replacing
from fastnn.plot import _style

WIDTH, HEIGHT = 5.4, 2.6  # inches of a picture of one panel: its letters can be read on a telephone


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
    """Draw with the settings of `_style`; names in a script that matplotlib's letters lack become boxes, silently."""
    with _style.styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing")
        yield


def panels(number: int = 1, height: float = HEIGHT, width: float = WIDTH) -> tuple[Any, list[Any]]:
    """Return a figure of the size that fits a page, and its panels, of which two are a half wider than one."""
    return _style.figure(number, width if number == 1 else 0.75 * width, height)


def label(name: object) -> str:
    """Return a name as a label: matplotlib takes "$" for the beginning of a formula, and leaves out "_names"."""
    text = str(name).encode(errors="replace").decode().replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def whole_numbers(axis: Any) -> None:
    """Let an axis have ticks at whole numbers alone."""
    axis.set_major_locator(_style.matplotlib("ticker").MaxNLocator(integer=True, min_n_ticks=1))


def write_page(path: str | os.PathLike[str], title: str, *body: str | Iterable[str], style: str = "") -> None:
    """Write a page of parts that are HTML already; an old file is replaced only once the new one is complete.

    A part may be an iterator of parts, which are made once it is known that the file can be written.

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
