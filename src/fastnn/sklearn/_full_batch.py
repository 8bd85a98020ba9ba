"""The solver that takes all rows at once: loss and gradient from the engine, the search from SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.optimize
from sklearn.base import is_classifier
from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
from sklearn.utils.optimize import _check_optimize_result

from fastnn._config import get_num_threads
from fastnn._typing import Array
from fastnn.engine import Feed, make_executor
from fastnn.sklearn._model import Model, loss_of
from fastnn.sklearn._rows import dense
from fastnn.sklearn._targets import encode


def pack(coefs: list[Array], intercepts: list[Array]) -> Array:
    """Return all parameters in one vector, coefs first."""
    return np.hstack([array.ravel() for array in coefs + intercepts])


class FullBatch:
    """Loss and gradient of all rows as a function of the packed parameters, which it leaves in the net.

    The buffers of a step are as long as the data; a sparse X is dense for as long as this lives.
    """

    def __init__(self, estimator: Any, model: Model, X: Any, y: Array, sample_weight: Array | None) -> None:
        net = model.net
        loss = loss_of(estimator.loss, estimator.out_activation_, net.out_features)
        y = y.astype(bool) if is_classifier(estimator) else y
        target = encode(loss, y, estimator.out_activation_, net.dtype)
        weight = None if sample_weight is None else np.ascontiguousarray(sample_weight, dtype=np.float64)
        rows = X.shape[0]
        program = net.training_program(loss=loss, target="labels" if target.ndim == 1 else "rows")
        self.executor = make_executor(program, net.dtype, rows, net.params, net.state, net.grads, (), net.seed)
        self.feed = Feed(net.readable("X", dense(X)), np.arange(rows), rows, target, weight)
        self.alpha = float(estimator.alpha) / (rows if weight is None else weight.sum())
        self.model, self.threads = model, get_num_threads()
        self.parameters = model.coefs + model.intercepts
        self.grads = model.in_order(net.grads.data)[: len(self.parameters)]
        self.scalars = np.zeros((1, 1))  # nothing is updated

    def load(self, packed: Array) -> None:
        """Give the parameters these values."""
        start = 0
        with self.model.net.lock.writing():
            for array in self.parameters:
                array[...] = packed[start : start + array.size].reshape(array.shape)
                start += array.size

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """Return loss and gradient, the penalty included."""
        self.load(packed)
        losses = np.empty(1)
        self.executor.run_steps(self.feed, 0, 1, self.scalars, 0, np.inf, self.threads, losses=losses)
        coefs = self.model.coefs
        loss = losses[0] + 0.5 * self.alpha * sum(np.vdot(coef, coef) for coef in coefs)
        penalties = [self.alpha * coef for coef in coefs] + [0.0] * len(coefs)
        return loss, pack([g + p for g, p in zip(self.grads, penalties, strict=True)], [])


def fit_lbfgs(estimator: Any, model: Model, X: Any, y: Array, sample_weight: Array | None) -> None:
    """Fit by SciPy's L-BFGS-B, called as scikit-learn calls it."""
    batch = FullBatch(estimator, model, X, y, sample_weight)
    options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    verbose = 1 if estimator.verbose is True or estimator.verbose >= 1 else -1
    result = scipy.optimize.minimize(
        batch,
        pack(model.coefs, model.intercepts),
        method="L-BFGS-B",
        jac=True,
        options=options | _get_additional_lbfgs_options_dict("iprint", verbose),
    )
    estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = result.fun
    batch.load(result.x)
