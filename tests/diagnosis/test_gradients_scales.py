"""The gradient check of nets whose inputs are very large or very small: rounding is not taken for a fault."""

import itertools

import numpy as np
import pytest

import fastnn
from fastnn import nn

SCALES = [1e-6, 1e-3, 1.0, 1e3, 1e6, 1e10, 1e20, 1e100]
FAULTS = {
    "one per cent": lambda gradient: gradient.__imul__(1.01),
    "sign": lambda gradient: gradient.__imul__(-1.0),
    "factor": lambda gradient: gradient.__imul__(9.0),
}
PARTS = list(
    itertools.product([nn.Tanh, nn.ReLU, nn.GELU], [None, nn.BatchNorm, nn.LayerNorm], ["cross_entropy", "mse"])
)


def case(activation, norm, loss, scale, seed):
    """Return a net and its data."""
    rng = np.random.default_rng(seed)
    layers = [nn.Dense(4, 6, bias=norm is None), *([norm(6)] if norm else []), activation(), nn.Dense(6, 3)]
    net = nn.Sequential(*layers, dtype="float64", seed=seed)
    y = rng.integers(0, 3, 8) if loss == "cross_entropy" else rng.normal(size=(8, 3))
    return net, scale * rng.normal(size=(8, 4)), y


def with_fault(monkeypatch, change, block="0.weight"):
    backward = nn.Sequential.backward

    def wrong(self, dz):
        dx = backward(self, dz)
        change(self.gradients()[block])
        return dx

    monkeypatch.setattr(nn.Sequential, "backward", wrong)


EVERY = pytest.param(1, marks=pytest.mark.slow, id="all")
FEW = pytest.param(5, id="some")  # every fifth: all activations and norms, and both losses, are among these


@pytest.mark.parametrize("every", [FEW, EVERY])
@pytest.mark.parametrize("scale", SCALES)
def test_right_gradients_are_never_wrong(scale, every):
    for activation, norm, loss in PARTS[::every]:
        report = fastnn.check_gradients(*case(activation, norm, loss, scale, 0), loss=loss)
        assert not any(block.wrong for block in report.blocks), f"{activation}, {norm}, {loss}\n{report}"
        assert report.blocks[1].checked >= 12, f"{activation}, {norm}, {loss}\n{report}"
        assert report.ok or scale > 1e6


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("every", [FEW, EVERY])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e20])
def test_wrong_gradients_are_found(monkeypatch, scale, fault, every):
    """Wherever the gradients are not 0, as they are where all units are saturated."""
    with_fault(monkeypatch, FAULTS[fault])
    found = 0
    for activation, norm, loss in PARTS[::every]:
        report = fastnn.check_gradients(*case(activation, norm, loss, scale, 0), loss=loss)
        block = report.blocks[1]
        assert block.verdict == "WRONG" or block.largest < 1e-7, f"{activation}, {norm}, {loss}\n{report}"
        found += block.wrong > 0
        assert not any(each.wrong for each in report.blocks if each is not block), f"{report}"
    assert found >= len(PARTS[::every]) - 2


ILL_CONDITIONED = {
    "columns far from 0": ([nn.BatchNorm(4), nn.Tanh(), nn.Dense(4, 3)], 1e6, 1e-4),
    "angles of many turns": ([nn.Periodic(4, 3, dim=2, scale=0.3), nn.Dense(8, 3)], 0.0, 1e12),
    "a norm of one column": ([nn.Dense(4, 1), nn.LayerNorm(1), nn.Dense(1, 3)], 0.0, 1e7),
}


@pytest.mark.parametrize("name", ILL_CONDITIONED)
def test_rounding_of_nets_that_last_bits_matter_to(name):
    layers, centre, scale = ILL_CONDITIONED[name]
    net, rng = nn.Sequential(*layers, dtype="float64", seed=0), np.random.default_rng(0)
    report = fastnn.check_gradients(net, centre + scale * rng.normal(size=(8, 4)), rng.integers(0, 3, 8))
    assert not any(block.wrong for block in report.blocks), f"\n{report}"
    assert report.blocks[-1].ok and report.blocks[-1].error < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_random_nets(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    width, layers = int(rng.integers(1, 6)), []
    features = width
    for _ in range(rng.integers(1, 5)):
        more = int(rng.integers(1, 8))
        activation = rng.choice(["relu", "tanh", "gelu", "sigmoid", "elu", "hardswish", "softplus", "leaky_relu"])
        norm = [[], [nn.BatchNorm(more)], [nn.LayerNorm(more)]][rng.choice(3, p=[0.6, 0.2, 0.2])]
        layers += [nn.Dense(features, more, bias=not norm), *norm, nn.activation(activation)]
        layers += [nn.Dropout(0.3)] if rng.random() < 0.3 else []
        features = more
    net = nn.Sequential(*layers, nn.Dense(features, 3), dtype="float64", seed=seed)
    loss = rng.choice(["cross_entropy", "mse", "huber", "multi_margin"])
    rows = int(rng.integers(2, 12))
    X = rng.normal(size=(rows, width)) * 10 ** rng.uniform(-3, 8) + rng.choice([0, 100])
    y = rng.integers(0, 3, rows) if loss in ("cross_entropy", "multi_margin") else rng.normal(size=(rows, 3))
    report = fastnn.check_gradients(net, X, y, loss=loss)
    assert not any(block.wrong for block in report.blocks), f"\n{report}"
    name = f"{len(net) - 1}.bias"
    for change in FAULTS.values():
        with monkeypatch.context() as patch:
            with_fault(patch, change, name)
            block = fastnn.check_gradients(net, X, y, loss=loss).blocks[-1]
        assert block.name == name
        assert block.wrong or not block.checked or block.largest < 1e-6, f"\n{report}"
