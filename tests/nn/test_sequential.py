"""Nets: construction, computation, and getting and setting their values."""

import contextvars
import copy
import pickle
import random
import threading

import numpy as np
import pytest

import fastnn
from fastnn import nn


def small(dtype="float64", seed=0):
    return nn.Sequential(
        nn.Dense(4, 6, bias=False), nn.BatchNorm(6), nn.LeakyReLU(0.2), nn.Dropout(0.5), nn.Dense(6, 3), nn.Tanh(),
        dtype=dtype, seed=seed,
    )  # fmt: skip


def formula(net, X):
    """Return the output of the net `small` in evaluation mode, computed by its formula."""
    dense, norm, *_, last, _ = net.layers
    h = X @ dense.weight
    h = (h - norm.running_mean) / np.sqrt(norm.running_var + 1e-5) * norm.weight + norm.bias
    h = np.where(h > 0, h, 0.2 * h)
    return np.tanh(h @ last.weight + last.bias)


def randomised(net, rng):
    for name, array in {**net.parameters(), **net.state.views()}.items():
        array[...] = rng.normal(size=array.shape)
        if name.endswith("running_var"):
            array[...] = array**2 + 0.1
    return net


# ---- computing ----


def test_predict_is_the_formula(impl, rng):
    net = randomised(small(), rng)
    X = rng.normal(size=(700, 4))
    np.testing.assert_allclose(net.predict(X), formula(net, X), rtol=1e-12, atol=1e-12)
    out = np.empty((700, 3))
    assert net.predict(X, out=out) is out
    np.testing.assert_array_equal(out, net.predict(X))


def test_predict_takes_arrays_of_any_layout_and_dtype(impl, rng):
    net = randomised(small("float32"), rng)
    ints = rng.integers(0, 200, size=(33, 4))
    wanted = net.predict(ints.astype(np.float32))
    for X in (
        ints, ints.astype(np.uint8), ints.astype(np.float64), ints.astype(">f4"), ints.astype(np.float16),
        ints.tolist(), np.asfortranarray(ints.astype(np.float32)), np.repeat(ints.astype("f4"), 2, axis=0)[::2],
        ints[::-1].astype(np.float32)[::-1], ints[:, ::-1].astype(np.uint8)[:, ::-1],
    ):  # fmt: skip
        np.testing.assert_array_equal(net.predict(X), wanted)
    readonly = ints.astype(np.float32)
    readonly.flags.writeable = False
    np.testing.assert_array_equal(net.predict(readonly), wanted)


def test_no_rows_and_nan(impl):
    net = small()
    assert net.predict(np.empty((0, 4))).shape == (0, 3)
    X = np.ones((3, 4))
    X[1, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(net.predict(X)).any(axis=1), [False, True, False])


def test_training_mode_batch_norm_is_pytorchs(impl, dtype):
    # x = 1..4: biased variance 5/4 in the forward pass, unbiased 5/3 in the running one
    net = nn.Sequential(nn.BatchNorm(1, momentum=1.0, eps=0.0), dtype=dtype, seed=0)
    z = net.forward([[1.0], [2.0], [3.0], [4.0]], training=True)
    np.testing.assert_allclose(z[:, 0], (np.arange(1, 5) - 2.5) / np.sqrt(1.25), rtol=1e-6)
    np.testing.assert_allclose(net.layers[0].running_mean, [2.5])
    np.testing.assert_allclose(net.layers[0].running_var, [5 / 3], rtol=1e-6)
    with pytest.raises(ValueError, match=r"^x must have at least 2 rows for training, got shape \(1, 1\)$"):
        net.forward([[1.0]], training=True)


def test_gradients_come_from_the_last_backward(impl):
    net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(1.0)), dtype="float64", seed=0)
    with pytest.raises(RuntimeError, match="forward"):
        net.backward(np.ones((1, 1)))
    net.forward([[1.0, 2.0], [3.0, 4.0]], training=True, input_grad=True)
    for factor in (1.0, 2.0):
        dx = net.backward(np.full((2, 1), factor))
        np.testing.assert_array_equal(net.gradients()["0.weight"], [[4 * factor], [6 * factor]])
        np.testing.assert_array_equal(net.gradients()["0.bias"], [2 * factor])
        np.testing.assert_array_equal(dx, np.full((2, 2), factor))
    with pytest.raises(ValueError, match=r"^dz must have shape \(2, 1\), got shape \(1, 1\): that is the shape"):
        net.backward(np.ones((1, 1)))
    with pytest.raises(TypeError, match="dz"):
        net.backward(np.ones((2, 1), dtype=complex))


