"""Parameter updates in place, and the scalars of each.

Every operation rounds in the arrays' dtype, in a fixed order, so that both backends give the same bits. A slot
(momentum, mean square) below the smallest normal number becomes 0. Where libraries differ, the formula is PyTorch's.
"""

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._dispatch import backend_module, module_and_fast_check, threads

__all__ = [
    "adadelta",
    "adadelta_scalars",
    "adagrad",
    "adagrad_scalars",
    "adam",
    "adam_scalars",
    "amsgrad",
    "clip",
    "limit_norms",
    "momentum",
    "momentum_scalars",
    "nadam",
    "nadam_scalars",
    "nesterov",
    "nesterov_scalars",
    "nesterov_velocity",
    "nesterov_velocity_scalars",
    "regularize",
    "rmsprop",
    "rmsprop_centered",
    "rmsprop_centered_momentum",
    "rmsprop_centered_momentum_scalars",
    "rmsprop_centered_scalars",
    "rmsprop_momentum",
    "rmsprop_momentum_scalars",
    "rmsprop_scalars",
    "scale",
    "sgd",
    "sgd_scalars",
    "sums",
    "velocity",
    "velocity_scalars",
]

SLOTS: dict[str, tuple[str, ...]] = {
    "sgd": (),
    "momentum": ("buf",),
    "nesterov": ("buf",),
    "velocity": ("buf",),
    "nesterov_velocity": ("buf",),
    "adagrad": ("v",),
    "adadelta": ("v", "u"),
    "rmsprop": ("v",),
    "rmsprop_momentum": ("v", "buf"),
    "rmsprop_centered": ("v", "mean"),
    "rmsprop_centered_momentum": ("v", "mean", "buf"),
    "adam": ("m", "v"),
    "amsgrad": ("m", "v", "top"),
    "nadam": ("m", "v"),
}
"""The slots of each update: the arrays that it keeps between steps."""


def _stack(*scalars: npt.ArrayLike) -> Array:
    if all(isinstance(scalar, float) for scalar in scalars):  # broadcasting would take longer than a single step
        return np.array(scalars, np.float64)
    table = np.empty((*np.broadcast(*scalars).shape, len(scalars)))
    for i, scalar in enumerate(scalars):
        table[..., i] = scalar
    return table


def sgd_scalars(lr: npt.ArrayLike) -> Array:
    """Return the scalars of `sgd` along a last axis: (lr,)."""
    return _stack(lr)


def momentum_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike, dampening: npt.ArrayLike = 0.0) -> Array:
    """Return the scalars of `momentum` along a last axis: (lr, momentum, 1 - dampening)."""
    return _stack(lr, momentum, 1 - np.asarray(dampening, np.float64))


def nesterov_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike) -> Array:
    """Return the scalars of `nesterov` along a last axis: (lr, momentum)."""
    return _stack(lr, momentum)


def velocity_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike) -> Array:
    """Return the scalars of `velocity` along a last axis: (lr, momentum)."""
    return _stack(lr, momentum)


def nesterov_velocity_scalars(lr: npt.ArrayLike, momentum: npt.ArrayLike) -> Array:
    """Return the scalars of `nesterov_velocity` along a last axis: (lr, momentum)."""
    return _stack(lr, momentum)


def adagrad_scalars(lr: npt.ArrayLike, eps: npt.ArrayLike) -> Array:
    """Return the scalars of `adagrad` along a last axis: (lr, eps)."""
    return _stack(lr, eps)


def adadelta_scalars(lr: npt.ArrayLike, rho: npt.ArrayLike, eps: npt.ArrayLike) -> Array:
    """Return the scalars of `adadelta` along a last axis: (lr, rho, 1 - rho, eps)."""
    return _stack(lr, rho, 1 - np.asarray(rho, np.float64), eps)


