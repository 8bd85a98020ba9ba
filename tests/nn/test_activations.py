"""Activation layers: each in both executors, against finite differences, the other executor and PyTorch."""

import functools
import inspect
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn._activations import ACTIVATIONS
from tests.registered import register

# Values that are not the defaults, for every activation with parameters.
PARAMETERS = {
    "leaky_relu": {"negative_slope": 0.2},
    "hard_tanh": {"min_val": -0.5, "max_val": 0.8},
    "threshold": {"threshold": 0.1, "value": -0.2},
    "elu": {"alpha": 0.7},
    "celu": {"alpha": 1.3},
    "softplus": {"beta": 2.0},
    "prelu": {"num_parameters": 6, "init": -0.4},
}


def square_backward(dy, x, y):
    return 2 * x * dy


LAYERS = {
    **{name: (lambda name=name: nn.activation(name)) for name in [*ACTIVATIONS, "prelu", "softmax", "log_softmax"]},
    **{
        f"{name} with parameters": (lambda name=name, given=given: nn.activation(name, **given))
        for name, given in PARAMETERS.items()
    },
    "custom": lambda: nn.CustomActivation(np.square, square_backward),
}
each = pytest.mark.parametrize("layer", LAYERS)

NETS = {
    "normalised": lambda make: [nn.Dense(4, 6, bias=False), nn.BatchNorm(6), make(), nn.Dropout(0.2), nn.Dense(6, 3)],
    "ends": lambda make: [nn.BatchNorm(6), make(), nn.Dropout(0.3), nn.Dense(6, 6), make()],
    "in a row": lambda make: [nn.Dense(4, 6), make(), make(), nn.Dropout(0.1), make(), nn.Dense(6, 2)],
}


def test_every_activation_with_parameters_is_tested():
    assert set(PARAMETERS) == {name for name, row in ACTIVATIONS.items() if row.parameters} | {"prelu"}


@pytest.mark.sampled(5)
@each
@pytest.mark.parametrize("kind", NETS)
def test_gradients(impl, kind, layer, rng):
    net = nn.Sequential(*NETS[kind](LAYERS[layer]), seed=5)
    for name, array in net.parameters().items():
        if name.endswith("bias"):
            array[...] = rng.normal(size=array.shape)
    X, y = rng.normal(size=(7, net.in_features)), rng.normal(size=(7, net.out_features))
    report = fastnn.check_gradients(net, X, y, loss="mean_squared_error")
    assert report.ok, f"\n{report}"
    assert sum(block.skipped for block in report.blocks) <= 3
    assert all(block.bound <= 1e-7 * block.largest + 1e-9 for block in report.blocks)


@functools.cache
def trained(layer, backend):
    """Return a net after 200 steps in float64."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(96, 6)), rng.integers(0, 3, 96)
    make = LAYERS[layer]
    net = nn.Sequential(
        nn.Dense(6, 6), make(), nn.Dropout(0.1), nn.Dense(6, 6, bias=False), nn.BatchNorm(6), make(),
        nn.Dropout(0.1), nn.Dense(6, 3), dtype="float64", seed=2,
    )  # fmt: skip
    with fastnn.backend(backend):
        trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=0.02, momentum=0.9))
        trainer.fit(X, y, epochs=50, batch_size=24, verbose=0)
    assert trainer.step_count == 200
    return net


@pytest.mark.sampled(5)
@each
def test_trajectories_agree(native, layer):
    net, wanted = trained.__wrapped__(layer, "native"), trained(layer, "reference")
    for arena in ("params", "state"):
        for name, want in getattr(wanted, arena).views().items():
            have = getattr(net, arena).view(name)
            assert np.abs(have - want).max() <= 1e-10 * np.abs(want).max(), name


@each
def test_a_rows_prediction_does_not_depend_on_the_batch(native, layer, dtype, rng):
    net = nn.Sequential(nn.Dense(6, 6), LAYERS[layer](), nn.BatchNorm(6), LAYERS[layer](), dtype=dtype, seed=0)
    X = rng.normal(size=(530, 6)).astype(dtype)
    together = net.predict(X)
    for row in (0, 529):
        np.testing.assert_array_equal(net.predict(X[row : row + 1])[0], together[row])


@pytest.mark.parametrize("threads", [2, 3])
def test_results_do_not_depend_on_threads(native, threads, dtype):
    """Also for activations that are not elementwise, have learned slopes, or keep their input."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 90)).astype(dtype), rng.integers(0, 5, 600)

    def fit(n):
        net = nn.Sequential(
            nn.Dense(90, 200, bias=False), nn.BatchNorm(200), nn.SiLU(), nn.Dropout(0.3), nn.PReLU(200),
            nn.Dense(200, 130), nn.PReLU(), nn.Dense(130, 70), nn.LogSoftmax(), nn.Softmax(), nn.Dense(70, 5),
            dtype=dtype, seed=0,
        )  # fmt: skip
        with fastnn.num_threads(n):
            trainer = fastnn.Trainer(net)
            trainer.fit(X, y, epochs=2, batch_size=300, verbose=0)
            return net.params.data, net.state.data, net.predict(X), trainer.history["loss"]

    for one, several in zip(fit(1), fit(threads), strict=True):
        np.testing.assert_array_equal(one, several)


