"""Nets in files, and nets as configs: the same to the last bit, and clear refusals of everything else."""

import functools
import json
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _records, data, nn, optim
from fastnn.io._content import ContentWriter, reading
from tests import model_files
from tests.nets import NETS, WIDTH, net_of
from tests.registered import register

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, WIDTH)), RNG.normal(size=(24, 3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def assert_same_net(net, other, x=X):
    """Assert that a net is another in everything that is part of it."""
    assert type(other) is nn.Sequential and other is not net
    assert repr(other) == repr(net) and other.layers == net.layers
    assert (other.dtype, other.seed, other.training_steps) == (net.dtype, net.seed, net.training_steps)
    assert other.frozen == net.frozen
    assert (other.scaler, other.output_scaler) == (net.scaler, net.output_scaler)
    states = net.state_dict(), other.state_dict()
    assert list(states[0]) == list(states[1])
    for name, array in states[0].items():
        assert array.dtype == states[1][name].dtype and array.tobytes() == states[1][name].tobytes(), name
    np.testing.assert_array_equal(other.predict(x), net.predict(x), strict=True)


def saved_and_loaded(net, path):
    net.save(path)
    return fastnn.load(path)


# ---- round trips ----

GAPS = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
SCALERS = {
    "none": (None, None),
    "scaler": (data.Scaler.fit(X), data.Scaler.fit(Y)),
    "robust": (data.RobustScaler.fit(X, limit=3.0), data.RobustScaler.fit(Y, limit=np.inf)),
    "quantiles": (data.QuantileScaler.fit(X), None),
    "numbers": (data.Scaler(0.1, 0.7), data.Scaler(10, 1 / 3)),
}


def trained(name, dtype, scalers="none", frozen=()):
    net = net_of(name, dtype)
    net.scaler, net.output_scaler = SCALERS[scalers]
    net.freeze(*frozen) if frozen else None
    trainer = fastnn.Trainer(net, "mean_squared_error", optim.Adam(1e-2))
    trainer.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    return net


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", NETS)
def test_trained_nets_are_the_same_in_files(name, dtype, path, impl):
    net = trained(name, dtype)
    other = saved_and_loaded(net, path)
    assert_same_net(net, other)
    # A training continues with the same dropout masks.
    for each in (net, other):
        fastnn.Trainer(each, "mean_squared_error", "sgd").fit(X, Y, epochs=1, batch_size=8, shuffle=False, verbose=0)
    assert_same_net(net, other)


@pytest.mark.parametrize("scalers", SCALERS)
@pytest.mark.parametrize("frozen", [(), ("0.*",), ("*",)])
def test_scalers_and_what_is_frozen(scalers, frozen, dtype, path):
    net = trained("batch norm", dtype, scalers)
    net.freeze(*frozen) if frozen else None
    assert_same_net(net, saved_and_loaded(net, path), X)


def test_a_scaler_that_fills_gaps(path, dtype):
    net = net_of("add", dtype)
    net.scaler = data.RobustScaler.fit(GAPS, nan="center")
    assert_same_net(net, saved_and_loaded(net, path), GAPS)


def test_a_file_is_a_function_of_the_net(tmp_path):
    net = trained("nested", "float32", "robust", ("0.*",))
    first, second = tmp_path / "first", tmp_path / "second"
    net.save(first)
    fastnn.load(first).save(str(second))
    assert first.read_bytes() == second.read_bytes()


def test_edge_values_of_floats(path, dtype):
    net = nn.Sequential(nn.Dense(3, 3), dtype=dtype, seed=0)
    info = np.finfo(dtype)
    edges = [0.0, -0.0, info.tiny, info.smallest_subnormal, info.max, -info.max, info.eps, 1 / 3, -1e-30]
    net[0].weight[...] = np.array(edges, dtype).reshape(3, 3)
    other = saved_and_loaded(net, path)
    assert other[0].weight.tobytes() == net[0].weight.tobytes()
    assert other.params.data.tobytes() == net.params.data.tobytes()


# A small layer of each kind that has no layers in it, for rows of width 6 that hold ids, too.
LEAVES = {
    "nn.BatchNorm": [nn.BatchNorm(6), nn.BatchNorm(6, eps=1e-3, momentum=None)],
    "nn.Dense": [nn.Dense(6, 2), nn.Dense(6, 2, False, "orthogonal", max_norm=1.0)],
    "nn.Dropout": [nn.Dropout(0.3)],
    "nn.Embedding": [nn.Columns([0], nn.Embedding(4, 3, unknown="own", padding_idx=1))],
    "nn.Embeddings": [nn.Columns([0, 1], nn.Embeddings([4, 3], [2, 1], sparse=True))],
    "nn.GELU": [nn.GELU("tanh")],
    "nn.LayerNorm": [nn.LayerNorm(6), nn.LayerNorm(6, bias=False)],
    "nn.PReLU": [nn.PReLU(), nn.PReLU(6, init=-0.3)],
    "nn.Periodic": [nn.Periodic(6, 2), nn.Periodic(6, 2, dim=3, activation="relu", init="zeros")],
    "nn.PiecewiseLinear": [nn.PiecewiseLinear([np.linspace(-1, 1, 4)] * 6, dim=2)],
    "nn.RMSNorm": [nn.RMSNorm(6, eps=1e-3)],
    "nn.ScaleColumns": [nn.ScaleColumns(6)],
    "nn.Threshold": [nn.Threshold(0.1, -math.pi)],
    "nn.CELU": [nn.CELU(1 / 3)],
}
OF_LAYERS = ("nn.Columns", "nn.Parallel", "nn.Residual")  # NETS has nets of these
KINDS = [
    name for name, kind in _records.kinds().items()
    if issubclass(kind, nn.Layer) and name not in OF_LAYERS and kind is not nn.CustomActivation
]  # fmt: skip
IDS = np.column_stack([np.arange(24) % 4, np.arange(24) % 3, X[:, 2:]])


def nets_of_kind(kind):
    for layer in LEAVES.get(kind) or [_records.kinds()[kind]()]:
        net = nn.Sequential(nn.Columns(range(6), in_features=6), layer, seed=3)
        for index, array in enumerate(net.parameters().values()):
            array[...] += 0.1 * np.sin(index + np.arange(array.size)).reshape(array.shape)
        yield net


def test_the_list_of_kinds_is_complete():
    assert {"nn.ReLU", "nn.Softmax", "nn.Embedding"} < set(KINDS) and set(LEAVES) <= set(KINDS)
    found = {each["kind"] for name in NETS for each in net_of(name).config()["layers"]}
    assert set(OF_LAYERS) <= found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer(kind, path):
    for net in nets_of_kind(kind):
        assert kind in json.dumps(net.config())
        assert_same_net(net, saved_and_loaded(net, path), IDS)
        again = nn.from_config(json.loads(json.dumps(net.config())))
        assert again.layers == net.layers and again.config() == net.config()


# ---- configs ----


@pytest.mark.parametrize("name", NETS)
def test_configs_of_nets(name, dtype):
    net = net_of(name, dtype, seed=2**64 - 1)
    text = json.dumps(net.config(), allow_nan=False)
    again = nn.from_config(json.loads(text))
    assert_same_net(net, again)  # initial values are a function of the seed
    assert json.dumps(again.config()) == text


def test_from_config_has_two_names():
    assert nn.from_config is fastnn.from_config and "from_config" in nn.__all__


# ---- PyTorch's names ----


def test_names_are_those_of_pytorch_where_it_has_the_layer(path):
    net = nn.Sequential(
        nn.Dense(6, 4), nn.BatchNorm(4), nn.PReLU(), nn.Residual(nn.LayerNorm(4), nn.Dense(4, 4, bias=False)),
        nn.Parallel(nn.RMSNorm(4), nn.ScaleColumns(4)), nn.Dense(8, 3), seed=0,
    )  # fmt: skip
    net.scaler = data.Scaler.fit(X)
    net.training_steps = 5
    net.save(path)
    _, tensors = model_files.read(path)
    assert {name: each.shape for name, each in tensors.items()} == {
        "0.weight": (4, 6), "0.bias": (4,),
        "1.weight": (4,), "1.bias": (4,), "1.running_mean": (4,), "1.running_var": (4,), "1.num_batches_tracked": (),
        "2.weight": (1,), "3.0.weight": (4,), "3.0.bias": (4,), "3.1.weight": (4, 4), "4.0.weight": (4,),
        "fastnn.4.1.scale": (4,), "5.weight": (3, 8), "5.bias": (3,),
        "fastnn.scaler.center": (6,), "fastnn.scaler.scale": (6,),
    }  # fmt: skip
    np.testing.assert_array_equal(tensors["0.weight"], net[0].weight.T)
    assert tensors["1.num_batches_tracked"] == 5
    np.testing.assert_array_equal(tensors["fastnn.scaler.center"], net.scaler.center)  # all digits, in float64
    assert tensors["0.weight"].dtype == np.float32 and tensors["fastnn.scaler.center"].dtype == np.float64


# ---- registered activations ----


def sine(frequency=1.0, phases=()):
    """Return a user's activation."""
    shift = float(np.sum(phases))
    return nn.CustomActivation(
        lambda x: np.sin(frequency * x + shift), lambda dy, x, y: dy * frequency * np.cos(frequency * x + shift)
    )


class Slopes(nn.Layer):
    """A user's layer with parameters and a running statistic."""

    def __init__(self, features, start=0.25):
        super().__init__()
        self.features, self.start = features, start

    def parameters(self):
        return {"slopes": (self.features,), "table": (2, 3)}

    def buffers(self):
        return {"count": (1,)}

    def reset(self, seed, default):
        self.array("slopes")[...] = self.start

    def emit(self, builder, x):
        y = builder.rows(builder.batch[x])
        builder.op("prelu", {"x": x, **self.roles(a="slopes"), "y": y})
        return y


def block(width):
    """Return a user's container."""
    return nn.Residual(nn.Dense(width, width), nn.activation("sine", frequency=0.5), nn.LayerNorm(width))


FUNCTIONS = {"sine": sine, "slopes": Slopes, "block": block, "steep": functools.partial(nn.LeakyReLU, 0.3)}


@pytest.fixture
def registered(monkeypatch):
    register(monkeypatch, **FUNCTIONS)


def net_of_registered(dtype="float32"):
    net = nn.Sequential(
        nn.Dense(WIDTH, 4), nn.activation("sine", frequency=3.0, phases=[0.5, 1]), nn.activation("slopes", features=4),
        nn.Residual("sine", nn.Parallel(nn.activation("block", width=4), "steep", join="add")), nn.Dense(4, 3),
        dtype=dtype, seed=0,
    )  # fmt: skip
    net[2].array("count")[...] = 9
    net[2].array("table")[...] = np.arange(6).reshape(2, 3)
    return net


def assert_remembered(layer, name, **parameters):
    config = layer.config()
    assert config == {"kind": "nn.activation", "name": name, "parameters": parameters}
    assert layer == nn.activation(name, **parameters)


def test_layers_remember_the_name_they_were_made_by(registered):
    net = net_of_registered()
    nets = (net, net.copy(), net.astype("float64"), net[:], nn.Sequential(*net), nn.from_config(net.config()))
    for each in nets:
        assert_remembered(each[1], "sine", frequency=3.0, phases=[0.5, 1])
        assert_remembered(each[2], "slopes", features=4)
        assert_remembered(each[3][1][0], "block", width=4)
        assert_remembered(each[3][0], "sine")
        assert_remembered(each[3][1][1], "steep")
        assert each.config()["layers"] == net.config()["layers"]
    assert (
        repr(net[1]) == "activation('sine', frequency=3.0, phases=(0.5, 1))" and repr(net[3][0]) == "activation('sine')"
    )
    assert nn.activation("sine") != nn.activation("sine", frequency=2.0) != nn.activation("slopes", features=2)
    assert len({nn.activation("sine"), nn.activation("SINE"), nn.activation(nn.activation("sine"))}) == 1
    assert_remembered(nn.activation("Sine", frequency=np.float32(0.5)), "sine", frequency=0.5)


def test_pickles_remember_the_name(registered):
    for layer in (nn.activation("slopes", features=4), nn.activation("steep")):
        assert_remembered(pickle.loads(pickle.dumps(layer)), *layer._registered[:1], **layer._registered[1])
        net = pickle.loads(pickle.dumps(nn.Sequential(nn.Dense(2, 4), layer)))
        assert net[1] == layer and net[1].config() == layer.config()


def test_what_was_made_without_a_name_remembers_none(registered):
    assert nn.LeakyReLU(0.3).config()["kind"] == "nn.LeakyReLU"
    assert nn.activation("leaky_relu").config()["kind"] == "nn.LeakyReLU"
    with pytest.raises(
        TypeError, match=r"^Slopes must be of a class of fastnn, .* got the class Slopes: pickle it instead"
    ):
        Slopes(4).config()


def test_parameters_are_kept_as_they_were_given(registered):
    phases = [1.0, 2.0]
    layer = nn.activation("sine", phases=phases)
    phases.append(3.0)
    assert layer.config()["parameters"] == {"phases": [1.0, 2.0]}


def test_registered_activations_in_files(registered, path, dtype, impl):
    net = net_of_registered(dtype)
    fastnn.Trainer(net, "mean_squared_error").fit(X, Y, epochs=1, batch_size=8, verbose=0)
    assert_same_net(net, saved_and_loaded(net, path))
    names = list(model_files.read(path)[1])
    assert {"fastnn.2.slopes", "fastnn.2.table", "fastnn.2.count", "fastnn.3.1.0.0.weight", "0.weight"} < set(names)
    assert {name for name in names if not name.startswith("fastnn.")} == {"0.weight", "0.bias", "4.weight", "4.bias"}
    assert model_files.content_of(path)["config"]["layers"][1] == net[1].config()


def test_parameters_may_be_records_arrays_and_not_finite(monkeypatch, path):
    seen = []

    def make(**parameters):
        seen.append(parameters)
        return nn.Tanh()

    register(monkeypatch, seen=make)
    given = {
        "inner": nn.LeakyReLU(0.5),
        "kind": "wide",
        "limit": math.inf,
        "table": np.eye(2),
        "names": ["a", None, True],
    }
    net = nn.Sequential(nn.Dense(2, 2), nn.activation("seen", **given))
    saved_and_loaded(net, path)
    nn.from_config(json.loads(json.dumps(net.config())))
    assert len(seen) == 3
    for parameters in seen[1:]:
        np.testing.assert_array_equal(parameters.pop("table"), np.eye(2))
        assert parameters == {name: each for name, each in given.items() if name != "table"}


def test_an_activation_has_to_be_registered_before_loading(monkeypatch, path):
    register(monkeypatch)  # nothing, whatever the examples of docstrings have registered in this process
    with monkeypatch.context() as context:
        register(context, **FUNCTIONS)
        net = nn.Sequential(nn.Dense(WIDTH, 3), nn.Residual(nn.activation("sine", frequency=2.0)))
        config = net.config()
        net.save(path)
    message = r" must name an activation that is registered, got 'sine': "
    message += r"call nn\.register_activation\('sine', make\) before loading$"
    with pytest.raises(ValueError, match=rf"^config\.layers\[1\]\.layers\[0\]{message}"):
        nn.from_config(config)
    with pytest.raises(ValueError, match=rf"^(?:\S+: )?net\.layers\[1\]\.layers\[0\]{message}"):
        fastnn.load(path)
    register(monkeypatch, sine=sine)
    assert_same_net(net, fastnn.load(path))


MUST_MAKE = r"the function registered as 'slopes' must make a layer with slopes \(4,\), table \(3, 2\), count \(1,\), "
MUST_MAKE += r"as layer 1 of the file has, got"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda features: Slopes(features + 1), rf"{MUST_MAKE} slopes \(5,\), table \(3, 2\), count \(1,\): register"),
        (lambda features: nn.Tanh(), rf"{MUST_MAKE} no arrays: register the function that the net was made with$"),
        (lambda features: nn.Dense(features, 5), rf"{MUST_MAKE} weight \(5, 4\), bias \(5,\): register the"),
        (lambda features: 3, r"the function registered as 'slopes' must return a layer, got int"),
        (lambda width: nn.Tanh(), r".*unexpected keyword argument 'features'"),
    ],
)
def test_a_registered_function_that_makes_something_else(make, message, monkeypatch, path):
    with monkeypatch.context() as context:
        register(context, **FUNCTIONS)
        nn.Sequential(nn.Dense(WIDTH, 4), nn.activation("slopes", features=4)).save(path)
    register(monkeypatch, slopes=make)
    with pytest.raises((TypeError, ValueError), match=rf"^(?:\S+: )?{message}"):
        fastnn.load(path)


