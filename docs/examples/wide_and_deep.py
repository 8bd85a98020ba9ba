"""A wide and deep net (Cheng et al., 2016): some columns go straight to the output, others through hidden layers.

The wide part learns what adds up, here one effect for each of 50 towns: an embedding of width 1. The deep part learns
what the numbers do together.
"""

import numpy as np

import fastnn
from fastnn import nn

TOWNS, NUMBERS = 50, 4

rng = np.random.default_rng(0)
town, numbers = rng.integers(0, TOWNS, 4000), rng.normal(size=(4000, NUMBERS))
effects = rng.normal(size=TOWNS)
y = effects[town] + np.sin(2 * numbers[:, 0]) * numbers[:, 1] + 0.1 * rng.normal(size=4000)
X = np.column_stack([town, numbers])
train, test = slice(0, 3000), slice(3000, None)


def wide():
    return nn.Columns([0], nn.Embedding(TOWNS, 1, init="zeros"), in_features=1 + NUMBERS)


def deep():
    hidden = nn.Dense(NUMBERS, 64), "relu", nn.Dense(64, 64), "relu"
    return nn.Columns(range(1, 1 + NUMBERS), *hidden, nn.Dense(64, 1), in_features=1 + NUMBERS)


loss = {}
for name, branches in {"wide": [wide()], "deep": [deep()], "wide and deep": [wide(), deep()]}.items():
    net = nn.Sequential(nn.Parallel(*branches, join="add"), seed=0)
    trainer = fastnn.Trainer(net, loss="mse", optimizer=fastnn.optim.Adam(lr=3e-3))
    trainer.fit(X[train], y[train], epochs=60, batch_size=100, verbose=0)
    loss[name] = trainer.evaluate(X[test], y[test])["loss"]
    print(f"{name:14s} squared error on new rows {loss[name]:.3f}")

print(net.summary())
assert loss["wide and deep"] < 0.5 * min(loss["wide"], loss["deep"])
