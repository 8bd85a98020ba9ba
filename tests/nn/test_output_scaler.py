"""A net's `output_scaler`: what it is set to, what is in the unit of the targets, and how it is copied and saved."""

import copy
import pickle
import types

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.data import QuantileScaler, RobustScaler, Scaler

X = np.random.default_rng(0).normal(size=(40, 4))
CENTER, SCALE = np.array([1e6, -2.0, 0.0]), np.array([1e-5, 3.0, 250.0])
SCALER = Scaler(CENTER, SCALE)
Y = np.random.default_rng(1).lognormal(size=(50, 3)) / SCALE + CENTER
KINDS = {
    "standard": Scaler.fit(Y),
    "min_max": Scaler.fit(Y, "min_max"),
    "robust": RobustScaler.fit(Y, limit=np.inf),
    "quantile": QuantileScaler.fit(Y, n_quantiles=20),
    "some columns": QuantileScaler.fit(Y, columns=[0, 2], nan="center"),
}


def net_of(scaler=SCALER, *last, dtype="float32", seed=1):
    net = nn.Sequential(nn.Dense(4, 5), nn.Tanh(), nn.Dense(5, 3), *last, dtype=dtype, seed=seed)
    net.output_scaler = scaler
    return net


def inverse(z):
    """Return what `predict` gives for the last layer's output, with the numbers of the net's dtype."""
    center, scale = (each.astype(z.dtype).astype(np.float64) for each in (CENTER, SCALE))
    return (z / scale + center).astype(z.dtype)


# ---- units ----


def test_predictions_are_in_the_unit_of_the_targets(impl, dtype):
    net, plain = net_of(dtype=dtype), net_of(None, dtype=dtype)
    z = plain.predict(X)
    wanted = inverse(z)
    assert wanted.dtype == dtype and abs(wanted - z).max() > 1e5
    out = np.empty_like(z)
    assert net.predict(X, out) is out
    for found in (out, net.predict(X), net(X), net.forward(X), net.activations(X)[-1], net[2:].predict(plain[:2](X))):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(net.forward(X, training=True), z)
    np.testing.assert_array_equal(net.activations(X)[1], plain.activations(X)[1])
    np.testing.assert_array_equal(net[:-1].predict(X), plain[:-1].predict(X))
    assert net[:-1].output_scaler is None and net[1:].output_scaler is net.output_scaler


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_the_inverse_of_the_output(impl, dtype, kind):
    scaler = KINDS[kind]
    net, z = net_of(scaler, dtype=dtype), net_of(None, dtype=dtype).predict(X)
    assert net.predict(X).tobytes() == scaler.inverse_transform(z).tobytes()
    large = net_of(scaler, dtype=dtype)
    large[2].weight[...] *= 1e3
    assert np.isfinite(large.predict(X)).all()  # also far beyond what the scaler makes of targets


@pytest.mark.parametrize("kind", KINDS)
def test_an_inverse_returns_the_targets(kind):
    np.testing.assert_allclose(KINDS[kind].inverse_transform(KINDS[kind].transform(Y)), Y, rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 7, 39])
def test_a_row_of_a_prediction_depends_on_that_row_alone(native, dtype, rows, kind):
    net = net_of(KINDS[kind], dtype=dtype)
    whole = net.predict(X)
    parts = np.concatenate([net.predict(X[start : start + rows]) for start in range(0, len(X), rows)])
    assert parts.tobytes() == whole.tobytes()
    with fastnn.num_threads(3):
        assert net.predict(X).tobytes() == whole.tobytes()


def test_the_output_of_a_last_layer_without_an_op_is_scaled_once(impl):
    net, plain = net_of(SCALER, nn.Dropout(0.5)), net_of(None, nn.Dropout(0.5))
    *_, dense, dropped = net.activations(X)
    np.testing.assert_array_equal(dense, plain.predict(X))
    np.testing.assert_array_equal(dropped, inverse(dense))


def test_the_backward_pass_is_in_scaled_units(impl):
    found = []
    for net in (net_of(dtype="float64"), net_of(None, dtype="float64")):
        net.forward(X, training=True, input_grad=True)
        found.append((net.backward(np.ones((40, 3))), net.grads.data.copy()))
    for scaled, plain in zip(*found, strict=True):
        np.testing.assert_array_equal(scaled, plain)


