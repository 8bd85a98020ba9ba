"""How a training step's time over its roofline changes with width, batch and depth, so that a cliff shows.

``python bench/sweep.py [--isa LEVEL] [OUT]`` measures what limits.py has the rooflines of, and writes JSON after every
point; what a run that was broken off has measured is kept. Around a base net (256 wide, 2 hidden layers, 128 rows) one
size varies at a time; nets of odd sizes stand beside the same ones rounded up. ``--check`` prints what costs more than
FLAGGED times what its neighbours let expect, and fails if anything does.
"""

import argparse
import gc
import itertools
import json
import math
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import machine
from limits import MEASURED as LIMITS
from limits import check_machine, step_roofline
from records import resumed, short, write
from report import digits, table

MEASURED = machine.ROOT / "build" / "sweep.json"
FLAGGED = 1.5
PASSES = 2  # over everything, the second backwards: a slow phase of the machine meets other points
AGAIN = 5  # times at most that a point is looked at again that seems a cliff
SECONDS = 0.4  # of a point in a pass
SAMPLES = (5, 101)
CALL = 1e-3  # seconds of work in a call, at least, by the roofline

WIDTH, BATCH, DEPTH, CLASSES = 256, 128, 2, 10


def between(last):
    """Return the powers of two up to `last` and, between them, odd sizes."""
    powers = [1 << i for i in range(last.bit_length())]
    return sorted({*powers, *(math.isqrt(2 * n * n) | 1 for n in powers[1:-1])})


@dataclass(frozen=True)
class Point:
    """A net and a batch; `at` is the size that its series varies, and `rounded` stands for one of the odd nets."""

    series: str
    at: int
    sizes: tuple[int, ...]
    batch: int
    dtype: str
    rounded: bool = False

    @property
    def key(self):
        return [self.series, self.at, self.dtype, self.rounded]

    @property
    def products(self):
        """The multiply-adds of a forward pass."""
        return self.batch * sum(a * b for a, b in itertools.pairwise(self.sizes))


def stack(width, depth):
    return (width,) * (depth + 1) + (CLASSES,)


ODD = [
    ((100, 37, 19, 3), BATCH),
    ((13, 1, 13), BATCH),
    ((1000, 1000), 7),
    ((20, 512, 512, 1), BATCH),
    ((3000, 17, 3000), BATCH),
]


