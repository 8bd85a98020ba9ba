"""Averages of the parameters beside PyTorch's `AveragedModel`, over 100 steps in float64, with its `update_bn`."""

import functools

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
swa_utils = torch.optim.swa_utils

ROWS, BATCH, EPOCHS = 160, 16, 10
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(ROWS, 5)), RNG.integers(0, 3, ROWS)

OPTIMIZERS = {
    "sgd": (optim.SGD(0.1, momentum=0.9), lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9)),
    "adamw": (
        optim.AdamW(0.01, weight_decay=0.1),
        lambda parameters: torch.optim.AdamW(parameters, 0.01, weight_decay=0.1),
    ),
}
AVERAGES = {
    "ema": (optim.EMA(0.95), {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.95)}),
    "ema of few steps": (optim.EMA(0.4), {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.4)}),
    "swa": (optim.SWA(4), {}),
}


def nets(norms):
    """Return the same net twice, ours and PyTorch's."""
    if norms:  # a bias before a batch norm has no true gradient, and Adam amplifies its rounding
        layers = [nn.Dense(5, 8, bias=False), nn.BatchNorm(8), nn.Tanh(), nn.Dense(8, 6, bias=False)]
        layers += [nn.BatchNorm(6, momentum=None), nn.Tanh(), nn.Dense(6, 3)]
        theirs = [torch.nn.Linear(5, 8, bias=False), torch.nn.BatchNorm1d(8), torch.nn.Tanh()]
        theirs += [torch.nn.Linear(8, 6, bias=False), torch.nn.BatchNorm1d(6, momentum=None), torch.nn.Tanh()]
        theirs += [torch.nn.Linear(6, 3)]
    else:
        layers = [nn.Dense(5, 8), nn.Tanh(), nn.Dense(8, 3)]
        theirs = [torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)]
    net, module = nn.Sequential(*layers, dtype="float64", seed=1), torch.nn.Sequential(*theirs).double()
    module.load_state_dict({key: torch.tensor(array) for key, array in net.state_dict().items()})
    return net, module


@functools.cache
def trained_by_pytorch(average, optimizer, norms):
    """Return the module after EPOCHS epochs, the averaged model, its statistics updated, and its output."""
    (ours, settings), (_, optimizer), (_, module) = AVERAGES[average], OPTIMIZERS[optimizer], nets(norms)
    epochs_before = getattr(ours, "start", None)
    average, step = swa_utils.AveragedModel(module, **settings), optimizer(module.parameters())
    batches = list(zip(torch.tensor(X).split(BATCH), torch.tensor(Y).split(BATCH), strict=True))
    for epoch in range(EPOCHS):
        for x, y in batches:
            step.zero_grad()
            torch.nn.functional.cross_entropy(module(x), y).backward()
            step.step()
            if epochs_before is None:
                average.update_parameters(module)
        if epochs_before is not None and epoch >= epochs_before:
            average.update_parameters(module)
    swa_utils.update_bn(batches, average)
    with torch.no_grad():
        return module, average.module, average.eval()(torch.tensor(X)).numpy()


@pytest.mark.parametrize("norms", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("average", AVERAGES)
def test_one_hundred_steps(impl, average, optimizer, norms):
    net, _ = nets(norms)
    trainer = fastnn.Trainer(net, optimizer=OPTIMIZERS[optimizer][0], average=AVERAGES[average][0])
    trainer.fit(X, Y, epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    module, averaged, z = trained_by_pytorch(average, optimizer, norms)
    for have, model in ((trainer.averaged, averaged), (net, module)):
        arrays = have.state_dict()
        for key, tensor in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                wanted = tensor.numpy()
                np.testing.assert_allclose(arrays[key], wanted, rtol=0, atol=1e-10 * abs(wanted).max(), err_msg=key)
    np.testing.assert_allclose(trainer.predict(X), z, rtol=0, atol=1e-10 * abs(z).max())