def test_both_scalers_work_together(impl):
    net, plain = net_of(dtype="float64"), net_of(None, dtype="float64")
    net.scaler = Scaler(0.5, 2.0)
    np.testing.assert_allclose(net.predict(X), inverse(plain.predict((X - 0.5) * 2.0)), rtol=1e-14)


def test_nan_stays_in_its_column(impl):
    net = nn.Sequential(nn.Dense(1, 1, init=nn.init.constant(1.0)), dtype="float64")
    net.output_scaler = Scaler([2.0], [4.0])
    np.testing.assert_array_equal(
        net.predict([[np.nan], [np.inf], [-np.inf], [4.0]])[:, 0], [np.nan, np.inf, -np.inf, 3]
    )


# ---- what it is set to ----


def test_what_may_be_set():
    net = net_of(None)
    for given in (SCALER, (CENTER, SCALE), types.SimpleNamespace(center=CENTER, scale=SCALE)):
        net.output_scaler = given
        assert net.output_scaler == SCALER
    net.output_scaler = Scaler(1.0, 2.0)  # a number for all columns
    assert net.output_scaler == Scaler(1.0, 2.0)
    np.testing.assert_array_equal(net.predict(X), (net_of(None).predict(X) / 2.0 + 1.0).astype(np.float32))
    net.output_scaler = None
    assert net.output_scaler is None
    np.testing.assert_array_equal(net.predict(X), net_of(None).predict(X))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (3, r"output_scaler must have the attributes center and scale, or be None, got int: write .*fit\(y\[:, np.new"),
        (Scaler, "output_scaler must have the attributes center and scale, or be None, got the class Scaler"),
        ((1.0,), "output_scaler must be a pair of center and scale, got 1 values"),
        (Scaler(np.zeros(4), 1), r"output_scaler.center must have shape \(3,\), got shape \(4,\)"),
        (Scaler(0, np.nan), "output_scaler.scale must contain numbers that are finite in float32, got NaN or infinity"),
        (Scaler(1e300, 1), "output_scaler.center must contain numbers that are finite in float32"),
        (Scaler(0, [1.0, 0.0, 1.0]), "output_scaler.scale must contain no number that is 0 in float32, got 0: its inv"),
        (Scaler(0, 1e-60), "output_scaler.scale must contain no number that is 0 in float32"),
    ],
)
def test_what_is_no_output_scaler(bad, message):
    net = net_of()
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        net.output_scaler = bad
    assert net.output_scaler is SCALER


def test_a_net_with_an_output_scaler_is_no_part_of_another():
    message = (
        r"^layers\[0\] must have no output_scaler, as only the outermost net scales, got Scaler\(.*: write \*net in"
    )
    with pytest.raises(ValueError, match=message):
        nn.Sequential(nn.Residual(net_of(Scaler(0.0, 2.0))))
    assert nn.Sequential(*net_of()).output_scaler is None


# ---- copies ----


