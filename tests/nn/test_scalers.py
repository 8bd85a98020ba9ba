"""A net's scaler of every kind: what it computes, its gradient, how it is saved and copied, and what it refuses."""

import copy
import pickle

import numpy as np
import pytest
from specs import BY_NAME

import fastnn
from fastnn import _validation as v
from fastnn import nn
from fastnn.data import QuantileScaler, RobustScaler, Scaler

RNG = np.random.default_rng(0)
N = 300
# Skewed, with many equal numbers, constant, of another scale, with a few gaps.
X = np.column_stack(
    [RNG.lognormal(size=N) * 100, np.maximum(RNG.normal(size=N), 0), np.full(N, 0.1), RNG.normal(1e3, 1e-1, N)]
)
GAPS = X.copy()
GAPS[RNG.random(X.shape) < 0.1] = np.nan
Y = np.nan_to_num(GAPS[:, :1] / 100) - X[:, 1:2]


def scalers_of(x, gaps):
    return {
        "standard": Scaler.fit(x),
        "min_max": Scaler.fit(x, "min_max"),
        "robust": RobustScaler.fit(x),
        "robust without limit": RobustScaler.fit(x, limit=np.inf),
        "quantile": QuantileScaler.fit(x, n_quantiles=20),
        "standard, filled": Scaler.fit(gaps, nan="center"),
        "min_max of some": Scaler.fit(gaps, "min_max", columns=[0, 2], nan="center"),
        "robust of some, filled": RobustScaler.fit(gaps, columns=[1, 3], nan="center"),
        "quantile of some, filled": QuantileScaler.fit(gaps, n_quantiles=20, columns=slice(1, 3), nan="center"),
    }


SCALERS = scalers_of(X, GAPS)
every_scaler = pytest.mark.parametrize("name", SCALERS)


def rows_for(scaler):
    """Return rows with gaps where the scaler fills them."""
    rows = X.copy()
    if scaler.fill is not None:
        gaps = np.isnan(GAPS) & ~np.isnan(np.broadcast_to(scaler.fill, X.shape))
        rows[gaps] = np.nan
    return rows


def net_of(scaler=None, dtype="float64", seed=1):
    net = nn.Sequential(nn.Dense(4, 5), nn.Tanh(), nn.Dense(5, 1), dtype=dtype, seed=seed)
    net.scaler = scaler
    return net


def show(scaler, dtype="float64"):
    """Return a net whose output is its scaled input."""
    net = nn.Sequential(nn.Columns(range(4), in_features=4), dtype=dtype)
    net.scaler = scaler
    return net


# ---- what it computes ----


def by_hand(scaler, x):
    """The formulas of the three kinds, in float64."""
    if scaler.fill is not None:
        x = np.where(np.isnan(x), scaler.fill, x)
    if isinstance(scaler, QuantileScaler):
        return BY_NAME["quantile_normal"].oracle(x, scaler.quantiles)[0].astype(float)
    z = (x - scaler.center) * scaler.scale
    return z / np.sqrt(1 + (z / scaler.limit) ** 2) if isinstance(scaler, RobustScaler) else z


@every_scaler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nets_and_transform_compute_the_formula(impl, name, dtype):
    scaler = SCALERS[name]
    rows = rows_for(scaler).astype(dtype)
    numbers = show(scaler, dtype)
    rounded = type(scaler)(**{k: v.astype(float) for k, v in fields(numbers).items()})  # those that the net has
    expected = by_hand(rounded, rows.astype(float))
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype] * (np.abs(expected).max() + 1)
    if not isinstance(scaler, QuantileScaler):
        tolerance = (
            tolerance + np.abs(np.nan_to_num(rows) * rounded.scale) * np.finfo(dtype).eps
        )  # where x - center cancels
    assert (np.abs(np.nan_to_num(numbers.predict(rows)) - np.nan_to_num(expected)) <= tolerance).all()
    transformed = scaler.transform(rows)
    assert transformed.dtype == dtype
    assert (np.abs(np.nan_to_num(transformed) - np.nan_to_num(expected)) <= tolerance).all()
    np.testing.assert_array_equal(np.isnan(transformed), np.isnan(expected))


def fields(net):
    return {key.partition(".")[2]: value for key, value in net.state_dict().items() if key.startswith("scaler.")}


