"""Write the table of docs/numerics.md from the specs of the tests: ``python -m tools.numerics_table``."""

from pathlib import Path

from tests.specs import SPECS
from tools.marked import replaced

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "numerics.md"


def table() -> str:
    """Return a row for each kernel."""
    rows: dict[str, str] = {}  # by kernel: variants of one share their tiers
    for spec in SPECS:
        name = spec.function or spec.name
        twin = f"[`{spec.twin}`](../src/fastnn/kernels/_{spec.family}_ref.py)"
        tiers = [str(tier) for tier in spec.tiers.values()]
        shown = ", ".join(tiers if len(set(tiers)) > 1 else tiers[:1])
        row = f"| `{name}` | {twin} | {', '.join(f'`{result}`' for result in spec.tiers)} | {shown} |\n"
        assert rows.setdefault(name, row) == row, f"{name} has variants of different tiers: give each a row of its own"
    return "| kernel | twin | results | tier |\n|---|---|---|---|\n" + "".join(rows.values())


def updated(page: str) -> str:
    """Return the page with the table brought up to date."""
    return replaced(page, "kernels", table())


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
