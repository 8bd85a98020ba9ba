"""Pictures of findings about the course of a training, from short runs of it: losses by epoch and by step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._findings import Finding, figure_text
from fastnn.diagnosis._setup import Run
from fastnn.diagnosis._training_checks import on_few_rows
from fastnn.plot import _style
from fastnn.plot._finding_pictures_base import (
    AS_IS,
    CHANGED,
    FAULT,
    MENDED,
    NoPicture,
    PicturedTraining,
    evidence,
    users_code,
)
from fastnn.plot._pages import Picture, draw_by_epoch, drawable, label, log_if_wide, panels
from fastnn.training import Callback

MOST_STEPS = 2000
NUMBERS = {1: "both", 2: "all three"}  # changes beside one


def losses(
    finding: Finding, training: PicturedTraining, caption: str = "", mark: tuple[int, str] | None = None
) -> Picture:
    """Draw the losses by epoch of the training as it is, and with the change if fastnn can make it.

    `mark` is an epoch at which there is a line, and what it is called.
    """
    runs = {AS_IS: training.trained}
    if (changed := training.changed_run(finding)) is not None:
        runs[CHANGED] = changed
    return _losses_of(runs, f"A short run: {training.length()}.", caption, mark)


def _losses_of(runs: Mapping[str, Run], length: str, caption: str, mark: tuple[int, str] | None) -> Picture:
    """Draw the losses by epoch of runs by name; the caption begins with their length."""
    drawn: dict[str, Array] = {}
    for text, run in runs.items():
        for name in ("loss", "val_loss"):
            values = drawable(run.history.get(name, []))
            if np.isfinite(values).any():
                drawn[f"{name}, {text}" if len(runs) > 1 else name] = values
    if not drawn:
        raise NoPicture("no epoch of a run has a finite loss")
    figure, (ax,) = panels()
    draw_by_epoch(ax, drawn, "loss")
    if mark is not None:
        ax.axvline(mark[0], **_style.GUIDE, label=mark[1])
        _style.legend(ax)
    log_if_wide(ax, np.concatenate(list(drawn.values())))
    text = f"{length} "
    if any(name.startswith("val_") for name in drawn):
        text += "val_loss is of rows held out. "
    ended = [f"{name} it ends with NaN or infinity" for name, run in runs.items() if run.error is not None]
    text += "".join(f"{each[0].upper()}{each[1:]}. " for each in ended)
    return Picture(figure, f"Loss by epoch, {' and '.join(runs)}", (text + caption).strip())


def course(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch."""
    return losses(finding, training)


def epochs(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch, and where the fit ends."""
    end = training.setup.epochs
    mark = (end, "your fit\nends here") if training.short.epochs == end else None
    setup, longer = training.changed_setup(finding), training.changed_run(finding)
    if setup is None or longer is None or not _continues(longer, training.trained):
        return losses(finding, training, mark=mark)
    length, n = f"A short run: {training.length()}", len(longer.history.epochs)
    if n > len(training.trained.history.epochs):
        length += f", continued to {n}"
    length += ", as the change proposes." if n == setup.epochs else f"; the change proposes {setup.epochs}."
    return _losses_of({AS_IS: longer}, length, "", mark)


def _continues(longer: Run, run: Run) -> bool:
    """Whether a run begins with another one."""
    losses, n = run.history.get("loss", []), len(run.history.epochs)
    return n > 0 and np.array_equal(longer.history.get("loss", [])[:n], losses, equal_nan=True)


def regularisation(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch."""
    penalty = training.setup.penalty
    caption = "The loss of the rows of the fit has the penalty in it." if penalty.l1 or penalty.l2 else ""
    return losses(finding, training, caption)


def overfitting(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the losses by epoch, and the epoch of the lowest one on rows held out."""
    values = np.array(training.trained.history.get("val_loss", []))
    best = int(np.nanargmin(values)) + 1 if np.isfinite(values).any() else None
    caption = "On rows of the fit the loss falls on; on rows held out it is lowest at the dashed grey line."
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
        values = drawable(steps.losses)
        if np.isfinite(values).any():
            _style.line(ax, index, np.arange(1, len(values) + 1), values, text)
            drawn.append(values)
    if not drawn:
        raise NoPicture("the loss is not finite from the first step on")
    ax.set(xlabel="step", ylabel="loss of the batch")
    _style.whole_numbers(ax.xaxis)
    log_if_wide(ax, np.concatenate(drawn))
    _style.legend(ax)
    caption = f"A short run: {training.length()}. A line ends where the loss becomes NaN or infinite."
    return Picture(figure, "Loss by step", caption)


def cannot_fit(finding: Finding, training: PicturedTraining) -> Picture:
    """Draw the loss by epoch of a training with a few rows alone."""
    if "rows" not in finding.evidence:
        raise NoPicture("the training does not run")
    epochs = int(evidence(finding, "epochs"))  # the check may take longer than a picture: what it ran is run again
    few, _ = on_few_rows(training)
    rows = len(few.X)
    with users_code("the training does not run"):
        values = drawable(few.fit(epochs=epochs).history.get("loss", []))
    if not np.isfinite(values).any():
        raise NoPicture("no epoch of the run has a finite loss")
    figure, (ax,) = panels()
    draw_by_epoch(ax, {f"loss of {rows} rows": values}, "loss")
    ax.set_xlabel("step (an epoch of these rows)")
    ax.set_ylim(bottom=min(0.0, float(np.nanmin(values))))
    caption = f"A net that works learns {rows} rows by heart: the loss would go to its lowest value, mostly 0."
    return Picture(figure, f"Loss by step of a training with {rows} rows", caption)


def gain(finding: Finding) -> Picture | None:
    """Draw what a change has gained, with its error, beside what guessing gives; None if it was not tried."""
    tried = finding.gain
    if tried is None or not np.isfinite([tried.before, tried.after, tried.error, tried.chance]).all():
        return None
    figure, (ax,) = panels(height=1.15 if not tried.together else 1.55)
    values = np.maximum([tried.before, tried.after], -1.0)
    ax.plot(values, [0, 0], color="#b8b8b8", linewidth=3, zorder=1, solid_capstyle="round")
    for index, name, value in ((FAULT, "before", values[0]), (MENDED, "after", values[1])):
        look = {"color": _style.style(index)["color"], "fmt": _style.style(index)["marker"], "markersize": 7}
        ax.errorbar(value, 0, xerr=tried.error if name == "after" else None, capsize=4, label=name, **look)
    ax.axvline(max(-1.0, tried.chance), **_style.GUIDE, label="guessing")
    low = min(0.0, *values, tried.chance)
    ax.set(xlim=(low - 0.05, 1.05), ylim=(-1, 1), yticks=[], xlabel=label(tried.figure))
    if any(values == -1.0):
        ticks = [-1.0, -0.5, 0.0, 0.5, 1.0]
        ax.set_xticks(ticks, [figure_text(-1.0), *(f"{each:g}" for each in ticks[1:])])
    if tried.together:
        number = NUMBERS[len(tried.together)]
        ax.set_title(
            f"{number} changes together:\n{', '.join([finding.kind, *tried.together])}", loc="left", fontsize=9
        )
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
