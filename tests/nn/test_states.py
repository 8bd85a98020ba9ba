"""Saved and copied nets and trainers are whole; damaged ones are refused."""

import copy
import io
import pickle
import threading

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.data import Scaler

RNG = np.random.default_rng(0)
X, Y = RNG.normal(100, 50, size=(40, 4)), RNG.integers(0, 3, 40)
SCALER = Scaler.fit(X)


def net_of(scaler=SCALER, seed=1):
    net = nn.Sequential(nn.Dense(4, 5), nn.BatchNorm(5), nn.ReLU(), nn.Dropout(0.1), nn.Dense(5, 3), seed=seed)
    net.scaler = scaler
    return net


# ---- a net's scaler ----


def test_a_state_dict_contains_the_scaler(impl):
    net, other = net_of(), net_of(None, seed=2)
    state = net.state_dict()
    assert {"scaler.center", "scaler.scale"} <= set(state)
    np.testing.assert_allclose(state["scaler.center"], SCALER.center, rtol=1e-6)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    state["scaler.center"][...] = 0  # a copy
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


def test_a_state_dict_without_a_scaler_keeps_the_nets(impl):
    net, plain = net_of(), net_of(None, seed=2)
    before = net.scaler
    state = plain.state_dict()
    assert not any("scaler" in key for key in state)
    net.load_state_dict(state)
    assert net.scaler is before
    assert not np.array_equal(net.predict(X), plain.predict(X))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"scaler.center": None},
            r"state_dict must contain the keys of one scaler: .* or scaler.quantiles, .* got scaler.scale$",
        ),
        ({"scaler.scale": None}, "state_dict must contain .*, got scaler.center$"),
        ({"scaler.center": np.zeros(3)}, r"scaler.center must have shape \(4,\), got shape \(3,\)$"),
        ({"scaler.scale": np.array([1, 2, np.nan, 4])}, "scaler.scale must contain numbers that are finite in float32"),
        ({"scaler.bias": np.zeros(4)}, r"state_dict must have .* got an unknown 'scaler.bias'$"),
        ({"1.num_batches_tracked": 10**30}, r"state_dict\['1.num_batches_tracked'\] must be an array of real numbers"),
        ({"1.running_var": -np.ones(5)}, r"state_dict\['1.running_var'\] must contain no number below 0, got -1.0$"),
    ],
)
def test_a_bad_state_changes_nothing(change, message):
    net, other = net_of(), net_of(None, seed=2)
    state = {key: value for key, value in (net.state_dict() | change).items() if value is not None}
    before = other.predict(X)
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        other.load_state_dict(state)
    assert other.scaler is None
    assert other.training_steps == 0
    np.testing.assert_array_equal(other.predict(X), before)


def test_a_scaler_is_shown():
    net = net_of(Scaler(np.array([1.0, 2.0, 3.0, 4.0]), 0.5))
    assert "# scaler: center=[1., 2., 3., 4.], scale=[0.5, 0.5, 0.5, 0.5]" in repr(net)
    assert "scaler" in net.summary()
    assert "scaler" not in repr(net_of(None)) + net_of(None).summary()
    eval(repr(net), {**vars(nn)})


