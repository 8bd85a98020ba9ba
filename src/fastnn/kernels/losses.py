"""Softmax, and the losses from logits with their gradients.

A loss is a weighted mean over the rows: ``sum(w_i * l_i) / sum(w_i)``. A row of weight 0 is no part of it, whatever it
holds; a batch of such rows has loss 0. Its value is summed in float64, and `grad` is rounded once to its dtype.
"""

import numpy.typing as npt

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._choose import inner, threads

__all__ = ["binary_cross_entropy", "cross_entropy", "mean_squared_error", "softmax"]


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
    (x,) = check.floats(x=x)
    check.shape("x", x, ("rows", "classes"))
    out = check.output(out, x.shape, x.dtype, {"x": x})
    inner("losses").softmax(x, out, threads())
    return out


def _floats(name: str, logits: npt.ArrayLike, target: npt.ArrayLike) -> tuple[Array, Array]:
    """Return both in the logits' dtype, which decides that of the gradient as well."""
    (z,) = check.floats(**{name: logits})
    return z, check.contiguous("target", check.numeric("target", target), z.dtype)


def _loss(
    kind: str,
    inputs: dict[str, Array],
    target: Array,
    sample_weight: npt.ArrayLike | None,
    grad: Array | None,
) -> float:
    """Check what the losses have in common and call the inner one; `inputs` are the float arrays, logits first."""
    name, logits = next(iter(inputs.items()))
    check.at_least(name, logits, 0, 1, "row")
    check.at_least(name, logits, 1, 1, "column")
    weight = check.weights("sample_weight", sample_weight, logits.shape[0])
    if grad is not None:
        others = inputs if weight is None else {**inputs, "sample_weight": weight}
        grad = check.output(grad, logits.shape, logits.dtype, others, name="grad")
    loss: float = getattr(inner("losses"), kind)(logits, target, weight, grad)
    return loss


def cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``-sum(t * log(softmax(z)))`` over the rows.

    The gradient of a row is ``w / sum(w) * (softmax(z) * sum(t) - t)``. With classes as the target this is PyTorch's
    `cross_entropy`, and scikit-learn's `log_loss` of the softmax.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Unnormalised log-probabilities z.
    target : array_like, shape (B,) of integers or shape (B, K)
        Classes from 0 to K - 1, or a row of probabilities t for each row, taken in the logits' dtype.
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
    TypeError
        If an argument is no array of real numbers, classes are no integers, or `grad` has another dtype.
    ValueError
        If shapes do not match, there is no row, a class or a weight is out of range, or `grad` overlaps an input.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.cross_entropy([[0.0, 0.0]], [1]) == kernels.cross_entropy([[0.0, 0.0]], [[0.5, 0.5]])
    True
    """
    array = check.numeric("target", target)
    if array.ndim == 2:
        z, t = _floats("logits", logits, array)
        check.shape("logits", z, ("rows", "classes"))
        check.shape("target", t, z.shape)
        return _loss("cross_entropy", {"logits": z, "target": t}, t, sample_weight, grad)
    (z,) = check.floats(logits=logits)
    check.shape("logits", z, ("rows", "classes"))
    check.shape("target", array, z.shape[:1])
    t = check.indices("target", array, z.shape[1], "rows")
    return _loss("cross_entropy", {"logits": z}, t, sample_weight, grad)


def binary_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float:
    """Compute the mean of ``max(z, 0) - z * t + log1p(exp(-|z|))`` over the rows and columns.

    The gradient of a row is ``w / sum(w) / K * (sigmoid(z) - t)``. This is PyTorch's
    `binary_cross_entropy_with_logits`, where all weights are equal.

    Parameters
    ----------
    logits : array_like, shape (B, K)
        Logits z, one column for each yes-or-no question.
    target : array_like, shape (B, K)
        Probabilities t of a yes, taken in the logits' dtype.
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
    >>> round(kernels.binary_cross_entropy([[0.0]], [[1.0]]), 6)
    0.693147
    """
    z, t = _floats("logits", logits, target)
    check.shape("logits", z, ("rows", "columns"))
    check.shape("target", t, z.shape)
    return _loss("binary_cross_entropy", {"logits": z, "target": t}, t, sample_weight, grad)


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
    TypeError, ValueError
        As `cross_entropy` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.mean_squared_error([[1.0], [5.0]], [[1.0], [2.0]])
    4.5
    """
    z, t = _floats("prediction", prediction, target)
    check.shape("prediction", z, ("rows", "columns"))
    check.shape("target", t, z.shape)
    return _loss("mean_squared_error", {"prediction": z, "target": t}, t, sample_weight, grad)
