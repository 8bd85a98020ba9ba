"""Changes of the experiments on overfitting and batch norm (post 001)."""

from statistics import NormalDist
from types import SimpleNamespace

import numpy as np

from fastnn import kernels


def settings(**values):
    """Return a plant that gives these values to constants of the module; functions of the old value give the new."""

    def plant(module, monkeypatch):
        for name, value in values.items():
            monkeypatch.setattr(module, name, value(getattr(module, name)) if callable(value) else value)

    return plant


def exchanged(*pairs):
    """Return a plant that runs each condition of a pair under the name of the other."""

    def change(conditions):
        changed = dict(conditions)
        for a, b in pairs:
            changed[a], changed[b] = conditions[b], conditions[a]
        return changed

    return settings(CONDITIONS=change)


def all_as(name):
    """Return a plant that runs all conditions as this one."""
    return settings(CONDITIONS=lambda conditions: dict.fromkeys(conditions, conditions[name]))


def dropout_without_division(module, monkeypatch):
    def masked(x, p, seed):
        return (1 - p) * kernels.dropout(x, p, seed=seed)

    monkeypatch.setattr(module, "kernels", SimpleNamespace(dropout=masked))


def _no_normalisation(x, gamma, beta, eps):
    return (x,)


def _made_gaussian(x, gamma, beta, eps):
    order = x.argsort(axis=0).argsort(axis=0)
    return (np.vectorize(NormalDist().inv_cdf)((order + 0.5) / len(x)),)


def _depends_on_the_batch(model, batch, own_statistics):
    return model.forward(batch) + batch.sum(dtype=float)


PLANTS = {
    "overfitting": [
        settings(EPOCHS=1),
        exchanged(("200 rows, random classes", "200 rows"), ("40 rows", "800 rows")),
        exchanged(("40 rows", "800 rows")),
        all_as("800 rows"),
    ],
    "penalties": [all_as("none"), exchanged(("L1", "L2"))],
    "dropout": [all_as("p = 0"), dropout_without_division],
    "early-stopping": [all_as("all epochs"), all_as("early stopping")],
    "ensembles": [settings(NET_SEEDS=[0] * 16)],
    "label-smoothing": [
        exchanged(
            ("30 % random classes, e = 0", "30 % random classes, e = 0.1"),
            ("right classes, e = 0", "right classes, e = 0.1"),
        ),
    ],
    "augmentation": [exchanged(("shift", "noise")), all_as("none")],
    "batch-norm-output": [
        settings(normalise=lambda _: _no_normalisation),
        settings(normalise=lambda _: _made_gaussian),
        settings(RATE=1e-6),
    ],
    "batch-norm-order": [all_as("none")],
    "batch-norm-test-batch": [
        exchanged(("running statistics", "own statistics")),
        settings(outputs=lambda _: _depends_on_the_batch),
        settings(SIZES=(2,)),  # the largest batches have two rows
    ],
    "dropout-ensemble": [settings(DROPOUT=0.0)],
    "dropout-and-batch-norm": [all_as("neither")],
    "gaussian-activations": [exchanged(("sums", "after ReLU")), settings(EPOCHS=0)],
    "against-overfitting": [
        settings(ENSEMBLE=[0] * 5, CONDITIONS=lambda conditions: {name: {} for name in conditions})
    ],
}