def test_larger_and_smaller_batches_follow_each_other(impl, rng):
    net = nn.Sequential(nn.Dense(4, 3), nn.ReLU(), dtype="float64", seed=0)
    for rows in (5, 2, 9, 1):
        X = rng.normal(size=(rows, 4))
        np.testing.assert_array_equal(net.forward(X, training=True), net.predict(X))


def test_the_scaler_scales_all_input(impl, rng):
    X = rng.integers(0, 256, size=(600, 4)).astype(np.uint8)
    scaler = fastnn.data.Scaler.fit(X)
    plain, scaled = small(), small()
    scaled.scaler = scaler
    hand = (X - scaler.center) * scaler.scale
    np.testing.assert_allclose(scaled.predict(X), plain.predict(hand), rtol=1e-13)
    np.testing.assert_allclose(scaled.copy().predict(X), plain.predict(hand), rtol=1e-13)
    for net, x in ((plain, hand), (scaled, X)):
        net.forward(x, training=True, input_grad=True)
    dz = rng.normal(size=(600, 3))
    np.testing.assert_allclose(scaled.backward(dz), plain.backward(dz) * scaler.scale, rtol=1e-9)
    y = rng.integers(0, 3, 600)
    for net, x in ((plain, hand), (scaled, X)):
        fastnn.Trainer(net, optimizer=fastnn.optim.SGD(0.1)).fit(x, y, epochs=1, verbose=0)
    np.testing.assert_allclose(scaled.params.data, plain.params.data, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"^scaler.center must have shape \(4,\), got shape \(3,\)$"):
        scaled.scaler = fastnn.data.Scaler(np.zeros(3), 1)
    with pytest.raises(
        ValueError, match=r"^scaler.scale must contain numbers that are finite in float64, got NaN or infinity$"
    ):
        scaled.scaler = fastnn.data.Scaler(0, np.nan)
    with pytest.raises(ValueError, match=r"^scaler.center must contain numbers that are finite in float32, got NaN"):
        plain.astype("float32").scaler = fastnn.data.Scaler(1e300, 1)


def test_numbers_too_large_for_the_dtype_become_infinite(impl):
    net = nn.Sequential(nn.Dense(1, 1, init=nn.init.constant(1.0)), seed=0)
    assert net.forward(np.array([[1e300]]), training=True) == np.inf
    net.backward(np.array([[-1e300]]))
    assert net.gradients()["0.bias"] == -np.inf
    net.load_state_dict(net.state_dict() | {"0.bias": np.array([1e300])})
    assert net.layers[0].bias == np.inf


# ---- construction ----


@pytest.mark.parametrize(
    ("error", "message", "layers"),
    [
        (TypeError, r"layers\[0\] must be a layer, got int$", lambda: [3]),
        (
            TypeError,
            r"layers\[1\] must be a layer, got the class ReLU: write nn.ReLU\(\)$",
            lambda: [nn.Dense(2, 3), nn.ReLU],
        ),
        (
            TypeError,
            r"layers\[0\] must be a layer, got the class Dense: write nn.Dense\(\.\.\.\)$",
            lambda: [nn.Dense, nn.ReLU],
        ),
        (
            TypeError,
            r"layers\[1\] must be a layer, got the class MSELoss$",
            lambda: [nn.Dense(2, 3), nn.MSELoss],
        ),
        (
            TypeError,
            r"layers\[0\] must be a layer, got list: write nn.Sequential\(\*layers\)$",
            lambda: [[nn.Dense(2, 3), nn.ReLU()]],
        ),
        (
            ValueError,
            r"layers\[2\] must take inputs of width 3, the output of Dense\(2, 3\) before it, got Dense\(4, 2\)$",
            lambda: [nn.Dense(2, 3), nn.ReLU(), nn.Dense(4, 2)],
        ),
        (
            ValueError,
            r"layers\[1\] must take inputs of width 3, the output of .*, got BatchNorm\(2\)$",
            lambda: [nn.Dense(2, 3), nn.BatchNorm(2)],
        ),
        (ValueError, r"layers must be at least one layer, got none$", list),
        (
            ValueError,
            r"layers\[2\] must be another object than the layers before it, got Dense\(2, 2\): write a new layer",
            lambda: [nn.Dense(2, 2), nn.ReLU()] * 2,
        ),
    ],
)
def test_layers_that_do_not_fit(error, message, layers):
    with pytest.raises(error, match=f"^{message}"):
        nn.Sequential(*layers(), seed=0)


