"""`Checkpoint`: a callback that keeps a fit in files, so that it can be resumed after the process has ended."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastnn import _records
from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn.io._content import ContentReader
from fastnn.io._replacing import remove_abandoned, sync_folder
from fastnn.io._tensors import TensorFile
from fastnn.training._arguments import as_callbacks
from fastnn.training._checkpoint_content import check_can_be_kept, read_checkpoint, save_checkpoint
from fastnn.training._fit import BatchFit
from fastnn.training._fit_call import Data, run_fit
from fastnn.training._position import FitSnapshot
from fastnn.training._state_values import number, same_keys
from fastnn.training.callbacks import Callback, _Monitor
from fastnn.training.state import TrainerState

__all__ = ["Checkpoint"]

_NAME = re.compile(r"checkpoint-(\d{6,12})\.safetensors")
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
    >>> class PowerFailure(fastnn.Callback):
    ...     epochs = 0
    ...
    ...     def on_epoch_end(self, trainer, logs):
    ...         self.epochs += 1
    ...         if self.epochs == 3:
    ...             raise RuntimeError("the power fails")
    >>> trainer.fit(X, y, epochs=4, callbacks=[fastnn.Checkpoint(folder.name), PowerFailure()], verbose=0)
    Traceback (most recent call last):
    RuntimeError: the power fails

    The second epoch is the last one that has been kept. So two are left, and the power does not fail again:

    >>> resumed = fastnn.Trainer.resume(folder.name, X, y, callbacks=[PowerFailure()], verbose=0)
    >>> resumed.epoch
    4
    >>> folder.cleanup()
    """

    observes: int | str = "epoch"  # it copies what it writes under the net's lock
    _runs_last = True
    _made_again = True
    # It may write at other times; but what has been the best one is known for one figure alone.
    _compared: ClassVar[tuple[str, ...] | None] = ("monitor", "mode")
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
        v.path("path", path)
        self.path = path
        self._given_every = every
        self.minutes = None if minutes is None else v.real("minutes", minutes, 0, excluded=True)
        self.every = None if every is None else v.integer("every", every, 1)
        if every is None and minutes is None:
            self.every = 1
        self.keep = v.integer("keep", keep, 1)
        self.best = math.nan
        self._unwritten: tuple[TrainerState, FitSnapshot] | None = None  # the best one, if it is not in its file yet
        self._next = 1  # number of the next file
        self._written_at = 0.0

    @staticmethod
    def exists(path: str | os.PathLike[str]) -> bool:
        """Return whether a folder has checkpoints that `Trainer.resume` can go on from.

        A script that is started again and again until it is done asks this first.

        Parameters
        ----------
        path : path-like
            It need not exist.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.Checkpoint.exists("no such folder")
        False
        """
        v.path("path", path, "a folder")
        return Path(path).is_dir() and bool(checkpoints_in(Path(path)))

    # ---- events ----

    def _check_fit(self, trainer: Any) -> None:
        if len([each for each in self._fit(trainer).observers.callbacks if isinstance(each, Checkpoint)]) > 1:
            v.refuse(
                ValueError, "callbacks", "have one Checkpoint at most", "several", "write one with every and minutes"
            )
        check_can_be_kept(self._fit(trainer))
        folder = Path(self.path)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            with contextlib.suppress(OSError):
                sync_folder(folder.parent)
        known = [*checkpoints_in(folder), *folder.glob(BEST)]
        if known and (trainer.run_name is None or trainer.run_name != _run_of(known)):
            fix = "go on with it by fastnn.Trainer.resume(path, X, y), or choose another folder"
            v.refuse(ValueError, str(self.path), "have no checkpoints of another training", known[0].name, fix)

    def on_fit_begin(self, trainer: Any) -> None:
        """Write the first checkpoint."""
        fit = self._fit(trainer)
        self.best, self._unwritten = self._best_in_file(), None
        self._clear()
        if trainer.run_name is None:
            trainer.name_run(os.urandom(8).hex())
        self._write(fit, self._snapshot(fit))

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Go on with the files of the fit."""
        same_keys("the state of Checkpoint", state, ("best",))
        self.best, self._unwritten = number("best", state["best"]), None
        self._clear()
        self._written_at = time.monotonic()

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the best figure."""
        return {"best": self.best}

    def on_progress(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Write a checkpoint if its time has come."""
        if self._is_time():
            fit = self._fit(trainer)
            snapshot = fit.snapshot()
            if snapshot is not None:
                self._write_best(fit)
                self._write(fit, snapshot)

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Write a checkpoint if it is its turn, and the best one if there is none better."""
        fit = self._fit(trainer)
        improved = self._improves(logs)
        last = trainer.stop_requested or fit.ended == fit.arguments.epochs
        due = last or self._is_time() or (self.every is not None and fit.ended % self.every == 0)
        if not (improved or due):
            return
        snapshot = self._snapshot(fit)
        if improved and due:
            self._unwritten = trainer, snapshot
        elif improved:  # in memory: to write a file takes longer than many an epoch
            kept = trainer.copy()
            kept.name_run(trainer.run_name)
            self._unwritten = kept, snapshot
        if due:
            best = self._write_best(fit)
            self._write(fit, snapshot, linked_to=best if improved else None)

    def on_fit_end(self, trainer: Any) -> None:
        """Write the best one, if an exception ends the fit before it was written."""
        fit = trainer.running_fit
        if isinstance(fit, BatchFit):
            self._write_best(fit)
        self._unwritten = None

    # ---- files ----

    def _fit(self, trainer: Any) -> BatchFit:
        fit = trainer.running_fit
        if fit is None:
            must, fix = "be among the callbacks of Trainer.fit", "leave it out, and write estimator.save(path)"
            v.refuse(ValueError, "Checkpoint", must, "a fit of an estimator", fix)
        if not isinstance(fit, BatchFit):
            must, fix = "be used with an optimiser that steps batch by batch", "write optim.Adam() to have checkpoints"
            v.refuse(ValueError, "Checkpoint", must, v.shown(trainer.optimizer), fix)
        return fit

    @staticmethod
    def _snapshot(fit: BatchFit) -> FitSnapshot:
        snapshot = fit.snapshot()
        assert snapshot is not None  # between two epochs there always is one
        return snapshot

    def _is_time(self) -> bool:
        return self.minutes is not None and time.monotonic() - self._written_at >= 60 * self.minutes

    def _improves(self, logs: Mapping[str, float]) -> bool:
        if self.monitor == "val_loss" and self.monitor not in logs:
            return False
        value = self.figure(logs)
        # Before there is a best figure it is NaN, with which the comparison is false: any number is better.
        if math.isnan(value) or self.sign * value >= self.sign * self.best:
            return False
        self.best = value
        return True

    def _best_in_file(self) -> float:
        """Return the best figure of an earlier fit of the trainer, NaN if there is none."""
        path = Path(self.path, BEST)
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError), TensorFile(path) as file:
            for each in ContentReader(file, {}).content["fit"]["callbacks"]:
                if each["class"] != v.public_name(Checkpoint):
                    continue
                settings, best = each["settings"]["entries"], each["state"]["entries"]["best"]
                if (settings["monitor"], settings["mode"]) == (self.monitor, self._given_mode):
                    return number("best", best)
        return math.nan

    def _write_best(self, fit: BatchFit) -> Path:
        """Write the best one, if it is not in its file yet, and return its path.

        This comes before each checkpoint, which says what the best figure is.
        """
        path = Path(self.path, BEST)
        if self._unwritten is not None:
            trainer, snapshot = self._unwritten
            save_checkpoint(fit, snapshot, path, trainer)
            self._unwritten = None
        return path

    def _write(self, fit: BatchFit, snapshot: FitSnapshot, linked_to: Path | None = None) -> None:
        """Write the next checkpoint, or link it to a file that is the same, and remove those that are too old."""
        folder = Path(self.path)
        known = checkpoints_in(folder)
        self._next = max([self._next, *(1 + _number(each) for each in known)])
        path = folder / f"checkpoint-{self._next:06d}.safetensors"
        linked = False
        if linked_to is not None:
            with contextlib.suppress(OSError):  # of file systems that have no links
                os.link(linked_to, path)
                linked = True
                sync_folder(folder)
        if not linked:
            save_checkpoint(fit, snapshot, path)
        self._next += 1
        self._written_at = time.monotonic()
        for old in known[self.keep - 1 :]:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                old.unlink()

    def _clear(self) -> None:
        """Remove what a process that ended while it wrote has left."""
        remove_abandoned(Path(self.path), lambda name: name.startswith(("checkpoint-", "best.")), after=0.0)


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
        with contextlib.suppress(OSError, ValueError), TensorFile(path) as file:
            return ContentReader(file, {}).content.get("run")
    return None


