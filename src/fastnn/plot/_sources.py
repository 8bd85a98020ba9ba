"""What pictures of trainings are made of: the figures of epochs, and learning rates, from whatever has them."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import numpy as np

from fastnn import _validation as v
from fastnn._names import suggestion
from fastnn._typing import Array
from fastnn.optim import Schedule
from fastnn.plot import _style
from fastnn.plot._inputs import check_takes
from fastnn.training import Callback, History, Trainer
from fastnn.training._arguments import as_schedule

# The curves of estimators, and what a history calls them.
CURVES = {"loss": "loss_curve_", "val_loss": "validation_loss_curve_", "val_score": "validation_scores_"}


def _refuse(name: str, got: str) -> NoReturn:
    must = "be a History, a Trainer, a fitted estimator or a dict of lists"
    v.refuse(TypeError, name, must, got, "pass what trainer.fit(X, y) returns")


def _refuse_number(name: str, value: object) -> NoReturn:
    v.refuse(TypeError, name, "be a list of numbers, one for each epoch", v.shown(value))


def figures_of(name: str, source: Any) -> dict[str, Any]:
    """Return the figures of all epochs by name, as they were given, from what has some.

    Raises
    ------
    TypeError, ValueError
        If `source`, which messages call `name`, has none, or no epoch.
    """
    if isinstance(source, Trainer):
        source = source.history
    found: dict[str, Any]
    if isinstance(source, np.ndarray) and source.dtype.names:
        found = {each: np.atleast_1d(source[each]) for each in source.dtype.names}
    elif hasattr(source, "loss_curve_"):
        curves = {key: getattr(source, curve, None) for key, curve in CURVES.items()}
        found = {key: curve for key, curve in curves.items() if curve is not None and len(curve)}
    elif hasattr(source, "keys") and not isinstance(source, type):
        found = {str(each): source[each] for each in source.keys()}  # noqa: SIM118 - not only of mappings
    else:
        fix = hasattr(source, "partial_fit") and hasattr(source, "get_params")
        _refuse(name, "an estimator that is not fitted" if fix else v.kind_of(source))
    lengths = [len(each) for each in found.values() if hasattr(each, "__len__")]
    if found and not lengths:
        key = next(iter(found))
        _refuse_number(f"{name}[{key!r}]", found[key])
    if not any(lengths):
        v.refuse(ValueError, name, "have at least one epoch", "none", "call fit first")
    return found


def column(name: str, figures: Mapping[str, Any], key: str) -> Array:
    """Return one figure of all epochs, with NaN where it is no number that an axis can show."""
    if key not in figures:
        others = [each for each in figures if each != "epoch"]
        v.refuse(ValueError, name, f"have the figure {v.shown(key)}", ", ".join(others), suggestion(key, others))
    where = f"{name}[{key!r}]"
    values = v.numeric(where, figures[key]).astype(np.float64)
    if not values.ndim:
        _refuse_number(where, figures[key])
    v.shape(where, values, ("n",))
    return _style.drawable(values)


def epochs_of(name: str, figures: Mapping[str, Any], count: int) -> Array:
    """Return the numbers of the epochs: the figure "epoch", as files have it, or 1, 2, 3, ..."""
    if "epoch" not in figures:
        return np.arange(1.0, count + 1)
    epochs = column(name, figures, "epoch")
    if len(epochs) != count:
        v.refuse(ValueError, f"{name}['epoch']", f"have {count} entries, as the figure has", len(epochs))
    return epochs


def is_schedule(source: Any) -> bool:
    """Whether this is a schedule, what a trainer takes for one, or what it refuses in words about schedules."""
    return source is None or isinstance(source, Schedule | str | Callback | type) or v.is_function(source)


def by_name(source: Any) -> dict[str, Any]:
    """Return several schedules or histories by their names; of one, without a name."""
    if isinstance(source, Mapping) and not isinstance(source, History):
        parts = list(source.values())
        if parts and all(is_schedule(each) or isinstance(each, Mapping | Trainer) for each in parts):
            return {v.instance("names in source", name, str, "be strings"): each for name, each in source.items()}
    return {"": source}


def _has_figures(source: Any) -> bool:
    """Whether `figures_of` takes it, in place of the values of one figure."""
    table = hasattr(source, "keys") and hasattr(source, "__getitem__") and getattr(source, "ndim", 2) == 2
    names = isinstance(source, np.ndarray) and source.dtype.names is not None
    return isinstance(source, Trainer) or hasattr(source, "loss_curve_") or table or names


def histories_of(source: Any) -> dict[str, Any]:
    """Return several histories by their names; of one, without a name."""
    several = isinstance(source, Mapping) and not isinstance(source, History) and len(source)
    if several and all(map(_has_figures, source.values())):
        return {v.instance("names in history", name, str, "be strings"): each for name, each in source.items()}
    return {"": source}


def planned_rates(name: str, source: Any, epochs: int, steps: int, base: float) -> tuple[Array, Array]:
    """Return the rates of all steps of a schedule, which messages call `name`, and their times in epochs.

    Each rate is there at the beginning and at the end of its step.
    """
    schedule = as_schedule(source, name)
    count = np.arange(epochs * steps)
    if v.is_function(source) and not isinstance(source, Schedule):
        check_takes(name, source, 1, "the epoch, as in lambda epoch: 0.9**epoch")
    if schedule is None:
        rates = np.full(len(count), base)
    else:
        schedule = schedule.over(epochs, epochs * steps)
        with np.errstate(over="ignore"):
            rates = np.concatenate([schedule(base, epoch, count[epoch * steps :][:steps]) for epoch in range(epochs)])
    times = np.stack([count, count + 1], axis=1).reshape(-1) / steps
    return times, np.repeat(_style.drawable(rates), 2)


def choice(name: str, value: Any, known: Collection[Any], what: str) -> Any:
    """Return `value`, if it is among what is known."""
    if value not in known:
        fix = suggestion(value, [each for each in known if isinstance(each, str)])
        v.refuse(ValueError, name, f"be one of {what}, {', '.join(map(str, known))}", v.shown(value), fix)
    return value


def whole(name: str, value: Any) -> int:
    """Return an integer that is given as one."""
    try:
        return operator.index(value)
    except TypeError:
        v.refuse(TypeError, name, "be an integer", v.shown(value))
