"""Estimators in files: their parameters, the fitted net, and all that later fits and predictions need besides.

The content has four parts: "parameters", by name; "net", as a net's own file has it; "fitted"; and "requests", those
for metadata. Net and fitted are None before the first fit. What follows from the net, such as `coefs_`, is not stored
twice. On loading everything is rebuilt by code, and `__setstate__` checks it as it checks a pickle.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.preprocessing import LabelBinarizer

from fastnn import _records
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._content import OWN, ContentReader, reading
from fastnn.io._nets import pack_net, unpack_net
from fastnn.nn import Sequential
from fastnn.sklearn._columns import CategoryColumns
from fastnn.sklearn._content_columns import pack_columns, unpack_columns
from fastnn.sklearn._content_optimizer import pack_optimizer, unpack_optimizer
from fastnn.sklearn._content_requests import pack_requests, set_requests
from fastnn.sklearn._content_values import EstimatorReader, EstimatorWriter, text
from fastnn.sklearn._model import Model
from fastnn.sklearn._scaling import SCALER_BY_NAME, scalers_of
from fastnn.sklearn._state import STRUCTURE

_Estimator = TypeVar("_Estimator")

PARTS = ("parameters", "net", "fitted", "requests")
FITTED = ("attributes", "structure", "classes", "names", "categories", "best", "random_state", "optimizer")

COUNTS = {"n_iter_", "t_", "_no_improvement_count"}
NUMBERS = {"loss_", "best_loss_", "best_validation_score_"}  # the best ones may be None
CURVES = {"loss_curve_", "validation_loss_curve_", "validation_scores_"}  # the last may be None
NEEDED = {"n_iter_", "t_", "out_activation_"}  # a fit begins by setting these, and may be saved before it sets others
MAY_BE_NONE = {"best_loss_", "best_validation_score_", "validation_scores_"}


def file_kind(kind: type[Any]) -> str:
    """Return the kind of the files of a class of estimators, or refuse a class of users."""
    if not _records.is_own(kind):
        must = "be of a class of fastnn, as only these have files"
        v.refuse(TypeError, "the estimator", must, f"the class {kind.__name__}", "pickle it instead")
    return "classifier" if issubclass(kind, ClassifierMixin) else "regressor"


# ---- writing ----


def save_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write an estimator into a file; see its method `save`."""
    kind = file_kind(type(estimator))
    estimator._validate_params()
    if estimator.callbacks:
        fix = "write set_params(callbacks=None) before, or pickle the estimator"
        v.refuse(TypeError, "callbacks", "be None, as files contain no code", v.shown(estimator.callbacks), fix)
    if theirs := getattr(estimator, "_skl_callbacks", None):
        fix = "write set_callbacks() before, or pickle the estimator"
        v.refuse(TypeError, "scikit-learn's callbacks", "be none, as files contain no code", v.shown(theirs), fix)
    twin = copy.copy(estimator)  # all its arrays are of one moment, and nobody trains them
    content = EstimatorWriter(type(twin))
    parameters = {name: content.value(value, name) for name, value in twin.get_params(deep=False).items()}
    net = fitted = None
    if "coefs_" in vars(twin):
        fitted = _pack_fitted(twin, content)
        net = pack_net(twin._current_model().net, content)
    content.check_strings()
    requests = pack_requests(twin)
    content.write(path, kind, {"parameters": parameters, "net": net, "fitted": fitted, "requests": requests})


def _pack_fitted(twin: Any, content: EstimatorWriter) -> dict[str, Any]:
    known = vars(twin)
    for name in (*sorted(NEEDED), "_structure", "_random_state", "_best_coefs"):
        if name not in known:
            v.refuse(ValueError, name, "be set by a fit", "none", "call fit or partial_fit before save")
    attributes: dict[str, Any] = {"out_activation_": twin.out_activation_}
    for name in sorted((COUNTS | NUMBERS | CURVES) & known.keys()):
        value = known[name]
        if name in CURVES and value is not None:
            value = np.array(value, np.float64)
        attributes[name] = content.value(value, name)
    same = twin._random_state is twin.random_state
    names = known.get("feature_names_in_")
    columns: CategoryColumns | None = known.get("_category_columns")
    best = {name: known[f"_best_{name}"] for name in ("coefs", "intercepts")}
    for name, arrays in best.items():
        for index, array in enumerate(arrays):
            content.put(f"{OWN}best.{name}.{index}", array)
    return {
        "attributes": attributes,
        "structure": {name: content.value(value, f"_structure.{name}") for name, value in twin._structure.items()},
        "classes": _pack_classes(twin, content) if is_classifier(twin) else None,
        "names": None if names is None else content.of_strings(names, "feature_names_in_", "feature_names_in_"),
        "categories": None if columns is None else pack_columns(columns, content),
        "best": len(twin._best_coefs),
        "random_state": None if same else content.value(twin._random_state, "_random_state"),
        "optimizer": pack_optimizer(known.get("_optimizer"), twin._current_model(), content),
    }


