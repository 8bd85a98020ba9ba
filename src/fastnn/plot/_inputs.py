"""Arguments of pictures, checked: axes, nets, and rows of two columns, which are points in a plane."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.diagnosis.landscape import check_finite
from fastnn.nn import Sequential
from fastnn.nn.sequential import as_net
from fastnn.plot import _style
from fastnn.training import Ensemble, Trainer

SIDE = 201  # points of a side of the grid over a plane
MARGIN = 0.08  # of the range of the rows, around them


def check_axes(ax: Any) -> None:
    """Refuse what are no axes; without any, refuse to go on if matplotlib is not installed."""
    if ax is None:
        _style.matplotlib("pyplot")
    else:
        fix = "write ax=figure.subplots()" if hasattr(ax, "add_subplot") else ""
        v.instance("ax", ax, _style.matplotlib("axes").Axes, "be axes of matplotlib", fix)


def net_of(net: object) -> Sequential:
    """Return the net that is shown, with finite weights: of a trainer the one that it evaluates."""
    own = getattr(net, "net_", net)  # a fitted estimator has it
    found = own.evaluated_net() if isinstance(own, Trainer) else as_net("net", own)
    check_finite(found)
    return found


def check_numbers(name: str, matrix: Array) -> None:
    """Refuse numbers that no axis can show."""
    v.in_range(name, matrix)
    largest = float(np.abs(matrix).max(initial=0.0))
    if largest >= _style.LARGEST:
        v.refuse(ValueError, name, f"contain numbers below {_style.LARGEST:g} in size", f"{largest:g}")


def check_takes(name: str, function: Any, count: int, what: str) -> None:
    """Refuse a function that cannot be called with so many arguments; `what` says what they are."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled ones may have none
        return
    try:
        signature.bind(*range(count))
    except TypeError:
        v.refuse(TypeError, name, f"be a function of {what}", f"one of {signature}")


@dataclass(frozen=True)
class Plane:
    """Rows of two columns, and a grid over the part of the plane where they are.

    Attributes
    ----------
    x : ndarray of float64, shape (n, 2)
    names : tuple of str
        Of the columns.
    limits : tuple of (low, high)
        Of each column.
    grid : ndarray of float64 or DataFrame, shape (SIDE * SIDE, 2)
        Row by row from below; a DataFrame if the rows are one.
    """

    x: Array
    names: tuple[str, str]
    limits: tuple[tuple[float, float], tuple[float, float]]
    grid: Any

    @property
    def ticks(self) -> tuple[Array, Array]:
        """The values of each column on the grid."""
        first, second = (np.linspace(*each, SIDE) for each in self.limits)
        return first, second

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The limits as `imshow` takes them."""
        return (*self.limits[0], *self.limits[1])

    def finish(self, ax: Any) -> None:
        """Set limits and labels."""
        ax.set(xlim=self.limits[0], ylim=self.limits[1], xlabel=self.names[0], ylabel=self.names[1])


def as_plane(X: npt.ArrayLike) -> Plane:
    """Return rows as points in a plane."""
    given: Any = X
    x = v.numeric("X", given)
    fix = "choose two of the columns, and train a net with them" if x.ndim == 2 and x.shape[1] > 2 else ""
    v.shape("X", x, ("n", 2), fix)
    v.at_least("X", x, 0, 1, "row")
    x = x.astype(np.float64)
    check_numbers("X", x)
    low, high = x.min(axis=0), x.max(axis=0)
    margin = np.where(high > low, MARGIN * (high - low), 1.0)
    (left, below), (right, above) = (low - margin).tolist(), (high + margin).tolist()
    limits = (left, right), (below, above)
    first, second = np.meshgrid(*(np.linspace(*each, SIDE) for each in limits))
    grid: Any = np.column_stack([first.reshape(-1), second.reshape(-1)])
    names = ("column 0", "column 1")
    if hasattr(given, "iloc") and hasattr(given, "columns"):  # a DataFrame, whose names an estimator may ask for
        names = _style.label(given.columns[0]), _style.label(given.columns[1])
        grid = type(given)(grid, columns=given.columns)
    return Plane(x, names, limits, grid)


def check_two_columns(net: Any) -> None:
    """Refuse a net or model that has not two input columns, or that reads categories."""
    if isinstance(net, Trainer):
        net = net.net
    elif isinstance(net, Ensemble):
        net = net.members[0]
    width = getattr(net, "in_features", getattr(net, "n_features_in_", None))
    if width not in (None, 2):
        fix = "choose two columns, and train a net with them"
        v.refuse(ValueError, "net", "have two input columns, as a plane has", width, fix)
    if isinstance(net, Sequential) and net.id_columns:
        v.refuse(ValueError, "net", "take numbers in both columns", f"categories, for {net.id_columns[0].layer}")


def labelled(name: str, value: Any, kind: type, must: str) -> Mapping[str, Any]:
    """Return a mapping of labels to objects of a kind; a single one has the label ""."""
    given = value if isinstance(value, Mapping) else {"": value}
    if not given:
        v.refuse(ValueError, name, "contain at least one entry", "none")
    for key, each in given.items():
        v.instance(f"{name}[{key!r}]" if key else name, each, kind, must)
    return {str(key): each for key, each in given.items()}
