"""Callbacks: when they are called, what they may change, and the state of the net after an exception in one."""

import contextlib
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.training import ProgressBar
from fastnn.training._observers import Observers


def trainer_of(lr=1e-2):
    return fastnn.Trainer(
        nn.Sequential(nn.Dense(3, 4), nn.BatchNorm(4), nn.Tanh(), nn.Dense(4, 2), seed=0), optimizer=optim.Adam(lr)
    )


def data(n=64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    return X, (X.sum(axis=1) > 0).astype(int)


class Recorder(fastnn.Callback):
    def __init__(self):
        self.calls = []

    def on_fit_begin(self, trainer):
        self.calls.append("fit begin")

    def on_epoch_begin(self, trainer):
        self.calls.append("epoch begin")

    def on_progress(self, trainer, logs):
        self.calls.append("progress")

    def on_epoch_end(self, trainer, logs):
        self.calls.append("epoch end")

    def on_fit_end(self, trainer):
        self.calls.append("fit end")


class EveryStep(Recorder):
    def on_batch_end(self, trainer, logs):
        self.calls.append(("batch", logs["batch"], trainer.step_count))
        assert logs["batch_loss"] > 0


def test_order_of_calls(impl):
    recorder = EveryStep()
    trainer_of().fit(*data(), epochs=2, batch_size=32, callbacks=[recorder], verbose=0)
    epochs = [
        ["epoch begin", "progress", ("batch", 1, n + 1), "progress", ("batch", 2, n + 2), "epoch end"] for n in (0, 2)
    ]
    assert recorder.calls == ["fit begin", *epochs[0], *epochs[1], "fit end"]


def test_steps_one_by_one_are_the_same_steps(impl):
    together, one_by_one = trainer_of(), trainer_of()
    together.fit(*data(), epochs=3, batch_size=10, verbose=0)
    one_by_one.fit(*data(), epochs=3, batch_size=10, callbacks=[EveryStep()], verbose=0)
    np.testing.assert_array_equal(together.net.params.data, one_by_one.net.params.data)
    assert together.history["loss"] == pytest.approx(one_by_one.history["loss"], rel=1e-12)


def test_stop_ends_the_fit_and_a_later_one_continues(impl):
    class Stop(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            if trainer.step_count == 5:
                trainer.stop()

    trainer = trainer_of()
    trainer.fit(*data(), epochs=9, batch_size=16, callbacks=[Stop()], verbose=0)
    assert trainer.step_count == 5
    assert len(trainer.history.epochs) == 2
    trainer.fit(*data(), epochs=1, batch_size=16, verbose=0)
    assert trainer.step_count == 9


@pytest.mark.parametrize("where", ["on_fit_begin", "on_epoch_begin", "on_progress", "on_batch_end", "on_epoch_end"])
def test_an_exception_in_a_callback_leaves_a_net_of_whole_steps(impl, where):
    def fail(self, trainer, logs=None):
        if trainer.epoch == 1 or where == "on_fit_begin":
            raise KeyError("mine")

    raising = type("Raising", (fastnn.Callback,), {where: fail})()
    recorder, trainer = Recorder(), trainer_of()
    with pytest.raises(KeyError, match="mine"):
        trainer.fit(*data(), epochs=5, batch_size=16, callbacks=[raising, recorder], verbose=0)
    assert recorder.calls[-1] == "fit end"
    # The net equals that of a run of the same number of steps.
    same = trainer_of()

    class Stop(fastnn.Callback):
        def on_epoch_begin(self, other):
            if other.step_count >= trainer.step_count:
                other.stop()

        def on_batch_end(self, other, logs):
            self.on_epoch_begin(other)

    same.fit(*data(), epochs=5, batch_size=16, callbacks=[Stop()], verbose=0)
    assert same.step_count == trainer.step_count
    np.testing.assert_array_equal(same.net.params.data, trainer.net.params.data)
    trainer.fit(*data(), epochs=1, verbose=0)


def test_every_on_fit_end_is_called_even_if_one_raises():
    class Fail(fastnn.Callback):
        def on_fit_end(self, trainer):
            raise KeyError("mine")

    recorders, trainer = [Recorder(), Recorder()], trainer_of()
    with pytest.raises(KeyError, match="mine"):
        trainer.fit(*data(), epochs=1, callbacks=[recorders[0], Fail(), recorders[1]], verbose=0)
    assert [recorder.calls[-1] for recorder in recorders] == ["fit end"] * 2


def test_an_epoch_is_counted_after_its_validation(impl, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    trainer, examples = trainer_of(), data()
    with monkeypatch.context() as patch:
        patch.setattr("fastnn.training._fit.evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(*examples, validation_data=examples, verbose=0)
    assert trainer.epoch == len(trainer.history.epochs) == 0
    trainer.fit(*examples, epochs=1, validation_data=examples, verbose=0)
    assert trainer.epoch == len(trainer.history.epochs) == 1


def test_a_callback_sets_the_rate(impl):
    class Halve(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            trainer.lr /= 2

    trainer = trainer_of(lr=0.5)
    trainer.fit(*data(), epochs=3, callbacks=[Halve()], verbose=0)
    assert trainer.history["lr"] == [0.5, 0.25, 0.125]
    with pytest.raises(ValueError, match="lr"):
        trainer.lr = -1


# ---- early stopping ----


class Scripted(fastnn.Callback):
    """Puts given values into the logs before early stopping reads them, and records the weights of each epoch."""

    def __init__(self, key, values):
        self.key, self.values, self.weights = key, list(values), []

    def on_epoch_end(self, trainer, logs):
        logs[self.key] = self.values[len(self.weights)]
        self.weights.append(trainer.net.params.data.copy())


@pytest.mark.parametrize(
    ("settings", "values", "epochs", "best"),
    [
        ({"patience": 2}, [3, 2, 1, 1, 1, 0], 5, 2),
        ({"patience": 0}, [3, 2, 4, 1], 3, 1),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.9, 1], 2, 0),
        ({"patience": 1, "mode": "max"}, [1, 2, 3, 2, 9], 4, 2),
        ({"patience": 1, "monitor": "val_accuracy"}, [0.1, 0.2, 0.1, 0.3], 3, 1),
        ({"patience": 2}, [np.nan, 2, np.nan, np.nan, 1], 4, 1),
        ({"patience": 9}, [3, 1, 2], 3, 1),
        ({"patience": 2}, [-1, -2, -2, -2, -3], 4, 1),
        ({"patience": 1, "min_delta": 0.5}, [0.2, -0.4, -0.8, -3], 3, 1),
        ({"patience": 1, "mode": "max"}, [-3, -2, -2.5, 1], 3, 1),
        ({"patience": 2}, [np.nan, np.nan, np.nan, 1], 3, 0),
    ],
)
def test_early_stopping(settings, values, epochs, best):
    stopping = fastnn.EarlyStopping(**settings)
    script, trainer = Scripted(settings.get("monitor", "val_loss"), values), trainer_of()
    trainer.fit(*data(), epochs=len(values), callbacks=[script, stopping], verbose=0)
    assert len(trainer.history.epochs) == epochs
    assert stopping.best_epoch == best
    np.testing.assert_equal(stopping.best, values[best])
    np.testing.assert_array_equal(trainer.net.params.data, script.weights[best])


def test_early_stopping_can_keep_the_last_weights():
    script, trainer = Scripted("val_loss", [1, 2, 3]), trainer_of()
    trainer.fit(*data(), callbacks=[script, fastnn.EarlyStopping(patience=1, restore_best=False)], verbose=0)
    np.testing.assert_array_equal(trainer.net.params.data, script.weights[1])


def test_early_stopping_needs_its_figure():
    message = "^monitor must be one of loss, lr, seconds, got 'val_loss': pass validation_data to fit, or eval_set"
    with pytest.raises(ValueError, match=message):
        trainer_of().fit(*data(), callbacks=[fastnn.EarlyStopping()], verbose=0)
    with pytest.raises(TypeError, match=r"^monitor must be a key of the history, got None"):
        fastnn.EarlyStopping(monitor=None)
    for wrong in ({"patience": -1}, {"mode": "best"}, {"min_delta": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fastnn.EarlyStopping(**wrong)
    with pytest.raises(TypeError, match=r"^restore_best must be True or False, got 'yes'$"):
        fastnn.EarlyStopping(restore_best="yes")
    with pytest.raises(ValueError, match=r"^mode must be 'min' or 'max' for monitor='val_f1', got 'auto'"):
        fastnn.EarlyStopping("val_f1")


@pytest.mark.parametrize(("mode", "best"), [("max", 2), ("min", 1)])
def test_early_stopping_by_a_metric(impl, mode, best):
    """The metric returns given values, so that the net does not affect them."""
    values, (X, y) = iter([0.5, 0.1, 0.9, 0.7, 0.6, 0.8]), data()
    trainer, stopping = trainer_of(), fastnn.EarlyStopping("val_odd", patience=2, mode=mode)
    weights = Scripted("unused", range(9))
    trainer.fit(
        X, y, validation_data=(X, y), metrics={"odd": lambda y, z: next(values)}, callbacks=[weights, stopping],
        verbose=0,
    )  # fmt: skip
    assert stopping.best_epoch == best
    assert len(trainer.history["val_odd"]) == best + 3
    np.testing.assert_array_equal(trainer.net.params.data, weights.weights[best])


# ---- metrics ----


def test_metrics_see_targets_and_raw_output(impl, monkeypatch):
    X, y = data()
    trainer, seen = trainer_of(), []

    def spread(targets, output):
        seen.append((targets, output))
        return output.max() - output.min()

    monkeypatch.setattr("fastnn.training.evaluation.EVALUATE_ELEMENTS", 30)  # in several chunks
    trainer.fit(X, y, epochs=2, validation_data=(X[:40], y[:40]), metrics={"spread": spread}, verbose=0)
    targets, output = seen[-1]
    np.testing.assert_array_equal(targets, y[:40])
    np.testing.assert_array_equal(output, trainer.net.predict(X[:40]))
    assert trainer.history["val_spread"][-1] == output.max() - output.min()
    assert trainer.history["val_spread"][0] != trainer.history["val_spread"][1]
    alone = trainer.evaluate(X[:40], y[:40], metrics={"spread": spread})
    assert alone == {key[4:]: value for key, value in trainer.history.epochs[-1].items() if key.startswith("val_")}
    assert trainer.evaluate(X, y, metrics={"nan": lambda y, z: np.float32("nan")})["nan"] != 0


METRICS = {
    "function alone": (
        TypeError,
        r"metrics must be names such as .* or a mapping .*, got builtin_function.*: write",
        len,
    ),
    "name": (TypeError, "metrics must have strings as names, got 3", {3: len}),
    "taken": (ValueError, "metrics must have names other than .*, got 'loss': choose", {"loss": len}),
    "no function": (
        TypeError,
        r"metrics\['f1'\] must be a function of .*, got float",
        {"f1": 1.0},
    ),
}


@pytest.mark.parametrize("case", METRICS)
def test_wrong_metrics_are_refused(case):
    error, message, metrics = METRICS[case]
    trainer = trainer_of()
    for use in (
        lambda: trainer.evaluate(*data(), metrics=metrics),
        lambda: trainer.fit(*data(), validation_data=data(), metrics=metrics, verbose=0),
    ):
        with pytest.raises(error, match=message):
            use()
    assert trainer.step_count == 0


def test_metrics_need_data_and_give_numbers():
    trainer, metrics = trainer_of(), {"rows": lambda y, z: z}
    with pytest.raises(
        ValueError, match=r"^validation_data must be given with metrics, got None: write validation_data="
    ):
        trainer.fit(*data(), metrics=metrics, verbose=0)
    with pytest.raises(TypeError, match=r"^metrics\['rows'\] must return a number, got an array of shape"):
        trainer.evaluate(*data(), metrics=metrics)


def test_figures_that_some_epochs_lack_are_nan():
    trainer, (X, y) = trainer_of(), data()
    assert trainer.history["val_loss"] == trainer.history["whatever"] == []  # without epochs no key is unknown
    settings = [{"validation_data": (X, y)}, {}, {"validation_data": (X, y), "metrics": {"one": lambda y, z: 1.0}}]
    for each in settings:
        trainer.fit(X, y, epochs=2, verbose=0, **each)
    np.testing.assert_equal(trainer.history["val_one"], [np.nan] * 4 + [1.0] * 2)
    validated = ~np.isnan([trainer.history["val_loss"], trainer.history["val_accuracy"]])
    np.testing.assert_array_equal(validated, [[True, True, False, False, True, True]] * 2)
    assert np.isfinite([trainer.history["loss"], trainer.history["lr"]]).all()
    assert trainer.history["val_loss"][-1] == trainer.evaluate(X, y)["loss"]
    message = "key of the history must be one of loss, lr, seconds, val_loss, val_accuracy, val_one, got 'val_los'"
    for history in (trainer.history, trainer.copy().history):
        with pytest.raises(KeyError, match=message):
            history["val_los"]
    alone = trainer_of().fit(X, y, epochs=1, verbose=0)
    with pytest.raises(KeyError, match="got 'val_loss': pass validation_data to fit"):
        alone["val_loss"]


# ---- the rate on a plateau ----

PLATEAUS = {
    "defaults": ({}, [3.0] * 30),
    "patience": ({"patience": 2}, [3, 2, 2, 2, 2, 2, 2, 2]),
    "none": ({"patience": 0}, [3, 3, 3, 1, 1, np.nan, 0.5]),
    "cooldown": ({"patience": 1, "cooldown": 3}, [1.0] * 14),
    "relative": ({"patience": 0, "threshold": 0.1}, [1, 0.95, 0.91, 0.89, 0.8]),
    "absolute": ({"patience": 0, "threshold": 0.1, "threshold_mode": "abs"}, [1, 0.95, 0.91, 0.89, 0.8, -1, -1.05]),
    "negative": ({"patience": 0, "threshold": 0.1, "threshold_mode": "torch_rel"}, [-1, -1.05, -0.95, -0.85, -2]),
    "max, negative": (
        {"patience": 0, "mode": "max", "threshold": 0.1, "threshold_mode": "torch_rel"},
        [-1, -1.05, -1.2, -0.5, -0.4, 0.3],
    ),
    "max": ({"patience": 1, "mode": "max", "threshold": 0.1}, [1, 1.05, 1.08, 1.2, 1.3, 1.31, 1.5, 0, 0]),
    "max, absolute": ({"patience": 0, "mode": "max", "threshold": 0.1, "threshold_mode": "abs"}, [1, 1.05, 1.2, 1.25]),
    "floor": ({"patience": 0, "factor": 0.5, "min_lr": 0.1}, [1.0] * 7),
    "eps": ({"patience": 0, "factor": 0.99, "eps": 3e-3}, [1.0] * 30),
}


class Rates:
    """The part of a trainer that a plateau uses."""

    lr = 0.4


@pytest.mark.parametrize("case", PLATEAUS)
def test_plateaus_equal_pytorchs(case):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    settings, values = PLATEAUS[case]
    theirs = settings | {"threshold_mode": settings.get("threshold_mode", "rel").removeprefix("torch_")}
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.4)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **theirs)
    plateau, trainer = fastnn.ReduceLROnPlateau(**settings), Rates()
    rates = []
    for value in values:
        oracle.step(value)
        plateau.on_epoch_end(trainer, {"val_loss": value})
        rates.append((trainer.lr, optimizer.param_groups[0]["lr"]))
    have, want = np.transpose(rates)
    np.testing.assert_array_equal(have, want)
    assert len(set(want)) > 1


RISING, FALLING = [-2, -1.7, -1.4, -1, -0.5, 0, 0.5, 1, 2], [2, 1, 0.5, 0, -0.5, -1, -1.4, -1.7, -2]
SIGNS = {
    "constant below 0": (1, "min", "rel", [-1.0] * 7, 3),
    "constant below 0, max": (1, "max", "rel", [-1.0] * 7, 3),
    "constant 0": (1, "min", "rel", [0.0] * 7, 3),
    "constant 0, max": (1, "max", "rel", [0.0] * 7, 3),
    "constant": (1, "min", "rel", [1.0] * 7, 3),
    "constant, max": (1, "max", "rel", [1.0] * 7, 3),
    "falls through 0": (0, "min", "rel", FALLING, 0),
    "rises through 0, max": (0, "max", "rel", RISING, 0),
    "rises": (1, "min", "rel", RISING, 4),
    "falls, max": (1, "max", "rel", FALLING, 4),
    "by less than the threshold": (0, "min", "rel", [-1, -1.05, -1.09, -1.2, -1.3, -1.31], 4),
    "by less than the threshold, max": (0, "max", "rel", [-1, -0.95, -0.91, -0.8, -0.75, -0.73], 4),
    "absolute": (0, "min", "abs", [-1.0, -1.05, -1.2, -1.25], 2),
    "PyTorch's rule": (1, "min", "torch_rel", [-1.0] * 7, 0),  # each is better than best * (1 - threshold)
    "PyTorch's rule, max": (1, "max", "torch_rel", [-1.0] * 7, 0),
    "no number": (1, "min", "rel", [np.nan] * 5, 2),
    "infinite at first": (0, "min", "rel", [np.inf, 5, 4, 3], 1),
    "infinite at last, max": (0, "max", "rel", [-3, -2, np.inf, np.inf, np.inf], 2),
}


@pytest.mark.parametrize("case", SIGNS)
def test_plateaus_of_any_sign(case):
    """The number of times the rate is halved, with a threshold of a tenth of the absolute best figure."""
    patience, mode, threshold_mode, values, halved = SIGNS[case]
    plateau = fastnn.ReduceLROnPlateau("val_loss", mode, 0.5, patience, 0.1, threshold_mode)
    trainer = Rates()
    trainer.lr = 1.0
    for value in values:
        plateau.on_epoch_end(trainer, {"val_loss": value})
    assert trainer.lr == 0.5**halved


@pytest.mark.parametrize("threshold", [1.0, 2.0])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_first_figure_is_the_best_so_far(mode, threshold):
    plateau = fastnn.ReduceLROnPlateau(mode=mode, threshold=threshold, patience=0)
    plateau.on_epoch_end(Rates(), {"val_loss": 3.0})
    assert (plateau.best, plateau.bad_epochs) == (3.0, 0)


def test_plateau_by_hand():
    """Patience 1: the second consecutive epoch without improvement lowers the rate of later epochs."""
    trainer, (X, y) = trainer_of(), data()
    trainer.lr = 0.8
    plateau = fastnn.ReduceLROnPlateau(factor=0.5, patience=1, cooldown=1)
    script = Scripted("val_loss", [3, 3, 3, 3, 3, 3, 2, 2, 2])
    for epochs in (4, 5):  # the counts continue in a later fit
        trainer.fit(X, y, epochs=epochs, callbacks=[script, plateau], verbose=0)
    assert trainer.history["lr"] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2]
    assert (plateau.best, plateau.bad_epochs, trainer.lr) == (2, 0, 0.1)
    trainer_of().fit(X, y, epochs=1, callbacks=[Scripted("val_loss", [5]), plateau], verbose=0)
    assert (plateau.best, plateau.bad_epochs) == (5, 0)  # reset by a new trainer


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        (ValueError, {"factor": 1.0}),
        (ValueError, {"factor": -0.1}),
        (ValueError, {"patience": -1}),
        (ValueError, {"threshold": -1.0}),
        (ValueError, {"threshold_mode": "relative"}),
        (ValueError, {"cooldown": -1}),
        (TypeError, {"cooldown": 0.5}),
        (ValueError, {"min_lr": -1.0}),
        (ValueError, {"eps": float("nan")}),
        (ValueError, {"mode": "up"}),
        (TypeError, {"monitor": 3}),
    ],
)
def test_plateaus_with_wrong_settings(error, settings):
    with pytest.raises(error, match=f"^{next(iter(settings))} must be .*, got "):
        fastnn.ReduceLROnPlateau(**settings)


