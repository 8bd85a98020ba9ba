"""Parameter updates in place, and the scalars that each takes.

Every operation rounds in the arrays' dtype, in one order, so that both backends give the same bits. A slot (momentum,
mean square) that falls below the smallest normal number becomes 0. Where libraries differ, the formula is PyTorch's.
"""

import numpy as np
import numpy.typing as npt

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._choose import inner, inner_and_ready, threads

__all__ = [
    "adam",
    "adam_scalars",
    "momentum",
    "momentum_scalars",
    "nesterov",
    "nesterov_scalars",
    "nesterov_velocity",
    "nesterov_velocity_scalars",
    "regularize",
    "rmsprop",
    "rmsprop_scalars",
    "sgd",
    "sgd_scalars",
    "sums",
    "velocity",
    "velocity_scalars",
]


def _stack(*scalars: npt.ArrayLike) -> Array:
    if all(isinstance(scalar, float) for scalar in scalars):  # a single step: broadcasting would take longer than it
        return np.array(scalars, np.float64)
    return np.stack(np.broadcast_arrays(*(np.asarray(scalar, np.float64) for scalar in scalars)), axis=-1)


def sgd_scalars(lr: npt.ArrayLike) -> Array:
    """Return what `sgd` computes with, along a last axis: (lr,)."""
    return _stack(lr)


def momentum_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike) -> Array:
    """Return what `momentum` computes with, along a last axis: (lr, momentum)."""
    return _stack(lr, momentum)


def nesterov_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike) -> Array:
    """Return what `nesterov` computes with, along a last axis: (lr, momentum)."""
    return _stack(lr, momentum)


def velocity_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike) -> Array:
    """Return what `velocity` computes with, along a last axis: (lr, momentum)."""
    return _stack(lr, momentum)


def nesterov_velocity_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike) -> Array:
    """Return what `nesterov_velocity` computes with, along a last axis: (lr, momentum)."""
    return _stack(lr, momentum)


def rmsprop_scalars(lr: npt.ArrayLike, alpha: npt.ArrayLike, eps: npt.ArrayLike) -> Array:
    """Return what `rmsprop` computes with, along a last axis: (lr, alpha, 1 - alpha, eps)."""
    return _stack(lr, alpha, 1 - np.asarray(alpha, np.float64), eps)


def adam_scalars(
    step: npt.ArrayLike,
    lr: npt.ArrayLike,
    beta1: npt.ArrayLike,
    beta2: npt.ArrayLike,
    eps: npt.ArrayLike,
    *,
    eps_hat: bool = False,
) -> Array:
    """Return what `adam` computes with, along a last axis.

    ``(lr * c / (1 - beta1**step), 1 - beta1, beta2, 1 - beta2, eps * c)`` with ``c = sqrt(1 - beta2**step)``: the
    corrections of the bias, taken out of the denominator. With `eps_hat` the last is `eps`, which is then added to
    the root of the mean square that is not corrected.
    """
    step, lr, beta1, beta2 = (np.asarray(scalar, np.float64) for scalar in (step, lr, beta1, beta2))
    root = np.sqrt(1 - beta2**step)
    return _stack(lr * root / (1 - beta1**step), 1 - beta1, beta2[()], 1 - beta2, eps if eps_hat else eps * root)


def _update(kind: str, w: Array, g: npt.ArrayLike, slots: dict[str, Array], scalars: Array) -> Array:
    run, ready = inner_and_ready("optimizers")
    if not ready((w, *slots.values()), (g,)):
        check.writable("w", w)
        (gradient,) = check.floats(g=g)
        if gradient.dtype != w.dtype:
            check.fail(TypeError, "g", f"dtype {w.dtype}, that of w", f"dtype {gradient.dtype}")
        check.shape("g", gradient, w.shape)
        before = {"g": gradient}
        for name, array in {"w": w, **slots}.items():
            check.shape(name, check.writable(name, array, w.dtype), w.shape)
            check.overlap(name, array, before)
            before[name] = array
        g = gradient
    run.update(kind, w, g, tuple(slots.values()), scalars, threads())
    return w


