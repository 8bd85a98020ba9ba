"""Optimisers: their settings, and the scalars of each step. The arithmetic is in `fastnn.kernels`.

Written out are those that choose between updates or have settings that no update has. The others are made from the rows
of the registry (update_classes.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._settings import settings
from fastnn._typing import Array
from fastnn._updates import UPDATES
from fastnn.optim import update_classes
from fastnn.optim.base import Optimizer
from fastnn.optim.update_classes import *

__all__ = ["OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]
__all__ += update_classes.__all__

_MOMENTUM = {setting.name: setting for setting in UPDATES["momentum"].settings}
_ADAGRAD, _RMSPROP, _ADAM = (UPDATES[kind].defaults for kind in ("adagrad", "rmsprop", "adam"))


@settings()
class SGD(Optimizer):
    """Gradient descent: ``w -= lr * g``, or with momentum ``b = momentum * b + (1 - dampening) * g``, ``w -= lr * b``.

    Nesterov's form is ``w -= lr * (g + momentum * b)``. As in PyTorch, `b` does not contain the learning rate, and the
    first update has no dampening. With `velocity`, `b` contains the rate, as in scikit-learn:
    ``b = momentum * b - lr * g``, ``w += b``, and in Nesterov's form ``w += momentum * b - lr * g``. The two differ
    where the rate changes.

    Parameters
    ----------
    lr : float, default 0.01
        Not negative.
    momentum : float, default 0.0
        From 0 to less than 1; with `velocity` also 1, as in scikit-learn.
    nesterov : bool, default False
        Whether to use Nesterov's form. It needs a momentum above 0 and no dampening.
    velocity : bool, default False
        Whether the momentum's buffer contains the learning rate. It cannot be combined with dampening.
    dampening : float, default 0.0
        From 0 to 1.
    weight_decay, groups
        As in `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.SGD(lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9)
    """

    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    velocity: bool = False
    dampening: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.boolean("nesterov", self.nesterov)
        v.real("momentum", self.momentum, 0, 1, closed=v.boolean("velocity", self.velocity))
        _MOMENTUM["dampening"].check(self.dampening)
        if self.nesterov and self.momentum == 0:
            v.refuse(ValueError, "momentum", "be above 0 with nesterov=True", self.momentum)
        if self.dampening and (self.nesterov or self.velocity):
            v.refuse(ValueError, "dampening", "be 0 with nesterov=True or velocity=True", self.dampening)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        if self.momentum == 0:
            return "sgd"
        if self.velocity:
            return "nesterov_velocity" if self.nesterov else "velocity"
        return "nesterov" if self.nesterov else "momentum"

    def _numbers(self, step: Array, lr: Array) -> dict[str, Any]:
        dampening = {"dampening": np.where(step == 1, 0.0, self.dampening)} if self.dampening else {}
        return super()._numbers(step, lr) | dampening


@settings()
class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011): divide by the root of the sum of all squares so far.

    ``v = v + g**2``, ``w -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(v) + eps)``, t counting from 1: PyTorch's form.
    (Keras's defaults are 0.1 for the initial `v` and 1e-7 for `eps`.)

    Parameters
    ----------
    lr : float, default 0.01
        Not negative.
    lr_decay : float, default 0.0
        Not negative.
    initial_accumulator_value : float, default 0.0
        Initial value of `v`, not negative.
    eps : float, default 1e-10
        Not negative.
    weight_decay, groups
        As in `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = _ADAGRAD["lr"]
    lr_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = _ADAGRAD["eps"]

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.real("lr_decay", self.lr_decay, 0)
        v.real("initial_accumulator_value", self.initial_accumulator_value, 0)
        self._check("adagrad")

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "adagrad"

    @property
    def slot_start(self) -> float:
        """The initial value of the slots."""
        return self.initial_accumulator_value

    def _numbers(self, step: Array, lr: Array) -> dict[str, Any]:
        return super()._numbers(step, lr / (1 + (step - 1) * self.lr_decay))


@settings()
class RMSprop(Optimizer):
    """Divide by a running root mean square: ``v = alpha * v + (1 - alpha) * g**2``, ``w -= lr * g / (sqrt(v) + eps)``.

    As in PyTorch, and unlike TensorFlow, `eps` is added after the root. With `centered`, the square of the running mean
    of g is subtracted from `v` under the root; where rounding would make the difference negative, it is 0. With
    momentum, ``b = momentum * b + g / (sqrt(v) + eps)`` and ``w -= lr * b``.

    Parameters
    ----------
    lr : float, default 0.01
        Not negative.
    alpha : float, default 0.99
        Weight of the old value in the running means, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.
    momentum : float, default 0.0
        From 0 to less than 1.
    centered : bool, default False
        Whether to divide by the running standard deviation, not the root mean square.
    weight_decay, groups
        As in `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = _RMSPROP["lr"]
    alpha: float = _RMSPROP["alpha"]
    eps: float = _RMSPROP["eps"]
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._check("rmsprop_momentum")
        v.boolean("centered", self.centered)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "rmsprop" + "_centered" * bool(self.centered) + "_momentum" * (self.momentum > 0)


@settings()
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2014) in PyTorch's form: `eps` is added after the correction of the bias.

    ``m = m + (1 - beta1) * (g - m)``, ``v = beta2 * v + (1 - beta2) * g**2``,
    ``w -= lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps)``. With `eps_hat` the update is
    ``w -= lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)``: scikit-learn's form, which the paper gives
    after its Algorithm 1. With `amsgrad` (Reddi, Kale and Kumar, 2018), the update uses the largest `v` so far; as in
    PyTorch, the maximum is taken before the correction of the bias.

    Parameters
    ----------
    lr : float, default 0.001
        Not negative.
    betas : (float, float), default (0.9, 0.999)
        Weights of the old values in the two running means, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.
    eps_hat : bool, default False
        Whether `eps` is added before the correction of the bias.
    amsgrad : bool, default False
        Whether to use the largest `v` so far.
    weight_decay, groups
        As in `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = _ADAM["lr"]
    betas: tuple[float, float] = (_ADAM["beta1"], _ADAM["beta2"])
    eps: float = _ADAM["eps"]
    eps_hat: bool = False
    amsgrad: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._check("adam")
        v.boolean("eps_hat", self.eps_hat)
        v.boolean("amsgrad", self.amsgrad)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "amsgrad" if self.amsgrad else "adam"


@settings()
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): ``w *= 1 - lr * weight_decay`` before an update.

    Parameters
    ----------
    lr, betas, eps, eps_hat, amsgrad, groups
        As in `Adam`.
    weight_decay : float, default 0.01
        Not negative.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.AdamW(weight_decay=0.05, groups=[optim.NO_DECAY]).lr
    0.001
    """

    weight_decay: float = field(default=1e-2, kw_only=True)

    @property
    def decoupled(self) -> bool:
        """Whether weight decay multiplies the parameters, instead of being added to the gradient."""
        return True


OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    **{each.__name__: each for each in (SGD, Adagrad, RMSprop, Adam, AdamW)},
    **{name: getattr(update_classes, name) for name in update_classes.__all__},
}
"""The optimisers that update after each batch, by name."""

ALIASES = {"gradient_descent": "SGD"}
ELSEWHERE = {
    "amsgrad": "write optim.Adam(amsgrad=True)",
    "momentum": "write optim.SGD(momentum=0.9)",
    "nesterov": "write optim.SGD(momentum=0.9, nesterov=True)",
    "SparseAdam": "write optim.Adam with nn.Embedding(..., sparse=True)",
}
"""What `fastnn.Trainer` and the estimators add to the names of `OPTIMIZERS`."""
