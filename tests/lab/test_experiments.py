"""What the experiments claim holds, and would not be claimed of the opposite outcome."""

import importlib

import pytest
from lab.plants import plants_of

from fastnn import lab
from fastnn.lab._experiment import Experiment

pytest.importorskip("sklearn", reason="scikit-learn, whose data the experiments use, is not installed")

NAMES = lab.names()
QUICK = {"differences", "linear-layers", "nested-sigmoid", "numpy-axes"}  # of `make test`
assert set(NAMES) >= QUICK
RUNS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]


def module_of(name):
    return importlib.import_module(f"fastnn.lab.experiments.{name.replace('-', '_')}")


@pytest.mark.parametrize("name", RUNS)
def test_claims_hold(name):
    result = lab.experiment(name).run()
    assert result.holds, str(result)


@pytest.mark.parametrize("name", RUNS)
def test_the_opposite_outcome_is_noticed(name):
    """Under each change the verdict is negative, and each claim fails under one of them."""
    unnoticed = {claim.text for claim in lab.experiment(name).claims}
    for plant in plants_of(name):
        with pytest.MonkeyPatch.context() as monkeypatch:
            module = module_of(name)
            plant(module, monkeypatch)
            result = Experiment.of(module).run(seeds=1)
        failed = {text for holds, text, _ in result.verdicts if not holds}
        assert failed, f"{plant.__name__} changes nothing:\n{result}"
        unnoticed -= failed
    assert not unnoticed


@pytest.mark.parametrize("name", NAMES)
def test_texts(name):
    found = lab.experiment(name)
    assert found.title
    assert len(found.title) < 90
    sections = list(found.text)
    required = ["What the post says", "Formula", "What to look at", "What to try"]
    assert [each for each in sections if each in required] == required
    assert set(sections) <= {*required, "Where the post errs"}
    assert all(found.text.values())
    assert found.post in lab.POSTS
    assert found.question in lab.QUESTIONS
    assert found.claims
    assert len({claim.text for claim in found.claims}) == len(found.claims)
    for twin in found.twins:
        importlib.import_module("fastnn.reference").__getattribute__(twin)
