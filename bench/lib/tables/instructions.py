"""The table of what `python -m bench.run.instructions` has counted."""

from bench.lib.instruction_cases import CASES
from bench.lib.tables.common import table


def instructions_text(results):
    """Return the counts, and by how much each may grow."""
    machine = results["machine"]
    rows = [
        [name, case.unit, f"{results['instructions'][name]:,}", f"{case.growth:.1%}"] for name, case in CASES.items()
    ]
    head = ["case", "unit", "instructions for one", "may grow by"]
    return f"{table(head, rows)}\n\n{machine['processor']}, {machine['compiler']}, at {machine['commit']}."
