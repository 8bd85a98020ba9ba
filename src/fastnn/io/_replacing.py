"""Files that are written in whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from fastnn import _validation as v

_MOST_OF_NAME = 24  # characters of the target's name in that of the temporary file, which must not be too long
_TOKEN = 6  # random bytes in it
_TEMPORARY = re.compile(rf"\.(.{{0,{_MOST_OF_NAME}}})\.[0-9a-f]{{{2 * _TOKEN}}}\.tmp", re.DOTALL)
_ABANDONED_AFTER = 60.0  # seconds: nobody has locked the temporary file since, so its process was killed


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Return a file to write, which takes the place of `path` once it is complete and on the disk.

    Whoever opens the path finds the old file or the new one, whatever happens. A link to a file stays one. A file that
    is replaced keeps its permissions and, where the system lets it, its owner.

    Raises
    ------
    TypeError, ValueError
        If `path` is no path, or that of something else than a file.
    OSError
        If the file cannot be written; the error names `path`. The old file is as before.
    """
    text = v.path("path", path)
    before = _status_of_old(text)
    target = Path(os.path.realpath(text))
    beginning = target.name[:_MOST_OF_NAME]
    remove_abandoned(target.parent, beginning.__eq__)
    temporary = target.with_name(f".{beginning}.{os.urandom(_TOKEN).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    mode = 0o666 if before is None else stat.S_IMODE(before.st_mode) & 0o666  # never more open than the old file
    try:
        with open(temporary, "wb", opener=lambda name, _: os.open(name, flags, mode)) as file:
            _lock(file.fileno())
            if before is not None:
                _take_over(file.fileno(), before)
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.utime(temporary)  # it is not locked from here on, and must not look as if it had been left
        temporary.replace(target)  # of a closed file, as Windows wants
        sync_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):  # after `replace` there is none
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(temporary), temporary):
            error.filename = text
            if error.filename2 is not None:
                del error.filename2
        raise


def _status_of_old(path: str) -> os.stat_result | None:
    """Return the status of the file to be replaced, None if there is none; refuse what `open` would not write."""
    must = "be the path of a file"
    if path.endswith((os.sep, os.altsep or os.sep)):
        v.refuse(ValueError, "path", must, f"{v.shown(path)}, that of a folder")
    try:
        before = Path(path).stat()
    except FileNotFoundError:  # also if it is a link to nothing
        return None
    if not stat.S_ISREG(before.st_mode):
        kind = "a folder" if stat.S_ISDIR(before.st_mode) else "no file, but a device, a pipe or the like"
        v.refuse(ValueError, "path", must, f"{v.shown(path)}, which is {kind}")
    os.close(os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)))  # fails if the file is protected from writing
    return before


def _take_over(handle: int, before: os.stat_result) -> None:
    """Give a file the owner and the permissions of the one that it replaces, as far as the file system has them."""
    if hasattr(os, "fchown"):
        now = os.fstat(handle)
        with contextlib.suppress(OSError):
            if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
                os.fchown(handle, before.st_uid, before.st_gid)
    if hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):
            os.fchmod(handle, stat.S_IMODE(before.st_mode))


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # of a folder that may be written, but not read
        return
    try:
        os.fsync(handle)
    except OSError as error:
        import errno

        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such call
            raise
    finally:
        os.close(handle)


# ---- temporary files of processes that were killed ----


def _lock(handle: int) -> bool:
    """Lock a temporary file for as long as its process lives; return whether that has worked."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def remove_abandoned(folder: Path, chosen: Callable[[str], bool], after: float | None = None) -> None:
    """Remove temporary files that processes have left which were killed while they wrote.

    Parameters
    ----------
    folder : Path
    chosen : function of str
        Whether files of this name are meant, of which it is given the first 24 characters.
    after : float, optional
        Age in seconds below which a temporary file stays, by default 60: one that is just being made, or moved to its
        place, has no lock. One that a process has locked stays anyway.
    """
    after = _ABANDONED_AFTER if after is None else after
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match is None or not chosen(match[1]):
                continue
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and time.time() - entry.stat().st_mtime >= after:
                    _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        if _lock(handle):
            Path(path).unlink()
    finally:
        os.close(handle)