# ---- when callbacks observe the net ----


class Plain(fastnn.Callback):
    def on_epoch_end(self, trainer, logs): ...


class Progress(fastnn.Callback):
    def on_progress(self, trainer, logs): ...


class Batch(fastnn.Callback):
    def on_batch_end(self, trainer, logs): ...


class Both(Progress):
    def on_batch_end(self, trainer, logs): ...


class Third(fastnn.Callback):
    observes = 3

    def on_batch_end(self, trainer, logs): ...


class BatchMixin:
    def on_batch_end(self, trainer, logs): ...


class FifthMixin(BatchMixin):
    observes = 5


class SetProgress(fastnn.Callback):
    observes = "progress"

    def on_batch_end(self, trainer, logs): ...


def subclass(*bases, **members):
    return type("Mine", bases, members)


def hook(self, trainer, logs): ...


@dataclass(slots=True)
class Slots(fastnn.Callback):
    often: int = 1

    def on_batch_end(self, trainer, logs): ...


OBSERVES = {
    "the base": (fastnn.Callback, "epoch"),
    "only epochs": (Plain, "epoch"),
    "on_progress": (Progress, "progress"),
    "on_batch_end": (Batch, "step"),
    "both": (Both, "step"),
    "set": (Third, 3),
    "set to less than the methods need": (SetProgress, "progress"),
    "early stopping": (fastnn.EarlyStopping, "epoch"),
    "plateaus": (fastnn.ReduceLROnPlateau, "epoch"),
    "the bar": (ProgressBar, "epoch"),
    "a log": (fastnn.CSVLog, "epoch"),
    "a limit": (fastnn.TimeLimit, "epoch"),
    "inherits a method": (subclass(Batch), "step"),
    "of a subclass, more methods": (subclass(subclass(Progress), on_batch_end=hook), "step"),
    "of a subclass, fewer methods": (subclass(Batch, on_progress=hook), "step"),
    "inherits a set one": (subclass(subclass(Third)), 3),
    "inherits a set one, overrides": (subclass(Third, on_batch_end=hook, on_progress=hook), 3),
    "inherits a set one below the methods": (subclass(SetProgress), "progress"),
    "sets it again": (subclass(Third, observes="epoch"), "epoch"),
    "a mixin": (subclass(BatchMixin, fastnn.Callback), "step"),
    "a mixin that the base hides": (subclass(fastnn.Callback, BatchMixin), "epoch"),
    "a mixin that sets it": (subclass(FifthMixin, Plain), 5),
    "two bases": (subclass(Plain, Progress, Batch), "step"),
    "two bases, the second sets it": (subclass(Batch, Third), 3),
    "a bar that reads": (subclass(ProgressBar, on_progress=hook), "progress"),
    "a bar after every step": (subclass(ProgressBar, on_batch_end=hook), "step"),
    "a dataclass with slots": (Slots, "step"),
    "a NumPy integer": (subclass(fastnn.Callback, observes=np.int64(7)), 7),
}


