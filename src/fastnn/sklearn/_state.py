"""Checks of the arrays that make a net: from a pickle, before any of it is used, or assigned to an estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.sklearn._average import AverageState
from fastnn.sklearn._columns import check_columns
from fastnn.sklearn._model import Model
from fastnn.sklearn._optimizer import OptimizerState

STRUCTURE = {
    "hidden_layer_sizes", "activation", "dropout", "batch_norm", "norm", "residual", "categorical_features",
    "scale", "scale_targets",
}  # fmt: skip


def check_state(state: Any) -> None:
    """Refuse a pickled state whose `coefs_` and `intercepts_` do not make a net, or whose numbers contradict them.

    Raises
    ------
    TypeError, ValueError
        Naming the attribute, what it must be and what it is.
    """
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        v.refuse(TypeError, "state", "be a mapping of attribute names to values", type(state).__name__)
    if "coefs_" not in state:
        return
    widths = _check_layer_lists(state, "coefs_", "intercepts_")
    if "_best_coefs" in state:
        _check_layer_lists(state, "_best_coefs", "_best_intercepts")
    counts = {"n_layers_": len(widths), "n_features_in_": widths[0], "n_outputs_": widths[-1]}
    if "_category_columns" in state:
        columns = check_columns(state["_category_columns"], state.get("n_features_in_"))
        if columns.input_width() != counts.pop("n_features_in_"):
            must = f"have {columns.input_width()} rows, one per input of the first dense layer"
            v.refuse(ValueError, "coefs_[0]", must, widths[0])
    for name, count in counts.items():
        if name in state and state[name] != count:
            v.refuse(ValueError, name, f"be {count} to match coefs_", v.shown(state[name]))
    for name in ("n_iter_", "t_", "_training_steps"):
        if name in state:
            v.integer(name, state[name], 0)
    v.integer("_seed", state.get("_seed", 0), 0, 2**64 - 1)
    v.choice("out_activation_", state.get("out_activation_"), ("identity", "logistic", "softmax", "exp"))
    structure = state.get("_structure")
    if structure is not None and not (isinstance(structure, Mapping) and structure.keys() == STRUCTURE):
        v.refuse(TypeError, "_structure", f"be a mapping with the keys {', '.join(sorted(STRUCTURE))}", repr(structure))


def check_state_against_model(state: Mapping[str, Any], model: Model) -> None:
    """Refuse a pickled state whose other arrays or whose optimiser do not belong to the net that its layers make.

    Raises
    ------
    TypeError, ValueError
        As `check_state` does.
    """
    others = state.get("other_parameters_", {})
    if not isinstance(others, Mapping):
        v.refuse(TypeError, "other_parameters_", "be a mapping of names to arrays", type(others).__name__)
    if others.keys() != model.others.keys():
        v.refuse(ValueError, "other_parameters_", f"have the keys {list(model.others)}", list(others))
    for name, array in others.items():
        _check_array(f"other_parameters_[{name!r}]", array)
        v.shape(f"other_parameters_[{name!r}]", array, model.others[name].shape)
        if name.endswith("running_var") and np.any(array < 0):
            v.refuse(ValueError, f"other_parameters_[{name!r}]", "contain no number below 0", array.min())
    optimizer = state.get("_optimizer")
    if optimizer is None:
        return
    if not isinstance(optimizer, OptimizerState):
        v.refuse(TypeError, "_optimizer", "be an OptimizerState", type(optimizer).__name__)
    for name in ("t", "epoch", "schedule_step"):
        v.integer(f"_optimizer.{name}", getattr(optimizer, name, None), 0)
    for name in ("learning_rate_init", "base_rate"):
        v.real(f"_optimizer.{name}", getattr(optimizer, name, None), 0)
    history = getattr(optimizer, "history", None)
    if not isinstance(history, list):
        v.refuse(TypeError, "_optimizer.history", "be a list of dicts, one per epoch", repr(history))
    average = getattr(optimizer, "average", None)
    if average is not None:
        v.instance("_optimizer.average", average, AverageState, "be an AverageState").check(
            "_optimizer.average", model.net
        )
    shapes = [array.shape for array in model.views_of(model.net.params.data)]
    for index, slot in enumerate(optimizer.slots):
        for array in slot:
            _check_array(f"_optimizer.slots[{index}]", array)
        if [array.shape for array in slot] != shapes:
            found = [array.shape for array in slot]
            v.refuse(ValueError, f"_optimizer.slots[{index}]", f"have arrays of shapes {shapes}", found)


def _check_array(name: str, array: Any) -> None:
    if type(array) not in (np.ndarray, np.memmap) or array.dtype not in (np.float32, np.float64):
        v.refuse(TypeError, name, "be an ndarray of float32 or float64", f"{type(array).__name__}")


def _check_layer_lists(state: Mapping[str, Any], coefs: str, intercepts: str) -> list[int]:
    """Check that weights and intercepts are lists of arrays whose shapes fit together; return the net's widths."""
    for name in (coefs, intercepts):
        if not isinstance(state.get(name), list):
            v.refuse(TypeError, name, "be a list of arrays, one per layer", type(state.get(name)).__name__)
        for index, array in enumerate(state[name]):
            _check_array(f"{name}[{index}]", array)
    return check_layers(state[coefs], state[intercepts], coefs, intercepts)


def check_layers(
    weights: Sequence[Array], shifts: Sequence[Array], coefs: str = "coefs_", intercepts: str = "intercepts_"
) -> list[int]:
    """Check that the shapes of weights and intercepts fit together; return the net's widths."""
    for name, arrays in ((coefs, weights), (intercepts, shifts)):
        if not arrays or len(arrays) != len(weights):
            v.refuse(TypeError, name, "be a list of arrays, one per layer", f"{len(arrays)} arrays")
        for index, array in enumerate(arrays):
            axes = 2 if name == coefs else 1
            if array.ndim != axes or 0 in array.shape:
                v.refuse(ValueError, f"{name}[{index}]", f"be {axes}-dimensional, not empty", f"shape {array.shape}")
    shapes = [array.shape for array in weights]
    for index, ((_, before), (after, _)) in enumerate(pairwise(shapes)):
        if before != after:
            must = f"have {before} rows, one per output of the layer before"
            v.refuse(ValueError, f"{coefs}[{index + 1}]", must, after)
    for index, ((_, width), array) in enumerate(zip(shapes, shifts, strict=True)):
        if array.shape != (width,):
            v.refuse(ValueError, f"{intercepts}[{index}]", f"have shape ({width},)", array.shape)
    return [shapes[0][0], *(width for _, width in shapes)]
