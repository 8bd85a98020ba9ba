"""The cost of joining and splitting is that of the ops which are left out, and the command runs."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.lib.branched import BRANCHED
from bench.lib.machine import ROOT
from bench.run import branches

KINDS = {
    "two": ["put_columns", "take_columns", "accumulate"],
    "wide": ["take_columns", "add"],
    "concat": ["put_columns", "take_columns", "accumulate"],
    "SwiGLU": ["accumulate", "multiply"],
    "residual": ["accumulate", "add"],
}


@pytest.mark.parametrize("config", BRANCHED, ids=lambda config: config.title.split()[0])
def test_only_ops_of_one_kind_are_left_out(config):
    program = config.program(config.native("float32"))
    kinds = branches.used(program)
    assert kinds == KINDS[config.title.split()[0]]
    assert branches.without(program, ()) == program
    for kind in kinds:
        cut = branches.without(program, (kind,))
        for section, ops in program.sections.items():
            assert cut.sections[section] == tuple(op for op in ops if op.kind != kind)


@pytest.mark.parametrize("config", BRANCHED, ids=lambda config: config.title.split()[0])
def test_nets_learn(config):
    """The net that is measured is a real one: it fits a batch."""
    from bench.lib.nets import engine_steps

    net = config.native("float32")
    X, y, order = config.data("float32", config.batch)
    run = engine_steps(config, net, X, y, np.tile(order, 8), "native", 1)
    losses = [run().last_loss for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]


def test_runs(tmp_path):
    out = tmp_path / "branches.json"
    command = [sys.executable, "-m", "bench.run.branches", "--fast", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    nets = json.loads(out.read_text())["nets"]
    assert [net["name"] for net in nets] == [config.title for config in BRANCHED]
    for net in nets:
        assert f"| {net['name']} | the step | " in done.stdout