@pytest.mark.parametrize("case", OBSERVES)
def test_what_a_class_observes(case):
    kind, observes = OBSERVES[case]
    assert kind.observes == observes
    if kind.__module__ == __name__ and not issubclass(kind, ProgressBar):
        reads = observes != "epoch" and kind.on_progress is not fastnn.Callback.on_progress
        assert Observers([kind()]).reads_in_progress == (reads or observes == "progress")


WRONG_OBSERVES = [(TypeError, each) for each in (True, np.True_, 2.0, None, [3], b"step", Plain)]
WRONG_OBSERVES += [(ValueError, each) for each in (0, -1, np.int8(-3), "steps", "", "3")]


@pytest.mark.parametrize(("error", "value"), WRONG_OBSERVES, ids=repr)
def test_wrong_observes(error, value):
    message = "observes must be 'epoch', 'progress', 'step' or an integer of at least 1, got "
    with pytest.raises(error, match=rf"^Mine\.{message}"):
        subclass(fastnn.Callback, observes=value)
    with pytest.raises(error, match=rf"^Mine\.{message}"):
        subclass(subclass(object, observes=value), fastnn.Callback)
    of_instance = Batch()
    of_instance.observes = value
    with pytest.raises(error, match=rf"^callbacks\[1\]\.{message}"):
        Observers([Plain(), of_instance])
    trainer = trainer_of()
    before = trainer.net.params.data.copy()
    with pytest.raises(error, match=message):
        trainer.fit(*data(), callbacks=[of_instance], verbose=0)
    np.testing.assert_array_equal(trainer.net.params.data, before)
    trainer.fit(*data(), epochs=1, verbose=0)


