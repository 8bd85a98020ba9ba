"""Callbacks that record a training: `Histograms` of its layers, and `Trace` of chosen parameters."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._names import suggestion
from fastnn._settings import PublicDir
from fastnn._typing import Array
from fastnn.diagnosis._probe import probe
from fastnn.training._state_values import same_keys
from fastnn.training.callbacks import Callback
from fastnn.training.examples import validated_examples

__all__ = ["Histogram", "HistogramRecord", "Histograms", "Trace"]


# ---- histograms ----

MOST_ROWS = 512
"""Rows that are looked at: enough for a smooth curve of a layer of a few units. More would make records slower."""

TAIL = 0.001  # of the entries, at each end, that need not be inside the edges: a few huge ones would widen all bins
LARGEST = 1e150  # larger entries count as infinite, so that differences of edges are finite
SMALLEST = 1e-290  # smaller entries count as 0: between them there is no room for edges
NARROW = 1e-9  # of the values: if they differ by no more, the edges are chosen around them
PARTS = ("output", "gradient", "weight")


@dataclass(frozen=True, eq=False)
class Histogram:
    """A histogram of the entries of an array that are not 0.

    Attributes
    ----------
    counts : ndarray of int64, shape (bins,)
        The number of entries in each bin.
    edges : ndarray of float64, shape (bins + 1,)
        The edges of the bins. Of gradients they are edges of absolute values, in geometric progression.
    zeros : int
        The number of entries that are 0, or below 1e-290 in size: with ReLU, many are. They are in no bin.
    below, above : int
        The numbers of entries below the first edge and above the last one: each at most a thousandth.
    nonfinite : int
        The number of entries that are NaN, infinite or above 1e150 in size.
    """

    counts: Array
    edges: Array
    zeros: int
    below: int
    above: int
    nonfinite: int

    @property
    def size(self) -> int:
        """The number of all entries."""
        return int(self.counts.sum()) + self.zeros + self.below + self.above + self.nonfinite

    @classmethod
    def of(cls, values: npt.ArrayLike, bins: int = 60, *, magnitudes: bool = False) -> Histogram:
        """Count entries.

        Parameters
        ----------
        values : array_like
            Of any shape.
        bins : int, default 60
            At least 2.
        magnitudes : bool, default False
            Whether to count absolute values, in bins of one ratio in place of one width.

        Returns
        -------
        Histogram

        Raises
        ------
        TypeError, ValueError
            If `values` are no numbers, or `bins` is no integer of at least 2.

        Examples
        --------
        >>> from fastnn.diagnosis import Histogram
        >>> found = Histogram.of([0.0, 1.0, 2.0, 2.0, 5.0], bins=4)
        >>> found.counts, found.zeros, found.size
        (array([1, 2, 0, 1]), 1, 5)
        """
        entries = v.numeric("values", values).astype(np.float64).reshape(-1)
        bins = v.integer("bins", bins, 2)
        sizes = np.abs(entries)
        usable = sizes <= LARGEST  # NaN is not
        kept = (sizes if magnitudes else entries)[usable & (sizes >= SMALLEST)]
        low = high = 1.0
        if len(kept):
            low, high = np.quantile(kept, TAIL, method="lower"), np.quantile(kept, 1 - TAIL, method="higher")
        if high - low <= NARROW * max(abs(low), abs(high)):  # bins must differ
            low, high = low - 0.01 * abs(low), high + 0.01 * abs(high)
        edges = (np.geomspace if magnitudes else np.linspace)(low, high, bins + 1)
        counts = np.histogram(kept, edges)[0]
        below, above = int(np.sum(kept < edges[0])), int(np.sum(kept > edges[-1]))
        nonfinite = int(np.sum(~usable))
        return cls(counts, edges, len(entries) - len(kept) - nonfinite, below, above, nonfinite)


@dataclass(frozen=True, eq=False)
class HistogramRecord(PublicDir):
    """The histograms of all layers after one epoch.

    Attributes
    ----------
    epoch : int
        After so many epochs; 0 is before the first step.
    output, gradient, weight : dict of str to Histogram
        By the paths of the layers; `weight` has those with weights alone.
    """

    epoch: int
    output: Mapping[str, Histogram]
    gradient: Mapping[str, Histogram]
    weight: Mapping[str, Histogram]

    def __repr__(self) -> str:
        return f"HistogramRecord(epoch={self.epoch}, layers={list(self.output)})"


class Histograms(Callback):
    """Records histograms of the outputs, gradients and weights of each layer, before the first epoch and after others.

    The rows are run through a copy of the net in float64, in training mode, layer by layer; the training stays as it
    is, bit for bit. `fastnn.plot.histograms` draws what is recorded.

    Parameters
    ----------
    X : array_like, shape (n, in_features)
        Some rows, as for `Trainer.fit`. Of more than 512 rows, 512 are looked at, evenly spread.
    y : array_like, shape (n,) or (n, out_features)
        Their targets, as for `Trainer.fit`.
    every : int, default 1
        Record after the epochs k, 2 k, ..., as the trainer counts them. A record of a small net takes 10 to 25 ms, as
        long as several of its epochs: choose `every` so that there are 10 to 20 records.
    bins : int, default 60
        The number of bins of each histogram. Their edges are chosen for each layer and each epoch, so that a thousandth
        of the entries at most is beyond each end.
    layers : sequence of str, optional
        The paths of the layers to record, such as ``["1", "3"]``; by default all. A container, such as a `Residual`,
        is one layer.

    Attributes
    ----------
    every, bins : int
    layers : tuple of str or None
    records : list of HistogramRecord
        In their order, of all fits since the first fit of a new trainer. A trainer that has trained fewer epochs than
        the last record is another one, whose records begin anew.
    names : dict of str to str
        The layers by their paths, as pictures name them: ``{"0": "0 (Dense)"}``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of range; from `Trainer.fit`, if the rows do not fit the net and the
        loss, or if there is no such layer.

    Notes
    -----
    A gradient is that of the mean loss of the rows by the output of a layer. Its sign says little and its size can be
    anything, so that absolute values are counted, in bins of one ratio.

    `Trainer.resume` needs it to be passed again, as checkpoints do not have its rows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> from fastnn.diagnosis import Histograms
    >>> X, y = np.eye(4), np.arange(4)
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 4), seed=0)
    >>> recorded = Histograms(X, y, every=2)
    >>> history = fastnn.Trainer(net).fit(X, y, epochs=4, callbacks=[recorded], verbose=0)
    >>> [each.epoch for each in recorded.records]
    [0, 2, 4]
    >>> first = recorded.records[0].output["1"]
    >>> first.size, first.zeros > 0  # 4 rows of 8 units
    (32, True)

    To look at a net without a training:

    >>> begun = Histograms(X, y)
    >>> begun.record(fastnn.Trainer(net))
    >>> begun.records
    [HistogramRecord(epoch=0, layers=['0', '1', '2'])]
    """

    observes: int | str = "epoch"
    _compared: ClassVar[tuple[str, ...] | None] = ("every", "bins", "layers")

    @with_hints
    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        every: int = 1,
        bins: int = 60,
        layers: Sequence[str] | None = None,
    ) -> None:
        self._rows: tuple[Any, Any] = (X, y)
        self.every, self.bins = v.integer("every", every, 1), v.integer("bins", bins, 2)
        self.layers = None if layers is None else _paths(layers)
        self.records: list[HistogramRecord] = []
        self.names: dict[str, str] = {}

    def _check_fit(self, trainer: Any) -> None:
        """Refuse rows that do not fit, and paths of no layer; keep the rows that are looked at."""
        X, y = self._rows
        names = ("X of Histograms", "y of Histograms", "sample_weight")
        examples = validated_examples(trainer.net, trainer.loss, X, y, None, finite=True, names=names)
        known = [str(index) for index in range(len(trainer.net))]
        for path in self.layers or ():
            if path not in known:
                must = f"name layers of the net, {', '.join(known)}"
                v.refuse(ValueError, "layers", must, v.shown(path), suggestion(path, known))
        rows = len(examples.x)
        some = np.linspace(0, rows - 1, min(rows, MOST_ROWS)).round().astype(np.intp)
        self._rows = examples.x[some], examples.y[some]

    def record(self, trainer: Any) -> None:
        """Record the net of a trainer as it is now; fits call this.

        Parameters
        ----------
        trainer : Trainer
            It has the net, and the loss whose gradients are recorded. None of it changes.

        Raises
        ------
        TypeError, ValueError
            If the rows do not fit the net and the loss, or if there is no such layer.
        """
        self._check_fit(trainer)
        net = trainer.net
        layers = [
            each
            for each in probe(net, trainer.loss, *self._rows).layers
            if self.layers is None or each.path in self.layers
        ]
        self.names = {each.path: each.name for each in layers}
        weights = {each.path: weights_of(net, each.path) for each in layers}
        rows = len(self._rows[0])
        self.records.append(
            HistogramRecord(
                trainer.epoch,
                {each.path: Histogram.of(each.output, self.bins) for each in layers},
                {each.path: Histogram.of(each.gradient / rows, self.bins, magnitudes=True) for each in layers},
                {path: Histogram.of(each, self.bins) for path, each in weights.items() if each.size},
            )
        )

    def on_fit_begin(self, trainer: Any) -> None:
        """Forget the records of another trainer, and record the net as it begins."""
        if trainer.epoch == 0 or (self.records and trainer.epoch < self.records[-1].epoch):
            self.records = []
        if not self.records or self.records[-1].epoch != trainer.epoch:
            self.record(trainer)

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Record the net after every `every`-th epoch."""
        recorded = self.records and self.records[-1].epoch == trainer.epoch  # if it is in the fit twice
        if trainer.epoch % self.every == 0 and not recorded:
            self.record(trainer)

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the records."""
        records = [
            {"epoch": each.epoch, **{what: _packed(getattr(each, what), self.bins) for what in PARTS}}
            for each in self.records
        ]
        return {"names": dict(self.names), "records": records}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Take over the records."""
        same_keys("the state of Histograms", state, ("names", "records"))
        names = v.instance("names", state["names"], dict, "be a dict")
        self.names = {path: v.instance(f"names[{path!r}]", each, str, "be a string") for path, each in names.items()}
        self.records = []
        for each in v.instance("records", state["records"], list, "be a list"):
            same_keys("records", each, ("epoch", *PARTS))
            parts = (_unpacked(each[what], self.bins) for what in PARTS)
            self.records.append(HistogramRecord(v.integer("epoch", each["epoch"], 0), *parts))


