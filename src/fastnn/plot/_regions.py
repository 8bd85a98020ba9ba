"""What a model says at each point of a plane: classes or a number, and how that is drawn."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import nn
from fastnn._typing import Array
from fastnn.diagnosis._targets import Targets, as_targets, of_classes
from fastnn.nn import Loss, Sequential, Sigmoid
from fastnn.nn.container_base import last_of
from fastnn.plot import _style
from fastnn.plot._inputs import SIDE, Plane
from fastnn.training import Ensemble, Trainer

MOST_ROWS = 300  # shown
LIGHTEST, DARKEST = 0.97, 0.78  # luminance of the classes' areas, so that points are seen on them
LEVELS = 8
MOST_IN_LEGEND = 16  # classes that a legend has room for
MOST_TOLD_APART = len(_style.STYLES)  # classes; of more, each has its name in its area
MORE_MARKERS = ("<", "p", "h")  # with those of `_style`, so that colours and markers repeat at different numbers


MARKERS = (*(each["marker"] for each in _style.STYLES), *MORE_MARKERS)


class Regions(Protocol):
    """What is said at each point of the grid, and the rows with their targets."""

    def draw(self, ax: Any, plane: Plane) -> None:
        """Draw it."""


@dataclass(frozen=True)
class Numbers:
    """A number at each point of the grid, and the rows' own numbers."""

    values: Array  # (SIDE, SIDE)
    truth: Array  # (n,)

    def draw(self, ax: Any, plane: Plane) -> None:
        """Draw filled contours with labels, and rows filled by their own numbers."""
        low, high = float(self.values.min()), float(self.values.max())
        both = np.concatenate([self.truth, [low, high]])
        bottom, top = float(both.min()), float(both.max())
        scale = {"cmap": _style.MAP, "vmin": bottom, "vmax": top + top - bottom}  # the darkest grey hides lines
        if high > low:
            ticker = _style.matplotlib("ticker").MaxNLocator(LEVELS)
            levels = ticker.tick_values(low, high)
            ax.contourf(*plane.ticks, self.values, levels=levels, extend="both", **scale)
            inside = [each for each in levels if low < each < high]
            if inside:
                lines = ax.contour(*plane.ticks, self.values, levels=inside, colors="#333333", linewidths=0.8)
                ax.clabel(lines, fontsize=7)
        rows = _some_rows(np.zeros(len(self.truth), np.int64))
        ax.scatter(
            *plane.x[rows].T, c=self.truth[rows], s=16, edgecolors="black", linewidths=0.6, zorder=3,
            label="rows, filled\nby their y\n(dark: large)", **scale,
        )  # fmt: skip


@dataclass(frozen=True)
class Classes:
    """Scores of the classes at each point of the grid, of which the highest decides, and the rows' own classes."""

    scores: Array  # (classes, SIDE, SIDE)
    names: tuple[str, ...]
    truth: Array  # (n,)

    def draw(self, ax: Any, plane: Plane) -> None:
        """Draw the classes' areas, the lines between them, and rows with a marker for each class."""
        count = len(self.names)
        fills = _style.matplotlib("colors").ListedColormap([_tint(k, count) for k in range(count)])
        area = {"origin": "lower", "extent": plane.extent, "aspect": "auto", "interpolation": "nearest", "zorder": 0}
        said = self.scores.argmax(axis=0)
        ax.imshow(said, cmap=fills, vmin=-0.5, vmax=count - 0.5, **area)
        for k in range(1 if count == 2 else 0, count):
            margin = self.scores[k] - np.delete(self.scores, k, axis=0).max(axis=0, initial=-np.inf)
            if margin.min() < 0 < margin.max():
                ax.contour(*plane.ticks, margin, levels=[0.0], colors="#222222", linewidths=1.1, zorder=1)
        shown = _some_rows(self.truth)
        for k, name in enumerate(self.names):
            rows = shown[self.truth[shown] == k]
            ax.plot(
                *plane.x[rows].T, linestyle="", marker=MARKERS[k % len(MARKERS)], color=_style.style(k)["color"],
                markersize=4.5, markeredgecolor="black", markeredgewidth=0.5, zorder=3,
                label=_style.label(name) if count <= MOST_IN_LEGEND else f"_class {k}",
            )  # fmt: skip
            if count > MOST_TOLD_APART:
                _name_area(ax, plane, said == k, name)


