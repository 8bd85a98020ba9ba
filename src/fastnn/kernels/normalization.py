"""Batch normalisation, and normalisation of each row by its own statistics: layer norm and root mean square norm."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments

__all__ = [
    "BatchNormResult",
    "LayerNormResult",
    "RMSNormResult",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
]

_Arrays = tuple[Array, ...]
_BATCH_NORM: Arguments[_Arrays] = Arguments(
    "normalization",
    "x[B I] gamma[I] beta[I] running_mean&?[I] running_var&?[I] out![B I] mean+[I] var+[I] inv_std+[I]",
    B=2,
)
_BATCH_NORM_INFERENCE: Arguments[Array] = Arguments(
    "normalization", "x[B I] gamma[I] beta[I] running_mean[I] running_var[I] out![B I]=x"
)
_BATCH_NORM_BACKWARD: Arguments[_Arrays] = Arguments(
    "normalization", "dy[B I] x[B I] gamma[I] mean[I] inv_std[I] out![B I] dgamma+[I] dbeta+[I]", B=2
)
_LAYER_NORM: Arguments[_Arrays] = Arguments("normalization", "x[B I] gamma[I] beta?[I] out![B I] mean+[B] inv_std+[B]")
_LAYER_NORM_BACKWARD: Arguments[_Arrays] = Arguments(
    "normalization", "dy[B I] x[B I] gamma[I] mean[B] inv_std[B] out![B I]=dy dgamma+[I] dbeta+[I]"
)
_RMS_NORM: Arguments[_Arrays] = Arguments("normalization", "x[B I] gamma[I] out![B I] inv_rms+[B]")
_RMS_NORM_BACKWARD: Arguments[_Arrays] = Arguments(
    "normalization", "dy[B I] x[B I] gamma[I] inv_rms[B] out![B I]=dy dgamma+[I]"
)


class BatchNormResult(NamedTuple):
    """The results of `batch_norm`.

    Attributes
    ----------
    out : ndarray, shape (B, I)
        The normalised batch.
    mean : ndarray, shape (I,)
        The batch's mean of each feature.
    inv_std : ndarray, shape (I,)
        1 / sqrt(variance + eps) of each feature.
    """

    out: Array
    mean: Array
    inv_std: Array


def batch_norm(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    *,
    eps: float = 1e-5,
    momentum: float = 0.1,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    out: Array | None = None,
) -> BatchNormResult:
    """Normalise each feature by the statistics of the batch.

    ``out = (x - mean) / sqrt(var + eps) * gamma + beta`` with the biased variance. Running statistics, if given, are
    updated to ``(1 - momentum) * running + momentum * batch``, with the unbiased variance: PyTorch's conventions (Ioffe
    and Szegedy, 2015).

    Parameters
    ----------
    x : array_like, shape (B, I)
        At least two rows.
    gamma, beta : array_like, shape (I,)
        Scale and shift.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float, default 0.1
        Weight of this batch in the running statistics, from 0 to 1.
    running_mean, running_var : ndarray, shape (I,), optional
        Updated in place: C-contiguous, of the result's dtype, not overlapping the other arrays.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    BatchNormResult
        `out`, `mean` and `inv_std`: float32 if `x`, `gamma` and `beta` are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or an array to be written has another dtype.
    ValueError
        If shapes do not match, there are fewer than two rows, a number is out of range, or arrays overlap.

    Examples
    --------
    >>> from fastnn import kernels
    >>> out, mean, inv_std = kernels.batch_norm([[1.0], [3.0]], [1.0], [0.0], eps=0.0)
    >>> out.ravel(), mean, inv_std
    (array([-1.,  1.]), array([2.]), array([1.]))
    """
    eps = check.real("eps", eps, 0)
    momentum = check.real("momentum", momentum, 0, 1, closed=True)
    module, threads, ready, results = _BATCH_NORM(x, gamma, beta, running_mean, running_var, out)
    if not ready:
        x, gamma, beta = check.floats(x=x, gamma=gamma, beta=beta)
        check.shape("x", x, ("rows", "features"))
        check.at_least("x", x, 0, 2, "rows, as a single row has no variance")
        inputs = {"x": x, "gamma": gamma, "beta": beta}
        for name in ("gamma", "beta"):
            check.shape(name, inputs[name], x.shape[1:])
        written: dict[str, Array] = {}
        for name, running in {"running_mean": running_mean, "running_var": running_var}.items():
            if running is not None:
                check.shape(name, check.writable(name, running, x.dtype), x.shape[1:])
                check.overlap(name, running, {**inputs, **written})
                written[name] = running
        out = check.output(out, x.shape, x.dtype, {**inputs, **written})
        results = out, *np.empty((3, x.shape[1]), x.dtype)
    module.batch_norm(x, gamma, beta, eps, *results, running_mean, running_var, momentum, threads)
    out, mean, _, inv_std = results
    return BatchNormResult(out, mean, inv_std)


def batch_norm_inference(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    *,
    eps: float = 1e-5,
    out: Array | None = None,
) -> Array:
    """Normalise each feature by stored statistics: ``(x - running_mean) * (gamma / sqrt(running_var + eps)) + beta``.

    Each row of the result depends on that row of `x` alone, bit for bit.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    gamma, beta, running_mean, running_var : array_like, shape (I,)
        Scale, shift and statistics.
    eps : float, default 1e-5
        Added to the variance.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype; `x` itself, or not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `batch_norm` does, but a single row is allowed.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.batch_norm_inference([[5.0]], [2.0], [1.0], [3.0], [4.0], eps=0.0)
    array([[3.]])
    """
    eps = check.real("eps", eps, 0)
    module, threads, ready, result = _BATCH_NORM_INFERENCE(x, gamma, beta, running_mean, running_var, out)
    if not ready:
        x, gamma, beta, running_mean, running_var = check.floats(
            x=x, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var
        )
        check.shape("x", x, ("rows", "features"))
        vectors = {"gamma": gamma, "beta": beta, "running_mean": running_mean, "running_var": running_var}
        for name, vector in vectors.items():
            check.shape(name, vector, x.shape[1:])
        result = check.output(out, x.shape, x.dtype, vectors, {"x": x})
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(np.add(running_var, result.dtype.type(eps)))
    module.affine(x, running_mean, scale, beta, result, threads)
    return result


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    mean: ArrayLike,
    inv_std: ArrayLike,
    *,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Compute the gradients of `batch_norm` by its input, scale and shift.

    With ``x_hat = (x - mean) * inv_std`` over n rows: ``dbeta = sum(dy)``, ``dgamma = sum(dy * x_hat)`` and
    ``dx = gamma * inv_std * (dy - dbeta / n - x_hat * dgamma / n)``.

    Parameters
    ----------
    dy : array_like, shape (B, I)
        Gradient by the normalised batch.
    x : array_like, shape (B, I)
        The batch.
    gamma, mean, inv_std : array_like, shape (I,)
        Scale, and the statistics that `batch_norm` returned.
    out : ndarray, shape (B, I), optional
        Where to write dx: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    dx : ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.
    dgamma, dbeta : ndarray, shape (I,)
        Of the same dtype.

    Raises
    ------
    TypeError, ValueError
        As `batch_norm` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> x, gamma, beta = [[1.0], [3.0]], [1.0], [0.0]
    >>> _, mean, inv_std = kernels.batch_norm(x, gamma, beta, eps=0.0)
    >>> dx, dgamma, dbeta = kernels.batch_norm_backward([[1.0], [0.0]], x, gamma, mean, inv_std)
    >>> dgamma, dbeta
    (array([-1.]), array([1.]))
    """
    module, threads, ready, results = _BATCH_NORM_BACKWARD(dy, x, gamma, mean, inv_std, out)
    if not ready:
        dy, x, gamma, mean, inv_std = check.floats(dy=dy, x=x, gamma=gamma, mean=mean, inv_std=inv_std)
        check.shape("dy", dy, ("rows", "features"))
        check.at_least("dy", dy, 0, 2, "rows, as a single row has no variance")
        check.shape("x", x, dy.shape)
        vectors = {"gamma": gamma, "mean": mean, "inv_std": inv_std}
        for name, vector in vectors.items():
            check.shape(name, vector, dy.shape[1:])
        out = check.output(out, dy.shape, dy.dtype, {"dy": dy, "x": x, **vectors})
        results = out, *np.empty((2, dy.shape[1]), dy.dtype)
    module.batch_norm_backward(dy, x, gamma, mean, inv_std, *results, threads)
    out, dgamma, dbeta = results
    return out, dgamma, dbeta