def test_a_property_is_read_when_a_fit_begins():
    kind = subclass(Batch, observes=property(lambda self: self.often))
    callback, derived = kind(), subclass(kind)()
    for callback.often, derived.often in ((4, 6), (7, 2)):
        assert Observers([callback]).steps_until_look(0, 9) == callback.often
        assert Observers([derived]).steps_until_look(0, 9) == derived.often
    callback.often = "never"
    with pytest.raises(ValueError, match=r"^callbacks\[0\]\.observes must be .*, got 'never'$"):
        Observers([callback])


class Listed(fastnn.Callback):
    """Lists its calls in a list that it shares with others. Calls in `fails` raise an error."""

    def __init__(self, name, calls, observes="epoch", fails=()):
        self.name, self.calls, self.observes, self.fails = name, calls, observes, fails

    def add(self, event, *logs):
        self.calls.append((self.name, event, *logs))
        if event in self.fails:
            raise KeyError(f"{self.name} {event}")

    def on_fit_begin(self, trainer):
        assert trainer.depth == 1
        self.add("begin")

    def on_progress(self, trainer, logs):
        self.add("progress", logs["batch"])
        assert logs.keys() == {"batch", "batches", "loss"}
        assert trainer.depth == 1

    def on_batch_end(self, trainer, logs):
        self.add("batch", logs["batch"])
        assert logs == {"batch": logs["batch"], "batches": 13, "loss": 0.5, "batch_loss": 0.25}
        assert trainer.depth == 1

    def on_fit_end(self, trainer):
        assert trainer.depth == 1
        self.add("end")


