"""Softmax, and the losses from logits with their gradients.

A loss is a weighted mean over the rows: ``sum(w_i * l_i) / sum(w_i)``. Rows of weight 0 are ignored, whatever they
contain; if all weights are 0, the loss is 0. The value is summed in float64, and `grad` is rounded once to its dtype.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._dispatch import backend_module, module_and_fast_check, threads

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

# These functions check the settings of a loss and return the numbers that its kernel computes with. They get the number
# of outputs k, or None if it is not known yet.


def _none(_k: int | None) -> tuple[float, ...]:
    return ()


def _per_output(name: str, value: npt.ArrayLike, k: int | None) -> tuple[float, ...]:
    """Return the weights of the outputs, checked."""
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


def _poisson(_k: int | None, log_input: Any, full: Any, deviance: Any, eps: float) -> tuple[float, ...]:
    if not type(log_input) is type(full) is type(deviance) is bool:
        log_input = check.boolean("log_input", log_input)
        full, deviance = check.boolean("full", full), check.boolean("deviance", deviance)
    if full and deviance:
        check.refuse(ValueError, "deviance", "be False with full=True", deviance)
    return float(log_input), 1.0 if full else 2.0 * deviance, check.real("eps", eps, 0, excluded=True)


def _quantile(k: int | None, quantiles: npt.ArrayLike) -> tuple[float, ...]:
    levels = np.atleast_1d(check.numeric("quantiles", quantiles)).astype(np.float64)
    check.shape("quantiles", levels, ("quantiles",))
    check.at_least("quantiles", levels, 0, 1, "quantile")
    for index, level in enumerate(levels.tolist()):
        if not 0 < level < 1:
            check.real(f"quantiles[{index}]" if np.ndim(quantiles) else "quantiles", level, 0, 1, excluded=True)
    if k is not None and k % len(levels):
        must = f"have a length that divides the number of outputs, {k}"
        check.refuse(ValueError, "quantiles", must, f"length {len(levels)}")
    return float(len(levels)), *levels.tolist()


def _multi_margin(_k: int | None, p: int, margin: float) -> tuple[float, ...]:
    return float(check.integer("p", p, 1, 2)), check.real("margin", margin, 0)


# How far the sum of a row of probabilities may be from 1: allows float16, and three probabilities with three decimals.
SUM_TOLERANCE = 2e-3


@dataclass(frozen=True)
class LossSpec:
    """A loss: its kernels, the check of its settings, and the targets for which it is meaningful.

    Attributes
    ----------
    kinds : mapping of str to str
        The kernel's name in csrc for each kind of target: "labels" (a class for each row) or "rows" (of numbers).
    parameters : callable
        Takes the number of outputs, and the settings by name; checks them and returns the kernel's parameters.
    averaged : bool
        Whether the mean is over rows and columns, not over the rows only.
    low, high : float
        Bounds of the numbers in a target.
    among : tuple of float
        The only numbers allowed in a target; () for no such restriction.
    probabilities : bool
        Whether the numbers of a row are probabilities with sum 1.
    signed : bool
        Whether a row's loss may be below 0.
    exclusive : tuple of str
        The kinds of target with mutually exclusive classes, which need at least two outputs.
    """

    kinds: Mapping[str, str]
    parameters: Callable[..., tuple[float, ...]] = _none
    averaged: bool = True
    low: float = -np.inf
    high: float = np.inf
    among: tuple[float, ...] = ()
    probabilities: bool = False
    signed: bool = False
    exclusive: tuple[str, ...] = ()

    def kinds_of(self, k: int) -> Collection[str]:
        """Return the kinds of target for which the loss of `k` outputs is meaningful; refuse a `k` without any."""
        if k > 1:
            return self.kinds
        kinds = [kind for kind in self.kinds if kind not in self.exclusive]
        if not kinds:
            fix = 'with one output write loss="binary_cross_entropy" for a binary target, '
            fix += 'loss="mean_squared_error" for a real one'
            must = "be at least 2 for a loss of classes, such as cross entropy"
            check.refuse(ValueError, "the number of outputs", must, k, fix)
        return kinds

    def check_rows(self, name: str, target: Array, *, finite: bool = True) -> None:
        """Refuse rows for which the loss is meaningless; with `finite`, for every loss also NaN and infinity."""
        if finite or self.low > -np.inf or self.high < np.inf or self.among or self.probabilities:
            check.in_range(name, target, self.low, self.high, self.among)
        if not self.probabilities:
            return
        step = max(1, check.CHUNK // target.shape[1])
        for start in range(0, len(target), step):
            rows = target[start : start + step]
            sums, least = rows.sum(axis=1, dtype=np.float64), rows.min(axis=1)
            bad = (least < 0) | (np.abs(sums - 1) > SUM_TOLERANCE)
            if bad.any():
                row = int(bad.argmax())
                must = f"contain rows of probabilities, none below 0 and with sum 1 (to within {SUM_TOLERANCE:g})"
                got = f"{least[row]:g}" if least[row] < 0 else f"a sum of {sums[row]:g}"
                fix = 'for real targets write loss="mean_squared_error", '
                fix += 'for several classes per row loss="binary_cross_entropy"'
                check.refuse(ValueError, name, must, f"{got} in row {start + row}", fix)


LOSSES: Mapping[str, LossSpec] = {
    "cross_entropy": LossSpec(
        {"labels": "cross_entropy_labels", "rows": "cross_entropy"},
        _cross_entropy,
        averaged=False,
        probabilities=True,
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
    """A loss with its settings for a number of outputs: the arguments of a kernel, and of an op in a program.

    Attributes
    ----------
    kind : str
        The kernel's name.
    target : {"labels", "rows"}
        The kind of targets.
    target_width : int
        Numbers in a row of the target.
    value, slope : float
        Factors of the weighted mean of the rows' sums, and of its gradient.
    parameters : tuple of float
        The kernel's parameters.
    function : callable, optional
        The function to call in place of a kernel, see "custom_loss" of `fastnn.engine.OPS`.
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
    """Return the call that computes the loss of `k` outputs for targets that are "labels" or "rows".

    `columns` says how the columns of a row are reduced, "mean" or "sum", and `gradient_columns` the same for the
    gradient if it differs; `factor` multiplies both.
    """
    spec = LOSSES[name]
    parameters = spec.parameters(k, **settings)
    value = factor / k if spec.averaged and columns == "mean" else factor
    slope = value
    if gradient_columns is not None:
        slope = factor / k if spec.averaged and gradient_columns == "mean" else factor
    if target == "labels" and name == "cross_entropy" and parameters and parameters[0] == 0:
        parameters = ()  # the rows' weights contain those of the classes
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
    """Return the rows' weights times those of their classes; the mean is divided by their sum."""
    if weight is None:
        return sample_weight
    by_class = np.asarray(weight, np.float64)
    if label_smoothing > 0 and not by_class.all():
        check.refuse(ValueError, "weight", "contain only numbers above 0 with label_smoothing", 0.0)
    if sample_weight is None:
        return by_class[labels]
    with np.errstate(over="ignore"):  # infinite weights are refused by the trainer
        return by_class[labels] * sample_weight


