"""Frozen parameters: which of a net's parameters training leaves as they are."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence

from fastnn import _validation as v
from fastnn._names import suggestion
from fastnn.engine import Arena, Executor, NetLock
from fastnn.nn._runners import Runners
from fastnn.nn._scaler_attributes import NetScalers
from fastnn.nn.container_base import Container
from fastnn.nn.layers import Layer

_MOST_SHOWN = 5  # patterns that a message suggests


class Freezing(NetScalers):
    """The part of `Sequential` that freezes parameters. The names of the frozen ones are in the arena of parameters."""

    layers: tuple[Layer, ...]
    leaves: tuple[Layer, ...]
    params: Arena
    lock: NetLock
    _grads: Arena | None
    _runners: Runners
    _has_gradients: bool
    _last_forward: tuple[Executor, int, int] | None

    _internal = frozenset({"refuse_all_frozen"})

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names of the frozen parameters, in the net's order; see `freeze`."""
        return tuple(name for name in self.params.layout if name in self.params.frozen)

    def freeze(self, *patterns: str | Iterable[str]) -> None:
        """Let training leave parameters as they are.

        Trainers do not update frozen parameters, whatever the optimiser: they have no penalty, no weight decay and no
        limit of norms, and no part in the norm that `clip_norm` limits. Their gradients are not computed, and are 0 in
        `gradients`; below the lowest layer that is trained, the backward pass computes nothing. A `BatchNorm` whose
        weight and bias are both frozen normalises by its running statistics in training too, and keeps them (as Keras's
        does; in PyTorch, the module is in evaluation mode as well). Its ``num_batches_tracked`` in `state_dict` still
        counts if the layer has a momentum: it is the net's number of training passes. Dropout is as before.

        What is frozen is a state of the net: `summary` and `repr` show it, copies, pickles and slices have it, and so
        have layers whose values another net copies. `state_dict` and `config` do not have it, and `copy_from` leaves
        it. A slice such as ``net[:3]`` and `Trainer.averaged` are new nets: freezing them does not freeze this one.
        After a change, `backward` needs a new `forward(training=True)`. A callback may freeze and unfreeze during a
        fit; the next step follows it.

        Parameters
        ----------
        *patterns : str or iterable of str
            Patterns of the parameters' names ("0.weight", "0.bias", ...) in the syntax of `fnmatch`: "0.*" is the first
            layer, "*.bias" all biases, "[0-3].*" four layers. Brackets stand for one character: "[0-11]" would be the
            digits 0 to 1 and 1, no range of numbers. For twelve layers write
            ``net.freeze(*(f"{i}.*" for i in range(12)))``. Other parameters stay as they are, frozen or not. Without
            patterns, all are frozen: the net then predicts, and trainers refuse it.

        Raises
        ------
        TypeError, ValueError
            If a pattern is no string, matches no parameter, or has two digits after "-" in brackets.
        RuntimeError
            If the net is being trained, except in a callback of that training.

        Examples
        --------
        Train the last layer alone, then all:

        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 3), nn.ReLU(), nn.Dense(3, 2), seed=0)
        >>> net.freeze("0.*")
        >>> net.frozen
        ('0.weight', '0.bias')
        >>> before = net[0].weight.copy()
        >>> trainer = fastnn.Trainer(net)
        >>> history = trainer.fit(np.eye(2), [0, 1], epochs=5, verbose=0)
        >>> bool((net[0].weight == before).all())
        True
        >>> net.unfreeze()
        >>> history = trainer.fit(np.eye(2), [0, 1], epochs=5, verbose=0)
        >>> bool((net[0].weight == before).all())
        False
        """
        self._set_frozen(self.params.frozen | self._matching("freeze", patterns))

    def unfreeze(self, *patterns: str | Iterable[str]) -> None:
        """Let training change parameters that `freeze` has frozen; those that are not frozen stay so.

        Parameters
        ----------
        *patterns : str or iterable of str
            As for `freeze`; without patterns, no parameter is frozen any more.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As `freeze` does.

        Notes
        -----
        A trainer counts for each parameter the updates that it missed: Adam's correction of its means begins with the
        first update of a parameter, as PyTorch's does. Learning rates of schedules are those of the trainer's count.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 3), nn.ReLU(), nn.Dense(3, 2), seed=0)
        >>> net.freeze()
        >>> net.unfreeze("2.*")
        >>> net.frozen
        ('0.weight', '0.bias')
        """
        self._set_frozen(self.params.frozen - self._matching("unfreeze", patterns))

    def refuse_all_frozen(self) -> None:
        """Refuse a training of a net all of whose parameters are frozen."""
        if self.params.frozen and len(self.params.frozen) == len(self.params.layout.shapes):
            last = [layer.path for layer in self.layers if layer.parameters()][-1]
            must, got = "have a parameter that is not frozen", f"all {len(self.frozen)} frozen"
            v.refuse(ValueError, "net", must, got, f'write net.unfreeze("{last}.*")')

    def _matching(self, method: str, patterns: Sequence[object]) -> frozenset[str]:
        """Return the names that patterns match; without patterns, all names."""
        names = tuple(self.params.layout)
        if not patterns:
            return frozenset(names)
        found: set[str] = set()
        for pattern in _flat(method, patterns, len(self.layers)):
            _refuse_range(method, pattern)
            matched = _matched(names, pattern)
            if not matched:
                must = f"match a name of the parameters {', '.join(names) or '(there are none)'}"
                v.refuse(ValueError, "pattern", must, v.shown(pattern), _fix(method, pattern, names, self.leaves))
            found.update(matched)
        return frozenset(found)

    def _set_frozen(self, frozen: frozenset[str]) -> None:
        """Freeze exactly these parameters, and drop what was made for others."""
        self.training_claim.refuse_change("frozen")
        if frozen == self.params.frozen:
            return
        self.lock.restore_order_if_idle()  # an executor uses the gradients' memory for that
        self._runners.forget_training()
        self.__dict__.update(_last_forward=None, _has_gradients=False)
        self.params.frozen, self.params.used = frozen, True
        if self._grads is not None:
            for name in frozen:
                self._grads.view(name)[...] = 0

    def _restore_frozen(self, names: object) -> None:
        """Freeze the parameters of a copy. The names are checked, as they may come from a damaged file."""
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            v.refuse(TypeError, "frozen", "be a tuple of names", v.shown(names))
        for name in names:
            if name not in self.params.layout.shapes:
                v.choice("frozen", name, tuple(self.params.layout))
        self.params.frozen = frozenset(names)


