"""What `fit` refuses, it refuses before anything changes; a training that diverges gives the last good net back."""

import math
import re

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

N = 12
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = np.arange(N) % 2
ADAM = optim.Adam()
ROWS = np.eye(2, dtype=np.float32)[Y]


def trainer_of(loss="cross_entropy", batch_norm=False, optimizer=ADAM, dtype="float32"):
    middle = [nn.BatchNorm(4)] if batch_norm else []
    return fastnn.Trainer(
        nn.Sequential(nn.Dense(3, 4), *middle, nn.ReLU(), nn.Dense(4, 2), dtype=dtype, seed=0), loss, optimizer
    )


def with_entry(array, index, value):
    array = np.array(array, dtype=np.result_type(array, np.float32))
    array[index] = value
    return array


def bad(error, message, loss="cross_entropy", **change):
    """An error and its message, the trainer's loss, and what differs from a good call."""
    return error, message, loss, change


BAD = {
    "X flat": bad(ValueError, r"X must have shape \(n, 3\), got \(12,\)", X=X[:, 0]),
    "X wide": bad(ValueError, r"X must have shape \(n, 3\), got \(12, 6\)", X=np.hstack([X, X])),
    "X empty": bad(ValueError, r"X must be at least 1 row, got shape \(0, 3\)", X=X[:0], y=Y[:0]),
    "X objects": bad(TypeError, "X must be an array of real numbers, got dtype object", X=X.astype(object)),
    "X strings": bad(TypeError, "X must be an array of real numbers", X=X.astype(str)),
    "X complex": bad(TypeError, "X must be an array of real numbers, got dtype complex64", X=X.astype("c8")),
    "X ragged": bad(ValueError, "X must be an array of real numbers", X=[[1, 2, 3], [1]]),
    "X masked": bad(TypeError, "X must be an array without a mask", X=np.ma.masked_array(X, X > 1)),
    "X nan": bad(ValueError, "X must be finite numbers, got nan in row 7, column 1", X=with_entry(X, (7, 1), np.nan)),
    "X inf": bad(ValueError, "X must be finite numbers, got -inf in row 0, column 2", X=with_entry(X, (0, 2), -np.inf)),
    "y short": bad(ValueError, "y must be 12 rows, as many as X has, got 11", y=Y[1:]),
    "y float": bad(TypeError, "y must be integers, got dtype float64", y=Y.astype(float)),
    "y strings": bad(TypeError, "y must be an array of real numbers", y=Y.astype(str)),
    "y too large": bad(ValueError, "y must be integers from 0 to 1, got 2", y=Y + 1),
    "y negative": bad(ValueError, "y must be integers from 0 to 1, got -1", y=Y - 1),
    "y wide": bad(ValueError, r"y must have shape \(n, 2\), got \(12, 3\)", y=np.ones((N, 3))),
    "y rows nan": bad(
        ValueError, "y must be finite numbers, got nan in row 3, column 0", y=with_entry(ROWS, (3, 0), np.nan)
    ),
    "y flat": bad(ValueError, r"y must have shape \(n, 2\), got \(12,\)", loss="mean_squared_error", y=Y),
    "y inf": bad(
        ValueError,
        "y must be finite numbers, got inf",
        loss="mean_squared_error",
        y=with_entry(ROWS, (1, 1), np.inf),
    ),
    "y outside": bad(
        ValueError,
        "y must be numbers from 0 to 1, got 2.0 in row 1, column 1",
        loss="binary_cross_entropy",
        y=with_entry(ROWS, (1, 1), 2),
    ),
    "weight short": bad(ValueError, r"sample_weight must have shape \(12,\)", sample_weight=np.ones(5)),
    "weight negative": bad(
        ValueError, "sample_weight must be finite weights, none below 0, got -1.0", sample_weight=-np.ones(N)
    ),
    "weight nan": bad(ValueError, "sample_weight must be finite", sample_weight=with_entry(np.ones(N), 3, np.nan)),
    "weight sum": bad(ValueError, "sample_weight must be weights with a finite sum", sample_weight=np.full(N, 1e308)),
    "weight zeros": bad(ValueError, "sample_weight must be at least one weight above 0", sample_weight=np.zeros(N)),
    "epochs zero": bad(ValueError, "epochs must be an integer of at least 1, got 0", epochs=0),
    "epochs float": bad(TypeError, "epochs must be an integer", epochs=2.0),
    "batch_size": bad(ValueError, "batch_size must be an integer of at least 1, got 0", batch_size=0),
    "batch_size bool": bad(TypeError, "batch_size must be an integer", batch_size=True),
    "validation": bad(TypeError, "validation_data must be a pair", validation_data=X),
    "validation X": bad(ValueError, r"validation_data\[0\] must be shape", validation_data=(X[:, :2], Y)),
    "validation y": bad(ValueError, r"validation_data\[1\] must be integers", validation_data=(X, Y + 5)),
    "callbacks": bad(TypeError, r"callbacks\[0\] must be a Callback, got type", callbacks=[fastnn.EarlyStopping]),
    "callbacks alone": bad(TypeError, "callbacks must be a sequence", callbacks=fastnn.EarlyStopping()),
    "verbose": bad(TypeError, "verbose must be an integer", verbose="yes"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_changes_nothing(impl, case):
    error, message, loss, change = BAD[case]
    trainer = trainer_of(loss)
    good = {"X": X, "y": Y if loss == "cross_entropy" else ROWS, "epochs": 2, "verbose": 0}
    trainer.fit(**good)
    net = trainer.net
    before = net.params.data.copy(), [slot.copy() for slot in trainer._slots], trainer.step_count, net.training_steps
    with pytest.raises(error, match=message):
        trainer.fit(**good | change)
    np.testing.assert_array_equal(net.params.data, before[0])
    np.testing.assert_array_equal(trainer._slots, before[1])
    assert (trainer.step_count, net.training_steps, trainer.epoch) == (*before[2:], 2)
    assert len(trainer.history) == 2
    trainer.fit(**good)


def test_batch_statistics_need_two_rows(impl):
    trainer = trainer_of(batch_norm=True)
    with pytest.raises(ValueError, match="X must be at least 2 rows, for batch statistics"):
        trainer.fit(X[:1], Y[:1], verbose=0)
    with pytest.raises(ValueError, match="batch_size must be at least 2 rows"):
        trainer.fit(X, Y, batch_size=1, verbose=0)
    assert trainer.net.training_steps == 0


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "loss must be one of cross_entropy", lambda net: fastnn.Trainer(net, "hing")),
        (TypeError, "loss must be one of", lambda net: fastnn.Trainer(net, loss=None)),
        (TypeError, "net must be a Sequential", lambda net: fastnn.Trainer(net.layers)),
        (TypeError, "optimizer must be one of fastnn.optim", lambda net: fastnn.Trainer(net, optimizer="adam")),
        (TypeError, "schedule: expected", lambda net: fastnn.Trainer(net, schedule=0.5)),
    ],
)
def test_trainers_that_cannot_be(error, message, make):
    with pytest.raises(error, match=message):
        make(nn.Sequential(nn.Dense(3, 2), seed=0))