def test_other_widths_of_a_registered_function(monkeypatch, path):
    with monkeypatch.context() as context:
        register(context, mine=nn.Tanh)
        nn.Sequential(nn.Dense(WIDTH, 4), "mine").save(path)
    register(monkeypatch, mine=lambda: nn.Columns([7]))
    with pytest.raises(
        ValueError, match=r"^(?:\S+: )?layers\[1\].columns must be numbers from 0 to 3, got the column 7"
    ):
        fastnn.load(path)


def test_damaged_configs_of_registered_activations(registered):
    good = nn.activation("sine", frequency=2.0).config()
    for change, error, message in [
        ({"name": 3}, ValueError, r"config must name an activation that is registered, got 3"),
        ({"name": "sines"}, ValueError, r"config must name an activation that is registered, got 'sines': call"),
        ({"parameters": [1]}, TypeError, r"config.parameters must be an object, got list"),
        (
            {"parameters": {"frequency": {"kind": "os.system"}}},
            ValueError,
            r"config.parameters.frequency.kind must be one",
        ),
        (
            {"more": 1},
            ValueError,
            r"config must have the keys kind, name, parameters and no others, got an unknown 'more'",
        ),
    ]:
        with pytest.raises(error, match=rf"^(?:\S+: )?{message}"):
            nn.from_config(good | change)


