"""The scalers of an estimator's net, fitted on the rows that it is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn import nn
from fastnn._typing import Array
from fastnn.data import QuantileScaler, RobustScaler, Scaler
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.sklearn._columns import CategoryColumns

SCALER_BY_NAME: Mapping[str, Any] = {"standard": Scaler, "robust": RobustScaler, "quantile": QuantileScaler}


def fit_scalers(estimator: Any, net: nn.Sequential, loss: nn.Loss, X: Any, y: Array, rows: Array | None) -> None:
    """Fit the scalers that the estimator asks for, unless the net has them from an earlier call.

    Parameters
    ----------
    estimator : estimator
    net : Sequential
    loss : Loss
    X : ndarray, shape (n, features)
    y : ndarray, shape (n, outputs)
    rows : ndarray of int or None
        The rows that are trained on, if not all.

    Raises
    ------
    ValueError
        If the outputs that the loss takes are not in the unit of the targets that are to be scaled, or the scalers'
        numbers are not finite in the net's dtype.
    """
    training: Any = slice(None) if rows is None else np.sort(rows)
    if estimator.scale is not None and net.scaler is None:
        columns: CategoryColumns | None = estimator._fitted_columns()
        numbers = None if columns is None else columns.numbers
        if numbers is None or len(numbers):
            net.scaler = SCALER_BY_NAME[estimator.scale].fit(X[training], columns=numbers)
    if getattr(estimator, "scale_targets", False):
        _check_unit(estimator, loss, net.out_features)
        if net.output_scaler is None:
            net.output_scaler = Scaler.fit(y[training])


def _check_unit(estimator: Any, loss: nn.Loss, outputs: int) -> None:
    """Refuse to scale the targets of a loss whose outputs are logarithms of rates, logits, or others without a unit."""
    try:
        loss.outputs_by_target("loss", outputs)
    except ValueError:
        must = f"be False with loss={v.shown(estimator.loss)}, whose outputs are not in the unit of y"
        v.refuse(ValueError, "scale_targets", must, "True")


def scalers_of(net: nn.Sequential) -> tuple[Any, ...]:
    """Return the net's scalers."""
    return tuple(getattr(net, each.name) for each in SCALERS)


def set_scalers(net: nn.Sequential, scalers: Any) -> None:
    """Set what `scalers_of` has returned; None stands for no scalers.

    Raises
    ------
    TypeError, ValueError
        If these are no scalers of such a net.
    """
    if scalers is not None and not (isinstance(scalers, tuple) and len(scalers) == len(SCALERS)):
        v.refuse(TypeError, "_scalers", f"be a tuple of {len(SCALERS)}", v.shown(scalers))
    for each, scaler in zip(SCALERS, scalers or (), strict=False):
        if scaler is not None:
            setattr(net, each.name, scaler)
