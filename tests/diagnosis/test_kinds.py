"""Every kind of finding: a small training with the fault, in which it is found, and the same one mended."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis import KINDS

# ---- data ----


def disc(rows=400, seed=0):
    """Whether two numbers are in a disc: no line parts the two classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 2))
    return X, (np.hypot(X[:, 0], X[:, 1]) > 1.18).astype(np.int64)


def wave(rows=400, seed=0):
    """A number that is a smooth function of the row."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 2))
    return X, np.sin(2 * X[:, 0]) + 0.5 * X[:, 1]


def six_groups(rows=300, seed=0):
    """Six groups of rows on a circle, numbered so that neighbours have numbers far apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 6, rows)
    angle = np.array([0, 3, 1, 4, 2, 5])[y] * np.pi / 3
    return np.column_stack([np.cos(angle), np.sin(angle)]) + 0.25 * rng.normal(size=(rows, 2)), y


def rare(share=0.02, rows=1000, seed=0):
    """Two classes of which one is rare."""
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) < share * rows).astype(np.int64)
    X = rng.normal(size=(rows, 2))
    X[y == 1] = 0.6 * X[y == 1] + 1.7
    return X, y


def noisy(rows, seed=0):
    """Numbers that follow from two of four columns, with as much noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 4))
    return X, np.sin(X[:, 0]) + 0.5 * X[:, 1] + 0.6 * rng.normal(size=rows)


def with_nan(data):
    X, y = data
    X = X.copy()
    X[5, 1] = np.nan
    return X, y


def times(data, factors, plus=0.0):
    X, y = data
    return X * factors + plus, y


def numbers(data, factor, plus):
    X, y = data
    return X, y * factor + plus


def shuffled(data):
    X, y = data
    return X, np.random.default_rng(5).permutation(y)


# ---- trainings ----


def hidden(layers=1, width=16, activation=nn.ReLU, init=None, bias_init=None, inputs=2, outputs=2):
    """Return the layers of a net with so many hidden layers."""
    widths = [inputs, *[width] * layers]
    result = []
    for before, after in itertools.pairwise(widths):
        result += [nn.Dense(before, after, init=init, bias_init=bias_init), activation()]
    return [*result, nn.Dense(widths[-1], outputs, init=init)]


def normed(**settings):
    return [nn.Dense(2, 16), nn.BatchNorm(16, **settings), nn.ReLU(), nn.Dense(16, 2)]


MSE = "mean_squared_error"
ADAM = optim.Adam(lr=0.01)
FIT = {"epochs": 20, "batch_size": 32}


@dataclass
class Training:
    """A training, and what is not `FIT` of the arguments of its fit; by default one without a fault."""

    data: tuple = field(default_factory=disc)
    layers: list = field(default_factory=lambda: hidden(2))
    loss: str = "cross_entropy"
    optimizer: optim.Optimizer = ADAM
    penalty: optim.Penalty | None = None
    scaler: bool = False
    fit: dict = field(default_factory=dict)

    def trainer(self):
        net = nn.Sequential(*(layer.detached() for layer in self.layers), seed=0)
        if self.scaler:
            net.scaler = fastnn.data.Scaler.fit(self.data[0])
        return fastnn.Trainer(net, self.loss, self.optimizer, penalty=self.penalty)


REGRESSION = {"data": wave(), "layers": hidden(2, outputs=1), "loss": MSE}
WITH_TANH = hidden(2, activation=nn.Tanh, outputs=1)

# Kind -> the training with the fault, and the mended one.
CASES = {
    "columns": (Training(with_nan(disc())), Training()),
    "labels": (Training(shuffled(disc())), Training()),
    "loss": (Training(six_groups(), hidden(1, outputs=1), MSE), Training(six_groups(), hidden(1, outputs=6))),
    "output-activation": (
        Training(**REGRESSION | {"layers": [*hidden(2, outputs=1), nn.ReLU()]}),
        Training(**REGRESSION),
    ),
    "linear": (Training(layers=hidden(2, activation=nn.Identity)), Training()),
    "input-scale": (Training(times(disc(), (1.0, 1000.0))), Training(times(disc(), (1.0, 1000.0)), scaler=True)),
    "target-scale": (Training(**REGRESSION | {"data": numbers(wave(), 100.0, 500.0)}), Training(**REGRESSION)),
    "symmetry": (Training(layers=hidden(2, init=nn.init.constant(0.1))), Training()),
    "initialisation": (
        Training(layers=hidden(3, width=64, init=nn.init.normal(std=2.0))),
        Training(layers=hidden(3, width=64)),
    ),
    "saturation": (
        Training(layers=hidden(1, activation=nn.Tanh, bias_init=nn.init.constant(8.0))),
        Training(layers=hidden(1, activation=nn.Tanh)),
    ),
    "dead-units": (Training(layers=hidden(1, bias_init=nn.init.constant(-5.0))), Training(layers=hidden(1))),
    "vanishing-gradient": (Training(layers=hidden(7, activation=nn.Sigmoid)), Training(layers=hidden(7))),
    "exploding-gradient": (
        Training(layers=hidden(7, width=32, init=nn.init.normal(std=0.8))),
        Training(layers=hidden(7, width=32)),
    ),
    "batch-norm": (Training(layers=normed(momentum=0.0001)), Training(layers=normed())),
    "initial-loss": (Training(layers=hidden(2, init=nn.init.normal(std=10.0))), Training()),
    "nonfinite": (
        Training(**REGRESSION | {"optimizer": optim.SGD(lr=5.0), "layers": WITH_TANH}),
        Training(**REGRESSION | {"optimizer": optim.SGD(lr=0.05), "layers": WITH_TANH}),
    ),
    "learning-rate-high": (Training(optimizer=optim.Adam(lr=1.0)), Training()),
    "learning-rate-low": (Training(optimizer=optim.Adam(lr=1e-4)), Training()),
    "epochs": (Training(fit={"epochs": 1}), Training()),
    "batch-size": (Training(fit={"batch_size": 400}), Training()),
    "regularisation": (Training(penalty=optim.Penalty(l2=1.0)), Training()),
    "units": (Training(layers=hidden(1, width=1)), Training(layers=hidden(1, width=32))),
    "overfitting": (
        Training(noisy(120), hidden(2, width=64, inputs=4, outputs=1), MSE, fit={"epochs": 100}),
        Training(noisy(2000), hidden(2, width=64, inputs=4, outputs=1), MSE, fit={"epochs": 6}),
    ),
    "imbalance": (Training(rare()), Training(rare(0.4))),
    "cannot-fit": (Training(layers=hidden(9, width=4, activation=nn.Sigmoid)), Training(layers=hidden(2, width=32))),
    "validation": (Training(), Training(fit={"validation_data": disc(200, seed=1)})),
}

# Kinds that follow from another one, which stands first.
FOLLOW = {"initial-loss", "exploding-gradient", "nonfinite", "cannot-fit"}

# Kinds whose change is that of another one and a little more: which of the two gains more is chance, and another BLAS
# under the reference decides otherwise.
OR_FIRST = {"initialisation": "exploding-gradient"}


@pytest.fixture(params=["native", pytest.param("reference", marks=pytest.mark.slow)])
def backend(request):
    with fastnn.backend(request.param):
        yield


def test_every_kind_has_a_case():
    assert list(CASES) == list(KINDS)


@pytest.mark.parametrize("kind", CASES)
def test_diagnose_finds_the_fault(kind, backend):
    faulty, _ = CASES[kind]
    kinds = fastnn.diagnose(faulty.trainer(), *faulty.data, **FIT | faulty.fit).kinds
    assert kind in kinds, kinds
    assert kind in FOLLOW or kinds[0] in (kind, OR_FIRST.get(kind)), kinds


@pytest.mark.parametrize("kind", CASES)
def test_diagnose_does_not_find_it_after_the_change(kind, backend):
    _, mended = CASES[kind]
    assert kind not in fastnn.diagnose(mended.trainer(), *mended.data, **FIT | mended.fit).kinds
