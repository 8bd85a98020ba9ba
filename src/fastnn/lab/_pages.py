"""The pages of the lab: one for each experiment, and an index with every table and picture."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastnn import _validation as v
from fastnn import reference
from fastnn._html import escaped, table
from fastnn.lab._catalogue import POSTS, QUESTIONS
from fastnn.lab._experiment import Experiment, Result
from fastnn.lab._words import as_html
from fastnn.plot import _pages, _style

STYLE = """
.verdict { list-style: none; padding: 0; }
.verdict li { margin: .4rem 0; padding-left: .8rem; border-left: .3rem solid #2a7d4f; }
.verdict li.not { border-color: #a8322d; }
.verdict small { display: block; color: #555; overflow-wrap: anywhere; }
.formula { white-space: pre-wrap; }
.panels img { justify-self: start; }
section { border-top: 1px solid #ccc; margin-top: 2rem; }
"""
INDEX = "index.html"


def write_page(result: Result, path: str | os.PathLike[str]) -> None:
    """Write what an experiment has found as a page: one file that needs no other one.

    Without matplotlib it has no pictures, and says so.

    Parameters
    ----------
    result : Result
        As `Experiment.run` returns it.
    path : str or os.PathLike
        Of the file; an old one is replaced only once the new one is complete.

    Raises
    ------
    TypeError, ValueError
        If `path` is no path, or that of something else than a file.
    OSError
        If the file cannot be written; the error names `path`.

    Examples
    --------
    >>> import tempfile
    >>> from fastnn import lab
    >>> result = lab.experiment("nested-sigmoid").run(seeds=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lab.write_page(result, f"{folder}/nested-sigmoid.html")
    """
    found = result.experiment
    text = dict(found.text)
    parts = [f"<h1>{escaped(found.title)}</h1>"]
    if found.post:
        parts += [f"<p>Post {escaped(found.post)}: {escaped(POSTS.get(found.post, 'another one'))}.</p>"]
    for heading in ("What the post says", "Where the post errs", "Formula"):
        if heading in text:
            parts += [f"<h2>{heading}</h2>", as_html(text.pop(heading))]
    parts += [_twins(found), "<h2>What is measured</h2>", *_measured(result), "<h2>Verdict</h2>", _verdict(result)]
    for heading, rest in text.items():
        parts += [f"<h2>{escaped(heading)}</h2>", as_html(rest)]
    parts += [_folded("The file", found.source)]
    _pages.write_page(path, found.title, *parts, style=STYLE)


def write_index(folder: Path, results: Sequence[Result]) -> None:
    """Write ``index.html``: contents by question and by post, then each experiment's table, picture and verdict.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    shown, seconds = sum(each.holds for each in results), sum(each.seconds for each in results)
    parts = [
        "<h1>The lab</h1>",
        f"<p>{len(results)} experiments, {shown} with the outcome that they claim; {seconds:.0f} s in all.</p>",
        "<h2>By question</h2>",
        *_questions(results),
        "<h2>By post</h2>",
        *_posts(results),
    ]
    for result in results:
        found = result.experiment
        link = f'<a href="{found.name}.html">The whole text of {found.name}</a>'
        parts += [f'<section id="{found.name}"><h2>{escaped(found.title)}</h2>']
        parts += [as_html(found.text.get("What the post says", "")), *_measured(result), _verdict(result)]
        parts += [f"<p>{link}</p></section>"]
    _pages.write_page(folder / INDEX, "The lab", *parts, style=STYLE)


def _questions(results: Sequence[Result]) -> Iterator[str]:
    """Yield a list of links for each question."""
    for question in QUESTIONS:
        links = [_link(each, each.experiment.title) for each in results if each.experiment.question == question]
        if links:
            yield f"<h3>{escaped(question)}</h3><ul>{''.join(f'<li>{link}</li>' for link in links)}</ul>"


def _posts(results: Sequence[Result]) -> Iterator[str]:
    """Yield a line of links for each post."""
    for post, title in POSTS.items():
        links = [_link(each, each.experiment.name) for each in results if each.experiment.post == post]
        if links:
            yield f"<p>{post}: {escaped(title)}: {', '.join(links)}</p>"


def _link(result: Result, text: str) -> str:
    """Return a link to an experiment on the same page, and whether it has not shown what it claims."""
    return f'<a href="#{result.experiment.name}">{escaped(text)}</a>{"" if result.holds else " (not shown)"}'


def _folded(summary: str, text: str) -> str:
    """Return code that is shown once the reader asks for it."""
    return f"<details><summary>{summary}</summary><pre>{escaped(text)}</pre></details>"


def _twins(found: Experiment) -> str:
    """Return the NumPy source of the functions that an experiment is about."""
    if not found.twins:
        return ""
    names = ", ".join(f"<code>fastnn.reference.{name}</code>" for name in found.twins)
    sources = (inspect.getsource(getattr(reference, name)) for name in found.twins)
    return _folded(f"In NumPy: {names}", "\n\n".join(sources))


def _measured(result: Result) -> Iterator[str]:
    """Yield the picture and the table."""
    runs = result.measured.seeds
    if _style.has_matplotlib():
        yield f'<div class="panels">{"".join(result.panel_images)}</div>'
    else:
        yield f"<p>The picture needs matplotlib: {escaped(v.install('plot'))}.</p>"
    yield table(*result.measured.numbers())
    if runs > 1:
        text = f"Means of {runs} runs with different seeds ± their standard deviation. Bands in pictures show all runs."
        yield f"<p><small>{text}</small></p>"


def _verdict(result: Result) -> str:
    """Return what each claim says, whether it holds, and its figures."""
    items = (
        f"<li{'' if holds else ' class=not'}>{'Shown' if holds else 'NOT SHOWN'}: {escaped(text)}"
        f"<small>{escaped(evidence)}</small></li>"
        for holds, text, evidence in result.verdicts
    )
    return f'<ul class="verdict">{"".join(items)}</ul>'
