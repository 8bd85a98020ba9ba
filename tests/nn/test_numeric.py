"""Embeddings of columns of numbers and factors of columns: settings, initial values, steps, what is refused.

Values, gradients, threads and agreement of executors are tested with the nets of tests/nets.py (test_containers.py),
and with graphs (tests/engine/test_graphs.py); PyTorch's trainings in test_numeric_torch.py.
"""

import math

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim

BINS = [[0.0, 1.0, 2.0, 4.0], [-1.0, 1.0]]


def rows(n=50, width=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)), rng.integers(0, 2, n)


# ---- settings, names, texts ----


def test_parameters_have_names_by_column():
    net = nn.Sequential(
        nn.Parallel(nn.PiecewiseLinear(BINS, dim=5), nn.Periodic(2, 3, dim=4), nn.Periodic(2, 3)),
        nn.Dense(30, 1),
        seed=0,
    )
    linear, periodic, alone = net[0]
    shapes = {name: array.shape for name, array in net.parameters().items() if name.startswith("0.")}
    assert shapes == {
        "0.0.0.weight": (3, 5), "0.0.0.bias": (5,), "0.0.1.weight": (1, 5), "0.0.1.bias": (5,),
        "0.1.frequencies": (2, 3), "0.1.0.weight": (6, 4), "0.1.0.bias": (4,), "0.1.1.weight": (6, 4),
        "0.1.1.bias": (4,), "0.2.frequencies": (2, 3),
    }  # fmt: skip
    assert [each.shape for each in linear.weights] == [(3, 5), (1, 5)]
    assert [each.shape for each in periodic.biases] == [(4,), (4,)]
    assert (alone.weights, alone.biases, alone.penalized) == ((), (), ())
    assert periodic.penalized == ("0.weight", "1.weight")
    assert (linear.out_features, periodic.out_features, alone.out_features) == (10, 8, 12)
    state = net.state_dict()
    assert state["0.0.0.weight"].shape == (5, 3)  # as that of torch.nn.Linear
    np.testing.assert_array_equal(state["0.1.frequencies"], periodic.frequencies)
    other = nn.Sequential(net[0].detached(), nn.Dense(30, 1), seed=9)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.predict(rows()[0]), net.predict(rows()[0]))


def test_texts():
    assert repr(nn.ScaleColumns(3)) == "ScaleColumns(3)"
    assert repr(nn.Periodic(3, activation="swish", dim=2)) == "Periodic(3, dim=2, activation='silu')"
    assert repr(nn.PiecewiseLinear([[0, 1]])) == "PiecewiseLinear(((0.0, 1.0),))"
    long = nn.PiecewiseLinear([np.arange(49.0)] * 13, dim=8)
    assert repr(long) == "PiecewiseLinear(((0.0, ..., 48.0), (0.0, ..., 48.0), ..., (0.0, ..., 48.0)), dim=8)"
    assert fastnn.from_config(long.config()) == long


