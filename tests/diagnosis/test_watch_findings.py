"""The findings of `Watch`, and when its default looks."""

import warnings

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.training._observing import Interval

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
NOISE = RNG.integers(0, 2, 400)


def net_of(*hidden, activation=nn.ReLU, width=4, **dense):
    layers = []
    for each in hidden:
        layers += [nn.Dense(width, each, **dense), activation()]
        width = each
    return nn.Sequential(*layers, nn.Dense(width, 2), seed=0)


def watched(net, optimizer="adam", X=X, y=Y, epochs=8, **fit):
    watch = fastnn.Watch(every=5)
    trainer = fastnn.Trainer(net, optimizer=optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            trainer.fit(X, y, epochs=epochs, batch_size=20, callbacks=[watch], verbose=0, **fit)
        except fastnn.TrainingDiverged:
            assert watch.records[-1].failed
    return watch


OVERFIT = {"X": X[:100], "y": NOISE[:100], "epochs": 60, "validation_data": (X[200:], NOISE[200:])}
FAULTY = {
    "nonfinite": lambda: watched(net_of(16), optim.SGD(lr=1e30)),
    "input-scale": lambda: watched(net_of(16), X=100 * X),
    "dead-units": lambda: watched(net_of(16, bias_init=nn.init.constant(-20.0))),
    "saturation": lambda: watched(net_of(16, activation=nn.Tanh, init=nn.init.normal(0, 20.0))),
    "vanishing-gradient": lambda: watched(net_of(*[16] * 8, activation=nn.Sigmoid), epochs=1),
    "exploding-gradient": lambda: watched(
        net_of(*[16] * 8, init=nn.init.normal(0, 2.0)), optim.SGD(lr=1e-20), epochs=1
    ),
    "learning-rate-high": lambda: watched(net_of(16), optim.Adam(lr=3.0)),
    "learning-rate-low": lambda: watched(net_of(16), optim.Adam(lr=1e-9)),
    "overfitting": lambda: watched(net_of(128, 128), optim.Adam(lr=1e-2), **OVERFIT),
}


@pytest.mark.parametrize("backend", ["native", pytest.param("reference", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FAULTY)
def test_faults_are_found(kind, backend):
    with fastnn.backend(backend):
        findings = FAULTY[kind]().findings
    assert kind in [each.kind for each in findings]
    assert all(each.severity in ("warning", "error") and each.gain is None for each in findings)


def test_where_a_training_diverges():
    (first, *_) = FAULTY["nonfinite"]().findings
    assert (first.kind, first.severity) == ("nonfinite", "error")
    assert first.evidence["layer"] in ("0", "1", "2")
    assert 0 <= first.evidence["row"] < len(X)
    assert first.evidence["step"] == 2


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_a_healthy_training_has_none(activation):
    watch = watched(net_of(32, 32, activation=activation), optim.Adam(lr=3e-3), epochs=20, validation_data=(X, Y))
    assert watch.findings == ()


def test_nothing_is_found_before_a_fit():
    assert fastnn.Watch().findings == ()


def test_findings_are_printed_once(capsys):
    watch = fastnn.Watch(every=5, verbose=True)
    trainer = fastnn.Trainer(net_of(16))
    for _ in range(2):
        trainer.fit(100 * X, Y, epochs=2, batch_size=20, callbacks=[watch], verbose=0)
    assert capsys.readouterr().out.count("epoch 1: warning: input-scale\n") == 1
    assert repr(watch) == "Watch(every=5, verbose=True)"


def test_the_default_looks_early():
    watch = fastnn.Watch()
    fastnn.Trainer(net_of(4)).fit(X, Y, epochs=26, batch_size=20, callbacks=[watch], verbose=0)
    assert [each.step for each in watch.records] == [1, 2, 4, 8, 16, 32, 64, 128, 250, 500]


@pytest.mark.parametrize(
    ("interval", "updates"),
    [
        (Interval(3), [3, 6, 9, 12]),
        (Interval(1), list(range(1, 13))),
        (Interval(5, early=True), [1, 2, 4, 5, 10]),
        (Interval(4, early=True), [1, 2, 4, 8, 12]),
    ],
)
def test_intervals(interval, updates):
    assert [k for k in range(1, 13) if interval.wait(k - 1) == 0] == updates
    for count in range(10):
        assert count + interval.wait(count) + 1 == min(each for each in [*updates, 15] if each > count)
