"""Checks of the layers before and after a training: initial values, activations, gradients from layer to layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis import _changes
from fastnn.diagnosis._findings import Suspicion
from fastnn.diagnosis._limits import DEAD, EXPLODED, SATURATED, SURELY_EXPLODED, SURELY_VANISHED, VANISHED
from fastnn.diagnosis._probe import LayerProbe, Probe, can_be_dead, flat_beyond
from fastnn.diagnosis._subject import Subject
from fastnn.nn import BatchNorm, Dense, LayerNorm, RMSNorm

TIMES = 3.0  # how much larger or smaller than the usual ones initial weights may be
TOGETHER = 10.0  # the same of the product over all hidden layers


def linear(subject: Subject) -> Iterator[Suspicion]:
    """Find dense layers without an activation between them."""
    pairs = _changes.pairs_without_activation(subject.layers)
    if not pairs:
        return
    hidden = sum(isinstance(each, Dense) for each in subject.layers) - 1
    whole = len(pairs) == hidden
    what = "the whole net is" if whole else "together they are"
    first, second = pairs[0]
    why = f"There is no activation between layers {first} and {second}"
    why += "".join(f", nor between {one} and {other}" for one, other in pairs[1:4])
    why += f": {what} one linear map, however many layers there are."
    change = "nn.Sequential(nn.Dense(...), nn.ReLU(), nn.Dense(...))  # an activation after each hidden layer"
    prior = 0.95 if whole else 0.7
    yield Suspicion("linear", prior, why, change, {"pairs of layers": pairs}, _changes.add_activations)


def symmetry(subject: Subject) -> Iterator[Suspicion]:
    """Find units that are equal before training: if what they are multiplied by is equal, too, they stay equal."""
    equal, stay = {}, False
    for layer, after in itertools.pairwise(subject.dense):
        units = layer.weight if layer.bias is None else np.vstack([layer.weight, layer.bias])
        different = len(np.unique(units.T, axis=0))
        if layer.out_features > 1 and different <= layer.out_features // 2:
            equal[layer.path] = different
            stay |= len(np.unique(after.weight, axis=0)) <= after.in_features // 2
    if not equal:
        return
    path, different = next(iter(equal.items()))
    width = next(each.out_features for each in subject.dense if each.path == path)
    why = (
        f"The {width} units of layer {path} begin with the same weights"
        if different == 1
        else (f"The {width} units of layer {path} begin as {different} different ones")
    )
    why += ": they get the same gradients, and stay equal." if stay else ", so it begins as that few."
    change = "nn.Dense(...)  # without init: the default draws weights at random"
    judged_by, prior = ("evidence", 1.0) if stay else ("trial", 0.7)
    evidence = {"different units by layer": equal}
    yield Suspicion("symmetry", prior, why, change, evidence, _changes.default_initialisers, judged_by=judged_by)


def initialisation(subject: Subject) -> Iterator[Suspicion]:
    """Find initial weights that are too large or too small, by the standard deviation that keeps the variance."""
    usual = [leaf for leaf in _changes.default_initialisers(subject.setup).net.leaves if isinstance(leaf, Dense)]
    ratios = {}
    for layer, other in zip(subject.dense, usual, strict=True):
        std = float(np.sqrt(np.mean(np.square(layer.weight, dtype=np.float64))))
        ratios[layer.path] = std / max(1e-300, float(np.sqrt(np.mean(np.square(other.weight, dtype=np.float64)))))
    hidden = dict(list(ratios.items())[:-1]) or ratios
    worst = max(hidden.values(), key=lambda each: abs(math.log(max(each, 1e-9))), default=1.0)
    together = math.exp(sum(math.log(max(each, 1e-9)) for each in hidden.values()))
    if not math.isfinite(worst) or (1 / TIMES <= worst <= TIMES and 1 / TOGETHER <= together <= TOGETHER):
        return
    size, does = ("larger", "grows") if worst > 1 else ("smaller", "shrinks")
    times = worst if worst > 1 else 1 / max(worst, 1e-9)
    why = (
        f"Initial weights are {times:.3g} times {size} than those that keep the variance: the signal {does} with every "
    )
    why += "layer."
    change = "nn.Dense(...)  # without init: the default fits the activation that follows"
    evidence = {"weights over the usual ones, by layer": ratios}
    if subject.probe is not None:
        evidence["spread of the outputs by layer"] = {each.path: each.spread for each in subject.probe.dense}
    prior = min(1.0, 0.75 + 0.2 * abs(math.log10(max(worst, 1e-9) if worst < 1 else worst)))
    yield Suspicion("initialisation", prior, why, change, evidence, _changes.default_initialisers)


def _mean_saturated(found: Probe) -> tuple[float, LayerProbe | None]:
    """Return the largest share of saturated entries of hidden layers, and the layer."""
    shares = [(each.saturated, each) for each in found.layers[:-1] if flat_beyond(each.layer) is not None]
    return max(shares, key=lambda pair: pair[0], default=(0.0, None))


def saturation(subject: Subject) -> Iterator[Suspicion]:
    """Find activations that are flat for most rows, before or after the training."""
    for when, found in (("Before", subject.probe), ("After", subject.probe_after)):
        share, layer = _mean_saturated(found) if found is not None else (0.0, None)
        if layer is None or share < SATURATED:
            continue
        why = f"{when} the training {100 * share:.0f} % of the entries of layer {layer.name} are where it is flat: "
        why += "hardly any gradient passes."
        change = "nn.ReLU()  # in place of the hidden activations; or scale the input, and nn.Dense(...) without init"
        evidence = {"saturated": share, "layer": layer.path}
        prior = 0.6 if when == "Before" else 0.45
        yield Suspicion("saturation", prior, why, change, evidence, _changes.to_relu)
        return


def dead_units(subject: Subject) -> Iterator[Suspicion]:
    """Find units that are 0 for all rows."""
    for when, found in (("Before", subject.probe), ("After", subject.probe_after)):
        layers = [] if found is None else [each for each in found.layers if can_be_dead(each.layer)]
        if not layers:
            continue
        worst = max(layers, key=lambda each: each.dead)
        if worst.dead < DEAD:
            continue
        why = f"{when} the training {100 * worst.dead:.0f} % of the units of layer {worst.name} are 0 for every row: "
        why += "their gradient is 0, too, and they may never come back."
        change = "nn.LeakyReLU(0.1)  # in place of nn.ReLU(); and bias_init=None, a lower learning rate"
        evidence = {"dead by layer": {each.path: each.dead for each in layers}}
        prior = 0.85 if when == "Before" else 0.55
        yield Suspicion("dead-units", prior, why, change, evidence, _changes.to_leaky_relu)
        return


def gradient_ratio(found: Probe) -> tuple[float, Array]:
    """Return the size of the first dense layer's gradient over that of the last, and all of them."""
    sizes = np.array([each.gradient_size for each in found.dense])
    if len(sizes) < 3 or not np.isfinite(sizes).all() or sizes[-1] == 0:
        return 1.0, sizes
    return float(sizes[0] / sizes[-1]), sizes