COPIES = {
    "copy": lambda net: net.copy(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "slice": lambda net: net[:],
    "copy_from": lambda net: (twin := net_of(None, seed=2)).copy_from(net) or twin,
    "state_dict": lambda net: (twin := net_of(None, seed=2)).load_state_dict(net.state_dict()) and twin,
    "trainer": lambda net: fastnn.Trainer(net, "mse").copy().net,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COPIES)
def test_copies_have_scalers_of_all_kinds(name, kind):
    net = net_of(KINDS[kind])
    twin = COPIES[name](net)
    assert type(twin.output_scaler) is type(KINDS[kind])
    np.testing.assert_array_equal(twin.predict(X), net.predict(X))
    wide = net.astype("float64")
    np.testing.assert_array_equal(wide.astype("float32").predict(X), net.predict(X))


@pytest.mark.parametrize("name", COPIES)
def test_copies_have_the_output_scaler(name):
    net = net_of()
    twin = COPIES[name](net)
    wanted = net.predict(X)
    np.testing.assert_array_equal(twin.predict(X), wanted)
    net.output_scaler = None
    np.testing.assert_array_equal(twin.predict(X), wanted)
    assert "# output_scaler: center=[ 1.e+06, -2.e+00,  0.e+00], scale=" in repr(twin)


def test_copies_of_another_dtype_have_the_same_numbers():
    net = net_of()
    wide = net.astype("float64")
    assert wide.output_scaler == Scaler(CENTER.astype("float32").tolist(), SCALE.astype("float32").tolist())
    assert wide.astype("float32").output_scaler == wide.output_scaler
    assert net_of(Scaler(0.0, 1e-60), dtype="float64").output_scaler.scale == 1e-60
    with pytest.raises(ValueError, match=r"^output_scaler\.scale must contain no number that is 0 in float32"):
        net_of(Scaler(0.0, 1e-60), dtype="float64").astype("float32")


def test_copy_from_can_remove_it():
    net = net_of()
    net.copy_from(net_of(None), tau=0.5)
    assert net.output_scaler is None


def test_a_pickle_from_before_has_none():
    make, parts = net_of().__reduce__()
    assert parts[7] is SCALER and make(*parts[:7]).output_scaler is None


def test_it_is_shown():
    net = net_of()
    assert net.summary().splitlines()[-2].split() == ["output_scaler", "3", "0"]
    assert "output_scaler" not in repr(net_of(None)) + net_of(None).summary()
    net.scaler = Scaler(0, 1)
    lines = repr(net).splitlines()
    assert [line.split(":")[0].strip() for line in lines[-3:-1]] == ["# scaler", "# output_scaler"]


# ---- state dicts ----


def test_a_state_dict_contains_its_numbers():
    net = net_of()
    state = net.state_dict()
    assert list(state)[-2:] == ["output_scaler.center", "output_scaler.scale"]
    np.testing.assert_array_equal(state["output_scaler.center"], CENTER.astype("float32"))
    state["output_scaler.scale"][...] = 7  # a copy
    np.testing.assert_array_equal(net.state_dict()["output_scaler.scale"], SCALE.astype("float32"))


def test_a_limit_is_refused():
    """The inverse of smooth clipping makes numbers without bound of outputs near the limit."""
    net = net_of(KINDS["robust"])
    message = (
        r"^output_scaler must have no limit, as .*, got RobustScaler\(.*: write RobustScaler\.fit\(y, limit=np\.inf\)$"
    )
    for wrong in (RobustScaler.fit(Y), RobustScaler(0.0, 1.0, [np.inf, 2.0, np.inf])):
        with pytest.raises(ValueError, match=message):
            net.output_scaler = wrong
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(net.state_dict() | {"output_scaler.limit": np.full(3, 2.0)})
    assert net.output_scaler is KINDS["robust"]


def test_a_state_dict_without_it_leaves_the_nets_own():
    net, before = net_of(), net_of().predict(X)
    assert net.load_state_dict(net_of(None).state_dict()) == ([], [])
    assert net.output_scaler is SCALER
    np.testing.assert_array_equal(net.predict(X), before)
    net.load_state_dict(net.state_dict())
    assert net.output_scaler is SCALER  # the same numbers leave the record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"output_scaler.center": None},
            "state_dict must contain the keys of one scaler: output_scaler.center and .*, got output_scaler.scale",
        ),
        ({"output_scaler.scale": np.zeros(3)}, "output_scaler.scale must contain no number that is 0 in float32"),
        ({"output_scaler.scale": np.ones(4)}, r"output_scaler.scale must have shape \(3,\), got shape \(4,\)"),
        ({"0.bias": np.ones(9)}, r"state_dict\['0.bias'\] must have shape \(5,\)"),
    ],
)
def test_damaged_state_dicts_change_nothing(change, message):
    net = net_of(Scaler(0.0, 2.0))
    state = {key: value for key, value in (net_of(seed=3).state_dict() | change).items() if value is not None}
    before = net.predict(X)
    with pytest.raises(ValueError, match=f"^{message}"):
        net.load_state_dict(state)
    assert net.output_scaler == Scaler(0.0, 2.0)
    np.testing.assert_array_equal(net.predict(X), before)
