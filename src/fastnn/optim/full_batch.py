"""Optimisers that see all rows at once: L-BFGS and Newton's method, on a function that gives its value and gradient."""

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

NEWTON_PARAMETERS = 2000  # of which the Hessian has the square


class FullBatch(Settings, ABC):
    """What optimisers of a whole training set share.

    A trainer's `fit` counts an iteration as an epoch, and ends before all of them are done where the method is at its
    end. Nothing is kept from one fit for the next. The function has to be the same at every look: nets with dropout or
    batch statistics are refused, and schedules, clipping and limits of norms have no meaning.
    """

    lr = 1.0
    _instead = "set trainer.optimizer = {call}"

    @property
    @abstractmethod
    def kind(self) -> str:
        """A name for it."""

    @property
    def limit(self) -> int | None:
        """The most parameters that a net may have, if there is a limit."""
        return None

    @property
    def wide(self) -> bool:
        """Whether the function is wanted in float64, whatever the net's dtype."""
        return False

    @abstractmethod
    def minimize(self, function: Function, x: Array, iterations: int, accept: Accept) -> None:
        """Look for a minimum.

        Parameters
        ----------
        function : callable
            Takes float64 (n,) and returns the value and the gradient, float64 (n,).
        x : ndarray of float64, shape (n,)
            Where to start.
        iterations : int
            How many at most.
        accept : callable
            Is given every new point, and returns whether to end there.
        """


class _Ended(Exception):
    """Leaves SciPy's loop."""


@settings()
class LBFGS(FullBatch):
    """L-BFGS (Liu and Nocedal, 1989) by SciPy's ``minimize(method="L-BFGS-B")``, over all rows at once.

    An iteration, with its line search, is an epoch of `Trainer.fit`, whose `batch_size` and `shuffle` have no meaning
    here; each fit begins with an empty memory.

    Parameters
    ----------
    tol : float, default 1e-5
        The fit ends when no entry of the gradient is larger.
    history_size : int, default 10
        Pairs of steps and changes of the gradient that the curvature is told from; at least 1.
    max_evaluations : int, default 20
        Of the loss and its gradient in one line search, at least 1.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    ImportError
        If SciPy is not there (``pip install "fastnn-cpu[lbfgs]"``).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> net = nn.Sequential(nn.Dense(3, 1), dtype="float64", seed=0)
    >>> trainer = fastnn.Trainer(net, "mean_squared_error", optim.LBFGS(tol=1e-9))
    >>> history = trainer.fit(X, X @ [1.0, 2.0, 3.0] + 4.0, epochs=100, verbose=0)
    >>> net.parameters()["0.weight"].ravel().round(6), len(history) < 20
    (array([1., 2., 3.]), True)
    """

    tol: float = 1e-5
    history_size: int = 10
    max_evaluations: int = 20

    def __post_init__(self) -> None:
        """Check the settings, and that SciPy is there."""
        if importlib.util.find_spec("scipy") is None:
            v.refuse_missing("optim.LBFGS", "SciPy", "lbfgs")
        v.real("tol", self.tol, 0)
        v.integer("history_size", self.history_size, 1)
        v.integer("max_evaluations", self.max_evaluations, 1)

    @property
    def kind(self) -> str:
        """A name for it."""
        return "lbfgs"

    def minimize(self, function: Function, x: Array, iterations: int, accept: Accept) -> None:
        """Look for a minimum."""

        def callback(point: Array) -> None:
            if accept(point):
                raise _Ended

        options = {
            "maxiter": iterations,
            "maxfun": iterations * (self.max_evaluations + 1) + 1,
            "maxcor": self.history_size,
            "maxls": self.max_evaluations,
            "gtol": self.tol,
            "ftol": 64 * np.finfo(np.float64).eps,
        }
        scipy: Any = importlib.import_module("scipy.optimize")
        with contextlib.suppress(_Ended):
            scipy.minimize(function, x, jac=True, method="L-BFGS-B", callback=callback, options=options)


@settings()
class Newton(FullBatch):
    """Newton's method with a shift (Levenberg, 1944) over all rows at once, for nets of up to 2000 parameters.

    A step solves ``(H + shift * I) step = -g``. The Hessian H is told from central differences of gradients, in
    float64, twice as many as there are parameters. The shift grows tenfold until the matrix is positive definite and
    the step goes down by at least 1e-4 of what the gradient promises, and falls to a tenth after a step that does. Such
    a step is an epoch of `Trainer.fit`, whose `batch_size` and `shuffle` have no meaning here.

    Parameters
    ----------
    tol : float, default 1e-8
        The fit ends when no entry of the gradient is larger.
    shift : float, default 1e-3
        The first, above 0.

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
    >>> net.parameters()["0.weight"].ravel().round(6), len(history) < 9
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
        """A name for it."""
        return "newton"

    @property
    def limit(self) -> int | None:
        """The most parameters that a net may have."""
        return NEWTON_PARAMETERS

    @property
    def wide(self) -> bool:
        """The function is wanted in float64: differences in float32 would have three digits."""
        return True

    def minimize(self, function: Function, x: Array, iterations: int, accept: Accept) -> None:
        """Look for a minimum."""
        shift, (value, gradient) = self.shift, function(x)
        for _ in range(iterations):
            if np.abs(gradient).max(initial=0.0) <= self.tol:
                return
            hessian = _hessian(function, x)
            largest = np.abs(hessian).max()
            while True:
                step = _solve(hessian, shift, gradient)
                if step is not None:
                    reached, slope = function(x + step), float(gradient @ step)
                    if reached[0] <= value + 1e-4 * slope:
                        break
                shift *= 10
                if shift > 1e12 * max(largest, 1.0):  # steps are lost in rounding: this is as low as it goes
                    return
            x, (value, gradient) = x + step, reached
            shift = max(shift / 10, np.finfo(np.float64).tiny)
            if accept(x):
                return


def _solve(hessian: Array, shift: float, gradient: Array) -> Array | None:
    """The shifted Newton step, or None where the matrix is not positive definite."""
    try:
        root = np.linalg.cholesky(hessian + shift * np.eye(len(hessian)))
    except np.linalg.LinAlgError:
        return None
    step: Array = np.linalg.solve(root.T, np.linalg.solve(root, -gradient))
    return step


def _hessian(function: Function, x: Array) -> Array:
    """Derivatives of the gradient by central differences, made symmetric."""
    columns = np.empty((len(x), len(x)))
    for i in range(len(x)):
        by = np.cbrt(np.finfo(np.float64).eps) * max(1.0, abs(x[i]))
        ahead, behind = x.copy(), x.copy()
        ahead[i] += by
        behind[i] -= by
        columns[i] = (function(ahead)[1] - function(behind)[1]) / (ahead[i] - behind[i])
    return (columns + columns.T) / 2
