"""The progress of fits: one bar over the epochs, one more over the batches of long epochs; lines without tqdm."""

import importlib
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.training import ProgressBar, _progress

KINDS = ["bar", "lines"]


class Clock:
    """The time of the progress; the step of each epoch takes `step` seconds."""

    def __init__(self):
        self.now = self.step = 0.0

    def perf_counter(self):
        return self.now


class Takes(fastnn.Callback):
    """Lets time pass, before the bar looks."""

    observes = "epoch"

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def on_progress(self, trainer, logs):
        self.clock.now += self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_progress, "time", clock)
    return clock


@pytest.fixture
def shown(capsys):
    """Return a function that gives what a kind of progress has shown since its last call, as a list of states."""

    def states(kind):
        lines, bar = capsys.readouterr()
        text, other = (bar, lines) if kind == "bar" else (lines, bar)
        assert other == ""
        return [state for state in re.split(r"[\r\n]+|\x1b\[A", text) if state.strip()]

    return states


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """Run the test with tqdm and without."""
    if request.param == "bar":
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setattr(_progress, "has_tqdm", lambda: False)
    return request.param


def trainer_of(optimizer=optim.Adam(1e-2)):  # noqa: B008 - it is frozen
    return fastnn.Trainer(nn.Sequential(nn.Dense(3, 4), nn.Tanh(), nn.Dense(4, 2), seed=0), optimizer=optimizer)


def data(n=64):
    X = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return X, (X.sum(axis=1) > 0).astype(int)


def fit(trainer=None, epochs=3, callbacks=(), **settings):
    trainer = trainer or trainer_of()
    trainer.fit(*data(), epochs=epochs, callbacks=callbacks, verbose=1, **settings)
    return trainer


def epochs_of(states):
    """Return the numbers of epochs that the states show."""
    numbers = (re.search(r"epoch (\d+)/|epochs: .*\| (\d+)/", state) for state in states)
    return [int(number[1] or number[2]) for number in numbers if number]


def test_the_last_epoch_is_shown_with_its_figures(impl, kind, shown):
    trainer = fit(validation_data=data(), metrics={"rows": lambda y, z: len(y)})
    last, states = trainer.history.epochs[-1], shown(kind)
    assert epochs_of(states)[-1] == 3
    for key in ("loss", "val_loss", "val_accuracy", "val_rows"):
        assert f"{key}={last[key]:.4g}" in states[-1]
    assert "lr=" not in states[-1]
    assert ("3/3" in states[-1]) and (kind == "lines" or "100%" in states[-1])


@pytest.mark.parametrize(("seconds", "bar", "lines"), [(0.0, 1, 1), (0.051, 50, 5), (0.41, 100, 34), (0.99, 100, 50)])
def test_short_epochs_are_not_all_shown(clock, kind, shown, seconds, bar, lines):
    fit(epochs=100, callbacks=[Takes(clock, seconds)])
    numbers = epochs_of(shown(kind))
    while kind == "bar" and numbers[0] == 0:
        del numbers[0]
    assert len(set(numbers)) == {"bar": bar, "lines": lines}[kind]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 100
    assert not any("batch" in state for state in shown(kind))


def test_long_epochs_have_a_bar_of_batches(clock, kind, shown, monkeypatch):
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.0)
    fit(epochs=3, batch_size=4, callbacks=[Takes(clock, 0.07)])  # 16 batches an epoch, each a slice
    states = shown(kind)
    if kind == "lines":
        assert epochs_of(states) == [1, 2, 3]
        return
    batches = [re.search(r"epoch (\d)/3: .*\| (\d+)/16 ", state) for state in states]
    batches = [tuple(map(int, each.groups())) for each in batches if each]
    of_epoch = [[batch for epoch, batch in batches if epoch == each and batch] for each in (1, 2, 3)]
    assert of_epoch[0][0] == 15  # the first epoch has lasted for a second
    assert of_epoch[1] == of_epoch[2] == [2, 4, 6, 8, 10, 12, 14, 16]  # at most ten a second
    assert epochs_of([state for state in states if "epochs:" in state]) == [0, 1, 2, 3, 3]
    assert "epochs: 100%" in states[-1]
    assert "batch" not in states[-1]


class Stop(fastnn.Callback):
    def on_epoch_end(self, trainer, logs):
        if trainer.epoch == 2:
            trainer.stop()


class Fail(fastnn.Callback):
    def __init__(self, error):
        self.error = error

    def on_progress(self, trainer, logs):
        if trainer.epoch == 2:
            raise self.error


@pytest.mark.parametrize("error", [None, KeyError("mine"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("long", [False, True])
def test_a_fit_that_ends_early_shows_where(impl, clock, kind, shown, error, long):
    trainer, end = trainer_of(), Fail(error) if error else Stop()
    callbacks = [Takes(clock, 2.0 if long else 0.0), end]
    for _ in range(2):  # the second fit has bars of its own
        if error is None:
            fit(trainer, 9, callbacks)
        else:
            with pytest.raises(type(error)):
                fit(trainer, 9, callbacks)
        states = shown(kind)
        if trainer.history.epochs:
            assert epochs_of(states)[-1] == 2
            assert f"loss={trainer.history['loss'][-1]:.4g}" in states[-1]
        trainer.epoch = 0
    if kind == "bar":
        assert not list(sys.modules["tqdm"].tqdm._instances)  # all are closed


def test_a_fit_that_fails_in_its_first_epoch(kind, shown):
    with pytest.raises(KeyError):
        fit(callbacks=[type("Raise", (fastnn.Callback,), {"on_epoch_begin": lambda *_: {}["mine"]})()])
    assert set(epochs_of(shown(kind))) == ({0} if kind == "bar" else set())


def test_one_object_for_two_fits(kind, shown):
    bar, trainer = ProgressBar(2), trainer_of()
    for _ in range(2):
        trainer.fit(*data(), epochs=2, callbacks=[bar], verbose=0)
        assert epochs_of(shown(kind))[-1] == 2
        assert bar._bar is bar._batch_bar is None


@pytest.mark.parametrize("optimizer", [optim.Adam(), optim.Newton()])
def test_progress_changes_no_weight(kind, shown, optimizer):
    y = data()[0][:, :2]
    nets = []
    for verbose in (0, 1):
        trainer = fastnn.Trainer(nn.Sequential(nn.Dense(3, 2), seed=0), "mean_squared_error", optimizer)
        trainer.fit(data()[0], y, epochs=3, verbose=verbose)
        nets.append(trainer.net)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    assert epochs_of(shown(kind))[-1] == 3


def test_by_default_there_is_a_bar_on_a_terminal(monkeypatch, shown):
    pytest.importorskip("tqdm")
    trainer_of().fit(*data(), epochs=2)
    assert shown("bar") == []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    trainer_of().fit(*data(), epochs=2)
    assert "2/2" in shown("bar")[-1]
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=None))
    trainer_of().fit(*data(), epochs=2)
    assert shown("bar") == []
    fit(epochs=2)  # there is nothing to draw a bar on
    assert epochs_of(shown("lines")) == [2]


def test_estimators_show_the_same(kind, shown):
    pytest.importorskip("sklearn")
    sklearn = importlib.import_module("fastnn.sklearn")
    estimator = sklearn.MLPClassifier(
        (4,), max_iter=2, verbose="bar", random_state=0, early_stopping=True, validation_fraction=0.5
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        estimator.fit(*data())
    states = shown(kind)
    assert epochs_of(states)[-1] == 2
    assert f"loss={estimator.loss_:.4g}" in states[-1]
    assert "val_score=" in states[-1]
