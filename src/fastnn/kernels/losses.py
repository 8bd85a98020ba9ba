"""Softmax, and the losses from logits with their gradients.

A loss is a weighted mean over the rows: ``sum(w_i * l_i) / sum(w_i)``. A row of weight 0 is no part of it, whatever it
holds; a batch of such rows has loss 0. Its value is summed in float64, and `grad` is rounded once to its dtype.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._choose import inner, inner_and_ready, threads

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "hinge",
    "huber",
    "log_cosh",
    "log_loss",
    "log_softmax",
    "log_softmax_backward",
    "mean_absolute_error",
    "mean_squared_error",
    "multi_margin",
    "poisson",
    "quantile",
    "softmax",
    "softmax_backward",
    "squared_hinge",
]

# ---- the table of losses ----

# Settings become the numbers that a row's kernel computes with. The functions are told the number of outputs, or None
# where it is not known yet, and check what they are given.


def _none(_k: int | None) -> tuple[float, ...]:
    return ()


def _per_output(name: str, value: npt.ArrayLike, k: int | None) -> tuple[float, ...]:
    """Return a weight for each output."""
    array = check.numeric(name, value)
    check.shape(name, array, ("outputs" if k is None else k,))
    weights = check.weights(name, array, len(array))
    assert weights is not None
    return tuple(weights.tolist())


def _cross_entropy(k: int | None, weight: npt.ArrayLike | None, label_smoothing: float) -> tuple[float, ...]:
    smoothing = check.real("label_smoothing", label_smoothing, 0, 1)
    if weight is None:
        return () if smoothing == 0 else (smoothing, *[1.0] * (k or 0))
    return smoothing, *_per_output("weight", weight, k)


def _binary_cross_entropy(k: int | None, pos_weight: npt.ArrayLike | None) -> tuple[float, ...]:
    return () if pos_weight is None else _per_output("pos_weight", pos_weight, k)


def _huber(_k: int | None, delta: float) -> tuple[float, ...]:
    return (check.real("delta", delta, 0, excluded=True),)


def _poisson(_k: int | None, log_input: bool, full: bool, deviance: bool, eps: float) -> tuple[float, ...]:
    if full and deviance:
        check.refuse(ValueError, "deviance", "be False where full is True", deviance)
    return float(bool(log_input)), 1.0 if full else 2.0 * bool(deviance), check.real("eps", eps, 0, excluded=True)


def _quantile(k: int | None, quantiles: npt.ArrayLike) -> tuple[float, ...]:
    levels = np.atleast_1d(check.numeric("quantiles", quantiles)).astype(np.float64)
    check.shape("quantiles", levels, ("quantiles",))
    check.at_least("quantiles", levels, 0, 1, "quantile")
    for level in levels.tolist():
        check.real("quantiles", level, 0, 1, excluded=True)
    if k is not None and k % len(levels):
        check.refuse(ValueError, "quantiles", f"be a number of them that divides the {k} outputs", len(levels))
    return float(len(levels)), *levels.tolist()


def _multi_margin(_k: int | None, p: int, margin: float) -> tuple[float, ...]:
    return float(check.integer("p", p, 1, 2)), check.real("margin", margin, 0)


# How far from 1 the sum of a row of probabilities may be: as float16 keeps them, or three of them with three decimals.
SUM_TOLERANCE = 2e-3


@dataclass(frozen=True)
class LossSpec:
    """A loss: its kernels by what their target is, its settings, and which targets make sense.

    Attributes
    ----------
    kinds : mapping of str to str
        The name in csrc for targets that are "labels" (a class for each row) or "rows" (of numbers).
    parameters : callable
        Checks the settings, given by name after the number of outputs, and returns what the kernel computes with.
    averaged : bool
        Whether the mean is over the columns as well, rather than over the rows alone.
    low, high : float
        Between these are the numbers of a target.
    among : tuple of float
        The numbers that a target may hold, or () if others too.
    shares : bool
        Whether the numbers of a row are probabilities, with sum 1.
    signed : bool
        Whether a row's loss may be below 0.
    exclusive : tuple of str
        The kinds of target whose classes exclude each other, so that there have to be two.
    """

    kinds: Mapping[str, str]
    parameters: Callable[..., tuple[float, ...]] = _none
    averaged: bool = True
    low: float = -np.inf
    high: float = np.inf
    among: tuple[float, ...] = ()
    shares: bool = False
    signed: bool = False
    exclusive: tuple[str, ...] = ()

    def kinds_of(self, k: int) -> Collection[str]:
        """Return the kinds of target that say something about `k` outputs; refuse a number that has none."""
        if k > 1:
            return self.kinds
        kinds = [kind for kind in self.kinds if kind not in self.exclusive]
        if not kinds:
            what = "at least 2 for a loss of classes, such as cross entropy; with one output write "
            what += 'loss="binary_cross_entropy" for yes or no, loss="mean_squared_error" for real targets'
            check.refuse(ValueError, "the number of outputs", f"be {what}", k)
        return kinds

    def check_rows(self, name: str, target: Array, *, finite: bool = True) -> None:
        """Refuse rows of a target that the loss makes no sense of, or that are not finite; `finite` looks at all."""
        if finite or self.low > -np.inf or self.high < np.inf or self.among or self.shares:
            check.in_range(name, target, self.low, self.high, self.among)
        if not self.shares:
            return
        step = max(1, check.CHUNK // target.shape[1])
        for start in range(0, len(target), step):
            rows = target[start : start + step]
            sums, least = rows.sum(axis=1, dtype=np.float64), rows.min(axis=1)
            bad = (least < 0) | (np.abs(sums - 1) > SUM_TOLERANCE)
            if bad.any():
                row = int(bad.argmax())
                what = f"rows of probabilities, none below 0 and with sum 1 (to within {SUM_TOLERANCE:g}); for real "
                what += 'targets write loss="mean_squared_error", for several yes a row loss="binary_cross_entropy"'
                came = f"{least[row]:g}" if least[row] < 0 else f"a sum of {sums[row]:g}"
                check.refuse(ValueError, name, f"be {what}", f"{came} in row {start + row}")


LOSSES: Mapping[str, LossSpec] = {
    "cross_entropy": LossSpec(
        {"labels": "cross_entropy_labels", "rows": "cross_entropy"},
        _cross_entropy,
        averaged=False,
        shares=True,
        exclusive=("labels", "rows"),
    ),
    "binary_cross_entropy": LossSpec({"rows": "binary_cross_entropy"}, _binary_cross_entropy, low=0, high=1),
    "log_loss": LossSpec(
        {"labels": "log_loss_labels", "rows": "log_loss"}, averaged=False, among=(0, 1), exclusive=("labels",)
    ),
    "mean_squared_error": LossSpec({"rows": "mean_squared_error"}),
    "mean_absolute_error": LossSpec({"rows": "mean_absolute_error"}),
    "huber": LossSpec({"rows": "huber"}, _huber),
    "log_cosh": LossSpec({"rows": "log_cosh"}),
    "poisson": LossSpec({"rows": "poisson"}, _poisson, low=0, signed=True),
    "quantile": LossSpec({"rows": "quantile"}, _quantile),
    "hinge": LossSpec({"rows": "hinge"}, among=(-1, 1)),
    "squared_hinge": LossSpec({"rows": "squared_hinge"}, among=(-1, 1)),
    "multi_margin": LossSpec({"labels": "multi_margin"}, _multi_margin, exclusive=("labels",)),
}


class LossCall(NamedTuple):
    """A loss bound to a number of outputs: what a kernel and a program's op are told.

    Attributes
    ----------
    kind : str
        The kernel's name.
    target : {"labels", "rows"}
    target_width : int
        Numbers in a row of the target.
    value, slope : float
        What the weighted mean of the rows' sums is multiplied by, and what its gradient is.
    parameters : tuple of float
        What the kernel computes with.
    function : callable, optional
        What is called in place of a kernel, see "custom_loss" of `fastnn.engine.program.OPS`.
    """

    kind: str
    target: str
    target_width: int
    value: float = 1.0
    slope: float = 1.0
    parameters: tuple[float, ...] = ()
    function: Callable[..., float] | None = None


def bind_loss(
    name: str,
    k: int,
    target: str,
    *,
    columns: str = "mean",
    factor: float = 1.0,
    gradient_columns: str | None = None,
    **settings: Any,
) -> LossCall:
    """Return what computes the loss of `k` outputs by targets that are "labels" or "rows".

    `columns` is what is done to a row's columns, "mean" or "sum", and `gradient_columns` the same for the gradient, if
    it differs; both are multiplied by `factor`.
    """
    spec = LOSSES[name]
    parameters = spec.parameters(k, **settings)
    value = factor / k if spec.averaged and columns == "mean" else factor
    slope = value
    if gradient_columns is not None:
        slope = factor / k if spec.averaged and gradient_columns == "mean" else factor
    if target == "labels" and name == "cross_entropy" and parameters and parameters[0] == 0:
        parameters = ()  # the rows' weights have those of the classes
    return LossCall(
        spec.kinds[target],
        target,
        k // int(parameters[0]) if name == "quantile" else k,
        value,
        slope,
        parameters,
    )


def class_weighted(
    labels: Array, weight: npt.ArrayLike | None, label_smoothing: float, sample_weight: Array | None
) -> Array | None:
    """Return the rows' weights times those of their classes, by whose sum the mean is divided."""
    if weight is None:
        return sample_weight
    by_class = np.asarray(weight, np.float64)
    if label_smoothing > 0 and not by_class.all():
        check.refuse(ValueError, "weight", "be class weights above 0, as labels are smoothed", 0.0)
    if sample_weight is None:
        return by_class[labels]
    with np.errstate(over="ignore"):  # which is for the trainer to look at
        return by_class[labels] * sample_weight


