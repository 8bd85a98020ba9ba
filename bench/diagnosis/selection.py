"""Chooses the faults that count and the nets that are healthy, by training them; the choice is in cases.json.

A planted fault counts if undoing it improves the mean figure of five seeds, on rows held out, by more than the larger
of the two standard deviations and by more than 0.03, and if the undone training is healthy: no training that differs
from it in one setting does better. Faults in the data that make them hard for any net have no healthy training.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from bench.diagnosis.base import draw, is_healthy
from bench.diagnosis.faults import FAULTS, KINDS, plant
from bench.diagnosis.training import Case, spread_of
from bench.lib.records import short

__all__ = ["CASES", "counts", "faulty_cases", "healthy_case", "healthy_cases", "select"]

CASES = Path(__file__).with_name("cases.json")
SEEDS = range(5)
LEAST = 0.03  # nobody calls less a fault
HEALTHY = 77  # of the streams of random numbers of healthy nets
ATTEMPTS = 80  # seeds of a fault that are tried


def counts(before, after):
    """Return whether figures after a fault is undone are better beyond their spread."""
    (low, spread), (high, other) = spread_of(before), spread_of(after)
    return high - low > max(spread, other, LEAST)


def healthy_case(seed):
    """Return a control: a training that should do well, as `is_healthy` says."""
    rng = np.random.default_rng([seed, HEALTHY])
    training = draw(rng)
    return Case(f"healthy, {seed}", (), training, fitted=bool(rng.random() < 0.5))


def faulty_cases(n, path=CASES):
    """Return the first n of the chosen cases, those of all kinds in turn."""
    return [plant(record["fault"], record["seed"]) for record in json.loads(path.read_text())["faulty"][:n]]


def healthy_cases(n, path=CASES):
    """Return the first n of the chosen healthy ones."""
    return [healthy_case(record["seed"]) for record in json.loads(path.read_text())["healthy"][:n]]


def _of_kind(kind, wanted, first):
    """Return records of as many faults of a kind as are wanted, taking the kind's faults in turn."""
    names = [name for name, fault in FAULTS.items() if fault.kinds[0] == kind]
    records = []
    for seed in range(first, first + ATTEMPTS):
        for name in names:
            if len(records) == wanted:
                return records
            record = _faulty_record(name, seed)
            if record is not None:
                records.append(record)
    return records


def _faulty_record(name, seed):
    case = plant(name, seed)
    before, after = case.faulty.figures(SEEDS), case.undone.figures(SEEDS)
    if not counts(before, after) or (FAULTS[name].healthy and not is_healthy(case.undone)[0]):
        return None
    figures = {key: [short(x) for x in spread_of(each)] for key, each in (("before", before), ("after", after))}
    return {"kind": case.kinds[0], "fault": name, "seed": seed, **figures}


def _healthy_record(seed):
    healthy, figure, best = is_healthy(healthy_case(seed).faulty)
    return {"seed": seed, "figure": short(figure), "best": short(best)} if healthy else None


def select(faulty, healthy, jobs, first=0):
    """Choose so many cases of each part, from a first seed on; return their records, with figures before and after."""
    share, rest = divmod(faulty, len(KINDS))
    numbers = [share + (i < rest) for i in range(len(KINDS))]
    with ProcessPoolExecutor(jobs) as pool:
        of_kinds = list(pool.map(_of_kind, KINDS, numbers, [first] * len(KINDS)))
        records, tried = [], first
        while len(records) < healthy and tried < first + 10 * healthy:
            part = range(tried, tried + 40)
            records += [record for record in pool.map(_healthy_record, part) if record is not None]
            tried = part.stop
    in_turn = [each[i] for i in range(max(numbers)) for each in of_kinds if i < len(each)]
    return {"faulty": in_turn, "healthy": records[:healthy]}