# ---- functions ----


def half_normal(shape, random):
    return 0.5 * random.normal(math.prod(shape)).reshape(shape)


class Halved:
    """A user's initialiser."""

    def __call__(self, shape, random):
        return half_normal(shape, random)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dense(6, 3, init=half_normal, bias_init=lambda shape, random: np.ones(shape)),
        nn.Dense(6, 3, init=Halved()),
        nn.Embeddings([4, 3, 9, 9, 9, 9], 2, init=half_normal),
        nn.Residual(nn.Dense(6, 6, init=half_normal)),
        nn.Periodic(6, 2, dim=3, init=functools.partial(half_normal)),
        nn.PiecewiseLinear([[-1, 0, 1]] * 6, dim=2, init=half_normal),
    ],
)
def test_functions_that_drew_initial_values_are_left_out(layer, path):
    net = nn.Sequential(layer, seed=0)
    rows = np.abs(np.round(X)) % 3
    other = saved_and_loaded(net, path)
    np.testing.assert_array_equal(other.predict(rows), net.predict(rows))
    assert "half_normal" not in repr(other) and "Halved" not in repr(other)
    leaf = other.leaves[0]
    assert leaf.config()["init"] is None
    assert other.config() == fastnn.load(path).config()


def test_initialisers_of_fastnn_stay(path):
    net = nn.Sequential(nn.Dense(6, 3, init="orthogonal", bias_init=nn.init.constant(0.1)))
    assert saved_and_loaded(net, path)[0] == net[0]


