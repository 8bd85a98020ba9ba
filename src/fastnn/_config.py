"""The backend and the number of threads: process-wide defaults, and overrides that are local to a context."""

import contextlib
import importlib
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from fastnn import _context
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


def _backend_name(name: str, value: object, fix: str) -> str:
    """Return `value`, the name of a backend, or refuse it with the way to choose the NumPy backend."""
    if not isinstance(value, str) or value not in BACKENDS:
        error = ValueError if isinstance(value, str) else TypeError
        got = check.shown(value) if isinstance(value, str) else check.kind_of(value)
        check.refuse(error, name, f"be one of {', '.join(BACKENDS)}", got, f"{fix} for the NumPy backend")
    return value


def _default_backend(environ: Mapping[str, str] = os.environ) -> str:
    name = "FASTNN_BACKEND"
    return _backend_name(name, environ.get(name) or "native", f"set {name}=reference")


def _default_num_threads(environ: Mapping[str, str] = os.environ) -> int:
    limits: list[float] = [_affinity(), _cgroup_quota()]
    fastnn, openmp = environ.get("FASTNN_NUM_THREADS"), environ.get("OMP_NUM_THREADS", "")
    if fastnn:
        limits.append(check.integer("FASTNN_NUM_THREADS", _number("FASTNN_NUM_THREADS", fastnn), 1, _MOST_THREADS))
    else:
        outermost = openmp.split(",")[0].strip()  # OpenMP takes a list with a number for each level of nesting
        if outermost.isdecimal():
            limits.append(_number("OMP_NUM_THREADS", outermost))
    return max(1, int(min(limits)))


def _number(name: str, text: str) -> int:
    """Return the integer in a variable's text."""
    if not text.isdecimal():
        check.refuse(ValueError, name, f"be an integer from 1 to {_MOST_THREADS}", check.shown(text))
    digits = len(text.lstrip("0"))
    # The length first: Python does not convert thousands of digits.
    if digits > len(str(_MOST_THREADS)) or int(text[-digits:]) > _MOST_THREADS:
        got = text if digits <= 40 else f"an integer of {digits} digits"
        check.refuse(ValueError, name, f"be an integer from 1 to {_MOST_THREADS}", got)
    return int(text[-digits:]) if digits else 0


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> float:
    """Return the CPU quota of the process's control groups and their parents, in CPUs; infinity if there is none."""
    quota = math.inf
    with contextlib.suppress(OSError, ValueError):  # ValueError: unexpected lines, or bytes that are not text
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
            if int(quota) > 0:  # "max" and -1 mean no limit
                return int(quota) / int(period)
    return math.inf


_backend = _context.Setting("fastnn_backend", _default_backend)
_num_threads = _context.Setting("fastnn_num_threads", _default_num_threads)
_context.share(_backend, _num_threads)


def backend(name: str) -> contextlib.AbstractContextManager[None]:
    """Run the block on the named backend.

    The choice is local to the context (`contextvars`): other threads and tasks keep theirs.

    Parameters
    ----------
    name : {"native", "reference"}
        The compiled kernels, or their NumPy twins.

    Raises
    ------
    TypeError, ValueError
        If there is no backend of that name.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.backend("reference"):
    ...     fastnn.get_backend()
    'reference'
    """
    return _backend.override(_backend_name("name", name, 'write backend("reference")'))


def set_backend(name: str) -> None:
    """Set the default backend, which contexts without their own choice use; at first ``$FASTNN_BACKEND``, else native.

    Parameters
    ----------
    name : {"native", "reference"}

    Raises
    ------
    TypeError, ValueError
        If there is no backend of that name.
    """
    _backend.set_default(_backend_name("name", name, 'write set_backend("reference")'))


def get_backend() -> str:
    """Return the name of the current backend, "native" or "reference"."""
    return _backend.get()


def num_threads(n: int) -> contextlib.AbstractContextManager[None]:
    """Run the block with at most `n` threads. The number does not change a bit of the results.

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
    """Set the default number of threads, which contexts without their own choice use.

    At first it is the smallest of ``$FASTNN_NUM_THREADS`` (or ``$OMP_NUM_THREADS``), the number of CPUs that the
    process may run on, and the CPU quota of its control group, rounded down.

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
    """Return the current upper limit of the number of threads of a call."""
    return _num_threads.get()


_MOST_THREADS = 2**31 - 1  # a C int


def _register_with_threadpoolctl() -> None:
    """Make the thread pool visible to threadpoolctl, if that is installed.

    Importing threadpoolctl takes longer than importing fastnn, so it is done at the first call that may use threads.
    """
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
            # Other packages may have a library of this name. threadpoolctl ignores one without symbols.
            native = getattr(sys.modules.get("fastnn._native"), "__file__", None)
            if native is None or os.path.realpath(native) != os.path.realpath(self.filepath):
                self.dynlib = None

        def get_num_threads(self) -> int:
            return _num_threads.get()

        def set_num_threads(self, num_threads: int) -> None:
            _num_threads.set_current(num_threads)

        def get_version(self) -> str | None:
            return getattr(sys.modules.get("fastnn"), "__version__", None)

    register(FastnnController)


if "threadpoolctl" in sys.modules:  # a limit may be set with it before the first call
    _register_with_threadpoolctl()
else:
    _num_threads.before_threads = _register_with_threadpoolctl
