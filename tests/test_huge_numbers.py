"""Errors for numbers too large for arrays, floats, or even for Python to print name the argument."""

import fractions
import inspect
import re

import numpy as np
import pytest
from specs import SPECS

import fastnn
from fastnn import _validation as v
from fastnn import kernels, nn, optim
from fastnn.data import Scaler
from fastnn.training import callbacks

HUGE = (10**400, -(10**400), 10**5000, -(10**5000))  # str() of the last two is a ValueError
X, Y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2

# Arguments that have no default.
NEEDED = {
    "in_features": 3, "out_features": 4, "features": 3, "num_features": 3, "threshold": 0.1, "value": 0.1,
    "quantiles": [0.5], "step_size": 3, "milestones": [3], "gamma": 0.5, "T_max": 5, "T_0": 5, "max_lr": 0.1,
    "total_steps": 9, "decay": 0.1, "factor": 0.5, "factors": [1.0], "after": optim.StepLR(3), "pattern": "*",
    "schedules": [optim.StepLR(3)], "forward": np.tanh, "backward": np.tanh, "columns": [0],
    "heads": [("mean_squared_error", 1)], "num_embeddings": 3, "dim": 2, "cardinalities": [3, 2], "dims": [2, 1],
    "bins": [[0.0, 1.0]],
}  # fmt: skip

NO_NUMBERS = (nn.Sequential, nn.CustomLoss, nn.Predictor)  # no arguments that are numbers, or they are listed below


def classes():
    for module in (nn, optim, callbacks):
        for name in module.__all__:
            one = getattr(module, name)
            if inspect.isclass(one) and not inspect.isabstract(one) and one not in NO_NUMBERS:
                yield one


def parameters(function, but=()):
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [k for k, p in inspect.signature(function).parameters.items() if p.kind not in kinds and k not in but]


def calls():
    """Yield every public way to give a number: a label, the argument's name, and a function to call with the number."""
    for one in classes():
        without = [k for k, p in inspect.signature(one).parameters.items() if p.default is p.empty]
        needed = {k: NEEDED[k] for k in without if k in NEEDED}
        for name in parameters(one):
            yield f"{one.__name__}({name})", name, lambda n, one=one, k=name, needed=needed: one(**needed | {k: n})
    for spec in SPECS:
        arguments = spec.make(np.random.default_rng(0), spec.shapes[-1], np.dtype(np.float64))
        function = getattr(kernels, spec.function or spec.name)
        for name in parameters(function, spec.inputs(arguments)):
            yield f"{spec.name}({name})", name, lambda n, f=function, a=arguments, k=name: f(**a | {k: n})
    for name in parameters(fastnn.Trainer, ("net",)):
        yield f"Trainer({name})", name, lambda n, k=name: fastnn.Trainer(net(), **{k: n})
    given = {"X": X, "y": Y, "epochs": 1, "verbose": 0}
    for name in parameters(fastnn.Trainer.fit, ("self",)):
        yield f"fit({name})", name, lambda n, k=name: fastnn.Trainer(net()).fit(**given | {k: n})
    for name in ("step_count", "epoch", "training_steps", "lr", "history", "slots", "optimizer"):
        yield f"load_state_dict({name})", name, lambda n, k=name: load(**{k: n})
    yield "a figure", "history", lambda n: load(history=[{"loss": n}])
    yield "Sequential(seed)", "seed", lambda n: nn.Sequential(nn.Dense(3, 2), seed=n)
    yield "Sequential(dtype)", "dtype", lambda n: nn.Sequential(nn.Dense(3, 2), dtype=n)
    yield "predictor", "rows", lambda n: net().predictor(n)
    yield "num_threads", "n", fastnn.num_threads
    yield "set_num_threads", "n", fastnn.set_num_threads
    yield "backend", "name", fastnn.backend
    yield "lr", "lr", lambda n: setattr(fastnn.Trainer(net()), "lr", n)
    yield "center", "center", lambda n: setattr(net(), "scaler", Scaler(n, 1))
    yield "scale", "scale", lambda n: setattr(net(), "scaler", Scaler(0, n))
    yield "output_scaler", "center", lambda n: setattr(net(), "output_scaler", (n, 1))


def net():
    return nn.Sequential(nn.Dense(3, 2), seed=0)


def load(**changed):
    trainer = fastnn.Trainer(net())
    trainer.fit(X, Y, epochs=1, verbose=0)
    trainer.load_state_dict(trainer.state_dict() | changed)


FLAGS = {"restore_best", "shuffle"}  # any object is true or false
CALLS = [
    pytest.param(name, call, id=label.replace(" ", "_"))
    for label, name, call in calls()
    if label != "ProgressBar(epochs)"  # shows whatever it is given
]


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_the_argument_is_named(name, call):
    for number in HUGE:
        try:
            call(number)
        except (TypeError, ValueError) as error:
            message = str(error)
            # The message may name another argument, for which this number is a bound.
            assert re.search(rf"\b({name}|max_val|b)\b", message), message
            assert "digits" not in message or "an integer of" in message
            assert len(message) < 800
        else:
            assert name in FLAGS, number


sklearn = pytest.importorskip("sklearn")


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_estimators_name_the_parameter(kind):
    import fastnn.sklearn as estimators

    estimator = getattr(estimators, kind)
    for name in parameters(estimator):
        for number in HUGE:
            for value in (number, [number], (1, number)):
                with pytest.raises(
                    ValueError, match=rf"^{name} must be a number that a float holds, got an integer of"
                ):
                    estimator(**{name: value}).fit(X, Y)
    for width in (2**62, 2**63, 10**300):
        with pytest.raises(ValueError, match=r"^hidden_layer_sizes must have at most \d+ bytes"):
            estimator(hidden_layer_sizes=(3, width)).fit(X, Y)


class Odd:
    def __repr__(self):
        raise RuntimeError("no repr")


# Not by `parametrize`, which would print them.
SHOWN = [
    (3, "3"),
    (-(2**255), str(-(2**255))),
    (10**400, "an integer of 401 digits"),
    (-(10**5000), "an integer of 5001 digits"),
    ([10**5000], "a list that cannot be shown"),
    ({"a": fractions.Fraction(10**5000, 3)}, "a dict that cannot be shown"),
    (Odd(), "a Odd that cannot be shown"),
    (np.arange(3), "array([0, 1, 2])"),
    (np.zeros((3, 4)), "an array of shape (3, 4)"),
    ([np.zeros((2, 2))], "[array([[0., 0.], [0., 0.]])]"),
    ("x" * 9, "'xxxxxxxxx'"),
    ("x" * 5000, "'" + "x" * 269 + "..." + "x" * 19 + "'"),
]


def test_what_is_shown_of_a_value():
    for value, expected in SHOWN:
        assert v.shown(value) == expected


def test_integers_are_at_most_the_largest_int64():
    assert v.integer("n", 2**63 - 1, 0) == v.integer("n", np.uint64(2**63 - 1), 0) == 2**63 - 1
    for large in (2**63, np.uint64(2**63), 10**5000):
        with pytest.raises(ValueError, match=r"^n must be an integer from 3 to 9223372036854775807, got "):
            v.integer("n", large, 3)
    assert v.integer("seed", 2**64 - 1, 0, 2**64 - 1) == 2**64 - 1
    with pytest.raises(
        ValueError, match=r"^x must be a finite number of at least 0, got a number too large for a float$"
    ):
        v.real("x", fractions.Fraction(10**5000, 3), 0)
