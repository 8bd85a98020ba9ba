"""Text as HTML: what notebooks show, and whole pages that need nothing beside them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 54rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
pre { background: #f4f4f4; padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.4; }
code { background: #f4f4f4; overflow-wrap: anywhere; }
pre code { background: none; overflow-wrap: normal; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
"""


def escaped(text: object) -> str:
    """Return text in which no character is markup."""
    return html.escape(str(text))


def table(header: Sequence[object], rows: Iterable[Sequence[object]], numbers: bool = True) -> str:
    """Return a table; with `numbers`, all columns but the first are aligned as numbers."""

    def row(cells: Sequence[object], tag: str) -> str:
        kind = ' class="number"' if numbers else ""
        return "".join(f"<{tag}{kind * (i > 0)}>{escaped(cell)}</{tag}>" for i, cell in enumerate(cells))

    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    head = f"<thead><tr>{row(header, 'th')}</tr></thead>"
    return f'<div class="scroll"><table>\n{head}\n<tbody>\n{body}\n</tbody></table></div>'


def page(title: str, *body: str, style: str = "") -> str:
    """Return a page of parts that are HTML already."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title>",
            f"<style>{STYLE}{style}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )
