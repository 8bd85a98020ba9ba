"""Faults change what they name, cases are what their seeds say, and the command measures and counts right."""

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")

from bench.diagnosis import gains, verdicts
from bench.diagnosis.base import draw, is_healthy
from bench.diagnosis.faults import FAULTS, KINDS, plant
from bench.diagnosis.measure import measured
from bench.diagnosis.published import PUBLISHED, published_cases
from bench.diagnosis.selection import CASES, LEAST, counts, faulty_cases, select
from bench.diagnosis.tasks import TASKS, make_data
from bench.diagnosis.training import Training, changed, figure_of
from bench.lib.machine import ROOT
from bench.lib.tables.diagnosis import diagnosis_text
from fastnn import diagnosis, optim

SHORT = {"epochs": 1}


def report_of(*kinds, severity="warning", setup=None):
    """Return a report that finds these kinds."""
    findings = [SimpleNamespace(kind=kind, severity=severity, can_apply=False) for kind in kinds]
    return SimpleNamespace(findings=tuple(findings), setup=setup)


def same(one, other):
    if one is None or other is None:
        return one is other
    return np.array_equal(np.asarray(one, float), np.asarray(other, float), equal_nan=True)


def differing(one, other):
    """Return the names of the attributes in which two trainings differ."""
    names = [field.name for field in dataclasses.fields(Training)]
    return {name for name in names if name != "data" and getattr(one, name) != getattr(other, name)} | {
        f"data.{field.name}"
        for field in dataclasses.fields(one.data)
        if not same(getattr(one.data, field.name), getattr(other.data, field.name))
    }


@pytest.mark.parametrize("task", TASKS)
def test_tasks(task):
    data = make_data(task, np.random.default_rng(0), 200)
    again = make_data(task, np.random.default_rng(0), 200)
    assert np.array_equal(data.X, again.X) and np.array_equal(data.y_held, again.y_held)
    assert len(data.X) == len(data.y) <= 200 and min(len(data.X_val), len(data.X_held)) >= 25
    if data.classes:
        assert set(data.y) <= set(range(data.classes)) and set(data.y_held) == set(range(data.classes))


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name):
    """A fault is a kind of the package, differs from the undone training, and is the same at each call."""
    case, again = plant(name, 1), plant(name, 1)
    assert set(case.kinds) <= set(diagnosis.KINDS)
    different = differing(case.faulty, case.undone)
    assert different and not differing(case.faulty, again.faulty)
    # Rows held out are judged by right targets, unless all targets have another unit.
    assert case.faulty.data.X_held.shape == case.undone.data.X_held.shape
    assert ("data.y_held" in different) <= (case.kinds[0] in ("target-scale", "loss"))
    changed(case.faulty, **SHORT).fitted(0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name):
    case = next(case for case in published_cases() if case.name == name)
    assert set(case.kinds) | set(case.allowed) <= set(diagnosis.KINDS)
    assert (case.undone is None) == (not case.kinds)
    assert case.undone is None or differing(case.faulty, case.undone)
    changed(case.faulty, **SHORT).fitted(0)


def test_chosen_cases():
    chosen = json.loads(CASES.read_text())
    kinds = [record["kind"] for record in chosen["faulty"]]
    assert len(kinds) == len(chosen["healthy"]) == 200 and set(kinds) == set(KINDS)
    assert max(map(kinds.count, KINDS)) - min(map(kinds.count, KINDS)) <= 1
    assert [case.kinds[0] for case in faulty_cases(30)] == kinds[:30]
    for record in chosen["faulty"]:
        (before, spread), (after, other) = record["before"], record["after"]
        assert after - before > max(spread, other, LEAST) - 2e-4  # the records are rounded


def test_a_chosen_case_counts():
    case, record = faulty_cases(1)[0], json.loads(CASES.read_text())["faulty"][0]
    before, after = case.faulty.figures(range(5)), case.undone.figures(range(5))
    assert counts(before, after) and not counts(after, before) and not counts(before, before)
    assert before.mean() == pytest.approx(record["before"][0], abs=0.1)


def test_selection():
    choice = select(1, 0, 1, first=1)
    (record,) = choice["faulty"]
    assert not choice["healthy"] and record["kind"] == KINDS[0] and record["seed"] >= 1
    assert record["after"][0] - record["before"][0] > LEAST


def test_healthy():
    training = draw(np.random.default_rng(0), tasks=["moons"], depth=(1, 1), widths=[32], activations=["tanh"])
    training = changed(training, optimizer=optim.Adam(lr=1e-2), epochs=60, batch_size=32)
    assert is_healthy(training, range(2))[0]
    assert not is_healthy(changed(training, optimizer=optim.Adam(lr=3e-4)), range(2))[0]


def test_figures():
    training = draw(np.random.default_rng(0), tasks=["teacher"])
    net = SimpleNamespace(predict=lambda X: np.asarray(X)[:, :1])
    trainer, y = SimpleNamespace(net=net, loss=None), np.arange(4.0)
    assert figure_of(trainer, y[:, None], y, 0) == 1
    assert figure_of(trainer, 0 * y[:, None] + y.mean(), y, 0) == 0
    assert figure_of(trainer, 100 * y[:, None], y, 0) == figure_of(trainer, np.nan * y[:, None], y, 0) == -1
    assert figure_of(trainer, np.array([[0.2], [1.4], [9.0]]), np.array([0, 1, 2]), 3) == 1
    assert figure_of(trainer, np.zeros((4, 1)), np.array([0, 0, 0, 1]), 2) == 0.75
    assert figure_of(trainer, np.zeros((4, 1)), np.array([0, 0, 0, 1]), 2, balanced=True) == 0.5
    assert -1 <= changed(training, **SHORT).figure(0) <= 1


