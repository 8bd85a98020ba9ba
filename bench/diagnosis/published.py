"""Published faults of programs, rebuilt from their descriptions with data of the same form.

The data are made, or come with scikit-learn: the digits stand for MNIST. Sizes are smaller, so that a fit takes a
second or two. Numbers are those of questions on Stack Overflow. Kinds are those that the answers give, and names of
the same thing; `python -m bench.run.diagnosis --published` shows the figures before and after.
"""

import dataclasses
import functools

import numpy as np

from bench.diagnosis.tasks import divided, make_data, standardised
from bench.diagnosis.training import Case, Training, changed
from fastnn import nn, optim

__all__ = ["PUBLISHED", "published_cases"]

PUBLISHED = {}
BCE, MSE, CE = "bce_with_logits", "mean_squared_error", "cross_entropy"
constant, normal = nn.init.constant, nn.init.normal


def case(name, *kinds, allowed=()):
    """Make a function that returns a faulty training and the repaired one, or a control, a published case."""

    def add(build):
        PUBLISHED[name] = (kinds, tuple(allowed), build)
        return build

    return add


def published_cases(n=None):
    """Return the first n published cases, or all of them."""
    cases = []
    for name, (kinds, allowed, build) in list(PUBLISHED.items())[:n]:
        trainings = build()
        faulty, undone = trainings if isinstance(trainings, tuple) else (trainings, None)
        cases.append(Case(name, kinds, faulty, undone, allowed=allowed))
    return cases


def dense(data, hidden, out, loss, optimizer, epochs, batch, activation="relu", **settings):
    """Return a training."""
    return Training(data, hidden, activation, out, loss, optimizer, epochs, batch, **settings)


def generator(seed=0):
    return np.random.default_rng([2024, seed])


# ---- data of the same form ----


@functools.cache
def digits(copies=1):
    """Return the digits with pixels from 0 to 255; copies have noise, so that there are as many rows as in MNIST."""
    rng = generator()
    data = make_data("digits", rng, 1200)

    def copied(X):
        X = np.tile(X * (255 / 16), (copies, 1))
        return np.clip(X + (copies > 1) * rng.normal(size=X.shape) * 25, 0, 255)

    return dataclasses.replace(data.with_inputs(lambda X: X * (255 / 16)), X=copied(data.X), y=np.tile(data.y, copies))


def of_255(data):
    return data.with_inputs(lambda X: X / 255)


@functools.cache
def car_miles():
    """Return data like auto-mpg, not scaled: 9 columns of a car, the last three its origin, and the miles it goes."""
    rng, n = generator(1), 392 + 600
    size = rng.normal(size=n)
    columns = [
        np.clip(np.rint(5.5 + 1.7 * size), 3, 8),
        194 + 95 * size + 30 * rng.normal(size=n),
        104 + 33 * size + 15 * rng.normal(size=n),
        2978 + 780 * size + 250 * rng.normal(size=n),
        15.5 - 1.5 * size + 2.2 * rng.normal(size=n),
        rng.integers(70, 83, size=n).astype(float),
    ]
    origin = np.digitize(rng.random(n) - 0.2 * (size > 0), [0.4, 0.7])
    X = np.column_stack([*columns, np.eye(3)[origin]])
    y = 23 - 5.5 * size + 1.1 * size**2 + 0.75 * (X[:, 5] - 76) + 1.2 * origin + 1.5 * rng.normal(size=n)
    return divided(X, y, 0, 314)


@functools.cache
def people():
    """Return data like the adult census: 14 columns of numbers and codes, a quarter of the rows of class 1."""
    rng, n = generator(2), 4000
    age, years, hours = rng.integers(17, 80, size=n), rng.integers(1, 17, size=n), rng.integers(10, 70, size=n)
    gain = np.where(rng.random(n) < 0.09, rng.uniform(2000, 99999, size=n), 0)
    codes = [rng.integers(k, size=n) for k in (8, 16, 7, 14, 6, 5, 2, 41)]
    weight, loss = rng.uniform(1e4, 1e6, size=n), np.where(rng.random(n) < 0.05, rng.uniform(1000, 3000, size=n), 0)
    score = 0.05 * (age - 45) - 0.002 * (age - 45) ** 2 + 0.45 * (years - 10) + 0.04 * (hours - 40) + (gain > 5000) * 3
    score += (codes[2] == 0) * 1.8 + codes[6] * 0.5 + rng.logistic(size=n) * 0.8
    X = np.column_stack([age, codes[0], weight, codes[1], years, *codes[2:6], codes[6], gain, loss, hours, codes[7]])
    return divided(X.astype(float), (score > np.quantile(score, 0.76)).astype(int), 2, 2400)