@every_scaler
def test_a_net_is_one_on_scaled_input(impl, name):
    """Predictions, trainings, and their evaluation."""
    scaler = SCALERS[name]
    rows, scaled, plain = rows_for(scaler), net_of(scaler), net_of()
    hand = scaler.transform(rows)
    np.testing.assert_allclose(scaled.predict(rows), plain.predict(hand), rtol=1e-12, atol=1e-12)
    losses = []
    for net, x in ((scaled, rows), (plain, hand)):
        trainer = fastnn.Trainer(net, loss="mean_squared_error", optimizer="sgd")
        history = trainer.fit(x, Y, epochs=2, batch_size=32, verbose=0)
        losses.append([*history["loss"], trainer.evaluate(x, Y)["loss"]])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)
    for mine, other in zip(scaled.parameters().values(), plain.parameters().values(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-10)


@every_scaler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_native_is_the_reference(native, name, dtype):
    net, rows = show(SCALERS[name], dtype), rows_for(SCALERS[name])
    with fastnn.backend("reference"):
        expected = net.predict(rows)
    np.testing.assert_allclose(net.predict(rows), expected, rtol=8 * np.finfo(dtype).eps, atol=1e-30)


@every_scaler
def test_bits_do_not_depend_on_threads_and_rows(native, name):
    """Enough rows for several threads and several tasks."""
    scaler = SCALERS[name]
    rows = np.tile(rows_for(scaler), (100, 1))
    net = show(scaler, "float32")
    with fastnn.num_threads(1):
        expected = net.predict(rows)
    with fastnn.num_threads(3):
        np.testing.assert_array_equal(net.predict(rows), expected)
    np.testing.assert_array_equal(net.predict(rows[7:8]), expected[7:8])
    np.testing.assert_array_equal(
        np.concatenate([net.predict(part) for part in np.split(rows[:500], 4)]), expected[:500]
    )


def test_wide_rows_are_scaled_in_training(native):
    """More columns than a task has elements, and threads that share a batch."""
    wide = np.random.default_rng(1).normal(5, 3, (260, 2500)).astype(np.float32)
    scaler, results = RobustScaler.fit(wide), []
    for threads, scaled, x in ((1, scaler, wide), (3, scaler, wide), (1, None, scaler.transform(wide))):
        net = nn.Sequential(nn.Dense(2500, 2), seed=0)
        net.scaler = scaled
        with fastnn.num_threads(threads):
            fastnn.Trainer(net, loss="mean_squared_error").fit(x, wide[:, :2], epochs=1, batch_size=128, verbose=0)
        results.append(net.predict(x))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], results[2], atol=1e-3)


def test_bytes_are_scaled_after_the_cast(impl):
    pixels = np.arange(256, dtype=np.uint8).reshape(64, 4)
    for scaler in (Scaler.fit(pixels, "min_max"), RobustScaler.fit(pixels), QuantileScaler.fit(pixels)):
        np.testing.assert_array_equal(show(scaler).predict(pixels), show(scaler).predict(pixels.astype(float)))


def test_infinity_becomes_the_limit(impl):
    scaler = RobustScaler(0.0, [1.0, 1e300, 1.0, 1.0], [2.0, 2.0, np.inf, 1e-300])
    row = np.array([[np.inf, 1e300, np.inf, -1.0], [-np.inf, -1e300, -np.inf, np.nan]])
    expected = [[2.0, 2.0, np.inf, -1e-300], [-2.0, -2.0, -np.inf, np.nan]]
    np.testing.assert_array_equal(show(scaler).predict(row), expected)
    np.testing.assert_array_equal(scaler.transform(row), expected)


@every_scaler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_column_becomes_0(impl, name, dtype):
    """Exactly, whatever its number is; one that is not scaled stays."""
    rows = np.full((3, 4), 0.1, dtype)
    expected = rows[:, 2] if name == "robust of some, filled" else 0
    assert (show(SCALERS[name], dtype).predict(rows)[:, 2] == expected).all()
    assert (SCALERS[name].transform(rows)[:, 2] == expected).all()


# ---- its gradient ----


@every_scaler
def test_the_gradient_by_the_input(impl, name):
    """Also where a number is one of the quantiles: `check_gradients` leaves out differences across it."""
    x = np.random.default_rng(5).normal(size=(60, 4))
    gaps = np.where(np.random.default_rng(6).random(x.shape) < 0.1, np.nan, x)
    scaler = scalers_of(x, gaps)[name]
    filled = np.zeros(4, bool) if scaler.fill is None else ~np.isnan(scaler.fill)
    report = fastnn.check_gradients(net_of(scaler), np.where(filled, gaps, x)[:12], Y[:12], loss="mean_squared_error")
    assert report.ok, report
    checked = {block.name: block.checked for block in report.blocks}
    assert checked["input"] >= 30 and checked["0.weight"] == 20


