"""`Watch`: statistics from inside a native epoch, of the outputs, gradients and updates of every k-th step."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn import _validation as v
from fastnn._names import suggestion
from fastnn._typing import Array
from fastnn.diagnosis._findings import Finding
from fastnn.diagnosis._watch_checks import findings as findings_of
from fastnn.engine import INPUT, Measured
from fastnn.kernels import EntryStatistics
from fastnn.nn.container_base import walk_in_sequence
from fastnn.training._observing import Interval, Observed
from fastnn.training._state_values import same_keys
from fastnn.training.callbacks import Callback

__all__ = ["LayerFigures", "Observation", "ParameterFigures", "Watch"]

DEFAULT_EVERY = 250


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
class Observation:
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
    """

    epoch: int
    step: int
    failed: bool
    row: int
    measured: tuple[Measured, ...] = field(repr=False)
    table: Array = field(repr=False)

    @functools.cached_property
    def layers(self) -> dict[str, LayerFigures]:
        rows = self._rows()
        return {
            m.name: _layer_figures(m, rows["output", m.name], rows.get(("output_gradient", m.name)))
            for m in self.measured
            if m.what == "output"
        }

    @functools.cached_property
    def parameters(self) -> dict[str, ParameterFigures]:
        rows = self._rows()
        return {
            m.name: _parameter_figures(m, *(rows[what, m.name] for what in ("parameter", "gradient", "change")))
            for m in self.measured
            if m.what == "parameter" and not self.failed
        }

    def _rows(self) -> dict[tuple[str, str], EntryStatistics]:
        table = self.table.tolist()
        return {(m.what, m.name): EntryStatistics(*row) for m, row in zip(self.measured, table, strict=True)}


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
        nonfinite=0 if s.nonfinite != s.nonfinite else int(s.nonfinite),
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


# ---- the history ----

_OF_LAYERS = ("mean", "std", "min", "max", "zeros", "saturated", "dead")


class _Columns(NamedTuple):
    """The figures that the history has of an observation, as positions in its table, row by row."""

    names: tuple[str, ...]
    figure: Array
    factor: Array
    divisor: Array  # the position behind the last one stands for 1


@functools.lru_cache(maxsize=8)
def _columns(measured: tuple[Measured, ...]) -> _Columns:
    """Return the figures that the history has of what is measured."""
    fields, columns = EntryStatistics._fields, list[tuple[str, int, float, int]]()
    rows: dict[tuple[str, str], int] = {(m.what, m.name): i for i, m in enumerate(measured)}

    def at(what: str, name: str, field: str = "rms") -> int:
        return rows[what, name] * len(fields) + fields.index(field)

    def add(name: str, figure: int, factor: float = 1.0, divisor: int = len(measured) * len(fields)) -> None:
        columns.append((name, figure, factor, divisor))

    for m in measured:
        if m.what == "output":
            for field in _OF_LAYERS:
                if field != "saturated" or m.saturates:
                    add(f"{m.name}.{field}", at("output", m.name, field))
            if ("output_gradient", m.name) in rows:
                add(f"{m.name}.gradient", at("output_gradient", m.name))
        elif m.what == "parameter":
            add(f"{m.name}.norm", at("parameter", m.name), math.sqrt(m.size))
            add(f"{m.name}.gradient", at("gradient", m.name))
            add(f"{m.name}.update", at("change", m.name), divisor=at("parameter", m.name))
    names, *numbers = zip(*columns, strict=True) if columns else ((), (), (), ())
    figure, factor, divisor = (np.array(each) for each in numbers)
    return _Columns(names, figure.astype(np.intp), factor, divisor.astype(np.intp))


def _history_sums(columns: _Columns, records: Sequence[Observation]) -> list[float]:
    """Return the sums over some observations of what the history has means of."""
    tables = np.ones((len(records), records[0].table.size + 1))
    for row, each in zip(tables, records, strict=True):
        row[:-1] = each.table.reshape(-1)
    values, divisors = tables.take(columns.figure, axis=1), tables.take(columns.divisor, axis=1)
    values *= columns.factor
    divisors[values == 0] = 1  # where nothing has changed, of a parameter that is 0
    with np.errstate(all="ignore"):
        sums: list[float] = (values / divisors).sum(axis=0).tolist()
    return sums


