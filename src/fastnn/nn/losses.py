"""Losses: their settings, under PyTorch's names. The arithmetic is in `fastnn.kernels`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._settings import Settings, settings
from fastnn._typing import Array
from fastnn.engine import call_quietly
from fastnn.kernels import losses as kernels

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "CustomLoss",
    "HingeLoss",
    "HuberLoss",
    "L1Loss",
    "LogCoshLoss",
    "LogLoss",
    "Loss",
    "MSELoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "QuantileLoss",
    "SmoothL1Loss",
    "SquaredHingeLoss",
]


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

    _how_to_change = "set trainer.loss = {call}"

    @property
    @abstractmethod
    def spec(self) -> kernels.LossSpec:
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

    def row_weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        """Return the weights of the mean over the rows: the sample weights, times class weights if there are any."""
        return sample_weight


@settings()
class _KernelLoss(Loss):
    """A loss computed by a kernel; the fields are the settings of `fastnn.kernels.losses.bind_loss`."""

    name: ClassVar[str]
    outputs: ClassVar[str] = "prediction"  # the name of the kernel's argument

    def __post_init__(self) -> None:
        """Check the settings."""
        name, settings = self.kernel()
        common = {"columns", "factor", "gradient_columns"}
        kernels.LOSSES[name].parameters(None, **{k: a for k, a in settings.items() if k not in common})

    def kernel(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the kernel and its settings."""
        return self.name, {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def spec(self) -> kernels.LossSpec:
        """The targets that the loss takes, and its kernels."""
        return kernels.LOSSES[self.name]

    def bind(self, k: int, target: str) -> kernels.LossCall:
        """Return the call of the loss in a program."""
        name, settings = self.kernel()
        return kernels.bind_loss(name, k, target, **settings)

    def __call__(
        self,
        outputs: npt.ArrayLike,
        target: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        grad: Array | None = None,
    ) -> float:
        """Compute the loss, and its gradient into `grad`."""
        name, settings = self.kernel()
        return kernels.run_loss(name, self.outputs, outputs, target, sample_weight, grad=grad, strict=True, **settings)

    def _freeze(self, *names: str) -> None:
        """Convert settings that are arrays to tuples, so that losses can be compared and cannot change."""
        for name in names:
            value = getattr(self, name)
            if value is not None:
                value = v.numeric(name, value).tolist()
                object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)


@settings(kw_only=True)
class _ColumnsLoss(_KernelLoss):
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


@settings()
class CrossEntropyLoss(_KernelLoss):
    """``-sum(u * log(softmax(z)))`` of a row with target t and ``u = weight * ((1 - s) * t + s / K)``.

    The target is a class for each row, or a row of probabilities, none below 0 and with sum 1 to within 0.002. The net
    has at least two outputs: with a single one the loss would always be 0. s is the label smoothing. As in PyTorch's
    `CrossEntropyLoss`, the mean for classes is weighted by the sample weights times the weights of the classes, the
    mean for rows of probabilities by the sample weights alone. Label smoothing: Szegedy et al., 2016, Rethinking the
    Inception architecture for computer vision.

    Parameters
    ----------
    weight : array_like, shape (K,), optional
        Weights of the classes, finite and not negative; with label smoothing, all above 0.
    label_smoothing : float, default 0.0
        From 0 to less than 1.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range. The number of class weights is compared with that of the
        outputs when the loss is used.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.CrossEntropyLoss(weight=[1.0, 3.0], label_smoothing=0.1)
    CrossEntropyLoss(weight=(1.0, 3.0), label_smoothing=0.1)
    >>> round(nn.CrossEntropyLoss()([[0.0, 0.0]], [1]), 6)
    0.693147
    """

    name = "cross_entropy"
    outputs = "logits"

    weight: npt.ArrayLike | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._freeze("weight")

    def row_weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        """Return the sample weights times those of the classes."""
        if y.ndim > 1:
            return sample_weight
        return kernels.class_weighted(y, self.weight, self.label_smoothing, sample_weight)


@settings()
class BCEWithLogitsLoss(_ColumnsLoss):
    """``p * t * log1p(exp(-z)) + (1 - t) * log1p(exp(z))``: the binary loss of each column, for binary or multilabel y.

    t is the probability of the positive class and p the `pos_weight`. PyTorch's `BCEWithLogitsLoss`; with
    ``columns="sum"`` the log loss of scikit-learn's perceptrons, which is summed over the columns.

    Parameters
    ----------
    pos_weight : array_like, shape (K,), optional
        Weight of the positive class in each column, finite and not negative; 1 by default.
    columns : {"mean", "sum"}, default "mean"
        How the terms of a row are reduced.
    factor : float, default 1.0
        Multiplies the loss and its gradient; above 0.
    gradient_columns : {"mean", "sum"}, optional
        The same for the gradient only; `columns` by default.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> round(nn.BCEWithLogitsLoss(columns="sum")([[0.0, 0.0]], [[1.0, 0.0]]), 6)
    1.386294
    """

    name = "binary_cross_entropy"
    outputs = "logits"

    pos_weight: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._freeze("pos_weight")


