"""The progress bar of fits; lines where tqdm is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from fastnn import _validation as v
from fastnn.training.callbacks import Callback
from fastnn.training.history import shown_figures

LONG_EPOCH = 1.0  # seconds after which an epoch has a bar of its own
REFRESH_SECONDS = 0.1  # least time between two changes of a bar: writing one takes as long as a short epoch
LINE_SECONDS = 1.0  # least time between two lines


class ProgressBar(Callback):
    """Shows the progress of a fit: one bar over its epochs, or lines if tqdm is not installed.

    The bar has the figures of the last epoch. Epochs that take longer than a second have a second bar, of their
    batches. Bars change at most ten times a second. There is at most one line a second, and one for the last epoch.

    Parameters
    ----------
    epochs : int
        Number of epochs of each fit.
    ended : int
        Epochs that ended before, if the fit is resumed.
    """

    observes: int | str = "epoch"  # on_progress does not read the net
    _kept_as: ClassVar[Mapping[str, str]] = {"epochs": "_epochs", "ended": "_ended"}

    def __init__(self, epochs: int, ended: int = 0) -> None:
        self._epochs, self._ended = epochs, ended
        self._bar: Any = None  # of the epochs
        self._batch_bar: Any = None  # of the batches of a long epoch
        self._begin_fit()

    def _begin_fit(self) -> None:
        """Forget the fit before: one object may be used in several fits."""
        self._done = self._ended  # epochs
        self._figures: Mapping[str, float] = {}  # of the last epoch
        self._is_shown = True  # whether the last epoch's figures are
        self._shown_at = self._epoch_start = time.perf_counter()

    def on_fit_begin(self, trainer: Any) -> None:
        """Open the bar of the epochs."""
        self._begin_fit()
        if has_tqdm() and sys.stderr is not None:
            self._bar = self._new_bar(total=self._epochs, initial=self._done, unit="epoch", desc="epochs", leave=True)

    def on_epoch_begin(self, trainer: Any) -> None:
        """Start the clock of the epoch."""
        self._epoch_start = time.perf_counter()

    def on_progress(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Advance the bar of the batches, if the epochs are long."""
        if self._bar is None:
            return
        now, done = time.perf_counter(), int(logs["batch"])
        title = f"epoch {self._done + 1}/{self._epochs}"
        if self._batch_bar is None:
            if now - self._epoch_start < LONG_EPOCH:
                return
            total = int(logs["batches"])
            self._batch_bar = self._new_bar(total=total, initial=done, unit="batch", desc=title, leave=False)
        elif now - self._shown_at < REFRESH_SECONDS:
            return
        self._shown_at = now
        self._batch_bar.set_description_str(title, refresh=False)
        self._batch_bar.set_postfix_str(f"loss={logs['loss']:.4g}", refresh=False)
        self._batch_bar.update(done - self._batch_bar.n)

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Count the epoch, and show its figures if the last ones have been shown for some time."""
        self._done, self._figures, self._is_shown = self._done + 1, logs, False
        now = time.perf_counter()
        if self._batch_bar is not None:
            self._batch_bar.initial = 0  # where its rate begins
            self._batch_bar.reset()
        elif now - self._shown_at < (LINE_SECONDS if self._bar is None else REFRESH_SECONDS):
            return
        self._shown_at = now
        self._show()

    def on_fit_end(self, trainer: Any) -> None:
        """Show the last epoch, and close the bars; also if the fit ends within an epoch."""
        if not self._is_shown:
            self._show()
        for bar in (self._batch_bar, self._bar):
            if bar is not None:
                bar.close()
        self._bar = self._batch_bar = None

    def _show(self) -> None:
        """Show how many epochs are done, and the figures of the last one."""
        figures = [f"{key}={value:.4g}" for key, value in shown_figures(self._figures).items()]
        self._is_shown = True
        if self._bar is None:
            seconds = f"seconds={self._figures['seconds']:.3g}"
            print(f"epoch {self._done}/{self._epochs}:", *figures, seconds, flush=True)
        else:
            self._bar.set_postfix_str(", ".join(figures), refresh=False)
            self._bar.update(self._done - self._bar.n)

    def _new_bar(self, **settings: Any) -> Any:
        """Return a bar that writes whenever it is updated: this class says when that is."""
        tqdm = importlib.import_module("tqdm.auto").tqdm
        return tqdm(dynamic_ncols=True, mininterval=0, miniters=1, **settings)


def has_tqdm() -> bool:
    """Whether tqdm is installed."""
    return importlib.util.find_spec("tqdm") is not None


def on_terminal() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def progress_bars(verbose: int | None, epochs: int, ended: int = 0) -> list[ProgressBar]:
    """Return the bar that the argument `verbose` of a fit asks for, in a list; None asks for one on a terminal."""
    if verbose is None:
        verbose = int(has_tqdm() and on_terminal())
    wanted = v.integer("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0)
    return [ProgressBar(epochs, ended)] if wanted else []
