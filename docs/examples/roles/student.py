"""Exercises of a course on neural networks, as a student types them."""

import inspect
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastnn
from fastnn import nn, optim

plt.switch_backend("Agg")
X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)


def mlp(depth, activation, width=32, **settings):
    layers = [nn.Dense(64, width, **settings), nn.activation(activation)]
    for _ in range(depth - 1):
        layers += [nn.Dense(width, width, **settings), nn.activation(activation)]
    return nn.Sequential(*layers, nn.Dense(width, 10), seed=0)


# Exercise 1: read the formulas, and check one by hand
for f in (fastnn.reference.sigmoid, fastnn.reference.softmax, fastnn.reference.adam):
    print(inspect.getsource(f))
assert "exp" in inspect.getsource(fastnn.reference.sigmoid)
x = np.linspace(-5, 5, 101)
assert np.allclose(fastnn.kernels.sigmoid(x), 1 / (1 + np.exp(-x)))

# Exercise 2: is backpropagation right?
report = fastnn.check_gradients(mlp(3, "tanh"), X[:16], y[:16], loss="cross_entropy", max_per_block=50)
print(report)
assert report.ok


# Exercise 3: vanishing gradients
def gradient_norms(net):
    z = net.forward(X[:256], training=True)
    dz = np.empty_like(z)
    nn.CrossEntropyLoss()(z, y[:256], grad=dz)
    net.backward(dz)
    return [np.linalg.norm(g) for name, g in net.gradients().items() if name.endswith(".weight")]


ratios = {}
for activation in ("Sigmoid", "tanh", "ReLU"):
    for depth in (2, 4, 8):
        norms = gradient_norms(mlp(depth, activation))
        ratios[activation, depth] = norms[0] / norms[-1]
print(pd.Series(ratios).unstack())
assert ratios["Sigmoid", 8] < 1e-4 and ratios["ReLU", 8] > 0.1
assert ratios["Sigmoid", 8] < ratios["Sigmoid", 4] / 100 and ratios["Sigmoid", 4] < ratios["Sigmoid", 2] / 10

# Exercise 4: what an initialiser does to the layers' outputs
spread = {}
for init in (nn.init.normal(std=0.01), nn.init.normal(std=1.0), "glorot_uniform", "he_normal"):
    net = mlp(8, "relu", width=64, init=init)
    outputs = net.activations(X)
    spread[str(init)] = [h.std() for layer, h in zip(net, outputs, strict=True) if isinstance(layer, nn.ReLU)]
print(pd.DataFrame(spread).round(4))
assert spread["he_normal"][-1] > 0.05 * spread["he_normal"][0]
assert spread["init.normal(std=0.01)"][-1] < 1e-6 and spread["init.normal()"][-1] > 1e3

# Exercise 5: optimisers, and their curves
curves = {}
for name in ("sgd", "rmsprop", "adagrad", "adam", "adamw"):
    trainer = fastnn.Trainer(mlp(2, "relu"), loss="cross_entropy", optimizer=name, metrics=["accuracy"])
    h = trainer.fit(X, y, epochs=20, batch_size=32, validation_data=(X_test, y_test), verbose=0)
    curves[name] = pd.DataFrame(h)
fig, ax = plt.subplots()
for name, frame in curves.items():
    frame.plot(y="val_loss", ax=ax, label=name, logy=True)
with tempfile.TemporaryDirectory() as folder:
    fig.savefig(Path(folder, "optimisers.png"))
    assert Path(folder, "optimisers.png").exists()
assert curves["adam"]["val_accuracy"].iloc[-1] > 0.95 and curves["adam"].columns[0] == "loss"
assert curves["adam"]["loss"].iloc[-1] < curves["sgd"]["loss"].iloc[-1]

# Exercise 6: inputs of other sizes, with and without normalisation
wide = X * np.logspace(-3, 3, 64)
scores = {}
for scaler in (None, fastnn.data.Scaler(wide.mean(axis=0), 1 / (wide.std(axis=0) + 1e-9))):
    net = mlp(1, "tanh")
    net.scaler = scaler
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=0.1, momentum=0.9), schedule="OneCycleLR")
    trainer.fit(wide, y, epochs=15, verbose=0)
    scores[scaler is not None] = np.mean(net(wide).argmax(axis=1) == y)
print(scores)
assert scores[True] > 0.95 and scores[True] > scores[False] + 0.2
