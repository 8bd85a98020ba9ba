"""Nets with branches: what they compute, how they train, their names, texts and errors."""

import copy
import functools
import itertools
import json
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import kernels, nn, optim
from tests.nets import BINS, NETS, OUTPUTS, WIDTH, net_of, random_net


def data(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, WIDTH)), rng.integers(0, OUTPUTS, rows)


def silu(x):
    return x / (1 + np.exp(-x))


# ---- what they compute ----


def by_hand(name, p, x):
    """Return the output of a net of `NETS` in NumPy; `p` are its parameters by name."""

    def dense(path, x):
        return x @ p[f"{path}.weight"] + p[f"{path}.bias"]

    def gated(path, x):
        return dense(f"{path}.1", x) / (1 + np.exp(-dense(f"{path}.0.0", x)))

    def piecewise(x, bins):
        entries = []
        for column, edges in zip(x.T, bins, strict=True):
            for t, (left, right) in enumerate(itertools.pairwise(edges)):
                low, high = 0 if t > 0 else -np.inf, 1 if t < len(edges) - 2 else np.inf
                entries.append(np.clip((column - left) / (right - left), low, high))
        return np.stack(entries, axis=1)

    def periodic(path, x):
        angles = [2 * np.pi * np.outer(column, c) for column, c in zip(x.T, p[f"{path}.frequencies"], strict=True)]
        return np.hstack([f(a) for a in angles for f in (np.cos, np.sin)])

    def maps(path, encoded, widths):
        parts = np.split(encoded, np.cumsum(widths)[:-1], axis=1)
        return np.hstack([dense(f"{path}.{j}", part) for j, part in enumerate(parts)])

    widths = [len(edges) - 1 for edges in BINS]
    if name == "embeddings of numbers":
        x = x * p["0.scale"]
        first = np.logaddexp(0, maps("1.0", piecewise(x, BINS), widths))
        third, fourth = maps("1.2.0", periodic("1.2.0", x[:, [3, 0]]), [6, 6]), periodic("1.3.0", x[:, [1]])
        return dense("2", np.hstack([first, piecewise(x, BINS), third, fourth]))
    if name == "embeddings of outputs":
        h = np.tanh(dense("0", x))
        e, t = piecewise(h, BINS[:3]), np.tanh(maps("2.3", periodic("2.3", h), [8] * 3))
        parts = [periodic("2.0", h), h, maps("2.2", e, widths[:3]), t, h * p["2.4.scale"], e]
        return dense("3", np.hstack(parts))
    if name == "sequential":
        h = np.tanh(dense("0.0", x))
        return dense("1.1", kernels.selu(h))
    if name == "concat":
        return dense("1", np.hstack([dense("0.0", x), silu(dense("0.1.0", x))]))
    if name == "concat of the input":
        return dense("1", np.hstack([x, np.tanh(x), dense("0.2", x)]))
    if name == "add":
        return dense("0.0", x) + dense("0.1.2", kernels.gelu(dense("0.1.0", x)))
    if name == "multiply":
        return dense("1", gated("0", x))
    if name == "multiply three":
        h = dense("0", x)
        return dense("2", np.tanh(h) * h * dense("1.2", h))
    if name == "mean":
        h = dense("0", x)
        return dense("2", (np.tanh(h) + dense("1.1", h) + h) / 3)
    if name == "residual":
        h = dense("0", x)
        return dense("2", h + dense("1.3", silu(dense("1.1", np.tanh(h)))))
    if name == "residual of the input":
        return dense("2", 2 * (x + np.tanh(dense("0.0", x))))
    if name == "columns":
        h = np.hstack([np.tanh(dense("0.0.0", x[:, [5, 0, 2]])), x[:, 1:5], dense("0.2", x)])
        return dense("1.0.1", silu(h[:, 1:9:2]))
    if name == "heads":
        h = np.tanh(dense("0", x))
        return np.hstack([dense("2.0", h), dense("2.1", h)])
    if name == "nested":
        left = x + dense("0.0.1", dense("0.0.0.0", x) * (x + np.tanh(x)))
        right = x[:, :2]
        right = np.hstack([dense("0.1.0.0.1", np.tanh(right)), np.log1p(np.exp(right))])
        return dense("1", np.hstack([left, right]))
    return None


