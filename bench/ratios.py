"""How many times as long NumPy and the reference take: each case's sides in turns, in one process on one core.

``python bench/ratios.py [-k TEXT] [--seconds FACTOR] [OUT]`` writes JSON after every case: the seconds of each side and
the quartiles of ratios of neighbouring samples. What a run that was broken off has measured is kept.

What slows the machine for a while meets all sides of a round, so ratios keep still where times do not.
"""

import argparse
import gc
import itertools
import math
import statistics
import sys
import time
from pathlib import Path

import machine
from records import resumed, short, write

SAMPLE = 5e-4  # seconds, at least, that a sample takes
WARM = 2e-3  # seconds of calls, at most four, that come before: a last-level cache needs several to hold large arrays
LONG = 0.05  # seconds of a call that has use of what is in the caches before it for a small part alone
ROUNDS = (7, 101)
BUDGET = {"step": 4.0, "epoch": 4.0, "predict": 1.0}  # seconds a case
KERNEL_BUDGET = 0.3


def sample(function, warm, calls):
    """Return the seconds of a call, over some calls; those before bring what it needs back into the caches."""
    for _ in itertools.repeat(None, warm):
        function()
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        function()
    return (time.perf_counter() - start) / calls


def calls_of(function):
    """Return how many calls come before a sample, and how many it consists of."""
    if sample(function, 1, 1) > LONG:
        return 0, 1
    seconds = sample(function, 1, 3)
    return min(4, math.ceil(WARM / seconds)), math.ceil(SAMPLE / seconds)


def measure(case, budget, least=ROUNDS[0]):
    """Return the case's record, of at least so many rounds."""
    sides = case.make(case)
    calls = {side: calls_of(function) for side, function in sides.items()}
    rounds = {side: [] for side in sides}
    deadline = time.perf_counter() + budget
    for count in range(1, ROUNDS[1] + 1):
        order = list(sides) if count % 2 else reversed(list(sides))
        for side in order:
            rounds[side].append(sample(sides[side], *calls[side]))
        if count >= least and time.perf_counter() > deadline:
            break
    peers = [side for side in sides if side != "native"]
    ratios = {peer: [a / b for a, b in zip(rounds[peer], rounds["native"], strict=True)] for peer in peers}
    return {
        "family": case.family,
        "name": case.name,
        "shape": case.shape,
        "dtype": case.dtype,
        "rounds": len(rounds["native"]),
        "seconds": {side: short(statistics.median(times) / case.count) for side, times in rounds.items()},
        "ratios": {peer: [short(q) for q in statistics.quantiles(ratios[peer], n=4)] for peer in peers},
    }


def key_of(case):
    """Return what tells a case or its record from others."""
    return tuple(case[name] for name in ("family", "name", "shape", "dtype"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=machine.ROOT / "build" / "ratios.json")
    parser.add_argument("-k", default="", help="only the cases whose id has this text")
    parser.add_argument("--seconds", type=float, default=1.0, help="factor on the time that each case has")
    arguments = parser.parse_args()
    machine.prepare()
    sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
    from cases import CASES  # it imports NumPy

    where = machine.describe()
    results = resumed(arguments.out, where) or {"machine": where, "cases": []}
    measured = set(map(key_of, results["cases"]))
    gc.disable()
    for case in CASES:
        if arguments.k in case.id and key_of(vars(case)) not in measured:
            results["cases"].append(measure(case, arguments.seconds * BUDGET.get(case.family, KERNEL_BUDGET)))
            write(arguments.out, results, "cases")
            print(case.id, results["cases"][-1]["ratios"]["numpy"], flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
