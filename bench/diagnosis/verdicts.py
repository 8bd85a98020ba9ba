"""Whether what was said of a case is right, and the shares of all cases.

NumPy is not imported here, so that the tables can be written before `bench.lib.machine.prepare`.
"""

from bench.lib.records import short

__all__ = [
    "EPOCHS",
    "SECONDS",
    "SILENT",
    "in_time",
    "named_first",
    "named_loudly",
    "named_second",
    "share",
    "silent",
    "solved",
    "summary",
]

SILENT = "note"  # the severity that may be said of a healthy net
SECONDS, EPOCHS = 0.2, 3  # what a diagnosis may take: these seconds and the time of these epochs


def named_first(record):
    """Return whether the first finding names the fault, by any of its right names."""
    return _named(record, 1)


def named_second(record):
    """Return whether one of the first two findings names the fault."""
    return _named(record, 2)


def named_loudly(record):
    """Return whether one of the first two findings names the fault, and is above a note."""
    return any(kind in record["kinds"] and severity != SILENT for kind, severity in record["findings"][:2])


def _named(record, n):
    return any(kind in record["kinds"] for kind, _ in record["findings"][:n])


def silent(record):
    """Return whether nothing above a note is said, as should be of a healthy net."""
    allowed = record.get("allowed", ())
    return "error" not in record and all(s == SILENT or kind in allowed for kind, s in record["findings"])


def in_time(record):
    """Return whether the diagnosis took as long as it may; None if it was not measured."""
    if record.get("epoch") is None or "seconds" not in record:
        return None
    return record["seconds"] <= SECONDS + EPOCHS * record["epoch"]


def share(values):
    """Return the share of true values; None among them are left out, and of none at all it is None."""
    values = _without_none(values)
    return short(sum(values) / len(values)) if values else None


def _without_none(values):
    return [value for value in values if value is not None]


def summary(results):
    """Return the shares that are measured, of how many cases each is (`of`), and how many diagnoses failed."""
    faulty, healthy, published = (results.get(part, []) for part in ("faulty", "healthy", "published"))
    verdicts = {
        "first": [named_first(record) for record in faulty],
        "first, by the planted kind": [
            [kind for kind, _ in record["findings"][:1]] == record["kinds"][:1] for record in faulty
        ],
        "first two": [named_second(record) for record in faulty],
        "first two, above a note": [named_loudly(record) for record in faulty],
        "healthy": [silent(record) for record in healthy],
        "published": [solved(record) for record in published if record["kinds"]],
        "controls": [silent(record) for record in published if not record["kinds"]],
        "proof": [record.get("improved") for record in faulty],
        "in time": [in_time(record) for record in faulty + healthy],
    }
    return {
        **{name: share(values) for name, values in verdicts.items()},
        "of": {name: len(_without_none(values)) for name, values in verdicts.items()},
        "failed": sum("error" in record for record in faulty + healthy + published),
    }


def solved(record):
    """Return whether the first two findings name the fault of a published case, or have a change that helps as much."""
    return named_second(record) or bool(record.get("helps as much"))