@pytest.mark.parametrize("name", [name for name in NETS if "norm" not in name and name != "dropout"])
def test_outputs_are_the_formulas(impl, name):
    net, (X, _) = net_of(name), data()
    want = by_hand(name, net.parameters(), X)
    for have in (net.predict(X), net.forward(X, training=True), net.activations(X)[-1]):
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", NETS)
def test_activations_are_those_of_slices(impl, name, dtype):
    net, (X, _) = net_of(name, dtype), data(7)
    for index, have in enumerate(net.activations(X)[1:], 2):
        np.testing.assert_array_equal(have, net[:index].predict(X))


def test_a_nested_sequential_is_the_flat_net(impl, dtype):
    """Initial values, dropout masks and steps have the same bits."""
    flat = [nn.Dense(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Dense(8, 8), nn.Dropout(0.2), nn.Tanh(), nn.Dense(8, 3)]
    nets = [
        nn.Sequential(*flat, dtype=dtype, seed=3),
        nn.Sequential(
            nn.Sequential(*flat[:2]), nn.Sequential(nn.Sequential(*flat[2:4]), *flat[4:]), dtype=dtype, seed=3
        ),
        nn.Sequential(nn.Parallel(nn.Sequential(*flat), join="add"), dtype=dtype, seed=3),
    ]
    X, y = data()
    for net in nets:
        fastnn.Trainer(net).fit(X, y, epochs=3, batch_size=16, verbose=0)
        np.testing.assert_array_equal(net.predict(X), nets[0].predict(X))
        np.testing.assert_array_equal(net.params.data, nets[0].params.data)


# ---- gradients and training ----


def assert_gradients(net, X, y, loss="cross_entropy"):
    report = fastnn.check_gradients(net, X, y, loss=loss)
    for block in report.blocks:
        assert block.error <= 1e-7 * block.largest + 1e-9, f"\n{report}"
        assert block.checked > 0


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", NETS)
def test_gradients(impl, name):
    assert_gradients(net_of(name), *data(9))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("seed", range(40))
def test_gradients_of_random_nestings(seed):
    with fastnn.backend("native" if seed % 2 else "reference"):
        assert_gradients(random_net(seed), *data(9, seed))


def trained(net, epochs, batch_size=20, lr=0.02):
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=lr, momentum=0.9))
    trainer.fit(*data(100), epochs=epochs, batch_size=batch_size, verbose=0)
    return trainer


def tensors(net):
    return {**net.parameters(), **{name: net.state.view(name) for name in net.state.layout}}


def assert_near(have, want, share=1e-10):
    assert have.keys() == want.keys()
    for name, array in want.items():
        assert np.abs(have[name] - array).max() <= share * np.abs(array).max() + 1e-300, name


@functools.cache
def after_200_steps(make, backend):
    """Return the tensors of a net after a training; `make` is a name of `NETS`, or the seed of a random net."""
    with fastnn.backend(backend):
        net = net_of(make) if make in NETS else random_net(make)
        trained(net, 40, lr=0.005)  # with larger steps, rounding errors grow to any size in some of these nets
    assert net.training_steps == 200
    return tensors(net)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("make", [*NETS, *range(6)])
def test_executors_agree_after_200_steps(native, make):
    assert_near(after_200_steps.__wrapped__(make, "native"), after_200_steps(make, "reference"))


@pytest.mark.parametrize("make", [*NETS, *range(6)])
def test_bits_do_not_depend_on_threads_or_on_the_number_of_fits(native, dtype, make):
    def new():
        return net_of(make, dtype) if make in NETS else random_net(make, dtype)

    want = new()
    with fastnn.num_threads(1):
        trained(want, 4, 50)
    for threads in (2, 3):
        net = new()
        with fastnn.num_threads(threads):
            trained(net, 4, 50)
        np.testing.assert_array_equal(net.params.data, want.params.data)
        np.testing.assert_array_equal(net.state.data, want.state.data)
    net = new()
    trainer = trained(net, 2, 50)
    trainer.fit(*data(100), epochs=2, batch_size=50, verbose=0)
    np.testing.assert_array_equal(net.params.data, want.params.data)