def test_configs_name_functions_that_drew_initial_values():
    layer = nn.Dense(6, 3, init=half_normal)
    name = f"{half_normal.__module__}:half_normal"
    assert layer.config()["init"] == {"kind": "function", "name": name}
    assert nn.from_config(layer.config(), functions={name: half_normal}) == layer


class Mine(nn.Sequential):
    """A user's net."""


class Doubled(nn.CustomActivation):
    """A user's layer."""

    def __init__(self):
        super().__init__(np.positive, np.positive)


FIX = r'register it, nn.register_activation\("name", make\), and write nn.activation\("name"\) as the layer$'


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            nn.Sequential(nn.Dense(2, 3), nn.CustomActivation(np.square, half_normal)),
            rf"net\.layers\[1\]\.forward must have no function, as files contain no code, got .*: {FIX}",
        ),
        (
            nn.Sequential(nn.Dense(2, 3), nn.Residual(Doubled())),
            rf"net\.layers\[1\]\.layers\[0\] must be of a class of fastnn, .*, got the class Doubled: {FIX}",
        ),
        (
            Mine(nn.Dense(2, 3)),
            r"net must be an nn.Sequential, as files contain no classes of yours, got Mine: write net.copy\(\), an",
        ),
    ],
)  # fmt: skip
def test_nets_with_code_are_refused(net, message, path):
    with pytest.raises(TypeError, match=rf"^(?:\S+: )?{message}"):
        net.save(path)
    assert not path.exists()


