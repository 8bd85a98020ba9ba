"""Gated linear units by `join="multiply"`: GLU (Dauphin et al., 2017) and SwiGLU (Shazeer, 2020) beside a ReLU layer.

One branch computes values, the other says how much of each passes. All three nets have about as many parameters.
"""

import numpy as np

import fastnn
from fastnn import nn


def gated(features, width, gate):
    """Return a layer of `width` gated units, and one that brings them back to `features`."""
    units = nn.Parallel(nn.Sequential(nn.Dense(features, width), gate), nn.Dense(features, width), join="multiply")
    return units, nn.Dense(width, features)


HIDDEN = {
    "ReLU": lambda: (nn.Dense(16, 48), "relu", nn.Dense(48, 16)),
    "GLU": lambda: gated(16, 32, "sigmoid"),
    "SwiGLU": lambda: gated(16, 32, "silu"),
}

rng = np.random.default_rng(0)
X = rng.normal(size=(4000, 8))
y = X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3] - X[:, 4] * X[:, 5]  # products, which gates can form
train, test = slice(0, 3000), slice(3000, None)

loss = {}
for name, hidden in HIDDEN.items():
    blocks = [nn.Residual(nn.RMSNorm(16), *hidden()) for _ in range(2)]
    net = nn.Sequential(nn.Dense(8, 16), *blocks, nn.Dense(16, 1), seed=0)
    count = sum(array.size for array in net.parameters().values())
    trainer = fastnn.Trainer(net, loss="mse", optimizer=fastnn.optim.Adam(lr=3e-3))
    trainer.fit(X[train], y[train], epochs=30, batch_size=100, verbose=0)
    loss[name] = trainer.evaluate(X[test], y[test])["loss"]
    print(f"{name:7s} {count} parameters, squared error on new rows {loss[name]:.3f}")

assert max(loss["GLU"], loss["SwiGLU"]) < 0.7 * loss["ReLU"]
