"""`fastnn.diagnose`: what a report is, what it costs, and what stays as it is."""

from dataclasses import replace

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis import KINDS, Setup
from fastnn.diagnosis._findings import SEVERITIES, Gain, shown
from fastnn.diagnosis._ranking import FOLLOWS

ROWS = 300


@pytest.fixture(scope="module")
def xor():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 2)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def net_of(*hidden, activation=nn.ReLU, seed=0, dtype="float32"):
    layers, width = [], 2
    for each in hidden:
        layers += [nn.Dense(width, each), activation()]
        width = each
    return nn.Sequential(*layers, nn.Dense(width, 2), seed=seed, dtype=dtype)


FIT = {"epochs": 20, "batch_size": 16}


def everything(trainer):
    net = trainer.net
    return (
        net.params.data.tobytes(), net.state.data.tobytes(), net.training_steps, trainer.step_count, trainer.epoch,
        trainer.lr, trainer.optimizer, trainer.loss, net.scaler, net.output_scaler, net.frozen,
        [each.tobytes() for each in trainer.slots()], [dict(each) for each in trainer.history.epochs],
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("prove", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_trainer_stays_as_it_is(xor, backend, prove):
    X, y = xor
    with fastnn.backend(backend):
        trainer, twin = (fastnn.Trainer(net_of(8), optimizer=optim.Adam(lr=1e-4)) for _ in range(2))
        for each in (trainer, twin):
            each.fit(X, y, epochs=2, batch_size=64, verbose=0)
        before = everything(trainer)
        report = fastnn.diagnose(trainer, X, y, prove=prove)
        assert everything(trainer) == before
        assert report.setup.epochs == 2
        assert report.setup.batch_size == 64
        for each in (trainer, twin):
            each.fit(X, y, epochs=2, batch_size=64, verbose=0)
    assert trainer.net.params.data.tobytes() == twin.net.params.data.tobytes()
    assert [each["loss"] for each in trainer.history.epochs] == [each["loss"] for each in twin.history.epochs]


def test_equal_arguments_give_equal_reports(xor):
    X, y = xor
    reports = [fastnn.diagnose(net_of(8), X * [1, 1000], y, **FIT) for _ in range(2)]
    assert str(reports[0]) == str(reports[1])
    assert reports[0] == reports[1]


def test_report(xor):
    X, y = xor
    report = fastnn.diagnose(net_of(8), X * [1, 1000], y, **FIT)
    first = report.findings[0]
    assert (first.kind, first.severity) == ("input-scale", "error")
    assert first.gain.helps
    assert first.gain.after > first.gain.before + 0.1
    assert first.gain.rows == report.rows == ROWS // 4
    assert report.kinds == tuple(each.kind for each in report.findings)
    assert not report.healthy
    text = str(report)
    for part in (
        first.why,
        first.change,
        "accuracy",
        "1. error: input-scale",
        "evidence",
        f"{report.rows} rows held out",
    ):
        assert part in text
    severities = [each.severity == "note" for each in report.findings]
    assert severities == sorted(severities), "notes are last"
    assert {each.severity for each in report.findings} <= set(SEVERITIES)
    assert set(report.kinds) <= set(KINDS)
    assert len(set(report.kinds)) == len(report.kinds), "one finding of each kind"


def test_change_is_code_that_does_what_apply_does(xor):
    X, y = xor
    X = X * np.float32([1, 1000])
    net = net_of(8)
    finding = fastnn.diagnose(net, X, y, **FIT).findings[0]
    exec(finding.change, {"net": net, "fastnn": fastnn, "X": X})  # noqa: S102 - it is the code of the report
    setup = Setup.of(fastnn.Trainer(net_of(8)), X, y, **FIT)
    assert finding.can_apply
    assert finding.apply(setup).net.scaler == net.scaler
    assert setup.net.scaler is None, "a setup stays as it is"


def test_a_healthy_net_has_only_notes(xor):
    X, y = xor
    trainer = fastnn.Trainer(net_of(32, 32), optimizer=optim.Adam(lr=3e-3))
    report = fastnn.diagnose(trainer, X, y, epochs=60, batch_size=32)
    assert report.healthy
    assert report.kinds == ("validation",)
    trainer.fit(X[:200], y[:200], epochs=60, batch_size=32, validation_data=(X[200:], y[200:]), verbose=0)
    report = fastnn.diagnose(trainer, X[:200], y[:200], validation_data=(X[200:], y[200:]))
    assert report.findings == ()
    assert report.rows == 100
    assert "No fault found." in str(report)
    assert report.now == report.before, "the same training"


def test_validation_data_are_the_rows_held_out(xor):
    X, y = xor
    wrong = fastnn.diagnose(net_of(16), X, y, validation_data=(X[:50], 1 - y[:50]), epochs=60, batch_size=16)
    right = fastnn.diagnose(net_of(16), X, y, validation_data=(X[:50], y[:50]), epochs=60, batch_size=16)
    assert wrong.before < 0.2
    assert right.before > 0.8
    assert wrong.rows == right.rows == 50


@pytest.mark.slow
def test_proof(xor):
    X, y = xor
    trainer = fastnn.Trainer(net_of(16), optimizer=optim.Adam(lr=1e-5))
    report = fastnn.diagnose(trainer, X, y, prove=True, **FIT)
    first = report.findings[0]
    assert report.proved
    assert first.kind == "learning-rate-low"
    assert first.gain.seeds == 3
    assert "3 seeds" in str(first)
    for each in report.findings:  # what does not help is not recommended
        assert each.gain is None or each.gain.helps or each.severity == "note"
    better = first.apply(report.setup).fit(5)
    worse = report.setup.fit(5)
    assert better.trainer.evaluate(X, y)["accuracy"] > worse.trainer.evaluate(X, y)["accuracy"] + 0.1


def test_two_faults_that_help_only_together():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 3)) * [1.0, 300.0, 1e-3]
    y = 1000.0 * (X[:, 0] * X[:, 1] / 300.0) + 50_000
    net = nn.Sequential(nn.Dense(3, 16), nn.ReLU(), nn.Dense(16, 1), seed=0)
    report = fastnn.diagnose(net, X, y, loss="mse", epochs=60, batch_size=32)
    assert {"input-scale", "target-scale"} <= set(report.kinds[:2])


