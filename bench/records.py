"""Measurements as JSON, one record on a line: written after each of them, so that a run that was broken off goes on."""

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def short(value):
    """Return a number with the digits that a measurement has."""
    return float(f"{value:.4g}")


def write(path, results, listed):
    """Write JSON with one record of `results[listed]` on a line."""
    heads = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in results.items() if k != listed]
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in results[listed])
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(path.name + ".new")
    made.write_text("{" + ",\n".join(heads) + f',\n"{listed}": [\n{lines}\n]}}\n')
    made.replace(path)


def resumed(path, machine):
    """Return what a run of the same code on the same machine has measured so far, or None.

    What differs from the commit may be anything: of such code nothing is taken over.
    """
    if not path.exists():
        return None
    results = json.loads(path.read_text())
    same = {**results.get("machine", {}), "date": ""} == {**machine, "date": ""}
    return results if same and not machine["commit"].endswith("+") else None
