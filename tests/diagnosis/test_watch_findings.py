"""The findings of `Watch`, and when its default looks."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis import _limits
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


def watched(net, optimizer="adam", X=X, y=Y, epochs=8, layers=None, **fit):
    watch = fastnn.Watch(every=5, layers=layers)
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
    "nonfinite": lambda **more: watched(net_of(16), optim.SGD(lr=1e30), **more),
    "input-scale": lambda **more: watched(net_of(16), X=100 * X, **more),
    "dead-units": lambda **more: watched(net_of(16, bias_init=nn.init.constant(-20.0)), **more),
    "saturation": lambda **more: watched(net_of(16, activation=nn.Tanh, init=nn.init.normal(0, 20.0)), **more),
    "vanishing-gradient": lambda **more: watched(net_of(*[16] * 8, activation=nn.Sigmoid), epochs=1, **more),
    "exploding-gradient": lambda **more: watched(
        net_of(*[16] * 8, init=nn.init.normal(0, 2.0)), optim.SGD(lr=1e-20), epochs=1, **more
    ),
    "learning-rate-high": lambda **more: watched(net_of(16), optim.Adam(lr=3.0), epochs=1, **more),
    "learning-rate-low": lambda **more: watched(net_of(16), optim.Adam(lr=1e-9), **more),
    "overfitting": lambda **more: watched(net_of(128, 128), optim.Adam(lr=1e-2), **OVERFIT, **more),
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


# ---- steps that are too large or too small ----


def kinds_of_epochs(lr, epochs=8, schedule=None):
    """Return what is found after each epoch."""
    found = []

    class Record(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            found.append([each.kind for each in watch.findings])

    watch = fastnn.Watch()
    trainer = fastnn.Trainer(net_of(16), optimizer=optim.Adam(lr=lr), schedule=schedule)
    trainer.fit(X, Y, epochs=epochs, batch_size=20, callbacks=[watch, Record()], verbose=0)
    return found


@pytest.mark.parametrize("lr", [0.3, 1.0, 3.0])
def test_large_steps_are_found_while_they_happen_and_not_for_ever(lr):
    large = ["learning-rate-high" in kinds for kinds in kinds_of_epochs(lr)]
    assert large[0]
    assert not any(large[3:])


def test_a_usual_rate_has_no_large_steps():
    assert not any("learning-rate-high" in kinds for kinds in kinds_of_epochs(0.03))


def test_steps_of_zero_at_the_end_of_a_schedule_are_not_too_small():
    found = kinds_of_epochs(0.01, 14, optim.LambdaLR(lambda step: float(step < 100)))
    assert not any("learning-rate-low" in kinds for kinds in found)


def test_steps_are_those_of_the_last_fit():
    watch, trainer = fastnn.Watch(every=5), fastnn.Trainer(net_of(16))
    found = []
    for lr in (1e-9, 1e-3, 1e-9):
        trainer.lr = lr
        trainer.fit(X, Y, epochs=2, batch_size=20, callbacks=[watch], verbose=0)
        found.append([each.kind for each in watch.findings])
    assert found == [["learning-rate-low"], [], ["learning-rate-low"]]
    (low,) = watch.findings
    figures = low.evidence["update over weights"]
    assert list(figures) == ["smallest", "largest", "last"]
    assert figures["smallest"] <= figures["last"] <= figures["largest"] < 1e-5
    assert low.evidence["observed steps"] == 8

    twin = fastnn.Watch(every=5)
    twin.on_resume(trainer, watch.on_checkpoint(trainer))
    assert str(twin.findings) == str(watch.findings)


def test_without_trained_weights_no_steps_are_small():
    net = net_of(16)
    net.freeze("*weight")
    assert watched(net, optim.Adam(lr=1e-9)).findings == ()


# ---- the others ----


@pytest.mark.parametrize("kind", ["dead-units", "saturation", "vanishing-gradient", "learning-rate-low"])
@pytest.mark.parametrize("layers", [["0"], ["1"], ["*.bias"]])
def test_layers_does_not_hide_findings(kind, layers):
    restricted, whole = FAULTY[kind](layers=layers), FAULTY[kind]()
    assert len(restricted.records[-1].layers) + len(restricted.records[-1].parameters) > 0
    assert kind in [each.kind for each in restricted.findings]
    assert str(restricted.findings) == str(whole.findings)


def test_gradients_are_those_of_dense_layers():
    (found,) = [each for each in FAULTY["vanishing-gradient"]().findings if each.kind == "vanishing-gradient"]
    sizes = found.evidence["gradient by layer"]
    assert list(sizes) == [str(2 * i) for i in range(9)]
    assert found.evidence["first over last"] == sizes["0"] / sizes["16"]


@pytest.mark.parametrize(("hidden", "expected"), [(1, []), (2, ["exploding-gradient"])])
def test_gradients_are_compared_from_three_dense_layers_on(hidden, expected):
    net = net_of(*[16] * hidden)
    net[2 * hidden].weight[...] *= 1e-3
    for i in range(1, hidden):
        net[2 * i].weight[...] *= 1e6
    found = [each.kind for each in watched(net, optim.SGD(lr=1e-20), epochs=1).findings]
    assert [kind for kind in found if "gradient" in kind] == expected


def test_a_loss_that_overflows_is_in_no_layer():
    watch, trainer = fastnn.Watch(), fastnn.Trainer(nn.Sequential(nn.Dense(4, 1), seed=0), "mean_squared_error")
    with pytest.raises(fastnn.TrainingDiverged):
        trainer.fit(X, np.full(400, 1e200), callbacks=[watch], verbose=0)
    (found,) = watch.findings
    where = "in no layer's output: in the loss or the weights"
    assert found.why == f"In epoch 1, step 1, there is NaN or infinity, {where}."
    assert found.evidence == {"epoch": 1, "step": 1}


def test_an_input_that_overflows():
    net = nn.Sequential(nn.Dense(4, 1), seed=0)
    net.scaler = fastnn.data.Scaler.fit(1e-15 * X)
    watch, trainer = fastnn.Watch(), fastnn.Trainer(net, "mean_squared_error")
    with pytest.raises(fastnn.TrainingDiverged):
        trainer.fit(1e30 * X, X[:, 0], batch_size=400, callbacks=[watch], verbose=0)
    assert ", first in the input, in row " in watch.findings[0].why


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


def test_the_page_has_the_limits_of_the_checks():
    page = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
    rows = {
        "saturated": f"`saturated` of {_limits.SATURATED:g} and more",
        "dead": f"`dead` of {_limits.DEAD:g} and more",
        "vanished": f"below {_limits.SURELY_VANISHED:g} times that of the last",
        "exploded": f"above {_limits.SURELY_EXPLODED:g} times",
        "large": f"`update` above {_limits.LARGE_UPDATE:g} in",
        "small": f"`update` below {_limits.SMALL_UPDATE:.5f} in",
        "input": f"above {_limits.LARGE_INPUT:g} or below {_limits.SMALL_INPUT:g}",
    }
    assert [name for name, text in rows.items() if text not in page] == []