def rmsprop_scalars(lr: npt.ArrayLike, alpha: npt.ArrayLike, eps: npt.ArrayLike) -> Array:
    """Return the scalars of `rmsprop` along a last axis: (lr, alpha, 1 - alpha, eps)."""
    return _stack(lr, alpha, 1 - np.asarray(alpha, np.float64), eps)


rmsprop_centered_scalars = rmsprop_scalars


def rmsprop_momentum_scalars(
    lr: npt.ArrayLike, alpha: npt.ArrayLike, eps: npt.ArrayLike, momentum: npt.ArrayLike
) -> Array:
    """Return the scalars of `rmsprop_momentum` along a last axis: (lr, alpha, 1 - alpha, eps, momentum)."""
    return _stack(lr, alpha, 1 - np.asarray(alpha, np.float64), eps, momentum)


rmsprop_centered_momentum_scalars = rmsprop_momentum_scalars


def adam_scalars(
    step: npt.ArrayLike,
    lr: npt.ArrayLike,
    beta1: npt.ArrayLike,
    beta2: npt.ArrayLike,
    eps: npt.ArrayLike,
    *,
    eps_hat: bool = False,
) -> Array:
    """Return the scalars of `adam` along a last axis.

    ``(lr * c / (1 - beta1**step), 1 - beta1, beta2, 1 - beta2, eps * c)`` with ``c = sqrt(1 - beta2**step)``: the
    corrections of the bias are moved out of the denominator. With `eps_hat` the last scalar is `eps`, which is then
    added to the root of the uncorrected mean square.
    """
    numbers: tuple[Any, ...] = step, lr, beta1, beta2, eps
    if all(type(number) is float or type(number) is int for number in numbers):
        return np.array(_adam_step(eps_hat, *numbers), np.float64)
    lr, beta1, beta2 = (np.asarray(scalar, np.float64) for scalar in (lr, beta1, beta2))
    root = np.sqrt(1 - _power(beta2, step))
    rate = lr * root / (1 - _power(beta1, step))
    return _stack(rate, 1 - beta1, beta2[()], 1 - beta2, eps if eps_hat else eps * root)


def _adam_step(eps_hat: bool, step: int, lr: float, beta1: float, beta2: float, eps: float) -> list[float]:
    """Return the scalars of a single step, in plain Python: NumPy would take longer than the update of a small net."""
    root = math.sqrt(1 - beta2**step)
    return [lr * root / (1 - beta1**step), 1 - beta1, beta2, 1 - beta2, eps if eps_hat else eps * root]


def _power(base: npt.ArrayLike, exponent: npt.ArrayLike) -> Any:
    """Return powers as Python computes them: the last bits of NumPy's depend on the processor's vector unit."""
    shape = np.broadcast(base, exponent).shape
    powers, exponents = np.empty(shape), np.empty(shape)
    powers[...], exponents[...] = base, exponent
    backend_module("optimizers").power(powers.reshape(-1), exponents.reshape(-1))
    return powers


def nadam_scalars(
    step: npt.ArrayLike,
    lr: npt.ArrayLike,
    beta1: float,
    beta2: npt.ArrayLike,
    eps: npt.ArrayLike,
    momentum_decay: float,
) -> Array:
    """Return the scalars of `nadam` along a last axis.

    ``(lr * c * (1 - mu(step)) / (1 - M(step)), lr * c * mu(step + 1) / (1 - M(step + 1)), 1 - beta1, beta2, 1 - beta2,
    eps * c)`` with ``c = sqrt(1 - beta2**step)``, and `mu` and `M` as in `nadam`.
    """
    step = np.asarray(step)
    lr, beta2 = np.asarray(lr, np.float64), np.asarray(beta2, np.float64)
    root = np.sqrt(1 - _power(beta2, step))
    product = _products(beta1, momentum_decay, int(step.max(initial=0)) + 1)
    at_step, at_next = (1 - product[np.minimum(at, len(product) - 1)] for at in (step, step + 1))
    of_gradient = lr * root * (1 - _momentum_at(beta1, momentum_decay, step)) / at_step
    of_mean = lr * root * _momentum_at(beta1, momentum_decay, step + 1) / at_next
    return _stack(of_gradient, of_mean, 1 - beta1, beta2[()], 1 - beta2, eps * root)


