"""Measures what one core can do at most: multiply-adds, divisions, square roots, and reads and writes of every cache.

The loops are in probes.c, which is compiled for every ISA level that runs here.
"""

import ctypes
import functools
import math
import os
import shlex
import statistics
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

from bench.lib import machine
from bench.lib.records import short
from bench.lib.roofline import CACHES

ROOT = Path(__file__).resolve().parents[2]
# The levels of all machines, each with the bytes of a vector and the flags of its units.
MACHINES = tomllib.loads((ROOT / "csrc" / "isa" / "levels.toml").read_text())
LEVELS = {level: row for machine in MACHINES.values() for level, row in machine.items()}
COMMON = ["-std=c11", "-O3", "-funroll-loops", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared"]
TYPES = {"float32": "float", "float64": "double"}

# Level -> its name in os.sysconf, the bytes to assume where neither sysfs nor sysconf has them, and the share of it
# that a probe's arrays take. The share of the last level is smaller because other cores use it as well.
CACHE_SOURCES = {
    "L1": ("SC_LEVEL1_DCACHE_SIZE", 32 << 10, 1 / 2),
    "L2": ("SC_LEVEL2_CACHE_SIZE", 512 << 10, 1 / 2),
    "L3": ("SC_LEVEL3_CACHE_SIZE", 8 << 20, 1 / 4),
}
MEMORY = 4  # the arrays in memory are this many times as large as the last cache

# Function of probes.c -> unit, amount for each entry (None: bytes that pass through the level), number of arrays, and
# the levels that hold the arrays. The measured number is the amount in a nanosecond. `load` reads an array. `map` reads
# one and writes another, as elementwise kernels do. `update` changes one in place, as optimisers do. A write may have
# to fetch the cache line first: this traffic is not counted.
PROBES = {
    "multiply_add": ("GFLOP/s", 2, 2, ["L1"]),
    "division": ("entries/ns", 1, 2, ["L1"]),
    "square_root": ("entries/ns", 1, 2, ["L1"]),
    "load": ("GB/s", None, 1, [*CACHES, "memory"]),
    "map": ("GB/s", None, 2, [*CACHES, "memory"]),
    "update": ("GB/s", None, 1, [*CACHES, "memory"]),
}
PASSES = {"load": 1, "map": 2, "update": 2}  # how many times an entry passes through the level
CHUNK = 8 * 16  # the arrays' lengths are multiples of it, as probes.c requires


def cache_sizes():
    """Return bytes and source of each level: the kernel's files, sysconf, or an assumption."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    listed = {}
    for index in Path(f"/sys/devices/system/cpu/cpu{core}/cache").glob("index*"):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            listed[f"L{level}"] = int(size[:-1]) << 10
    return {level: _cache_size(level, listed) for level in CACHES}


def _cache_size(level, listed):
    name, assumed, _ = CACHE_SOURCES[level]
    if level in listed:
        return {"bytes": listed[level], "source": "sysfs"}
    size = os.sysconf(name) if name in os.sysconf_names else 0
    return {"bytes": size, "source": "sysconf"} if size > 0 else {"bytes": assumed, "source": "assumed"}


def compile_probes(level, dtype, folder):
    """Return probes.c as a library for a level and a type."""
    row = LEVELS[level]
    out = Path(folder) / f"{level}_{dtype}.so"
    defines = [f"-DREAL={TYPES[dtype]}", f"-DVBYTES={row['vector_bytes']}"]
    source = Path(__file__).with_name("probes.c")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, *COMMON, *row["flags"], *defines, str(source), "-o", str(out)], check=True)
    return ctypes.CDLL(str(out))


def rates(function, amount, repetitions, seconds):
    """Return the amount in a nanosecond of each repetition, which takes at least `seconds`.

    `function` takes the number of rounds, and a round does `amount`. The time is the thread's own, so that other
    processes on the core do not lower a limit.
    """

    def nanoseconds(rounds):
        start = time.thread_time_ns()
        function(rounds)
        return time.thread_time_ns() - start

    rounds = 1
    while (took := nanoseconds(rounds)) < 1e8 * seconds:
        rounds *= 2
    rounds = max(1, math.ceil(rounds * 1e9 * seconds / took))
    return [rounds * amount / nanoseconds(rounds) for _ in range(repetitions)]


def probe(fast=False):
    """Return all limits; `fast` takes too few samples for good results, and is for tests."""
    from fastnn import _native

    caches = cache_sizes()
    sizes = {level: int(caches[level]["bytes"] * share) for level, (_, _, share) in CACHE_SOURCES.items()}
    sizes["memory"] = MEMORY * max(cache["bytes"] for cache in caches.values())
    levels = [level for level, runs in _native.levels().items() if runs]
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in TYPES:
            y, x = _arrays(sizes["memory"], dtype)
            for isa in levels:
                records += _probe_level(compile_probes(isa, dtype, folder), isa, y, x, sizes, fast)
    return {"machine": machine.describe(), "caches": caches, "limits": records}


def _arrays(size, dtype):
    """Return two arrays of so many bytes, full of ones, which the probes never turn into large or denormal numbers.

    Their distance is whole pages and a cache line: a read waits for an earlier write if the low bits of their addresses
    are equal.
    """
    import numpy as np

    from fastnn import engine

    itemsize = np.dtype(dtype).itemsize
    n, line = size // itemsize, 64 // itemsize
    array = engine.aligned_zeros(2 * n + line, dtype)
    array[:] = 1
    return array[:n], array[n + line :]


def _probe_level(library, isa, y, x, sizes, fast):
    """Return the records of all probes at one ISA level, in the type of the arrays."""
    records = []
    for name, (unit, count, n_arrays, levels) in PROBES.items():
        function = library[name]
        function.restype, function.argtypes = None, [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        for level in levels:
            n = sizes[level] // x.itemsize // n_arrays // CHUNK * CHUNK
            found = rates(
                functools.partial(_call, function, y.ctypes.data, x.ctypes.data, n),
                n * (count or PASSES[name] * x.itemsize),
                *((3, 1e-5) if fast else (21, 2e-3)),
            )
            record = {"isa": isa, "dtype": x.dtype.name, "name": name if len(levels) == 1 else f"{name} {level}"}
            record |= {"unit": unit, "best": short(max(found))}
            records.append(record | {"quartiles": [short(q) for q in statistics.quantiles(found, n=4)]})
    return records


def _call(function, y, x, n, rounds):
    function(rounds, y, x, n)