@pytest.mark.parametrize("make", [*NETS, *range(6)])
def test_a_row_depends_on_itself_alone(native, dtype, make):
    net = net_of(make, dtype) if make in NETS else random_net(make, dtype)
    X = np.random.default_rng(1).normal(size=(1100, WIDTH))
    whole = net.predict(X)
    for part in (slice(0, 1), slice(3, 10), slice(500, 530), slice(511, 1100), slice(None, None, -7)):
        np.testing.assert_array_equal(net.predict(X[part]), whole[part])


@pytest.mark.parametrize("name", NETS)
def test_fused_steps_equal_a_hand_written_loop(native, name, dtype):
    nets = [net_of(name, dtype) for _ in range(2)]
    X, y = data()
    fused, by_hand = map(fastnn.Trainer, nets)
    fused.fit(X, y, epochs=3, batch_size=40, shuffle=False, verbose=0)
    for _ in range(3):
        z = nets[1].forward(X, training=True)
        dz = np.empty_like(z)
        kernels.cross_entropy(z, y, grad=dz)
        nets[1].backward(dz)
        by_hand.step()
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)


@pytest.mark.parametrize("name", ["concat of the input", "residual of the input", "columns", "nested"])
def test_derivative_with_respect_to_the_input(impl, name):
    net, (X, _) = net_of(name), data(5)
    z = net.forward(X, training=True, input_grad=True)
    direction = np.random.default_rng(2).normal(size=X.shape)
    have = (net.backward(np.ones_like(z)) * direction).sum()
    step = 1e-6
    want = (net.predict(X + step * direction).sum() - net.predict(X - step * direction).sum()) / (2 * step)
    assert have == pytest.approx(want, rel=1e-8)


def test_max_norm_and_penalty_reach_layers_in_containers():
    layers = [
        nn.Residual(nn.Dense(6, 6, max_norm=0.5)),
        nn.Parallel(nn.Dense(6, 3), nn.Columns([0], nn.Dense(1, 3)), join="add"),
    ]
    net = nn.Sequential(*layers, seed=0)
    assert net.max_norms() == {"0.0.weight": 0.5}
    assert net.penalized() == {"0.0.weight", "1.0.weight", "1.1.0.weight"}
    trained(net, 2)
    assert np.linalg.norm(net[0][0].weight, axis=0).max() <= 0.5 * (1 + 1e-6)
    with pytest.raises(ValueError, match="have no layer with max_norm"):
        fastnn.Trainer(net, optimizer=optim.LBFGS())


def test_groups_name_layers_in_containers():
    net = net_of("nested")
    before = {name: array.copy() for name, array in net.parameters().items()}
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(0.1, groups=[optim.Group("0.1.*", lr_scale=0.0)]))
    trainer.fit(*data(), epochs=1, verbose=0)
    kept = {name for name, array in net.parameters().items() if np.array_equal(array, before[name])}
    assert kept == {name for name in before if name.startswith("0.1.")} != set()


# ---- initial values ----


def test_initial_values_depend_on_the_seed_of_the_outermost_net():
    def net(seed):
        return nn.Sequential(
            nn.Sequential(nn.Dense(6, 4), "tanh"), nn.Parallel(nn.Sequential(nn.Dense(4, 3))), seed=seed
        )

    np.testing.assert_array_equal(net(1).params.data, net(1).params.data)
    assert not np.array_equal(net(1).params.data, net(2).params.data)


def used(net):
    net.predict(np.ones((1, 4)))


COPIED = {
    "a prediction": (None, used),
    "a look at a weight": (None, lambda net: net[0].weight),
    "a state dict": (None, lambda net: net.state_dict()),
    "a training": (None, lambda net: fastnn.Trainer(net, loss="mse").fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0)),
    "a seed": (5, lambda net: None),
}