def test_a_schedule_that_makes_no_sense_is_told(impl):
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(3, 2), seed=0), schedule=lambda epoch: float("nan"))
    with pytest.raises(ValueError, match="schedule's factor"):
        trainer.fit(X, Y, verbose=0)


def test_evaluate_refuses_the_same_but_takes_nan(impl):
    trainer = trainer_of()
    with pytest.raises(ValueError, match="y must be integers from 0 to 1"):
        trainer.evaluate(X, Y + 1)
    with pytest.raises(ValueError, match="at least 1 row"):
        trainer.evaluate(X[:0], Y[:0])
    assert math.isnan(trainer.evaluate(with_entry(X, (0, 0), np.nan), Y)["loss"])


# ---- divergence ----


class Explode(fastnn.Callback):
    """Raises the learning rate beyond reason from some epoch on."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, trainer):
        if trainer.epoch == self.epoch:
            trainer.lr = 1e30


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error", "binary_cross_entropy"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_divergence_brings_the_last_finite_epoch_back(impl, loss, batch_norm):
    y = Y if loss == "cross_entropy" else ROWS
    good, bad = (trainer_of(loss, batch_norm, optim.SGD(0.01, momentum=0.9)) for _ in range(2))
    good.fit(X, y, epochs=2, batch_size=4, verbose=0)
    with pytest.raises(fastnn.TrainingDiverged) as caught:
        bad.fit(X, y, epochs=9, batch_size=4, callbacks=[Explode(2)], verbose=0)
    error, message = caught.value, str(caught.value)
    assert isinstance(error, ArithmeticError)
    assert error.epoch == 3
    assert 7 <= error.step <= 9
    assert error.lr == 1e30
    assert not math.isfinite(error.loss) or error.step == 9
    assert re.fullmatch(r"\d \((Dense|BatchNorm)\)|none, the loss itself", error.layer)
    for part in ("epoch 3", f"step {error.step}", "learning rate 1e+30", error.layer):
        assert part in message
    np.testing.assert_array_equal(bad.net.params.data, good.net.params.data)
    np.testing.assert_array_equal(bad.net.state.data, good.net.state.data)
    assert bad.net.training_steps == good.net.training_steps == 6
    assert (bad.epoch, bad.step_count, len(bad.history)) == (2, 0, 2)
    assert not any(slot.any() for slot in bad._slots)
    bad.lr = 0.01
    bad.fit(X, y, epochs=1, batch_size=4, verbose=0)
    assert np.isfinite(bad.net.params.data).all()


def test_the_first_layer_that_is_not_finite_is_named(impl):
    def layer_of(change, **kwargs):
        net = nn.Sequential(
            nn.Dense(3, 4), nn.ReLU(), nn.Dense(4, 4, bias=False), nn.BatchNorm(4), nn.Tanh(), nn.Dense(4, 2), seed=0
        )
        change(net)
        with pytest.raises(fastnn.TrainingDiverged) as caught:
            fastnn.Trainer(net).fit(kwargs.get("X", X), Y, verbose=0)
        assert (caught.value.epoch, caught.value.step, caught.value.lr) == (1, 1, 1e-3)
        return caught.value.layer

    def nan_at(index, name="weight"):
        def change(net):
            getattr(net.layers[index], name).flat[0] = np.nan

        return change

    assert layer_of(nan_at(0)) == "0 (Dense)"
    assert layer_of(nan_at(2)) == "2 (Dense)"
    assert layer_of(nan_at(3, "bias")) == "3 (BatchNorm)"
    assert layer_of(nan_at(5, "bias")) == "5 (Dense)"
    assert layer_of(lambda net: None, X=np.full((N, 3), 1e300)) == "the input"  # too large for float32


def test_weights_that_the_last_step_ruined_are_found(impl):
    # One step an epoch, whose loss is finite and whose update is not: the next epoch must not begin with them.
    trainer = trainer_of("mean_squared_error", optimizer=optim.SGD(1e38))
    start = trainer.net.params.data.copy()
    with pytest.raises(fastnn.TrainingDiverged) as caught:
        trainer.fit(X * 1e5, ROWS, epochs=1, verbose=0)
    assert (caught.value.epoch, caught.value.step) == (1, 1)
    assert math.isfinite(caught.value.loss)
    np.testing.assert_array_equal(trainer.net.params.data, start)


def test_weights_whose_squares_overflow_are_finite(impl):
    trainer = trainer_of("mean_squared_error", optimizer=optim.SGD(0.0))
    trainer.net.layers[0].weight[...] = 1e30
    trainer.fit(X * 0, ROWS, epochs=2, verbose=0)
    assert len(trainer.history) == 2


@pytest.mark.parametrize("hook", ["on_progress", "on_batch_end"])
def test_weights_that_the_last_step_before_a_stop_ruined_are_found(impl, hook):
    # The first of two steps ruins the weights, and a callback ends the epoch there.
    trainer = trainer_of("mean_squared_error", optimizer=optim.SGD(1e38))
    start = trainer.net.params.data.copy()
    stop = type("Stop", (fastnn.Callback,), {hook: lambda self, trainer, logs: trainer.stop()})()
    step_by_step = type("Watch", (fastnn.Callback,), {"on_batch_end": lambda self, trainer, logs: None})()
    with pytest.raises(fastnn.TrainingDiverged) as caught:
        trainer.fit(X * 1e5, ROWS, epochs=1, batch_size=6, callbacks=[stop, step_by_step], verbose=0)
    assert (caught.value.epoch, caught.value.step, caught.value.lr) == (1, 1, 1e38)
    assert math.isfinite(caught.value.loss)
    np.testing.assert_array_equal(trainer.net.params.data, start)
    assert len(trainer.history) == trainer.step_count == trainer.net.training_steps == 0


def test_unscaled_huge_targets_are_the_losss_fault(impl):
    trainer = trainer_of("mean_squared_error", dtype="float64")
    with pytest.raises(fastnn.TrainingDiverged, match="none, the loss itself"):
        trainer.fit(X, ROWS.astype(float) * 1e200, verbose=0)