def _paths(layers: Sequence[str]) -> tuple[str, ...]:
    """Return paths, checked."""
    fix = 'write layers=["1"], for example'
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        v.refuse(TypeError, "layers", "be a list of strings", v.shown(layers), fix)
    return tuple(v.instance(f"layers[{i}]", each, str, "be a string", fix) for i, each in enumerate(layers))


def weights_of(net: Any, path: str) -> Array:
    """Return all weights of a layer, and of those within it, in one vector."""
    names = (name for name in net.params.layout if name.startswith(f"{path}.") and "weight" in name.rpartition(".")[2])
    return np.concatenate([np.zeros(0), *(net.params.view(name).reshape(-1) for name in names)])


_OTHERS = ("zeros", "below", "above", "nonfinite")


def _packed(histograms: Mapping[str, Histogram], bins: int) -> dict[str, Any]:
    """Return histograms as plain values and arrays."""
    found = list(histograms.values())
    return {
        "paths": list(histograms),
        "counts": np.array([each.counts for each in found], np.int64).reshape(-1, bins),
        "edges": np.array([each.edges for each in found], np.float64).reshape(-1, bins + 1),
        "others": np.array([[getattr(each, name) for name in _OTHERS] for each in found], np.int64).reshape(-1, 4),
    }


def _unpacked(part: Any, bins: int) -> dict[str, Histogram]:
    """Return the histograms of `_packed`, checked."""
    widths = {"counts": bins, "edges": bins + 1, "others": len(_OTHERS)}
    same_keys("records", part, ("paths", *widths))
    paths = v.instance("paths", part["paths"], list, "be a list")
    arrays = {name: v.numeric(name, part[name]) for name in widths}
    for name, width in widths.items():
        v.shape(name, arrays[name], (len(paths), width))
    rows = zip(paths, arrays["counts"].astype(np.int64), arrays["edges"], arrays["others"].tolist(), strict=True)
    return {
        v.instance("paths", path, str, "be a string"): Histogram(counts, edges, *map(int, others))
        for path, counts, edges, others in rows
    }