class FakeTrainer:
    """The part of a trainer that `Observers` uses; `depth` is 1 while callbacks run."""

    def __init__(self):
        self.depth = 0
        self.net = SimpleNamespace(training_claim=self)

    @contextlib.contextmanager
    def in_callbacks(self):
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1


STEPS = 13
LOOKS = {
    "none": ([], []),
    "epoch": (["epoch"], []),
    "progress": (["progress", "epoch"], []),
    "step": (["step"], range(1, 14)),
    "1": ([1], range(1, 14)),
    "3": ([3], [3, 6, 9, 12, 13]),
    "3 and 5": ([3, 5], [3, 5, 6, 9, 10, 12, 13]),
    "a divisor": ([13], [13]),
    "more than there are": ([100, "epoch"], [13]),
    "more than an int64": ([10**30], [13]),
    "3 and step": ([3, "step", "progress"], range(1, 14)),
}


@pytest.mark.parametrize("case", LOOKS)
def test_steps_until_the_next_look(case):
    observes, looks = LOOKS[case]
    observers = Observers([Listed("", [], each) for each in observes])
    for batch in range(STEPS):
        following = min([look for look in looks if look > batch], default=STEPS)
        assert observers.steps_until_look(batch, STEPS) == following - batch
    assert bool(observers) == bool(observes)


