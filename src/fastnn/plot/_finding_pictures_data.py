"""Pictures of findings about the rows: columns, labels, scales, rare classes, validation data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._findings import Finding, shown
from fastnn.diagnosis._limits import LARGE_COLUMN, SMALL_COLUMN
from fastnn.diagnosis._setup import quiet
from fastnn.diagnosis._targets import Targets
from fastnn.plot import _style
from fastnn.plot._finding_pictures_base import (
    MOST_BARS,
    NoPicture,
    PicturedTraining,
    bars,
    by_name,
    class_names,
    evidence,
    height_of,
    histogram,
    numbers,
    shade,
    values_at_bars,
)
from fastnn.plot._finding_pictures_training import losses
from fastnn.plot._pages import HEIGHT, Picture, label, panels

OF_VALIDATION = "In the validation data"  # what such a finding begins with
MOST_COLUMNS, MOST_MARKED, MOST_ROWS = 10, 6, 12
MOST_UPRIGHT = 6  # columns: words below more of them would run into each other
MOST_SIZES = 16  # columns whose sizes are drawn: those furthest from 1


# ---- columns ----


def columns(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw entries of some rows, a histogram of a column with a number that stands for a gap, or how many ids err."""
    X = _rows_meant(finding, training)
    found = finding.evidence
    if "numbers" in found:
        return _stand_in(X, int(evidence(finding, "columns")[0]), float(found["numbers"][0]))
    if "entries by column" in found:
        names, counts = by_name(found["entries by column"])
        figure, (ax,) = panels(height=height_of(len(names)))
        bars(ax, [f"column {name}" for name in names], 100.0 * counts / len(X))
        ax.set_xlabel("rows with an id that the embedding has not, %")
        return Picture(figure, "Share of unknown ids by column", f"Unknown ids among {len(X)} rows, by column.")
    marks = {int(j): "constant" for j in found.get("constant", ())}
    marks |= {int(j): f"= column {int(i)}" for i, j in found.get("equal", ())}
    marks |= {int(j): "NaN, infinite" for j in found.get("columns", ())}
    return _entries(X, marks, found)


def _rows_meant(finding: Finding, training: PicturedTraining) -> Array:
    if finding.why.startswith(OF_VALIDATION) and training.setup.validation is not None:
        return np.asarray(training.setup.validation[0])
    return training.setup.X


def _stand_in(X: Array, column: int, value: float) -> Picture:
    figure, (ax,) = panels()
    histogram(ax, X[:, column], f"column {column} of X")
    ax.axvline(value, **_style.GUIDE, label=f"{value:g}")
    _style.legend(ax)
    return Picture(
        figure, f"Histogram of column {column}", f"Column {column}: {value:g} is far from all other entries."
    )


