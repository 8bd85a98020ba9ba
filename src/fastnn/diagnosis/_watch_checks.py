"""What `Watch` sees in a training while it runs: the findings that need no trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn.diagnosis._findings import KINDS, Finding
from fastnn.diagnosis._limits import (
    DEAD,
    LARGE_INPUT,
    LARGE_UPDATE,
    SATURATED,
    SMALL_INPUT,
    SMALL_UPDATE,
    SURELY_EXPLODED,
    SURELY_VANISHED,
)
from fastnn.diagnosis._observations import LayerFigures, Observation
from fastnn.engine import INPUT

RECENT = 4  # records: the last ones, if the last epoch has fewer
GROWN = 1.2  # how many times its least value the validation loss may be
LATE = 3  # epochs since that least value
FLAT = 0.02  # a loss that has fallen by less than this share


@dataclass(frozen=True)
class Watched:
    """What has been seen of a training so far.

    Attributes
    ----------
    records : sequence of Observation
        Those of the last fit, at least one.
    epochs : sequence of mapping
        The figures of each epoch of all fits, as the history has them.
    """

    records: Sequence[Observation]
    epochs: Sequence[Mapping[str, float]]

    @property
    def last(self) -> Observation:
        """The last observed step."""
        return self.records[-1]

    @property
    def hidden(self) -> dict[str, LayerFigures]:
        """The figures of all layers in that step but of the input and the net's last layer."""
        layers = {name: each for name, each in self.last._all_layers.items() if name != INPUT}
        return dict(list(layers.items())[:-1])

    @property
    def gradients(self) -> dict[str, float]:
        """The sizes of the gradients by the outputs of dense layers in that step, where they are known."""
        dense = [m.name for m in self.last._measured if m.op == "dense"]
        sizes = {name: self.last._all_layers[name].gradient for name in dense}
        return {name: each for name, each in sizes.items() if math.isfinite(each)}

    @property
    def updates(self) -> list[float]:
        """The sizes of the fit's updates over those of the weights, without the first one, where they are known."""
        return [each._update for each in self.records[1:] if not math.isnan(each._update)]

    @property
    def recent_updates(self) -> list[float]:
        """Those of the last epoch with an observed step, or the last few if these are more."""
        of_epoch = sum(each.epoch == self.last.epoch for each in self.records)
        return self.updates[-max(RECENT, of_epoch) :]

    @property
    def falls(self) -> bool:
        """Whether the loss falls in the epochs of the fit."""
        losses = [each["loss"] for each in self.epochs[self.records[0].epoch - 1 :] if "loss" in each]
        return len(losses) > 1 and losses[0] > 0 and losses[-1] < (1.0 - FLAT) * losses[0]


def nonfinite(watched: Watched) -> Iterator[Finding]:
    """Find NaN and infinity."""
    last = watched.last
    where = next((name for name, each in last._all_layers.items() if each.nonfinite), "")
    if not (last.failed or where):
        return
    evidence: dict[str, Any] = {"epoch": last.epoch, "step": last.step}
    why = f"In epoch {last.epoch}, step {last.step}, there is NaN or infinity, "
    if where:
        why += "first in the input" if where == INPUT else f"first in the output of layer {where}"
        evidence["layer"] = where
    else:
        why += "in no layer's output: in the loss or the weights"
    if last.row >= 0:
        why += f", in row {last.row} of the data"
        evidence["row"] = last.row
    change = "trainer.lr = trainer.lr / 10  # or Trainer(net, clip_norm=1.0), or scale X"
    yield Finding("nonfinite", "error", why + ".", change, evidence)


def input_scale(watched: Watched) -> Iterator[Finding]:
    """Find an input that is large or tiny."""
    found = watched.last._all_layers.get(INPUT)
    if found is None or not math.isfinite(found.rms) or SMALL_INPUT <= found.rms <= LARGE_INPUT:
        return
    why = f"The input has a root mean square of {found.rms:.3g}; initial weights and steps are meant for about 1."
    evidence = {"root mean square": found.rms, "mean": found.mean}
    yield Finding("input-scale", "warning", why, "net.scaler = fastnn.data.Scaler.fit(X)", evidence)


def dead_units(watched: Watched) -> Iterator[Finding]:
    """Find layers with units that are 0 for all rows of a batch."""
    dead = {name: each.dead for name, each in watched.hidden.items() if each.dead >= DEAD}
    if dead:
        name = _largest(dead)
        why = f"{100 * dead[name]:.0f} % of the units of layer {name} are 0 in every row of the batch: "
        why += "their gradient is 0, too, and they may never come back."
        change = "nn.LeakyReLU(0.1)  # in place of nn.ReLU(); or a lower learning rate"
        yield Finding("dead-units", "warning", why, change, {"dead by layer": dead})