@pytest.mark.parametrize("longest", [1, 2, 4, 99])
@pytest.mark.parametrize("case", LOOKS)
def test_an_epoch_of_slices(case, longest):
    """Slices of at most `longest` steps: every look comes in time, and each callback gets its own."""
    observes, calls, trainer = LOOKS[case][0], [], FakeTrainer()
    observers = Observers([Listed(i, calls, each) for i, each in enumerate(observes)])
    batch, slices = 0, []
    while batch < STEPS:
        batch += min(longest, observers.steps_until_look(batch, STEPS))
        slices.append(batch)
        observers.after_steps(trainer, {"batch": batch, "batches": STEPS, "loss": 0.5}, 0.25)
    expected = []
    for done in slices:
        expected += [(i, "progress", done) for i in range(len(observes))]
        for i, each in enumerate(observes):
            k = {"epoch": 0, "progress": 0, "step": 1}.get(each, each)
            expected += [(i, "batch", done)] if k and (done % k == 0 or done == STEPS) else []
    assert calls == expected
    assert {done for _, event, done in calls if event == "batch"} == set(LOOKS[case][1])
    assert trainer.depth == 0


FIT_ENDS = {
    "success": ({}, None, "", "abc"),
    "the fit": ({}, "fit", "fit", "abc"),
    "on_fit_begin": ({"b": ["begin"]}, None, "b begin", "ab"),
    "on_fit_end": ({"b": ["end"]}, None, "b end", "abc"),
    "two ends": ({"a": ["end"], "c": ["end"]}, None, "c end", "abc"),
    "the fit and an end": ({"a": ["end"]}, "fit", "a end", "abc"),
    "a begin and its end": ({"a": ["begin", "end"]}, None, "a end", "a"),
}


