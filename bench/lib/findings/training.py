"""Pictures of findings about the training: learning rate, length, batches, penalties, and what comes of them."""

import numpy as np

import fastnn
from bench.lib.findings.style import FAULT, LINE, MENDED, OTHER, curves, legend, panels
from bench.lib.findings.trainings import EachStep, disc, hidden, trained, wave
from fastnn import nn, optim


def losses(axis, cases, data=None, **settings):
    """Draw the loss of the fit by epoch: label -> (style, other settings)."""
    lines = {}
    for label, (style, own) in cases.items():
        trainer = trained(data or disc(400), hidden(2), **settings | own)
        lines[label] = (style, trainer.history["loss"])
    curves(axis, lines)


def nonfinite():
    """Draw the loss by step, until it is infinite."""
    X, y = wave(400)
    figure, axis = panels(yscale="log")
    for label, style, settings in (
        ("lr 5: it ends with infinity", FAULT, {"optimizer": optim.SGD(lr=5.0)}),
        ("lr 0.05", MENDED, {"optimizer": optim.SGD(lr=0.05)}),
    ):
        watch = EachStep()
        try:
            layers = hidden(2, activation=nn.Tanh, outputs=1)
            trained((X, y), layers, "mean_squared_error", epochs=4, callbacks=[watch], **settings)
        except fastnn.TrainingDiverged:
            pass
        found = np.array(watch.losses)
        found = found[np.isfinite(found)]
        axis.plot(range(1, len(found) + 1), found, markevery=4, label=label, **style)
    axis.set(xlabel="step", ylabel="loss of the batch")
    legend(figure, axis)
    return figure


def losses_of_rates(faulty, **settings):
    """Draw losses by epoch with a wrong learning rate and one that fits; settings are those of the panel."""
    figure, axis = panels(**settings)
    rates = ((faulty, FAULT), (0.01, MENDED))
    losses(axis, {f"lr {lr:g}": (style, {"optimizer": optim.Adam(lr=lr)}) for lr, style in rates}, epochs=30)
    axis.axhline(np.log(2), **LINE, label="guessing: log 2")
    axis.set(xlabel="epoch", ylabel="loss")
    legend(figure, axis)
    return figure


def learning_rate_high():
    """Draw losses by epoch with a high learning rate and one that fits."""
    return losses_of_rates(1.0, yscale="log")


def learning_rate_low():
    """Draw losses by epoch with a low learning rate and one that fits."""
    return losses_of_rates(1e-4, ylim=(0, 0.9))


def epochs():
    """Draw the accuracy by epoch, far beyond the end of the fit."""
    history = trained(
        disc(400), hidden(2), optimizer=optim.Adam(lr=0.003), epochs=40, validation_data=disc(1000, seed=1)
    ).history["val_accuracy"]
    figure, axis = panels(ylim=(0.35, 1.03))
    n = np.arange(1, 41)
    axis.plot(n[:4], history[:4], label="fit(epochs=4)", **FAULT)
    axis.plot(n[3:], history[3:], markevery=4, label="what more epochs would give", **MENDED)
    axis.axvline(4, **LINE)
    axis.set(xlabel="epoch", ylabel="accuracy, held out")
    legend(figure, axis)
    return figure


def batch_size():
    """Draw losses by epoch with batches of three sizes."""
    figure, axis = panels(ylim=(0, 0.9))
    cases = {
        "all 400 rows: 1 step an epoch": (FAULT, {"batch_size": 400}),
        "32 rows: 13 steps": (MENDED, {"batch_size": 32}),
        "2 rows: 200 steps": (OTHER, {"batch_size": 2}),
    }
    losses(axis, cases, epochs=30)
    axis.set(xlabel="epoch", ylabel="loss")
    legend(figure, axis)
    return figure


def regularisation():
    """Draw R2 by the strength of a penalty, on the rows of the fit and on others."""
    data, held_out = wave(80, noise=0.4), wave(1000, seed=1, noise=0.4)
    strengths = [1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0]
    seen, held = [], []
    for l2 in strengths:
        penalty = optim.Penalty(l2=l2)
        layers = hidden(2, width=32, outputs=1)
        trainer = trained(data, layers, "mean_squared_error", epochs=150, batch_size=20, penalty=penalty, metrics="r2")
        seen.append(trainer.evaluate(*data)["r2"])
        held.append(trainer.evaluate(*held_out)["r2"])
    figure, axis = panels(xscale="log")
    axis.plot(strengths, seen, label="rows of the fit", **MENDED)
    axis.plot(strengths, held, label="rows held out", **FAULT)
    axis.axhline(0.0, **LINE, label="always the mean")
    axis.set(xlabel="l2 of optim.Penalty", ylabel="R2")
    legend(figure, axis)
    return figure


def overfitting():
    """Draw the losses of the rows of the fit and of others."""
    layers = hidden(2, width=64, outputs=1)
    history = trained(
        wave(80, noise=0.5), layers, "mean_squared_error", optim.Adam(lr=0.004), epochs=200, batch_size=20,
        validation_data=wave(1000, seed=1, noise=0.5),
    ).history  # fmt: skip
    figure, axis = panels(ylim=(0, 1.2))
    curves(axis, {"rows of the fit": (MENDED, history["loss"]), "rows held out": (FAULT, history["val_loss"])}, 12)
    best = int(np.argmin(history["val_loss"])) + 1
    axis.axvline(best, **LINE, label=f"the least loss held out: epoch {best}")
    axis.set(xlabel="epoch", ylabel="mean squared error")
    legend(figure, axis)
    return figure


def cannot_fit():
    """Draw the accuracy on 32 rows alone of two nets."""
    X, y = disc(32)
    figure, axis = panels(ylim=(0.35, 1.04))
    lines = {}
    for label, style, layers in (
        ("9 layers of 4 sigmoids", FAULT, hidden(9, width=4, activation=nn.Sigmoid)),
        ("2 layers of 16 ReLUs", MENDED, hidden(2)),
    ):
        trainer = trained((X, y), layers, epochs=200, batch_size=32, validation_data=(X, y))
        lines[label] = (style, trainer.history["val_accuracy"])
    curves(axis, lines, 12)
    axis.axhline(max(np.mean(y), 1 - np.mean(y)), **LINE, label="always one class")
    axis.set(xlabel="step", ylabel="accuracy on 32 rows,\nthe only ones of the fit")
    legend(figure, axis)
    return figure


PICTURES = {
    "nonfinite": nonfinite,
    "learning-rate-high": learning_rate_high,
    "learning-rate-low": learning_rate_low,
    "epochs": epochs,
    "batch-size": batch_size,
    "regularisation": regularisation,
    "overfitting": overfitting,
    "cannot-fit": cannot_fit,
}