def test_the_gradient_by_hand(impl):
    """d z / d x of one column each; 0 where NaN is filled and beyond the quantiles."""
    net = nn.Sequential(nn.Dense(4, 4, bias=False), dtype="float64")
    net[0].weight[...] = np.eye(4)
    cases = [
        (Scaler(1.0, [1.0, 2.0, 3.0, 4.0]), [5.0] * 4, [1.0, 2.0, 3.0, 4.0]),
        (Scaler(1.0, 2.0, [0.0, np.nan, 0.0, 0.0]), [np.nan, 1.0, np.nan, 7.0], [0.0, 2.0, 0.0, 2.0]),
        (RobustScaler(1.0, 2.0, 3.0), [1.0, 3.0, -1.0, 1e200], [2.0, 2 / (5 / 3) ** 3, 2 / (5 / 3) ** 3, 0.0]),
        (QuantileScaler([[0.0] * 4, [2.0] * 4]), [1.0, -3.0, 2.0, 9.0], [0.5 * np.sqrt(2 * np.pi), 0.0, 0.0, 0.0]),
        (
            QuantileScaler([[0.0] * 3 + [np.nan], [2.0] * 3 + [np.nan]]),
            [1.0, -3.0, 2.0, 9.0],
            [1.2533141373155, 0, 0, 1],
        ),
    ]
    for scaler, row, expected in cases:
        net.scaler = scaler
        x = np.array([row])
        net.forward(x, training=True, input_grad=True)
        x[...] = 77  # the derivative is that of the forward pass
        net.scaler = None
        np.testing.assert_allclose(net.backward(np.ones((1, 4))), [expected], rtol=1e-12)


# ---- inverse ----


@every_scaler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_inverse_returns_the_rows(name, dtype):
    scaler = SCALERS[name]
    rows = X.astype(dtype)
    back = scaler.inverse_transform(scaler.transform(rows))
    assert back.dtype == dtype
    # A clipped number has lost digits: they are (1 + z^2 / 9)^(3/2) apart.
    lost = np.ones(4)
    if isinstance(scaler, RobustScaler):
        z = np.abs((X - scaler.center) * scaler.scale).max(axis=0)
        lost = (1 + (z / scaler.limit) ** 2) ** 1.5
    assert (np.abs(back - rows).max(axis=0) <= 64 * lost * np.finfo(dtype).eps * np.abs(X).max(axis=0)).all()


def test_the_inverse_of_what_no_row_becomes():
    """The nearest number that a row may become: finite for a clipped column, the ends of quantiles."""
    back = RobustScaler(1.0, 2.0).inverse_transform([[3.0, -3.0, 1e9, np.nan]])
    assert (
        np.isfinite(back[0, :3]).all() and back[0, 0] == back[0, 2] > 1e6 and back[0, 1] < -1e6 and np.isnan(back[0, 3])
    )
    assert RobustScaler(1.0, 2.0, np.inf).inverse_transform([[4.0, np.inf]]).tolist() == [[3.0, np.inf]]
    quantiles = QuantileScaler([[0.0], [1.0], [4.0]])
    assert quantiles.inverse_transform([[-99.0], [99.0], [-np.inf], [np.inf]]).tolist() == [[0.0], [4.0], [0.0], [4.0]]
    np.testing.assert_allclose(quantiles.inverse_transform([[0.0], [0.6744897501960817]]), [[1.0], [2.5]])


def test_a_scale_of_0_has_no_inverse():
    with pytest.raises(ValueError, match=r"^scale must be other than 0, to have an inverse, got 0 in column 1$"):
        Scaler(0.0, [1.0, 0.0]).inverse_transform([[1.0, 2.0]])


# ---- saved and copied ----


KINDS = {"Scaler": ["center", "scale"], "RobustScaler": ["center", "scale", "limit"], "QuantileScaler": ["quantiles"]}


