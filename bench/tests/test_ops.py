"""A step cut short is the beginning of that step, and the times of its ops add up to that of the step."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.lib.machine import ROOT
from bench.lib.nets import GRID, NETS, engine_steps
from bench.lib.roofline import PRODUCTS, product_flops, step_roofline
from bench.lib.tables.common import digits
from bench.run import ops
from bench.tests.known_limits import TWOS, limits_here


@pytest.mark.parametrize("config", GRID, ids=lambda config: config.name)
def test_cuts_go_from_nothing_to_the_whole(config):
    net = config.native("float32")
    program = config.program(net)
    sequence = ops.sequence(program)
    assert ops.cut(program, len(sequence)) == program
    for count in range(len(sequence) + 1):
        assert ops.sequence(ops.cut(program, count)) == sequence[:count]
    titles = [ops.title(program, op) for _, op in sequence]
    assert sum("adam" in title for title in titles) == sum(
        "weight" in title or "norm backw" in title for title in titles
    )


@pytest.mark.parametrize("config", NETS, ids=lambda config: config.name)
def test_a_step_cut_after_its_forward_pass_changes_no_weight(config):
    """Afterwards a program of all ops gives the result of the whole step."""
    net = config.native("float64")
    X, y, order = config.data("float64", 2 * config.batch)
    program = config.program(net)
    before = net.params.data.copy()
    forward = ops.cut(program, len(program.sections["forward"]))
    engine_steps(config, net, X, y, order, "native", 1, program=forward, ahead=0)()
    np.testing.assert_array_equal(net.params.data, before)
    other = config.native("float64")
    whole = engine_steps(config, other, X, y, order, "native", 1, ahead=0)()
    assert whole == engine_steps(config, net, X, y, order, "native", 1, program=program, ahead=0)()
    assert not np.array_equal(net.params.data, before)


def test_floors_of_ops_add_up_to_the_roofline():
    config = NETS[1]
    program = config.program(config.native("float32"))
    whole = step_roofline(program, config.batch, "adam", "float32", "avx2", TWOS)
    parts = []
    for _, op in ops.sequence(program):
        alone = ops.replace(program, sections={"backward": (op,)})
        parts.append(step_roofline(alone, config.batch, "adam", "float32", "avx2", TWOS, whole["level"]))
        if op.kind in PRODUCTS:
            assert ops.traffic(program, op, config.batch, parts[-1], 4) > 0
    for part in ("products", "arithmetic", "total", "parameters", "held"):
        assert sum(each[part] for each in parts) == pytest.approx(whole[part])
    assert product_flops(program, config.batch) == pytest.approx(2e9 * whole["products"])


def test_traffic_of_a_product():
    config = NETS[0]  # 4-64-64-2, 64 rows
    program = config.program(config.native("float32"))
    first, last = program.sections["forward"][0], program.sections["backward"][-1]
    assert ops.traffic(program, first, 64, {"parameters": 0, "held": 0}, 4) == 4 * (64 * 4 + 64 * 64 + 4 * 64)
    assert ops.traffic(program, last, 64, {"parameters": 320, "held": 3840}, 4) == 4 * (64 * 4 + 64 * 64) + 7680


def test_runs(tmp_path):
    limits, out = tmp_path / "limits.json", tmp_path / "ops.json"
    limits.write_text(json.dumps(limits_here()))
    command = [sys.executable, "-m", "bench.run.ops", "--fast", "-k", "tiny", "--limits", limits, out]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for record in json.loads(out.read_text())["nets"]:
        assert record["name"] == NETS[0].title
        assert sum(op["seconds"] for op in record["ops"]) == pytest.approx(record["seconds"], rel=1e-2)
        assert sum(op["floor"] for op in record["ops"]) == pytest.approx(record["roofline"]["total"], rel=1e-2)
        assert f"| the step | {digits(1e6 * record['seconds'])} |" in done.stdout
