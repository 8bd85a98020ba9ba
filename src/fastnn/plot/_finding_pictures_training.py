"""Pictures of findings about the course of a training, from short runs of it: losses by epoch and by step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis import _changes
from fastnn.diagnosis._findings import Finding
from fastnn.diagnosis._setup import Run
from fastnn.plot import _style
from fastnn.plot._finding_pictures_base import (
    AS_IS,
    CHANGED,
    FAULT,
    MENDED,
    NoPicture,
    PicturedTraining,
    log_if_wide,
    numbers,
    users_code,
)
from fastnn.plot._pages import Picture, label, panels, whole_numbers
from fastnn.training import Callback

MOST_STEPS = 2000
FEW_ROWS, FEW_ROWS_EPOCHS = 32, 200


def losses(
    finding: Finding, training: PicturedTraining, caption: str = "", mark: tuple[int, str] | None = None
) -> Picture:
    """Draw the losses by epoch of the training as it is, and with the change if fastnn can make it.

    `mark` is an epoch at which there is a line, and what it is called.
    """
    runs = {AS_IS: training.trained}
    if (changed := training.changed_run(finding)) is not None:
        runs[CHANGED] = changed
    figure, (ax,) = panels()
    drawn: list[Array] = []
    for index, (text, run) in enumerate(runs.items()):
        drawn += _of_run(ax, index, run, text if len(runs) > 1 else "")
    if not drawn:
        raise NoPicture("no epoch of a run has a finite loss")
    if mark is not None:
        ax.axvline(mark[0], **_style.GUIDE, label=mark[1])
    ax.set(xlabel="epoch", ylabel="loss")
    whole_numbers(ax.xaxis)
    log_if_wide(ax, "y", *drawn)
    _style.legend(ax)
    text = f"A short run: {training.length()}. "
    ended = [f"{name} it ends with NaN or infinity" for name, run in runs.items() if run.error is not None]
    text += "".join(f"{each[0].upper()}{each[1:]}. " for each in ended)
    return Picture(figure, f"Loss by epoch, {' and '.join(runs)}", (text + caption).strip())


def _of_run(ax: Any, index: int, run: Run, name: str) -> list[Array]:
    """Draw the losses of a run: of its rows with markers, of rows held out without and thinner."""
    drawn = []
    for part, figure in (("rows of the fit", "loss"), ("rows held out", "val_loss")):
        values = np.array([epoch.get(figure, np.nan) for epoch in run.history.epochs], np.float64)
        with np.errstate(invalid="ignore"):
            values = np.where(np.abs(values) < 1e290, values, np.nan)
        if not np.isfinite(values).any():
            continue
        text = f"{name},\n{part}" if name else part
        more = {} if figure == "loss" else {"linewidth": 1.0, "fillstyle": "none"}
        _style.line(ax, 2 * index + (figure == "val_loss"), np.arange(1, len(values) + 1), values, text, **more)
        drawn.append(values)
    return drawn


def course(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch."""
    return losses(finding, training)


