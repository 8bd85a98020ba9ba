"""Each variant differs from the net as it is in what its name says, and the command runs."""

import collections
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from bench.lib.machine import ROOT
from bench.lib.nets import NETS, native_steps
from bench.run.variants import STEPS, VARIED, cases, prepared, step_functions, variants
from fastnn.data import Scaler

MNIST = dataclasses.replace(next(net for net in NETS if net.name == "mnist"), rows=32 * 128)


@pytest.mark.parametrize("name", variants())
def test_steps_of_a_variant(name):
    functions = step_functions(MNIST, name)
    plain, varied = functions["native"](), functions[VARIED]()
    assert plain.done == varied.done == STEPS
    # What changes the rows changes the loss; what changes the backward pass and the update does not, at rate 0.
    changes_rows = any(word in name for word in ("scaler", "noise", "shift", "mixup"))
    assert (plain.loss != varied.loss) == changes_rows


# The kinds of ops that a variant has more than the net as it is, or fewer.
CHANGED = {
    "noise": {"add_noise": 1},
    "shift": {"shift_images": 1},
    "noise and shift": {"add_noise": 1, "shift_images": 1},
    "mixup": {"mixup": 1, "one_hot": 1},
    "first layer frozen": {"dense_grad_input": -1, "dense_grad_weight": -1},
    "accumulate=4": {"add_gradients": 1, "mean_gradients": 1, "update": 1},
    "EMA": {"average": 1},
}


@pytest.mark.parametrize("name", CHANGED)
def test_ops_of_a_variant(name):
    _, change, settings, augment = variants()[name]
    kinds = []
    for given in ((None, {}, ()), (change, settings, augment)):
        program = prepared(MNIST, np.zeros((1, 784)), *given)[1].program
        kinds.append(collections.Counter(op.kind for ops in program.sections.values() for op in ops))
    kinds[1].subtract(kinds[0])
    assert {kind: n for kind, n in kinds[1].items() if n} == CHANGED[name]


def test_the_scaler_is_that_of_the_rows():
    _, y, order = MNIST.data("float32")
    X = np.random.default_rng(0).integers(0, 4, (len(y), MNIST.sizes[0]), np.uint8)
    scaler = Scaler.fit(X)
    rows = ((X - scaler.center) * scaler.scale).astype("float32")
    first = native_steps(MNIST, MNIST.native("float32"), rows, y, order, 1)()
    result = step_functions(MNIST, "scaler, uint8")[VARIED]()
    assert result.loss / result.weight == pytest.approx(first, rel=0.1)


def test_runs(tmp_path):
    out = tmp_path / "variants.json"
    command = [sys.executable, "-m", "bench.run.variants", "--fast", "-k", "scaler", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    records = json.loads(out.read_text())["cases"]
    assert (
        [record["name"] for record in records] == ["scaler", "scaler, uint8"] == [case.name for case in cases("scal")]
    )
    assert all(record["ratios"][VARIED][0] > 0 for record in records)
    assert done.stdout.count("| scaler") == 2