@every_scaler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_dicts_bring_the_scaler(impl, name, dtype):
    scaler = SCALERS[name]
    net, other, rows = net_of(scaler, dtype), net_of(Scaler(3, 4), dtype, seed=2), rows_for(scaler)
    state = net.state_dict()
    names = KINDS[type(scaler).__name__] + ["fill"] * (scaler.fill is not None)
    assert {key for key in state if key.startswith("scaler.")} == {f"scaler.{each}" for each in names}
    for each in names:
        given, saved = np.broadcast_to(getattr(scaler, each), state[f"scaler.{each}"].shape), state[f"scaler.{each}"]
        np.testing.assert_array_equal(saved, given.astype(dtype))
        assert saved.dtype == dtype and saved.shape[-1] == 4
    other.load_state_dict(state)
    assert type(other.scaler) is type(scaler)
    np.testing.assert_array_equal(other.predict(rows), net.predict(rows))
    before = net.scaler
    net.load_state_dict(state)
    assert net.scaler is before  # it has these numbers already
    net.load_state_dict(net_of(None, dtype).state_dict())
    assert net.scaler is before
    for each in names:
        state[f"scaler.{each}"][...] = 0  # copies
    np.testing.assert_array_equal(net.predict(rows), net_of(scaler, dtype).predict(rows))


COPIES = {
    "copy": lambda net: net.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "slice": lambda net: net[:],
    "copy_from": lambda net: copied_into(net_of(seed=3, dtype=net.dtype), net),
    "trainer": lambda net: pickle.loads(pickle.dumps(fastnn.Trainer(net, loss="mean_squared_error"))).net,
}


def copied_into(target, net):
    target.copy_from(net)
    return target


@every_scaler
@pytest.mark.parametrize("copied", COPIES)
def test_copies_have_the_scaler(name, copied):
    net = net_of(SCALERS[name], "float32")
    twin = COPIES[copied](net)
    assert twin.scaler == net.scaler and repr(twin.scaler) == repr(net.scaler)
    np.testing.assert_array_equal(twin.predict(rows_for(net.scaler)), net.predict(rows_for(net.scaler)))


@every_scaler
def test_a_copy_of_another_dtype_has_the_numbers(name):
    net = net_of(SCALERS[name], "float32")
    wide = net.astype("float64")
    assert type(wide.scaler) is type(net.scaler)
    rows = rows_for(net.scaler).astype(np.float32)
    a, b = wide.predict(rows), net.predict(rows)
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
    assert fields(wide).keys() == fields(net).keys()
    for key, array in fields(net).items():
        np.testing.assert_array_equal(fields(wide)[key], array)


def test_many_quantiles_are_shown_as_their_number():
    """In a call that could be evaluated there would be hundreds of thousands of characters."""
    quantiles = np.sort(np.random.default_rng(0).normal(size=(1000, 10)), axis=0)
    scaler = QuantileScaler(quantiles)
    assert repr(scaler) == v.shown(scaler) == "QuantileScaler(<1000 quantiles of 10 columns>)"
    one = QuantileScaler(np.arange(1001.0)[:, np.newaxis], 0.0)
    assert repr(one) == "QuantileScaler(<1001 quantiles of 1 column>, fill=...)"
    small = QuantileScaler(quantiles[:100], fill=quantiles[50])
    assert eval(repr(small)) == small


def test_scalers_are_shown():
    texts = {name: (repr(net_of(scaler)), net_of(scaler).summary()) for name, scaler in SCALERS.items()}
    assert "# scaler: center=[" in texts["standard"][0] and "limit=[3., 3., 3., 3.]" in texts["robust"][0]
    assert "# scaler: 20 quantiles of 4 columns" in texts["quantile"][0]
    assert "fill=[nan, " in texts["quantile of some, filled"][0] and "fill" not in texts["quantile"][0]
    assert all("scaler" in summary for _, summary in texts.values())


def test_ensembles_have_their_scalers(impl):
    nets = [net_of(SCALERS[name], seed=i) for i, name in enumerate(("standard, filled", "quantile", "robust"))]
    ensemble = fastnn.Ensemble(nets)
    np.testing.assert_allclose(ensemble.predict(X), np.mean([net.predict(X) for net in nets], axis=0), rtol=1e-12)


# ---- NaN in training ----


