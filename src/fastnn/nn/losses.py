"""Losses: their settings, under PyTorch's names. The arithmetic is in `fastnn.kernels`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _losses
from fastnn import _validation as v
from fastnn._settings import Settings, settings
from fastnn._typing import Array
from fastnn.engine import call_quietly
from fastnn.kernels import losses as kernels
from fastnn.nn import loss_classes
from fastnn.nn.loss_base import ColumnsLoss, KernelLoss, Loss
from fastnn.nn.loss_classes import *

__all__ = ["CustomLoss", "Loss", "SmoothL1Loss"]
__all__ += loss_classes.__all__

_Function = Callable[[Array, Array], npt.ArrayLike]


@settings()
class SmoothL1Loss(ColumnsLoss):
    """Smooth absolute error: ``d**2 / (2 * beta) where |d| < beta, else |d| - beta / 2, with d = z - t``.

    It is `HuberLoss` divided by beta. With beta = 0 it is `L1Loss`.

    PyTorch's `SmoothL1Loss`; Girshick, 2015, Fast R-CNN.

    Parameters
    ----------
    beta : float, default 1.0
        Where the parabola becomes a line, not negative.
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.SmoothL1Loss(beta=2.0)([[1.0], [5.0]], [[0.0], [0.0]])
    2.125
    """

    name = "huber"

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("beta", self.beta, 0)
        super().__post_init__()

    def kernel(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the kernel and its settings."""
        common = self.columns_settings()
        if self.beta == 0:
            return "mean_absolute_error", common
        return "huber", common | {"delta": self.beta, "factor": self.factor / self.beta}


@settings()
class CustomLoss(Loss):
    """A loss given as two NumPy functions of outputs and targets.

    Parameters
    ----------
    value : callable
        ``value(z, t)`` returns the loss of each row, shape (n,), from the outputs z, shape (n, K), and the target t.
    gradient : callable
        ``gradient(z, t)`` returns the gradient of each row's loss in its outputs, shape (n, K).
    target : {"rows", "labels"}, default "rows"
        Whether t is rows of numbers, shape (n, columns), or classes from 0 to K - 1, shape (n,).
    target_columns : int, optional
        Number of columns of a target of rows; K by default.

    Raises
    ------
    TypeError, ValueError
        If a function cannot be called, or a setting is of a wrong kind.

    Notes
    -----
    The functions do not see weights: sample weights, and the division by their sum, are applied to their results. A row
    of weight 0 does not contribute to the loss, whatever they return for it. Weights may be below 0, such as the
    advantages of a policy gradient: the loss is ``sum(w * value) / sum(|w|)``. They get read-only arrays of the net's
    dtype, in scaled units if the net has an `output_scaler`. These are valid only during the call. The functions may be
    called for any number of rows. An exception in a function ends `fit` and leaves the net as it was after the last
    complete step. NumPy's floating-point warnings are off.

    `fastnn.check_gradients` checks whether `gradient` is the derivative of `value`. To be pickled, the functions have
    to be importable by name.

    Examples
    --------
    The negative log-likelihood of a normal distribution, whose mean and logarithm of variance are two outputs:

    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> def value(z, t):
    ...     return (z[:, 1] + (t[:, 0] - z[:, 0]) ** 2 * np.exp(-z[:, 1])) / 2
    >>> def gradient(z, t):
    ...     d, scale = z[:, 0] - t[:, 0], np.exp(-z[:, 1])
    ...     return np.stack([d * scale, (1 - d * d * scale) / 2], axis=1)
    >>> loss = nn.CustomLoss(value, gradient, target_columns=1)
    >>> net = nn.Sequential(nn.Dense(2, 2), seed=0)
    >>> fastnn.check_gradients(net, [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]], loss=loss).ok
    True
    """

    value: _Function
    gradient: _Function
    target: str = "rows"
    target_columns: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        v.function("value", self.value)
        v.function("gradient", self.gradient)
        v.choice("target", self.target, ("rows", "labels"))
        if self.target_columns is not None:
            if self.target == "labels":
                v.refuse(ValueError, "target_columns", "be None with target='labels'", self.target_columns)
            v.integer("target_columns", self.target_columns, 1)

    @property
    def spec(self) -> _losses.LossSpec:
        """The targets that the loss takes."""
        kinds = {self.target: "custom"}
        return _losses.LossSpec(
            "CustomLoss", "Custom loss", kinds, "value(z, t)", "gradient(z, t)", signed=True, negative_weights=True
        )

    def bind(self, k: int, target: str) -> kernels.LossCall:
        """Return the call of the loss in a program."""
        return kernels.LossCall("custom", target, self.target_columns or k, function=self._run)

    def __call__(
        self,
        outputs: npt.ArrayLike,
        target: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        grad: Array | None = None,
    ) -> float:
        """Compute the loss, and its gradient into `grad`."""
        (z,) = v.floats(outputs=outputs)
        v.shape("outputs", z, ("rows", "columns"))
        v.at_least("outputs", z, 1, 1, "column")
        call = self.bind(z.shape[1], self.target)
        t, weight = kernels.check_batch(
            "outputs", z, v.numeric("target", target), call, sample_weight, grad, negative_weights=True
        )
        return self._run(z, grad, t, weight)

    def _run(self, z: Array, grad: Array | None, t: Array, weight: Array | None) -> float:
        """Average the functions' results over the rows."""
        losses = v.numeric("the result of value", call_quietly(self.value, z, t))
        v.shape("the result of value", losses, (len(z),))
        weight = np.ones(len(z)) if weight is None else weight
        counted, total = weight != 0, abs(weight).sum()
        share = np.divide(weight, total, out=np.zeros(len(weight)), where=counted)
        with np.errstate(all="ignore"):
            if grad is not None:
                slopes = v.numeric("the result of gradient", call_quietly(self.gradient, z, t))
                v.shape("the result of gradient", slopes, z.shape)
                grad[...] = np.where(counted[:, np.newaxis], share[:, np.newaxis] * slopes, 0)
            return float(share[counted] @ losses[counted].astype(np.float64))


LOSSES: Mapping[str, type[KernelLoss]] = {
    name: getattr(loss_classes, row.torch) for name, row in _losses.LOSSES.items()
}
"""The losses by the names that a trainer takes, which are the kernels' names."""


def with_names_of_losses(docstring: str | None) -> str:
    """Return a docstring with the losses' names in place of ``<names of losses>``, and those that take logits."""
    for place, names in (
        ("<names of losses>", list(LOSSES)),
        ("<names of losses of logits>", [name for name, row in _losses.LOSSES.items() if row.outputs == "logits"]),
    ):
        quoted = [f'"{name}"' for name in names]
        text = textwrap.fill(f"{', '.join(quoted[:-1])} and {quoted[-1]}", 110).replace("\n", "\n" + 8 * " ")
        docstring = (docstring or "").replace(place, text)
    return docstring or ""


def as_loss(loss: object, k: int, name: str = "loss") -> Loss:
    """Return the loss, given as an object or by name, after checking its settings for `k` outputs."""
    if isinstance(loss, str):
        loss = LOSSES[v.named(name, loss, _losses.NAMES)]()
    is_function = callable(loss) and not isinstance(loss, type | Settings)
    fix = "write nn.CustomLoss(value, gradient)" if is_function else ""
    if isinstance(loss, list | tuple | dict):
        fix = "write nn.HeadsLoss([(loss, width), ...]) for a net with several heads"
    checked: Loss = v.instance(name, loss, Loss, f"be one of {', '.join(LOSSES)}, or a loss of fastnn.nn", fix)
    for target in checked.spec.kinds:
        checked.bind(k, target)
    return checked
