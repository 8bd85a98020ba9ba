"""Schedules whose length is None have the length of each fit; others go on over fits."""

import contextlib
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

X, Y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
BATCHES = 4  # of ten rows


def trainer_of(schedule, lr=0.5):
    net = nn.Sequential(nn.Dense(3, 2), dtype="float64", seed=0)
    return fastnn.Trainer(net, optimizer=optim.SGD(lr=lr), schedule=schedule)


def rates_of(trainer, epochs):
    """Return the rate of the last step of each epoch of a fit."""
    return trainer.fit(X, Y, epochs=epochs, batch_size=10, verbose=0)["lr"][-epochs:]


# A schedule without a length, and the one that a fit of n epochs has in its place.
SCHEDULES = {
    "CosineAnnealingLR": (optim.CosineAnnealingLR(), lambda n: optim.CosineAnnealingLR(n)),
    "CosineAnnealingLR by step": (
        optim.CosineAnnealingLR(every="step"), lambda n: optim.CosineAnnealingLR(n * BATCHES, every="step")
    ),
    "OneCycleLR": (optim.OneCycleLR(), lambda n: optim.OneCycleLR(total_steps=n * BATCHES)),
    "OneCycleLR by epoch": (
        optim.OneCycleLR(0.7, every="epoch"), lambda n: optim.OneCycleLR(0.7, n, every="epoch")
    ),
    "LinearLR": (optim.LinearLR(1.0, 0.0, None), lambda n: optim.LinearLR(1.0, 0.0, n)),
    "PolynomialLR": (optim.PolynomialLR(None), lambda n: optim.PolynomialLR(n)),
    "ConstantLR": (optim.ConstantLR(0.5, None), lambda n: optim.ConstantLR(0.5, n)),
    "WarmupLR": (
        optim.WarmupLR("cosine", total_iters=2), lambda n: optim.WarmupLR(optim.CosineAnnealingLR(n - 2), total_iters=2)
    ),
    "SequentialLR": (
        optim.SequentialLR([optim.LinearLR(0.0, 1.0, None), optim.CosineAnnealingLR()], [2]),
        lambda n: optim.SequentialLR([optim.LinearLR(0.0, 1.0, 2), optim.CosineAnnealingLR(n - 2)], [2]),
    ),
    "ChainedScheduler": (
        optim.ChainedScheduler([optim.OneCycleLR(), optim.CosineAnnealingLR()]),
        lambda n: optim.ChainedScheduler(
            [optim.OneCycleLR(total_steps=n * BATCHES), optim.CosineAnnealingLR(n)]
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_fit_has_its_own_length(impl, name):
    schedule, of_length = SCHEDULES[name]
    assert schedule.needs_length and not of_length(6).needs_length
    trainer = trainer_of(schedule)
    for epochs in (6, 3):
        assert rates_of(trainer, epochs) == rates_of(trainer_of(of_length(epochs)), epochs)
    assert trainer.schedule is schedule  # what was set is what is shown


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_length_of_a_fit_by_hand(name):
    schedule, of_length = SCHEDULES[name]
    assert schedule.over(6, 6 * BATCHES) == of_length(6)
    assert of_length(6).over(9, 99) == of_length(6)  # lengths of its own stay
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert fastnn.from_config(schedule.config()) == schedule
    with pytest.raises(
        ValueError, match=r"^schedule must have a length outside of a fit, got .*: give it a length, or "
    ):
        schedule(0.1, 0, [0, 1])


def test_lengths_of_their_own_go_on():
    whole, parts = trainer_of(optim.CosineAnnealingLR(6)), trainer_of(optim.CosineAnnealingLR(6))
    assert rates_of(whole, 6) == rates_of(parts, 2) + rates_of(parts, 4)
    one = trainer_of(optim.OneCycleLR(total_steps=6 * BATCHES))
    assert rates_of(one, 9)[6:] == [0.5 / 25 / 1e4] * 3


def test_the_same_weights_as_with_the_length(impl):
    nets = []
    for schedule in (optim.OneCycleLR(), optim.OneCycleLR(total_steps=5 * BATCHES)):
        trainer = trainer_of(schedule)
        rates_of(trainer, 5)
        nets.append(trainer.net.params.data.copy())
    np.testing.assert_array_equal(*nets)


def test_single_steps_need_a_length(impl):
    trainer = trainer_of("one_cycle")
    rates_of(trainer, 2)
    z = trainer.net.forward(X, training=True)
    trainer.net.backward(z)
    before = trainer.net.params.data.copy()
    with pytest.raises(ValueError, match=r"^schedule must have a length for single steps, got OneCycleLR\(\): give it"):
        trainer.step()
    np.testing.assert_array_equal(trainer.net.params.data, before)
    trainer.schedule = optim.OneCycleLR(total_steps=3)
    trainer.step()


def test_fits_that_end_early_begin_anew():
    class Stop(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            if len(trainer.history.epochs) == 2:
                trainer.stop()

    class Fail(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            raise KeyError("mine")

    for callback in (Stop(), Fail()):
        trainer = trainer_of("cosine")
        with contextlib.suppress(KeyError):
            trainer.fit(X, Y, epochs=8, batch_size=10, callbacks=[callback], verbose=0)
        assert rates_of(trainer, 4) == rates_of(trainer_of(optim.CosineAnnealingLR(4)), 4)


def test_a_schedule_set_during_a_fit_has_the_fits_length():
    class Set(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 3:
                trainer.schedule = "cosine"

    trainer = trainer_of(None)
    got = trainer.fit(X, Y, epochs=6, batch_size=10, callbacks=[Set()], verbose=0)["lr"]
    assert got[:3] == [0.5] * 3
    assert got[3:] == rates_of(trainer_of(optim.CosineAnnealingLR(6)), 6)[3:]


def test_counts_that_a_callback_sets_back():
    class Reset(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 2:
                trainer.reset_optimizer()

    trainer = trainer_of("one_cycle")
    rates_of(trainer, 2)  # so that the next fit does not begin at step 0
    got = trainer.fit(X, Y, epochs=5, batch_size=10, callbacks=[Reset()], verbose=0)["lr"][2:]
    assert got == rates_of(trainer_of(optim.OneCycleLR(total_steps=5 * BATCHES)), 5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_estimators_take_max_iter(name):
    """Their lengths are `max_iter` epochs, however many calls of `partial_fit` these are."""
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPClassifier

    schedule, of_length = SCHEDULES[name]
    curves = []
    for each in (schedule, of_length(6)):
        model = MLPClassifier((4,), solver="sgd", schedule=each, max_iter=6, batch_size=10, random_state=0, tol=0)
        for _ in range(6):
            model.partial_fit(X, Y, classes=[0, 1])
        curves.append(model.loss_curve_)
    assert curves[0] == curves[1]


def test_a_count_that_is_set_back_does_not_move_the_other():
    class Reset(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 4:
                trainer.step_count = 0

    trainer = trainer_of("cosine")
    rates_of(trainer, 2)
    got = trainer.fit(X, Y, epochs=4, batch_size=10, callbacks=[Reset()], verbose=0)["lr"][-4:]
    assert got == rates_of(trainer_of(optim.CosineAnnealingLR(4)), 4)