@every_scaler
def test_fit_accepts_nan_that_is_filled(impl, name):
    scaler = SCALERS[name]
    trainer = fastnn.Trainer(net_of(scaler, "float32"), loss="mean_squared_error")
    history = trainer.fit(rows_for(scaler), Y, epochs=1, verbose=0, validation_data=(rows_for(scaler), Y))
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["val_loss"]).all()
    fills = np.zeros(4, bool) if scaler.fill is None else ~np.isnan(np.broadcast_to(scaler.fill, 4))
    for column in range(4):
        for value, allowed in ((np.nan, fills[column]), (np.inf, False), (-np.inf, False)):
            bad = X.copy()
            bad[5, column] = value
            if allowed:
                trainer.fit(bad, Y, epochs=1, verbose=0)
                continue
            before = trainer.net.state_dict()
            with pytest.raises(
                ValueError, match=rf"^X must contain finite numbers, got {value} in row 5, column {column}"
            ):
                trainer.fit(bad, Y, epochs=1, verbose=0)
            for key, array in trainer.net.state_dict().items():
                np.testing.assert_array_equal(array, before[key])


def test_predictions_keep_nan_that_is_not_filled(impl):
    scaled = show(Scaler.fit(GAPS, columns=[0], nan="center")).predict([[np.nan] * 4])
    assert scaled[0, 0] == 0 and np.isnan(scaled[0, 1:]).all()
    assert np.isfinite(show(Scaler.fit(GAPS, nan="center")).predict([[np.nan] * 4])).all()


def net_with_ids(column, fill=None):
    others = [j for j in range(3) if j != column]
    net = nn.Sequential(nn.Parallel(nn.Columns([column], nn.Embedding(2, 1)), nn.Columns(others)), nn.Dense(3, 1))
    if fill is not None:
        net.scaler = QuantileScaler([[0.0 if j in fill else np.nan for j in range(3)]] * 2, fill)
    return net


def test_finite_checks_skip_columns():
    """Columns of ids, which another rule checks, may have anything."""
    from fastnn.training.examples import check_finite

    rows = np.full((100_000, 3), 1.0, np.float32)
    rows[70_001] = np.nan, np.inf, 1e30
    fix = r'write net\.scaler = Scaler\.fit\(X, columns=\[0, 2\], nan="center"\)$'
    with pytest.raises(ValueError, match=rf"^X must contain finite numbers, got nan in row 70001, column 0: {fix}"):
        check_finite("X", rows, net_with_ids(1))
    with pytest.raises(ValueError, match=r"^X must contain finite numbers, got inf in row 70001, column 1$"):
        check_finite("X", rows, net_with_ids(2, [0.0, 0.0, np.nan]))
    check_finite("X", rows, net_with_ids(1, [0.0, np.nan, np.nan]))
    check_finite("X", rows[:, [1, 2, 2]], net_with_ids(0))
    check_finite("X", np.ones((5, 3), np.uint8), net_with_ids(0))


@pytest.mark.parametrize(
    ("scaler", "call"),
    [
        (None, r"Scaler\.fit\(X, "),
        ((0.0, 1.0), r"Scaler\.fit\(X, \.\.\., "),
        (RobustScaler.fit(X), r"RobustScaler\.fit\(X, \.\.\., "),
        (QuantileScaler.fit(GAPS, columns=[0], nan="center"), r"QuantileScaler\.fit\(X, \.\.\., "),
    ],
)
def test_NaN_says_which_scaler_fills_it(scaler, call):
    net = net_of(scaler)
    rows = X.copy()
    rows[5, 2] = np.nan
    message = rf'^X must contain finite numbers, got nan in row 5, column 2: write net\.scaler = {call}nan="center"\)$'
    with pytest.raises(ValueError, match=message):
        fastnn.Trainer(net, loss="mean_squared_error").fit(rows, np.zeros((len(rows), net.out_features)), verbose=0)


# ---- what is refused ----

