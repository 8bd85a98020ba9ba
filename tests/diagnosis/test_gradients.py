"""The backward pass of every layer and loss against two-sided differences."""

import numpy as np
import pytest

import fastnn
from fastnn import nn

LOSSES = {
    "cross_entropy, labels": ("cross_entropy", lambda rng, n, k: rng.integers(0, k, n)),
    "cross_entropy, rows": ("cross_entropy", lambda rng, n, k: rng.dirichlet(np.ones(k), n)),
    "binary_cross_entropy": ("binary_cross_entropy", lambda rng, n, k: rng.random((n, k))),
    "log_loss, labels": ("log_loss", lambda rng, n, k: rng.integers(0, k, n)),
    "log_loss, columns": ("log_loss", lambda rng, n, k: rng.integers(0, 2, (n, k)).astype(float)),
    "mean_squared_error": ("mean_squared_error", lambda rng, n, k: rng.normal(size=(n, k))),
}
NETS = {
    "dense": lambda: [nn.Dense(5, 3)],
    "dense without bias": lambda: [nn.Dense(5, 3, bias=False)],
    "identity": lambda: [nn.Dense(5, 4), nn.Identity(), nn.Dense(4, 3)],
    "relu": lambda: [nn.Dense(5, 6), nn.ReLU(), nn.Dense(6, 3)],
    "leaky relu": lambda: [nn.Dense(5, 6), nn.LeakyReLU(0.2), nn.Dense(6, 3)],
    "sigmoid": lambda: [nn.Dense(5, 4), nn.Sigmoid(), nn.Dense(4, 3)],
    "tanh": lambda: [nn.Dense(5, 4), nn.Tanh(), nn.Dense(4, 3)],
    "prelu": lambda: [nn.Dense(5, 6), nn.PReLU(), nn.Dense(6, 3)],
    "prelu, a slope each": lambda: [
        nn.PReLU(5), nn.Dense(5, 4), nn.PReLU(4, init=-0.5), nn.Dropout(0.2), nn.Dense(4, 3),
    ],
    "softmax": lambda: [nn.Dense(5, 4), nn.Softmax(), nn.Dense(4, 3), nn.Softmax()],
    "log softmax": lambda: [nn.LogSoftmax(), nn.Dense(5, 4), nn.LogSoftmax(), nn.Dropout(0.2), nn.Dense(4, 3)],
    "batch norm": lambda: [nn.Dense(5, 4, bias=False), nn.BatchNorm(4), nn.Dense(4, 3)],
    "batch norm first": lambda: [nn.BatchNorm(5), nn.Dense(5, 3)],
    "batch norm last": lambda: [nn.Dense(5, 3, bias=False), nn.BatchNorm(3)],
    "batch norm, activation, dropout": lambda: [
        nn.Dense(5, 8, bias=False), nn.BatchNorm(8), nn.Tanh(), nn.Dropout(0.3), nn.Dense(8, 3),
    ],
    "batch norm, cumulative": lambda: [nn.BatchNorm(5, momentum=None), nn.Dense(5, 3)],
    "layer norm": lambda: [nn.Dense(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Dropout(0.3), nn.Dense(6, 3)],
    "layer norm first and last": lambda: [nn.LayerNorm(5, bias=False), nn.Dense(5, 3), nn.LayerNorm(3)],
    "root mean square norm": lambda: [
        nn.RMSNorm(5), nn.Dense(5, 6), nn.RMSNorm(6, eps=1e-3), nn.ReLU(), nn.Dense(6, 3),
    ],
    "a factor for each column": lambda: [nn.ScaleColumns(5), nn.Dense(5, 4), nn.ScaleColumns(4), nn.Dense(4, 3)],
    "piecewise linear": lambda: [
        nn.PiecewiseLinear([[-1, 0.3, 1], [-2, 2], [-1, 0, 1, 2], [0, 1], [-1, 0.1, 0.5]], dim=4), nn.Dense(20, 3),
    ],
    "piecewise linear of a layer": lambda: [
        nn.Dense(5, 2), nn.Tanh(), nn.PiecewiseLinear([[-0.5, 0.1, 0.5], [-1, 1]]), nn.Dense(3, 3),
    ],
    "periodic": lambda: [nn.Periodic(5, 3, dim=2, scale=0.3, activation="tanh"), nn.Dense(10, 3)],
    "periodic of a layer": lambda: [nn.Dense(5, 2), nn.Tanh(), nn.Periodic(2, 3, scale=0.3), nn.Dense(12, 3)],
    "dropout": lambda: [nn.Dense(5, 8), nn.Dropout(0.4), nn.Dense(8, 3)],
    "dropout first": lambda: [nn.Dropout(0.2), nn.Dense(5, 3)],
    "dropout last": lambda: [nn.Dense(5, 3), nn.Dropout(0.2)],
    "dropout, then activation": lambda: [nn.Dense(5, 8), nn.Dropout(0.3), nn.Tanh(), nn.Dense(8, 3)],
    "activation and dropout, twice": lambda: [
        nn.Dense(5, 8), nn.Sigmoid(), nn.Dropout(0.2), nn.Tanh(), nn.Dropout(0.2), nn.Dense(8, 3),
    ],
    "activation first": lambda: [nn.Tanh(), nn.Dense(5, 3)],
    "activations last": lambda: [nn.Dense(5, 3), nn.Tanh(), nn.LeakyReLU(0.5)],
    "deep": lambda: [
        nn.Dense(5, 7), nn.ReLU(), nn.Dropout(0.1), nn.Dense(7, 6, bias=False), nn.BatchNorm(6), nn.LeakyReLU(),
        nn.Dense(6, 4), nn.Sigmoid(), nn.Dense(4, 3),
    ],
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layers", NETS)
def test_gradients(impl, layers, loss, weighted, rng):
    name, target = LOSSES[loss]
    net = nn.Sequential(*NETS[layers](), dtype="float32", seed=11)
    for index, layer in enumerate(net.layers):
        if "bias" in layer.parameters():
            layer.bias[...] = rng.normal(size=layer.bias.shape)
        if isinstance(layer, nn.BatchNorm | nn.LayerNorm | nn.RMSNorm):
            layer.weight[...] = 1 + index / 7
    X, y = rng.normal(size=(9, 5)), target(rng, 9, 3)
    weight = rng.integers(0, 3, 9) + (np.arange(9) == 0) if weighted else None
    before = net.params.data.copy(), net.state.data.copy(), net.training_steps
    report = fastnn.check_gradients(net, X, y, loss=name, sample_weight=weight)
    assert report.ok, f"\n{report}"
    assert {block.name for block in report.blocks} == {"input", *net.parameters()}
    assert sum(block.skipped for block in report.blocks) <= 3
    assert all(block.bound <= 1e-7 * block.largest + 1e-9 for block in report.blocks)
    np.testing.assert_array_equal(net.params.data, before[0])
    np.testing.assert_array_equal(net.state.data, before[1])
    assert net.training_steps == before[2]


@pytest.mark.parametrize("block", ["0.weight", "0.bias", "2.weight"])
def test_a_wrong_gradient_is_found(monkeypatch, block):
    net = nn.Sequential(nn.Dense(3, 4), nn.Tanh(), nn.Dense(4, 2), seed=0)
    backward = nn.Sequential.backward

    def wrong(self, dz):
        dx = backward(self, dz)
        self.gradients()[block].flat[0] *= 1.00001
        return dx

    monkeypatch.setattr(nn.Sequential, "backward", wrong)
    rng = np.random.default_rng(0)
    report = fastnn.check_gradients(net, rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), loss="mean_squared_error")
    assert [each.name for each in report.blocks if not each.ok] == [block]
    assert "WRONG" in str(report)


def test_entries_at_a_kink_are_skipped_and_counted():
    net = nn.Sequential(nn.Dense(2, 2, init=nn.init.constant(0.5)), nn.ReLU(), nn.Dense(2, 1), dtype="float64", seed=0)
    X = np.array([[1.0, -1.0], [2.0, 0.5]])  # the first row is exactly at the kink
    report = {b.name: b for b in fastnn.check_gradients(net, X, [[1.0], [2.0]], loss="mean_squared_error").blocks}
    assert report["0.weight"].skipped == 4
    assert not report["0.weight"].ok  # nothing was compared
    assert report["input"].skipped == 2
    assert report["input"].checked == 2
    assert report["2.weight"].skipped == 0
    assert report["2.weight"].ok


def test_a_sample_of_a_block():
    net = nn.Sequential(nn.Dense(20, 10), nn.Tanh(), nn.Dense(10, 2), seed=0)
    report = fastnn.check_gradients(net, np.ones((3, 20)), [0, 1, 0], max_per_block=7)
    assert [block.checked for block in report.blocks] == [7, 7, 7, 7, 2]
    assert report.ok