def softmax(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``exp(x) / sum(exp(x))`` of each row, without overflow.

    A row that contains NaN or +inf, or only -inf, becomes NaN.

    Parameters
    ----------
    x : array_like, shape (B, K)
        One example a row.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the input.

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
    return _row_function("softmax", x, out)


def softmax_backward(dy: npt.ArrayLike, y: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``y * (dy - sum(dy * y))`` of each row: the gradient by the input of `softmax`, from its output.

    Parameters
    ----------
    dy : array_like, shape (B, K)
        Gradient by the output.
    y : array_like, shape (B, K)
        The output of `softmax`.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype; `dy` itself, or not overlapping the inputs.

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
    return _row_function_backward("softmax_backward", dy, y, out)


def log_softmax(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``x - log(sum(exp(x)))`` of each row, without overflow: the logarithm of `softmax`.

    A row that contains NaN or +inf, or only -inf, becomes NaN.

    Parameters
    ----------
    x : array_like, shape (B, K)
        One example a row.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the input.

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
    return _row_function("log_softmax", x, out)


def log_softmax_backward(dy: npt.ArrayLike, y: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``dy - exp(y) * sum(dy)`` of each row: the gradient by the input of `log_softmax`, from its output.

    Parameters
    ----------
    dy : array_like, shape (B, K)
        Gradient by the output.
    y : array_like, shape (B, K)
        The output of `log_softmax`, nowhere above 0.
    out : ndarray, shape (B, K), optional
        Where to write the result: C-contiguous, of the result's dtype; `dy` itself, or not overlapping the inputs.

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
    return _row_function_backward("log_softmax_backward", dy, y, out)


def _row_function(name: str, x: npt.ArrayLike, out: Array | None) -> Array:
    module, fast_check = module_and_fast_check("losses")
    if out is None or not fast_check((out,), (x,)) or out.ndim != 2:
        (x,) = check.floats(x=x)
        check.shape("x", x, ("rows", "classes"))
        out = check.output(out, x.shape, x.dtype, {"x": x})
    getattr(module, name)(x, out, threads())
    return out


def _row_function_backward(name: str, dy: npt.ArrayLike, y: npt.ArrayLike, out: Array | None) -> Array:
    dy, y = check.floats(dy=dy, y=y)
    check.shape("dy", dy, ("rows", "classes"))
    check.shape("y", y, dy.shape)
    out = check.output(out, dy.shape, dy.dtype, {"y": y}, {"dy": dy})
    getattr(backend_module("losses"), name)(dy, y, out, threads())
    return out


def check_batch(
    argument: str, z: Array, target: Array, call: LossCall, sample_weight: npt.ArrayLike | None, grad: Array | None
) -> tuple[Array, Array | None]:
    """Check the other arguments of a loss of outputs `z`, called `argument` in messages; return target and weights."""
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
    """Check the arguments of a loss and call its kernel; `argument` is the name of the outputs in messages.

    With `strict`, targets are also refused for which the loss can be computed but is meaningless. `settings` are those
    of `bind_loss`.
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
    loss: float = backend_module("losses").loss(call.kind, z, t, weight, parameters, call.value, call.slope, grad)
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
    softmax. The mean for classes is weighted by the rows' weights times those of their classes, the mean for rows of
    probabilities by the rows' weights alone.

    A class with a logit of -inf has probability 0, and one with the only +inf of a row probability 1; two of +inf give
    NaN.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Unnormalised log-probabilities z.
    target : array_like, shape (B,) of integers or shape (B, K)
        Classes from 0 to K - 1, or a row of probabilities t for each row, converted to the logits' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    weight : array_like, shape (K,), optional
        Weights of the classes, finite and not negative.
    label_smoothing : float, default 0.0
        The fraction s of the target that is spread evenly over the classes, from 0 to less than 1.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the logits: C-contiguous, of their dtype, not overlapping the inputs.

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
        with label smoothing, or `grad` overlaps an input.

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
    `binary_cross_entropy_with_logits`, if all sample weights are equal. At a logit of +inf the loss is 0 for the target
    1, at -inf for the target 0; for all others it is infinite.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Logits z, one column for each binary target.
    target : array_like, shape (B, K)
        Probabilities t of the positive class, converted to the logits' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    pos_weight : array_like, shape (K,), optional
        Weight of the positive class in each column, finite and not negative.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the logits: C-contiguous, of their dtype, not overlapping the inputs.

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
    """Compute scikit-learn's log loss of classes, or of binary columns, as its perceptrons report it.

    For classes this is `cross_entropy`, for columns `binary_cross_entropy` with the sum over the columns in place of
    their mean, but each probability is clipped to [eps, 1 - eps], with the eps of the dtype. The gradient is that
    without clipping: ``w / sum(w) * (p - t)``, p the softmax of a row, or the sigmoid of each entry.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Unnormalised log-probabilities, or a logit for each column.
    target : array_like, shape (B,) of integers or shape (B, K)
        Classes from 0 to K - 1, or 0 and 1 for each column, converted to the logits' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the logits: C-contiguous, of their dtype, not overlapping the inputs.

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
        Targets t, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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
        Targets t, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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
    """Compute the mean over the rows and columns of a loss that is quadratic near the target and linear far from it.

    With d = z - t it is ``d**2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``; the gradient of a row
    is ``w / sum(w) / K * clip(d, -delta, delta)``. PyTorch's `huber_loss`; Huber, 1964, Robust estimation of a
    location parameter.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Predictions z.
    target : array_like, shape (B, K)
        Targets t, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    delta : float, default 1.0
        Where the parabola becomes a line, above 0.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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

    It is about ``d**2 / 2`` near the target d = z - t = 0 and ``|d| - log(2)`` far from it, where it is computed as
    ``|d| + log1p(exp(-2 * |d|)) - log(2)`` so that nothing overflows. The gradient of a row is
    ``w / sum(w) / K * tanh(z - t)``. Keras's `LogCosh`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Predictions z.
    target : array_like, shape (B, K)
        Targets t, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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

    The gradient of a row is ``w / sum(w) / K * (exp(z) - t)``. If `log_input` is False, the loss is
    ``z - t * log(z + eps)``. This is PyTorch's `poisson_nll_loss`; with `deviance` it is scikit-learn's half Poisson
    deviance. Where exp(z) overflows in float64 the loss is infinite.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Logarithms of the rates, or the rates, z.
    target : array_like, shape (B, K)
        Counts t, not negative, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    log_input : bool, default True
        Whether z is the logarithm of the rate, not the rate itself.
    full : bool, default False
        Whether to add ``t * log(t) - t + log(2 * pi * t) / 2`` where t > 1, Stirling's approximation of log(t!).
    deviance : bool, default False
        Whether to add ``t * log(t) - t``, so that the loss is 0 where the rate is t. Not together with `full`.
    eps : float, default 1e-8
        Keeps the logarithm finite if `log_input` is False; above 0.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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

    The mean of ``max(q * (t - z), (q - 1) * (t - z))`` is least if z is quantile q of t. Column ``j * Q + k`` of the
    predictions is quantile k of target j: ``prediction.reshape(B, T, Q)``. The gradient of a row is
    ``w / sum(w) / (T * Q)`` times -q below the target, 1 - q above it and 0 at it. scikit-learn's
    `mean_pinball_loss`; Koenker and Bassett, 1978, Regression quantiles.

    Parameters
    ----------
    prediction : array_like, shape (B, T * Q)
        Predictions z.
    target : array_like, shape (B, T)
        Targets t, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    quantiles : float or array_like, shape (Q,), default 0.5
        Above 0 and below 1.
    grad : ndarray, shape (B, T * Q), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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

    The gradient of a row is ``w / sum(w) / K * -t`` where ``t * z < 1``, else 0. Keras's `Hinge`, scikit-learn's
    `hinge_loss`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Scores z.
    target : array_like, shape (B, K)
        Targets t, -1 or 1, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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

    The gradient of a row is ``w / sum(w) / K * -2 * t * max(0, 1 - t * z)``. Keras's `SquaredHinge`.

    Parameters
    ----------
    prediction : array_like, shape (B, K)
        Scores z.
    target : array_like, shape (B, K)
        Targets t, -1 or 1, converted to the predictions' dtype.
    sample_weight : array_like, shape (B,), optional
        Weights of the rows, finite and not negative; equal by default.
    grad : ndarray, shape (B, K), optional
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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
        Where to write the gradient by the predictions: C-contiguous, of their dtype, not overlapping the inputs.

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
