"""The part of `Trainer` that writes and reads files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Self, cast

import numpy.typing as npt

from fastnn import _records
from fastnn import _validation as v
from fastnn.training import checkpoints
from fastnn.training._arguments import ValidationData
from fastnn.training._fit_call import Data
from fastnn.training._trainer_content import load_trainer, save_trainer
from fastnn.training.callbacks import Callback
from fastnn.training.state import TrainerState


class TrainerFiles(TrainerState):
    """The part of `Trainer` that writes and reads files."""

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        validation_data: ValidationData | None = None,
        callbacks: Iterable[Callback] = (),
        *,
        sample_weight: npt.ArrayLike | None = None,
        verbose: int | None = None,
        **functions: Callable[..., Any],
    ) -> Self:
        """Finish a fit that ended before its time, from a file that a `Checkpoint` has written.

        The trainer, its net and its history are then, bit for bit, those of the fit that was not interrupted, except
        for the history's ``seconds``.

        Parameters
        ----------
        path : path-like
            A checkpoint, or the folder of the `Checkpoint`: then it is the newest one. If that is damaged, the one
            before it is taken, with a warning.
        X, y, validation_data, sample_weight
            The data of the fit: their shapes, dtypes and values are compared with those that the fit had.
        callbacks : iterable of Callback
            Those of the fit that are of classes of yours, and `CSVLog`; they are found by their classes. `Checkpoint`,
            `EarlyStopping`, `ReduceLROnPlateau` and `TimeLimit` come back by themselves; given here, to have the
            objects, they must have the settings that they had; a `Checkpoint` may have another folder and other times.
            Further callbacks run after those of the fit.
        verbose : int, optional
            As for `fit`.
        **functions
            Your functions that the fit used, by their names: those of custom losses, layers and metrics, of the
            schedule, and in `augment`.

        Returns
        -------
        Trainer
            A new one, with a new net, after the end of the fit.

        Raises
        ------
        TypeError, ValueError
            If the file is no checkpoint or is damaged, the data are others, a callback or a function is missing, or the
            method is called on a class of yours.
        OSError
            If the file cannot be read.

        Notes
        -----
        All other arguments of the fit come from the file. A checkpoint of a fit that had ended gives the trainer of its
        end.

        Examples
        --------
        The last epoch is lost, as if the process had ended in it:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import fastnn
        >>> X, y = np.eye(4), np.arange(4)
        >>> trainer = fastnn.Trainer(fastnn.nn.Sequential(fastnn.nn.Dense(4, 4), seed=0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history = trainer.fit(X, y, epochs=5, callbacks=[fastnn.Checkpoint(folder)], verbose=0)
        ...     max(Path(folder).glob("checkpoint-*")).unlink()
        ...     resumed = fastnn.Trainer.resume(folder, X, y, verbose=0)
        >>> resumed.epoch, resumed.history["loss"] == history["loss"]
        (5, True)
        """
        cls._check_class("resume", "path, X, y")
        data = Data(X, y, sample_weight, validation_data)
        return cast(Self, checkpoints.resume(cls, path, data, callbacks, verbose, functions))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trainer into a file: its net, its settings, the optimiser's state and the history.

        `Trainer.load` reads it; later fits give the bits that those of this trainer would give. The file contains no
        code. Functions of yours in the settings are named, and passed again by their names.

        Parameters
        ----------
        path : path-like
            Its folder must exist. A file of this name is replaced, once the new one is complete.

        Raises
        ------
        TypeError, ValueError
            If the trainer or a part of it is of a class of yours, or a function has no name, or two functions have the
            same.
        OSError
            If the file cannot be written. A file of this name is then as before.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> X, y = np.eye(4), np.arange(4)
        >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=0))
        >>> history = trainer.fit(X, y, epochs=3, verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(Path(folder, "trainer.safetensors"))
        ...     again = fastnn.Trainer.load(Path(folder, "trainer.safetensors"))
        >>> again.fit(X, y, verbose=0)["loss"] == trainer.fit(X, y, verbose=0)["loss"]
        True
        """
        save_trainer(self, path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, allow_nonfinite: bool = False, **functions: Callable[..., Any]
    ) -> Self:
        """Return the trainer in a file that `save` or a `Checkpoint` has written.

        Parameters
        ----------
        path : path-like
        allow_nonfinite : bool, default False
            Whether parameters, running statistics, the average and the optimiser's slots may be NaN or infinite, as
            after a training that diverged.
        **functions
            Your functions in the trainer's settings and its net, by their names.

        Returns
        -------
        Trainer
            A new one, with a new net. From a checkpoint, it is as it was then; `resume` finishes its fit.

        Raises
        ------
        TypeError, ValueError
            If the file is none of a trainer or is damaged, a function is missing or not named in the file, values are
            NaN or infinite, or the method is called on a class of yours.
        OSError
            If the file cannot be read.

        Examples
        --------
        A metric of yours is passed again by its name:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastnn
        >>> def largest(y, output):
        ...     return abs(output).max()
        >>> net = fastnn.nn.Sequential(fastnn.nn.Dense(4, 4), seed=0)
        >>> trainer = fastnn.Trainer(net, optimizer="adagrad", metrics={"largest": largest})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(Path(folder, "trainer.safetensors"))
        ...     again = fastnn.Trainer.load(Path(folder, "trainer.safetensors"), largest=largest)
        >>> again.optimizer == trainer.optimizer
        True
        """
        cls._check_class("load", "path")
        allowed = v.boolean("allow_nonfinite", allow_nonfinite)
        return cast(Self, load_trainer(cls, path, functions, allowed))

    @classmethod
    def _check_class(cls, method: str, arguments: str) -> None:
        """Refuse a user's class, whose `__init__` may take other arguments than those in a file."""
        if not _records.is_own(cls):
            must = "be called on fastnn.Trainer, as files contain no classes of yours"
            v.refuse(TypeError, method, must, cls.__name__, f"write fastnn.Trainer.{method}({arguments})")