def _name_area(ax: Any, plane: Plane, area: Array, name: str) -> None:
    """Write a name at the point of an area that is nearest to its middle."""
    points = np.argwhere(area)
    if len(points):
        row, column = points[np.square(points - points.mean(axis=0)).sum(axis=1).argmin()]
        first, second = plane.ticks
        text = _style.label(name.removeprefix("class "))
        frame = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
        place = {"ha": "center", "va": "center", "fontsize": 7, "color": "black", "zorder": 4, "clip_on": True}
        ax.text(first[column], second[row], text, bbox=frame, **place)


def regions_of(model: Any, plane: Plane, y: npt.ArrayLike) -> Regions:
    """Return what a model says on the grid of a plane, with the targets of its rows."""
    loss = model.loss if isinstance(model, Trainer) else None
    given = _predictions(model.predict(plane.grid))
    y = _plain("y", y, ("y", f"have finite numbers, below {_style.LARGEST:g} in size"))
    several = given.ndim == 2 and given.shape[1] > 1
    targets = as_targets(y, nn.CrossEntropyLoss() if several and loss is None else loss)
    if len(targets.truth) != len(plane.x):
        v.refuse(ValueError, "y", f"have {len(plane.x)} entries, one for each row of X", len(targets.truth))
    if targets.task == "labels" or (targets.task == "numbers" and targets.truth.shape[1] > 1):
        v.refuse(ValueError, "y", "be one class or one number for each row", f"shape {targets.y.shape}")
    known = getattr(model, "classes_", None)
    if known is not None:
        return _of_classifier(model, plane, given, targets, np.asarray(known))
    own = isinstance(model, Sequential | Trainer | Ensemble)
    if not own and given.ndim == 1 and targets.task == "classes":  # another model, which returns classes
        return _of_labels(given, targets, np.unique(np.concatenate([given, targets.values])))
    z = _outputs(given)
    if targets.task == "numbers" and several:
        v.refuse(ValueError, "net", "have one output, as y is a number for each row", z.shape[1])
    if targets.task == "numbers" or (not several and len(targets.values) > 2 and (loss is None or of_classes(loss))):
        return Numbers(z.reshape(SIDE, SIDE), v.numeric("y", targets.y).reshape(-1).astype(np.float64))
    return _of_outputs(z, targets, _middle(model, loss, targets))


def _plain(name: str, value: Any, finite: tuple[str, str]) -> Array:
    """Return an array of numbers, truth values or strings, none of them NaN or infinite; objects become what they are.

    It has one entry, or one row, for each row of X. `finite` are the words of the message about the numbers.
    """
    must = "have one number or one string for each row of X"
    try:
        array = np.asarray(value)
    except ValueError:
        v.refuse(ValueError, name, must, "rows of different lengths")
    if array.dtype.kind == "O" and array.size:
        entries = array.reshape(-1).tolist()
        kind = next((kind for kind in (str, numbers.Real) if all(isinstance(each, kind) for each in entries)), None)
        array = array if kind is None else array.astype(str if kind is str else np.float64)
    if array.dtype.kind not in "biufUS" or not array.ndim:
        got = v.kind_of(value) if not array.ndim else f"entries of {array.dtype}"
        v.refuse(TypeError, name, must, got)
    if array.ndim > 2 or not array.size or (array.dtype.kind in "US" and array.size > len(array)):
        v.refuse(ValueError, name, must, f"shape {array.shape}")
    if array.dtype.kind == "f" and (lost := np.isnan(_style.drawable(array))).any():
        v.refuse(ValueError, *finite, f"{array[lost][0]:g}")
    return array.reshape(-1) if array.dtype.kind in "US" else array


def _predictions(given: Any) -> Array:
    """Return what a model says at the points of the grid, one row for each."""
    array = _plain("net.predict(X)", given, ("net", "give finite outputs near the rows of X"))
    if len(array) != SIDE * SIDE:
        v.refuse(ValueError, "net.predict(X)", f"have one row for each row of X ({SIDE * SIDE})", len(array))
    return array


