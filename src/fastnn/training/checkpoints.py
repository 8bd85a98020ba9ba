"""`Checkpoint`: a callback that keeps a fit in files, so that it can be resumed after the process has ended."""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn.io._content import ContentReader
from fastnn.io._replacing import sync_folder
from fastnn.io._tensors import TensorFile
from fastnn.training._arguments import as_callbacks
from fastnn.training._checkpoint_content import read_checkpoint, save_checkpoint
from fastnn.training._fit import BatchFit, Position
from fastnn.training._fit_call import Data, run_fit
from fastnn.training._state_values import number, same_keys
from fastnn.training.callbacks import _Monitor
from fastnn.training.state import TrainerState

__all__ = ["Checkpoint"]

_NAME = re.compile(r"checkpoint-(\d{6,12})\.safetensors")
_TEMPORARY = re.compile(r"\.(checkpoint-\d{6,12}|best)\..*\.tmp")  # while a file is written
BEST = "best.safetensors"


class Checkpoint(_Monitor):
    """Writes the whole state of a fit into files, from which `Trainer.resume` goes on.

    A checkpoint has the trainer with its net, and the fit: its arguments, its position, the history, and the states of
    callbacks. A fit that is resumed gives the bits of one that was never interrupted. Each file is written under
    another name, is on the disk before it gets its own, and has a checksum: a file is whole or it is not there, also
    if the process or the system ends at any moment.

    The first checkpoint is written when a fit begins, before the first step, and the last one after its last epoch.

    Parameters
    ----------
    path : path-like
        The folder of this training alone; it is made if it does not exist. The files are ``checkpoint-000001``,
        ``checkpoint-000002``, ... ``.safetensors``, and ``best.safetensors``.
    every : int, optional
        Number of epochs between two checkpoints. The default is 1, or none if `minutes` is given.
    minutes : float, optional
        Above 0. A checkpoint is also written after the next step once so many minutes have passed since the last one.
    keep : int, default 2
        Number of checkpoints that are kept, besides the best one; older ones are removed.
    monitor : str, default "val_loss"
        A key of the history. The checkpoint of the epoch with the best figure is ``best.safetensors``. Without
        validation data, the default keeps no best one.
    mode : {"auto", "min", "max"}, default "auto"
        Whether lower or higher is better, as for `EarlyStopping`.

    Attributes
    ----------
    best : float
        The best figure so far; NaN before there is one.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong type or out of range. From `Trainer.fit`, before anything is trained: if the folder
        has checkpoints of another training; if the fit has another `Checkpoint`, too; if the optimiser is `LBFGS` or
        `Newton`, whose state SciPy keeps; or if a setting of the trainer or the fit is a function without a name, or an
        object of a class of yours.
    OSError
        From `Trainer.fit`, if a file cannot be written. The files before it are as they were.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> X, y = np.eye(4), np.arange(4)
    >>> folder = tempfile.TemporaryDirectory()
    >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=0))
    >>> class Crash(fastnn.Callback):
    ...     def on_epoch_end(self, trainer, logs):
    ...         if trainer.epoch == 3:
    ...             raise RuntimeError("the power fails")
    >>> trainer.fit(X, y, epochs=5, callbacks=[fastnn.Checkpoint(folder.name), Crash()], verbose=0)
    Traceback (most recent call last):
    RuntimeError: the power fails
    >>> class Crash(fastnn.Callback):
    ...     pass
    >>> resumed = fastnn.Trainer.resume(folder.name, X, y, callbacks=[Crash()], verbose=0)
    >>> resumed.epoch
    5
    >>> folder.cleanup()
    """

    observes: int | str = "epoch"  # it copies what it writes under the net's lock
    _runs_last = True
    _kept_as: ClassVar[Mapping[str, str]] = {"mode": "_given_mode", "every": "_given_every"}

    @with_hints
    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int | None = None,
        minutes: float | None = None,
        keep: int = 2,
        monitor: str = "val_loss",
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        if not isinstance(path, str | os.PathLike):
            v.refuse(TypeError, "path", "be a path", v.kind_of(path))
        self.path = path
        self._given_every = every
        self.minutes = None if minutes is None else v.real("minutes", minutes, 0, excluded=True)
        self.every = None if every is None else v.integer("every", every, 1)
        if every is None and minutes is None:
            self.every = 1
        self.keep = v.integer("keep", keep, 1)
        self.best = math.nan
        self._next = 1  # number of the next file
        self._written_at = 0.0

    # ---- events ----

    def _check_fit(self, trainer: Any, *, resumed: bool) -> None:
        if len([each for each in self._fit(trainer).observers.callbacks if isinstance(each, Checkpoint)]) > 1:
            v.refuse(
                ValueError, "callbacks", "have one Checkpoint at most", "several", "write one with every and minutes"
            )
        folder = Path(self.path)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            with contextlib.suppress(OSError):
                sync_folder(folder.parent)
        known = checkpoints_in(folder)
        if known and not resumed and (trainer.run_name is None or trainer.run_name != _run_of(known)):
            fix = "go on with it by fastnn.Trainer.resume(path, X, y), or choose another folder"
            v.refuse(ValueError, str(self.path), "have no checkpoints of another training", known[0].name, fix)

    def on_fit_begin(self, trainer: Any) -> None:
        """Write the first checkpoint."""
        fit = self._fit(trainer)
        self.best = math.nan
        self._clear()
        if trainer.run_name is None:
            trainer.name_run(os.urandom(8).hex())
        self._write(fit, self._position(fit))

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Go on with the files of the fit."""
        same_keys("the state of Checkpoint", state, ("best",))
        self.best = number("best", state["best"])
        self._clear()
        self._written_at = time.monotonic()

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the best figure."""
        return {"best": self.best}

    def on_progress(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Write a checkpoint if its time has come."""
        if self._is_time():
            fit = self._fit(trainer)
            position = fit.position()
            if position is not None:
                self._write(fit, position)

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Write a checkpoint if it is its turn, and the best one if there is none better."""
        fit = self._fit(trainer)
        improved = self._improves(logs)
        last = trainer.stop_requested or fit.ended == fit.arguments.epochs
        due = last or self._is_time() or (self.every is not None and fit.ended % self.every == 0)
        if not (improved or due):
            return
        position = self._position(fit)
        if improved:  # first: the next checkpoint says that this is the best one
            best = Path(self.path, BEST)
            save_checkpoint(fit, position, best)
            if due:
                self._write(fit, position, best)
        else:
            self._write(fit, position)

    # ---- files ----

    def _fit(self, trainer: Any) -> BatchFit:
        fit = trainer.running_fit
        if not isinstance(fit, BatchFit):
            fix = "write optim.Adam() to have checkpoints"
            if fit is None:
                fix = "leave it out of an estimator's callbacks, and write estimator.save(path)"
            must = "be among the callbacks of Trainer.fit with an optimiser that steps batch by batch"
            v.refuse(ValueError, "Checkpoint", must, v.shown(trainer.optimizer), fix)
        return fit

    @staticmethod
    def _position(fit: BatchFit) -> Position:
        position = fit.position()
        assert position is not None  # between two epochs there always is one
        return position

    def _is_time(self) -> bool:
        return self.minutes is not None and time.monotonic() - self._written_at >= 60 * self.minutes

    def _improves(self, logs: Mapping[str, float]) -> bool:
        if self.monitor == "val_loss" and self.monitor not in logs:
            return False
        value = self.figure(logs)
        if math.isnan(value) or self.sign * value >= self.sign * self.best:
            return False
        self.best = value
        return True

    def _write(self, fit: BatchFit, position: Position, same: Path | None = None) -> None:
        """Write the next checkpoint, of which there may be a file already, and remove those that are too old."""
        folder = Path(self.path)
        known = checkpoints_in(folder)
        self._next = max([self._next, *(1 + _number(each) for each in known)])
        path = folder / f"checkpoint-{self._next:06d}.safetensors"
        linked = False
        if same is not None:
            with contextlib.suppress(OSError):  # of file systems that have no links
                os.link(same, path)
                linked = True
                sync_folder(folder)
        if not linked:
            save_checkpoint(fit, position, path)
        self._next += 1
        self._written_at = time.monotonic()
        for old in known[self.keep - 1 :]:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                old.unlink()

    def _clear(self) -> None:
        """Remove what a process that ended while it wrote has left."""
        for each in Path(self.path).iterdir():
            if _TEMPORARY.fullmatch(each.name):
                with contextlib.suppress(FileNotFoundError):
                    each.unlink()


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder besides the best one, the newest first."""
    return sorted((each for each in folder.iterdir() if _NAME.fullmatch(each.name)), key=_number, reverse=True)


def _run_of(paths: Iterable[Path]) -> Any:
    """Return the name of the run that the first file that is whole belongs to."""
    for path in paths:
        with contextlib.suppress(ValueError), TensorFile(path) as file:
            return ContentReader(file, {}).content.get("run")
    return None


def _first_whole(paths: Sequence[Path]) -> int:
    """Return the index of the first file that is whole, with a warning of those before it; 0 if none is."""
    for index, path in enumerate(paths):
        try:
            with TensorFile(path) as file:
                ContentReader(file, {})
        except ValueError as error:
            if index + 1 < len(paths):
                v.warn(f"{error}; the checkpoint before it is tried, {paths[index + 1].name}")
        else:
            return index
    return 0


def resume(
    kind: type[TrainerState],
    path: str | os.PathLike[str],
    data: Data,
    callbacks: Iterable[Any],
    verbose: int | None,
    functions: Mapping[str, Callable[..., Any]],
) -> TrainerState:
    """Finish the fit of a checkpoint; see `Trainer.resume`."""
    if not isinstance(path, str | os.PathLike):
        v.refuse(TypeError, "path", "be a path", v.kind_of(path))
    given = as_callbacks(callbacks)
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    paths = checkpoints_in(folder) if Path(path).is_dir() else [Path(path)]
    if not paths:
        v.refuse(ValueError, "path", "be a checkpoint, or a folder with some", f"the folder {str(path)!r} without any")

    def own(settings: Mapping[str, Any]) -> Checkpoint:
        same_keys("the settings of Checkpoint", settings, ("every", "minutes", "keep", "monitor", "mode"))
        return Checkpoint(folder, **settings)

    if len(paths) > 1:
        paths = paths[_first_whole(paths) :]
    trainer, arguments, position, everything = read_checkpoint(kind, paths[0], given, functions, own)
    run_fit(trainer, arguments, data, everything, verbose, position)
    return trainer