def softmax(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``exp(x) / sum(exp(x))`` of each row, without overflow.

    A row that holds NaN or +inf, or -inf alone, becomes NaN.

    Parameters
    ----------
    x : array_like, shape (B, K)
        One example a row.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype, apart from the input.

    Returns
    -------
    ndarray, shape (B, K)
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, or `out` overlaps `x`.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.softmax([[0.0, 0.0]])
    array([[0.5, 0.5]])
    """
    return _of_rows("softmax", x, out)


def softmax_backward(dy: npt.ArrayLike, y: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``y * (dy - sum(dy * y))`` of each row: the gradient by the input of `softmax`, told from its output.

    Parameters
    ----------
    dy : array_like, shape (B, K)
        Gradient by the output.
    y : array_like, shape (B, K)
        The output of `softmax`.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype; `dy` itself, or apart from the inputs.

    Returns
    -------
    ndarray, shape (B, K)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.softmax_backward([[1.0, 0.0]], [[0.5, 0.5]])
    array([[ 0.25, -0.25]])
    """
    return _of_rows_backward("softmax_backward", dy, y, out)


def log_softmax(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``x - log(sum(exp(x)))`` of each row, without overflow: the logarithm of `softmax`.

    A row that holds NaN or +inf, or -inf alone, becomes NaN.

    Parameters
    ----------
    x : array_like, shape (B, K)
        One example a row.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype, apart from the input.

    Returns
    -------
    ndarray, shape (B, K)
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.log_softmax([[0.0, 0.0]]).round(3)
    array([[-0.693, -0.693]])
    """
    return _of_rows("log_softmax", x, out)


def log_softmax_backward(dy: npt.ArrayLike, y: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``dy - exp(y) * sum(dy)`` of each row: the gradient by the input of `log_softmax`, told from its output.

    Parameters
    ----------
    dy : array_like, shape (B, K)
        Gradient by the output.
    y : array_like, shape (B, K)
        The output of `log_softmax`, nowhere above 0.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype; `dy` itself, or apart from the inputs.

    Returns
    -------
    ndarray, shape (B, K)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `softmax` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.log_softmax_backward([[1.0, 0.0]], np.log([[0.5, 0.5]]))
    array([[ 0.5, -0.5]])
    """
    return _of_rows_backward("log_softmax_backward", dy, y, out)


def _of_rows(name: str, x: npt.ArrayLike, out: Array | None) -> Array:
    run, ready = inner_and_ready("losses")
    if out is None or not ready((out,), (x,)) or out.ndim != 2:
        (x,) = check.floats(x=x)
        check.shape("x", x, ("rows", "classes"))
        out = check.output(out, x.shape, x.dtype, {"x": x})
    getattr(run, name)(x, out, threads())
    return out


def _of_rows_backward(name: str, dy: npt.ArrayLike, y: npt.ArrayLike, out: Array | None) -> Array:
    dy, y = check.floats(dy=dy, y=y)
    check.shape("dy", dy, ("rows", "classes"))
    check.shape("y", y, dy.shape)
    out = check.output(out, dy.shape, dy.dtype, {"y": y}, {"dy": dy})
    getattr(inner("losses"), name)(dy, y, out, threads())
    return out


def check_batch(
    argument: str, z: Array, target: Array, call: LossCall, sample_weight: npt.ArrayLike | None, grad: Array | None
) -> tuple[Array, Array | None]:
    """Check what belongs to the outputs `z`, which messages call `argument`; return target and weights."""
    inputs = {argument: z}
    if call.target == "labels":
        check.shape("target", target, z.shape[:1])
        target = check.indices("target", target, z.shape[1], "rows")
    else:
        check.shape("target", target, (z.shape[0], call.target_width))
        target = inputs["target"] = check.contiguous("target", target, z.dtype)
    check.at_least(argument, z, 0, 1, "row")
    weight = check.weights("sample_weight", sample_weight, z.shape[0])
    if grad is not None:
        others = inputs if weight is None else {**inputs, "sample_weight": weight}
        check.output(grad, z.shape, z.dtype, others, name="grad")
    return target, weight


def run_loss(
    name: str,
    argument: str,
    outputs: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
    strict: bool = False,
    **settings: Any,
) -> float:
    """Check the arguments of a loss and call its kernel; `argument` is what messages call the outputs.

    Targets that make no sense, but can be computed with, are refused where `strict`. `settings` are those of
    `bind_loss`.
    """
    kinds: Collection[str] = LOSSES[name].kinds
    (z,) = check.floats(**{argument: outputs})
    t = check.numeric("target", target)
    check.shape(argument, z, ("rows", "classes" if "labels" in kinds else "columns"))
    check.at_least(argument, z, 1, 1, "column")
    if strict:
        kinds = LOSSES[name].kinds_of(z.shape[1])
    labels = "labels" in kinds and (t.ndim == 1 or "rows" not in kinds)
    call = bind_loss(name, z.shape[1], "labels" if labels else "rows", **settings)
    t, weight = check_batch(argument, z, t, call, sample_weight, grad)
    if strict and not labels:
        LOSSES[name].check_rows("target", t, finite=False)
    if labels and name == "cross_entropy":
        weight = class_weighted(t, settings["weight"], settings["label_smoothing"], weight)
    parameters = np.array(call.parameters)
    loss: float = inner("losses").loss(call.kind, z, t, weight, parameters, call.value, call.slope, grad)
    return loss


def cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``-sum(u * log(softmax(z)))`` over the rows, ``u = weight * ((1 - s) * t + s / K)``.

    s is the label smoothing; without it and `weight`, u is the target t. The gradient of a row is
    ``w / sum(w) * (softmax(z) * sum(u) - u)``. This is PyTorch's `cross_entropy`, and scikit-learn's `log_loss` of the
    softmax: with classes as the target the mean is by the rows' weights times those of their classes, with rows of
    probabilities by the rows' weights alone.

    A logit of -inf is a class that cannot be, a single +inf in a row the only one that can; two of them give NaN.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Unnormalised log-probabilities z.
    target : array_like, shape (B,) of integers or shape (B, K)
        Classes from 0 to K - 1, or a row of probabilities t for each row, taken in the logits' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    weight : array_like, shape (K,), optional
        Weights of the classes, finite and not negative.
    label_smoothing : float, default 0.0
        The share s of the target that is spread evenly over the classes, from 0 to less than 1.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the logits: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, classes are no integers, or `grad` has another dtype.
    ValueError
        If shapes do not match, there is no row, a class, a weight or the smoothing is out of range, a class weight is 0
        while labels are smoothed, or `grad` overlaps an input.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.cross_entropy([[0.0, 0.0]], [1]) == kernels.cross_entropy([[0.0, 0.0]], [[0.5, 0.5]])
    True
    >>> round(kernels.cross_entropy([[2.0, 0.0]], [0], label_smoothing=0.1), 6)
    0.226928
    """
    return run_loss(
        "cross_entropy",
        "logits",
        logits,
        target,
        sample_weight,
        grad=grad,
        weight=weight,
        label_smoothing=label_smoothing,
    )


def binary_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    pos_weight: npt.ArrayLike | None = None,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``max(z, 0) - z * t + log1p(exp(-|z|))`` over the rows and columns.

    The gradient of a row is ``w / sum(w) / K * (sigmoid(z) - t)``. With `pos_weight` p the terms are
    ``p * t * log1p(exp(-z)) + (1 - t) * log1p(exp(z))``, computed without overflow. This is PyTorch's
    `binary_cross_entropy_with_logits`, where all sample weights are equal. At a logit of
    +-inf the loss is 0 for the target that this stands for, else infinite.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Logits z, one column for each yes-or-no question.
    target : array_like, shape (B, K)
        Probabilities t of a yes, taken in the logits' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    pos_weight : array_like, shape (K,), optional
        What a yes counts in each column, finite and not negative.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the logits: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> round(kernels.binary_cross_entropy([[0.0]], [[1.0]]), 6)
    0.693147
    >>> round(kernels.binary_cross_entropy([[0.0]], [[1.0]], pos_weight=[3.0]), 6)
    2.079442
    """
    return run_loss("binary_cross_entropy", "logits", logits, target, sample_weight, grad=grad, pos_weight=pos_weight)


def log_loss(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute scikit-learn's log loss of classes, or of yes or no in each column, as its perceptrons report it.

    For classes it is `cross_entropy`, for columns `binary_cross_entropy` summed over them instead of averaged, but each
    probability is held to [eps, 1 - eps] of the dtype. The gradient is that of the probabilities as they are:
    ``w / sum(w) * (p - t)``, p the softmax of a row, or the sigmoid of each entry.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Unnormalised log-probabilities, or a logit for each column.
    target : array_like, shape (B,) of integers or shape (B, K)
        Classes from 0 to K - 1, or 0 and 1 for each column, taken in the logits' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the logits: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> round(kernels.log_loss([[0.0, 100.0]], [0]), 6)
    36.043653
    >>> round(kernels.log_loss([[0.0, 100.0]], [[1, 1]]), 6)
    0.693147
    """
    return run_loss("log_loss", "logits", logits, target, sample_weight, grad=grad)


def mean_squared_error(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``(z - t)**2`` over the rows and columns, without a factor of 1/2.

    The gradient of a row is ``w / sum(w) / K * 2 * (z - t)``: PyTorch's `mse_loss`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Predictions z.
    target : array_like, shape (B, K)
        Targets t, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `grad` has another dtype.
    ValueError
        If shapes do not match, there is no row or column, a weight or a setting is out of range, or `grad` overlaps an
        input.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.mean_squared_error([[1.0], [5.0]], [[1.0], [2.0]])
    4.5
    """
    return run_loss("mean_squared_error", "prediction", prediction, target, sample_weight, grad=grad)


def mean_absolute_error(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``|z - t|`` over the rows and columns.

    The gradient of a row is ``w / sum(w) / K * sign(z - t)``, 0 where z = t: PyTorch's `l1_loss`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Predictions z.
    target : array_like, shape (B, K)
        Targets t, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.mean_absolute_error([[1.0], [5.0]], [[1.0], [2.0]])
    1.5
    """
    return run_loss("mean_absolute_error", "prediction", prediction, target, sample_weight, grad=grad)


def huber(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    delta: float = 1.0,
    grad: Array | None = None,
) -> float:
    """Compute the mean over the rows and columns of a loss that is square near the target and linear far from it.

    With d = z - t it is ``d**2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``; the gradient of a row
    is ``w / sum(w) / K * clip(d, -delta, delta)``. PyTorch's `huber_loss`; Huber, 1964, Robust estimation of a
    location parameter.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Predictions z.
    target : array_like, shape (B, K)
        Targets t, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    delta : float, default 1.0
        Where the parabola becomes a line, above 0.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.huber([[0.5], [5.0]], [[0.0], [2.0]])
    1.3125
    """
    return run_loss("huber", "prediction", prediction, target, sample_weight, grad=grad, delta=delta)


def log_cosh(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``log(cosh(z - t))`` over the rows and columns.

    It is about ``d**2 / 2`` near the target d = z - t = 0 and ``|d| - log(2)`` far from it, and is computed as
    ``|d| + log1p(exp(-2 * |d|)) - log(2)`` there, so that nothing overflows. The gradient of a row is
    ``w / sum(w) / K * tanh(z - t)``. Keras' `LogCosh`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Predictions z.
    target : array_like, shape (B, K)
        Targets t, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> round(kernels.log_cosh([[1.0], [1000.0]], [[0.0], [0.0]]), 6)
    499.870317
    """
    return run_loss("log_cosh", "prediction", prediction, target, sample_weight, grad=grad)


def poisson(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    log_input: bool = True,
    full: bool = False,
    deviance: bool = False,
    eps: float = 1e-8,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``exp(z) - t * z`` over the rows and columns: minus the logarithm of t's Poisson likelihood.

    The gradient of a row is ``w / sum(w) / K * (exp(z) - t)``. Without `log_input` it is ``z - t * log(z + eps)``.
    This is PyTorch's `poisson_nll_loss`; with `deviance` it is scikit-learn's half Poisson deviance. Where exp(z)
    overflows in float64 the loss is infinite.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Logarithms of the rates, or the rates, z.
    target : array_like, shape (B, K)
        Counts t, not negative, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    log_input : bool, default True
        Whether z is the logarithm of the rate.
    full : bool, default False
        Whether to add ``t * log(t) - t + log(2 * pi * t) / 2`` where t > 1, Stirling's approximation of log(t!).
    deviance : bool, default False
        Whether to add ``t * log(t) - t``, so that the loss is 0 where the rate is t. Not both.
    eps : float, default 1e-8
        Keeps the logarithm finite without `log_input`; above 0.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.poisson([[0.0], [0.0]], [[1.0], [3.0]])
    1.0
    """
    return run_loss(
        "poisson",
        "prediction",
        prediction,
        target,
        sample_weight,
        grad=grad,
        log_input=log_input,
        full=full,
        deviance=deviance,
        eps=eps,
    )


def quantile(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    quantiles: npt.ArrayLike = 0.5,
    grad: Array | None = None,
) -> float:
    """Compute the mean of the pinball loss over the rows and columns, for one quantile or several at once.

    Quantile q of t is where ``max(q * (t - z), (q - 1) * (t - z))`` is least on average. Column ``j * Q + k`` of the
    predictions is quantile k of target j: ``prediction.reshape(B, T, Q)``. The gradient of a row is
    ``w / sum(w) / (T * Q)`` times -q below the target, 1 - q above it and 0 at it. scikit-learn's
    `mean_pinball_loss`; Koenker and Bassett, 1978, Regression quantiles.

    Parameters
    ----------
    prediction : array_like, shape (B, T * Q)
        Predictions z.
    target : array_like, shape (B, T)
        Targets t, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    quantiles : float or array_like, shape (Q,), default 0.5
        Above 0 and below 1.
    grad : ndarray, shape (B, T * Q), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.quantile([[1.0, 3.0]], [[2.0]], quantiles=[0.25, 0.75])
    0.25
    """
    return run_loss("quantile", "prediction", prediction, target, sample_weight, grad=grad, quantiles=quantiles)


def hinge(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``max(0, 1 - t * z)`` over the rows and columns.

    The gradient of a row is ``w / sum(w) / K * -t`` where ``t * z < 1``, else 0. Keras' `Hinge`, scikit-learn's
    `hinge_loss`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Scores z.
    target : array_like, shape (B, K)
        Targets t, -1 or 1, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.hinge([[0.5], [3.0]], [[1.0], [1.0]])
    0.25
    """
    return run_loss("hinge", "prediction", prediction, target, sample_weight, grad=grad)


def squared_hinge(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``max(0, 1 - t * z)**2`` over the rows and columns.

    The gradient of a row is ``w / sum(w) / K * -2 * t * max(0, 1 - t * z)``. Keras' `SquaredHinge`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Scores z.
    target : array_like, shape (B, K)
        Targets t, -1 or 1, taken in the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.squared_hinge([[0.5], [3.0]], [[1.0], [1.0]])
    0.125
    """
    return run_loss("squared_hinge", "prediction", prediction, target, sample_weight, grad=grad)


def multi_margin(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    p: int = 1,
    margin: float = 1.0,
    grad: Array | None = None,
) -> float:
    """Compute the mean over the rows of ``sum(max(0, margin - z[y] + z[i])**p) / K``, without the term of i = y.

    The gradient of a row is ``w / sum(w) / K`` times ``p * max(0, margin - z[y] + z[i])**(p - 1)`` (for p = 1 where the
    margin is above 0) by z[i], and minus the sum of these by z[y]. PyTorch's `multi_margin_loss`; Weston and Watkins,
    1999, Support vector machines for multi-class pattern recognition.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Scores z of the classes.
    target : array_like, shape (B,) of integers
        Classes y from 0 to K - 1.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    p : {1, 2}, default 1
        The power.
    margin : float, default 1.0
        Not negative.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, apart from the inputs.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        As `mean_squared_error` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.multi_margin([[0.0, 2.0, 1.5]], [1])
    0.16666666666666666
    """
    return run_loss("multi_margin", "prediction", prediction, target, sample_weight, grad=grad, p=p, margin=margin)
