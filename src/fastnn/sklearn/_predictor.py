"""Plain calls of estimators, and their predictor."""

from __future__ import annotations

import copy
import operator
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn import _records, nn
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine._plain_calls import PlainCalls, PlainNet
from fastnn.nn._runners import PREDICT_ROWS
from fastnn.nn.predictor import Predictor, copy_values, plain_snapshot
from fastnn.sklearn._model import Model

# What follows the last layer, by the name of the output activation. "exp" is NumPy's, so it has no plain calls.
_LINKS: Mapping[str, nn.Layer | None] = {"identity": None, "logistic": nn.Sigmoid(), "softmax": nn.Softmax()}
# State of trainings, which predictions do not need.
_OF_TRAININGS = ("_optimizer", "_best_coefs", "_best_intercepts")


def _result(estimator: Any, method: str) -> tuple[str, Any] | None:
    """Return what plain calls of a method make of the outputs, and the classes; None if the method has none."""
    binarizer = estimator.__dict__.get("_label_binarizer")
    own = _records.is_own(type(estimator))  # a user's subclass may have methods of its own
    if not own or "_category_columns" in estimator.__dict__ or estimator.out_activation_ not in _LINKS:
        return None
    single = len(estimator.intercepts_[-1]) == 1
    if binarizer is None:
        return "column" if single else "", None
    if method == "predict_proba":
        return "both classes" if single else "", None
    exclusive = binarizer.y_type_ == "multiclass" or (binarizer.y_type_ == "binary" and len(binarizer.classes_) == 2)
    return ("classes", binarizer.classes_) if exclusive else None


def facts_of(estimator: Any) -> tuple[Any, ...]:
    """Return what of an estimator, besides the values of its net, decides on its predictions."""
    known = estimator.__dict__
    return tuple(known.get(name) for name in ("_label_binarizer", "classes_", "out_activation_", "n_features_in_"))


class LiveCalls:
    """Plain calls of an estimator's methods with the arrays as they are at each call.

    Parameters
    ----------
    estimator : estimator
        A fitted one.
    model : Model
        Its model.
    """

    def __init__(self, estimator: Any, model: Model) -> None:
        net = model.net
        self.attributes, self.facts = (vars(net),), facts_of(estimator)
        self._calls: dict[str, PlainCalls] = {}
        results = {method: _result(estimator, method) for method in estimator.predictor_methods}
        if not any(results.values()):
            return
        plain = net.make_plain_net(PREDICT_ROWS, _LINKS[estimator.out_activation_], net.lock)
        for method, result in results.items():
            if result is not None:
                self._calls[method] = PlainCalls((plain,), PREDICT_ROWS, result[0], "", result[1], finite=True)

    def now(self, method: str, X: object) -> Array | None:
        """Return the result of a plain call, else None."""
        calls = self._calls.get(method)
        return None if calls is None else calls.now(X, None, self.attributes)


class EstimatorSnapshot(NamedTuple):
    """A copy of an estimator, with what a `Snapshot` has.

    Attributes
    ----------
    twin, nameless : estimator
        The copy, with and without the names of columns: arrays have none, and scikit-learn would warn at each call.
    model : weakref.ref of Model
        That of the estimator itself when the copy was made.
    facts : tuple
        What of the estimator, besides the values of its net, decides on its predictions.
    """

    nets: tuple[nn.Sequential, ...]
    plain: tuple[PlainNet, ...]
    twin: Any
    nameless: Any
    model: weakref.ref[Model]
    facts: tuple[Any, ...]
    in_features: int
    out_features: int | None
    dtype: np.dtype[Any]


class EstimatorPredictor(Predictor):
    """A `Predictor` of an estimator: ``p(x, out=None)`` is what its method returns."""

    _article, _source = "an", "estimator"

    def __init__(self, estimator: Any, rows: int | None, method: str) -> None:
        self._method, self._reference = method, weakref.ref(estimator)
        super().__init__(rows)

    def _new_calls(self) -> PlainCalls:
        estimator = self._existing(self._reference)
        model, facts = estimator._current_model(), facts_of(estimator)
        twin = copy.copy(estimator)
        for name in _OF_TRAININGS:
            twin.__dict__.pop(name, None)
        if "classes_" in twin.__dict__:  # later changes of them must not reach the copy
            twin.classes_, twin._label_binarizer = copy.deepcopy((twin.classes_, twin._label_binarizer))
        nameless = object.__new__(type(twin))
        nameless.__dict__ = {name: value for name, value in vars(twin).items() if name != "feature_names_in_"}
        net: nn.Sequential = twin._current_model().net
        result = _result(twin, self._method)
        plain: tuple[PlainNet, ...] = ()
        if result is not None and self._backend == "native":
            plain = (plain_snapshot(net, self._plain_rows, _LINKS[twin.out_activation_]),)
        width, dtype = _columns_and_dtype(twin, self._method, net)
        snapshot = EstimatorSnapshot(
            (net,), plain, twin, nameless, weakref.ref(model), facts, twin.n_features_in_, width, dtype
        )  # fmt: skip
        kind, classes = result or ("", None)
        return PlainCalls(plain, self._plain_rows, kind, "", classes, finite=True, snapshot=snapshot)

    def _refill(self, snapshot: EstimatorSnapshot) -> bool:
        estimator = self._existing(self._reference)
        model, facts = estimator._current_model(), facts_of(estimator)
        is_same = snapshot.model() is model and all(map(operator.is_, facts, snapshot.facts))
        if not is_same:
            return False
        if not np.array_equal(getattr(estimator, "classes_", 0), getattr(snapshot.twin, "classes_", 0)):
            return False
        (net,) = snapshot.nets
        copy_values(model.net, net)
        for plain in snapshot.plain:
            plain.keep(net.input_scaling, net.output_scaling)
        return True

    def _predict(self, snapshot: Any, x: Any, out: Array | None) -> Array:
        shape = getattr(x, "shape", None) or (len(x) if isinstance(x, list | tuple) else 0,)
        self._check_rows("X", shape[0])
        # Of a frame the names are checked; anything else has none.
        twin = snapshot.twin if hasattr(x, "columns") else snapshot.nameless
        result: Array = getattr(twin, self._method)(x)
        if out is None:
            return result
        given = {"X": x} if isinstance(x, np.ndarray) else {}
        written = v.output(out, result.shape, result.dtype, given)
        written[...] = result
        return written


def _columns_and_dtype(estimator: Any, method: str, net: nn.Sequential) -> tuple[int | None, np.dtype[Any]]:
    """Return the number of columns of a method's results, None if they have one axis, and their dtype."""
    binarizer = estimator.__dict__.get("_label_binarizer")
    width = net.out_features
    if binarizer is None:
        return None if width == 1 else width, net.dtype
    if method == "predict_proba":
        return max(2, width), net.dtype
    several = binarizer.y_type_.startswith("multilabel")
    return (width, np.dtype(int)) if several else (None, binarizer.classes_.dtype)
