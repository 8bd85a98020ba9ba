"""The evaluation of a net: its loss, its accuracy and the user's own metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from fastnn._typing import Array
from fastnn.nn import Loss, Sequential
from fastnn.nn.scaling import scale_targets
from fastnn.training.examples import Examples
from fastnn.training.metrics import Metric, figure
from fastnn.training.scaled_targets import target_scaling

EVALUATE_ELEMENTS = 1 << 18  # outputs that are computed at a time


def evaluate(net: Sequential, loss: Loss, examples: Examples, metrics: Mapping[str, Metric]) -> dict[str, float]:
    """Return the figures of a net in evaluation mode.

    The net predicts chunk by chunk: without metrics, which need all outputs at once, the memory is bounded. With an
    `output_scaler` the loss is in scaled units; metrics get targets and outputs in the targets' unit.

    Parameters
    ----------
    net : Sequential
    loss : Loss
    examples : Examples
    metrics : mapping of str to metric
        As `as_metrics` returns them.

    Returns
    -------
    dict of str to float
        ``loss``, for class labels ``accuracy``, then the metrics.

    Raises
    ------
    TypeError
        If a metric does not return a number.
    """
    scaling = target_scaling(net, loss)
    step = max(1, EVALUATE_ELEMENTS // net.out_features)
    total = loss_weight = correct = total_weight = 0.0
    outputs = np.empty((len(examples.x), net.out_features), net.dtype) if metrics else None
    for start in range(0, len(examples.x), step):
        rows = slice(start, start + step)
        z, y = net.scaled_outputs(examples.x[rows], None if outputs is None else outputs[rows]), examples.y[rows]
        sample_weight = None if examples.sample_weight is None else examples.sample_weight[rows]
        row_weight = sample_weight if examples.row_weight is None else examples.row_weight[rows]
        weight = float(len(z) if row_weight is None else abs(row_weight).sum())
        if weight > 0:
            if y.ndim == 2:
                y = y.astype(z.dtype) if scaling is None else scale_targets(y, scaling, z.dtype)
            total += weight * loss(z, y, sample_weight)
            loss_weight += weight
        if examples.target == "labels":
            hits = z.argmax(axis=1) == y
            correct += float(np.count_nonzero(hits) if sample_weight is None else abs(sample_weight[hits]).sum())
            total_weight += float(len(z) if sample_weight is None else abs(sample_weight).sum())
    figures = {"loss": total / loss_weight}
    if examples.target == "labels":
        figures["accuracy"] = correct / total_weight
    for name, metric in metrics.items():
        if metric == "accuracy" and examples.target == "labels":
            figures[name] = figures["accuracy"]
            continue
        sample_weight = None if examples.sample_weight is None else abs(examples.sample_weight)
        figures[name] = figure(name, metric, loss, examples.y, cast(Array, outputs), sample_weight)
    return figures
