"""How many times as long NumPy and the reference take: each case's sides in turns, in one process on one core.

``python bench/ratios.py [-k TEXT] [--seconds FACTOR] [OUT]`` writes JSON: for every case the seconds of each side and
the quartiles of ratios of neighbouring samples. What slows the machine for a while meets all sides of a round, so
ratios keep still where times do not.
"""

import argparse
import gc
import itertools
import json
import math
import statistics
import sys
import time
from pathlib import Path

import machine

SAMPLE = 5e-4  # seconds, at least, that a sample takes
ROUNDS = (7, 101)
BUDGET = {"step": 4.0, "epoch": 4.0, "predict": 1.0}  # seconds a case
KERNEL_BUDGET = 0.3


def sample(function, calls):
    """Return the seconds of a call, over some calls; one before them brings what it needs back into the caches."""
    function()
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        function()
    return (time.perf_counter() - start) / calls


def calls_of(function):
    function()
    return max(1, math.ceil(SAMPLE / sample(function, 3)))


def measure(case, budget):
    """Return the case's record."""
    sides = case.make(case)
    calls = {side: calls_of(function) for side, function in sides.items()}
    rounds = {side: [] for side in sides}
    deadline = time.perf_counter() + budget
    for count in range(1, ROUNDS[1] + 1):
        order = list(sides) if count % 2 else reversed(list(sides))
        for side in order:
            rounds[side].append(sample(sides[side], calls[side]))
        if count >= ROUNDS[0] and time.perf_counter() > deadline:
            break
    peers = [side for side in sides if side != "native"]
    ratios = {peer: [a / b for a, b in zip(rounds[peer], rounds["native"], strict=True)] for peer in peers}
    return {
        "family": case.family,
        "name": case.name,
        "shape": case.shape,
        "dtype": case.dtype,
        "rounds": len(rounds["native"]),
        "seconds": {side: _short(statistics.median(times) / case.count) for side, times in rounds.items()},
        "ratios": {peer: [_short(q) for q in statistics.quantiles(ratios[peer], n=4)] for peer in peers},
    }


def _short(value):
    return float(f"{value:.4g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=machine.ROOT / "build" / "ratios.json")
    parser.add_argument("-k", default="", help="only the cases whose id has this text")
    parser.add_argument("--seconds", type=float, default=1.0, help="factor on the time that each case has")
    arguments = parser.parse_args()
    machine.prepare()
    sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
    from cases import CASES  # it imports NumPy

    gc.disable()
    records = []
    for case in CASES:
        if arguments.k in case.id:
            records.append(measure(case, arguments.seconds * BUDGET.get(case.family, KERNEL_BUDGET)))
            print(case.id, records[-1]["ratios"]["numpy"], flush=True)
            gc.collect()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    head = json.dumps(machine.describe(), ensure_ascii=False)
    arguments.out.write_text(f'{{"machine": {head},\n"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
