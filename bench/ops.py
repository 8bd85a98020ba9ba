"""Where the time of a training step goes: each op of the grid's nets, beside what it needs at least.

``python bench/ops.py [--isa LEVEL] [OUT]`` writes JSON after every net; what a run that was broken off has measured is
kept. An op's time is that of a step that ends after it, less that of a step that ends before it: it finds in the caches
what it finds there in a whole step, and the times of all ops add up to that of the step. Times are the thread's own.
``--table`` prints what has been measured.
"""

import argparse
import gc
import json
import math
import os
import statistics
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import machine
from limits import MEASURED as LIMITS
from limits import PRODUCTS, check_machine, product_flops, step_roofline
from records import resumed, short, write
from report import digits, table

MEASURED = machine.ROOT / "build" / "ops.json"
SECONDS = 8.0  # of a net
ROUNDS = (5, 101)
CALL = 2e-3  # seconds of work in a call, at least, by the roofline


def sequence(program):
    """Return the ops of a step in their order, each with its section."""
    return [(section, op) for section, ops in program.sections.items() for op in ops]


def cut(program, count):
    """Return the program of a step that ends after its first `count` ops."""
    sections = dict.fromkeys(program.sections, ())
    for section, op in sequence(program)[:count]:
        sections[section] += (op,)
    return replace(program, sections=sections)


def title(program, op):
    """Return what an op does, and on how wide rows."""
    widths = [program.batch[op.buffers[role]] for role in PRODUCTS.get(op.kind, ())]
    if not widths:
        widths = [program.batch[name] for name in op.buffers.values() if name in program.batch][:1]
    extras = [op.attrs.get("activation"), "dropout" * bool(op.attrs.get("p")), op.attrs.get("update")]
    extras = [str(extra) for extra in extras if extra and extra != "identity"]
    return f"{op.kind.replace('_', ' ')} {' to '.join(map(str, widths))}{''.join(f', {e}' for e in extras)}"


def traffic(program, op, rows, parts, itemsize):
    """Return the bytes of a product's operands, and of what its update reads and writes; each once."""
    first, second = (program.batch[op.buffers[role]] for role in PRODUCTS[op.kind])
    sides = [rows * first, rows * second, 0 if parts["parameters"] else first * second]
    return itemsize * sum(sides) + 2 * parts["held"]


def measure(config, dtype, limits, isa, seconds):
    """Return the record of a net: the step's time and roofline, and those of its ops, the gather among them."""
    from cases import engine_steps

    net = config.native(dtype)
    program = config.program(net)
    whole = step_roofline(program, config.batch, "adam", dtype, isa, limits)
    steps = max(1, math.ceil(CALL / whole["total"]))
    X, y, order = config.data(dtype, config.batch * max(steps, 8))
    ops = sequence(program)
    # Weights stay as they are: all these steps train one net.
    runs = [
        engine_steps(config, net, X, y, order, "native", steps, lr=0.0, program=cut(program, count))
        for count in range(len(ops) + 1)
    ]
    times = _rounds(runs, steps, seconds)
    itemsize = X.dtype.itemsize
    medians = [statistics.median(column) for column in times]
    records = [{"op": f"gather {config.sizes[0]}", "section": "input", "seconds": short(medians[0]), "floor": 0.0}]
    for (before, after), (section, op) in zip(pairwise(range(len(ops) + 1)), ops, strict=True):
        alone = replace(program, sections={"backward": (op,)})
        parts = step_roofline(alone, config.batch, "adam", dtype, isa, limits, whole["level"])
        differences = [b - a for a, b in zip(times[before], times[after], strict=True)]
        record = {
            "op": title(program, op),
            "section": section,
            "seconds": short(medians[after] - medians[before]),
            "quartiles": [short(q) for q in statistics.quantiles(differences, n=4)],
            "floor": short(parts["total"]),
        }
        if op.kind in PRODUCTS:
            record["flops"] = product_flops(alone, config.batch)
            record["bytes"] = traffic(program, op, config.batch, parts, itemsize)
        records.append(record)
    return {
        "name": config.title,
        "batch": config.batch,
        "dtype": dtype,
        "rounds": len(times[0]),
        "seconds": short(medians[-1]),
        "quartiles": [short(q) for q in statistics.quantiles(times[-1], n=4)],
        "roofline": {k: short(v) if isinstance(v, float) else v for k, v in whole.items()},
        "ops": records,
    }


