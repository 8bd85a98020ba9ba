"""The argument `augment` of a fit, checked, and what follows from it for the targets."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.data.augmentation import AUGMENTATIONS, NAMES, Augmentation
from fastnn.engine import Step, UserStep, mixes_targets
from fastnn.nn import Loss, Sequential

Given: TypeAlias = str | Augmentation | Callable[..., Any]

_MUST = "be an augmentation of fastnn.data, the name of one, or a function of x and rng"


@dataclass(frozen=True)
class Augment:
    """What a fit does with its batches.

    Attributes
    ----------
    steps : tuple of Step
        The ops, as the engine takes them.
    given : tuple
        The augmentations and functions that they were made of.
    """

    steps: tuple[Step, ...] = ()
    given: tuple[Augmentation | Callable[..., Any], ...] = ()

    def check(self, loss: Loss) -> None:
        """Refuse a loss for which mixtures of targets are none."""
        if mixes_targets(self.steps) and not loss.takes_mixtures:
            must = f"have no Mixup with {type(loss).__name__}, which takes no soft targets"
            fix = 'leave it out, or train with "cross_entropy" or "binary_cross_entropy", which take probabilities'
            v.refuse(ValueError, "augment", must, "one", fix)

    def row_weight(self, sample_weight: Array | None, row_weight: Array | None) -> Array | None:
        """Return the weights of the rows in the mean loss, of the two that `Examples` has.

        If targets are mixed, the loss applies the weights of classes itself.
        """
        return sample_weight if mixes_targets(self.steps) else row_weight


def as_augment(net: Sequential, augment: object) -> Augment:
    """Return the argument, checked against a net: None, one augmentation or several."""
    several = isinstance(augment, list | tuple)
    given: Sequence[object] = () if augment is None else augment if isinstance(augment, list | tuple) else (augment,)
    made = [
        AUGMENTATIONS[v.named(_name(several, i), each, NAMES)]() if isinstance(each, str) else each
        for i, each in enumerate(given)
    ]
    steps = [_step(_name(several, i), each, net) for i, each in enumerate(made)]
    mixing = sum(mixes_targets([each]) for each in steps)
    if mixing > 1:
        fix = "leave one out: a larger alpha mixes rows more"
        v.refuse(ValueError, "augment", "have at most one Mixup", mixing, fix)
    return Augment(tuple(steps), tuple(made))  # type: ignore[arg-type]  # checked by `_step`


def _name(several: bool, index: int) -> str:
    return f"augment[{index}]" if several else "augment"


def _step(name: str, given: object, net: Sequential) -> Step:
    v.refuse_class(name, given, Augmentation, _MUST)
    if isinstance(given, Augmentation):
        with v.part(name):
            return given.step(net.in_features, net.dtype)
    if isinstance(given, type) or not v.is_function(given):
        fix = "write augment=[fastnn.data.GaussianNoise(0.1)], for example"
        v.refuse(TypeError, name, _MUST, v.kind_of(given), fix)
    _check_arguments(name, given)
    return "custom_augmentation", {"function": UserStep(name, given)}


def _check_arguments(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function that does not take two arguments; of some of C there is no way to know."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(None, None)
    except TypeError:
        label = getattr(function, "__name__", "the function")
        got = f"{label}{signature}"
        v.refuse(TypeError, name, "take two arguments, a batch and a Generator", got, "write def change(x, rng): ...")