# ---- chosen parameters ----


class Trace(Callback):
    """Records chosen entries of parameters, before the first step and after every k-th one.

    `fastnn.plot.trajectories` draws them.

    Parameters
    ----------
    entries : mapping of str to sequence of (int or tuple of int)
        The indices of entries by the names of parameters, as `net.params` and the layers have them:
        ``{"2.weight": [(0, 0), (1, 0)], "2.bias": [0]}``. The weight of a `Dense` has the shape (inputs, units).
    every : int, default 1
        Record after every k-th step of an epoch and after its last one. To look at every step makes small nets a few
        times as slow.

    Attributes
    ----------
    entries : dict of str to tuple of tuple of int
    every : int
    names : tuple of str
        The entries in their order: ``("2.weight[0, 0]", "2.weight[1, 0]", "2.bias[0]")``.
    steps : ndarray of int64, shape (n,)
        The number of updates before each record; the first is 0, for a new trainer. They go on where an optimiser is
        reset.
    values : ndarray of float64, shape (n, entries)
        What the entries were, of all fits since the first fit of a new trainer. A trainer that has trained fewer epochs
        than the last record is another one, whose records begin anew. After a training that diverged, the next fit
        forgets the records of the epoch that was taken back.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of range; from `Trainer.fit`, if the net has no such entry.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> from fastnn.diagnosis import Trace
    >>> X, y = np.eye(4), np.arange(4)
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.Sigmoid(), nn.Dense(8, 4), seed=0)
    >>> trace = Trace({"2.weight": [(0, 0), (1, 0)]})
    >>> history = fastnn.Trainer(net).fit(X, y, epochs=3, batch_size=2, callbacks=[trace], verbose=0)
    >>> trace.names
    ('2.weight[0, 0]', '2.weight[1, 0]')
    >>> trace.steps
    array([0, 1, 2, 3, 4, 5, 6])
    >>> trace.values.shape
    (7, 2)
    >>> bool(trace.values[-1, 1] == net[2].weight[1, 0])
    True
    """

    _made_again = True

    @with_hints
    def __init__(self, entries: Mapping[str, Sequence[int | Sequence[int]]], every: int = 1) -> None:
        self.entries = _entries(entries)
        self.every = v.integer("every", every, 1)
        self.observes = self.every
        self._forget()

    def _forget(self) -> None:
        self._steps: list[int] = []
        self._values: list[list[float]] = []
        self._epochs: list[int] = []  # that were complete before each record
        self._earlier = 0  # updates before the optimiser was reset, of which the trainer knows no more

    @property
    def names(self) -> tuple[str, ...]:
        """The entries in their order."""
        return tuple(f"{name}[{', '.join(map(str, index))}]" for name, index in self._indices())

    @property
    def steps(self) -> Array:
        """The number of updates before each record."""
        return np.array(self._steps, np.int64)

    @property
    def values(self) -> Array:
        """What the entries were: a row for each record."""
        return np.array(self._values, np.float64).reshape(len(self._steps), len(self.names))

    def _indices(self) -> list[tuple[str, tuple[int, ...]]]:
        return [(name, index) for name, indices in self.entries.items() for index in indices]

    def _check_fit(self, trainer: Any) -> None:
        """Refuse entries that the net does not have."""
        shapes = trainer.net.params.layout.shapes
        for name, index in self._indices():
            if name not in shapes:
                must = "name parameters of the net"
                fix = suggestion(name, shapes) or f"it has {', '.join(shapes)}"
                v.refuse(ValueError, "entries", must, v.shown(name), fix)
            shape = shapes[name]
            if len(index) != len(shape) or any(i >= n for i, n in zip(index, shape, strict=True)):
                v.refuse(ValueError, f"entries[{name!r}]", f"fit the shape {shape}", v.shown(index))

    def _record(self, trainer: Any) -> None:
        step = self._earlier + trainer.step_count
        if not self._steps or self._steps[-1] != step:  # with `accumulate`, some batches make no update
            views = {name: trainer.net.params.view(name) for name in self.entries}
            self._steps.append(step)
            self._epochs.append(trainer.epoch)
            self._values.append([float(views[name][index]) for name, index in self._indices()])

    def on_fit_begin(self, trainer: Any) -> None:
        """Forget the records of another trainer, and of an epoch that was taken back; record the net as it begins."""
        if trainer.epoch == 0 or (self._epochs and trainer.epoch < self._epochs[-1]):
            self._forget()
        elif self._steps and self._earlier + trainer.step_count < self._steps[-1]:  # the optimiser has been reset
            kept = bisect.bisect_left(self._epochs, trainer.epoch)
            for records in (self._steps, self._values, self._epochs):
                del records[kept:]
            self._earlier = self._steps[-1] - trainer.step_count if kept else 0
        self._record(trainer)

    def on_batch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Record the entries."""
        self._record(trainer)

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the records."""
        epochs = np.array(self._epochs, np.int64)
        return {"steps": self.steps, "values": self.values, "epochs": epochs, "earlier": self._earlier}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Take over the records."""
        same_keys("the state of Trace", state, ("steps", "values", "epochs", "earlier"))
        steps, values, epochs = (v.numeric(name, state[name]) for name in ("steps", "values", "epochs"))
        v.shape("steps", steps, ("n",))
        v.shape("epochs", epochs, (len(steps),))
        v.shape("values", values, (len(steps), len(self.names)))
        self._earlier = v.integer("earlier", state["earlier"], 0)
        self._steps, self._values = steps.astype(np.int64).tolist(), values.astype(np.float64).tolist()
        self._epochs = epochs.astype(np.int64).tolist()


def _entries(entries: Any) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return the entries with all indices as tuples, checked."""
    fix = 'write {"2.weight": [(0, 0), (1, 0)]}, for example'
    if not isinstance(entries, Mapping):
        v.refuse(TypeError, "entries", "be a dict of lists of indices by names of parameters", v.kind_of(entries), fix)
    found = {}
    for name, indices in entries.items():
        v.instance("names in entries", name, str, "be strings", fix)
        where = f"entries[{name!r}]"
        if isinstance(indices, str) or not isinstance(indices, Sequence):
            v.refuse(TypeError, where, "be a list of indices", v.shown(indices), fix)
        if len({isinstance(each, Sequence) for each in indices}) > 1 or not indices:
            v.refuse(ValueError, where, "be a list of indices of one kind", v.shown(indices), fix)
        tuples = [each if isinstance(each, Sequence) else (each,) for each in indices]
        found[name] = tuple(tuple(v.integer(where, i, 0) for i in each) for each in tuples)
    if not found:
        v.refuse(ValueError, "entries", "name at least one parameter", "none", fix)
    for name, each in found.items():
        if len(set(each)) < len(each):
            v.refuse(ValueError, f"entries[{name!r}]", "name each entry once", v.shown(entries[name]))
    return found