def sgd(w: Array, g: npt.ArrayLike, *, lr: float) -> Array:
    """Update by gradient descent, in place: ``w -= lr * g``.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    lr : float
        Learning rate, not negative.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError
        If an array has another dtype than `w`, or `w` is no float ndarray.
    ValueError
        If shapes differ, a number is out of range, or arrays overlap.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.sgd(np.ones(2), [1.0, 2.0], lr=0.5)
    array([0.5, 0. ])
    """
    return _update("sgd", w, g, {}, sgd_scalars(check.real("lr", lr, 0)))


def momentum(w: Array, g: npt.ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9) -> Array:
    """Update by gradient descent with momentum, in place: ``buf = momentum * buf + g``, ``w -= lr * buf``.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    buf : ndarray, of the shape and dtype of `w`
        The momentum buffer, zeros at first; updated in place.
    lr : float
        Learning rate, not negative.
    momentum : float, default 0.9
        From 0 to less than 1.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError, ValueError
        As `sgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.momentum(np.ones(2), [1.0, 2.0], np.zeros(2), lr=0.5)
    array([0.5, 0. ])
    """
    scalars = momentum_scalars(check.real("lr", lr, 0), check.real("momentum", momentum, 0, 1))
    return _update("momentum", w, g, {"buf": buf}, scalars)


def nesterov(w: Array, g: npt.ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9) -> Array:
    """Update with Nesterov's momentum, in place: ``buf = momentum * buf + g``, ``w -= lr * (g + momentum * buf)``.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    buf : ndarray, of the shape and dtype of `w`
        The momentum buffer, zeros at first; updated in place.
    lr : float
        Learning rate, not negative.
    momentum : float, default 0.9
        From 0 to less than 1.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError, ValueError
        As `sgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.nesterov(np.ones(2), [1.0, 2.0], np.zeros(2), lr=0.5, momentum=0.5)
    array([ 0.25, -0.5 ])
    """
    scalars = nesterov_scalars(check.real("lr", lr, 0), check.real("momentum", momentum, 0, 1))
    return _update("nesterov", w, g, {"buf": buf}, scalars)


def velocity(w: Array, g: npt.ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9) -> Array:
    """Update with momentum, the rate inside, in place: ``buf = momentum * buf - lr * g``, ``w += buf``.

    The form of Sutskever et al. (2013), Caffe and scikit-learn: at a constant rate it moves `w` as `momentum` does,
    and where the rate changes, what is in `buf` keeps the old one.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    buf : ndarray, of the shape and dtype of `w`
        The velocity, zeros at first; updated in place.
    lr : float
        Learning rate, not negative.
    momentum : float, default 0.9
        From 0 to less than 1.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError, ValueError
        As `sgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.velocity(np.ones(2), [1.0, 2.0], np.ones(2), lr=0.5, momentum=0.5)
    array([1. , 0.5])
    """
    scalars = velocity_scalars(check.real("lr", lr, 0), check.real("momentum", momentum, 0, 1))
    return _update("velocity", w, g, {"buf": buf}, scalars)


def nesterov_velocity(w: Array, g: npt.ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9) -> Array:
    """Update with Nesterov's momentum, the rate inside, in place.

    ``buf = momentum * buf - lr * g`` and ``w += momentum * buf - lr * g``, as scikit-learn has it.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    buf : ndarray, of the shape and dtype of `w`
        The velocity, zeros at first; updated in place.
    lr : float
        Learning rate, not negative.
    momentum : float, default 0.9
        From 0 to less than 1.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError, ValueError
        As `sgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.nesterov_velocity(np.ones(2), [1.0, 2.0], np.ones(2), lr=0.5, momentum=0.5)
    array([ 0.5 , -0.25])
    """
    scalars = nesterov_velocity_scalars(check.real("lr", lr, 0), check.real("momentum", momentum, 0, 1))
    return _update("nesterov_velocity", w, g, {"buf": buf}, scalars)


