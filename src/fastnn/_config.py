"""Which backend runs and on how many threads: process-wide defaults, and overrides local to a context."""

import contextlib
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from fastnn import _validation as check

__all__ = [
    "backend",
    "get_backend",
    "get_num_threads",
    "num_threads",
    "set_backend",
    "set_num_threads",
]

BACKENDS = ("native", "reference")

T = TypeVar("T")


class _Setting(Generic[T]):
    """A value with a process-wide default, found when first needed, that a context may override."""

    def __init__(self, name: str, find_default: Callable[[], T]) -> None:
        self._find_default = find_default
        self._default: T | None = None
        self._override: ContextVar[T | None] = ContextVar(name, default=None)

    def get(self) -> T:
        value = self._override.get()
        if value is not None:
            return value
        if self._default is None:
            self._default = self._find_default()
        return self._default

    def set_default(self, value: T) -> None:
        self._default = value

    def set_current(self, value: T) -> None:
        """Set whichever of the two is in force here."""
        if self._override.get() is None:
            self._default = value
        else:
            self._override.set(value)

    @contextlib.contextmanager
    def override(self, value: T) -> Iterator[None]:
        token = self._override.set(value)
        try:
            yield
        finally:
            self._override.reset(token)


def _default_backend(environ: Mapping[str, str] = os.environ) -> str:
    return check.choice("FASTNN_BACKEND", environ.get("FASTNN_BACKEND") or "native", BACKENDS)


def _default_num_threads(environ: Mapping[str, str] = os.environ) -> int:
    limits: list[float] = [_affinity(), _cgroup_quota()]
    own, openmp = environ.get("FASTNN_NUM_THREADS"), environ.get("OMP_NUM_THREADS", "")
    if own:
        limits.append(check.integer("FASTNN_NUM_THREADS", _number("FASTNN_NUM_THREADS", own), 1))
    else:
        outermost = openmp.split(",")[0].strip()  # OpenMP lists one number for each level of nesting
        if outermost.isdecimal():
            limits.append(_number("OMP_NUM_THREADS", outermost))
    return max(1, int(min(limits)))


def _number(name: str, text: str) -> Any:
    """Return the integer that a variable holds, or the text where it is none."""
    if not text.isdecimal():
        return text
    digits = len(text.lstrip("0"))
    if digits > len(str(_MOST_THREADS)) or int(text[-digits:]) > _MOST_THREADS:  # Python refuses to read thousands
        got = text if digits <= 40 else f"an integer of {digits} digits"
        check.refuse(ValueError, name, f"be an integer from 1 to {_MOST_THREADS}", got)
    return int(text[-digits:]) if digits else 0


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> float:
    """CPUs' worth of time that the process's control groups and their parents allow; infinite where nothing is said."""
    quota = math.inf
    with contextlib.suppress(OSError, ValueError):  # ValueError: lines of another form, or bytes that are no text
        for line in os.fsdecode(Path(membership).read_bytes()).splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            base = Path(root) / controllers
            for path in (PurePosixPath(group), *PurePosixPath(group).parents):
                quota = min(quota, _group_quota(base / path.relative_to("/")))
    return quota


def _group_quota(folder: Path) -> float:
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):  # version 2, version 1
        with contextlib.suppress(OSError, ValueError, ArithmeticError):
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if int(quota) > 0:  # "max" and -1 say that there is no limit
                return int(quota) / int(period)
    return math.inf


_backend = _Setting("fastnn_backend", _default_backend)
_num_threads = _Setting("fastnn_num_threads", _default_num_threads)


def backend(name: str) -> contextlib.AbstractContextManager[None]:
    """Run the block on the named backend.

    The choice is local to the context (`contextvars`): other threads and tasks keep theirs.

    Parameters
    ----------
    name : {"native", "reference"}
        The compiled kernels, or their NumPy twins.

    Raises
    ------
    ValueError
        If there is no backend of that name.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.backend("reference"):
    ...     fastnn.get_backend()
    'reference'
    """
    return _backend.override(check.choice("name", name, BACKENDS))


def set_backend(name: str) -> None:
    """Set the backend of every context that does not choose one itself; at first ``$FASTNN_BACKEND``, else native.

    Parameters
    ----------
    name : {"native", "reference"}

    Raises
    ------
    ValueError
        If there is no backend of that name.
    """
    _backend.set_default(check.choice("name", name, BACKENDS))


def get_backend() -> str:
    """Return the name of the backend in force here, "native" or "reference"."""
    return _backend.get()


def num_threads(n: int) -> contextlib.AbstractContextManager[None]:
    """Let the block use at most `n` threads. Results do not depend on it, bit for bit.

    The choice is local to the context (`contextvars`): other threads and tasks keep theirs.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.num_threads(1):
    ...     fastnn.get_num_threads()
    1
    """
    return _num_threads.override(check.integer("n", n, 1, _MOST_THREADS))


def set_num_threads(n: int) -> None:
    """Set the number of threads of every context that does not choose one itself.

    At first it is the least of ``$FASTNN_NUM_THREADS`` (or ``$OMP_NUM_THREADS``), the CPUs that the process may run on,
    and the whole CPUs that its control group allows.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.
    """
    _num_threads.set_default(check.integer("n", n, 1, _MOST_THREADS))


def get_num_threads() -> int:
    """Return the largest number of threads that a call may use here."""
    n = _num_threads.get()
    if n > 1 and not _threadpoolctl_knows:
        _tell_threadpoolctl()
    return n


_MOST_THREADS = 2**31 - 1  # a C int
_threadpoolctl_knows = False


def _tell_threadpoolctl() -> None:
    """Make the thread pool visible to threadpoolctl, if that is installed.

    Importing it takes longer than this package's own import, so it waits until there is a pool to speak of.
    """
    global _threadpoolctl_knows
    _threadpoolctl_knows = True
    try:
        threadpoolctl: Any = importlib.import_module("threadpoolctl")
        register, controller = threadpoolctl.register, threadpoolctl.LibController
    except (ImportError, AttributeError):
        return

    class FastnnController(controller):  # type: ignore[misc, valid-type]
        user_api = "fastnn"
        internal_api = "fastnn"
        filename_prefixes = ("_native",)
        check_symbols = ("PyInit__native",)

        def set_additional_attributes(self) -> None:
            # Other packages have a library of this name too: one without symbols is passed over.
            own = getattr(sys.modules.get("fastnn._native"), "__file__", None)
            if own is None or os.path.realpath(own) != os.path.realpath(self.filepath):
                self.dynlib = None

        def get_num_threads(self) -> int:
            return _num_threads.get()

        def set_num_threads(self, num_threads: int) -> None:
            _num_threads.set_current(num_threads)

        def get_version(self) -> str | None:
            return getattr(sys.modules.get("fastnn"), "__version__", None)

    register(FastnnController)


if "threadpoolctl" in sys.modules:  # whoever imported it may set a limit before the first call
    _tell_threadpoolctl()