@pytest.mark.parametrize(("seed", "use"), COPIED.values(), ids=COPIED)
@pytest.mark.parametrize("outer", [lambda net: [net], lambda net: [nn.Residual(nn.Parallel(net), nn.Dense(3, 4))]])
def test_values_of_a_net_that_is_in_use_are_copied(outer, seed, use):
    inner = nn.Sequential(nn.Dense(4, 3), nn.BatchNorm(3), seed=seed)
    use(inner)
    net = nn.Sequential(*outer(inner), dtype="float64", seed=0)
    paths = {leaf.path: leaf for leaf in net.leaves}
    mine = paths.get("0.0") or paths["0.0.0.0"]
    np.testing.assert_array_equal(mine.weight, inner[0].weight)
    mine.weight[...] = 0
    assert inner[0].weight.all()  # nets share nothing
    again = nn.Sequential(nn.Sequential(*net, dtype="float64"), dtype="float64")
    np.testing.assert_array_equal(again.params.data, net.params.data)


def test_values_that_nobody_has_seen_are_drawn():
    inner = nn.Sequential(nn.Dense(4, 3))
    nets = [nn.Sequential(inner, "relu", seed=1), nn.Sequential(nn.Dense(4, 3), "relu", seed=1)]
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    twin = inner.copy()  # a use
    np.testing.assert_array_equal(nn.Sequential(twin, seed=1).params.data, inner.params.data)


def test_a_net_with_a_scaler_is_no_part():
    inner = nn.Sequential(nn.Dense(4, 3))
    inner.scaler = (0.0, 2.0)
    with pytest.raises(ValueError, match=r"^layers\[1\] must have no scaler, .*: write \*net in place of net"):
        nn.Sequential(nn.Dense(4, 4), inner)


def spread(layers, path):
    """Return the standard deviation of a weight, times the root of its rows: a gain."""
    net = nn.Sequential(*layers, seed=0)
    weight = net.parameters()[f"{path}.weight"]
    return weight.std() * np.sqrt(len(weight))


ROOT_2 = np.sqrt(2)
INITS = {
    "activation after a container": ([nn.Sequential(nn.Dense(300, 300)), "relu"], "0.0", ROOT_2),
    "activation first in a container": (
        [nn.Dense(300, 300), nn.Sequential("relu", nn.Dense(300, 300))],
        "0",
        np.sqrt(2),
    ),
    "end of a branch": ([nn.Parallel("tanh", nn.Dense(300, 300), join="add"), "relu"], "0.1", ROOT_2),
    "inside a branch": ([nn.Parallel(nn.Sequential(nn.Dense(300, 300), "selu")), "relu"], "0.0.0", 1.0),
    "end of a block": ([nn.Residual("tanh", nn.Dense(300, 300)), nn.BatchNorm(300), "relu"], "0.1", ROOT_2),
    "before a block": (
        [nn.Dense(300, 300), nn.Residual(nn.BatchNorm(300), "relu", nn.Dense(300, 300))],
        "0",
        np.sqrt(2),
    ),
    "last": ([nn.Residual("relu", nn.Dense(300, 300))], "0.1", 1.0),
    "before columns": ([nn.Dense(300, 300), nn.Columns(range(9), nn.Dense(9, 1)), "relu"], "0", 1.0),
}


@pytest.mark.parametrize(("layers", "path", "gain"), INITS.values(), ids=INITS)
def test_default_initialisers_look_past_containers(layers, path, gain):
    assert spread(layers, path) == pytest.approx(gain, rel=0.03)


# ---- names, texts, copies ----

BLOCKS = nn.Sequential(
    nn.Dense(6, 4),
    nn.Parallel(nn.Sequential(nn.Dense(4, 3), "relu"), nn.Dense(4, 1)),
    nn.Residual(nn.Dense(4, 4), nn.BatchNorm(4)),
    nn.Columns([3, 0], nn.Dense(2, 3), in_features=4),
    nn.Columns([1]),
    seed=0,
)


def test_names_are_pytorchs():
    assert list(BLOCKS.state_dict()) == [
        "0.weight", "0.bias", "1.0.0.weight", "1.0.0.bias", "1.1.weight", "1.1.bias", "2.0.weight", "2.0.bias",
        "2.1.weight", "2.1.bias", "2.1.running_mean", "2.1.running_var", "2.1.num_batches_tracked", "3.0.weight",
        "3.0.bias",
    ]  # fmt: skip
    assert [leaf.path for leaf in BLOCKS.leaves] == ["0", "1.0.0", "1.0.1", "1.1", "2.0", "2.1", "3.0"]
    assert BLOCKS[1][0][0].weight.shape == (4, 3) and BLOCKS[2][-1] == nn.BatchNorm(4)
    assert BLOCKS[1].parameters() == {"0.0.weight": (4, 3), "0.0.bias": (3,), "1.weight": (4, 1), "1.bias": (1,)}
    np.testing.assert_array_equal(BLOCKS[1].array("0.0.weight"), BLOCKS[1][0][0].weight)


