"""The tables of what `python -m bench.run.diagnosis` has measured."""

from collections import Counter
from statistics import median

from bench.diagnosis import verdicts
from bench.lib.tables.common import conditions, digits, table

# A figure -> what it is, and the least that is wanted.
WANTED = {
    "first": ("planted fault named first", "85 %"),
    "first, by the planted kind": ("the same, by no other name", ""),
    "first two": ("planted fault among the first two", "93 %"),
    "first two, above a note": ("the same, with a finding above a note", ""),
    "healthy": ("healthy nets of which nothing above a note is said", "95 %"),
    "published": ("published cases: the fault, or a change that helps as much, among the first two", "75 %"),
    "controls": ("published controls of which nothing is said", "100 %"),
    "proof": ("first recommendations that improve the figure on other rows and seeds", "90 %"),
    "in time": ("diagnoses within three epochs and 0.2 s", "100 %"),
}


def diagnosis_text(results):
    """Return all tables, and how they were measured."""
    parts = [summary_table(results)]
    if results.get("faulty"):
        parts.append(confusion_table(results["faulty"]))
    if results.get("healthy"):
        parts.append(healthy_text(results["healthy"]))
    if results.get("published"):
        parts.append(published_table(results["published"]))
    timed = [r for part in ("faulty", "healthy") for r in results.get(part, []) if verdicts.in_time(r) is not None]
    if timed and results["jobs"] == 1:
        parts.append(times_text(timed))
    parts.append(conditions(results["machine"]) + "\n`make bench-diagnosis` measures, `make docs-figures` writes this.")
    return "\n\n".join(parts)


def summary_table(results):
    """Return the shares beside the least that are wanted."""
    shares = verdicts.summary(results)
    if results["jobs"] > 1:  # the processes disturb each other, so that times are worth nothing
        shares["in time"] = None
    rows = [
        [text, _percent(shares[name]), str(shares["of"][name]), wanted]
        for name, (text, wanted) in WANTED.items()
        if shares[name] is not None
    ]
    failed = [f"{shares['failed']} diagnoses failed."] if shares["failed"] else []
    return "\n\n".join([table(["what", "share", "of", "wanted"], rows), *failed])


def confusion_table(records):
    """Return what was named first for each planted kind; the whole matrix would be mostly empty."""
    rows = []
    for kind in dict.fromkeys(record["kinds"][0] for record in records):
        planted = [record for record in records if record["kinds"][0] == kind]
        others = Counter(_first(record) for record in planted if not verdicts.named_first(record))
        by_name = Counter(_first(record) for record in planted if verdicts.named_first(record))
        rows.append(
            [
                f"`{kind}`",
                str(len(planted)),
                str(by_name.total()),
                str(sum(map(verdicts.named_second, planted))),
                _counted({name: n for name, n in by_name.items() if name != kind}),
                _counted(others),
            ]
        )
    return table(["planted", "nets", "first", "first two", "by another right name", "named first instead"], rows)


def healthy_text(records):
    """Return what was said above a note of healthy nets."""
    said = Counter(f"`{kind}` ({severity})" for r in records for kind, severity in r["findings"] if severity != "note")
    listed = ", ".join(f"{name} {n}" for name, n in said.most_common()) or "nothing"
    return f"Said above a note of {len(records)} healthy nets: {listed}."


def published_table(records):
    """Return what was said of each published case, and whether it helps."""
    rows = []
    for record in records:
        findings = [kind for kind, severity in record["findings"] if record["kinds"] or severity != verdicts.SILENT]
        said = ", ".join(f"`{kind}`" for kind in findings[:2]) or record.get("error", "nothing")
        helped = ", ".join(f"{_as_kinds(name)} {figures[0]:.3f}" for name, figures in record.get("helps as much", []))
        right = verdicts.solved(record) if record["kinds"] else verdicts.silent(record)
        before, after = (f"{record[key][0]:.3f}" if record.get(key) else "" for key in ("before", "after"))
        fault = ", ".join(f"`{kind}`" for kind in record["kinds"]) or "none"
        rows.append([record["name"], fault, before, after, said, helped, "yes" if right else "no"])
    return table(["case", "fault", "before", "after", "said", "helps as much", "right"], rows)


def times_text(records):
    """Return the time of a diagnosis, in epochs."""
    ratios = [record["seconds"] / record["epoch"] for record in records]
    seconds = [record["seconds"] for record in records]
    return (
        f"A diagnosis takes {digits(median(seconds))} s in the median and at most {digits(max(seconds))} s: "
        f"{digits(median(ratios))} epochs in the median."
    )


def _as_kinds(name):
    """Return kinds that are joined by "and" in the form of the other kinds."""
    return " and ".join(f"`{kind}`" for kind in name.split(" and "))


def _first(record):
    if record["findings"]:
        return record["findings"][0][0]
    return "failed" if "error" in record else "nothing"


def _counted(counts):
    return ", ".join(f"`{name}` {n}" for name, n in sorted(counts.items(), key=lambda pair: -pair[1]))


def _percent(share):
    return f"{100 * share:.1f} %"
