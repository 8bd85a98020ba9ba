"""State dicts of trainers: a restored training continues bit for bit, and a bad state changes nothing."""

import copy

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(90, 5)), RNG.integers(0, 3, 90)

OPTIMIZERS = {
    "sgd": optim.SGD(0.1),
    "momentum": optim.SGD(0.1, momentum=0.9, dampening=0.5),
    "adagrad": optim.Adagrad(0.1, lr_decay=0.1, initial_accumulator_value=0.3),
    "centred": optim.RMSprop(1e-3, centered=True, momentum=0.5),
    "amsgrad": optim.AdamW(0.01, amsgrad=True, groups=[optim.NO_DECAY]),
    "nadam": optim.NAdam(0.01),
}


def trainer_of(optimizer, dtype="float32", lr=None):
    net = nn.Sequential(
        nn.Dense(5, 9), nn.BatchNorm(9), nn.ReLU(), nn.Dropout(0.3), nn.Dense(9, 3), dtype=dtype, seed=1
    )
    return fastnn.Trainer(net, optimizer=optimizer, schedule=optim.ExponentialLR(0.99, every="step"), clip_norm=1.0)


def fit(trainer, epochs):
    trainer.fit(X, Y, epochs=epochs, batch_size=20, verbose=0)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_five_epochs_saved_and_five_more_are_ten(impl, dtype, optimizer):
    at_once, first, second = (trainer_of(optimizer, dtype) for _ in range(3))
    fit(at_once, 10)
    fit(first, 5)
    net, state = first.net.state_dict(), first.state_dict()
    fit(first, 1)  # does not change the saved state
    second.net.load_state_dict(net)
    second.load_state_dict(state)
    fit(second, 5)
    np.testing.assert_array_equal(second.net.params.data, at_once.net.params.data)
    np.testing.assert_array_equal(second.net.state.data, at_once.net.state.data)
    assert second.history["loss"] == at_once.history["loss"]
    assert second.history["lr"] == at_once.history["lr"]
    assert (second.epoch, second.step_count) == (10, 50)
    assert second.net.training_steps == at_once.net.training_steps == 50


def test_a_state_is_loaded_into_a_trainer_that_has_trained(impl):
    used, other = trainer_of(OPTIMIZERS["nadam"]), trainer_of(OPTIMIZERS["nadam"])
    fit(used, 2)
    other.lr = 0.5
    fit(other, 3)
    other.net.load_state_dict(used.net.state_dict())
    other.load_state_dict(used.state_dict())
    for trainer in (used, other):
        fit(trainer, 2)
    np.testing.assert_array_equal(used.net.params.data, other.net.params.data)
    assert other.lr == 0.01
    assert len(other.history.epochs) == 4


def test_slots_are_in_pytorchs_orientation(impl):
    trainer = trainer_of(optim.Adam())
    fit(trainer, 1)
    state = trainer.state_dict()
    assert set(state["slots"]) == {"m", "v"}
    shapes = {name: array.shape for name, array in trainer.net.state_dict().items() if name in state["slots"]["m"]}
    assert {name: array.shape for name, array in state["slots"]["m"].items()} == shapes
    assert shapes["0.weight"] == (9, 5)
    assert all(np.abs(array).max() > 0 for array in state["slots"]["v"].values())


def test_a_state_before_the_first_step(impl):
    state = trainer_of(OPTIMIZERS["adagrad"]).state_dict()
    assert (state["slots"]["v"]["0.weight"] == np.float32(0.3)).all()
    assert state["step_count"] == state["epoch"] == 0


def change(**parts):
    return lambda state: state | parts


def without(key):
    return lambda state: {k: part for k, part in state.items() if k != key}


def slot(key, value):
    def changed(state):
        state["slots"]["v"][key] = value
        return state

    return changed


