"""Losses with targets and nets that the tests of losses share."""

import numpy as np
from specs import BY_NAME

from fastnn import nn
from fastnn._losses import LOSSES as ROWS

K = 6
RAMP = np.linspace(0.25, 2.5, K)


def labels(rng, n, k):
    return rng.integers(0, k, n)


def shares(rng, n, k):
    return rng.dirichlet(np.ones(k), n)


def numbers(rng, n, k):
    return rng.normal(size=(n, k))


def counts(rng, n, k):
    return rng.poisson(2, (n, k)).astype(float)


def some(rng, n, k):
    """Return a column of targets for every three outputs."""
    return rng.normal(size=(n, k // 3))


def as_in_spec(name):
    """Return a function that draws targets as the spec of the loss does."""
    return lambda rng, n, k: BY_NAME[name].make(rng, (n, k), np.dtype(float))["target"]


# Each loss of the registry, and others with settings, with a function that draws its targets.
LOSSES = {name: (getattr(nn, row.torch)(), as_in_spec(name)) for name, row in ROWS.items()} | {
    "cross_entropy, weighted": (nn.CrossEntropyLoss(weight=RAMP), labels),
    "cross_entropy, smooth": (nn.CrossEntropyLoss(label_smoothing=0.2), labels),
    "cross_entropy, weighted and smooth": (nn.CrossEntropyLoss(RAMP, 0.2), labels),
    "cross_entropy of shares": (nn.CrossEntropyLoss(), shares),
    "cross_entropy of shares, weighted and smooth": (nn.CrossEntropyLoss(RAMP, 0.2), shares),
    "binary_cross_entropy, weighted": (nn.BCEWithLogitsLoss(pos_weight=RAMP, columns="sum"), shares),
    "mean_squared_error, half": (nn.MSELoss(factor=0.5), numbers),
    "mean_absolute_error, sums": (nn.L1Loss(columns="sum"), numbers),
    "huber, narrow": (nn.HuberLoss(0.5), numbers),
    "smooth_l1": (nn.SmoothL1Loss(0.5), numbers),
    "poisson in full": (nn.PoissonNLLLoss(full=True), counts),
    "poisson, the deviance": (nn.PoissonNLLLoss(deviance=True, columns="sum"), counts),
    "quantile at three": (nn.QuantileLoss([0.1, 0.5, 0.9]), some),
    "multi_margin, squared": (nn.MultiMarginLoss(p=2, margin=0.5), labels),
    "custom": (
        nn.CustomLoss(
            lambda z, t: np.cosh(z - t).sum(axis=1),
            lambda z, t: np.sinh(z - t),
        ),
        numbers,
    ),
    "custom of labels": (
        nn.CustomLoss(lambda z, y: z[np.arange(len(z)), y] ** 2, lambda z, y: 2 * z * np.eye(K)[y], target="labels"),
        labels,
    ),
}
# The gradient is deliberately not that of the value.
HALF = nn.MSELoss(factor=0.5, gradient_columns="sum")
ALL = LOSSES | {"half squares": (HALF, numbers)}


def problem(name, rows=40):
    loss, target = ALL[name]
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(rows, 4)), target(rng, rows, K)
    weight = rng.random(rows)
    weight[::5] = 0
    return loss, X, y, weight


def net_of(dtype="float64", seed=3):
    return nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, K), dtype=dtype, seed=seed)
