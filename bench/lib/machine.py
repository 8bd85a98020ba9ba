"""Sets up the process for a benchmark, one core and one thread, and describes the machine and the versions."""

import ctypes
import datetime as dt
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTNN_NUM_THREADS")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def prepare():
    """Pin the process to one core and limit every library to one thread.

    BLAS libraries read the number of threads when NumPy loads them, so this comes before `import numpy`.
    """
    if "numpy" in sys.modules:
        raise RuntimeError("benchmarks set the number of threads before NumPy is imported, but it is imported already")
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"), FASTNN_BACKEND="native")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    _keep_freed_memory()


def _keep_freed_memory():
    """Let the allocator keep freed memory, which is when NumPy is fastest.

    By default glibc may return NumPy's temporaries to the system after a step, depending on the layout of the heap.
    Where it does, a step of the hand-written net takes nearly twice as long.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for setting in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(setting, 1 << 30)


def describe():
    """Return what a result depends on: processor, instruction set, versions, commit and date."""
    import numpy as np

    import fastnn
    from fastnn import _native

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": _processor(),
        "isa": _native.isa(),
        "threads": fastnn.get_num_threads(),
        "fastnn": fastnn.__version__,
        "compiler": _native.compiler(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "commit": _commit(Path(fastnn.__file__).parent),
        "date": dt.date.today().isoformat(),
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit(folder):
    """Return the short hash of the commit that this fastnn is from, followed by + if files differ from it."""
    try:
        command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
