"""What `fastnn.diagnose` says of nets with a planted fault, of healthy nets, and of published cases.

``python -m bench.run.diagnosis [OUT]`` measures all of them, writes JSON, and prints tables. ``--select`` chooses the
cases anew: it trains every candidate, and writes ``bench/diagnosis/cases.json``. To measure with cases that nobody has
seen, write ``--select --first-seed 1000 --cases build/cases.json``, then ``--cases build/cases.json``.
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
CASES = machine.ROOT / "bench" / "diagnosis" / "cases.json"
PROVED = ("recommended", "before", "after", "improved", "error")


@functools.cache
def cases_of(part, n, path):
    """Return the first n cases of a part; the chosen ones are those of a file."""
    from bench.diagnosis import published, selection

    if part == "published":
        return published.published_cases()
    return {"faulty": selection.faulty_cases, "healthy": selection.healthy_cases}[part](n, path)


def measure_one(cases, index, proof):
    """Return the record of one case; a process of its own makes the cases, of which `cases` are the arguments."""
    import fastnn
    from bench.diagnosis import gains
    from bench.diagnosis.measure import measured

    part, case = cases[0], cases_of(*cases)[index]
    if part == "published":
        return gains.published(case, fastnn.diagnose)
    record = measured(case, fastnn.diagnose)[0]
    if not (proof and part == "faulty"):
        return record
    proved = gains.proof(case, fastnn.diagnose)
    return {**record, **{key: proved[key] for key in PROVED if key in proved}}


def records_of(numbers, arguments):
    """Yield a part and a record for each case, in order; `numbers` says how many of each part."""
    parts = [(part, n, arguments.cases) for part, n in numbers.items()]
    work = [
        (cases, i, arguments.proof)
        for cases in parts
        for i, case in enumerate(cases_of(*cases))
        if arguments.text in case.name
    ]
    names = [cases[0] for cases, *_ in work]
    if arguments.jobs == 1:
        yield from zip(names, (measure_one(*each) for each in work), strict=True)
    elif work:
        with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
            yield from zip(names, pool.map(measure_one, *zip(*work, strict=True)), strict=True)


def arguments_of():
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
    parser.add_argument("--cases", type=Path, default=CASES, help="the file of the chosen cases")
    parser.add_argument("--first-seed", type=int, default=0, help="with --select: from which seed on")
    return parser.parse_args()


def main():
    arguments = arguments_of()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    machine.prepare()
    if arguments.jobs > 1 and cores is not None:
        os.sched_setaffinity(0, cores)
    from bench.diagnosis import selection

    if arguments.select:
        choice = selection.select(arguments.faulty, arguments.healthy, arguments.jobs, arguments.first_seed)
        write(arguments.cases, choice, *choice)
        print(", ".join(f"{len(records)} {name}" for name, records in choice.items()))
        return
    numbers = {"faulty": arguments.faulty, "healthy": arguments.healthy}
    if arguments.published:
        numbers["published"] = None
    results = {"machine": machine.describe(), "jobs": arguments.jobs, **{part: [] for part in numbers}}
    for part, record in records_of(numbers, arguments):
        results[part].append(record)
        write(arguments.out, results, *numbers)
        print(line_of(record), file=sys.stderr)
    print(diagnosis_text(results))


def line_of(record):
    """Return what is said of a case in one line."""
    said = ", ".join(f"{kind} ({severity})" for kind, severity in record["findings"][:3])
    planted = "/".join(record["kinds"]) or "healthy"
    return f"{record['name']} [{planted}]: {said or record.get('error', 'nothing')}"


if __name__ == "__main__":
    main()
