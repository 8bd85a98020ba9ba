"""What all losses share: their checks, and the call of a kernel with its settings; softmax and its logarithm.

`fastnn.kernels.loss_functions` has a function for each loss. A loss is a weighted mean over the rows:
``sum(w_i * l_i) / sum(w_i)``. Rows of weight 0 are ignored, whatever they contain; if all weights are 0, the loss is 0.
The value is summed in float64, and `grad` is rounded once to its dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._losses import LOSSES
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments, same_objects
from fastnn.kernels._dispatch import backend_module

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]

# ---- the losses ----


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
    heads : tuple of HeadCall
        The losses of which this is the sum, each with its own columns of outputs and target; () for a single loss.
    """

    kind: str
    target: str
    target_width: int
    value: float = 1.0
    slope: float = 1.0
    parameters: tuple[float, ...] = ()
    function: Callable[..., float] | None = None
    heads: tuple[HeadCall, ...] = ()


class HeadCall(NamedTuple):
    """A term of a sum of losses.

    Attributes
    ----------
    call : LossCall
        Its factors contain the weight of the term.
    outputs, targets : range
        Its columns of the outputs and of the target. Class numbers have one column.
    """

    call: LossCall
    outputs: range
    targets: range


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
    parameters = spec.parameters(k, settings)
    mean = factor / k if spec.averaged else factor
    if spec.class_weights and target == "labels" and parameters and parameters[0] == 0:
        parameters = ()  # the rows' weights contain those of the classes
    return LossCall(
        spec.kinds[target],
        target,
        k // int(parameters[0]) if spec.grouped else k,
        mean if columns == "mean" else factor,
        mean if (gradient_columns or columns) == "mean" else factor,
        parameters,
    )


