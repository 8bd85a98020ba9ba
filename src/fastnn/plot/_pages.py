"""Pages: files of HTML that need nothing beside them."""

from __future__ import annotations

import os

from fastnn import _html
from fastnn.io._replacing import replacing


def write_page(path: str | os.PathLike[str], title: str, *body: str, style: str = "") -> None:
    """Write a page of parts that are HTML already; an old file is replaced only once the new one is complete.

    Raises
    ------
    TypeError, ValueError
        If `path` is no path, or that of something else than a file.
    OSError
        If the file cannot be written; the error names `path`.
    """
    text = _html.page(title, *body, style=style)
    with replacing(path) as file:
        file.write(text.encode(errors="xmlcharrefreplace"))  # half a pair of UTF-16 has no bytes