REFUSED = {
    "no bins": (lambda: nn.PiecewiseLinear([]), ValueError, "bins must be .* for each column, got no column"),
    "a list of edges": (lambda: nn.PiecewiseLinear([0, 1, 2]), ValueError, r"bins\[0\] must be a list of at least 2"),
    "one edge": (lambda: nn.PiecewiseLinear([[0, 1], [0]]), ValueError, r"bins\[1\] must be .* 2 edges, got 1 edges"),
    "no edges": (lambda: nn.PiecewiseLinear([[0, 1], []]), ValueError, r"bins\[1\] must be .* 2 edges, got 0 edges"),
    "unsorted": (lambda: nn.PiecewiseLinear([[0, 2, 1]]), ValueError, r"bins\[0\] must be strictly increasing, got"),
    "equal": (lambda: nn.PiecewiseLinear([[0, 1, 1]]), ValueError, r"bins\[0\] must be strictly increasing, got 1.0"),
    "NaN": (lambda: nn.PiecewiseLinear([[0, math.nan]]), ValueError, r"bins\[0\] must contain finite numbers"),
    "infinite": (lambda: nn.PiecewiseLinear([[0, math.inf]]), ValueError, r"bins\[0\] must contain finite numbers"),
    "text": (lambda: nn.PiecewiseLinear("auto"), TypeError, "bins must be a list of edges for each column, got str"),
    "a number": (lambda: nn.PiecewiseLinear(48), TypeError, "bins must be a list of .*, got int: write"),
    "dim 0": (lambda: nn.PiecewiseLinear(BINS, dim=0), ValueError, "dim must be an integer of at least 1, got 0"),
    "half a dim": (lambda: nn.Periodic(2, dim=2.5), TypeError, "dim must be an integer"),
    "activation without dim": (
        lambda: nn.Periodic(2, activation="relu"), ValueError, "activation must be None without dim, got 'relu': give",
    ),
    "init without dim": (lambda: nn.Periodic(2, init="zeros"), ValueError, "init must be None without dim, got"),
    "unknown activation": (
        lambda: nn.Periodic(2, dim=3, activation="rellu"), ValueError, "activation must be one of .*, got 'rellu'",
    ),
    "softmax": (lambda: nn.Periodic(2, dim=3, activation="softmax"), ValueError, "activation must be one of "),
    "a layer": (lambda: nn.Periodic(2, dim=3, activation=nn.ReLU()), TypeError, "activation must be one of "),
    "unknown init": (lambda: nn.Periodic(2, dim=3, init="xavier"), ValueError, "init must be an initialiser"),
    "no features": (lambda: nn.Periodic(0), ValueError, "features must be an integer of at least 1, got 0"),
    "no frequencies": (lambda: nn.Periodic(2, 0), ValueError, "frequencies must be an integer of at least 1, got 0"),
    "scale 0": (lambda: nn.Periodic(2, scale=0), ValueError, "scale must be a finite number above 0, got 0"),
    "no columns": (lambda: nn.ScaleColumns(0), ValueError, "features must be an integer of at least 1, got 0"),
    "PyTorch's": (
        lambda: nn.PiecewiseLinearEmbeddings, AttributeError,
        r"module 'fastnn.nn' has no attribute 'PiecewiseLinearEmbeddings': write nn.PiecewiseLinear\(bins, dim",
    ),
    "another width": (
        lambda: nn.Sequential(nn.Dense(4, 3), nn.PiecewiseLinear(BINS)), ValueError,
        r"layers\[1\] must take inputs of width 3, the output of Dense\(4, 3\) before it, got PiecewiseLinear",
    ),
    "another width of X": (
        lambda: nn.Sequential(nn.PiecewiseLinear(BINS)).predict(np.ones((2, 3))), ValueError,
        r"X must have shape \(n, 2\), got shape \(2, 3\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=f"^{message}"):
        make()


# ---- initial values ----


def test_initial_values():
    net = nn.Sequential(nn.ScaleColumns(3), nn.Periodic(3, 2000, dim=8, scale=0.5), nn.Dense(24, 1), seed=4)
    assert (net[0].scale == 1).all()
    frequencies = net[1].frequencies
    assert abs(frequencies).max() <= 1.5
    assert abs(frequencies).max() > 1.3
    assert frequencies.std() == pytest.approx(0.5, rel=0.03)
    assert frequencies.mean() == pytest.approx(0, abs=0.02)
    assert all((bias == 0).all() for bias in net[1].biases)
    first, second, _ = net[1].weights
    assert not (first == second).any()
    again = nn.Sequential(nn.ScaleColumns(3), nn.Periodic(3, 2000, dim=8, scale=0.5), nn.Dense(24, 1), seed=4)
    np.testing.assert_array_equal(again.params.data, net.params.data)


@pytest.mark.parametrize(
    ("activation", "after", "deviation"),
    [
        ("relu", "tanh", math.sqrt(2 / 400)),
        (None, "relu", math.sqrt(2 / 400)),
        (None, "tanh", math.sqrt(2 / (400 + 300))),
        ("tanh", "relu", math.sqrt(2 / (400 + 300))),
        ("selu", "relu", math.sqrt(1 / 400)),
    ],
)
def test_maps_start_as_dense_layers_do(activation, after, deviation):
    """By the layer's activation, or by the next one."""
    net = nn.Sequential(
        nn.Periodic(1, 200, dim=300, activation=activation), nn.activation(after), nn.Dense(300, 1), seed=0
    )
    assert net[0].weights[0].std() == pytest.approx(deviation, rel=0.03)


def test_an_initialiser_of_the_maps():
    net = nn.Sequential(nn.PiecewiseLinear(BINS, dim=2, init=nn.init.constant(0.25)))
    assert all((weight == 0.25).all() for weight in net[0].weights)


# ---- programs ----


def kinds(net, section="backward", **more):
    program = net.training_program(loss="cross_entropy", target="labels", optimizer="adam", **more)
    return [op.kind for op in program.sections[section]]


def test_the_activation_is_part_of_the_products():
    net = nn.Sequential(nn.PiecewiseLinear(BINS, dim=3, activation="relu"), nn.Dense(6, 2), seed=0)
    assert kinds(net, "forward") == ["piecewise_linear", "dense", "put_columns"] * 2 + ["dense"]
    alone = nn.Sequential(nn.PiecewiseLinear(BINS), nn.Dense(4, 2), seed=0)
    assert kinds(alone, "forward") == ["piecewise_linear", "dense"]


def test_gradients_that_nobody_needs_are_not_computed():
    """Of an encoding of the input; frequencies need theirs, and so does the input where it is asked for."""
    column = ["take_columns", "dense_grad_weight"]
    net = nn.Sequential(nn.PiecewiseLinear(BINS, dim=3), nn.Dense(6, 2), seed=0)
    assert kinds(net) == ["dense_grad_input", "dense_grad_weight", *column * 2]
    with_input = [*column[:1], "dense_grad_input", *column[1:], "piecewise_linear_backward"]
    asked = [op.kind for op in net.training_program(input_grad=True).sections["backward"]]
    assert asked.count("piecewise_linear_backward") == 2 and asked.count("zeros") == 1
    assert asked[-len(with_input) :] == with_input
    periodic = nn.Sequential(nn.Periodic(2, 3, dim=3), nn.Dense(6, 2), seed=0)
    assert kinds(periodic).count("periodic_grad_frequencies") == 2
    assert "periodic_grad_input" not in kinds(periodic)
    wide = nn.Sequential(nn.Parallel(nn.Columns([0], nn.Tanh(), nn.Dense(1, 2)), nn.Dense(2, 2), join="add"), seed=0)
    assert kinds(wide) == ["dense_grad_weight", "dense_grad_weight"] and kinds(wide, "forward").count("dense") == 2


@pytest.mark.parametrize("place", ["input", "inside"])
def test_input_gradients_are_differences(impl, place):
    """`backward` gives the gradient of the input, to which every column's ops add."""
    layers = [
        nn.Parallel(nn.PiecewiseLinear(BINS, dim=3), nn.Periodic(2, 3, dim=2, scale=0.3), "identity"),
        nn.Dense(12, 1),
    ]
    net = nn.Sequential(*([nn.Dense(2, 2)] if place == "inside" else []), *layers, dtype="float64", seed=1)
    X = rows(9)[0]
    net.forward(X, training=True, input_grad=True)
    gradient = net.backward(np.ones((9, 1)))
    for j in range(2):
        step = np.eye(2)[j] * 1e-6
        difference = (net.predict(X + step) - net.predict(X - step))[:, 0] / 2e-6
        np.testing.assert_allclose(gradient[:, j], difference, rtol=1e-6, atol=1e-8)


UPDATES = {
    "adam with weight decay": (optim.AdamW(0.01, weight_decay=0.1), {}),
    "coupled decay": (optim.SGD(0.05, momentum=0.9, weight_decay=0.01), {}),
    "clipped values": (optim.Adam(0.01), {"clip_value": 0.01}),
    "clipped norm": (optim.Adam(0.01), {"clip_norm": 0.01}),
    "penalty": (optim.SGD(0.05), {"penalty": optim.Penalty(l1=0.01, l2=0.02)}),
    "groups": (optim.Adam(0.01, groups=[optim.Group("*.frequencies", lr_scale=0.1)]), {}),
}


@pytest.mark.parametrize(("optimizer", "settings"), UPDATES.values(), ids=UPDATES)
def test_executors_agree_with_any_update(native, optimizer, settings):
    """Each column's op updates its own frequencies; those of other columns keep theirs."""
    X, y = rows(120)
    results = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            layers = nn.ScaleColumns(2), nn.Periodic(2, 7, dim=3, scale=0.3, activation="tanh"), nn.Dense(6, 2)
            net = nn.Sequential(*layers, dtype="float64", seed=2)
            start = net[1].frequencies.copy()
            fastnn.Trainer(net, optimizer=optimizer, **settings).fit(X, y, epochs=20, batch_size=30, verbose=0)
            assert (net[1].frequencies != start).all()
            results.append(net.params.data.copy())
    np.testing.assert_allclose(*results, rtol=1e-10, atol=1e-12)


def test_penalties_are_of_the_maps_alone():
    net = nn.Sequential(nn.ScaleColumns(2), nn.Periodic(2, 3, dim=4), nn.PiecewiseLinear([[0, 1]] * 8, dim=1), seed=0)
    assert net.penalized() == {f"1.{j}.weight" for j in range(2)} | {f"2.{j}.weight" for j in range(8)}


# ---- values beyond the usual ----


def test_nan_stays_in_its_column(impl, dtype):
    net = nn.Sequential(nn.Parallel(nn.PiecewiseLinear(BINS), nn.Periodic(2, 3)), dtype=dtype, seed=0)
    y = net.predict(np.array([[np.nan, 0.5], [0.5, np.inf]], dtype))
    assert np.isnan(y[0]).tolist() == [True] * 3 + [False] + [True] * 6 + [False] * 6
    assert np.isnan(y[1]).tolist() == [False] * 10 + [True] * 6
    assert y[1, 3] == np.inf


def test_a_scaler_comes_first(impl):
    """Bins are in the unit that the layer gets."""
    X = 100 + 50 * rows(200)[0]
    net = nn.Sequential(nn.PiecewiseLinear([[-1, 0, 1]] * 2), dtype="float64")
    plain = net.predict((X - 100) / 50)
    net.scaler = data.Scaler(100, 1 / 50)
    np.testing.assert_allclose(net.predict(X), plain, rtol=1e-12, atol=1e-12)


def test_embeddings_help_where_the_target_bends(impl):
    """A net of one hidden layer follows a target with many turns only behind an embedding."""
    x = np.random.default_rng(0).uniform(-1, 1, (400, 1))
    target = np.sin(12 * x)
    losses = {}
    for name, (embedding, width) in {
        "none": (nn.Identity(), 1),
        "piecewise": (nn.PiecewiseLinear(data.quantile_bins(x, 24), dim=8), 8),
        "periodic": (nn.Periodic(1, 16, dim=8, scale=1.0, activation="relu"), 8),
    }.items():
        net = nn.Sequential(embedding, nn.Dense(width, 16), nn.ReLU(), nn.Dense(16, 1), seed=0)
        trainer = fastnn.Trainer(net, loss="mean_squared_error", optimizer=optim.Adam(0.01))
        trainer.fit(x, target, epochs=30, batch_size=40, verbose=0)
        losses[name] = trainer.evaluate(x, target)["loss"]
    assert losses["none"] > 0.2
    assert max(losses["piecewise"], losses["periodic"]) < 0.02