@pytest.mark.parametrize("validated", [False, True])
def test_rows_sorted_by_class(validated):
    """Where some of many rows are enough, they are drawn at random."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 5000)
    X = rng.normal(size=(len(y), 2)).astype(np.float32) + 4 * np.c_[y % 2, y // 2] - 2
    net = nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, 4), seed=0)
    data = {"validation_data": (X[1::4], y[1::4])} if validated else {}
    report = fastnn.diagnose(net, X[::4] if validated else X, y[::4] if validated else y, batch_size=64, **data)
    assert report.healthy
    assert report.before > 0.9
    assert report.rows == 3000


def test_more_time_for_more_data(xor):
    X, y = xor
    large = np.tile(X, (200, 1)), np.tile(y, 200)
    report = fastnn.diagnose(net_of(64, 64), *large, epochs=50, batch_size=64)
    assert report.epochs <= 3, "not more than the epochs that it may take"


def test_the_last_fit_is_remembered(xor):
    X, y = xor
    trainer = fastnn.Trainer(net_of(8))
    trainer.fit(X, y, epochs=3, batch_size=50, shuffle=False, augment="gaussian_noise", verbose=0)
    setup = fastnn.diagnose(trainer, X, y).setup
    assert (setup.epochs, setup.batch_size, setup.shuffle) == (3, 50, False)
    assert len(setup.augment) == 1
    setup = fastnn.diagnose(trainer, X, y, epochs=4, batch_size=20).setup
    assert (setup.epochs, setup.batch_size, setup.shuffle) == (4, 20, False)


def test_values_set_by_hand_are_kept(xor):
    X, y = xor
    net = net_of(16)
    net[0].weight[...] = 0.1
    report = fastnn.diagnose(net, X, y, **FIT)
    assert "symmetry" in report.kinds
    assert not report.setup.draws
    assert (report.setup.fit(3).trainer.net.seed, report.setup.trainer().net.seed) == (3, 0)
    assert (report.setup.trainer(7).net[0].weight == np.float32(0.1)).all()


def test_gains():
    gain = Gain("accuracy", 0.5, 0.8, 0.1, 100, 1, 0.4)
    assert gain.helps
    assert not replace(gain, errors_needed=4.0).helps
    assert not replace(gain, least=0.4).helps
    assert not Gain("accuracy", 0.2, 0.41, 0.01, 100, 1, 0.4).helps, "no better than guessing"
    assert not Gain("R2", 0.5, 0.505, 0.0, 100, 1, 0.0).helps, "too little"
    assert str(gain) == "accuracy 0.500 -> 0.800 (+- 0.100) on 100 rows held out"
    assert str(replace(gain, before=-1.0, seeds=2, together=("units",))) == (
        "accuracy below -1 -> 0.800 (+- 0.100) on 100 rows held out, 2 seeds, together with units"
    )


def test_tables_agree():
    assert set(FOLLOWS) <= set(KINDS)
    assert {cause for causes in FOLLOWS.values() for cause in causes} <= set(KINDS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.123"),
        ([1, 2.0], "[1, 2]"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, ...]"),
        ("a", "a"),
        ({"0": 0.12345, "2": 1}, "0: 0.123, 2: 1"),
    ],
)
def test_shown_evidence(value, text):
    assert shown(value) == text