def _rounds(runs, steps, seconds):
    """Return the seconds of a step of every run, round after round, forwards and backwards in turns."""
    for run in runs:
        run()
    times = [[] for _ in runs]
    deadline = time.perf_counter() + seconds
    for count in range(ROUNDS[1]):
        if count >= ROUNDS[0] and time.perf_counter() > deadline:
            break
        for i in range(len(runs)) if count % 2 else reversed(range(len(runs))):
            start = time.thread_time()
            runs[i]()
            times[i].append((time.thread_time() - start) / steps)
    return times


# ---- telling ----


def ops_table(record):
    """Return the ops of a step: time, share of the step, and the share of the time that the op needs at least."""
    rows = []
    for op in record["ops"]:
        floor = f"{op['floor'] / op['seconds']:.0%}" if op["floor"] and op["seconds"] > 0 else ""
        share = f"{max(0.0, op['seconds']) / record['seconds']:.1%}"
        rows.append([op["section"], op["op"], digits(1e6 * max(0.0, op["seconds"])), share, floor])
    rows.append(["", "the step", digits(1e6 * record["seconds"]), "", f"{share_of(record):.0%}"])
    return table(["section", "op", "µs", "share of the step", "of its roofline"], rows)


def share_of(record):
    """Return the roofline over the time."""
    return record["roofline"]["total"] / record["seconds"]


def steps_table(levels):
    """Return the parts of the steps' rooflines and the shares that are reached, of what was measured at some levels."""
    rows = []
    for isa, record in ((results["machine"]["isa"], record) for results in levels for record in results["nets"]):
        parts = record["roofline"]
        micros = [digits(1e6 * parts[part]) for part in ("products", "arithmetic", "traffic", "total")]
        micros[2] += f" ({parts['level']})"
        row = [record["name"], str(record["batch"]), record["dtype"], isa, *micros]
        rows.append([*row, digits(1e6 * record["seconds"]), f"{share_of(record):.0%}"])
    parts = ("products, µs", "update: arithmetic", "traffic", "roofline", "measured", "share")
    return table(["net", "batch", "dtype", "level", *parts], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--limits", type=Path, default=LIMITS, help="the JSON of limits.py")
    parser.add_argument("-k", default="", help="only the nets whose name and dtype have this text")
    parser.add_argument("--isa", help="the level to run; by default the machine's best")
    parser.add_argument("--fast", action="store_true", help="few rounds, to see that it runs")
    parser.add_argument("--table", action="store_true", help="print the tables of what has been measured, and no more")
    arguments = parser.parse_args()
    if not arguments.table:
        if arguments.isa:
            os.environ["FASTNN_ISA"] = arguments.isa
        machine.prepare()
        sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
        run(arguments)
    results = json.loads(arguments.out.read_text())
    for record in results["nets"]:
        print(f"{record['name']}, {record['batch']} rows, {record['dtype']}\n\n{ops_table(record)}\n")
    print(steps_table([results]))


def run(arguments):
    """Measure what is not in the JSON yet."""
    from cases import DTYPES, GRID

    where, limits = machine.describe(), json.loads(arguments.limits.read_text())
    check_machine(where, limits)
    results = resumed(arguments.out, where) or {"machine": where, "nets": []}
    gc.disable()
    for dtype in DTYPES:
        for config in GRID:
            known = any((r["name"], r["dtype"]) == (config.title, dtype) for r in results["nets"])
            if not known and arguments.k in f"{config.title} {dtype}":
                seconds = 0 if arguments.fast else SECONDS
                results["nets"].append(measure(config, dtype, limits, where["isa"], seconds))
                write(arguments.out, results, "nets")
                gc.collect()


if __name__ == "__main__":
    main()
