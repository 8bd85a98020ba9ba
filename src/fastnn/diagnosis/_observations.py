"""Observations: the figures of a step that `Watch` has observed."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

from fastnn._settings import PublicDir
from fastnn._typing import Array
from fastnn.engine import Measured
from fastnn.kernels import EntryStatistics

__all__ = ["LayerFigures", "Observation", "ParameterFigures"]


@dataclass(frozen=True)
class LayerFigures:
    """What the output of a layer was like in one step, over the rows of the batch and all units.

    Attributes
    ----------
    mean, std, rms : float
        The mean, the standard deviation and the root mean square; NaN if an entry is NaN or infinite.
    min, max : float
        The extremes of the entries that are not NaN.
    zeros : float
        The share of entries that are 0.
    saturated : float
        The share of entries where the activation is flat: its derivative is below 8 % of its largest value. NaN for
        layers that do not saturate. See ``saturation`` in fastnn/_activations.py for the limits.
    dead : float
        The share of units that are 0 in all rows.
    nonfinite : int
        The number of entries that are NaN or infinite.
    gradient : float
        The root mean square of the loss's gradient by the output; NaN if it was not computed: for frozen layers at the
        beginning of the net, and in a step that failed.
    """

    mean: float
    std: float
    rms: float
    min: float
    max: float
    zeros: float
    saturated: float
    dead: float
    nonfinite: int
    gradient: float


@dataclass(frozen=True)
class ParameterFigures:
    """What an array of parameters was like in one step.

    Attributes
    ----------
    norm : float
        The Euclidean norm after the update.
    gradient : float
        The root mean square of the gradient, without penalties and before it is clipped. Of an update of several
        batches it is that of their mean gradient.
    update : float
        The norm of the update over the norm of the parameter after it: about 0.001 is usual.
    nonfinite : int
        The number of entries that are NaN or infinite after the update.
    """

    norm: float
    gradient: float
    update: float
    nonfinite: int


@dataclass(frozen=True, eq=False)
class Observation(PublicDir):
    """What one step was like.

    Attributes
    ----------
    epoch, step : int
        Both counted from 1; steps are updates since the optimiser's last reset.
    failed : bool
        Whether the training diverged in this step. It has been run again, so that its figures are there.
    row : int
        Of a step that failed, the row of the data with the first NaN or infinity; otherwise -1.
    layers : dict of str to LayerFigures
        By the paths of the layers, in forward order, after the net's ``"input"``. Nets with embeddings have no
        ``"input"``.
    parameters : dict of str to ParameterFigures
        By their names, without frozen ones; empty for a step that failed.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 4), seed=0)
    >>> watch = fastnn.Watch()
    >>> history = fastnn.Trainer(net).fit(np.eye(4), np.arange(4), epochs=2, callbacks=[watch], verbose=0)
    >>> first = watch.records[0]
    >>> first
    Observation(epoch=1, step=1, failed=False, row=-1)
    >>> list(first.layers)
    ['input', '0', '1', '2']
    >>> first.layers["input"].mean, first.layers["input"].zeros
    (0.25, 0.75)
    >>> list(first.parameters)
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    epoch: int
    step: int
    failed: bool
    row: int
    _measured: tuple[Measured, ...] = field(repr=False)  # of the whole net
    _table: Array = field(repr=False)
    _shown: frozenset[str] | None = field(default=None, repr=False)  # the names in `layers` and `parameters`; None: all

    @functools.cached_property
    def layers(self) -> dict[str, LayerFigures]:
        """The figures of the layers by their paths, and those of the net's input."""
        return {name: each for name, each in self._all_layers.items() if self._shown is None or name in self._shown}

    @functools.cached_property
    def parameters(self) -> dict[str, ParameterFigures]:
        """The figures of the parameters by their names."""
        rows = self._rows()
        return {
            m.name: _parameter_figures(m, *(rows[what, m.name] for what in ("parameter", "gradient", "change")))
            for m in self._measured
            if m.what == "parameter" and not self.failed and (self._shown is None or m.name in self._shown)
        }

    @functools.cached_property
    def _all_layers(self) -> dict[str, LayerFigures]:
        """The figures of all layers, whether they are shown or not."""
        rows = self._rows()
        return {
            m.name: _layer_figures(m, rows["output", m.name], rows.get(("output_gradient", m.name)))
            for m in self._measured
            if m.what == "output"
        }

    @functools.cached_property
    def _update(self) -> float:
        """The size of the update over that of the weights: the middle one of all arrays of weights; NaN if none."""
        rms = self._table[:, EntryStatistics._fields.index("rms")].tolist()
        weights = [] if self.failed else [i for i, m in enumerate(self._measured) if m.name.endswith("weight")]
        sizes = {(self._measured[i].what, self._measured[i].name): rms[i] for i in weights}
        ratios = [_ratio(size, sizes["parameter", name]) for (what, name), size in sizes.items() if what == "change"]
        known = sorted(each for each in ratios if not math.isnan(each))
        return known[len(known) // 2] if known else math.nan

    def _rows(self) -> dict[tuple[str, str], EntryStatistics]:
        table = self._table.tolist()
        return {(m.what, m.name): EntryStatistics(*row) for m, row in zip(self._measured, table, strict=True)}


def _layer_figures(m: Measured, s: EntryStatistics, gradient: EntryStatistics | None) -> LayerFigures:
    return LayerFigures(
        mean=s.mean,
        std=s.std,
        rms=s.rms,
        min=s.min,
        max=s.max,
        zeros=s.zeros,
        saturated=s.saturated if m.saturates else math.nan,
        dead=s.dead,
        nonfinite=0 if math.isnan(s.nonfinite) else int(s.nonfinite),
        gradient=math.nan if gradient is None else gradient.rms,
    )


def _parameter_figures(
    m: Measured, s: EntryStatistics, gradient: EntryStatistics, change: EntryStatistics
) -> ParameterFigures:
    return ParameterFigures(
        norm=s.rms * math.sqrt(m.size),
        gradient=gradient.rms,
        update=_ratio(change.rms, s.rms),
        nonfinite=int(s.nonfinite),
    )


def _ratio(change: float, size: float) -> float:
    """Return change / size: 0 where nothing has changed, infinity where a parameter has become 0."""
    return 0.0 if change == 0 else change / size if size != 0 else math.inf
