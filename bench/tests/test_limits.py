"""The flops and parameters of rooflines are those counted by hand, and both forms of the command run."""

import json
import math
import subprocess
import sys

import pytest

from bench.lib import nets
from bench.lib.machine import ROOT
from bench.lib.nets import NETS
from bench.lib.roofline import UPDATES, product_flops, step_roofline, updated_parameters
from bench.lib.tables.ratios import whole_table
from bench.tests.known_limits import TWOS
from fastnn import _native, nn, optim

GRID = {net.name: net for net in nets.GRID}
FLOPS = {
    "tiny": 64 * (4 * (4 * 64) + 6 * (64 * 64 + 64 * 2)),  # 1.69 M: the input has no gradient
    "mnist": 128 * (4 * (784 * 256) + 6 * (256 * 128 + 128 * 10)),  # 129 M
    "tab": 1024 * (4 * (54 * 256) + 6 * (256 * 256 + 256 * 7)),  # 470 M
    "residual": 128 * (4 * (64 * 256) + 6 * (12 * 256 * 256 + 256 * 10)),  # 614 M
    "wide": 512 * (4 * (1024 * 2048) + 6 * (2048 * 2048 + 2048 * 10)),  # 17.2 G
}
ROUNDED = {"tiny": 1.69e6, "mnist": 129e6, "tab": 470e6, "residual": 614e6, "wide": 17.2e9}


def program_of(net):
    return net.training_program(loss="cross_entropy", target="labels", optimizer="adam")


@pytest.mark.parametrize("name", GRID)
def test_flops_and_parameters_are_those_counted_by_hand(name):
    net = GRID[name].native("float32")
    program = program_of(net)
    assert product_flops(program, GRID[name].batch) == FLOPS[name] == pytest.approx(ROUNDED[name], rel=5e-3)
    assert updated_parameters(program) == sum(map(math.prod, net.params.layout.shapes.values()))


def test_roofline_of_a_step_by_hand():
    program = program_of(
        nn.Sequential(nn.Dense(100, 100), seed=0)
    )  # 2 products of 2 * 8 * 100 * 100 flops, 10 100 parameters
    parts = step_roofline(program, 8, "adam", "float32", "avx2", TWOS)
    traffic = 10_100 * 3 * 4 * 2 / 2  # weights and two slots of 4 bytes, read and written: 121 kB, in L2
    assert parts["level"] == "L2"
    assert parts["products"] == pytest.approx(1e-9 * 320_000 / 2)
    assert parts["arithmetic"] == pytest.approx(1e-9 * 10_100)
    assert parts["traffic"] == pytest.approx(1e-9 * traffic)
    assert parts["total"] == pytest.approx(1e-9 * (160_000 + traffic))


def test_work_of_optimizers():
    assert set(UPDATES) <= set(_native.UPDATES)
    for made in (optim.SGD(), optim.SGD(momentum=0.9), optim.RMSprop(), optim.Adam()):
        assert UPDATES[made.kind][0] == made.n_slots


def test_runs_with_and_without_steps(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "bench.run.limits", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120).stdout

    limits, ratios = tmp_path / "limits.json", tmp_path / "ratios.json"
    assert "multiply-add" in run("--fast", limits)
    results = json.loads(limits.read_text())
    usable = [level for level, runs in _native.levels().items() if runs]
    assert {r["isa"] for r in results["limits"]} == set(usable)
    assert all(0 < r["best"] < 1e5 for r in results["limits"])
    steps = [
        {"family": "step", "name": net.title, "shape": "", "dtype": dtype}
        | {"seconds": {"native": 1}, "ratios": {"numpy": [1, 1, 1], "reference": [1, 1, 1]}}
        for net in NETS
        for dtype in ("float32", "float64")
    ]
    assert "share" not in whole_table(steps)
    ratios.write_text(json.dumps({"machine": results["machine"], "cases": steps}))
    assert NETS[0].title in run("--steps", ratios, limits)
    steps = json.loads(ratios.read_text())["cases"]
    assert all(0 < case["roofline"] < 1 for case in steps)
    assert "share" in whole_table(steps)
