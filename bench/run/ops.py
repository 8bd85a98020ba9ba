"""Where the time of a training step goes: the time of each op of some nets, and the least time that it needs.

``python -m bench.run.ops [--isa LEVEL] [OUT]`` needs the JSON of bench.run.limits, and writes JSON after every net; an
interrupted run is resumed. An op's time is that of a step that ends after it, less that of a step that ends before it.
So the op finds the same data in the caches as in a whole step, and the times of all ops add up to that of the step.
Times are the thread's own. ``--table`` prints what has been measured.
"""

import argparse
import gc
import json
import math
import os
import statistics
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from bench.lib import machine
from bench.lib.records import resumed, short, write
from bench.lib.roofline import LIMITS, PRODUCTS, check_machine, product_flops, step_roofline
from bench.lib.tables.ops import ops_table, steps_table

MEASURED = machine.ROOT / "build" / "ops.json"
MEASURED_SECTIONS = ("forward", "loss", "backward", "update")
SECONDS = 8.0  # for a net
ROUNDS = (5, 101)  # at least and at most
CALL = 2e-3  # seconds of work in a call, at least, by the roofline


def sequence(program):
    """Return the ops of a step in their order, each with its section: those after the batch has been loaded."""
    return [(section, op) for section in MEASURED_SECTIONS for op in program.sections[section]]


def cut(program, count):
    """Return the program of a step that ends after its first `count` ops."""
    sections = program.sections | dict.fromkeys(MEASURED_SECTIONS, ())
    for section, op in sequence(program)[:count]:
        sections[section] += (op,)
    return replace(program, sections=sections)


def title(program, op):
    """Return what an op does, and the widths of its rows."""
    widths = [program.batch[op.buffers[role]] for role in PRODUCTS.get(op.kind, ())]
    if not widths:
        widths = [program.batch[name] for name in op.buffers.values() if name in program.batch][:1]
    extras = [op.attrs.get("activation"), "dropout" * bool(op.attrs.get("p")), op.attrs.get("update")]
    extras = [str(extra) for extra in extras if extra and extra != "identity"]
    return f"{op.kind.replace('_', ' ')} {' to '.join(map(str, widths))}{''.join(f', {e}' for e in extras)}"


def traffic(program, op, rows, parts, itemsize):
    """Return the bytes of a product's operands, and those that its update reads and writes; each once."""
    first, second = (program.batch[op.buffers[role]] for role in PRODUCTS[op.kind])
    operands = [rows * first, rows * second, 0 if parts["parameters"] else first * second]
    return itemsize * sum(operands) + 2 * parts["held"]


def measure(config, dtype, limits, isa, seconds):
    """Return the record of a net: the step's time and roofline, and those of its ops, including the gather."""
    from bench.lib.nets import engine_steps  # imports NumPy, which must follow `prepare`

    net = config.native(dtype)
    program = config.program(net)
    whole = step_roofline(program, config.batch, "adam", dtype, isa, limits)
    steps = max(1, math.ceil(CALL / whole["total"]))
    X, y, order = config.data(dtype, config.batch * max(steps, 8))
    ops = sequence(program)
    # All these steps train one net: a learning rate of zero keeps its weights.
    runs = [
        engine_steps(config, net, X, y, order, "native", steps, lr=0.0, program=cut(program, count))
        for count in range(len(ops) + 1)
    ]
    times = rounds_of(runs, steps, seconds)
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


def rounds_of(runs, steps, seconds):
    """Return the seconds of a step, a list for each run: all run in turn, round after round, in alternating order."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--limits", type=Path, default=LIMITS, help="the JSON of bench.run.limits")
    parser.add_argument("-k", default="", help="only the nets whose name and dtype contain this text")
    parser.add_argument("--isa", help="the level to run; by default the machine's best")
    parser.add_argument("--fast", action="store_true", help="few rounds, to see that it runs")
    parser.add_argument("--table", action="store_true", help="print tables of what has been measured, and stop")
    arguments = parser.parse_args()
    if not arguments.table:
        if arguments.isa:
            os.environ["FASTNN_ISA"] = arguments.isa
        machine.prepare()
        run(arguments)
    results = json.loads(arguments.out.read_text())
    for record in results["nets"]:
        print(f"{record['name']}, {record['batch']} rows, {record['dtype']}\n\n{ops_table(record)}\n")
    print(steps_table([results]))


def run(arguments):
    """Measure the nets that the JSON does not have yet."""
    from bench.lib.nets import DTYPES, GRID

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
