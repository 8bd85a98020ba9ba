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


def rotated(table):
    """Return a table in which each key has the value of the next one."""
    first, *others = table.values()
    return dict(zip(table, [*others, first], strict=True))


def dropout_without_division(module, monkeypatch):
    def masked(x, p, seed):
        return (1 - p) * kernels.dropout(x, p, seed=seed)

    monkeypatch.setattr(module, "kernels", SimpleNamespace(dropout=masked))


def _no_normalisation(x, gamma, beta, eps):
    return (x,)


def _made_gaussian(x, gamma, beta, eps):
    order = x.argsort(axis=0).argsort(axis=0)
    return (np.vectorize(NormalDist().inv_cdf)((order + 0.5) / len(x)),)


def _other_statistics(model, batch, own_statistics):
    return model.forward(batch, training=not own_statistics and len(batch) > 1)


def _frozen_gamma_and_beta(fit):
    def fit_frozen(model, *args, **settings):
        model.freeze("1.*")
        return fit(model, *args, **settings)

    return fit_frozen


PLANTS = {
    "overfitting": [
        settings(WIDTHS=[64, 1, 10]),
        exchanged(("random classes", "right classes")),
    ],
    "penalties": [all_as("none"), exchanged(("L1", "L2"))],
    "dropout": [all_as("p = 0"), dropout_without_division],
    "early-stopping": [all_as("all epochs"), all_as("early stopping")],
    "ensembles": [settings(NET_SEEDS=[0] * 16)],
    "label-smoothing": [
        exchanged(("e = 0", "e = 0.2")),
        settings(ROWS=lambda rows: dict.fromkeys(rows, rows["right classes"])),
    ],
    "augmentation": [exchanged(("shift", "noise")), all_as("none")],
    "batch-norm-output": [
        settings(normalise=lambda _: _no_normalisation),
        settings(normalise=lambda _: _made_gaussian),
        settings(fit=_frozen_gamma_and_beta),
    ],
    "batch-norm-order": [all_as("none"), settings(ACTIVATIONS=rotated)],
    "batch-norm-test-batch": [
        settings(outputs=lambda _: _other_statistics),
        settings(SIZES=(2,)),  # the largest batches have two rows
    ],
    "dropout-ensemble": [settings(DROPOUT=0.0), settings(DROPOUT=0.9)],
    "dropout-and-batch-norm": [all_as("neither"), settings(CLASSES=rotated)],
    "gaussian-activations": [
        exchanged(("sums", "after ReLU")),
        settings(EPOCHS=0),
        settings(DATA=rotated),
    ],
    "against-overfitting": [
        settings(ENSEMBLE=[0] * 5, CONDITIONS=lambda conditions: {name: {} for name in conditions})
    ],
}
