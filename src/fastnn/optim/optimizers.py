"""Optimisers: their settings, and the scalars of each step. The arithmetic is in `fastnn.kernels`."""

from __future__ import annotations

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import kernels
from fastnn._settings import Settings, settings
from fastnn._typing import Array
from fastnn.kernels.optimizers import SLOTS

__all__ = [
    "NO_DECAY",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Group",
    "NAdam",
    "Optimizer",
    "Penalty",
    "RMSprop",
]


@settings()
class Group(Settings):
    """Parameters with their own learning rate or weight decay.

    Parameters
    ----------
    pattern : str
        Pattern of the parameters' names ("0.weight", "0.bias", ...) in the syntax of `fnmatch`: "*.bias", "2.*",
        "[0-3].weight".
    lr_scale : float, default 1.0
        Factor of their learning rate, not negative; 0 freezes them.
    weight_decay : float, optional
        In place of the optimiser's, not negative.
    vectors_only : bool, default False
        Whether to leave out matrices: only vectors (biases, parameters of norms, slopes) are in the group.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range. When a trainer is made: if no parameter's name matches.

    Examples
    --------
    >>> from fastnn import optim
    >>> groups = [optim.NO_DECAY, optim.Group("0.*", lr_scale=0.1)]
    >>> optim.AdamW(weight_decay=0.1, groups=groups).assign({"0.weight": (2, 3), "0.bias": (3,), "1.weight": (3, 1)})
    {'0.weight': 2, '0.bias': 1, '1.weight': 0}
    """

    pattern: str
    lr_scale: float = 1.0
    weight_decay: float | None = None
    vectors_only: bool = False

    _how_to_change = "make a new group, {call}, and a new optimizer"

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.pattern, str):
            v.refuse(TypeError, "pattern", "be a string", v.kind_of(self.pattern), 'write "*.bias", for example')
        v.real("lr_scale", self.lr_scale, 0)
        if self.weight_decay is not None:
            v.real("weight_decay", self.weight_decay, 0)
        v.boolean("vectors_only", self.vectors_only)


NO_DECAY = Group("*", weight_decay=0.0, vectors_only=True)
"""The group of all vectors (biases, parameters of norms, slopes), without weight decay."""

_NO_GROUP = Group("*")  # the settings of parameters that are in no group


