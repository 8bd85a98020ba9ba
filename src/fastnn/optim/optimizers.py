"""Optimisers: their settings, and the numbers that each step computes with. The arithmetic is in `fastnn.kernels`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import kernels
from fastnn._typing import Array

__all__ = ["SGD", "Adam", "Optimizer", "RMSprop"]


class Optimizer(ABC):
    """What all optimisers have. They hold settings alone; slots and step count are the trainer's.

    Attributes
    ----------
    lr : float
        Learning rate.
    """

    lr: float

    @property
    @abstractmethod
    def kind(self) -> str:
        """The name of the update among the kernels."""

    @property
    @abstractmethod
    def n_slots(self) -> int:
        """How many arrays of the parameters' size the update keeps."""

    @abstractmethod
    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return what the update computes with.

        Parameters
        ----------
        step : array_like of int, shape (n,)
            Which updates they are, 1 for the first.
        lr : array_like, shape (n,)
            Learning rates.

        Returns
        -------
        ndarray of float64, shape (n, s)
        """


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: ``w -= lr * g``, or with momentum ``b = momentum * b + g``, ``w -= lr * b``.

    Nesterov's form takes ``w -= lr * (g + momentum * b)``. As in PyTorch the learning rate is outside `b`.

    Parameters
    ----------
    lr : float, default 0.01
        Not negative.
    momentum : float, default 0.0
        From 0 to less than 1.
    nesterov : bool, default False
        Needs a momentum.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.SGD(lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, nesterov=False)
    """

    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("lr", self.lr, 0)
        v.real("momentum", self.momentum, 0, 1)
        if self.nesterov and self.momentum == 0:
            v.fail(ValueError, "momentum", "a number above 0 with nesterov=True", self.momentum)

    @property
    def kind(self) -> str:
        """The name of the update among the kernels."""
        if self.momentum == 0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    @property
    def n_slots(self) -> int:
        """One for the momentum, if there is one."""
        return 0 if self.momentum == 0 else 1

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return ``(lr,)`` or ``(lr, momentum)`` for each step."""
        lr = np.broadcast_arrays(step, lr)[1]
        return kernels.sgd_scalars(lr) if self.momentum == 0 else kernels.momentum_scalars(lr, self.momentum)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Divide by a running root mean square: ``v = alpha * v + (1 - alpha) * g**2``, ``w -= lr * g / (sqrt(v) + eps)``.

    As in PyTorch, and unlike TensorFlow, `eps` is added after the root.

    Parameters
    ----------
    lr : float, default 0.01
        Not negative.
    alpha : float, default 0.99
        What the mean square keeps, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    kind = "rmsprop"
    n_slots = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("lr", self.lr, 0)
        v.real("alpha", self.alpha, 0, 1)
        v.real("eps", self.eps, 0)

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return ``(lr, alpha, 1 - alpha, eps)`` for each step."""
        return kernels.rmsprop_scalars(np.broadcast_arrays(step, lr)[1], self.alpha, self.eps)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2014) in PyTorch's form: `eps` is added after the correction of the bias.

    ``m = m + (1 - beta1) * (g - m)``, ``v = beta2 * v + (1 - beta2) * g**2``,
    ``w -= lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps)``.

    Parameters
    ----------
    lr : float, default 0.001
        Not negative.
    betas : (float, float), default (0.9, 0.999)
        What the two means keep, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    kind = "adam"
    n_slots = 2

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("lr", self.lr, 0)
        try:
            beta1, beta2 = self.betas
        except (TypeError, ValueError):
            v.fail(TypeError, "betas", "two numbers", repr(self.betas))
        v.real("betas[0]", beta1, 0, 1)
        v.real("betas[1]", beta2, 0, 1)
        v.real("eps", self.eps, 0)

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return the numbers of `fastnn.kernels.adam_scalars` for each step."""
        return kernels.adam_scalars(step, lr, *self.betas, self.eps)
