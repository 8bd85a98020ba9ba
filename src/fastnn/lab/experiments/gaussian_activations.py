"""Not all values in a net are Gaussian.

What the post says
------------------
One often assumes that activations have a Gaussian distribution, and practically all values in a model do. Data often
have one, too.

Where the post errs
-------------------
The assumption holds for one kind of values: the sums before the activations, in wide layers with random weights. A sum
of many independent terms is nearly Gaussian (the central limit theorem). After a ReLU half of the values are 0 and none
is negative, which is far from Gaussian. And training makes the weights depend on the data: the sums then have more
values far from their mean than a Gaussian has. The assumption is good for choosing initial weights, which is what it is
used for.

Of data it depends on the data. The 13 measures of the wines are, on average, not far from a Gaussian; the 30 measures
of the tumours have long tails to the right, and half of the pixels of the digits are 0.

Formula
-------
    z = w_1 x_1 + ... + w_n x_n + b,  a = max(z, 0)
    skewness: mean of ((z - mean) / std) ** 3           0 for a Gaussian, 1.64 after the ReLU
    kurtosis: mean of ((z - mean) / std) ** 4 - 3       0 for a Gaussian, 2.4 after the ReLU

What to look at
---------------
The left picture: the sums before the third ReLU, of all new rows and all 300 units, and a Gaussian of the same mean and
standard deviation. Before the training they are nearly the same. In the trained net the sums have a higher peak and
long tails. The table: after the ReLU half of the values are 0, and more in a trained net. The right picture:
tumours and wines, each measure with mean 0 and standard deviation 1, all measures together.

What to try
-----------
- A narrow net, ``WIDTH = 10``: is it Gaussian before the training?
- ``nn.Tanh()`` with large initial weights: the outputs have two peaks, at -1 and 1.
- Batch norm before the ReLU: does it make the sums Gaussian after the training?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.lab import Between, Figures, Measured, fit, net, real
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("dense", "relu")
SEEDS = 3
PANELS = 2

CONDITIONS = {"sums": 5, "after ReLU": 6}  # how many layers of the net are before the values
DATA = {"pixels of digits": "digits", "measures of tumours": "breast_cancer", "measures of wines": "wine"}
WIDTH = 300
EPOCHS = 15
BINS = np.linspace(-4, 4, 81)


def shape_of(values: Array) -> dict[str, Any]:
    """Return skewness, kurtosis and a histogram of all values together."""
    x = (values - values.mean()) / values.std()
    density = np.histogram(x, BINS, density=True)[0]
    return {"skewness": np.mean(x**3), "kurtosis": np.mean(x**4) - 3, "zeros": np.mean(values == 0), "density": density}


def measure(seed: int) -> Figures:
    """Look at the sums before the third ReLU, and at its outputs, before and after a training; and at data."""
    task = real("digits", seed=seed)
    model = net([64, WIDTH, WIDTH, WIDTH, 10], nn.ReLU(), seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for when, epochs in {"not trained": 0, "trained": EPOCHS}.items():
        if epochs:
            fit(model, task, epochs=epochs, optimizer=optim.SGD(lr=0.1, momentum=0.9))
        for name, layers in CONDITIONS.items():
            found[f"{name}, {when}"] = shape_of(model[:layers].predict(task.X_test))
    found |= {name: shape_of(real(of, seed=seed).X) for name, of in DATA.items()}
    return found


CLAIMS = (
    Between("Before the training the sums are about symmetric.", ("sums, not trained", "skewness"), -0.4, 0.4),
    Between("They have the tails of a Gaussian.", ("sums, not trained", "kurtosis"), -0.7, 0.9),
    Between("After the ReLU the values are skewed.", ("after ReLU, not trained", "skewness"), 1.2, 2.3),
    Between("Half of them are 0.", ("after ReLU, not trained", "zeros"), 0.4, 0.6),
    Between("In a trained net the sums have long tails,", ("sums, trained", "kurtosis"), 1.5, 20),
    Between("and most values after the ReLU are 0.", ("after ReLU, trained", "zeros"), 0.62, 1),
    Between("Half of the pixels are 0.", ("pixels of digits", "zeros"), 0.4, 0.6),
    Between("The measures of tumours are skewed.", ("measures of tumours", "skewness"), 1, 3),
    Between("Those of wines hardly are.", ("measures of wines", "skewness"), -0.5, 0.5),
)


def draw(measured: Measured, sums: Any, data: Any) -> None:
    """Draw the distributions of the sums and of the data, and a Gaussian."""
    middle = (BINS[1:] + BINS[:-1]) / 2
    gaussian = np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi)
    for panel, names in ((sums, ("sums, not trained", "sums, trained")), (data, list(DATA)[1:])):
        for i, name in enumerate(names):
            _style.runs(panel, i, middle, measured[name]["density"], name)
        panel.plot(middle, gaussian, color="#222222", linewidth=0.9, label="Gaussian")
        panel.set(xlabel="(value - mean) / standard deviation", ylabel="density", ylim=(0, None))
        _style.legend(panel)
