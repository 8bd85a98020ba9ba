"""Nets with branches beside the same nets in PyTorch: their state dicts load, and float64 trainings follow PyTorch's."""

import functools

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")

STEPS, ROWS = 100, 32


class Residual(torch.nn.Sequential):
    """y = x + f(x), with children numbered directly below, as in fastnn."""

    def forward(self, x):
        return x + super().forward(x)


class Parallel(torch.nn.ModuleList):
    """Branches that get the same input."""

    def __init__(self, *branches, join="concat"):
        super().__init__(branches)
        self.join = join

    def forward(self, x):
        outputs = [branch(x) for branch in self]
        if self.join == "concat":
            return torch.cat(outputs, dim=1)
        if self.join == "mean":
            return torch.stack(outputs).mean(dim=0)
        return functools.reduce({"add": torch.add, "multiply": torch.mul}[self.join], outputs)


class Columns(torch.nn.Sequential):
    """Layers that get some columns."""

    def __init__(self, columns, *layers):
        super().__init__(*layers)
        self.columns = list(columns)

    def forward(self, x):
        return super().forward(x[:, self.columns])


def theirs_of(layer):
    """Return the same module of PyTorch."""
    children = [theirs_of(each) for each in layer] if hasattr(layer, "__len__") else []
    match type(layer).__name__:
        case "Residual":
            return Residual(*children)
        case "Parallel":
            return Parallel(*children, join=layer.join)
        case "Columns":
            return Columns(layer.columns, *children)
        case "Chain" | "Sequential":
            return torch.nn.Sequential(*children)
        case "Dense":
            return torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
        case "BatchNorm":
            return torch.nn.BatchNorm1d(layer.in_features)
        case "LayerNorm":
            return torch.nn.LayerNorm(layer.in_features, eps=layer.eps)
        case "RMSNorm":
            return torch.nn.RMSNorm(layer.in_features, eps=layer.eps)
        case kind:
            return getattr(torch.nn, kind)()


def block():
    return nn.Residual(nn.LayerNorm(16), nn.Dense(16, 16), nn.ReLU(), nn.Dense(16, 16))


def wide_and_deep():
    deep = nn.Sequential(nn.Dense(12, 16), nn.ReLU(), nn.Dense(16, 8), nn.ReLU(), nn.Dense(8, 3))
    return [nn.Parallel(nn.Columns([1, 0, 5, 7], nn.Dense(4, 3)), deep, join="add")]


def swiglu():
    gated = nn.Parallel(nn.Sequential(nn.Dense(16, 24), nn.SiLU()), nn.Dense(16, 24), join="multiply")
    return [nn.Dense(12, 16), nn.Residual(nn.RMSNorm(16, eps=1e-6), gated, nn.Dense(24, 16)), nn.Dense(16, 3)]


NETS = {
    "residual with layer norm": lambda: [nn.Dense(12, 16), *(block() for _ in range(6)), nn.Dense(16, 3)],
    "wide and deep": wide_and_deep,
    "two heads": lambda: [nn.Dense(12, 16), nn.Tanh(), nn.Parallel(nn.Dense(16, 2), nn.Dense(16, 1))],
    "swiglu": swiglu,
    "batch norm and joins": lambda: [
        nn.Dense(12, 8, bias=False), nn.BatchNorm(8), nn.Parallel("tanh", nn.Dense(8, 8), "identity", join="mean"),
        nn.Parallel(nn.Columns(range(0, 8, 2)), nn.Sequential("silu", nn.Dense(8, 2))), nn.Dense(6, 3),
    ],
}  # fmt: skip


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(STEPS * ROWS, 12)), rng.integers(0, 2, STEPS * ROWS), rng.normal(size=(STEPS * ROWS, 1))


def their_steps(model, name):
    """Train the model of PyTorch, and return its state dict."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for start in range(0, STEPS * ROWS, ROWS):
        X, y, t = (torch.from_numpy(array[start : start + ROWS]) for array in data())
        z = model(X)
        loss = torch.nn.functional.cross_entropy(z[:, :2] if name == "two heads" else z, y)
        if name == "two heads":
            loss = loss + 0.5 * torch.nn.functional.mse_loss(z[:, 2:], t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {key: value.numpy() for key, value in model.state_dict().items()}


def distance(state, other):
    """Return how far the tensors of a state dict are from another's, as a share of each one's largest entry."""
    return {
        key: np.abs(other[key] - array).max() / max(np.abs(array).max(), 1e-300)
        for key, array in state.items()
        if array.ndim
    }


@functools.cache
def their_training(name):
    """Return the state of PyTorch's net at the start and the end, and the share by which the end moves.

    A change of the start by one unit in the last place moves it so far: rounding errors of another order do no less.
    """
    start = {key: torch.from_numpy(array.copy()) for key, array in net_of(name).state_dict().items()}
    ends = []
    for change in (0.0, 2.0**-52):
        model = theirs_of(net_of(name)).double()
        model.load_state_dict({k: v * (1 + change) if v.is_floating_point() else v for k, v in start.items()})
        ends.append(their_steps(model, name))
    return ends[0], distance(*ends)


def net_of(name):
    return nn.Sequential(*NETS[name](), dtype="float64", seed=1)


@pytest.mark.parametrize("name", NETS)
def test_trainings_follow_pytorch(impl, name):
    net, (X, y, t) = net_of(name), data()
    want, moved = their_training(name)
    settings = {"loss": "cross_entropy"}
    if name == "two heads":
        settings = {"loss": nn.HeadsLoss([("cross_entropy", 2, 1.0), ("mean_squared_error", 1, 0.5)])}
        y = np.column_stack([y, t])
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=0.05, momentum=0.9), **settings)
    trainer.fit(X, y, epochs=1, batch_size=ROWS, shuffle=False, verbose=0)
    assert net.training_steps == STEPS
    have = net.state_dict()
    assert have.keys() == want.keys()
    for key, error in distance(want, have).items():
        assert error <= max(1e-10, 10 * moved[key]), f"{key}: {error:.1e}, PyTorch's own answer moves by {moved[key]:.1e}"


@pytest.mark.parametrize("name", NETS)
def test_state_dicts_load_both_ways(impl, name):
    net, model = net_of(name), theirs_of(net_of(name)).double()
    net.load_state_dict(model.state_dict())
    model.eval()
    X = data()[0][:50]
    np.testing.assert_allclose(net.predict(X), model(torch.from_numpy(X)).detach().numpy(), rtol=1e-11, atol=1e-13)
    trained, _ = their_training(name)
    net.load_state_dict(trained)
    model.load_state_dict({key: torch.from_numpy(array) for key, array in net.state_dict().items()})
    np.testing.assert_allclose(net.predict(X), model(torch.from_numpy(X)).detach().numpy(), rtol=1e-11, atol=1e-13)
