"""The trainings on images run, each with the settings that its name says."""

import json
import subprocess
import sys

import pytest

from bench.lib.machine import ROOT
from bench.run.images import SEEDS, ways
from fastnn import data, demo, optim


def test_settings():
    for name, (settings, fit) in ways().items():
        kinds = [type(each) for each in fit.get("augment", ())] + [type(each) for each in settings.values()]
        wanted = {"shift": data.RandomShift, "mixup": data.Mixup, "EMA": optim.EMA, "SWA": optim.SWA}
        assert {kind for word, kind in wanted.items() if word in name} == set(kinds) - {data.RandomFlip}


@pytest.mark.skipif(not all(demo.find(demo.DEBIAN, name) for name in demo.FILES), reason="needs Fashion-MNIST")
def test_runs(tmp_path):
    out = tmp_path / "images.json"
    command = [sys.executable, "-m", "bench.run.images", "--fast", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    cases = json.loads(out.read_text())["cases"]
    assert [case["name"] for case in cases] == list(ways())
    assert all(len(case["accuracy"]) == len(SEEDS) and max(case["accuracy"]) > 0.1 for case in cases)