@each
def test_nan_stays_nan(impl, layer, dtype):
    net = nn.Sequential(nn.Dense(2, 6, init="zeros"), LAYERS[layer](), dtype=dtype, seed=0)
    net.layers[0].bias[...] = np.nan
    assert np.isnan(net.predict([[1.0, 1.0]])).all()


@pytest.mark.parametrize("layer", [name for name in LAYERS if name != "custom"])  # its square may overflow
@pytest.mark.parametrize("size", [1e3, 1e30])
def test_large_values_give_finite_results(impl, layer, size, dtype):
    """Neither the function nor its derivative becomes NaN or infinite where it has a finite value."""
    net = nn.Sequential(nn.Dense(1, 6, init="zeros"), LAYERS[layer](), dtype=dtype, seed=0)
    net.layers[0].bias[...] = np.array([-1, 1, -0.5, 0.5, 0, -0.25]) * size
    z = net.forward([[1.0]], training=True, input_grad=True)
    assert np.isfinite(z).all()
    net.backward(np.ones_like(z))
    assert np.isfinite(net.gradients()["0.bias"]).all()


# ---- comparison with PyTorch ----

OF_TORCH = {"gelu_tanh": ("GELU", {"approximate": "tanh"}), "prelu": ("PReLU", {}), "softmax": ("Softmax", {"dim": 1}),
            "log_softmax": ("LogSoftmax", {"dim": 1})}  # fmt: skip


@pytest.mark.parametrize("layer", [name for name in LAYERS if name != "custom"])
def test_as_in_pytorch(layer, rng):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    name = layer.removesuffix(" with parameters")
    given = PARAMETERS[name] if name != layer else {}
    kind, more = OF_TORCH.get(name) or (ACTIVATIONS[name].torch, {})
    if not hasattr(torch.nn, kind):
        pytest.skip(f"PyTorch has no {kind}")
    if kind == "Threshold" and not given:  # PyTorch's has no defaults
        more = {"threshold": 0.0, "value": 0.0}
    theirs = torch.nn.Sequential(
        torch.nn.Linear(5, 6), getattr(torch.nn, kind)(**more, **given), torch.nn.Linear(6, 3)
    ).double()
    net = nn.Sequential(nn.Dense(5, 6), nn.activation(name, **given), nn.Dense(6, 3), dtype="float64", seed=0)
    net.load_state_dict({key: value.detach().numpy() for key, value in theirs.state_dict().items()})
    X, dz = 3 * rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    x = torch.tensor(X, requires_grad=True)
    their_z = theirs(x)
    their_z.backward(torch.tensor(dz))
    z = net.forward(X, training=True, input_grad=True)
    dx = net.backward(dz)
    # PyTorch's softplus is x itself where beta x > 20, within e^-20, and it stores 1 / 6 and 1 / alpha in float32.
    rtol = 1e-7 if layer in ("softplus", "hard_sigmoid", "celu with parameters") else 1e-12
    pairs = {"z": (z, their_z), "dx": (dx, x.grad)}
    for key, value in theirs.named_parameters():
        ours = net.gradients()[key]
        pairs[key] = ours.T, value.grad
    for key, (ours, wanted) in pairs.items():
        wanted = wanted.detach().numpy()
        assert np.abs(ours - wanted).max() <= rtol * np.abs(wanted).max(), key
    np.testing.assert_array_equal(net.predict(X), z)