def round_up(n, multiple):
    return -(-n // multiple) * multiple


def rounded(sizes, batch):
    """Return the same net with widths of whole vectors, which no level need cut, and a batch of whole tiles."""
    return tuple(round_up(n, 16) for n in sizes), round_up(batch, 8)


def points():
    found = []
    for dtype in ("float32", "float64"):
        found += [Point("width", n, stack(n, DEPTH), BATCH, dtype) for n in between(4096) if n >= 8]
        found += [Point("batch", n, stack(WIDTH, DEPTH), n, dtype) for n in between(4096)]
        found += [Point("depth", n, stack(WIDTH, n), BATCH, dtype) for n in between(32)]
        for i, (sizes, batch) in enumerate(ODD):
            found.append(Point("odd", i, sizes, batch, dtype))
            found.append(Point("odd", i, *rounded(sizes, batch), dtype, rounded=True))
    return found


# ---- measuring ----


def some_weights(shape, random):
    """Return weights that are drawn in no time: a step's is the same for all that are neither zero nor denormal."""
    import numpy as np

    return np.resize(np.random.default_rng(0).normal(0, 1 / math.sqrt(shape[0]), 9973), shape)


def measure(point, limits, isa, seconds):
    """Return quartiles of a step's seconds, and its roofline.

    The time is the thread's own: what else runs on the core for a while is not a cliff.
    """
    from cases import Net, engine_steps

    config = Net("sweep", point.sizes, "relu", point.batch, rows=0, steps=0)
    net = config.native(point.dtype, some_weights)
    roofline = step_roofline(config.program(net), point.batch, "adam", point.dtype, isa, limits)["total"]
    steps = min(64, math.ceil(CALL / roofline))
    X, y, order = config.data(point.dtype, point.batch * max(steps, 4))
    # Weights stay as they are: they would learn so few rows by heart, and gradients would become denormal.
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
    """Measure what is not in the JSON yet, and return the records."""
    earlier = resumed(path, where)
    records = {json.dumps(_key(record)): record for record in (earlier["points"] if earlier else ())}

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
    # It may have been the machine.
    for nth in range(passes, passes + AGAIN):
        suspects = {json.dumps(_key(record)) for record, _ in flagged(list(records.values()))}
        for point in wanted:
            if json.dumps(point.key) in suspects and len(records[json.dumps(point.key)]["passes"]) <= nth:
                visit(point)
    return list(records.values())


def _key(record):
    return [record[name] for name in ("series", "at", "dtype", "rounded")]


# ---- telling ----


def cost(record):
    """Return a step's time over its roofline."""
    return record["seconds"] / record["roofline"]


def series_of(records, name, dtype):
    return sorted((r for r in records if (r["series"], r["dtype"]) == (name, dtype)), key=lambda r: r["at"])


def expected(records, i):
    """Return what the neighbours of a series' i-th point let expect of its cost; None where nothing does.

    It is the lower of the next smaller point's cost, as work that grows shall not become dearer, and of the straight
    line between both neighbours on logarithmic axes.
    """
    if i == 0:
        return None
    before = cost(records[i - 1])
    if i == len(records) - 1:
        return before
    low, here, high = (math.log(r["at"]) for r in records[i - 1 : i + 2])
    share = (here - low) / (high - low)
    return min(before, before ** (1 - share) * cost(records[i + 1]) ** share)


def flagged(records, limit=FLAGGED):
    """Return each point that costs over `limit` times what its neighbours let expect, and how many times.

    A net of odd sizes must not take longer than `limit` times the one with its sizes rounded up, which does more.
    """
    found = []
    for dtype in ("float32", "float64"):
        for name in ("width", "batch", "depth"):
            series = series_of(records, name, dtype)
            for i, record in enumerate(series):
                trend = expected(series, i)
                if trend is not None and cost(record) > limit * trend:
                    found.append((record, cost(record) / trend))
        odd = series_of(records, "odd", dtype)
        found += [(own, ratio) for own, ratio in odd_pairs(odd) if ratio > limit]
    return found


def odd_pairs(records):
    """Return the nets of odd sizes, each with its time over that of the net rounded up."""
    twins = {r["at"]: r for r in records if r["rounded"]}
    return [(r, r["seconds"] / twins[r["at"]]["seconds"]) for r in records if not r["rounded"] and r["at"] in twins]


def title(record):
    sizes = record["sizes"]
    if record["series"] == "odd":
        return f"{'-'.join(map(str, sizes))}, {record['batch']} rows"
    return f"{record['series']} {record['at']}"


def flags_text(records):
    """Return a sentence on the cliffs, or that there are none."""
    found = [
        f"{title(record)} in {record['dtype']} ({ratio:.2f} times)"
        for record, ratio in sorted(flagged(records), key=lambda pair: -pair[1])
    ]
    if not found:
        return f"No step costs over {FLAGGED} times what its neighbours let expect."
    return f"Over {FLAGGED} times what the neighbours let expect: {', '.join(found)}."


def odd_table(records):
    """Return the nets of odd sizes: time over roofline, and over the time of the net rounded up."""
    rows = {}
    for dtype in ("float32", "float64"):
        for record, ratio in odd_pairs(series_of(records, "odd", dtype)):
            row = rows.setdefault(title(record), [])
            row += [digits(1e6 * record["seconds"]), f"{cost(record):.2f}", f"{ratio:.2f}"]
    parts = ("µs", "over its roofline", "over the time of the net rounded up")
    head = ["net", *(f"{dtype}: {part}" for dtype in ("float32", "float64") for part in parts)]
    return table(head, [[name, *row] for name, row in rows.items()])


def series_table(records):
    """Return the ends and the dearest point of every series."""
    rows = []
    for name in ("width", "batch", "depth"):
        for dtype in ("float32", "float64"):
            series = series_of(records, name, dtype)
            if series:
                dearest = max(series, key=cost)
                rows.append([name, dtype])
                for record in (series[0], series[-1], min(series, key=cost), dearest):
                    rows[-1].append(f"{cost(record):.2f} at {record['at']}")
    return table(["varied", "dtype", "least work", "most work", "nearest to the roofline", "farthest"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--limits", type=Path, default=LIMITS, help="the JSON of limits.py")
    parser.add_argument("--isa", help="the level to run; by default the machine's best")
    parser.add_argument("--fast", action="store_true", help="a few points for a short time, to see that it runs")
    parser.add_argument("--check", action="store_true", help="fail if the points that were measured show a cliff")
    arguments = parser.parse_args()
    if arguments.check:
        records = json.loads(arguments.out.read_text())["points"]
        print(flags_text(records))
        raise SystemExit(bool(flagged(records)))
    if arguments.isa:
        os.environ["FASTNN_ISA"] = arguments.isa
    machine.prepare()
    sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
    limits, where = json.loads(arguments.limits.read_text()), machine.describe()
    check_machine(where, limits)
    gc.disable()
    wanted = points()
    if arguments.fast:
        wanted = [p for p in wanted if p.products < 4e6]
    records = run(arguments.out, where, limits, wanted, 0 if arguments.fast else SECONDS)
    print(f"\n{series_table(records)}\n\n{odd_table(records)}\n\n{flags_text(records)}")


if __name__ == "__main__":
    main()
