"""From suspicions to findings: changes are tried, and those that help come first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._changes import Change, combined
from fastnn.diagnosis._code import code_of
from fastnn.diagnosis._findings import KINDS, Finding, Gain, Suspicion
from fastnn.diagnosis._setup import Run, Setup, quiet
from fastnn.diagnosis._subject import Subject, other_seed

MOST_TRIALS = 9
MOST_CONFIRMED = 4  # changes that are tried with a second seed, those that gain most
MOST_TOGETHER = 3  # changes that are tried together
MOST_PROOFS = 14
SEEDS = 3  # of each training of a proof

# Priors: what checks are by themselves.
SURE = 0.8  # a sign that is rarely anything else
LIKELY = 0.7  # what follows from such a suspicion is less likely a cause of its own
TOGETHER = 0.6  # two faults may hide each other
GUESS = 0.5  # below it there is no sign: it is a matter of trying

# How many standard errors a gain has to exceed, and the least gain, by the prior from which on they hold.
NEEDED: tuple[tuple[float, float, float], ...] = ((SURE, 1.0, 0.01), (GUESS, 2.0, 0.01), (0.0, 3.0, 0.05))
LARGE_GAIN = 0.1
MOST_OF_THE_ROOM = 0.5  # of what is missing to a perfect figure
LEAST_ROOM = 0.02
PERFECT = 0.995  # a figure that no change can make better

# What a prior is worth if the change gains nothing: of a suspicion that a trial judges, and of one with plain evidence.
WITHOUT_GAIN, WITH_EVIDENCE = 0.25, 0.5
# The same of a suspicion whose change is up to the user: if no other change gains anything, and if one does.
UP_TO_THE_USER, BESIDE_A_GAIN = 0.9, 0.6
KEPT_UNTRIED, KEPT = 0.5, 0.6  # the priors from which on a suspicion that nothing confirms is worth a note

LAST_RESORT = "cannot-fit"  # what is said if nothing else is: it names no cause
ORDER = {kind: place for place, kind in enumerate(KINDS)}

# Kinds that follow from others: if one of these is likely, they are less so.
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "labels": ("columns",),
    "vanishing-gradient": ("symmetry", "dead-units"),
    "initialisation": ("symmetry",),
    "dead-units": ("symmetry",),
    "initial-loss": ("initialisation", "exploding-gradient", "input-scale", "target-scale", "symmetry", "loss"),
    "learning-rate-high": (
        "input-scale", "target-scale", "initialisation", "exploding-gradient", "columns", "batch-norm",
        "regularisation",
    ),
    "learning-rate-low": ("input-scale", "target-scale", "overfitting", "symmetry", "vanishing-gradient"),
    "saturation": ("input-scale", "symmetry"),
    "epochs": ("overfitting", "symmetry", "vanishing-gradient", "batch-size"),
    "units": ("symmetry", "dead-units"),
    "nonfinite": ("input-scale", "target-scale", "initialisation", "exploding-gradient", "learning-rate-high"),
}  # fmt: skip
FOLLOWER = 0.5  # what its prior is multiplied by


class Ranking(NamedTuple):
    """What a diagnosis has come to.

    Attributes
    ----------
    findings : tuple of Finding
        The most important first.
    before, error : float
        The figure of the training as it is, on the rows held out, and its standard error.
    epochs : int
        Of that training.
    """

    findings: tuple[Finding, ...]
    before: float
    error: float
    epochs: int


@dataclass
class Candidate:
    """A suspicion, and what a trial of its change has given.

    Attributes
    ----------
    suspicion : Suspicion
    prior : float
        That of its check; that of `suspicion` is lower if it may follow from another one.
    gain : Gain or None
        None if there was no fair trial.
    """

    suspicion: Suspicion
    prior: float
    gain: Gain | None = None

    @property
    def gained(self) -> float:
        """What the change has gained, if that is enough."""
        return self.gain.difference if self.gain is not None and self.gain.helps else 0.0

    @property
    def apply(self) -> Change:
        """The change; only of candidates that have one."""
        assert self.suspicion.apply is not None
        return self.suspicion.apply

    def take(self, gain: Gain | None) -> None:
        """Take what a trial has given, with what is asked of it: the surer the check, the less."""
        if gain is not None:
            errors, least = next(needed for prior, *needed in NEEDED if self.suspicion.prior >= prior)
            gain = replace(gain, errors_needed=errors, least=least)
        self.gain = gain


def ranked(subject: Subject, suspicions: Iterable[Suspicion], prove: bool) -> Ranking:
    """Try the changes, and return the findings."""
    given = list(suspicions)
    candidates = [Candidate(each, its.prior) for each, its in zip(without_symptoms(given), given, strict=True)]
    to_try = [each for each in candidates if each.suspicion.apply is not None]
    to_try.sort(key=lambda each: -each.suspicion.prior)
    if prove:
        before, error, epochs = _prove(subject, to_try[:MOST_PROOFS])
    else:
        _try(subject, to_try[:MOST_TRIALS])
        before, error, epochs = subject.score.figure, subject.score.error, subject.short.epochs
    best = max((each.gained for each in candidates), default=0.0)
    chosen = _best_of_each_kind(candidates, best)
    found = [(_score(each, best), _finding(each, before, subject.setup)) for each in chosen]
    kept = _with_last_resort([(score, each) for score, each in found if each is not None], chosen)
    kept.sort(key=lambda pair: (pair[1].severity == "note", -pair[0], ORDER[pair[1].kind]))
    return Ranking(tuple(each for _, each in kept), before, error, epochs)


def without_symptoms(suspicions: list[Suspicion]) -> list[Suspicion]:
    """Return the suspicions; those that follow from a likely one are less sure."""
    likely = {each.kind for each in suspicions if each.prior >= LIKELY}
    return [
        replace(each, prior=FOLLOWER * each.prior) if likely.intersection(FOLLOWS.get(each.kind, ())) else each
        for each in suspicions
    ]


def _with_last_resort(found: list[tuple[float, Finding]], chosen: Sequence[Candidate]) -> list[tuple[float, Finding]]:
    """Return the findings, where "cannot-fit" is more than a note only if nothing else is.

    If a net cannot fit and nothing else is more than a note, then what a sure check has found is a warning, unless a
    trial has refuted it. An error of that kind stays: it has the message of what the training has raised.
    """

    def is_last_resort(each: Finding) -> bool:
        return each.kind == LAST_RESORT and each.severity != "error"

    fails = any(is_last_resort(each) for _, each in found)
    if fails and all(each.severity == "note" or is_last_resort(each) for _, each in found):
        sure = {each.suspicion.kind for each in chosen if each.suspicion.prior >= SURE and each.gain is None}
        found = [(score, replace(each, severity="warning") if each.kind in sure else each) for score, each in found]
    if any(each.severity != "note" and not is_last_resort(each) for _, each in found):
        found = [(score, replace(each, severity="note") if is_last_resort(each) else each) for score, each in found]
    return found


def _best_of_each_kind(candidates: list[Candidate], best: float) -> list[Candidate]:
    chosen: dict[str, Candidate] = {}
    for each in candidates:
        kind = each.suspicion.kind
        if kind not in chosen or _score(each, best) > _score(chosen[kind], best):
            chosen[kind] = each
    return list(chosen.values())


def _score(candidate: Candidate, best: float) -> float:
    """Return how important a candidate is: how sure its check is, and how much of the best gain its change reaches."""
    prior, judged_by = candidate.suspicion.prior, candidate.suspicion.judged_by
    if candidate.suspicion.apply is None:
        return prior * (1.0 if judged_by == "certain" else UP_TO_THE_USER if best == 0 else BESIDE_A_GAIN)
    least = WITHOUT_GAIN if judged_by == "trial" else WITH_EVIDENCE
    return prior * (least + (1.0 - least) * (candidate.gained / best if best > 0 else 0.0))


def _finding(candidate: Candidate, before: float, setup: Setup) -> Finding | None:
    """Return the finding, or None for a suspicion that nothing confirms."""
    suspicion, gained = candidate.suspicion, candidate.gained
    severity = "note"
    if suspicion.judged_by == "certain":
        severity = "error"
    elif gained:
        room = max(LEAST_ROOM, 1.0 - before)
        severity = "error" if gained >= min(LARGE_GAIN, MOST_OF_THE_ROOM * room) else "warning"
    elif suspicion.judged_by == "evidence":
        severity = "warning"
    elif suspicion.judged_by == "trial" and suspicion.prior < (KEPT_UNTRIED if candidate.gain is None else KEPT):
        return None
    evidence = {
        key: value.item() if isinstance(value, np.generic) else value for key, value in suspicion.evidence.items()
    }
    change = suspicion.change
    if suspicion.apply is not None and (code := code_of(setup, suspicion.apply)):
        change = f"{code}\n# {suspicion.hint}" if suspicion.hint else code
    return Finding(suspicion.kind, severity, suspicion.why, change, evidence, candidate.gain, suspicion.apply)


# ---- trials ----


def _try(subject: Subject, candidates: list[Candidate]) -> None:
    """Try the changes within the budget that the run of the training has left."""
    if subject.score.figure > PERFECT:
        return
    used = subject.seconds(subject.short, subject.short.epochs)
    seconds = max(0.1 * subject.budget, 0.8 * subject.budget - used) / max(1, len(candidates))
    for each in candidates:
        each.take(subject.trial(each.apply, seconds))
    _take_together(candidates, lambda apply, number: subject.trial(apply, number * seconds))
    for each in sorted(candidates, key=lambda each: -each.gained)[:MOST_CONFIRMED]:
        if each.gained and each.gain is not None and not each.gain.together:
            each.take(subject.confirmed(each.gain, each.apply, seconds))
    for each in candidates:
        if each.gain is not None and not (each.gain.fair or each.gain.helps):
            each.gain = None


def _take_together(candidates: list[Candidate], trial: Callable[[Change, int], Gain | None]) -> None:
    """Try likely changes together that do not help alone: a training can have two faults that hide each other."""
    likely: dict[str, Candidate] = {}
    for each in sorted(candidates, key=lambda each: ORDER[each.suspicion.kind]):
        if (each.suspicion.prior >= TOGETHER or each.prior >= SURE) and not each.gained:
            likely.setdefault(each.suspicion.kind, each)
    together = list(likely.values())[:MOST_TOGETHER]
    if len(together) < 2:
        return
    gain = trial(combined(*(each.apply for each in together)), len(together))
    best = max(each.gained for each in candidates)
    if gain is not None and gain.helps and gain.difference > best + LEAST_ROOM:
        for each in together:
            others = tuple(other.suspicion.kind for other in together if other is not each)
            each.take(replace(gain, together=others))


def _prove(subject: Subject, candidates: list[Candidate]) -> tuple[float, float, int]:
    """Try the changes on complete trainings; return the figure of those as they are, its error and their epochs."""
    try:
        before = _figures(subject, subject.training if subject.run is not None else None)
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything, also later than in the run
        subject.problem = error
        before = np.full(SEEDS, subject.score.figure)

    def trial(apply: Change, _number: int = 1) -> Gain | None:
        after = _figures_after(subject, apply)
        if after is None:
            return None
        error = float(np.sqrt((np.var(after, ddof=1) + np.var(before, ddof=1)) / SEEDS))
        X, targets = subject.held_out
        figures = float(before.mean()), float(after.mean())
        return Gain(targets.figure, *figures, error, len(X), SEEDS, targets.chance)

    for each in candidates:
        each.take(trial(each.apply))
    _take_together(candidates, trial)
    return float(before.mean()), float(np.std(before, ddof=1) / np.sqrt(SEEDS)), subject.training.epochs


def _figures_after(subject: Subject, apply: Change) -> Array | None:
    """Return the figures of trainings with a change; None if it does not go with this net."""
    setup = subject.changed(apply, complete=True)
    try:
        return None if setup is None else _figures(subject, setup)
    except Exception:  # noqa: BLE001 - whatever a user's layers and functions raise, the change is no advice then
        return None


def _figures(subject: Subject, setup: Setup | None) -> Array:
    """Return the figure on the rows held out of trainings with several seeds."""
    figures = []
    for seed in range(SEEDS):
        run: Run | None = None
        if setup is not None:
            with quiet():
                run = setup.fit(other_seed(setup.net.seed, seed))
        figures.append(subject.scored(setup or subject.training, run).figure)
    return np.array(figures)
