"""From suspicions to findings: changes are tried, and those that help come first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._findings import KINDS, Finding, Gain, Suspicion
from fastnn.diagnosis._setup import Run, Setup, quiet
from fastnn.diagnosis._subject import Subject

MOST_TRIALS = 9
MOST_TOGETHER, TOGETHER = 3, 0.55  # changes that are tried together, and their least prior
MOST_CONFIRMED = 4  # changes that are tried with a second seed, those that gain most
MOST_PROOFS = 14
SEEDS = 3  # of each training of a proof
LARGE_GAIN = 0.1
GUESS = 0.5  # suspicions below this prior rest on no evidence: they are a matter of trying
LEAST_GAIN = 0.05  # that makes a guess more than a note
LAST_RESORT = "cannot-fit"  # what is said if nothing else is: it names no cause
UNTRIED = 0.25  # what the prior of a suspicion is worth if its change gains nothing
SURE = 0.5  # the same of one that rests on evidence
ORDER = {kind: place for place, kind in enumerate(KINDS)}


# Kinds that follow from others: if one of these is likely, they are less so.
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "vanishing-gradient": ("symmetry", "dead-units"),
    "initialisation": ("symmetry",),
    "dead-units": ("symmetry",),
    "initial-loss": ("initialisation", "exploding-gradient", "input-scale", "target-scale", "symmetry", "loss"),
    "learning-rate-high": (
        "input-scale",
        "target-scale",
        "initialisation",
        "exploding-gradient",
        "columns",
        "batch-norm",
    ),
    "learning-rate-low": ("input-scale", "target-scale", "overfitting", "symmetry", "vanishing-gradient"),
    "saturation": ("input-scale", "symmetry"),
    "epochs": ("overfitting", "symmetry", "vanishing-gradient", "batch-size"),
    "units": ("symmetry", "dead-units"),
    "nonfinite": ("input-scale", "target-scale", "initialisation", "exploding-gradient", "learning-rate-high"),
}
LIKELY = 0.7
SURE_CHECK = 0.8  # the prior from which on a gain of one standard error is enough
FOLLOWER = 0.5  # what its prior is multiplied by


def without_symptoms(suspicions: list[Suspicion]) -> list[Suspicion]:
    """Return the suspicions; those that follow from a likely one are less sure."""
    likely = {each.kind for each in suspicions if each.prior >= LIKELY}
    return [
        replace(each, prior=FOLLOWER * each.prior) if likely.intersection(FOLLOWS.get(each.kind, ())) else each
        for each in suspicions
    ]


@dataclass
class Candidate:
    """A suspicion, and what a trial of its change has given; `gain` is None if it was not tried."""

    suspicion: Suspicion
    gain: Gain | None = None

    @property
    def gained(self) -> float:
        """What the change has gained beyond chance; a check that is sure needs less of a proof."""
        errors = 1.0 if self.suspicion.prior >= SURE_CHECK else 2.0 if self.suspicion.prior >= GUESS else 3.0
        return self.gain.difference if self.gain is not None and self.gain.exceeds(errors) else 0.0


def ranked(subject: Subject, suspicions: Iterable[Suspicion], prove: bool) -> tuple[Finding, ...]:
    """Return the findings, the most important first."""
    candidates = [Candidate(each) for each in without_symptoms(list(suspicions))]
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
    fails = any(_is_last_resort(each) for _, each in kept)
    if fails and all(each.severity == "note" or _is_last_resort(each) for _, each in kept):
        kept = [(score, _promoted(each, chosen)) for score, each in kept]
    if any(each.severity != "note" and not _is_last_resort(each) for _, each in kept):
        kept = [(score, replace(each, severity="note") if _is_last_resort(each) else each) for score, each in kept]
    kept.sort(key=lambda pair: (pair[1].severity == "note", -pair[0], ORDER[pair[1].kind]))
    return tuple(each for _, each in kept)


def _is_last_resort(finding: Finding) -> bool:
    """Whether a finding names no cause; an error does: it has the message of what the training has raised."""
    return finding.kind == LAST_RESORT and finding.severity != "error"


def _promoted(finding: Finding, candidates: list[Candidate]) -> Finding:
    """Return a note as a warning if its check is sure: the net fails, and there is no other explanation."""
    sure = any(each.suspicion.kind == finding.kind and each.suspicion.prior >= SURE_CHECK for each in candidates)
    return replace(finding, severity="warning") if sure else finding


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
    untried = UNTRIED if candidate.suspicion.worth == "trial" else SURE
    return prior * (untried + (1.0 - untried) * (candidate.gained / best if best > 0 else 0.0))


def _finding(candidate: Candidate, subject: Subject) -> Finding | None:
    """Return the finding, or None for a suspicion that a trial has not confirmed."""
    suspicion, gain = candidate.suspicion, candidate.gain
    helps = candidate.gained > 0
    room = max(0.02, 1.0 - subject.score.figure)
    severity = "note"
    if suspicion.worth == "certain":
        severity = "error"
    elif helps and (suspicion.prior >= GUESS or candidate.gained >= LEAST_GAIN):
        severity = "error" if candidate.gained >= LARGE_GAIN or candidate.gained >= 0.5 * room else "warning"
    elif suspicion.worth == "evidence":
        severity = "warning"
    elif not helps and suspicion.worth == "trial" and suspicion.prior < (0.6 if gain is not None else 0.5):
        return None
    evidence = {
        key: value.item() if isinstance(value, np.generic) else value for key, value in suspicion.evidence.items()
    }
    return Finding(suspicion.kind, severity, suspicion.why, suspicion.change, evidence, gain, suspicion.apply)


def _try(subject: Subject, candidates: list[Candidate]) -> None:
    """Try the changes within the budget that the run of the training has left."""
    if subject.score.figure > 0.995:
        return
    used = subject.seconds(subject.short, subject.short.epochs)
    seconds = max(0.1 * subject.budget, 0.8 * subject.budget - used) / max(1, len(candidates))
    for each in candidates:
        assert each.suspicion.apply is not None
        trial = subject.trial(each.suspicion.apply, seconds)
        each.gain = None if trial is None else trial.gain
    if not any(each.gained for each in candidates):
        _try_together(subject, candidates, seconds)
        return
    for each in sorted(candidates, key=lambda each: -each.gained)[:MOST_CONFIRMED]:
        if each.gain is not None and each.gained > 0:
            assert each.suspicion.apply is not None
            each.gain = subject.confirmed(each.gain, each.suspicion.apply, seconds)


def _try_together(subject: Subject, candidates: list[Candidate], seconds: float) -> None:
    """Try the likely changes together, where none of them helps alone: a training can have two faults."""
    likely: dict[str, Candidate] = {}
    for each in candidates:
        if each.suspicion.prior >= TOGETHER and each.suspicion.worth != "note":
            likely.setdefault(each.suspicion.kind, each)
    together = list(likely.values())[:MOST_TOGETHER]
    if len(together) < 2:
        return

    def apply(setup: Setup) -> Setup:
        for each in together:
            assert each.suspicion.apply is not None
            setup = each.suspicion.apply(setup)
        return setup

    trial = subject.trial(apply, len(together) * seconds)
    if trial is not None and trial.gain.helps and trial.gain.difference >= LEAST_GAIN:
        for each in together:
            others = tuple(other.suspicion.kind for other in together if other is not each)
            each.gain = replace(trial.gain, together=others)


def _prove(subject: Subject, candidates: list[Candidate]) -> None:
    """Try the changes on complete trainings, and compare them with complete trainings as they are."""
    before = _figures(subject, subject.training if subject.run is not None else None)
    for each in candidates:
        assert each.suspicion.apply is not None
        after = _figures_after(subject, each.suspicion.apply)
        if after is None:
            continue
        error = float(np.sqrt((np.var(after, ddof=1) + np.var(before, ddof=1)) / SEEDS))
        X, targets = subject.held_out
        each.gain = Gain(
            targets.figure, float(before.mean()), float(after.mean()), error, len(X), SEEDS, targets.chance
        )


def _figures_after(subject: Subject, apply: Callable[[Setup], Setup]) -> Array | None:
    """Return the figures of trainings with a change; None if it does not go with this net."""
    try:
        return _figures(subject, apply(subject.training))
    except Exception:  # noqa: BLE001 - whatever layers and functions of a user raise, the change is no advice then
        return None


def _figures(subject: Subject, setup: Setup | None) -> Array:
    """Return the figure on the rows held out of trainings with several seeds."""
    figures = []
    for seed in range(SEEDS):
        run: Run | None = None
        if setup is not None:
            with quiet():
                run = setup.fit(None if seed == 0 else setup.net.seed + seed)
        figures.append(subject.scored(setup or subject.training, run).figure)
    return np.array(figures)