def test_a_layer_is_not_changed_by_the_nets_made_of_it():
    layer = nn.Dense(2, 3)
    message = (
        r"^Dense\(2, 3\) has no weight, as it is not part of a net: write net = nn.Sequential\(layer, ...\), and net"
    )
    first, second = (nn.Sequential(layer, nn.ReLU(), seed=seed) for seed in (0, 1))
    with pytest.raises(RuntimeError, match=message):
        _ = layer.weight
    assert first[0] is not layer and first[0] == second[0] == layer == first[0].detached()
    assert hash(first[0]) == hash(layer) and repr(first[0]) == repr(layer)
    assert not np.array_equal(first[0].weight, second[0].weight)
    assert first[0].bound and not layer.bound and not pickle.loads(pickle.dumps(first[0])).bound


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (TypeError, "in_features must be an integer of at least 1, got 2.0", lambda: nn.Dense(2.0, 3)),
        (ValueError, "in_features must be an integer of at least 1, got 0", lambda: nn.Dense(0, 3)),
        (TypeError, "in_features must be an integer of at least 1, got '2'", lambda: nn.Dense("2", 3)),
        (TypeError, "in_features must be an integer of at least 1, got True", lambda: nn.Dense(True, 3)),
        (TypeError, "bias must be True or False, got 'no'", lambda: nn.Dense(2, 3, bias="no")),
        (TypeError, "bias must be True or False, got 0", lambda: nn.Dense(2, 3, bias=0)),
        (TypeError, "bias must be True or False, got None", lambda: nn.Dense(2, 3, bias=None)),
        (ValueError, r"p must be a number in \[0, 1\], got 1.5", lambda: nn.Dropout(1.5)),
        (ValueError, r"p must be a number in \[0, 1\], got nan", lambda: nn.Dropout(float("nan"))),
        (TypeError, r"p must be a number in \[0, 1\], got True", lambda: nn.Dropout(True)),
        (TypeError, r"p must be a number in \[0, 1\], got '0.5'", lambda: nn.Dropout("0.5")),
        (ValueError, "eps must be a finite number of at least 0, got -1.0", lambda: nn.BatchNorm(3, eps=-1)),
        (TypeError, "eps must be a finite number of at least 0, got False", lambda: nn.BatchNorm(3, eps=False)),
        (ValueError, r"momentum must be a number in \[0, 1\], got 2.0", lambda: nn.BatchNorm(3, momentum=2)),
        (ValueError, "negative_slope must be a finite number of at least 0, got -0.1", lambda: nn.LeakyReLU(-0.1)),
        (
            ValueError,
            "dtype must be one of float32, float64, got 'float16'",
            lambda: nn.Sequential(nn.Dense(1, 1), dtype="float16", seed=0),
        ),
        (
            ValueError,
            "seed must be an integer from 0 to 18446744073709551615, got -1",
            lambda: nn.Sequential(nn.Dense(1, 1), seed=-1),
        ),
        (TypeError, "seed must be an integer from 0 to .*, got 1.5", lambda: nn.Sequential(nn.Dense(1, 1), seed=1.5)),
        (
            ValueError,
            r"0.weight must have at most \d+ bytes, got shape \(1099511627776, 1099511627776\) of float32",
            lambda: nn.Sequential(nn.Dense(2**40, 2**40), seed=0),
        ),
    ],
)
def test_settings_out_of_range(error, message, make):
    with pytest.raises(error, match=f"^{message}$"):
        make()


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_booleans_of_numpy_are_booleans(value):
    assert (nn.Sequential(nn.Dense(2, 3, bias=value), seed=0).layers[0].bias is not None) == bool(value)


def test_nets_without_a_seed_differ(impl, rng):
    X, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    np.random.seed(0)  # noqa: NPY002 - seeds must not be drawn from NumPy's global state
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    nets = [small(seed=None) for _ in range(2)]
    nets += [nn.Sequential(nn.Dense(4, 3), dtype="float64") for _ in range(3)]
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert len({net.seed for net in nets}) == 5 and all(type(net.seed) is int for net in nets)
    assert all(0 <= net.seed < 2**63 for net in nets) and max(net.seed for net in nets) > 2**48
    assert fastnn.Ensemble(nets[:2]).disagreement(X).min() > 0
    assert fastnn.Ensemble(nets[2:], output="softmax").disagreement(X, "mutual_information").min() > 0
    for net in nets:
        made = [net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.astype("float32")]
        assert f"seed={net.seed}," in repr(net) and {twin.seed for twin in made} == {net.seed}
    again = small(seed=nets[0].seed)
    np.testing.assert_array_equal(again.predict(X), nets[0].predict(X))
    for net in (again, nets[0]):  # the order of rows and the dropout masks depend on the seed too
        fastnn.Trainer(net).fit(X, y, epochs=2, batch_size=8, verbose=0)
    np.testing.assert_array_equal(again.params.data, nets[0].params.data)


