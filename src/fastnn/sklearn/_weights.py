"""Class weights, and which scorers accept sample weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.sklearn import _messages as messages
from fastnn.sklearn._versions import metric_of_old_scorer


def balanced_class_weights(labels: Array, classes: int, sample_weight: Array | None) -> Array:
    """Return weights that give every class present the same total weight.

    They are ``total / (number of classes present * total of the class)``, where totals are sums of sample weights. A
    row of weight 2 thus counts as two rows.

    Parameters
    ----------
    labels : ndarray of intp, shape (n,)
        From 0 to ``classes - 1``.
    classes : int
    sample_weight : ndarray, shape (n,), or None

    Returns
    -------
    ndarray, shape (classes,)
        0 for a class that is not present.
    """
    totals = np.bincount(labels, sample_weight, classes).astype(np.float64, copy=False)
    present = totals > 0
    return np.divide(totals.sum(), present.sum() * totals, out=np.zeros(classes), where=present)


def class_weights_from_dict(classes: Array, class_weight: Mapping[Any, Any]) -> Array:
    """Return one weight per class: the dict's, or 1 for a class that the dict does not name.

    Raises
    ------
    TypeError, ValueError
        If a weight is no number, negative or not finite. Also, as in scikit-learn, if the dict does not name all
        classes but names something that is no class.
    """
    for label, weight in class_weight.items():
        v.real(f"class_weight[{label!r}]", weight, 0)
    missing = [label for label in classes if label not in class_weight]
    if missing and len(classes) - len(missing) != len(class_weight):
        messages.classes_without_weight(np.array(missing).tolist())
    return np.array([class_weight.get(label, 1.0) for label in classes], dtype=np.float64)


def accepts_sample_weight(scorer: Any) -> bool:
    """Return whether a scorer can be called with sample weights."""
    own_answer = getattr(scorer, "_accept_sample_weight", None)  # scikit-learn's scorers ask their metric
    if own_answer is not None:
        return bool(own_answer())
    try:
        parameters = inspect.signature(metric_of_old_scorer(scorer) or scorer).parameters
    except (TypeError, ValueError):  # a compiled function without a signature
        return False
    return "sample_weight" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
