"""A trainer's settings may be set at any time and apply from the next step, in fits, loops and copies."""

import copy
import math
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)).astype(np.float32), RNG.integers(0, 3, 60)
ROWS = np.eye(3, dtype=np.float32)[Y]
START = {
    "loss": nn.CrossEntropyLoss(),
    "optimizer": optim.Adam(0.01),
    "schedule": None,
    "penalty": None,
    "clip_value": None,
    "clip_norm": None,
}
# New values for each setting.
VALUES = {
    "loss": [nn.CrossEntropyLoss(label_smoothing=0.3), nn.CrossEntropyLoss(weight=[1.0, 2.0, 30.0]), "multi_margin"],
    "optimizer": [
        optim.SGD(0.1),
        optim.Adam(0.1),
        optim.Adam(0.01, betas=(0.5, 0.6), eps=0.1),
        optim.Adam(0.01, amsgrad=True),
        optim.AdamW(0.05, weight_decay=0.3, groups=[optim.NO_DECAY]),
        optim.RMSprop(0.01, momentum=0.5, centered=True),
        optim.Adagrad(0.1, initial_accumulator_value=0.3),
    ],
    "schedule": [optim.ExponentialLR(0.5, every="step"), lambda epoch: 0.1],
    "penalty": [optim.Penalty(l2=0.5), optim.Penalty(l1=0.1, per_batch=True)],
    "clip_value": [1e-3],
    "clip_norm": [1e-3],
    "lr": [0.5, 0.0],
}
CASES = [(name, value) for name, values in VALUES.items() for value in values]
IDS = [f"{name}-{index}" for name, values in VALUES.items() for index in range(len(values))]


def net_of():
    return nn.Sequential(nn.Dense(4, 8), nn.BatchNorm(8), nn.Tanh(), nn.Dropout(0.2), nn.Dense(8, 3), seed=1)


def trainer_of(**settings):
    return fastnn.Trainer(net_of(), **START | settings)


def fit(trainer, epochs=2, **settings):
    return trainer.fit(X, Y, **{"epochs": epochs, "batch_size": 20, "verbose": 0} | settings)


def train_by_hand(trainer):
    for start in range(0, 60, 20):
        rows = slice(start, start + 20)
        z = trainer.net.forward(X[rows], training=True)
        dz = np.empty_like(z)
        trainer.loss(z, Y[rows], grad=dz)
        trainer.net.backward(dz)
        trainer.step()


def same(one, other):
    np.testing.assert_array_equal(one.net.params.data, other.net.params.data)
    np.testing.assert_array_equal(one.net.state.data, other.net.state.data)
    assert one.history["loss"] == other.history["loss"]
    assert one.step_count == other.step_count


@pytest.mark.parametrize(("name", "value"), CASES, ids=IDS)
def test_a_setting_before_the_first_fit_equals_an_argument(impl, name, value):
    later = trainer_of()
    setattr(later, name, value)
    if name == "lr":
        at_once = trainer_of(optimizer=optim.Adam(value))
    else:
        at_once = trainer_of(**{name: value})
    for trainer in (later, at_once):
        fit(trainer)
        train_by_hand(trainer)
    same(later, at_once)
    if name == "optimizer":
        assert later.lr == value.lr


@pytest.mark.sampled(4)
@pytest.mark.parametrize("training", [fit, train_by_hand])
@pytest.mark.parametrize(("name", "value"), CASES, ids=IDS)
def test_a_setting_applies_from_the_next_step(impl, training, name, value):
    """Training continues as with a new trainer that has this setting and the loaded state of net and trainer."""
    changed = trainer_of()
    fit(changed)
    train_by_hand(changed)
    wanted = trainer_of(**{} if name == "lr" else {name: value})
    wanted.net.load_state_dict(changed.net.state_dict())
    state = changed.state_dict()
    if wanted.optimizer.kind == changed.optimizer.kind:
        wanted.load_state_dict(state)
    else:  # new slots and bias correction; there is no schedule here, which would continue
        wanted.load_state_dict(
            wanted.state_dict() | {key: state[key] for key in ("epoch", "history", "training_steps")}
        )
    wanted.lr = {"lr": value, "optimizer": getattr(value, "lr", None)}.get(name, state["lr"])
    setattr(changed, name, value)
    assert changed.lr == wanted.lr
    for trainer in (changed, wanted):
        training(trainer)
    same(changed, wanted)
    untouched = trainer_of()
    fit(untouched)
    train_by_hand(untouched)
    training(untouched)
    assert not np.array_equal(untouched.net.params.data, changed.net.params.data)


