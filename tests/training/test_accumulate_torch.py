"""`Trainer(accumulate=k)` beside PyTorch's loop: the losses of k batches are added up by their shares, then a step."""

import functools

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")

ROWS, BATCH = 203, 10  # 21 batches an epoch, the last of 3 rows
UPDATES = {2: 11, 4: 6, 30: 1}  # of an epoch, by the number of batches of an update

# Name -> settings of the trainer, PyTorch's optimiser with its settings, and the limit of its clip_grad_norm_.
CASES = {
    "SGD": ({"optimizer": optim.SGD(0.1)}, ("SGD", {"lr": 0.1}), None),
    "SGD with momentum and weight decay": (
        {"optimizer": optim.SGD(0.1, momentum=0.9, weight_decay=0.01)},
        ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        None,
    ),
    "Adam": ({"optimizer": optim.Adam(0.01)}, ("Adam", {"lr": 0.01}), None),
    "AdamW, clipped": (
        {"optimizer": optim.AdamW(0.01, weight_decay=0.1), "clip_norm": 0.1},
        ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
        0.1,
    ),
}


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 4)), rng.integers(0, 3, ROWS), rng.uniform(0, 2, ROWS)


def ours():
    return nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, 3), dtype="float64", seed=0)


@functools.cache
def their_training(case, k, epochs, weighted):
    """Return PyTorch's model and the number of its steps. It knows the total weight of an update before its batches."""
    _, (kind, settings), clip_norm = CASES[case]
    layers = torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    model = torch.nn.Sequential(*layers).double()
    model.load_state_dict({key: torch.from_numpy(array) for key, array in ours().state_dict().items()})
    optimizer, steps = getattr(torch.optim, kind)(model.parameters(), **settings), 0
    X, y, weight = map(torch.from_numpy, data())
    weight = weight if weighted else torch.ones_like(weight)
    for _ in range(epochs):
        for start in range(0, ROWS, k * BATCH):
            stop = min(start + k * BATCH, ROWS)
            total = weight[start:stop].sum()
            optimizer.zero_grad()
            for first in range(start, stop, BATCH):
                rows = slice(first, min(first + BATCH, stop))
                losses = torch.nn.functional.cross_entropy(model(X[rows]), y[rows], reduction="none")
                ((losses * weight[rows]).sum() / total).backward()
            if clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
            optimizer.step()
            steps += 1
    return model, steps


TRAININGS = [*((case, 4, True) for case in CASES), ("Adam", 2, False), ("SGD", 30, True)]


@pytest.mark.parametrize(("case", "k", "weighted"), TRAININGS)
def test_training_follows_PyTorch(impl, case, k, weighted):
    epochs = -(-100 // UPDATES[k])
    net, (X, y, weight) = ours(), data()
    start = net.state_dict()
    trainer = fastnn.Trainer(net, accumulate=k, **CASES[case][0])
    trainer.fit(
        X, y, sample_weight=weight if weighted else None, epochs=epochs, batch_size=BATCH, shuffle=False, verbose=0
    )
    model, steps = their_training(case, k, epochs, weighted)
    assert trainer.step_count == steps >= 100
    for key, tensor in model.state_dict().items():
        want = tensor.numpy()
        assert abs(want - start[key]).max() > 1e-2, key
        assert abs(net.state_dict()[key] - want).max() <= 1e-10 * abs(want).max(), key
