"""The sweep runs and is resumed, and cliffs among its points are found."""

import json
import subprocess
import sys

import pytest

from bench.lib.machine import ROOT
from bench.lib.sweep_points import BATCH, Point, between, cliffs, points, rounded
from bench.lib.tables.sweep import cliffs_text
from bench.run import sweep
from bench.tests.known_limits import limits_here
from fastnn import _native

HERE = {"isa": "avx2", "commit": "abc", "date": "2000-01-01"}


def test_sizes():
    assert between(32) == [1, 2, 3, 4, 5, 8, 11, 16, 23, 32]
    assert rounded((100, 37, 19, 3), 7) == ((112, 48, 32, 16), 8)
    found = points()
    assert len({json.dumps(p.key) for p in found}) == len(found)
    for name, first, last in (("width", 8, 4096), ("batch", 1, 4096), ("depth", 1, 32)):
        sizes = [p.at for p in found if (p.series, p.dtype) == (name, "float64")]
        assert sizes == sorted(sizes)
        assert (sizes[0], sizes[-1]) == (first, last)
    assert all(len(p.sizes) == p.at + 2 for p in found if p.series == "depth")


def series(costs, name="width", dtype="float32"):
    """Return points at powers of two whose costs over their rooflines are these."""
    return [
        {"series": name, "at": 2**i, "dtype": dtype, "rounded": False, "sizes": [2**i] * 2, "batch": BATCH}
        | {"seconds": value * 4**i, "roofline": 4**i}
        for i, value in enumerate(costs)
    ]


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([8, 4, 2, 1, 1, 1], []),  # small nets may cost many times their rooflines
        ([1, 1.4, 1, 1], []),
        ([1, 1.6, 1, 1], [1]),  # a spike
        ([1, 1, 1.6, 1.6, 1.6], [2]),  # a step
        ([1, 1, 1, 1.6], [3]),  # the last one
        ([9, 5, 3, 1], []),
        ([16, 8, 7, 2], [2]),  # above the line between its neighbours, which is at 4
    ],
)
def test_cliffs(costs, expected):
    for shuffled in (series(costs), series(costs)[::-1]):
        assert sorted(record["at"] for record, _ in cliffs(shuffled)) == [2**i for i in expected]


def odd(seconds, twin):
    """Return a net of odd sizes and the one rounded up."""
    shared = {"series": "odd", "at": 0, "dtype": "float64", "roofline": 1.0, "batch": BATCH}
    smaller = {"sizes": [13, 1], "rounded": False, "seconds": seconds}
    return [shared | smaller, shared | {"sizes": [16, 16], "rounded": True, "seconds": twin}]


def test_odd_nets_are_compared_with_those_rounded_up():
    assert not cliffs(odd(1.4, 1.0))
    assert cliffs(odd(1.6, 1.0))
    assert "13-1, 128 rows in float64 (1.60 times)" in cliffs_text(odd(1.6, 1.0))


def test_an_interrupted_sweep_is_resumed(tmp_path, monkeypatch):
    visited = []

    def measured(point, limits, isa, seconds):
        if len(visited) == 4:
            raise KeyboardInterrupt
        visited.append(point)
        return [1.0, 2.0, 3.0], 1.0

    monkeypatch.setattr(sweep, "measure", measured)
    out, wanted = tmp_path / "sweep.json", [Point("width", n, (n, n), 1, "float32") for n in (1, 2, 4)]
    with pytest.raises(KeyboardInterrupt):
        sweep.run(out, HERE, {}, wanted, 0)
    monkeypatch.setattr(sweep, "measure", lambda *a: (visited.append(a[0]), ([1.0, 1.5, 3.0], 1.0))[1])
    records = sweep.run(out, {**HERE, "date": "2000-01-02"}, {}, wanted, 0)
    assert [p.at for p in visited] == [1, 2, 4, 4, 2, 1]
    assert [r["seconds"] for r in records] == [1.5, 1.5, 2.0]
    assert records == json.loads(out.read_text())["points"]
    for commit in ("def", "def+", "def+"):  # points of other or uncommitted code are measured again
        visited.clear()
        sweep.run(out, {**HERE, "commit": commit}, {}, wanted, 0)
        assert len(visited) == 6


def test_runs_and_checks(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "bench.run.sweep", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)

    limits, out = tmp_path / "limits.json", tmp_path / "sweep.json"
    limits.write_text(json.dumps(limits_here()))
    done = run("--fast", "--limits", limits, out)
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert results["machine"]["isa"] == _native.isa()
    assert all(r["roofline"] > 0 and len(r["passes"]) >= 2 for r in results["points"])
    assert "| 13-1-13, 128 rows |" in done.stdout
    out.write_text(json.dumps({"points": series([1, 1, 1])}))
    assert run("--check", out).returncode == 0
    out.write_text(json.dumps({"points": series([1, 2, 2])}))
    assert run("--check", out).returncode == 1
