"""What all optimisers share: the base class, groups of parameters, and the penalty of large weights."""

from __future__ import annotations

import fnmatch
import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._settings import Settings, settings
from fastnn._typing import Array
from fastnn._updates import SLOTS, UPDATES
from fastnn.kernels import _scalars

__all__ = ["NO_DECAY", "Group", "Optimizer", "Penalty"]


@settings()
class Group(Settings):
    """Parameters with their own learning rate or weight decay.

    Parameters
    ----------
    pattern : str
        Pattern of the parameters' names ("0.weight", "0.bias", ...) in the syntax of `fnmatch`: "*.bias", "2.*",
        "[0-3].weight".
    lr_scale : float, default 1.0
        Factor of their learning rate, not negative. With 0 they keep their values; `Sequential.freeze` does that, too,
        and saves the work.
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

    _internal = frozenset({"decay", "kind", "n_slots", "scalars", "slot_start", "slots", "table"})
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
            The scalars of each step, as `fastnn.kernels` has them for the update: of `adam`, `adam_scalars`.
        """
        return self._scalars(step, lr, {})

    def _scalars(self, step: npt.ArrayLike, lr: npt.ArrayLike, options: Mapping[str, bool]) -> Array:
        if np.shape(step) != np.shape(lr):
            step, lr = np.broadcast_arrays(step, lr)
        named = {**self._numbers(np.asarray(step), np.asarray(lr, np.float64)), **options}
        return _scalars.scalars(self.kind, [named[name] for name in UPDATES[self.kind].arguments])

    def _numbers(self, step: Array, lr: Array) -> dict[str, Any]:
        """Return what the scalars are computed from, by the names that the registry has."""
        named = {**vars(self), "step": step, "lr": lr}
        if "betas" in named:
            named["beta1"], named["beta2"] = named["betas"]
        return named

    def _check(self, kind: str) -> None:
        """Check those settings that an update has as well, besides the learning rate."""
        given = vars(self)
        for setting in UPDATES[kind].settings[1:]:
            if setting.name in given:
                setting.check(given[setting.name])
        if "betas" in given:
            object.__setattr__(self, "betas", _check_betas(kind, given["betas"]))

    def table(
        self,
        step: npt.ArrayLike,
        lr: npt.ArrayLike,
        sparse: bool = False,
        missed: Sequence[tuple[int, int]] = (),
    ) -> Array:
        """Return the numbers of several steps: `scalars` for the parameters in no group, then for each group in turn.

        With `sparse`, the numbers for sparse updates follow: again for no group, then for each group. Then come those
        of parameters that have missed updates.

        If there is weight decay, each set of scalars is followed by a number for it. Coupled, this number times the
        parameters is added to their gradient; decoupled, the parameters are multiplied by it.

        Parameters
        ----------
        step, lr
            As in `scalars`.
        sparse : bool, default False
            Whether the numbers for sparse updates are added.
        missed : sequence of (int, int), default ()
            Pairs (set, updates missed): a further set of scalars, like this one but so many updates behind.

        Returns
        -------
        ndarray of float64, shape (n, (1 + number of groups) * (s + 1 or 0)), C-contiguous
            The numbers of each step; with `sparse` twice as many, and a set more for each of `missed`.
        """
        parts: list[Array] = []
        kinds = [{}, UPDATES[self.kind].sparse or {}] if sparse else [{}]
        sets = list(itertools.product(kinds, (_NO_GROUP, *self.groups)))
        for number, behind in [*((each, 0) for each in range(len(sets))), *missed]:
            options, group = sets[number]
            rates = np.asarray(lr, np.float64) * group.lr_scale
            parts.append(self._scalars(np.subtract(step, behind) if behind else step, rates, options))
            if self.decay:
                decay = self.weight_decay if group.weight_decay is None else group.weight_decay
                column = 1 - rates * decay if self.decoupled else np.full_like(rates, decay)
                parts.append(column[..., np.newaxis])
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1))

    def assign(self, shapes: Mapping[str, tuple[int, ...]], sparse: Collection[str] = frozenset()) -> dict[str, int]:
        """Return the group of each parameter: 1 for the first group, 0 for none.

        The number of a sparse parameter is that of its group plus ``1 + len(groups)``, as in `table`.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            Shapes of the parameters by name.
        sparse : collection of str
            Those whose updates change the rows of the batch only.

        Returns
        -------
        dict of str to int
            The groups by name.

        Raises
        ------
        ValueError
            If a group's pattern matches no name, or the optimiser has no sparse updates, or none with its weight decay.
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

        found = {name: find(name, shape) for name, shape in shapes.items()}
        for name in sparse:
            self._check_sparse(name, (_NO_GROUP, *self.groups)[found[name]])
        return {name: group + (1 + len(self.groups)) * (name in sparse) for name, group in found.items()}

    def _check_sparse(self, name: str, group: Group) -> None:
        """Refuse a sparse update of a parameter that PyTorch's optimisers do not define."""
        if UPDATES[self.kind].sparse is None:
            must = f"be Adam, Adagrad, or SGD without momentum, as updates of {name} are sparse"
            v.refuse(ValueError, "optimizer", must, v.shown(self), "make the embedding with sparse=False for others")
        decay = self.weight_decay if group.weight_decay is None else group.weight_decay
        if decay:
            fix = f'add groups=[optim.Group("{name}", weight_decay=0.0)], or make the embedding with sparse=False'
            v.refuse(ValueError, "weight_decay", f"be 0 for {name}, as its updates are sparse", decay, fix)


def _check_betas(kind: str, betas: Any) -> tuple[float, ...]:
    """Return the two numbers as a tuple, as a list could be changed."""
    try:
        beta1, beta2 = betas
    except (TypeError, ValueError):
        v.refuse(TypeError, "betas", "be two numbers", v.shown(betas))
    given = {"beta1": (beta1, "betas[0]"), "beta2": (beta2, "betas[1]")}
    return tuple(each.check(*given[each.name]) for each in UPDATES[kind].settings if each.name in given)


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
