"""The comparison with other libraries runs with what is installed, and notices where a peer does other work."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import peer_cases
import pytest
from cases import NETS
from report import peers_text, slower_text

MODULES = {"scikit-learn": "sklearn", "PyTorch": "torch", "JAX": "jax"}


def test_runs_with_what_is_installed(tmp_path):
    out = tmp_path / "peers.json"
    command = [sys.executable, str(Path(peer_cases.__file__).with_name("peers.py")), "--fast", str(out)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    installed = {name for name, module in MODULES.items() if importlib.util.find_spec(module)}
    steps = [case for case in results["cases"] if case["family"] == "step"]
    assert [set(case["ratios"]) for case in steps] == [installed | {"numpy"}] * 2
    assert {name for name in results["missing"] if name in MODULES} == set(MODULES) - installed
    for name in set(MODULES) - installed:
        assert f"No {name}: not installed" in done.stdout
    assert len(results["cases"]) == 2 + len(peer_cases.TORCH)
    printed = peers_text([results])
    for case in results["cases"]:
        assert f"| {case['name']} | {case['shape']} | {results['machine']['isa']} | " in printed
    again = [*command[:2], "--fast", "-k", "kernel-relu-", str(out)]
    done = subprocess.run(again, check=True, capture_output=True, text=True, timeout=100)
    changed = results["machine"]["commit"].endswith("+")  # of code that is committed, what is measured is kept
    assert done.stdout.count("kernel-relu-") == changed


def test_slower_kernels_are_told():
    def told(*lower):
        cases = [{"family": "kernel", "name": "relu", "shape": "2x2", "ratios": {"PyTorch": [q, 1, 1]}} for q in lower]
        return slower_text([({"isa": "avx2"}, cases)])

    assert told(0.97, 2).endswith(": none.")
    assert told(0.96, 2).endswith(": relu at 2x2 and avx2 (0.96).")


@pytest.mark.parametrize("config", NETS, ids=lambda config: config.name)
def test_losses_of_numpy_agree(config):
    assert peer_cases.check(config, "numpy", peer_cases.numpy) <= peer_cases.TOLERANCE


def test_another_net_is_noticed():
    config = NETS[0]

    def other(config, net, *rest):
        return peer_cases.numpy(config, replace(config, activation="relu").native("float32"), *rest)

    with pytest.raises(AssertionError, match="losses"):
        peer_cases.check(config, "numpy", other)


def test_another_learning_rate_is_noticed():
    def other(config, net, X, y, order, steps):
        hand = config.by_hand(net)
        hand.optimizer.lr = 1.01 * peer_cases.LR
        return peer_cases.numpy_steps(config, hand, X, y, order, steps)

    with pytest.raises(AssertionError, match="losses"):
        peer_cases.check(NETS[1], "numpy", other)
