"""How many times as long scikit-learn's MLPClassifier takes as fastnn's: fits, updates, predictions, a grid search.

``python -m bench.run.estimators [-k TEXT] [--data DIR] [--seconds FACTOR] [OUT]`` writes JSON after every case; an
interrupted run is resumed. The time of a fit is that of an epoch, with a share of all that comes before and after the
epochs. DIR has the IDX files of Fashion-MNIST; without it pixels are random. The search runs on all cores, the rest on
one.
"""

import argparse
import gc
import os
import warnings
from pathlib import Path

from bench.lib import machine
from bench.lib.estimator_cases import cases
from bench.lib.records import resumed, write
from bench.lib.timing import key_of, measure

MEASURED = machine.ROOT / "build" / "sklearn.json"
BUDGET = {"fit": 10.0, "partial_fit": 2.0, "predict": 2.0, "search": 60.0}  # seconds for a case
ROUNDS = {"search": 3}  # rounds at least: a round of a search takes seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("-k", default="", help="only the cases whose id contains this text")
    parser.add_argument("--data", type=Path, help="the folder of Fashion-MNIST's IDX files")
    parser.add_argument("--seconds", type=float, default=1.0, help="factor on the time for each case")
    arguments = parser.parse_args()
    all_cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    machine.prepare()
    one_core = os.sched_getaffinity(0) if all_cores else None
    os.environ["PYTHONWARNINGS"] = "ignore"  # in the search's workers: most fits end before they have converged
    warnings.simplefilter("ignore")
    import sklearn  # imports NumPy, which must follow `prepare`

    where = machine.describe() | {"libraries": {"scikit-learn": sklearn.__version__}}
    results = resumed(arguments.out, where) or {"machine": where, "cases": []}
    measured = set(map(key_of, results["cases"]))
    gc.disable()
    for case in cases(arguments.data):
        if arguments.k in case.id and key_of(vars(case)) not in measured:
            if all_cores:
                os.sched_setaffinity(0, all_cores if case.family == "search" else one_core)
            budget = arguments.seconds * BUDGET[case.family]
            results["cases"].append(measure(case, budget, ROUNDS.get(case.family, 7)))
            write(arguments.out, results, "cases")
            print(case.id, results["cases"][-1]["ratios"], flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
