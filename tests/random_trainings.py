"""Random trainings, mostly faulty ones, for tools/fuzz_diagnose.py and its short form among the tests."""

import numpy as np

import fastnn
from fastnn import nn, optim

LOSSES = (
    "cross_entropy", "binary_cross_entropy", "mse", "huber", "log_cosh", "hinge", "squared_hinge", "multi_margin",
    "poisson", "log_loss", nn.QuantileLoss([0.1, 0.5, 0.9]), None,
)  # fmt: skip
ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.Softmax, nn.Identity, nn.PReLU, nn.ELU)
INITIALISERS = (None, "zeros", "ones", nn.init.normal(0, 30.0), nn.init.constant(1e-9))


def random_targets(rng, n, classes):
    """Return targets in one of many forms, some of which no loss takes."""
    c = rng.integers(0, classes, n)
    names = np.array([f"c{i:02d}" for i in range(classes)])
    forms = (
        c, c.astype(float), names[c], np.eye(classes)[c], c + 1, 2 * (c % 2) - 1, (c % 2).astype(bool),
        rng.normal(size=n), rng.normal(size=(n, classes)) * 10.0 ** rng.integers(-8, 9),
        rng.integers(0, 2, (n, classes)), 1000 * c, np.where(rng.random(n) < 0.1, np.nan, c.astype(float)),
        c.astype(object), rng.poisson(3, n), np.full(n, 3),
    )  # fmt: skip
    return forms[rng.integers(len(forms))]


def random_inputs(rng, n, columns):
    """Return rows that are healthy or have one fault."""
    x = rng.normal(size=(n, columns))
    holes = np.where(rng.random(x.shape) < 0.05, np.nan, x)
    forms = (
        x, x * 10.0 ** rng.integers(-30, 30, columns), np.abs(x), (50 * x).clip(0, 255).astype(np.uint8), holes, 0 * x,
        x.astype(np.float32) * np.float32(1e30), (x > 0).astype(float), np.where(x > 3, np.inf, x),
        np.repeat(x[:1], n, axis=0), np.hstack([x[:, :1] * 0 + 1, x[:, 1:]]),
    )  # fmt: skip
    return forms[rng.integers(len(forms))]


def random_net(rng, width, outputs):
    """Return a net of up to four hidden layers."""
    layers = []
    for _ in range(rng.integers(0, 5)):
        units = int(rng.choice([1, 2, 8, 32]))
        init = INITIALISERS[rng.integers(len(INITIALISERS))] if rng.random() < 0.4 else None
        layers.append(nn.Dense(width, units, init=init))
        width = units
        if rng.random() < 0.3:
            layers.append(nn.BatchNorm(width))
        if rng.random() < 0.2:
            layers.append(nn.LayerNorm(width))
        if rng.random() < 0.8:
            layers.append(ACTIVATIONS[rng.integers(len(ACTIVATIONS))]())
        if rng.random() < 0.2:
            layers.append(nn.Dropout(float(rng.random())))
        if rng.random() < 0.15:
            layers.append(nn.Residual(nn.Dense(width, width), nn.ReLU()))
    layers.append(nn.Dense(width, outputs))
    if rng.random() < 0.3:
        layers.append(ACTIVATIONS[rng.integers(len(ACTIVATIONS))]())
    return nn.Sequential(*layers, seed=0)


def random_optimizer(rng):
    """Return an optimiser, mostly with a rate that is far too low or too high."""
    rate = float(10.0 ** rng.integers(-9, 4))
    made = (
        optim.Adam(lr=rate), optim.SGD(lr=rate, momentum=0.9), optim.RMSprop(), optim.LBFGS(),
        optim.AdamW(weight_decay=0.5), optim.Adagrad(),
    )  # fmt: skip
    return made[rng.integers(len(made))]


def random_report(seed, proofs=0.05):
    """Return the report on a random training, or None for one that a trainer or `diagnose` refuses by a message."""
    rng = np.random.default_rng(seed)
    n, columns, classes = (
        int(rng.choice(each)) for each in ((1, 2, 3, 7, 20, 60, 300, 900), (1, 2, 5, 40), (1, 2, 3, 12))
    )
    x, y = random_inputs(rng, n, columns), random_targets(rng, n, classes)
    arguments = {"epochs": int(rng.integers(1, 12)), "batch_size": int(rng.choice([1, 2, 16, 1000]))}
    if rng.random() < 0.3:
        arguments["sample_weight"] = rng.random(n)
    if rng.random() < 0.3:
        rows = rng.integers(0, n, int(rng.choice([1, 5, 50])))
        arguments["validation_data"] = rng.normal(size=(len(rows), columns)), y[rows]
    loss, prove = LOSSES[rng.integers(len(LOSSES))], bool(rng.random() < proofs)
    try:
        given = random_net(rng, columns, int(rng.choice([1, classes, classes, 2])))
        if loss is not None:
            penalty = optim.Penalty(l2=1.0) if rng.random() < 0.2 else None
            given = fastnn.Trainer(given, loss, random_optimizer(rng), penalty=penalty)
        report = fastnn.diagnose(given, x, y, prove=prove, **arguments)
    except (TypeError, ValueError) as error:
        if " must " not in str(error):
            raise
        return None
    return report
