"""The comparison with other libraries runs with those that are installed, and notices a peer that does other work."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bench.lib import click, peer_cases
from bench.lib.machine import ROOT
from bench.lib.nets import NETS, native_steps
from bench.lib.tables.peers import chosen_text, peers_text, slower_text
from bench.peers import CLICK, numpy_by_hand
from bench.peers.pytorch_kernels import TORCH
from bench.peers.shared import LR

NARROW = [replace(config, categories=1000, width=8, batch=128, rows=2048) for config in click.CLICK]
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


@pytest.mark.parametrize("config", NARROW, ids=lambda config: config.name)
def test_forms_of_click_through_agree(config):
    """All forms of all installed libraries have fastnn's losses, and one of each is measured."""
    missing, differences, chosen = {}, {}, {}
    functions = peer_cases.click_functions(config, missing, differences, chosen)
    measured = {name for name in CLICK if is_installed(MODULES[name])} - ({"JAX"} if config.sparse else set())
    assert set(functions) == {"native", *measured}
    assert {name.partition(", ")[0] for name in missing} == set(CLICK) - measured
    forms = [f"{library} with {form}, {config.name}" for library in measured for form in CLICK[library]]
    assert sorted(differences) == sorted(forms)
    assert {name: text.split(" with ")[0] for name, text in chosen.items()} == {
        f"{library}, {config.name}": library for library in measured
    }
    assert all(0 < function() < 2 for function in functions.values())


def test_dense_updates_in_place_of_sparse_ones_are_noticed():
    def other(config, net, *rest):
        dense = replace(config, sparse=False)
        return native_steps(dense, dense.native("float32"), *rest)

    dense, sparse = NARROW
    assert peer_cases.check_losses(dense, "fastnn", other) == 0
    with pytest.raises(AssertionError, match="losses"):
        peer_cases.check_losses(sparse, "fastnn", other)


def test_filter_of_click_through():
    """These cases, and no others, have "click" in their ids."""
    chosen = [case for case in peer_cases.cases(False, {}, {}, {}) if "click" in case.id]
    assert [(case.family, case.name) for case in chosen] == [("step", config.title) for config in click.CLICK]


def test_categories_follow_zipfs_law():
    """A head that is in many rows, and a long tail; every column has its own head."""
    config = click.CLICK[0]
    X, y, order = config.data("float32")
    numbers, ids = config.split(X)
    assert np.array_equal(np.column_stack([numbers, ids]), X)
    assert (X.shape[1], ids.min(), ids.max()) == (39, 0, config.categories - 1)
    counts = np.sort(np.bincount(ids[:, 0]))[::-1]
    harmonic = sum(1 / k for k in range(1, config.categories + 1))
    np.testing.assert_allclose(counts[:3] / len(X), 1 / harmonic / np.arange(1, 4), rtol=0.05)
    assert (counts < len(X) // 1000).sum() > 9000
    assert len({np.bincount(column).argmax() for column in ids.T}) == config.columns
    assert 0.2 < y.mean() < 0.4
    assert np.array_equal(np.sort(order), np.arange(len(X)))


def test_chosen_forms_are_named():
    def result(isa, form):
        return {"machine": {"isa": isa}, "chosen": {"JAX, click, dense": form}}

    same = chosen_text([result("avx2", "JAX with one table"), result("avx512", "JAX with one table")])
    assert same == ["Click, dense: JAX with one table."]
    different = chosen_text([result("avx2", "JAX with one table"), result("avx512", "JAX with tables")])
    assert different == ["Click, dense: at avx2 JAX with one table; at avx512 JAX with tables."]
    assert chosen_text([{"machine": {"isa": "avx2"}}]) == []