BAD = {
    "no mapping": (TypeError, "state_dict must be a mapping of names to values, got list", lambda state: [state]),
    "missing": (ValueError, r"state_dict must have the keys optimizer, .*, got no 'epoch'$", without("epoch")),
    "unknown": (ValueError, r"state_dict must have the keys .* and no others, got an unknown 'loss'$", change(loss=1)),
    "missing and unknown": (
        ValueError,
        r"state_dict must have the keys .* and no others, got no 'epoch', an unknown 'loss'$",
        lambda state: without("epoch")(state) | {"loss": 1},
    ),
    "other optimiser": (
        ValueError,
        r"state_dict\['optimizer'\] must be 'adam', as in this trainer, got 'sgd': make the trainer with",
        change(optimizer="sgd"),
    ),
    "no optimiser": (TypeError, r"state_dict\['optimizer'\] must be 'adam', .*, got 3", change(optimizer=3)),
    "negative": (ValueError, r"state_dict\['step_count'\] must be an integer from 0 to", change(step_count=-1)),
    "no integer": (
        TypeError,
        r"state_dict\['training_steps'\] must be an integer .*, got 1.5",
        change(training_steps=1.5),
    ),
    "rate": (ValueError, r"state_dict\['lr'\] must be a finite number of at least 0, got -0.1", change(lr=-0.1)),
    "history": (
        TypeError,
        r"state_dict\['history'\] must be a list with a dict for each epoch",
        change(history={"loss": 1}),
    ),
    "history's epochs": (TypeError, r"state_dict\['history'\] must contain mappings", change(history=[1.0])),
    "history's figures": (
        TypeError,
        r"state_dict\['history'\]\[0\]\['loss'\] must be a number",
        change(history=[{"loss": "low"}]),
    ),
    "slots": (TypeError, r"state_dict\['slots'\] must be a mapping, got None", change(slots=None)),
    "slot missing": (
        ValueError,
        r"state_dict\['slots'\] must have the keys m, v and no others, got no 'v'$",
        lambda s: s | {"slots": {"m": s["slots"]["m"]}},
    ),
    "parameter unknown": (
        ValueError,
        r"state_dict\['slots'\]\['v'\] must have the keys 0.weight, .*, got an unknown '9.weight'$",
        slot("9.weight", 1),
    ),
    "shape": (
        ValueError,
        r"state_dict\['slots'\]\['v'\]\['0.weight'\] must have shape \(9, 5\), got shape \(5, 9\)",
        slot("0.weight", np.ones((5, 9))),
    ),
    "negative square": (
        ValueError,
        r"state_dict\['slots'\]\['v'\]\['4.bias'\] must contain no number below 0, got -1.0",
        slot("4.bias", -np.ones(3)),
    ),
    "words": (
        TypeError,
        r"state_dict\['slots'\]\['v'\]\['4.bias'\] must be an array of real numbers",
        slot("4.bias", ["a", "b", "c"]),
    ),
}


@pytest.mark.parametrize(("error", "message", "spoil"), BAD.values(), ids=BAD)
def test_a_bad_state_changes_nothing(error, message, spoil):
    trainer, other = trainer_of(optim.Adam()), trainer_of(optim.Adam())
    fit(trainer, 1)
    fit(other, 2)
    before = trainer.state_dict()
    with pytest.raises(error, match=f"^{message}"):
        trainer.load_state_dict(spoil(copy.deepcopy(other.state_dict())))
    after = trainer.state_dict()
    for key in ("step_count", "epoch", "lr", "training_steps", "history"):
        assert after[key] == before[key], key
    for name, part in before["slots"].items():
        for parameter, array in part.items():
            np.testing.assert_array_equal(after["slots"][name][parameter], array)


def test_slots_for_an_optimiser_without_slots_are_refused():
    trainer = trainer_of(optim.SGD(0.1))
    state = trainer.state_dict()
    with pytest.raises(ValueError, match=r"^state_dict\['slots'\] must be empty, got an unknown 'm'$"):
        trainer.load_state_dict(state | {"slots": {"m": {}}})


def test_strings_that_a_callback_logs_are_saved(impl):
    class Note(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            logs["note"], logs["figure"] = "best", 3

    trainer = trainer_of(optim.Adam())
    trainer.fit(X, Y, epochs=2, batch_size=20, callbacks=[Note()], verbose=0)
    other = trainer_of(optim.Adam())
    other.load_state_dict(copy.deepcopy(trainer).state_dict())
    assert other.history["note"] == ["best", "best"]
    assert other.history["figure"] == [3.0, 3.0]
