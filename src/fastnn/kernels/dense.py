"""The dense layer: y = activation(x @ w + b) and its three gradients."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments

__all__ = ["dense", "dense_grad_bias", "dense_grad_input", "dense_grad_weight"]

_DENSE: Arguments[Array] = Arguments("dense", "x[B I] w[I O] b?[O] out![B O]")
_GRAD_INPUT: Arguments[Array] = Arguments("dense", "dy[B O] w[I O] out![B I]")
_GRAD_WEIGHT: Arguments[Array] = Arguments("dense", "x[B I] dy[B O] out![I O]")
_GRAD_BIAS: Arguments[Array] = Arguments("dense", "dy[B O] out![O]")


def dense(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    activation: str = "identity",
    out: Array | None = None,
    **parameters: float,
) -> Array:
    """Compute ``activation(x @ w + b)``.

    Each row of the result depends on that row of `x` alone, bit for bit, on the native backend.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row.
    w : array_like, shape (I, O)
        Weights.
    b : array_like, shape (O,), optional
        Biases, none by default.
    activation : str, default "identity"
        The name of an activation, as in `activation`.
    out : ndarray, shape (B, O), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.
    **parameters : float
        The activation's parameters, as in `activation`.

    Returns
    -------
    ndarray, shape (B, O)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, the activation is unknown, or `out` overlaps an input.

    Notes
    -----
    |error| <= gamma_(I + 1) (|x| |w| + |b|) componentwise before the activation, gamma_n = n u / (1 - n u) with u half
    the spacing of the dtype at 1 (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 3.5).

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.dense([[1.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]], [0.5, 0.5], activation="relu")
    array([[3.5, 0. ]])
    """
    name, values = check.activation(activation, parameters)
    module, threads, ready, result = _DENSE(x, w, b, out)
    if not ready:
        if b is None:
            x, w = check.floats(x=x, w=w)
        else:
            x, w, b = check.floats(x=x, w=w, b=b)
        check.shape("x", x, ("rows", "features"))
        check.shape("w", w, (x.shape[1], "units"))
        others = {"x": x, "w": w}
        if b is not None:
            check.shape("b", b, (w.shape[1],))
            others["b"] = b
        result = check.output(out, (x.shape[0], w.shape[1]), x.dtype, others)
    module.dense(x, w, b, result, name, values, threads)
    return result


def dense_grad_input(dy: ArrayLike, w: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``dy @ w.T``, the gradient by the input of a dense layer.

    Parameters
    ----------
    dy : array_like, shape (B, O)
        Gradient by ``x @ w + b``.
    w : array_like, shape (I, O)
        Weights.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `dense` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.dense_grad_input([[1.0, 10.0]], [[1.0, 2.0], [3.0, 4.0]])
    array([[21., 43.]])
    """
    module, threads, ready, result = _GRAD_INPUT(dy, w, out)
    if not ready:
        dy, w = check.floats(dy=dy, w=w)
        check.shape("dy", dy, ("rows", "units"))
        check.shape("w", w, ("features", dy.shape[1]))
        result = check.output(out, (dy.shape[0], w.shape[0]), dy.dtype, {"dy": dy, "w": w})
    module.dense_grad_input(dy, w, result, threads)
    return result


def dense_grad_weight(x: ArrayLike, dy: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``x.T @ dy``, the gradient by the weights of a dense layer.

    Parameters
    ----------
    x : array_like, shape (B, I)
        The layer's input.
    dy : array_like, shape (B, O)
        Gradient by ``x @ w + b``.
    out : ndarray, shape (I, O), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (I, O)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `dense` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.dense_grad_weight([[1.0, 2.0], [3.0, 4.0]], [[1.0], [10.0]])
    array([[31.],
           [42.]])
    """
    module, threads, ready, result = _GRAD_WEIGHT(x, dy, out)
    if not ready:
        x, dy = check.floats(x=x, dy=dy)
        check.shape("x", x, ("rows", "features"))
        check.shape("dy", dy, (x.shape[0], "units"))
        result = check.output(out, (x.shape[1], dy.shape[1]), x.dtype, {"x": x, "dy": dy})
    module.dense_grad_weight(x, dy, result, threads)
    return result


def dense_grad_bias(dy: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute ``dy.sum(axis=0)``, the gradient by the biases of a dense layer.

    Parameters
    ----------
    dy : array_like, shape (B, O)
        Gradient by ``x @ w + b``.
    out : ndarray, shape (O,), optional
        Where to write the result: C-contiguous, of the result's dtype, not overlapping the input.

    Returns
    -------
    ndarray, shape (O,)
        `out`, or a new array: float32 if `dy` is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `dense` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.dense_grad_bias([[1.0, 2.0], [3.0, 4.0]])
    array([4., 6.])
    """
    module, threads, ready, result = _GRAD_BIAS(dy, out)
    if not ready:
        (dy,) = check.floats(dy=dy)
        check.shape("dy", dy, ("rows", "units"))
        result = check.output(out, dy.shape[1:], dy.dtype, {"dy": dy})
    module.dense_grad_bias(dy, result, threads)
    return result
