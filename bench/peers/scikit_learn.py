"""scikit-learn's `MLPClassifier`, which has neither batch norm nor dropout nor residual blocks."""

import numpy as np

from bench.peers.shared import BETAS, EPS, LR, Missing, first_batches
from fastnn import nn


def make_steps(config, net, X, y, order, steps):
    """Return `partial_fit` on several batches in one call, which checks its arguments once for all, as `fit` does."""
    from sklearn.neural_network import MLPClassifier

    if config.norm or config.p or config.blocks:
        raise Missing("it has no batch norm, no dropout and no residual blocks")
    model = MLPClassifier(
        config.sizes[1:-1],
        activation=config.activation,
        alpha=0.0,
        batch_size=config.batch,
        learning_rate_init=LR,
        shuffle=False,
        beta_1=BETAS[0],
        beta_2=BETAS[1],
        epsilon=EPS,
    )
    rows = order[: config.batch]
    model.partial_fit(X[rows], y[rows], classes=np.arange(config.sizes[-1]))  # allocates the arrays
    del model._optimizer  # the next call makes a new one
    layers = [layer for layer in net.layers if isinstance(layer, nn.Dense)]
    for w, b, layer in zip(model.coefs_, model.intercepts_, layers, strict=True):
        one_logit = w.shape[1] < layer.weight.shape[1]  # it has one output for two classes
        w[...] = np.diff(layer.weight) if one_logit else layer.weight
        b[...] = np.diff(layer.bias) if one_logit else layer.bias
    first = first_batches(config, order, steps)

    def run():
        start = next(first) * config.batch
        rows = order[start : start + steps * config.batch]
        return model.partial_fit(X[rows], y[rows]).loss_

    return run