def epochs(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch, and where the fit ends."""
    end = training.setup.epochs
    return losses(finding, training, mark=(end, "your fit\nends here") if training.short.epochs == end else None)


def regularisation(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch."""
    penalty = training.setup.penalty
    caption = "The loss of the rows of the fit has the penalty in it." if penalty.l1 or penalty.l2 else ""
    return losses(finding, training, caption)


def overfitting(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch, and the epoch of the least one on rows held out."""
    values = np.array(training.trained.history.get("val_loss", []))
    best = int(np.nanargmin(values)) + 1 if np.isfinite(values).any() else None
    caption = "On rows of the fit the loss falls on; on rows held out it is least at the dashed grey line."
    if best is None:
        return losses(finding, training)
    return losses(finding, training, caption, (best, f"epoch {best}"))


class _Steps(Callback):
    """Keeps the loss of each step."""

    observes = "step"

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_batch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Keep the loss; end a training of very many steps."""
        self.losses.append(logs["batch_loss"])
        if len(self.losses) >= MOST_STEPS:
            trainer.stop()


def nonfinite(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the loss by step, up to the one that is not finite."""
    figure, (ax,) = panels()
    drawn: list[Array] = []
    for index, (text, setup) in enumerate({AS_IS: training.short, CHANGED: training.changed_setup(finding)}.items()):
        if setup is None:
            continue
        steps = _Steps()
        with contextlib.suppress(NoPicture), users_code("the training does not run"):  # the steps before it are drawn
            training.shortened(setup, training.budget / 3.0).fit(callbacks=[steps])
        with np.errstate(invalid="ignore"):
            values = np.where(np.abs(steps.losses) < 1e290, steps.losses, np.nan)
        if np.isfinite(values).any():
            _style.line(ax, index, np.arange(1, len(values) + 1), values, text)
            drawn.append(values)
    if not drawn:
        raise NoPicture("the loss is not finite from the first step on")
    ax.set(xlabel="step", ylabel="loss of the batch")
    whole_numbers(ax.xaxis)
    log_if_wide(ax, "y", *drawn)
    _style.legend(ax)
    caption = f"A short run: {training.length()}. A line ends where the loss becomes NaN or infinite."
    return Picture(figure, "Loss by step", caption)


def cannot_fit(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the loss by epoch of a training with a few rows alone."""
    if "rows" not in finding.evidence:
        raise NoPicture("the training does not run")
    rows = int(finding.evidence["rows"])
    order = np.random.default_rng(training.seed).permutation(len(training.setup.X))[:rows]
    few = _changes.without_penalties(training.setup).take(np.sort(order)).changed(batch_size=FEW_ROWS, augment=None)
    epochs = max(20, min(FEW_ROWS_EPOCHS, int(0.1 * training.budget / training.step_seconds(few))))
    with users_code("the training does not run"):
        values = few.fit(epochs=epochs).history.get("loss", [])
    if not values:
        raise NoPicture("the training does not end an epoch")
    figure, (ax,) = panels()
    _style.line(ax, FAULT, np.arange(1, len(values) + 1), numbers(values), f"{rows} rows alone")
    ax.set(xlabel="step (an epoch of these rows)", ylabel="loss")
    ax.set_ylim(bottom=min(0.0, float(np.nanmin(numbers(values)))))
    whole_numbers(ax.xaxis)
    _style.legend(ax)
    caption = f"A net that works learns {rows} rows by heart: the loss would go to its least value, mostly 0."
    return Picture(figure, f"Loss by step of a training with {rows} rows", caption)


def gain(finding: Finding) -> Picture | None:
    """Draw what a change has gained, with its error, beside what guessing gives; None if it was not tried."""
    tried = finding.gain
    if tried is None or not np.isfinite([tried.before, tried.after, tried.error, tried.chance]).all():
        return None
    figure, (ax,) = panels(height=1.15)
    values = np.maximum([tried.before, tried.after], -1.0)
    ax.plot(values, [0, 0], color="#b8b8b8", linewidth=3, zorder=1, solid_capstyle="round")
    for index, name, value in ((FAULT, "before", values[0]), (MENDED, "after", values[1])):
        look = {"color": _style.style(index)["color"], "fmt": _style.style(index)["marker"], "markersize": 7}
        ax.errorbar(value, 0, xerr=tried.error if name == "after" else None, capsize=4, label=name, **look)
    ax.axvline(max(-1.0, tried.chance), **_style.GUIDE, label="guessing")
    low = min(0.0, *values, tried.chance)
    ax.set(xlim=(low - 0.05, 1.05), ylim=(-1, 1), yticks=[], xlabel=label(tried.figure))
    ax.spines["left"].set_visible(False)
    _style.legend(ax)
    caption = f"Tried: {tried}. The bar at the new figure is the standard error of the difference, to each side."
    return Picture(figure, f"{tried.figure} before and after the change", caption)


PICTURES: Mapping[str, Callable[[Finding, PicturedTraining], Picture]] = {
    "nonfinite": nonfinite,
    "learning-rate-high": course,
    "learning-rate-low": course,
    "epochs": epochs,
    "batch-size": course,
    "regularisation": regularisation,
    "overfitting": overfitting,
    "cannot-fit": cannot_fit,
}
