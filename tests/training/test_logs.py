"""The CSV file of a fit's figures, the limit of its time, and what callbacks say of a figure that they do not know."""

import copy
import csv
import importlib
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.training import logs


def trainer_of(optimizer=optim.Adam(1e-2), loss="cross_entropy"):  # noqa: B008 - it is frozen
    return fastnn.Trainer(nn.Sequential(nn.Dense(3, 4), nn.Tanh(), nn.Dense(4, 2), seed=0), loss, optimizer)


def data(n=64):
    X = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return X, (X.sum(axis=1) > 0).astype(int)


def fit(trainer, callback, epochs=2, **settings):
    callbacks = callback if isinstance(callback, list) else [callback]
    return trainer.fit(*data(), epochs=epochs, callbacks=callbacks, verbose=0, **settings)


def rows_of(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Adds(fastnn.Callback):
    """Adds figures to the logs of some epochs, by the number of the epoch."""

    def __init__(self, figures):
        self.figures = figures

    def on_epoch_end(self, trainer, logs):
        logs.update(self.figures.get(trainer.epoch, {}))


# ---- a CSV file ----


def test_rows_are_the_history(impl, tmp_path):
    path, trainer = tmp_path / "log.csv", trainer_of()
    history = fit(trainer, fastnn.CSVLog(path), 3, validation_data=data(), metrics={"rows": lambda y, z: len(y)})
    rows = rows_of(path)
    assert list(rows[0]) == ["epoch", *history.epochs[0]]
    assert [row.pop("epoch") for row in rows] == ["1", "2", "3"]
    assert [{key: float(value) for key, value in row.items()} for row in rows] == history.epochs  # all digits
    assert path.read_bytes().count(b"\n") == 4 and b"\r" not in path.read_bytes()


def test_a_row_is_in_the_file_at_once(tmp_path):
    path, seen = tmp_path / "log.csv", []
    look = type("Look", (fastnn.Callback,), {"on_epoch_end": lambda *_: seen.append(path.read_text())})()
    fit(trainer_of(), [fastnn.CSVLog(path), look])
    assert [text.count("\n") for text in seen] == [2, 3]
    assert seen[1].startswith(seen[0])


def test_a_new_fit_begins_an_empty_file(tmp_path):
    path, trainer = str(tmp_path / "log.csv"), trainer_of()
    log = fastnn.CSVLog(path)
    fit(trainer, log, 3)
    fit(trainer, log, 2)
    assert [row["epoch"] for row in rows_of(path)] == ["4", "5"]


@pytest.mark.parametrize("cut", [0, 1])
def test_rows_are_appended(tmp_path, cut):
    """Also to a file whose last line has no end."""
    path, trainer = tmp_path / "log.csv", trainer_of()
    log = fastnn.CSVLog(path, append=True)
    fit(trainer, log, 2, validation_data=data())
    path.write_bytes(path.read_bytes()[: -cut or None])
    fit(trainer, log, 1)  # has no val_loss
    rows = rows_of(path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == trainer.history["loss"]
    assert (rows[-1]["val_loss"], rows[-1]["val_accuracy"]) == ("", "")


@pytest.mark.parametrize(
    "text", ["a,b,c\n1,2,3\n", "epoch,loss\n1,2\n", "loss,epoch,lr,seconds\n", "\n", "\xff\xfe", "hello"]
)
def test_another_file_is_not_appended_to(tmp_path, text):
    path, trainer = tmp_path / "log.csv", trainer_of()
    path.write_text(text, encoding="latin-1")
    before = trainer.net.params.data.copy()
    with pytest.raises(ValueError, match=r"log\.csv must have the header epoch,\.\.\.,loss,lr,seconds,\.\.\. .*, got "):
        fit(trainer, fastnn.CSVLog(path, append=True))
    assert path.read_text(encoding="latin-1") == text
    np.testing.assert_array_equal(trainer.net.params.data, before)
    assert trainer.epoch == trainer.step_count == 0
    path.write_text("")
    fit(trainer, fastnn.CSVLog(path, append=True))
    assert len(rows_of(path)) == 2


def test_columns_are_fixed_by_the_first_row(tmp_path):
    path, trainer = tmp_path / "log.csv", trainer_of()
    adds = Adds({1: {"mine": 1 / 3, "text": "a,b"}, 2: {"mine": np.float32(0.1)}, 4: {"new": 1.0, "newer": 2.0}})
    message = r"^the figures of an epoch must be among the columns of .*, epoch, loss, .*, got new, newer: write"
    log = fastnn.CSVLog(path)
    with pytest.raises(ValueError, match=message):
        fit(trainer, [adds, log], 9)
    rows = rows_of(path)
    assert [row["mine"] for row in rows] == [repr(1 / 3), repr(float(np.float32(0.1))), ""]
    assert [row["text"] for row in rows] == ["a,b", "", ""]
    assert trainer.epoch == 4
    assert log._file is None


def test_the_file_is_closed_after_an_exception(tmp_path):
    path, log = tmp_path / "log.csv", fastnn.CSVLog(tmp_path / "log.csv")
    fail = type("Fail", (fastnn.Callback,), {"on_epoch_end": lambda *_: {}["mine"]})()
    with pytest.raises(KeyError):
        fit(trainer_of(), [log, fail])
    assert log._file is None
    assert len(rows_of(path)) == 1
    with pytest.raises(KeyError):
        fit(trainer_of(), [fail, log])
    assert log._file is None
    assert path.read_text() == ""


def test_a_file_that_cannot_be_written_is_known_before_the_fit(tmp_path):
    trainer = trainer_of()
    for append in (False, True):
        with pytest.raises(FileNotFoundError):
            fit(trainer, fastnn.CSVLog(tmp_path / "missing" / "log.csv", append))
    assert trainer.step_count == 0
    for path in (None, 3, b"log.csv"):
        with pytest.raises(TypeError, match=r"^path must be a path: a string or a pathlib.Path, got "):
            fastnn.CSVLog(path)
    with pytest.raises(TypeError, match=r"^append must be True or False, got 'yes'"):
        fastnn.CSVLog("log.csv", "yes")


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_estimators_write_the_same_file(tmp_path, kind):
    pytest.importorskip("sklearn")
    sklearn = importlib.import_module("fastnn.sklearn")
    log = fastnn.CSVLog(tmp_path / "log.csv")
    estimator = getattr(sklearn, kind)(
        hidden_layer_sizes=(4,),
        max_iter=20,
        n_iter_no_change=2,
        tol=10.0,
        callbacks=[log],
        early_stopping=True,
        random_state=0,
    )
    estimator.fit(*data())
    rows = rows_of(log.path)
    assert [int(row["epoch"]) for row in rows] == list(range(1, estimator.n_iter_ + 1))
    assert [float(row["loss"]) for row in rows] == estimator.loss_curve_
    assert [float(row["val_score"]) for row in rows] == estimator.validation_scores_
    assert repr(copy.deepcopy(log)) == repr(pickle.loads(pickle.dumps(log))) == repr(log)


# ---- a limit of the time ----


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


class Takes(fastnn.Callback):
    """Each step takes some seconds, each validation as well."""

    observes = "epoch"

    def __init__(self, clock, step, epoch_end=0.0):
        self.clock, self.step, self.epoch_end = clock, step, epoch_end

    def on_progress(self, trainer, logs):
        self.clock.now += self.step

    def on_epoch_end(self, trainer, logs):
        self.clock.now += self.epoch_end


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(logs, "time", clock)
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.0)  # every step is a slice
    return clock


@pytest.mark.parametrize(
    ("limit", "step", "end", "steps", "epochs"),
    [
        (2.5, 1.0, 0.0, 3, 1),
        (4.0, 1.0, 0.0, 4, 1),
        (4.5, 1.0, 0.0, 5, 2),
        (9.5, 1.0, 2.0, 8, 2),
        (5.5, 1.0, 2.0, 4, 1),
        (0.5, 1.0, 0.0, 1, 1),
        (99.0, 1.0, 0.0, 24, 6),
    ],
)
def test_a_limit_ends_after_the_step(impl, clock, limit, step, end, steps, epochs):
    trainer = trainer_of()
    history = fit(trainer, [Takes(clock, step, end), fastnn.TimeLimit(limit)], 6, batch_size=16, validation_data=data())
    assert (trainer.step_count, len(history.epochs), trainer.epoch) == (steps, epochs, epochs)
    assert np.isfinite(history["val_loss"]).all()


def test_each_fit_has_the_whole_time_and_begins_an_epoch(clock):
    trainer, limit = trainer_of(), fastnn.TimeLimit(2)
    for fits in (1, 2):
        fit(trainer, [Takes(clock, 1.0), limit], 6, batch_size=16)
        assert (trainer.step_count, trainer.epoch) == (2 * fits, fits)
    assert limit.seconds == 2.0


def test_a_limit_equals_a_stop(clock):
    """The same weights as those of a fit that a callback stops after the same step."""
    limited, stopped = trainer_of(), trainer_of()
    fit(limited, [Takes(clock, 1.0), fastnn.TimeLimit(5.5)], 6, batch_size=16)

    class Stop(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            if trainer.step_count == 6:
                trainer.stop()

    fit(stopped, Stop(), 6, batch_size=16)
    np.testing.assert_array_equal(limited.net.params.data, stopped.net.params.data)
    assert limited.history["loss"] == stopped.history["loss"]


def test_full_batch_fits_are_limited(clock):
    trainer = trainer_of(optim.Newton(), "mean_squared_error")
    y = data()[0][:, :2] ** 2
    trainer.fit(data()[0], y, epochs=50, callbacks=[Takes(clock, 1.0), fastnn.TimeLimit(3)], verbose=0)
    assert trainer.epoch == 3


def test_estimators_are_limited():
    pytest.importorskip("sklearn")
    sklearn = importlib.import_module("fastnn.sklearn")
    start = time.perf_counter()
    estimator = sklearn.MLPClassifier(
        (4,), max_iter=10**6, n_iter_no_change=10**6, tol=0.0, callbacks=[fastnn.TimeLimit(0.2)], random_state=0
    )
    estimator.fit(*data())
    assert time.perf_counter() - start >= 0.2
    assert 0 < estimator.n_iter_ < 10**6


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1", None, True])
def test_wrong_limits(seconds):
    with pytest.raises((TypeError, ValueError), match=r"^seconds must be a finite number above 0, got "):
        fastnn.TimeLimit(seconds)


# ---- figures that callbacks monitor ----


@pytest.mark.parametrize("kind", [fastnn.EarlyStopping, fastnn.ReduceLROnPlateau])
@pytest.mark.parametrize(
    ("monitor", "fix"),
    [
        ("val_los", "did you mean 'val_loss'?"),
        ("val_accurcy", "did you mean 'val_accuracy'?"),
        ("los", "did you mean 'loss'?"),
        ("f1", 'give the Trainer this metric, such as metrics=["accuracy"]'),
    ],
)
def test_an_unknown_figure_has_a_suggestion(kind, monitor, fix):
    trainer = trainer_of()
    with pytest.raises(ValueError, match=r"^monitor must be one of loss, ") as caught:
        fit(trainer, kind(monitor, mode="min"), validation_data=data())
    assert str(caught.value).endswith(f"got {monitor!r}{fix and ': ' + fix}")


MODES = {
    "max": ["accuracy", "val_accuracy", "val_balanced_accuracy", "val_r2", "r2", "val_score"],
    "min": ["loss", "val_loss", "val_mean_squared_error", "val_huber", "val_log_loss", "val_cross_entropy", "poisson"],
}


@pytest.mark.parametrize(("mode", "monitor"), [(mode, each) for mode, keys in MODES.items() for each in keys])
def test_whether_lower_is_better(mode, monitor):
    assert fastnn.EarlyStopping(monitor).mode == fastnn.ReduceLROnPlateau(monitor).mode == mode