@settings()
class LogLoss(_KernelLoss):
    """scikit-learn's log loss, as its perceptrons report it; see `fastnn.kernels.log_loss`.

    For classes this is `CrossEntropyLoss`, for rows of 0 and 1 ``BCEWithLogitsLoss(columns="sum")``, with the same
    gradients. The value differs: probabilities are clipped to [eps, 1 - eps], with the eps of the net's dtype.

    Examples
    --------
    >>> from fastnn import nn
    >>> round(nn.LogLoss()([[0.0, 100.0]], [0]), 6)
    36.043653
    """

    name = "log_loss"
    outputs = "logits"


@settings()
class MSELoss(_ColumnsLoss):
    """``(z - t)**2``, as PyTorch's `MSELoss` without a factor of 1/2.

    scikit-learn's perceptrons report half of the mean over rows and columns, but use a gradient that is not divided by
    the number of columns, ``(z - t) / sum(w)``: that is ``MSELoss(factor=0.5, gradient_columns="sum")``.

    Parameters
    ----------
    columns : {"mean", "sum"}, default "mean"
        How the terms of a row are reduced.
    factor : float, default 1.0
        Multiplies the loss and its gradient; above 0.
    gradient_columns : {"mean", "sum"}, optional
        The same for the gradient only; `columns` by default.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> grad = np.empty((1, 2))
    >>> nn.MSELoss(factor=0.5, gradient_columns="sum")([[1.0, 2.0]], [[0.0, 0.0]], grad=grad)
    1.25
    >>> grad
    array([[1., 2.]])
    """

    name = "mean_squared_error"


@settings()
class L1Loss(_ColumnsLoss):
    """``|z - t|``, the mean absolute error; its derivative is 0 at z = t. PyTorch's `L1Loss`.

    Parameters
    ----------
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.L1Loss()([[1.0], [5.0]], [[1.0], [2.0]])
    1.5
    """

    name = "mean_absolute_error"


@settings()
class HuberLoss(_ColumnsLoss):
    """``d**2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``, of d = z - t. PyTorch's `HuberLoss`.

    Huber, 1964, Robust estimation of a location parameter.

    Parameters
    ----------
    delta : float, default 1.0
        Where the parabola becomes a line, above 0.
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.HuberLoss(delta=2.0)([[1.0], [5.0]], [[0.0], [0.0]])
    4.25
    """

    name = "huber"

    delta: float = 1.0