@pytest.mark.parametrize("case", FIT_ENDS)
def test_a_fit_begins_and_ends(case):
    fails, in_fit, error, begun = FIT_ENDS[case]
    calls, trainer = [], FakeTrainer()
    observers = Observers([Listed(name, calls, fails=fails.get(name, ())) for name in "abc"])
    with pytest.raises(KeyError, match=error) if error else contextlib.nullcontext(), observers.fit(trainer):
        assert [name for name, _ in calls] == list("abc")
        assert trainer.depth == 0
        calls.append(("fit", "runs"))
        if in_fit:
            raise KeyError(in_fit)
    runs = [("fit", "runs")] if begun == "abc" else []
    assert calls == [(name, "begin") for name in begun] + runs + [(name, "end") for name in "abc"]
    assert trainer.depth == 0


class Weights(fastnn.Callback):
    """Copies the first layer's weight after the steps that it observes.

    It reads a view that it made before the fit: making a view would give the values their usual order.
    """

    def __init__(self, observes):
        self.observes, self.seen = observes, {}

    def on_fit_begin(self, trainer):
        self.weight = trainer.net.layers[0].weight

    def on_batch_end(self, trainer, logs):
        assert logs["batch"] == (trainer.step_count - 1) % logs["batches"] + 1
        self.seen[trainer.step_count] = self.weight.copy()
        np.testing.assert_array_equal(self.seen[trainer.step_count], trainer.net.layers[0].weight)


class ReadingWeights(Weights):
    """Reads in `on_progress` as well."""

    def on_progress(self, trainer, logs):
        before = self.weight.copy()
        np.testing.assert_array_equal(before, trainer.net.layers[0].weight)


class InPanels(fastnn.Callback):
    """Counts the slices after which large weights are in panels, without reading them."""

    observes, count = "epoch", 0

    def on_progress(self, trainer, logs):
        self.count += trainer.net.lock.order_restorer is not None


CASES = [(Weights, each) for each in (3, 40, 1000, "step", "progress", "epoch")]
CASES += [(ReadingWeights, each) for each in (3, 40, 1000, "step", "progress")]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("kind", "observes"), CASES)
def test_a_fit_that_is_observed_now_and_then(impl, monkeypatch, kind, observes):
    """The weights are those that a callback after every step sees. They are in panels while many steps are unseen."""
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.0)
    rng, steps, epochs = np.random.default_rng(0), 70, 2
    X, y = rng.normal(size=(8 * steps, 70)).astype(np.float32), rng.integers(5, size=8 * steps)
    every, some, panels = Weights("step"), kind(observes), InPanels()
    nets = []
    for each in ([every], [some, panels]):
        net = nn.Sequential(nn.Dense(70, 300), nn.ReLU(), nn.Dense(300, 5), seed=0)
        fastnn.Trainer(net).fit(X, y, epochs=epochs, batch_size=8, callbacks=each, verbose=0)
        nets.append(net)
    assert list(every.seen) == list(range(1, steps * epochs + 1))
    k = {"step": 1, "progress": None, "epoch": None}.get(observes, observes)
    of_epoch = [each for each in range(1, steps + 1) if k and (each % k == 0 or each == steps)]
    assert list(some.seen) == [steps * epoch + each for epoch in range(epochs) for each in of_epoch]
    for step, weight in some.seen.items():
        np.testing.assert_array_equal(weight, every.seen[step])
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    if impl == "reference" or kind is ReadingWeights or observes == "progress":
        assert not panels.count
    else:  # panels are made for at least 32 unseen steps; at a look the order has been restored
        assert panels.count == epochs * {3: 0, 40: 39, 1000: 69, "step": 0, "epoch": 69}[observes]