class Set(fastnn.Callback):
    def __init__(self, name, value, at):
        self.name, self.value, self.at = name, value, at

    def on_batch_end(self, trainer, logs):
        if trainer.net.training_steps == self.at:
            setattr(trainer, self.name, self.value)


@pytest.mark.parametrize(("name", "value"), CASES, ids=IDS)
def test_a_setting_in_a_callback_applies_from_the_next_step(impl, name, value):
    between, within = trainer_of(), trainer_of()
    fit(between, 2)
    setattr(between, name, value)
    fit(between, 2)
    fit(within, 4, callbacks=[Set(name, value, at=6)])
    same(within, between)
    # In the middle of an epoch the later steps differ.
    middle = trainer_of()
    fit(middle, 2, callbacks=[Set(name, value, at=4)])
    old = trainer_of()
    fit(old, 2, callbacks=[Set("lr", old.lr, at=4)])
    assert not np.array_equal(middle.net.params.data, old.net.params.data)


@pytest.mark.parametrize(("name", "value"), CASES, ids=IDS)
@pytest.mark.parametrize("copied", [lambda t: t.copy(), copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copy_has_the_settings_and_trains_alike(copied, name, value):
    if callable(value) and not isinstance(value, nn.Loss | optim.Schedule):
        value = optim.StepLR(1, 0.1)  # a lambda cannot be pickled
    one = trainer_of()
    fit(one)
    setattr(one, name, value)
    twin = copied(one)
    assert getattr(twin, name) == getattr(one, name)
    for trainer in (one, twin):
        fit(trainer)
        train_by_hand(trainer)
    same(one, twin)
    assert not np.shares_memory(one.net.params.data, twin.net.params.data)
    # The copy's settings are independent. This once crashed, as the copy kept the slots of the old optimiser.
    twin.optimizer = optim.RMSprop(0.01, momentum=0.5)
    fit(twin)
    fit(one)


def test_a_new_kind_of_optimiser_gets_new_slots(impl):
    """A bug once let Adam's kernel read SGD's scalars, one number a row, and slots that did not exist."""
    for first, second in [(optim.SGD(0.1), optim.Adam(0.1)), (optim.Adam(0.1), optim.SGD(0.1))]:
        trainer = trainer_of(optimizer=first)
        fit(trainer)
        twin = trainer.copy()
        twin.optimizer = second
        fit(twin)
        assert set(twin.state_dict()["slots"]) == set(second.slots)
        assert twin.step_count == 6


def test_the_schedule_keeps_counting(impl):
    """Another optimiser does not restart a finished warm-up, though its own count of steps starts at 0."""
    for every, wanted in (("step", 0.5**6), ("epoch", 0.5**2)):
        trainer = trainer_of(schedule=optim.ExponentialLR(0.5, every=every))
        fit(trainer)
        trainer.optimizer = optim.SGD(1.0)
        assert trainer.step_count == 0
        assert trainer.scalars(1)[0][0] == wanted
        saved, net = trainer.state_dict(), trainer.net.state_dict()
        assert saved["schedule_step"] == 6
        other = trainer_of(schedule=trainer.schedule, optimizer=optim.SGD(1.0))
        other.net.load_state_dict(net)
        other.load_state_dict(saved)
        for each in (trainer, other, trainer.copy()):
            fit(each, 1)
            assert each.history["lr"][-1] == wanted * (0.25 if every == "step" else 1)


def test_a_loss_with_other_targets_during_a_fit(impl):
    """Targets are checked again for the new loss, and the fit ends if they do not suit it."""
    trainer = trainer_of(loss="mean_squared_error")
    trainer.fit(X, ROWS, epochs=2, batch_size=20, verbose=0, callbacks=[Set("loss", "huber", at=2)])
    assert trainer.loss == nn.HuberLoss()
    with pytest.raises(ValueError, match=r"^y must contain only -1 and 1, got 0.0 in row 0"):
        trainer.fit(X, ROWS * 7, epochs=2, batch_size=20, verbose=0, callbacks=[Set("loss", "hinge", at=8)])
    assert trainer.step_count == 8


BAD = {
    "loss": [(ValueError, "rmse"), (TypeError, 3)],
    "optimizer": [(ValueError, "momentum"), (TypeError, 3), (ValueError, optim.SGD(0.1, groups=[optim.Group("9.*")]))],
    "schedule": [(TypeError, 3)],
    "penalty": [(TypeError, 0.1)],
    "clip_value": [(ValueError, -1.0), (TypeError, "1")],
    "clip_norm": [(ValueError, 0.0)],
    "lr": [(ValueError, -0.1), (ValueError, math.nan)],
    "step_count": [(ValueError, -1), (TypeError, 1.5), (ValueError, 2**63)],
    "epoch": [(ValueError, -1), (ValueError, 10**400)],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_changes_nothing(impl, name):
    trainer, wanted = trainer_of(clip_norm=1.0), trainer_of(clip_norm=1.0)
    for each in (trainer, wanted):
        fit(each)
    for error, value in BAD[name]:
        with pytest.raises(error, match=rf"^({name}|groups\[0\].pattern)\b"):
            setattr(trainer, name, value)
    for each in (trainer, wanted):
        fit(each)
    same(trainer, wanted)


def test_unknown_attributes_cannot_be_set():
    trainer = trainer_of()
    for name, write in (
        ("learning_rate", "write trainer.lr"),
        ("scheduler", "write trainer.schedule"),
        ("criterion", "write trainer.loss"),
        ("trainable", "trainer.net.freeze"),
        ("frozen", "the attributes to set are accumulate"),
        ("momentum", "the attributes to set are accumulate"),
    ):
        with pytest.raises(AttributeError, match=f"^Trainer has no attribute '{name}' to set: .*{write}"):
            setattr(trainer, name, 0.1)
    for name in ("net", "history"):
        with pytest.raises(AttributeError, match=f"^Trainer.{name} is read-only"):
            setattr(trainer, name, getattr(trainer, name))

    class Own(fastnn.Trainer):
        def __init__(self, net):
            super().__init__(net)
            self.note = "mine"

    own = Own(net_of())
    own.note = "still"
    fit(own)
    assert copy.copy(own).note == copy.deepcopy(own).note == own.copy().note == "still"


def test_full_batch_optimisers(impl):
    net = nn.Sequential(nn.Dense(4, 3), seed=0)
    trainer = fastnn.Trainer(net)
    fit(trainer)
    trainer.optimizer = optim.Newton()
    fit(trainer)
    before = trainer.optimizer
    for name, value in (("schedule", optim.StepLR(1)), ("clip_norm", 1.0), ("clip_value", 1.0)):
        with pytest.raises(
            ValueError, match=f"^{name} must be None with Newton, got .*: write optim.Adam.. to use {name}$"
        ):
            setattr(trainer, name, value)

    class During(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            for name, value in (("loss", "log_loss"), ("penalty", None), ("optimizer", optim.SGD(0.1))):
                with pytest.raises(
                    RuntimeError, match=rf"^{name} cannot be set during a fit with Newton\(.*: set it after the fit"
                ):
                    setattr(trainer, name, value)

    fit(trainer, callbacks=[During()])
    assert trainer.optimizer is before
    trainer.optimizer = optim.SGD(0.1)
    trainer.clip_norm = 1.0
    fit(trainer, callbacks=[Set("lr", 0.2, at=trainer.net.training_steps + 1)])
    with pytest.raises(ValueError, match=r"^clip_norm must be None with Newton, got 1.0"):
        trainer.optimizer = optim.Newton()
    assert trainer.optimizer.kind == "sgd"
    trainer.clip_norm = None
    with pytest.raises(ValueError, match=r"^optimizer must step batch by batch during a fit, got Newton"):
        fit(trainer, callbacks=[Set("optimizer", optim.Newton(), at=trainer.net.training_steps + 1)])


def test_a_step_needs_gradients(impl):
    trainer = trainer_of()
    for call in (trainer.step, lambda: trainer.net.forward(X, training=True) is trainer.step()):
        with pytest.raises(RuntimeError, match=r"^call net\.backward"):
            call()
    assert trainer.step_count == 0
    trainer.net.grads.data[...] = 1.0  # gradients set by hand are used too
    trainer.step()
    assert trainer.step_count == 1
