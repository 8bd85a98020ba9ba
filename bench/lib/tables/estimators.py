"""The table of what `python -m bench.run.estimators` has measured."""

from bench.lib.tables.common import conditions, digits, rounds_of, spread, table

# Family -> what the table calls it, the unit of its times, and the unit's number in a second.
FAMILIES = {
    "fit": ("fit, an epoch", "µs", 1e6),
    "partial_fit": ("`partial_fit`", "µs", 1e6),
    "predict": ("`predict_proba`", "µs", 1e6),
    "search": ("`GridSearchCV`", "s", 1),
}


def estimators_text(results):
    """Return the table of both MLPClassifiers, and how it was measured."""
    head = ["", "net", "", "dtype", "fastnn", "times as fast as scikit-learn"]
    rows = []
    for case in results["cases"]:
        what, unit, factor = FAMILIES[case["family"]]
        seconds = f"{digits(factor * case['seconds']['native'])} {unit}"
        rows.append([what, *(case[key] for key in ("name", "shape", "dtype")), seconds])
        rows[-1].append(spread(case["ratios"]["scikit-learn"]))
    return f"""\
{table(head, rows)}

Both estimators have the same parameters; {rounds_of(results["cases"])}, one thread each.
scikit-learn {results["machine"]["libraries"]["scikit-learn"]}. {conditions(results["machine"])}
`make bench-sklearn` measures, `make docs-figures` writes this."""
