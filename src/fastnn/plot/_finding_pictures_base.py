"""What the pictures of findings are drawn from: a training and its runs, and how values get on a panel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.diagnosis._findings import Finding
from fastnn.diagnosis._probe import Probe
from fastnn.diagnosis._setup import Run, Setup, quiet
from fastnn.diagnosis._subject import Subject
from fastnn.diagnosis._targets import Targets, as_targets
from fastnn.nn import Sequential
from fastnn.plot import _style
from fastnn.plot._pages import drawable, label, shortened

SECONDS = 1.5  # estimated, as `diagnose` estimates them, for three runs of a training: one is at most 0.5 long
MOST_BARS = 30
FILL, MARKED_EDGE = "#b8c9dc", "#5e2a0c"  # of bars; their other colours are those of lines

FAULT, MENDED = 0, 1
"""The styles of the training as it is, and of the changed one."""

AS_IS, CHANGED = "as it is", "with the change"


class NoPicture(Exception):
    """A finding has no picture; the text says why, in half a sentence."""


class PicturedTraining(Subject):
    """The training of a report: the rows, probes and runs that all its pictures share, made when one needs them."""

    @classmethod
    def of(cls, setup: Setup, seed: int = 0) -> PicturedTraining:
        """Return that of a report, which has a setup and a seed."""
        with quiet():
            targets = as_targets(setup.y, setup.loss)
            validation = setup.validation
            if validation is not None:
                X, y = validation[:2]
                validation = X, as_targets(y, setup.loss)
        return cls(setup.trainer(), setup, targets, True, has_validation=False, validation=validation, seed=seed)

    @cached_property
    def budget(self) -> float:
        """About how many seconds three runs may take."""
        return min(SECONDS, super().budget)

    @property
    def trained(self) -> Run:
        """The run of the training as it is."""
        if self.run is None:
            problem = f": {type(self.problem).__name__}" if self.problem is not None else ""
            raise NoPicture(f"the training does not run{problem}")
        return self.run

    @property
    def probed_before(self) -> Probe:
        """A batch in the net before its first step."""
        if self.probe is None or not self.probe.layers:
            raise NoPicture("no batch can be run through the net")
        return self.probe

    def changed_setup(self, finding: Finding) -> Setup | None:
        """Return the training with the change of a finding; None if fastnn cannot make it."""
        return self.changed(finding.apply) if finding.can_apply else None

    def changed_probe(self, finding: Finding) -> Probe | None:
        """Return a batch in the net with the change of a finding; None if there is none."""
        setup = self.changed_setup(finding)
        return None if setup is None else self.probed(setup)

    def changed_run(self, finding: Finding) -> Run | None:
        """Return a run with the change of a finding, about as long as that of the training as it is; None if none."""
        setup = self.changed_setup(finding)
        if setup is None:
            return None
        try:
            return self.shortened(setup, self.budget / 3.0).fit(validation=self._rows_to_watch())
        except Exception:  # noqa: BLE001 - a user's function may raise anything; then there is no such line
            return None

    def length(self) -> str:
        """Return how much of the training the runs have."""
        setup, rows = self.short, len(self.setup.X)
        text = f"{setup.epochs} epoch{'s' * (setup.epochs != 1)}"
        return f"{text} on {len(setup.X)} of {rows} rows" if len(setup.X) < rows else text

    def predicted(self, net: Sequential, X: Array) -> Array:
        """Return the outputs of a net."""
        with users_code("the net does not predict"):
            return net.predict(X).astype(np.float64)


@contextlib.contextmanager
def users_code(problem: str) -> Iterator[None]:
    """Run what may call a user's functions, which may raise anything: then there is no picture, for this reason."""
    try:
        with quiet():
            yield
    except Exception as error:
        raise NoPicture(f"{problem}: {type(error).__name__}") from error


def evidence(finding: Finding, name: str) -> Any:
    """Return a part of the evidence."""
    if name not in finding.evidence:
        raise NoPicture(f"its evidence has no {name!r}")
    return finding.evidence[name]


def numbers(values: Any) -> Array:
    """Return numbers that an axis can show, NaN in place of others; there is at least one."""
    try:
        array = drawable(values)
    except (TypeError, ValueError):
        raise NoPicture("its figures are no numbers") from None
    if not np.isfinite(array).any():
        raise NoPicture("its figures are not finite")
    return array


def by_name(values: Any) -> tuple[list[str], Array]:
    """Return the keys of a mapping of numbers, and these."""
    if not isinstance(values, Mapping) or not values:
        raise NoPicture("its evidence has no figures")
    return [shortened(str(each)) for each in values], numbers(list(values.values()))


# ---- on a panel ----


def bars(ax: Any, names: Sequence[object], values: Any, marked: Sequence[int] = ()) -> None:
    """Draw horizontal bars, the first one at the top, those marked darker and with a hatching; of many, the first."""
    values = np.nan_to_num(numbers(values)[:MOST_BARS])
    places = np.arange(len(values))
    drawn = ax.barh(places, values, color=FILL, edgecolor=_style.style(FAULT)["color"], linewidth=0.8, height=0.7)
    for i in set(marked) & set(places.tolist()):
        drawn[i].set(facecolor=_style.style(MENDED)["color"], edgecolor=MARKED_EDGE, hatch="//")
    ax.set_yticks(places, [label(name) for name in names[:MOST_BARS]])
    ax.invert_yaxis()


def values_at_bars(ax: Any, texts: Sequence[str]) -> None:
    """Write a text at the end of each bar."""
    ax.bar_label(ax.containers[0], texts, padding=3)
    ax.margins(x=0.18)


def height_of(bars: int) -> float:
    """Return the height in inches of a panel of so many bars."""
    return 0.75 + 0.26 * min(MOST_BARS, max(2, bars))


def layers_line(ax: Any, index: int, names: Sequence[str], values: Any, text: str) -> None:
    """Draw a figure by layer."""
    _style.line(ax, index, np.arange(len(names)), numbers(values), text)
    if index == 0:
        every = max(1, len(names) // 12)
        ax.set_xticks(np.arange(len(names))[::every], [label(name) for name in names[::every]])
        ax.set_xlabel("layer, from the input to the output")


BINS = 40


def histogram(ax: Any, values: Any, what: str, limits: Sequence[float] = ()) -> None:
    """Draw how often numbers occur, in percent; the bins reach from one of `limits` to the other at least."""
    some = numbers(values).reshape(-1)
    some = some[np.isfinite(some)]
    low, high = min(float(some.min()), *limits, np.inf), max(float(some.max()), *limits, -np.inf)
    edges = np.linspace(low, high, BINS + 1)
    if not np.all(np.diff(edges) > 0):  # one number, or numbers that differ by rounding
        room = max(1e-3, 0.05 * abs(low))
        edges = np.linspace(low - room, high + room, BINS + 1)
    ax.hist(some, bins=edges, weights=np.full(len(some), 100.0 / len(some)), color=_style.style(FAULT)["color"])
    ax.set_xlabel(what)
    ax.set_ylabel("share, %")


def shade(ax: Any, low: float, high: float, text: str = "") -> None:
    """Make a range of x grey; `text` says in the legend what it is."""
    ax.axvspan(low, high, color=_style.GUIDE["color"], alpha=0.25, linewidth=0, label=text or None)


def class_names(targets: Targets) -> list[str]:
    """Return the classes as text."""
    return [shortened(str(each)) for each in targets.values.tolist()]
