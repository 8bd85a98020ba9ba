"""How long single calls take: not on average, but the slowest of a thousand as well."""

import array
import math
import time

from bench.lib.records import short

SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


def percentiles(values):
    """Return the least value that these shares of the values do not exceed."""
    ranked = sorted(values)
    return {name: ranked[max(0, math.ceil(share * len(ranked) - 1e-9) - 1)] for name, share in SHARES.items()}


def seconds_of_calls(functions, blocks, calls, clock=time.perf_counter_ns):
    """Return the percentiles of each function's calls, in seconds: its blocks of calls alternate with those of others.

    A time contains one reading of the clock, the same for all.
    """
    times = {name: array.array("q", bytes(8 * blocks * calls)) for name in functions}
    for function in functions.values():
        function()
    for block in range(blocks):
        for name in functions if block % 2 else reversed(functions):
            _run(functions[name], times[name], block * calls, (block + 1) * calls, clock)
    return {name: {k: short(v / 1e9) for k, v in percentiles(own).items()} for name, own in times.items()}


def _run(function, times, first, last, clock):
    for i in range(first, last):
        start = clock()
        function()
        times[i] = clock() - start