def _by_path(found: Probe, sizes: Array) -> dict[str, float]:
    return {each.path: float(size) for each, size in zip(found.dense, sizes, strict=True)}


def vanishing_gradient(subject: Subject) -> Iterator[Suspicion]:
    """Find gradients that become smaller from layer to layer."""
    if subject.probe is None:
        return
    ratio, sizes = gradient_ratio(subject.probe)
    if ratio >= VANISHED or not sizes.size:
        return
    why = f"The gradient of the first layer is {ratio:.2g} times that of the last one: the first layers hardly learn."
    if any(_changes.is_saturating(each) for each in subject.layers[:-1]):
        change = "nn.ReLU()  # in place of the hidden activations, whose slopes are multiplied from layer to layer"
        apply: _changes.Change = _changes.to_relu
    else:
        change = "nn.BatchNorm(width)  # after each hidden nn.Dense; or fewer layers"
        apply = _changes.add_batch_norm
    evidence = {"gradient by layer": _by_path(subject.probe, sizes), "first over last": ratio}
    prior = 0.9 if ratio < SURELY_VANISHED else 0.6
    yield Suspicion("vanishing-gradient", prior, why, change, evidence, apply)
    normalised = any(isinstance(each, BatchNorm | LayerNorm | RMSNorm) for each in subject.setup.net.leaves)
    if apply is _changes.to_relu and not normalised:
        change += "\nnn.BatchNorm(width)  # after each hidden nn.Dense"
        apply = _changes.combined(_changes.to_relu, _changes.add_batch_norm)
        yield Suspicion("vanishing-gradient", 0.95 * prior, why, change, evidence, apply)