def _momentum_at(beta1: float, decay: float, step: Array) -> Array:
    return np.asarray(beta1 * (1 - 0.5 * _power(0.96, step * decay)))


def _products(beta1: float, decay: float, last: int) -> Array:
    """Return ``M(0), M(1), ...`` of `nadam` at least up to M(last), or until 1 - M rounds to 1 in float64."""
    enough = 2 if beta1 == 0 else math.ceil(-40 / math.log(beta1)) + 1  # exp(-40) is less than half a spacing of 1
    return _product_table(beta1, decay, min(enough, 1 << max(last, 1).bit_length()))


@functools.lru_cache(maxsize=8)
def _product_table(beta1: float, decay: float, length: int) -> Array:
    table: Array = np.cumprod(np.append(1.0, _momentum_at(beta1, decay, np.arange(1, length + 1))))
    return table


def _update(kind: str, w: Array, g: npt.ArrayLike, slots: dict[str, Array], scalars: Array) -> Array:
    module, fast_check = module_and_fast_check("optimizers")
    arrays = tuple(slots.values())
    if not fast_check((w, *arrays), (g,)):
        check.writable("w", w)
        (gradient,) = check.floats(g=g)
        if gradient.dtype != w.dtype:
            check.refuse(TypeError, "g", f"have dtype {w.dtype}, that of w", f"dtype {gradient.dtype}")
        check.shape("g", gradient, w.shape)
        checked = {"g": gradient}
        for name, array in {"w": w, **slots}.items():
            check.shape(name, check.writable(name, array, w.dtype), w.shape)
            check.overlap(name, array, checked)
            checked[name] = array
        g = gradient
    module.update(kind, w, g, arrays, scalars, threads())
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