# ---- layers and names ----


def test_layers_are_made_from_the_registry():
    for name, row in ACTIVATIONS.items():
        layer = nn.activation(name)
        kind = type(layer)
        assert getattr(nn, kind.__name__) is kind
        assert kind.__name__ in nn.__all__
        assert layer.name == name
        assert kind.__doc__.strip()
        if kind not in (nn.Identity, nn.GELU):
            assert kind.__name__ == row.torch
            shown = inspect.signature(kind).parameters
            assert [(p.name, p.default) for p in shown.values()] == [(p.name, p.default) for p in row.parameters]
            assert all(f"{p.name} : float, default {p.default}" in kind.__doc__ for p in row.parameters)
            assert layer.constants == tuple(p.default for p in row.parameters)


@each
def test_copies_and_pickles(layer, rng):
    if layer == "custom":
        make = nn.CustomActivation(np.square, square_backward)
    else:
        make = LAYERS[layer]()
    net = nn.Sequential(nn.Dense(3, 6), make, nn.Dense(6, 2), seed=0)
    X = rng.normal(size=(4, 3))
    for twin in (net.copy(), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict(X), net.predict(X))
        assert repr(twin) == repr(net)


def test_parameters_by_position_and_by_name():
    assert nn.LeakyReLU(0.3).negative_slope == nn.LeakyReLU(negative_slope=0.3).negative_slope == 0.3
    assert repr(nn.LeakyReLU(0.3)) == "LeakyReLU(negative_slope=0.3)"
    assert nn.LeakyReLU().constants == (0.01,)
    assert repr(nn.activation("gelu_tanh")) == repr(nn.GELU("tanh")) == "GELU(approximate='tanh')"
    assert repr(nn.activation("prelu", num_parameters=3)) == "PReLU(num_parameters=3)"
    template = nn.LeakyReLU(0.5)
    assert nn.activation(template) is not template
    assert nn.activation(template).constants == (0.5,)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: nn.Activation(), r"Activation.name must be the name of an activation, got none: make"),
        (TypeError, lambda: nn.Softmax(1), "the arguments of nn.Softmax must be left out, got 1$"),
        (
            TypeError,
            lambda: nn.activation("log_softmax", axis=1),
            "the arguments of nn.LogSoftmax must be left",
        ),
        (TypeError, lambda: nn.ReLU(1.0), "the number of parameters of ReLU must be 0, got 1"),
        (TypeError, lambda: nn.LeakyReLU(0.1, negative_slope=0.2), "negative_slope must be given once, got a value by"),
        (
            TypeError,
            lambda: nn.LeakyReLU(alpha=0.2),
            "alpha must be left out, got 0.2: leaky_relu takes negative_slope",
        ),
        (TypeError, lambda: nn.Hardtanh(p=1), "p must be left out, got 1: hard_tanh takes min_val and max_val"),
        (TypeError, lambda: nn.Sigmoid(p=1), "p must be left out, got 1: sigmoid takes no parameters"),
        (ValueError, lambda: nn.LeakyReLU(-0.1), "negative_slope must be a finite number of at least 0, got -0.1"),
        (TypeError, lambda: nn.LeakyReLU(True), "negative_slope must be a finite number of at least 0, got True"),
        (ValueError, lambda: nn.GELU("erf"), "approximate must be one of none, tanh, got 'erf'"),
        (ValueError, lambda: nn.Hardtanh(1.0, -1.0), "max_val must be a finite number of at least 1, got -1.0"),
        (ValueError, lambda: nn.PReLU(0), "num_parameters must be an integer of at least 1, got 0"),
        (ValueError, lambda: nn.PReLU(init=np.inf), "init must be a finite number, got inf"),
        (TypeError, lambda: nn.PReLU(init=False), "init must be a finite number, got False"),
        (
            ValueError,
            lambda: nn.Sequential(nn.Dense(2, 3), nn.PReLU(4), seed=0),
            r"layers\[1\] must take inputs of width 3, the output of Dense\(2, 3\) before it, got PReLU",
        ),
        (ValueError, lambda: nn.activation("swiss"), "activation must be one of identity, .*'swiss'"),
        (TypeError, lambda: nn.activation(3), "activation must be a layer, or one of identity, .*, got int"),
        (TypeError, lambda: nn.activation(nn.ReLU), r"activation must be .*, got the class ReLU: write nn.ReLU\(\)"),
        (
            TypeError,
            lambda: nn.activation(nn.ReLU(), alpha=1),
            "alpha must be left out with a layer, got 1: a layer has",
        ),
        (ValueError, lambda: nn.register_activation("relu", nn.ReLU), "name must be a name that is not registered yet"),
        (TypeError, lambda: nn.register_activation("mine", 3), "make must be a function, got int"),
        (TypeError, lambda: nn.register_activation(3, nn.ReLU), "name must be a string, got int"),
    ],
)
def test_what_is_refused(error, call, message):
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_a_registered_function_must_return_a_layer(monkeypatch):
    register(monkeypatch, three=lambda: 3)
    with pytest.raises(TypeError, match=r"^the function registered as 'three' must return a layer, got int$"):
        nn.activation("three")


