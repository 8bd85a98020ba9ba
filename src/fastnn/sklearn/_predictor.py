"""Plain calls of estimators, and their predictor."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _config, nn
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import make_plain_net
from fastnn.engine._plain_calls import PlainCalls
from fastnn.nn._runners import PLAIN_ROWS
from fastnn.nn.predictor import Predictor, plain_snapshot
from fastnn.sklearn._model import Model

# What follows the last layer, by the name of the output activation. "exp" is NumPy's, so it has no plain calls.
_LINKS: Mapping[str, nn.Layer | None] = {"identity": None, "logistic": nn.Sigmoid(), "softmax": nn.Softmax()}
# State of trainings, which predictions do not need.
_OF_TRAININGS = ("_optimizer", "_best_coefs", "_best_intercepts")


def _result(estimator: Any, method: str) -> tuple[str, Any] | None:
    """Return what plain calls of a method make of the outputs, and the classes; None if the method has none."""
    binarizer = estimator.__dict__.get("_label_binarizer")
    if "_category_columns" in estimator.__dict__ or estimator.out_activation_ not in _LINKS:
        return None
    single = len(estimator.intercepts_[-1]) == 1
    if binarizer is None:
        return "column" if single else "", None
    if method == "predict_proba":
        return "both classes" if single else "", None
    exclusive = binarizer.y_type_ == "multiclass" or (binarizer.y_type_ == "binary" and len(binarizer.classes_) == 2)
    return ("classes", binarizer.classes_) if exclusive else None


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
        net, link = model.net, _LINKS.get(estimator.out_activation_)
        self.net, self.classes = net, estimator.__dict__.get("classes_")
        program = net.inference_program(link)
        self._plain = make_plain_net(program, net.dtype, PLAIN_ROWS, net.params, net.state, net.lock)
        self._calls: dict[str, PlainCalls] = {}
        for method in ("predict", "predict_proba"):
            result = _result(estimator, method)
            if result is not None:
                self._calls[method] = PlainCalls((self._plain,), PLAIN_ROWS, result[0], "", result[1], finite=True)

    def now(self, method: str, X: object) -> Array | None:
        """Return the result of a plain call, else None."""
        calls, net = self._calls.get(method), self.net
        return None if calls is None else calls.now_scaled(X, None, net.input_scaling, net.output_scaling)


class EstimatorPredictor(Predictor):
    """A `Predictor` of an estimator: ``p(X, out=None)`` is what its method returns."""

    def __init__(self, estimator: Any, rows: int | None, method: str) -> None:
        self._method, self._estimator_now = method, weakref.ref(estimator)
        self._take(estimator)
        super().__init__((), rows)
        self._set_copy()

    def update(self) -> None:
        """Take the present state of the estimator, also after a fit with other classes or widths.

        Raises
        ------
        RuntimeError
            If the estimator does not exist any more.
        """
        estimator = self._estimator_now()
        if estimator is None:
            v.refuse_state("the estimator of this predictor does not exist any more", "keep a reference to it")
        self._take(estimator)
        self._set_copy()

    def _take(self, estimator: Any) -> None:
        """Copy the estimator, without the state of its trainings."""
        twin = copy.copy(estimator)
        for name in _OF_TRAININGS:
            twin.__dict__.pop(name, None)
        # Arrays have no names of columns: scikit-learn would warn at each call.
        nameless = object.__new__(type(twin))
        nameless.__dict__ = {name: value for name, value in vars(twin).items() if name != "feature_names_in_"}
        self._twin, self._nameless = twin, nameless

    def _set_copy(self) -> None:
        twin = self._twin
        net: nn.Sequential = twin._current_model().net
        self._copies = (net,)
        result = _result(twin, self._method) if self.backend == "native" else None
        if result is None:
            PlainCalls.__init__(self, (), 0)
            return
        plain = plain_snapshot(net, self._plain_rows, _LINKS[twin.out_activation_])
        PlainCalls.__init__(self, (plain,), self._plain_rows, result[0], "", result[1], finite=True)

    def _general(self, x: npt.ArrayLike, out: Array | None) -> Array:
        rows: Any = x
        count = rows.shape[0] if hasattr(rows, "shape") else len(rows) if hasattr(rows, "__len__") else 0
        if self.rows is not None and count > self.rows:
            must = f"have at most {self.rows} rows, as this predictor was made for"
            v.refuse(ValueError, "X", must, count, f"write predictor(rows={count})")
        with _config.backend(self.backend):
            result: Array = getattr(self._nameless if isinstance(x, np.ndarray) else self._twin, self._method)(x)
        if out is None:
            return result
        given = {"X": x} if isinstance(x, np.ndarray) else {}
        written = v.output(out, result.shape, result.dtype, given)
        written[...] = result
        return written
