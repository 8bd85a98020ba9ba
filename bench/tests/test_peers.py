"""The comparison with other libraries runs with those that are installed, and notices a peer that does other work."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from bench.lib import peer_cases
from bench.lib.machine import ROOT
from bench.lib.nets import NETS
from bench.lib.tables.peers import peers_text, slower_text
from bench.peers import numpy_by_hand
from bench.peers.pytorch_kernels import TORCH
from bench.peers.shared import LR

MODULES = {"scikit-learn": "sklearn", "PyTorch": "torch", "JAX": "jax"}


def is_installed(module):
    """Say whether a package is installed; a mere folder of its name on the path, as tests/sklearn, has no origin."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def test_runs_with_what_is_installed(tmp_path):
    out = tmp_path / "peers.json"
    command = [sys.executable, "-m", "bench.run.peers", "--fast", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    installed = {name for name, module in MODULES.items() if is_installed(module)}
    steps = [case for case in results["cases"] if case["family"] == "step"]
    assert [set(case["ratios"]) for case in steps] == [installed | {"numpy"}] * 2
    assert {name for name in results["missing"] if name in MODULES} == set(MODULES) - installed
    for name in set(MODULES) - installed:
        assert f"No {name}: not installed" in done.stdout
    assert len(results["cases"]) == 2 + len(TORCH)
    printed = peers_text([results])
    for case in results["cases"]:
        assert f"| {case['name']} | {case['shape']} | {results['machine']['isa']} | " in printed
    again = [*command[:-1], "-k", "kernel-relu-", str(out)]
    done = subprocess.run(again, cwd=ROOT, check=True, capture_output=True, text=True, timeout=100)
    changed = results["machine"]["commit"].endswith("+")  # results of uncommitted code are measured again
    assert done.stdout.count("kernel-relu-") == changed


def test_slower_kernels_are_named():
    def text_of(*lower):
        cases = [{"family": "kernel", "name": "relu", "shape": "2x2", "ratios": {"PyTorch": [q, 1, 1]}} for q in lower]
        return slower_text([({"isa": "avx2"}, cases)])

    assert text_of(0.97, 2).endswith(": none.")
    assert text_of(0.96, 2).endswith(": relu at 2x2 and avx2 (0.96).")


@pytest.mark.parametrize("config", NETS, ids=lambda config: config.name)
def test_losses_of_numpy_agree(config):
    assert peer_cases.check_losses(config, "numpy", numpy_by_hand.make_steps) <= peer_cases.TOLERANCE


def test_another_net_is_noticed():
    config = NETS[0]

    def other(config, net, *rest):
        return numpy_by_hand.make_steps(config, replace(config, activation="relu").native("float32"), *rest)

    with pytest.raises(AssertionError, match="losses"):
        peer_cases.check_losses(config, "numpy", other)


def test_another_learning_rate_is_noticed():
    def other(config, net, X, y, order, steps):
        copy = numpy_by_hand.copy_of(net)
        copy.optimizer.lr = 1.01 * LR
        return numpy_by_hand.steps_of(config, copy, X, y, order, steps)

    with pytest.raises(AssertionError, match="losses"):
        peer_cases.check_losses(NETS[1], "numpy", other)
