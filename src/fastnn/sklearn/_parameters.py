"""Parameters of the estimators that take names: scikit-learn's checks of them, and what messages say to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from sklearn.utils._param_validation import StrOptions

from fastnn import _losses, nn, optim
from fastnn import _validation as v
from fastnn._activations import ALIASES
from fastnn._names import Names
from fastnn.nn.activations import MAKERS
from fastnn.nn.initializers import NAMES as INITIALIZER_NAMES
from fastnn.optim.combined_schedules import NAMES as SCHEDULE_NAMES
from fastnn.optim.optimizers import NAMES as OPTIMIZER_NAMES

# "logistic" is scikit-learn's name for the sigmoid; names may be registered later.
ACTIVATION_NAMES = Names(MAKERS, ALIASES)
LOSS_NAMES = _losses.NAMES

KEYWORDS: Mapping[str, str] = {
    "epochs": "write max_iter",
    "eval_set": "give it to fit",
    "hidden_layers": "write hidden_layer_sizes",
    "lr": "write learning_rate_init",
    "metrics": "write scoring",
    "n_jobs": "write n_threads",
    "patience": "write n_iter_no_change",
    "seed": "write random_state",
    "validation_data": "write eval_set=(X_val, y_val)",
    "validation_split": "write validation_fraction",
}
"""Keywords of other libraries, each with what to write for an estimator."""


class NameOptions(StrOptions):
    """The constraint of a parameter that takes names, compared as `Names` compares them.

    Parameters
    ----------
    names : Names
    *scikit_learn : str
        Names of scikit-learn's that `names` does not have, or not with this meaning.
    """

    def __init__(self, names: Names, *scikit_learn: str) -> None:
        super().__init__(set(scikit_learn))
        self.names, self.scikit_learn = names, scikit_learn

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.scikit_learn, *self.names)))

    def is_satisfied_by(self, value: object) -> bool:
        return isinstance(value, str) and (value in self.scikit_learn or self.names.find(value) is not None)

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, self))}}}"

    def check(self, parameter: str, value: object) -> None:
        """Refuse a name for which a message can say what to write; scikit-learn's checks refuse the others."""
        if isinstance(value, str) and not self.is_satisfied_by(value) and (fix := self.names.fix(value)):
            v.refuse(ValueError, parameter, f"be one of {', '.join(self)}", v.shown(value), fix)


_CLASSES = {"optimizer": optim.Optimizer, "loss": nn.Loss, "schedule": optim.Schedule, "activation": nn.Layer}


def check_names(constraints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse parameters of which a message can say what to write, before scikit-learn's own checks."""
    for parameter, value in values.items():
        for constraint in constraints.get(parameter, ()):
            if isinstance(constraint, NameOptions):
                constraint.check(parameter, value)
        if parameter in _CLASSES:
            v.refuse_class(parameter, value, _CLASSES[parameter], "be a name or an object")
    rate = values.get("learning_rate")
    if isinstance(rate, Real):
        must = "be 'constant', 'invscaling' or 'adaptive'"
        v.refuse(TypeError, "learning_rate", must, rate, f"write learning_rate_init={rate}")


__all__ = [
    "ACTIVATION_NAMES",
    "INITIALIZER_NAMES",
    "KEYWORDS",
    "LOSS_NAMES",
    "OPTIMIZER_NAMES",
    "SCHEDULE_NAMES",
    "NameOptions",
    "check_names",
]