def rmsprop(
    w: Array,
    g: npt.ArrayLike,
    v: Array,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
) -> Array:
    """Update by RMSprop, in place: ``v = alpha * v + (1 - alpha) * g**2``, ``w -= lr * g / (sqrt(v) + eps)``.

    As PyTorch, and unlike TensorFlow, it adds `eps` after the root.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    v : ndarray, of the shape and dtype of `w`
        The mean square, zeros at first; updated in place.
    lr : float, default 0.01
        Learning rate, not negative.
    alpha : float, default 0.99
        What the mean square keeps, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError, ValueError
        As `sgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.rmsprop(np.ones(1), [2.0], np.zeros(1), lr=0.5, alpha=0.75, eps=0.0)
    array([0.])
    """
    scalars = rmsprop_scalars(check.real("lr", lr, 0), check.real("alpha", alpha, 0, 1), check.real("eps", eps, 0))
    return _update("rmsprop", w, g, {"v": v}, scalars)


def adam(
    w: Array,
    g: npt.ArrayLike,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Array:
    """Update by Adam, in place (Kingma and Ba, 2014; PyTorch's form).

    ``m = m + (1 - beta1) * (g - m)``, ``v = beta2 * v + (1 - beta2) * g**2`` and
    ``w -= lr / (1 - beta1**step) * m / (sqrt(v) / sqrt(1 - beta2**step) + eps)``. `eps` is added after the correction
    of the bias; scikit-learn adds it before.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    m, v : ndarray, of the shape and dtype of `w`
        The mean and the mean square, zeros at first; updated in place.
    step : int
        Which update this is, 1 for the first.
    lr : float, default 0.001
        Learning rate, not negative.
    beta1, beta2 : float, default 0.9 and 0.999
        What the means keep, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError, ValueError
        As `sgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.adam(np.ones(1), [3.0], np.zeros(1), np.zeros(1), step=1, lr=0.5)
    array([0.5])
    """
    scalars = adam_scalars(
        check.integer("step", step, 1),
        check.real("lr", lr, 0),
        check.real("beta1", beta1, 0, 1),
        check.real("beta2", beta2, 0, 1),
        check.real("eps", eps, 0),
    )
    return _update("adam", w, g, {"m": m, "v": v}, scalars)


def regularize(
    w: npt.ArrayLike, g: npt.ArrayLike, *, l1: float = 0.0, l2: float = 0.0, out: Array | None = None
) -> Array:
    """Add the gradient of ``l1 * sum(|w|) + l2 / 2 * sum(w**2)``: ``g + (l2 * w + l1 * sign(w))``.

    ``sign(0)`` is 0.

    Parameters
    ----------
    w : array_like
        Parameters.
    g : array_like, of the shape of `w`
        Their gradient.
    l1, l2 : float, default 0.0
        Not negative.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `w` or `g` itself, or apart from both.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if both are float32, else float64.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers, or `out` has another dtype.
    ValueError
        If shapes differ, a number is out of range, or `out` overlaps an input in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.regularize([2.0, 0.0, -4.0], [1.0, 1.0, 1.0], l1=0.25, l2=0.5)
    array([ 2.25,  1.  , -1.25])
    """
    l1, l2 = check.real("l1", l1, 0), check.real("l2", l2, 0)
    wide, gradient = check.floats(w=w, g=g)
    check.shape("g", gradient, wide.shape)
    out = check.output(out, wide.shape, wide.dtype, {}, {"w": wide, "g": gradient})
    flat = (array.reshape(-1) for array in (wide, gradient))
    inner("optimizers").regularize(*flat, l1, l2, out.reshape(-1), threads())
    return out


def sums(x: npt.ArrayLike) -> tuple[float, float]:
    """Return ``sum(|x|)`` and ``sum(x**2)``, added in float64 in one order for any number of threads.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    (float, float)

    Raises
    ------
    TypeError
        If `x` is no array of real numbers.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.sums([3.0, -4.0])
    (7.0, 25.0)
    """
    (array,) = check.floats(x=x)
    magnitude, square = inner("optimizers").sums(array.reshape(-1), threads())
    return magnitude, square
