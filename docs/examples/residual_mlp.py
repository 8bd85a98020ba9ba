"""A net of 20 blocks, with and without skips: gradients reach the first layer only past the skips."""

import numpy as np

import fastnn
from fastnn import nn

BLOCKS, WIDTH = 20, 32

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(2000, 2))
y = (np.sin(4 * X[:, 0]) > 2 * X[:, 1]).astype(int)


def layers_of_block():
    return nn.LayerNorm(WIDTH), nn.Dense(WIDTH, WIDTH), nn.Sigmoid(), nn.Dense(WIDTH, WIDTH)


def net_of(block):
    blocks = [block(*layers_of_block()) for _ in range(BLOCKS)]
    return nn.Sequential(nn.Dense(2, WIDTH), *blocks, nn.Dense(WIDTH, 2), seed=0)


accuracy = {}
for name, block in (("plain", nn.Sequential), ("residual", nn.Residual)):
    net = net_of(block)
    z = net.forward(X[:200], training=True)
    net.backward(np.where(np.arange(2) == y[:200, np.newaxis], -0.5, 0.5) / 200)
    first = np.abs(net.gradients()["0.weight"]).mean()
    trainer = fastnn.Trainer(net, optimizer=fastnn.optim.Adam(lr=1e-3))
    trainer.fit(X, y, epochs=10, batch_size=100, verbose=0)
    accuracy[name] = trainer.evaluate(X, y)["accuracy"]
    print(f"{name:8s} mean gradient of the first layer at the start {first:.1e}, accuracy {accuracy[name]:.2f}")

assert accuracy["residual"] > 0.95 > accuracy["plain"] + 0.2
