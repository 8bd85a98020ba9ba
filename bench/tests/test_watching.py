"""The fits that are compared end with the same values, one of them is watched, and the command runs."""

import json
import subprocess
import sys

import numpy as np

from bench.lib.machine import ROOT
from bench.lib.nets import NETS
from bench.run.watching import EPOCHS, WATCHED, cases, fit_functions


def test_one_of_two_equal_fits_is_watched():
    functions = fit_functions(NETS[0], 1, 50)
    plain, watched = functions["native"](), functions[WATCHED]()
    assert plain["loss"] == watched["loss"]
    assert "1.std" not in plain
    assert np.isfinite(watched["1.std"]).all()


def test_runs(tmp_path):
    out = tmp_path / "watching.json"
    command = [sys.executable, "-m", "bench.run.watching", "--fast", "--every", "50", "-k", "tiny", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(out.read_text())["cases"]
    assert record["name"] == "tiny"
    assert record["shape"] == "10000 rows, every=50"
    assert record["ratios"][WATCHED][0] > 0
    assert "| tiny |" in done.stdout
    assert [case.name for case in cases()] == list(EPOCHS)
