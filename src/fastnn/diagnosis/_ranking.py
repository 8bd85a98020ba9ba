"""From suspicions to findings: changes are tried, and those that help come first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastnn.diagnosis._findings import KINDS, Finding, Gain, Suspicion
from fastnn.diagnosis._setup import Run, Setup, quiet
from fastnn.diagnosis._subject import Subject

MOST_TRIALS = 9
MOST_PROOFS = 14
SEEDS = 3  # of each training of a proof
LARGE_GAIN = 0.1
UNTRIED = 0.25  # what the prior of a suspicion is worth if its change gains nothing
ORDER = {kind: place for place, kind in enumerate(KINDS)}


@dataclass
class Candidate:
    """A suspicion, and what a trial of its change has given; `gain` is None if it was not tried."""

    suspicion: Suspicion
    gain: Gain | None = None
    complete: bool = False

    @property
    def gained(self) -> float:
        """What the change has gained beyond chance."""
        return self.gain.difference if self.gain is not None and self.gain.helps else 0.0


def ranked(subject: Subject, suspicions: Iterable[Suspicion], prove: bool) -> tuple[tuple[Finding, ...], bool]:
    """Return the findings, the most important first, and whether their changes have been proved."""
    candidates = [Candidate(each) for each in suspicions]
    to_try = sorted(
        (each for each in candidates if each.suspicion.apply is not None), key=lambda each: -each.suspicion.prior
    )
    if prove:
        _prove(subject, to_try[:MOST_PROOFS])
    else:
        _try(subject, to_try[:MOST_TRIALS])
    best = max((each.gained for each in candidates), default=0.0)
    chosen = _best_of_each_kind(candidates, best)
    findings = [(_score(each, best), _finding(each, subject)) for each in chosen]
    kept = [(score, each) for score, each in findings if each is not None]
    kept.sort(key=lambda pair: (-_severity_rank(pair[1]), -pair[0], ORDER[pair[1].kind]))
    return tuple(each for _, each in kept), prove


def _severity_rank(finding: Finding) -> int:
    return 0 if finding.severity == "note" else 1


def _best_of_each_kind(candidates: list[Candidate], best: float) -> list[Candidate]:
    chosen: dict[str, Candidate] = {}
    for each in candidates:
        kind = each.suspicion.kind
        if kind not in chosen or _score(each, best) > _score(chosen[kind], best):
            chosen[kind] = each
    return list(chosen.values())


def _score(candidate: Candidate, best: float) -> float:
    """Return how important a candidate is: how sure its check is, and how much of the best gain its change reaches."""
    prior = candidate.suspicion.prior
    if candidate.suspicion.apply is None:
        return prior if candidate.suspicion.worth == "certain" else 0.9 * prior if best == 0 else 0.6 * prior
    return prior * (UNTRIED + (1.0 - UNTRIED) * (candidate.gained / best if best > 0 else 0.0))


def _finding(candidate: Candidate, subject: Subject) -> Finding | None:
    """Return the finding, or None for a suspicion that a trial has not confirmed."""
    suspicion, gain = candidate.suspicion, candidate.gain
    helps = gain is not None and gain.helps
    room = max(0.02, 1.0 - subject.score.figure)
    severity = "note"
    if suspicion.worth == "certain":
        severity = "error"
    elif helps:
        severity = "error" if candidate.gained >= LARGE_GAIN or candidate.gained >= 0.5 * room else "warning"
    elif suspicion.worth == "evidence" and not (gain is not None and candidate.complete):
        severity = "warning"
    elif suspicion.worth == "trial" and suspicion.prior < (0.6 if gain is not None else 0.5):
        return None
    evidence = {
        key: value.item() if isinstance(value, np.generic) else value for key, value in suspicion.evidence.items()
    }
    return Finding(suspicion.kind, severity, suspicion.why, suspicion.change, evidence, gain, suspicion.apply)


def _try(subject: Subject, candidates: list[Candidate]) -> None:
    """Try the changes within the budget that the run of the training has left."""
    if subject.score.figure > 0.995:
        return
    used = subject.seconds(subject.short, subject.short.epochs) + 0.1 * subject.budget
    each_seconds = max(0.1 * subject.budget, subject.budget - used) / max(1, len(candidates))
    for each in candidates:
        assert each.suspicion.apply is not None
        trial = subject.trial(each.suspicion.apply, each_seconds)
        if trial is not None:
            each.gain, each.complete = trial.gain, trial.complete


def _prove(subject: Subject, candidates: list[Candidate]) -> None:
    """Try the changes on complete trainings, and compare them with complete trainings as they are."""
    before = _figures(subject, subject.training if subject.run is not None else None)
    for each in candidates:
        assert each.suspicion.apply is not None
        try:
            changed = each.suspicion.apply(subject.training)
            after = _figures(subject, changed)
        except Exception:  # noqa: BLE001 - the change does not go with this net
            continue
        difference = after - before
        error = float(np.sqrt((np.var(after, ddof=1) + np.var(before, ddof=1)) / len(difference)))
        X, targets = subject.held_out
        each.gain = Gain(targets.figure, float(before.mean()), float(after.mean()), error, len(X), SEEDS)
        each.complete = True


def _figures(subject: Subject, setup: Setup | None) -> np.ndarray:
    """Return the figure on the rows held out of trainings with several seeds."""
    figures = []
    for seed in range(SEEDS):
        run: Run | None = None
        if setup is not None:
            with quiet():
                run = setup.fit(None if seed == 0 else setup.net.seed + seed)
        figures.append(subject.scored(setup or subject.training, run).figure)
    return np.array(figures)