def test_records():
    case = dataclasses.replace(plant("a low rate", 0), fitted=True)
    case = dataclasses.replace(case, faulty=changed(case.faulty, **SHORT))

    def diagnose(trainer, X, y, *, epochs, batch_size, seed, validation_data=None):
        assert trainer.epoch == epochs == 1 and X is case.faulty.data.X
        return report_of("epochs", "learning-rate-low")

    record, _ = measured(case, diagnose)
    assert record["findings"] == [["epochs", "warning"], ["learning-rate-low", "warning"]] and "error" not in record
    assert not verdicts.named_first(record) and verdicts.named_second(record)

    def vandal(trainer, X, y, **arguments):
        trainer.net[0].weight[...] = 0
        return report_of()

    assert measured(case, vandal)[0]["error"] == "the net was changed"
    record, report = measured(case, lambda *args, **arguments: 1 / 0)
    assert record["error"].startswith("ZeroDivisionError") and report is None


def record(*findings, kinds=("linear",), **rest):
    return {"name": "a", "kinds": list(kinds), "findings": [list(each) for each in findings], **rest}


def test_verdicts():
    first, second = ("linear", "warning"), ("epochs", "note")
    faulty = [record(first, second, seconds=0.1, epoch=0.01), record(second, first, seconds=9.0, epoch=0.01), record()]
    healthy = [record(second, kinds=()), record(first, kinds=()), record(first, kinds=(), allowed=["linear"])]
    published = [record(first), record(second, **{"helps as much": [["epochs", [1, 0]]]}), record(second)]
    shares = verdicts.summary({"faulty": faulty, "healthy": healthy, "published": published})
    assert shares["first"] == shares["first, by the planted kind"] == pytest.approx(1 / 3, abs=1e-3)
    quiet = verdicts.summary({"faulty": [record(("linear", "note")), record(first)]})
    assert quiet["first two"] == 1 and quiet["first two, above a note"] == 0.5
    assert shares["first two"] == shares["healthy"] == shares["published"] == pytest.approx(2 / 3, abs=1e-3)
    assert shares["in time"] == 0.5 and shares["failed"] == 0 and shares["proof"] is shares["controls"] is None
    assert verdicts.summary({"faulty": [record(error="x")]})["failed"] == 1


def test_tables():
    machine = dict.fromkeys(
        ("processor", "isa", "fastnn", "commit", "compiler", "python", "numpy", "blas", "date"), "x"
    )
    faulty = [record(("linear", "warning"), seconds=0.1, epoch=0.01), record(("units", "note"), kinds=("epochs",))]
    published = [record(("linear", "error"), before=[0.1, 0], after=[0.9, 0]), record(kinds=(), before=[0.5, 0])]
    published.append(record(("epochs", "note"), **{"helps as much": [["epochs and units", [0.9, 0]]]}))
    results = {"machine": {**machine, "threads": 1}, "jobs": 1, "faulty": faulty, "healthy": [record(kinds=())]}
    text = diagnosis_text({**results, "published": published})
    assert "| planted fault named first | 50.0 % | 2 | 85 % |" in text
    assert "| `epochs` | 1 | 0 | 0 |  | `units` 1 |" in text and "of 1 healthy nets: nothing." in text
    assert "| a | `linear` | 0.100 | 0.900 | `linear` |  | yes |" in text
    assert "| a | `linear` |  |  | `epochs` | `epochs` and `units` 0.900 | yes |" in text
    assert "| a | none | 0.500 |  | nothing |  | yes |" in text
    assert "10 epochs in the median" in text and "0.2 s" in text
    assert "0.2 s" not in diagnosis_text({**results, "jobs": 2})  # two processes disturb each other


def test_gains():
    """Changes are applied one after another and judged on rows held out."""
    case = plant("a low rate", 0)
    low, right = changed(case.faulty, epochs=3), changed(case.undone, epochs=3)

    class Setup:
        def __init__(self, training):
            self.training = training

        def fit(self, seed):
            return SimpleNamespace(trainer=self.training.fitted(seed))

    better = SimpleNamespace(
        kind="learning-rate-low", severity="warning", can_apply=True, apply=lambda setup: Setup(right)
    )
    report = SimpleNamespace(findings=(better,), setup=Setup(low))
    figures = gains.apply_and_score(report, [better], right.data, (1, 2))
    assert list(figures) == list(right.figures((1, 2)))
    assert list(gains.apply_and_score(report, [], low.data, (1,))) == list(low.figures((1,)))
    case = dataclasses.replace(case, faulty=low, undone=right, fitted=False)
    proved = gains.proof(case, lambda *args, **arguments: report)
    assert proved["improved"] and proved["before"][0] < proved["after"][0]
    shown = gains.published(case, lambda *args, **arguments: report)
    assert shown["counts"] and shown["helps as much"] == [["learning-rate-low", shown["after"]]]


def test_command(tmp_path):
    out = tmp_path / "diagnosis.json"
    command = [sys.executable, "-m", "bench.run.diagnosis", "--faulty", "2", "--healthy", "1", "--proof", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert [each["name"] for each in results["faulty"]] == [case.name for case in faulty_cases(2)]
    assert len(results["healthy"]) == 1 and all("improved" in each for each in results["faulty"])
    assert "planted fault named first" in done.stdout
