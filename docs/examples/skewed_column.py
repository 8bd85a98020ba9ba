"""What scalers make of a skewed column with outliers, such as incomes; and what a net learns from it.

    python docs/examples/skewed_column.py [PICTURE]

draws the histograms into the file PICTURE, which needs matplotlib.
"""

import sys

import numpy as np

import fastnn
from fastnn import nn
from fastnn.data import QuantileScaler, RobustScaler, Scaler

rng = np.random.default_rng(0)
income = np.exp(rng.normal(size=(4000, 1)))  # lognormal: most are near 1, the largest are far away
income[::200] *= 100  # one in 200 is in another currency
y = np.sin(3 * np.log(income)) + 0.1 * rng.normal(size=(4000, 1))
train, test = slice(0, 3000), slice(3000, None)

scalers = {
    "as it is": Scaler(0, 1),
    "standard": Scaler.fit(income[train]),
    "robust": RobustScaler.fit(income[train]),
    "quantile": QuantileScaler.fit(income[train]),
}
loss = {}
for name, scaler in scalers.items():
    net = nn.Sequential(nn.Dense(1, 64), "relu", nn.Dense(64, 64), "relu", nn.Dense(64, 1), seed=0)
    net.scaler = scaler
    trainer = fastnn.Trainer(net, loss="mse", optimizer=fastnn.optim.Adam(lr=3e-3))
    trainer.fit(income[train], y[train], epochs=60, batch_size=100, verbose=0)
    loss[name] = trainer.evaluate(income[test], y[test])["loss"]
    low, middle, high = np.quantile(scaler.transform(income), [0.01, 0.5, 0.99])
    print(f"{name:9s} 98 % of the column is in {low:6.2f} to {high:6.2f}; squared error on new rows {loss[name]:.3f}")

assert max(loss["robust"], loss["quantile"]) < loss["standard"] < loss["as it is"]

if len(sys.argv) > 1:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(9, 2.2), layout="constrained")
    for axis, (name, scaler) in zip(axes, scalers.items(), strict=True):
        axis.hist(scaler.transform(income).ravel(), bins=60, color="#3465a4")
        axis.set_title(name)
        axis.set_yticks([])
    figure.savefig(sys.argv[1], metadata={"Date": None})
