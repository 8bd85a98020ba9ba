"""A `partial_fit` that repeats the one before does exactly what the general way does, and all others take that way."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from training_process import in_two_threads, run

import fastnn
from fastnn import nn
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.sklearn._repeated import RepeatedFit

BACKENDS = pytest.mark.parametrize("backend", ["native", "reference"])


@pytest.fixture
def repeats(monkeypatch):
    """Return a list to which each call that may be a repeated fit appends whether it is; `repeats.off` forbids it."""

    class Calls(list):
        off = False

    calls, run_repeated = Calls(), RepeatedFit.run

    def recording(self, *args):
        if calls.off:
            return False
        calls.append(True)  # also if it raises an error: the general way comes after the return
        calls[-1] = run_repeated(self, *args)
        return calls[-1]

    monkeypatch.setattr(RepeatedFit, "run", recording)
    return calls


def copied(value):
    return [np.copy(each) for each in value] if isinstance(value, list) else copy.copy(value)


def state_of(estimator):
    """Return everything that a call sets."""
    public = {name: copied(value) for name, value in vars(estimator).items() if name[0] != "_" and name[-1] == "_"}
    optimizer = vars(estimator._optimizer).copy()
    slots = [array.copy() for slot in optimizer.pop("slots") for array in slot]
    average = optimizer.pop("average")
    average = None if average is None else (*vars(average.average).values(), *average.trained)
    private = [estimator._no_improvement_count, estimator._training_steps, estimator._random_state.get_state()]
    return public, optimizer, slots, average, private


def assert_same(one, other):
    first, second = state_of(one), state_of(other)
    np.testing.assert_equal(first, second)
    for name, value in first[0].items():
        assert type(value) is type(second[0][name]), name


def batches(rng, classes, sizes=(30, 30, 12, 30, 1, 30, 30), dtype=np.float64):
    for n in sizes:
        yield rng.normal(size=(n, 4)).astype(dtype), rng.integers(0, classes, n)


# Parameters, and whether later calls with plain rows are repeated.
PARAMETERS = {
    "defaults": ({}, True),
    "relu, sgd": ({"solver": "sgd", "activation": "relu", "learning_rate_init": 0.1}, True),
    "no momentum": ({"solver": "sgd", "momentum": 0.0, "alpha": 0.1}, True),
    "not shuffled": ({"shuffle": False}, True),
    "global generator": ({"random_state": None}, True),
    "batch size of the rows": ({"batch_size": 30}, True),
    "small batches": ({"batch_size": 10}, False),
    "float32": ({"dtype": "float32"}, True),
    "norm, dropout": ({"batch_norm": True, "dropout": 0.2}, True),
    "layer norm, clipped": ({"norm": "layer", "clip_norm": 0.1, "clip_value": 0.01}, True),
    "another optimiser": ({"optimizer": "rmsprop", "weight_decay": 0.01}, True),
    "a stopping rule": ({"n_iter_no_change": 1, "tol": 100.0}, True),
    "diverging": ({"solver": "sgd", "learning_rate_init": 1e150}, True),
    "falling rate": ({"solver": "sgd", "learning_rate": "invscaling"}, False),
    "adaptive rate": ({"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 100.0}, False),
    "sizes in a list": ({"hidden_layer_sizes": [5, 5]}, False),
    "schedule": ({"schedule": "cosine"}, False),
    "accumulate": ({"accumulate": 2}, False),
    "average": ({"average": "ema"}, False),
    "augment": ({"augment": "gaussian_noise"}, False),
    "scale": ({"scale": "standard"}, False),
    "threads": ({"n_threads": 1}, False),
    "warm start": ({"warm_start": True}, False),
}


def compare(estimator, stream, repeats, repeated, first):
    """Compare calls with those of a twin on the general way."""
    twin = copy.deepcopy(estimator)
    repeats.clear()
    sizes = []
    for i, (X, y) in enumerate(stream):
        arguments = (X, y, None, *first) if i == 0 else (X, y)
        results = []
        for each, off in ((estimator, False), (twin, True)):
            repeats.off = off
            if each.random_state is None:
                np.random.seed(i)  # noqa: NPY002 - the global generator is what is tested
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    assert each.partial_fit(*arguments) is each
                    results.append([str(one.message) for one in caught])
                except ValueError as error:
                    results.append([str(error)])
        assert results[0] == results[1]
        sizes.append(len(X))
        assert_same(estimator, twin)
    if repeated:
        assert repeats == [estimator.batch_size in ("auto", size) for size in sizes[1:]]
    else:
        assert not any(repeats)


@pytest.mark.sampled(5)
@BACKENDS
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("parameters", "repeated"), PARAMETERS.values(), ids=PARAMETERS)
def test_classifiers(parameters, repeated, classes, backend, rng, repeats):
    with fastnn.backend(backend):
        estimator = MLPClassifier(
            **{"hidden_layer_sizes": (6, 5), "activation": "tanh", "random_state": 3} | parameters
        )
        sizes = (30, 30, 12, 30, 30, 30) if parameters.get("batch_norm") else (30, 30, 12, 30, 1, 30, 30)
        known = np.arange(classes)
        stream = batches(rng, classes, sizes)
        if parameters.get("warm_start"):
            stream = ((X, np.resize(known, len(X))) for X, _ in batches(rng, classes, (30, 30, 12)))
        compare(estimator, stream, repeats, repeated, (known,))


@pytest.mark.sampled(5)
@BACKENDS
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(("parameters", "repeated"), PARAMETERS.values(), ids=PARAMETERS)
def test_regressors(parameters, repeated, outputs, backend, rng, repeats):
    with fastnn.backend(backend):
        estimator = MLPRegressor(**{"hidden_layer_sizes": (6, 5), "activation": "tanh", "random_state": 3} | parameters)
        sizes = (30, 30, 12, 30, 30) if parameters.get("batch_norm") else (30, 30, 12, 1, 30, 30)
        stream = [(X, rng.normal(size=(len(X), outputs)[: 1 + (outputs > 1)])) for X, _ in batches(rng, 2, sizes)]
        compare(estimator, stream, repeats, repeated, ())


LOSSES = {
    "hinge": (MLPClassifier, nn.HingeLoss(), 2, True),
    "squared hinge of three": (MLPClassifier, nn.MultiMarginLoss(), 3, True),
    "smooth labels": (MLPClassifier, nn.CrossEntropyLoss(label_smoothing=0.1), 3, True),
    "class weights": (MLPClassifier, nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]), 3, True),
    "binary": (MLPClassifier, nn.BCEWithLogitsLoss(), 2, True),
    "huber": (MLPRegressor, "huber", 0, True),
    "poisson": (MLPRegressor, "poisson", 0, True),
}


@BACKENDS
@pytest.mark.parametrize(("kind", "loss", "classes", "repeated"), LOSSES.values(), ids=LOSSES)
def test_losses(kind, loss, classes, repeated, backend, rng, repeats):
    with fastnn.backend(backend):
        estimator = kind(hidden_layer_sizes=(5,), loss=loss, random_state=0)
        stream = list(batches(rng, classes or 5, (30, 30, 20)))
        stream = stream if classes else [(X, y.astype(float)) for X, y in stream]
        compare(estimator, stream, repeats, repeated, (np.arange(classes),) if classes else ())


def test_labels_that_are_text(rng, repeats):
    names = np.array(["no", "yes", "perhaps"])
    for known in (names, names[:2]):
        stream = [(X, np.sort(known)[y]) for X, y in batches(rng, len(known))]
        compare(MLPClassifier((5,), random_state=0), stream, repeats, True, (known,))


def test_a_generator_of_the_users(rng, repeats):
    estimator = MLPClassifier((5,), random_state=np.random.RandomState(7))
    compare(estimator, batches(rng, 3), repeats, True, (np.arange(3),))


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda X: X[::-1], lambda X: np.tile(X, 2)[:, 1:5]])
def test_rows_in_any_order_of_memory(layout, rng, repeats):
    stream = [(layout(X), y) for X, y in batches(rng, 3)]
    compare(MLPClassifier((5,), random_state=0), stream, repeats, True, (np.arange(3),))


def with_unknown(y):
    return np.where(np.arange(len(y)) == 3, 7, y)


# Changes of the second call, after which it is not repeated; each takes the estimator, X and y and returns arguments.
UNUSUAL = {
    "lists": lambda e, X, y: (X.tolist(), y.tolist()),
    "integers": lambda e, X, y: (X.astype(int), y),
    "bytes": lambda e, X, y: (X.astype(np.uint8), y),
    "weights": lambda e, X, y: (X, y, np.ones(len(y))),
    "classes": lambda e, X, y: (X, y, None, np.arange(3)),
    "a column": lambda e, X, y: (X, y[:, np.newaxis]),
    "float labels": lambda e, X, y: (X, y.astype(float)),
    "nan": lambda e, X, y: (np.where(X > 1, np.nan, X), y),
    "unknown label": lambda e, X, y: (X, with_unknown(y)),
    "one label less": lambda e, X, y: (X, y[1:]),
    "width": lambda e, X, y: (X[:, 1:], y),
    "many rows": lambda e, X, y: (np.tile(X, (8, 1)), np.tile(y, 8)),
    "a parameter": lambda e, X, y: (e.set_params(alpha=0.5), (X, y))[1],
    "another seed": lambda e, X, y: (e.set_params(random_state=9), (X, y))[1],
    "other weights": lambda e, X, y: (setattr(e, "coefs_", [each / 2 for each in e.coefs_]), (X, y))[1],
    "a weight": lambda e, X, y: (e.coefs_.__setitem__(0, e.coefs_[0] / 2), (X, y))[1],
    "no best loss": lambda e, X, y: (setattr(e, "best_loss_", None), (X, y))[1],
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_takes_the_general_way(change, rng, repeats):
    estimator = MLPClassifier((6, 5), random_state=3)
    X, y = rng.normal(size=(30, 4)).round(2), np.resize(np.arange(3), 30)
    estimator.partial_fit(X, y, classes=np.arange(3)).partial_fit(X, y)
    assert repeats == [True]
    twin = copy.deepcopy(estimator).partial_fit(X, y)
    estimator.partial_fit(X, y)
    assert_same(estimator, twin)
    outcomes = []
    for each in (estimator, twin):
        repeats.off, before = each is twin, len(repeats)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                each.partial_fit(*change(each, X, y))
            outcomes.append("fitted")
        except ValueError as error:
            outcomes.append(str(error))
        assert not any(repeats[before:])
    assert outcomes[0] == outcomes[1]
    assert_same(estimator, twin)
    repeats.off = False
    for each in (estimator, twin):  # and later calls may be repeated again
        each.partial_fit(X, y).partial_fit(X, y)
    assert_same(estimator, twin)
    assert repeats[-1]


def test_copies_pickles_and_subclasses(rng, repeats):
    X, y = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    first = MLPClassifier((5,), random_state=0).partial_fit(X, y, classes=np.arange(3)).partial_fit(X, y)
    for again in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        other = copy.deepcopy(first)
        for each in (again, other):
            for _ in range(3):
                each.partial_fit(X, y)
        assert_same(again, other)

    class Own(MLPClassifier):
        def _fit(self, *args, **kwargs):
            self.calls = getattr(self, "calls", 0) + 1
            return super()._fit(*args, **kwargs)

    own, before = Own((5,), random_state=0), len(repeats)
    for _ in range(3):
        own.partial_fit(X, y, classes=np.arange(3)) if not hasattr(own, "calls") else own.partial_fit(X, y)
    assert own.calls == 3
    assert len(repeats) == before


def test_a_fit_between(rng, repeats):
    X, y = rng.normal(size=(30, 4)), np.resize(np.arange(3), 30)
    one = MLPClassifier((5,), random_state=0, max_iter=2).partial_fit(X, y, classes=np.arange(3)).partial_fit(X, y)
    two = copy.deepcopy(one)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in (one, two):
            repeats.off = each is two
            each.fit(X, y).partial_fit(X, y).partial_fit(X, y)
    assert_same(one, two)


class Changing:
    """Targets that another thread changes after an estimator has made them: its method `_plain_target`."""

    def __init__(self, method, value):
        self.method, self.value = method, value

    def __call__(self, y, target):
        made = self.method(y, target).copy()
        made[2] = self.value
        return made


@BACKENDS
@pytest.mark.parametrize("generator", [3, np.random.RandomState(7), None], ids=["number", "the user's", "global"])
@pytest.mark.parametrize("value", [3, -1, np.nan], ids=str)
def test_a_call_that_is_not_taken_draws_nothing(value, generator, backend, rng, repeats, monkeypatch):
    """However late it turns out that a call is not repeated: the general way draws the only order."""
    X, y = rng.normal(size=(30, 4)), np.resize(np.arange(3), 30)
    with fastnn.backend(backend):
        if np.isnan(value):
            one, y = MLPRegressor(hidden_layer_sizes=(5,), random_state=copy.deepcopy(generator)), y.astype(float)
            one.partial_fit(X, y)
        else:
            one = MLPClassifier((5,), random_state=copy.deepcopy(generator)).partial_fit(X, y, classes=np.arange(3))
        one.partial_fit(X, y)
        assert repeats == [True]
        two = copy.deepcopy(one)
        monkeypatch.setattr(one, "_plain_target", Changing(one._plain_target, value), raising=True)
        for each in (one, two):
            repeats.off = each is two
            if generator is None:
                np.random.seed(5)  # noqa: NPY002 - the global generator is what is tested
            each.partial_fit(X, y)
        assert repeats == [True, False]
        monkeypatch.undo()
        assert_same(one, two)


@pytest.mark.parametrize(
    ("given", "repeated"),
    [
        ({"classes": np.arange(3)}, True),
        ({"classes": [0, 1, 2]}, True),
        ({"classes": (0, 1, 2)}, True),
        ({"classes": None}, True),
        ({"classes": [0, 1, 2], "sample_weight": None}, True),
        ({"classes": [2, 1, 0]}, False),  # the general way sorts them
        ({"classes": [0, 1]}, False),
        ({"classes": "012"}, False),
        ({"sample_weight": np.ones(30)}, False),
    ],
)
def test_arguments_that_say_nothing_new(given, repeated, rng, repeats):
    """Many programs give the classes in every call."""
    estimator = MLPClassifier(hidden_layer_sizes=(5,), random_state=0)
    (X, y), *more = batches(rng, 3, (30, 30, 30))
    estimator.partial_fit(X, y, classes=[0, 1, 2])
    twin = copy.deepcopy(estimator)
    for X, y in more:
        errors = []
        for each, off in ((estimator, False), (twin, True)):
            repeats.off = off
            repeats.clear()
            try:
                each.partial_fit(X, y, **given)
                errors.append("")
            except ValueError as error:
                errors.append(str(error))
            if not off:
                assert any(repeats) == repeated
        assert errors[0] == errors[1]
        assert_same(estimator, twin)
    with pytest.raises(TypeError):
        MLPRegressor().partial_fit(X, y * 1.0).partial_fit(X, y * 1.0, classes=None)


def test_two_threads_on_one_estimator(rng):
    X, y = rng.normal(size=(200, 4)), rng.integers(0, 3, 200)
    estimator = MLPClassifier((60, 60), random_state=0).partial_fit(X, y, classes=np.arange(3)).partial_fit(X, y)
    done = in_two_threads([
        lambda number: estimator.partial_fit(X, y.tolist() if number % 2 else y),  # the general way as well
        lambda number: estimator.partial_fit(X, y),
    ])  # fmt: skip
    assert len(estimator.loss_curve_) == estimator._optimizer.t == 2 + done


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')", reason="needs POSIX signals")
def test_interrupts_lose_no_step():
    run(
        """
        import warnings
        from fastnn.sklearn import MLPClassifier
        X, y = X[:100], y[:100]
        estimator = MLPClassifier((40, 40), random_state=0).partial_fit(X, y, classes=np.arange(4)).partial_fit(X, y)
        def handle():
            assert np.isfinite(estimator.predict_proba(X[:3])).all()
        warnings.simplefilter("ignore")
        run_under_signals(lambda: estimator.partial_fit(X, y), handle, KeyboardInterrupt, 3)
        estimator.partial_fit(X, y)
        assert not estimator._model.net.training_claim.taken and estimator._model.net.lock.holders == set()
        assert estimator._optimizer.t == estimator._training_steps == estimator._model.net.training_steps
        """,
        "native",
    )
