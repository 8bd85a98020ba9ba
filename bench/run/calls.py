"""What one call costs: predictions of a few rows, single steps, kernels on small arrays, and the slowest of many calls.

``python -m bench.run.calls [-k TEXT] [--fast] [OUT]`` checks that the peers' outputs are fastnn's, measures, and writes
JSON after every case, as bench.run.peers does; an interrupted run is resumed. What the installed fastnn lacks is left
out: to measure an older one, set ``PYTHONPATH`` to its built ``src``, and OUT to build/calls-before.json. ``--table``
prints what has been measured, or, of two files, what there is now and what there was before.
"""

import argparse
import gc
import json
import warnings
from pathlib import Path

from bench.lib import machine
from bench.lib.records import resumed, write
from bench.lib.timing import key_of, measure
from bench.run.peers import versions

MEASURED = machine.ROOT / "build" / "calls.json"
LIBRARIES = ("onnxruntime", "torch", "scikit-learn")
# Seconds for a case.
BUDGET = {"predictor": 3.0, "predict": 3.0, "step": 15.0, "batch": 8.0, "partial_fit": 4.0, "kernel": 0.5}
ROUNDS = 21  # at least
BLOCKS, CALLS = 100, 1000  # of each function whose slowest calls are looked for


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="*", type=Path, help="the JSON file; by default build/calls.json")
    parser.add_argument("-k", default="", help="only the cases whose id contains this text")
    parser.add_argument("--seconds", type=float, default=1.0, help="factor on the time for each case")
    parser.add_argument("--fast", action="store_true", help="a few cases, rounds and calls, to see that it runs")
    parser.add_argument("--table", action="store_true", help="print tables of what these files hold, and stop")
    arguments = parser.parse_args()
    outs = arguments.out or [MEASURED]
    if arguments.table:
        from bench.lib.tables.calls import calls_text

        print(calls_text(*(json.loads(out.read_text()) for out in outs)))
        return
    (out,) = outs
    machine.prepare()
    warnings.simplefilter("ignore")  # scikit-learn's, of fits that end before they have converged
    run(out, arguments)


def run(out, arguments):
    """Measure the cases that the JSON does not have yet."""
    from bench.lib.call_cases import cases  # imports NumPy, which must follow `prepare`

    where = {**machine.describe(), "libraries": versions(LIBRARIES)}
    notes = {"missing": {}, "losses differ by": {}, "chosen": {}}
    results = resumed(out, where) or {"machine": where, **notes, "cases": [], "tails": []}
    measured = {key_of(record) for record in results["cases"]}
    fast = arguments.fast
    gc.disable()
    for case in cases(fast, *(results[note] for note in notes)):
        if arguments.k in case.id and key_of(vars(case)) not in measured:
            budget = 0 if fast else arguments.seconds * BUDGET[case.family]
            record = measure(case, budget, 3 if fast else ROUNDS)
            results["cases"].append(record)
            write(out, results, "cases", "tails")
            print(case.id, {peer: q[1] for peer, q in record["ratios"].items()}, flush=True)
            gc.collect()
    gc.enable()
    measure_tails(out, results, arguments)
    for name, reason in results["missing"].items():
        print(f"No {name}: {reason}.")


def measure_tails(out, results, arguments):
    """Measure single calls of one row, with the garbage collection that a user has."""
    from bench.lib.call_cases import tail_functions
    from bench.lib.latency import seconds_of_calls
    from bench.lib.nets import CALLED

    measured = {record["name"] for record in results["tails"]}
    blocks, calls = (2, 50) if arguments.fast else (BLOCKS, CALLS)
    for config in CALLED[:1] if arguments.fast else CALLED:
        if arguments.k in f"tail-{config.title}" and config.title not in measured:
            functions = tail_functions(config, results["missing"], results["chosen"])
            seconds = seconds_of_calls(functions, blocks, calls)
            results["tails"].append({"name": config.title, "calls": blocks * calls, "seconds": seconds})
            write(out, results, "cases", "tails")
            print(f"tail-{config.title}", {name: each["p99.9"] for name, each in seconds.items()}, flush=True)


if __name__ == "__main__":
    main()