def sine(frequency=1.0):
    """A user's activation: a function that makes a layer from two NumPy functions."""
    return nn.CustomActivation(lambda x: np.sin(frequency * x), lambda dy, x, y: dy * frequency * np.cos(frequency * x))


class Swapped(nn.Activation):
    """A user's activation: a subclass of the layers' class."""

    name = "tanh"


def test_activations_from_outside_the_package(impl, monkeypatch):
    register(monkeypatch, sine=sine, swapped=Swapped)
    net = nn.Sequential(
        nn.Dense(2, 16),
        nn.activation("sine", frequency=2.0),
        nn.Dense(16, 8),
        nn.activation("swapped"),
        nn.Dense(8, 1),
        seed=0,
    )
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(256, 2))
    y = np.sin(3 * X[:, :1])
    assert fastnn.check_gradients(net, X[:6], y[:6], loss="mean_squared_error").ok
    trainer = fastnn.Trainer(net, "mean_squared_error", optim.Adam(lr=1e-2))
    history = trainer.fit(X, y, epochs=25, batch_size=32, verbose=0)
    assert history["loss"][-1] < 0.05 * history["loss"][0]
    assert trainer.evaluate(X, y)["loss"] < 0.05


# ---- default initialisers of the dense layer before an activation ----


@pytest.mark.parametrize("name", [*ACTIVATIONS, "prelu", "softmax", "log_softmax"])
def test_initial_weights_depend_on_the_activation(name):
    gains = {"kaiming": np.sqrt(2 / 400), "lecun": 1 / np.sqrt(400), "xavier": np.sqrt(2 / 500)}
    kind = ACTIVATIONS[name].init if name in ACTIVATIONS else {"prelu": "kaiming"}.get(name, "xavier")
    slope = {"leaky_relu": 0.01, "prelu": 0.25}.get(name, 0.0)
    net = nn.Sequential(
        nn.Dense(400, 100), nn.BatchNorm(100), nn.Dropout(0.5), nn.activation(name), nn.Dense(100, 2), seed=0
    )
    np.testing.assert_allclose(net.layers[0].weight.std(), gains[kind] / np.sqrt(1 + slope**2), rtol=0.02)


@pytest.mark.parametrize("name", [name for name, row in ACTIVATIONS.items() if row.init != "xavier"])
def test_signals_keep_their_size(name):
    """In ten layers, the root mean square changes by a factor of less than 30."""
    widths = [layer for _ in range(10) for layer in (nn.Dense(200, 200), nn.activation(name))]
    X = np.random.default_rng(0).normal(size=(100, 200))
    size = np.sqrt(np.mean(np.square(nn.Sequential(*widths, seed=0).predict(X))))
    assert 1 / 30 < size < 30


def test_selu_normalises_itself():
    widths = [layer for _ in range(20) for layer in (nn.Dense(300, 300), nn.SELU())]
    z = nn.Sequential(*widths, seed=0).predict(np.random.default_rng(0).normal(size=(200, 300)))
    assert abs(z.mean()) < 0.1
    assert abs(z.std() - 1) < 0.1
