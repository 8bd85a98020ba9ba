"""Pictures of findings about the data."""

import numpy as np

import fastnn
from bench.lib.findings.style import FAULT, LINE, MENDED, curves, legend, panels
from bench.lib.findings.trainings import ADAM, EachStep, disc, hidden, trained, wave
from fastnn import nn, optim


def columns():
    """Draw the entries of some rows: a constant column, two equal ones, and a gap."""
    figure, axis = panels()
    X = np.random.default_rng(3).normal(size=(8, 7))
    X[:, 1], X[:, 5] = 0.5, X[:, 2]
    X[4, 3] = np.nan
    axis.grid(visible=False)
    axis.pcolormesh(np.ma.masked_invalid(X), cmap="Greys", vmin=-3, vmax=3, edgecolors="white", lw=1)
    axis.text(3.5, 4.5, "NaN", ha="center", va="center", color=FAULT["color"], weight="bold")
    axis.set_xticks(
        np.arange(7) + 0.5, ["0", "1\nconstant", "2", "3\na gap", "4", "5\nequal to 2", "6"], linespacing=1.3
    )
    axis.set_yticks(np.arange(0, 8, 2) + 0.5, ["0", "2", "4", "6"])
    axis.tick_params(length=0)
    axis.invert_yaxis()
    axis.set_xlabel("column of X (dark: large, light: small)")
    axis.set_ylabel("row")
    return figure


def labels():
    """Draw the accuracy with labels in the order of the rows, and in another one."""
    X, y = disc(400)
    held_out = disc(400, seed=1)
    mixed = np.random.default_rng(5).permutation(y)
    lines = {}
    for label, style, target in (("labels of other rows", FAULT, mixed), ("labels of these rows", MENDED, y)):
        trainer = trained((X, target), hidden(2), validation_data=held_out)
        lines[label] = (style, trainer.history["val_accuracy"])
    figure, axis = panels(ylim=(0.35, 1.03))
    curves(axis, lines)
    axis.axhline(max(np.mean(y), 1 - np.mean(y)), **LINE, label="always the same class")
    axis.set(xlabel="epoch", ylabel="accuracy, held out")
    legend(figure, axis)
    return figure


def input_scale():
    """Draw the way of two weights, step by step: with positive inputs it is a zigzag."""
    rng = np.random.default_rng(4)
    positive = rng.uniform(0.2, 1.8, size=(200, 2))
    y = (positive[:, 0] > positive[:, 1]).astype(float).reshape(-1, 1)
    figure, first, second = panels(2, sharex=True, sharey=True)
    for axis, title, style, shift in (
        (first, "all inputs positive", FAULT, 0.0),
        (second, "the same inputs around 0", MENDED, 1.0),
    ):
        watch = EachStep(lambda net: net[0].weight[:, 0].copy())

        def begin(net):
            net[0].weight[...] = [[-0.5], [0.5]]

        layers = [nn.Dense(2, 1, bias=False)]
        sgd = optim.SGD(lr=0.5)
        trained(
            (positive[:60] - shift, y[:60]), layers, "binary_cross_entropy", sgd,
            epochs=1, batch_size=1, change=begin, callbacks=[watch],
        )  # fmt: skip
        way = np.array(watch.values)
        axis.plot(*way.T, **style | {"ls": "-", "lw": 1.1, "ms": 2.5})
        axis.plot(*way[0], marker="s", ms=7, color="black", fillstyle="none")
        axis.annotate("begin", way[0], (0, 8), textcoords="offset points", ha="center")
        axis.set(title=title, xlabel="weight of input 1", ylim=(-2.6, 1.2))
    first.set_ylabel("weight of input 2")
    return figure


