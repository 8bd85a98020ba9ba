"""The code of a change, run as a user would: it makes the training that was tried."""

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis import Setup, _changes
from fastnn.diagnosis._code import code_of, in_module
from fastnn.diagnosis._targets import as_targets

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
ONE_HOT = np.eye(2)[Y]


def setup_of(*layers, y=Y, loss="cross_entropy", **fit):
    layers = layers or (nn.Dense(3, 8, init="zeros"), nn.Tanh(), nn.Dropout(0.5), nn.Dense(8, 2), nn.Sigmoid())
    settings = {name: fit.pop(name) for name in ("optimizer", "penalty", "clip_norm", "schedule") if name in fit}
    trainer = fastnn.Trainer(nn.Sequential(*layers, seed=0), loss, **settings)
    return Setup.of(trainer, X, y, **{"epochs": 3, "batch_size": 16, **fit})


BLOCKS = (nn.Dense(3, 8), nn.Residual(nn.Dense(8, 8), nn.LeakyReLU(0.2), nn.Dropout(0.1)), nn.Sigmoid(), nn.Dense(8, 2))
FEWER = _changes.settings(epochs=2)
CHANGES = {
    "scaler": (setup_of(), _changes.scale_input),
    "targets": (setup_of(nn.Dense(3, 1), y=X[:, 0], loss="mse"), _changes.scale_targets),
    "initialisers": (setup_of(), _changes.default_initialisers),
    "output": (setup_of(), _changes.drop_output_activation),
    "ReLU": (setup_of(*BLOCKS), _changes.to_relu),
    "norms": (setup_of(*BLOCKS), _changes.add_batch_norm),
    "wider": (setup_of(nn.Dense(3, 2), nn.ReLU(), nn.Dense(2, 2)), _changes.wider(4, 32)),
    "rate": (setup_of(optimizer=optim.SGD(lr=1e-4, momentum=0.9)), _changes.learning_rate(10.0)),
    "limits": (setup_of(clip_norm=5.0, schedule=optim.StepLR(2)), _changes.settings(clip_norm=1.0)),
    "fit": (setup_of(*BLOCKS), _changes.settings(epochs=9, batch_size=32)),
    "penalties": (setup_of(penalty=optim.Penalty(l2=1.0), optimizer=optim.AdamW(lr=0.01)), _changes.without_penalties),
    "weights": (setup_of(), _changes.settings(loss=nn.CrossEntropyLoss(weight=[1.0, 3.0]))),
    "classes": (
        setup_of(nn.Dense(3, 2), nn.Softmax(), y=ONE_HOT, loss="mse"),
        _changes.for_classes(2, as_targets(ONE_HOT, None)),
    ),
    "several": (
        setup_of(*BLOCKS),
        _changes.combined(_changes.scale_input, _changes.to_relu, _changes.learning_rate(0.1), FEWER),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_code_makes_what_was_tried(name):
    setup, apply = CHANGES[name]
    changed, code = apply(setup), code_of(setup, apply)
    names = {"np": np, "fastnn": fastnn, "nn": nn, "optim": optim, "X": X, "y": setup.y}
    names |= {"net": setup.net.copy(), "trainer": setup.trainer()}
    exec(code, names)  # noqa: S102 - it is the code of the change
    net, trainer = names["net"], names["trainer"]
    assert [repr(each) for each in net.layers] == [repr(each) for each in changed.net.layers]
    assert (net.scaler, net.output_scaler) == (changed.net.scaler, changed.net.output_scaler)
    wanted = changed.trainer()
    if "trainer = " in code:
        assert trainer.net is net
        assert (trainer.loss, trainer.lr, trainer.schedule) == (wanted.loss, wanted.lr, wanted.schedule)
        assert (trainer.penalty, trainer.clip_norm) == (wanted.penalty, wanted.clip_norm)
        assert type(trainer.optimizer) is type(wanted.optimizer)
    if "trainer.fit" in code:
        last = trainer._last_fit.arguments
        assert (last.epochs, last.batch_size) == (changed.epochs, changed.batch_size)
    assert np.array_equal(names["y"], changed.y)
    assert max(map(len, code.splitlines())) <= 100


def test_no_code_for_a_change_that_does_not_fit():
    assert code_of(setup_of(*BLOCKS), _changes.wider(4, 32)) == ""


def test_nothing_to_write():
    assert code_of(setup_of(), lambda setup: setup) == ""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Dense(2, 1, init=init.normal(0, 1))", "nn.Dense(2, 1, init=nn.init.normal(0, 1))"),
        ("Residual(Dense(2, 2), activation('mine'))", "nn.Residual(nn.Dense(2, 2), nn.activation('mine'))"),
        ("Dense(2, 1, init='Zeros(')", "nn.Dense(2, 1, init='Zeros(')"),
    ],
)
def test_names_of_modules(text, code):
    assert in_module("nn", text) == code
