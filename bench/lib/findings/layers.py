"""Pictures of findings about the layers: activations, gradients, initial values."""

import numpy as np

import fastnn
from bench.lib.findings.style import FAULT, LINE, MENDED, OTHER, curves, legend, panels
from bench.lib.findings.trainings import EachEpoch, EachStep, disc, gradients, hidden, trained
from fastnn import nn, optim


def linear():
    """Draw where nets part two classes: without and with activations."""
    X, y = disc(400)
    across, up = np.linspace(-4.6, 4.6, 33), np.linspace(-2.7, 2.7, 25)
    points = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    figure, *axes = panels(2, sharex=True, sharey=True)
    for axis, title, style, activation in (
        (axes[0], "three nn.Dense, no activation", FAULT, nn.Identity),
        (axes[1], "with nn.ReLU() between them", MENDED, nn.ReLU),
    ):
        net = trained((X, y), hidden(2, activation=activation)).net
        z = net.predict(points)
        inside = (z[:, 0] - z[:, 1]).reshape(25, 33)
        for k, marker in ((0, "o"), (1, "x")):
            axis.plot(*X[:60][y[:60] == k].T, marker, ms=3, color="#6a6a6a", mfc="none", mew=0.8)
        axis.contourf(across, up, inside, [0, 1e9], colors=[style["color"]], alpha=0.16)
        axis.contour(across, up, inside, [0], colors=[style["color"]], linewidths=1.8)
        accuracy = np.mean(net.predict(X).argmax(axis=1) == y)
        axis.set(title=f"{title}:\naccuracy {accuracy:.2f}", xlim=(-4.6, 4.6), ylim=(-2.7, 2.7), xlabel="input 1")
    axes[0].set_ylabel("input 2")
    return figure


def symmetry():
    """Draw a weight of each hidden unit by epoch: with equal initial weights they stay equal."""
    X, y = disc(400)
    figure, *axes = panels(2, sharex=True, sharey=True)
    for axis, title, style, init in (
        (axes[0], "all weights 0.1 at first", FAULT, nn.init.constant(0.1)),
        (axes[1], "drawn at random", MENDED, None),
    ):
        watch = EachEpoch(lambda net: net[0].weight[0].copy())
        layers = hidden(1, width=8, init=init, outputs=1)
        layers[-1] = nn.Dense(8, 1, init=init)
        trained((X, y.astype(float)), layers, "binary_cross_entropy", callbacks=[watch])
        values = np.array(watch.values)
        axis.plot(values, color=style["color"], lw=1.2)
        different = len(np.unique(values[-1].round(6)))
        axis.set(title=f"{title}: {different} different unit{'s' * (different > 1)}", xlabel="epoch")
    axes[0].set_ylabel("weight from input 1")
    return figure


def initialisation():
    """Draw the spread of the outputs of eight layers with three initialisers."""
    X, _ = disc(500)
    figure, axis = panels(yscale="log")
    for label, style, init in (
        ("N(0, 0.5²)", FAULT, nn.init.normal(std=0.5)),
        ("default: N(0, 2 / inputs)", MENDED, None),
        ("N(0, 0.05²)", OTHER, nn.init.normal(std=0.05)),
    ):
        net = nn.Sequential(*hidden(8, width=64, init=init), seed=0)
        found = [x.std(axis=0).mean() for x in net.activations(X)[:-1:2]]
        axis.plot(range(1, 9), found, label=label, **style)
    axis.set(xlabel="hidden layer", ylabel="standard deviation\nof its outputs")
    legend(figure, axis)
    return figure


def saturation():
    """Draw histograms of tanh's outputs: of raw columns, and of scaled ones."""
    X = disc(1000)[0] * [40.0, 5.0] + [100.0, 10.0]
    figure, *axes = panels(2, sharey=True)
    for axis, title, style, scaler in (
        (axes[0], "columns as they are", FAULT, None),
        (axes[1], "with net.scaler", MENDED, fastnn.data.Scaler.fit(X)),
    ):
        net = nn.Sequential(*hidden(1, activation=nn.Tanh), seed=0)
        net.scaler = scaler
        y = net.activations(X)[1].ravel()
        axis.hist(y, bins=np.linspace(-1, 1, 31), weights=np.full(len(y), 100 / len(y)), color=style["color"], lw=0)
        flat = np.mean(1 - y**2 < 0.05)
        axis.set(title=f"{title}: {100 * flat:.0f} % where it is flat", xlabel="output of tanh", xlim=(-1.05, 1.05))
    axes[0].set_ylabel("share of the entries, %")
    return figure


