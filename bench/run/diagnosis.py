"""What `fastnn.diagnose` says of nets with a planted fault, of healthy nets, and of published cases.

``python -m bench.run.diagnosis [OUT]`` measures all of them, writes JSON, and prints tables. ``--select`` chooses the
cases anew: it trains every candidate, and writes ``bench/diagnosis/cases.json``.
"""

import argparse
import functools
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from bench.lib import machine
from bench.lib.records import write
from bench.lib.tables.diagnosis import diagnosis_text

MEASURED = machine.ROOT / "build" / "diagnosis.json"
FAULTY, HEALTHY = 200, 200
PROVED = ("recommended", "before", "after", "improved")


def cases_of(part, n):
    """Return the first n cases of a part."""
    from bench.diagnosis import published, selection

    return {
        "faulty": selection.faulty_cases,
        "healthy": selection.healthy_cases,
        "published": published.published_cases,
    }[part](n)


def measure_one(part, n, proof, index):
    """Return the record of one case; a process of its own makes the cases that it needs."""
    import fastnn
    from bench.diagnosis import gains
    from bench.diagnosis.measure import measured

    case = _cases(part, n)[index]
    if part == "published":
        return gains.published(case, fastnn.diagnose)
    record = measured(case, fastnn.diagnose)[0]
    if not (proof and part == "faulty"):
        return record
    proved = gains.proof(case, fastnn.diagnose)
    return {**record, **{key: proved[key] for key in PROVED if key in proved}}


@functools.cache
def _cases(part, n):
    return cases_of(part, n)


def chosen(part, n, text):
    """Return the indices of the cases whose names contain a text."""
    return [i for i, case in enumerate(_cases(part, n)) if text in case.name]


def records_of(numbers, text, jobs, proof=False):
    """Yield a part and a record for each case, in order."""
    work = [(part, n, proof, i) for part, n in numbers.items() for i in chosen(part, n, text)]
    if jobs == 1:
        yield from ((part, measure_one(part, *rest)) for part, *rest in work)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from zip([part for part, *_ in work], pool.map(measure_one, *zip(*work, strict=True)), strict=True)


def arguments_of(line=None):
    """Return the arguments of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--faulty", type=int, default=FAULTY, help="how many nets with a planted fault")
    parser.add_argument("--healthy", type=int, default=HEALTHY, help="how many healthy nets")
    parser.add_argument("--published", action="store_true", help="the published cases as well, with what changes gain")
    parser.add_argument("--proof", action="store_true", help="what the first recommendations gain on rows held out")
    parser.add_argument("-k", dest="text", default="", help="only cases whose names contain this")
    parser.add_argument("--jobs", type=int, default=1, help="processes; times are worth something with one alone")
    parser.add_argument("--select", action="store_true", help="choose the cases anew, by training the candidates")
    return parser.parse_args(line)


def main():
    arguments = arguments_of()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    machine.prepare()
    if arguments.jobs > 1 and cores is not None:
        os.sched_setaffinity(0, cores)
    from bench.diagnosis import selection

    if arguments.select:
        parts = selection.select(arguments.faulty, arguments.healthy, arguments.jobs)
        print(", ".join(f"{len(records)} {name}" for name, records in parts.items()))
        return
    numbers = {"faulty": arguments.faulty, "healthy": arguments.healthy}
    if arguments.published:
        numbers["published"] = None
    results = {"machine": machine.describe(), "jobs": arguments.jobs, **{part: [] for part in numbers}}
    for part, record in records_of(numbers, arguments.text, arguments.jobs, arguments.proof):
        results[part].append(record)
        print(line_of(record), file=sys.stderr)
    write(arguments.out, results, *numbers)
    print(diagnosis_text(results))


def line_of(record):
    """Return what is said of a case in one line."""
    said = ", ".join(f"{kind} ({severity})" for kind, severity in record["findings"][:3])
    planted = "/".join(record["kinds"]) or "healthy"
    return f"{record['name']} [{planted}]: {said or record.get('error', 'nothing')}"


if __name__ == "__main__":
    main()