class Watch(Callback):
    """Records what outputs, gradients, parameters and updates are like inside the epochs.

    Every k-th update is run by a program that describes them on its way, in native code and with the same results, bit
    for bit; all other steps run as without it. The history gets the means over the observed steps of each epoch, an
    epoch without one NaN:

    - of each layer, by its path, ``"1.mean"``, ``"1.std"``, ``"1.min"``, ``"1.max"``, ``"1.zeros"``,
      ``"1.saturated"`` (of activations that saturate), ``"1.dead"`` and ``"1.gradient"``, and those of the ``"input"``:
      see `LayerFigures`;
    - of each array of parameters, by its name, ``"0.weight.norm"``, ``"0.weight.gradient"`` and ``"0.weight.update"``:
      see `ParameterFigures`.

    The output of a layer is what the next layer reads, so that a `Dense` before an activation has figures of its own,
    those before the activation. Full-batch optimisers have no such steps: nothing is recorded.

    Parameters
    ----------
    every : int, optional
        Observe the updates k, 2 k, ..., as the trainer counts them, and the first of a fit. The default observes 1, 2,
        4, ..., 128, and from there on every 250th, which takes a few percent of the time.
    layers : sequence of str, optional
        Patterns of the paths of layers and of the names of parameters to record, such as ``["2", "4.*"]``; by default
        all. A layer's parameters are recorded with it.
    verbose : bool, default False
        Whether to print each finding when it first appears, after an epoch.

    Attributes
    ----------
    records : list of Observation
        The observed steps, in their order, of all fits since the first fit of a new trainer. If a training diverges,
        the step in which it does is the last one.
    findings : tuple of Finding
        What the last record and the figures of the epochs show: `nonfinite`, `input-scale`, `dead-units`, `saturation`,
        `vanishing-gradient`, `exploding-gradient`, `learning-rate-high`, `learning-rate-low`, `overfitting`. Their
        changes have not been tried: `fastnn.diagnose` tries them.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of range; from `Trainer.fit`, if a pattern fits nothing in the net.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> X, y = np.eye(4), np.arange(4)
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, 4), seed=0)
    >>> watch = fastnn.Watch(every=2)
    >>> history = fastnn.Trainer(net).fit(X, y, epochs=4, callbacks=[watch], verbose=0)
    >>> [(each.epoch, each.step) for each in watch.records]
    [(1, 1), (2, 2), (4, 4)]
    >>> layer = watch.records[-1].layers["1"]
    >>> layer.saturated, layer.dead
    (0.0, 0.0)
    >>> 0 < watch.records[-1].parameters["0.weight"].update < 0.01
    True
    >>> history["1.std"][3] == layer.std
    True
    """

    _made_again = True
    _kept_as: ClassVar[Mapping[str, str]] = {"every": "_given_every"}

    def __init__(self, every: int | None = None, layers: Sequence[str] | None = None, *, verbose: bool = False) -> None:
        self._given_every, self.verbose = every, v.boolean("verbose", verbose)
        self.every = DEFAULT_EVERY if every is None else v.integer("every", every, 1)
        self.layers = None if layers is None else _patterns(layers)
        self.records: list[Observation] = []
        self._epochs: Sequence[Mapping[str, float]] = ()  # the figures of the trainer's epochs
        self._told: set[str] = set()  # the kinds of findings that have been printed
        self._epoch_start = 0  # the number of records when the epoch began
        self._chosen: tuple[tuple[Measured, ...], Array, tuple[Measured, ...]] | None = None

    @property
    def _watches(self) -> Interval:  # type: ignore[override]
        return Interval(self.every, early=self._given_every is None)

    def _check_fit(self, trainer: Any) -> None:
        """Refuse patterns that fit nothing."""
        net = trainer.net
        names = [layer.path for layer, _ in walk_in_sequence(net.layers, None)] + [*net.params.layout, INPUT]
        for pattern in self.layers or ():
            if not any(_fits(name, pattern) for name in names):
                must = "fit a path of a layer or a name of a parameter"
                v.refuse(ValueError, "layers", must, v.shown(pattern), suggestion(pattern, names))

    def on_fit_begin(self, trainer: Any) -> None:
        """Forget the records before the first fit of a trainer."""
        if trainer.epoch == 0:
            self.records, self._told = [], set()
        self._epoch_start, self._chosen, self._epochs = len(self.records), None, trainer.history.epochs

    def on_epoch_begin(self, trainer: Any) -> None:
        """Note which records belong to the epoch."""
        self._epoch_start = len(self.records)

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Print new findings, if `verbose`."""
        self._tell(trainer.epoch)

    def on_fit_end(self, trainer: Any) -> None:
        """Print new findings, if `verbose`: that of a training that has diverged, for example."""
        self._tell(trainer.epoch)

    def _tell(self, epoch: int) -> None:
        for each in self.findings if self.verbose else ():
            if each.kind not in self._told:
                self._told.add(each.kind)
                print(f"epoch {epoch}: {each}")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the training shows up to now."""
        return findings_of(self.records, self._epochs)

    def _on_observation(self, trainer: Any, observed: Observed) -> None:
        """Record a step."""
        measured, table = observed.measured, observed.table
        if self.layers is not None:
            measured, table = self._choose(measured, table)
        self.records.append(Observation(observed.epoch, observed.step, observed.failed, observed.row, measured, table))

    def _choose(self, measured: tuple[Measured, ...], table: Array) -> tuple[tuple[Measured, ...], Array]:
        """Return what the patterns fit."""
        if self._chosen is None or self._chosen[0] is not measured:
            patterns = self.layers or ()
            kept = np.array([any(_fits(m.name, each) for each in patterns) for m in measured])
            self._chosen = measured, kept, tuple(m for m, keep in zip(measured, kept, strict=True) if keep)
        return self._chosen[2], table[self._chosen[1]]

    def _epoch_figures(self) -> dict[str, float]:
        """Return the means over the epoch's records."""
        total: dict[str, float] = {}
        count: dict[str, int] = {}
        for measured, run in itertools.groupby(self.records[self._epoch_start :], _measured_of):
            columns, records = _columns(measured), list(run)
            sums, n = dict(zip(columns.names, _history_sums(columns, records), strict=True)), len(records)
            total = sums | {name: figure + sums.get(name, 0.0) for name, figure in total.items()}
            count = dict.fromkeys(sums, n) | {name: k + n * (name in sums) for name, k in count.items()}
        return {name: figure / count[name] for name, figure in total.items()}

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the records."""
        runs = []
        for measured, of_run in itertools.groupby(self.records, _measured_of):
            records = list(of_run)
            facts = [[each.epoch, each.step, each.failed, each.row] for each in records]
            tables = np.stack([each.table for each in records])
            runs.append({"measured": [list(m) for m in measured], "facts": facts, "tables": tables})
        return {"epoch_start": self._epoch_start, "runs": runs}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Take over the records."""
        same_keys("the state of Watch", state, ("epoch_start", "runs"))
        records = [each for run in v.instance("runs", state["runs"], list, "be a list") for each in _records_of(run)]
        self.records, self._epochs = records, trainer.history.epochs
        self._epoch_start = v.integer("epoch_start", state["epoch_start"], 0, len(records))


