"""Optimisers that use all rows in each iteration: L-BFGS and Newton's method."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._settings import Settings, settings
from fastnn._typing import Array

__all__ = ["LBFGS", "FullBatch", "Newton"]

Function = Callable[[Array], tuple[float, Array]]
Accept = Callable[[Array], bool]

NEWTON_PARAMETERS = 2000  # at most, as the Hessian has the square of their number


class FullBatch(Settings, ABC):
    """Base class of optimisers that use the whole training set in each iteration.

    `Trainer.fit` counts an iteration as an epoch, and ends early when the method has converged. No state is kept
    between fits. Each evaluation has to be of the same function: nets with dropout or batch norms are refused, and so
    are schedules, clipping and limits of norms.
    """

    lr = 1.0
    _internal = frozenset({"kind", "limit", "lr", "wide"})
    _how_to_change = "set trainer.optimizer = {call}"

    @property
    @abstractmethod
    def kind(self) -> str:
        """The method's name."""

    @property
    def limit(self) -> int | None:
        """The largest number of parameters, or None if there is no limit."""
        return None

    @property
    def wide(self) -> bool:
        """Whether the function is computed in float64, whatever the net's dtype is."""
        return False

    @abstractmethod
    def minimize(self, function: Function, x: Array, iterations: int, accept: Accept) -> None:
        """Minimise a function.

        Parameters
        ----------
        function : callable
            Takes float64 (n,) and returns the value and the gradient, float64 (n,).
        x : ndarray of float64, shape (n,)
            Where to start.
        iterations : int
            The largest number of iterations.
        accept : callable
            Called with every new point; returns whether to stop there.
        """


class _Stop(Exception):
    """Ends SciPy's loop."""


@settings()
class LBFGS(FullBatch):
    """L-BFGS (Liu and Nocedal, 1989) over all rows, by SciPy's ``minimize(method="L-BFGS-B")``.

    An iteration with its line search is an epoch of `Trainer.fit`, whose `batch_size` and `shuffle` are ignored. Each
    fit starts with an empty history.

    Parameters
    ----------
    tol : float, default 1e-5
        The fit ends when no entry of the gradient is larger in magnitude.
    history_size : int, default 10
        Number of pairs of steps and gradient changes from which the curvature is approximated; at least 1.
    max_evaluations : int, default 20
        The largest number of evaluations of loss and gradient in one line search, at least 1.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    ImportError
        If SciPy is not installed; the extra `lbfgs` adds it (``pip install ".[lbfgs]"`` in a checkout).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> net = nn.Sequential(nn.Dense(3, 1), dtype="float64", seed=0)
    >>> trainer = fastnn.Trainer(net, "mean_squared_error", optim.LBFGS(tol=1e-9))
    >>> history = trainer.fit(X, X @ [1.0, 2.0, 3.0] + 4.0, epochs=100, verbose=0)
    >>> net.parameters()["0.weight"].ravel().round(6), len(history.epochs) < 20
    (array([1., 2., 3.]), True)
    """

    tol: float = 1e-5
    history_size: int = 10
    max_evaluations: int = 20

    def __post_init__(self) -> None:
        """Check the settings, and that SciPy is installed."""
        if importlib.util.find_spec("scipy") is None:
            v.refuse_missing("optim.LBFGS", "SciPy", "lbfgs")
        v.real("tol", self.tol, 0)
        v.integer("history_size", self.history_size, 1)
        v.integer("max_evaluations", self.max_evaluations, 1)

    @property
    def kind(self) -> str:
        """The method's name."""
        return "lbfgs"

    def minimize(self, function: Function, x: Array, iterations: int, accept: Accept) -> None:
        """Minimise a function."""

        def callback(point: Array) -> None:
            if accept(point):
                raise _Stop

        options = {
            "maxiter": iterations,
            "maxfun": iterations * (self.max_evaluations + 1) + 1,
            "maxcor": self.history_size,
            "maxls": self.max_evaluations,
            "gtol": self.tol,
            "ftol": 64 * np.finfo(np.float64).eps,
        }
        scipy: Any = importlib.import_module("scipy.optimize")
        with contextlib.suppress(_Stop):
            scipy.minimize(function, x, jac=True, method="L-BFGS-B", callback=callback, options=options)