def test_the_copy_of_a_users_net_can_be_saved(path):
    net = Mine(nn.Dense(WIDTH, 3), seed=1)
    np.testing.assert_array_equal(saved_and_loaded(net.copy(), path).predict(X), net.predict(X))


# ---- what is refused ----


def good_net():
    net = nn.Sequential(nn.Dense(3, 4), nn.BatchNorm(4), nn.Dropout(0.1), nn.Dense(4, 2), seed=0)
    net.scaler = data.Scaler(np.zeros(3), np.ones(3))
    return net


def layer(index, **settings):
    return lambda content, tensors, _: content["config"]["layers"][index].update(settings)


def setting(**settings):
    return lambda content, tensors, _: content.update(settings)


def of_config(**settings):
    return lambda content, tensors, _: content["config"].update(settings)


def tensor(name, value):
    def change(content, tensors, _):
        tensors[name] = value(tensors[name]) if callable(value) else value

    return change


def with_number(number):
    def change(array):
        array = array.copy()
        array.flat[0] = number
        return array

    return change


DENSE = {"kind": "nn.Dense", "in_features": 4, "out_features": 2, "bias": True, "init": None, "bias_init": None}
DENSE |= {"max_norm": None}
DAMAGED = {
    "no tensor": (lambda c, t, m: t.pop("3.bias"), r"{path} must have the tensor '3.bias', got none"),
    "no scaler": (lambda c, t, m: t.pop("fastnn.scaler.scale"), r"{path} must have the tensor 'fastnn.scaler.scale'"),
    "surplus": (tensor("4.weight", np.zeros(2, "f4")), r"{path} must have no other tensors, got '4.weight'"),
    "shape": (tensor("3.weight", np.zeros((2, 5), "f4")), r"the tensor '3.weight' must have 8 entries, for"),
    "turned": (tensor("3.weight", np.zeros((4, 2), "f4")), r"{path}: state_dict\['3.weight'\] must have shape"),
    "dtype": (tensor("3.weight", np.zeros((2, 4))), r"the tensor '3.weight' must be of dtype float32, got f"),
    "NaN": (tensor("3.bias", with_number(np.nan)), r"the tensor '3.bias' must be finite, got NaN or infin.*"),
    "infinity": (tensor("0.weight", with_number(-np.inf)), r"the tensor '0.weight' must be finite, got NaN"),
    "variance": (tensor("1.running_var", with_number(-0.5)), r"{path}: state_dict.* must contain no number below 0"),
    "count": (tensor("1.num_batches_tracked", np.int64(-1)), r"{path}: state_dict\[.*\] must be an int"),
    "scaler of NaN": (tensor("fastnn.scaler.scale", with_number(np.nan)), r".*scale must contain .*"),
    "scaler's width": (tensor("fastnn.scaler.scale", np.ones(2)), r"scaler\.scale must have shape .*"),
    "a pair": (setting(scaler=[0.0, 1.0]), r"net.scaler must be a scaler, got list"),
    "name": (setting(scaler={"kind": "tensor", "name": "0.weight"}), r"net.scaler.name must begin with 'fastnn.', got"),
    "no record": (setting(scaler={"kind": "nn.ReLU"}), r"net.scaler must be a scaler, got ReLU"),
    "widths": (layer(3, in_features=5, out_features=2), r"the tensor '3.weight' must have 10 entries, for"),
    "chain": (
        lambda c, t, m: (layer(3, in_features=2, out_features=4)(c, t, m), t.update({"3.bias": np.zeros(4, "f4")})),
        r"layers\[3\] must take inputs of width 4, the output of .* got Dense\(2, 4\)",
    ),
    "huge": (layer(0, in_features=2**40, out_features=2**40), r"the tensor '0.weight' must have 1208"),
    "gigantic": (layer(0, in_features=2**62), r"the tensor '0.weight' must have 1844.* entries"),
    "negative": (layer(0, in_features=-3), r"in_features must be an integer of at least 1, got -3"),
    "probability": (layer(2, p=1.5), r"p must be a number in \[0, 1\], got 1.5"),
    "unknown kind": (layer(2, kind="nn.Lambda"), r"net.layers\[2\].kind must be one of fastnn's, .* got 'nn.Lambda'"),
    "a module": (layer(2, kind="os.system"), r"net.layers\[2\].kind must be one of fastnn's, .* got 'os.system'"),
    "a function": (layer(0, init={"kind": "function", "name": "f"}), r"net.layers\[0\].init must name a function"),
    "unknown key": (layer(2, q=1), r"net.layers\[2\] must have the keys kind, p and no others, got an unknown 'q'"),
    "loss as layer": (layer(2, kind="nn.MSELoss"), r"net.layers\[2\] must have the keys"),
    "no layer": (lambda c, t, m: c["config"].update(layers=["relu"]), r"net.layers\[0\] must be a layer, got str"),
    "no layers": (of_config(layers=[]), r"net.layers must be at least one layer, got none"),
    "an object": (of_config(layers={"kind": "nn.ReLU"}), r"net.layers must be a list, got ReLU"),
    "a number": (of_config(layers=3), r"net.layers must be a list, got int"),
    "net's kind": (of_config(kind="nn.Residual"), r"net.config.kind must be 'nn.Sequential', got 'nn.Residual'"),
    "no seed": (lambda c, t, m: c["config"].pop("seed"), r"net.config must have the keys kind, layers, dtype, seed"),
    "seed": (of_config(seed=-1), r"net.seed must be an integer from 0 to 18446744073709551615, got -1"),
    "a float": (of_config(seed=0.5), r"net.seed must be an integer from 0 to .*, got 0.5"),
    "None": (of_config(seed=None), r"net.seed must be an integer from 0 to .*, got None"),
    "int8": (of_config(dtype="int8"), r"net.config.dtype must be one of float32, float64, got 'int8'"),
    "object": (of_config(dtype={"kind": "nn.ReLU"}), r"net.config.dtype must be one of float32, float64, got dict"),
    "steps": (setting(training_steps=-1), r"training_steps must be an integer from 0 to .*, got -1"),
    "bool": (setting(training_steps=True), r"training_steps must be an integer from 0 to .*, got True"),
    "frozen": (setting(frozen=["9.weight"]), r"frozen must be one of 0.weight, .* got '9.weight'"),
    "numbers": (setting(frozen=[3]), r"frozen must be a tuple of names, got"),
    "a text": (setting(frozen="0.*"), r"net.frozen must be a list, got str"),
    "more": (setting(more=1), r"net must have the keys .* and no others, got"),
    "less": (lambda c, t, m: c.pop("frozen"), r"net must have the keys .* and no others, got"),
    "deep": (
        lambda c, t, m: c["config"].update(layers=functools.reduce(lambda x, _: [x], range(80), [])),
        r"the content of {path} must be at most 64 lists and objects deep, got",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_nets_are_refused(name, path):
    changed, message = DAMAGED[name]
    good_net().save(path)
    model_files.change(path, changed)
    with pytest.raises((TypeError, ValueError), match=rf"^(?:\S+: )?{message.replace('{path}', re.escape(str(path)))}"):
        fastnn.load(path)


def test_an_unchanged_file_is_not_refused(path):
    """`model_files.change` itself damages nothing."""
    net = good_net()
    net.save(path)
    before = path.read_bytes()
    model_files.change(path, lambda *_: None)
    assert path.read_bytes() != before  # other spaces in the JSON
    assert_same_net(net, fastnn.load(path), X[:, :3])


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_not_finite_numbers_on_request(number, path):
    net = good_net()
    net[0].weight[0, 0] = number
    net.save(path)
    with pytest.raises(
        ValueError, match=r"must be finite, got NaN or infinity: pass allow_nonfinite=True if it has to"
    ):
        fastnn.load(path)
    assert_same_net(net, fastnn.load(path, allow_nonfinite=True), X[:, :3])
    with pytest.raises(TypeError, match=r"^allow_nonfinite must be True or False, got 1$"):
        fastnn.load(path, allow_nonfinite=1)


@pytest.mark.parametrize("given", [3, None, b"net", ["net"]])
def test_what_is_no_path(given):
    with pytest.raises(TypeError, match=r"^path must be a path: a string or a pathlib.Path, got"):
        fastnn.load(given)


def test_nets_that_are_too_deep_for_a_file(path):
    nested = functools.reduce(lambda inner, _: nn.Residual(inner), range(40), nn.Tanh())
    with pytest.raises(ValueError, match=r"must be at most 64 lists and objects deep, got"):
        nn.Sequential(nn.Dense(2, 2), nested).save(path)
    assert not path.exists()


def test_paths_as_text_and_as_objects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = good_net()
    net.save("net")
    net.save(Path("other"))
    assert_same_net(net, fastnn.load(Path("net")), X[:, :3])
    assert_same_net(net, fastnn.load("other"), X[:, :3])


@pytest.mark.parametrize(
    ("made", "got"),
    [(lambda net: net, "a net"), (lambda net: net[0], "a layer of a net"), (lambda net: net[1], "a layer of a net")],
)
def test_nets_within_states_are_refused(made, got):
    """Their configs do not have their arrays."""
    net = nn.Sequential(nn.Dense(2, 2), nn.Residual(nn.Dense(2, 2)), "relu", seed=0)
    with pytest.raises(TypeError, match=rf"^state.a.net must be a plain value, an array or .*, got {got}: write net"):
        ContentWriter().value({"a": {"net": made(net)}}, "state")
    assert ContentWriter().value([net[2], nn.Dense(2, 2)], "state")[0] == {"kind": "nn.ReLU"}


@pytest.mark.parametrize("name", ["a", "net", "the", "net.scaler"])
def test_paths_that_are_words_of_messages(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good_net().save(name)
    model_files.change(name, lambda content, *_: content["config"].update(seed=-1))
    with pytest.raises(ValueError, match=rf"^{re.escape(name)}: net\.seed must be an integer"):
        fastnn.load(name)
    good_net().save(name)
    model_files.change(name, lambda content, tensors, _: tensors.update(x=np.zeros(1)))
    with pytest.raises(ValueError, match=rf"^{re.escape(name)} must have no other tensors"):
        fastnn.load(name)


TAKEN = {
    "dtype": ({"dtypes": (np.dtype("f8"),)}, "the tensor 'fastnn.x' must be of dtype float64, got float32"),
    "shape": ({"shape": (3, 1)}, r"the tensor 'fastnn.x' must have shape \(3, 1\), got \(3,\)"),
    "finite": ({"allow_nonfinite": False}, "the tensor 'fastnn.x' must be finite, got NaN or infinity"),
    "sign": ({"nonnegative": True}, "the tensor 'fastnn.x' must contain no number below 0, got -2.0"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_tensors_are_checked_when_they_are_taken(name, path):
    content = ContentWriter()
    content.put("fastnn.x", np.array([1.0, -2.0, np.nan], np.float32))
    content.write(path, "net", {})
    wanted, message = TAKEN[name]
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: {message}"), reading(path, "net") as saved:
        saved.take("fastnn.x", **wanted)
    with reading(path, "net") as saved:
        assert saved.take("fastnn.x", dtypes=(np.dtype("f4"),), shape=(3,)).tolist()[:2] == [1.0, -2.0]
