"""Parameters of the estimators that take names: scikit-learn's checks of them, and what messages say to write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from fastnn.training import Callback

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
    "params": "write hidden_layer_sizes=...",  # what is given in place of the first argument
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


_CLASSES = {"optimizer": optim.Optimizer, "loss": nn.Loss, "activation": nn.Layer}


def fix_of(parameter: str, value: object, constraints: Iterable[Any]) -> str:
    """Return what to write instead of a parameter's value that its constraints refuse; "" if it is not known."""
    if isinstance(value, type) and issubclass(value, _CLASSES.get(parameter, ())):
        return f"write {v.constructor_call(value)}"
    if parameter == "learning_rate" and isinstance(value, Real):
        return f"write learning_rate_init={value}"
    if parameter == "callbacks" and isinstance(value, Callback):
        return "write callbacks=[...]"
    names = (each.names for each in constraints if isinstance(each, NameOptions))
    return next((each.fix(value) for each in names if isinstance(value, str)), "")


__all__ = [
    "ACTIVATION_NAMES",
    "INITIALIZER_NAMES",
    "KEYWORDS",
    "LOSS_NAMES",
    "OPTIMIZER_NAMES",
    "SCHEDULE_NAMES",
    "NameOptions",
    "fix_of",
]
