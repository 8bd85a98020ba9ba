"""How the time of a training step over its roofline changes with width, batch and depth, and where it has cliffs.

``python -m bench.run.sweep [--isa LEVEL] [OUT]`` needs the JSON of bench.run.limits, and writes JSON after every point;
an interrupted run is resumed. Around a base net (256 wide, 2 hidden layers, 128 rows) one size varies at a time; nets
of odd sizes are compared with the same ones rounded up. ``--check`` prints what costs more than its neighbours suggest
(see bench/lib/sweep_points.py), and fails if anything does.
"""

import argparse
import gc
import json
import math
import os
import statistics
import time
from pathlib import Path

from bench.lib import machine
from bench.lib.records import resumed, short, write
from bench.lib.roofline import LIMITS, check_machine, step_roofline
from bench.lib.sweep_points import cliffs, cost, key_of, points
from bench.lib.tables.sweep import cliffs_text, odd_table, series_table, title

MEASURED = machine.ROOT / "build" / "sweep.json"
PASSES = 2  # over all points, the second backwards: a slow phase of the machine affects other points in each
REPEATS = 5  # times at most that a point is measured again that seems to be a cliff
SECONDS = 0.4  # of a point in a pass
SAMPLES = (5, 101)  # at least and at most
CALL = 1e-3  # seconds of work in a call, at least, by the roofline


def some_weights(shape, random):
    """Return weights that are drawn quickly: a step takes the same time for all that are neither zero nor denormal."""
    import numpy as np

    return np.resize(np.random.default_rng(0).normal(0, 1 / math.sqrt(shape[0]), 9973), shape)


def measure(point, limits, isa, seconds):
    """Return quartiles of a step's seconds, and its roofline.

    The time is the thread's own, so that other processes on the core do not look like a cliff.
    """
    from bench.lib.nets import Net, engine_steps  # imports NumPy, which must follow `prepare`

    config = Net("sweep", point.sizes, "relu", point.batch, rows=0, steps=0)
    net = config.native(point.dtype, some_weights)
    roofline = step_roofline(config.program(net), point.batch, "adam", point.dtype, isa, limits)["total"]
    steps = min(64, math.ceil(CALL / roofline))
    X, y, order = config.data(point.dtype, point.batch * max(steps, 4))
    # A learning rate of zero keeps the weights: otherwise the net would fit these few rows, and gradients would become
    # denormal.
    run = engine_steps(config, net, X, y, order, "native", steps, lr=0.0)
    run()
    found = []
    deadline = time.perf_counter() + seconds
    while len(found) < SAMPLES[0] or (len(found) < SAMPLES[1] and time.perf_counter() < deadline):
        start = time.thread_time()
        run()
        found.append((time.thread_time() - start) / steps)
    return [short(q) for q in statistics.quantiles(found, n=4)], short(roofline)


def run(path, where, limits, wanted, seconds, passes=PASSES):
    """Measure the points that the JSON does not have yet, and return all records."""
    earlier = resumed(path, where)
    records = {json.dumps(key_of(record)): record for record in (earlier["points"] if earlier else ())}

    def visit(point):
        quartiles, roofline = measure(point, limits, where["isa"], seconds)
        record = records.setdefault(json.dumps(point.key), {**vars(point), "sizes": list(point.sizes)})
        record["roofline"] = roofline
        record.setdefault("passes", []).append(quartiles)
        record["seconds"] = min(q[1] for q in record["passes"])
        write(path, {"machine": where, "points": list(records.values())}, "points")
        print(title(record), point.dtype, f"{cost(record):.2f}", flush=True)
        gc.collect()

    for nth in range(passes):
        for point in wanted if nth % 2 == 0 else reversed(wanted):
            if len(records.get(json.dumps(point.key), {}).get("passes", ())) <= nth:
                visit(point)
    # Measure cliffs again: the machine may have been slow for a moment.
    for nth in range(passes, passes + REPEATS):
        suspects = {json.dumps(key_of(record)) for record, _ in cliffs(list(records.values()))}
        for point in wanted:
            if json.dumps(point.key) in suspects and len(records[json.dumps(point.key)]["passes"]) <= nth:
                visit(point)
    return list(records.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--limits", type=Path, default=LIMITS, help="the JSON of bench.run.limits")
    parser.add_argument("--isa", help="the level to run; by default the machine's best")
    parser.add_argument("--fast", action="store_true", help="a few points for a short time, to see that it runs")
    parser.add_argument("--check", action="store_true", help="fail if the points measured so far show a cliff")
    arguments = parser.parse_args()
    if arguments.check:
        records = json.loads(arguments.out.read_text())["points"]
        print(cliffs_text(records))
        raise SystemExit(bool(cliffs(records)))
    if arguments.isa:
        os.environ["FASTNN_ISA"] = arguments.isa
    machine.prepare()
    limits, where = json.loads(arguments.limits.read_text()), machine.describe()
    check_machine(where, limits)
    gc.disable()
    wanted = points()
    if arguments.fast:
        wanted = [p for p in wanted if p.products < 4e6]
    records = run(arguments.out, where, limits, wanted, 0 if arguments.fast else SECONDS)
    print(f"\n{series_table(records)}\n\n{odd_table(records)}\n\n{cliffs_text(records)}")


if __name__ == "__main__":
    main()
