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