@pytest.mark.parametrize(
    "given",
    [
        np.random.default_rng(3),
        np.random.RandomState(3),
        np.random.SeedSequence(3),
        np.random.PCG64(3),
        random.Random(3),
        random.SystemRandom(),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_random_generator_is_no_seed(given):
    with pytest.raises(TypeError, match=r"^seed must be an integer, got \w+: write seed=.*$") as caught:
        nn.Sequential(nn.Dense(1, 1), seed=given)
    written = str(caught.value).partition("seed=")[2]
    seeds = [eval(written, {"np": np}, dict.fromkeys(("rng", "sequence", "bits"), given)) for _ in range(2)]
    assert nn.Sequential(nn.Dense(1, 1), seed=seeds[0]).seed == seeds[0] > 2**40
    assert isinstance(given, np.random.SeedSequence) or seeds[0] != seeds[1]


@pytest.mark.parametrize(
    ("error", "message", "X"),
    [
        (
            ValueError,
            r"X must be 2-dimensional, of shape \(n, 4\), got shape \(4,\): for a single row write X\[np.newaxis\]",
            np.ones(4),
        ),
        (ValueError, r"X must have shape \(n, 4\), got shape \(2, 5\)", np.ones((2, 5))),
        (TypeError, "X must be an array of real numbers, got dtype object", np.ones((2, 4), dtype=object)),
        (TypeError, "X must be an array of real numbers, got dtype complex128", np.ones((2, 4), dtype=complex)),
        (TypeError, "X must be an array of real numbers, got dtype <U1", [["1", "2", "3", "4"]]),
        (ValueError, "X must be an array of real numbers, got a list whose parts differ in shape$", [[1, 2], [3]]),
        (
            TypeError,
            r"X must be an array without a mask, got a masked array: fill it with x.filled\(value\)",
            np.ma.ones((2, 4)),
        ),
        (TypeError, "X must be an array of real numbers, got None", None),
    ],
)
def test_bad_input_to_predict(impl, error, message, X):
    with pytest.raises(error, match=f"^{message}$"):
        small().predict(X)


def test_bad_out():
    net, X = small(), np.ones((5, 4))
    with pytest.raises(TypeError, match=r"^out must have dtype float64, got dtype float32$"):
        net.predict(X, out=np.empty((5, 3), np.float32))
    with pytest.raises(ValueError, match=r"^out must have shape \(5, 3\), got shape \(4, 3\)$"):
        net.predict(X, out=np.empty((4, 3)))
    memory = np.ones(100)
    with pytest.raises(ValueError, match=r"^out must share no memory with X, got an overlap$"):
        net.predict(memory[:20].reshape(5, 4), out=memory[10:25].reshape(5, 3))


# ---- getting and setting values ----


def test_a_state_dict_round_trips(impl, rng):
    net = randomised(small(), rng)
    net.forward(rng.normal(size=(5, 4)), training=True)
    values = net.state_dict()
    assert list(values) == [
        "0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked", "4.weight",
        "4.bias",
    ]  # fmt: skip
    assert values["0.weight"].shape == (6, 4)
    assert values["1.num_batches_tracked"] == 1
    assert values["1.num_batches_tracked"].dtype == np.int64
    np.testing.assert_array_equal(values["0.weight"], net.layers[0].weight.T)
    other = small(seed=9)
    other.load_state_dict(values)
    X = rng.normal(size=(5, 4))
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert other.training_steps == 1
    values["0.weight"][...] = 0  # a copy
    assert net.layers[0].weight.all()


def _without(d, key):
    return {k: value for k, value in d.items() if k != key}


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "state_dict must be a mapping of names to arrays, got list$", lambda d: list(d)),
        (
            ValueError,
            "state_dict must have .*, got no '0.weight', .*: load the state of a trainer by trainer.load_state_dict$",
            lambda d: {"optimizer": "sgd"},
        ),
        (
            ValueError,
            r"state_dict must have the keys of net.state_dict\(\) and no others, got no '4.bias'$",
            lambda d: _without(d, "4.bias"),
        ),
        (
            ValueError,
            r"state_dict must have the keys of .* and no others, got an unknown '5.bias'$",
            lambda d: d | {"5.bias": 0},
        ),
        (ValueError, r"state_dict\['4.weight'\] must have shape \(3, 6\)", lambda d: d | {"4.weight": d["4.weight"].T}),
        (TypeError, r"state_dict\['4.bias'\] must be an array of real", lambda d: d | {"4.bias": ["a", "b", "c"]}),
        (
            ValueError,
            r"state_dict\['1.running_var'\] must contain no number below 0, got -1.0$",
            lambda d: d | {"1.running_var": -np.ones(6)},
        ),
        (
            TypeError,
            r"state_dict\['1.num_batches_tracked'\] must be an integer from 0 to .*, got nan",
            lambda d: d | {"1.num_batches_tracked": np.array(np.nan)},
        ),
        (
            ValueError,
            r"state_dict\['1.num_batches_tracked'\] must be an integer from 0 to .*, got -1",
            lambda d: d | {"1.num_batches_tracked": np.array(-1)},
        ),
    ],
)
def test_a_refused_state_dict_changes_nothing(error, message, change):
    net = small()
    before = copy.deepcopy(net.state_dict())
    changed = {name: value + 1 for name, value in before.items()}
    with pytest.raises(error, match=f"^{message}"):
        net.load_state_dict(change(changed))
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_torch_gives_the_same(impl, rng):
    torch = pytest.importorskip("torch", reason="the oracle, PyTorch, is not installed")
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 6, bias=False), torch.nn.BatchNorm1d(6), torch.nn.LeakyReLU(0.2), torch.nn.Dropout(0.0),
        torch.nn.Linear(6, 3), torch.nn.Tanh(),
    ).double()  # fmt: skip
    X = rng.normal(size=(8, 4))
    theirs(torch.from_numpy(X))  # so that running statistics have changed
    ours = small()
    ours.load_state_dict(theirs.state_dict())
    theirs.eval()
    np.testing.assert_allclose(ours.predict(X), theirs(torch.from_numpy(X)).detach().numpy(), rtol=1e-12)
    back = {name: torch.from_numpy(value.copy()) for name, value in ours.state_dict().items()}
    theirs.load_state_dict(back)


