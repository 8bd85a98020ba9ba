"""Weights of classes, and which scorers can be told of weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array


def balanced(labels: Array, classes: int, sample_weight: Array | None) -> Array:
    """Return weights with which all classes that are there count the same.

    They are ``total / (classes * total of the class)`` of the sample weights, so that a row of weight 2 is as two rows.

    Parameters
    ----------
    labels : ndarray of intp, shape (n,)
        From 0 to ``classes - 1``.
    classes : int
    sample_weight : ndarray, shape (n,), or None

    Returns
    -------
    ndarray, shape (classes,)
        0 for a class that is not there.
    """
    totals = np.bincount(labels, sample_weight, classes).astype(np.float64, copy=False)
    there = totals > 0
    return np.divide(totals.sum(), there.sum() * totals, out=np.zeros(classes), where=there)


def weights_of(classes: Array, class_weight: Mapping[Any, Any]) -> Array:
    """Return the weights that a dict has for the classes, 1 where it has none.

    Raises
    ------
    TypeError, ValueError
        If a weight is no number, negative or not finite; as scikit-learn does, if a class has none although the dict
        has one for what is no class.
    """
    for label, weight in class_weight.items():
        if not isinstance(weight, Real) or not 0 <= float(weight) < np.inf:
            error = ValueError if isinstance(weight, Real) else TypeError
            v.refuse(error, f"class_weight[{label!r}]", "be a finite number of at least 0", repr(weight))
    missing = [label for label in classes if label not in class_weight]
    if missing and len(classes) - len(missing) != len(class_weight):
        raise ValueError(f"The classes, {np.array(missing).tolist()}, are not in class_weight")
    return np.array([class_weight.get(label, 1.0) for label in classes], dtype=np.float64)


def takes_weights(scorer: Any) -> bool:
    """Whether a scorer can be told of sample weights."""
    says = getattr(scorer, "_accept_sample_weight", None)  # scikit-learn's own know of their metrics
    if says is not None:
        return bool(says())
    try:
        parameters = inspect.signature(scorer).parameters
    except (TypeError, ValueError):  # of a compiled function
        return False
    return "sample_weight" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