def momentum(
    w: Array, g: npt.ArrayLike, buf: Array, *, lr: float, momentum: float = 0.9, dampening: float = 0.0
) -> Array:
    """Update by gradient descent with momentum, in place.

    ``buf = momentum * buf + (1 - dampening) * g``, ``w -= lr * buf``.

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
    dampening : float, default 0.0
        From 0 to 1. PyTorch's optimiser does not apply it in the first update.

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
    damping = check.real("dampening", dampening, 0, 1, closed=True)
    scalars = momentum_scalars(check.real("lr", lr, 0), check.real("momentum", momentum, 0, 1), damping)
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
    """Update with momentum whose buffer contains the rate, in place: ``buf = momentum * buf - lr * g``, ``w += buf``.

    The form of Sutskever et al. (2013), Caffe and scikit-learn. At a constant rate it changes `w` as `momentum` does;
    when the rate changes, the past gradients in `buf` keep the old rate.

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
    """Update with Nesterov's momentum whose buffer contains the rate, in place.

    ``buf = momentum * buf - lr * g`` and ``w += momentum * buf - lr * g``, scikit-learn's form.

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


def adagrad(w: Array, g: npt.ArrayLike, v: Array, *, lr: float = 1e-2, eps: float = 1e-10) -> Array:
    """Update by Adagrad (Duchi, Hazan and Singer, 2011), in place: ``v = v + g**2``, ``w -= lr * g / (sqrt(v) + eps)``.

    `v` only grows, so the factor of an entry's gradient only falls. PyTorch's form.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    v : ndarray, of the shape and dtype of `w`
        The sum of squares, zeros or a constant at first; updated in place.
    lr : float, default 0.01
        Learning rate, not negative.
    eps : float, default 1e-10
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
    >>> kernels.adagrad(np.ones(2), [3.0, -3.0], np.array([0.0, 16.0]), lr=0.5)
    array([0.5, 1.3])
    """
    scalars = adagrad_scalars(check.real("lr", lr, 0), check.real("eps", eps, 0))
    return _update("adagrad", w, g, {"v": v}, scalars)


def adadelta(
    w: Array,
    g: npt.ArrayLike,
    v: Array,
    u: Array,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
) -> Array:
    """Update by Adadelta (Zeiler, 2012), in place.

    ``v = rho * v + (1 - rho) * g**2``, ``d = sqrt(u + eps) / sqrt(v + eps) * g``, ``u = rho * u + (1 - rho) * d**2``
    and ``w -= lr * d``. PyTorch's form; the paper's has no `lr`.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    v, u : ndarray, of the shape and dtype of `w`
        The mean squares of gradients and of moves, zeros at first; updated in place.
    lr : float, default 1.0
        Learning rate, not negative.
    rho : float, default 0.9
        Weight of the old value in the running means, from 0 to less than 1.
    eps : float, default 1e-6
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
    >>> kernels.adadelta(np.ones(1), [2.0], np.zeros(1), np.ones(1), rho=0.75, eps=0.0)
    array([-1.])
    """
    scalars = adadelta_scalars(check.real("lr", lr, 0), check.real("rho", rho, 0, 1), check.real("eps", eps, 0))
    return _update("adadelta", w, g, {"v": v, "u": u}, scalars)


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

    As in PyTorch, and unlike TensorFlow, `eps` is added after the root.

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
        Weight of the old value in the running mean square, from 0 to less than 1.
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


def rmsprop_momentum(
    w: Array,
    g: npt.ArrayLike,
    v: Array,
    buf: Array,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.9,
) -> Array:
    """Update by RMSprop with momentum, in place.

    ``v = alpha * v + (1 - alpha) * g**2``, ``buf = momentum * buf + g / (sqrt(v) + eps)`` and ``w -= lr * buf``: as in
    PyTorch, the buffer does not contain the learning rate.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    v, buf : ndarray, of the shape and dtype of `w`
        The mean square and the momentum, zeros at first; updated in place.
    lr : float, default 0.01
        Learning rate, not negative.
    alpha : float, default 0.99
        Weight of the old value in the running means, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.
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
    >>> kernels.rmsprop_momentum(np.ones(1), [2.0], np.zeros(1), np.ones(1), lr=0.5, alpha=0.75, eps=0.0, momentum=0.5)
    array([-0.25])
    """
    scalars = rmsprop_momentum_scalars(
        check.real("lr", lr, 0),
        check.real("alpha", alpha, 0, 1),
        check.real("eps", eps, 0),
        check.real("momentum", momentum, 0, 1),
    )
    return _update("rmsprop_momentum", w, g, {"v": v, "buf": buf}, scalars)


def rmsprop_centered(
    w: Array,
    g: npt.ArrayLike,
    v: Array,
    mean: Array,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
) -> Array:
    """Update by centred RMSprop, in place.

    ``v = alpha * v + (1 - alpha) * g**2``, ``mean = mean + (1 - alpha) * (g - mean)`` and
    ``w -= lr * g / (sqrt(v - mean**2) + eps)``: the variance in place of the mean square. Where rounding would
    make it negative, it is 0.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    v, mean : ndarray, of the shape and dtype of `w`
        The mean square and the mean, zeros at first; updated in place.
    lr : float, default 0.01
        Learning rate, not negative.
    alpha : float, default 0.99
        Weight of the old value in the running means, from 0 to less than 1.
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
    >>> kernels.rmsprop_centered(np.ones(1), [2.0], np.zeros(1), np.zeros(1), lr=0.5, alpha=0.5, eps=0.0)
    array([0.])
    """
    scalars = rmsprop_centered_scalars(
        check.real("lr", lr, 0), check.real("alpha", alpha, 0, 1), check.real("eps", eps, 0)
    )
    return _update("rmsprop_centered", w, g, {"v": v, "mean": mean}, scalars)


def rmsprop_centered_momentum(
    w: Array,
    g: npt.ArrayLike,
    v: Array,
    mean: Array,
    buf: Array,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.9,
) -> Array:
    """Update by centred RMSprop with momentum, in place.

    The means are those of `rmsprop_centered`; ``buf = momentum * buf + g / (sqrt(v - mean**2) + eps)`` and
    ``w -= lr * buf``.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    v, mean, buf : ndarray, of the shape and dtype of `w`
        The mean square, the mean and the momentum, zeros at first; updated in place.
    lr : float, default 0.01
        Learning rate, not negative.
    alpha : float, default 0.99
        Weight of the old value in the running means, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.
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
    >>> kernels.rmsprop_centered_momentum(
    ...     np.ones(1), [2.0], np.zeros(1), np.zeros(1), np.ones(1), lr=0.5, alpha=0.5, eps=0.0, momentum=0.5
    ... )
    array([-0.25])
    """
    scalars = rmsprop_centered_momentum_scalars(
        check.real("lr", lr, 0),
        check.real("alpha", alpha, 0, 1),
        check.real("eps", eps, 0),
        check.real("momentum", momentum, 0, 1),
    )
    return _update("rmsprop_centered_momentum", w, g, {"v": v, "mean": mean, "buf": buf}, scalars)


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
        Number of the update, 1 for the first.
    lr : float, default 0.001
        Learning rate, not negative.
    beta1, beta2 : float, default 0.9 and 0.999
        Weights of the old values in the running means, from 0 to less than 1.
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
    scalars = _adam_step(
        eps_hat=False,
        step=check.integer("step", step, 1),
        lr=check.real("lr", lr, 0),
        beta1=check.real("beta1", beta1, 0, 1),
        beta2=check.real("beta2", beta2, 0, 1),
        eps=check.real("eps", eps, 0),
    )
    return _update("adam", w, g, {"m": m, "v": v}, np.array(scalars))


def amsgrad(
    w: Array,
    g: npt.ArrayLike,
    m: Array,
    v: Array,
    top: Array,
    *,
    step: int,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Array:
    """Update by AMSGrad (Reddi, Kale and Kumar, 2018), in place: `adam` with the largest mean square so far.

    `m` and `v` are those of `adam`, ``top = max(top, v)``, and
    ``w -= lr / (1 - beta1**step) * m / (sqrt(top) / sqrt(1 - beta2**step) + eps)``. As in PyTorch, the maximum is
    taken before the correction of the bias.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    m, v, top : ndarray, of the shape and dtype of `w`
        The mean, the mean square and its largest value, zeros at first; updated in place.
    step : int
        Number of the update, 1 for the first.
    lr : float, default 0.001
        Learning rate, not negative.
    beta1, beta2 : float, default 0.9 and 0.999
        Weights of the old values in the running means, from 0 to less than 1.
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
    >>> kernels.amsgrad(np.ones(1), [3.0], np.zeros(1), np.zeros(1), np.zeros(1), step=1, lr=0.5)
    array([0.5])
    """
    scalars = adam_scalars(
        check.integer("step", step, 1),
        check.real("lr", lr, 0),
        check.real("beta1", beta1, 0, 1),
        check.real("beta2", beta2, 0, 1),
        check.real("eps", eps, 0),
    )
    return _update("amsgrad", w, g, {"m": m, "v": v, "top": top}, scalars)


def nadam(
    w: Array,
    g: npt.ArrayLike,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> Array:
    """Update by NAdam (Dozat, 2016), in place: Adam with Nesterov's momentum.

    `m` and `v` are those of `adam`. With ``mu(t) = beta1 * (1 - 0.96**(t * momentum_decay) / 2)``, ``M(t)`` the product
    of ``mu(1) ... mu(t)`` and ``d = sqrt(v / (1 - beta2**step)) + eps``,
    ``w -= lr * ((1 - mu(step)) / (1 - M(step)) * g + mu(step + 1) / (1 - M(step + 1)) * m) / d``. PyTorch's form.

    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
    m, v : ndarray, of the shape and dtype of `w`
        The mean and the mean square, zeros at first; updated in place.
    step : int
        Number of the update, 1 for the first.
    lr : float, default 0.002
        Learning rate, not negative.
    beta1, beta2 : float, default 0.9 and 0.999
        Weights of the old values in the running means, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.
    momentum_decay : float, default 0.004
        How fast `mu` grows to `beta1`; not negative.

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
    >>> kernels.nadam(np.ones(1), [3.0], np.zeros(1), np.zeros(1), step=1, lr=0.5, eps=0.0).round(6)
    array([0.471774])
    """
    scalars = nadam_scalars(
        check.integer("step", step, 1),
        check.real("lr", lr, 0),
        check.real("beta1", beta1, 0, 1),
        check.real("beta2", beta2, 0, 1),
        check.real("eps", eps, 0),
        check.real("momentum_decay", momentum_decay, 0),
    )
    return _update("nadam", w, g, {"m": m, "v": v}, scalars)


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
        Where to write the result: C-contiguous, of the result's shape and dtype; `w` or `g` itself, or
        overlapping neither.

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
    backend_module("optimizers").regularize(*flat, l1, l2, out.reshape(-1), threads())
    return out


def clip(x: npt.ArrayLike, limit: float, *, out: Array | None = None) -> Array:
    """Clip entries by value: ``min(max(x, -limit), limit)``.

    Parameters
    ----------
    x : array_like
        Of any shape.
    limit : float
        Above 0.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` itself, or not overlapping it.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, or `out` has another dtype.
    ValueError
        If `limit` is out of range, or `out` overlaps `x` in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.clip([-3.0, 0.5, 2.0], 1.0)
    array([-1. ,  0.5,  1. ])
    """
    limit = check.real("limit", limit, 0, excluded=True)
    return _by_elements("clip", x, limit, out)


def scale(x: npt.ArrayLike, factor: float, *, out: Array | None = None) -> Array:
    """Multiply: ``factor * x``.

    Parameters
    ----------
    x : array_like
        Of any shape.
    factor : float
        Finite.
    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` itself, or not overlapping it.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers, or `out` has another dtype.
    ValueError
        If `factor` is not finite, or `out` overlaps `x` in part.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.scale([1.0, -2.0], 0.5)
    array([ 0.5, -1. ])
    """
    return _by_elements("scale", x, check.real("factor", factor, -math.inf), out)


def _by_elements(name: str, x: npt.ArrayLike, by: float, out: Array | None) -> Array:
    (array,) = check.floats(x=x)
    out = check.output(out, array.shape, array.dtype, {}, {"x": array})
    getattr(backend_module("optimizers"), name)(array.reshape(-1), by, out.reshape(-1), threads())
    return out


def limit_norms(w: Array, limit: float) -> Array:
    """Scale columns whose Euclidean norm is above `limit` down to it, in place.

    The constraint of Srivastava et al. (2014) on the incoming weights of each unit of a dense layer.

    Parameters
    ----------
    w : ndarray of float32 or float64, shape (rows, columns)
        C-contiguous.
    limit : float
        Above 0.

    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError
        If `w` is no float ndarray.
    ValueError
        If `w` is no matrix that can be written in place, or `limit` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.limit_norms(np.array([[3.0, 0.3], [4.0, 0.4]]), 1.0)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """
    limit = check.real("limit", limit, 0, excluded=True)
    check.shape("w", check.writable("w", w), ("rows", "columns"))
    backend_module("optimizers").limit_norms(w, limit, threads())
    return w


def sums(x: npt.ArrayLike) -> tuple[float, float]:
    """Return ``sum(|x|)`` and ``sum(x**2)``, added in float64 in one order for any number of threads.

    Parameters
    ----------
    x : array_like
        Of any shape.

    Returns
    -------
    (float, float)
        The two sums.

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
    magnitude, square = backend_module("optimizers").sums(array.reshape(-1), threads())
    return magnitude, square
