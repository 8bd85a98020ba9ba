"""Text as HTML: what notebooks show, and whole pages that need nothing beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})

_GREY, _LINE = "rgba(128, 128, 128, .14)", "1px solid rgba(128, 128, 128, .45)"  # on light paper and on dark

_RULES: Mapping[str, str] = {
    "figure": "margin: .8rem 0",
    "figcaption": "font-size: .9em; overflow-wrap: anywhere",
    "img": "max-width: 100%; height: auto; background: #fff",
    "pre": f"background: {_GREY}; padding: .6rem .8rem; overflow-x: auto; font-size: .85em; line-height: 1.4; "
    "text-align: left",
    "code": "overflow-wrap: anywhere",
    "pre code": "background: none; white-space: pre-wrap",  # on a telephone, what is out of sight is not read
    ".line": "display: block; padding-left: 4ch; text-indent: -4ch",
    ".scroll": "overflow-x: auto; margin: .6rem 0",
    "table": "border-collapse: collapse; font-size: .9em; margin: 0",
    "th, td": f"padding: .2rem .7rem; border: 0; border-bottom: {_LINE}; text-align: left; vertical-align: top",
    "td.number, th.number": "text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums",
    ".panels": "display: grid; gap: .4rem 1.2rem; "
    "grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr))",
    ".severity": "border: 1px solid; border-radius: .3rem; padding: 0 .4rem; font-size: .8em",
    ".severity.error": "color: #fff; background: #a01c16; border-color: #a01c16; font-weight: bold",
    ".severity.warning": "font-weight: bold",
}
"""What pages and fragments have in common: selector -> declarations. Colours also read on dark paper."""


def _rules(scope: str = "") -> str:
    """Return the rules for all that is within elements of a selector; by default for the whole page."""
    lines = []
    for selector, declarations in _RULES.items():
        within = ", ".join(f"{scope} {each}".strip() for each in selector.split(", "))
        lines.append(f"{within} {{ {declarations}; }}")
    return "\n".join(lines)


STYLE = f"""
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2, h3 {{ line-height: 1.25; overflow-wrap: anywhere; }}
h2 {{ margin-top: 2.2rem; }}
{_rules()}
code {{ background: {_GREY}; }}
@media print {{
  body {{ max-width: none; margin: 0; font-size: 11pt; }}
  figure, tr {{ break-inside: avoid; }}
  h2, h3 {{ break-after: avoid; }}
  pre {{ white-space: pre-wrap; }}
  .scroll {{ overflow: visible; }}
}}
"""


def escaped(text: object) -> str:
    """Return text in which no character is markup."""
    return str(text).translate(_MARKUP)


def paragraph(text: object) -> str:
    """Return plain text as a paragraph."""
    return f"<p>{escaped(text)}</p>"


def code(text: object) -> str:
    """Return code, in lines of its own; a line that does not fit goes on below, further to the right."""
    lines = "".join(f'<span class="line">{escaped(line)}\n</span>' for line in str(text).split("\n"))
    return f"<pre><code>{lines}</code></pre>"


def table(header: Sequence[object], rows: Iterable[Sequence[object]], numbers: bool = True, texts: int = 1) -> str:
    """Return a table. The first `texts` columns are text; the others, if `numbers`, are aligned as numbers."""

    def row(cells: Sequence[object], tag: str) -> str:
        kind = ' class="number"' if numbers else ""
        return "".join(f"<{tag}{kind * (i >= texts)}>{escaped(cell)}</{tag}>" for i, cell in enumerate(cells))

    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    head = f"<thead><tr>{row(header, 'th')}</tr></thead>"
    return f'<div class="scroll" tabindex="0"><table>\n{head}\n<tbody>\n{body}\n</tbody></table></div>'


def fragment(*body: str) -> str:
    """Return parts that are HTML already as one element, whose style changes nothing outside: for notebooks."""
    return "\n".join([f'<div class="fastnn"><style>\n{_rules(".fastnn")}\n</style>', *body, "</div>"])


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