def test_copies_share_nothing(impl, rng):
    net = randomised(small(), rng)
    X = rng.normal(size=(5, 4))
    wanted = net.predict(X)
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict(X), wanted)
        assert twin.layers[0].weight.ctypes.data % 64 == 0
        twin.layers[0].weight[...] = 0
        np.testing.assert_array_equal(net.predict(X), wanted)
    narrow = net.astype("float32")
    assert narrow.predict(X).dtype == np.float32
    np.testing.assert_allclose(narrow.predict(X), wanted, rtol=1e-4, atol=1e-5)


def test_views_change_the_net(impl):
    net = nn.Sequential(nn.Dense(2, 2), dtype="float64", seed=0)
    net.layers[0].weight[...] = np.eye(2)
    net.parameters()["0.bias"][...] = 5
    np.testing.assert_array_equal(net.predict([[1.0, 2.0]]), [[6.0, 7.0]])


def test_summary_counts():
    net = small()
    lines = net.summary().splitlines()
    assert len(lines) == 8
    assert lines[-1].split() == ["total", str(4 * 6 + 12 + 21)]
    assert repr(net).count("\n") == 8


# ---- threads ----


def thread_here(function, *args):
    """Return a thread with the caller's backend; a new thread would have the default."""
    return threading.Thread(target=contextvars.copy_context().run, args=(function, *args))


def test_two_threads_predict_with_one_net(impl, rng):
    net = randomised(small(), rng)
    inputs = [rng.normal(size=(rows, 4)) for rows in (1, 3000, 40, 513)]
    wanted = [net.predict(X) for X in inputs]
    wrong = []

    def work(X, want):
        wrong.extend(X.shape for _ in range(30) if not np.array_equal(net.predict(X), want))

    threads = [thread_here(work, *pair) for pair in zip(inputs, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_a_prediction_sees_only_complete_steps(impl):
    # Every step adds the same number to all weights: the outputs of a prediction differ only if it sees half a step.
    net = nn.Sequential(nn.Dense(1, 4000, bias=False, init=nn.init.zeros()), dtype="float64", seed=0)
    trainer = fastnn.Trainer(net, "mean_squared_error", fastnn.optim.SGD(0.001))
    X, y = np.ones((400, 1)), np.ones((400, 4000))
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            z = net.predict([[1.0]])
            seen.append((z.min(), z.max()))

    watcher = thread_here(watch)
    watcher.start()
    try:
        for _ in range(50):  # until the other thread has had its turn twice
            trainer.fit(X, y, epochs=2, batch_size=8, verbose=0)
            if len(seen) > 1:
                break
    finally:
        done.set()
        watcher.join(60)
    assert len(seen) > 1
    assert all(low == high for low, high in seen)
