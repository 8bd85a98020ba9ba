"""Pictures of nets: what they say where, what their units see, and how their layers are connected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.nn import Dense, Sequential
from fastnn.plot import _boxes, _graphs, _regions, _style
from fastnn.plot._inputs import SIDE, as_plane, check_axes, check_two_columns, net_of
from fastnn.training import Trainer

__all__ = ["decision_boundary", "hidden_units", "net", "unit_responses"]

LARGE = 99.5  # the percentile of the weights that is black: a few larger ones would make all others grey
COARSE = 2  # of the points of the plane's grid, every second is enough for a small picture, from edge to edge
MOST_NUMBERED = 36  # units whose numbers can be read


@with_hints
def decision_boundary(net: Any, X: npt.ArrayLike, y: npt.ArrayLike, *, ax: Any = None) -> Any:
    """Draw what a net of two input columns says where: classes with their boundaries, or a number by contour lines.

    Parameters
    ----------
    net : Sequential, Trainer, Ensemble, or any model with `predict`
        A trainer's loss says what the outputs mean. Without one, a single output is a logit, or a probability after a
        `nn.Sigmoid`.
    X : array_like, shape (n, 2)
        Rows, as the net takes them. The picture shows the plane where they are; a DataFrame names the axes.
    y : array_like, shape (n,)
        Their classes or numbers. About 300 of the rows are shown at most.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If the net has not two input columns, an argument has a wrong type or shape, or an output is not finite.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from fastnn import nn, plot
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> net = nn.Sequential(nn.Dense(2, 3), seed=0)
    >>> ax = plot.decision_boundary(net, X, net.predict(X).argmax(axis=1), ax=Figure().subplots())
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['class 0', 'class 1', 'class 2']
    """
    check_axes(ax)
    if not callable(getattr(net, "predict", None)) or isinstance(net, type):
        v.refuse(TypeError, "net", "be a net, or another model with predict", v.kind_of(net))
    check_two_columns(net)
    plane = as_plane(X)
    regions = _regions.regions_of(net, plane, y)
    with _style.picture(ax) as axes:
        regions.draw(axes, plane)
        plane.finish(axes)
        _style.legend(axes)
    return axes


@with_hints
def hidden_units(
    net: Sequential | Trainer,
    shape: tuple[int, int] = (28, 28),
    *,
    layer: str | int | None = None,
    units: int | Sequence[int] = 16,
    through_scaler: bool = False,
    ax: Any = None,
) -> Any:
    """Draw what hidden units see of an image: the weights into each unit, as a small image.

    Grey is 0, dark a positive weight, light a negative one. All images have one scale, which the title says.

    Parameters
    ----------
    net : Sequential, Trainer or fitted estimator of fastnn.sklearn
        A net of images.
    shape : pair of int, default (28, 28)
        Rows and columns of an image.
    layer : str or int, optional
        The path of a `Dense`, as `net.summary` shows it, that has a weight for each pixel; by default the first one.
    units : int or sequence of int, default 16
        How many units, those with the largest norm of their weights first; or the numbers of the units.
    through_scaler : bool, default False
        Whether weights are multiplied by the scale of the net's scaler. They are then those of the pixels as they are
        given, and by default those of the scaled pixels. It makes no difference if all pixels have one scale. If they
        are standardised one by one, pixels that hardly vary, at the edges, have by far the largest products.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If the net has no such layer or weights that are not finite, or an argument has a wrong type or range.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastnn import nn, plot
    >>> net = nn.Sequential(nn.Dense(64, 12), nn.ReLU(), nn.Dense(12, 10), seed=0)
    >>> ax = plot.hidden_units(net, (8, 8), units=[0, 5], ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['0', '5']
    """
    check_axes(ax)
    subject = net_of(net)
    rows, columns = _image_shape(shape)
    dense = _dense_of(subject, layer, rows * columns)
    weights = dense.weight.astype(np.float64)
    if v.boolean("through_scaler", through_scaler) and subject.input_scaling is not None:
        if subject.input_scaling.scale is None or dense.path != _first_dense(subject).path:
            must = "be a layer of the input, which is scaled by a center and a scale, for through_scaler"
            v.refuse(ValueError, "layer", must, f"{dense!r} of a net with {subject.scaler!r}")
        weights = weights * subject.input_scaling.scale[:, np.newaxis]
    norms = np.linalg.norm(_scaled(weights), axis=0)
    chosen = _chosen(units, np.argsort(-norms, kind="stable"), weights.shape[1])
    images = weights.T[chosen].reshape(len(chosen), rows, columns)
    largest = float(np.percentile(np.abs(images), LARGE)) or 1.0
    title = f"weights of {dense!r}\nfrom {-largest:.2g} (light) to {largest:.2g} (dark)"
    with _style.picture(ax, (_style.HEIGHT * 1.2, _style.HEIGHT * 1.2)) as axes:
        _mosaic(axes, images, chosen, largest, title)
    return axes


@with_hints
def unit_responses(
    net: Sequential | Trainer,
    X: npt.ArrayLike,
    *,
    layer: int | None = None,
    units: int | Sequence[int] = 16,
    ax: Any = None,
) -> Any:
    """Draw the output of the units of a layer over the plane, each as a small map; the net has two input columns.

    Grey is 0, dark positive, light negative. Each map has its own scale, up to the largest absolute output. Maps are
    turned as in `decision_boundary`: the first column to the right, the second one up.

    Parameters
    ----------
    net : Sequential, Trainer or fitted estimator of fastnn.sklearn
    X : array_like, shape (n, 2)
        Rows, as the net takes them. The maps show the plane where they are.
    layer : int, optional
        The index of the layer in ``net.layers``; by default the one before the last `Dense`, which makes weighted sums
        of its outputs. A net whose only `Dense` is its first layer shows the outputs of that layer.
    units : int or sequence of int, default 16
        How many units, those whose output varies most first; or the numbers of the units.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If the net has not two input columns or weights that are not finite, or an argument has a wrong type or range.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from fastnn import nn, plot
    >>> net = nn.Sequential(nn.Dense(2, 6), nn.Tanh(), nn.Dense(6, 1), seed=0)
    >>> ax = plot.unit_responses(net, np.eye(2), units=[3, 1], ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['3', '1']
    """
    check_axes(ax)
    subject = net_of(net)
    check_two_columns(subject)
    plane = as_plane(X)
    last = max((i for i, each in enumerate(subject.layers) if isinstance(each, Dense)), default=len(subject) - 1)
    index = max(0, last - 1) if layer is None else v.integer("layer", layer, 0, len(subject) - 1)
    side = slice(None, None, COARSE)
    grid = np.asarray(plane.grid, np.float64).reshape(SIDE, SIDE, 2)[side, side]
    outputs = subject.activations(grid.reshape(-1, 2))[index].astype(np.float64)
    if not v.all_finite(outputs):
        v.refuse(ValueError, "net", "give finite outputs near the rows of X", "NaN or infinity")
    chosen = _chosen(units, np.argsort(-_scaled(outputs).std(axis=0), kind="stable"), outputs.shape[1])
    maps = outputs.T[chosen].reshape(len(chosen), len(grid), len(grid))[:, ::-1]  # images begin at the top
    sizes = np.abs(maps).max(axis=(1, 2), keepdims=True)
    scaled = np.divide(maps, sizes, out=np.zeros_like(maps), where=sizes > 0)
    title = f"outputs of {subject.layers[index]!r}, layer {index}\nnegative (light), 0 (grey), positive (dark)"
    with _style.picture(ax, (_style.HEIGHT * 1.2, _style.HEIGHT * 1.2)) as axes:
        _mosaic(axes, scaled, chosen, 1.0, title)
        axes.set_xlabel(f"in each map: {plane.names[0]} to the right, {plane.names[1]} up")
    return axes


@with_hints
def net(net: Sequential | Trainer, *, units: bool | None = None, ax: Any = None) -> Any:
    """Draw a net: the units and weights of a small one, or its layers as boxes.

    Units: a line is a weight, as wide as its size in its layer, solid if positive and dashed if negative; at most 16
    units of a layer are shown. Boxes: each says the layer, how wide its output is, and how many parameters it has;
    `nn.Residual`, `nn.Parallel` and `nn.Columns` are drawn as branches. Equal blocks in sequence are drawn once.

    Parameters
    ----------
    net : Sequential, Trainer or fitted estimator of fastnn.sklearn
    units : bool, optional
        Whether units are drawn; by default those of nets of dense layers without branches, of at most 500 parameters.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure, as large as the net needs it.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, a weight is not finite, or the units of a net with branches are to be drawn.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastnn import nn, plot
    >>> net = nn.Sequential(nn.Dense(64, 128), nn.ReLU(), nn.Dense(128, 10), seed=0)
    >>> ax = plot.net(net, ax=Figure().subplots())
    >>> print(ax.texts[1].get_text())
    Dense(64, 128)
    128 outputs, 8,320 parameters
    """
    check_axes(ax)
    subject = net_of(net)
    subject.in_features  # noqa: B018 - without a width of the input this says what to write
    if units is None:
        units = _graphs.can_show(subject) and len(subject.params.data) <= _graphs.SMALL
    if v.boolean("units", units):
        _graphs.check(subject)
        return _graphs.draw(subject, ax)
    return _boxes.draw(subject, ax)


def _image_shape(shape: object) -> tuple[int, int]:
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        v.refuse(TypeError, "shape", "be a pair of integers", v.kind_and_length(shape), "write shape=(28, 28)")
    rows, columns = (v.integer(f"shape[{index}]", each, 1) for index, each in enumerate(shape))
    return rows, columns


def _first_dense(net: Sequential) -> Dense:
    found = next((each for each in net.leaves if isinstance(each, Dense)), None)
    if found is None:
        v.refuse(ValueError, "net", "have a Dense", ", ".join(type(each).__name__ for each in net.leaves))
    return found


def _dense_of(net: Sequential, layer: str | int | None, pixels: int) -> Dense:
    """Return the layer whose weights are shown; it has a weight for each pixel."""
    if layer is None:
        found = _first_dense(net)
    else:
        by_path = {each.path: each for each in net.leaves if isinstance(each, Dense)}
        if str(layer) not in by_path or isinstance(layer, bool):
            v.refuse(ValueError, "layer", f"be the path of a Dense: {', '.join(by_path) or 'there is none'}", layer)
        found = by_path[str(layer)]
    if found.in_features != pixels:
        must = f"have {found.in_features} pixels, as {found!r} has weights"
        v.refuse(ValueError, "shape", must, pixels, "write shape=(rows, columns)")
    return found


def _chosen(units: int | Sequence[int], order: Array, count: int) -> Array:
    """Return the numbers of the units to show: the first ones in an order, or those that are given."""
    if isinstance(units, Sequence | np.ndarray):
        chosen = v.indices("units", units, count, "n")
        v.at_least("units", chosen, 0, 1, "unit")
        return chosen
    return order[: v.integer("units", units, 1)]


def _scaled(values: Array) -> Array:
    """Return numbers whose largest size is 1, as squares of larger ones could overflow."""
    return values / (np.abs(values).max(initial=0.0) or 1.0)


def _mosaic(ax: Any, images: Array, numbers: Array, largest: float, title: str) -> None:
    """Draw small images side by side in one picture, with gaps, and the number of each below it."""
    count, rows, columns = images.shape
    across = int(np.ceil(np.sqrt(count * rows / columns)))
    down = -(-count // across)
    numbered = count <= MOST_NUMBERED
    beside, below = max(1, round(0.08 * columns)), max(1, round((0.28 if numbered else 0.08) * rows))
    frames: list[list[tuple[float, float]]] = []
    whole = np.full((down * (rows + below), across * (columns + beside) - beside), np.nan)
    for i, (each, number) in enumerate(zip(images, numbers, strict=True)):
        top, left = (i // across) * (rows + below), (i % across) * (columns + beside)
        whole[top : top + rows, left : left + columns] = each
        frames.append([(left, top), (left + columns, top), (left + columns, top + rows), (left, top + rows)])
        if numbered:
            x, y = left + columns / 2 - 0.5, top + rows + below / 2 - 0.5
            ax.text(x, y, str(number), ha="center", va="center", fontsize=7)
    ax.imshow(whole, cmap=_style.MAP, vmin=-largest, vmax=largest, interpolation="nearest")
    frame = _style.matplotlib("collections").PolyCollection
    ax.add_collection(frame(np.array(frames) - 0.5, facecolors="none", edgecolors="#808080", linewidths=0.5))
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize="medium")
