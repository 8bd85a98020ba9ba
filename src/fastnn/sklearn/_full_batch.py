"""The "lbfgs" solver: fastnn's engine computes the loss and gradient of all rows, and SciPy minimises it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.optimize
from sklearn.base import is_classifier
from sklearn.utils.optimize import _check_optimize_result

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import make_executor
from fastnn.sklearn._model import Model, make_loss
from fastnn.sklearn._rows import Rows
from fastnn.sklearn._scaling import fit_scalers
from fastnn.sklearn._targets import encode
from fastnn.sklearn._tasks import CallbackTasks
from fastnn.sklearn._versions import lbfgs_print_options
from fastnn.training._steps import sums_over_rows
from fastnn.training.examples import validated_targets

BLOCK_ROWS = 4096  # most rows that are processed at a time


def pack(arrays: list[Array]) -> Array:
    """Return arrays as one vector of float64, whatever their own dtype."""
    return np.hstack([array.ravel() for array in arrays]).astype(np.float64, copy=False)


def unpack(packed: Array, arrays: list[Array]) -> None:
    """Write a vector that `pack` has made of such arrays into these."""
    start = 0
    for array in arrays:
        array[...] = packed[start : start + array.size].reshape(array.shape)
        start += array.size


class FullBatchFit:
    """One call of `fit` with the solver "lbfgs"; as a function, the loss and gradient of all rows at packed parameters.

    The constructor checks the data and does not change the estimator.

    Rows are processed in blocks, so that neither the buffers nor the dense rows of a sparse X grow with the data. The
    function is computed on a copy of the net: the model only ever has the parameters of whole iterations, never those
    of a point of a line search.
    """

    def __init__(
        self,
        estimator: Any,
        model: Model,
        X: Any,
        y: Array,
        sample_weight: Array | None,
        names: tuple[str, str, str] = ("X", "y", "sample_weight"),
    ) -> None:
        loss = make_loss(estimator.loss, estimator.out_activation_, model.net.out_features)
        fit_scalers(estimator, model.net, loss, X, y, None)
        self.estimator, self.model, self.search_model = estimator, model, Model(model.net.copy())
        net, rows = self.search_model.net, X.shape[0]
        y = y.astype(bool) if is_classifier(estimator) else y
        encoded = encode(loss, y, estimator.out_activation_, net.dtype)
        target, _, weight = validated_targets(net, loss, encoded, sample_weight, rows, names)
        size = min(rows, BLOCK_ROWS)
        self.rows = Rows(X, target, weight, size, merge_last=False, net=net, loss=loss)
        self.order = np.arange(rows)[None]
        program = net.training_program(loss=loss, target="labels" if target.ndim == 1 else "rows")
        self.executor = make_executor(
            program, net.dtype, size, net.params, net.state, net.gradient_arena(), (), net.seed
        )
        self.alpha = float(estimator.alpha)
        self.grads = net.gradient_arena()
        self.parameters = self.search_model.views_of(net.params.data)

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """Return the loss and its gradient, both with the penalty."""
        unpack(packed, self.parameters)
        loss, sums, total = sums_over_rows(self.executor, self.rows.feeds(self.order), self.grads)
        coefs, gradient = self.search_model.coefs, pack(self.search_model.views_of(sums))
        weights = pack(coefs)
        loss += 0.5 * self.alpha * np.vdot(weights, weights)
        gradient[: len(weights)] += self.alpha * weights
        return loss / total, gradient / total

    def accept(self, packed: Array) -> None:
        """Write these parameters into the model."""
        params = self.model.net.params.data
        values = np.zeros_like(params)
        unpack(packed, self.model.views_of(values))
        self.model.net.lock.assign(((params, values),))

    def set_initial_attributes(self) -> None:
        """Set the attributes that the estimator has before the first iteration."""
        self.estimator.n_iter_ = 0

    def run(self, estimator: Any, _tasks: CallbackTasks) -> None:
        """Fit by SciPy's L-BFGS-B, called as scikit-learn calls it."""
        options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
        verbose = 1 if estimator.verbose != "bar" and estimator.verbose >= 1 else -1
        result = scipy.optimize.minimize(
            self,
            pack(self.parameters),
            method="L-BFGS-B",
            jac=True,
            callback=self.accept,
            options=options | lbfgs_print_options(verbose),
        )
        self.accept(result.x)
        estimator.loss_ = result.fun
        if not np.isfinite(result.fun):
            v.refuse(ValueError, "the loss", "be finite", result.fun, "scale X and y, or the sample weights")
        estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