def _patterns(layers: Sequence[str]) -> tuple[str, ...]:
    """Return patterns, checked."""
    fix = 'write layers=["1"], for example'
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        v.refuse(TypeError, "layers", "be a list of strings", v.shown(layers), fix)
    return tuple(v.instance(f"layers[{i}]", each, str, "be a string") for i, each in enumerate(layers))


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern fits a path, or a parameter or its layer."""
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.rpartition(".")[0], pattern)


_measured_of = operator.attrgetter("measured")
_WHATS = ("output", "output_gradient", "parameter", "gradient", "change")


def _records_of(run: Any) -> list[Observation]:
    """Return the records of a run, checked."""
    same_keys("runs", run, ("measured", "facts", "tables"))
    measured = tuple(_measured(each) for each in run["measured"])
    tables = v.numeric("tables", run["tables"])
    v.shape("tables", tables, (len(run["facts"]), len(measured), len(EntryStatistics._fields)))
    records = []
    for fact, table in zip(run["facts"], tables.astype(np.float64), strict=True):
        epoch, step, failed, row = fact
        records.append(
            Observation(
                v.integer("epoch", epoch, 1),
                v.integer("step", step, 0),
                v.boolean("failed", failed),
                v.integer("row", row, -1),
                measured,
                table,
            )
        )
    return records


def _measured(plain: Any) -> Measured:
    what, name, buffer, saturates, size = plain
    return Measured(
        v.choice("what", what, _WHATS),  # type: ignore[arg-type]
        v.instance("name", name, str, "be a string"),
        v.instance("buffer", buffer, str, "be a string"),
        v.boolean("saturates", saturates),
        v.integer("size", size, 0),
    )
