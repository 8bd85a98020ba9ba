"""Measurements as JSON, one record on a line.

Commands write the file after each record, so that an interrupted run can be resumed.
"""

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"


def short(value):
    """Return a number rounded to four significant digits, about as many as a measurement has."""
    return float(f"{value:.4g}")


def write(path, results, *listed):
    """Write JSON with one record of each list `results[name]`, name in `listed`, on a line."""
    parts = [f"{_json(k)}: {_json(v)}" for k, v in results.items() if k not in listed]
    for name in listed:
        lines = ",\n".join(map(_json, results[name]))
        parts.append(f"{_json(name)}: [\n{lines}\n]")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text("{" + ",\n".join(parts) + "}\n")
    temporary.replace(path)


def _json(value):
    return json.dumps(value, ensure_ascii=False)


def resumed(path, machine):
    """Return the results of an earlier run of the same code on the same machine, or None.

    Results of uncommitted code (a commit that ends in +) are never taken over: the code may have changed since.
    """
    if not path.exists():
        return None
    results = json.loads(path.read_text())
    same = {**results.get("machine", {}), "date": ""} == {**machine, "date": ""}
    return results if same and not machine["commit"].endswith("+") else None
