"""Nets as sequences of layers: indices, slices, nets made of other nets' layers, and that nets share nothing."""

import contextvars
import copy
import pickle
import threading

import numpy as np
import pytest

import fastnn
from fastnn import nn


def trained(dtype="float32", rng=None):
    """Return a net whose parameters, running statistics, scaler and training steps have all changed."""
    rng = np.random.default_rng(0) if rng is None else rng
    net = nn.Sequential(
        nn.Dense(3, 4), nn.BatchNorm(4), nn.PReLU(4), nn.Dropout(0.5), nn.Dense(4, 2), nn.Tanh(), dtype=dtype, seed=5
    )
    X = rng.normal(2, 3, size=(40, 3))
    net.scaler = fastnn.data.Scaler.fit(X)
    fastnn.Trainer(net).fit(X, rng.integers(0, 2, 40), epochs=2, batch_size=8, verbose=0)
    return net


def values(layer):
    return {name: getattr(layer, name).copy() for name in (*layer.parameters(), *layer.buffers())}


def same_values(one, other):
    one, other = values(one), values(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


# ---- a sequence ----


def test_a_net_is_a_sequence_of_its_layers():
    net = trained()
    assert len(net) == 6 and list(net) == list(net.layers) and list(reversed(net)) == list(net.layers)[::-1]
    for index in range(6):
        for given in (index, index - 6, np.int8(index), np.int64(index - 6)):
            assert net[given] is net.layers[index]
    assert nn.Dense(3, 4) in net and nn.Dropout(0.5) in net
    assert nn.Dense(3, 5) not in net and nn.Dropout(0.25) not in net and "relu" not in net
    assert net.index(nn.Tanh()) == 5 and net.count(nn.Tanh()) == 1
    first, *_, last = net
    assert (first, last) == (nn.Dense(3, 4), nn.Tanh()) and first.weight.shape == (3, 4)
    assert net != trained() and net != list(net) and len({net, trained()}) == 2


@pytest.mark.parametrize(
    ("error", "index", "message"),
    [
        (IndexError, 6, "the index of a layer must be from -6 to 5, got 6$"),
        (IndexError, -7, "the index of a layer must be from -6 to 5, got -7$"),
        (IndexError, 10**30, "the index of a layer must be from -6 to 5, got 1"),
        (TypeError, 1.0, "the index of a layer must be an integer or a slice, got 1.0$"),
        (TypeError, "0.weight", "the index of a layer must be an integer or a slice, got '0.weight'$"),
        (TypeError, (0, 1), "the index of a layer must be an integer or a slice, got "),
        (ValueError, slice(2, 2), r"layers must be at least one layer, got none$"),
        (ValueError, slice(None, None, -1), r"layers\[\d\] must take inputs of width"),
        (ValueError, slice(None, None, 0), "slice step cannot be zero"),
    ],
)  # fmt: skip
def test_indices_that_are_refused(error, index, message):
    with pytest.raises(error, match=f"^{message}"):
        trained()[index]


# ---- slices ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("part", [slice(None), slice(4), slice(-2), slice(1, None), slice(2, 5), slice(0, 6, 4)])
def test_a_slice_is_a_net_with_copies_of_the_values(impl, dtype, part):
    net = trained(dtype)
    before = net.state_dict()
    made = net[part]
    assert type(made) is nn.Sequential and made.layers == net.layers[part]
    assert (made.dtype, made.seed, made.training_steps) == (net.dtype, net.seed, net.training_steps)
    assert (made.scaler is not None) == (part.start in (None, 0))
    for own, layer in zip(made, net[:][part], strict=True):
        same_values(own, layer)
    made.params.data[...] = 9
    made.state.data[...] = 9
    made.training_steps = made.seed + 1
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_slices_compute_what_the_net_computes(impl, rng):
    net = trained("float64")
    X = rng.normal(size=(7, 3))
    hidden = net[:4].predict(X)
    np.testing.assert_allclose(net[4:].predict(hidden), net.predict(X), rtol=1e-13)
    head = net[2:]  # its first layer that has a width is a PReLU
    assert (head.in_features, head.out_features) == (4, 2)
    np.testing.assert_allclose(head.predict(net[:2].predict(X)), net.predict(X), rtol=1e-13)
    tail = net[3:]  # begins with a layer that takes any width
    np.testing.assert_allclose(tail.predict(net[:3].predict(X)), net.predict(X), rtol=1e-13)
    np.testing.assert_array_equal(net[:].predict(X), net.predict(X))


@pytest.mark.parametrize("made", [lambda net: net[:], lambda net: nn.Sequential(*net)], ids=["slice", "layers"])
def test_copies_of_a_net_in_training_are_those_after_a_complete_step(impl, made):
    """Every step adds the same number to all weights of both layers: they differ only in the middle of a step."""
    net = nn.Sequential(nn.Identity(), nn.Dense(1, 1000, bias=False, init="zeros"), dtype="float64", seed=0)
    trainer = fastnn.Trainer(net, "mean_squared_error", fastnn.optim.SGD(0.001))
    seen = []

    def train():
        trainer.fit(np.ones((400, 1)), np.ones((400, 1000)), epochs=2, batch_size=8, verbose=0)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(train,))
    thread.start()
    while thread.is_alive():
        weight = made(net)[1].weight
        seen.append((weight.min(), weight.max()))
    thread.join(60)
    assert all(low == high for low, high in seen) and net[1].weight.all()


# ---- nets of other nets' layers ----


