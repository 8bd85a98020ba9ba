"""`Watch`: statistics from inside a native epoch, of the outputs, gradients and updates of every k-th step."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn import _validation as v
from fastnn._names import suggestion
from fastnn._typing import Array
from fastnn.diagnosis._findings import Finding
from fastnn.diagnosis._observations import Observation
from fastnn.diagnosis._watch_checks import findings as findings_of
from fastnn.engine import INPUT, Measured
from fastnn.kernels import EntryStatistics
from fastnn.nn.container_base import walk_in_sequence
from fastnn.training._observing import Interval, Observed
from fastnn.training._state_values import same_keys
from fastnn.training.callbacks import Callback

__all__ = ["Watch"]

DEFAULT_EVERY = 250
"""An observed step takes two to three times as long as another, and ends a run of native steps. Once in 250 steps, this
costs also small nets, with steps of a few microseconds, only some percent (`bench.run.watching`)."""


# ---- the history ----

_OF_LAYERS = ("mean", "std", "min", "max", "zeros", "saturated", "dead")


class _Columns(NamedTuple):
    """The figures that the history has of an observation, as positions in its table, row by row."""

    names: tuple[str, ...]
    figure: Array
    factor: Array
    divisor: Array  # the position behind the last one stands for 1


@functools.lru_cache(maxsize=8)
def _columns(measured: tuple[Measured, ...], shown: frozenset[str] | None) -> _Columns:
    """Return the figures that the history has of what is measured: of the names that are shown; None: of all."""
    fields, columns = EntryStatistics._fields, list[tuple[str, int, float, int]]()
    rows: dict[tuple[str, str], int] = {(m.what, m.name): i for i, m in enumerate(measured)}

    def at(what: str, name: str, field: str = "rms") -> int:
        return rows[what, name] * len(fields) + fields.index(field)

    def add(name: str, figure: int, factor: float = 1.0, divisor: int = len(measured) * len(fields)) -> None:
        columns.append((name, figure, factor, divisor))

    for m in measured:
        if shown is not None and m.name not in shown:
            continue
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
    tables = np.ones((len(records), records[0]._table.size + 1))
    for row, each in zip(tables, records, strict=True):
        row[:-1] = each._table.reshape(-1)
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
        Patterns of the paths of layers and of the names of parameters that the records and the history show, such as
        ``["2", "4.*"]``; by default all. A layer's parameters are shown with it. It saves no time and no memory: the
        whole net is measured and kept, as the findings need it.
    verbose : bool, default False
        Whether to print each finding when it first appears, after an epoch.

    Attributes
    ----------
    every : int
        The interval; 250 by default.
    layers : tuple of str or None
        The patterns; None if all is shown.
    verbose : bool
    records : list of Observation
        The observed steps, in their order, of all fits since the first fit of a new trainer. If a training diverges,
        the step in which it does is the last one.
    findings : tuple of Finding
        What the records of the last fit and the figures of the epochs show, whatever `layers` is: `nonfinite`,
        `input-scale`, `dead-units`, `saturation`, `vanishing-gradient`, `exploding-gradient`, `learning-rate-high`,
        `learning-rate-low`, `overfitting`. Their changes have not been tried: `fastnn.diagnose` tries them.

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
        self._fit_start = self._epoch_start = 0  # the number of records when the fit, and the epoch, began

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
        self._fit_start = self._epoch_start = len(self.records)
        self._epochs = trainer.history.epochs

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
        return findings_of(self.records[self._fit_start :], self._epochs)

    def _on_observation(self, trainer: Any, observed: Observed) -> None:
        """Record a step."""
        self.records.append(
            Observation(
                observed.epoch,
                observed.step,
                observed.failed,
                observed.row,
                observed.measured,
                observed.table,
                _shown(observed.measured, self.layers),
            )
        )

    def _epoch_figures(self) -> dict[str, float]:
        """Return the means over the epoch's records."""
        total: dict[str, float] = {}
        count: dict[str, int] = {}
        for measured, run in itertools.groupby(self.records[self._epoch_start :], _measured_of):
            columns, records = _columns(measured, _shown(measured, self.layers)), list(run)
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
            tables = np.stack([each._table for each in records])
            runs.append({"measured": [list(m) for m in measured], "facts": facts, "tables": tables})
        return {"fit_start": self._fit_start, "epoch_start": self._epoch_start, "runs": runs}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Take over the records."""
        same_keys("the state of Watch", state, ("fit_start", "epoch_start", "runs"))
        runs = v.instance("runs", state["runs"], list, "be a list")
        records = [each for run in runs for each in _records_of(run, self.layers)]
        self.records, self._epochs = records, trainer.history.epochs
        self._fit_start = v.integer("fit_start", state["fit_start"], 0, len(records))
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


def _shown(measured: tuple[Measured, ...], patterns: tuple[str, ...] | None) -> frozenset[str] | None:
    """Return the names of layers and parameters that the patterns fit; None: all."""
    return None if patterns is None else _fitting(measured, patterns)


@functools.lru_cache(maxsize=8)
def _fitting(measured: tuple[Measured, ...], patterns: tuple[str, ...]) -> frozenset[str]:
    return frozenset(m.name for m in measured if any(_fits(m.name, each) for each in patterns))


_measured_of = operator.attrgetter("_measured")
_WHATS = ("output", "output_gradient", "parameter", "gradient", "change")


def _records_of(run: Any, patterns: tuple[str, ...] | None) -> list[Observation]:
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
                _shown(measured, patterns),
            )
        )
    return records


def _measured(plain: Any) -> Measured:
    what, name, buffer, saturates, size, op = plain
    return Measured(
        v.choice("what", what, _WHATS),  # type: ignore[arg-type]
        v.instance("name", name, str, "be a string"),
        v.instance("buffer", buffer, str, "be a string"),
        v.boolean("saturates", saturates),
        v.integer("size", size, 0),
        v.instance("op", op, str, "be a string"),
    )
