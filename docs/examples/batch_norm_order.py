"""Batch norm before and after the activation, and with cumulative statistics instead of moving ones."""

import numpy as np

import fastnn
from fastnn import nn

ORDERS = {
    "no norm": lambda width: [nn.Dense(width, width), nn.Sigmoid()],
    # The published order (Ioffe and Szegedy, 2015). The norm takes the mean away, so that a bias would do nothing.
    "before the activation": lambda width: [nn.Dense(width, width, bias=False), nn.BatchNorm(width), nn.Sigmoid()],
    # The next layer gets columns with mean 0 and variance 1.
    "after the activation": lambda width: [nn.Dense(width, width), nn.Sigmoid(), nn.BatchNorm(width)],
    # In evaluation mode, the mean of all batches so far, each with the same weight. Moving statistics forget early
    # batches, when the weights were others; these do not.
    "after, cumulative": lambda width: [nn.Dense(width, width), nn.Sigmoid(), nn.BatchNorm(width, momentum=None)],
}

rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 16))
y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)

loss = {}
for name, order in ORDERS.items():
    hidden = [layer for _ in range(4) for layer in order(32)]
    net = nn.Sequential(nn.Dense(16, 32), nn.Sigmoid(), *hidden, nn.Dense(32, 2), seed=0)
    trainer = fastnn.Trainer(net, optimizer=fastnn.optim.SGD(lr=0.1, momentum=0.9))
    history = trainer.fit(X, y, epochs=20, batch_size=100, verbose=0)
    loss[name] = history["loss"][-1]
    print(f"{name:22s} training loss {loss[name]:.3f}, in evaluation mode {trainer.evaluate(X, y)['loss']:.3f}")

assert max(loss["before the activation"], loss["after the activation"]) < 0.8 * loss["no norm"]