def target_scale():
    """Draw R2 by epoch, with large targets and with scaled ones."""
    X, y = wave(400)
    Xv, yv = wave(400, seed=1)
    y, yv = (100 * each.reshape(-1, 1) + 500 for each in (y, yv))

    def scaled(net):
        net.output_scaler = fastnn.data.Scaler.fit(y)

    lines = {}
    for label, style, change in (
        ("targets around 500", FAULT, None),
        ("scaled by the net", MENDED, scaled),
    ):
        trainer = trained(
            (X, y), hidden(2, outputs=1), "mean_squared_error", ADAM,
            epochs=30, change=change, validation_data=(Xv, yv), metrics="r2",
        )  # fmt: skip
        lines[label] = (style, trainer.history["val_r2"])
    figure, axis = panels(ylim=(-1.05, 1.05))
    shown = {label: (style, np.maximum(values, -1.0)) for label, (style, values) in lines.items()}
    curves(axis, shown)
    axis.axhline(0.0, **LINE, label="always the mean")
    axis.set(xlabel="epoch", ylabel="R2, held out (at least -1)")
    legend(figure, axis)
    return figure


def rare(rows, seed):
    """Return two classes, of which one has 2 % of the rows."""
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) < 0.02 * rows).astype(np.int64)
    X = rng.normal(size=(rows, 2))
    X[y == 1] = 0.8 * X[y == 1] + 1.4
    return X, y


def imbalance():
    """Draw what a net says about rows held out, with and without weights of the classes."""
    X, y = rare(1500, 0)
    Xv, yv = rare(5000, 1)
    figure, *axes = panels(2, sharey=True)
    for axis, title, loss in zip(
        axes, ("as it is", "with weights of the classes"),
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(weight=[0.51, 25.0])), strict=True,
    ):  # fmt: skip
        said = trained((X, y), hidden(1), loss, epochs=10).net.predict(Xv).argmax(axis=1)
        table = np.array([[np.sum((yv == i) & (said == j)) for j in range(2)] for i in range(2)])
        share = table / table.sum(axis=1, keepdims=True)
        axis.grid(visible=False)
        axis.pcolormesh(share, cmap="Greys", vmin=0, vmax=2.4, edgecolors="white", lw=2)
        for i in range(2):
            for j in range(2):
                wrong = i != j
                axis.text(
                    j + 0.5, i + 0.5, f"{table[i, j]}\n{100 * share[i, j]:.0f} %", ha="center", va="center",
                    color=FAULT["color"] if wrong else "black", weight="bold" if wrong else "normal",
                )  # fmt: skip
        axis.set_xticks([0.5, 1.5], ["frequent", "rare"])
        axis.set_yticks([0.5, 1.5], ["frequent", "rare"], rotation=90, va="center")
        axis.tick_params(length=0)
        accuracy, balanced = np.trace(table) / table.sum(), np.trace(share) / 2
        axis.set_title(f"{title}:\naccuracy {accuracy:.3f}, balanced {balanced:.3f}")
        axis.set_xlabel("class that the net says")
    axes[0].invert_yaxis()
    axes[0].set_ylabel("true class")
    return figure


def validation():
    """Draw the accuracy on the rows of the fit, with labels drawn at random, and on others."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 10)), rng.integers(0, 2, 100)
    Xv, yv = rng.normal(size=(400, 10)), rng.integers(0, 2, 400)
    layers = hidden(2, width=64, inputs=10)
    history = trained((X, y), layers, epochs=40, validation_data=(Xv, yv)).history
    figure, *axes = panels(2, sharey=True)
    for axis, names, title in (
        (axes[0], ("loss",), "what a fit shows without validation data"),
        (axes[1], ("loss", "val_loss"), "with validation data"),
    ):
        lines = {
            {"loss": "rows of the fit", "val_loss": "rows held out"}[name]: (
                MENDED if name == "loss" else FAULT,
                history[name],
            )
            for name in names
        }
        curves(axis, lines)
        axis.set(title=title, xlabel="epoch")
    axes[0].set_ylabel("cross entropy")
    legend(figure, axes[1])
    return figure


PICTURES = {
    "columns": columns,
    "labels": labels,
    "input-scale": input_scale,
    "target-scale": target_scale,
    "imbalance": imbalance,
    "validation": validation,
}