# ---- each row by its own statistics ----


class LayerNormResult(NamedTuple):
    """The results of `layer_norm`.

    Attributes
    ----------
    out : ndarray, shape (B, I)
        The normalised rows.
    mean : ndarray, shape (B,)
        The mean of each row.
    inv_std : ndarray, shape (B,)
        1 / sqrt(variance + eps) of each row.
    """

    out: Array
    mean: Array
    inv_std: Array


class RMSNormResult(NamedTuple):
    """The results of `rms_norm`.

    Attributes
    ----------
    out : ndarray, shape (B, I)
        The normalised rows.
    inv_rms : ndarray, shape (B,)
        1 / sqrt(mean square + eps) of each row.
    """

    out: Array
    inv_rms: Array


def _rows_and_vectors(
    x: ArrayLike, vectors: dict[str, ArrayLike], out: Array | None
) -> tuple[Array, dict[str, Array], Array]:
    """Return the input, the vectors with an entry for each column, and the array for the result, all checked."""
    x, *arrays = check.floats(x=x, **vectors)
    check.shape("x", x, ("rows", "features"))
    checked = dict(zip(vectors, arrays, strict=True))
    for name, vector in checked.items():
        check.shape(name, vector, x.shape[1:])
    return x, checked, check.output(out, x.shape, x.dtype, {"x": x, **checked})


