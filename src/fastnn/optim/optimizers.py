"""Optimisers: their settings, and the numbers that each step computes with. The arithmetic is in `fastnn.kernels`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import kernels
from fastnn._typing import Array

__all__ = ["SGD", "Adam", "Optimizer", "Penalty", "RMSprop"]


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

    Nesterov's form takes ``w -= lr * (g + momentum * b)``. As in PyTorch the learning rate is outside `b`; with
    `velocity` it is inside, as in scikit-learn: ``b = momentum * b - lr * g``, ``w += b``, and in Nesterov's form
    ``w += momentum * b - lr * g``. The two differ where the rate changes.

    Parameters
    ----------
    lr : float, default 0.01
        Not negative.
    momentum : float, default 0.0
        From 0 to less than 1.
    nesterov : bool, default False
        Needs a momentum.
    velocity : bool, default False
        Whether the learning rate is inside the momentum's buffer.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.SGD(lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, nesterov=False, velocity=False)
    """

    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    velocity: bool = False

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
        if self.velocity:
            return "nesterov_velocity" if self.nesterov else "velocity"
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
    ``w -= lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps)``. With `eps_hat` the last is
    ``w -= lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)``, which is scikit-learn's form and the one
    that the paper names after its Algorithm 1.

    Parameters
    ----------
    lr : float, default 0.001
        Not negative.
    betas : (float, float), default (0.9, 0.999)
        What the two means keep, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.
    eps_hat : bool, default False
        Whether `eps` is added before the correction of the bias.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    eps_hat: bool = False
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
        return kernels.adam_scalars(step, lr, *self.betas, self.eps, eps_hat=self.eps_hat)


@dataclass(frozen=True)
class Penalty:
    """What large weights cost: ``l1 * sum(|w|) + l2 / 2 * sum(w**2)``, over the weights of all `Dense` layers.

    Biases and the weights of norms are free. The penalty is part of the training loss that is reported, at the weights
    before the update, and its gradient, ``l1 * sign(w) + l2 * w`` with ``sign(0) = 0``, is added to the loss's; a loss
    of evaluation is without it. With both it is the elastic net's.

    Parameters
    ----------
    l1, l2 : float, default 0.0
        Not negative.
    per_batch : bool, default False
        Whether it is divided by the batch's total weight (its rows, where there are no sample weights), as
        scikit-learn's `alpha` is. `Trainer.step` divides by the rows of the net's last forward pass.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    l1: float = 0.0
    l2: float = 0.0
    per_batch: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("l1", self.l1, 0)
        v.real("l2", self.l2, 0)