def test_texts():
    assert repr(BLOCKS).splitlines() == [
        "Sequential(",
        "    Dense(6, 4),",
        "    Parallel(",
        "        Sequential(",
        "            Dense(4, 3),",
        "            ReLU(),",
        "        ),  # 15 parameters",
        "        Dense(4, 1),",
        "    ),  # 20 parameters",
        "    Residual(",
        "        Dense(4, 4),",
        "        BatchNorm(4),",
        "    ),  # 28 parameters",
        "    Columns((3, 0),",
        "        Dense(2, 3),",
        "        in_features=4,",
        "    ),  # 9 parameters",
        "    Columns((1,)),",
        "    dtype='float32', seed=0,",
        ")  # 85 parameters",
    ]
    assert BLOCKS.summary().splitlines() == [
        "       layer                                output  parameters",
        "0      Dense(6, 4)                               4          28",
        "1      Parallel(...)                             4        (20)",
        "1.0      Sequential(...)                         3        (15)",
        "1.0.0      Dense(4, 3)                           3          15",
        "1.0.1      ReLU()                                3           0",
        "1.1      Dense(4, 1)                             1           5",
        "2      Residual(...)                             4        (28)",
        "2.0      Dense(4, 4)                             4          20",
        "2.1      BatchNorm(4)                            4           8",
        "3      Columns((3, 0), ..., in_features=4)       3         (9)",
        "3.0      Dense(2, 3)                             3           9",
        "4      Columns((1,))                             1         (0)",
        "       total                                                85",
    ]


def test_copies_slices_and_configs(impl):
    net = net_of("nested", "float32")
    trained(net, 1)
    X = data()[0]
    twins = [net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net[:], nn.Sequential(*net)]
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(X), net.predict(X))
        assert twin.layers == net.layers and twin[0] is not net[0] and repr(twin[0]) == repr(net[0])
        twin[0][0][1].bias[...] = 7
    assert not (net[0][0][1].bias == 7).any()
    text = json.dumps(net.config())
    made = fastnn.from_config(json.loads(text))
    assert repr(made) == repr(net) and json.dumps(made.config()) == text
    new = nn.Sequential(*(layer.detached() for layer in net), seed=net.seed)
    np.testing.assert_array_equal(made.predict(X), new.predict(X))
    other = nn.Sequential(*NETS["nested"](), seed=1)
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


def test_containers_are_sequences():
    container = nn.Parallel("relu", nn.Dense(2, 2), "tanh", join="add")
    assert len(container) == 3 and list(container) == [container[0], container[1], container[2]]
    assert container[-1] == nn.Tanh() and container[1:] == (nn.Dense(2, 2), nn.Tanh()) and nn.ReLU() in container
    assert container[np.int64(1)] == nn.Dense(2, 2)
    with pytest.raises(IndexError, match=r"^the index of a layer must be from -3 to 2, got 3$"):
        container[3]
    with pytest.raises(TypeError, match=r"^the index of a layer must be an integer or a slice, got 'a'$"):
        container["a"]


def test_users_layers_in_containers(impl):
    class Shift(nn.Layer):
        def __init__(self, by):
            super().__init__()
            self.by = by
            self.in_features = self.out_features = WIDTH

        def parameters(self):
            return {"shift": (1, WIDTH)}

        def reset(self, seed, default):
            self.array("shift")[...] = self.by

        def emit(self, builder, x):
            y = builder.rows(WIDTH)
            builder.op(
                "custom", {"x": x, "y": y}, function=np.negative, backward=lambda dy, x, y, dx: np.negative(dy, dx)
            )
            return y

    net = nn.Sequential(nn.Residual(nn.Sequential(Shift(3.0))), nn.Dense(WIDTH, OUTPUTS), seed=0)
    assert net[0][0][0].by == 3.0 and (net.parameters()["0.0.0.shift"] == 3).all()
    X, y = data()
    assert (net[:1].predict(X) == 0).all()
    fastnn.Trainer(net).fit(X, y, epochs=1, verbose=0)


