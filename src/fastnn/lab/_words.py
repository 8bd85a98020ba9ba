"""Texts of the lab: the sections of a docstring, as HTML too, and tables of text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence

from fastnn._html import escaped


def sections(docstring: str) -> tuple[str, Mapping[str, str]]:
    """Return the first line of a docstring, and its sections: underlined heading -> text."""
    parts = re.split(r"^(\S.*)\n-{3,}$", inspect.cleandoc(docstring), flags=re.MULTILINE)
    title = parts[0].strip().splitlines()[0].rstrip(".") if parts[0].strip() else ""
    return title, {heading: text.strip("\n") for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def as_html(text: str) -> str:
    """Return paragraphs, lists and indented code as HTML."""
    blocks = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n".join(_block(each) for each in blocks if each.strip())


def _block(block: str) -> str:
    if block.startswith("    "):
        return f'<pre class="formula">{escaped(inspect.cleandoc(block))}</pre>'
    if block.startswith("- "):
        items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
        return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    joined = escaped(" ".join(text.split()))
    return re.sub(r"``(.+?)``|`(.+?)`", lambda found: f"<code>{found[1] or found[2]}</code>", joined)


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines of a table: the first column to the left, the others to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]
