"""Times the implementations of a case in turns, in one process on one core.

A slow phase of the machine affects all implementations in a round, so ratios are stable where times are not.
"""

import itertools
import math
import statistics
import time

from bench.lib.records import short

SAMPLE = 5e-4  # seconds that a sample takes at least
WARM = 2e-3  # seconds of untimed calls before a sample, at most four: a last-level cache needs several for large arrays
LONG = 0.05  # seconds of a call from which on it is not warmed: what the caches hold before it matters little
ROUNDS = (7, 101)  # at least and at most


def sample(function, warm, calls):
    """Return the seconds of a call, averaged over some calls, after `warm` calls that refill the caches."""
    for _ in itertools.repeat(None, warm):
        function()
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        function()
    return (time.perf_counter() - start) / calls


def calls_of(function):
    """Return the number of untimed calls before a sample and the number of calls in it."""
    if sample(function, 1, 1) > LONG:
        return 0, 1
    seconds = sample(function, 1, 3)
    return min(4, math.ceil(WARM / seconds)), math.ceil(SAMPLE / seconds)


def fastest(functions, rounds=3):
    """Return the name of the function whose calls take least, each in its best round."""
    if len(functions) == 1:
        return next(iter(functions))
    times = [{name: sample(function, 1, 2) for name, function in functions.items()} for _ in range(rounds)]
    return min(functions, key=lambda name: min(each[name] for each in times))


def measure(case, budget, least=ROUNDS[0]):
    """Return the case's record, measured for `budget` seconds and at least `least` rounds.

    The record has the median seconds of each implementation, and for each one but the native the quartiles of its time
    over the native's in the same round.
    """
    functions = case.make(case)
    calls = {name: calls_of(function) for name, function in functions.items()}
    rounds = {name: [] for name in functions}
    deadline = time.perf_counter() + budget
    for count in range(1, ROUNDS[1] + 1):
        order = list(functions) if count % 2 else reversed(list(functions))
        for name in order:
            rounds[name].append(sample(functions[name], *calls[name]))
        if count >= least and time.perf_counter() > deadline:
            break
    peers = [name for name in functions if name != "native"]
    ratios = {peer: [a / b for a, b in zip(rounds[peer], rounds["native"], strict=True)] for peer in peers}
    return {
        "family": case.family,
        "name": case.name,
        "shape": case.shape,
        "dtype": case.dtype,
        "rounds": len(rounds["native"]),
        "seconds": {name: short(statistics.median(times) / case.count) for name, times in rounds.items()},
        "ratios": {peer: [short(q) for q in statistics.quantiles(ratios[peer], n=4)] for peer in peers},
    }


def key_of(case):
    """Return what identifies a case or its record."""
    return tuple(case[name] for name in ("family", "name", "shape", "dtype"))
