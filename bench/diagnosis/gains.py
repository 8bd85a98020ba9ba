"""What the changes gain that a diagnosis recommends, on rows and seeds that it has not seen."""

import numpy as np

from bench.diagnosis.measure import measured
from bench.diagnosis.selection import counts
from bench.diagnosis.training import figure_of, spread_of
from bench.diagnosis.verdicts import SILENT
from bench.lib.records import short

__all__ = ["apply_and_score", "proof", "published"]

PROOF_SEEDS = (101, 102, 103)
PUBLISHED_SEEDS = (101, 102, 103, 104, 105)
AS_MUCH = 0.01  # by how much another change may gain less than the published one


def apply_and_score(report, findings, data, seeds):
    """Return the figures of trainings with the changes of some findings, one after another; None if they cannot run.

    Parameters
    ----------
    report : Report
    findings : sequence of Finding
    data : Data
        Whose rows held out are judged.
    seeds : iterable of int
    """
    setup, figures = report.setup, []
    try:
        for finding in findings:
            setup = finding.apply(setup)
        for seed in seeds:
            trainer = setup.fit(seed).trainer
            figures.append(figure_of(trainer, data.X_held, data.y_held, data.classes, balanced=data.balanced))
    except (ValueError, TypeError):
        return None
    return np.array(figures)


def proof(case, diagnose):
    """Return the record of a diagnosis that proves: whether its first recommendation improves the figure.

    A recommendation is a finding above a note, with a change that can be made without the user.
    """
    record, report = measured(case, diagnose, prove=True)
    if report is None:
        return record
    recommended = [each for each in report.findings if each.severity != SILENT][:1]
    if not recommended or not recommended[0].can_apply:
        return {**record, "recommended": recommended[0].kind if recommended else None, "improved": None}
    before = case.faulty.figures(PROOF_SEEDS)
    after = apply_and_score(report, recommended, case.faulty.data, PROOF_SEEDS)
    improved = after is not None and bool(after.mean() > before.mean())
    figures = {"before": _shown(before), "after": _shown(after)}
    return {**record, "recommended": recommended[0].kind, **figures, "improved": improved}


def published(case, diagnose):
    """Return the record of a published case: what is said of it, and whether other changes help as much."""
    record, report = measured(case, diagnose)
    before = case.faulty.figures(PUBLISHED_SEEDS)
    record["before"] = _shown(before)
    if case.undone is None:
        return record
    after = case.undone.figures(PUBLISHED_SEEDS)
    record["after"], record["counts"] = _shown(after), counts(before, after)
    first = [] if report is None else [finding for finding in report.findings[:2] if finding.can_apply]
    helped = []
    for findings in [[finding] for finding in first] + [first] * (len(first) == 2):
        figures = apply_and_score(report, findings, case.faulty.data, PUBLISHED_SEEDS)
        mean, spread = spread_of(after)
        if figures is not None and figures.mean() >= mean - max(spread, AS_MUCH):
            helped.append([" and ".join(finding.kind for finding in findings), _shown(figures)])
    return {**record, "helps as much": helped}


def _shown(figures):
    return None if figures is None else [short(number) for number in spread_of(figures)]
