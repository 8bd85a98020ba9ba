"""Files of nets beside PyTorch: it loads their tensors strictly, by safetensors' own reader, and computes the same."""

import numpy as np
import pytest

import fastnn
from fastnn import nn
from tests import model_files

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")

X = np.random.default_rng(0).normal(size=(20, 6))
LAYERS = [
    nn.Dense(6, 5), nn.BatchNorm(5), nn.ReLU(), nn.Dropout(0.1), nn.LayerNorm(5), nn.Dense(5, 4, bias=False),
    nn.PReLU(4), nn.RMSNorm(4), nn.Tanh(), nn.Dense(4, 3),
]  # fmt: skip


def theirs():
    return torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.LayerNorm(5),
        torch.nn.Linear(5, 4, bias=False), torch.nn.PReLU(4), torch.nn.RMSNorm(4), torch.nn.Tanh(),
        torch.nn.Linear(4, 3),
    ).double()  # fmt: skip


def trained(seed=0):
    net = nn.Sequential(*LAYERS, dtype="float64", seed=seed)
    fastnn.Trainer(net).fit(X, np.arange(20) % 3, epochs=3, batch_size=10, verbose=0)
    return net


def tensors_of(path):
    """Return the tensors as PyTorch reads them: by safetensors if it is installed."""
    try:
        from safetensors.torch import load_file
    except ImportError:
        return {name: torch.from_numpy(np.array(each)) for name, each in model_files.read(path)[1].items()}
    return load_file(path)


def assert_predicts(module, net):
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(net.predict(X), wanted, rtol=1e-12, atol=1e-13)


def test_a_net_loads_strictly(tmp_path):
    net, module, path = trained(), theirs(), tmp_path / "net.safetensors"
    net.save(path)
    module.load_state_dict(tensors_of(path), strict=True)
    assert_predicts(module, net)
    assert module[1].num_batches_tracked.item() == net.training_steps == 6


def test_an_ensemble_loads_strictly_as_a_list_of_modules(tmp_path):
    nets, modules, path = [trained(0), trained(1)], torch.nn.ModuleList([theirs(), theirs()]), tmp_path / "ensemble"
    fastnn.Ensemble(nets, "softmax").save(path)
    modules.load_state_dict(tensors_of(path), strict=True)
    for module, net in zip(modules, nets, strict=True):
        assert_predicts(module, net)


def test_pytorchs_file_loads_into_a_net_of_the_same_layers(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    module, path = theirs(), tmp_path / "theirs.safetensors"
    save_file(module.state_dict(), path)
    net = nn.Sequential(*LAYERS, dtype="float64", seed=0)
    net.load_state_dict(tensors_of(path))
    assert_predicts(module, net)
    with pytest.raises(ValueError, match=r"must be a file of fastnn, got no fastnn.format in its metadata"):
        fastnn.load(path)
