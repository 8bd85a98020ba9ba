"""What joining and splitting costs: the share of a step that the ops of branches take, in some nets with branches.

``python -m bench.run.branches [OUT]`` compares the steps of a net with those of the same program without the ops of one
kind; their results have no meaning, but the other ops do the same work. It counts instructions under valgrind's
callgrind, at avx2, which no other load changes, and measures the thread's own time at the machine's best level. It
writes JSON and prints a table.
"""

import argparse
import gc
import json
import os
import statistics
from dataclasses import replace
from pathlib import Path

from bench.lib import machine
from bench.lib.tables.common import digits, table
from bench.run.instructions import counts
from bench.run.ops import rounds_of

MEASURED = machine.ROOT / "build" / "branches.json"
KINDS = ("put_columns", "take_columns", "copy", "accumulate", "add", "multiply", "scale")
CALLS = 2  # that are counted
STEPS = 4  # in a call
SECONDS = 8.0  # for a net


def without(program, kinds):
    """Return a program without the ops of some kinds."""
    sections = {
        name: tuple(op for op in ops if op.kind not in kinds) if name in ("forward", "backward") else ops
        for name, ops in program.sections.items()
    }
    return replace(program, sections=sections)


def used(program):
    """Return the kinds that a program has."""
    return [kind for kind in KINDS if any(op.kind == kind for ops in program.sections.values() for op in ops)]


def steps_without(config, kinds):
    """Return a function that takes some steps of a net without the ops of some kinds."""
    from bench.lib.nets import engine_steps  # imports NumPy, which must follow `prepare`

    net = config.native("float32")
    data = config.data("float32", 8 * config.batch)
    # A learning rate of zero keeps the weights, whatever the gradients are.
    return engine_steps(config, net, *data, "native", STEPS, lr=0.0, program=without(config.program(net), kinds))


def times(config, kinds, seconds):
    """Return the median seconds of a step, and by kind the quartiles of the share of it that the ops take."""
    whole, *parts = rounds_of(
        [steps_without(config, left) for left in ((), *((kind,) for kind in kinds))], STEPS, seconds
    )
    shares = {
        kind: statistics.quantiles([1 - b / a for a, b in zip(whole, part, strict=True)], n=4)
        for kind, part in zip(kinds, parts, strict=True)
    }
    return statistics.median(whole), shares


def count_steps(config, kinds):
    """Take steps in processes that end one after the other: for each kind left out, one with no step, one with some."""
    for left in ((), *((kind,) for kind in kinds)):
        run = steps_without(config, left)
        run()
        for calls in (0, CALLS):
            if os.fork() == 0:
                for _ in range(calls):
                    run()
                os._exit(0)
            os.wait()


def instructions(index, kinds):
    """Return the instructions of a step, and by kind the share of them that the ops take."""
    *ends, _ = counts(["-m", "bench.run.branches", "--case", str(index)], os.devnull)
    whole, *parts = (more - few for few, more in zip(ends[::2], ends[1::2], strict=True))
    return round(whole / (CALLS * STEPS)), {kind: 1 - part / whole for kind, part in zip(kinds, parts, strict=True)}


def branches_table(nets):
    """Return the shares of every net's step, by kind of op."""
    rows = []
    for net in nets:
        rows.append([net["name"], "the step", f"{net['instructions']:,}", "", digits(1e6 * net["seconds"]), ""])
        for kind, share in net["shares"].items():
            low, middle, high = share["time"]
            rows.append(["", kind, "", f"{share['instructions']:.2%}", "", f"{middle:.1%} ({low:.1%} to {high:.1%})"])
    return table(["net", "ops", "instructions", "share", "µs", "share (quartiles)"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--fast", action="store_true", help="few rounds and no counts, to see that it runs")
    parser.add_argument("--case", type=int, help="take steps of this net and stop: this is what valgrind runs")
    arguments = parser.parse_args()
    machine.prepare()
    gc.disable()
    from bench.lib.branched import BRANCHED  # imports NumPy, which must follow `prepare`

    if arguments.case is not None:
        config = BRANCHED[arguments.case]
        count_steps(config, used(config.program(config.native("float32"))))
        return
    results = {"machine": machine.describe(), "nets": []}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    for index, config in enumerate(BRANCHED):
        kinds = used(config.program(config.native("float32")))
        seconds, shares = times(config, kinds, 0 if arguments.fast else SECONDS)
        count, parts = (0, dict.fromkeys(kinds, 0)) if arguments.fast else instructions(index, kinds)
        both = {kind: {"instructions": parts[kind], "time": shares[kind]} for kind in kinds}
        results["nets"].append({"name": config.title, "instructions": count, "seconds": seconds, "shares": both})
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")
        print(branches_table(results["nets"][-1:]), flush=True)


if __name__ == "__main__":
    main()
