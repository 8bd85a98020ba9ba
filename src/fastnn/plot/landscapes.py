"""Pictures of the loss over parameters: along a line, its curvatures, and the paths of optimisers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.diagnosis import LossLine
from fastnn.diagnosis.landscape import gradient_and_hessian
from fastnn.nn import Loss, Sequential
from fastnn.nn.sequential import as_net
from fastnn.plot import _style
from fastnn.plot._inputs import SIDE, check_axes, check_numbers, check_takes, labelled
from fastnn.training import Trainer

__all__ = ["eigenvalues", "loss_line", "paths"]

FLAT = 1e-9  # of the largest eigenvalue: differences leave up to 1e-11 of it where an eigenvalue is 0
LEAST = 1e-290  # of what a logarithmic axis can show
AT_REST = 1e-3  # a step of Newton's method that is shorter in each direction counts as none
MOST_PATHS = len(_style.STYLES)


@with_hints
def loss_line(line: LossLine | Mapping[str, LossLine], *, ax: Any = None) -> Any:
    """Draw the loss along a line, or along several.

    Parameters
    ----------
    line : LossLine or mapping of str to LossLine
        What `diagnosis.loss_along_line` returns; several by their labels.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from fastnn import diagnosis, nn, plot
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> net = nn.Sequential(nn.Dense(2, 2), seed=0)
    >>> line = diagnosis.loss_along_line(net, X, (X[:, 0] > 0).astype(int))
    >>> ax = plot.loss_line(line, ax=Figure().subplots())
    >>> ax.get_ylabel()
    'loss'
    """
    must = "be what diagnosis.loss_along_line returns, or a dict of these"
    lines = labelled("line", line, LossLine, must)
    check_axes(ax)
    with _style.picture(ax) as axes:
        for index, (label, each) in enumerate(lines.items()):
            text = _style.label(label) if label else "_loss"
            _style.line(axes, index, each.positions, _style.drawable(each.losses), text)
        between = any(each.between for each in lines.values())
        for end in (0.0, 1.0) if between else (0.0,):
            axes.axvline(end, **_style.GUIDE)
        axes.set_xlabel("position: 0 is the net, 1 the other one" if between else "position: 0 is the net")
        axes.set_ylabel("loss")
        _style.legend(axes)
    return axes


@with_hints
def eigenvalues(
    net: Sequential | Trainer | npt.ArrayLike,
    X: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    *,
    loss: str | Loss | None = None,
    gradient: npt.ArrayLike | None = None,
    ax: Any = None,
) -> Any:
    """Draw the eigenvalues of a Hessian: how the loss curves in each direction.

    The title says what they mean. Where the gradient is 0 there is a minimum if all are positive, and a saddle if some
    are positive and some negative. An eigenvalue counts as 0, a flat direction, if it is below 1e-9 of the largest. The
    gradient counts as 0 if Newton's step is below 1e-3 in each direction: the gradient's part in the direction of each
    eigenvalue is below 1e-3 of it, and in flat directions below 1e-9 of the largest.

    Parameters
    ----------
    net : Sequential, Trainer, or array_like of shape (n, n)
        A net or trainer of at most 2000 parameters, see `diagnosis.hessian`, or a symmetric matrix. About 2000
        parameters and rows take some 15 s.
    X : array_like, shape (rows, in_features), optional
        The rows; for a net only.
    y : array_like, shape (rows,) or (rows, out_features), optional
        Their targets, as the loss takes them; for a net only.
    loss : str or Loss, default "cross_entropy"
        The loss, or its name; for a net only, as a trainer has its own.
    gradient : array_like, shape (n,), optional
        For a matrix only: the gradient at the same place. Without it the title leaves open whether it is 0.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastnn import plot
    >>> ax = plot.eigenvalues([[2.0, 0.0], [0.0, -1.0]], gradient=[0.0, 0.0], ax=Figure().subplots())
    >>> print(ax.get_title())
    saddle: 1 of 2 eigenvalues is negative
    norm of the gradient: 0
    """
    check_axes(ax)
    slope, matrix = _curvature(net, X, y, loss, gradient)
    most = float(np.abs(matrix).max()) or 1.0  # of larger and smaller numbers the products are no numbers
    values, directions = (each[..., ::-1] for each in np.linalg.eigh(matrix / most))
    values = values * most
    largest = float(np.abs(values).max())
    flat = np.abs(values) <= FLAT * largest
    signs = np.where(flat, 0, np.sign(values)).astype(np.int64)
    at_rest = slope is None or _is_at_rest(directions.T @ slope, values, flat)
    with _style.picture(ax) as axes:
        axes.axhline(0, **{**_style.GUIDE, "linestyle": "-"})
        for sign, name, index, filled in (
            (1, "positive", 0, True),
            (0, "flat", 4, True),
            (-1, "negative", 1, False),
        ):
            at = np.flatnonzero(signs == sign)
            if len(at):
                look = _style.style(index)
                axes.vlines(at + 1, 0, values[at], color=look["color"], linestyle=look["linestyle"], linewidth=1)
                axes.plot(
                    at + 1, values[at], linestyle="", marker=look["marker"], color=look["color"],
                    markerfacecolor=look["color"] if filled else "white", label=f"{len(at)} {name}",
                )  # fmt: skip
        if FLAT * largest > LEAST:
            axes.set_yscale("symlog", linthresh=FLAT * largest)
            _few_ticks(axes, values)
        axes.set(xlabel="eigenvalues, the largest first", ylabel="eigenvalue")
        axes.xaxis.set_major_locator(_style.matplotlib("ticker").MaxNLocator(6, integer=True))
        axes.set_title(_verdict(signs, at_rest, slope))
        _style.legend(axes)
    return axes


def _curvature(
    net: Any, X: npt.ArrayLike | None, y: npt.ArrayLike | None, loss: str | Loss | None, gradient: npt.ArrayLike | None
) -> tuple[Array | None, Array]:
    """Return the gradient, None if it is not known, and the Hessian."""
    if isinstance(net, Sequential | Trainer):
        if gradient is not None:
            v.refuse(ValueError, "gradient", "be left out with a net, which gives it", v.kind_of(gradient))
        for name, rows in (("X", X), ("y", y)):
            if rows is None:
                v.refuse(TypeError, name, "be given with a net", "None", "write plot.eigenvalues(net, X, y)")
        return gradient_and_hessian(net, X, y, loss)  # type: ignore[arg-type]
    if hasattr(net, "get_params"):  # an estimator: the message says what to write
        as_net("net", net)
    must = "be a net, a trainer or a square matrix"
    if not hasattr(net, "__array__") and not isinstance(net, Sequence):
        v.instance("net", net, (Sequential, Trainer), must)  # type: ignore[arg-type]
    for name, value in (("X", X), ("y", y), ("loss", loss)):
        if value is not None:
            v.refuse(ValueError, name, "be left out with a matrix", v.kind_of(value))
    matrix = v.numeric("net", net).astype(np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        v.refuse(ValueError, "net", must, f"shape {matrix.shape}")
    check_numbers("net", matrix)
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * np.abs(matrix).max()):
        i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
        got = f"{matrix[i, j]:.6g} at [{i}, {j}] and {matrix[j, i]:.6g} at [{j}, {i}]"
        v.refuse(ValueError, "net", "be a symmetric matrix, as a Hessian is", got, "write (H + H.T) / 2")
    if gradient is None:
        return None, matrix
    given = v.numeric("gradient", gradient).astype(np.float64)
    v.shape("gradient", given, (len(matrix),))
    if not v.all_finite(_style.drawable(given)):
        got = f"{np.abs(given).max():g}" if v.all_finite(given) else "NaN or infinity"
        v.refuse(ValueError, "gradient", "contain finite numbers", got, f"they must be below {_style.LARGEST:g}")
    return given, matrix


def _is_at_rest(parts: Array, values: Array, flat: Array) -> bool:
    """Whether Newton's step is short in each direction; `parts` of the gradient are in those of the eigenvalues.

    In a flat direction there is no such step: the part must be 0, to the precision with which the eigenvalue is.
    """
    sizes = np.abs(values)
    return bool((np.abs(parts) <= np.where(flat, FLAT * sizes.max(), AT_REST * sizes)).all())


def _verdict(signs: Array, at_rest: bool, slope: Array | None) -> str:
    """Return the title: what the signs of the eigenvalues mean, and the norm of the gradient."""
    n = len(signs)
    numbers = {"negative": int((signs < 0).sum()), "0": int((signs == 0).sum()), "positive": int((signs > 0).sum())}
    negative, flat, positive = numbers.values()
    if not at_rest:
        verdict = "on a slope"
    elif negative:
        verdict = "saddle" if positive else "maximum" if negative == n else "no minimum"
    elif flat:
        verdict = "minimum or not" if positive else "flat"
    else:
        verdict = "minimum"
    norm = "(if the gradient is 0 here)" if slope is None else f"norm of the gradient: {math.hypot(*slope):.2g}"
    return f"{verdict}: {_counts(numbers, n)}\n{norm}"


def _counts(numbers: Mapping[str, int], n: int) -> str:
    """Return in words how many of n eigenvalues are of which kind; those that are left are positive."""
    words: list[str] = []
    for kind, number in numbers.items():
        if number == n:
            return f"all {n} eigenvalues are {kind}" if n > 1 else f"the only eigenvalue is {kind}"
        if number and kind != "positive":
            of = "" if words else f" of {n} eigenvalues"
            words.append(f"{number}{of} {'is' if number == 1 else 'are'} {kind}")
    return ", ".join(words)


def _few_ticks(ax: Any, values: Array) -> None:
    """Label at most a few powers of 10 on a symmetric logarithmic axis."""
    ticks, least = [0.0], FLAT * float(np.abs(values).max())
    for sign, largest in ((1, values.max()), (-1, -values.min())):
        if largest > least:
            top = int(np.floor(np.log10(largest)))
            ticks += [sign * 10.0**k for k in range(top, top - 6, -2) if k == top or 10.0**k > 10 * least]
    ax.set_yticks(sorted(ticks))
    ax.yaxis.set_minor_locator(_style.matplotlib("ticker").NullLocator())


@with_hints
def paths(
    function: Callable[[Array, Array], npt.ArrayLike],
    paths: Mapping[str, npt.ArrayLike],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    levels: int | Sequence[float] = 15,
    ax: Any = None,
) -> Any:
    """Draw contour lines of a function of two numbers, and the paths of optimisers on it.

    Parameters
    ----------
    function : callable
        ``function(x, y)`` takes two arrays of the same shape and returns one of this shape.
    paths : mapping of str to array_like of shape (steps + 1, 2)
        The points of each path from its start, by its label; at most 8.
    xlim, ylim : pair of float
        What part of the plane is shown.
    levels : int or sequence of float, default 15
        How many contour lines, or of which values. Of a number, the values are chosen so that the areas between
        neighbouring lines are about equal.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastnn import plot
    >>> steps = {"gradient descent": [[-2.0, 1.0], [-1.0, 0.1], [-0.5, 0.01]]}
    >>> limits = {"xlim": (-3, 3), "ylim": (-2, 2)}
    >>> ax = plot.paths(lambda x, y: x**2 + 5 * y**2, steps, **limits, ax=Figure().subplots())
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['gradient descent', 'start']
    """
    check_axes(ax)
    v.function("function", function)
    check_takes("function", function, 2, "two arrays, as in lambda x, y: x**2 + y**2")
    limits = v.interval("xlim", xlim), v.interval("ylim", ylim)
    checked = _checked_paths(paths)
    first, second = np.meshgrid(*(np.linspace(*each, SIDE) for each in limits))
    with np.errstate(all="ignore"):
        values = v.numeric("function(x, y)", function(first.copy(), second.copy())).astype(np.float64)
    v.shape("function(x, y)", values, first.shape, "it takes arrays and works entry by entry")
    values = np.ma.masked_invalid(_style.drawable(values))
    at = _levels(levels, values)
    with _style.picture(ax, (1.15 * _style.WIDTH, 1.15 * _style.HEIGHT)) as axes:
        if len(at):
            lines = axes.contour(first, second, values, levels=at, colors="#b0b0b0", linewidths=0.7, linestyles="-")
            axes.clabel(lines, at[::3], fontsize=6, colors="#808080", fmt="%.2g")
        for index, (label, points) in enumerate(checked.items()):
            _draw_path(axes, index, label, points, limits)
        starts = np.array([points[0] for points in checked.values()])
        axes.plot(
            *starts.T, linestyle="", marker="o", markersize=9, color=_style.ink(), markerfacecolor="none",
            label="start", zorder=5,
        )  # fmt: skip
        axes.set(xlim=limits[0], ylim=limits[1], xlabel="x", ylabel="y")
        _style.legend(axes)
    return axes


def _checked_paths(given: object) -> dict[str, Array]:
    """Return the points of each path."""
    if not isinstance(given, Mapping):
        v.refuse(TypeError, "paths", "be a dict of names and paths", v.kind_of(given), 'write {"SGD": points}')
    if not 1 <= len(given) <= MOST_PATHS:
        v.refuse(ValueError, "paths", f"be from 1 to {MOST_PATHS} paths, which can be told apart", len(given))
    checked = {}
    for label, value in given.items():
        name = f"paths[{label!r}]"
        points = v.numeric(name, value).astype(np.float64)
        v.shape(name, points, ("steps + 1", 2))
        v.at_least(name, points, 0, 1, "row")
        check_numbers(name, points[:1])
        checked[str(label)] = points
    return checked


def _levels(levels: int | Sequence[float], values: Any) -> Array:
    """Return the values of the contour lines that are within the range of the function."""
    known = values.compressed()
    if isinstance(levels, Sequence | np.ndarray):
        at = np.unique(v.numeric("levels", levels).astype(np.float64).reshape(-1))
        v.in_range("levels", at[np.newaxis])
    else:
        count = v.integer("levels", levels, 1)
        at = np.unique(np.quantile(known, np.linspace(0, 1, count + 2)[1:-1])) if known.size else np.zeros(0)
    inside = (at > known.min(initial=np.inf)) & (at < known.max(initial=-np.inf))
    return np.asarray(at[inside])


def _draw_path(ax: Any, index: int, label: str, points: Array, limits: Sequence[tuple[float, float]]) -> None:
    """Draw a path; its label says whether it ends outside of the picture."""
    finite = np.isfinite(_style.drawable(points)).all(axis=1)
    shown = points[: len(points) if finite.all() else int(finite.argmin())]
    low, high = np.array(limits).T
    leaves = not finite.all() or bool(((points[-1] < low) | (points[-1] > high)).any())
    look = _style.style(index)
    _style.line(ax, index, shown[:, 0], shown[:, 1], _style.label(label) + " (leaves)" * leaves, zorder=3)
    if not leaves:
        end = {"marker": look["marker"], "color": look["color"], "markeredgecolor": _style.ink(), "markersize": 9}
        ax.plot(*shown[-1], linestyle="", zorder=4, label="_end", **end)
