"""What batch norm does to a feature: it sets the mean and the variance, not the shape.

What the post says
------------------
Each feature of a batch is normalised to a unit Gaussian, then scaled by gamma and shifted by beta, which are
hyper-parameters. Batch norm can be seen as a layer of its own.

Where the post errs
-------------------
In two details.

- gamma and beta are no hyper-parameters, which a person sets. They are parameters: the net learns them by their
  gradients, like weights and biases. They begin with 1 and 0 and move in training, as the last rows of the table show.
- A feature that was no Gaussian is none afterwards. To subtract a number and to divide by one does not change the
  shape: the skewness stays the same.

Formula
-------
    x_hat = (x - mean) / sqrt(var + eps)        mean 0, variance var / (var + eps)
    y = gamma * x_hat + beta

What to look at
---------------
The pictures: three features of a batch before and after. After batch norm they have the same mean and the same
variance, and their old shapes. The variance is 1 but for the tiny feature, whose own variance is eps: there it is eps /
(eps + eps) = 0.5.

What to try
-----------
- ``EPS = 0.1``: which features notice?
- A constant feature: what keeps the division from failing?
- ``model.freeze("1.*")`` before the training: how well does a net learn that cannot change gamma and beta?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels, nn, optim
from fastnn._typing import Array
from fastnn.lab import Between, Figures, Measured, fit, real
from fastnn.plot import _style

POST = "001"
QUESTION = "What does batch norm do?"
TWINS = ("batch_norm", "batch_norm_backward")
SEEDS = 3
PANELS = 2

SHAPES = ("Gaussian", "skewed", "two peaks")
EPS = 1e-5
RATE = 0.1
BINS = np.linspace(-3, 8, 45)
normalise = kernels.batch_norm


def skewness(x: Array) -> Any:
    """Return the mean third power of the values with mean 0 and variance 1: 0 if they are symmetric."""
    return np.mean(((x - x.mean()) / x.std()) ** 3)


def measure(seed: int) -> Figures:
    """Normalise a batch of known features; and train a net, to see whether gamma and beta change."""
    rng = np.random.default_rng(seed)
    features = {
        "Gaussian": rng.normal(4, 2, 4000),
        "skewed": rng.exponential(2.0, 4000),
        "two peaks": rng.choice([0.0, 4.0], 4000) + rng.normal(0, 0.5, 4000),
        "tiny": rng.normal(0, EPS**0.5, 4000),
    }
    out = normalise(np.stack(list(features.values()), axis=1), np.ones(4), np.zeros(4), eps=EPS)[0]
    found: dict[str, dict[str, Any]] = {}
    for (name, x), y in zip(features.items(), out.T, strict=True):
        found[name] = {
            "mean": y.mean(),
            "variance": y.var(),
            "variance / expected": y.var() / (x.var() / (x.var() + EPS)),
            "skewness": skewness(y),
            "change of skewness": abs(skewness(y) - skewness(x)),
            "before": np.histogram(x, BINS)[0] / len(x),
            "after": np.histogram(y, BINS)[0] / len(y),
        }
    layer = nn.BatchNorm(32)
    model = nn.Sequential(nn.Dense(64, 32), layer, nn.ReLU(), nn.Dense(32, 10), seed=seed)
    fit(model, real("digits", seed=seed), epochs=10, optimizer=optim.SGD(lr=RATE))
    state = model.state_dict()
    found["gamma"] = {"moved in training": np.abs(state["1.weight"] - 1).mean()}
    found["beta"] = {"moved in training": np.abs(state["1.bias"]).mean()}
    return found


CLAIMS = (
    Between("The mean is 0.", ("skewed", "mean"), -1e-9, 1e-9),
    Between("The variance is var / (var + eps).", ("skewed", "variance / expected"), 1 - 1e-6, 1 + 1e-6),
    Between("So it is of a feature as small as eps.", ("tiny", "variance / expected"), 1 - 1e-6, 1 + 1e-6),
    Between("The skewed feature is still skewed.", ("skewed", "skewness"), 1.5, 2.5),
    Between("It is exactly as skewed as before.", ("skewed", "change of skewness"), 0, 1e-6),
    Between("gamma is learned.", ("gamma", "moved in training"), 0.01, 1),
    Between("beta is learned.", ("beta", "moved in training"), 0.01, 1),
)


def draw(measured: Measured, before: Any, after: Any) -> None:
    """Draw the distributions of the features before and after."""
    middle = (BINS[1:] + BINS[:-1]) / 2
    for panel, when in ((before, "before"), (after, "after")):
        for i, name in enumerate(SHAPES):
            _style.runs(panel, i, middle, measured[name][when], name)
        panel.set(xlabel=f"value {when} batch norm", ylabel="share of the rows", ylim=(0, 0.32))
    _style.legend(after)
