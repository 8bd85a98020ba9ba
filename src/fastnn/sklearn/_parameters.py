"""Parameters of the estimators that take names: scikit-learn's checks of them, and what messages say to write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

from sklearn.utils._param_validation import StrOptions

from fastnn import _losses, nn, optim
from fastnn import _validation as v
from fastnn._names import Names, normalized
from fastnn.data.augmentation import NAMES as AUGMENTATION_NAMES
from fastnn.nn.activations import NAMES as ACTIVATION_NAMES
from fastnn.nn.initializers import NAMES as INITIALIZER_NAMES
from fastnn.optim import averages, combined_schedules, optimizers
from fastnn.training import Callback

# As the trainer's names, except for what messages say to write, and for scikit-learn's own losses.
OPTIMIZER_NAMES = Names(
    optim.OPTIMIZERS,
    optimizers.ALIASES,
    optimizers.ELSEWHERE | dict.fromkeys(("lbfgs", "l_bfgs_b", "newton"), 'write solver="lbfgs"'),
)
_SCHEDULES = combined_schedules.NAMES
SCHEDULE_NAMES = Names(
    _SCHEDULES.known,
    _SCHEDULES.aliases,
    _SCHEDULES.elsewhere
    | dict.fromkeys(("adaptive", "invscaling"), "write solver='sgd' and learning_rate instead")
    | {"reduce_lr_on_plateau": 'write callbacks=[fastnn.ReduceLROnPlateau("loss")]'},
)
_LOSSES = _losses.NAMES
_SCORES = dict.fromkeys(("accuracy", "balanced_accuracy", "r2"), "it is a score: write scoring=...")
LOSS_NAMES = Names(_LOSSES.known, _LOSSES.aliases, _LOSSES.elsewhere | _SCORES)
REGRESSION_LOSS_NAMES = Names(
    ["squared_error", *_LOSSES.known],
    _LOSSES.aliases,
    {name: fix for name, fix in LOSS_NAMES.elsewhere.items() if name != normalized("squared_error")},
)


class Norm(NamedTuple):
    """What a value of `norm` puts before an activation."""

    layer: Callable[[int], nn.Layer]
    dense_bias: bool  # whether the `Dense` before it has a bias


NORMS: Mapping[str, Norm] = {
    # It subtracts each unit's mean over the rows, and with it any bias before it.
    "batch": Norm(nn.BatchNorm, dense_bias=False),
    # It subtracts one mean over the units of a row, so a bias of each unit matters. Without it, ``x`` and ``2 * x``
    # would look the same after the first norm.
    "layer": Norm(nn.LayerNorm, dense_bias=True),
}
NORM_NAMES = Names(
    NORMS,
    {
        "batch_norm": "batch",
        "batch_norm_1d": "batch",
        "batch_normalization": "batch",
        "layer_norm": "layer",
        "layer_normalization": "layer",
    },
)

AVERAGE_NAMES = averages.NAMES

KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(("ema", "ema_decay", "use_ema"), "write average=optim.EMA(decay=...)"),
    **dict.fromkeys(("freeze", "frozen"), "train the net itself, fastnn.Trainer(net), after net.freeze(...)"),
    **dict.fromkeys(("swa", "swa_start"), "write average=optim.SWA(start=...)"),
    "epochs": "write max_iter",
    "eval_set": "give it to fit",
    "hidden_layers": "write hidden_layer_sizes",
    "layer_norm": "write norm='layer'",
    "lr": "write learning_rate_init",
    "metrics": "write scoring",
    "mixup": 'write augment=["mixup"]',
    "n_jobs": "write n_threads",
    "params": "write hidden_layer_sizes=...",  # what is given in place of the first argument
    "patience": "write n_iter_no_change",
    "seed": "write random_state",
    "validation_data": "write eval_set=(X_val, y_val)",
    "validation_split": "write validation_fraction",
}
"""Keywords of other libraries, each with what to write for an estimator."""


class NameOptions(StrOptions):
    """The constraint of a parameter that takes names, compared as `Names` compares them."""

    def __init__(self, names: Names) -> None:
        super().__init__(set())
        self.names = names

    def is_satisfied_by(self, value: object) -> bool:
        return isinstance(value, str) and self.names.find(value) is not None

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, self.names))}}}"


# The value of `scale` that stands for a scaler of scikit-learn or of `fastnn.data`.
_SCALES = {
    "StandardScaler": "standard", "Scaler": "standard", "RobustScaler": "robust",
    "QuantileTransformer": "quantile", "QuantileScaler": "quantile",
}  # fmt: skip
_CLASSES = {"optimizer": optim.Optimizer, "loss": nn.Loss, "activation": nn.Layer}


def fix_of(parameter: str, value: object, constraints: Iterable[Any]) -> str:
    """Return what to write instead of a parameter's value that its constraints refuse; "" if it is not known."""
    if isinstance(value, type) and issubclass(value, _CLASSES.get(parameter, ())):
        return f"write {v.constructor_call(value)}"
    if parameter == "learning_rate" and isinstance(value, Real):
        return f"write learning_rate_init={value}"
    if parameter == "norm" and isinstance(value, bool):
        return "write norm='batch' or norm='layer'" if value else "write norm=None"
    if parameter == "batch_norm" and isinstance(value, str) and NORM_NAMES.find(value):
        return f"write norm={NORM_NAMES.find(value)!r}"
    if parameter == "callbacks" and isinstance(value, Callback):
        return "write callbacks=[...]"
    if parameter == "categorical_features" and isinstance(value, str | Integral):
        return f"write categorical_features=[{value!r}]"
    if parameter == "scale":
        kind = "StandardScaler" if value is True else (value if isinstance(value, type) else type(value)).__name__
        return f"write scale={_SCALES[kind]!r}" if kind in _SCALES else ""
    names = (each.names for each in constraints if isinstance(each, NameOptions))
    return next((each.fix(value) for each in names if isinstance(value, str)), "")


__all__ = [
    "ACTIVATION_NAMES",
    "AUGMENTATION_NAMES",
    "AVERAGE_NAMES",
    "INITIALIZER_NAMES",
    "KEYWORDS",
    "LOSS_NAMES",
    "NORMS",
    "NORM_NAMES",
    "OPTIMIZER_NAMES",
    "REGRESSION_LOSS_NAMES",
    "SCHEDULE_NAMES",
    "NameOptions",
    "fix_of",
]