Q = np.array([[1.0, 1, 1, 1], [2, 2, 2, 2]])
BAD = {
    "other columns": (Scaler([1.0] * 3, 1), r"scaler.center must have shape \(4,\), got shape \(3,\)"),
    "other columns of a fill": (Scaler(0, 1, [1.0] * 5), r"scaler.fill must have shape \(4,\), got shape \(5,\)"),
    "other columns of quantiles": (QuantileScaler(Q[:, :3]), r"scaler.quantiles must have shape \(n, 4\), got"),
    "an infinite center": (RobustScaler([0, 0, np.inf, 0], 1), "scaler.center must contain numbers that are finite in"),
    "a scale beyond float32": (RobustScaler(0, 1e300), "scaler.scale must contain numbers that are finite in float32"),
    "a fill beyond float32": (Scaler(0, 1, 1e300), "scaler.fill must contain numbers that are finite in float32"),
    "a limit below float32": (RobustScaler(0, 1, 1e-300), "scaler.limit must contain numbers that are above 0 in"),
    "quantiles beyond float32": (QuantileScaler(Q * 1e300), "scaler.quantiles must contain finite numbers in column 0"),
    "an infinite fill": (Scaler(0, 1, np.inf), "scaler.fill must contain numbers that are finite in float32, got inf"),
    "a number": (3, "scaler must have the attributes center and scale, or be None, got int"),
    "a class": (QuantileScaler, "scaler must have the attributes .*, got the class QuantileScaler"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_no_net_takes(case):
    bad, message = BAD[case]
    net = net_of(SCALERS["robust"], "float32")
    with pytest.raises((TypeError, ValueError), match=f"^({message})"):
        net.scaler = bad
    assert net.scaler is SCALERS["robust"]


BAD_RECORDS = {
    "words": (lambda: Scaler("a", 1), "center must be an array of real numbers"),
    "a limit of 0": (lambda: RobustScaler(0, 1, 0.0), "limit must be numbers above 0, got 0.0"),
    "a limit of NaN": (lambda: RobustScaler(0, 1, [1.0, np.nan]), "limit must be numbers above 0, got nan"),
    "one quantile": (lambda: QuantileScaler(Q[:1]), r"quantiles must have at least 2 rows, got shape \(1, 4\)"),
    "flat quantiles": (lambda: QuantileScaler([1.0, 2.0]), "quantiles must be 2-dimensional"),
    "descending": (lambda: QuantileScaler(Q[::-1]), "quantiles must be ascending in column 0, got .*: write np.sort"),
    "infinite": (lambda: QuantileScaler(Q * [1, np.inf, 1, 1]), "quantiles must contain finite numbers in column 1"),
    "in part NaN": (
        lambda: QuantileScaler(np.where([[True], [False]], Q, [1.0, 2, 3, np.nan])),
        "quantiles must contain finite numbers in column 3, or NaN alone",
    ),
    "transform of others": (lambda: Scaler(Q[0], 1).transform(np.ones((2, 3))), r"X must .*shape \(n, 4\).*got"),
    "transform of a row": (lambda: Scaler(0, 1).transform(np.ones(3)), "X must be 2-dimensional"),
    "inverse of others": (lambda: QuantileScaler(Q).inverse_transform(np.ones((2, 3))), r"Y must .*shape \(n, 4\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_what_is_no_scaler(case):
    make, message = BAD_RECORDS[case]
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"scaler.center": None}, "scaler.scale and scaler.limit"),
        ({"scaler.center": None, "scaler.scale": None}, "scaler.limit"),
        ({"scaler.quantiles": Q}, "scaler.center and scaler.scale and scaler.limit and scaler.quantiles"),
        ({"scaler.center": None, "scaler.scale": None, "scaler.limit": None, "scaler.fill": Q[0]}, "scaler.fill"),
    ],
)
def test_a_wrong_set_of_keys_is_refused(change, got):
    net, other = net_of(SCALERS["robust"]), net_of(seed=2)
    state = {key: value for key, value in (net.state_dict() | change).items() if value is not None}
    before = other.predict(X)
    with pytest.raises(
        ValueError,
        match=f"^state_dict must contain the keys of one scaler: scaler.center and scaler.scale, or .*, got {got}$",
    ):
        other.load_state_dict(state, strict=False)
    assert other.scaler is None
    np.testing.assert_array_equal(other.predict(X), before)


SECONDS = 1.7e9 + np.linspace(0, 60, 50)[:, np.newaxis]  # a minute of times since 1970


@pytest.mark.parametrize("fit", [Scaler.fit, RobustScaler.fit, QuantileScaler.fit])
@pytest.mark.parametrize("name", ["scaler", "output_scaler"])
def test_numbers_that_the_dtype_rounds_away_are_refused(fit, name):
    """The cast comes before the scaler: float32 has one number in two minutes there."""
    scaler = fit(SECONDS, limit=np.inf) if fit == RobustScaler.fit else fit(SECONDS)
    message = rf'^{name} must be of columns whose numbers float32 tells apart, got column 0, .*dtype="float64"$'
    net = nn.Sequential(nn.Dense(1, 1), dtype="float32")
    with pytest.raises(ValueError, match=message):
        setattr(net, name, scaler)
    wide = net.astype("float64")
    setattr(wide, name, scaler)
    with pytest.raises(ValueError, match=message):
        wide.astype("float32")
    setattr(net, name, Scaler.fit(np.full((3, 1), 1.7e9)))  # a constant column
    setattr(net, name, Scaler.fit(SECONDS - 1.7e9))
