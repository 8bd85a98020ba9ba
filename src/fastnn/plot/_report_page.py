"""The report of a diagnosis as HTML: a page of its own, and what notebooks show."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fastnn import _html
from fastnn import _validation as v
from fastnn.diagnosis import Finding, Report, Setup
from fastnn.diagnosis._findings import shown
from fastnn.plot import _style
from fastnn.plot._finding_pictures import NoPicture, PicturedTraining, picture_of
from fastnn.plot._finding_pictures_training import gain
from fastnn.plot._pages import drawing, without_pictures, write_page

TITLE = "Diagnosis of a training"
MOST_OF_LIST, MOST_ROWS = 20, 24  # of the evidence


def write(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the page of a report."""
    parts = _head(report), _contents(report), _findings(report, "h2"), _training(report.setup)
    write_page(path, TITLE, f"<h1>{TITLE}</h1>", *parts)


def fragment(report: Report) -> str:
    """Return what notebooks show: the report without its training, whose names the notebook knows."""
    return _html.fragment(*_head(report), *_findings(report, "h4"))


def finding_fragment(finding: Finding) -> str:
    """Return what notebooks show of a single finding: all but the picture, for which the training is not known."""
    gained = _gain(finding) if _style.has_matplotlib() else _tried(finding)
    return _html.fragment(f"<h4>{_title(finding)}</h4>", *_words(finding), gained, *_change(finding))


def _head(report: Report) -> Iterator[str]:
    yield from map(_html.paragraph, report._head.splitlines())
    if report.findings and not _style.has_matplotlib():
        yield without_pictures()


def _contents(report: Report) -> Iterator[str]:
    """Yield a list of the findings, if there are several."""
    if len(report.findings) > 1:
        items = (f'<li><a href="#finding-{i}">{_title(each)}</a></li>' for i, each in enumerate(report.findings, 1))
        yield "<ol>\n" + "\n".join(items) + "\n</ol>"


def _findings(report: Report, level: str) -> Iterator[str]:
    if _style.has_matplotlib():
        drawn = report._pictures
    else:
        drawn = [("", gained) for gained in _gains(report.findings, _tried)]
    for number, (finding, (picture, gained)) in enumerate(zip(report.findings, drawn, strict=True), 1):
        anchor = f' id="finding-{number}"' if level == "h2" else ""
        yield f"<section><{level}{anchor}>{number}. {_title(finding)}</{level}>"
        yield from _words(finding)
        yield picture
        yield gained
        yield from _change(finding)
        yield "</section>"


def pictures(report: Report) -> list[tuple[str, str]]:
    """Return of each finding its picture, and what its change has gained."""
    training = PicturedTraining.of(report.setup, report.seed)
    drawn = [_picture(each, training) for each in report.findings]
    return list(zip(drawn, _gains(report.findings, _gain), strict=True))


def _title(finding: Finding) -> str:
    severity = _html.escaped(finding.severity)
    return f'<span class="severity {severity}">{severity}</span> {_html.escaped(finding.kind)}'


def _words(finding: Finding) -> Iterator[str]:
    """Yield what is wrong, and the evidence as a table."""
    yield _html.paragraph(finding.why)
    if finding.evidence:
        yield _html.table(["evidence", ""], _evidence(finding.evidence), numbers=False)


def _evidence(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield rows of names and values: a mapping has a row for each entry."""
    for name, value in found.items():
        if isinstance(value, Mapping):
            entries = list(value.items())
            yield from ((f"{name}: {key}", shown(each)) for key, each in entries[:MOST_ROWS])
            if len(entries) > MOST_ROWS:
                yield f"{name}: others", f"{len(entries) - MOST_ROWS} more"
        elif isinstance(value, list | tuple):
            more = f", ... ({len(value)} in all)" if len(value) > MOST_OF_LIST else ""
            yield name, ", ".join(shown(each) for each in value[:MOST_OF_LIST]) + more
        else:
            yield name, shown(value, name)


def _gains(findings: Iterable[Finding], show: Callable[[Finding], str]) -> Iterator[str]:
    """Yield what each change has gained; that of several changes together stands below the first of them alone."""
    shown_below: dict[frozenset[str], int] = {}
    for number, finding in enumerate(findings, 1):
        together = finding.gain.together if finding.gain is not None else ()
        first = shown_below.setdefault(frozenset({finding.kind, *together}), number)
        if together and first != number:
            changes = " and ".join(together)
            yield _html.paragraph(
                f"Tried together with {changes} alone: what that gained stands below finding {first}."
            )
        else:
            yield show(finding)


def _gain(finding: Finding) -> str:
    """Return what the change has gained, as a picture where there can be one; "" if it was not tried."""
    with drawing():
        drawn = gain(finding)
    return _tried(finding) if drawn is None else drawn.html


def _tried(finding: Finding) -> str:
    """Return what the change has gained, in words; "" if it was not tried."""
    return "" if finding.gain is None else _html.paragraph(f"Tried: {finding.gain}.")


def _change(finding: Finding) -> Iterator[str]:
    yield _html.paragraph("Possible change:" if finding.severity == "note" else "Change:")
    yield _html.code(finding.change)


def _picture(finding: Finding, training: PicturedTraining) -> str:
    """Return the picture of a finding as HTML, or a line that says why there is none."""
    try:
        with drawing():
            return picture_of(finding, training).html
    except NoPicture as why:
        return _html.paragraph(f"There is no picture, as {why}.")


def _training(setup: Setup) -> Iterator[str]:
    """Yield what was diagnosed: the settings, and the table of the net."""
    yield "<h2>The training</h2>"
    settings = {
        "rows": len(setup.X), "columns": setup.net.in_features, "loss": v.shown(setup.loss),
        "optimizer": v.shown(setup.optimizer), "lr": f"{setup.lr:g}", "epochs": setup.epochs,
        "batch_size": setup.batch_size,
    }  # fmt: skip
    optional = {name: getattr(setup, name) for name in ("schedule", "average", "augment")}
    settings |= {name: v.shown(value) for name, value in optional.items() if value}
    yield _html.table(["setting", ""], list(settings.items()), numbers=False)
    yield setup.net._summary_table()
