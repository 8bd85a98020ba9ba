"""What a net computes when it is called, its layers' outputs, and calls of layers."""

import threading

import numpy as np
import pytest

import fastnn
from fastnn import kernels, nn

SINH = nn.CustomActivation(np.sinh, lambda dy, x, y: dy * np.cosh(x))

SCALE = [2.0, 1.0, 0.5, 3.0, 1.5]

NETS = {
    "one layer": [nn.Dense(5, 3)],
    "fused": [nn.Dense(5, 8), nn.ReLU(), nn.Dropout(0.5), nn.Dense(8, 3), nn.Softmax()],
    "batch norms": [nn.BatchNorm(5), nn.Dense(5, 8, bias=False), nn.BatchNorm(8), nn.GELU(), nn.Dense(8, 2)],
    "norm after the activation": [nn.Dense(5, 8), nn.Tanh(), nn.BatchNorm(8), nn.Dropout(0.2), nn.Dense(8, 2)],
    "two activations": [nn.Dense(5, 8), nn.ReLU(), nn.Sigmoid(), nn.PReLU(8), nn.LogSoftmax()],
    "no own output": [nn.Dense(5, 8), nn.Identity(), nn.Dropout(0.1), nn.Dense(8, 4), nn.Identity()],
    "input kept": [nn.Dropout(0.1), nn.Identity(), nn.Dense(5, 4), nn.SiLU()],
    "activation first": [nn.LeakyReLU(0.1), nn.Dense(5, 4), nn.ELU()],
    "custom": [nn.Dense(5, 6), SINH, nn.Dense(6, 2), SINH, nn.Dropout(0.1)],
}


def net_of(name, dtype="float32", scaler=False):
    net = nn.Sequential(*NETS[name], dtype=dtype, seed=3)
    rng = np.random.default_rng(0)
    for key, array in {**net.parameters(), **net.state.views()}.items():
        array += 0.3 * rng.normal(size=array.shape)
        if key.endswith("running_var"):
            array[...] = array**2 + 0.1
    if scaler:
        net.scaler = fastnn.data.Scaler(0.25, SCALE)
    return net


@pytest.mark.parametrize("scaler", [None, (1.0, 2.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_net_whose_output_is_its_input(impl, scaler, dtype):
    net = nn.Sequential(nn.Columns(range(3), in_features=3), dtype=dtype)
    net.scaler = scaler
    X = np.random.default_rng(0).normal(size=(5000, 3)).astype(dtype)
    out = np.full_like(X, 7)
    net.predict(X, out=out)
    np.testing.assert_array_equal(out, X if scaler is None else (X - 1) * 2)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("scaler", [False, True])
def test_activations_are_the_outputs_of_slices(impl, dtype, name, scaler):
    net = net_of(name, dtype, scaler)
    whole = next(index for index, layer in enumerate(net) if layer.in_features is not None)
    slices = [net[: index + 1] for index in range(whole, len(net))]
    for kind, rows in (("float32", 700), ("float64", 700), ("uint8", 700), ("float32", 1), ("float64", 0)):
        X = np.random.default_rng(1).integers(0, 4, size=(rows, 5)).astype(kind)
        outputs = net.activations(X)
        assert type(outputs) is list and len(outputs) == len(net)
        assert all(output.dtype == dtype and output.flags.owndata for output in outputs)
        np.testing.assert_array_equal(outputs[-1], net.predict(X))
        for part, output in zip(slices, outputs[whole:], strict=True):
            np.testing.assert_array_equal(output, part.predict(X))
        scaled = (X.astype(dtype) - 0.25) * np.array(SCALE, dtype) if scaler else X.astype(dtype)
        for layer, output in zip(net, outputs[:whole], strict=False):
            wanted = kernels.leaky_relu(scaled, 0.1) if isinstance(layer, nn.LeakyReLU) else scaled
            np.testing.assert_array_equal(output, wanted)


def test_a_call_is_predict(impl):
    net, X = net_of("fused", scaler=True), np.random.default_rng(1).normal(size=(9, 5))
    np.testing.assert_array_equal(net(X), net.predict(X))
    out = np.empty((9, 3), np.float32)
    assert net(X, out=out) is out
    np.testing.assert_array_equal(out, net.predict(X))
    for call in (net, net.activations):
        with pytest.raises(ValueError, match=r"^X must have shape \(n, 5\), got shape \(9, 4\)$"):
            call(X[:, :4])


def test_a_call_of_a_subclass_is_its_predict():
    class Doubled(nn.Sequential):
        def predict(self, X, out=None):
            return 2 * super().predict(X, out)

    net, x = Doubled(nn.Dense(2, 1), seed=0), np.ones((1, 2))
    np.testing.assert_array_equal(net(x), net.predict(x))


def test_activations_are_of_one_moment():
    """Another thread sets all values at once, again and again: no array is of two settings."""
    net = nn.Sequential(nn.Dense(1, 1), nn.Identity(), nn.Dense(1, 1), seed=0)
    states = [{key: np.full_like(a, value) for key, a in net.state_dict().items()} for value in (1.0, 2.0)]
    net.load_state_dict(states[0])
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for state in states:
                net.load_state_dict(state)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            first, _, last = (np.unique(array) for array in net.activations(np.ones((3000, 1))))
            assert (first.tolist(), last.tolist()) in (([2.0], [3.0]), ([4.0], [10.0]))
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: net_of("fused")[0], r"got a call of Dense\(5, 8\): write net\[0:1\].predict\(x\)$"),
        (lambda: net_of("fused")[1], r"got a call of ReLU\(\): write net.activations\(X\)\[1\]$"),
        (lambda: nn.Dense(5, 8), r"got a call of Dense\(5, 8\): write nn.Sequential\(layer\).predict\(x\)$"),
        (nn.ReLU, r"got a call of ReLU\(\): write nn.Sequential\(..., layer\).predict\(x\)$"),
    ],
)
def test_a_call_of_a_layer_says_what_to_write(layer, message):
    with pytest.raises(TypeError, match=f"^a layer must be run by a net, {message}"):
        layer()(np.ones((1, 5)))


def test_a_call_is_the_predict_of_the_class():
    class Mixin:
        def predict(self, X, out=None):
            return "mine"

    class Mine(Mixin, nn.Sequential):
        pass

    class Several(Mixin, fastnn.Ensemble):
        pass

    assert Mine(nn.Dense(2, 2))([[0.0, 0.0]]) == "mine"
    assert Several([nn.Sequential(nn.Dense(2, 2))])([[0.0, 0.0]]) == "mine"