def test_the_layer_that_diverged_is_named():
    net = net_of("nested")
    net[0][1][0][0][1].weight[...] = np.inf
    with pytest.raises(fastnn.TrainingDiverged, match=r"0\.1\.0\.0\.1 \(Dense\)"):
        fastnn.Trainer(net).fit(*data(), epochs=1, verbose=0)


class Block(nn.Residual):
    """A user's block, which takes a width in place of layers."""

    def __init__(self, width):
        super().__init__(nn.Dense(width, width), "tanh")
        self._width = width


def test_users_containers_with_arguments_of_their_own(impl):
    net = nn.Sequential(nn.Dense(WIDTH, 4), Block(4), nn.Parallel(Block(4), "tanh"), nn.Dense(8, OUTPUTS), seed=0)
    assert repr(Block(4)) == "Block(4)" and Block(4) == Block(4) != Block(3) and hash(Block(4)) == hash(Block(4))
    assert "    Block(4),  # 20 parameters" in repr(net) and "1.0      Dense(4, 4)" in net.summary()
    trained(net, 1)
    X = data()[0]
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict(X), net.predict(X))
    assert copy.deepcopy(net[1]) == Block(4)


class Kept(nn.Parallel):
    """A container that keeps a layer in an attribute: a copy that belongs to no net."""

    def __init__(self):
        gate = nn.Dense(4, 4)
        super().__init__(gate)
        self._gate = gate

    def emit(self, builder, x):
        return self._gate.emit(builder, x)


WIDTHS = {
    "a Sequential first": ([nn.Sequential("relu"), nn.Dense(4, 2)], 4),
    "a block first": ([nn.Residual("relu"), nn.Sequential("tanh", nn.Dense(5, 2))], 5),
    "a sum first": ([nn.Parallel("relu", "tanh", join="add"), nn.Dense(3, 2)], 3),
    "one branch": ([nn.Parallel("relu"), nn.LayerNorm(3)], 3),
    "the end of a block": ([nn.Residual(nn.Parallel(nn.Columns([0, 1]), nn.Columns([3, 2])))], 4),
    "columns": ([nn.Columns([1], in_features=7), "relu"], 7),
}


@pytest.mark.parametrize(("layers", "width"), WIDTHS.values(), ids=WIDTHS)
def test_the_first_layer_that_defines_a_width_decides(layers, width):
    assert nn.Sequential(*layers).in_features == width


@pytest.mark.parametrize(
    ("given", "join"),
    [("Concat", "concat"), ("cat", "concat"), ("SUM", "add"), ("mul", "multiply"), ("average", "mean")],
)
def test_joins_have_names(given, join):
    assert nn.Parallel("relu", "tanh", join=given) == nn.Parallel("relu", "tanh", join=join)


@pytest.mark.parametrize(
    ("columns", "want"),
    [(slice(2), (0, 1)), (slice(-2, None), (3, 4)), (slice(None, None, -2), (4, 2, 0)), (np.uint8([3, 1]), (3, 1))],
)
def test_columns_of_an_input_of_known_width(columns, want):
    assert nn.Columns(columns, in_features=5).columns == want


# ---- what is refused ----


def deep(kind, levels):
    layer = nn.ReLU()
    for _ in range(levels):
        layer = kind(layer)
    return layer


def chain(*layers):
    return lambda: nn.Sequential(*layers)


