"""Activations y = f(x), elementwise on any shape, and their gradients dx = dy * f'(x), by name.

`fastnn.kernels.activation_functions` has a function for each name, whose docstring gives formula, error and source.
The result for NaN is NaN; at infinity, functions and derivatives have the values of their limits. The derivative at a
kink is PyTorch's: 0 for `relu` at 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments

__all__ = ["activation", "activation_backward", "prelu", "prelu_backward"]

_ACTIVATION: Arguments[Array] = Arguments("activations", "x[*] out![*]=x")
_ACTIVATION_BACKWARD: Arguments[Array] = Arguments("activations", "dy[*] derivative_from[*] out![*]=dy|derivative_from")
_PRELU: Arguments[Array] = Arguments("activations", "x[B I] slope[I|1] out![B I]=x")
_PRELU_BACKWARD: Arguments[Array] = Arguments("activations", "dy[B I] x[B I] slope[I|1] out![B I]=dy")


def activation(name: str, x: ArrayLike, *, out: Array | None = None, **parameters: float) -> Array:
    """Compute the named activation of each element.

    Parameters
    ----------
    name : str
        The activation, by the name of its function.
    x : array_like
        Of any shape.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` itself, or not overlapping it.
    **parameters : float
        Parameters of the function of that name, with the same defaults.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, `out` has another dtype, or the activation has no such parameter.
    ValueError
        If the name is unknown, a parameter out of range, or `out` has another shape or overlaps `x` in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.activation("leaky_relu", [-1.0, 0.0, 2.0], negative_slope=0.5)
    array([-0.5,  0. ,  2. ])
    """
    name, values = check.activation(name, parameters)
    module, threads, ready, result = _ACTIVATION(x, out)
    if not ready:
        (x,) = check.floats(x=x)
        result = check.output(out, x.shape, x.dtype, {}, {"x": x})
    module.activation(name, x, result, values, threads)
    return result


def activation_backward(
    name: str,
    dy: ArrayLike,
    derivative_from: ArrayLike,
    *,
    out: Array | None = None,
    **parameters: float,
) -> Array:
    """Compute ``dy * f'(x)`` for the named activation.

    Parameters
    ----------
    name : str
        As in `activation`.
    dy : array_like
        Gradient by the activation's output.
    derivative_from : array_like, of the shape of `dy`
        The activation's output ``y = f(x)``, or its input x: whichever the function ``<name>_backward`` takes.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype. It may be `dy` or `derivative_from`
        itself, and must not overlap them otherwise.
    **parameters : float
        As in `activation`.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `activation` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.activation_backward("relu", [1.0, 1.0], kernels.relu([-3.0, 3.0]))
    array([0., 1.])
    """
    name, values = check.activation(name, parameters)
    module, threads, ready, result = _ACTIVATION_BACKWARD(dy, derivative_from, out)
    if not ready:
        argument = ACTIVATIONS[name].derivative_argument
        dy, derivative_from = check.floats(**{"dy": dy, argument: derivative_from})
        check.shape(argument, derivative_from, dy.shape)
        result = check.output(out, dy.shape, dy.dtype, {}, {"dy": dy, argument: derivative_from})
    module.activation_backward(name, dy, derivative_from, result, values, threads)
    return result


def prelu(x: ArrayLike, slope: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute x where x > 0, else slope * x, with a slope for each column or one for all.

    The parametric ReLU (He et al., 2015), whose slopes are learned. -0 stays -0, and NaN stays NaN.

    Parameters
    ----------
    x : array_like, shape (B, I)
        One example a row; there may be none.
    slope : array_like, shape (I,) or (1,)
        Of any sign.
    out : ndarray, shape (B, I), optional
        Where to write the result: C-contiguous, of the result's dtype; `x` itself, or not overlapping the inputs.

    Returns
    -------
    ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes do not match, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.prelu([[-2.0, -2.0], [3.0, 3.0]], [0.25, -1.0])
    array([[-0.5,  2. ],
           [ 3. ,  3. ]])
    """
    module, threads, ready, result = _PRELU(x, slope, out)
    if not ready:
        x, slope = check.floats(x=x, slope=slope)
        _check_slope("x", x, slope)
        result = check.output(out, x.shape, x.dtype, {"slope": slope}, {"x": x})
    module.prelu(x, slope, result, threads)
    return result


def prelu_backward(dy: ArrayLike, x: ArrayLike, slope: ArrayLike, *, out: Array | None = None) -> tuple[Array, Array]:
    """Compute the gradients of `prelu` by its input and its slopes.

    ``dx`` is dy where x > 0, else slope * dy. ``dslope`` is the sum of dy * x where x is not above 0, over the rows
    and, for a single slope, also over the columns. PyTorch's form.

    Parameters
    ----------
    dy : array_like, shape (B, I)
        Gradient by the result of `prelu`.
    x : array_like, shape (B, I)
        The input of `prelu`.
    slope : array_like, shape (I,) or (1,)
        The slopes given to `prelu`.
    out : ndarray, shape (B, I), optional
        Where to write dx: C-contiguous, of the result's dtype; `dy` itself, or not overlapping the inputs.

    Returns
    -------
    dx : ndarray, shape (B, I)
        `out`, or a new array: float32 if every array given is float32, else float64.
    dslope : ndarray, of the shape of `slope`
        Of the same dtype.

    Raises
    ------
    TypeError, ValueError
        As `prelu` does.

    Examples
    --------
    >>> from fastnn import kernels
    >>> dx, dslope = kernels.prelu_backward([[1.0], [1.0]], [[-2.0], [3.0]], [0.25])
    >>> dx.ravel(), dslope
    (array([0.25, 1.  ]), array([-2.]))
    """
    module, threads, ready, result = _PRELU_BACKWARD(dy, x, slope, out)
    if not ready:
        dy, x, slope = check.floats(dy=dy, x=x, slope=slope)
        _check_slope("dy", dy, slope)
        check.shape("x", x, dy.shape)
        result = check.output(out, dy.shape, dy.dtype, {"x": x, "slope": slope}, {"dy": dy})
    if result.size == 0:
        return result, np.zeros(np.shape(slope), result.dtype)
    length = np.size(slope)
    by_column = np.zeros(max(length, result.shape[1]), result.dtype)
    module.prelu_backward(dy, x, slope, result, by_column, threads)
    return result, by_column if length == len(by_column) else by_column[:length].copy()


def _check_slope(name: str, array: Array, slope: Array) -> None:
    check.shape(name, array, ("rows", "features"))
    if slope.shape != (1,):
        check.shape("slope", slope, array.shape[1:])