def _entries(X: Array, marks: Mapping[int, str], found: Mapping[str, Any]) -> Picture:
    """Draw entries of some rows as an image, with a mark at some columns."""
    kept = [j for j in marks if j < X.shape[1]][:MOST_MARKED]
    others = [j for j in range(X.shape[1]) if j not in marks]
    chosen = sorted([*kept, *others[: max(2, MOST_COLUMNS - len(kept))]])
    row = int(found.get("first row", 0)) if len(X) else 0
    first = max(0, min(row - MOST_ROWS // 2, len(X) - MOST_ROWS))
    part = np.asarray(X[:, chosen], np.float64)
    with quiet():
        std = part.std(axis=0)
        scaled = (part - part.mean(axis=0)) / np.where(std > 0, std, 1.0)
    rows = np.clip(numbers(scaled)[first : first + MOST_ROWS], -2.5, 2.5)
    gaps, turned = found.get("columns", ()), len(chosen) > MOST_UPRIGHT
    figure, (ax,) = panels(height=HEIGHT + 0.8 * turned)
    if "first row" in found and len(gaps) == 1:
        rows[row - first, chosen.index(int(gaps[0]))] = np.nan  # the report's rows have the mean in its place
        ax.text(chosen.index(int(gaps[0])), row - first, "gap", ha="center", va="center", color="#a01c16")
    ax.imshow(np.ma.masked_invalid(rows), cmap=_style.MAP, vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    names = [f"{j}{' ' if turned else chr(10)}{marks[j]}" if j in marks else str(j) for j in chosen]
    ax.set_xticks(range(len(chosen)), names if turned else [name.replace(" ", "\n", 1) for name in names])
    for tick, j in zip(ax.get_xticklabels(), chosen, strict=True):
        if j in marks:
            tick.set(fontweight="bold", rotation=90 if turned else 0)
    step = max(1, len(rows) // 4)
    ax.set_yticks(range(0, len(rows), step), [str(first + i) for i in range(0, len(rows), step)])
    ax.set(xlabel="column of X", ylabel="row")
    caption = f"Rows {first} to {first + len(rows) - 1}, dark where an entry is large for its column"
    caption += f"; {len(chosen)} of {X.shape[1]} columns." if len(chosen) < X.shape[1] else "."
    return Picture(figure, "Entries of some rows of X", caption)


# ---- scales ----


def input_scale(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the root mean square of each column."""
    found = training.columns
    kept = np.flatnonzero(~found.is_id & ~found.constant)
    if not len(kept):
        raise NoPicture("there are no columns of numbers")
    with quiet():
        size, std = np.hypot(found.mean, found.std)[kept], found.std[kept]
    away = evidence(finding, "largest mean over standard deviation")
    chosen = np.argsort(-np.abs(np.log(np.maximum(numbers(size), 1e-300))), kind="stable")[:MOST_SIZES]
    chosen = np.sort(chosen)
    figure, (ax,) = panels(height=height_of(len(chosen)) + 0.3)
    worst = int(np.argmax(np.abs(np.log(np.maximum(size[chosen], 1e-300)))))
    _dots(
        ax, [f"column {kept[i]}" for i in chosen], {"root mean square": size[chosen], "standard deviation": std[chosen]}
    )
    ax.get_yticklabels()[worst].set_fontweight("bold")
    ax.set_xscale("log")
    shade(ax, SMALL_COLUMN, LARGE_COLUMN, "usual")
    ax.set_xlabel("size of the column, as the first layer gets it")
    _style.legend(ax)
    caption = "Columns are meant to have a root mean square of about 1 (grey). Where the standard deviation is much "
    caption += f"smaller, the column is far from 0: by {away:.3g} deviations at most."
    if len(chosen) < len(kept):
        caption += f" The {len(chosen)} columns that are furthest from 1, of {len(kept)}."
    return Picture(figure, "Root mean square and standard deviation by column", caption)


def _dots(ax: Any, names: list[str], values: Mapping[str, Array]) -> None:
    """Draw several figures of the same things as dots in a row for each."""
    places = np.arange(len(names))
    for i, (text, each) in enumerate(values.items()):
        look = {"color": _style.style(i)["color"], "marker": _style.style(i)["marker"], "linestyle": ""}
        ax.plot(numbers(each), places, label=text, markersize=5, fillstyle="none" if i else "full", **look)
    ax.set_yticks(places, [label(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)


def target_scale(_finding: Finding, training: PicturedTraining) -> Picture:
    """Draw a histogram of the targets, and where nets begin."""
    if training.targets.task != "numbers":
        raise NoPicture("the targets are no numbers")
    truth = training.targets.truth
    column = int(np.argmax(np.abs(truth.mean(axis=0)) + truth.std(axis=0)))
    figure, (ax,) = panels()
    histogram(ax, truth[:, column], "target" if truth.shape[1] == 1 else f"column {column} of the targets")
    shade(ax, -1, 1)
    ax.axvline(0, **_style.GUIDE, label="outputs of\na new net:\nabout -1 to 1")
    _style.legend(ax)
    caption = f"The targets are around {truth[:, column].mean():.4g}; the outputs of a new net are around 0."
    return Picture(figure, "Histogram of the targets", caption)


# ---- labels ----


def targets(training: PicturedTraining, more: Mapping[str, int] | None = None, *, rare: bool = False) -> Picture:
    """Draw how many rows each class has, or how often each number occurs; `more` are further bars.

    With `rare` the bar of the rarest class is marked.
    """
    found = training.targets
    if found.task == "numbers":
        figure, (ax,) = panels()
        histogram(ax, found.truth[:, 0], "target" if found.truth.shape[1] == 1 else "first column of the targets")
        return Picture(figure, "Histogram of the targets", f"The targets of {len(found.truth)} rows.")
    names, counts = _counted(found)
    further = list((more or {}).items())
    names, counts = [*names, *(name for name, _ in further)], [*counts, *(count for _, count in further)]
    figure, (ax,) = panels(height=height_of(len(names)))
    least = [int(np.argmin(counts))] if rare else []
    bars(ax, names, counts, [*least, *range(len(names) - len(further), len(names))])
    values_at_bars(ax, [f"{count:,} ({100 * count / len(found.truth):.3g} %)" for count in counts[:MOST_BARS]])
    ax.set(xlabel="rows", ylabel="label")
    ax.margins(x=0.3)
    caption = f"The labels of {len(found.truth)} rows."
    if len(names) > MOST_BARS:
        caption += f" The first {MOST_BARS} of {len(names)} labels."
    return Picture(figure, "Number of rows of each label", caption)


def _counted(found: Targets) -> tuple[list[str], list[int]]:
    """Return the names of classes, or of columns of labels, and the number of rows with each."""
    if found.task == "labels":
        return [f"column {j} is 1" for j in range(found.truth.shape[1])], found.truth.sum(axis=0).tolist()
    return class_names(found), np.bincount(found.truth, minlength=len(found.values)).tolist()


def labels(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw how often the nearest rows have a row's label, how many targets are missing, or the labels."""
    found = finding.evidence
    near = "how often the nearest rows have its label"
    if near in found:
        values = [found[near], evidence(finding, "the same by chance")]
        names = ["the nearest rows", "chance"]
        figure, (ax,) = panels(height=1.3)
        bars(ax, names, values)
        values_at_bars(ax, [f"{each:.3f}" for each in values])
        ax.set_xlabel(
            "R2 of their mean" if training.targets.task == "numbers" else "how often they have the row's label"
        )
        caption = "Where X says something about y, rows near each other have the same label more often than by chance."
        return Picture(figure, "How often the nearest rows have a row's label, and by chance", caption)
    if "missing" in found:
        missing, rows = found["missing"], evidence(finding, "rows")
        figure, (ax,) = panels(height=1.3)
        bars(ax, ["missing", "known"], [missing, rows - missing], [0])
        values_at_bars(ax, [f"{missing:,}", f"{rows - missing:,}"])
        ax.set_xlabel("rows")
        return Picture(figure, "Rows with and without a target", f"{missing} of {rows} rows have no target.")
    if "unknown labels" in found:
        return targets(
            training, {f"other labels, such as {shown(found['unknown labels'][0])}": evidence(finding, "rows")}
        )
    return targets(training)


def imbalance(_finding: Finding, training: PicturedTraining) -> Picture:
    """Draw how many rows each class has."""
    return targets(training, rare=True)


# ---- validation data ----


def validation(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the columns of X beside those of the validation data; without these, what they would show."""
    if "columns" not in finding.evidence:
        return losses(finding, training, "What validation data would show, with rows held out from yours.")
    if training.setup.validation is None:
        raise NoPicture("the report has no validation data")
    chosen = [int(j) for j in finding.evidence["columns"]][:8]
    figure, (ax,) = panels(height=height_of(2 * len(chosen)) + 0.2)
    places = np.arange(len(chosen))
    parts = {"X": training.setup.X, "validation": np.asarray(training.setup.validation[0])}
    for i, (text, X) in enumerate(parts.items()):
        with quiet():
            part = np.asarray(X[:, chosen], np.float64)
            mean, std = numbers(part.mean(axis=0)), numbers(part.std(axis=0))
        look = {"color": _style.style(i)["color"], "fmt": _style.style(i)["marker"], "capsize": 3}
        ax.errorbar(mean, places + 0.3 * i - 0.15, xerr=std, label=text, **look)
    ax.set_yticks(places, [f"column {j}" for j in chosen])
    ax.set_ylim(len(chosen) - 0.5, -0.5)
    ax.set_xlabel("mean, and one standard deviation to each side")
    _style.legend(ax)
    caption = "Columns of X and of the validation data: the same column should have about the same place and width."
    return Picture(figure, "Means and standard deviations of columns of X and of the validation data", caption)


PICTURES: Mapping[str, Callable[[Finding, PicturedTraining], Picture]] = {
    "columns": columns,
    "labels": labels,
    "input-scale": input_scale,
    "target-scale": target_scale,
    "imbalance": imbalance,
    "validation": validation,
}
