"""What tests of trainers' files share: exact comparisons, and the fits of `tools/kills.py`, each in a folder."""

import importlib
import json

import numpy as np
import pytest
from conftest import LEVELS

import fastnn
from fastnn import nn, optim
from fastnn.io._tensors import TensorFile, write_tensors

kills = importlib.import_module("tools.kills")
CONFIGURATIONS = kills.CONFIGURATIONS
IMPLEMENTATIONS = pytest.mark.parametrize("backend", ["reference", LEVELS[-1]])  # for long tables

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(90, 5)).astype(np.float32), RNG.integers(0, 3, 90)
VALIDATION = X[:20] + 1, Y[:20]


def everything(trainer, callbacks=(), folder=None):
    """Return exact texts of all that a fit leaves, besides its seconds."""
    found = dict(kills.leaves("trainer", trainer.state_dict() | {"history": histories(trainer)}))
    found |= kills.leaves("net", trainer.net.state_dict())
    found |= kills.leaves("net's", [trainer.net.training_steps, *trainer.net.frozen, trainer.net.scaler])
    if trainer.average is not None:
        found |= kills.leaves("averaged", trainer.averaged.state_dict())
    return found | {"settings": repr(trainer).partition("(")[2]}  # without the class


def histories(trainer):
    """Return the figures of the epochs but for their seconds; files have numbers of all kinds as floats."""
    epochs = kills.without_seconds(trainer.history.epochs)
    return [{key: each if isinstance(each, str) else float(each) for key, each in epoch.items()} for epoch in epochs]


def same(one, other):
    """Refuse trainers that differ in a bit."""
    found, wanted = everything(one), everything(other)
    different = kills.differences(found, wanted)
    assert different == ""


def small(seed=1, dtype="float32", **settings):
    """Return a trainer of a small net with every kind of state."""
    layers = nn.Dense(5, 9, bias=False), nn.BatchNorm(9), nn.ReLU(), nn.Dropout(0.3), nn.Dense(9, 3)
    return fastnn.Trainer(nn.Sequential(*layers, dtype=dtype, seed=seed), **{"optimizer": optim.Adam(0.02)} | settings)


def fit(trainer, folder=None, callbacks=(), x=X, y=Y, **settings):
    """Fit for some epochs of five batches; with a folder, the callbacks are followed by a `Checkpoint`."""
    checkpoint = [] if folder is None else [fastnn.Checkpoint(folder)]
    settings = {"epochs": 4, "batch_size": 20, "verbose": 0, "validation_data": VALIDATION} | settings
    return trainer.fit(x, y, callbacks=[*callbacks, *checkpoint], **settings)


def resume(folder, callbacks=(), x=X, y=Y, validation=VALIDATION, **settings):
    return fastnn.Trainer.resume(folder, x, y, validation, callbacks, verbose=0, **settings)


class Crash(BaseException):
    """What nothing catches."""


class CrashAfter(fastnn.Callback):
    """Ends a fit after an epoch, before it is in a checkpoint; `resumes` with a new one that does nothing."""

    def __init__(self, epoch=None, error=Crash):
        self.epoch, self.error = epoch, error

    def on_epoch_end(self, trainer, logs):
        if trainer.epoch == self.epoch:
            raise self.error


def crashed(folder, epoch=3, trainer=None, callbacks=(), error=Crash, **settings):
    """Fit until something ends the process in an epoch; checkpoints are of the epochs before it."""
    with pytest.raises(error):
        fit(trainer or small(), folder, [*callbacks, CrashAfter(epoch, error)], **settings)


def crash_in_write(monkeypatch, number, error=Crash, before=False):
    """Let the fit end after (or before) the file of a checkpoint is written, counted from 1."""
    write, count = fastnn.Checkpoint._write, [0]

    def counted(self, *arguments, **named):
        count[0] += 1
        if before and count[0] == number:
            raise error
        write(self, *arguments, **named)
        if count[0] == number:
            raise error

    monkeypatch.setattr(fastnn.Checkpoint, "_write", counted)
    return count


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def content_of(path):
    """Return the content of a file of fastnn."""
    with TensorFile(path) as file:
        return json.loads(file.metadata["fastnn.content"])


def forge(path, change, target=None):
    """Write a file anew, with a valid checksum, whose content and tensors a function has changed."""
    with TensorFile(path) as file:
        content, metadata = json.loads(file.metadata["fastnn.content"]), dict(file.metadata)
        tensors = {name: file.read(name) for name in file.entries}
    change(content, tensors)
    metadata.pop("fastnn.sha256")
    metadata["fastnn.content"] = json.dumps(content)
    write_tensors(target or path, tensors, metadata, "fastnn.sha256")
