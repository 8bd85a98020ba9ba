"""Callbacks that record and limit a fit: a CSV file of its figures, and a limit of its time."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from fastnn import _validation as v
from fastnn.training._state_values import number, same_keys
from fastnn.training.callbacks import Callback
from fastnn.training.history import FIGURES

__all__ = ["CSVLog", "TimeLimit"]


class CSVLog(Callback):
    """Writes a row of figures into a CSV file after every epoch.

    The columns are ``epoch``, counted from 1 over all fits of the trainer, and the figures of the history. They are
    fixed by the first row. A figure that a later epoch does not have is left empty; one that has no column is an error.
    Numbers have all their digits. Each row is written at once, so that other programs can follow the fit, and the file
    is closed when the fit ends, also if it ends with an exception.

    Parameters
    ----------
    path : path-like
        The file. Its folder must exist.
    append : bool, default False
        Whether rows are added to an existing file. If not, each fit begins an empty file.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    OSError
        From `Trainer.fit`, before anything is trained: if the file cannot be written.
    ValueError
        From `Trainer.fit`: with `append`, if the existing file is no such log; nothing has been trained then. At the
        end of an epoch with a figure that has no column; the row is not written. From `Trainer.resume`: if the file is
        not the log of the fit; it stays as it is.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import fastnn
    >>> X, y = np.eye(4), np.arange(4)
    >>> trainer = fastnn.Trainer(fastnn.nn.Sequential(fastnn.nn.Dense(4, 4), seed=0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "log.csv")
    ...     history = trainer.fit(X, y, epochs=3, callbacks=[fastnn.CSVLog(path)], verbose=0)
    ...     log = np.genfromtxt(path, delimiter=",", names=True)
    >>> log.dtype.names
    ('epoch', 'loss', 'lr', 'seconds')
    >>> log["loss"].tolist() == history["loss"]
    True
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        v.path("path", path)
        self.path, self.append = path, v.boolean("append", append)
        self._columns: list[str] = []
        self._file: _HashedFile | None = None

    def on_fit_begin(self, trainer: Any) -> None:
        """Open the file."""
        self._columns, end = self._existing() if self.append else ([], "")
        file = Path(self.path).open("a+b" if self.append else "w+b")  # noqa: SIM115 - until on_fit_end
        self._file = _HashedFile(file)
        self._file.read_on()
        self._file.write(end)

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return how long the file is and the SHA-256 of these bytes, once its rows are on the disk."""
        assert self._file is not None
        self._file.sync()
        return {"columns": list(self._columns), "bytes": self._file.bytes, "sha256": self._file.sha256}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Open the file again, without the rows of epochs that are trained again."""
        same_keys("the state of CSVLog", state, ("columns", "bytes", "sha256"))
        end = v.integer("bytes", state["bytes"], 0)
        columns = v.instance("columns", state["columns"], list, "be a list")
        self._columns = [v.instance("columns", each, str, "contain strings") for each in columns]
        try:
            file = Path(self.path).open("r+b")  # noqa: SIM115 - until on_fit_end
        except FileNotFoundError:
            if end > 0:
                self._refuse_other(end, "no file")
            file = Path(self.path).open("x+b")  # noqa: SIM115 - until on_fit_end
        self._file = _HashedFile(file)
        self._file.read_on(end)
        if self._file.bytes < end:
            self._refuse_other(end, f"{self._file.bytes} bytes")
        if self._file.sha256 != state["sha256"]:
            self._refuse_other(end, "others")
        if end == 0:
            self._existing()  # what is cut must be a log
        self._file.cut()

    def _refuse_other(self, end: int, got: str) -> NoReturn:
        must, fix = f"have the first {end} bytes of the log of the fit that is resumed", "put the file there again"
        v.refuse(ValueError, str(self.path), must, got, fix)

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Write the row of the epoch."""
        assert self._file is not None
        row = {"epoch": trainer.epoch} | {key: _plain(value) for key, value in logs.items()}
        writer = importlib.import_module("csv").writer(self._file, lineterminator="\n")
        if not self._columns:
            self._columns = list(row)
            writer.writerow(self._columns)
        if new := [key for key in row if key not in self._columns]:
            must = f"be among the columns of {self.path}, {', '.join(self._columns)}"
            v.refuse(ValueError, "the figures of an epoch", must, ", ".join(new), "write them to another file")
        writer.writerow([row.get(column, "") for column in self._columns])
        self._file.flush()

    def on_fit_end(self, trainer: Any) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _existing(self) -> tuple[list[str], str]:
        """Return the columns of an existing file, [] if there is none, and what its last line lacks."""
        path = Path(self.path)
        text = path.read_bytes() if path.exists() else b""
        first = text.partition(b"\n")[0].decode("utf-8", "replace")
        columns: list[str] = next(importlib.import_module("csv").reader([first]), [])
        if text and (columns[:1] != ["epoch"] or not set(FIGURES) <= set(columns)):
            must = f"have the header epoch,...,{','.join(FIGURES)},... to be appended to"
            v.refuse(ValueError, str(self.path), must, v.shown(first), "choose another path")
        return columns, "" if text.endswith(b"\n") or not text else "\n"


class _HashedFile:
    """A file that is open, of which the SHA-256 is known as far as it has been read and written.

    Attributes
    ----------
    bytes : int
        How far that is.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = importlib.import_module("hashlib").sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of the first `bytes` bytes."""
        digest: str = self._digest.hexdigest()
        return digest

    def read_on(self, end: float = math.inf) -> None:
        """Read the file up to here, or to its end if that comes first."""
        self._file.seek(self.bytes)
        while self.bytes < end and (chunk := self._file.read(int(min(end - self.bytes, 2**20)))):
            self._digest.update(chunk)
            self.bytes += len(chunk)

    def cut(self) -> None:
        """Remove what follows."""
        self._file.truncate(self.bytes)
        self._file.seek(self.bytes)

    def write(self, text: str) -> None:
        """Add a text at the end."""
        added = text.encode()
        self._file.write(added)
        self._digest.update(added)
        self.bytes += len(added)

    def flush(self) -> None:
        """Give the rows to the system, so that other programs see them."""
        self._file.flush()

    def sync(self) -> None:
        """Return once everything is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _plain(value: Any) -> Any:
    """Return a number as a Python float, whose text has all digits, and anything else as it is."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


class TimeLimit(Callback):
    """Ends a fit when it has taken a number of seconds.

    It looks about twenty times a second, so that the fit ends within a tenth of a second or one step, whichever is
    longer. The epoch that is broken off ends as with `Trainer.stop`: its figures are those of the steps that were made,
    it is evaluated on the validation data, which takes its time, and it counts as an epoch. A later fit begins with the
    next epoch, and has the whole time again.

    Parameters
    ----------
    seconds : float
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If `seconds` is no finite number above 0.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> X, y = np.eye(4), np.arange(4)
    >>> trainer = fastnn.Trainer(fastnn.nn.Sequential(fastnn.nn.Dense(4, 4), seed=0))
    >>> history = trainer.fit(X, y, epochs=10**9, callbacks=[fastnn.TimeLimit(0.05)], verbose=0)
    >>> 0 < len(history.epochs) < 10**9
    True
    """

    observes: int | str = "epoch"  # on_progress does not read the net
    _made_again = True

    def __init__(self, seconds: float) -> None:
        self.seconds = v.real("seconds", seconds, 0, excluded=True)
        self._end = 0.0

    def on_fit_begin(self, trainer: Any) -> None:
        """Start the clock."""
        self._end = time.perf_counter() + self.seconds

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        """Return the seconds that are left."""
        return {"seconds_left": self._end - time.perf_counter()}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        """Start the clock with the seconds that were left."""
        same_keys("the state of TimeLimit", state, ("seconds_left",))
        self._end = time.perf_counter() + number("seconds_left", state["seconds_left"])

    def on_progress(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Stop the fit if its time is over."""
        if time.perf_counter() >= self._end:
            trainer.stop()

    def on_epoch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        """Stop the fit if its time is over."""
        self.on_progress(trainer, logs)
