"""Pictures of findings about the last layer and the loss."""

import numpy as np

from bench.lib.findings.style import FAULT, LINE, MENDED, legend, panels
from bench.lib.findings.trainings import EachStep, disc, hidden, trained, wave
from fastnn import nn, optim


def loss():
    """Draw the accuracy of a net for six classes: with squared errors of their numbers, and with cross entropy."""

    def groups(rows, seed):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 6, rows)
        angle = np.array([0, 3, 1, 4, 2, 5])[y] * np.pi / 3
        return np.column_stack([np.cos(angle), np.sin(angle)]) + 0.25 * rng.normal(size=(rows, 2)), y

    (X, y), (Xv, yv) = groups(300, 0), groups(600, 1)
    accuracy = {}
    for label, style, outputs, kind in (
        ("squared error of the number", FAULT, 1, "mean_squared_error"),
        ("cross entropy", MENDED, 6, "cross_entropy"),
    ):
        found = []
        for epochs in range(1, 31, 2):
            z = trained((X, y), hidden(1, outputs=outputs), kind, epochs=epochs).net.predict(Xv)
            said = z.argmax(axis=1) if outputs > 1 else np.clip(np.round(z[:, 0]), 0, 5)
            found.append(float(np.mean(said == yv)))
        accuracy[label] = (style, found)
    figure, axis = panels(ylim=(0, 1.04))
    for label, (style, values) in accuracy.items():
        axis.plot(range(1, 31, 2), values, label=label, **style)
    axis.axhline(1 / 6, **LINE, label="guessing")
    axis.set(xlabel="epochs", ylabel="accuracy, held out")
    legend(figure, axis)
    return figure


def output_activation():
    """Draw predictions of a net that ends in a ReLU, and of one that does not."""
    (X, y), (Xv, yv) = wave(400), wave(90, seed=1)
    y, yv = y + 0.7, yv + 0.7

    def begin(net):
        net[4].bias[...] = 1.0  # so that the last ReLU is not 0 for all rows at first

    figure, *axes = panels(2, sharex=True, sharey=True)
    for axis, title, color, last in (
        (axes[0], "nn.ReLU() at the end", FAULT["color"], [nn.ReLU()]),
        (axes[1], "nothing after the last nn.Dense", MENDED["color"], []),
    ):
        net = trained(
            (X, y), [*hidden(2, outputs=1), *last], "mean_squared_error", optim.SGD(lr=0.05), epochs=40, change=begin
        ).net
        axis.plot([-1.5, 2.7], [-1.5, 2.7], **LINE)
        axis.plot(yv, net.predict(Xv)[:, 0], "o", ms=3, color=color, mfc="none")
        axis.set(title=title, xlabel="target")
    axes[0].set_ylabel("prediction")
    return figure


def initial_loss():
    """Draw the loss of the first steps with initial weights that are too large, and with the default ones."""
    data = disc(1600)
    figure, axis = panels(yscale="log")
    for label, style, init in (
        ("initial weights N(0, 3²)", FAULT, nn.init.normal(std=3.0)),
        ("default initial weights", MENDED, None),
    ):
        watch = EachStep()
        trained(data, hidden(2, init=init), epochs=1, callbacks=[watch])
        axis.plot(range(1, len(watch.losses) + 1), watch.losses, markevery=6, label=label, **style)
    axis.axhline(np.log(2), **LINE, label="guessing: log 2")
    axis.set(xlabel="step", ylabel="loss of the batch")
    legend(figure, axis)
    return figure


PICTURES = {"loss": loss, "output-activation": output_activation, "initial-loss": initial_loss}