@pytest.mark.parametrize("copied", [lambda n: n.copy(), copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_have_the_scaler(copied):
    net = net_of()
    twin = copied(net)
    net.scaler = None
    assert twin.scaler == SCALER and net.scaler is None


def test_a_scaler_is_the_record_that_was_set():
    net = net_of(Scaler(0, 1 / 255))
    assert net.scaler == Scaler(0, 1 / 255) and repr(net.scaler) == repr(Scaler(0, 1 / 255))
    assert net[:2].scaler == net.copy("float32").scaler == net.scaler
    net.load_state_dict(net.state_dict())  # the same numbers in float32: the record stays
    assert net.scaler == Scaler(0, 1 / 255)
    wide = net.astype("float64")
    assert wide.scaler == Scaler([0.0] * 4, [float(np.float32(1 / 255))] * 4)  # what it computes with
    np.testing.assert_allclose(wide.predict(X), net.predict(X), rtol=1e-3, atol=1e-4)
    net.scaler = 1.0, 2.0
    assert net.scaler == Scaler(1.0, 2.0)
    net.load_state_dict(wide.state_dict())
    assert net.scaler == wide.scaler


# ---- keys that do not fit ----


def test_what_fits_is_loaded(impl):
    net, other = net_of(), net_of(None, seed=2)
    state, before = net.state_dict(), other.state_dict()
    part = {key: state[key] for key in ("0.bias", "1.running_mean", "1.num_batches_tracked")}
    found = other.load_state_dict(part | {"head": 0, 3: 4}, strict=False)
    assert found.missing_keys == [key for key in before if key not in part]
    assert found.unexpected_keys == ["head", 3]
    after = other.state_dict()
    for key in before:
        np.testing.assert_array_equal(after[key], part.get(key, before[key]))
    assert other.load_state_dict(state) == ([], [])
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    with pytest.raises(ValueError, match=r"^state_dict\['0.bias'\] must have shape \(5,\), got shape \(4,\)$"):
        other.load_state_dict({"0.weight": np.zeros((5, 4)), "0.bias": np.zeros(4)}, strict=False)
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


STRIP = r"write \{key.removeprefix\('%s'\): array for key, array in state_dict.items\(\)\}$"
ORDER = r"if the layers are in this order, write dict\(zip\(net.state_dict\(\), state_dict.values\(\)\)\)$"


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (lambda d: {f"module.{key}": value for key, value in d.items()}, STRIP % "module."),
        (lambda d: {f"_orig_mod.net.{key}": value for key, value in d.items()}, STRIP % "_orig_mod.net."),
        (lambda d: {f"a.{key}": value for key, value in d.items()} | {"b.2": 0}, STRIP % "a."),
        (lambda d: {"epoch": 3, "model": d, "optimizer": {}}, r"write net.load_state_dict\(state_dict\['model'\]\)$"),
        (lambda d: {"optimizer": "adam"}, r"load the state of a trainer by trainer.load_state_dict$"),
        (lambda d: {("0.weights" if k == "0.weight" else k): a for k, a in d.items()}, "'0.weight' for '0.weights'$"),
        (lambda d: {f"fc{key}": value for key, value in d.items()}, ORDER),
        (lambda d: {}, r"no '0.bias', .*, 4 other differences$"),
    ],
)
def test_errors_of_keys_say_what_to_write(change, fix):
    net = net_of(None)
    with pytest.raises(ValueError, match=f"^state_dict must have the keys of net.state_dict.* got .*{fix}"):
        net.load_state_dict(change(net.state_dict()))


# ---- copies of values ----


def mixed(net, other, tau):
    real = net.dtype.type
    return {k: real(tau) * other.parameters()[k] + real(1 - tau) * a for k, a in net.parameters().items()}


@pytest.mark.parametrize("tau", [0.0, 0.005, 0.3, 1, np.float32(0.5)])
def test_values_are_moved_towards_those_of_another_net(impl, dtype, tau):
    net, other = net_of(None).astype(dtype), net_of(seed=2).astype(dtype)
    other.forward(X, training=True)
    net[0].bias[...] = -0.0
    other[0].bias[0] = np.nan
    wanted = {0: net.copy().parameters(), 1: other.parameters()}.get(tau) or mixed(net, other, tau)
    assert net.copy_from(other, tau) is None
    for key, array in net.parameters().items():
        assert array.tobytes() == wanted[key].astype(dtype).tobytes()
    np.testing.assert_array_equal(net.state.data, other.state.data)
    assert net.scaler == other.scaler and (net.training_steps, net.seed) == (0, 1)
    if tau == 1:
        np.testing.assert_array_equal(net.predict(X), other.predict(X))


def test_values_of_another_dtype_are_converted(dtype):
    net, other = net_of().astype(dtype), net_of(seed=2).astype({"float32": "float64", "float64": "float32"}[dtype.name])
    wanted = mixed(net, other.astype(dtype), 0.25)
    net.copy_from(other, tau=0.25)
    for key, array in net.parameters().items():
        np.testing.assert_array_equal(array, wanted[key])
    before = net.params.data.tobytes()
    net.copy_from(net, 0.3)
    assert net.params.data.tobytes() == before


@pytest.mark.parametrize(
    ("other", "tau", "message"),
    [
        (lambda: 3, 1.0, "other must be a Sequential, got int$"),
        (lambda: trainer_of(), 1.0, "other must be a Sequential, got Trainer: write trainer.net$"),
        (net_of, 1.5, r"tau must be a number in \[0, 1\], got 1.5$"),
        (net_of, -0.1, r"tau must be a number in \[0, 1\], got -0.1$"),
        (net_of, True, r"tau must be a number in \[0, 1\], got True$"),
        (
            lambda: nn.Sequential(*net_of().layers[:4], nn.Dense(5, 2)),
            1.0,
            r"other must have .* shapes as the net, got 4.weight \(5, 2\) where the net has 4.weight \(5, 3\)$",
        ),
        (lambda: net_of()[:4], 1.0, r"other must .*, got 4.weight missing where the net has 4.weight \(5, 3\)$"),
    ],
)
def test_what_values_cannot_be_copied_from(other, tau, message):
    net = net_of()
    before = net.params.data.tobytes()
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        net.copy_from(other(), tau)
    assert net.params.data.tobytes() == before