def exploding_gradient(subject: Subject) -> Iterator[Suspicion]:
    """Find gradients that become larger from layer to layer."""
    if subject.probe is None:
        return
    ratio, sizes = gradient_ratio(subject.probe)
    if not ratio > EXPLODED:
        return
    why = (
        f"The gradient of the first layer is {ratio:.3g} times that of the last one: a step that fits one is wrong for "
    )
    why += "the other."
    change = "nn.Dense(...)  # without init: the default keeps the variance; and Trainer(net, clip_norm=1.0)"
    evidence = {"gradient by layer": _by_path(subject.probe, sizes), "first over last": ratio}
    apply = _changes.combined(_changes.default_initialisers, _changes.settings(clip_norm=1.0))
    yield Suspicion("exploding-gradient", 0.85 if ratio > SURELY_EXPLODED else 0.7, why, change, evidence, apply)


def batch_norm(subject: Subject) -> Iterator[Suspicion]:
    """Find batch norms with tiny batches, or whose running statistics do not fit the data."""
    norms = [leaf for leaf in subject.setup.net.leaves if isinstance(leaf, BatchNorm)]
    if not norms:
        return
    size = min(subject.setup.batch_size, len(subject.setup.X))
    if size < 8:
        why = f"Batch norm takes mean and variance of {size} rows at a time: they are mostly noise."
        change = "trainer.fit(X, y, batch_size=64)"
        apply = _changes.settings(batch_size=64)
        yield Suspicion("batch-norm", 0.9, why, change, {"batch_size": size}, apply)
    unusual = [each for each in norms if each.momentum is not None and not 0.01 <= each.momentum <= 0.5]
    if unusual:
        momentum = unusual[0].momentum
        why = f"The running statistics of layer {unusual[0].path} move by {momentum:g} with each batch; 0.1 is usual "
        why += "(Keras calls 0.9 what is 0.1 here)."
        change = "nn.BatchNorm(features, momentum=0.1)"
        evidence = {"momentum": momentum}
        yield Suspicion("batch-norm", 0.9, why, change, evidence, _changes.momentum_of_batch_norm)


def units(subject: Subject) -> Iterator[Suspicion]:
    """Find hidden layers so narrow that they may hold back what the others could do."""
    hidden = [each.out_features for each in subject.dense[:-1]]
    if not hidden:
        return
    narrowest = min(hidden)
    outputs = subject.setup.net.out_features
    if narrowest >= max(16, outputs):
        return
    why = f"The narrowest hidden layer has {narrowest} units, through which all must pass."
    width = max(32, 2 * outputs)
    change = f"nn.Dense(..., {width})  # or more units in the hidden layers"
    prior = 0.8 if narrowest <= 3 else 0.45
    apply = _changes.wider(4, width) if _changes.can_be_wider(subject.setup) else None
    yield Suspicion("units", prior, why, change, {"hidden units": hidden}, apply)


CHECKS = (
    linear, symmetry, initialisation, saturation, dead_units, vanishing_gradient, exploding_gradient, batch_norm, units,
)  # fmt: skip