def _pack_classes(twin: Any, content: EstimatorWriter) -> dict[str, Any]:
    binarizer, classes = twin._label_binarizer, twin.classes_
    multilabel = binarizer.y_type_.startswith("multilabel")
    made = _binarizer(classes, multilabel, bool(binarizer.sparse_input_), len(binarizer.classes_))
    same = binarizer.y_type_ == made.y_type_ and np.array_equal(binarizer.classes_, made.classes_)
    if not isinstance(classes, np.ndarray) or not same:
        fix = "leave it as the fit has set it, or pickle the estimator"
        v.refuse(ValueError, "classes_", "be the classes of the fit", v.shown(classes), fix)
    _check_classes(classes)
    plain = (
        text(classes, "classes_", content.of_strings(classes, "classes_", "classes_"))
        if classes.dtype.kind == "U"
        else content.of_array(classes, "classes_")
    )
    return {"classes_": plain, "multilabel": multilabel, "sparse": bool(binarizer.sparse_input_)}


def _binarizer(classes: Array, multilabel: bool, sparse: bool, outputs: int) -> LabelBinarizer:
    """Return a binarizer as `fit` leaves it, which would warn of many classes with one row each."""
    binarizer = LabelBinarizer()
    binarizer.y_type_ = "multilabel-indicator" if multilabel else "multiclass" if len(classes) > 2 else "binary"
    binarizer.sparse_input_ = sparse
    binarizer.classes_ = np.arange(outputs) if multilabel else classes
    return binarizer


def _check_classes(classes: Array) -> None:
    """Refuse what no fit takes as its classes."""
    if classes.dtype.kind not in "biufU":
        fix = "fit with labels that are numbers or strings, or pickle the estimator"
        v.refuse(TypeError, "classes_", "be numbers or strings", f"dtype {classes.dtype}", fix)
    if classes.ndim != 1 or not classes.size:
        v.refuse(ValueError, "classes_", "be 1-dimensional, not empty", f"shape {classes.shape}")
    if classes.dtype.kind == "f" and not (np.isfinite(classes) & (classes == np.trunc(classes))).all():
        v.refuse(ValueError, "classes_", "be whole numbers, if they are floats", v.shown(classes))
    if not (classes[:-1] < classes[1:]).all():
        v.refuse(ValueError, "classes_", "be in ascending order, each once", v.shown(classes))


# ---- reading ----


def load_estimator(kind: type[_Estimator], path: str | os.PathLike[str], allow_nonfinite: bool) -> _Estimator:
    """Return the estimator in a file; see its class method `load`."""
    wanted, allow_nonfinite = file_kind(kind), v.boolean("allow_nonfinite", allow_nonfinite)
    with reading(path, wanted, reader=EstimatorReader) as saved:
        part = saved.part(saved.content, "the content", PARTS)
        estimator: Any = kind(**_unpack_parameters(saved, part["parameters"], kind))
        estimator._validate_params()
        if part["net"] is not None:
            net = unpack_net(saved, part["net"], allow_nonfinite=allow_nonfinite)
            estimator.__setstate__(_unpack_fitted(saved, part["fitted"], net, estimator, allow_nonfinite))
            _check_net(net, estimator)
        elif part["fitted"] is not None:
            v.refuse(ValueError, "the content", "have a net, as it has what a fit has set", "none")
        set_requests(estimator, part["requests"])
    loaded: _Estimator = estimator
    return loaded


def _unpack_parameters(saved: ContentReader, part: Any, kind: type[Any]) -> dict[str, Any]:
    """Return the parameters; those that a file does not have are left to their defaults."""
    given = v.instance("parameters", part, dict, "be an object")
    return {v.choice("the name of a parameter", name, _records.parameters(kind)): saved.value(value, name)
            for name, value in given.items()}  # fmt: skip