def layer_norm(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike | None = None, *, eps: float = 1e-5, out: Array | None = None
) -> LayerNormResult:
    """Normalise each row by its own mean and variance.

    ``out = (x - mean) / sqrt(var + eps) * gamma + beta`` with mean and biased variance of the row (Ba, Kiros and
    Hinton, 2016, Layer normalization). Each row of the result depends on that row of `x` alone, bit for bit.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    gamma : array_like, shape (I,)
        Scale.
    beta : array_like, shape (I,), optional
        Shift; None for none.
    eps : float, default 1e-5
        Added to the variance.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    LayerNormResult
        `out`, `mean` and `inv_std`: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, `eps` is negative, or arrays overlap.

    Examples
    --------
    >>> from fastnn import kernels
    >>> out, mean, inv_std = kernels.layer_norm([[1.0, 3.0]], [1.0, 1.0], [0.0, 5.0], eps=0.0)
    >>> out, mean, inv_std
    (array([[-1.,  6.]]), array([2.]), array([1.]))
    """
    eps = check.real("eps", eps, 0)
    module, threads, ready, results = _LAYER_NORM(x, gamma, beta, out)
    if not ready:
        vectors = {"gamma": gamma} if beta is None else {"gamma": gamma, "beta": beta}
        x, checked, out = _rows_and_vectors(x, vectors, out)
        gamma, beta = checked["gamma"], checked.get("beta")
        results = out, *np.empty((2, len(x)), x.dtype)
    module.layer_norm(x, gamma, beta, eps, *results, threads)
    return LayerNormResult(*results)


def rms_norm(x: ArrayLike, gamma: ArrayLike, *, eps: float | None = None, out: Array | None = None) -> RMSNormResult:
    """Normalise each row by the root of its mean square.

    ``out = x / sqrt(mean(x**2) + eps) * gamma`` (Zhang and Sennrich, 2019, Root mean square layer normalization), with
    PyTorch's default `eps`. Each row of the result depends on that row of `x` alone, bit for bit.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    gamma : array_like, shape (I,)
        Scale.
    eps : float, optional
        Added to the mean square. By default the spacing of the result's dtype at 1: ``numpy.finfo(dtype).eps``.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    RMSNormResult
        `out` and `inv_rms`: float32 if `x` and `gamma` are float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `layer_norm` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> out, inv_rms = kernels.rms_norm([[3.0, -4.0]], [5.0, 5.0], eps=0.0)
    >>> out.round(3), inv_rms.round(3)
    (array([[ 4.243, -5.657]]), array([0.283]))
    """
    eps = None if eps is None else check.real("eps", eps, 0)
    module, threads, ready, results = _RMS_NORM(x, gamma, out)
    if not ready:
        x, checked, out = _rows_and_vectors(x, {"gamma": gamma}, out)
        gamma = checked["gamma"]
        results = out, np.empty(len(x), x.dtype)
    module.rms_norm(x, gamma, rms_eps(eps, results[0].dtype), *results, threads)
    return RMSNormResult(*results)


def rms_eps(eps: float | None, dtype: np.dtype[Any]) -> float:
    """Return what is added to a mean square: by default the spacing of the dtype at 1."""
    return float(np.finfo(dtype).eps) if eps is None else eps


def _checked_gradients(out: Array | None, **arrays: ArrayLike) -> tuple[_Arrays, Array]:
    """Return dy, x, gamma and the statistics of the rows, and the array for dx, which may be dy."""
    inputs = dict(zip(arrays, check.floats(**arrays), strict=True))
    dy = inputs["dy"]
    check.shape("dy", dy, ("rows", "features"))
    check.shape("x", inputs["x"], dy.shape)
    check.shape("gamma", inputs["gamma"], dy.shape[1:])
    for name in list(inputs)[3:]:
        check.shape(name, inputs[name], dy.shape[:1])
    others = {name: array for name, array in inputs.items() if name != "dy"}
    return tuple(inputs.values()), check.output(out, dy.shape, dy.dtype, others, {"dy": dy})


