"""How many times as long scikit-learn's perceptrons take: fits, small updates, one-row predictions and a grid search.

``python bench/sklearn_door.py [-k TEXT] [--data DIR] [--seconds FACTOR] [OUT]`` writes JSON after every case, as
ratios.py does. Fits are told by the epoch, with all that comes before and after the epochs; DIR has the IDX files of
Fashion-MNIST, without which pixels are random. The search runs on all cores, the rest on one.
"""

import argparse
import functools
import gc
import os
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import machine
from records import resumed, write

BUDGET = {"fit": 10.0, "partial_fit": 2.0, "predict": 2.0, "search": 60.0}  # seconds a case
ROUNDS = {"search": 3}  # least ones; each takes that long
SEARCH = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2], "learning_rate_init": [1e-3, 3e-3, 1e-2], "activation": ["relu", "tanh"]}


@dataclass(frozen=True)
class Case:
    """One comparison of estimators with these parameters: `make` returns a function for each side."""

    family: str
    name: str
    shape: str
    dtype: str = "float64"
    count: int = 1
    parameters: dict = field(default_factory=dict)
    data: Path | None = None

    @property
    def id(self):
        return f"{self.family} {self.name} {self.shape} {self.dtype}"

    def make(self, case):
        return sides_of(case)


def load(name, dtype, folder):
    """Return the examples of a case."""
    import numpy as np
    from sklearn.datasets import load_digits, load_iris, make_classification

    if name.startswith(("Fashion-MNIST", "random")):
        if folder is None:
            rng = np.random.default_rng(0)
            return rng.random((12_800, 784)).astype(dtype), rng.integers(0, 10, 12_800)
        from fastnn.data import read_idx

        X, y = (read_idx(folder / f"train-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        return X.reshape(len(X), -1).astype(dtype) / np.dtype(dtype).type(255), y
    if name.startswith(("iris", "digits")):
        X, y = (load_iris if name.startswith("iris") else load_digits)(return_X_y=True)
        return X.astype(dtype), y
    inputs = int(name.partition("-")[0])
    return make_classification(500, inputs, n_informative=min(inputs, 10) - 1, n_redundant=0, random_state=0)


def sides_of(case):
    """Return a function for each side: a fit of so many epochs, an update, a prediction, or a search."""
    import sklearn.neural_network
    from sklearn.model_selection import GridSearchCV

    import fastnn.sklearn

    X, y = load(case.name, case.dtype, case.data)
    parameters = dict(case.parameters, random_state=0)
    if case.family == "fit":  # to the last epoch, whatever the loss does
        parameters |= {"max_iter": case.count, "n_iter_no_change": float("inf")}
    sides = {"scikit-learn": sklearn.neural_network.MLPClassifier, "native": fastnn.sklearn.MLPClassifier}
    nets = {side: kind(**parameters) for side, kind in sides.items()}
    if case.family == "predict":
        return {side: functools.partial(net.fit(X, y).predict_proba, X[:1]) for side, net in nets.items()}
    if case.family == "partial_fit":
        return {side: functools.partial(net.fit(X, y).partial_fit, X[:64], y[:64]) for side, net in nets.items()}
    if case.family == "search":
        nets = {side: GridSearchCV(net, SEARCH, cv=5, n_jobs=2) for side, net in nets.items()}
    return {side: functools.partial(net.fit, X, y) for side, net in nets.items()}


def cases(folder):
    """Return what is measured."""
    layers = {"hidden_layer_sizes": (256, 128), "batch_size": 128}
    small = {"hidden_layer_sizes": (64, 64), "max_iter": 20}
    fashion = "Fashion-MNIST 784-256-128-10" if folder else "random pixels 784-256-128-10"
    grid = "24 nets, 5 folds of 500 rows, 2 processes"
    return [
        Case("fit", "iris 4-100-3", "default settings", count=200, data=folder),
        Case("fit", "digits 64-100-10", "default settings", count=40, data=folder),
        Case("fit", fashion, "batch 128", "float32", 2, layers, folder),
        Case("fit", fashion, "batch 128", "float64", 2, layers, folder),
        Case("partial_fit", "4-64-64-2", "64 rows", parameters=small),
        Case("predict", "4-64-64-2", "1 row", parameters=small),
        Case("search", "20-32-2", grid, parameters={"hidden_layer_sizes": (32,)}),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=machine.ROOT / "build" / "sklearn.json")
    parser.add_argument("-k", default="", help="only the cases whose id has this text")
    parser.add_argument("--data", type=Path, help="the folder of Fashion-MNIST's IDX files")
    parser.add_argument("--seconds", type=float, default=1.0, help="factor on the time that each case has")
    arguments = parser.parse_args()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    machine.prepare()
    one = os.sched_getaffinity(0) if cores else None
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the search's workers: most fits end before they have converged
    warnings.simplefilter("ignore")
    sys.path.append(str(machine.ROOT / "tests"))  # pytest's setting is not read here
    import sklearn
    from ratios import key_of, measure

    where = machine.describe() | {"libraries": {"scikit-learn": sklearn.__version__}}
    results = resumed(arguments.out, where) or {"machine": where, "cases": []}
    measured = set(map(key_of, results["cases"]))
    gc.disable()
    for case in cases(arguments.data):
        if arguments.k in case.id and key_of(vars(case)) not in measured:
            if cores:
                os.sched_setaffinity(0, cores if case.family == "search" else one)
            budget = arguments.seconds * BUDGET[case.family]
            results["cases"].append(measure(case, budget, ROUNDS.get(case.family, 7)))
            write(arguments.out, results, "cases")
            print(case.id, results["cases"][-1]["ratios"], flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