def _first_whole(paths: Sequence[Path]) -> int:
    """Return the index of the first file that is whole, with a warning of those before it; 0 if none is."""
    for index, path in enumerate(paths):
        try:
            with TensorFile(path) as file:
                ContentReader(file, {})
        except (OSError, ValueError) as error:
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
    v.path("path", path)
    given = as_callbacks(callbacks)
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    paths = checkpoints_in(folder) if Path(path).is_dir() else [Path(path)]
    if not paths:
        fix = "begin with trainer.fit(X, y, callbacks=[fastnn.Checkpoint(path)]); see Checkpoint.exists"
        got = f"the folder {str(path)!r} without any"
        v.refuse(ValueError, "path", "be a checkpoint, or a folder with some", got, fix)
    makers: dict[str, Callable[..., Callback]] = {v.public_name(each): each for each in _classes_made_again(Callback)}
    makers[v.public_name(Checkpoint)] = functools.partial(Checkpoint, folder)
    if len(paths) > 1:
        paths = paths[_first_whole(paths) :]
    trainer, arguments, snapshot, all_callbacks = read_checkpoint(kind, paths[0], given, functions, makers)
    position = snapshot.position
    run_fit(trainer, arguments, data, all_callbacks, verbose, snapshot)
    if position.stop_requested and position.ended < arguments.epochs:
        v.warn(
            f"the fit was stopped after {position.ended} of {arguments.epochs} epochs, so that nothing was left to do: "
            "for more epochs write trainer.fit(X, y, ...)"
        )
    return trainer


def _classes_made_again(base: type[Callback]) -> Iterator[type[Callback]]:
    """Yield fastnn's callbacks that need not be passed again."""
    for kind in base.__subclasses__():
        if _records.is_own(kind):
            if kind._made_again:
                yield kind
            yield from _classes_made_again(kind)
