"""`History` is a read-only mapping of figures, also for code that looks into dicts."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest

import fastnn
from fastnn import nn

X, Y = np.eye(4), np.arange(4)


def history_of():
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=0))
    trainer.fit(X, Y, epochs=2, verbose=0)
    return trainer.fit(X, Y, epochs=1, validation_data=(X, Y), verbose=0)


KEYS = ["loss", "lr", "seconds", "val_loss", "val_accuracy"]


def test_it_is_a_mapping():
    history = history_of()
    assert isinstance(history, dict)
    assert list(history) == list(history.keys()) == [name for name, _ in history.items()] == KEYS
    assert list(reversed(history)) == KEYS[::-1]
    assert len(history) == len(history.values()) == 5
    assert "loss" in history and "nothing" not in history
    assert history.get("loss") == history["loss"]
    assert history.get("nothing") is None
    assert np.isnan(history["val_loss"][:2]).all() and np.isfinite(history["val_loss"][2])
    assert [len(figures) for figures in history.values()] == [3] * 5


def test_epochs_by_number():
    history = history_of()
    assert history[-1] == history[2] == history.epochs[2]
    assert history[np.int64(0)] == history.epochs[0]
    assert history[1:] == history.epochs[1:]
    history[-1]["loss"] = 0.0  # a copy
    assert history.epochs[-1]["loss"] != 0
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"^index of an epoch must be below 3, the number of epochs, got {index}$"):
            history[index]
    with pytest.raises(KeyError, match=r"key of the history must be a name, an integer or a slice, got 1\.5"):
        history[1.5]


def test_other_code_sees_the_figures():
    history = history_of()
    plain = {name: history[name] for name in history}
    frame = pd.DataFrame(history)
    assert list(frame) == KEYS and frame.shape == (3, 5)
    np.testing.assert_equal(frame["val_loss"].to_list(), plain["val_loss"])
    assert json.dumps(history) == json.dumps(plain)
    for made in (dict(history), {**history}, history.copy(), history | {}, {} | history, dict(**history)):
        np.testing.assert_equal(made, plain)
        assert type(made) is dict
    for twin in (copy.copy(history), copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert type(twin) is fastnn.History
        assert repr(twin) == repr(history)
        np.testing.assert_equal(dict(twin), plain)
    np.testing.assert_equal(dict.copy(history), plain)  # what C code copies


def test_a_callback_sees_the_epochs_so_far():
    seen = []

    class Look(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            logs["mine"] = 7.0
            seen.append(json.loads(json.dumps(trainer.history)))

    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=0))
    history = trainer.fit(X, Y, epochs=3, callbacks=[Look()], verbose=0)
    assert [len(each["loss"]) for each in seen] == [1, 2, 3]
    assert history["mine"] == [7.0] * 3
    trainer.load_state_dict(trainer.copy().state_dict())
    assert json.loads(json.dumps(history))["mine"] == [7.0] * 3


CHANGES = {
    "__setitem__": ("loss", []),
    "__delitem__": ("loss",),
    "__ior__": ({},),
    "clear": (),
    "pop": ("loss",),
    "popitem": (),
    "setdefault": ("loss", []),
    "update": ({},),
}


@pytest.mark.parametrize("method", CHANGES)
def test_it_is_read_only(method):
    history = history_of()
    before = history.copy()
    with pytest.raises(TypeError, match=r"^History must be left as it is, got a change: change a copy, dict"):
        getattr(history, method)(*CHANGES[method])
    np.testing.assert_equal(dict(history), before)


def test_all_methods_that_change_a_dict_are_refused():
    readers = {"copy", "fromkeys", "get", "items", "keys", "values"}
    methods = {name for name in vars(dict) if not name.startswith("_")}
    assert methods - readers <= set(CHANGES)


def test_names_that_are_missing_say_what_to_do():
    history = history_of()
    for name, fix in (("los", "did you mean 'loss'?"), ("accuracy", "pass train_metrics=True to fit")):
        with pytest.raises(KeyError) as caught:
            history[name]
        assert caught.value.args[0].endswith(fix)
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=0))
    assert trainer.history["anything"] == []  # without epochs no name is unknown
    trainer.fit(X, Y, epochs=1, verbose=0)
    with pytest.raises(KeyError, match="pass validation_data to fit"):
        trainer.history["val_loss"]


def test_long_histories_print_in_one_line():
    history = fastnn.History([{"loss": 1.0, "lr": 0.1, "seconds": 0.1}] * 5000)
    assert repr(history) == "History(5000 epochs: loss=1)"
