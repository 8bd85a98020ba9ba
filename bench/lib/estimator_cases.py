"""The cases of `make bench-sklearn`: fits, updates, one-row predictions and a grid search of both MLPClassifiers."""

import functools
from dataclasses import dataclass, field
from pathlib import Path

SEARCH = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2], "learning_rate_init": [1e-3, 3e-3, 1e-2], "activation": ["relu", "tanh"]}


@dataclass(frozen=True)
class Case:
    """One comparison of fastnn's and scikit-learn's MLPClassifier with the same parameters."""

    family: str
    name: str
    shape: str
    dtype: str = "float64"
    count: int = 1  # epochs of a fit
    parameters: dict = field(default_factory=dict)
    data: Path | None = None

    @property
    def id(self):
        return f"{self.family} {self.name} {self.shape} {self.dtype}"

    def make(self, case):
        return functions_of(case)


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
    X, y = make_classification(500, inputs, n_informative=min(inputs, 10) - 1, n_redundant=0, random_state=0)
    return X.astype(dtype), y


def functions_of(case):
    """Return a function for each library: a fit of `case.count` epochs, an update, a prediction, or a search."""
    import sklearn.neural_network
    from sklearn.model_selection import GridSearchCV

    import fastnn.sklearn

    X, y = load(case.name, case.dtype, case.data)
    parameters = dict(case.parameters, random_state=0)
    if case.family == "fit":  # no early stop, whatever the loss does
        parameters |= {"max_iter": case.count, "n_iter_no_change": float("inf")}
    classes = {"scikit-learn": sklearn.neural_network.MLPClassifier, "native": fastnn.sklearn.MLPClassifier}
    nets = {name: kind(**parameters) for name, kind in classes.items()}
    if case.family == "predict":
        return {name: functools.partial(net.fit(X, y).predict_proba, X[:1]) for name, net in nets.items()}
    if case.family == "partial_fit":
        return {name: functools.partial(net.fit(X, y).partial_fit, X[:64], y[:64]) for name, net in nets.items()}
    if case.family == "search":
        nets = {name: GridSearchCV(net, SEARCH, cv=5, n_jobs=2) for name, net in nets.items()}
    return {name: functools.partial(net.fit, X, y) for name, net in nets.items()}


def cases(folder):
    """Return all cases; `folder` has the IDX files of Fashion-MNIST, or is None."""
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
