"""What a diagnosis says of cases, and how long it takes."""

import time
import warnings

import numpy as np

import fastnn
from bench.lib.records import short

__all__ = ["measured"]

TIMED_EPOCHS = 3


def measured(case, diagnose, **arguments):
    """Return the record of what `diagnose` says of a case, and its report.

    A diagnosis that raises an exception is a record with the exception, and no report: it named nothing.
    """
    given, training = case.given(), case.faulty
    record = {"name": case.name, "kinds": list(case.kinds), "fitted": case.fitted, "findings": []}
    if case.allowed:
        record["allowed"] = list(case.allowed)
    before, data = _values(given), training.data
    arguments = {"seed": case.seed, **training.fit_arguments(), **arguments}
    start = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            report = diagnose(given, data.X, data.y, **arguments)
        except Exception as error:  # noqa: BLE001 - whatever it raises, it is what is measured
            return {**record, "error": f"{type(error).__name__}: {error}"}, None
    record["seconds"] = short(time.perf_counter() - start)
    record["epoch"] = _epoch_seconds(training)
    record["findings"] = [[finding.kind, finding.severity] for finding in report.findings]
    if not _same(before, _values(given)):
        record["error"] = "the net was changed"
    return record, report


def _values(trainer):
    return {name: np.array(value) for name, value in trainer.net.state_dict().items()}


def _same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k], equal_nan=True) for k in one)


def _epoch_seconds(training):
    """Return the seconds of an epoch, or None where no epoch is to be had: the data are refused, or it diverges."""
    trainer, arguments = training.trainer(0), training.fit_arguments()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            trainer.fit(training.data.X, training.data.y, verbose=0, **{**arguments, "epochs": 1})
            start = time.perf_counter()
            trainer.fit(training.data.X, training.data.y, verbose=0, **{**arguments, "epochs": TIMED_EPOCHS})
        except (ValueError, TypeError, fastnn.TrainingDiverged):
            return None
    return short((time.perf_counter() - start) / TIMED_EPOCHS)
