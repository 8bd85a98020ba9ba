"""Nets with batch norm before or after each activation, or without."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fastnn import nn


def deep_net(widths: Sequence[int], activation: nn.Layer, batch_norm: str, *, seed: int) -> nn.Sequential:
    """Return dense layers of these widths, with an activation between them.

    `batch_norm` is "none", "before" or "after": where the batch norms are, as seen from the activation.
    """
    layers = list[nn.Layer]()
    for i, o in itertools.pairwise(widths[:-1]):
        after_dense = {
            "none": [activation],
            "before": [nn.BatchNorm(o), activation],
            "after": [activation, nn.BatchNorm(o)],
        }
        layers += [nn.Dense(i, o), *after_dense[batch_norm]]
    return nn.Sequential(*layers, nn.Dense(widths[-2], widths[-1]), seed=seed)
