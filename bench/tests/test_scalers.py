"""The net with a scaler and the one without take the same steps on rows that are scaled, and the command runs."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.lib.machine import ROOT
from bench.lib.nets import NETS, native_steps
from bench.run.scalers import DTYPES, SCALED, STEPS, cases, step_functions
from fastnn.data import Scaler


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_net_has_a_scaler(dtype, monkeypatch):
    given = {}
    fit = Scaler.fit
    monkeypatch.setattr(Scaler, "fit", lambda X: given.setdefault("scaler", fit(given.setdefault("X", X))))
    config = NETS[0]
    functions = step_functions(config, dtype)
    X, scaler = given["X"], given["scaler"]
    assert X.dtype == dtype
    np.testing.assert_allclose(scaler.center, 1.5, atol=0.1)
    _, y, order = config.data("float32")
    for name, rows in (("native", X), (SCALED, (X - scaler.center) * scaler.scale)):
        first = native_steps(config, config.native("float32"), rows.astype("float32"), y, order, 1)()
        of_all = functions[name]()
        assert of_all.done == STEPS
        assert of_all.loss / of_all.weight == pytest.approx(first, rel=0.1)
    assert functions["native"]().loss != functions[SCALED]().loss


def test_runs(tmp_path):
    out = tmp_path / "scalers.json"
    command = [sys.executable, "-m", "bench.run.scalers", "--fast", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    records = json.loads(out.read_text())["cases"]
    assert [record["dtype"] for record in records] == list(DTYPES) == [case.dtype for case in cases()]
    assert all(record["ratios"][SCALED][0] > 0 for record in records)
    assert done.stdout.count("| mnist 784-256-128-10 relu | 128 rows | ") == len(DTYPES)
