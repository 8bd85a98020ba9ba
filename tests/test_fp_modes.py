"""The floating-point mode of the calling thread applies to all threads of a call, and does not change."""

import numpy as np
import pytest
from fp_modes import MODES, control, fp_mode
from specs import SPECS, same_bits

import fastnn
from fastnn import kernels, nn

KEPT = ("target", "inv_std", "slope", "limit", "quantiles")  # denormals are none of their values
TINY = {"float32": 1e-40, "float64": 1e-310}


def with_denormals(spec, dtype):
    """Return arguments that are large enough for several threads and contain denormals."""
    rng = np.random.default_rng(0)
    arguments = spec.make(rng, spec.large_shape, np.dtype(dtype))
    for name, array in arguments.items():
        if isinstance(array, np.ndarray) and array.dtype == dtype and name not in KEPT:
            array = arguments[name] = array.copy()
            flat = array.reshape(-1)
            flat[::3] = TINY[dtype] * rng.integers(1, 9, len(flat[::3]))
    return arguments


@pytest.mark.sampled(5)
@pytest.mark.parametrize("mode", ["flush", "up"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name.replace(" ", "_").replace(",", ""))
def test_kernels(spec, mode, dtype):
    arguments = with_denormals(spec, dtype.name)
    results = []
    with fp_mode(mode):
        before = control()
        for n in (1, 2):
            with fastnn.num_threads(n):
                results.append(spec.call(kernels, arguments))
        assert control() == before
    for other in results[1:]:
        for name in other:
            same_bits(other[name], results[0][name], name)


@pytest.mark.parametrize("mode", MODES)
def test_workers_take_each_mode_and_the_default_again(mode):
    """The workers have run in another mode before."""
    x = np.full(3_000_000, 1e-38, np.float32)

    def halves():
        with fastnn.num_threads(2):
            return kernels.scale(x, 0.3)

    default = halves()
    assert (default == np.float32(1e-38) * np.float32(0.3)).all()
    for _ in range(2):
        with fp_mode(mode):
            expected = x * np.float32(0.3)
            same_bits(halves(), expected)
        assert (expected == 0).all() == (mode == "flush")
        same_bits(halves(), default)


def trained(threads, mode):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((600, 96)) < 0.5, 1e-30, rng.normal(size=(600, 96))).astype(np.float32)
    layers = (
        nn.Dense(96, 256),
        nn.BatchNorm(256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Dense(256, 256),
        nn.Tanh(),
        nn.Dense(256, 3),
    )
    net = nn.Sequential(*layers, seed=1)
    for layer in (net.layers[0], net.layers[4]):
        layer.weight[::2] *= 1e-30
    with fp_mode(mode), fastnn.num_threads(threads):
        before = control()
        trainer = fastnn.Trainer(net)
        trainer.fit(X * np.float32(1e-6), rng.integers(0, 3, 600), epochs=2, batch_size=200, verbose=0)
        z = net.predict(X)
        assert control() == before
    return net.params.data.copy(), net.state.data.copy(), z, np.array(trainer.history["loss"])


@pytest.mark.parametrize("mode", MODES)
def test_training_and_prediction(mode):
    one, two = trained(1, mode), trained(2, mode)
    for a, b in zip(one, two, strict=True):
        same_bits(a, b)