def layer_norm_backward(
    dy: ArrayLike, x: ArrayLike, gamma: ArrayLike, mean: ArrayLike, inv_std: ArrayLike, *, out: Array | None = None
) -> tuple[Array, Array, Array]:
    """Compute the gradients of `layer_norm` by its input, scale and shift.

    With ``x_hat = (x - mean) * inv_std``, ``g = dy * gamma`` and means over the n columns of a row:
    ``dx = inv_std * (g - mean(g) - x_hat * mean(g * x_hat))``; and over the rows ``dgamma = sum(dy * x_hat)`` and
    ``dbeta = sum(dy)``.

    Parameters
    ----------
    dy : array_like, shape (B, I)
        Gradient by the normalised rows.
    x : array_like, shape (B, I)
        The rows.
    gamma : array_like, shape (I,)
        Scale.
    mean, inv_std : array_like, shape (B,)
        The statistics that `layer_norm` returned.
    out : ndarray, shape (B, I), optional
        Where to write dx: C-contiguous, of the result's dtype; `dy` itself, or not overlapping the inputs.

    Returns
    -------
    dx : ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.
    dgamma, dbeta : ndarray, shape (I,)
        Of the same dtype. A sum whose terms overflow is not finite.

    Raises
    ------
    TypeError, ValueError
        As `layer_norm` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> x, gamma = [[1.0, 3.0]], [1.0, 1.0]
    >>> _, mean, inv_std = kernels.layer_norm(x, gamma, eps=0.0)
    >>> dx, dgamma, dbeta = kernels.layer_norm_backward([[1.0, 2.0]], x, gamma, mean, inv_std)
    >>> dgamma, dbeta
    (array([-1.,  2.]), array([1., 2.]))
    """
    arrays: tuple[ArrayLike, ...] = dy, x, gamma, mean, inv_std
    module, threads, ready, results = _LAYER_NORM_BACKWARD(*arrays, out)
    if not ready:
        arrays, out = _checked_gradients(out, dy=dy, x=x, gamma=gamma, mean=mean, inv_std=inv_std)
        results = out, *np.empty((2, out.shape[1]), out.dtype)
    module.layer_norm_backward(*arrays, *results, threads)
    out, dgamma, dbeta = results
    return out, dgamma, dbeta


def rms_norm_backward(
    dy: ArrayLike, x: ArrayLike, gamma: ArrayLike, inv_rms: ArrayLike, *, out: Array | None = None
) -> tuple[Array, Array]:
    """Compute the gradients of `rms_norm` by its input and scale.

    With ``x_hat = x * inv_rms``, ``g = dy * gamma`` and the mean over the columns of a row:
    ``dx = inv_rms * (g - x_hat * mean(g * x_hat))``; and over the rows ``dgamma = sum(dy * x_hat)``.

    Parameters
    ----------
    dy : array_like, shape (B, I)
        Gradient by the normalised rows.
    x : array_like, shape (B, I)
        The rows.
    gamma : array_like, shape (I,)
        Scale.
    inv_rms : array_like, shape (B,)
        What `rms_norm` returned.
    out : ndarray, shape (B, I), optional
        Where to write dx: C-contiguous, of the result's dtype; `dy` itself, or not overlapping the inputs.

    Returns
    -------
    dx : ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.
    dgamma : ndarray, shape (I,)
        Of the same dtype. A sum whose terms overflow is not finite.

    Raises
    ------
    TypeError, ValueError
        As `layer_norm` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> x, gamma = [[1.0, -1.0]], [1.0, 1.0]
    >>> inv_rms = kernels.rms_norm(x, gamma, eps=0.0).inv_rms
    >>> kernels.rms_norm_backward([[1.0, 2.0]], x, gamma, inv_rms)
    (array([[1.5, 1.5]]), array([ 1., -2.]))
    """
    arrays: tuple[ArrayLike, ...] = dy, x, gamma, inv_rms
    module, threads, ready, results = _RMS_NORM_BACKWARD(*arrays, out)
    if not ready:
        arrays, out = _checked_gradients(out, dy=dy, x=x, gamma=gamma, inv_rms=inv_rms)
        results = out, np.empty(out.shape[1], out.dtype)
    module.rms_norm_backward(*arrays, *results, threads)
    out, dgamma = results
    return out, dgamma