def class_weighted(
    labels: Array, weight: ArrayLike | None, label_smoothing: float, sample_weight: Array | None
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


_NO_PARAMETERS = np.empty(0)
_CONSTANT = {float, int, bool, str, type(None)}
_READ_AT_ONCE = {*_CONSTANT, np.ndarray}
_MOST_KEPT = 256

# By the kind of target.
_LOSSES: dict[str, Arguments[None]] = {
    "labels": Arguments("losses", "z[B K] target[B]<K sample_weight?[B]>=0 grad&?[B K]", B=1, K=1),
    "rows": Arguments("losses", "z[B K] target[B T] sample_weight?[B]>=0 grad&?[B K]", B=1, K=1),
}


class _KeptLoss(NamedTuple):
    """A loss with its settings, its parameters as an array, and the settings as they were given."""

    call: LossCall
    parameters: Array
    settings: dict[str, Any]


_kept: dict[tuple[str, int, str], _KeptLoss] = {}  # the last ones, by loss, outputs and target


def _kept_loss(name: str, k: int, target: str, settings: dict[str, Any]) -> _KeptLoss:
    """Return what `bind_loss` returns, made once for the same settings."""
    key = name, k, target
    kept = _kept.get(key)
    if kept is None or not same_objects(kept.settings, settings):
        call = bind_loss(name, k, target, **settings)
        kept = _KeptLoss(call, _parameters_of(call), settings)
        if _CONSTANT.issuperset(map(type, settings.values())):  # an array may change
            if len(_kept) == _MOST_KEPT:
                _kept.clear()
            _kept[key] = kept
    return kept


def _parameters_of(call: LossCall) -> Array:
    return np.array(call.parameters, np.float64) if call.parameters else _NO_PARAMETERS


def check_batch(
    argument: str,
    z: Array,
    target: Array,
    call: LossCall,
    sample_weight: ArrayLike | None,
    grad: Array | None,
    negative_weights: bool = False,
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
    weight = check.weights("sample_weight", sample_weight, z.shape[0], negative=negative_weights)
    if grad is not None:
        others = inputs if weight is None else {**inputs, "sample_weight": weight}
        check.output(grad, z.shape, z.dtype, others, name="grad")
    return target, weight


def run_loss(
    name: str,
    outputs: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    grad: Array | None = None,
    strict: bool = False,
    **settings: Any,
) -> float:
    """Check the arguments of a loss and call its kernel.

    With `strict`, targets are also refused for which the loss can be computed but is meaningless. `settings` are those
    of `bind_loss`.
    """
    spec = LOSSES[name]
    weight: Any = sample_weight
    # Other settings may run code when they are read, which could change the arrays after they have been checked.
    plain = not strict and _READ_AT_ONCE.issuperset(map(type, settings.values()))
    for kind in spec.kinds if plain else ():
        z: Any = outputs
        t: Any = target
        module, _, ready, _ = _LOSSES[kind](z, t, weight, grad)
        if not ready:
            continue
        call, parameters, _ = _kept_loss(name, z.shape[1], kind, settings)
        if kind == "rows" and t.shape[1] != call.target_width:
            continue
        if kind == "labels" and spec.class_weights and settings["weight"] is not None:
            weight = class_weighted(t, settings["weight"], settings["label_smoothing"], weight)
        loss: float = module.loss(call.kind, z, t, weight, parameters, call.value, call.slope, grad)
        return loss
    kinds: Collection[str] = spec.kinds
    (z,) = check.floats(**{spec.outputs: outputs})
    t = check.numeric("target", target)
    if z.ndim != 2 or z.shape[1] == 0:
        check.shape(spec.outputs, z, ("rows", "classes" if "labels" in kinds else "columns"))
        check.at_least(spec.outputs, z, 1, 1, "column")
    if strict:
        kinds = spec.kinds_of(z.shape[1])
    labels = "labels" in kinds and (t.ndim == 1 or "rows" not in kinds)
    if settings.get("weight") is not None:
        settings["weight"] = check.numeric("weight", settings["weight"])
    call = bind_loss(name, z.shape[1], "labels" if labels else "rows", **settings)
    t, weight = check_batch(spec.outputs, z, t, call, sample_weight, grad)
    if strict and not labels:
        spec.check_rows("target", t, finite=False)
    if labels and spec.class_weights:
        weight = class_weighted(t, settings["weight"], settings["label_smoothing"], weight)
    return run_call(call, z, t, weight, grad)


def run_call(call: LossCall, z: Array, t: Array, weight: Array | None, grad: Array | None) -> float:
    """Compute a single loss of checked arrays."""
    if call.function is not None:
        return float(call.function(z, grad, t, weight))
    module, parameters = backend_module("losses"), _parameters_of(call)
    loss: float = module.loss(call.kind, z, t, weight, parameters, call.value, call.slope, grad)
    return loss


def run_heads(call: LossCall, z: Array, t: Array, weight: Array | None, grad: Array | None) -> float:
    """Compute a sum of losses of checked arrays; if a function raises, `grad` is unchanged."""
    loss, slopes = 0.0, None if grad is None else np.empty_like(grad)
    for head, (single, outputs, targets) in enumerate(call.heads):
        columns = slice(outputs.start, outputs.stop)
        part = np.ascontiguousarray(z[:, columns])
        target = np.ascontiguousarray(t[:, targets.start : targets.stop])
        of_part = None if slopes is None else np.empty_like(part)
        if single.target == "labels":
            target = target[:, 0].astype(np.int64)
        term = run_call(single, part, target, weight, of_part)
        loss = loss + term if head else term
        if slopes is not None:
            slopes[:, columns] = of_part
    if grad is not None:
        grad[...] = slopes
    return loss


# ---- softmax ----

_BY_ROW: Arguments[Array] = Arguments("losses", "x[B K] out![B K]")
_BY_ROW_BACKWARD: Arguments[Array] = Arguments("losses", "dy[B K] y[B K] out![B K]=dy")


def softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
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


def softmax_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
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


def log_softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
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


def log_softmax_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
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


def _row_function(name: str, x: ArrayLike, out: Array | None) -> Array:
    module, threads, ready, result = _BY_ROW(x, out)
    if not ready:
        (x,) = check.floats(x=x)
        check.shape("x", x, ("rows", "classes"))
        result = check.output(out, x.shape, x.dtype, {"x": x})
    getattr(module, name)(x, result, threads)
    return result


def _row_function_backward(name: str, dy: ArrayLike, y: ArrayLike, out: Array | None) -> Array:
    module, threads, ready, result = _BY_ROW_BACKWARD(dy, y, out)
    if not ready:
        dy, y = check.floats(dy=dy, y=y)
        check.shape("dy", dy, ("rows", "classes"))
        check.shape("y", y, dy.shape)
        result = check.output(out, dy.shape, dy.dtype, {"y": y}, {"dy": dy})
    getattr(module, name)(dy, y, result, threads)
    return result
