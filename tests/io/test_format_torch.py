"""Files are read by the safetensors library and by PyTorch, and files of that library are read here."""

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.io._tensors import DTYPES, TensorFile, write_tensors

torch = pytest.importorskip("torch", reason="PyTorch, an oracle, is not installed")
safetensors = pytest.importorskip("safetensors", reason="safetensors, an oracle, is not installed")
for module in ("numpy", "torch"):
    pytest.importorskip(f"safetensors.{module}")


def random_array(rng, name=None):
    """Return an array of any bits, of a random dtype and shape: also without axes, and without entries."""
    dtype = DTYPES[name or str(rng.choice(sorted(DTYPES)))]
    shape = tuple(int(n) for n in rng.choice([0, 1, 1, 2, 3, 5], rng.integers(0, 5)))
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    raw = rng.integers(0, 256, int(np.prod(shape)) * dtype.itemsize).astype(np.uint8)
    return raw.view(dtype).reshape(shape)


def random_tensors(seed):
    rng = np.random.default_rng(seed)
    arrays = {f"{i}.{rng.integers(100)}": random_array(rng) for i in range(rng.integers(0, 12))}
    return arrays | {f"each.{name}": random_array(rng, name) for name in DTYPES} | {'a \N{SNOWMAN} " \\': np.ones(2)}


def equal(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("seed", range(30))
def test_the_library_reads_our_files(tmp_path, seed):
    path, arrays = tmp_path / "x.safetensors", random_tensors(seed)
    metadata = {"a": "\N{SNOWMAN}", "b": "x" * seed}
    write_tensors(path, arrays, metadata, "sum" * (seed % 2))
    got = safetensors.numpy.load_file(path)
    assert got.keys() == arrays.keys() and all(equal(got[name], arrays[name]) for name in arrays)
    assert safetensors.numpy.load(path.read_bytes()).keys() == arrays.keys()
    tensors = safetensors.torch.load_file(path)
    assert all(equal(tensors[name].numpy(), arrays[name]) for name in arrays)
    with safetensors.safe_open(path, "numpy") as file:
        assert set(file.keys()) == arrays.keys()
        assert file.metadata().items() >= metadata.items()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("metadata", [None, {}, {"a": '\N{SNOWMAN}"\\'}], ids=repr)
def test_we_read_files_of_the_library(tmp_path, seed, metadata):
    path, arrays = tmp_path / "x.safetensors", random_tensors(seed)
    safetensors.numpy.save_file(arrays, path, metadata)
    with TensorFile(path) as file:
        assert file.metadata == (metadata or {})
        assert file.entries.keys() == arrays.keys()
        assert all(equal(file.read(name), arrays[name]) for name in arrays)
    safetensors.torch.save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    with TensorFile(path) as file:
        assert all(equal(file.read(name), arrays[name]) for name in arrays)


def test_no_tensors(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {}, {})
    assert safetensors.numpy.load_file(path) == {}
    safetensors.numpy.save_file({}, path)
    with TensorFile(path) as file:
        assert not file.entries


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.complex64], ids=str)
def test_dtypes_that_numpy_has_not(tmp_path, dtype):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2, dtype=dtype)}, path)
    with TensorFile(path) as file:
        assert file.entries["a"].shape == (2,)
        with pytest.raises(ValueError, match=r"x.safetensors must have the tensor 'a' of one of the dtypes F64.*, got"):
            file.read("a")


def test_a_file_of_weights_alone_is_none_of_ours(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(torch.nn.Linear(2, 3).state_dict(), path)
    with pytest.raises(
        ValueError, match=r"must be a file of fastnn, got no fastnn.format in its metadata: its tensors alone are"
    ):
        fastnn.load(path)


# Nets without scalers, each with the same net in PyTorch.
NETS = {
    "dense": lambda: (
        nn.Sequential(nn.Dense(5, 4), nn.ReLU(), nn.Dense(4, 3, bias=False), nn.Tanh(), seed=0),
        torch.nn.Sequential(
            torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3, bias=False), torch.nn.Tanh()
        ),
    ),
    "norms": lambda: (
        nn.Sequential(
            nn.Dense(5, 4), nn.BatchNorm(4), nn.PReLU(4), nn.LayerNorm(4), nn.RMSNorm(4, eps=1e-6), nn.PReLU(),
            nn.Dropout(0.5), nn.Dense(4, 2), seed=1,
        ),
        torch.nn.Sequential(
            torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.PReLU(4), torch.nn.LayerNorm(4),
            torch.nn.RMSNorm(4, eps=1e-6), torch.nn.PReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2),
        ),
    ),
    "nested": lambda: (
        nn.Sequential(nn.Sequential(nn.Dense(5, 4), nn.SiLU()), nn.Sequential(nn.Sequential(nn.Dense(4, 2))), seed=2),
        torch.nn.Sequential(
            torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.SiLU()),
            torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(4, 2))),
        ),
    ),
    "cumulative batch norm": lambda: (
        nn.Sequential(nn.BatchNorm(5, momentum=None), nn.LayerNorm(5, bias=False), seed=3),
        torch.nn.Sequential(torch.nn.BatchNorm1d(5, momentum=None), torch.nn.LayerNorm(5, bias=False)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nets_load_strictly_into_pytorch(tmp_path, name, dtype):
    path = tmp_path / "net.safetensors"
    net, module = NETS[name]()
    net, rng = net.astype(dtype), np.random.default_rng(0)
    for _ in range(3):  # so that running statistics and their count are not those of the start
        net.forward(rng.normal(size=(8, 5)), training=True)
    for array in net.parameters().values():
        array += 0.1 * rng.normal(size=array.shape)
    net.save(path)
    module = module.to(getattr(torch, dtype)).eval()
    module.load_state_dict(safetensors.torch.load_file(path), strict=True)
    X = rng.normal(size=(7, 5)).astype(dtype)
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(net.predict(X), expected, rtol=0, atol=2e-6 if dtype == "float32" else 1e-14)
    assert fastnn.load(path).predict(X).tobytes() == net.predict(X).tobytes()


def test_an_embedding_loads_strictly_into_pytorch(tmp_path):
    path = tmp_path / "net.safetensors"
    net = nn.Sequential(nn.Embedding(6, 3, padding_idx=2), seed=0)
    net.save(path)
    module = torch.nn.Sequential(torch.nn.Embedding(6, 3, padding_idx=2))
    module.load_state_dict(safetensors.torch.load_file(path), strict=True)
    ids = np.arange(6)
    with torch.no_grad():
        expected = module(torch.from_numpy(ids)).numpy()
    assert (net.predict(ids[:, np.newaxis]) == expected).all()


def test_what_pytorch_has_not_is_named_so(tmp_path):
    path = tmp_path / "net.safetensors"
    net = nn.Sequential(nn.ScaleColumns(3), nn.Dense(3, 2), seed=0)
    net.scaler = fastnn.data.Scaler([0.0] * 3, [1.0] * 3)
    net.save(path)
    names = safetensors.numpy.load_file(path)
    assert sorted(names) == ["1.bias", "1.weight", "fastnn.0.scale", "fastnn.scaler.center", "fastnn.scaler.scale"]
