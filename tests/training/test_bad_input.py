"""Wrong arguments of `fit` change nothing; a training that diverges restores the net of the last finite epoch."""

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
    """Return an error and its message, the trainer's loss, and the arguments that differ from a good call."""
    return error, message, loss, change


BAD = {
    "X flat": bad(ValueError, r"X must be 2-dimensional, of shape \(n, 3\), got shape \(12,\)", X=X[:, 0]),
    "X wide": bad(ValueError, r"X must have shape \(n, 3\), got shape \(12, 6\)", X=np.hstack([X, X])),
    "X empty": bad(ValueError, r"X must have at least 1 row, got shape \(0, 3\)", X=X[:0], y=Y[:0]),
    "X objects": bad(TypeError, "X must be an array of real numbers, got dtype object", X=X.astype(object)),
    "X strings": bad(TypeError, "X must be an array of real numbers", X=X.astype(str)),
    "X complex": bad(TypeError, "X must be an array of real numbers, got dtype complex64", X=X.astype("c8")),
    "X ragged": bad(ValueError, "X must be an array of real numbers", X=[[1, 2, 3], [1]]),
    "X masked": bad(TypeError, "X must be an array without a mask", X=np.ma.masked_array(X, X > 1)),
    "X nan": bad(
        ValueError, "X must contain finite numbers, got nan in row 7, column 1", X=with_entry(X, (7, 1), np.nan)
    ),
    "X inf": bad(
        ValueError, "X must contain finite numbers, got -inf in row 0, column 2", X=with_entry(X, (0, 2), -np.inf)
    ),
    "y short": bad(ValueError, "y must have 12 rows, as many as X, got 11", y=Y[1:]),
    "y float": bad(TypeError, r"y must contain integers, got dtype float64: for labels write y\.", y=Y.astype(float)),
    "y strings": bad(
        TypeError, "y must be an array of real numbers, got dtype <U21: number the classes from 0", y=Y.astype(str)
    ),
    "y column": bad(
        ValueError, r"y must have shape \(n, 2\), got .*: for labels write y.ravel\(\)$", y=Y[:, np.newaxis]
    ),
    "y too large": bad(ValueError, "y must contain integers from 0 to 1, got 2", y=Y + 1),
    "y negative": bad(ValueError, "y must contain integers from 0 to 1, got -1", y=Y - 1),
    "y wide": bad(ValueError, r"y must have shape \(n, 2\), got shape \(12, 3\)", y=np.ones((N, 3))),
    "y rows nan": bad(
        ValueError, "y must contain finite numbers, got nan in row 3, column 0", y=with_entry(ROWS, (3, 0), np.nan)
    ),
    "y flat": bad(
        ValueError, r"y must be 2-dimensional, of shape \(n, 2\), got shape \(12,\)", loss="mean_squared_error", y=Y
    ),
    "y inf": bad(
        ValueError,
        "y must contain finite numbers, got inf",
        loss="mean_squared_error",
        y=with_entry(ROWS, (1, 1), np.inf),
    ),
    "y outside": bad(
        ValueError,
        "y must contain numbers from 0 to 1, got 2.0 in row 1, column 1",
        loss="binary_cross_entropy",
        y=with_entry(ROWS, (1, 1), 2),
    ),
    "weight short": bad(
        ValueError, r"sample_weight must have shape \(12,\), got shape \(5,\)", sample_weight=np.ones(5)
    ),
    "weight negative": bad(
        ValueError, "sample_weight must contain finite weights, none below 0, got -1.0", sample_weight=-np.ones(N)
    ),
    "weight nan": bad(
        ValueError,
        "sample_weight must contain finite weights, none below 0, got nan",
        sample_weight=with_entry(np.ones(N), 3, np.nan),
    ),
    "weight sum": bad(ValueError, "sample_weight must have a finite sum", sample_weight=np.full(N, 1e308)),
    "weight zeros": bad(
        ValueError, "sample_weight must contain at least one weight other than 0", sample_weight=np.zeros(N)
    ),
    "epochs zero": bad(ValueError, "epochs must be an integer of at least 1, got 0", epochs=0),
    "epochs float": bad(TypeError, "epochs must be an integer", epochs=2.0),
    "batch_size": bad(ValueError, "batch_size must be an integer of at least 1, got 0", batch_size=0),
    "batch_size bool": bad(TypeError, "batch_size must be an integer", batch_size=True),
    "validation": bad(
        TypeError,
        r"validation_data must be \(X, y\) or \(X, y, sample_weight\), got ndarray: write validation_data=\(",
        validation_data=X,
    ),
    "validation X": bad(ValueError, r"validation_data\[0\] must have shape \(n, 3\)", validation_data=(X[:, :2], Y)),
    "validation y": bad(
        ValueError, r"validation_data\[1\] must contain integers from 0 to 1", validation_data=(X, Y + 5)
    ),
    "callbacks": bad(TypeError, r"callbacks\[0\] must be a Callback, got function", callbacks=[trainer_of]),
    "callbacks alone": bad(
        TypeError,
        r"callbacks must be a list of callbacks, got EarlyStopping: write callbacks=\[",
        callbacks=fastnn.EarlyStopping(),
    ),
    "validation alone": bad(
        TypeError,
        r"validation_data must be \(X, y\) or \(X, y, sample_weight\), got a tuple of length 1: write",
        validation_data=(X,),
    ),
    "shuffle": bad(TypeError, "shuffle must be True or False, got 'no'", shuffle="no"),
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
    assert len(trainer.history.epochs) == 2
    trainer.fit(**good)


def test_batch_statistics_need_two_rows(impl):
    trainer = trainer_of(batch_norm=True)
    with pytest.raises(ValueError, match="X must have at least 2 rows for batch norm"):
        trainer.fit(X[:1], Y[:1], verbose=0)
    with pytest.raises(ValueError, match="batch_size must be at least 2 for batch norm, got 1"):
        trainer.fit(X, Y, batch_size=1, verbose=0)
    assert trainer.net.training_steps == 0


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "loss must be one of cross_entropy", lambda net: fastnn.Trainer(net, "hing")),
        (TypeError, "loss must be one of .*, got None", lambda net: fastnn.Trainer(net, loss=None)),
        (
            TypeError,
            r"loss must be one of .*, got function: write nn\.CustomLoss\(value, gradient\)",
            lambda net: fastnn.Trainer(net, loss=lambda z, t: (z - t) ** 2),
        ),
        (
            TypeError,
            r"net must be a Sequential, got tuple: write nn\.Sequential\(",
            lambda net: fastnn.Trainer(net.layers),
        ),
        (
            TypeError,
            r"optimizer must be an optimiser of fastnn\.optim, or the name of one, got int: write optim\.Adam\(\)",
            lambda net: fastnn.Trainer(net, optimizer=3),
        ),
        (
            TypeError,
            r"schedule must be a schedule .*, got float: write optim\.ExponentialLR",
            lambda net: fastnn.Trainer(net, schedule=0.5),
        ),
        (
            TypeError,
            r"penalty must be an optim\.Penalty, got float: write",
            lambda net: fastnn.Trainer(net, penalty=0.1),
        ),
    ],
)
def test_trainers_with_wrong_settings(error, message, make):
    with pytest.raises(error, match=f"^{message}"):
        make(nn.Sequential(nn.Dense(3, 2), seed=0))


