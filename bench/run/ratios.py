"""How many times as long NumPy and the reference take as fastnn, for every case: kernels, steps, epochs, predictions.

``python -m bench.run.ratios [-k TEXT] [--seconds FACTOR] [OUT]`` writes JSON after every case: the seconds of each
implementation and the quartiles of the ratios of neighbouring samples. An interrupted run is resumed. ``--table``
prints what has been measured.
"""

import argparse
import gc
import json
from pathlib import Path

from bench.lib import machine
from bench.lib.records import resumed, write
from bench.lib.tables import ratios as tables
from bench.lib.timing import key_of, measure

MEASURED = machine.ROOT / "build" / "ratios.json"
BUDGET = {"step": 4.0, "epoch": 4.0, "predict": 1.0, "predictor": 1.0}  # seconds for a case
KERNEL_BUDGET = 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("-k", default="", help="only the cases whose id contains this text")
    parser.add_argument("--seconds", type=float, default=1.0, help="factor on the time for each case")
    parser.add_argument("--table", action="store_true", help="print a table of what has been measured, and stop")
    arguments = parser.parse_args()
    if not arguments.table:
        machine.prepare()
        run(arguments)
        return
    print(tables.every_case(json.loads(arguments.out.read_text())))


def run(arguments):
    """Measure the cases that the JSON does not have yet."""
    from bench.lib.cases import CASES  # imports NumPy, which must follow `prepare`

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
