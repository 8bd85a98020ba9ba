"""Trainings with frozen parameters beside the same in PyTorch: `requires_grad`, and batch norms in evaluation mode."""

import fnmatch
import functools

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")

STEPS, ROWS, FEATURES, CLASSES = 100, 16, 6, 3
LIMIT = 0.5  # of the norm of all gradients: most are larger

# Name -> from which step on which parameters are frozen.
SCHEDULES = {
    "first layers": {0: ["0.*", "1.*"]},
    "a dense layer in the middle": {0: ["3.*"]},
    "all but biases": {0: ["*.weight"]},
    "biases": {0: ["*.bias"]},
    "a batch norm": {0: ["1.*"]},
    "the scale of a batch norm": {0: ["1.weight"]},
    "the last layers": {0: ["5.*", "6.*", "8.*"]},
    "half of the steps": {0: ["0.*", "1.*", "3.weight"], 50: []},
    "the other half": {50: ["3.*", "6.weight"]},
    "a layer at a time": {0: ["[0-6].*"], 25: ["[0-3].*"], 60: ["0.*", "8.bias"], 80: ["0.weight"]},
}

OPTIMIZERS = {
    "momentum": (optim.SGD(lr=0.02, momentum=0.9), "SGD", {"lr": 0.02, "momentum": 0.9}, {}),
    "Adam": (optim.Adam(lr=0.01, eps=1e-3), "Adam", {"lr": 0.01, "eps": 1e-3}, {}),
    "Adam, clipped norm": (optim.Adam(lr=0.01, eps=1e-3), "Adam", {"lr": 0.01, "eps": 1e-3}, {"clip_norm": LIMIT}),
    "AdamW": (
        optim.AdamW(lr=0.01, eps=1e-3, weight_decay=0.2), "AdamW", {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.2}, {},
    ),
    "NAdam": (optim.NAdam(lr=0.01, eps=1e-3), "NAdam", {"lr": 0.01, "eps": 1e-3}, {}),
    "RMSprop": (
        optim.RMSprop(lr=1e-3, eps=1e-3, momentum=0.5), "RMSprop", {"lr": 1e-3, "eps": 1e-3, "momentum": 0.5}, {},
    ),
}  # fmt: skip


def ours():
    # The dense layer before the batch norm has no bias: it would have no gradient but rounding.
    return nn.Sequential(
        nn.Dense(FEATURES, 12, bias=False), nn.BatchNorm(12), nn.Tanh(), nn.Dense(12, 10), nn.Sigmoid(),
        nn.LayerNorm(10), nn.Dense(10, 8), nn.PReLU(), nn.Dense(8, CLASSES), dtype="float64", seed=3,
    )  # fmt: skip


def theirs():
    t = torch.nn
    return t.Sequential(
        t.Linear(FEATURES, 12, bias=False), t.BatchNorm1d(12), t.Tanh(), t.Linear(12, 10), t.Sigmoid(),
        t.LayerNorm(10), t.Linear(10, 8), t.PReLU(), t.Linear(8, CLASSES),
    ).double()  # fmt: skip


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(STEPS * ROWS, FEATURES))
    return X, (X @ rng.normal(size=(FEATURES, CLASSES)) + rng.normal(size=(len(X), CLASSES))).argmax(axis=1)


@pytest.fixture(autouse=True, scope="module")
def settings_of_torch():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for a net of this size more are slower
    torch.set_default_dtype(torch.float64)  # NAdam keeps a number in this dtype
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


def freeze(model, patterns):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatch.fnmatchcase(name, each) for each in patterns))
    norm = model[1]
    norm.train(norm.weight.requires_grad or norm.bias.requires_grad)


@functools.cache
def their_training(schedule, optimizer):
    """Return PyTorch's values after the training by name."""
    _, kind, settings, limits = OPTIMIZERS[optimizer]
    model = theirs()
    model.load_state_dict({key: torch.from_numpy(array) for key, array in ours().state_dict().items()})
    update = getattr(torch.optim, kind)(model.parameters(), **settings)
    X, y = map(torch.from_numpy, data())
    for step in range(STEPS):
        if step in SCHEDULES[schedule]:
            freeze(model, SCHEDULES[schedule][step])
        rows = slice(step * ROWS, (step + 1) * ROWS)
        update.zero_grad()
        torch.nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
        if limits:
            torch.nn.utils.clip_grad_norm_(model.parameters(), LIMIT)
        update.step()
    return {key: tensor.numpy() for key, tensor in model.state_dict().items()}


class Freeze(fastnn.training.Callback):
    """Freezes during the fit what the schedule says."""

    def __init__(self, schedule):
        self.schedule = schedule

    def change(self, net, step):
        if step in self.schedule:
            net.unfreeze()
            net.freeze(self.schedule[step])

    def on_fit_begin(self, trainer):
        self.change(trainer.net, 0)

    def on_batch_end(self, trainer, logs):
        self.change(trainer.net, trainer.step_count)


# All schedules with two optimisers, and all optimisers with the schedules that thaw parameters in the middle.
CASES = [
    (schedule, optimizer)
    for schedule in SCHEDULES
    for optimizer in OPTIMIZERS
    if optimizer in ("momentum", "Adam, clipped norm") or schedule in ("half of the steps", "a layer at a time")
]


@pytest.mark.parametrize(("schedule", "optimizer"), CASES)
def test_training_follows_PyTorch(impl, schedule, optimizer):
    update, _, _, limits = OPTIMIZERS[optimizer]
    net, steps, (X, y) = ours(), SCHEDULES[schedule], data()
    start, trainer = net.state_dict(), fastnn.Trainer(net, optimizer=update, **limits)
    trainer.fit(X, y, epochs=1, batch_size=ROWS, shuffle=False, callbacks=[Freeze(steps)], verbose=0)
    assert trainer.step_count == STEPS
    values = net.state_dict()
    always = [each for each in start if all(any(fnmatch.fnmatchcase(each, p) for p in at) for at in steps.values())]
    for key, want in their_training(schedule, optimizer).items():
        if key.endswith("num_batches_tracked"):
            continue
        assert np.abs(values[key] - want).max() <= 1e-10 * np.abs(want).max(), key
        if 0 in steps and key in always:
            np.testing.assert_array_equal(values[key], start[key])
        elif "running" not in key:
            assert np.abs(want - start[key]).max() > 1e-3, key


@pytest.mark.parametrize("optimizer", ["Adam", "Adam, clipped norm"])
def test_hand_written_loops_follow_PyTorch(impl, optimizer):
    schedule = "a layer at a time"
    update, _, _, limits = OPTIMIZERS[optimizer]
    net, (X, y) = ours(), data()
    trainer = fastnn.Trainer(net, optimizer=update, **limits)
    loss, change = nn.CrossEntropyLoss(), Freeze(SCHEDULES[schedule])
    for step in range(STEPS):
        change.change(net, step)
        rows = slice(step * ROWS, (step + 1) * ROWS)
        z = net.forward(X[rows], training=True)
        dz = np.empty_like(z)
        loss(z, y[rows], grad=dz)
        net.backward(dz)
        trainer.step()
    values = net.state_dict()
    for key, want in their_training(schedule, optimizer).items():
        if not key.endswith("num_batches_tracked"):
            assert np.abs(values[key] - want).max() <= 1e-10 * np.abs(want).max(), key