FULL_BATCH = {"Newton": optim.Newton(), "LBFGS": optim.LBFGS()}


@pytest.mark.parametrize("observes", ["step", 1, 3, "progress", "epoch"])
@pytest.mark.parametrize("optimizer", FULL_BATCH)
def test_full_batch_fits_are_observed_after_each_epoch(impl, optimizer, observes):
    """An epoch is one step, so that any interval ends with it; `observes` changes no weight."""
    if optimizer == "LBFGS":
        pytest.importorskip("scipy")
    X, _ = data()
    some, fits = Weights(observes), []
    for callbacks_of_fit in ([], [some]):
        net = nn.Sequential(nn.Dense(3, 2), nn.Tanh(), nn.Dense(2, 1), seed=0)
        trainer = fastnn.Trainer(net, "mean_squared_error", FULL_BATCH[optimizer])
        trainer.fit(X, X[:, :1] * X[:, 1:2], epochs=4, callbacks=callbacks_of_fit, verbose=0)
        fits.append(trainer)
    np.testing.assert_array_equal(fits[0].net.params.data, fits[1].net.params.data)
    seen = list(range(1, fits[1].epoch + 1)) if observes in ("step", 1, 3) else []
    assert list(some.seen) == seen
    if seen:
        np.testing.assert_array_equal(some.seen[seen[-1]], fits[1].net.layers[0].weight)


# ---- how callbacks are shown ----


class Given(fastnn.Callback):
    def __init__(self, often, *more, kept=None, **rest):
        self.often, self.more, self.kept, self.rest, self.count = often, more, kept, rest, 0


class Forgets(fastnn.Callback):
    def __init__(self, often, more=1, *args, **rest):
        self.args = self.rest = None  # not what was given


# Callbacks as they are written and shown.
SHOWN = {
    "Callback()": fastnn.Callback(),
    "EarlyStopping()": fastnn.EarlyStopping("val_loss", mode="auto", min_delta=0),
    "EarlyStopping(monitor='val_accuracy', patience=3)": fastnn.EarlyStopping("val_accuracy", 3),
    "EarlyStopping(monitor='val_mine', mode='max')": fastnn.EarlyStopping("val_mine", mode="max"),
    "ReduceLROnPlateau(factor=0.5, min_lr=0.001)": fastnn.ReduceLROnPlateau(factor=0.5, min_lr=1e-3),
    "ProgressBar(5)": ProgressBar(5),
    "CSVLog('a.csv')": fastnn.CSVLog("a.csv", append=False),
    "CSVLog('a.csv', append=True)": fastnn.CSVLog("a.csv", True),
    "TimeLimit(60.0)": fastnn.TimeLimit(60),
    "Given(2)": Given(2),
    "Given(2, 3, kept=abs, name='x')": Given(2, 3, kept=abs, name="x"),
    "Given(array([0, 1]), kept=array([0., 0.]))": Given(np.arange(2), kept=np.zeros(2)),
    "Forgets(...)": Forgets(2, 3, 4, name="x"),
}


@pytest.mark.parametrize("text", SHOWN)
def test_callbacks_show_their_settings(text):
    assert repr(SHOWN[text]) == text
    if "..." not in text:
        names = {"abs": abs, "array": np.array, "Given": Given, **vars(fastnn), "ProgressBar": ProgressBar}
        assert repr(eval(text, names)) == text


def test_histories_show_their_last_epoch():
    X, y = data()
    history = trainer_of().fit(X, y, epochs=2, validation_data=(X, y), metrics={"rows": lambda y, z: len(y)}, verbose=0)
    last = history.epochs[-1]
    figures = [f"{key}={last[key]:.4g}" for key in ("loss", "val_loss", "val_accuracy")]
    assert repr(history) == f"History(2 epochs: {', '.join(figures)}, val_rows=64)"
    assert repr(fastnn.History()) == "History(0 epochs)"
    assert repr(fastnn.History([{"loss": np.float32(0.123456), "mine": "text"}])).startswith(
        "History(1 epoch: loss=0.1235, mine="
    )
    assert fastnn.History([{"loss": 1.0}]) == fastnn.History([{"loss": 1.0}]) != fastnn.History([{"loss": 2.0}])