@settings()
class SmoothL1Loss(_ColumnsLoss):
    """``d**2 / (2 * beta)`` where ``|d| < beta``, else ``|d| - beta / 2``, of d = z - t: `HuberLoss` over beta.

    With beta = 0 it is `L1Loss`. PyTorch's `SmoothL1Loss`; Girshick, 2015, Fast R-CNN.

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
        settings = super().kernel()[1]
        beta = settings.pop("beta")
        if beta == 0:
            return "mean_absolute_error", settings
        return "huber", settings | {"delta": beta, "factor": self.factor / beta}


@settings()
class LogCoshLoss(_ColumnsLoss):
    """``log(cosh(z - t))``: quadratic near the target, linear far from it, and smooth. Keras's `LogCosh`.

    Parameters
    ----------
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> round(nn.LogCoshLoss()([[1000.0]], [[0.0]]), 6)
    999.306853
    """

    name = "log_cosh"


@settings()
class PoissonNLLLoss(_ColumnsLoss):
    """``exp(z) - t * z`` of the logarithm z of a rate, for counts t. PyTorch's `PoissonNLLLoss`.

    scikit-learn's perceptrons report the half deviance, summed over the columns:
    ``PoissonNLLLoss(deviance=True, columns="sum")``. Where exp(z) overflows in float64 the loss is infinite.

    Parameters
    ----------
    log_input : bool, default True
        Whether z is the logarithm of the rate. If False, z is the rate and the loss ``z - t * log(z + eps)``, which is
        NaN where z is below -eps.
    full : bool, default False
        Whether to add ``t * log(t) - t + log(2 * pi * t) / 2`` where t > 1, Stirling's approximation of log(t!).
    deviance : bool, default False
        Whether to add ``t * log(t) - t``, so that the loss is 0 where the rate is t. Not together with `full`.
    eps : float, default 1e-8
        Keeps the logarithm finite if `log_input` is False; above 0.
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.PoissonNLLLoss(deviance=True)([[0.0]], [[1.0]])
    0.0
    """

    name = "poisson"

    log_input: bool = True
    full: bool = False
    deviance: bool = False
    eps: float = 1e-8


@settings()
class QuantileLoss(_ColumnsLoss):
    """``max(q * (t - z), (q - 1) * (t - z))``, whose mean is least at quantile q of t; for several q at once.

    A net for T targets and Q quantiles has T * Q outputs: column ``j * Q + k`` is quantile k of target j, so
    ``net.predict(X).reshape(n, T, Q)`` separates them; y has T columns. The derivative is 0 at z = t. scikit-learn's
    `mean_pinball_loss`; Koenker and Bassett, 1978, Regression quantiles.

    Parameters
    ----------
    quantiles : float or array_like, shape (Q,), default 0.5
        Above 0 and below 1.
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.QuantileLoss([0.25, 0.75])([[1.0, 3.0]], [[2.0]])
    0.25
    """

    name = "quantile"

    quantiles: npt.ArrayLike = 0.5

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._freeze("quantiles")


@settings()
class HingeLoss(_ColumnsLoss):
    """``max(0, 1 - t * z)`` for targets t of -1 and 1, the loss of support vector machines. Keras's `Hinge`.

    Parameters
    ----------
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.HingeLoss()([[0.5], [3.0]], [[1.0], [1.0]])
    0.25
    """

    name = "hinge"


@settings()
class SquaredHingeLoss(_ColumnsLoss):
    """``max(0, 1 - t * z)**2`` for targets t of -1 and 1. Keras's `SquaredHinge`.

    Parameters
    ----------
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.SquaredHingeLoss()([[0.5], [3.0]], [[1.0], [1.0]])
    0.125
    """

    name = "squared_hinge"


@settings()
class MultiMarginLoss(_ColumnsLoss):
    """``sum(max(0, margin - z[y] + z[i])**p) / K`` over the classes i other than the row's y.

    PyTorch's `MultiMarginLoss`, without class weights; Weston and Watkins, 1999, Support vector machines for
    multi-class pattern recognition.

    Parameters
    ----------
    p : {1, 2}, default 1
        The power.
    margin : float, default 1.0
        Not negative.
    columns, factor, gradient_columns
        As in `MSELoss`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.MultiMarginLoss()([[0.0, 2.0, 1.25]], [1])
    0.08333333333333333
    """

    name = "multi_margin"

    p: int = 1
    margin: float = 1.0


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
    of weight 0 does not contribute to the loss, whatever they return for it. They get read-only arrays of the net's
    dtype, which are valid only during the call, and may be called for any number of rows. An exception in a function
    ends `fit` and leaves the net as it was after the last complete step. NumPy's floating-point warnings are off.

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
    >>> fastnn.check_gradients(net, [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]], loss).ok
    True
    """

    value: Callable[[Array, Array], npt.ArrayLike]
    gradient: Callable[[Array, Array], npt.ArrayLike]
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
    def spec(self) -> kernels.LossSpec:
        """The targets that the loss takes."""
        return kernels.LossSpec({self.target: "custom"}, signed=True)

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
        t, weight = kernels.check_batch("outputs", z, v.numeric("target", target), call, sample_weight, grad)
        return self._run(z, grad, t, weight)

    def _run(self, z: Array, grad: Array | None, t: Array, weight: Array | None) -> float:
        """Average the functions' results over the rows."""
        losses = v.numeric("the result of value", call_quietly(self.value, z, t))
        v.shape("the result of value", losses, (len(z),))
        weight = np.ones(len(z)) if weight is None else weight
        counted, total = weight > 0, weight.sum()
        share = np.divide(weight, total, out=np.zeros(len(weight)), where=counted)
        with np.errstate(all="ignore"):
            if grad is not None:
                slopes = v.numeric("the result of gradient", call_quietly(self.gradient, z, t))
                v.shape("the result of gradient", slopes, z.shape)
                grad[...] = np.where(counted[:, np.newaxis], share[:, np.newaxis] * slopes, 0)
            return float(share[counted] @ losses[counted].astype(np.float64))


_CLASSES: tuple[type[_KernelLoss], ...] = (
    CrossEntropyLoss,
    BCEWithLogitsLoss,
    LogLoss,
    MSELoss,
    L1Loss,
    HuberLoss,
    LogCoshLoss,
    PoissonNLLLoss,
    QuantileLoss,
    HingeLoss,
    SquaredHingeLoss,
    MultiMarginLoss,
)
LOSSES: Mapping[str, type[_KernelLoss]] = {each.name: each for each in _CLASSES}
"""The losses by the names that a trainer takes, which are the kernels' names."""


def as_loss(loss: object, k: int) -> Loss:
    """Return the loss, given as an object or by name, after checking its settings for `k` outputs."""
    if isinstance(loss, str):
        loss = LOSSES[v.choice("loss", loss, LOSSES)]()
    fix = "write nn.CustomLoss(value, gradient)" if callable(loss) and not isinstance(loss, type) else ""
    checked: Loss = v.instance("loss", loss, Loss, f"be one of {', '.join(LOSSES)}, or a loss of fastnn.nn", fix)
    for target in checked.spec.kinds:
        checked.bind(k, target)
    return checked