def test_two_threads_copy_in_opposite_directions():
    nets = [net_of(seed=seed) for seed in (1, 2)]

    def copy_often(net, other):
        for _ in range(300):
            net.copy_from(other, 0.5)

    threads = [threading.Thread(target=copy_often, args=pair) for pair in (nets, nets[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_values_are_not_copied_by_a_handler_in_the_middle_of_a_training():
    net, errors = net_of(None), []

    def act(x):
        try:
            net.copy_from(net_of(seed=2))
        except RuntimeError as error:
            errors.append(str(error))
        return x

    custom = nn.Sequential(nn.Dense(4, 3), nn.CustomActivation(act, lambda dy, x, y: dy), seed=0)
    with net.training_claim:
        custom.predict(X)
    assert errors and "the net's values cannot be set by a signal handler" in errors[0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (3, "have the attributes center and scale, or be None, got int: write fastnn.data.Scaler.fit"),
        ("scale", "have the attributes center and scale, or be None, got str"),
        (
            Scaler,
            "have the attributes center and scale, or be None, got the class Scaler: write fastnn.data.Scaler.fit",
        ),
        (object(), "have the attributes center and scale, or be None, got object"),
        ((1.0,), "be a pair of center and scale, got 1 values"),
        ((1.0, 2.0, 3.0), "be a pair of center and scale, got 3 values"),
    ],
)
def test_what_is_no_scaler(bad, message):
    with pytest.raises((TypeError, ValueError), match=f"^scaler must {message}"):
        net_of(None).scaler = bad


# ---- trainers ----

COPIES = {
    "copy": lambda t: t.copy(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda t: pickle.loads(pickle.dumps(t)),
    "pickle 2": lambda t: pickle.loads(pickle.dumps(t, 2)),
}


def trainer_of(optimizer=optim.Adam(0.01)):  # noqa: B008 - it is frozen
    return fastnn.Trainer(
        net_of(),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        optimizer,
        optim.ExponentialLR(0.9, every="step"),
        optim.Penalty(l2=0.01),
        clip_norm=1.0,
    )


def fit(trainer, epochs=2):
    trainer.fit(X, Y, epochs=epochs, batch_size=10, verbose=0)


def step(trainer):
    z = trainer.net.forward(X, training=True)
    trainer.net.backward(np.ones_like(z))
    trainer.step()


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("used", [lambda t: None, fit, step, lambda t: (fit(t), step(t), t.net.predict(X))])
def test_a_trainer_is_copied_at_any_time(impl, name, used):
    one = trainer_of()
    used(one)
    twin = COPIES[name](one)
    assert twin.net is not one.net
    for trainer in (one, twin):
        fit(trainer)
        step(trainer)
    np.testing.assert_array_equal(twin.net.params.data, one.net.params.data)
    np.testing.assert_array_equal(twin.net.state.data, one.net.state.data)
    assert twin.history["loss"] == one.history["loss"]
    assert (twin.epoch, twin.step_count) == (one.epoch, one.step_count)


def test_joblib_keeps_a_trainer_and_its_net_together():
    joblib = pytest.importorskip("joblib")
    one = trainer_of()
    fit(one)
    file = io.BytesIO()
    joblib.dump({"net": one.net, "trainer": one}, file)
    file.seek(0)
    both = joblib.load(file)
    assert both["trainer"].net is both["net"]
    np.testing.assert_array_equal(both["net"].predict(X), one.net.predict(X))


def test_full_batch_trainers_are_copied():
    one = fastnn.Trainer(nn.Sequential(nn.Dense(4, 3), seed=0), optimizer=optim.Newton())
    one.fit(X, Y, epochs=2, verbose=0)
    twin = pickle.loads(pickle.dumps(one))
    for trainer in (one, twin):
        trainer.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(twin.net.params.data, one.net.params.data)


# ---- damaged pickles ----


def spoil(index, value):
    def change(parts):
        parts = list(parts)
        parts[index] = value(parts[index]) if callable(value) else value
        return parts

    return change


# Indices into the arguments that `Sequential.__reduce__` returns: layers, dtype, seed, params, state, training_steps,
# scaler, output_scaler.
DAMAGES = {
    "no layers": (spoil(0, 3), "layers must be a list"),
    "a stranger among the layers": (spoil(0, lambda layers: [*layers, 7]), "a layer"),
    "widths that do not fit": (spoil(0, lambda layers: [*layers, nn.Dense(9, 9)]), "must take inputs of width 3"),
    "another dtype": (spoil(1, "int8"), "dtype"),
    "a negative seed": (spoil(2, -1), "seed"),
    "no seed": (spoil(2, None), "seed"),
    "one parameter": (spoil(3, np.zeros(1)), r"params must have shape \(\d+,\), to fit the layers, got shape \(1,\)"),
    "too many": (spoil(3, np.zeros(10**4)), "params must have shape"),
    "a matrix": (spoil(3, lambda a: a[None]), "params must have shape"),
    "words": (spoil(3, lambda a: a.astype(str)), "params must be an ndarray of float32 or float64, got dtype <U"),
    "objects": (spoil(3, lambda a: a.astype(object)), "params must be an ndarray of .*, got dtype object"),
    "none": (spoil(3, None), "params must be an ndarray of .*, got None"),
    "a short state": (spoil(4, lambda a: a[:3]), "state must have shape"),
    "a negative variance": (spoil(4, lambda a: a - 5), "1.running_var must contain no number below 0"),
    "infinite steps": (spoil(5, float("inf")), "training_steps"),
    "too many steps": (spoil(5, 10**400), "training_steps must be an integer from 0"),
    "a short scaler": (spoil(6, (np.zeros(3), np.ones(3))), r"scaler.center must have shape \(4,\)"),
    "half a scaler": (spoil(6, (np.zeros(4),)), "scaler must be a pair"),
    "a scaler of words": (spoil(6, (np.zeros(4), np.array(list("abcd")))), "scaler.scale"),
    "no scaler": (spoil(6, 7), "scaler must have the attributes center and scale"),
    "an infinite scaler": (spoil(6, (np.zeros(4), np.full(4, np.inf))), "finite"),
}


class Damaged:
    """An object whose pickle is that of a net with one part changed."""

    def __init__(self, reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_nets_are_refused(name):
    change, message = DAMAGES[name]
    make, parts = net_of().__reduce__()
    saved = pickle.dumps(Damaged((make, tuple(change(parts)))))
    with pytest.raises((TypeError, ValueError), match=message):
        pickle.loads(saved)
    assert isinstance(pickle.loads(pickle.dumps(Damaged((make, parts)))), nn.Sequential)


LAYERS = [
    nn.Dense(4, 4, init="orthogonal", bias_init=nn.init.constant(0.5), max_norm=2.0),
    nn.Dense(4, 4, bias=False),
    nn.BatchNorm(4, eps=1e-3, momentum=0.2),
    nn.Dropout(0.25),
    nn.PReLU(4, init=0.1),
    nn.GELU("tanh"),
    nn.Softmax(),
    nn.LogSoftmax(),
    nn.Identity(),
    nn.CustomActivation(np.sinh, np.multiply),
    *(kind() for kind in nn.activations.LAYERS.values()),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_layers_are_unpickled_by_their_constructors(layer):
    """The constructor's checks refuse a damaged layer."""
    make, (kind, arguments) = layer.__reduce_ex__(4)
    assert kind is type(layer)
    twin = pickle.loads(pickle.dumps(layer))
    assert repr(twin) == repr(layer)
    assert vars(twin).keys() == vars(layer).keys()
    for damage in [{name: ["strange"]} for name in arguments] + [{"unknown": 1}]:
        with pytest.raises((TypeError, ValueError)):
            pickle.loads(pickle.dumps(Damaged((make, (kind, arguments | damage)))))


def test_users_layers_are_pickled_as_other_objects():
    net = nn.Sequential(nn.Dense(2, 2), Scale(3.0), seed=0)
    for twin in (net.copy(), pickle.loads(pickle.dumps(net))):
        assert twin.layers[1].factor == 3.0
        np.testing.assert_array_equal(twin.predict([[1.0, 2.0]]), net.predict([[1.0, 2.0]]))


class Scale(nn.CustomActivation):
    """A user's layer whose constructor has other arguments."""

    def __init__(self, factor):
        super().__init__(np.negative, np.multiply)
        self.factor = factor


TRAINER_DAMAGES = {
    "no net": (spoil(1, 3), "net"),
    "settings": (spoil(2, lambda s: ("cross_entropy", 3, *s[2:])), "optimizer"),
    "steps": (spoil(3, lambda state: state | {"step_count": 10**400}), "step_count"),
    "rate": (spoil(3, lambda state: state | {"lr": -1.0}), "lr"),
    "slots": (spoil(3, lambda state: state | {"slots": {"m": state["slots"]["m"]}}), "slots"),
    "values": (spoil(4, (np.zeros(3), np.zeros(3))), "params must be a float32 array of shape"),
}


@pytest.mark.parametrize("name", TRAINER_DAMAGES)
def test_damaged_trainers_are_refused(name):
    trainer = trainer_of()
    fit(trainer)
    change, message = TRAINER_DAMAGES[name]
    make, parts = trainer.__reduce__()
    with pytest.raises((TypeError, ValueError), match=message):
        pickle.loads(pickle.dumps(Damaged((make, tuple(change(parts))))))
