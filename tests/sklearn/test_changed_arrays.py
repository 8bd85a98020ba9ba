"""Changes that a callback makes to the arrays of a running fit: an error or no effect, never a crash."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

import fastnn
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 60


def calling(change):
    """Return a callback that calls a function at the end of the second epoch."""

    def on_epoch_end(self, trainer, logs):
        self.calls += 1
        if self.calls == 2:
            change()

    return type("Change", (fastnn.Callback,), {"on_epoch_end": on_epoch_end, "calls": 0})()


def data(kind):
    X = RNG.normal(size=(N, 4)).astype(np.float32)
    y = RNG.integers(0, 3, N) if kind is MLPClassifier else RNG.normal(size=N).astype(np.float32)
    return X, y, RNG.uniform(1, 2, N)


def estimator(kind, change):
    return kind(hidden_layer_sizes=(8,), random_state=0, max_iter=4, batch_size=7, callbacks=[calling(change)])


def reshape(array, shape):
    def change():
        array.shape = shape

    return change


# By name, functions of the arrays that return the change to make.
CHANGES = {
    "X": lambda X, y, w: reshape(X, (8, -1)),
    "y": lambda X, y, w: reshape(y, (2, -1)),
    "weights": lambda X, y, w: reshape(w, (-1, 1)),
    "labels": lambda X, y, w: lambda: y.__setitem__(slice(None), 10**6),
}


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_changes_have_no_effect(impl, kind, change):
    if change == "labels" and kind is MLPRegressor:
        return  # its targets are read in place, and any number is a valid target
    X, y, w = data(kind)
    same = estimator(kind, lambda: None).fit(X.copy(), y.copy(), w.copy())
    other = estimator(kind, CHANGES[change](X, y, w)).fit(X, y, w)
    for mine, theirs in zip(other.coefs_, same.coefs_, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_memory_of_x_cannot_be_freed_during_a_fit(impl, kind):
    X, y, w = data(kind)
    with pytest.raises(ValueError, match="cannot resize"):
        estimator(kind, lambda: X.resize(10**6, refcheck=False)).fit(X, y, w)
    estimator(kind, lambda: None).fit(X, y, w)