@settings()
class Optimizer(Settings, ABC):
    """Base class of all optimisers. They contain only settings; the trainer has the slots and the step count.

    Parameters
    ----------
    lr : float
        Learning rate, not negative.
    weight_decay : float, default 0.0
        Not negative. `weight_decay` times the parameters is added to their gradient; if the optimiser is `decoupled`,
        the parameters are instead multiplied by ``1 - lr * weight_decay`` before the update. The reported loss does not
        contain it; for a term in the loss see `Penalty`.
    groups : sequence of Group, default ()
        Parameters with their own learning rate or weight decay. A parameter is in the first group that matches.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float
    weight_decay: float = field(default=0.0, kw_only=True)
    groups: Sequence[Group] = field(default=(), kw_only=True)

    _how_to_change = "set trainer.optimizer = {call}"

    def __post_init__(self) -> None:
        """Check the settings."""
        if isinstance(self.lr, Mapping):  # PyTorch's optimisers take the parameters first
            fix = "leave the parameters out, as the Trainer passes them"
            v.refuse(TypeError, "lr", "be a finite number of at least 0", v.kind_of(self.lr), fix)
        v.real("lr", self.lr, 0)
        v.real("weight_decay", self.weight_decay, 0)
        groups: object = self.groups
        must = "be a sequence of optim.Group"
        if isinstance(groups, str):
            v.refuse(TypeError, "groups", must, v.kind_of(groups), f"write groups=[optim.Group({v.shown(groups)})]")
        fix = "write groups=[group]" if isinstance(groups, Group) else ""
        fix = "write groups=[optim.Group(...)]" if groups is Group else fix
        for index, group in enumerate(v.instance("groups", groups, Sequence, must, fix)):
            fix = f"write optim.Group({v.shown(group)})" if isinstance(group, str) else ""
            v.instance(f"groups[{index}]", group, Group, "be an optim.Group", fix)
        object.__setattr__(self, "groups", tuple(self.groups))

    def _fix(self, name: str, *value: object) -> str:
        fix = super()._fix(name, *value)
        return f"set trainer.lr, or {fix.removeprefix('set ')}" if name == "lr" else fix

    def _hint(self, name: str) -> str:
        return "the learning rate is trainer.lr" if name == "learning_rate" else ""

    @property
    @abstractmethod
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots: the arrays, as large as the parameters, that the update keeps between steps."""
        return SLOTS[self.kind]

    @property
    def n_slots(self) -> int:
        """The number of slots."""
        return len(self.slots)

    @property
    def slot_start(self) -> float:
        """The initial value of the slots."""
        return 0.0

    @property
    def decoupled(self) -> bool:
        """Whether weight decay multiplies the parameters, instead of being added to the gradient."""
        return False

    @property
    def decay(self) -> str:
        """How weight decay is applied: "" (there is none), "coupled" or "decoupled"."""
        if not any((self.weight_decay, *(group.weight_decay for group in self.groups))):
            return ""
        return "decoupled" if self.decoupled else "coupled"

    @abstractmethod
    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return the scalars of the update for several steps.

        Parameters
        ----------
        step : array_like of int, shape (n,)
            Numbers of the steps, 1 for the first.
        lr : array_like, shape (n,)
            Learning rates.

        Returns
        -------
        ndarray of float64, shape (n, s)
            The scalars of each step.
        """

    def table(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return the numbers of several steps: `scalars` for the parameters in no group, then for each group in turn.

        If there is weight decay, each set of scalars is followed by a number for it. Coupled, this number times the
        parameters is added to their gradient; decoupled, the parameters are multiplied by it.

        Parameters
        ----------
        step, lr
            As in `scalars`.

        Returns
        -------
        ndarray of float64, shape (n, (1 + number of groups) * (s + 1 or 0)), C-contiguous
            The numbers of each step.
        """
        parts: list[Array] = []
        for group in (_NO_GROUP, *self.groups):
            rates = np.asarray(lr, np.float64) * group.lr_scale
            parts.append(self.scalars(step, rates))
            if self.decay:
                decay = self.weight_decay if group.weight_decay is None else group.weight_decay
                column = 1 - rates * decay if self.decoupled else np.full_like(rates, decay)
                parts.append(column[..., np.newaxis])
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1))

    def assign(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """Return the group of each parameter: 1 for the first group, 0 for none.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            Shapes of the parameters by name.

        Returns
        -------
        dict of str to int
            The groups by name.

        Raises
        ------
        ValueError
            If a group's pattern matches no name.
        """
        for index, group in enumerate(self.groups):
            if not any(fnmatch.fnmatchcase(name, group.pattern) for name in shapes):
                must = f"match a name of the parameters {', '.join(shapes)}"
                v.refuse(ValueError, f"groups[{index}].pattern", must, v.shown(group.pattern))

        def find(name: str, shape: tuple[int, ...]) -> int:
            for index, group in enumerate(self.groups):
                if fnmatch.fnmatchcase(name, group.pattern) and (len(shape) == 1 or not group.vectors_only):
                    return index + 1
            return 0

        return {name: find(name, shape) for name, shape in shapes.items()}


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
        v.real("dampening", self.dampening, 0, 1, closed=True)
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

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return ``(lr,)``, ``(lr, momentum)`` or ``(lr, momentum, 1 - dampening)`` for each step."""
        step, lr = np.broadcast_arrays(step, lr)
        if self.momentum == 0:
            return kernels.sgd_scalars(lr)
        if self.nesterov or self.velocity:
            return kernels.nesterov_scalars(lr, self.momentum)
        return kernels.momentum_scalars(lr, self.momentum, np.where(step == 1, 0.0, self.dampening))


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

    lr: float = 1e-2
    lr_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.real("lr_decay", self.lr_decay, 0)
        v.real("initial_accumulator_value", self.initial_accumulator_value, 0)
        v.real("eps", self.eps, 0)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "adagrad"

    @property
    def slot_start(self) -> float:
        """The initial value of the slots."""
        return self.initial_accumulator_value

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return ``(lr / (1 + (step - 1) * lr_decay), eps)`` for each step."""
        step, lr = np.broadcast_arrays(step, lr)
        return kernels.adagrad_scalars(lr / (1 + (step - 1) * self.lr_decay), self.eps)


@settings()
class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012) in PyTorch's form: scale the gradient by the root mean square of past moves.

    ``v = rho * v + (1 - rho) * g**2``, ``d = sqrt(u + eps) / sqrt(v + eps) * g``, ``u = rho * u + (1 - rho) * d**2``,
    ``w -= lr * d``.

    Parameters
    ----------
    lr : float, default 1.0
        Not negative.
    rho : float, default 0.9
        Weight of the old value in the running means, from 0 to less than 1.
    eps : float, default 1e-6
        Not negative.
    weight_decay, groups
        As in `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.real("rho", self.rho, 0, 1)
        v.real("eps", self.eps, 0)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "adadelta"

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return ``(lr, rho, 1 - rho, eps)`` for each step."""
        return kernels.adadelta_scalars(np.broadcast_arrays(step, lr)[1], self.rho, self.eps)


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

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.real("alpha", self.alpha, 0, 1)
        v.real("eps", self.eps, 0)
        v.real("momentum", self.momentum, 0, 1)
        v.boolean("centered", self.centered)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "rmsprop" + "_centered" * bool(self.centered) + "_momentum" * (self.momentum > 0)

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return ``(lr, alpha, 1 - alpha, eps)`` for each step, followed by the momentum if it is above 0."""
        lr = np.broadcast_arrays(step, lr)[1]
        if self.momentum > 0:
            return kernels.rmsprop_momentum_scalars(lr, self.alpha, self.eps, self.momentum)
        return kernels.rmsprop_scalars(lr, self.alpha, self.eps)


def _check_betas(betas: Any) -> tuple[float, float]:
    """Return the two numbers as a tuple, as a list could be changed."""
    try:
        beta1, beta2 = betas
    except (TypeError, ValueError):
        v.refuse(TypeError, "betas", "be two numbers", v.shown(betas))
    return v.real("betas[0]", beta1, 0, 1), v.real("betas[1]", beta2, 0, 1)


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

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    eps_hat: bool = False
    amsgrad: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        object.__setattr__(self, "betas", _check_betas(self.betas))
        v.real("eps", self.eps, 0)
        v.boolean("eps_hat", self.eps_hat)
        v.boolean("amsgrad", self.amsgrad)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "amsgrad" if self.amsgrad else "adam"

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return `fastnn.kernels.adam_scalars` of each step."""
        return kernels.adam_scalars(step, lr, *self.betas, self.eps, eps_hat=self.eps_hat)


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


@settings()
class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, 2016), in PyTorch's form; the formula is at `fastnn.kernels.nadam`.

    Parameters
    ----------
    lr : float, default 0.002
        Not negative.
    betas : (float, float), default (0.9, 0.999)
        Weights of the old values in the two running means, from 0 to less than 1.
    eps : float, default 1e-8
        Not negative.
    momentum_decay : float, default 0.004
        How fast the momentum grows to ``betas[0]``; not negative.
    decoupled_weight_decay : bool, default False
        Whether weight decay is decoupled, as in `AdamW`.
    weight_decay, groups
        As in `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        object.__setattr__(self, "betas", _check_betas(self.betas))
        v.real("eps", self.eps, 0)
        v.real("momentum_decay", self.momentum_decay, 0)
        v.boolean("decoupled_weight_decay", self.decoupled_weight_decay)

    @property
    def kind(self) -> str:
        """The name of the update in `fastnn.kernels`."""
        return "nadam"

    @property
    def decoupled(self) -> bool:
        """Whether weight decay multiplies the parameters, instead of being added to the gradient."""
        return bool(self.decoupled_weight_decay)

    def scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike) -> Array:
        """Return `fastnn.kernels.nadam_scalars` of each step."""
        return kernels.nadam_scalars(step, lr, *self.betas, self.eps, self.momentum_decay)


OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    each.__name__: each for each in (SGD, Adagrad, Adadelta, RMSprop, Adam, AdamW, NAdam)
}
"""The optimisers that update after each batch, by name."""


@settings()
class Penalty(Settings):
    """A penalty of large weights: ``l1 * sum(|w|) + l2 / 2 * sum(w**2)``, over the weights of all `Dense` layers.

    Biases and the parameters of norms have no penalty. The reported training loss contains the penalty of the weights
    before the update, and its gradient, ``l1 * sign(w) + l2 * w`` with ``sign(0) = 0``, is added to that of the loss.
    Evaluation reports the loss without penalty. With both factors above 0 this is the elastic net's penalty.

    Parameters
    ----------
    l1, l2 : float, default 0.0
        Not negative.
    per_batch : bool, default False
        Whether the penalty is divided by the batch's total weight (its number of rows, if there are no sample weights),
        as with scikit-learn's `alpha`. `Trainer.step` divides by the rows of the net's last forward pass.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """

    l1: float = 0.0
    l2: float = 0.0
    per_batch: bool = False

    _how_to_change = "set trainer.penalty = {call}"

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("l1", self.l1, 0)
        v.real("l2", self.l2, 0)
        v.boolean("per_batch", self.per_batch)
