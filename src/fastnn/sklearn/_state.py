"""A look at what a pickle brings, before any of it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.sklearn._model import Model
from fastnn.sklearn._optimizer import OptimizerState

STRUCTURE = {"hidden_layer_sizes", "activation", "dropout", "batch_norm"}


def check_state(state: Any) -> None:
    """Refuse a state whose arrays do not make a net, or are no arrays.

    Raises
    ------
    TypeError, ValueError
        Naming the attribute, what was expected and what came.
    """
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        v.refuse(TypeError, "state", "be a mapping of attributes", type(state).__name__)
    if "coefs_" not in state:
        return
    widths = _check_layers(state, "coefs_", "intercepts_")
    if "_best_coefs" in state:
        _check_layers(state, "_best_coefs", "_best_intercepts")
    counts = {"n_layers_": len(widths), "n_features_in_": widths[0], "n_outputs_": widths[-1]}
    for name, count in counts.items():
        if name in state and state[name] != count:
            v.refuse(ValueError, name, f"be {count}, as coefs_ have it", v.shown(state[name]))
    for name in ("n_iter_", "t_", "_training_steps"):
        if name in state:
            v.integer(name, state[name], 0)
    v.integer("_seed", state.get("_seed", 0), 0, 2**64 - 1)
    v.choice("out_activation_", state.get("out_activation_"), ("identity", "logistic", "softmax", "exp"))
    structure = state.get("_structure")
    if structure is not None and not (isinstance(structure, Mapping) and structure.keys() == STRUCTURE):
        v.refuse(TypeError, "_structure", f"be a mapping of {', '.join(sorted(STRUCTURE))}", repr(structure))


def check_rest(state: Mapping[str, Any], model: Model) -> None:
    """Refuse arrays that are not those of the net which the others make.

    Raises
    ------
    TypeError, ValueError
        As `check_state` does.
    """
    others = state.get("other_parameters_", {})
    if not isinstance(others, Mapping):
        v.refuse(TypeError, "other_parameters_", "be a mapping of names to arrays", type(others).__name__)
    if others.keys() != model.others.keys():
        v.refuse(ValueError, "other_parameters_", f"be the names {list(model.others)}", list(others))
    for name, array in others.items():
        _check_array(f"other_parameters_[{name!r}]", array)
        v.shape(f"other_parameters_[{name!r}]", array, model.others[name].shape)
        if name.endswith("running_var") and np.any(array < 0):
            v.refuse(ValueError, f"other_parameters_[{name!r}]", "be no number below 0", array.min())
    optimizer = state.get("_optimizer")
    if optimizer is None:
        return
    if not isinstance(optimizer, OptimizerState):
        v.refuse(TypeError, "_optimizer", "be an optimiser's state", type(optimizer).__name__)
    for name in ("t", "epoch", "schedule_step"):
        v.integer(f"_optimizer.{name}", getattr(optimizer, name, None), 0)
    for name in ("learning_rate_init", "base_rate"):
        v.real(f"_optimizer.{name}", getattr(optimizer, name, None), 0)
    if not isinstance(getattr(optimizer, "history", None), list):
        v.refuse(
            TypeError, "_optimizer.history", "be a list of epochs' figures", repr(getattr(optimizer, "history", None))
        )
    shapes = [array.shape for array in model.in_order(model.net.params.data)]
    for index, slot in enumerate(optimizer.slots):
        for array in slot:
            _check_array(f"_optimizer.slots[{index}]", array)
        if [array.shape for array in slot] != shapes:
            v.refuse(ValueError, f"_optimizer.slots[{index}]", f"be arrays of shapes {shapes}", [a.shape for a in slot])


def _check_array(name: str, array: Any) -> None:
    if type(array) not in (np.ndarray, np.memmap) or array.dtype not in (np.float32, np.float64):
        v.refuse(TypeError, name, "be an ndarray of float32 or float64", f"{type(array).__name__}")


def _check_layers(state: Mapping[str, Any], coefs: str, intercepts: str) -> list[int]:
    """Check that weights and intercepts are arrays, and follow on each other; return the widths."""
    for name in (coefs, intercepts):
        if not isinstance(state.get(name), list):
            v.refuse(TypeError, name, "be a list of arrays, one a layer", v.shown(type(state.get(name)).__name__))
        for index, array in enumerate(state[name]):
            _check_array(f"{name}[{index}]", array)
    return check_layers(state[coefs], state[intercepts], coefs, intercepts)


def check_layers(
    weights: Sequence[Array], shifts: Sequence[Array], coefs: str = "coefs_", intercepts: str = "intercepts_"
) -> list[int]:
    """Check that the shapes of weights and intercepts follow on each other; return the widths."""
    for name, arrays in ((coefs, weights), (intercepts, shifts)):
        if not arrays or len(arrays) != len(weights):
            v.refuse(TypeError, name, "be a list of arrays, one a layer", f"{len(arrays)} of them")
        for index, array in enumerate(arrays):
            if array.ndim != (2 if name == coefs else 1) or 0 in array.shape:
                v.refuse(ValueError, f"{name}[{index}]", f"be {2 if name == coefs else 1} axes", f"shape {array.shape}")
    shapes = [array.shape for array in weights]
    for index, ((_, before), (after, _)) in enumerate(pairwise(shapes)):
        if before != after:
            v.refuse(ValueError, f"{coefs}[{index + 1}]", f"be {before} rows, as many as the layer before gives", after)
    for index, ((_, width), array) in enumerate(zip(shapes, shifts, strict=True)):
        if array.shape != (width,):
            v.refuse(ValueError, f"{intercepts}[{index}]", f"have shape ({width},)", array.shape)
    return [shapes[0][0], *(width for _, width in shapes)]
