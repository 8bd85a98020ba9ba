"""What all tables share: numbers, rows, and the sentences on how and where a measurement was made."""


def digits(value):
    """Return a number with two digits, or with all digits before the point if there are more."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"


def spread(quartiles):
    """Return a ratio with its quartiles."""
    first, median, third = map(digits, quartiles)
    return f"{median} ({first} to {third})"


def table(head, rows):
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def added_time_table(head, records, implementation, column, unit):
    """Return by how much the time of each case changes with an implementation, with quartiles.

    Parameters
    ----------
    head : list of str
        Of the four columns: the name, another property, the time of "native", the change.
    records : list of dict
    implementation : str
    column : str
        The other property.
    unit : float
        How many units of time a second has.
    """
    rows = []
    for r in records:
        low, median, high = (f"{ratio - 1:+.1%}" for ratio in r["ratios"][implementation])
        rows.append([r["name"], r[column], digits(unit * r["seconds"]["native"]), f"{median} ({low} to {high})"])
    return table(head, rows)


def conditions(m):
    """Return a sentence on the machine and the versions of a measurement."""
    return (
        f"{m['processor']}, ISA level {m['isa']}, {m['threads']} thread; fastnn {m['fastnn']} ({m['commit']}, "
        f"{m['compiler']}),\nPython {m['python']}, NumPy {m['numpy']} with {m['blas']}; {m['date']}."
    )


def rounds_of(cases):
    """Return how the ratios of these cases were measured."""
    rounds = [case["rounds"] for case in cases]
    return f"medians of {min(rounds)} to {max(rounds)} interleaved pairs (quartiles)"
