"""Pictures of trainings: losses, learning rates, histograms, gradients by layer, paths of weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.diagnosis import Histograms, Observation, Trace, Watch
from fastnn.diagnosis._probe import probe
from fastnn.diagnosis.gradients import objective
from fastnn.nn import Loss, Sequential
from fastnn.nn.sequential import as_net
from fastnn.plot import _style
from fastnn.plot._inputs import check_axes
from fastnn.plot._ridges import draw_ridges
from fastnn.plot._sources import (
    by_name,
    choice,
    column,
    epochs_of,
    figures_of,
    histories_of,
    is_schedule,
    planned_rates,
    whole,
)
from fastnn.training import Trainer
from fastnn.training.callbacks import better
from fastnn.training.examples import validated_examples

__all__ = ["gradient_flow", "histograms", "history", "learning_rate", "trajectories"]

MOST_RIDGES = 12
MOST_NAMED = 3  # figures whose names are beside the axis
MOST_LAYERS = 16  # whose names are below the axis


def _with_gaps(ax: Any, index: int, x: Array, y: Array, label: str, **settings: Any) -> None:
    """Draw a line with gaps where y is NaN; a point between two gaps, which no line shows, has a marker."""
    _style.line(ax, index, x, y, _style.label(label), **settings)
    finite = np.isfinite(y)
    before, after = np.append(False, finite[:-1]), np.append(finite[1:], False)
    alone = np.flatnonzero(finite & ~before & ~after)
    evenly = np.flatnonzero(finite)[:: max(1, len(y) // _style.MARKS)]
    ax.lines[-1].set_markevery(np.union1d(evenly, alone).tolist())


def _count_epochs(ax: Any) -> None:
    """Label whole epochs only."""
    ax.set_xlabel("epoch")
    _style.whole_numbers(ax.xaxis)


# ---- figures by epoch ----


@with_hints
def history(history: Any, figures: str | Sequence[str] | None = None, *, ax: Any = None) -> Any:
    """Draw the loss by epoch, or other figures of a history, with those of the validation data.

    A solid line is of the training rows, a dashed one of the validation data, with a ring at its best epoch. An epoch
    in which a figure is NaN, infinite or above 1e290 leaves a gap.

    Parameters
    ----------
    history : History, Trainer, estimator of fastnn.sklearn, mapping of str to list of float, or a dict of these by name
        A mapping has a list for each figure, such as a table of `pandas` or what ``numpy.genfromtxt(path,
        delimiter=",", names=True)`` reads from the file of a `CSVLog`. Estimators have "loss" and, as they are
        fitted, "val_loss" and "val_score". A dict of several trainings compares them: each has its colour and marker.
    figures : str or sequence of str, default "loss"
        Names of the history, such as ``["accuracy"]`` or ``["1.std", "3.std"]``. With "accuracy" there are the lines
        of "accuracy" and "val_accuracy", as far as the history has them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If there is no epoch, or a figure that the history does not have.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastnn import plot
    >>> ax = plot.history({"loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.4, 1.6]}, ax=Figure().add_subplot())
    >>> [line.get_label() for line in ax.lines]
    ['loss', 'val_loss', 'best val_loss: 1.4, epoch 2']
    >>> runs = {"small": {"loss": [2.0, 1.0]}, "large": {"loss": [2.0, 0.5]}}
    >>> [line.get_label() for line in plot.history(runs, ax=Figure().add_subplot()).lines]
    ['small: loss', 'large: loss']
    """
    check_axes(ax)
    given: object = figures
    if given is not None and not isinstance(given, Iterable):
        must = "be a string or a list of strings"
        v.refuse(TypeError, "figures", must, v.kind_of(given), 'write figures=["loss"], for example')
    names = [figures] if isinstance(figures, str) else ["loss"] if figures is None else list(figures)
    if not names:
        v.refuse(ValueError, "figures", "name at least one figure", "none", 'write figures=["loss"]')
    for index, name in enumerate(names):
        v.instance(f"figures[{index}]", name, str, "be a string", 'write figures=["loss"], for example')
    histories = histories_of(history)
    drawn = [line for run in histories for line in _lines_of(run, histories[run], names)]
    with _style.picture(ax) as axes:
        styles: dict[tuple[str, str], int] = {}  # a figure has one style with that of the validation data
        for run, pair, name, values, epochs in drawn:
            index = styles.setdefault((run, pair), len(styles))
            validation = name.startswith("val_")
            text = f"{run}: {name}" if run else name
            settings = {"linestyle": "--" if validation else "-", "markerfacecolor": "white" if validation else None}
            _with_gaps(axes, index, epochs, values, text, **{k: each for k, each in settings.items() if each})
            if validation:
                _mark_best(axes, index, epochs, values, name, text)
        _count_epochs(axes)
        axes.set_ylabel(", ".join(map(_style.label, names)) if len(names) <= MOST_NAMED else "value")
        _style.legend(axes)
    return axes


def _lines_of(run: str, history: Any, names: Sequence[str]) -> list[tuple[str, str, str, Array, Array]]:
    """Return of each line its run, the name it was asked for, its own name, the values and the epochs."""
    where = f"history[{run!r}]" if run else "history"
    found, lines = figures_of(where, history), []
    for pair in names:
        for name in [each for each in (pair, f"val_{pair}") if each in found] or [pair]:
            values = column(where, found, name)
            lines.append((run, pair, name, values, epochs_of(where, found, len(values))))
    return lines


def _mark_best(ax: Any, index: int, epochs: Array, values: Array, name: str, text: str) -> None:
    """Mark the best epoch with a ring, if it is known whether lower or higher is better; the legend has the text."""
    direction = better(name)
    if not direction or np.isnan(values).all():
        return
    best = int(np.nanargmin(values) if direction == "min" else np.nanargmax(values))
    label = f"best {_style.label(text)}: {values[best]:.3g}, epoch {epochs[best]:g}"
    ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.5, "linestyle": "none"}
    ax.plot(epochs[best : best + 1], values[best : best + 1], color=_style.style(index)["color"], label=label, **ring)


@with_hints
def learning_rate(
    source: Any, *, epochs: int | None = None, steps_per_epoch: int | None = None, base: float | None = None,
    ax: Any = None,
) -> Any:  # fmt: skip
    """Draw the learning rate by epoch: of a training, or of schedules before a training.

    Parameters
    ----------
    source : Schedule, str, callable, History, Trainer, or a dict of these by name
        A schedule as a `Trainer` takes it, with None for a constant rate, or what has the history of a training, as for
        `plot.history`: of that, the figure ``lr``, the rate of each epoch's last step.
    epochs, steps_per_epoch : int, default 10, 100
        The length of the training that is planned, for schedules: also of those that last as long as the training,
        such as "cosine".
    base : float, default 1.0
        The rate of the optimiser, which schedules start from.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A time of 1.5 is the middle of the second epoch. For rates of many sizes call ``ax.set_yscale("log")``.

    Raises
    ------
    TypeError, ValueError
        If there is neither a schedule nor a history with rates, or arguments for schedules are given without any.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastnn import optim, plot
    >>> schedules = {"cosine": "cosine", "steps": optim.StepLR(3), "one cycle": optim.OneCycleLR()}
    >>> ax = plot.learning_rate(schedules, epochs=9, base=0.01, ax=Figure().add_subplot())
    >>> [line.get_label() for line in ax.lines]
    ['cosine', 'steps', 'one cycle']
    """
    check_axes(ax)
    given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch, "base": base}
    count = v.integer("epochs", 10 if epochs is None else epochs, 1)
    steps = v.integer("steps_per_epoch", 100 if steps_per_epoch is None else steps_per_epoch, 1)
    start = v.real("base", 1.0 if base is None else base, 0)
    sources = by_name(source)
    if not any(map(is_schedule, sources.values())):
        for name, value in given.items():
            if value is not None:
                v.refuse(ValueError, name, "be left out for a training that has been", v.shown(value))
    lines = []
    for name, each in sources.items():
        where = f"source[{name!r}]" if name else "source"
        if is_schedule(each):
            lines.append((name, *planned_rates(where, each, count, steps, start), False))
        else:
            found = figures_of(where, each)
            rates = column(where, found, "lr")
            lines.append((name, epochs_of(where, found, len(rates)), rates, True))
    with _style.picture(ax) as axes:
        for index, (name, times, rates, marked) in enumerate(lines):
            _with_gaps(axes, index, times, rates, name or "learning rate", **({} if marked else {"marker": "none"}))
        _count_epochs(axes)
        axes.set_ylabel("learning rate")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        if len(lines) > 1:
            _style.legend(axes)
    return axes


# ---- layers ----


@with_hints
def histograms(
    recorded: Histograms, what: str = "output", *, layer: str | int | None = None, epoch: int | None = None,
    ax: Any = None,
) -> Any:  # fmt: skip
    """Draw the histograms of all layers after one epoch, or of one layer after several epochs.

    Each is a curve on a line of its own, as high as its largest value. Entries that are 0 are left out of the curve;
    the label says how many they are. Of gradients, the axis has absolute values, in powers of ten.

    Parameters
    ----------
    recorded : fastnn.diagnosis.Histograms
        The callback of a fit.
    what : {"output", "gradient", "weight"}, default "output"
    layer : str or int, optional
        The path of a layer: a curve for each epoch, of which at most 12 are shown, evenly spread.
    epoch : int, optional
        One of the epochs that are recorded, 0 for the beginning: a curve for each layer, of which at most 12 are shown,
        evenly spread. By default the last one.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If nothing is recorded, if there is no such layer or epoch, or if both are given.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, plot
    >>> X, y = np.eye(4), np.arange(4)
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 4), seed=0)
    >>> recorded = fastnn.diagnosis.Histograms(X, y)
    >>> history = fastnn.Trainer(net).fit(X, y, epochs=4, callbacks=[recorded], verbose=0)
    >>> ax = plot.histograms(recorded, "weight", epoch=0, ax=Figure().add_subplot())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['0 (Dense)', '2 (Dense)']
    >>> ax = plot.histograms(recorded, "gradient", layer="2", ax=Figure().add_subplot())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['epoch 0', 'epoch 1', 'epoch 2', 'epoch 3', 'epoch 4']
    """
    check_axes(ax)
    fix = "pass it to fit, callbacks=[recorded], first"
    v.instance("recorded", recorded, Histograms, "be a fastnn.diagnosis.Histograms", fix)
    v.choice("what", what, ("output", "gradient", "weight"))
    if not recorded.records:
        v.refuse(ValueError, "recorded", "have records", "none", fix)
    if layer is not None and epoch is not None:
        v.refuse(ValueError, "epoch", "be left out if layer is given", v.shown(epoch), "leave out one of them")
    if layer is not None:
        known = list(dict.fromkeys(path for each in recorded.records for path in getattr(each, what)))
        path = choice("layer", layer if isinstance(layer, str) else str(whole("layer", layer)), known, "the layers")
        records = [each for each in recorded.records if path in getattr(each, what)]
        shown = {f"epoch {records[i].epoch}": getattr(records[i], what)[path] for i in _spread(len(records))}
        title = f"layer {recorded.names.get(path, path)}"
    else:
        at = {each.epoch: each for each in recorded.records}
        record = at[choice("epoch", recorded.records[-1].epoch if epoch is None else epoch, at, "the epochs")]
        found = getattr(record, what)
        paths = list(found)
        shown = {recorded.names.get(paths[i], paths[i]): found[paths[i]] for i in _spread(len(paths))}
        title = f"after epoch {record.epoch}" if record.epoch else "before the first epoch"
        if not shown:
            v.refuse(ValueError, "recorded", "have layers with weights", "none")
    with _style.picture(ax, (_style.WIDTH, max(_style.HEIGHT, 0.42 * len(shown) + 0.8))) as axes:
        log = what == "gradient"
        draw_ridges(axes, list(shown.values()), list(shown), log=log)
        axes.set_xlabel("absolute value of the gradient" if log else what)
        axes.set_title(title)
    return axes


def _spread(count: int) -> list[int]:
    """Return which of so many curves are drawn: all, or some from the first to the last."""
    some: list[int] = np.linspace(0, count - 1, min(MOST_RIDGES, count)).round().astype(int).tolist()
    return some


@with_hints
def gradient_flow(
    source: Watch | Sequential | Trainer, X: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, *,
    loss: str | Loss | None = None, ax: Any = None,
) -> Any:  # fmt: skip
    """Draw the size of the gradient at the output of each layer, which shows whether it reaches the first one.

    Parameters
    ----------
    source : Watch, Sequential or Trainer
        Of a `fastnn.Watch` that has been in a fit, the first and the last observed step. Of a net, or that of a
        trainer, the gradient of the rows now, in training mode.
    X : array_like, shape (n, in_features), optional
        The rows, for a net.
    y : array_like, shape (n,) or (n, out_features), optional
        Their targets, as the loss takes them.
    loss : str or Loss, default "cross_entropy"
        The loss, or its name, for a net; a trainer has its own.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The size is the root mean square over the rows and units of the gradient of the mean loss, on a log axis.

    Raises
    ------
    TypeError, ValueError
        If nothing has been observed, if rows are missing or do not fit, or if all gradients are 0.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import numpy as np
    >>> from fastnn import nn, plot
    >>> layers = [each for _ in range(6) for each in (nn.Dense(8, 8), nn.Sigmoid())]
    >>> net = nn.Sequential(*layers, nn.Dense(8, 8), seed=0)
    >>> ax = plot.gradient_flow(net, np.eye(8), np.arange(8), ax=Figure().add_subplot())
    >>> sizes = ax.lines[0].get_ydata()  # at the outputs of layers 0, 1, ..., 12
    >>> bool(sizes[0] < 1e-3 * sizes[-1])  # it vanishes
    True
    """
    check_axes(ax)
    if isinstance(source, Watch):
        for name, value in (("X", X), ("y", y), ("loss", loss)):
            if value is not None:
                v.refuse(ValueError, name, "be left out for a Watch", v.shown(value))
        flows = _flows_of(source)
    else:
        if hasattr(source, "get_params"):  # an estimator: the message says what to write
            as_net("source", source)
        must = "be a Watch, a Sequential or a Trainer"
        v.instance("source", source, (Sequential, Trainer), must)  # type: ignore[arg-type]
        flows = {"": _flow_of(source, X, y, loss)}
    paths = list(dict.fromkeys(path for flow in flows.values() for path in flow))
    sizes = {label: np.array([flow.get(path, np.nan) for path in paths]) for label, flow in flows.items()}
    sizes = {label: np.where(each > 0, each, np.nan) for label, each in sizes.items()}
    if all(np.isnan(each).all() for each in sizes.values()):
        v.refuse(ValueError, "source", "have a gradient above 0 at some layer", "0 or NaN at all of them")
    with _style.picture(ax) as axes:
        positions = np.arange(len(paths))
        for index, (label, each) in enumerate(sizes.items()):
            _with_gaps(axes, index, positions, each, label, markersize=5)
            axes.lines[-1].set_markevery(1)
        _label_layers(axes, paths)
        axes.set(yscale="log", xlabel="layer, from the input to the output", ylabel="gradient (root mean square)")
        if len(sizes) > 1:
            _style.legend(axes)
    return axes


def _flows_of(watch: Watch) -> dict[str, dict[str, float]]:
    """Return the gradients at the layers in the first and the last observed step that have some."""
    if not watch.records:
        fix = "pass it to fit, callbacks=[watch], first; full-batch optimisers have no steps to observe"
        v.refuse(ValueError, "source", "have records", "none", fix)
    records = [each for each in watch.records if np.isfinite(list(_gradients(each).values())).any()]
    if not records:
        fix = "watch some layers: Watch(layers=None)"
        v.refuse(ValueError, "source", "have records with gradients", "none", fix)
    first, last = records[0], records[-1]
    return {f"step {each.step}, epoch {each.epoch}": _gradients(each) for each in (first, last)}


def _gradients(record: Observation) -> dict[str, float]:
    return {path: each.gradient for path, each in record.layers.items() if path != "input"}


def _flow_of(source: Any, X: Any, y: Any, loss: Any) -> dict[str, float]:
    """Return the gradients at the layers of a net."""
    for name, value in (("X", X), ("y", y)):
        if value is None:
            v.refuse(TypeError, name, "be given for a net", "None", "write plot.gradient_flow(net, X, y, loss=...)")
    net, checked, _ = objective(source, loss, None)
    examples = validated_examples(net, checked, X, y, None, finite=True)
    rows = len(examples.x)
    return {each.name: each.gradient_size / rows for each in probe(net, checked, examples.x, examples.y).layers}


def _label_layers(ax: Any, names: Sequence[str]) -> None:
    """Name the layers below the axis; long names are turned, and of many only some are named."""
    every = -(-len(names) // MOST_LAYERS)
    long = max(map(len, names)) > 4
    ax.set_xticks(
        range(0, len(names), every), names[::every], rotation=60 if long else 0, ha="right" if long else "center"
    )
    if long:
        for label in ax.get_xticklabels():
            label.set_rotation_mode("anchor")


# ---- parameters ----


@with_hints
def trajectories(trace: Trace, *, plane: bool = False, ax: Any = None) -> Any:
    """Draw how chosen entries of parameters move: each by step, or the path of two of them in their plane.

    Parameters
    ----------
    trace : fastnn.diagnosis.Trace
        The callback of a fit.
    plane : bool, default False
        Whether to draw the path of the two entries of the trace, the first to the right and the second upwards, with
        its start and its end.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        In a plane, both axes have one scale, so that directions are as they are.

    Raises
    ------
    TypeError, ValueError
        If nothing is recorded, or `plane` is given for more or fewer than two entries.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, plot
    >>> X, y = np.eye(4), np.arange(4)
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.Sigmoid(), nn.Dense(8, 4), seed=0)
    >>> trace = fastnn.diagnosis.Trace({"2.weight": [(0, 0), (1, 0)]})
    >>> history = fastnn.Trainer(net).fit(X, y, epochs=3, batch_size=2, callbacks=[trace], verbose=0)
    >>> ax = plot.trajectories(trace, plane=True, ax=Figure().add_subplot())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('2.weight[0, 0]', '2.weight[1, 0]')
    """
    check_axes(ax)
    fix = "pass it to fit, callbacks=[trace], first"
    v.instance("trace", trace, Trace, "be a fastnn.diagnosis.Trace", fix)
    steps, values, names = trace.steps, trace.values, trace.names
    if not len(steps):
        v.refuse(ValueError, "trace", "have records", "none", fix)
    if v.boolean("plane", plane) and len(names) != 2:
        fix = 'write Trace({"2.weight": [(0, 0), (1, 0)]}), for example'
        v.refuse(ValueError, "trace", "have two entries for a plane", len(names), fix)
    with _style.picture(ax, (_style.WIDTH, _style.HEIGHT if not plane else 1.2 * _style.HEIGHT)) as axes:
        if not plane:
            for index, name in enumerate(names):
                _with_gaps(axes, index, steps, values[:, index], name)
            axes.set(xlabel="step", ylabel="value")
        else:
            x, y = values.T
            axes.plot(x, y, color=_style.style(0)["color"], linewidth=1.0, marker=".", markersize=3, label="path")
            black = {"color": _style.ink(), "linestyle": "none", "markersize": 7, "zorder": 4}
            for at, marker, face in ((0, "o", axes.get_facecolor()), (-1, "s", _style.ink())):
                label = f"{'end' if at else 'start'}, step {steps[at]}"
                axes.plot(x[[at]], y[[at]], marker=marker, markerfacecolor=face, label=label, **black)
            axes.set(xlabel=names[0], ylabel=names[1])
            axes.set_aspect("equal", adjustable="datalim")
            axes.locator_params(nbins=5)  # of equal scales one axis may be short
        _style.legend(axes)
    return axes
