"""What `Watch` sees in a training while it runs: the findings that need no trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastnn.diagnosis._findings import KINDS, Finding

if TYPE_CHECKING:
    from fastnn.diagnosis.watch import LayerFigures, Observation

DEAD, SATURATED = 0.4, 0.5  # shares of units and of entries, as in `diagnose`
VANISHED, EXPLODED = 1e-3, 1e2  # the first layer's gradient over the last one's
SMALL_UPDATE, LARGE_UPDATE = 1e-5, 0.1  # of the norm of a parameter, in one step; about 1e-3 is usual
LARGE_INPUT, SMALL_INPUT = 5.0, 0.05  # root mean square of the input
GROWN = 1.2  # how many times its least value the validation loss may be
LATE = 3  # epochs since that least value
FLAT = 0.02  # a loss that has fallen by less than this share


@dataclass(frozen=True)
class Watched:
    """What has been seen of a training so far.

    Attributes
    ----------
    records : sequence of Observation
    epochs : sequence of mapping
        The figures of each epoch, as the history has them.
    """

    records: Sequence[Observation]
    epochs: Sequence[Mapping[str, float]]

    @property
    def last(self) -> Observation:
        """The last observed step."""
        return self.records[-1]

    @property
    def hidden(self) -> dict[str, LayerFigures]:
        """The figures of all layers in that step but of the input and the last layer."""
        layers = {name: each for name, each in self.last.layers.items() if name != "input"}
        return dict(list(layers.items())[:-1])


def nonfinite(watched: Watched) -> Iterator[Finding]:
    """Find NaN and infinity."""
    last = watched.last
    where = next((name for name, each in last.layers.items() if each.nonfinite), "")
    if not (last.failed or where):
        return
    why = f"In epoch {last.epoch}, step {last.step}, there is NaN or infinity, first in the output of layer "
    why += where or "?"
    why += f", in row {last.row} of the data." if last.row >= 0 else "."
    evidence = {"epoch": last.epoch, "step": last.step, "layer": where, "row": last.row}
    change = "trainer.lr = trainer.lr / 10  # or Trainer(net, clip_norm=1.0), or scale X"
    yield Finding("nonfinite", "error", why, change, evidence)


def input_scale(watched: Watched) -> Iterator[Finding]:
    """Find an input that is large or tiny."""
    found = watched.last.layers.get("input")
    if found is None or not math.isfinite(found.rms) or SMALL_INPUT <= found.rms <= LARGE_INPUT:
        return
    why = f"The input has a root mean square of {found.rms:.3g}; initial weights and steps are meant for about 1."
    evidence = {"root mean square": found.rms, "mean": found.mean}
    yield Finding("input-scale", "warning", why, "net.scaler = fastnn.data.Scaler.fit(X)", evidence)


def dead_units(watched: Watched) -> Iterator[Finding]:
    """Find layers with units that are 0 for all rows of a batch."""
    dead = {name: each.dead for name, each in watched.hidden.items() if each.dead >= DEAD}
    if dead:
        name = max(dead, key=lambda each: dead[each])
        why = (
            f"{100 * dead[name]:.0f} % of the units of layer {name} are 0 in every row of the batch: their gradient is "
        )
        why += "0, too, and they hardly come back."
        change = "nn.LeakyReLU(0.1)  # in place of nn.ReLU(); or a lower learning rate"
        yield Finding("dead-units", "warning", why, change, {"dead by layer": dead})


def saturation(watched: Watched) -> Iterator[Finding]:
    """Find activations that are flat for most entries."""
    flat = {name: each.saturated for name, each in watched.hidden.items() if each.saturated >= SATURATED}
    if flat:
        name = max(flat, key=lambda each: flat[each])
        why = f"{100 * flat[name]:.0f} % of the entries of layer {name} are where its activation is flat: hardly any "
        why += "gradient passes."
        change = "net.scaler = fastnn.data.Scaler.fit(X)  # and a lower learning rate; or nn.ReLU() in its place"
        yield Finding("saturation", "warning", why, change, {"saturated by layer": flat})


def gradients(watched: Watched) -> Iterator[Finding]:
    """Find gradients that become smaller or larger from layer to layer."""
    layers = watched.last.layers
    sizes = {name: each.gradient for name, each in layers.items() if name != "input" and math.isfinite(each.gradient)}
    first, *_, last = [*sizes.values(), 0.0, 0.0][: max(2, len(sizes))]
    if len(sizes) < 4 or last == 0:
        return
    ratio = first / last
    evidence = {"gradient by layer": sizes, "first over last": ratio}
    if ratio < VANISHED:
        why = f"The gradient of the first layer is {ratio:.2g} times that of the last: the first layers hardly learn."
        change = "nn.ReLU()  # in place of the hidden activations; or nn.BatchNorm(width) after each hidden nn.Dense"
        yield Finding("vanishing-gradient", "warning", why, change, evidence)
    elif ratio > EXPLODED:
        why = f"The gradient of the first layer is {ratio:.3g} times that of the last."
        change = "nn.Dense(...)  # without init: the default keeps the variance; and Trainer(net, clip_norm=1.0)"
        yield Finding("exploding-gradient", "warning", why, change, evidence)


def updates(watched: Watched) -> Iterator[Finding]:
    """Find steps that are very small or very large for the weights."""
    if len(watched.records) < 2:
        return
    ratios = [_of_the_weights(each) for each in watched.records[1:]]
    evidence = {"update over weights, by step": ratios}
    losses = [each["loss"] for each in watched.epochs if "loss" in each]
    falls = len(losses) > 1 and losses[0] > 0 and losses[-1] < (1.0 - FLAT) * losses[0]
    if max(ratios) < SMALL_UPDATE and not falls:
        why = f"A step changes the weights by {max(ratios):.2g} of their size; about 0.001 is usual."
        yield Finding("learning-rate-low", "warning", why, "trainer.lr = trainer.lr * 10", evidence)
    elif max(ratios) > LARGE_UPDATE:
        why = f"A step changes the weights by {max(ratios):.2g} of their size; about 0.001 is usual."
        yield Finding("learning-rate-high", "warning", why, "trainer.lr = trainer.lr / 10", evidence)


def _of_the_weights(record: Observation) -> float:
    """Return the size of the update over that of the weights: the middle one of all arrays of weights."""
    ratios = sorted(
        each.update
        for name, each in record.parameters.items()
        if name.endswith("weight") and math.isfinite(each.update)
    )
    return ratios[len(ratios) // 2] if ratios else 0.0


def overfitting(watched: Watched) -> Iterator[Finding]:
    """Find a validation loss that grows while the training loss falls."""
    losses = [each.get("val_loss", math.nan) for each in watched.epochs]
    if len(losses) <= LATE or any(math.isnan(each) for each in losses):
        return
    best = min(range(len(losses)), key=lambda i: losses[i])
    fell = watched.epochs[-1]["loss"] < watched.epochs[best]["loss"]
    if len(losses) - 1 - best >= LATE and losses[-1] > GROWN * losses[best] and fell:
        why = (
            f"The validation loss was {losses[best]:.3g} after epoch {best + 1} and is {losses[-1]:.3g} now, while the "
        )
        why += "training loss falls."
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