def test_values_of_bound_layers_are_copied_and_others_drawn(impl, rng):
    net = trained()
    made = nn.Sequential(*net[:-2], nn.Dense(4, 5), dtype="float64", seed=11)
    fresh = nn.Sequential(*(layer.detached() for layer in net[:-2]), nn.Dense(4, 5), dtype="float64", seed=11)
    for layer, own in zip(net[:-2], made, strict=False):
        assert own == layer and own is not layer
        same_values(own, layer)
    np.testing.assert_array_equal(made[-1].weight, fresh[-1].weight)
    assert not np.array_equal(made[0].weight, fresh[0].weight)
    assert made.training_steps == 0 and made.scaler is None
    X = rng.normal(size=(3, 3))
    before = net.predict(X)
    made.params.data[...] = 0
    np.testing.assert_array_equal(net.predict(X), before)


def test_layers_of_several_nets(impl):
    one, other = trained(), nn.Sequential(nn.Dense(4, 4), nn.Dense(4, 2), seed=8)
    made = nn.Sequential(*one[:4], *other)
    same_values(made[0], one[0])
    same_values(made[4], other[0])
    same_values(made[5], other[1])
    with pytest.raises(ValueError, match=r"^layers\[1\] must be another object than the layers before it, got Dense"):
        nn.Sequential(other[0], other[0])


def test_numbers_too_large_for_the_dtype_become_infinite():
    net = nn.Sequential(nn.Dense(1, 1, init=nn.init.constant(1e300)), dtype="float64", seed=0)
    assert nn.Sequential(*net)[0].weight == np.inf


def test_records_may_be_used_again():
    relu, dense = nn.ReLU(), nn.Dense(3, 3)
    net = nn.Sequential(dense, relu, nn.Dense(3, 3), relu, seed=0)  # equal records, and one without parameters twice
    assert net[0] == net[2] and net[1] == net[3] and not np.array_equal(net[0].weight, net[2].weight)
    assert nn.Sequential(dense, relu, seed=0)[0] == dense
    with pytest.raises(
        ValueError, match=r"^layers\[1\] must be another object .*: write a new layer, as layers share no"
    ):
        nn.Sequential(dense, dense)
    with pytest.raises(ValueError, match="another object"):
        nn.Sequential(nn.BatchNorm(2), *[nn.PReLU(2)] * 2)


def test_a_net_that_cannot_be_made_changes_nothing():
    net, before = trained(), trained().state_dict()
    layer = nn.Dense(4, 4, init=lambda shape, random: np.zeros(3))
    for _ in range(2):
        with pytest.raises(ValueError, match="the result of init must be 2-dimensional"):
            nn.Sequential(*net[:4], layer)
    assert not layer.bound
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# ---- users' layers ----


class Counts(nn.CustomActivation):
    """A user's layer, whose functions change its own state."""

    def __init__(self, factor=1.0):
        self._calls = []
        self.factor = factor
        super().__init__(self._forward, self._backward)

    def _forward(self, x):
        self._calls.append(len(x))
        return self.factor * x

    def _backward(self, dy, x, y):
        return self.factor * dy


class Shift(nn.Layer):
    """A user's layer with a parameter."""

    def __init__(self, width, *, start=0.0):
        super().__init__()
        self._width, self._start = width, start
        self.in_features = self.out_features = width

    def parameters(self):
        return {"shift": (self._width,)}

    def emit(self, builder, x):
        return x

    def reset(self, seed, default):
        self.array("shift")[...] = self._start


COPIES = {
    "detached": lambda layer: layer.detached(), "copy": copy.copy, "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
}  # fmt: skip


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("layer", [Counts(0.5), Shift(2, start=3.0), Shift(2)], ids=repr)
def test_users_layers_are_records(impl, name, layer):
    net = nn.Sequential(nn.Dense(2, 2), layer, seed=0)
    for each in (layer, net[1]):
        twin = COPIES[name](each)
        assert type(twin) is type(layer) and twin == layer == net[1] and hash(twin) == hash(layer)
        assert repr(twin) == repr(layer) == repr(net[1]) and eval(repr(layer)) == layer
        assert not twin.bound and vars(twin).keys() == vars(layer).keys()
    assert Counts(0.5) != Counts(0.25) and Shift(2) != Shift(2, start=1.0) != Shift(3, start=1.0)


def test_nets_share_no_state_of_users_layers(impl):
    layer = Counts()
    first = nn.Sequential(nn.Dense(2, 2), layer, seed=0)
    nets = [first, nn.Sequential(nn.Dense(2, 2), layer, seed=0), first.copy(), first[:], nn.Sequential(*first)]
    for rows, net in enumerate(nets, 1):
        net.predict(np.ones((rows, 2)))
    assert [net[1]._calls for net in nets] == [[1], [2], [3], [4], [5]] and layer._calls == []
    last = pickle.loads(pickle.dumps(first))
    last.predict(np.ones((6, 2)))
    assert last[1]._calls == [1, 6] and first[1]._calls == [1]


def test_values_of_users_layers_are_copied(impl):
    net = nn.Sequential(nn.Dense(2, 2), Shift(2, start=3.0), seed=0)
    assert (net[1].array("shift") == 3).all()
    net[1].array("shift")[...] = 7
    for twin in (net[1:], net.copy(), nn.Sequential(*net), pickle.loads(pickle.dumps(net))):
        assert (twin[-1].array("shift") == 7).all()
    assert (nn.Sequential(net[1].detached())[0].array("shift") == 3).all()


def test_a_users_layer_that_cannot_be_copied_is_refused():
    layer = Shift(2)
    layer._names = (name for name in "ab")
    with pytest.raises(TypeError, match="generator") as caught:
        nn.Sequential(layer)
    assert "copy.deepcopy" in caught.value.__notes__[0]