def own(base, **methods):
    """Return a user's subclass, which is not in the package."""
    return type("Own", (base,), methods)


# Classes in place of instances: the argument, and the call that the message proposes.
CLASSES = {
    "net": (lambda net: fastnn.Trainer(nn.Sequential), "net", "nn.Sequential(...)"),
    "loss": (lambda net: fastnn.Trainer(net, nn.MSELoss), "loss", "nn.MSELoss()"),
    "loss with arguments": (lambda net: fastnn.Trainer(net, nn.CustomLoss), "loss", "nn.CustomLoss(...)"),
    "loss, set": (lambda net: setattr(fastnn.Trainer(net), "loss", nn.MSELoss), "loss", "nn.MSELoss()"),
    "optimizer": (lambda net: fastnn.Trainer(net, optimizer=optim.Adam), "optimizer", "optim.Adam()"),
    "full batch": (lambda net: fastnn.Trainer(net, optimizer=optim.Newton), "optimizer", "optim.Newton()"),
    "optimizer, set": (
        lambda net: setattr(fastnn.Trainer(net), "optimizer", optim.SGD), "optimizer", "optim.SGD()"
    ),
    "schedule": (lambda net: fastnn.Trainer(net, schedule=optim.StepLR), "schedule", "optim.StepLR(...)"),
    "own schedule": (lambda net: fastnn.Trainer(net, schedule=own(optim.ConstantLR)), "schedule", "Own()"),
    "penalty": (lambda net: fastnn.Trainer(net, penalty=optim.Penalty), "penalty", "optim.Penalty()"),
    "callback": (
        lambda net: fastnn.Trainer(net).fit(X, Y, callbacks=[fastnn.EarlyStopping]),
        "callbacks[0]",
        "fastnn.EarlyStopping()",
    ),
    "own callback": (
        lambda net: fastnn.Trainer(net).fit(X, Y, callbacks=[fastnn.EarlyStopping(), own(fastnn.Callback)]),
        "callbacks[1]",
        "Own()",
    ),
    "callback alone": (
        lambda net: fastnn.Trainer(net).fit(X, Y, callbacks=fastnn.EarlyStopping),
        "callbacks",
        "callbacks=[fastnn.EarlyStopping()]",
    ),
    "member": (lambda net: fastnn.Ensemble([net, nn.Sequential]), "members[1]", "nn.Sequential(...)"),
    "range test": (lambda net: fastnn.lr_range_test(fastnn.Trainer, X, Y), "trainer", "fastnn.Trainer(...)"),
    "gradient check": (lambda net: fastnn.check_gradients(net, X, Y, loss=nn.MSELoss), "loss", "nn.MSELoss()"),
    "net of a gradient check": (
        lambda net: fastnn.check_gradients(nn.Sequential, X, Y), "net", "nn.Sequential(...)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLASSES)
def test_a_class_in_place_of_an_instance(case):
    make, name, call = CLASSES[case]
    kind = call.partition("(")[0].rpartition(".")[2] if case != "callback alone" else "EarlyStopping"
    message = rf"^{re.escape(name)} must be .*, got the class {kind}: write {re.escape(call)}$"
    with pytest.raises(TypeError, match=message):
        make(nn.Sequential(nn.Dense(3, 2), seed=0))


def test_an_abstract_class_has_no_call():
    with pytest.raises(TypeError, match=r"^loss must be .*, got the class Loss$"):
        fastnn.Trainer(nn.Sequential(nn.Dense(3, 2), seed=0), loss=nn.Loss)


def test_a_class_that_is_a_function_of_the_epoch_is_a_schedule(impl):
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(3, 2), seed=0), schedule=float)
    assert trainer.fit(X, Y, epochs=3, verbose=0)["lr"] == [0.0, 1e-3, 2e-3]