def _unpack_fitted(
    saved: ContentReader, part: Any, net: Sequential, estimator: Any, allow_nonfinite: bool
) -> dict[str, Any]:
    """Return the state of the estimator, as `__setstate__` takes it."""
    part = saved.part(part, "fitted", FITTED)
    if net.frozen:
        v.refuse(ValueError, "net.frozen", "be empty, as estimators train all parameters", ", ".join(net.frozen))
    model = Model(net)
    columns = None if part["categories"] is None else unpack_columns(saved, part["categories"], net.in_features)
    structure = _unpack_structure(saved, part["structure"])
    scalers = scalers_of(net)
    _check_scalers(structure, scalers, columns)
    state: dict[str, Any] = {
        **vars(estimator),
        **_unpack_attributes(saved, part["attributes"]),
        "coefs_": list(model.coefs),
        "intercepts_": list(model.intercepts),
        "n_layers_": len(model.coefs) + 1,
        "n_outputs_": net.out_features,
        "n_features_in_": net.in_features,
        "is_categorical_": None if columns is None else columns.mask.copy(),
        "categories_": None if columns is None else columns.categories,
        "_structure": structure,
        "_seed": net.seed,
        "_training_steps": net.training_steps,
        "_random_state": _unpack_random_state(saved, part["random_state"], estimator),
        **_unpack_best(saved, part["best"], allow_nonfinite),
    }
    optional = {
        "other_parameters_": dict(model.others) or None,
        "_scalers": scalers if any(each is not None for each in scalers) else None,
        "_category_columns": columns,
        "feature_names_in_": _unpack_names(saved, part["names"], net.in_features),
        "_optimizer": unpack_optimizer(saved, part["optimizer"], model, allow_nonfinite),
    }
    state |= {name: value for name, value in optional.items() if value is not None}
    return state | _unpack_classes(saved, part["classes"], estimator, net.out_features, state["out_activation_"])


def _unpack_attributes(saved: ContentReader, part: Any) -> dict[str, Any]:
    given = v.instance("fitted.attributes", part, dict, "be an object")
    for name in given:
        v.choice("the name of an attribute", name, sorted(COUNTS | NUMBERS | CURVES | NEEDED))
    if missing := sorted(NEEDED - given.keys()):
        v.refuse(ValueError, "fitted.attributes", f"have {missing[0]}", "none")
    values = {name: saved.value(each, name) for name, each in given.items()}
    v.choice("out_activation_", values["out_activation_"], ("identity", "logistic", "softmax", "exp"))
    for name, value in values.items():
        if name == "out_activation_" or (value is None and name in MAY_BE_NONE):
            continue
        if name in COUNTS:
            v.integer(name, value, 0)
        elif name in NUMBERS:
            if not isinstance(value, float):
                v.refuse(TypeError, name, "be a float", v.shown(value))
        elif not isinstance(value, np.ndarray) or value.dtype != np.float64 or value.ndim != 1:
            v.refuse(TypeError, name, "be a 1-dimensional array of float64", v.shown(value))
        else:
            values[name] = list(value)
    return values


def _unpack_structure(saved: ContentReader, part: Any) -> dict[str, Any]:
    """Return the parameters that the fit had; `make_net` checks those of layers."""
    given = saved.part(part, "fitted.structure", tuple(sorted(STRUCTURE)))
    structure = {name: saved.value(value, f"_structure.{name}") for name, value in given.items()}
    sizes, features = structure["hidden_layer_sizes"], structure["categorical_features"]
    for index, size in enumerate(v.instance("_structure.hidden_layer_sizes", sizes, list, "be a list")):
        v.integer(f"_structure.hidden_layer_sizes[{index}]", size, 1)
    rates = structure["dropout"]
    for rate in rates if isinstance(rates, list) else [rates]:
        v.real("_structure.dropout", float(rate) if isinstance(rate, bool) else rate, 0, 1, closed=True)
    for name in ("batch_norm", "residual", "scale_targets"):
        v.instance(f"_structure.{name}", structure[name], bool, "be True or False")
    known = features is None or isinstance(features, str)
    if not known and not (isinstance(features, list) and all(isinstance(each, int | str) for each in features)):
        must = "be a string, a list of numbers or of names, or None"
        v.refuse(TypeError, "_structure.categorical_features", must, v.shown(features))
    if structure["scale"] is not None:
        v.choice("_structure.scale", structure["scale"], SCALER_BY_NAME)
    return structure


