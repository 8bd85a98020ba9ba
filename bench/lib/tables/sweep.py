"""Tables of what `python -m bench.run.sweep` has measured."""

from bench.lib.sweep_points import LIMIT, cliffs, cost, odd_pairs, series_of
from bench.lib.tables.common import conditions, digits, table


def title(record):
    sizes = record["sizes"]
    if record["series"] == "odd":
        return f"{'-'.join(map(str, sizes))}, {record['batch']} rows"
    return f"{record['series']} {record['at']}"


def cliffs_text(records):
    """Return a sentence on the cliffs, or that there are none."""
    found = [
        f"{title(record)} in {record['dtype']} ({ratio:.2f} times)"
        for record, ratio in sorted(cliffs(records), key=lambda pair: -pair[1])
    ]
    if not found:
        return f"No step costs more than {LIMIT} times what its neighbours suggest."
    return f"More than {LIMIT} times what the neighbours suggest: {', '.join(found)}."


def odd_table(records):
    """Return the nets of odd sizes: time over roofline, and over the time of the net rounded up."""
    rows = {}
    for dtype in ("float32", "float64"):
        for record, ratio in odd_pairs(series_of(records, "odd", dtype)):
            row = rows.setdefault(title(record), [])
            row += [digits(1e6 * record["seconds"]), f"{cost(record):.2f}", f"{ratio:.2f}"]
    parts = ("µs", "over its roofline", "over the time of the net rounded up")
    head = ["net", *(f"{dtype}: {part}" for dtype in ("float32", "float64") for part in parts)]
    return table(head, [[name, *row] for name, row in rows.items()])


def series_table(records):
    """Return the first, the last, the cheapest and the most expensive point of every series."""
    rows = []
    for name in ("width", "batch", "depth"):
        for dtype in ("float32", "float64"):
            series = series_of(records, name, dtype)
            if series:
                rows.append([name, dtype])
                for record in (series[0], series[-1], min(series, key=cost), max(series, key=cost)):
                    rows[-1].append(f"{cost(record):.2f} at {record['at']}")
    return table(["varied", "dtype", "least work", "most work", "closest to the roofline", "farthest from it"], rows)


def sweep_text(results):
    """Return the picture, the cliffs and the tables."""
    records = results["points"]
    picture = "![The time of a step over its roofline](figures/sweep.svg)"
    parts = [picture, cliffs_text(records), series_table(records), odd_table(records)]
    return "\n\n".join([*parts, conditions(results["machine"])])