def _largest(shares: Mapping[str, float]) -> str:
    """Return the layer with the largest share."""
    return max(shares, key=lambda name: shares[name])


def saturation(watched: Watched) -> Iterator[Finding]:
    """Find activations that are flat for most entries."""
    flat = {name: each.saturated for name, each in watched.hidden.items() if each.saturated >= SATURATED}
    if flat:
        name = _largest(flat)
        why = f"{100 * flat[name]:.0f} % of the entries of layer {name} are where its activation is flat: "
        why += "the gradient there is nearly 0."
        change = "net.scaler = fastnn.data.Scaler.fit(X)  # and a lower learning rate; or nn.ReLU() in its place"
        yield Finding("saturation", "warning", why, change, {"saturated by layer": flat})


def gradients(watched: Watched) -> Iterator[Finding]:
    """Find gradients that become smaller or larger from layer to layer."""
    sizes = watched.gradients
    if len(sizes) < 3:
        return
    first, *_, last = sizes.values()
    if last == 0:
        return
    ratio = first / last
    evidence = {"gradient by layer": sizes, "first over last": ratio}
    if ratio < SURELY_VANISHED:
        why = f"The gradient of the first layer is {ratio:.2g} times that of the last one: the first layers "
        why += "learn very slowly."
        change = "nn.ReLU()  # in place of the hidden activations; or nn.BatchNorm(width) after each hidden nn.Dense"
        yield Finding("vanishing-gradient", "warning", why, change, evidence)
    elif ratio > SURELY_EXPLODED:
        why = f"The gradient of the first layer is {ratio:.3g} times that of the last one."
        change = "nn.Dense(...)  # without init: the default keeps the variance; and Trainer(net, clip_norm=1.0)"
        yield Finding("exploding-gradient", "warning", why, change, evidence)


def updates(watched: Watched) -> Iterator[Finding]:
    """Find steps that are very small or very large for the weights.

    Too small: all steps of the fit are small, and its loss does not fall. (Not the last ones alone, as a schedule may
    end at 0.) Too large: two of the recent steps are large. (Not all of them: a large rate multiplies the weights in
    the first steps with Adam, and then each step changes less of them. A fit may get over that, so old ones do not
    count.) The first step of a fit never counts.
    """
    sizes, recent = watched.updates, sorted(watched.recent_updates)
    if len(recent) < 2:
        return
    usual = "of their size; about 0.001 is usual."
    if max(sizes) < SMALL_UPDATE and not watched.falls:
        why = f"The steps change the weights by at most {max(sizes):.2g} {usual}"
        yield Finding("learning-rate-low", "warning", why, "trainer.lr = trainer.lr * 10", _of_updates(sizes))
    elif recent[-2] > LARGE_UPDATE:
        why = f"Steps change the weights by up to {recent[-1]:.2g} {usual}"
        evidence = _of_updates(watched.recent_updates)
        yield Finding("learning-rate-high", "warning", why, "trainer.lr = trainer.lr / 10", evidence)


def _of_updates(sizes: Sequence[float]) -> dict[str, Any]:
    figures = {"smallest": min(sizes), "largest": max(sizes), "last": sizes[-1]}
    return {"update over weights": figures, "observed steps": len(sizes)}


def overfitting(watched: Watched) -> Iterator[Finding]:
    """Find a validation loss that grows while the training loss falls."""
    losses = [each.get("val_loss", math.nan) for each in watched.epochs]
    if len(losses) <= LATE or any(math.isnan(each) for each in losses):
        return
    best = min(range(len(losses)), key=lambda i: losses[i])
    fell = watched.epochs[-1]["loss"] < watched.epochs[best]["loss"]
    if len(losses) - 1 - best >= LATE and losses[-1] > GROWN * losses[best] and fell:
        why = f"The validation loss was {losses[best]:.3g} after epoch {best + 1} and is {losses[-1]:.3g} now, "
        why += "while the training loss falls."
        change = "callbacks=[fastnn.EarlyStopping()]  # or Trainer(net, penalty=optim.Penalty(l2=0.01))"
        evidence = {"epoch of the least": best + 1, "least": losses[best], "now": losses[-1]}
        yield Finding("overfitting", "warning", why, change, evidence)


CHECKS: tuple[Callable[[Watched], Iterator[Finding]], ...] = (
    nonfinite, input_scale, dead_units, saturation, gradients, updates, overfitting,
)  # fmt: skip


def findings(records: Sequence[Observation], epochs: Sequence[Mapping[str, float]]) -> tuple[Finding, ...]:
    """Return what the records and the figures of the epochs show, errors and causes first."""
    if not records:
        return ()
    watched = Watched(records, epochs)
    found = [each for check in CHECKS for each in check(watched)]
    places = list(KINDS)
    return tuple(sorted(found, key=lambda each: (each.severity != "error", places.index(each.kind))))
