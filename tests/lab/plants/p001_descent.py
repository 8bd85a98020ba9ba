"""Plants for the experiments of the first half of post 001."""

import numpy as np
from lab.plants.p002_004 import exchanged, replaced, setting

from fastnn import nn


def without_the_sum(module):
    """Return a `forward` whose last layer is given u * s alone: the rules are those of another net."""
    u_and_s = module.forward

    def forward(x, A, B, C):
        u, s, _ = u_and_s(x, A, B, C)
        return u * s, s, (u * s) @ C

    return forward


def all_classes_count(module):
    """Return a `loss_and_gradient` with smooth labels, so that each class has a part in it."""

    def loss_and_gradient(z, y):
        dz = np.empty_like(z)
        return nn.CrossEntropyLoss(label_smoothing=0.1)(z, y, grad=dz), dz * len(z)

    return loss_and_gradient


def rows_of_other_classes(module):
    """Return a `gradient` for which the rows of a batch have other classes than among all rows."""
    gradient = module.gradient
    return lambda model, X, y: gradient(model, X, y if len(X) == module.ROWS else (y + 1) % 10)


def same_size_of_steps(module):
    """Return a `rises` with the same rate each time."""
    rises = module.rises
    return lambda model, task, rate, seed: rises(model, task, 0.1, seed)


PLANTS = {
    "learning-rate": [
        exchanged("1 % of the limit", "50 %", table="SHARES"),
        exchanged("95 %", "105 %", table="SHARES"),
        exchanged("digits, rate 0.1", "digits, rate 1", table="RATES"),
        exchanged("digits, rate 0.1", "digits, rate 0.001", table="RATES"),
        exchanged("digits, rate 0.1", "digits, rate 100", table="RATES"),
    ],
    "schedules": [
        setting("RATES", (0.8,) * 6),
        setting("RATES", (0.05,) * 6),
    ],
    "batches": [
        exchanged("8 rows", "128 rows", table="SIZES"),
        setting("RATES", (0.001,)),
        replaced("gradient", rows_of_other_classes),
        replaced("rises", same_size_of_steps),
    ],
    "chain-rule": [
        exchanged("right", "bug: one use forgotten"),
        exchanged("right", "bug: product, no partner"),
        exchanged("right", "bug: no slope"),
        replaced("forward", without_the_sum),
    ],
    "softmax-gradient": [
        exchanged("default", "small", table="STARTS"),
        replaced("loss_and_gradient", all_classes_count),
    ],
}
