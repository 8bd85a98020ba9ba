"""Initialisers have the spread that their names promise, and depend on the seed alone."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.nn import init

FAN_IN, FAN_OUT = 180, 120
ROOT2 = math.sqrt(2)

# name -> (initialiser, standard deviation, whether it is normal)
SPREADS = {
    "uniform": (init.uniform(-1.0, 1.0), 1 / math.sqrt(3), False),
    "normal": (init.normal(std=0.3), 0.3, True),
    "xavier_uniform": (init.xavier_uniform(), math.sqrt(2 / (FAN_IN + FAN_OUT)), False),
    "xavier_normal": (init.xavier_normal(gain=2.0), 2 * math.sqrt(2 / (FAN_IN + FAN_OUT)), True),
    "kaiming_uniform": (init.kaiming_uniform(), ROOT2 / math.sqrt(FAN_IN), False),
    "kaiming_uniform, a": (init.kaiming_uniform(a=math.sqrt(5)), 1 / math.sqrt(3 * FAN_IN), False),
    "kaiming_normal": (init.kaiming_normal(nonlinearity="relu"), ROOT2 / math.sqrt(FAN_IN), True),
    "kaiming_normal, fan_out": (init.kaiming_normal(mode="fan_out"), ROOT2 / math.sqrt(FAN_OUT), True),
    "kaiming_normal, tanh": (init.kaiming_normal(nonlinearity="tanh"), 5 / 3 / math.sqrt(FAN_IN), True),
    "lecun_uniform": (init.lecun_uniform(), 1 / math.sqrt(FAN_IN), False),
    "lecun_normal": (init.lecun_normal(), 1 / math.sqrt(FAN_IN), True),
}


@pytest.mark.parametrize("name", SPREADS)
def test_spread(name):
    initializer, std, is_normal = SPREADS[name]
    n = FAN_IN * FAN_OUT
    w = initializer((FAN_IN, FAN_OUT), init.Random(1, 2, 3)) / std
    assert w.shape == (FAN_IN, FAN_OUT)
    # Five standard errors each: of the mean, and of the mean square, whose variance is (kurtosis - 1) / n.
    kurtosis = 3.0 if is_normal else 9 / 5
    assert abs(w.mean()) < 5 / math.sqrt(n)
    assert abs((w**2).mean() - 1) < 5 * math.sqrt((kurtosis - 1) / n)
    assert abs((w**4).mean() - kurtosis) < (0.3 if is_normal else 0.05)
    if not is_normal:
        assert abs(w).max() <= math.sqrt(3)


def test_constants():
    assert (init.zeros()((2, 3), init.Random(0, 0, 0)) == 0).all()
    assert (init.constant(-1.5)((2, 3), init.Random(0, 0, 0)) == -1.5).all()


def test_gains_are_pytorchs():
    gains = [init.calculate_gain(name) for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu")]
    np.testing.assert_allclose(gains, [1, 1, 5 / 3, ROOT2, math.sqrt(2 / (1 + 0.01**2))])
    assert init.calculate_gain("leaky_relu", 0.5) == math.sqrt(2 / 1.25)
    with pytest.raises(ValueError, match="nonlinearity"):
        init.calculate_gain("swish")


def test_streams_differ_and_repeat():
    base = init.Random(1, 2, 3)
    np.testing.assert_array_equal(base.normal(101), init.Random(1, 2, 3).normal(101))
    for other in (init.Random(0, 2, 3), init.Random(1, 0, 3), init.Random(1, 2, 0)):
        assert abs(np.corrcoef(base.uniform(4000), other.uniform(4000))[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("between", "gain"),
    [
        ([nn.ReLU()], ROOT2 / math.sqrt(400)),
        ([nn.BatchNorm(100), nn.Dropout(0.5), nn.ReLU()], ROOT2 / math.sqrt(400)),
        ([nn.LeakyReLU(1.0)], 1 / math.sqrt(400)),
        ([nn.Tanh()], math.sqrt(2 / 500)),
        ([nn.Sigmoid()], math.sqrt(2 / 500)),
        ([], math.sqrt(2 / 500)),
    ],
)
def test_a_dense_goes_by_the_activation_after_it(between, gain):
    net = nn.Sequential(nn.Dense(400, 100), *between, nn.Dense(100, 5), nn.ReLU())
    np.testing.assert_allclose(net.layers[0].weight.std(), gain, rtol=0.03)
    np.testing.assert_array_equal(net.layers[0].bias, 0)


def test_seed_decides(impl):
    def weights(seed):
        return nn.Sequential(nn.Dense(5, 5), nn.Dense(5, 5), seed=seed).parameters()

    first, again, other = weights(3), weights(3), weights(4)
    np.testing.assert_array_equal(first["0.weight"], again["0.weight"])
    assert not np.array_equal(first["0.weight"], other["0.weight"])
    assert not np.array_equal(first["0.weight"], first["1.weight"])
    with fastnn.backend("reference"):
        np.testing.assert_array_equal(weights(3)["1.weight"], first["1.weight"])


def test_ones_own_initialiser():
    net = nn.Sequential(nn.Dense(2, 3, init=lambda shape, random: np.arange(6).reshape(shape)))
    np.testing.assert_array_equal(net.layers[0].weight, [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ValueError, match="init: expected shape"):
        nn.Sequential(nn.Dense(2, 3, init=lambda shape, random: np.zeros(3)))
