"""A category as a number, as one-hot columns, and as an embedding.

The target depends on the town in no order of the towns' numbers. A net that gets the number has to bend a line through
all towns; one-hot columns and embeddings have weights for each town. An embedding needs no matrix of zeros and ones.
"""

import time

import numpy as np

import fastnn
from fastnn import nn

TOWNS = 200

rng = np.random.default_rng(0)
town, size = rng.integers(0, TOWNS, 8000), rng.normal(size=8000)
effects = rng.normal(size=TOWNS)
y = effects[town] * np.tanh(size) + 0.1 * rng.normal(size=8000)
train, test = slice(0, 6000), slice(6000, None)


def hidden(width):
    return nn.Dense(width, 64), "relu", nn.Dense(64, 1)


embedded = nn.Parallel(nn.Columns([0]), nn.Columns([1], nn.Embedding(TOWNS, 8)))
nets = {
    "as a number": (np.column_stack([size, town / TOWNS]), nn.Sequential(*hidden(2), seed=0)),
    "one-hot": (np.column_stack([size, np.eye(TOWNS)[town]]), nn.Sequential(*hidden(1 + TOWNS), seed=0)),
    "embedding": (np.column_stack([size, town]), nn.Sequential(embedded, *hidden(9), seed=0)),
}

loss = {}
for name, (X, net) in nets.items():
    trainer = fastnn.Trainer(net, loss="mse", optimizer=fastnn.optim.Adam(lr=5e-3))
    start = time.perf_counter()
    trainer.fit(X[train], y[train], epochs=40, batch_size=100, verbose=0)
    seconds = time.perf_counter() - start
    loss[name] = trainer.evaluate(X[test], y[test])["loss"]
    size_of_X = f"X of {X.shape[1]} columns, {X.nbytes / 1e6:.1f} MB"
    print(f"{name:12s} squared error on new rows {loss[name]:.3f}, {seconds:.2f} s for the fit, {size_of_X}")

assert loss["embedding"] < 0.3 * loss["as a number"]