@settings()
class Newton(FullBatch):
    """Newton's method with a shift (Levenberg, 1944) over all rows, for nets of up to 2000 parameters.

    A step solves ``(H + shift * I) step = -g``. The Hessian H is computed in float64 from central differences of
    gradients, two gradients for each parameter. The shift is multiplied by 10 until the matrix is positive definite and
    the step lowers the loss by at least 1e-4 of the decrease that the gradient predicts. The step is then accepted, and
    the shift divided by 10. An accepted step is an epoch of `Trainer.fit`; `batch_size` and `shuffle` are ignored.

    Parameters
    ----------
    tol : float, default 1e-8
        The fit ends when no entry of the gradient is larger in magnitude.
    shift : float, default 1e-3
        The initial shift, above 0.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range; from `Trainer`, if the net has more parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> net = nn.Sequential(nn.Dense(3, 1), dtype="float64", seed=0)
    >>> trainer = fastnn.Trainer(net, "mean_squared_error", optim.Newton())
    >>> history = trainer.fit(X, X @ [1.0, 2.0, 3.0] + 4.0, epochs=100, verbose=0)
    >>> net.parameters()["0.weight"].ravel().round(6), len(history.epochs) < 9
    (array([1., 2., 3.]), True)
    """

    tol: float = 1e-8
    shift: float = 1e-3

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("tol", self.tol, 0)
        v.real("shift", self.shift, 0, excluded=True)

    @property
    def kind(self) -> str:
        """The method's name."""
        return "newton"

    @property
    def limit(self) -> int | None:
        """The largest number of parameters."""
        return NEWTON_PARAMETERS

    @property
    def wide(self) -> bool:
        """True: differences of float32 gradients would have only three correct digits."""
        return True

    def minimize(self, function: Function, x: Array, iterations: int, accept: Accept) -> None:
        """Minimise a function."""
        shift, (value, gradient) = self.shift, function(x)
        for _ in range(iterations):
            if np.abs(gradient).max(initial=0.0) <= self.tol:
                return
            hessian = hessian_of(function, x)
            largest = np.abs(hessian).max()
            while True:
                step = _solve(hessian, shift, gradient)
                if step is not None:
                    trial, slope = function(x + step), float(gradient @ step)
                    if trial[0] <= value + 1e-4 * slope:
                        break
                shift *= 10
                if shift > 1e12 * max(largest, 1.0):  # steps vanish in rounding: the loss cannot be lowered further
                    return
            x, (value, gradient) = x + step, trial
            shift = max(shift / 10, np.finfo(np.float64).tiny)
            if accept(x):
                return


def _solve(hessian: Array, shift: float, gradient: Array) -> Array | None:
    """Return the shifted Newton step, or None if the matrix is not positive definite."""
    try:
        root = np.linalg.cholesky(hessian + shift * np.eye(len(hessian)))
    except np.linalg.LinAlgError:
        return None
    step: Array = np.linalg.solve(root.T, np.linalg.solve(root, -gradient))
    return step


def hessian_of(function: Function, x: Array) -> Array:
    """Return the second derivatives at `x`: central differences of the gradient, made symmetric."""
    columns = np.empty((len(x), len(x)))
    for i in range(len(x)):
        by = np.cbrt(np.finfo(np.float64).eps) * max(1.0, abs(x[i]))
        ahead, behind = x.copy(), x.copy()
        ahead[i] += by
        behind[i] -= by
        columns[i] = (function(ahead)[1] - function(behind)[1]) / (ahead[i] - behind[i])
    return (columns + columns.T) / 2
