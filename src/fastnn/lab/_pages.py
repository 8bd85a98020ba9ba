"""The pages of the lab: one for each experiment, and an index with every table and picture."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastnn import _validation as v
from fastnn import reference
from fastnn._html import escaped, table
from fastnn.lab._experiment import POSTS, QUESTIONS, Experiment, Result
from fastnn.lab._words import as_html
from fastnn.plot import _style
from fastnn.plot._pages import write_page

STYLE = """
.verdict { list-style: none; padding: 0; }
.verdict li { margin: .4rem 0; padding-left: .8rem; border-left: .3rem solid #2a7d4f; }
.verdict li.not { border-color: #a8322d; }
.verdict small { display: block; color: #555; overflow-wrap: anywhere; }
.formula { white-space: pre-wrap; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); margin: .6rem 0; }
.panels img { justify-self: start; }
section { border-top: 1px solid #ccc; margin-top: 2rem; }
"""
INDEX = "index.html"


def write_result(folder: Path, result: Result) -> None:
    """Write the page of an experiment, ``NAME.html``, into a folder.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    found = result.experiment
    text = dict(found.text)
    parts = [f"<h1>{escaped(found.title)}</h1>", f"<p>Post {found.post}: {escaped(POSTS[found.post])}.</p>"]
    for heading in ("What the post says", "Where the post errs", "Formula"):
        if heading in text:
            parts += [f"<h2>{heading}</h2>", as_html(text.pop(heading))]
    parts += [_twins(found), "<h2>What is measured</h2>", *_measured(result), "<h2>Verdict</h2>", _verdict(result)]
    for heading, rest in text.items():
        parts += [f"<h2>{escaped(heading)}</h2>", as_html(rest)]
    parts += [f"<details><summary>The file</summary><pre>{escaped(found.source)}</pre></details>"]
    write_page(folder / f"{found.name}.html", found.title, *parts, style=STYLE)


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
        *_contents(results, {question: question for question in QUESTIONS}, "question"),
        "<h2>By post</h2>",
        *_contents(results, {post: f"{post}: {title}" for post, title in POSTS.items()}, "post"),
    ]
    for result in results:
        found = result.experiment
        link = f'<a href="{found.name}.html">The whole text</a>'
        parts += [f'<section id="{found.name}"><h2>{escaped(found.title)}</h2>']
        parts += [as_html(found.text["What the post says"]), *_measured(result), _verdict(result)]
        parts += [f"<p>{link}</p></section>"]
    write_page(folder / INDEX, "The lab", *parts, style=STYLE)


def _contents(results: Sequence[Result], groups: Mapping[str, str], attribute: str) -> Iterable[str]:
    """Yield lists of links, one for each group."""
    for key, heading in groups.items():
        members = [each for each in results if getattr(each.experiment, attribute) == key]
        if members:
            links = (
                f'<li><a href="#{each.experiment.name}">{escaped(each.experiment.title)}</a>'
                f"{'' if each.holds else ': not shown'}</li>"
                for each in members
            )
            yield f"<h3>{escaped(heading)}</h3><ul>{''.join(links)}</ul>"


def _twins(found: Experiment) -> str:
    """Return the NumPy source of the functions that an experiment is about."""
    sources = [inspect.getsource(getattr(reference, name)) for name in found.twins]
    if not sources:
        return ""
    separated = "\n\n".join(sources)
    names = ", ".join(f"<code>fastnn.reference.{name}</code>" for name in found.twins)
    return f"<p>In NumPy, {names}:</p><pre>{escaped(separated)}</pre>"


def _measured(result: Result) -> Iterable[str]:
    """Yield the picture and the table."""
    runs = result.measured.seeds
    if _style.has_matplotlib():
        yield f'<div class="panels">{"".join(result.panel_images)}</div>'
    else:
        yield f"<p>The picture needs matplotlib: {escaped(v.install('plot'))}.</p>"
    yield table(*result.measured.numbers())
    if runs > 1:
        text = f"Means of {runs} runs with different seeds ± their standard deviation; bands show all runs."
        yield f"<p><small>{text}</small></p>"


def _verdict(result: Result) -> str:
    """Return what each claim says, whether it holds, and its figures."""
    items = (
        f"<li{'' if holds else ' class=not'}>{'Shown' if holds else 'NOT SHOWN'}: {escaped(text)}"
        f"<small>{escaped(evidence)}</small></li>"
        for holds, text, evidence in result.verdicts
    )
    return f'<ul class="verdict">{"".join(items)}</ul>'