def test_a_schedule_with_a_factor_of_nan_is_an_error(impl):
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(3, 2), seed=0), schedule=lambda epoch: float("nan"))
    with pytest.raises(ValueError, match=r"the schedule's function must .* got nan"):
        trainer.fit(X, Y, verbose=0)


def test_evaluate_refuses_the_same_arguments_but_accepts_nan(impl):
    trainer = trainer_of()
    with pytest.raises(ValueError, match="y must contain integers from 0 to 1, got 2"):
        trainer.evaluate(X, Y + 1)
    with pytest.raises(ValueError, match=r"^X must have at least 1 row"):
        trainer.evaluate(X[:0], Y[:0])
    assert math.isnan(trainer.evaluate(with_entry(X, (0, 0), np.nan), Y)["loss"])


# ---- divergence ----


class Explode(fastnn.Callback):
    """Sets a far too large learning rate at the start of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, trainer):
        if trainer.epoch == self.epoch:
            trainer.lr = 1e30


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error", "binary_cross_entropy"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_divergence_restores_the_last_finite_epoch(impl, loss, batch_norm):
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
    assert (bad.epoch, bad.step_count, len(bad.history.epochs)) == (2, 0, 2)
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


HIDDEN = {  # the infinity of a layer that the activation after it hides
    "in its step": (nn.Dense(16, 16, bias=False), nn.Tanh()),
    "sigmoid": (nn.Dense(16, 16), nn.Sigmoid()),
    "clipped": (nn.BatchNorm(16), nn.ReLU6(), nn.Dense(16, 16), nn.Tanh()),
}


@pytest.mark.parametrize("middle", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_layer_does_not_depend_on_who_watches(impl, middle, accumulate):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)), rng.integers(0, 3, 64)
    found = []
    for callbacks in ([], [fastnn.Watch(1)], [fastnn.Watch(1000)], [fastnn.Watch(layers=["0"])]):
        net = nn.Sequential(nn.Dense(4, 16), nn.ReLU(), *middle, nn.Dense(16, 3), seed=3, dtype="float32")
        trainer = fastnn.Trainer(net, optimizer=optim.SGD(1e38), accumulate=accumulate)
        with pytest.raises(fastnn.TrainingDiverged) as caught:
            trainer.fit(x, y, epochs=3, batch_size=16, callbacks=callbacks, verbose=0)
        found.append(str(caught.value))
    assert len(set(found)) == 1, found


def test_nonfinite_weights_after_the_last_step_are_found(impl):
    # One step an epoch, whose loss is finite and whose update is not: the next epoch must not begin with such weights.
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
    assert len(trainer.history.epochs) == 2


@pytest.mark.parametrize("hook", ["on_progress", "on_batch_end"])
def test_nonfinite_weights_after_the_last_step_before_a_stop_are_found(impl, hook):
    # The first of two steps makes weights infinite, and a callback ends the epoch there.
    trainer = trainer_of("mean_squared_error", optimizer=optim.SGD(1e38))
    start = trainer.net.params.data.copy()
    stop = type("Stop", (fastnn.Callback,), {hook: lambda self, trainer, logs: trainer.stop()})()
    step_by_step = type("Watch", (fastnn.Callback,), {"on_batch_end": lambda self, trainer, logs: None})()
    with pytest.raises(fastnn.TrainingDiverged) as caught:
        trainer.fit(X * 1e5, ROWS, epochs=1, batch_size=6, callbacks=[stop, step_by_step], verbose=0)
    assert (caught.value.epoch, caught.value.step, caught.value.lr) == (1, 1, 1e38)
    assert math.isfinite(caught.value.loss)
    np.testing.assert_array_equal(trainer.net.params.data, start)
    assert len(trainer.history.epochs) == trainer.step_count == trainer.net.training_steps == 0


def test_a_loss_that_overflows_by_itself_is_named(impl):
    trainer = trainer_of("mean_squared_error", dtype="float64")
    with pytest.raises(fastnn.TrainingDiverged, match="none, the loss itself"):
        trainer.fit(X, ROWS.astype(float) * 1e200, verbose=0)
