"""The data of these pictures and the trainings that they show."""

import itertools

import numpy as np

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis._probe import probe

ADAM = optim.Adam(lr=0.01)


def disc(rows, seed=0):
    """Whether two numbers are in a disc: no line parts the two classes."""
    X = np.random.default_rng(seed).normal(size=(rows, 2))
    return X, (np.hypot(X[:, 0], X[:, 1]) > 1.18).astype(np.int64)


def wave(rows, seed=0, noise=0.0):
    """A number that is a smooth function of the row, and noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 2))
    return X, np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] + noise * rng.normal(size=rows)


def hidden(layers=1, width=16, activation=nn.ReLU, init=None, inputs=2, outputs=2):
    """Return the layers of a net with so many hidden layers."""
    widths = [inputs, *[width] * layers]
    pairs = ((nn.Dense(*pair, init=init), activation()) for pair in itertools.pairwise(widths))
    return [*itertools.chain(*pairs), nn.Dense(widths[-1], outputs)]


def trained(data, layers, loss="cross_entropy", optimizer=ADAM, *, epochs=20, batch_size=32, change=None, **settings):
    """Train a net; return its trainer, whose history has the figures of the validation data if there are any.

    `change` may change the net before; callbacks and validation data go to the fit, other settings to the trainer.
    """
    net = nn.Sequential(*layers, seed=0)
    if change is not None:
        change(net)
    fit = {name: settings.pop(name) for name in ("callbacks", "validation_data") if name in settings}
    trainer = fastnn.Trainer(net, loss, optimizer, **settings)
    trainer.fit(*data, epochs=epochs, batch_size=batch_size, verbose=0, **fit)
    return trainer


class EachEpoch(fastnn.Callback):
    """Keeps a figure of the net: before the first epoch and after each."""

    def __init__(self, figure):
        self.figure = figure
        self.values = []

    def on_fit_begin(self, trainer):
        self.values.append(self.figure(trainer.net))

    def on_epoch_end(self, trainer, logs):
        self.values.append(self.figure(trainer.net))


class EachStep(fastnn.Callback):
    """Keeps a figure of the net and the loss of each step."""

    observes = "step"

    def __init__(self, figure=lambda net: 0.0):
        self.figure = figure
        self.values = []
        self.losses = []

    def on_fit_begin(self, trainer):
        self.values.append(self.figure(trainer.net))

    def on_batch_end(self, trainer, logs):
        self.values.append(self.figure(trainer.net))
        self.losses.append(logs["batch_loss"])


def gradients(layers, X, y):
    """Return the root mean squares of the gradients that reach the dense layers, before the first step."""
    net = nn.Sequential(*layers, seed=0)
    return [layer.gradient_size for layer in probe(net, nn.CrossEntropyLoss(), X, y).dense]