def _check_scalers(structure: Mapping[str, Any], scalers: tuple[Any, ...], columns: CategoryColumns | None) -> None:
    """Refuse scalers of a net other than those for which the parameters have asked."""
    if columns is not None and structure["categorical_features"] is None:
        v.refuse(ValueError, "fitted.categories", "be None without categorical_features", "columns")
    scale = structure["scale"] if columns is None or len(columns.numbers) else None
    wanted = scale and SCALER_BY_NAME[scale], SCALER_BY_NAME["standard"] if structure["scale_targets"] else None
    for name, kind, scaler in zip(("scaler", "output_scaler"), wanted, scalers, strict=True):
        if type(scaler) is not (kind or type(None)):
            must = f"be {'None' if kind is None else f'a {kind.__name__}'}, as in the parameters of the fit"
            v.refuse(ValueError, f"net.{name}", must, v.shown(scaler))


def _unpack_random_state(saved: ContentReader, part: Any, estimator: Any) -> np.random.RandomState:
    value = estimator.random_state if part is None else saved.value(part, "_random_state")
    return v.instance("_random_state", value, np.random.RandomState, "be a RandomState")


def _unpack_best(saved: ContentReader, part: Any, allow_nonfinite: bool) -> dict[str, Any]:
    count = v.integer("fitted.best", part, 1, len(saved.file.entries))
    return {
        f"_best_{each}": [
            saved.take(f"{OWN}best.{each}.{index}", dtypes=v.FLOATS, allow_nonfinite=allow_nonfinite)
            for index in range(count)
        ]
        for each in ("coefs", "intercepts")
    }


def _unpack_names(saved: ContentReader, part: Any, features: int) -> Array | None:
    if part is None:
        return None
    names = saved.value(part, "feature_names_in_")
    if not isinstance(names, np.ndarray) or names.dtype != object or names.shape != (features,):
        v.refuse(ValueError, "feature_names_in_", f"be {features} strings", v.shown(names))
    return names


def _unpack_classes(
    saved: ContentReader, part: Any, estimator: Any, outputs: int, out_activation: str
) -> dict[str, Any]:
    if not is_classifier(estimator):
        if part is not None:
            v.refuse(ValueError, "fitted.classes", "be None for a regressor", v.kind_of(part))
        v.choice("out_activation_", out_activation, ("identity", "exp"))
        return {}
    part = saved.part(part, "fitted.classes", ("classes_", "multilabel", "sparse"))
    for name in ("multilabel", "sparse"):
        v.instance(f"fitted.classes.{name}", part[name], bool, "be True or False")
    if part["sparse"] and not part["multilabel"]:
        v.refuse(ValueError, "fitted.classes.sparse", "be False for one label per row", "True")
    classes = saved.value(part["classes_"], "classes_")
    if not isinstance(classes, np.ndarray):
        v.refuse(TypeError, "classes_", "be an array", v.kind_of(classes))
    _check_classes(classes)
    binarizer = _binarizer(classes, part["multilabel"], part["sparse"], outputs)
    wanted = len(classes) if binarizer.y_type_ == "multiclass" else 1
    if part["multilabel"]:
        wanted = max(2, outputs)
    if outputs != wanted:
        must = f"have {wanted} outputs, for {len(classes)} classes"
        v.refuse(ValueError, "net", must, outputs)
    activation = "softmax" if binarizer.y_type_ == "multiclass" else "logistic"
    if out_activation != activation:
        v.refuse(ValueError, "out_activation_", f"be {activation!r} for these classes", v.shown(out_activation))
    return {"classes_": classes, "_label_binarizer": binarizer}


def _check_net(net: Sequential, estimator: Any) -> None:
    """Refuse layers other than those that the parameters of the fit make."""
    made = estimator._current_model().net
    # Compared as they are written: a function that is registered makes another layer each time.
    configs = [each.config()["layers"] for each in (made, net)]
    for index, (mine, other) in enumerate(zip(*configs, strict=False)):
        if mine != other:
            must = f"be {v.shown(made.layers[index])}, as in the parameters of the fit"
            v.refuse(ValueError, f"net.layers[{index}]", must, v.shown(net.layers[index]))
    if len(net.layers) != len(made.layers):
        v.refuse(ValueError, "net.layers", f"be {len(made.layers)}, as in the parameters of the fit", len(net.layers))
