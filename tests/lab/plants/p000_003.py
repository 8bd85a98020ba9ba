"""Changes of the experiments of the posts 000 and 003."""

from types import SimpleNamespace

import numpy as np

from fastnn import kernels, nn, optim


def with_conditions(settings_of):
    """Return a plant that runs conditions with the settings of others."""

    def plant(module, monkeypatch):
        conditions = {name: module.CONDITIONS[settings_of.get(name, name)] for name in module.CONDITIONS}
        monkeypatch.setattr(module, "CONDITIONS", conditions)

    return plant


def large_inputs_into_the_other_activation(module, monkeypatch):
    monkeypatch.setattr(module, "SIGMOID", nn.ReLU())
    monkeypatch.setattr(module, "RELU", nn.Sigmoid())


def inputs_normalised_by_the_net(module, monkeypatch):
    make = module.net
    monkeypatch.setattr(module, "net", lambda *args, seed: nn.Sequential(nn.LayerNorm(64), make(*args), seed=seed))


def targets_of_other_categories(module, monkeypatch):
    rows = module.rows
    monkeypatch.setattr(module, "rows", lambda effects, n, rng: rows(rng.permutation(effects), n, rng))


def nested_tanh_and_a_net_with_relu(module, monkeypatch):
    monkeypatch.setattr(module, "NESTED", kernels.tanh)
    monkeypatch.setattr(module, "LAYER", nn.ReLU())


def large_rates_for_small_ones(module, monkeypatch):
    monkeypatch.setattr(module, "optim", SimpleNamespace(Adam=optim.Adam, SGD=lambda lr: optim.SGD(lr=0.3 / lr)))


def derivatives_by_exponentials(module, monkeypatch):
    """Make derivatives cost an exponential, as in the post. Their values are wrong, but only the time counts here."""

    def backward(dy, y, *, out):
        e = np.exp(-y.astype(float))
        np.multiply(dy, e / (1 + e) ** 2, out=out, casting="same_kind")

    slow = {"sigmoid_backward": backward, "tanh_backward": backward}
    monkeypatch.setattr(module, "KERNELS", SimpleNamespace(**(vars(kernels) | slow)))


def limited_to_little(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", module.CONDITIONS | {"ReLU up to 1": module.up_to(0.01)})


def a_small_rate(module, monkeypatch):
    monkeypatch.setattr(module, "RATE", 0.001)


def a_large_rate(module, monkeypatch):
    monkeypatch.setattr(module, "RATE", 30.0)


PLANTS = {
    "zigzag": [
        with_conditions(
            {"sigmoid": "sigmoid - 0.5", "sigmoid - 0.5": "sigmoid", "tanh": "tanh + 1", "tanh + 1": "tanh"}
        ),
        with_conditions({"sigmoid - 0.5": "tanh", "tanh + 1": "sigmoid"}),
    ],
    "scaled-inputs": [
        with_conditions({"raw": "scaled", "scaled": "raw", "centred": "divided", "divided": "centred"}),
        with_conditions({"centred": "scaled", "divided": "scaled"}),
    ],
    "relu-limit": [limited_to_little, with_conditions({"sigmoid": "ReLU"})],
    "large-inputs": [
        large_inputs_into_the_other_activation,
        inputs_normalised_by_the_net,
        a_small_rate,
        a_large_rate,
    ],
    "category-embedding": [
        with_conditions({"number": "one-hot", "one-hot": "number"}),
        with_conditions({"one-hot": "embedding"}),
        targets_of_other_categories,
    ],
    "gradient-by-depth": [with_conditions({"sigmoid": "ReLU", "tanh": "sigmoid", "ReLU": "sigmoid"})],
    "nested-sigmoid": [nested_tanh_and_a_net_with_relu],
    "dying-relu": [
        with_conditions({"ReLU": "leaky ReLU", "leaky ReLU": "ReLU"}),
        with_conditions({"PReLU": "ReLU"}),
        large_rates_for_small_ones,
    ],
    "relu-deep-learns": [with_conditions({"sigmoid": "ReLU", "tanh": "sigmoid", "ReLU": "sigmoid"})],
    "relu-cost": [with_conditions({"sigmoid": "ReLU", "ReLU": "sigmoid"}), derivatives_by_exponentials],
}
