"""Base classes of the losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy.typing as npt

from fastnn import _validation as v
from fastnn._losses import LOSSES, BatchRules, ColumnRule, LossSpec
from fastnn._settings import Settings, settings
from fastnn._typing import Array
from fastnn.kernels import losses as kernels

__all__ = ["ColumnsLoss", "KernelLoss", "Loss"]


class Loss(Settings, ABC):
    """Base class of all losses: the weighted mean of the rows' losses, which depend on outputs and target.

    A loss contains only settings, and is called like its kernel: ``loss(outputs, target, sample_weight, grad=grad)``
    returns a float. `fastnn.Trainer` and `fastnn.check_gradients` take a loss, or its name for the default settings.
    All of them refuse targets for which the loss is meaningless, such as rows that are no probabilities for cross
    entropy; the functions of `fastnn.kernels` compute with any numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> loss, grad = nn.HuberLoss(delta=2.0), np.empty((1, 2))
    >>> loss([[1.0, 5.0]], [[0.0, 1.0]], grad=grad)
    3.25
    >>> grad
    array([[0.5, 1. ]])
    """

    _internal = frozenset(
        {"bind", "check_rows", "column_rules", "link", "outputs_by_target", "row_weights", "spec", "takes_mixtures"}
    )
    _how_to_change = "set trainer.loss = {call}"

    @property
    @abstractmethod
    def spec(self) -> LossSpec:
        """The targets that the loss takes, and its kernels."""

    @abstractmethod
    def bind(self, k: int, target: str) -> kernels.LossCall:
        """Return the call of the loss in a program.

        Parameters
        ----------
        k : int
            The number of outputs.
        target : {"labels", "rows"}
            One of ``spec.kinds``.
        """

    @abstractmethod
    def __call__(
        self,
        outputs: npt.ArrayLike,
        target: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        grad: Array | None = None,
    ) -> float:
        """Compute the loss, and its gradient into `grad`.

        Parameters
        ----------
        outputs : array_like, shape (B, K)
            Outputs of the net.
        target : array_like
            Shape (B,) of classes, or shape (B, columns), depending on the loss.
        sample_weight : array_like, shape (B,), optional
            Weights of the rows, finite and not negative; equal by default.
        grad : ndarray, shape (B, K), optional
            Where to write the gradient by the outputs: C-contiguous, of their dtype, not overlapping the inputs.

        Returns
        -------
        float
            The loss.

        Raises
        ------
        TypeError, ValueError
            If an argument is of a wrong kind, shape or range.
        """

    def link(self, target: str) -> str:
        """Return the function of the outputs that predicts the target: "softmax", "sigmoid", "exp", or "" for none."""
        spec = self.spec
        return spec.links.get(target, "") if not spec.link_setting or getattr(self, spec.link_setting) else ""

    @property
    def takes_mixtures(self) -> bool:
        """Whether mixtures of targets are targets, labels taken as rows of 0 and 1."""
        return self.spec.takes_mixtures

    def row_weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        """Return the weights of the mean over the rows: the sample weights, times class weights if there are any."""
        return sample_weight

    def outputs_by_target(self, name: str, k: int) -> list[range]:
        """Return the outputs that predict each column of the target, in its unit, for `k` outputs.

        Messages call the loss `name`.

        Raises
        ------
        ValueError
            If an output is no number in the unit of a target, such as a logit or the logarithm of a rate.
        """
        if not self.spec.can_be_scaled:
            must = "be a loss of outputs in the targets' unit for a net with an output_scaler"
            fix = 'write net.output_scaler = None, or for real targets "mean_squared_error"'
            v.refuse(ValueError, name, must, v.shown(self), fix)
        columns = self.bind(k, "rows").target_width
        if columns != k and not self.spec.grouped:
            must = f"take a target for each of the {k} outputs for a net with an output_scaler"
            v.refuse(ValueError, name, must, f"{columns} in {v.shown(self)}", "write net.output_scaler = None")
        return [range(first, first + k // columns) for first in range(0, k, k // columns)]

    def check_rows(self, name: str, target: Array, *, finite: bool = True) -> None:
        """Refuse rows of targets for which the loss is meaningless; with `finite` also NaN and infinity."""
        self.spec.check_rows(name, target, finite=finite)

    def column_rules(self, k: int) -> tuple[ColumnRule, ...] | None:
        """Return all that `check_rows` checks of targets for `k` outputs; None for a subclass with its own."""
        if type(self).check_rows is not Loss.check_rows:
            return None
        return self.spec.column_rules(self.bind(k, "rows").target_width)


def batch_rules(loss: Loss, target: str, k: int) -> BatchRules | None:
    """Return all that has to be checked of targets and weights, where a step can check it.

    Parameters
    ----------
    loss : Loss
    target : {"labels", "rows"}
    k : int
        The number of outputs.

    Returns
    -------
    BatchRules or None
        None if the loss has checks or weights that a step does not know.
    """
    spec, row_weights = loss.spec, None
    if type(loss).row_weights not in (Loss.row_weights, KernelLoss.row_weights):
        return None
    if target == "labels":
        if isinstance(loss, KernelLoss) and spec.class_weights and loss.kernel()[1]["weight"] is not None:
            row_weights = loss.row_weights
        return BatchRules(negative_weights=spec.negative_weights, row_weights=row_weights)
    columns = loss.column_rules(k)
    if columns is None:
        return None
    # A loss that takes labels takes every vector for labels; another one takes it for a column.
    may_be_vector = "labels" not in spec.kinds_of(k)
    return BatchRules(columns, may_be_vector=may_be_vector, negative_weights=spec.negative_weights)


@settings()
class KernelLoss(Loss, abstract=True):
    """A loss computed by a kernel; its fields are the settings of the registry's row."""

    name: ClassVar[str]

    _internal = frozenset({"columns_settings", "kernel", "name"})

    def __post_init__(self) -> None:
        """Check the settings, and convert arrays to tuples, so that losses can be compared and cannot change."""
        name, given = self.kernel()
        LOSSES[name].parameters(None, given)
        for setting in self.spec.settings:
            if setting.array and (value := getattr(self, setting.name)) is not None:
                value = v.numeric(setting.name, value).tolist()
                object.__setattr__(self, setting.name, tuple(value) if isinstance(value, list) else value)

    def kernel(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the kernel, and the settings for `fastnn.kernels.losses.bind_loss`."""
        return self.name, {each.name: getattr(self, each.name) for each in self.spec.settings} | self.columns_settings()

    def columns_settings(self) -> dict[str, Any]:
        """Return how the columns are reduced."""
        return {}

    @property
    def spec(self) -> LossSpec:
        """The targets that the loss takes, and its kernels."""
        return LOSSES[self.name]

    def bind(self, k: int, target: str) -> kernels.LossCall:
        """Return the call of the loss in a program."""
        name, given = self.kernel()
        return kernels.bind_loss(name, k, target, **given)

    def __call__(
        self,
        outputs: npt.ArrayLike,
        target: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        grad: Array | None = None,
    ) -> float:
        """Compute the loss, and its gradient into `grad`."""
        name, given = self.kernel()
        return kernels.run_loss(name, outputs, target, sample_weight, grad=grad, strict=True, **given)

    def row_weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        """Return the sample weights, times those of the rows' classes if the loss has them."""
        if y.ndim > 1 or not self.spec.class_weights:
            return sample_weight
        _, given = self.kernel()
        return kernels.class_weighted(y, given["weight"], given["label_smoothing"], sample_weight)


@settings(kw_only=True)
class ColumnsLoss(KernelLoss, abstract=True):
    """A loss with a term for each column.

    Parameters
    ----------
    columns : {"mean", "sum"}, default "mean"
        How the terms of a row are reduced. PyTorch's mean is over rows and columns.
    factor : float, default 1.0
        Multiplies the loss and its gradient; above 0.
    gradient_columns : {"mean", "sum"}, optional
        The same for the gradient only, if it is not to be that of the reported value; `columns` by default.
    """

    columns: str = "mean"
    factor: float = 1.0
    gradient_columns: str | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("factor", self.factor, 0, excluded=True)
        super().__post_init__()
        v.choice("columns", self.columns, ("mean", "sum"))
        if self.gradient_columns is not None:
            v.choice("gradient_columns", self.gradient_columns, ("mean", "sum"))

    def columns_settings(self) -> dict[str, Any]:
        """Return how the columns are reduced."""
        return {"columns": self.columns, "factor": self.factor, "gradient_columns": self.gradient_columns}
