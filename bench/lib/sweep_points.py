"""The points of the sweep, and which of those measured cost more than their neighbours suggest: cliffs."""

import itertools
import math
from dataclasses import dataclass

WIDTH, BATCH, DEPTH, CLASSES = 256, 128, 2, 10  # the base net: one of the first three varies at a time
LIMIT = 1.5  # a point is a cliff if it costs more than this many times what is expected


@dataclass(frozen=True)
class Point:
    """A net and a batch.

    `at` is the size that the series varies; in the series "odd" it is the net's number. `rounded` marks the net that
    has the sizes of an odd net, rounded up.
    """

    series: str
    at: int
    sizes: tuple[int, ...]
    batch: int
    dtype: str
    rounded: bool = False

    @property
    def key(self):
        return key_of(vars(self))

    @property
    def products(self):
        """The multiply-adds of a forward pass."""
        return self.batch * sum(a * b for a, b in itertools.pairwise(self.sizes))


def key_of(record):
    """Return what identifies a point or its record."""
    return [record[name] for name in ("series", "at", "dtype", "rounded")]


def between(last):
    """Return the powers of two up to `last` and, between them, odd sizes."""
    powers = [1 << i for i in range(last.bit_length())]
    return sorted({*powers, *(math.isqrt(2 * n * n) | 1 for n in powers[1:-1])})


def stack(width, depth):
    """Return the sizes of a net with `depth` hidden layers, and as many inputs as each is wide."""
    return (width,) * (depth + 1) + (CLASSES,)


# Nets of odd sizes, with their batches.
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
    """Return the same net with widths of whole vectors at every ISA level, and a batch of whole tiles."""
    return tuple(round_up(n, 16) for n in sizes), round_up(batch, 8)


def points():
    """Return all points."""
    found = []
    for dtype in ("float32", "float64"):
        found += [Point("width", n, stack(n, DEPTH), BATCH, dtype) for n in between(4096) if n >= 8]
        found += [Point("batch", n, stack(WIDTH, DEPTH), n, dtype) for n in between(4096)]
        found += [Point("depth", n, stack(WIDTH, n), BATCH, dtype) for n in between(32)]
        for i, (sizes, batch) in enumerate(ODD):
            found.append(Point("odd", i, sizes, batch, dtype))
            found.append(Point("odd", i, *rounded(sizes, batch), dtype, rounded=True))
    return found


# ---- cliffs ----


def cost(record):
    """Return a step's time over its roofline."""
    return record["seconds"] / record["roofline"]


def series_of(records, name, dtype):
    """Return the records of a series, from the smallest size to the largest."""
    return sorted((r for r in records if (r["series"], r["dtype"]) == (name, dtype)), key=lambda r: r["at"])


def expected(series, i):
    """Return the cost expected of a series' i-th point from its neighbours, or None for the first point.

    It is the cost of the next smaller point, as the cost should not rise with the work. If the straight line between
    both neighbours, on logarithmic axes, is lower, it is that.
    """
    if i == 0:
        return None
    before = cost(series[i - 1])
    if i == len(series) - 1:
        return before
    low, here, high = (math.log(r["at"]) for r in series[i - 1 : i + 2])
    share = (here - low) / (high - low)
    return min(before, before ** (1 - share) * cost(series[i + 1]) ** share)


def odd_pairs(records):
    """Return the nets of odd sizes, each with its time over that of the net rounded up."""
    twins = {r["at"]: r for r in records if r["rounded"]}
    return [(r, r["seconds"] / twins[r["at"]]["seconds"]) for r in records if not r["rounded"] and r["at"] in twins]


def cliffs(records, limit=LIMIT):
    """Return each point that costs more than `limit` times what is expected, and how many times.

    A net of odd sizes is expected to take as long as the one with its sizes rounded up, which does more work.
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
        found += [(record, ratio) for record, ratio in odd_pairs(odd) if ratio > limit]
    return found
