"""A wide and deep net with three embedded columns beside the same net in PyTorch, with dense and sparse updates."""

import functools

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")

STEPS, ROWS = 100, 32
SIZES, DIMS = (50, 7, 3), (4, 3, 2)
NUMBERS = 4


def data():
    rng = np.random.default_rng(0)
    ids = [np.minimum(rng.integers(0, size, STEPS * ROWS), rng.integers(0, size, STEPS * ROWS)) for size in SIZES]
    X = np.column_stack([rng.normal(size=(STEPS * ROWS, NUMBERS)), *ids])
    return X, (X[:, 0] + X[:, 4] % 3 + rng.normal(size=len(X)) > 1.5).astype(float)[:, np.newaxis]


def ours(sparse, padding_idx):
    """Return the net: a linear map of the numbers, added to a deep net of the numbers and the embeddings."""
    tables = [
        nn.Columns([NUMBERS + i], nn.Embedding(size, dim, padding_idx if i == 0 else None, sparse=sparse))
        for i, (size, dim) in enumerate(zip(SIZES, DIMS, strict=True))
    ]
    inputs = nn.Parallel(nn.Columns(range(NUMBERS)), *tables)
    deep = nn.Sequential(inputs, nn.Dense(NUMBERS + sum(DIMS), 16), nn.Tanh(), nn.Dense(16, 1))
    wide = nn.Columns(range(NUMBERS), nn.Dense(NUMBERS, 1))
    return nn.Sequential(nn.Parallel(wide, deep, join="add"), dtype="float64", seed=0)


class Theirs(torch.nn.Module):
    def __init__(self, sparse, padding_idx):
        super().__init__()
        self.wide = torch.nn.Linear(NUMBERS, 1)
        self.tables = torch.nn.ModuleList(
            torch.nn.Embedding(size, dim, padding_idx=padding_idx if i == 0 else None, sparse=sparse)
            for i, (size, dim) in enumerate(zip(SIZES, DIMS, strict=True))
        )
        self.deep = torch.nn.Sequential(
            torch.nn.Linear(NUMBERS + sum(DIMS), 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)
        )

    def forward(self, x):
        embedded = [table(x[:, NUMBERS + i].long()) for i, table in enumerate(self.tables)]
        return self.wide(x[:, :NUMBERS]) + self.deep(torch.cat([x[:, :NUMBERS], *embedded], dim=1))


# Names in PyTorch's module -> names in the net.
KEYS = {
    "wide.weight": "0.0.0.weight", "wide.bias": "0.0.0.bias",
    "tables.0.weight": "0.1.0.1.0.weight", "tables.1.weight": "0.1.0.2.0.weight", "tables.2.weight": "0.1.0.3.0.weight",
    "deep.0.weight": "0.1.1.weight", "deep.0.bias": "0.1.1.bias",
    "deep.2.weight": "0.1.3.weight", "deep.2.bias": "0.1.3.bias",
}  # fmt: skip

# Name -> the optimiser here, those of PyTorch for the tables and for the other parameters.
OPTIMIZERS = {
    "Adam": (optim.Adam(lr=0.01), ("Adam", {}), ("SparseAdam", {})),
    "Adam with a large eps": (optim.Adam(lr=0.01, eps=0.1), ("Adam", {"eps": 0.1}), ("SparseAdam", {"eps": 0.1})),
    "SGD": (optim.SGD(lr=0.01), ("SGD", {}), ("SGD", {})),
    "Adagrad": (optim.Adagrad(lr=0.01), ("Adagrad", {}), ("Adagrad", {})),
    "AdamW": (optim.AdamW(lr=0.01, weight_decay=0.1), ("AdamW", {"weight_decay": 0.1}), None),
}


@functools.cache
def their_training(name, sparse, padding_idx):
    """Return the tensors of PyTorch's net after the training, by the net's names."""
    _, dense, of_tables = OPTIMIZERS[name]
    torch.sparse.check_sparse_tensor_invariants.enable()
    model = Theirs(sparse, padding_idx).double()
    start = ours(sparse, padding_idx).state_dict()
    model.load_state_dict({key: torch.from_numpy(start[ours_name]) for key, ours_name in KEYS.items()})
    groups = [model.tables.parameters(), [*model.wide.parameters(), *model.deep.parameters()]]
    optimizers = [
        getattr(torch.optim, kind)(list(group), lr=0.01, **settings)
        for group, (kind, settings) in zip(groups, (of_tables if sparse else dense, dense), strict=True)
    ]
    X, y = map(torch.from_numpy, data())
    for begin in range(0, len(X), ROWS):
        rows = slice(begin, begin + ROWS)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(X[rows]), y[rows])
        for each in optimizers:
            each.zero_grad()
        loss.backward()
        for each in optimizers:
            each.step()
    return {ours_name: model.state_dict()[key].numpy() for key, ours_name in KEYS.items()}


# AdamW has no sparse updates: that it is refused is a test of tests/nn/test_embedding.py.
CASES = [(name, sparse) for name in OPTIMIZERS for sparse in (False, True) if OPTIMIZERS[name][2] or not sparse]


@pytest.mark.parametrize("padding_idx", [None, 1])
@pytest.mark.parametrize(("name", "sparse"), CASES)
def test_training_follows_PyTorch(impl, name, sparse, padding_idx):
    optimizer, net = OPTIMIZERS[name][0], ours(sparse, padding_idx)
    start, (X, y) = net.state_dict(), data()
    trainer = fastnn.Trainer(net, "binary_cross_entropy", optimizer)
    trainer.fit(X, y, epochs=1, batch_size=ROWS, shuffle=False, verbose=0)
    assert trainer.step_count == STEPS
    for key, want in their_training(name, sparse, padding_idx).items():
        assert np.abs(want - start[key]).max() > 1e-3, key
        assert np.abs(net.state_dict()[key] - want).max() <= 1e-10 * np.abs(want).max(), key