def _outputs(given: Array) -> Array:
    """Return predictions as a matrix of numbers."""
    return v.numeric("net.predict(X)", given).astype(np.float64).reshape(len(given), -1)


def _middle(model: Any, loss: Loss | None, targets: Targets) -> float:
    """Return the output of a single column above which the second class is meant."""
    if loss is not None and not of_classes(loss):  # a regression on the classes' values
        return float(targets.values.astype(np.float64).mean())
    if isinstance(model, Ensemble):
        nets, probabilities = model.members, model.output == "sigmoid"
    else:
        nets, probabilities = (model.net if isinstance(model, Trainer) else model,), False
    if isinstance(nets[0], Sequential):
        probabilities = probabilities or isinstance(last_of(nets[0].layers), Sigmoid)
    return 0.5 if probabilities else 0.0


def _of_outputs(z: Array, targets: Targets, middle: float) -> Classes:
    """Return the classes that outputs stand for: one column for two of them, or a column for each."""
    values, truth = targets.values, targets.truth
    if z.shape[1] == 1:
        if len(values) > 2:  # a regression on their values
            scores = -np.abs(z - values.astype(np.float64))
        else:
            scores = np.hstack([middle - z, z - middle])
            if len(values) == 1:
                values = np.array([0, 1]) if values[0] in (0, 1) else np.array([values[0], "other"])
                truth = np.searchsorted(values, targets.values)[truth]
    else:
        scores, count = z, z.shape[1]
        if len(values) != count:
            if values.dtype.kind not in "iufb" or not np.isin(values, np.arange(count)).all():
                v.refuse(ValueError, "y", f"have classes from 0 to {count - 1}, one for each output", values)
            truth, values = values.astype(np.int64)[truth], np.arange(count)
    return _classes(scores, values, truth)


def _of_classifier(model: Any, plane: Plane, given: Array, targets: Targets, known: Array) -> Classes:
    """Return the classes of an estimator; its probabilities make smooth lines if they agree with its classes."""
    if callable(getattr(model, "predict_proba", None)):
        p = np.asarray(model.predict_proba(plane.grid), np.float64)
        if p.shape == (len(given), len(known)) and (known[p.argmax(axis=1)] == given).all():
            missing = np.setdiff1d(targets.values, known)
            if len(missing):
                v.refuse(ValueError, "y", f"have the classes that the model knows: {v.shown(known)}", missing[0])
            return _classes(p, known, np.searchsorted(known, targets.values)[targets.truth])
    return _of_labels(given, targets, np.unique(np.concatenate([known, targets.values])))


def _of_labels(given: Array, targets: Targets, names: Array) -> Classes:
    """Return classes that are predicted without scores."""
    scores = (given[:, np.newaxis] == names).astype(np.float64)
    return _classes(scores, names, np.searchsorted(names, targets.values)[targets.truth])


def _classes(scores: Array, values: Array, truth: Array) -> Classes:
    names = tuple(str(each) if values.dtype.kind in "OUS" else f"class {each:g}" for each in values)
    return Classes(np.ascontiguousarray(scores.T).reshape(-1, SIDE, SIDE), names, truth)


def _some_rows(truth: Array) -> Array:
    """Return rows to show: all, or some of each class, drawn at random with a fixed seed."""
    if len(truth) <= MOST_ROWS:
        return np.arange(len(truth))
    rng, rows = np.random.default_rng(0), []
    for k in np.unique(truth):
        of_class = np.flatnonzero(truth == k)
        rows.append(rng.choice(of_class, max(1, MOST_ROWS * len(of_class) // len(truth)), replace=False))
    return np.sort(np.concatenate(rows))


def _tint(k: int, count: int) -> tuple[float, float, float]:
    """Return the light colour of a class's area; areas of one picture also differ in grey."""
    color = np.array(_style.matplotlib("colors").to_rgb(_style.style(k)["color"]))
    weights = np.array([0.2126, 0.7152, 0.0722])
    aim = LIGHTEST - (LIGHTEST - DARKEST) * k / max(1, count - 1)
    dark = float(weights @ color)
    share = (1 - aim) / (1 - dark)  # of the colour, the rest is white
    tint = 1 - share * (1 - color)
    red, green, blue = (tint + aim) / 2  # half grey, so that points of the same colour are seen on it
    return float(red), float(green), float(blue)