def dead_units():
    """Draw the share of dead units by step, with two learning rates."""
    X, y = disc(400)
    figure, axis = panels(ylim=(-3, 103))
    lines = {}
    for lr, style in ((0.3, FAULT), (0.01, MENDED)):
        watch = EachStep(lambda net: 100 * np.mean(~(net.activations(X)[3] > 0).any(axis=0)))
        trained((X, y), hidden(2, width=32), optimizer=optim.Adam(lr=lr), epochs=4, callbacks=[watch])
        lines[f"ReLU, lr {lr}"] = (style, watch.values)
    curves(axis, lines, first=0)
    axis.set(xlabel="step", ylabel="units that are 0\nfor all rows, %")
    legend(figure, axis)
    return figure


def gradients_by_layer(cases):
    """Draw the size of the gradient by layer: label -> (style, settings of eight hidden layers)."""
    figure, axis = panels(yscale="log")
    for label, (style, settings) in cases.items():
        found = gradients(hidden(8, width=32, **settings), *disc(500))
        axis.plot(range(1, 10), found, label=label, **style)
    axis.set(xlabel="layer (the first one is next to the input)", ylabel="root mean square of\nthe gradient at it")
    legend(figure, axis)
    return figure


def vanishing_gradient():
    """Draw the size of the gradient by layer for three activations."""
    cases = {
        "sigmoid": (FAULT, {"activation": nn.Sigmoid}),
        "tanh": (OTHER, {"activation": nn.Tanh}),
        "ReLU": (MENDED, {"activation": nn.ReLU}),
    }
    return gradients_by_layer(cases)


def exploding_gradient():
    """Draw the size of the gradient by layer for large initial weights and for the default ones."""
    cases = {
        "initial weights N(0, 0.8²)": (FAULT, {"init": nn.init.normal(std=0.8)}),
        "default initial weights": (MENDED, {}),
    }
    return gradients_by_layer(cases)


def batch_norm():
    """Draw the accuracy of predictions by epoch: with running statistics that hardly move, and with those that do."""
    X, y = disc(400)
    X = 3 * X + 2

    def with_batch_statistics(net):
        twin = net.copy()
        return float(np.mean(twin.forward(X, training=True).argmax(axis=1) == y))

    def as_predicted(net):
        return float(np.mean(net.predict(X).argmax(axis=1) == y))

    figure, *axes = panels(2, sharey=True, ylim=(0.3, 1.04))
    for axis, momentum in zip(axes, (0.001, 0.1), strict=True):
        seen, predicted = EachEpoch(with_batch_statistics), EachEpoch(as_predicted)
        layers = [nn.Dense(2, 16), nn.BatchNorm(16, momentum=momentum), nn.ReLU(), nn.Dense(16, 2)]
        trained((X, y), layers, callbacks=[seen, predicted])
        lines = {
            "by the batch's own statistics, as in training": (MENDED, seen.values[1:]),
            "by the running statistics, as predict does": (FAULT, predicted.values[1:]),
        }
        curves(axis, lines)
        axis.set(title=f"momentum={momentum}", xlabel="epoch")
    axes[0].set_ylabel("accuracy")
    legend(figure, axes[0], columns=1)
    return figure


def units():
    """Draw the accuracy by the number of hidden units."""
    widths = [1, 2, 3, 4, 6, 8, 16, 32]
    Xv, yv = disc(1000, seed=1)
    found = []
    for width in widths:
        seeds = []
        for seed in range(5):
            layers = hidden(1, width=width)
            net = nn.Sequential(*layers, seed=seed)
            trainer = fastnn.Trainer(net, "cross_entropy", optim.Adam(lr=0.01))
            trainer.fit(*disc(400), epochs=40, batch_size=32, verbose=0)
            seeds.append(np.mean(net.predict(Xv).argmax(axis=1) == yv))
        found.append((np.min(seeds), np.mean(seeds), np.max(seeds)))
    low, middle, high = np.array(found).T
    figure, axis = panels(xscale="log", ylim=(0.42, 1.03))
    axis.fill_between(widths, low, high, color=MENDED["color"], alpha=0.2, lw=0, label="least and largest of 5 seeds")
    axis.plot(widths, middle, label="mean", **MENDED | {"ls": "-"})
    majority = max(np.mean(yv), 1 - np.mean(yv))
    axis.axhline(majority, **LINE, label="always the same class")
    axis.set_xticks(widths, [str(each) for each in widths])
    axis.minorticks_off()
    axis.set(xlabel="hidden units", ylabel="accuracy, held out")
    legend(figure, axis)
    return figure


PICTURES = {
    "linear": linear,
    "symmetry": symmetry,
    "initialisation": initialisation,
    "saturation": saturation,
    "dead-units": dead_units,
    "vanishing-gradient": vanishing_gradient,
    "exploding-gradient": exploding_gradient,
    "batch-norm": batch_norm,
    "units": units,
}
