"""A diagnosis: what is given becomes a subject, checks suspect, trials decide, and the report says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

from fastnn.diagnosis import _data_checks, _label_checks, _layer_checks, _output_checks, _training_checks
from fastnn.diagnosis._findings import Suspicion
from fastnn.diagnosis._inputs import given_training, in_words_of, subject_of
from fastnn.diagnosis._ranking import ranked
from fastnn.diagnosis._report import Report
from fastnn.diagnosis._setup import quiet
from fastnn.diagnosis._subject import Subject

OF_DATA = (*_data_checks.CHECKS, *_label_checks.CHECKS)
CHECKS = (*OF_DATA, *_output_checks.CHECKS, *_layer_checks.CHECKS, *_training_checks.CHECKS)


def report_on(
    net_or_trainer: Any,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Any,
    validation_data: Any,
    sample_weight: npt.ArrayLike | None,
    fit: dict[str, Any],
    *,
    prove: bool,
    seed: int,
) -> Report:
    """Return the report; the arguments are those of `fastnn.diagnose`, and `fit` those of the fit that were given."""
    given = given_training(net_or_trainer, X, y, loss, sample_weight, validation_data)
    with quiet():
        subject, suspicions = subject_of(
            given.trainer,
            given.X,
            given.y,
            sample_weight=given.sample_weight,
            validation_data=given.validation_data,
            seed=seed,
            fit={"epochs": 10, "batch_size": 128, **given.fit, **fit},
        )
        ranking = ranked(subject, [*suspicions, *suspected(subject)], prove)
        findings = in_words_of(given, ranking.findings, subject.setup)
    X_held, targets = subject.held_out
    return Report(
        findings,
        targets.figure,
        ranking.before,
        ranking.error,
        subject.now,
        targets.chance,
        len(X_held),
        ranking.epochs,
        prove,
        subject.setup,
        seed,
    )


def suspected(subject: Subject) -> Iterable[Suspicion]:
    """Yield what the checks suspect."""
    checks = CHECKS if not subject.targets.constant else OF_DATA
    for check in checks:
        yield from check(subject)
    if subject.run is None and subject.problem is not None:
        name, message = type(subject.problem).__name__, str(subject.problem)
        change = "trainer.fit(X, y)  # the traceback shows where"
        why = f"The training ends with {name}{': ' * bool(message)}{message}"
        yield Suspicion("cannot-fit", 1.0, why, change, {}, judged_by="certain")
