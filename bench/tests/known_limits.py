"""Limits of an imaginary machine that does two of everything in a nanosecond."""

from bench.lib import machine
from bench.lib.probes import PROBES
from bench.lib.roofline import CACHES

TWOS = {
    "limits": [
        {"isa": "avx2", "dtype": "float32", "name": name if len(levels) == 1 else f"{name} {level}", "best": 2}
        for name, (*_, levels) in PROBES.items()
        for level in levels
    ],
    "caches": {level: {"bytes": 1 << size} for level, size in zip(CACHES, (15, 20, 25), strict=True)},
}


def limits_here():
    """Return the same limits in both types, with this machine's name and best level."""
    where = {**machine.describe(), "threads": 1}
    limits = [{**r, "isa": where["isa"], "dtype": dtype} for r in TWOS["limits"] for dtype in ("float32", "float64")]
    return {**TWOS, "machine": where, "limits": limits}