@functools.cache
def passengers():
    """Return data like those of the Titanic, scaled: 891 rows of 6 columns."""
    rng, n = generator(3), 891 + 600
    X = rng.normal(size=(n, 6))
    score = 1.3 * (X[:, 0] > 0.3) - 0.9 * X[:, 1] + 0.5 * X[:, 2] * (X[:, 3] > 0) + 0.7 * rng.logistic(size=n)
    return divided(X, (score > 0.6).astype(int), 2, 600)


@functools.cache
def three_labels():
    """Return 20 columns with three labels at once."""
    rng, n = generator(4), 4000
    X = rng.normal(size=(n, 20))
    scores = X @ rng.normal(size=(20, 3)) / 4 + 0.3 * rng.normal(size=(n, 3))
    return divided(X, (scores > 0.3).astype(int), 2, 2400)


@functools.cache
def numbers(columns, n=600, noise=0.1, kind="teacher"):
    """Return a regression of a number of columns: of a `plane`, or of a `teacher` net."""
    rng = generator(columns)
    X = rng.normal(size=(n + n // 4 + 600, columns))
    plane = X @ rng.normal(size=columns)
    y = plane if kind == "plane" else np.tanh(X @ rng.normal(size=(columns, 5))) @ rng.normal(size=5)
    return divided(X, (y - y.mean()) / y.std() + noise * rng.normal(size=len(y)), 0, n)


@functools.cache
def toy(task, n=600, seed=5):
    return standardised(make_data(task, generator(seed), n))


# ---- questions on Stack Overflow ----


@case("44164749", "learning-rate-low", "epochs", "batch-size")
def _few_steps():
    net = dense(of_255(digits(5)), (500, 60), 10, CE, optim.SGD(lr=0.01), 5, 200)
    return net, changed(net, optimizer=optim.SGD(lr=0.05), epochs=15)


@case("48251943", "output-activation")
def _relu_at_the_output():
    net = dense(numbers(2), (4,), 1, MSE, optim.SGD(lr=0.01), 50, 10)
    return changed(net, head=("relu",)), net


@case("38648195", "output-activation", "loss")
def _softmax_for_several_labels():
    net = dense(three_labels(), (50,), 3, BCE, optim.SGD(lr=0.1), 20, 32)
    return changed(net, loss=MSE, head=("softmax",)), net


@case("55328966", "input-scale", "output-activation")
def _raw_pixels():
    net = dense(digits(), (128,), 10, CE, optim.SGD(lr=1e-4), 30, 32, head=("sigmoid",))
    return net, changed(net, data=of_255(digits()), head=(), optimizer=optim.SGD(lr=0.05))


@case("31880720", "output-activation")
def _softmax_of_one_unit():
    y = np.arange(128 + 32 + 100) % 2
    data = divided(np.repeat(y[:, None], 8, axis=1).astype(float), y, 2, 128)
    net = dense(data, (16,), 1, BCE, optim.SGD(lr=0.1), 20, 16)
    return changed(net, head=("softmax",)), net


@case("47724077", "input-scale")
def _unscaled_people():
    net = dense(people(), (21,), 2, CE, optim.SGD(lr=0.01), 20, 32)
    return net, changed(net, data=standardised(people()))


@case("59325381", "labels")
def _labels_divided():
    data = of_255(digits())
    net = dense(data, (128,), 10, CE, optim.Adam(lr=1e-3), 15, 32)
    return changed(net, data=data.with_given_targets(lambda y: (y / 255).astype(int))), net


@case("34673164", "loss", "input-scale")
def _squared_error_of_softmax():
    two = dataclasses.replace(toy("clusters", 1200, seed=11).with_targets(lambda y: y % 2), classes=2)
    net = dense(two, (24,), 2, CE, optim.SGD(lr=0.1), 30, 32, "tanh", dropout=0.5)
    raw = two.with_inputs(lambda X: X * 10 + 20).with_given_targets(lambda y: np.eye(2)[y])
    return changed(net, data=raw, loss=MSE, head=("softmax",)), net


@case("50079585", "output-activation", "loss")
def _one_unit_for_three_classes():
    net = dense(toy("iris"), (16,), 3, CE, optim.Adam(lr=1e-2), 40, 16)
    return changed(net, out=1, loss=BCE, head=("sigmoid",)), net


@case("31627380", "output-activation", "loss")
def _categorical_loss_of_one_column():
    net = dense(passengers(), (16,), 1, BCE, optim.Adam(lr=1e-2), 30, 32)
    return changed(net, loss=CE, head=("softmax",)), net


@case("58609115", "output-activation", "loss", "epochs")
def _relu_before_a_categorical_loss():
    rng = generator(7)
    x = rng.integers(69, size=1767 + 441 + 600)
    data = divided(np.eye(69)[x], rng.permutation(69)[x], 69, 1767)
    net = dense(data, (69, 69), 69, CE, optim.Adam(lr=1e-3), 1, 50)
    return changed(net, head=("relu",)), changed(net, epochs=30)


@case("46995209", "input-scale", "vanishing-gradient", "dead-units")
def _ten_narrow_layers():
    raw = make_data("breast cancer", generator(8), 400)
    net = dense(raw, (5,) * 10, 1, BCE, optim.SGD(lr=0.01), 50, 16)
    return net, changed(net, data=standardised(raw), hidden=(5,))


@case("51181393", "learning-rate-low", "epochs")
def _slow_plane():
    data = numbers(1, kind="plane").with_targets(lambda y: 3 * y + 4)
    net = dense(data, (), 1, MSE, optim.RMSprop(lr=1e-3), 20, 32)
    return net, changed(net, optimizer=optim.RMSprop(lr=0.1))


@case("47932589", "input-scale", "target-scale")
def _unscaled_both():
    rng = generator(9)
    X = rng.uniform(0, 1000, size=(1300, 1))
    raw = divided(X, X[:, 0] ** 2 + 3e4 * rng.normal(size=len(X)), 0, 560)
    net = dense(raw, (10, 10), 1, MSE, optim.Adam(lr=1e-3), 60, 16)
    return net, changed(net, data=standardised(raw), epochs=60)


@case("41977498", "epochs", "learning-rate-low")
def _ten_epochs():
    net = dense(toy("spirals"), (32, 32), 3, CE, optim.RMSprop(lr=1e-3), 10, 32)
    net = changed(net, out=net.data.classes)
    return net, changed(net, epochs=200)


@case("37213388", "epochs", "learning-rate-low")
def _two_epochs():
    net = dense(of_255(digits()), (64,), 10, CE, optim.Adam(lr=1e-3), 2, 64)
    return net, changed(net, epochs=30)


@case("44998910", "learning-rate-low", "epochs")
def _low_rate():
    net = dense(toy("moons"), (20,), 2, CE, optim.SGD(lr=0.01), 20, 32)
    return net, changed(net, optimizer=optim.SGD(lr=0.3), epochs=60)


@case("39810655", "labels", "loss")
def _numbers_for_one_hot_rows():
    net = dense(toy("iris"), (16,), 3, CE, optim.Adam(lr=1e-2), 40, 16)
    return changed(net, data=net.data.with_given_targets(lambda y: y[:, None].astype(float))), net


# ---- mutants of a net for auto-mpg ----


CAR_EPOCHS = 60


def car_net(**changes):
    return dense(
        **{
            "data": standardised(car_miles()),
            "hidden": (64, 64),
            "out": 1,
            "loss": MSE,
            "optimizer": optim.Adam(lr=1e-3),
            "epochs": CAR_EPOCHS,
            "batch": 16,
            **changes,
        }
    )


def _twice(data):
    """Return the data scaled with the numbers of the raw columns once more."""
    raw = car_miles().X
    return data.with_inputs(lambda X: (X - raw.mean(axis=0)) / raw.std(axis=0))


def _minus_squared_error(z, t):
    return -((z - t) ** 2).sum(axis=1)


def _minus_gradient(z, t):
    return 2 * (t - z)


# Name -> the kinds and what differs from the net that is all right.
MUTANTS = {
    "normalised twice": (("input-scale",), lambda: {"data": _twice(standardised(car_miles()))}),
    "sign of the gradient": (
        ("loss",),
        lambda: {"loss": nn.CustomLoss(_minus_squared_error, _minus_gradient, target_columns=1)},
    ),
    "rate 1e-5": (("learning-rate-low",), lambda: {"optimizer": optim.Adam(lr=1e-5)}),
    "large eps": (("learning-rate-low",), lambda: {"optimizer": optim.Adam(lr=1e-3, eps=10.0)}),
    "not normalised": (("input-scale",), lambda: {"data": _inputs_raw(standardised(car_miles()))}),
    "L2 penalty": (("regularisation",), lambda: {"penalty": optim.Penalty(l2=1.0)}),
    "large targets": (
        ("target-scale",),
        lambda: {"data": _targets_raw(standardised(car_miles())), "epochs": 10},
    ),
    "bounded output": (("output-activation",), lambda: {"head": ("sigmoid",)}),
    "all weights 0.01": (("symmetry",), lambda: {"init": constant(0.01), "last_init": constant(0.01)}),
    "wide initial weights": (
        ("initialisation", "exploding-gradient"),
        lambda: {"init": normal(std=1.0), "last_init": normal(std=1.0)},
    ),
    "rows shuffled": (("labels",), lambda: {"data": _rows_shuffled(standardised(car_miles()))}),
}


def _inputs_raw(data):
    raw = car_miles()
    return dataclasses.replace(data, X=raw.X, X_val=raw.X_val, X_held=raw.X_held)


def _targets_raw(data):
    raw = car_miles().with_targets(lambda y: 10 * y)
    return dataclasses.replace(data, y=raw.y, y_val=raw.y_val, y_held=raw.y_held)


def _rows_shuffled(data):
    return dataclasses.replace(data, X=generator(10).permutation(data.X))


def _mutant(changes):
    def build():
        settings = changes()
        net = car_net(epochs=settings.get("epochs", CAR_EPOCHS))
        return car_net(**settings), net

    return build


for _name, (_kinds, _changes) in MUTANTS.items():
    case(f"auto-mpg: {_name}", *_kinds)(_mutant(_changes))


# ---- toy nets, and others ----


def _deep(task, layers, **changes):
    data = toy(task, 900)
    net = dense(data, (5,) * 3, data.classes, CE, optim.Adam(lr=1e-2), 60, 32)
    return changed(net, hidden=(5,) * layers, **changes), net


@case("toy: vanishing", "vanishing-gradient")
def _toy_vanishing():
    return _deep("blobs", 16, activation="sigmoid")


@case("toy: exploding", "exploding-gradient", "initialisation")
def _toy_exploding():
    return _deep("circles", 10, init=normal(std=3.0), optimizer=optim.SGD(lr=0.05))


@case("toy: dying", "dead-units", "learning-rate-high")
def _toy_dying():
    return _deep("circles", 8, bias=constant(-2.0))


@case("toy: oscillating", "learning-rate-high")
def _toy_oscillating():
    return _deep("circles", 3, optimizer=optim.Adam(lr=1.0))


@case("toy: slow", "learning-rate-low")
def _toy_slow():
    return _deep("blobs", 3, optimizer=optim.SGD(lr=1e-4))


@case("standard normal weights", "initialisation", "exploding-gradient")
def _standard_normal():
    net = dense(of_255(digits()), (200, 200, 200), 10, CE, optim.SGD(lr=0.01, momentum=0.9), 10, 32)
    return changed(net, init=normal(std=1.0), last_init=normal(std=1.0)), net


@case("a plane with inputs to 8", "learning-rate-high", "input-scale")
def _plane_with_a_high_rate():
    data = numbers(2, kind="plane").with_inputs(lambda X: np.clip(X * 4, -8, 8))
    net = dense(data, (), 1, MSE, optim.SGD(lr=0.1), 20, 32)
    return net, changed(net, optimizer=optim.SGD(lr=0.005))


@case("keep rate for drop rate", "regularisation")
def _keep_rate():
    net = dense(of_255(digits()), (64, 64), 10, CE, optim.Adam(lr=1e-3), 20, 32, dropout=0.8)
    return net, changed(net, dropout=0.2)


@case("L2 weight 1, rate 0.5", "regularisation", "learning-rate-high")
def _large_penalty():
    net = dense(toy("moons"), (16,), 2, CE, optim.SGD(lr=0.5), 30, 32)
    return changed(net, penalty=optim.Penalty(l2=1.0)), net


@case("inputs to 99, rate 0.5", "input-scale", "learning-rate-high")
def _inputs_to_99():
    data = toy("circles")
    net = dense(data, (16,), data.classes, CE, optim.SGD(lr=0.5), 30, 32)
    low, high = data.X.min(), data.X.max()
    return changed(net, data=data.with_inputs(lambda X: 99 * (X - low) / (high - low))), net


# ---- controls ----


@case("50481178 (control)", allowed=("imbalance",))
def _label_nearly_always_one():
    rng = generator(12)
    X = rng.poisson(5, size=(1600, 4)).astype(float)
    y = (rng.random(len(X)) < 0.994).astype(int)
    return dense(divided(X, y, 2, 800), (10, 20, 30, 40, 50), 1, BCE, optim.Adam(lr=1e-3), 20, 10)


@case("auto-mpg (control)")
def _car_net():
    return car_net()


@case("digits (control)")
def _digits_net():
    return dense(of_255(digits()), (128,), 10, CE, optim.Adam(lr=1e-3), 30, 32)


@case("toy (control)")
def _toy_net():
    return _deep("circles", 3)[1]
