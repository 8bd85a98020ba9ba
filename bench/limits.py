"""What one core can do at most, and a training step's share of it.

``python bench/limits.py [OUT]`` compiles limits.c for every ISA level that runs here, prints a table and writes JSON.
``python bench/limits.py --steps RATIOS [OUT]`` reads that JSON, adds to each training step that ratios.py has measured
its roofline in seconds, and prints the shares of it.
"""

import argparse
import ctypes
import functools
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
from records import short, write
from report import digits, table

MEASURED = machine.ROOT / "build" / "limits.json"

# Level -> bytes of a vector and the flags of setup.py.
LEVELS = {
    "baseline": (16, ["-march=x86-64-v2"]),
    "avx2": (32, ["-march=x86-64-v3"]),
    "avx512": (64, ["-march=x86-64-v4", "-mprefer-vector-width=512"]),
    "neon": (16, ["-march=armv8-a"]),
}
COMMON = ["-std=c11", "-O3", "-funroll-loops", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared"]
TYPES = {"float32": "float", "float64": "double"}

# Level -> its name in os.sysconf, bytes where nothing tells them, and the share of it that a probe's arrays take: the
# last level has other users as well.
CACHES = {
    "L1": ("SC_LEVEL1_DCACHE_SIZE", 32 << 10, 1 / 2),
    "L2": ("SC_LEVEL2_CACHE_SIZE", 512 << 10, 1 / 2),
    "L3": ("SC_LEVEL3_CACHE_SIZE", 8 << 20, 1 / 4),
}
MEMORY = 4  # arrays of so many times the last cache

# Function of limits.c -> unit, what an entry counts (None: times the entry's bytes), number of arrays, where they are.
# Each is a number in a nanosecond. `load` reads an array, `map` reads one and writes another, as elementwise kernels
# do, `update` changes one in place, as optimisers do. What a write has to fetch before is not counted.
PROBES = {
    "multiply_add": ("GFLOP/s", 2, 2, ["L1"]),
    "division": ("entries/ns", 1, 2, ["L1"]),
    "square_root": ("entries/ns", 1, 2, ["L1"]),
    "load": ("GB/s", None, 1, [*CACHES, "memory"]),
    "map": ("GB/s", None, 2, [*CACHES, "memory"]),
    "update": ("GB/s", None, 1, [*CACHES, "memory"]),
}
PASSES = {"load": 1, "map": 2, "update": 2}  # of an entry through the level
CHUNK = 8 * 16  # entries: limits.c wants whole ones

# Optimiser -> its slots, and the divisions and square roots for one parameter.
UPDATES = {
    "sgd": (0, 0, 0),
    "momentum": (1, 0, 0),
    "nesterov": (1, 0, 0),
    "velocity": (1, 0, 0),
    "nesterov_velocity": (1, 0, 0),
    "adagrad": (1, 1, 1),
    "adadelta": (2, 1, 2),
    "rmsprop": (1, 1, 1),
    "rmsprop_momentum": (2, 1, 1),
    "rmsprop_centered": (2, 1, 1),
    "rmsprop_centered_momentum": (3, 1, 1),
    "adam": (2, 1, 1),
    "amsgrad": (3, 1, 1),
    "nadam": (2, 1, 1),
}

# Op that is a matrix product -> the roles of two buffers, whose widths are those of the weight.
PRODUCTS = {
    "dense": ("x", "y"),
    "dense_affine": ("x", "y"),
    "dense_grad_input": ("dy", "dx"),
    "dense_grad_weight": ("x", "dy"),
}

# ---- the machine ----


def cache_sizes():
    """Return bytes and source of each level: the kernel's files, sysconf, or an assumption."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    told = {}
    for index in Path(f"/sys/devices/system/cpu/cpu{core}/cache").glob("index*"):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            told[f"L{level}"] = int(size[:-1]) << 10
    return {level: _cache_size(level, told) for level in CACHES}


def _cache_size(level, told):
    name, assumed, _ = CACHES[level]
    if level in told:
        return {"bytes": told[level], "source": "sysfs"}
    size = os.sysconf(name) if name in os.sysconf_names else 0
    return {"bytes": size, "source": "sysconf"} if size > 0 else {"bytes": assumed, "source": "assumed"}


def compile_unit(level, dtype, folder):
    """Return limits.c as a library for a level and a type."""
    size, flags = LEVELS[level]
    out = Path(folder) / f"{level}_{dtype}.so"
    defines = [f"-DREAL={TYPES[dtype]}", f"-DVBYTES={size}"]
    source = Path(__file__).with_name("limits.c")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, *COMMON, *flags, *defines, str(source), "-o", str(out)], check=True)
    return ctypes.CDLL(str(out))


def rates(function, amount, repetitions, seconds):
    """Return the amounts in a nanosecond of some repetitions of at least so many seconds; `function` takes rounds.

    The time is the thread's own: what else runs on the core for a while makes no limit lower.
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
    """Return all limits; `fast` is for a look at whether it runs."""
    from fastnn import _native

    caches = cache_sizes()
    sets = {level: int(caches[level]["bytes"] * share) for level, (_, _, share) in CACHES.items()}
    sets["memory"] = MEMORY * max(cache["bytes"] for cache in caches.values())
    levels = [level for level, runs in _native.levels().items() if runs]
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in TYPES:
            y, x = _arrays(sets["memory"], dtype)
            for isa in levels:
                records += _probe_unit(compile_unit(isa, dtype, folder), isa, y, x, sets, fast)
    return {"machine": machine.describe(), "caches": caches, "limits": records}


def _arrays(size, dtype):
    """Return two arrays of so many bytes, full of ones: whatever the probes make of them is neither large nor denormal.

    They lie whole pages and a cache line apart: where low bits of addresses happen to agree, a read waits for a write.
    """
    import numpy as np

    from fastnn import engine

    itemsize = np.dtype(dtype).itemsize
    n, line = size // itemsize, 64 // itemsize
    array = engine.aligned_zeros(2 * n + line, dtype)
    array[:] = 1
    return array[:n], array[n + line :]


def _probe_unit(library, isa, y, x, sets, fast):
    """Return the records of all probes at one ISA level, in the type of the arrays."""
    records = []
    for name, (unit, count, n_arrays, levels) in PROBES.items():
        function = library[name]
        function.restype, function.argtypes = None, [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        for level in levels:
            n = sets[level] // x.itemsize // n_arrays // CHUNK * CHUNK
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


def limits_table(results):
    """Return the best of each probe, with the quartiles of its repetitions."""
    cells = {(r["name"], r["unit"]): {} for r in results["limits"]}
    for r in results["limits"]:
        first, _, third = map(digits, r["quartiles"])
        cells[r["name"], r["unit"]][f"{r['isa']} {r['dtype']}"] = f"{digits(r['best'])} ({first} to {third})"
    columns = list(next(iter(cells.values())))
    rows = [[name.replace("_", "-"), unit, *map(row.get, columns)] for (name, unit), row in cells.items()]
    return table(["best (quartiles)", "", *columns], rows)


# ---- a step ----


def product_flops(program, rows):
    """Return the flops of a program's matrix products for a batch of so many rows."""
    flops = 0
    for op in (op for ops in program.sections.values() for op in ops if op.kind in PRODUCTS):
        first, second = (program.batch[op.buffers[role]] for role in PRODUCTS[op.kind])
        flops += 2 * rows * first * second
    return flops


def updated_parameters(program):
    """Return the number of parameters whose gradients a program makes."""
    count = 0
    for op in program.sections["backward"]:
        if op.kind == "dense_grad_weight":
            width = program.batch[op.buffers["dy"]]
            count += width * (program.batch[op.buffers["x"]] + ("b" in op.buffers))
        elif op.kind == "batch_norm_backward":
            count += 2 * program.batch[op.buffers["dy"]]
    return count


def step_roofline(program, rows, optimizer, dtype, isa, results, level=None):
    """Return the seconds of a step that does what it cannot avoid at the rates of `results`, by part and in total.

    Products: their flops at the peak of multiply-adds. Update: the longer of its arithmetic, which is divisions and
    square roots one after the other (one unit does both), and of its traffic, which is weights and slots read and
    written once at `level`, by default the one that holds them together; gradients need not leave the registers.
    Products and update are added, though a step may fetch the update's arrays while it multiplies: in a step bound by
    memory, more than the whole is possible. Activations, loss and normalisation are not counted. Beside the seconds
    stand the level, the number of parameters and the bytes held.
    """
    best = {r["name"]: r["best"] for r in results["limits"] if (r["isa"], r["dtype"]) == (isa, dtype)}
    slots, divisions, roots = UPDATES[optimizer]
    parameters = updated_parameters(program)
    held = parameters * (1 + slots) * {"float32": 4, "float64": 8}[dtype]
    level = level or next((level for level in CACHES if held <= results["caches"][level]["bytes"]), "memory")
    products = product_flops(program, rows) / best["multiply_add"]
    arithmetic = parameters * (divisions / best["division"] + roots / best["square_root"])
    traffic = 2 * held / best[f"update {level}"]
    parts = {"products": products, "arithmetic": arithmetic, "traffic": traffic}
    parts["total"] = products + max(arithmetic, traffic)
    seconds = {part: 1e-9 * value for part, value in parts.items()}
    return seconds | {"level": level, "parameters": parameters, "held": held}


def check_machine(where, results):
    """Refuse limits of another machine than the one that steps are measured on."""
    for key in ("processor", "threads"):
        if where[key] != results["machine"][key]:
            raise SystemExit(f"steps and limits are of different machines: {key} differs")


def add_rooflines(ratios, results):
    """Add their rooflines to the steps of what ratios.py has measured, and return a table of shares."""
    from cases import NETS

    check_machine(ratios["machine"], results)
    isa, nets = ratios["machine"]["isa"], {net.title: net for net in NETS}
    rows = []
    for case in (case for case in ratios["cases"] if case["family"] == "step" and case["name"] in nets):
        net = nets[case["name"]]
        parts = step_roofline(net.program(net.native(case["dtype"])), net.batch, "adam", case["dtype"], isa, results)
        case["roofline"] = short(parts["total"])
        micros = [digits(1e6 * parts[part]) for part in ("products", "arithmetic", "traffic", "total")]
        micros[2] += f" ({parts['level']})"
        native = case["seconds"]["native"]
        rows.append([case["name"], case["dtype"], *micros, digits(1e6 * native), f"{parts['total'] / native:.0%}"])
    head = ["step", "dtype", "products, µs", "update: arithmetic", "traffic", "roofline", "native", "share"]
    return table(head, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED)
    parser.add_argument("--fast", action="store_true", help="a few short repetitions, to see that it runs")
    parser.add_argument("--steps", type=Path, help="the JSON of ratios.py whose steps get their rooflines")
    arguments = parser.parse_args()
    machine.prepare()
    if arguments.steps:
        sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
        ratios = json.loads(arguments.steps.read_text())
        print(add_rooflines(ratios, json.loads(arguments.out.read_text())))
        write(arguments.steps, ratios, "cases")
    else:
        results = probe(arguments.fast)
        write(arguments.out, results, "limits")
        print(limits_table(results))
        print("\n" + ", ".join(f"{k} {v['bytes'] >> 10} kB ({v['source']})" for k, v in results["caches"].items()))


if __name__ == "__main__":
    main()