def _flat(method: str, patterns: Sequence[object], n_layers: int) -> Iterator[str]:
    """Yield patterns, each a string or several in a list."""
    for given in patterns:
        several = isinstance(given, Iterable) and not isinstance(given, str | bytes | Layer)
        for each in given if several else (given,):  # type: ignore[attr-defined]
            if not isinstance(each, str):
                where = "0"
                if isinstance(each, Layer) and each.bound:
                    where = each.path
                elif isinstance(each, int) and -n_layers <= each < n_layers:
                    where = str(each % n_layers)
                fix = f'write net.{method}("{where}.*")'
                if isinstance(each, bool):
                    fix = "write net.freeze() or net.unfreeze(), for all parameters"
                v.refuse(TypeError, "pattern", "be a string", v.shown(each), fix)
            yield each


def _matched(names: Sequence[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatch.fnmatchcase(name, pattern)]


def _refuse_range(method: str, pattern: str) -> None:
    """Refuse brackets with two digits after "-", such as "[0-11]", which look like a range of numbers."""
    found = re.search(r"\[(\d{0,9})-(\d{2,9})\]", pattern)
    if found:
        first, last = int(found[1] or 0), int(found[2])
        numbers = f"{first}, {last + 1}" if first else f"{last + 1}"
        each = f"{pattern[: found.start()]}{{i}}{pattern[found.end() :]}"
        fix = f'write net.{method}(*(f"{each}" for i in range({numbers})))'
        must = 'have one digit after "-" in brackets, which stand for one character'
        v.refuse(ValueError, "pattern", must, v.shown(pattern), fix)


def _fix(method: str, pattern: str, names: Sequence[str], leaves: Sequence[Layer]) -> str:
    """Return what to write in place of a pattern that matches nothing."""
    kind = pattern.removesuffix(".*").lower()
    of_kind = [f"{leaf.path}.*" for leaf in leaves if fnmatch.fnmatchcase(type(leaf).__name__.lower(), kind)]
    others = [each for each in (f"{pattern}.*", f"*.{pattern}") if _matched(names, each)][:1]
    others = others or [each for each in of_kind if _matched(names, each)]
    if others:
        shown = [f'"{each}"' for each in others[:_MOST_SHOWN]] + ["..."] * (len(others) > _MOST_SHOWN)
        return f"write net.{method}({', '.join(shown)})"
    layer, last = pattern.rpartition(".")[0] or "*", {name.rpartition(".")[2]: None for name in names}
    return suggestion(pattern, [each for each in (f"{layer}.{name}" for name in last) if _matched(names, each)])


def patterns_of(layers: Sequence[Layer], frozen: frozenset[str]) -> Iterator[str]:
    """Yield patterns of what is frozen: of a whole layer one, such as "0.*", else the names."""
    for layer in layers:
        names = [f"{layer.path}.{name}" for name in layer.parameters()]
        if names and frozen.issuperset(names):
            yield f"{layer.path}.*"
        elif isinstance(layer, Container):
            yield from patterns_of(layer.layers, frozen)
        else:
            yield from (name for name in names if name in frozen)
