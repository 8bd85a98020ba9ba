"""Embeddings of numbers beside the same modules written in PyTorch: float64 trainings follow PyTorch's."""

import functools

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")

STEPS, ROWS, COLUMNS = 100, 32, 3


class Maps(torch.nn.Module):
    """A linear map and an activation for each column."""

    def __init__(self, entries, dim, activation):
        super().__init__()
        self.maps = torch.nn.ModuleList(torch.nn.Linear(n, dim) for n in entries)
        self.activation = activation

    def forward(self, columns):
        return torch.cat([self.activation(f(e)) for f, e in zip(self.maps, columns, strict=True)], dim=1)


class PiecewiseLinear(torch.nn.Module):
    """The paper's equation 1, by `clamp`."""

    def __init__(self, bins, dim, activation):
        super().__init__()
        self.edges = [torch.tensor(edges, dtype=torch.float64) for edges in bins]
        self.maps = Maps([len(edges) - 1 for edges in bins], dim, activation)

    def forward(self, x):
        columns = []
        for j, edges in enumerate(self.edges):
            e = (x[:, j : j + 1] - edges[:-1]) / edges.diff()
            low, high = torch.zeros(e.shape[1]).double(), torch.ones(e.shape[1]).double()
            low[0], high[-1] = -torch.inf, torch.inf
            columns.append(torch.maximum(torch.minimum(e, high), low))
        return self.maps(columns)


class Periodic(torch.nn.Module):
    """Cosines, then sines, of each column."""

    def __init__(self, features, k, dim, activation):
        super().__init__()
        self.frequencies = torch.nn.Parameter(torch.empty(features, k))
        self.maps = Maps([2 * k] * features, dim, activation)

    def forward(self, x):
        angle = 2 * torch.pi * self.frequencies * x[..., None]
        return self.maps(list(torch.cat([torch.cos(angle), torch.sin(angle)], -1).unbind(1)))


class Theirs(torch.nn.Module):
    def __init__(self, bins):
        super().__init__()
        self.first = torch.nn.Linear(COLUMNS, COLUMNS)
        self.scale = torch.nn.Parameter(torch.ones(COLUMNS))
        self.piecewise = PiecewiseLinear(bins, 5, torch.nn.functional.relu)
        self.periodic = Periodic(COLUMNS, 6, 4, torch.tanh)
        self.last = torch.nn.Linear(COLUMNS * 9, 2)

    def forward(self, x):
        h = torch.tanh(self.first(x)) * self.scale
        return self.last(torch.cat([self.piecewise(h), self.periodic(h)], dim=1))


def their_names(bins):
    """Return fastnn's names of their parameters."""
    names = {"first": "0", "last": "4", "scale": "2.scale", "periodic.frequencies": "3.1.frequencies"}
    for name, _ in Theirs(bins).named_parameters():
        module, _, rest = name.partition(".")
        if ".maps.maps." in name:
            names[name] = {"piecewise": "3.0.", "periodic": "3.1."}[module] + rest.removeprefix("maps.maps.")
        elif module in ("first", "last"):
            names[name] = f"{names[module]}.{rest}"
    return names


def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(STEPS * ROWS, COLUMNS)), rng.integers(0, 2, STEPS * ROWS)


SETTINGS = {"SGD": {"lr": 0.05, "momentum": 0.9}, "Adam": {"lr": 0.002}}


def bins():
    return (*data.quantile_bins(np.tanh(rows()[0]), 7, columns=[0, 1]), (-0.5, 0.5))


def net():
    """Return the net, with embeddings behind a layer, so that gradients of their inputs count as well."""
    both = nn.Parallel(
        nn.PiecewiseLinear(bins(), dim=5, activation="relu"),
        nn.Periodic(COLUMNS, 6, dim=4, scale=0.3, activation="tanh"),
    )
    layers = nn.Dense(COLUMNS, COLUMNS), nn.Tanh(), nn.ScaleColumns(COLUMNS), both, nn.Dense(COLUMNS * 9, 2)
    return nn.Sequential(*layers, dtype="float64", seed=1)


@functools.cache
def their_training(optimizer):
    """Return PyTorch's parameters after the training, by fastnn's names."""
    (X, y), ours = rows(), net().state_dict()
    model, names = Theirs(bins()).double(), their_names(bins())
    model.load_state_dict({k: torch.from_numpy(ours[names[k]].copy()) for k in model.state_dict()})
    theirs = getattr(torch.optim, optimizer)(model.parameters(), **SETTINGS[optimizer])
    for start in range(0, STEPS * ROWS, ROWS):
        x, labels = torch.from_numpy(X[start : start + ROWS]), torch.from_numpy(y[start : start + ROWS])
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        theirs.step()
    return {names[name]: value.numpy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_trainings_follow_pytorch(impl, optimizer):
    ours, start = net(), net().state_dict()
    trainer = fastnn.Trainer(ours, optimizer=getattr(optim, optimizer)(**SETTINGS[optimizer]))
    trainer.fit(*rows(), epochs=1, batch_size=ROWS, shuffle=False, verbose=0)
    assert ours.training_steps == STEPS
    have, theirs = ours.state_dict(), their_training(optimizer)
    assert have.keys() == theirs.keys()
    for name, want in theirs.items():
        assert np.abs(have[name] - want).max() <= 1e-10 * np.abs(want).max(), name
        assert not np.array_equal(have[name], start[name]), f"{name} has not moved"