SHARED = nn.Dense(4, 4)
INNER = nn.Sequential(nn.Dense(4, 4))
REFUSED = {
    "no branch": (
        lambda: nn.Parallel(),
        ValueError,
        r"^branches must be at least one layer, got none: write nn.Identity",
    ),
    "no layer": (lambda: nn.Residual(), ValueError, r"^layers must be at least one layer, got none"),
    "no layer of a net": (lambda: nn.Sequential(), ValueError, r"^layers must be at least one layer, got none"),
    "an unknown join": (
        lambda: nn.Parallel("relu", join="max"),
        ValueError,
        r"^join must be one of concat, add, multiply, mean, got 'max'",
    ),
    "a list": (
        lambda: nn.Parallel([nn.Dense(2, 2)]),
        TypeError,
        r"^branches\[0\] must be a layer, got list: write nn.Sequential\(\*layers\)$",
    ),
    "a class": (lambda: nn.Residual(nn.ReLU), TypeError, r"^layers\[0\] must be a layer, got the class ReLU"),
    "a misspelt name": (lambda: nn.Residual("rely"), ValueError, r"layers\[0\] must be one of .*: did you mean 'relu'"),
    "a block of another width": (
        lambda: nn.Residual(nn.Dense(4, 8), "relu"),
        ValueError,
        r'^layers must give outputs of width 4, .* as both are added, got width 8: write nn.Parallel.*, join="add"\)',
    ),
    "branches of other inputs": (
        lambda: nn.Parallel(nn.Dense(4, 8), nn.Sequential("relu", nn.Dense(5, 8))),
        ValueError,
        r"^branches\[1\] must take inputs of width 4, which all branches share, got Sequential\(ReLU\(\), Dense.*\)$",
    ),
    "a sum of other widths": (
        lambda: nn.Parallel(nn.Dense(4, 8), nn.Dense(4, 7), join="add"),
        ValueError,
        r"^branches\[1\] must give outputs of width 8, as Dense\(4, 8\) does, for join='add', got width 7: for dif",
    ),
    "a product with an identity": (
        lambda: nn.Parallel("identity", nn.Dense(4, 5), join="multiply"),
        ValueError,
        r"^branches\[1\] must give outputs of width 4",
    ),
    "widths known later": (
        chain(nn.Dense(2, 4), nn.Residual(nn.Parallel("relu", "tanh"))),
        ValueError,
        r"^layers\[1\]\.layers must give outputs of width 4, .*, got width 8",
    ),
    "layers inside": (
        lambda: nn.Residual(nn.Dense(4, 8), nn.Sequential("relu", nn.Dense(9, 4))),
        ValueError,
        r"^layers\[1\] must take inputs of width 8, the output of Dense\(4, 8\) before it, got Sequential",
    ),
    "a container that does not fit": (
        chain(nn.Dense(2, 4), nn.Residual(nn.Dense(5, 5))),
        ValueError,
        r"^layers\[1\] must take inputs of width 4, the output of Dense\(2, 4\) before it, got Residual\(Dense.*\)$",
    ),
    "after a container": (
        chain(nn.Parallel(nn.Dense(2, 4), nn.Dense(2, 4)), "relu", nn.Dense(4, 1)),
        ValueError,
        r"^layers\[2\] must take inputs of width 8, the output of Parallel\(.*\) before it, got Dense\(4, 1\)$",
    ),
    "a deep one": (
        lambda: nn.Columns([0], nn.Parallel("relu", "tanh"), nn.Dense(3, 4)),
        ValueError,
        r"^layers\[1\] must take inputs of width 2, the output of Parallel",
    ),
    "no columns": (lambda: nn.Columns([]), ValueError, r"^columns must be at least one number in a list, got \[\]"),
    "one number": (lambda: nn.Columns(3), ValueError, r"^columns must be at least one number in a list, got 3"),
    "a column below 0": (lambda: nn.Columns([0, -1]), ValueError, r"^columns must be numbers from 0, got -1"),
    "a column twice": (lambda: nn.Columns([0, 2, 2]), ValueError, r"^columns must be different, got 2 twice"),
    "half a column": (lambda: nn.Columns([0.5]), TypeError, r"^columns must be integers, got \[0.5\]"),
    "a mask": (
        lambda: nn.Columns(np.array([True, False])),
        TypeError,
        r"^columns must be integers, .*: write np.flatnonzero",
    ),
    "words": (lambda: nn.Columns(["a"]), TypeError, r"^columns must be"),
    "a slice without an end": (
        lambda: nn.Columns(slice(1, None)),
        ValueError,
        r"^columns must have a start and an end of at least 0",
    ),
    "a slice from the end": (
        lambda: nn.Columns(slice(-3, 5)),
        ValueError,
        r"^columns must have a start and an end of at least 0",
    ),
    "an empty slice": (lambda: nn.Columns(slice(3, 3)), ValueError, r"^columns must be at least one number"),
    "a column of a narrow input": (
        lambda: nn.Columns([0, 5], in_features=5),
        ValueError,
        r"^columns must be numbers from 0 to 4, got the column 5 of an input of width 5$",
    ),
    "a column that is not there": (
        chain(nn.Dense(2, 4), nn.Parallel("relu", nn.Columns([4], nn.Dense(1, 4)))),
        ValueError,
        r"^layers\[1\]\.branches\[1\]\.columns must be numbers from 0 to 3, got the column 4 of an input of width 4$",
    ),
    "a layer of more columns": (
        lambda: nn.Columns([0, 1], nn.Dense(3, 1)),
        ValueError,
        r"^layers\[0\] must take inputs of width 2, the number of columns, got Dense\(3, 1\)$",
    ),
    "a layer twice": (
        chain(SHARED, nn.Residual(SHARED)),
        ValueError,
        r"^layers\[1\] must be another object than .*, got Dense\(4, 4\), in Residual\(.*: write a new layer, as",
    ),
    "a layer twice in a branch": (
        chain(nn.Parallel(SHARED, SHARED)),
        ValueError,
        r"^layers\[0\] must be another object",
    ),
    "a net twice": (chain(INNER, nn.Parallel(INNER)), ValueError, r"^layers\[1\] must be another object"),
    "no width": (
        lambda: nn.Sequential(nn.Residual("relu"), "tanh").predict(np.ones((2, 2))),
        ValueError,
        r"^layers must contain a layer that defines the width of the input, such as Dense or BatchNorm, got \[Res",
    ),
    "no width of columns": (
        lambda: fastnn.Trainer(nn.Sequential(nn.Parallel(nn.Columns([0, 3], nn.Dense(2, 2))))),
        ValueError,
        r"^layers must contain a layer that defines .*: write nn.Columns\(..., in_features=n\), where n is at",
    ),
    "no width of columns alone": (
        lambda: nn.Sequential(nn.Columns([4, 0])).predict(np.ones((2, 5))),
        ValueError,
        r"^layers must contain a layer that defines .*: write nn.Columns\(..., in_features=n\), where n is at least 5$",
    ),
    "no width of branches of columns": (
        lambda: nn.Sequential(nn.Parallel(nn.Columns([0]), nn.Columns([2])), nn.Dense(2, 1)).predict(np.ones((2, 3))),
        ValueError,
        r"^layers must contain a layer that defines .*: write nn.Columns\(..., in_features=n\), where n is at least 3$",
    ),
    "a join by position": (
        lambda: nn.Parallel("relu", "tanh", "add"),
        TypeError,
        r"^branches\[2\] must be a layer.* by name",
    ),
    "an endless range": (lambda: nn.Columns(range(2**70)), ValueError, r"^columns must be at most 16,777,216 numbers"),
    "a slice without steps": (
        lambda: nn.Columns(slice(0, 4, 0)),
        TypeError,
        r"^columns must be a slice of integers, with",
    ),
    "a slice of words": (lambda: nn.Columns(slice("a", "b")), TypeError, r"^columns must be a slice of integers"),
    "too deep": (lambda: deep(nn.Residual, 101), ValueError, r"^layers must be nested at most 100 deep, got 101"),
    "a truth value as index": (
        lambda: nn.Residual("relu")[True],
        TypeError,
        r"^the index of a layer must be an integer",
    ),
    "a layer that is no part": (
        lambda: nn.Sequential(Kept()).predict(np.ones((1, 4))),
        RuntimeError,
        r"emits ops, but is not part of a net: a container writes self.layers\[i\]",
    ),
    "a method of a net": (
        lambda: BLOCKS[1][0].predict,
        AttributeError,
        r"^Sequential has no .*: write nn.Sequential\(layer\)",
    ),
    "a call of a layer in a net": (
        lambda: BLOCKS[1][1](np.ones((1, 4))),
        TypeError,
        r"write nn.Sequential\(net\[1\]\[1\]\)",
    ),
    "a call of a container": (lambda: BLOCKS[1](np.ones((1, 4))), TypeError, r"write net\[1:2\].predict\(x\)$"),
}


@pytest.mark.parametrize(("make", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
